//! `stopline-agent diagnose`: one JSON file for whoever helps from afar: versions, status, configuration, doctor, logs. It holds
//! no key, no password and no position ([`scrub`]), and is at most [`LARGEST`] bytes; what did not fit is said in it.
//!
//! What a log says in free words is scrubbed by form, not by meaning: read it before it is given away.

pub mod scrub;

use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::asked;
use crate::clock::{self, Clock};
use crate::config::Config;
use crate::telemetry::machine;

/// Bytes of the file, at most.
pub const LARGEST: usize = 1 << 20;
/// Bytes read of a log, from its end.
const LOG_BYTES: usize = 384 << 10;
/// Bytes read of a configuration, a health file, a doctor's findings.
const PART_BYTES: usize = 128 << 10;
/// Bytes taken of what a program prints.
const MOST: u64 = 384 << 10;
/// Lines asked of the journal.
const JOURNAL_LINES: &str = "3000";
/// How long a program may take that is asked.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is to be gathered.
#[derive(Debug, Clone, Default)]
pub struct Ask {
    /// The agent's configuration file.
    pub config: PathBuf,
    /// The runtime's.
    pub runtime_config: Option<PathBuf>,
    /// Log files; none: the journal of both services.
    pub logs: Vec<PathBuf>,
    /// The program `stopline`, which looks at cameras, buses and lines for some seconds; its daemon must be stopped for that.
    pub doctor: Option<PathBuf>,
}

/// Gathers it.
pub fn gather(ask: &Ask, config: &Config, status: &Value, clock: &dyn Clock) -> Value {
    let health = config.device.health_file.as_deref();
    let health = health.map(|path| text_of(path, PART_BYTES)).map(|text| document(&text));
    let mut bundle = json!({
        "schema": 1,
        "made": clock::wall_s(clock),
        "versions": {
            "agent": env!("CARGO_PKG_VERSION"),
            "runtime": health.as_ref().map(|health| health["version"].clone()),
            "system": machine::system(),
            "kernel": machine::kernel(),
        },
        "status": scrub::value(status.clone()),
        "configuration": configuration(&ask.config),
        "runtime_configuration": ask.runtime_config.as_deref().map(configuration),
        "health": health,
        "doctor": ask.doctor.as_deref().map(|program| doctor(program, ask.runtime_config.as_deref())),
        "logs": {},
    });
    let room = LARGEST.saturating_sub(bundle.to_string().len()).saturating_sub(4 << 10);
    let logs = logs(ask);
    // As JSON a line break has two bytes and a control character six; most text has few of either.
    let each = room / logs.len().max(1);
    for (name, text) in logs {
        bundle["logs"][name] = Value::String(fitting(&text, each));
    }
    bundle
}

/// Writes it, for its owner alone; it must not be there yet.
///
/// # Errors
/// The system's, or that it is longer than [`LARGEST`].
pub fn write(to: &Path, bundle: &Value) -> std::io::Result<()> {
    let text = bundle.to_string();
    if text.len() > LARGEST {
        return Err(std::io::Error::other(format!("{} bytes; at most {LARGEST} are expected", text.len())));
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// The end of a text that has at most so many bytes as JSON, from a line's begin on.
fn fitting(text: &str, bytes: usize) -> String {
    let mut lines: Vec<&str> = Vec::new();
    let mut used = 2;
    for line in text.lines().rev() {
        used += Value::from(line).to_string().len() + 2;
        if used > bytes {
            break;
        }
        lines.push(line);
    }
    lines.reverse();
    lines.join("\n")
}

/// A TOML file without its secrets; one that is none is not shown at all.
fn configuration(path: &Path) -> Value {
    let text = text_of(path, PART_BYTES);
    match text.parse::<toml::Table>() {
        Ok(table) => scrub::value(serde_json::to_value(table).unwrap_or_default()),
        Err(error) => json!({"path": path, "problem": error.message()}),
    }
}

fn doctor(program: &Path, config: Option<&Path>) -> Value {
    let Some(config) = config else {
        return json!({"problem": "give --runtime-config too: the doctor looks at what it names"});
    };
    let mut command = Command::new(program);
    command.args(["doctor", "--json", "--config"]).arg(config);
    match asked::said(command, PATIENCE, MOST) {
        Ok(text) => document(&text),
        Err(problem) => json!({"problem": problem}),
    }
}

/// JSON by its keys; what is none as a text.
fn document(text: &str) -> Value {
    serde_json::from_str(text).map_or_else(|_| scrub::text(text).into(), scrub::value)
}

fn logs(ask: &Ask) -> Vec<(String, String)> {
    if ask.logs.is_empty() {
        let mut journal = Command::new("journalctl");
        journal.args([
            "-u",
            "stopline",
            "-u",
            "stopline-agent",
            "-n",
            JOURNAL_LINES,
            "--no-pager",
            "-o",
            "short-iso",
        ]);
        let text =
            asked::said(journal, PATIENCE, MOST).unwrap_or_else(|problem| format!("no journal: {problem}"));
        return vec![("journal".into(), scrub::text(&text))];
    }
    let name = |path: &PathBuf| path.display().to_string();
    ask.logs.iter().map(|path| (name(path), scrub::text(&text_of(path, LOG_BYTES)))).collect()
}

/// The last bytes of a file as text; why not, where it cannot be read.
fn text_of(path: &Path, most: usize) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = std::fs::File::open(path)?;
        let length = file.metadata()?.len();
        let most = u64::try_from(most).unwrap_or(u64::MAX);
        file.seek(SeekFrom::Start(length.saturating_sub(most)))?;
        let mut bytes = Vec::new();
        file.take(most).read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        // A line whose begin is not here is left out: it could be the end of a secret.
        let whole = if length > most { text.split_once('\n').map_or("", |(_, rest)| rest) } else { &text };
        Ok(whole.to_owned())
    };
    read().unwrap_or_else(|error| format!("{}: {error}", path.display()))
}
