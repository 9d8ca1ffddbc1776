//! `stopline bookmark`.

use std::path::PathBuf;

use super::arm::tell;
use crate::daemon::control::Order;
use crate::exit::Failure;

/// Arguments of `stopline bookmark`.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Needs [capture] with a rule `bookmark` in the configuration; its limits hold for a person too. What is kept \
is made unrecognisable and encrypted as everything that is captured."
)]
pub struct Args {
    /// The daemon's configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    tell(&args.config, Order::Bookmark)
}
