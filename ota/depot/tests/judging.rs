//! Who may say what a device loads: each thing a thief or an accident could try, by its story.
#![allow(clippy::unwrap_used)] // what cannot be prepared fails the test

mod workshop;

use semver::Version;
use stopline_depot::deployment::{Approval, DeployCause};
use stopline_depot::digest::Digest;
use stopline_depot::disk::RealDisk;
use stopline_depot::judging::{Asked, Judged, Refusal, Trust};
use stopline_depot::release::Release;
use stopline_depot::slots::{Deny, Floor, SlotRecord, TrustPaths};
use stopline_depot::versioned;
use workshop::{Workshop, brought, key, release};

const BUNDLE: &[u8] = b"a bundle";

struct Device {
    folder: tempfile::TempDir,
}

impl Device {
    fn of(workshop: &Workshop) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let device = Self { folder };
        device.write("root.json", workshop.first_root().as_bytes());
        device.write("floor.json", b"{\"schema\": 1, \"models\": {}}");
        device.write("deny.json", b"{\"schema\": 1, \"digests\": []}");
        device
    }

    fn trust(&self) -> Result<Trust, Refusal> {
        let paths = TrustPaths::new(self.folder.path());
        Trust::read(&RealDisk, &paths, &self.folder.path().join("followed.json"))
    }

    fn judge(&self, bytes: &[u8], record: &SlotRecord) -> Result<Judged, Refusal> {
        self.trust()?.judge(&asked(&Digest::of(bytes), bytes.len()), record)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.folder.path().join(name), bytes).unwrap();
    }
}

fn asked(digest: &Digest, length: usize) -> Asked<'_> {
    static RUNTIME: Version = Version::new(0, 1, 0);
    Asked { model: "stop-sign", digest, length: length as u64, hardware: "board", runtime: &RUNTIME }
}

fn cause<T: std::fmt::Debug>(result: Result<T, Refusal>) -> DeployCause {
    result.map_or_else(|refusal| refusal.cause(), |loaded| panic!("loaded: {loaded:?}"))
}

fn plain() -> Release {
    release("stop-sign", "1.0.0", 3, BUNDLE)
}

#[test]
fn what_two_of_three_signed_is_approved_once_and_by_its_digest_ever_after() {
    let mut workshop = Workshop::default();
    let device = Device::of(&workshop);
    let judged = device.judge(BUNDLE, &workshop.record(BUNDLE, &plain())).unwrap();
    assert_eq!((judged.approval.release_seq, judged.approval.root_version), (3, 1));
    workshop.rotate();
    for restart in 0..3 {
        let trust = device.trust().unwrap();
        let digest = Digest::of(BUNDLE);
        assert!(!trust.recall(&asked(&digest, BUNDLE.len()), &judged.approval).unwrap(), "restart {restart}");
    }
}

#[test]
fn a_rotated_root_is_followed_and_the_older_one_is_not_taken_again() {
    let mut workshop = Workshop::default();
    let old = workshop.record(BUNDLE, &plain());
    let device = Device::of(&workshop);
    workshop.rotate();
    let judged = device.judge(BUNDLE, &workshop.record(BUNDLE, &plain())).unwrap();
    assert_eq!(judged.approval.root_version, 2);
    device.write("followed.json", &judged.newer_root.unwrap());
    assert_eq!(
        cause(device.judge(BUNDLE, &old)),
        DeployCause::Signature,
        "keys that were replaced sign nothing"
    );
    device.write("followed.json", b"half a");
    device.judge(BUNDLE, &workshop.record(BUNDLE, &plain())).unwrap();
}

#[test]
fn one_changed_byte_is_refused() {
    let workshop = Workshop::default();
    let record = workshop.record(BUNDLE, &plain());
    assert_eq!(cause(Device::of(&workshop).judge(b"a bundlf", &record)), DeployCause::Content);
    let mut relabelled = record;
    relabelled.digest = Digest::of(b"a bundlf");
    relabelled.release.unpacked.sha256 = relabelled.digest;
    assert_eq!(
        cause(Device::of(&workshop).judge(b"a bundlf", &relabelled)),
        DeployCause::Content,
        "what the slot itself says of its digest is not asked"
    );
}

#[test]
fn wrong_keys_too_few_keys_and_wrong_roles_are_refused() {
    let device = Device::of(&Workshop::default());
    let thief = Workshop { signers: vec![key("thief1"), key("thief2")], ..Workshop::default() };
    assert_eq!(cause(device.judge(BUNDLE, &thief.record(BUNDLE, &plain()))), DeployCause::Signature);
    let alone = Workshop { signers: vec![key("models1-1"), key("models1-1")], ..Workshop::default() };
    assert_eq!(cause(device.judge(BUNDLE, &alone.record(BUNDLE, &plain()))), DeployCause::Signature);
    let other = Workshop { role: "rollout".into(), ..Workshop::default() };
    let refused = device.judge(BUNDLE, &other.record(BUNDLE, &plain())).unwrap_err();
    assert!(refused.to_string().contains("wrong_role"), "{refused}");
}

