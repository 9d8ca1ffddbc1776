//! The client under test of the conformance suite theupdateframework/tuf-conformance: its command line (CLIENT-CLI.md),
//! plain HTTP, nothing else.
//!
//! Build it linked to the system's C library, since the suite moves the clock through it (`faketime`):
//! `cargo build --release -p stopline-tuf --example conformance --all-features`.

use std::error::Error;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use stopline_tuf::fetch::{Fetch, FetchError, Fetched};
use stopline_tuf::metadata::TargetCheck;
use stopline_tuf::store::FolderStore;
use stopline_tuf::time::{Clock, Reading};
use stopline_tuf::{Client, Found, MetadataFile, Session, Settings, TargetPath, install_root};

#[derive(Parser)]
struct Arguments {
    #[arg(long)]
    metadata_dir: PathBuf,
    #[arg(long)]
    metadata_url: Option<String>,
    #[arg(long = "target-name")]
    target_names: Vec<String>,
    #[arg(long)]
    target_dir: Option<PathBuf>,
    #[arg(long)]
    target_base_url: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Init { trusted_root: PathBuf },
    Refresh,
    Download,
}

fn main() -> ExitCode {
    // Wrong arguments end with 1 too: the suite knows no other failure.
    let done = Arguments::try_parse().map_err(Into::into).and_then(|arguments| run(&arguments));
    let Err(error) = done else { return ExitCode::SUCCESS };
    let mut cause: Option<&dyn Error> = Some(error.as_ref());
    while let Some(error) = cause {
        eprintln!("{error}");
        cause = error.source();
    }
    ExitCode::from(1)
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let mut store = FolderStore::open(&arguments.metadata_dir)?;
    if let Command::Init { trusted_root } = &arguments.command {
        install_root(&mut store, &fs::read(trusted_root)?)?;
        return Ok(());
    }
    let http = Http::new(arguments.metadata_url.as_deref().ok_or("--metadata-url is missing")?);
    let settings = Settings::new("2024-01-01T00:00:00Z".parse()?);
    let mut client = Client::new(http.clone(), store, SystemClock, settings);
    let mut session = client.refresh()?;
    if matches!(arguments.command, Command::Download) {
        let base = arguments.target_base_url.as_deref().ok_or("--target-base-url is missing")?;
        let folder = arguments.target_dir.as_deref().ok_or("--target-dir is missing")?;
        for name in &arguments.target_names {
            download(&mut session, &Http::new(base), folder, &TargetPath::new(name.as_str())?)?;
        }
    }
    Ok(())
}

/// Finds a target and puts it into `folder`, unless it lies there already.
fn download(
    session: &mut Session<'_, Http, FolderStore>,
    http: &Http,
    folder: &Path,
    path: &TargetPath,
) -> Result<(), Box<dyn Error>> {
    let found = session.find(path)?;
    let place = folder.join(path.file_name());
    if fs::File::open(&place)
        .is_ok_and(|mut file| copy_checked(&mut file, &mut std::io::sink(), &found).is_ok())
    {
        return Ok(());
    }
    let url_path = session.url_paths(&found).into_iter().next().ok_or("a target without digests")?;
    let body = http.get(&url_path).map_err(|error| FetchError::new(&url_path, error))?;
    let mut body = body.ok_or("the target is not there")?;
    let beside = folder.join(format!("{}%tmp", path.file_name()));
    let mut file = fs::File::create(&beside)?;
    let written = copy_checked(&mut body, &mut file, &found);
    if written.is_err() {
        fs::remove_file(&beside)?;
    }
    written?;
    fs::rename(&beside, &place)?;
    Ok(())
}

fn copy_checked(from: &mut impl Read, to: &mut impl Write, found: &Found) -> Result<(), Box<dyn Error>> {
    let mut check = TargetCheck::new(&found.path, &found.file)?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            return Ok(check.finish()?);
        }
        check.update(&buffer[..read])?;
        to.write_all(&buffer[..read])?;
    }
}

struct SystemClock;

impl Clock for SystemClock {
    fn reading(&self) -> Reading {
        Reading::Synchronised(jiff::Timestamp::now())
    }
}

#[derive(Clone)]
struct Http {
    agent: ureq::Agent,
    base: String,
}

impl Http {
    fn new(base: &str) -> Self {
        let timeout = Some(std::time::Duration::from_secs(30));
        let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(timeout);
        Self { agent: config.build().into(), base: format!("{}/", base.trim_end_matches('/')) }
    }

    /// The body of `path` below the base; `None` if it is not there.
    fn get(&self, path: &str) -> Result<Option<impl Read + use<>>, Box<dyn Error + Send + Sync>> {
        let response = self.agent.get(format!("{}{path}", self.base)).call()?;
        match response.status().as_u16() {
            200 => Ok(Some(response.into_body().into_reader())),
            403 | 404 => Ok(None),
            status => Err(format!("HTTP status {status}").into()),
        }
    }
}

impl Fetch for Http {
    fn metadata(&mut self, file: &MetadataFile, limit: u64) -> Result<Fetched, FetchError> {
        let failed = |source| FetchError::new(format!("{}{file}", self.base), source);
        let Some(body) = self.get(file.as_str()).map_err(failed)? else { return Ok(Fetched::Missing) };
        let mut bytes = Vec::new();
        body.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| failed(error.into()))?;
        Ok(Fetched::Found(bytes))
    }
}
