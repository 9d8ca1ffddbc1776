//! A recorded signal track beside a clip.
//!
//! A text file, UTF-8:
//!
//! ```text
//! # stopline signal track, schema 1
//! # any further line that begins with # is a remark
//! time_us,speed,brake_pedal,ignition
//! 0,13.9,0,1
//! 100000,13.8,,1
//! 200000,!,0,1
//! ```
//!
//! The first line is the schema, the first one after the remarks names the columns: `time_us` (microseconds on the clip's
//! own timeline, rising, may be negative) and any of the [`Quantity`] names, in their units. A cell holds a number (a switch
//! 0 or 1), nothing (no sample of it at this time), or `!` (the vehicle had no valid value). Samples are judged as received
//! ones are: limits, staleness, recovery.

use std::io::{BufRead as _, BufReader, Read as _, Write};
use std::path::Path;

use super::config::VehicleConfig;
use super::history::{Histories, Rule};
use super::{Quantity, SignalError};
use crate::clock::Monotonic;
use crate::nearest::hint;

/// The first line.
pub const SCHEMA: &str = "# stopline signal track, schema 1";
/// The longest recording that is read, in bytes: some days at 100 Hz.
pub const LARGEST: u64 = 2 << 30;
/// The longest line, in bytes.
pub(super) const LONGEST_LINE: u64 = 4_096;

/// Reads a track; its times are moved by `config.offset_us` and must not be negative then, or are left out.
pub(super) fn read<P>(path: &Path, config: &VehicleConfig<P>) -> Result<Histories, SignalError> {
    let wrong = |line: Option<usize>, what: String| SignalError::Track { path: path.into(), line, what };
    let file = std::fs::File::open(path).map_err(|error| wrong(None, error.to_string()))?;
    let mut lines = Lines::new(BufReader::new(file.take(LARGEST)));
    from_lines(&mut lines, config).map_err(|(line, what)| wrong(line, what))
}

/// Reads a track from bytes, as from a file.
///
/// # Errors
/// The line, counted from 1, and what is wrong there.
pub fn parse<P>(bytes: &[u8], config: &VehicleConfig<P>) -> Result<Histories, (Option<usize>, String)> {
    from_lines(&mut Lines::new(bytes), config)
}

/// Begins a track: schema line, remarks, column names.
///
/// # Errors
/// It cannot be written.
pub fn write_head(to: &mut impl Write, remarks: &[&str], columns: &[Quantity]) -> std::io::Result<()> {
    writeln!(to, "{SCHEMA}")?;
    remarks.iter().try_for_each(|remark| writeln!(to, "# {}", remark.replace('\n', " ")))?;
    write!(to, "time_us")?;
    columns.iter().try_for_each(|quantity| write!(to, ",{}", quantity.name()))?;
    writeln!(to)
}

/// One line of a track: a value per column, `None` for no valid value.
///
/// # Errors
/// It cannot be written.
pub fn write_line(to: &mut impl Write, time_us: i64, values: &[Option<f32>]) -> std::io::Result<()> {
    write!(to, "{time_us}")?;
    for value in values {
        match value {
            Some(value) => write!(to, ",{value}")?,
            None => write!(to, ",!")?,
        }
    }
    writeln!(to)
}

type Wrong = (Option<usize>, String);

fn from_lines<P>(
    lines: &mut Lines<impl std::io::BufRead>,
    config: &VehicleConfig<P>,
) -> Result<Histories, Wrong> {
    let first = lines.next()?.unwrap_or_default();
    if first.trim_end() != SCHEMA {
        let found: String = first.chars().take(60).collect();
        return Err((Some(1), format!("found {found:?}; a signal track begins with {SCHEMA:?}")));
    }
    let mut histories = Histories::default();
    let columns = columns(lines, config, &mut histories)?;
    let mut before = None;
    while let Some(line) = lines.next()? {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let at = Some(lines.number);
        let mut cells = line.trim_end().split(',');
        let time = cells.next().unwrap_or_default().trim();
        let time: i64 =
            time.parse().map_err(|_| (at, format!("time_us is {time:?}; expected whole microseconds")))?;
        if before.is_some_and(|before| time <= before) {
            return Err((
                at,
                format!("time_us is {time}; expected more than the line before ({})", before.unwrap_or(0)),
            ));
        }
        before = Some(time);
        let cells: Vec<&str> = cells.collect();
        if cells.len() != columns.len() {
            return Err((at, format!("{} values; expected {}, one per column", cells.len(), columns.len())));
        }
        let Some(moved) = on_timeline(time, config.offset_us) else { continue };
        for (quantity, cell) in columns.iter().zip(cells) {
            if let Some(value) = value(*quantity, cell.trim()).map_err(|what| (at, what))? {
                histories.add(*quantity, moved, value);
            }
        }
    }
    if histories.is_empty() {
        return Err((None, "it has no samples at or after the clip's begin".into()));
    }
    Ok(histories)
}

