//! `stopline view`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::process::{Signal, set_parent_process_death_signal};
use stopline_sensors::clock::SystemClock;

use crate::config::{Config, Run};
use crate::exit::{Exit, Failure, OrExit};
use crate::view::{self, ViewOptions};

/// Arguments of `stopline view`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  stopline view --config /etc/stopline/stopline.toml
  stopline view --socket /run/stopline/stream.sock --listen 127.0.0.1:9000

The page only shows: nothing that a browser sends reaches the daemon. There is no log-in, so by default only this machine
is answered; from elsewhere use a tunnel (ssh -L 8460:127.0.0.1:8460 board), or a proxy with a log-in and --host.
Prometheus reads /metrics.")]
pub struct Args {
    /// The daemon's configuration: says where its stream is.
    #[arg(long, value_name = "FILE", conflicts_with = "socket")]
    config: Option<PathBuf>,
    /// The daemon's stream; default: that of the default configuration.
    #[arg(long, value_name = "SOCKET")]
    socket: Option<PathBuf>,
    /// Address and port to answer at.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8460")]
    listen: SocketAddr,
    /// Name by which it may be asked, besides addresses and localhost; may be given again.
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,
    /// End when the process that started this one does.
    #[arg(long, hide = true)]
    with_parent: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    if args.with_parent {
        set_parent_process_death_signal(Some(Signal::TERM)).or_exit(Exit::Internal)?;
    }
    let run = match &args.config {
        Some(file) => Config::load(file).or_exit(Exit::Config)?.run,
        None => Run::default(),
    };
    let socket = args.socket.clone().or_else(|| run.stream_socket()).ok_or_else(|| {
        let problem =
            anyhow::anyhow!("run.stream is \"\": this daemon has no stream to look at; give it a name");
        Failure::new(Exit::Config, problem)
    })?;
    let options = ViewOptions { socket, listen: args.listen, hosts: args.hosts.clone() };
    view::run(options, Arc::new(SystemClock))
}
