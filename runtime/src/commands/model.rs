//! `stopline model`.

use crate::exit::{Exit, Failure};

/// Arguments of `stopline model`.
#[derive(clap::Args, Debug)]
pub struct Args {}

pub(super) fn run(_: &Args) -> Result<(), Failure> {
    Err(Failure::new(Exit::Internal, anyhow::anyhow!("model: being written")))
}
