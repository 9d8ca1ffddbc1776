//! An operator with all keys at hand, and the folder of a device: root, targets and models 2 of 3, the online roles one key
//! each. Whatever is changed is signed and served by `publish`.
#![allow(dead_code)] // every test program uses another part of it

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp as Time};
use semver::Version;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use stopline_agent::agent::Agent;
use stopline_agent::clock::Clock;
use stopline_agent::config::Config;
use stopline_depot::deployment::{DeployCause, Exposure, Phase};
use stopline_depot::digest::Digest;
use stopline_depot::disk::{RealDisk, replace};
use stopline_depot::release::{Content, Delta, Release};
use stopline_depot::rollout::{Gates, Rollout, State, Unit, Variant, Window};
use stopline_depot::slots::{Deny, DepotPaths, Floor, Offer, Progress, ServiceRecord, StatePaths};
use stopline_depot::versioned;
use stopline_tuf::json::canonical;
use stopline_tuf::metadata::{DelegatedRole, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp};
use stopline_tuf::time::Reading;
use stopline_tuf::write::{KeyFileSigner, Signer, whole_seconds};
use stopline_tuf::{MetadataFile, RoleName, TargetPath};

pub const MODEL: &str = "stop-sign";
pub const HARDWARE: &str = "orin";

fn role(name: &str) -> RoleName {
    RoleName::new(name).unwrap()
}

fn path(path: &str) -> TargetPath {
    TargetPath::new(path).unwrap()
}

fn keys(role: &str, count: usize) -> Vec<KeyFileSigner> {
    let key = |index| KeyFileSigner::from_seed(&Sha256::digest(format!("{role}{index}")).into()).unwrap();
    (1..=count).map(key).collect()
}

fn file<'a>(signed: &impl serde::Serialize, signers: impl IntoIterator<Item = &'a KeyFileSigner>) -> Vec<u8> {
    let signed = serde_json::to_value(signed).unwrap();
    let message = canonical(&signed).unwrap();
    let signature = |signer: &KeyFileSigner| {
        let sig: String = signer.sign(&message).unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
        json!({"keyid": signer.key().id(), "sig": sig})
    };
    let signatures: Vec<Value> = signers.into_iter().map(signature).collect();
    serde_json::to_vec(&json!({"signatures": signatures, "signed": signed})).unwrap()
}

/// Bytes that do not pack.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

pub fn pack(tar: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.include_contentsize(true).unwrap();
    encoder.window_log(23).unwrap();
    encoder.set_pledged_src_size(Some(tar.len() as u64)).unwrap();
    std::io::Write::write_all(&mut encoder, tar).unwrap();
    encoder.finish().unwrap()
}

pub struct Operator {
    pub now: Time,
    signers: BTreeMap<String, Vec<KeyFileSigner>>,
    root: Root,
    /// Root metadata by version, as signed.
    roots: Vec<Vec<u8>>,
    roles: BTreeMap<RoleName, Targets>,
    contents: BTreeMap<String, Vec<u8>>,
    version: u64,
    /// How long timestamp metadata holds.
    pub fresh_for: SignedDuration,
}

impl Operator {
    pub fn new(now: Time) -> Self {
        let now = whole_seconds(now);
        let days = |days: i64| now.checked_add(SignedDuration::from_hours(24 * days)).unwrap();
        let holders = [
            ("root", 3),
            ("targets", 3),
            ("models", 3),
            ("rollout", 1),
            ("campaigns", 1),
            ("snapshot", 1),
            ("timestamp", 1),
        ];
        let signers: BTreeMap<_, _> =
            holders.iter().map(|(role, count)| ((*role).to_owned(), keys(role, *count))).collect();
        let public = |name: &str| signers[name].iter().map(|signer| signer.key().clone()).collect::<Vec<_>>();
        let mut root = Root::new(days(3_650));
        for (name, threshold) in [("root", 2), ("targets", 2), ("snapshot", 1), ("timestamp", 1)] {
            public(name).into_iter().for_each(|key| root.allow(&role(name), key));
            root.require(&role(name), threshold);
        }
        let mut targets = Targets::new(days(1_800));
        targets.delegate(DelegatedRole::new(role("models"), 2, &["models/*/*"]), public("models"));
        targets.delegate(
            DelegatedRole::new(role("rollout"), 1, &["rollout/*", "models/*/*"]).terminating(),
            public("rollout"),
        );
        targets.delegate(
            DelegatedRole::new(role("campaigns"), 1, &["campaigns/*"]).terminating(),
            public("campaigns"),
        );
        let roles = [
            ("targets", targets),
            ("models", Targets::new(days(900))),
            ("rollout", Targets::new(days(7))),
            ("campaigns", Targets::new(days(30))),
        ];
        let roots = vec![file(&root, &signers["root"])];
        Self {
            now,
            signers,
            root,
            roots,
            roles: roles.into_iter().map(|(name, targets)| (role(name), targets)).collect(),
            contents: BTreeMap::new(),
            version: 0,
            fresh_for: SignedDuration::from_hours(48),
        }
    }

