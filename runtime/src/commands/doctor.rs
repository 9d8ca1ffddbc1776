//! `stopline doctor`.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use serde_json::json;
use stopline_sensors::clock::SystemClock;

use super::span;
use crate::config::Config;
use crate::doctor::{self, Findings, Level};
use crate::exit::{Exit, Failure, OrExit};

/// Arguments of `stopline doctor`.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Looks at cameras, models, buses, lines, folders and the machine as the configuration names them, and changes
nothing. Run it as the daemon's user, with the daemon stopped: a camera or a line has one user at a time.

Exit code 12 when something does not work; warnings do not change it."
)]
pub struct Args {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// How long each camera is watched, and each model measured.
    #[arg(long, value_name = "TIME", value_parser = span::parse, default_value = "2s")]
    watch: Duration,
    /// Print JSON: {"schema": 1, "worst": …, "findings": [{"about", "level", "found", "advice"}]}.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let config = Config::load(&args.config).or_exit(Exit::Config)?;
    let findings = doctor::look(&config, args.watch, &(Arc::new(SystemClock) as _));
    let text = if args.json { as_json(&findings) } else { as_text(&findings) };
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).or_exit(Exit::Output)?;
    let faults = findings.all().iter().filter(|finding| finding.level == Level::Fault).count();
    if faults > 0 {
        return Err(Failure::new(
            Exit::Unfit,
            anyhow!("{faults} of the things looked at do not work, told above"),
        ));
    }
    Ok(())
}

fn as_json(findings: &Findings) -> String {
    format!("{:#}\n", json!({"schema": 1, "worst": findings.worst(), "findings": findings.all()}))
}

fn as_text(findings: &Findings) -> String {
    let wide = findings.all().iter().map(|finding| finding.about.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for finding in findings.all() {
        let word = match finding.level {
            Level::Ok => "OK     ",
            Level::Warning => "warning",
            Level::Fault => "FAULT  ",
        };
        text += &format!("{word}  {:wide$}  {}\n", finding.about, finding.found);
        if let Some(advice) = &finding.advice {
            text += &format!("{:9}{:wide$}  → {advice}\n", "", "");
        }
    }
    text
}
