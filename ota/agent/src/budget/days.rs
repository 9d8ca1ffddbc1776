//! The operator's billing month, which begins on a day of its own.

use jiff::ToSpan as _;
use jiff::civil::Date;

/// First day of the billing month that `today` (`2026-11-22`) lies in. It begins on `billing_day`, or on the last day of a
/// month that is shorter. None for text that is no day.
pub fn period(today: &str, billing_day: u8) -> Option<String> {
    let today: Date = today.parse().ok()?;
    let begin = |month: Date| {
        let day = i8::try_from(billing_day).ok()?.clamp(1, month.last_of_month().day());
        month.with().day(day).build().ok()
    };
    let this = begin(today.first_of_month())?;
    let begun =
        if today >= this { this } else { begin(today.first_of_month().checked_sub(1.month()).ok()?)? };
    Some(begun.to_string())
}

/// Whether `today` lies at most two days before `day`: a clock that was set back a little, or another time zone.
pub fn is_just_before(today: &str, day: &str) -> bool {
    let (Ok(today), Ok(day)) = (today.parse::<Date>(), day.parse::<Date>()) else { return false };
    today < day && today.checked_add(2.days()).is_ok_and(|later| later >= day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_billing_month_begins_on_its_day_or_on_the_last_of_a_shorter_month() {
        for (today, day, begin) in [
            ("2026-11-22", 1, "2026-11-01"),
            ("2026-11-22", 22, "2026-11-22"),
            ("2026-11-22", 23, "2026-10-23"),
            ("2026-01-05", 15, "2025-12-15"),
            ("2026-02-27", 31, "2026-01-31"),
            ("2026-02-28", 31, "2026-02-28"),
            ("2028-02-28", 31, "2028-01-31"),
            ("2028-02-29", 30, "2028-02-29"),
            ("2026-03-01", 31, "2026-02-28"),
        ] {
            assert_eq!(period(today, day).as_deref(), Some(begin), "{today}, billed on {day}");
        }
        assert_eq!(period("", 1), None);
        let before = |today| is_just_before(today, "2026-03-01");
        let found = ["2026-02-26", "2026-02-27", "2026-02-28", "2026-03-01", "2026-03-02", ""].map(before);
        assert_eq!(found, [false, true, true, false, false, false]);
    }
}
