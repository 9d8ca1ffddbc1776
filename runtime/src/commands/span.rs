//! Times in a recording as people write them: `12.5s`, `250ms`, `2m`, `1:30`, `1:02:03.5`, `90`.

use std::time::Duration;

/// Longest time that can be meant: a thousand hours. Above it a slip of the keyboard is likelier.
const LONGEST: f64 = 3.6e6;

/// Reads a time in a recording.
///
/// # Errors
/// A sentence that says which forms there are, for the command line's own error.
pub fn parse(text: &str) -> Result<Duration, String> {
    let refuse = || format!("{text:?} is no time; write 12.5s, 250ms, 2m, 1:30 or 1:02:03.5");
    let seconds = if text.contains(':') { colons(text) } else { unit(text) }.ok_or_else(refuse)?;
    if seconds > LONGEST {
        return Err(format!("{text:?} is more than a thousand hours"));
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| refuse())
}

fn unit(text: &str) -> Option<f64> {
    let units = [("ms", 0.001), ("s", 1.0), ("min", 60.0), ("m", 60.0), ("h", 3600.0)];
    let (digits, factor) = units
        .iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)))
        .unwrap_or((text, 1.0));
    Some(number(digits.trim_end())? * factor)
}

fn colons(text: &str) -> Option<f64> {
    let parts: Vec<&str> = text.split(':').collect();
    let (last, before) = parts.split_last()?;
    let mut seconds = 0.0;
    for (at, part) in before.iter().enumerate() {
        let whole = number(part).filter(|_| !part.contains('.'))?;
        if before.len() > 2 || (at > 0 && whole >= 60.0) {
            return None;
        }
        seconds = (seconds + whole) * 60.0;
    }
    number(last).filter(|rest| *rest < 60.0).map(|rest| seconds + rest)
}

/// Digits with at most one point: no sign, no exponent, no `inf`.
fn number(digits: &str) -> Option<f64> {
    let plain =
        digits.chars().all(|c| c.is_ascii_digit() || c == '.') && digits.chars().any(|c| c.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        let cases = [
            ("12.5s", 12_500),
            ("250ms", 250),
            ("2m", 120_000),
            ("2min", 120_000),
            ("1h", 3_600_000),
            ("90", 90_000),
            ("1:30", 90_000),
            ("1:02:03.5", 3_723_500),
            ("0:00", 0),
            (".5", 500),
            ("5 s", 5_000),
            ("90:00", 5_400_000),
        ];
        for (text, ms) in cases {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused_with_the_forms_there_are() {
        for text in [
            "", "s", ":", "1:", ":30", "1:60", "1:2:60", "1:60:00", "1:2:3:4", "-5s", "1e3", "inf", "NaN",
            "1.5:00", "5x", ".", "1..2",
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains("1:30"), "{error}");
        }
        assert!(parse("99999h").expect_err("too long").contains("thousand hours"));
    }
}
