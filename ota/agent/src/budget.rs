//! Bytes over mobile networks, and how many may still go: by day and by the operator's billing month.
//!
//! What is counted, both ways:
//! - **an interface's own counters** (`/sys/class/net/NAME/statistics`), where the mobile network is an interface of this
//!   board: what the operator bills, to the packet, other programs of the board included;
//! - **this program's connections** by the kernel's `TCP_INFO` ([`sockets`]), where the network is somebody else's router
//!   behind an Ethernet or WLAN interface, which carries a camera's stream too: payload, TLS, retransmissions, and headers
//!   for each segment. Names that are looked up and the packets that close a connection are allowed for by a constant.
//!
//! Counts lie in `HOME/mobile.json`. It is written ahead: with what was counted it names how much more may go before it is
//! written again. After a power cut that much counts as gone: too many rather than too few, and few writes in a day.
//!
//! A cap is shared: what can wait ends before small things do, and alerts come last ([`Purpose`]).

pub mod days;
pub mod interface;
pub mod sockets;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use stopline_depot::disk::{Disk as _, RealDisk, replace};
use stopline_depot::eligible::MobileUse;
use stopline_depot::rollout::Network;

use crate::clock::{self, Clock};
use crate::config::Budget;

/// Bytes that may go before the counts are written again: at least, and at most.
const AHEAD: (u64, u64) = (16 << 10, 1 << 20);
/// The file is written at most about so often for each day's cap.
const WRITES: u64 = 64;
/// Bytes that alerts may go beyond a cap in a day or month, at most: a person on the floor is worth more than the bill, and
/// this is less than one batch.
const ALERTS_BEYOND: u64 = 1 << 20;
/// Bytes of the file, at most.
const LIMIT: u64 = 64 << 10;

/// What bytes are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Records and models: may use what is not reserved.
    Bulk,
    /// Polls, figures, keeping a connection: may use half of the reserve too.
    Small,
    /// Alerts and their answers: all of it, and a little beyond.
    Alert,
}

/// How many bytes may go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Caps {
    /// In a day; none is no limit.
    pub day: Option<u64>,
    /// In a billing month; none is no limit.
    pub month: Option<u64>,
    /// Percent of each that is reserved.
    pub reserve_percent: u8,
}

impl Caps {
    /// Of a cap, what `purpose` may use.
    pub fn share(&self, purpose: Purpose, cap: u64) -> u64 {
        let reserve = u128::from(cap) * u128::from(self.reserve_percent.min(100)) / 100;
        let reserve = u64::try_from(reserve).unwrap_or(cap);
        match purpose {
            Purpose::Bulk => cap.saturating_sub(reserve),
            Purpose::Small => cap.saturating_sub(reserve / 2),
            Purpose::Alert => cap.saturating_add(ALERTS_BEYOND),
        }
    }

    /// Bytes that may still go for `purpose`; the most there are where nothing limits them.
    pub fn left(&self, purpose: Purpose, used: MobileUse) -> u64 {
        let of = |cap: Option<u64>, used: u64| {
            cap.map_or(u64::MAX, |cap| self.share(purpose, cap).saturating_sub(used))
        };
        of(self.day, used.day_bytes).min(of(self.month, used.month_bytes))
    }
}

/// Counts as they lie on disk.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Counted {
    day: String,
    /// First day of the billing month.
    period: String,
    day_bytes: u64,
    month_bytes: u64,
    /// Bytes that may have gone since this was written.
    ahead: u64,
    boot_id: String,
    /// Interfaces' counters when this was written.
    interfaces: BTreeMap<String, u64>,
}

/// Counts bytes; clones count together.
#[derive(Debug, Clone)]
pub struct Meter(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    zone: TimeZone,
    settings: Budget,
    ahead: u64,
    counted: Counted,
    /// Counted since the file was written.
    unsaved: u64,
    /// What callers say went since the last look: at least so much counts.
    told: u64,
    /// Bytes of each connection so far, by the socket's number.
    connections: BTreeMap<u64, u64>,
    complained: bool,
    /// Another process counts: this one only reads what that has written.
    reads_only: bool,
}

impl Meter {
    /// What another process has counted, as it was last written.
    pub fn of_another(home: &Path, zone: TimeZone, settings: Budget) -> Self {
        let meter = Self::open(home, zone, settings, None);
        let mut inner = meter.inner();
        (inner.counted, inner.reads_only) = (read(&inner.path), true);
        drop(inner);
        meter
    }

