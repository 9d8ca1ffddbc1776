use super::*;
use crate::testing::HeldClock;

const LTE: Option<Network> = Some(Network::Lte);

fn meter(home: &Path, billing_day: u8, day_cap: Option<u64>) -> Meter {
    // An interface that this machine does not have: told bytes and own connections count.
    let settings = Budget { billing_day, ..Budget::default() };
    Meter::open(home, TimeZone::UTC, settings, day_cap)
}

/// Connections of other tests in this process count too: what was told is large beside them.
const MB: u64 = 1_000_000;

fn near(found: u64, told: u64) -> bool {
    (told..told + MB / 2).contains(&found)
}

#[test]
fn bytes_are_counted_by_day_and_billing_month_and_survive_a_start() {
    let home = tempfile::tempdir().unwrap();
    let clock = HeldClock::at("2026-11-21T12:00:00Z");
    let spend = |meter: &Meter, megabytes: u64| {
        meter.tell(megabytes * MB);
        meter.look(&clock, LTE)
    };
    let first = meter(home.path(), 22, None);
    let used = spend(&first, 10);
    assert!(near(used.day_bytes, 10 * MB) && near(used.month_bytes, 10 * MB), "{used:?}");
    first.close();
    let second = meter(home.path(), 22, None);
    let used = spend(&second, 5);
    assert!(near(used.day_bytes, 15 * MB), "an orderly end loses nothing and adds nothing: {used:?}");
    clock.set("2026-11-22T00:00:01Z");
    let used = spend(&second, 1);
    assert!(near(used.day_bytes, MB) && near(used.month_bytes, MB), "a new day and a new month: {used:?}");
    clock.set("2026-11-23T00:00:01Z");
    let used = spend(&second, 1);
    assert!(near(used.day_bytes, MB) && near(used.month_bytes, 2 * MB), "{used:?}");
    clock.unset();
    assert!(near(spend(&second, 1).day_bytes, 2 * MB), "no clock, no new day");
    let used = second.look(&clock, Some(Network::Wifi));
    second.tell(9 * MB);
    assert_eq!(second.look(&clock, Some(Network::Wifi)), used, "WLAN costs nothing");
}

#[test]
fn a_power_cut_counts_too_many_rather_than_too_few_and_few_writes_are_made() {
    let home = tempfile::tempdir().unwrap();
    let clock = HeldClock::at("2026-11-22T12:00:00Z");
    let cap = 64 * MB;
    let mut least = 0;
    let mut written = std::collections::BTreeSet::new();
    for _ in 0..20 {
        // Ends without a word, as a power cut would.
        let meter = meter(home.path(), 1, Some(cap));
        for _ in 0..20 {
            meter.tell(50_000);
            least += 50_000;
            let used = meter.look(&clock, LTE);
            assert!(used.day_bytes >= least, "{used:?} of at least {least}");
            written.insert(std::fs::read(home.path().join("mobile.json")).unwrap());
        }
    }
    let used = meter(home.path(), 1, Some(cap)).look(&clock, LTE);
    assert!(used.day_bytes <= least + 20 * (cap / WRITES) + 21 * MB / 2, "{used:?} of {least} and 20 cuts");
    assert!(written.len() <= 60, "{} writes for 400 looks", written.len());
}

#[test]
fn a_clock_that_jumps_ahead_and_back_gives_no_second_day() {
    let home = tempfile::tempdir().unwrap();
    let clock = HeldClock::at("2026-11-22T12:00:00Z");
    let meter = meter(home.path(), 1, None);
    meter.tell(10 * MB);
    meter.look(&clock, LTE);
    for time in ["2026-11-21T12:00:00Z", "2026-11-22T13:00:00Z"] {
        clock.set(time);
        let used = meter.look(&clock, LTE);
        assert!(near(used.day_bytes, 10 * MB), "{time}: what was counted stays: {used:?}");
    }
    clock.set("2038-01-19T00:00:00Z");
    meter.tell(MB);
    assert!(near(meter.look(&clock, LTE).day_bytes, MB));
    clock.set("2026-11-22T14:00:00Z");
    assert!(near(meter.look(&clock, LTE).day_bytes, MB), "kept, for a day that ends tomorrow");
    clock.set("2026-11-23T00:00:00Z");
    meter.tell(2 * MB);
    assert!(near(meter.look(&clock, LTE).day_bytes, 2 * MB));
}

#[test]
fn what_can_wait_ends_before_small_things_do_and_alerts_come_last() {
    let caps = Caps { day: Some(100 * MB), month: Some(1_000 * MB), reserve_percent: 20 };
    let left = |purpose, day_bytes, month_bytes| caps.left(purpose, MobileUse { day_bytes, month_bytes });
    assert_eq!(left(Purpose::Bulk, 79 * MB, 0), MB);
    assert_eq!((left(Purpose::Bulk, 80 * MB, 0), left(Purpose::Small, 80 * MB, 0)), (0, 10 * MB));
    assert_eq!(
        (left(Purpose::Small, 90 * MB, 0), left(Purpose::Alert, 90 * MB, 0)),
        (0, 10 * MB + ALERTS_BEYOND)
    );
    assert_eq!(left(Purpose::Alert, 101 * MB, 0), ALERTS_BEYOND - MB);
    assert_eq!(left(Purpose::Alert, 102 * MB, 0), 0, "less than one batch beyond the cap, and no more");
    assert_eq!(left(Purpose::Bulk, 0, 800 * MB), 0, "the month's cap counts too");
    let none = Caps::default();
    assert_eq!(none.left(Purpose::Bulk, MobileUse { day_bytes: u64::MAX, month_bytes: 1 }), u64::MAX);
}
