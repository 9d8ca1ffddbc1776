//! The command line: one file per command, each with its arguments and a `run`.

mod bench;
mod detect;
mod eval;
mod model;
mod model_args;
mod replay;

use clap::{Parser, Subcommand};

use crate::exit::Failure;

/// Sees stop signs, pedestrians and falls on a car or camera board. Not a certified safety system.
#[derive(Parser, Debug)]
#[command(name = "stopline", version, propagate_version = true, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 done, 1 internal fault, 2 wrong command line, 3 unreadable picture, recording or \
                        dataset, 4 unusable model or manifest, 5 camera or stream lost, 6 result not written."
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
    /// Find objects in pictures.
    Detect(detect::Args),
    /// Run a recording through the model: decision records, annotated video, HTML report.
    Replay(replay::Args),
    /// Measure each stage on this machine.
    Bench(bench::Args),
    /// Measure a model against a labelled dataset (COCO).
    Eval(eval::Args),
    /// Look into a model file, or write a first manifest for it.
    Model(model::Args),
}

impl Cli {
    /// Log level asked for by `-v`.
    pub fn log_level(&self) -> &'static str {
        match self.verbose {
            0 => "warn",
            1 => "info",
            _ => "debug",
        }
    }

    /// Runs the command.
    ///
    /// # Errors
    /// The [`Failure`] with the exit code to end with.
    pub fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::Detect(args) => detect::run(&args),
            Command::Replay(args) => replay::run(&args),
            Command::Bench(args) => bench::run(&args),
            Command::Eval(args) => eval::run(&args),
            Command::Model(args) => model::run(&args),
        }
    }
}
