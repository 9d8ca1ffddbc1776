//! `stopline demo`: the whole product on recorded clips, without a car, a camera or a download.
//!
//! Each clip is played by `stopline run`, as a process of its own, with a configuration that a reader can look at; the live
//! page is `stopline view`, another one. This process only looks on, by the doors that everybody has: the stream's socket,
//! the file of the `log` actuator, the outbox. Nothing is armed and there is no bus: what would be on it is made by the
//! code that would send it, and checked here by the reference receiver.
//!
//! In walk order: `kit` with `bundled` (what is played) → `setup` (the configuration) → `process` (the processes) → `play`
//! (one clip), which hears by `listen` and `bus`, says by `tell` and `screen` and keeps by `keep` → `summary`.

mod bundled;
mod bus;
mod keep;
mod kit;
mod listen;
mod play;
mod process;
mod screen;
mod setup;
mod summary;
mod tell;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use stopline_sensors::clock::{Clock, Monotonic, SystemClock};

use crate::daemon::ending::Signals;
use crate::exit::{Exit, Failure, OrExit};
use kit::Kit;
use play::{Played, Stage};
use process::Process;
use screen::Screen;

pub use kit::{CLIPS, Clip};

/// The live page's usual port; another one where it is taken.
const PORT: u16 = 8460;

/// A socket's whole path has at most so many bytes on Linux (`sun_path`, less its ending zero).
const LONGEST_SOCKET: usize = 107;

/// What is played, and how.
#[derive(Clone, Debug, Default)]
pub struct DemoOptions {
    /// Every clip once; else again and again until a signal.
    pub once: bool,
    /// Without the live page.
    pub headless: bool,
    /// Only this one.
    pub clip: Option<&'static Clip>,
    /// Where everything is written; must not hold anything yet. `None`: a new folder among the temporary files.
    pub directory: Option<PathBuf>,
    /// A folder with a model and clips in place of the bundled ones.
    pub kit: Option<PathBuf>,
}

/// Plays until everything was played once, or until a signal.
///
/// # Errors
/// [`Exit::Missed`] where an expected event was not found; else what could not be done.
pub fn run(options: &DemoOptions) -> Result<(), Failure> {
    let clock = SystemClock;
    let begun = clock.monotonic();
    let signals = Signals::register().or_exit(Exit::Internal)?;
    let directory = directory(options, &clock).or_exit(Exit::Output)?;
    let kit = match &options.kit {
        Some(folder) => Kit::at(folder).or_exit(Exit::Input)?,
        None => Kit::unpack(&directory.join("kit")).or_exit(Exit::Output)?,
    };
    let socket = setup::socket(&directory);
    if socket.as_os_str().len() > LONGEST_SOCKET {
        let problem =
            anyhow!("{}: longer than a socket's path may be; give a shorter --directory", socket.display());
        return Err(Failure::new(Exit::Usage, problem));
    }
    let mut screen = Screen::new();
    let page = if options.headless { None } else { Some(Page::open(&directory, &socket)?) };
    screen.head(&directory, page.as_ref().map(|page| page.address));
    let clips: Vec<&'static Clip> = match options.clip {
        Some(clip) => vec![clip],
        None => CLIPS.iter().collect(),
    };
    let stage = Stage { kit: &kit, directory: &directory, clock: &clock, begun, signals: &signals };
    let played = rounds(&stage, &mut screen, &clips, options.once)?;
    drop(page);
    summary::print(&screen, &played, &directory);
    if options.once { verdict(&played) } else { Ok(()) }
}

/// Round after round; of each clip the newest whole round is kept.
fn rounds(
    stage: &Stage<'_>,
    screen: &mut Screen,
    clips: &[&'static Clip],
    once: bool,
) -> Result<Vec<Played>, Failure> {
    let mut kept: Vec<Played> = Vec::new();
    for round in 1_u64.. {
        for (at, clip) in clips.iter().enumerate() {
            screen.title(round, (at + 1, clips.len()), clip);
            let Some(played) = play::play(stage, screen, clip)? else { return Ok(kept) };
            screen.ended(&played);
            let first = kept.iter().find_map(|known| known.first_decision);
            let played = Played { first_decision: first.or(played.first_decision), ..played };
            match kept.iter_mut().find(|known| known.clip.name == clip.name) {
                Some(known) => *known = played,
                None => kept.push(played),
            }
        }
        if once {
            break;
        }
    }
    Ok(kept)
}

fn verdict(played: &[Played]) -> Result<(), Failure> {
    let missed: Vec<String> = played
        .iter()
        .flat_map(|played| {
            let missed = played.verdict.events.iter().filter(|found| found.report.is_none());
            missed.map(|found| format!("{} in {}", found.event.kind, played.clip.name))
        })
        .collect();
    if missed.is_empty() {
        return Ok(());
    }
    Err(Failure::new(Exit::Missed, anyhow!("not found: {}", missed.join(", "))))
}

/// The folder, new and this user's only: pictures are written into it.
fn directory(options: &DemoOptions, clock: &dyn Clock) -> anyhow::Result<PathBuf> {
    let mut builder = std::fs::DirBuilder::new();
    builder.mode(0o700);
    let directory = match &options.directory {
        Some(directory) => {
            let made = builder.recursive(true).create(directory);
            made.with_context(|| format!("{}: cannot be made", directory.display()))?;
            let mut within = std::fs::read_dir(directory)
                .with_context(|| format!("{}: cannot be read", directory.display()))?;
            if within.next().is_some() {
                anyhow::bail!(
                    "{}: is not empty; give --directory a new or an empty folder",
                    directory.display()
                );
            }
            directory.clone()
        }
        None => {
            let since = clock.wall().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_millis();
            let directory =
                std::env::temp_dir().join(format!("stopline-demo-{since:x}-{}", std::process::id()));
            let made = builder.create(&directory);
            made.with_context(|| format!("{}: cannot be made; give --directory", directory.display()))?;
            directory
        }
    };
    directory.canonicalize().with_context(|| format!("{}: cannot be found", directory.display()))
}

/// The live page, as a process of its own: what plays the clips serves nothing. Dropped, it ends.
struct Page {
    address: SocketAddr,
    _process: Process,
}

impl Page {
    fn open(directory: &Path, socket: &Path) -> Result<Self, Failure> {
        let address = free_address().or_exit(Exit::Output)?;
        let arguments = [
            "view".into(),
            "--with-parent".into(),
            "--socket".into(),
            socket.as_os_str().to_owned(),
            "--listen".into(),
            address.to_string().into(),
        ];
        let process = Process::start("the live page", &arguments, &directory.join("view.log"));
        Ok(Self { address, _process: process.or_exit(Exit::Internal)? })
    }
}

/// An address of this machine that nobody else answers at.
fn free_address() -> anyhow::Result<SocketAddr> {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, PORT))
        .or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .context("no local port is free for the live page; play with --headless")?;
    Ok(bound.local_addr()?)
}

/// Since `begun`.
fn passed(clock: &dyn Clock, begun: Monotonic) -> std::time::Duration {
    clock.monotonic().since(begun)
}
