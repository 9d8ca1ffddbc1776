//! `stopline serve-api`.

use std::net::SocketAddr;
use std::sync::Arc;

use stopline_sensors::clock::SystemClock;

use super::model_args::ModelArgs;
use super::thresholds::ThresholdArgs;
use crate::exit::Failure;
use crate::serve::{self, ServeOptions};

/// Arguments of `stopline serve-api`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  stopline serve-api --model yolox_nano.onnx
  curl --data-binary @street.jpg -H 'Content-Type: image/jpeg' http://127.0.0.1:8461/v1/detect

There is no log-in, so by default only this machine is answered. Pictures are looked at one after the other; when too many
wait the answer is 503 with Retry-After.")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    thresholds: ThresholdArgs,
    /// Address and port to answer at.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8461")]
    listen: SocketAddr,
    /// Name by which it may be asked, besides addresses and localhost; may be given again.
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,
    /// Most bytes of a picture.
    #[arg(long, value_name = "N", default_value_t = 16 << 20, value_parser = clap::value_parser!(u64).range(1..=1 << 30))]
    max_bytes: u64,
    /// Most pixels of a picture.
    #[arg(long, value_name = "N", default_value_t = 40_000_000, value_parser = clap::value_parser!(u64).range(1..=1 << 27))]
    max_pixels: u64,
    /// Most requests that wait.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(0..=28))]
    max_waiting: u16,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let detector = super::load(&args.model, args.thresholds)?;
    let options = ServeOptions {
        listen: args.listen,
        hosts: args.hosts.clone(),
        most_bytes: args.max_bytes,
        most_pixels: args.max_pixels,
        most_waiting: usize::from(args.max_waiting),
    };
    serve::run(options, detector, Arc::new(SystemClock))
}