#[test]
fn wrong_hardware_a_newer_runtime_another_model_and_another_schema_each_have_their_cause() {
    let workshop = Workshop::default();
    let device = Device::of(&workshop);
    let with = |change: &dyn Fn(&mut Release)| {
        let mut release = plain();
        change(&mut release);
        cause(device.judge(BUNDLE, &workshop.record(BUNDLE, &release)))
    };
    assert_eq!(with(&|release| release.hardware = vec!["other".into()]), DeployCause::Hardware);
    assert_eq!(with(&|release| release.min_runtime = Version::new(99, 0, 0)), DeployCause::MinRuntime);
    assert_eq!(with(&|release| release.model = "pedestrian".into()), DeployCause::Content);
    assert_eq!(with(&|release| release.schema = 2), DeployCause::Schema);
}

#[test]
fn below_the_floor_nothing_is_loaded_for_the_first_time_and_what_runs_goes_on() {
    let workshop = Workshop::default();
    let device = Device::of(&workshop);
    let record = workshop.record(BUNDLE, &plain());
    let approval = device.judge(BUNDLE, &record).unwrap().approval;
    let floor = Floor { schema: 1, models: [("stop-sign".to_owned(), 4)].into() };
    device.write("floor.json", &versioned::write(&floor).unwrap());
    assert_eq!(cause(device.judge(BUNDLE, &record)), DeployCause::Floor);
    let digest = Digest::of(BUNDLE);
    let below = device.trust().unwrap().recall(&asked(&digest, BUNDLE.len()), &approval).unwrap();
    assert!(below, "told, not stopped");
}

#[test]
fn a_denied_bundle_is_refused_whether_it_was_approved_or_not() {
    let workshop = Workshop::default();
    let device = Device::of(&workshop);
    let record = workshop.record(BUNDLE, &plain());
    let approval: Approval = device.judge(BUNDLE, &record).unwrap().approval;
    let deny = Deny { schema: 1, digests: [Digest::of(BUNDLE)].into() };
    device.write("deny.json", &versioned::write(&deny).unwrap());
    assert_eq!(cause(device.judge(BUNDLE, &record)), DeployCause::Denied);
    let digest = Digest::of(BUNDLE);
    let again = device.trust().unwrap().recall(&asked(&digest, BUNDLE.len()), &approval);
    assert_eq!(cause(again), DeployCause::Denied);
}

#[test]
fn an_approval_is_good_for_its_own_digest_and_model_only() {
    let workshop = Workshop::default();
    let device = Device::of(&workshop);
    let approval = device.judge(BUNDLE, &workshop.record(BUNDLE, &plain())).unwrap().approval;
    let trust = device.trust().unwrap();
    let other = Digest::of(b"another");
    assert_eq!(cause(trust.recall(&asked(&other, 7), &approval)), DeployCause::Content);
    let digest = Digest::of(BUNDLE);
    let renamed = Approval { model: "pedestrian".into(), ..approval };
    assert_eq!(cause(trust.recall(&asked(&digest, BUNDLE.len()), &renamed)), DeployCause::Content);
}

#[test]
fn without_a_root_or_with_lists_that_cannot_be_read_nothing_is_loaded() {
    let workshop = Workshop::default();
    let broken = [
        ("root.json", &b"{"[..], DeployCause::Signature),
        ("deny.json", b"{", DeployCause::Signature),
        ("floor.json", b"{\"schema\": 9}", DeployCause::Schema),
    ];
    for (file, bytes, cause) in broken {
        let device = Device::of(&workshop);
        device.write(file, bytes);
        let refused = device.trust().unwrap_err();
        assert_eq!(refused.cause(), cause);
        assert!(refused.to_string().contains(file), "{refused}");
    }
    for file in ["root.json", "floor.json", "deny.json"] {
        let device = Device::of(&workshop);
        std::fs::remove_file(device.folder.path().join(file)).unwrap();
        assert!(device.trust().unwrap_err().to_string().contains("not there"), "{file}");
    }
}

#[test]
fn frames_are_asked_for_by_the_operators_own_key_in_its_own_role_and_by_nobody_else() {
    let document = include_str!("documents/campaigns.json");
    let trust = Device::of(&Workshop::default()).trust().unwrap();
    let campaigns = trust.campaigns(&brought("campaigns", "own", document)).unwrap();
    assert_eq!(campaigns.campaigns[0].name, "night-signs");
    for (by, signer) in [("campaigns", "thief"), ("rollout", "own"), ("models", "own")] {
        let refused = trust.campaigns(&brought(by, signer, document)).unwrap_err();
        assert_eq!(refused.cause(), DeployCause::Signature, "{by} with the key of {signer}: {refused}");
    }
    let mut changed = brought("campaigns", "own", document);
    changed.document = document.replace("\"frames_per_day\": 50", "\"frames_per_day\": 90");
    assert_eq!(trust.campaigns(&changed).unwrap_err().cause(), DeployCause::Signature, "one figure changed");
    let later = document.replace("\"schema\": 1", "\"schema\": 2");
    let refused = trust.campaigns(&brought("campaigns", "own", &later)).unwrap_err();
    assert_eq!(refused.cause(), DeployCause::Schema, "{refused}");
}
