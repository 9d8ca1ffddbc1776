//! `stopline replay`.

mod bar;
mod facts;
mod pace;
mod records;
mod session;
mod sinks;
mod summary;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use stopline_sensors::clock::{Clock, SystemClock};

use super::model_args::ModelArgs;
use super::source::{self, OpenOptions};
use super::span;
use super::thresholds::ThresholdArgs;
use crate::exit::{Exit, Failure, OrExit};
use crate::report::Tally;
use pace::PaceClock;
use session::Session;
use sinks::Sinks;

/// Arguments of `stopline replay`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  stopline replay drive.mp4 --model yolox_nano.onnx --report drive.html
  stopline replay drive.mp4 --model yolox_nano.onnx --records drive.jsonl --video seen.mp4
  stopline replay drive.mp4 --model yolox_nano.onnx --from 1:30 --to 2:00 --every 3

The model is an ONNX file of your own (YOLOX, YOLOv5/v8/v10, NanoDet, SSD, DETR, …); its manifest says how it is fed
and read. `stopline model manifest yolox_nano.onnx` writes a first one.

Frames that cannot be read are skipped, told and counted. Result files appear only when they are whole.")]
pub struct Args {
    /// The recording: MP4, MOV, AVI, Y4M (anything else where ffmpeg is installed), or a folder of pictures.
    #[arg(value_name = "CLIP")]
    clip: String,
    #[command(flatten)]
    model: ModelArgs,
    /// Write a decision record per frame, as JSON lines.
    #[arg(long, value_name = "FILE")]
    records: Option<PathBuf>,
    /// Write the video with boxes, labels and scores: .mp4 (H.264), .avi or .mjpeg.
    #[arg(long, value_name = "FILE")]
    video: Option<PathBuf>,
    /// Write a report to look at in a browser, one HTML file that needs nothing else.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Begin here: 12.5s, 1:30, 1:02:03.
    #[arg(long, value_name = "TIME", value_parser = span::parse)]
    from: Option<Duration>,
    /// End here.
    #[arg(long, value_name = "TIME", value_parser = span::parse)]
    to: Option<Duration>,
    /// Play it this many times.
    #[arg(long = "loop", value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    times: u32,
    /// Keep the recording's own pace instead of going as fast as possible.
    #[arg(long)]
    realtime: bool,
    /// Show the model only every N-th frame.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    every: u32,
    #[command(flatten)]
    thresholds: ThresholdArgs,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    if let (Some(from), Some(to)) = (args.from, args.to)
        && from >= to
    {
        let problem = anyhow::anyhow!("--from {from:?} is not before --to {to:?}");
        return Err(Failure::new(Exit::Usage, problem));
    }
    let detector = super::load(&args.model, args.thresholds)?;
    let clock = Arc::new(PaceClock::new(SystemClock));
    let source =
        source::open_recording_by(&args.clip, &args.open_options(), Arc::clone(&clock) as Arc<dyn Clock>)
            .or_exit(Exit::Input)?;
    let facts = facts::Facts::new(args, source.info(), &detector);
    let sinks = Sinks::create(args, source.info(), &detector)?;
    let bar = bar::Bar::new(source.info(), args);
    let (every, times) = (args.every.into(), args.times);
    let mut session = Session { source, detector, clock, sinks, bar, every, times, tally: Tally::default() };
    // A recording that breaks off is told, after everything that came before is on disk.
    let broken = session.run()?.map_or(Ok(()), Err);
    let Session { detector, clock, sinks, tally, .. } = session;
    if tally.frames.is_empty() {
        broken?;
        let problem =
            anyhow::anyhow!("{}: no frame that could be read, so there is nothing to write", args.clip);
        return Err(Failure::new(Exit::Input, problem));
    }
    let done = sinks.finish(&tally, &facts, detector.manifest(), clock.wall());
    print!("{}", summary::text(&facts.clip, &tally, detector.manifest(), args.outputs()));
    done?;
    broken?;
    summary::verdict(&args.clip, &tally)
}

impl Args {
    fn open_options(&self) -> OpenOptions {
        OpenOptions {
            realtime: self.realtime,
            from: self.from,
            to: self.to,
            looped: self.times > 1,
            ..OpenOptions::default()
        }
    }

    fn outputs(&self) -> impl Iterator<Item = (&'static str, &PathBuf)> {
        let named = [("records", &self.records), ("video", &self.video), ("report", &self.report)];
        named.into_iter().filter_map(|(name, path)| Some((name, path.as_ref()?)))
    }
}
