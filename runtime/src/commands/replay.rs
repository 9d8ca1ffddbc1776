//! `stopline replay`.

mod bar;
mod diff;
mod eyes;
mod facts;
mod judge;
mod pace;
mod plan;
mod records;
mod redecide;
mod session;
mod sinks;
mod summary;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use stopline_decide::time::Nanos;
use stopline_depot::manifest::Manifest;
use stopline_sensors::clock::{Clock, HeldClock, SystemClock};
use stopline_sensors::source::FrameSource;

use super::model_args::EngineArgs;
use super::source::{self, OpenOptions};
use super::span;
use super::thresholds::ThresholdArgs;
use crate::config::{Config, Run, When};
use crate::daemon::light::LightMeter;
use crate::detector::Detector;
use crate::exit::{Exit, Failure, OrExit};
use crate::model;
use crate::observe::Roles;
use diff::DiffArgs;
use eyes::{Eyes, Looker};
use judge::Judge;
use pace::PaceClock;
use plan::Plan;
use session::Session;
use sinks::Sinks;

/// Arguments of `stopline replay`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  stopline replay drive.mp4 --model yolox_nano.onnx --report drive.html
  stopline replay drive.mp4 --model yolox_nano.onnx --records drive.jsonl --video seen.mp4
  stopline replay drive.mp4 --model yolox_nano.onnx --from 1:30 --to 2:00 --every 3
  stopline replay drive.mp4 --config stopline.toml --signals drive.csv --records drive.jsonl
  stopline replay drive.mp4 --config stopline.toml --signals drive.csv --diff last-week.jsonl
  stopline replay --detections drive.jsonl --config stopline.toml --records again.jsonl

The model is an ONNX file of your own (YOLOX, YOLOv5/v8/v10, NanoDet, SSD, DETR, …); its manifest says how it is fed
and read. `stopline model manifest yolox_nano.onnx` writes a first one.

With --config, --signals, --calibration or --functions the replay decides: the daemon's own pipeline runs on virtual
time, so that the records are the same bytes on every run (but for --realtime). Nothing is ever actuated.

Frames that cannot be read are skipped, told and counted. Result files appear only when they are whole. Exit code 11: the
records differ from those of --diff.")]
pub struct Args {
    /// The recording: MP4, MOV, AVI, Y4M (anything else where ffmpeg is installed), or a folder of pictures.
    #[arg(value_name = "CLIP", required_unless_present = "detections")]
    clip: Option<String>,
    /// The ONNX file.
    #[arg(long, value_name = "ONNX", required_unless_present_any = ["config", "detections"])]
    model: Option<PathBuf>,
    #[command(flatten)]
    engine: EngineArgs,
    /// Decide by this configuration: its models, functions, limits. The clip takes the place of its camera.
    #[arg(long, value_name = "TOML")]
    config: Option<PathBuf>,
    /// Which of the configuration's cameras the clip is; default: the only one.
    #[arg(long, value_name = "NAME", requires = "config")]
    camera: Option<String>,
    /// The vehicle's recorded signals, on the clip's own timeline.
    #[arg(long, value_name = "TRACK")]
    signals: Option<PathBuf>,
    /// How the camera sees and where it sits (`stopline calibrate`), in place of the configuration's.
    #[arg(long, value_name = "TOML")]
    calibration: Option<PathBuf>,
    /// What to decide, without a configuration: stop_sign, pedestrian, fall; default: what the model's roles allow.
    #[arg(long, value_name = "NAME", value_delimiter = ',', conflicts_with = "config")]
    functions: Vec<String>,
    /// Decide on the detections of these records and look at no picture. `--manifest` says what their labels count for.
    #[arg(long, value_name = "JSONL", conflicts_with_all = ["clip", "model", "video", "report", "reference", "realtime"])]
    detections: Option<PathBuf>,
    /// Milliseconds from taking a picture to its decision, on virtual time.
    #[arg(long, value_name = "MS", default_value_t = 50, value_parser = clap::value_parser!(u16).range(0..=10_000))]
    latency: u16,
    #[command(flatten)]
    diff: DiffArgs,
    /// Write a decision record per frame, as JSON lines.
    #[arg(long, value_name = "FILE")]
    records: Option<PathBuf>,
    /// Write the video with boxes, labels and scores: .mp4 (H.264), .avi or .mjpeg.
    #[arg(long, value_name = "FILE")]
    video: Option<PathBuf>,
    /// Write a report to look at in a browser, one HTML file that needs nothing else.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Write what the camera sees on average, for the guard to notice when it is moved (`guard.references`).
    #[arg(long, value_name = "FILE")]
    reference: Option<PathBuf>,
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
    if args.detections.is_some() {
        return redecide::run(args);
    }
    let decides = plan::decides(args);
    let (eyes, config) = models(args, decides)?;
    let clock = Arc::new(PaceClock::new(SystemClock));
    let source = open(args, decides, &clock)?;
    let plan = config.map(|config| Plan::new(args, config, Some(source.info()))).transpose()?;
    let judge = plan.as_ref().map(|plan| Judge::new(plan, Nanos::default())).transpose()?;
    let facts = facts::Facts::new(args, source.info(), &eyes);
    let sinks = Sinks::create(args, source.info(), &eyes, decides)?;
    let bar = bar::Bar::new(source.info(), args);
    let light = LightMeter::new(&plan.as_ref().map_or_else(Run::default, |plan| plan.config.run.clone()));
    let mut session = Session::new(source, eyes, judge, clock, sinks, bar, light);
    (session.every, session.times) = (args.every.into(), args.times);
    // A recording that breaks off is told, after everything that came before is on disk.
    let broken = session.run()?.map_or(Ok(()), Err);
    let Session { eyes, clock, sinks, tally, .. } = session;
    if tally.frames.is_empty() {
        broken?;
        let problem =
            anyhow::anyhow!("{}: no frame that could be read, so there is nothing to write", args.clip());
        return Err(Failure::new(Exit::Input, problem));
    }
    let done = sinks.finish(&tally, &facts, eyes.shown(), clock.wall());
    print!("{}", summary::text(&facts.clip, &tally, eyes.shown(), args.outputs()));
    let differences = done?;
    broken?;
    summary::verdict(args.clip(), &tally)?;
    diff::verdict(differences)
}

