//! `stopline model selftest`: whether a bundle does on this machine what it did in the lab.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use stopline_depot::bundle::MAX_UNPACKED;
use stopline_depot::deployment::DeployCause;

use crate::commands::model_args::BackendArgs;
use crate::exit::{Exit, Failure, OrExit};
use crate::models::limits::Limits;
use crate::models::selftest::{Report, SelfTest, selftest};

/// Arguments of `stopline model selftest`.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Exit codes: 0 it passed; 4 the bundle cannot be read, or its model not loaded; 13 golden vectors, \
latency or memory are not as they should be. With --json the report is printed in each of these cases.

Examples:
  stopline model selftest bundle.tar
  stopline model selftest bundle.tar --json --limit-memory 512 --limit-cpu 60 --nice 10

The report's `golden` holds what was found and the digest of what the model was fed: what a manifest's [[golden]] needs."
)]
pub struct Args {
    /// The bundle, unpacked (`bundle.tar`); `-`: standard input.
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
    /// Milliseconds that the median may take, in place of the manifest's budget.
    #[arg(long, value_name = "MS")]
    latency_budget: Option<f64>,
    /// Runs to measure.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    runs: u32,
    #[command(flatten)]
    engine: BackendArgs,
    #[command(flatten)]
    limits: Limits,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    args.limits.apply().or_exit(Exit::Internal)?;
    let bytes = read(&args.bundle)
        .map_err(|error| anyhow!("{}: cannot read: {error}", args.bundle.display()))
        .or_exit(Exit::Model)?;
    let test = SelfTest { runs: args.runs, latency_budget_ms: args.latency_budget };
    let report = selftest(&bytes, &args.engine.options(&args.bundle.display().to_string()), &test);
    let mut text = if args.json {
        serde_json::to_string_pretty(&report).or_exit(Exit::Internal)?
    } else {
        told(&report)
    };
    text.push('\n');
    std::io::stdout().write_all(text.as_bytes()).or_exit(Exit::Output)?;
    let exit = match report.cause {
        None => return Ok(()),
        Some(DeployCause::Golden | DeployCause::Latency | DeployCause::Memory | DeployCause::Outputs) => {
            Exit::SelfTest
        }
        Some(_) => Exit::Model,
    };
    Err(Failure::new(exit, anyhow!("self-test not passed: {}", report.problem)))
}

/// The whole bundle, bounded, from one opening.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let most = MAX_UNPACKED + 1;
    if path == Path::new("-") {
        std::io::stdin().lock().take(most).read_to_end(&mut bytes)?;
    } else {
        std::fs::File::open(path)?.take(most).read_to_end(&mut bytes)?;
    }
    if bytes.len() as u64 >= most {
        return Err(std::io::Error::other(format!("longer than the {MAX_UNPACKED} bytes allowed")));
    }
    Ok(bytes)
}

fn told(report: &Report) -> String {
    let mut lines = vec![format!("model     {} {}", report.model, report.version)];
    for golden in &report.golden {
        let said = if golden.problem.is_empty() { "as expected" } else { &golden.problem };
        lines.push(format!("golden    {}: {said}", golden.image));
    }
    if report.golden.is_empty() {
        lines.push("golden    none in the manifest".to_owned());
    }
    #[allow(clippy::cast_precision_loss, reason = "milliseconds and mebibytes for people")]
    if let Some(latency) = report.latency {
        let (p50, p99) = (latency.p50_us as f64 / 1e3, latency.p99_us as f64 / 1e3);
        let budget = latency.budget_ms.map_or(String::new(), |budget| format!(", budget {budget} ms"));
        lines.push(format!("latency   {p50:.1} ms (p99 {p99:.1} ms) over {} runs{budget}", latency.runs));
    }
    #[allow(clippy::cast_precision_loss, reason = "mebibytes for people")]
    if let Some(memory) = report.memory {
        let budget = memory.budget_mib.map_or(String::new(), |budget| format!(", budget {budget} MiB"));
        lines.push(format!("memory    {:.1} MiB at most{budget}", memory.peak_kib as f64 / 1024.0));
    }
    lines.push(if report.passed { "passed" } else { "not passed" }.to_owned());
    lines.join("\n")
}
