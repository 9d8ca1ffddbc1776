//! What frames the operator asks vehicles for: a signed document (`campaigns/frames.json`, by the role `campaigns`), the file in
//! which the agent brings it together with what speaks for it, and what of it concerns one device.
//!
//! A campaign says which frames, how many and until when, and nothing else: no key here turns redaction, encryption or retention
//! off, names a camera that is not captured, or raises a limit of the device's own. The runtime judges the document by its own root
//! ([`Trust::campaigns`](crate::judging::Trust::campaigns)) and clamps each campaign to its own configuration.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::rollout::member;
use crate::slots::StoredEvidence;
use crate::versioned::{Versioned, check_name};

/// Where it lies in the repository.
pub const PATH: &str = "campaigns/frames.json";
/// Campaigns in the document, at most.
const MOST: usize = 64;
/// Classes that one asks for, at most.
const MOST_LABELS: usize = 64;
/// Seconds that one lasts, at most: 366 days.
const LONGEST_S: u64 = 366 * 86_400;

/// The document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Campaigns {
    /// Schema, [`Versioned::SCHEMA`].
    pub schema: u32,
    /// Hides ids in lists ([`member`]).
    pub salt: String,
    /// What is asked for. A device takes part in every one that it belongs to.
    pub campaigns: Vec<Campaign>,
}

/// Frames that are wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Campaign {
    /// Its name; records carry it.
    pub name: String,
    /// Hardware variants; empty: all.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub hardware: BTreeSet<String>,
    /// Devices, by [`member`]; none: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<BTreeSet<Digest>>,
    /// When it begins, unix seconds.
    pub from: u64,
    /// When it ends, unix seconds.
    pub until: u64,
    /// Frames of a device in a day, at most.
    pub frames_per_day: u32,
    /// Bytes of a device's sealed records in a day, at most.
    pub bytes_per_day: u64,
    /// Classes by name, of which one must be seen; empty: any that the device lets be asked for.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub labels: BTreeSet<String>,
    /// Scores, least and most, within which it must be seen, 0 to 1; none: whatever the model reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<[f32; 2]>,
    /// Hours of the day in UTC, from and to, 0 to 24; from > to goes over midnight; none: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hours_utc: Option<[u8; 2]>,
    /// The share of such frames that is taken, above 0, at most 1.
    #[serde(default = "all")]
    pub rate: f64,
}

fn all() -> f64 {
    1.0
}

/// What the agent brings the runtime: `DEPOT/campaigns.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Brought {
    /// Schema, [`Versioned::SCHEMA`].
    pub schema: u32,
    /// The device's id, by which lists of members are read. The agent's own word: another id could only bring another device's
    /// campaigns, within the same limits.
    pub device: String,
    /// The document, byte for byte as it was signed.
    pub document: String,
    /// What speaks for it.
    pub evidence: StoredEvidence,
}

impl Campaigns {
    /// What concerns the device `id` with this hardware.
    pub fn of<'a>(&'a self, hardware: &'a str, id: &str) -> impl Iterator<Item = &'a Campaign> + use<'a> {
        let member = member(&self.salt, id);
        self.campaigns.iter().filter(move |campaign| {
            let fits = campaign.hardware.is_empty() || campaign.hardware.contains(hardware);
            fits && campaign.members.as_ref().is_none_or(|members| members.contains(&member))
        })
    }
}

impl Campaign {
    /// Whether it is on at this time, unix seconds.
    pub fn is_on(&self, unix_s: u64) -> bool {
        let hour = (unix_s / 3_600) % 24;
        let within = self.hours_utc.is_none_or(|[from, to]| {
            let (from, to) = (u64::from(from), u64::from(to));
            if from < to { (from..to).contains(&hour) } else { hour >= from || hour < to }
        });
        (self.from..self.until).contains(&unix_s) && within
    }

    /// Whether the score is one that it asks for.
    pub fn wants_score(&self, score: f32) -> bool {
        self.score.is_none_or(|[least, most]| (least..=most).contains(&score))
    }

    fn check(&self) -> Result<(), String> {
        check_name("name", &self.name)?;
        self.hardware.iter().try_for_each(|name| check_name("hardware", name))?;
        let lasts = self.until.saturating_sub(self.from);
        if !(1..=LONGEST_S).contains(&lasts) {
            return Err(format!("until: {lasts} seconds after `from`; 1 to {LONGEST_S} are expected"));
        }
        if self.frames_per_day == 0 || self.bytes_per_day == 0 {
            return Err("frames_per_day, bytes_per_day: more than 0 are expected".into());
        }
        let long = |label: &&String| label.is_empty() || label.len() > 64;
        if self.labels.len() > MOST_LABELS || self.labels.iter().any(|label| long(&label)) {
            return Err(format!("labels: at most {MOST_LABELS} of 1 to 64 bytes are expected"));
        }
        if self.score.is_some_and(|[least, most]| !(0.0 <= least && least <= most && most <= 1.0)) {
            return Err("score: [least, most], 0 to 1, is expected".into());
        }
        if self.hours_utc.is_some_and(|[from, to]| from >= 24 || to > 24 || from == to) {
            return Err("hours_utc: two different hours, 0 to 24, are expected".into());
        }
        if !(self.rate > 0.0 && self.rate <= 1.0) {
            return Err(format!("rate: {}; above 0, at most 1 is expected", self.rate));
        }
        Ok(())
    }
}

impl Versioned for Campaigns {
    const SCHEMA: u32 = 1;
    const NAME: &'static str = "campaigns";
    const LIMIT: usize = 4 << 20;

