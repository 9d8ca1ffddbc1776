//! `stopline run`.

use std::path::PathBuf;

use rustix::process::{Signal, set_parent_process_death_signal};

use crate::config::Config;
use crate::daemon;
use crate::exit::{Exit, Failure, OrExit};

/// Arguments of `stopline run`.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Signals: SIGTERM and SIGINT end it in order, the safe command sent last; a second one ends it at \
once. SIGHUP reads the configuration again: only keys that need no restart may differ.

The configuration is explained in runtime/CONFIGURATION.md; runtime/stopline.example.toml holds every key."
)]
pub struct Args {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Print everything that takes effect, defaults included, and end.
    #[arg(long)]
    print_config: bool,
    /// End, in order, when the process that started this one does.
    #[arg(long, hide = true)]
    with_parent: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    if args.print_config {
        print!("{}", Config::load(&args.config).or_exit(Exit::Config)?.effective());
        return Ok(());
    }
    if args.with_parent {
        set_parent_process_death_signal(Some(Signal::TERM)).or_exit(Exit::Internal)?;
    }
    daemon::run(&args.config)
}
