//! The operator's desk: three holders' keys in three folders, the online keys in a fourth, bundles as small as they can be,
//! a repository in a folder, and vehicles that look at it.
#![allow(dead_code)] // every test program uses another part of it

pub mod program;
pub mod served;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use stopline_depot::bundle::{Bundle, packed};
use stopline_depot::rollout::{Gates, Unit, Window};
use stopline_fleet::commit::Online;
use stopline_fleet::exit::{Result, Said};
use stopline_fleet::init::{self, Holders};
use stopline_fleet::keys::KeySpec;
use stopline_fleet::models::{self, NewRelease};
use stopline_fleet::publish::{self, Rules};
use stopline_fleet::published::{Published, StoreFetch};
use stopline_fleet::rollouts::{self, Signers, Start, Step, USUAL_STAGES};
use stopline_fleet::staging::Staging;
use stopline_fleet::store::{LocalStore, Store};
use stopline_fleet::{expiry, rotate, sign};
use stopline_tuf::fetch::MemoryRepository;
use stopline_tuf::key::Key;
use stopline_tuf::store::MemoryStore;
use stopline_tuf::time::Reading;
use stopline_tuf::write::{KeyFileSigner, Signer};
use stopline_tuf::{Client, Error, Found, RoleName, Settings, TargetPath, install_root};

pub const HOLDERS: [&str; 3] = ["anna", "ben", "cleo"];

/// The same name, the same key.
pub fn key(name: &str) -> KeyFileSigner {
    let mut seed = [7; 32];
    seed[..name.len()].copy_from_slice(name.as_bytes());
    KeyFileSigner::from_seed(&seed).unwrap()
}

pub fn public(name: &str) -> Key {
    key(name).key().clone()
}

pub fn day(days: i64) -> Timestamp {
    hours(24 * days)
}

pub fn hours(hours: i64) -> Timestamp {
    let first: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
    first.checked_add(SignedDuration::from_hours(hours)).unwrap()
}

pub struct Desk {
    pub folder: tempfile::TempDir,
    pub staging: Staging,
    pub store: LocalStore,
    snapshot: KeyFileSigner,
    timestamp: KeyFileSigner,
    rollout: KeyFileSigner,
}

impl Desk {
    /// A repository that is begun, signed and published, without a model.
    pub fn new() -> Self {
        Self::begun(day(0))
    }

    /// One that is begun at this time.
    pub fn begun(now: Timestamp) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let desk = Self {
            staging: Staging::new(folder.path().join("staging")),
            store: LocalStore::new(folder.path().join("repository")),
            snapshot: key("snapshot"),
            timestamp: key("timestamp"),
            rollout: key("rollout"),
            folder,
        };
        let all: Vec<Key> = HOLDERS.iter().map(|name| public(name)).collect();
        let holders = Holders {
            root: all.clone(),
            targets: all.clone(),
            models: all,
            rollout: vec![public("rollout")],
            campaigns: Vec::new(),
            snapshot: vec![public("snapshot")],
            timestamp: vec![public("timestamp")],
        };
        init::run(&desk.staging, &holders, now).unwrap();
        desk.sign_by(&["anna", "ben"]).unwrap();
        desk.publish(now).unwrap();
        desk
    }

    pub fn online(&self) -> Online<'_> {
        Online { snapshot: &self.snapshot, timestamp: &self.timestamp }
    }

    pub fn signers(&self) -> Signers<'_> {
        Signers { rollout: &self.rollout, online: self.online() }
    }

    pub fn sign_by(&self, names: &[&str]) -> Result<()> {
        for name in names {
            let spec = KeySpec::Credential((*name).into());
            sign::run(&self.staging, None, &spec, &key(name))?;
        }
        Ok(())
    }

    pub fn publish(&self, now: Timestamp) -> Result<Said> {
        self.publish_by(&Rules { not_compared: true, ..Rules::default() }, now)
    }

    pub fn publish_by(&self, rules: &Rules, now: Timestamp) -> Result<Said> {
        publish::run(&self.staging, &self.store, &self.online(), rules, now)
    }

    pub fn root(&self) -> Vec<u8> {
        self.staging.trusted_root_bytes().unwrap().unwrap()
    }

    pub fn published(&self) -> Published {
        Published::read(&self.store, &self.root()).unwrap().unwrap()
    }

    /// A bundle that differs from others of the same model by its version and `weights`.
    pub fn bundle(&self, model: &str, version: &str, weights: &[u8]) -> PathBuf {
        let path = self.folder.path().join(format!("{model}-{version}.slb"));
        std::fs::write(&path, slb(model, version, weights)).unwrap();
        path
    }

    /// Adds, signs and publishes a release.
    pub fn release(&self, model: &str, version: &str, now: Timestamp) -> Result<Said> {
        self.add(model, version, now)?;
        self.sign_by(&["anna", "ben"])?;
        self.publish(now)
    }

    pub fn add(&self, model: &str, version: &str, now: Timestamp) -> Result<Said> {
        let bundle = self.bundle(model, version, version.as_bytes());
        let new = NewRelease { hardware: vec!["board".into()], ..NewRelease::default() };
        models::add(&self.staging, &self.store, &bundle, &new, now)
    }

    pub fn start(&self, model: &str, id: &str, now: Timestamp) -> Result<Said> {
        rollouts::start(&self.store, &self.root(), &self.signers(), &start(model, id), now)
    }

    pub fn step(&self, model: &str, step: Step, now: Timestamp) -> Result<Said> {
        rollouts::step(&self.store, &self.root(), &self.signers(), model, step, now)
    }

    pub fn refresh(&self, now: Timestamp) -> Result<Said> {
        expiry::refresh(&self.store, &self.root(), &self.online(), Some(&self.rollout), false, now)
    }

    /// Renews a role that holders sign.
    pub fn renew(&self, role: &str, now: Timestamp) {
        let role = RoleName::new(role).unwrap();
        rotate::renew(&self.staging, &self.store, &self.published(), &role, now).unwrap();
        self.sign_by(&["anna", "ben"]).unwrap();
        self.publish(now).unwrap();
    }

    pub fn vehicle(&self) -> Vehicle {
        let (root, _) = self.store.read("metadata/1.root.json", 1 << 20).unwrap().unwrap();
        Vehicle::new(&root)
    }
}

