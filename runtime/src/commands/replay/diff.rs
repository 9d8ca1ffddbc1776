//! `--diff`: this run's records beside a reference, field by field.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;

use anyhow::anyhow;
use serde_json::Value;

use crate::exit::{Exit, Failure, OrExit};

/// Differences that are told one by one.
const TOLD: usize = 20;
/// The longest record that is read, in bytes.
const LONGEST: u64 = 16 << 20;

/// Arguments of a comparison.
#[derive(clap::Args, Debug)]
pub struct DiffArgs {
    /// Compare with these records, field by field; exit code 11 where they differ.
    #[arg(long, value_name = "JSONL")]
    diff: Option<PathBuf>,
    /// A field that may differ: a name anywhere (latency_us) or a path (command.cause); may be given again.
    #[arg(long = "ignore", value_name = "FIELD", requires = "diff")]
    ignored: Vec<String>,
    /// How far the numbers of a field may be apart: score=0.01; may be given again.
    #[arg(long = "tolerance", value_name = "FIELD=NUMBER", requires = "diff", value_parser = tolerance)]
    tolerances: Vec<(String, f64)>,
}

fn tolerance(text: &str) -> Result<(String, f64), String> {
    let (field, number) = text.split_once('=').ok_or_else(|| format!("{text:?} is not FIELD=NUMBER"))?;
    let number = number.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0);
    number
        .map(|number| (field.to_owned(), number))
        .ok_or_else(|| format!("{text:?}: the number must be 0 or more"))
}

impl DiffArgs {
    /// Opens the reference, where one is given.
    pub fn open(&self) -> Result<Option<Comparison>, Failure> {
        let Some(path) = &self.diff else { return Ok(None) };
        let opened = File::open(path).map_err(|error| anyhow!("{}: cannot read: {error}", path.display()));
        let rules = Rules { ignored: self.ignored.clone(), tolerances: self.tolerances.clone() };
        Ok(Some(Comparison {
            path: path.display().to_string(),
            reference: BufReader::new(opened.or_exit(Exit::Input)?),
            rules,
            records: 0,
            differing: 0,
            told: Vec::new(),
            fields: BTreeMap::new(),
        }))
    }
}

/// What may differ.
#[derive(Clone, Debug, Default)]
struct Rules {
    ignored: Vec<String>,
    tolerances: Vec<(String, f64)>,
}

/// A comparison under way.
pub struct Comparison {
    path: String,
    reference: BufReader<File>,
    rules: Rules,
    records: u64,
    differing: u64,
    told: Vec<String>,
    /// Field → how often it differed.
    fields: BTreeMap<String, u64>,
}

impl Comparison {
    /// The next record of this run.
    pub fn line(&mut self, found: &[u8]) -> Result<(), Failure> {
        self.records += 1;
        let Some(expected) = self.next()? else {
            self.note(
                &format!("record {}", self.records),
                "records",
                "none (the reference ends)",
                "a record",
            );
            return Ok(());
        };
        let found: Value = serde_json::from_slice(found).or_exit(Exit::Internal)?;
        let mut differences = Vec::new();
        compare(&expected, &found, &mut Vec::new(), &self.rules, &mut differences);
        self.differing += u64::from(!differences.is_empty());
        let frame = found.get("frame").map_or_else(|| self.records.to_string(), Value::to_string);
        for Difference { path, expected, found } in differences {
            self.note(&format!("frame {frame}"), &path, &expected, &found);
        }
        Ok(())
    }

    fn next(&mut self) -> Result<Option<Value>, Failure> {
        let mut line = Vec::new();
        let read = (&mut self.reference).take(LONGEST + 1).read_until(b'\n', &mut line);
        let wrong = |problem: String| anyhow!("{}, record {}: {problem}", self.path, self.records);
        read.map_err(|error| wrong(error.to_string())).or_exit(Exit::Input)?;
        if line.len() as u64 > LONGEST {
            return Err(Failure::new(Exit::Input, wrong(format!("more than {LONGEST} bytes in a line"))));
        }
        if line.trim_ascii().is_empty() {
            return Ok(None);
        }
        serde_json::from_slice(&line).map(Some).map_err(|error| wrong(error.to_string())).or_exit(Exit::Input)
    }

    fn note(&mut self, place: &str, path: &str, expected: &str, found: &str) {
        if self.told.len() < TOLD {
            self.told.push(format!("{place}: {path}: {expected} → {found}"));
        }
        *self.fields.entry(plain(path)).or_default() += 1;
    }

    /// All that differed, for people; empty where nothing did.
    fn text(&mut self) -> Result<String, Failure> {
        let mut left = 0_u64;
        while self.next()?.is_some() {
            left += 1;
        }
        if left > 0 {
            let more = format!("{left} more");
            self.note("at the end", "records", &more, "none (this run ended)");
        }
        let mut out = String::new();
        if self.fields.is_empty() {
            return Ok(out);
        }
        let _ = writeln!(
            out,
            "{}: {} of {} records differ (reference → this run)",
            self.path, self.differing, self.records
        );
        for line in &self.told {
            let _ = writeln!(out, "  {line}");
        }
        let all: u64 = self.fields.values().sum();
        let more = all.saturating_sub(self.told.len() as u64);
        if more > 0 {
            let _ = writeln!(out, "  and {more} more");
        }
        let counts: Vec<String> =
            self.fields.iter().map(|(field, count)| format!("{field} {count}")).collect();
        let _ = writeln!(out, "by field: {}", counts.join(", "));
        Ok(out)
    }
}

/// Tells what differed; a failure where something did.
pub fn verdict(comparison: Option<Comparison>) -> Result<(), Failure> {
    let Some(mut comparison) = comparison else { return Ok(()) };
    let differences = comparison.text()?;
    if differences.is_empty() {
        println!("{}: {} records, no difference", comparison.path, comparison.records);
        return Ok(());
    }
    print!("{differences}");
    Err(Failure::new(Exit::Differs, anyhow!("the records differ from {}", comparison.path)))
}