    fn check(&self) -> Result<(), String> {
        if self.salt.is_empty() || self.salt.len() > 128 {
            return Err("salt: 1 to 128 bytes are expected".into());
        }
        if self.campaigns.len() > MOST {
            return Err(format!("campaigns: {}; at most {MOST} are expected", self.campaigns.len()));
        }
        let names: BTreeSet<&str> = self.campaigns.iter().map(|campaign| campaign.name.as_str()).collect();
        if names.len() < self.campaigns.len() {
            return Err("campaigns: a name stands there twice".into());
        }
        self.campaigns.iter().try_for_each(|campaign| {
            campaign.check().map_err(|problem| format!("campaigns.{}.{problem}", campaign.name))
        })
    }
}

impl Versioned for Brought {
    const SCHEMA: u32 = 1;
    const NAME: &'static str = "campaigns brought";
    const LIMIT: usize = 24 << 20;

    fn check(&self) -> Result<(), String> {
        if self.device.len() > 128 {
            return Err("device: at most 128 bytes are expected".into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::versioned;

    fn campaign(name: &str) -> Campaign {
        Campaign {
            name: name.into(),
            hardware: BTreeSet::new(),
            members: None,
            from: 1_000_000,
            until: 2_000_000,
            frames_per_day: 10,
            bytes_per_day: 1_000_000,
            labels: BTreeSet::new(),
            score: None,
            hours_utc: None,
            rate: 1.0,
        }
    }

    fn document(campaigns: Vec<Campaign>) -> Campaigns {
        Campaigns { schema: 1, salt: "salt".into(), campaigns }
    }

    #[test]
    fn a_device_takes_part_in_all_that_it_belongs_to_and_no_id_stands_in_the_document() {
        let members = Some(BTreeSet::from([member("salt", "device-1")]));
        let some = Campaign { members, ..campaign("some") };
        let orins = Campaign { hardware: BTreeSet::from(["orin".to_owned()]), ..campaign("orins") };
        let document = document(vec![some, orins]);
        let names = |hardware, id| -> Vec<&str> {
            document.of(hardware, id).map(|campaign| campaign.name.as_str()).collect()
        };
        assert_eq!(names("orin", "device-1"), ["some", "orins"]);
        assert_eq!(names("pi", "device-1"), ["some"]);
        assert_eq!(names("orin", "device-2"), ["orins"]);
        assert!(names("pi", "device-2").is_empty());
        let text = String::from_utf8(versioned::write(&document).unwrap()).unwrap();
        assert!(!text.contains("device-1"));
        assert_eq!(versioned::read::<Campaigns>(text.as_bytes()).unwrap(), document);
    }

    #[test]
    fn it_is_on_within_its_days_and_hours_alone() {
        let all_day = Campaign { from: 86_400, until: 3 * 86_400, ..campaign("a") };
        assert_eq!(
            [86_399, 86_400, 3 * 86_400 - 1, 3 * 86_400].map(|at| all_day.is_on(at)),
            [false, true, true, false]
        );
        let at = |hours_utc, hour: u64| {
            Campaign { hours_utc: Some(hours_utc), ..all_day.clone() }.is_on(86_400 + hour * 3_600)
        };
        assert_eq!([5, 6, 17, 18].map(|hour| at([6, 18], hour)), [false, true, true, false]);
        assert_eq!(
            [17, 18, 23, 0, 5, 6].map(|hour| at([18, 6], hour)),
            [false, true, true, true, true, false]
        );
        assert_eq!([0, 23].map(|hour| at([0, 24], hour)), [true, true]);
        let narrow = Campaign { score: Some([0.3, 0.5]), ..campaign("a") };
        assert_eq!([0.29, 0.3, 0.5, 0.51].map(|score| narrow.wants_score(score)), [false, true, true, false]);
        assert!(!narrow.wants_score(f32::NAN));
    }

    #[test]
    fn what_no_campaign_may_say_or_what_makes_no_sense_refuses_the_document() {
        let with = |key: &str, value: serde_json::Value| {
            let mut document = serde_json::to_value(document(vec![campaign("a")])).unwrap();
            document["campaigns"][0][key] = value;
            let text = serde_json::to_vec(&document).unwrap();
            versioned::read::<Campaigns>(&text).map(drop).map_err(|error| error.to_string())
        };
        with("labels", serde_json::json!(["stop_sign"])).unwrap();
        for (key, value) in [
            ("redact", serde_json::json!(false)),
            ("recipients", serde_json::json!(["age1thief"])),
            ("retention_days", serde_json::json!(1_000)),
            ("cameras", serde_json::json!(["ward"])),
            ("name", serde_json::json!("../a")),
            ("until", serde_json::json!(1_000_000)),
            ("until", serde_json::json!(1_000_001 + LONGEST_S)),
            ("frames_per_day", serde_json::json!(0)),
            ("labels", serde_json::json!([""])),
            ("score", serde_json::json!([0.5, 0.4])),
            ("hours_utc", serde_json::json!([7, 7])),
            ("hours_utc", serde_json::json!([24, 7])),
            ("rate", serde_json::json!(0.0)),
            ("rate", serde_json::json!(1.1)),
        ] {
            let problem = with(key, value.clone()).unwrap_err();
            assert!(problem.contains(key), "{key} {value}: {problem}");
        }
        assert!(versioned::write(&document(vec![campaign("a"), campaign("a")])).is_err());
    }
}
