use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use stopline_depot::manifest::Manifest;
use stopline_depot::record::{ModelIdentity, ModelRole, StageLatencies};
use stopline_depot::slots::StoredEvidence;
use stopline_sensors::clock::Monotonic;
use stopline_sensors::frame::{FrameMeta, Stamp};

use super::*;
use crate::daemon::report::ModelFacts;
use crate::detection::Detection;

/// Noon of a day in 2026, unix seconds.
const NOON: u64 = 20_500 * DAY_S + 12 * 3_600;

fn rule(more: serde_json::Value) -> CaptureRule {
    let mut rule = serde_json::json!({"rule": "campaign", "per_day": 10, "bytes_per_day": 1_000});
    rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(rule).unwrap()
}

fn campaign(name: &str, labels: &[&str]) -> Campaign {
    Campaign {
        name: name.into(),
        hardware: BTreeSet::new(),
        members: None,
        from: NOON - 100,
        until: NOON + 10 * DAY_S,
        frames_per_day: 3,
        bytes_per_day: 500,
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        score: None,
        hours_utc: None,
        rate: 1.0,
    }
}

struct Device {
    folder: tempfile::TempDir,
}

impl Device {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["depot", "state", "trust"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn standing(&self, rule: &CaptureRule, campaigns: &[Campaign]) -> Standing {
        let text = format!(
            "directory = {:?}\nstate = {:?}\ntrust = {:?}\nhardware = 'board'\n",
            self.path("depot"),
            self.path("state"),
            self.path("trust")
        );
        let place = Place::of(&toml::from_str(&text).unwrap());
        let config = Capture { rules: vec![rule.clone()], ..Capture::default() };
        let campaigns = campaigns.iter().filter_map(|campaign| clamped(campaign, rule)).collect();
        Standing { campaigns, ..Standing::new(Some(place), &config) }
    }
}

fn report(sequence: u64, at: u64, seen: &[(usize, f32)]) -> FrameReport {
    let manifest = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/demo/model.toml"));
    let manifest = Manifest::from_toml(manifest).unwrap();
    let identity = ModelIdentity {
        name: manifest.name.clone(),
        version: manifest.version.clone(),
        digest: String::new(),
        role: ModelRole::Active,
    };
    let detection = |&(class, score): &(usize, f32)| Detection {
        class,
        score,
        bbox: [0.0, 0.0, 10.0, 10.0],
        keypoints: Vec::new(),
    };
    let found = Found {
        model: Arc::new(ModelFacts { name: "small".into(), identity, manifest, bundle: None }),
        place: 0,
        detections: seen.iter().map(detection).collect(),
        invalid: None,
    };
    let meta = FrameMeta {
        source: "front".into(),
        sequence,
        captured: Monotonic::from_nanos(sequence * 100_000_000),
        stamp: Stamp::Arrival,
        wall: SystemTime::UNIX_EPOCH + Duration::from_secs(at),
        position: None,
        path: None,
        copies: 0,
    };
    let latency = StageLatencies::default();
    FrameReport {
        camera: 0,
        meta,
        size: [640, 480],
        looked: None,
        found: vec![found],
        decision: None,
        latency,
        picture: None,
    }
}

const SIGN: usize = 0;
const PERSON: usize = 1;

#[test]
fn a_campaign_takes_what_it_asks_for_while_it_lasts() {
    let device = Device::new();
    let signs = Campaign { score: Some([0.3, 0.6]), ..campaign("signs", &["stop_sign"]) };
    let mut standing = device.standing(&rule(serde_json::json!({})), &[signs]);
    let mut wanted = |at, seen: &[(usize, f32)]| standing.wanted(&report(1, at, seen), 0);
    assert_eq!(wanted(NOON, &[(PERSON, 0.5), (SIGN, 0.4), (SIGN, 0.5)]), Some(("signs".into(), Some(0.5))));
    assert_eq!(wanted(NOON, &[(SIGN, 0.9), (PERSON, 0.5)]), None, "a score that it does not ask for");
    assert_eq!(wanted(NOON, &[]), None);
    assert_eq!(wanted(NOON - 101, &[(SIGN, 0.5)]), None, "it has not begun");
    assert_eq!(wanted(NOON + 10 * DAY_S, &[(SIGN, 0.5)]), None, "it is over");
    assert_eq!(wanted(5, &[(SIGN, 0.5)]), None, "a clock that was never set");
    let some = Campaign { rate: 0.25, ..campaign("some", &[]) };
    let mut standing = device.standing(&rule(serde_json::json!({})), &[some]);
    let drawn = (0..2_000).filter(|number| standing.wanted(&report(*number, NOON, &[]), 0).is_some()).count();
    assert!((400..600).contains(&drawn), "{drawn}");
}

#[test]
fn whatever_is_signed_the_devices_own_limits_hold() {
    let rule = rule(serde_json::json!({
        "labels": ["stop_sign"], "longest_days": 2, "hours_utc": [8, 18], "per_day": 2, "bytes_per_day": 400
    }));
    let greedy = Campaign { frames_per_day: u32::MAX, bytes_per_day: u64::MAX, ..campaign("greedy", &[]) };
    let held = clamped(&greedy, &rule).unwrap();
    assert_eq!((held.frames_per_day, held.bytes_per_day, held.until), (2, 400, greedy.from + 2 * DAY_S));
    assert_eq!(held.labels, BTreeSet::from(["stop_sign".to_owned()]), "all means all that may be asked for");
    assert!(clamped(&campaign("people", &["person"]), &rule).is_none());
    let device = Device::new();
    let mut standing = device.standing(&rule, &[greedy]);
    assert!(standing.wanted(&report(1, NOON, &[(PERSON, 0.9)]), 0).is_none());
    assert!(standing.wanted(&report(1, NOON, &[(SIGN, 0.9)]), 0).is_some());
    assert!(standing.wanted(&report(1, NOON + 7 * 3_600, &[(SIGN, 0.9)]), 0).is_none(), "19 o'clock");
    // A device whose configuration has no such rule.
    let random = CaptureRule { rule: Rule::Random, ..rule };
    let mut standing = device.standing(&random, &[campaign("a", &[])]);
    assert!(standing.wanted(&report(1, NOON, &[(SIGN, 0.9)]), 0).is_none());
    assert_eq!(standing.pay("a", 1, NOON), Err(Unpaid::Over));
}

#[test]
fn a_days_share_is_one_days_however_often_the_vehicle_starts() {
    let (device, rule) = (Device::new(), rule(serde_json::json!({"per_day": 4})));
    let campaigns = [campaign("a", &[]), campaign("b", &[])];
    let start = || device.standing(&rule, &campaigns);
    assert_eq!(start().pay("a", 200, NOON), Ok(()));
    assert_eq!(start().pay("a", 301, NOON), Err(Unpaid::Over), "500 bytes are its share");
    assert_eq!(start().pay("a", 300, NOON), Ok(()));
    assert_eq!(start().pay("a", 1, NOON), Err(Unpaid::Over));
    let mut again = start();
    let wanted = again.wanted(&report(1, NOON, &[]), 0);
    assert_eq!(wanted.map(|(name, _)| name).as_deref(), Some("b"), "the other has its share still");
    assert_eq!(again.pay("b", 100, NOON), Ok(()));
    assert_eq!(start().pay("b", 100, NOON), Ok(()));
    assert_eq!(start().pay("b", 100, NOON), Err(Unpaid::Over), "four frames are the rule's");
    assert_eq!(start().pay("unknown", 1, NOON), Err(Unpaid::Over));
    assert_eq!(start().pay("a", 1, NOON + DAY_S), Ok(()), "the next day");
    // Somebody wrote nonsense: nothing more until the day is over. Nowhere to write: nothing at all.
    std::fs::write(device.path("state/campaigns.json"), b"{}").unwrap();
    assert_eq!(start().pay("a", 1, NOON + DAY_S), Err(Unpaid::Over));
    std::fs::remove_dir_all(device.path("state")).unwrap();
    assert!(matches!(start().pay("a", 1, NOON), Err(Unpaid::Unwritten(_))));
}

#[test]
fn what_is_set_from_afar_holds_for_all_campaigns_together_and_never_raises_the_rule() {
    let (device, rule) = (Device::new(), rule(serde_json::json!({"per_day": 4, "bytes_per_day": 450})));
    let mut standing = device.standing(&rule, &[campaign("a", &[]), campaign("b", &[])]);
    let set = |per_day, bytes_per_day| CaptureLimit { per_day, bytes_per_day, ..CaptureLimit::default() };
    standing.narrow(Some(&set(Some(900), Some(9_000_000))));
    assert_eq!(standing.rule, Some(rule.clone()), "nothing is raised");
    standing.narrow(Some(&set(None, Some(250))));
    assert_eq!(standing.pay("a", 200, NOON), Ok(()));
    assert_eq!(standing.pay("b", 51, NOON), Err(Unpaid::Over), "250 bytes of all");
    standing.narrow(Some(&set(Some(1), None)));
    assert!(standing.wanted(&report(1, NOON, &[]), 0).is_none(), "one frame of all was taken");
    standing.narrow(None);
    assert_eq!((standing.pay("b", 250, NOON), standing.rule), (Ok(()), Some(rule)));
}

#[test]
fn what_nobody_signed_ends_what_stood_and_is_told_once() {
    let device = Device::new();
    let mut standing = device.standing(&rule(serde_json::json!({})), &[campaign("before", &[])]);
    assert_eq!(standing.look(), Ok(None), "nothing was ever brought");
    std::fs::write(device.path("trust/root.json"), b"{}").unwrap();
    std::fs::write(device.path("trust/floor.json"), b"{\"schema\": 1, \"models\": {}}").unwrap();
    std::fs::write(device.path("trust/deny.json"), b"{\"schema\": 1, \"digests\": []}").unwrap();
    let document = r#"{"schema":1,"salt":"s","campaigns":[]}"#.to_owned();
    let brought = Brought { schema: 1, device: "d".into(), document, evidence: StoredEvidence::default() };
    std::fs::write(device.path("depot/campaigns.json"), versioned::write(&brought).unwrap()).unwrap();
    let problem = standing.look().unwrap_err();
    assert!(problem.contains("refused"), "{problem}");
    assert!(standing.campaigns.is_empty());
    assert_eq!(standing.look(), Ok(None), "not again and again");
    std::fs::remove_file(device.path("depot/campaigns.json")).unwrap();
    assert!(standing.look().unwrap().unwrap().contains("no campaign"));
}