/// Microseconds of the recording, moved to the clip's timeline; `None` before its begin.
pub(super) fn on_timeline(time_us: i64, offset_us: i64) -> Option<Monotonic> {
    let moved = u64::try_from(time_us.checked_add(offset_us)?).ok()?;
    moved.checked_mul(1_000).map(Monotonic::from_nanos)
}

fn columns<P>(
    lines: &mut Lines<impl std::io::BufRead>,
    config: &VehicleConfig<P>,
    histories: &mut Histories,
) -> Result<Vec<Quantity>, Wrong> {
    let named = loop {
        match lines.next()? {
            None => {
                return Err((
                    None,
                    "it ends before the line that names the columns (time_us,speed,…)".into(),
                ));
            }
            Some(line) if line.trim().is_empty() || line.starts_with('#') => {}
            Some(line) => break line,
        }
    };
    let at = Some(lines.number);
    let mut names = named.trim_end().split(',').map(str::trim);
    let first = names.next().unwrap_or_default();
    if first != "time_us" {
        return Err((at, format!("the first column is {first:?}; expected \"time_us\"")));
    }
    let mut columns: Vec<Quantity> = Vec::new();
    for name in names {
        let known = Quantity::ALL.map(Quantity::name);
        let quantity = Quantity::ALL.into_iter().find(|quantity| quantity.name() == name);
        let quantity = quantity.ok_or_else(|| {
            let near = hint(name, known);
            (at, format!("there is no quantity {name:?}{near}; there are {}", known.join(", ")))
        })?;
        if columns.contains(&quantity) {
            return Err((at, format!("column {name} is there twice")));
        }
        let signal = config.signals.get(&quantity);
        let rule = Rule::of(quantity, config.max_age(quantity));
        let bound = |configured: Option<f32>, otherwise: f32| configured.unwrap_or(otherwise);
        let possible = (
            bound(signal.and_then(|signal| signal.min), rule.possible.0),
            bound(signal.and_then(|signal| signal.max), rule.possible.1),
        );
        let max_rate = signal.and_then(|signal| signal.max_rate).or(rule.max_rate);
        histories.keep(quantity, Rule { possible, max_rate, ..rule }, 0);
        columns.push(quantity);
    }
    Ok(columns)
}

/// `None`: no sample. `Some(None)`: none that is valid.
fn value(quantity: Quantity, cell: &str) -> Result<Option<Option<f32>>, String> {
    match cell {
        "" => Ok(None),
        "!" => Ok(Some(None)),
        number => match number.parse::<f32>() {
            Ok(value) if !quantity.is_switch() && value.is_finite() => Ok(Some(Some(value))),
            Ok(value) if value == 0.0 || value == 1.0 => Ok(Some(Some(value))),
            _ if quantity.is_switch() => {
                Err(format!("{} is {number:?}; expected 0, 1, ! or nothing", quantity.name()))
            }
            _ => Err(format!("{} is {number:?}; expected a number, ! or nothing", quantity.name())),
        },
    }
}

/// Lines of bounded length, counted from 1.
pub(super) struct Lines<R> {
    from: R,
    pub(super) number: usize,
}

impl<R: std::io::BufRead> Lines<R> {
    pub(super) fn new(from: R) -> Self {
        Self { from, number: 0 }
    }

    /// The next line without its end.
    pub(super) fn next(&mut self) -> Result<Option<String>, Wrong> {
        let mut line = Vec::new();
        let read = (&mut self.from).take(LONGEST_LINE + 1).read_until(b'\n', &mut line);
        let read = read.map_err(|error| (Some(self.number + 1), error.to_string()))?;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        if line.last() == Some(&b'\n') {
            line.pop();
        } else if line.len() as u64 > LONGEST_LINE {
            return Err((Some(self.number), format!("the line is longer than {LONGEST_LINE} bytes")));
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        String::from_utf8(line)
            .map(Some)
            .map_err(|_| (Some(self.number), "the line is not UTF-8 text".into()))
    }
}

#[cfg(test)]
mod tests;