/// The recording. A replay that decides lives on a clock that stands still, so that its times are the same on every run.
fn open(
    args: &Args,
    decides: bool,
    clock: &Arc<PaceClock<SystemClock>>,
) -> Result<Box<dyn FrameSource>, Failure> {
    let clock: Arc<dyn Clock> =
        if decides && !args.realtime { Arc::new(HeldClock::default()) } else { Arc::clone(clock) as _ };
    source::open_recording_by(args.clip(), &args.open_options(), clock).or_exit(Exit::Input)
}

/// The models of the command line or of the configuration, and what is decided by.
fn models(args: &Args, decides: bool) -> Result<(Eyes, Option<Config>), Failure> {
    let none = || {
        Failure::new(Exit::Usage, anyhow::anyhow!("no [[model]] serves this camera; give one with --model"))
    };
    if let Some(model) = args.engine.of(args.model.as_ref()) {
        let detector = super::load(&model, args.thresholds)?;
        let roles = roles(detector.manifest(), &[]);
        let config = decides.then(|| plan::config(args, roles.all())).transpose()?;
        let watched = config.as_ref().map(Plan::watched).unwrap_or_default();
        let roles = self::roles(detector.manifest(), &watched);
        let looker = Looker { detector, roles, when: When::default() };
        return Ok((Eyes::new(vec![looker]).ok_or_else(none)?, config));
    }
    let config = plan::config(args, std::iter::empty())?;
    let watched = Plan::watched(&config);
    let load = |model: &crate::config::Model| {
        let overrides = args.thresholds.overrides();
        let detector = Detector::load_with(&model.options(), |manifest| overrides.apply(manifest))
            .or_exit(Exit::Model)?;
        let roles = roles(detector.manifest(), &watched);
        Ok(Looker { detector, roles, when: model.when })
    };
    let lookers = config.models.iter().map(load).collect::<Result<Vec<_>, Failure>>()?;
    Ok((Eyes::new(lookers).ok_or_else(none)?, Some(config)))
}

/// The parts that a model's classes play; guessed from the labels where the manifest has none.
fn roles(manifest: &Manifest, watched: &[&str]) -> Roles {
    if !manifest.roles.is_empty() {
        return Roles::of(manifest, watched);
    }
    Roles::of(&Manifest { roles: model::usual_roles(&manifest.labels), ..manifest.clone() }, watched)
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

    /// Empty with `--detections` only, which takes none.
    fn clip(&self) -> &str {
        self.clip.as_deref().unwrap_or_default()
    }

    fn outputs(&self) -> impl Iterator<Item = (&'static str, &PathBuf)> {
        let named = [
            ("records", &self.records),
            ("video", &self.video),
            ("report", &self.report),
            ("reference", &self.reference),
        ];
        named.into_iter().filter_map(|(name, path)| Some((name, path.as_ref()?)))
    }
}