    /// Counts in a file below `home`; `day_cap` says how finely.
    pub fn open(home: &Path, zone: TimeZone, settings: Budget, day_cap: Option<u64>) -> Self {
        let path = home.join("mobile.json");
        let mut counted = read(&path);
        let boot_id = clock::boot_id();
        // Of the same boot, an interface's counters tell what went since; else it may have been all that was allowed for.
        if counted.boot_id != boot_id || counted.interfaces.is_empty() {
            counted.day_bytes = counted.day_bytes.saturating_add(counted.ahead);
            counted.month_bytes = counted.month_bytes.saturating_add(counted.ahead);
        }
        if counted.boot_id != boot_id {
            counted.interfaces.clear();
        }
        counted.boot_id = boot_id;
        counted.ahead = 0;
        let ahead = day_cap.map_or(AHEAD.1, |cap| (cap / WRITES).clamp(AHEAD.0, AHEAD.1));
        let (connections, complained) = (BTreeMap::new(), false);
        Self(Arc::new(Mutex::new(Inner {
            path,
            zone,
            settings,
            ahead,
            counted,
            unsaved: 0,
            told: 0,
            connections,
            complained,
            reads_only: false,
        })))
    }

    /// Bytes that the caller knows went: they count where the kernel tells of fewer.
    pub fn tell(&self, bytes: u64) {
        let mut inner = self.inner();
        inner.told = inner.told.saturating_add(bytes);
    }

    /// Counts what went since the last look; what went so far. Without a clock it counts for the day that was last known:
    /// too many rather than too few.
    pub fn look(&self, clock: &dyn Clock, network: Option<Network>) -> MobileUse {
        let mut inner = self.inner();
        inner.begin_day(clock);
        if !inner.reads_only {
            let went = inner.went(network);
            inner.count(went);
        }
        MobileUse { day_bytes: inner.counted.day_bytes, month_bytes: inner.counted.month_bytes }
    }

    /// Writes the counts as they are: before an orderly end.
    pub fn close(&self) {
        let mut inner = self.inner();
        if inner.unsaved > 0 || inner.counted.ahead > 0 {
            inner.save(0);
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// A clock that is set back a little begins no second day; one that was years ahead must not keep a day for years. What was
    /// counted is kept.
    fn begin_day(&mut self, clock: &dyn Clock) {
        let Some((today, _)) = clock::local(clock, &self.zone) else { return };
        if today == self.counted.day || days::is_just_before(&today, &self.counted.day) {
            return;
        }
        let period = days::period(&today, self.settings.billing_day).unwrap_or_default();
        if today > self.counted.day {
            self.counted.day_bytes = 0;
        }
        if period > self.counted.period {
            self.counted.month_bytes = 0;
        }
        (self.counted.day, self.counted.period) = (today, period);
        if self.counted.ahead > 0 && !self.reads_only {
            self.save(self.ahead);
        }
    }

    /// Bytes since the last look that a mobile network carried.
    fn went(&mut self, network: Option<Network>) -> u64 {
        let told = std::mem::take(&mut self.told);
        let mobile = interface::mobile(self.settings.interface.as_deref());
        let by_interface = !mobile.is_empty();
        let mut went = 0_u64;
        for (name, bytes) in mobile {
            let before = self.counted.interfaces.insert(name, bytes).unwrap_or(0);
            // A modem that was plugged in again counts from zero.
            went = went.saturating_add(if bytes >= before { bytes - before } else { bytes });
        }
        let mut by_connection = 0_u64;
        let now = sockets::connections();
        for (socket, bytes) in &now {
            let before = self.connections.get(socket).copied().filter(|before| before <= bytes);
            let since = before.map_or(bytes.saturating_add(sockets::AROUND), |before| bytes - before);
            by_connection = by_connection.saturating_add(since);
        }
        self.connections = now;
        match network {
            _ if by_interface => went,
            Some(Network::Lte | Network::Roaming) => by_connection.max(told),
            _ => 0,
        }
    }

    fn count(&mut self, bytes: u64) {
        if bytes == 0 {
            return;
        }
        self.counted.day_bytes = self.counted.day_bytes.saturating_add(bytes);
        self.counted.month_bytes = self.counted.month_bytes.saturating_add(bytes);
        self.unsaved = self.unsaved.saturating_add(bytes);
        if self.counted.ahead == 0 || self.unsaved >= self.counted.ahead {
            self.save(self.ahead);
        }
    }

    fn save(&mut self, ahead: u64) {
        self.counted.ahead = ahead;
        let written = serde_json::to_vec(&self.counted)
            .map_err(std::io::Error::other)
            .and_then(|text| replace(&mut RealDisk, &self.path, &text));
        match written {
            Ok(()) => (self.unsaved, self.complained) = (0, false),
            // In memory it counts on; told once.
            Err(error) if !self.complained => {
                self.complained = true;
                tracing::warn!(
                    id = "ota.budget.unwritten",
                    "{}: bytes over mobile networks are not kept over a restart: {error}",
                    self.path.display()
                );
            }
            Err(_) => {}
        }
    }
}

fn read(path: &Path) -> Counted {
    let bytes = RealDisk.read(path, LIMIT).ok().flatten().unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests;