    /// A bundle of `tar`, listed by `by`.
    pub fn release_by(
        &mut self,
        by: &str,
        seq: u64,
        tar: &[u8],
        change: impl FnOnce(&mut Release),
    ) -> Digest {
        let mut release = Release {
            schema: 1,
            model: MODEL.into(),
            version: Version::new(1, seq, 0),
            release_seq: seq,
            security_floor: 0,
            hardware: vec![HARDWARE.into()],
            min_runtime: Version::new(0, 1, 0),
            unpacked: Content { sha256: Digest::of(tar), length: tar.len() as u64 },
            deltas: Vec::new(),
        };
        change(&mut release);
        let packed = pack(tar);
        let mut listed = TargetFile::of(&packed);
        listed.custom = serde_json::to_value(&release).unwrap().as_object().cloned();
        self.list(by, &bundle_path(seq), listed, packed);
        Digest::of(tar)
    }

    pub fn release(&mut self, seq: u64, tar: &[u8]) -> Digest {
        self.release_by("models", seq, tar, |_| ())
    }

    /// A delta file, as the role `models` signs it.
    pub fn delta_file(&mut self, name: &str, bytes: &[u8]) {
        self.list("models", &format!("models/{MODEL}/{name}"), TargetFile::of(bytes), bytes.to_vec());
    }

    /// Lists a target.
    pub fn list(&mut self, by: &str, target: &str, listed: TargetFile, bytes: Vec<u8>) {
        let target = path(target);
        let sha256: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        self.contents.insert(target.url_path(Some(&sha256)), bytes);
        self.roles.get_mut(&role(by)).unwrap().add(&target, listed);
    }

    pub fn rollout(&mut self, rollout: &Rollout) {
        self.document(versioned::write(rollout).unwrap());
    }

    pub fn document(&mut self, bytes: Vec<u8>) {
        self.list("rollout", &format!("rollout/{MODEL}.json"), TargetFile::of(&bytes), bytes);
    }

    /// Nothing stands at a target's path any more.
    pub fn unlist(&mut self, by: &str, target: &str) {
        self.roles.get_mut(&role(by)).unwrap().targets.remove(target);
    }

    pub fn expire(&mut self, name: &str, at: Time) {
        self.roles.get_mut(&role(name)).unwrap().expires = whole_seconds(at);
    }

    /// The first root, as an image carries it.
    pub fn root_file(&self) -> Vec<u8> {
        self.roots[0].clone()
    }

    /// All keys of all roles that root names are others from now on; old and new holders sign.
    pub fn rotate(&mut self) {
        let mut root = self.root.next(self.root.expires);
        let mut holders = Vec::new();
        for (name, count) in [("root", 3), ("targets", 3), ("snapshot", 1), ("timestamp", 1)] {
            let new = keys(&format!("{name} {} ", root.version), count);
            self.signers[name].iter().for_each(|old| root.revoke(&role(name), &old.key().id()));
            new.iter().for_each(|signer| root.allow(&role(name), signer.key().clone()));
            let before = self.signers.insert(name.to_owned(), new).unwrap();
            if name == "root" {
                holders = before;
            }
        }
        self.roots.push(file(&root, holders.iter().chain(&self.signers["root"])));
        self.root = root;
    }

