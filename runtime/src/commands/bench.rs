//! `stopline bench`: what each stage costs on this machine, with this model and these frames.

mod machine;
mod operators;
mod table;

use std::sync::Arc;

use anyhow::anyhow;
use stopline_sensors::clock::{Clock, SystemClock};
use stopline_sensors::frame::Frame;
use stopline_sensors::open::{OpenOptions, open};
use stopline_sensors::source::{Event, FrameSource};

use super::model_args::ModelArgs;
use crate::detector::Detector;
use crate::exit::{Exit, Failure, OrExit};
use crate::percentiles::{Samples, micros};
use table::Table;

/// Arguments of `stopline bench`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  stopline bench --model yolox_nano.onnx drive.mp4 --core 1
  stopline bench --model yolox_nano.onnx pattern:1280x720,nv12 --frames 500 --json > bench.json
  stopline bench --model yolox_nano.onnx drive.mp4 --operators --backend tract

capture is the time from asking for a frame to having it: decoding for a recording, waiting for a camera. total is
prepare + infer + decode. Frames that give no numbers are counted and not timed.

--operators runs the model on one frame again and again after that, and tells of each operator its median time, its share of
them all, and its arithmetic (two operations for each multiplication) where that is a measure of it. Reading the clock takes
time too: all operators together take somewhat longer than infer. ONNX Runtime tells no such times here; its own profile is a
file (ONNX Runtime's documentation, Profiling).")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Recording, picture, folder, camera, rtsp://…, or pattern:[WxH][@FPS][,FORMAT]; begins again at its end.
    #[arg(value_name = "SOURCE")]
    source: String,
    /// Frames to measure.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    frames: u32,
    /// Frames to run before measuring: caches fill, memory is fetched, the clock rises.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    warm_up: u32,
    /// Run on this processor core only, counted from 0.
    #[arg(long, value_name = "N")]
    core: Option<usize>,
    /// Tell the time of each operator too; `--backend kernels` and `tract` only.
    #[arg(long)]
    operators: bool,
    /// Print JSON: times in microseconds, of operators in nanoseconds, memory in bytes.
    #[arg(long)]
    json: bool,
}

/// What was measured.
#[derive(Default)]
struct Measured {
    capture: Samples,
    prepare: Samples,
    infer: Samples,
    decode: Samples,
    total: Samples,
    detections: usize,
    invalid: u64,
    skipped: u64,
    size: (u32, u32),
    format: String,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    // Before the model is loaded, so that the engine's own threads stay on the core too.
    args.core.map(machine::pin).transpose().or_exit(Exit::Usage)?;
    let clock = Arc::new(SystemClock);
    let begun = clock.monotonic();
    let mut detector = Detector::load(&args.model.options()).or_exit(Exit::Model)?;
    let load = clock.monotonic().since(begun);
    for warning in detector.warnings() {
        tracing::warn!("{warning}");
    }
    let mut frames = Frames::open(&args.source, clock)?;
    let mut measured = Measured::default();
    let mut found = Vec::new();
    let whole = u64::from(args.warm_up) + u64::from(args.frames);
    for number in 0..whole {
        let (frame, waited) = frames.next(&mut measured.skipped)?;
        found.clear();
        let times = match detector.detect(&frame, &mut found) {
            Ok(times) => times,
            Err(error) if error.invalid_frame() => {
                measured.invalid += 1;
                continue;
            }
            Err(error) => return Err(Failure::new(Exit::Model, error)),
        };
        if number < u64::from(args.warm_up) {
            continue;
        }
        measured.capture.add(waited);
        measured.prepare.add(micros(times.prepare));
        measured.infer.add(micros(times.infer));
        measured.decode.add(micros(times.decode));
        measured.total.add(micros(times.total()));
        measured.detections += found.len();
        (measured.size, measured.format) = ((frame.width(), frame.height()), format!("{:?}", frame.format()));
    }
    if measured.total.is_empty() {
        let problem = anyhow!("{}: the model gave no numbers for any of {whole} frames", args.source);
        return Err(Failure::new(Exit::Model, problem));
    }
    let operators = args.operators.then(|| operators::measure(&mut detector, &mut frames, args.frames));
    let operators = operators.transpose()?;
    let table = Table {
        args,
        detector: &detector,
        measured: &measured,
        load,
        peak: machine::peak_memory(),
        operators,
    };
    print!("{}", if args.json { table.json() } else { table.text() });
    Ok(())
}

/// Frames without end: a recording begins again.
struct Frames<'a> {
    spec: &'a str,
    source: Box<dyn FrameSource>,
    clock: Arc<SystemClock>,
}

/// Calls for a frame that may come back without one before the source counts as silent: a camera that is being plugged
/// in again takes some seconds.
const PATIENCE: u32 = 30;

impl<'a> Frames<'a> {
    fn open(spec: &'a str, clock: Arc<SystemClock>) -> Result<Self, Failure> {
        let source = open_source(spec, &clock)?;
        Ok(Self { spec, source, clock })
    }

    /// The next frame, and how long it took in microseconds. Frames that could not be read are added to `skipped`.
    fn next(&mut self, skipped: &mut u64) -> Result<(Frame, u64), Failure> {
        for _ in 0..PATIENCE {
            let exit = if self.source.info().live { Exit::Device } else { Exit::Input };
            let asked = self.clock.monotonic();
            match self.source.next(super::source::WAIT).or_exit(exit)? {
                Event::Frame(frame) => return Ok((frame, micros(self.clock.monotonic().since(asked)))),
                Event::Skipped(why) => {
                    tracing::warn!("skipped: {why}");
                    *skipped += 1;
                }
                Event::Lost(why) => tracing::warn!("lost: {why}"),
                Event::End => self.source = open_source(self.spec, &self.clock)?,
                Event::Nothing | Event::Restored => {}
            }
        }
        let problem = anyhow!(
            "{}: no frame after asking {PATIENCE} times; look at it with `stopline replay`",
            self.spec
        );
        Err(Failure::new(Exit::Input, problem))
    }
}

fn open_source(spec: &str, clock: &Arc<SystemClock>) -> Result<Box<dyn FrameSource>, Failure> {
    let exit = if spec.starts_with("/dev/") || spec.contains("://") { Exit::Device } else { Exit::Input };
    open(spec, &OpenOptions::default(), Arc::clone(clock) as Arc<dyn Clock>).or_exit(exit)
}
