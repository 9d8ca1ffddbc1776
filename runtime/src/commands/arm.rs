//! `stopline arm`.

use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::daemon::control::{self, Order};
use crate::exit::{Exit, Failure, OrExit};

/// Arguments of `stopline arm`.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Arming needs arm.armed and arm.command in the configuration, a known ego speed, and a vehicle \
that stands. It lasts until --off, until a physical input is switched off, or until the daemon ends."
)]
pub struct Args {
    /// The daemon's configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Disarm.
    #[arg(long)]
    off: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    tell(&args.config, if args.off { Order::Disarm } else { Order::Arm })
}

/// Tells the daemon that runs by the configuration `path`, and prints its answer.
pub(super) fn tell(path: &Path, order: Order) -> Result<(), Failure> {
    let config = Config::load(path).or_exit(Exit::Config)?;
    let Some(socket) = config.run.control_socket() else {
        let problem =
            anyhow::anyhow!("run.control is empty in the configuration: the daemon has no control socket");
        return Err(Failure::new(Exit::Config, problem));
    };
    let answer = control::tell(&socket, order).or_exit(Exit::Device)?;
    if !answer.done {
        return Err(Failure::new(Exit::Refused, anyhow::anyhow!(answer.text)));
    }
    println!("{}", answer.text);
    Ok(())
}