    /// Signs everything anew: what a server then serves, by path.
    pub fn publish(&mut self) -> BTreeMap<String, Vec<u8>> {
        self.version += 1;
        let mut files = BTreeMap::new();
        let mut serve =
            |file: MetadataFile, bytes: &[u8]| files.insert(format!("/metadata/{file}"), bytes.to_vec());
        for (version, root) in (1..).zip(&self.roots) {
            serve(MetadataFile::versioned(&role("root"), version), root);
        }
        let week = SignedDuration::from_hours(24 * 7);
        let mut snapshot = Snapshot::new(self.now.checked_add(self.fresh_for.max(week)).unwrap());
        snapshot.version = self.version;
        for (name, targets) in &mut self.roles {
            targets.version = self.version;
            let bytes = file(targets, &self.signers[name.as_str()]);
            snapshot.list(name, MetaFile::of(self.version, &bytes));
            serve(MetadataFile::versioned(name, self.version), &bytes);
        }
        let bytes = file(&snapshot, &self.signers["snapshot"]);
        serve(MetadataFile::versioned(&role("snapshot"), self.version), &bytes);
        let expires = self.now.checked_add(self.fresh_for).unwrap();
        let mut timestamp = Timestamp::new(MetaFile::of(self.version, &bytes), self.now, expires);
        timestamp.version = self.version;
        serve(MetadataFile::unversioned(&role("timestamp")), &file(&timestamp, &self.signers["timestamp"]));
        files.extend(self.contents.iter().map(|(place, bytes)| (format!("/targets/{place}"), bytes.clone())));
        files
    }
}

pub fn bundle_path(seq: u64) -> String {
    format!("models/{MODEL}/1.{seq}.0.slb")
}

pub fn rollout(id: &str, seq: u64) -> Rollout {
    let variant = Variant {
        target: bundle_path(seq),
        abort_to: None,
        percent_bp: 10_000,
        stages: Vec::new(),
        gates: Gates::default(),
    };
    Rollout {
        schema: 1,
        rollout_id: id.into(),
        model: MODEL.into(),
        targets: BTreeMap::from([(HARDWARE.into(), variant)]),
        salt: "salt".into(),
        state: State::Active,
        unit: Unit::Device,
        cohorts: BTreeMap::new(),
        exclude: BTreeSet::new(),
        forgive: BTreeSet::new(),
        window: Window::default(),
        report_within_s: 3_600,
    }
}

/// A clock in the hand of a test; what sleeps moves it on and takes no time. Time since boot goes on by itself too: a stalled
/// connection is a matter of real time.
#[derive(Debug)]
pub struct HeldClock {
    wall: Mutex<Reading>,
    since_boot_ms: Mutex<u64>,
    began: Time,
}

impl HeldClock {
    pub fn at(now: Time) -> Arc<Self> {
        Arc::new(Self {
            wall: Mutex::new(Reading::Synchronised(now)),
            since_boot_ms: Mutex::new(60_000),
            began: Time::now(),
        })
    }

    pub fn set(&self, reading: Reading) {
        *self.wall.lock().unwrap() = reading;
    }

    pub fn pass(&self, time: Duration) {
        *self.since_boot_ms.lock().unwrap() += u64::try_from(time.as_millis()).unwrap();
        let mut wall = self.wall.lock().unwrap();
        if let Reading::Synchronised(now) = *wall {
            *wall = Reading::Synchronised(now.checked_add(time).unwrap());
        }
    }
}

impl Clock for HeldClock {
    fn wall(&self) -> Reading {
        *self.wall.lock().unwrap()
    }

    fn since_boot_ms(&self) -> u64 {
        let passed = Time::now().duration_since(self.began).as_millis();
        *self.since_boot_ms.lock().unwrap() + u64::try_from(passed).unwrap_or(0)
    }

    fn sleep(&self, pause: Duration) {
        self.pass(pause);
    }
}

/// The folders of a device, and its agent when one is open.
pub struct Device {
    pub folder: tempfile::TempDir,
    pub clock: Arc<HeldClock>,
    pub runtime: tokio::runtime::Runtime,
    pub config: String,
}

