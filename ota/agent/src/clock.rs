//! Time comes in here and nowhere else, so that tests can hold it.
//!
//! Pauses and ages are measured since boot. The wall clock is asked only where somebody vouches for it: a board without a
//! battery starts in 1970, a broken server sends it to 2038.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use stopline_depot::record::WallTime;
use stopline_tuf::time::{self, Reading};

use rustix::time::{ClockId, clock_gettime};

/// It is no earlier than this: the time of the build where `SOURCE_DATE_EPOCH` gives one (seconds since 1970), else that of
/// this release.
pub fn not_before() -> Timestamp {
    let given = option_env!("SOURCE_DATE_EPOCH").and_then(|text| text.parse().ok());
    Timestamp::from_second(given.unwrap_or(RELEASED_S)).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// 2026-11-01T00:00:00Z.
const RELEASED_S: i64 = 1_793_491_200;

/// Clocks of the machine.
pub trait Clock: Send + Sync + fmt::Debug {
    /// What the wall clock says, and whether anybody vouches for it.
    fn wall(&self) -> Reading;

    /// Milliseconds since boot, sleep included.
    fn since_boot_ms(&self) -> u64;

    /// Milliseconds of these that the machine slept.
    fn slept_ms(&self) -> u64 {
        0
    }

    /// Waits. A held clock moves on instead.
    fn sleep(&self, pause: Duration);
}

/// The machine's own clocks.
#[derive(Debug, Clone)]
pub struct SystemClock {
    synchronised_file: PathBuf,
}

impl SystemClock {
    /// The wall clock counts as synchronised while `synchronised_file` is there.
    pub fn new(synchronised_file: PathBuf) -> Self {
        Self { synchronised_file }
    }
}

impl Clock for SystemClock {
    fn wall(&self) -> Reading {
        // By the C library, as everybody else on the board reads it: what a test puts between is seen here too.
        let now = Timestamp::now();
        if self.synchronised_file.exists() { Reading::Synchronised(now) } else { Reading::Unverified }
    }

    fn since_boot_ms(&self) -> u64 {
        ms(ClockId::Boottime)
    }

    fn slept_ms(&self) -> u64 {
        // In this order what passes between the two is no sleep.
        let boot = ms(ClockId::Boottime);
        boot.saturating_sub(ms(ClockId::Monotonic))
    }

    fn sleep(&self, pause: Duration) {
        std::thread::sleep(pause);
    }
}

fn ms(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    let nanos = u64::try_from(now.tv_nsec).unwrap_or_default();
    seconds.saturating_mul(1_000).saturating_add(nanos / 1_000_000)
}

/// A shared clock is a clock of the workflow.
#[derive(Debug, Clone)]
pub struct WorkflowClock(pub Arc<dyn Clock>);

impl time::Clock for WorkflowClock {
    fn reading(&self) -> Reading {
        self.0.wall()
    }
}

/// Seconds since 1970, where the clock is synchronised.
pub fn wall_s(clock: &dyn Clock) -> Option<i64> {
    match clock.wall() {
        Reading::Synchronised(now) => Some(now.as_second()),
        Reading::Unverified => None,
    }
}

/// The time as a label, where the clock is synchronised.
pub fn wall_label(clock: &dyn Clock) -> Option<WallTime> {
    match clock.wall() {
        Reading::Synchronised(now) => Some(WallTime::from(std::time::SystemTime::from(now))),
        Reading::Unverified => None,
    }
}

/// The local day as `2026-11-21`, and the second of it.
pub fn local(clock: &dyn Clock, zone: &TimeZone) -> Option<(String, u32)> {
    let Reading::Synchronised(now) = clock.wall() else { return None };
    let local = now.to_zoned(zone.clone());
    let part = |value: i8| u32::try_from(value).unwrap_or_default();
    let second = part(local.hour()) * 3_600 + part(local.minute()) * 60 + part(local.second());
    Some((local.date().to_string(), second))
}

/// This boot's id, as the kernel gives it; empty where it gives none.
pub fn boot_id() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}
