//! When a vehicle asks, fetches and tries again: pure functions over what it knows of itself, in integers, so that the
//! agent on the board and the operator's simulation of a million of them say the same.
//!
//! Nothing here is chance. A device's place in the night and the length of its pauses follow from its id by SHA-256: the
//! fleet is spread evenly, and a device asks at the same second every night.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::deployment::DeployCause;
use crate::rollout::{Network, Window};

/// Seconds of a day.
pub const DAY_S: u32 = 86_400;

/// What a device knows of itself and its surroundings now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Surroundings {
    /// Local time, minutes after midnight; none while the clock is not synchronised. An unknown time is no hindrance: a
    /// board without a clock may fetch and stage.
    pub local_minute: Option<u16>,
    /// The network that is there; none if there is none.
    pub network: Option<Network>,
    /// Whether it is parked. Unknown means it is not.
    pub parked: Option<bool>,
    /// Charge of the battery, percent; none where there is none, or none that tells.
    pub battery_percent: Option<u8>,
    /// Bytes that went over mobile networks so far.
    pub mobile: MobileUse,
}

/// Bytes over mobile networks, LTE and roaming, both ways.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MobileUse {
    /// Today.
    pub day_bytes: u64,
    /// This month.
    pub month_bytes: u64,
}

/// What its owner allows. It narrows what a roll-out asks for and never widens it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowance {
    /// When, over which networks, whether parked.
    pub window: Window,
    /// Least charge of the battery, percent; 0 asks for nothing.
    pub min_battery_percent: u8,
    /// Bytes over mobile networks in a day; none is no limit.
    pub mobile_day_bytes: Option<u64>,
    /// Bytes over mobile networks in a month; none is no limit.
    pub mobile_month_bytes: Option<u64>,
}

/// Why nothing is fetched now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hindrance {
    /// There is no network.
    NoNetwork,
    /// It is not of a kind that is allowed.
    NetworkKind,
    /// It would cost more bytes over mobile networks than are left today.
    DayBudget,
    /// It would cost more than are left this month.
    MonthBudget,
    /// It is not the time of day.
    LocalTime,
    /// It is not parked, or not known to be.
    NotParked,
    /// The battery is too low, or not known where a least charge is asked for.
    Battery,
    /// The board's supply is below the floor that its owner set. Not for [`may_fetch`] to say: a device looks at its supply
    /// itself.
    Power,
}

impl Hindrance {
    /// The cause under which a deployment waits for it.
    pub fn cause(self) -> DeployCause {
        match self {
            Self::NoNetwork | Self::NetworkKind | Self::DayBudget | Self::MonthBudget => DeployCause::Network,
            Self::LocalTime | Self::NotParked | Self::Battery => DeployCause::Window,
            Self::Power => DeployCause::Power,
        }
    }
}

/// Whether `bytes` may be fetched now: what the roll-out asks for and what the owner allows must both hold.
///
/// # Errors
/// The first hindrance, network first.
pub fn may_fetch(
    rollout: &Window,
    owner: &Allowance,
    now: &Surroundings,
    bytes: u64,
) -> Result<(), Hindrance> {
    let network = now.network.ok_or(Hindrance::NoNetwork)?;
    if ![rollout, &owner.window].iter().all(|window| allows_network(window, network)) {
        return Err(Hindrance::NetworkKind);
    }
    if matches!(network, Network::Lte | Network::Roaming) {
        let fits =
            |limit: Option<u64>, used: u64| limit.is_none_or(|limit| used.saturating_add(bytes) <= limit);
        if !fits(owner.mobile_day_bytes, now.mobile.day_bytes) {
            return Err(Hindrance::DayBudget);
        }
        if !fits(owner.mobile_month_bytes, now.mobile.month_bytes) {
            return Err(Hindrance::MonthBudget);
        }
    }
    let windows = [rollout, &owner.window];
    let timely = |window: &&Window| match (window.local, now.local_minute) {
        (Some(local), Some(minute)) => is_within(local, minute),
        _ => true,
    };
    if !windows.iter().all(timely) {
        return Err(Hindrance::LocalTime);
    }
    if windows.iter().any(|window| window.parked) && now.parked != Some(true) {
        return Err(Hindrance::NotParked);
    }
    if owner.min_battery_percent > 0
        && now.battery_percent.is_none_or(|percent| percent < owner.min_battery_percent)
    {
        return Err(Hindrance::Battery);
    }
    Ok(())
}

/// Whether a window allows this kind of network. One that names none allows all but roaming.
pub fn allows_network(window: &Window, network: Network) -> bool {
    if window.network.is_empty() { network != Network::Roaming } else { window.network.contains(&network) }
}

/// Whether `minute` of the day lies in `(from, to)`, `to` not included; from > to goes over midnight.
pub fn is_within((from, to): (u16, u16), minute: u16) -> bool {
    if from <= to { (from..to).contains(&minute) } else { minute >= from || minute < to }
}

/// The second of the local day at which the device asks: evenly spread by id over `window` (minutes, as in
/// [`is_within`]), or over the whole day.
pub fn poll_second(id: &str, window: Option<(u16, u16)>) -> u32 {
    let (from, to) = window.unwrap_or((0, 1440));
    let (from, to) = (u32::from(from) * 60, u32::from(to) * 60);
    let length = if from < to { to - from } else { (to + DAY_S).saturating_sub(from) };
    (from + scaled(&["poll/v1", id], length)) % DAY_S
}

/// Seconds from `now`, a second of the local day, to the device's next time to ask: 1 to a day.
pub fn seconds_to_poll(id: &str, window: Option<(u16, u16)>, now: u32) -> u32 {
    let ahead = (poll_second(id, window) + DAY_S - now % DAY_S) % DAY_S;
    if ahead == 0 { DAY_S } else { ahead }
}

/// A pause of at least half of `most_s` and at most all of it, in seconds, by device and occasion: so that what tells all
/// of a fleet something at once is not answered by all at once.
pub fn spread(id: &str, occasion: &str, most_s: u32) -> u32 {
    let half = most_s / 2;
    most_s - half + scaled(&["spread/v1", id, occasion], half.saturating_add(1))
}

/// Milliseconds to wait before the attempt after `failures` failed ones (from 1): doubling from `first_ms` up to `most_ms`,
/// of that a half to the whole by device, occasion and attempt.
pub fn back_off_ms(id: &str, occasion: &str, failures: u32, first_ms: u32, most_ms: u32) -> u32 {
    let doubled = u64::from(first_ms) << failures.saturating_sub(1).min(32);
    let whole = u32::try_from(doubled).unwrap_or(u32::MAX).min(most_ms);
    let half = whole / 2;
    let attempt = failures.to_string();
    whole - half + scaled(&["back-off/v1", id, occasion, &attempt], half.saturating_add(1))
}

/// A number below `length` (0 for 0): x · length / 2⁶⁴, x the big-endian number in the first 8 bytes of SHA-256 over the
/// parts, a zero between each two.
fn scaled(parts: &[&str], length: u32) -> u32 {
    let mut hash = Sha256::new();
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            hash.update([0]);
        }
        hash.update(part.as_bytes());
    }
    let digest: [u8; 32] = hash.finalize().into();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    let scaled = (u128::from(u64::from_be_bytes(first)) * u128::from(length)) >> 64;
    u32::try_from(scaled).expect("a number below 2⁶⁴ times one below 2³², over 2⁶⁴, is below 2³²")
}
