//! A recorded bus: the log that `candump -l` or `candump -L` writes, read by DBC file like the bus itself.
//!
//! ```text
//! (1609459200.000000) can0 1A0#0102030405060708
//! (1609459200.010000) can0 18FEF100#FFFF000000FFFFFF
//! (1609459200.020000) can0 2B0##1000102030405060708090A0B
//! ```
//!
//! The first frame, whatever it is, lies at 0 on the clip's timeline, moved by `offset_us`. Frames of other interfaces than
//! the first frame's are left out. Remote and error frames carry no signals.

use std::io::{BufReader, Read as _};
use std::path::Path;

use super::SignalError;
use super::config::VehicleConfig;
use super::history::Histories;
use super::route::Router;
use super::track::{LARGEST, Lines, on_timeline};
use crate::can::frame::{BusFrame, BusId};

/// Whether a file begins as a log does, not as a signal track.
pub(super) fn is_one(path: &Path) -> Result<bool, SignalError> {
    let wrong =
        |error: std::io::Error| SignalError::Track { path: path.into(), line: None, what: error.to_string() };
    let mut first = [0];
    let read = std::fs::File::open(path).map_err(wrong)?.read(&mut first).map_err(wrong)?;
    Ok(read == 1 && first[0] == b'(')
}

pub(super) fn read<P>(
    path: &Path,
    router: Router,
    config: &VehicleConfig<P>,
) -> Result<Histories, SignalError> {
    let wrong = |line: Option<usize>, what: String| SignalError::Track { path: path.into(), line, what };
    let file = std::fs::File::open(path).map_err(|error| wrong(None, error.to_string()))?;
    let lines = Lines::new(BufReader::new(file.take(LARGEST)));
    from_lines(lines, router, config.offset_us).map_err(|(line, what)| wrong(line, what))
}

/// Reads a log from bytes, as from a file.
///
/// # Errors
/// The line, counted from 1, and what is wrong there.
pub fn parse(bytes: &[u8], router: Router, offset_us: i64) -> Result<Histories, (Option<usize>, String)> {
    from_lines(Lines::new(bytes), router, offset_us)
}

fn from_lines(
    mut lines: Lines<impl std::io::BufRead>,
    mut router: Router,
    offset_us: i64,
) -> Result<Histories, (Option<usize>, String)> {
    let mut histories = router.histories(0);
    let mut first: Option<(i64, String)> = None;
    let mut read = false;
    while let Some(line) = lines.next()? {
        if line.trim().is_empty() {
            continue;
        }
        let at = Some(lines.number);
        let Some(logged) = Logged::parse(&line) else {
            let found: String = line.chars().take(60).collect();
            return Err((
                at,
                format!("found {found:?}; expected \"(SECONDS.MICROSECONDS) INTERFACE ID#DATA\""),
            ));
        };
        let (begin, interface) = first.get_or_insert_with(|| (logged.time_us, logged.interface.to_owned()));
        let Some(frame) = logged.frame.filter(|_| interface == logged.interface) else { continue };
        let time = logged.time_us.checked_sub(*begin).and_then(|time| on_timeline(time, offset_us));
        if let Some(time) = time {
            read |= router.take(&frame, time, &mut histories);
        }
    }
    if read {
        Ok(histories)
    } else {
        Err((None, "none of its frames is one of the configured messages".into()))
    }
}

struct Logged<'a> {
    time_us: i64,
    interface: &'a str,
    /// `None`: a remote or error frame.
    frame: Option<BusFrame>,
}

impl<'a> Logged<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let time = words.next()?.strip_prefix('(')?.strip_suffix(')')?;
        let (seconds, micros) = time.split_once('.')?;
        let micros: i64 = (micros.len() == 6 && micros.bytes().all(|digit| digit.is_ascii_digit()))
            .then(|| micros.parse().ok())??;
        let time_us = seconds.parse::<i64>().ok()?.checked_mul(1_000_000)?.checked_add(micros)?;
        let interface = words.next()?;
        let (id, data) = words.next()?.split_once('#')?;
        let number = u32::from_str_radix(id, 16).ok()?;
        let extended = id.len() == 8;
        if extended && number & 0x2000_0000 != 0 {
            return Some(Self { time_us, interface, frame: None });
        }
        let id = BusId::from_word(number | if extended { 0x8000_0000 } else { 0 })?;
        if data.starts_with(['R', 'r']) {
            return Some(Self { time_us, interface, frame: None });
        }
        // CAN FD: a second #, and one digit of flags.
        let (fd, digits) = match data.strip_prefix('#') {
            Some(rest) => (true, rest.get(1..)?),
            None => (false, data),
        };
        let bytes = bytes(digits)?;
        let frame = if fd { BusFrame::flexible_logged(id, &bytes) } else { BusFrame::new(id, &bytes) };
        Some(Self { time_us, interface, frame: Some(frame.filter(|frame| fd || !frame.fd)?) })
    }
}

/// Pairs of hexadecimal digits; dots between them are allowed, as `cansend` allows them.
fn bytes(digits: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = digits.bytes().filter(|digit| *digit != b'.').collect();
    let digit = |digit: &u8| char::from(*digit).to_digit(16);
    let pairs = digits.chunks(2).map(|pair| match pair {
        [high, low] => u8::try_from(digit(high)? << 4 | digit(low)?).ok(),
        _ => None,
    });
    pairs.collect()
}

#[cfg(test)]
mod tests;