pub fn start(model: &str, id: &str) -> Start {
    Start {
        rollout_id: Some(id.into()),
        model: model.into(),
        targets: BTreeMap::new(),
        stages: USUAL_STAGES.to_vec(),
        gates: Gates::default(),
        window: Window::default(),
        cohorts: BTreeMap::new(),
        exclude: Vec::new(),
        unit: Unit::Device,
        report_within_s: 86_400,
    }
}

pub fn slb(model: &str, version: &str, weights: &[u8]) -> Vec<u8> {
    let manifest = serde_json::json!({
        "schema": 1, "name": model, "version": version, "task": "detect", "decoder": "yolox",
        "labels": ["stop sign"],
        "input": {"width": 416, "height": 416, "colour": "bgr", "resize": {"mode": "letterbox"}},
    });
    let manifest = serde_json::to_vec(&manifest).unwrap();
    let bundle = Bundle::new(&manifest, weights, None, BTreeMap::new()).unwrap();
    let mut slb = Vec::new();
    packed::pack(&bundle, &mut slb).unwrap();
    slb
}

/// A device: its TUF store and nothing else.
pub struct Vehicle {
    pub store: MemoryStore,
}

impl Vehicle {
    pub fn new(root: &[u8]) -> Self {
        let mut store = MemoryStore::default();
        install_root(&mut store, root).unwrap();
        Self { store }
    }

    pub fn find(&mut self, store: &dyn Store, path: &str, now: Timestamp) -> Result<Found, Error> {
        let fetch = StoreFetch { store, seen: MemoryRepository::default() };
        let settings = Settings::new(day(-1));
        let mut client = Client::new(fetch, &mut self.store, Reading::Synchronised(now), settings);
        client.refresh()?.find(&TargetPath::new(path).unwrap())
    }

    /// The version that it trusts of a role.
    pub fn version(&self, role: &str) -> Option<u64> {
        let bytes = self.store.roles.get(&RoleName::new(role).unwrap())?;
        serde_json::from_slice::<serde_json::Value>(bytes).unwrap()["signed"]["version"].as_u64()
    }
}

/// The whole text of what was said.
pub fn words(said: &Said) -> String {
    said.words.join("\n")
}

pub fn read_json(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Whether the counts of the issue are asked for, in place of reduced ones.
pub fn full() -> bool {
    std::env::var_os("STOPLINE_FULL").is_some_and(|value| value == "1")
}
