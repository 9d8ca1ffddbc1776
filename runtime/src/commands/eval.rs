//! `stopline eval`.

use crate::exit::{Exit, Failure};

/// Arguments of `stopline eval`.
#[derive(clap::Args, Debug)]
pub struct Args {}

pub(super) fn run(_: &Args) -> Result<(), Failure> {
    Err(Failure::new(Exit::Internal, anyhow::anyhow!("eval: being written")))
}
