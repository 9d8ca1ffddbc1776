//! `stopline acknowledge`.

use std::path::PathBuf;

use super::arm::tell;
use crate::daemon::control::Order;
use crate::exit::Failure;

/// Arguments of `stopline acknowledge`.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Every fall that is open now is silent until it alerts again by its own time (fall.again_min); a \
fall that comes later alerts anew."
)]
pub struct Args {
    /// The daemon's configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    tell(&args.config, Order::Acknowledge)
}
