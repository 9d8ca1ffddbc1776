//! `stopline eval RECORDS --events TRUTH`.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use anyhow::anyhow;

use crate::eval::events::{EventsError, Run, Truth, judge};
use crate::exit::{Exit, Failure, OrExit};
use crate::output;

/// Holds the decision records `records` against `truth`; `json`: also as JSON, `-` on stdout in place of the table.
pub fn run(records: &Path, truth: &Path, json: Option<&Path>) -> Result<(), Failure> {
    let unreadable = |path: &Path, error: std::io::Error| anyhow!("{}: cannot read: {error}", path.display());
    let wrong = |path: &Path, error: EventsError| anyhow!("{}: {error}", path.display());
    let text = std::fs::read(truth).map_err(|error| unreadable(truth, error)).or_exit(Exit::Input)?;
    let known = Truth::from_json(&text).map_err(|error| wrong(truth, error)).or_exit(Exit::Input)?;
    let file = File::open(records).map_err(|error| unreadable(records, error)).or_exit(Exit::Input)?;
    let run = Run::read(BufReader::new(file)).map_err(|error| wrong(records, error)).or_exit(Exit::Input)?;
    let verdict = judge(&run, &known);
    let machine = serde_json::to_string_pretty(&verdict).or_exit(Exit::Internal)?;
    match json {
        Some(path) if path == Path::new("-") => println!("{machine}"),
        Some(path) => {
            print!("{}", verdict.text());
            output::write(path, machine.as_bytes()).or_exit(Exit::Output)?;
        }
        None => print!("{}", verdict.text()),
    }
    if !known.note.is_empty() {
        eprintln!("note of the truth: {}", known.note);
    }
    Ok(())
}
