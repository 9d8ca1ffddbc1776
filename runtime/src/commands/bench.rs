//! `stopline bench`.

use crate::exit::{Exit, Failure};

/// Arguments of `stopline bench`.
#[derive(clap::Args, Debug)]
pub struct Args {}

pub(super) fn run(_: &Args) -> Result<(), Failure> {
    Err(Failure::new(Exit::Internal, anyhow::anyhow!("bench: being written")))
}
