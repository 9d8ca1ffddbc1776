//! `stopline shadow`: the child in which a new model sees what the active one sees.

use super::model_args::BackendArgs;
use crate::exit::{Exit, Failure, OrExit};
use crate::models::limits::Limits;
use crate::models::shadow::child;

/// Arguments of `stopline shadow`; the daemon gives them, and standard input is its socket.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    engine: BackendArgs,
    #[command(flatten)]
    limits: Limits,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    args.limits.apply().or_exit(Exit::Internal)?;
    child::run(std::io::stdin(), &args.engine.options("shadow")).or_exit(Exit::Input)
}