/// One field that differs.
#[derive(Debug, PartialEq, Eq)]
struct Difference {
    path: String,
    expected: String,
    found: String,
}

fn compare(
    expected: &Value,
    found: &Value,
    path: &mut Vec<String>,
    rules: &Rules,
    out: &mut Vec<Difference>,
) {
    if rules.ignores(path) {
        return;
    }
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            let absent = Value::Null;
            let new = found.keys().filter(|key| !expected.contains_key(*key));
            for key in expected.keys().chain(new) {
                path.push(key.clone());
                compare(
                    expected.get(key).unwrap_or(&absent),
                    found.get(key).unwrap_or(&absent),
                    path,
                    rules,
                    out,
                );
                path.pop();
            }
        }
        (Value::Array(expected), Value::Array(found)) if expected.len() == found.len() => {
            for (at, (expected, found)) in expected.iter().zip(found).enumerate() {
                path.push(format!("[{at}]"));
                compare(expected, found, path, rules, out);
                path.pop();
            }
        }
        (expected, found) if expected == found || rules.tolerates(path, expected, found) => {}
        _ => out.push(Difference { path: join(path), expected: short(expected), found: short(found) }),
    }
}

impl Rules {
    fn ignores(&self, path: &[String]) -> bool {
        self.ignored.iter().any(|field| names(field, path))
    }

    fn tolerates(&self, path: &[String], expected: &Value, found: &Value) -> bool {
        let (Some(expected), Some(found)) = (expected.as_f64(), found.as_f64()) else { return false };
        // The numbers of a list have the list's name.
        let named = |field: &str| {
            let list =
                path.iter().rposition(|part| !part.starts_with('[')).map_or(path, |last| &path[..=last]);
            names(field, list)
        };
        self.tolerances.iter().any(|(field, most)| named(field) && (expected - found).abs() <= *most)
    }
}

/// Whether `field`, a name or a dotted path, is where `path` ends; places in lists do not count.
fn names(field: &str, path: &[String]) -> bool {
    let mut parts = path.iter().filter(|part| !part.starts_with('[')).rev();
    path.last().is_some_and(|last| !last.starts_with('['))
        && field.split('.').rev().all(|name| parts.next().is_some_and(|part| part == name))
}

fn join(path: &[String]) -> String {
    let mut out = String::new();
    for part in path {
        if !out.is_empty() && !part.starts_with('[') {
            out.push('.');
        }
        out.push_str(part);
    }
    out
}

/// A path without the places in lists.
fn plain(path: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for c in path.chars() {
        match c {
            '[' => inside = true,
            ']' => inside = false,
            c if !inside => out.push(c),
            _ => {}
        }
    }
    out
}

fn short(value: &Value) -> String {
    const MOST: usize = 80;
    let text = if value.is_null() { "absent".to_owned() } else { value.to_string() };
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn differences(
        expected: &Value,
        found: &Value,
        ignored: &[&str],
        tolerances: &[(&str, f64)],
    ) -> Vec<String> {
        let rules = Rules {
            ignored: ignored.iter().map(ToString::to_string).collect(),
            tolerances: tolerances.iter().map(|(field, most)| ((*field).to_owned(), *most)).collect(),
        };
        let mut out = Vec::new();
        compare(expected, found, &mut Vec::new(), &rules, &mut out);
        out.iter().map(|one| format!("{} {} {}", one.path, one.expected, one.found)).collect()
    }

    #[test]
    fn each_field_that_differs_is_named_with_both_values() {
        let expected = json!({"a": 1, "list": [{"score": 0.5}], "gone": true, "same": "x"});
        let found = json!({"a": 2, "list": [{"score": 0.6}], "new": [], "same": "x"});
        assert_eq!(
            differences(&expected, &found, &[], &[]),
            ["a 1 2", "list[0].score 0.5 0.6", "gone true absent", "new absent []"]
        );
    }

    #[test]
    fn a_name_is_ignored_anywhere_and_a_path_only_there() {
        let expected = json!({"cause": 1, "command": {"cause": 1, "age": [1, 2]}});
        let found = json!({"cause": 2, "command": {"cause": 2, "age": [1, 3]}});
        assert_eq!(differences(&expected, &found, &["cause", "age"], &[]), Vec::<String>::new());
        assert_eq!(differences(&expected, &found, &["command.cause", "age"], &[]), ["cause 1 2"]);
        assert_eq!(differences(&expected, &found, &["command"], &[]), ["cause 1 2"]);
    }

    #[test]
    fn numbers_within_their_tolerance_are_the_same_and_lists_of_another_length_never() {
        let expected = json!({"detections": [{"score": 0.5, "box": [1.0, 2.0]}]});
        let found = json!({"detections": [{"score": 0.505, "box": [1.0, 2.25]}]});
        assert!(differences(&expected, &found, &[], &[("score", 0.01), ("detections.box", 0.5)]).is_empty());
        assert_eq!(
            differences(&expected, &found, &[], &[("score", 0.001), ("box", 0.5)]),
            ["detections[0].score 0.5 0.505"]
        );
        let more = json!({"detections": []});
        assert_eq!(differences(&expected, &more, &[], &[("detections", 9.0)]).len(), 1);
    }

    #[test]
    fn a_tolerance_is_a_field_and_a_number() {
        assert_eq!(tolerance("score=0.01"), Ok(("score".into(), 0.01)));
        for wrong in ["score", "score=", "score=-1", "score=nan", "score=x"] {
            assert!(tolerance(wrong).is_err(), "{wrong}");
        }
    }
}
