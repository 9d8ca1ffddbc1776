//! `stopline config`.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use stopline_depot::migration::MigrationError;

use crate::config::{CHAIN, Config};
use crate::exit::{Exit, Failure, OrExit};

/// Arguments of `stopline config`.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand, Debug)]
enum What {
    /// Bring a configuration of an older schema to the newest; the old one is kept beside it.
    Migrate(Migrate),
}

#[derive(clap::Args, Debug)]
#[command(
    after_help = "Comments and order stay. Nothing is written where nothing is to be changed, where the program would refuse the \
result, or where the file is newer than the program. The old file is kept as FILE.schema-N, N being its schema: to go back to \
an older stopline, put it in its place again.

The daemon reads an old file as it is, and says so: nothing has to be migrated for it to start.

Exit codes: 0 it is of the newest schema now; 6 it cannot be written; 7 it cannot be read, or is refused, and stays as it is."
)]
struct Migrate {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = "/etc/stopline/stopline.toml")]
    config: PathBuf,
    /// Say what would be changed, and write nothing.
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let What::Migrate(Migrate { config, dry_run }) = &args.what;
    migrate(config, *dry_run)
}

fn migrate(path: &Path, dry_run: bool) -> Result<(), Failure> {
    let taken = |text: &str| Config::from_toml(text, path).map(drop).map_err(|error| error.to_string());
    let done = CHAIN.rewrite(path, dry_run, taken).map_err(|error| match &error {
        MigrationError::Write { .. } => Failure::new(Exit::Output, error),
        MigrationError::Read { .. } => Failure::new(Exit::Config, error),
        _ => Failure::new(Exit::Config, anyhow::Error::new(error).context(path.display().to_string())),
    })?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", done.in_words(path)).context("standard output").or_exit(Exit::Output)
}
