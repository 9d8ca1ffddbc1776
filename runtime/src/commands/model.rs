//! `stopline model`: look into a model file, write a first manifest for it, or test a bundle.

mod selftest;
mod verdicts;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::exit::{Exit, Failure, OrExit};
use crate::infer::TensorSpec;
use crate::model::{self, ModelInfo};

/// Arguments of `stopline model`.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// Show inputs, outputs, metadata and operators of an ONNX file, and which decoder would read it.
    Inspect(Inspect),
    /// Write a first manifest for an ONNX file: what the file says, the family's usual for the rest, each guess marked.
    Manifest(ManifestArgs),
    /// Test a bundle on this machine: golden vectors, latency, memory.
    Selftest(selftest::Args),
    /// List what this device has found out of bundles.
    Verdicts(verdicts::Verdicts),
    /// Take back what was found of a bundle, so that it is tried again.
    Reopen(verdicts::Reopen),
}

#[derive(clap::Args, Debug)]
struct Inspect {
    /// The ONNX file.
    #[arg(value_name = "ONNX")]
    model: PathBuf,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args, Debug)]
struct ManifestArgs {
    /// The ONNX file.
    #[arg(value_name = "ONNX")]
    model: PathBuf,
    /// Write to this file instead of standard output.
    #[arg(short, long, value_name = "TOML")]
    output: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    match &args.command {
        Command::Inspect(args) => inspect(args),
        Command::Manifest(args) => manifest(args),
        Command::Selftest(args) => selftest::run(args),
        Command::Verdicts(args) => verdicts::verdicts(args),
        Command::Reopen(args) => verdicts::reopen(args),
    }
}

fn read(path: &Path) -> Result<ModelInfo, Failure> {
    let bytes = std::fs::read(path)
        .map_err(|error| anyhow::anyhow!("{}: cannot read: {error}", path.display()))
        .or_exit(Exit::Model)?;
    let mut info = model::read(path, &bytes).or_exit(Exit::Model)?;
    model::work_out_outputs(&mut info, path, &bytes);
    Ok(info)
}

fn inspect(args: &Inspect) -> Result<(), Failure> {
    let info = read(&args.model)?;
    let text = if args.json {
        let mut text = serde_json::to_string_pretty(&json(&args.model, &info)).or_exit(Exit::Internal)?;
        text.push('\n');
        text
    } else {
        table(&args.model, &info)
    };
    std::io::stdout().write_all(text.as_bytes()).or_exit(Exit::Output)
}

fn manifest(args: &ManifestArgs) -> Result<(), Failure> {
    let info = read(&args.model)?;
    let draft = model::draft(&info).or_exit(Exit::Model)?;
    let text = draft.to_toml(&info).or_exit(Exit::Internal)?;
    // What is written must be what this program reads.
    stopline_depot::manifest::Manifest::from_toml(&text).or_exit(Exit::Internal)?;
    match &args.output {
        None => std::io::stdout().write_all(text.as_bytes()).or_exit(Exit::Output),
        Some(path) => std::fs::write(path, text)
            .map_err(|error| anyhow::anyhow!("{}: cannot write: {error}", path.display()))
            .or_exit(Exit::Output),
    }
}

fn json(path: &Path, info: &ModelInfo) -> serde_json::Value {
    let tensors = |specs: &[TensorSpec]| -> Vec<serde_json::Value> {
        let one = |spec: &TensorSpec| serde_json::json!({ "name": spec.name, "type": spec.element.to_string(), "shape": spec.shape });
        specs.iter().map(one).collect()
    };
    let guess = match model::draft(info) {
        Ok(draft) => {
            serde_json::json!({ "decoder": draft.manifest.decoder, "labels": draft.manifest.labels.len() })
        }
        Err(error) => serde_json::json!({ "problem": error.to_string() }),
    };
    serde_json::json!({
        "model": path,
        "bytes": info.bytes,
        "ir_version": info.ir_version,
        "opsets": info.opsets.iter().map(|(domain, version)| serde_json::json!({ "domain": domain, "version": version })).collect::<Vec<_>>(),
        "producer": info.producer,
        "parameters": info.parameters,
        "external_weights": info.external,
        "inputs": tensors(&info.inputs),
        "outputs": tensors(&info.outputs),
        "metadata": info.metadata,
        "operators": info.operators,
        "guess": guess,
    })
}

fn table(path: &Path, info: &ModelInfo) -> String {
    let mut text = String::new();
    let mut row = |key: &str, value: String| {
        // Metadata is foreign text: one line, and not the whole of a long one.
        let value: String = value.chars().map(|c| if c.is_control() { ' ' } else { c }).take(400).collect();
        let _ = writeln!(text, "{key:<12} {value}");
    };
    row("file", format!("{} ({} bytes)", path.display(), info.bytes));
    let opsets = info.opsets.iter().map(|(domain, version)| {
        let domain = if domain.is_empty() { "ai.onnx" } else { domain };
        format!("{domain} {version}")
    });
    row("operators of", opsets.collect::<Vec<_>>().join(", "));
    row("written by", info.producer.clone());
    row("parameters", info.parameters.to_string());
    for file in &info.external {
        row("weights in", file.clone());
    }
    for (what, specs) in [("input", &info.inputs), ("output", &info.outputs)] {
        for spec in specs {
            row(what, format!("{} {spec}", spec.name));
        }
    }
    for (key, value) in &info.metadata {
        row("metadata", format!("{key} = {value}"));
    }
    let mut operators: Vec<_> = info.operators.iter().collect();
    operators.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), *name));
    row(
        "operators",
        operators.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", "),
    );
    match model::draft(info) {
        Ok(draft) => row(
            "decoder",
            format!("{:?}, {} labels (guessed)", draft.manifest.decoder, draft.manifest.labels.len()),
        ),
        Err(error) => row("decoder", error.to_string()),
    }
    text
}
