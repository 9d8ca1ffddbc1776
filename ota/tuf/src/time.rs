//! What time it is when an update begins, on boards whose clock may say anything.
//!
//! A board without a battery starts in 1970, a broken server sends it to 2038. Time is therefore never below a lower
//! bound: the time of the build, and the `signed_at` of verified timestamp metadata. A clock that nothing has
//! synchronised is not asked at all; then the bound alone is the time, expiry is judged by it, and the caller is told
//! ([`UpdateStart::synchronised`]) so that it may fetch and stage but not activate. The bound is never taken from what
//! the system clock once said: one wrong 2038 would otherwise end all updates.

use jiff::{SignedDuration, Timestamp};

/// How far `signed_at` may lie ahead of a synchronised clock.
pub const FUTURE_TOLERANCE: SignedDuration = SignedDuration::from_hours(24);

/// The wall clock, as far as it can be believed.
pub trait Clock {
    /// What it says now.
    fn reading(&self) -> Reading;
}

/// What the wall clock says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Set by a time server, a satellite or a person since the system started.
    Synchronised(Timestamp),
    /// Nobody vouches for it, so its value is not of interest.
    Unverified,
}

impl Clock for Reading {
    fn reading(&self) -> Reading {
        *self
    }
}

/// TUF §5.1, "Record fixed update start time": the time that expiry is judged by throughout one update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpdateStart {
    at: Timestamp,
    synchronised: bool,
}

impl UpdateStart {
    /// The later of the clock, if it is synchronised, and `not_before`, the time of the build.
    pub fn new(reading: Reading, not_before: Timestamp) -> Self {
        match reading {
            Reading::Synchronised(at) => Self { at: at.max(not_before), synchronised: true },
            Reading::Unverified => Self { at: not_before, synchronised: false },
        }
    }

    /// Raises the bound to the `signed_at` of verified timestamp metadata. `None` where that lies further ahead of a
    /// synchronised clock than [`FUTURE_TOLERANCE`]: believed, it would make everything expire.
    pub fn raised(self, signed_at: Option<Timestamp>) -> Option<Self> {
        let Some(signed_at) = signed_at else { return Some(self) };
        let latest = self.at.checked_add(FUTURE_TOLERANCE).unwrap_or(Timestamp::MAX);
        let believable = !self.synchronised || signed_at <= latest;
        believable.then_some(Self { at: self.at.max(signed_at), ..self })
    }

    /// The time.
    pub fn at(self) -> Timestamp {
        self.at
    }

    /// Whether a synchronised clock stands behind it. If not, it is a lower bound: newer metadata may have expired
    /// unnoticed.
    pub fn synchronised(self) -> bool {
        self.synchronised
    }
}

/// `expires` and `signed_at` as metadata writes them: `2030-01-01T00:00:00Z`.
pub(crate) mod text {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn read(text: &str) -> Option<Timestamp> {
        let shaped =
            text.len() >= 20 && text.len() <= 30 && text.ends_with('Z') && text.as_bytes()[10] == b'T';
        shaped.then(|| text.parse().ok())?
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(reader: D) -> Result<Timestamp, D::Error> {
        let text = String::deserialize(reader)?;
        read(&text).ok_or_else(|| {
            let shown: String = text.chars().take(40).collect();
            D::Error::custom(format!("{shown:?} is no time of the form 2030-01-01T00:00:00Z"))
        })
    }

    pub fn serialize<S: Serializer>(time: &Timestamp, writer: S) -> Result<S::Ok, S::Error> {
        writer.collect_str(time)
    }

    pub mod optional {
        use super::{Deserializer, Serializer, Timestamp};

        pub fn deserialize<'de, D: Deserializer<'de>>(reader: D) -> Result<Option<Timestamp>, D::Error> {
            super::deserialize(reader).map(Some)
        }

        pub fn serialize<S: Serializer>(time: &Option<Timestamp>, writer: S) -> Result<S::Ok, S::Error> {
            match time {
                Some(time) => super::serialize(time, writer),
                None => writer.serialize_none(),
            }
        }
    }
}

/// Whose expiry counts. Signatures, versions and hashes always do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ExpiryPolicy {
    /// Everybody's: an update over the air.
    #[default]
    All,
    /// Everybody's but theirs: an attended installation from a USB stick leaves out `timestamp`, `snapshot` and the
    /// roll-out's role.
    Except(std::collections::BTreeSet<crate::name::RoleName>),
    /// Nobody's: the runtime's own judgement of a model that was accepted while its metadata was fresh.
    Nobody,
}

impl ExpiryPolicy {
    /// Whether the expiry of `role` counts.
    pub fn covers(&self, role: &crate::name::RoleName) -> bool {
        match self {
            Self::All => true,
            Self::Except(roles) => !roles.contains(role),
            Self::Nobody => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text::read(text).unwrap()
    }

    #[test]
    fn an_unsynchronised_clock_is_not_asked_and_the_bound_is_the_time() {
        let built = time("2026-01-01T00:00:00Z");
        let start = UpdateStart::new(Reading::Unverified, built);
        assert_eq!((start.at(), start.synchronised()), (built, false));
        let signed = time("2026-11-01T00:00:00Z");
        assert_eq!(start.raised(Some(signed)).unwrap().at(), signed);
        assert_eq!(start.raised(Some(time("2025-01-01T00:00:00Z"))).unwrap().at(), built);
    }

    #[test]
    fn a_clock_in_1970_is_lifted_to_the_build() {
        let built = time("2026-01-01T00:00:00Z");
        assert_eq!(UpdateStart::new(Reading::Synchronised(Timestamp::UNIX_EPOCH), built).at(), built);
    }

    #[test]
    fn a_signature_from_the_future_does_not_move_a_synchronised_clock() {
        let now = time("2026-11-21T00:00:00Z");
        let start = UpdateStart::new(Reading::Synchronised(now), now);
        assert!(start.raised(Some(time("2026-11-22T00:00:00Z"))).is_some());
        assert!(start.raised(Some(time("2026-11-22T00:00:01Z"))).is_none());
        assert!(start.raised(Some(time("2038-01-19T03:14:07Z"))).is_none());
    }

    #[test]
    fn a_time_has_one_form() {
        for text in ["2030-01-01T00:00:00Z", "2030-01-01T00:00:00.123456Z", "1970-01-01T00:00:00Z"] {
            assert!(text::read(text).is_some(), "{text}");
        }
        for text in [
            "2030-01-01 00:00:00Z",
            "2030-01-01T00:00:00+00:00",
            "2030-13-01T00:00:00Z",
            "",
            "2030-01-01é000000000Z",
        ] {
            assert!(text::read(text).is_none(), "{text}");
        }
    }
}
