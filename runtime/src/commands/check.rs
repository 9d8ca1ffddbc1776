//! `stopline check`.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::anyhow;

use crate::check::report::{Finding, Report, Verdict};
use crate::check::{self, text};
use crate::config::Config;
use crate::exit::{Exit, Failure, OrExit};

/// Arguments of `stopline check`.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Holds a configuration against its own numbers, and shows the arithmetic: from which distance lens, model input and the
model's measured recall let an object be recognised; how long latency, confirmation and the brake's lag take; and so up
to which speed each function can stop. What is not measured is not proven, and refused.

[check] of the configuration says what is asked for and where the measurements lie:
  [check]
  stop_sign_kmh = 30
  pedestrian_kmh = 30
  [check.recall]
  nano = \"nano.eval.json\"    # stopline eval LABELS.json --model nano.onnx --at 0.40 --json nano.eval.json
  [check.bench]
  nano = \"nano.bench.json\"   # stopline bench --model nano.onnx pattern:1280x720,nv12 --json > nano.bench.json

Exit codes: 0 passed, also with warnings; 7 refused, or the configuration cannot be read."
)]
pub struct Args {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Load every model too, and run it once.
    #[arg(long)]
    deep: bool,
    /// Print JSON with every number of the arithmetic.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let config = Config::load(&args.config).or_exit(Exit::Config)?;
    let mut report = check::check(&config, &args.config.display().to_string());
    if args.deep {
        deep(&config, &mut report);
    }
    let told = if args.json {
        serde_json::to_string_pretty(&report).or_exit(Exit::Internal)? + "\n"
    } else {
        text::text(&report)
    };
    let mut out = std::io::stdout().lock();
    out.write_all(told.as_bytes()).and_then(|()| out.flush()).or_exit(Exit::Output)?;
    if report.verdict == Verdict::Refused {
        let problem = anyhow!("{}: refused; each NO above says what to change", args.config.display());
        return Err(Failure::new(Exit::Unfit, problem));
    }
    Ok(())
}

/// Loads the models as the daemon would.
fn deep(config: &Config, report: &mut Report) {
    for model in &config.models {
        let about = format!("model {}", model.name);
        let finding = match crate::detector::Detector::load(&model.options()) {
            Ok(detector) => {
                let warnings = detector.warnings();
                match warnings.first() {
                    Some(first) => Finding::warning(
                        about,
                        format!("loads, with {} warnings: {first}", warnings.len()),
                        "",
                    ),
                    None => Finding::passed(about, "loads"),
                }
            }
            Err(error) => {
                Finding::refused(about, format!("{:#}", anyhow!(error)), "put its file or manifest right")
            }
        };
        report.findings.push(finding);
    }
    report.judge();
}
