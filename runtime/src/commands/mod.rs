//! The command line: one file per command, each with its arguments and a `run`.

mod acknowledge;
mod arm;
mod bench;
mod bookmark;
mod calibrate;
mod check;
mod config;
#[cfg(feature = "demo")]
mod demo;
mod detect;
mod doctor;
mod eval;
mod model;
mod model_args;
mod replay;
mod run;
#[cfg(feature = "view")]
mod serve_api;
mod shadow;
mod source;
mod span;
mod thresholds;
#[cfg(feature = "view")]
mod view;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Parser, Subcommand};

use crate::detector::Detector;
use crate::exit::{Exit, Failure, OrExit};
use model_args::ModelArgs;
use thresholds::ThresholdArgs;

/// Sees stop signs, pedestrians and falls on a car or camera board. Not a certified safety system.
#[derive(Parser, Debug)]
#[command(name = "stopline", version, propagate_version = true, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 done, 1 internal fault, 2 wrong command line, 3 unreadable picture, recording or \
                        dataset, 4 unusable model or manifest, 5 camera or stream lost, 6 result not written, \
                        7 unusable configuration, 8 actuator or vehicle bus not to be had, 9 ended at once by a \
                        second signal, 10 refused by the running daemon, 11 records differ from their reference, \
                        12 `doctor` or `check` found what does not work, 13 a model did not pass its self-test, 14 the demo did \
                        not find an event."
)]
pub struct Cli {
    /// Say more (-v) or everything (-vv) on stderr; STOPLINE_LOG overrides.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Run the daemon: cameras, models, decisions, actuators, by a configuration file.
    Run(run::Args),
    /// See it work: recorded clips through the daemon, nothing armed.
    #[cfg(feature = "demo")]
    Demo(demo::Args),
    /// Arm the running daemon at standstill, or disarm it.
    Arm(arm::Args),
    /// Answer the open fall alerts of the running daemon.
    Acknowledge(acknowledge::Args),
    /// Keep the picture of this moment, made unrecognisable and encrypted, for learning.
    Bookmark(bookmark::Args),
    /// Find objects in pictures.
    Detect(detect::Args),
    /// Run a recording through the model: decision records, annotated video, HTML report.
    Replay(replay::Args),
    /// Measure each stage on this machine.
    Bench(bench::Args),
    /// Measure a model against a labelled dataset (COCO).
    Eval(eval::Args),
    /// Prove from the numbers that a configuration can do what is asked of it.
    Check(check::Args),
    /// Bring a configuration of an older schema to the newest.
    Config(config::Args),
    /// Find a camera's lens and its place on the vehicle.
    Calibrate(calibrate::Args),
    /// Look into a model file, write a first manifest for it, or test a bundle.
    Model(model::Args),
    /// Look at cameras, models, buses, lines and the machine, and say what does not work.
    Doctor(doctor::Args),
    /// Show what the daemon does: live page and Prometheus metrics on a local address.
    #[cfg(feature = "view")]
    View(view::Args),
    /// Answer pictures with detections over HTTP, on a local address.
    #[cfg(feature = "view")]
    ServeApi(serve_api::Args),
    /// The child in which a new model sees what the active one sees. The daemon starts it.
    #[command(hide = true)]
    Shadow(shadow::Args),
}

impl Cli {
    /// Reads the command line; `--help`, `--version` and a wrong command line end the process here.
    pub fn read() -> Self {
        Self::try_parse().unwrap_or_else(|error| with_model_tip(error).exit())
    }

    /// Log level asked for by `-v`.
    pub fn log_level(&self) -> &'static str {
        match self.verbose {
            // The daemon's configuration says more, once it has been read.
            0 if matches!(self.command, Command::Run(_)) => "info",
            0 => "warn",
            1 => "info",
            _ => "debug",
        }
    }

    /// Whether `-v` was given: then a configuration file does not change how much the log holds.
    pub fn log_level_given(&self) -> bool {
        self.verbose > 0
    }

    /// Runs the command.
    ///
    /// # Errors
    /// The [`Failure`] with the exit code to end with.
    pub fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::Run(args) => run::run(&args),
            #[cfg(feature = "demo")]
            Command::Demo(args) => demo::run(&args),
            Command::Arm(args) => arm::run(&args),
            Command::Acknowledge(args) => acknowledge::run(&args),
            Command::Bookmark(args) => bookmark::run(&args),
            Command::Detect(args) => detect::run(&args),
            Command::Replay(args) => replay::run(&args),
            Command::Bench(args) => bench::run(&args),
            Command::Eval(args) => eval::run(&args),
            Command::Check(args) => check::run(&args),
            Command::Config(args) => config::run(&args),
            Command::Calibrate(args) => calibrate::run(&args),
            Command::Model(args) => model::run(&args),
            Command::Doctor(args) => doctor::run(&args),
            #[cfg(feature = "view")]
            Command::View(args) => view::run(&args),
            #[cfg(feature = "view")]
            Command::ServeApi(args) => serve_api::run(&args),
            Command::Shadow(args) => shadow::run(&args),
        }
    }
}

/// There is no model built in yet; a command line without one says what to give.
fn with_model_tip(mut error: clap::Error) -> clap::Error {
    let missing = error.kind() == ErrorKind::MissingRequiredArgument
        && matches!(error.get(ContextKind::InvalidArg), Some(ContextValue::Strings(names))
            if names.iter().any(|name| name.starts_with("--model")));
    if missing {
        let tip = "give an ONNX file of your own; `stopline model manifest FILE.onnx` writes the manifest that goes with it";
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.to_owned().into()]));
    }
    error
}

/// The model of the command line, ready to see; what had to be done to make it run is logged.
fn load(model: &ModelArgs, thresholds: ThresholdArgs) -> Result<Detector, Failure> {
    let detector = Detector::load_with(&model.options(), |manifest| thresholds.overrides().apply(manifest))
        .or_exit(Exit::Model)?;
    for warning in detector.warnings() {
        tracing::warn!("{}: {warning}", model.model.display());
    }
    Ok(detector)
}
