//! How many frames a capture rule may take, as the operator sets it from afar. The agent writes what is in force to
//! `DEPOT/capture-limits.json`; the runtime takes of it only what narrows its own configuration.
//!
//! The document is not signed: whoever can write it can make the runtime capture less, and nothing else.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::spool::Rule;
use crate::versioned::Versioned;

/// Characters of [`CaptureLimits::set_by`], at most.
const LONGEST_NAME: usize = 128;

/// What is set of one rule; what is left out stays as the runtime's own configuration says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CaptureLimit {
    /// Frames in a minute, at most; 0: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_minute: Option<u32>,
    /// Frames in an hour, at most; 0: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_hour: Option<u32>,
    /// Frames in a day, at most; 0: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_day: Option<u32>,
    /// `campaign`: bytes of sealed records in a day, all campaigns together, at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_day: Option<u64>,
}

impl CaptureLimit {
    /// The smaller of the device's own limits in a minute, an hour and a day, and what is set of them.
    #[must_use]
    pub fn narrowed(&self, own: [u32; 3]) -> [u32; 3] {
        let set = [self.per_minute, self.per_hour, self.per_day];
        std::array::from_fn(|at| set[at].map_or(own[at], |set| set.min(own[at])))
    }
}

/// What the types cannot say of limits by rule.
///
/// # Errors
/// Rule and key, and what is expected.
pub fn check(limits: &BTreeMap<Rule, CaptureLimit>) -> Result<(), String> {
    let other =
        |(rule, limit): &(&Rule, &CaptureLimit)| limit.bytes_per_day.is_some() && **rule != Rule::Campaign;
    match limits.iter().find(other) {
        Some((rule, _)) => {
            Err(format!("{}.bytes_per_day: bytes are counted of the rule campaign alone", rule.code()))
        }
        None => Ok(()),
    }
}

/// What is in force on a device: `DEPOT/capture-limits.json`, written by the agent, removed where nothing is set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaptureLimits {
    /// Schema, [`Versioned::SCHEMA`].
    pub schema: u32,
    /// The cohort and revision of the settings, for the log.
    pub set_by: String,
    /// By rule. A rule that the runtime does not have is none by this.
    pub rules: BTreeMap<Rule, CaptureLimit>,
}

impl Versioned for CaptureLimits {
    const SCHEMA: u32 = 1;
    const NAME: &'static str = "capture limits";
    const LIMIT: usize = 16 << 10;

    fn check(&self) -> Result<(), String> {
        let plain = self.set_by.chars().all(|c| c.is_ascii_graphic() || c == ' ');
        if self.set_by.len() > LONGEST_NAME || !plain {
            return Err(format!("set_by: up to {LONGEST_NAME} printable characters are expected"));
        }
        check(&self.rules).map_err(|problem| format!("rules.{problem}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::versioned;

    #[test]
    fn what_is_set_narrows_and_never_widens() {
        let own = [10, 60, 300];
        assert_eq!(CaptureLimit::default().narrowed(own), own);
        let less = CaptureLimit { per_minute: Some(0), per_hour: Some(61), ..CaptureLimit::default() };
        assert_eq!(less.narrowed(own), [0, 60, 300]);
        let most = Some(u32::MAX);
        let all = CaptureLimit { per_minute: most, per_hour: most, per_day: most, bytes_per_day: None };
        assert_eq!(all.narrowed(own), own);
    }

    #[test]
    fn a_rule_that_is_none_or_a_key_that_sets_something_else_refuses_the_document() {
        let with = |rules: &str| {
            let text = format!(r#"{{"schema":1,"set_by":"north 3","rules":{rules}}}"#);
            versioned::read::<CaptureLimits>(text.as_bytes()).map_err(|error| error.to_string())
        };
        let read = with(r#"{"event":{"per_day":5},"campaign":{"bytes_per_day":0}}"#).unwrap();
        assert_eq!(read.rules[&Rule::Event].per_day, Some(5));
        for (rules, word) in [
            (r#"{"everything":{"per_day":5}}"#, "everything"),
            (r#"{"event":{"class":9}}"#, "class"),
            (r#"{"event":{"per_day":-1}}"#, "-1"),
            (r#"{"random":{"bytes_per_day":1}}"#, "random.bytes_per_day"),
        ] {
            let problem = with(rules).unwrap_err();
            assert!(problem.contains(word), "{rules}: {problem}");
        }
    }
}