impl Device {
    pub fn new(url: &str, operator: &Operator) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        std::fs::create_dir_all(folder.path().join("trust")).unwrap();
        std::fs::create_dir_all(folder.path().join("state/progress")).unwrap();
        std::fs::create_dir_all(folder.path().join("state/verdicts")).unwrap();
        std::fs::write(folder.path().join("trust/root.json"), operator.root_file()).unwrap();
        let config = format!(
            "repository = '{url}'\nhardware = '{HARDWARE}'\nmodels = ['{MODEL}']\nhome = '{}'\ndepot = '{}'\nstate = '{}'\n\
             trust = '{}'\nmetrics_file = '{}'\noutcomes_url = '{url}/outcomes'\n[poll]\ntime_zone = 'UTC'\nstart_within_s = 0\n\
             [download]\nstall_s = 2\nchunk_bytes = 65536\nfirst_back_off_ms = 10\nlongest_back_off_ms = 2000\n\
             [device]\nnetwork = 'wifi'\nparked_file = '{}'\nsynchronised_file = '{}'\n",
            at("home"),
            at("depot"),
            at("state"),
            at("trust"),
            at("metrics.prom"),
            at("parked"),
            at("trust/root.json"),
        );
        let device = Self {
            clock: HeldClock::at(operator.now),
            runtime: stopline_agent::daemon::runtime().unwrap(),
            config,
            folder,
        };
        device.trust(&[], &[]);
        device
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn trust(&self, floor: &[(&str, u64)], deny: &[Digest]) {
        let floor = Floor {
            schema: 1,
            models: floor.iter().map(|(model, seq)| ((*model).to_owned(), *seq)).collect(),
        };
        let deny = Deny { schema: 1, digests: deny.iter().copied().collect() };
        std::fs::write(self.path("trust/floor.json"), versioned::write(&floor).unwrap()).unwrap();
        std::fs::write(self.path("trust/deny.json"), versioned::write(&deny).unwrap()).unwrap();
    }

    pub fn agent(&self) -> Agent {
        let config = Config::parse(&self.config).unwrap();
        Agent::open(config, self.clock.clone(), self.runtime.handle().clone()).unwrap()
    }

    pub fn state(&self) -> StatePaths {
        StatePaths::new(self.path("state"))
    }

    pub fn offer(&self) -> Option<Offer> {
        let path = DepotPaths::new(self.path("depot")).offer(MODEL);
        std::fs::read(path).ok().map(|bytes| versioned::read(&bytes).unwrap())
    }

    pub fn staged(&self, digest: &Digest) -> Option<Vec<u8>> {
        let paths = DepotPaths::new(self.path("depot"));
        paths.slot_record(digest).exists().then(|| std::fs::read(paths.bundle(digest)).unwrap())
    }

    /// What the runtime would write.
    pub fn progress(&self, rollout_id: &str, digest: Digest, phase: Phase, cause: Option<DeployCause>) {
        let exposure = Exposure { active_s: 60, frames: 1_800, ..Exposure::default() };
        let progress = Progress {
            schema: 1,
            rollout_id: rollout_id.into(),
            digest,
            phase,
            cause,
            detail: "so".into(),
            exposure,
        };
        let bytes = versioned::write(&progress).unwrap();
        replace(&mut RealDisk, &self.state().progress(MODEL), &bytes).unwrap();
    }

    /// What the runtime would write of a bundle in service.
    pub fn service(&self, rollout_id: &str, digest: Digest, active_s: u64, alerts: u64) {
        let exposure = Exposure { active_s, frames: active_s * 30, alerts, ..Exposure::default() };
        let record = ServiceRecord { schema: 1, rollout_id: rollout_id.into(), digest, exposure };
        let bytes = versioned::write(&record).unwrap();
        std::fs::create_dir_all(self.state().services()).unwrap();
        replace(&mut RealDisk, &self.state().service(MODEL), &bytes).unwrap();
    }
}

/// Phase and cause of the deployment.
pub fn phase(agent: &Agent) -> Option<(Phase, Option<DeployCause>)> {
    agent.deployment(MODEL).map(|deployment| (deployment.phase, deployment.cause))
}

/// What outcomes that wait say.
pub fn said(agent: &Agent) -> Vec<(Phase, Option<DeployCause>)> {
    let waiting = agent.spool().waiting().unwrap();
    let read = |path: &PathBuf| agent.spool().read(path).unwrap().outcome;
    waiting.iter().map(read).map(|outcome| (outcome.phase, outcome.cause)).collect()
}

/// A stick with what a server would serve.
pub fn stick(files: &BTreeMap<String, Vec<u8>>, folder: &Path) {
    for (path, bytes) in files {
        let path = folder.join(path.trim_start_matches('/'));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

/// The way of a bundle whose delta is offered.
pub fn delta(from: Digest, name: &str, length: u64) -> Delta {
    Delta { from, path: format!("models/{MODEL}/{name}"), algorithm: "patch-from".into(), length }
}
