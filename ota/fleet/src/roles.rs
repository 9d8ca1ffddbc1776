//! Who signs what, and for how long: the table of roles as the fleet makes it.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};
use stopline_tuf::RoleName;
use stopline_tuf::write::whole_seconds;

use crate::exit::{Failure, Result};

/// Paths of model bundles and deltas, and the role that signs for them.
pub const MODELS: (&str, &str) = ("models", "models/*/*");
/// Paths of roll-outs.
pub const ROLLOUT: (&str, &str) = ("rollout", "rollout/*");
/// Paths of requests for frames.
pub const CAMPAIGNS: (&str, &str) = ("campaigns", "campaigns/*");

/// Key under which signed files carry the time they were made: how much of their life is left is judged by it.
const SIGNED_AT: &str = "signed_at";

/// The delegated role `models`.
pub fn models() -> RoleName {
    named(MODELS.0)
}

/// The delegated role `rollout`.
pub fn rollout() -> RoleName {
    named(ROLLOUT.0)
}

/// The delegated role `campaigns`.
pub fn campaigns() -> RoleName {
    named(CAMPAIGNS.0)
}

fn named(name: &str) -> RoleName {
    RoleName::new(name).expect("a short name of letters is the name of a role")
}

/// How long a file of `role` is valid, days.
pub fn lifetime_days(role: &RoleName) -> i64 {
    match role.as_str() {
        "root" => 365,
        "targets" => 180,
        "models" => 90,
        "campaigns" => 30,
        "timestamp" => 2,
        // snapshot, rollout
        _ => 7,
    }
}

/// When a file of `role` that is made now expires.
pub fn expires(role: &RoleName, now: Timestamp) -> Timestamp {
    let life = SignedDuration::from_hours(24 * lifetime_days(role));
    whole_seconds(now.checked_add(life).unwrap_or(Timestamp::MAX))
}

/// Notes when a file is made.
pub fn stamp(extra: &mut Map<String, Value>, now: Timestamp) {
    extra.insert(SIGNED_AT.into(), Value::String(whole_seconds(now).to_string()));
}

/// When a file was made, where it says so.
pub fn stamped(extra: &Map<String, Value>) -> Option<Timestamp> {
    extra.get(SIGNED_AT)?.as_str()?.parse().ok()
}

/// A role by its name on the command line.
pub fn parse(name: &str) -> Result<RoleName> {
    const KNOWN: [&str; 7] = ["root", "targets", "models", "rollout", "campaigns", "snapshot", "timestamp"];
    if KNOWN.contains(&name) {
        return RoleName::new(name).map_err(Failure::usage);
    }
    Err(Failure::usage(format!("role {name:?}; one of {} is expected", KNOWN.join(", "))))
}
