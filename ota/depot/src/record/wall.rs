//! Wall time as text: RFC 3339, UTC, whole microseconds, always 27 characters, so that lines sort by time.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

const DAY: u64 = 86_400;
/// Last second of the year 9999: RFC 3339 has four digits for a year.
const LAST: u64 = 253_402_300_799;

/// A moment of wall time, from 1970 to 9999; others are moved to the nearer end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime {
    seconds: u64,
    micros: u32,
}

impl From<SystemTime> for WallTime {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        if since.as_secs() > LAST {
            return Self { seconds: LAST, micros: 999_999 };
        }
        Self { seconds: since.as_secs(), micros: since.subsec_micros() }
    }
}

impl From<WallTime> for SystemTime {
    fn from(time: WallTime) -> Self {
        UNIX_EPOCH + Duration::from_secs(time.seconds) + Duration::from_micros(time.micros.into())
    }
}

impl WallTime {
    /// Whole seconds since 1970.
    pub fn unix_seconds(&self) -> u64 {
        self.seconds
    }
}

impl fmt::Display for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil(self.seconds / DAY);
        let second = self.seconds % DAY;
        let (h, m, s) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{:06}Z", self.micros)
    }
}

/// Text that is no RFC 3339 time in the form written here.
#[derive(Debug, thiserror::Error)]
#[error("wall time {found:?}: expected the form 2026-02-28T23:59:59.000000Z")]
pub struct WallTimeError {
    found: String,
}

impl FromStr for WallTime {
    type Err = WallTimeError;

    fn from_str(text: &str) -> Result<Self, WallTimeError> {
        let refuse = || WallTimeError { found: text.chars().take(40).collect() };
        let time = read(text).ok_or_else(refuse)?;
        // One spelling per moment: what does not print back (month 13, 30 February) is refused.
        if time.to_string() == text { Ok(time) } else { Err(refuse()) }
    }
}

fn read(text: &str) -> Option<WallTime> {
    let number = |at: std::ops::Range<usize>| text.get(at)?.parse::<u64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    if year < 1970 || !(1..=12).contains(&month) {
        return None;
    }
    let days = days(year, month) + day.checked_sub(1)?;
    let seconds = days * DAY + number(11..13)? * 3600 + number(14..16)? * 60 + number(17..19)?;
    Some(WallTime { seconds, micros: u32::try_from(number(20..26)?).ok()? })
}

/// Days from 1 January 1970 to the first of `month` in `year`, proleptic Gregorian calendar.
fn days(year: u64, month: u64) -> u64 {
    let leap_days = |year: u64| year / 4 - year / 100 + year / 400;
    let before = (year - 1970) * 365 + leap_days(year - 1) - leap_days(1969);
    before + (1..month).map(|m| length(year, m)).sum::<u64>()
}

fn length(year: u64, month: u64) -> u64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Year, month and day of a number of days since 1 January 1970.
fn civil(since: u64) -> (u64, u64, u64) {
    // A year is never longer than 366 days, so this is the year or one too early.
    let mut year = 1970 + since / 366;
    while days(year + 1, 1) <= since {
        year += 1;
    }
    let mut left = since - days(year, 1);
    let mut month = 1;
    while left >= length(year, month) {
        left -= length(year, month);
        month += 1;
    }
    (year, month, left + 1)
}

impl Serialize for WallTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for WallTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64) -> String {
        WallTime::from(UNIX_EPOCH + Duration::from_secs(seconds)).to_string()
    }

    #[test]
    fn known_moments_print_as_date_does() {
        assert_eq!(at(0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00.000000Z");
        assert_eq!(at(1_709_251_199), "2024-02-29T23:59:59.000000Z");
        assert_eq!(at(4_107_542_400), "2100-03-01T00:00:00.000000Z");
        assert_eq!(at(u64::from(u32::MAX)), "2106-02-07T06:28:15.000000Z");
        assert_eq!(at(LAST + 5), "9999-12-31T23:59:59.999999Z");
    }

    #[test]
    fn days_that_do_not_exist_are_refused() {
        for text in [
            "2023-02-29T00:00:00.000000Z",
            "2023-13-01T00:00:00.000000Z",
            "2023-00-01T00:00:00.000000Z",
            "2023-01-00T00:00:00.000000Z",
            "2023-01-01T24:00:00.000000Z",
            "2023-01-01 00:00:00.000000Z",
            "",
            "ä",
            "2023-01-01T00:00:00Z",
            "1969-01-01T00:00:00.000000Z",
        ] {
            assert!(text.parse::<WallTime>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_moment_reads_back(seconds in 0..=LAST, micros in 0u32..1_000_000) {
            let time = WallTime { seconds, micros };
            prop_assert_eq!(time.to_string().parse::<WallTime>().expect("prints well"), time);
        }
    }
}
