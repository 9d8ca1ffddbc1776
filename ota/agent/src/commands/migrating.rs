//! `config migrate`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use stopline_depot::migration::MigrationError;

use crate::config::{CHAIN, Config};
use crate::exit::{Exit, Failure, HELP};

#[derive(Debug, Subcommand)]
pub(super) enum What {
    /// Bring the configuration to the newest schema; the old file is kept as FILE.schema-N. Comments and order stay. Nothing
    /// is written where nothing is to be changed, where the result would be refused, or where the file is newer than the
    /// program.
    #[command(after_help = HELP)]
    Migrate(Migrate),
}

#[derive(Debug, Args)]
pub(super) struct Migrate {
    /// Configuration file.
    #[arg(long, value_name = "FILE", default_value = "/etc/stopline/agent.toml")]
    config: PathBuf,
    /// Say what would be changed, and write nothing.
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(what: &What) -> Result<(), Failure> {
    let What::Migrate(Migrate { config, dry_run }) = what;
    println!("{}", migrate(config, *dry_run)?);
    Ok(())
}

/// What was changed, in words.
fn migrate(path: &Path, dry_run: bool) -> Result<String, Failure> {
    let done = CHAIN.rewrite(path, dry_run, |text| Config::parse(text).map(drop));
    let done = done.map_err(|error| {
        let exit = if matches!(error, MigrationError::Write { .. }) { Exit::Internal } else { Exit::Config };
        let named = matches!(error, MigrationError::Read { .. } | MigrationError::Write { .. });
        let error = anyhow::Error::new(error);
        Failure { exit, error: if named { error } else { error.context(path.display().to_string()) } }
    })?;
    Ok(done.in_words(path))
}
