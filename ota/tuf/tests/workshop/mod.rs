//! A repository as an operator of a small fleet would have it, with all keys at hand, so that tests can play operator,
//! thief and vehicle: root, targets and models 2 of 3, rollout, campaigns, snapshot and timestamp one key each.
#![allow(dead_code)] // every test program uses another part of it

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp as Time};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use stopline_tuf::fetch::MemoryRepository;
use stopline_tuf::json::canonical;
use stopline_tuf::metadata::{DelegatedRole, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp};
use stopline_tuf::store::MemoryStore;
use stopline_tuf::time::Reading;
use stopline_tuf::write::{KeyFileSigner, Signer};
use stopline_tuf::{Client, Error, Found, MetadataFile, RoleName, Settings, TargetPath, install_root};

pub const MODEL: &str = "models/stop-sign/1.0.0.slb";
pub const ROLLOUT: &str = "rollout/stop-sign.json";

pub fn role(name: &str) -> RoleName {
    RoleName::new(name).unwrap()
}

pub fn path(path: &str) -> TargetPath {
    TargetPath::new(path).unwrap()
}

pub fn now() -> Time {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

pub fn days(days: i64) -> Time {
    now().checked_add(SignedDuration::from_hours(24 * days)).unwrap()
}

/// The same name, the same key.
pub fn key(name: &str) -> KeyFileSigner {
    KeyFileSigner::from_seed(&Sha256::digest(name.as_bytes()).into()).unwrap()
}

pub fn keys(role: &str, count: usize) -> Vec<KeyFileSigner> {
    (1..=count).map(|index| key(&format!("{role}{index}"))).collect()
}

/// A file with these signatures over whatever `signed` says, under the keys' own ids.
pub fn file(signed: &impl serde::Serialize, signers: &[KeyFileSigner]) -> Vec<u8> {
    let signed = serde_json::to_value(signed).unwrap();
    let message = canonical(&signed).unwrap();
    let signature = |signer: &KeyFileSigner| {
        let sig: String = signer.sign(&message).unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
        json!({"keyid": signer.key().id(), "sig": sig})
    };
    let signatures: Vec<Value> = signers.iter().map(signature).collect();
    serde_json::to_vec(&json!({"signatures": signatures, "signed": signed})).unwrap()
}

/// What a file says, to be changed and signed again.
pub fn said(bytes: &[u8]) -> Value {
    serde_json::from_slice::<Value>(bytes).unwrap()["signed"].clone()
}

pub struct Workshop {
    pub now: Time,
    /// Who signs for which role.
    pub signers: BTreeMap<String, Vec<KeyFileSigner>>,
    pub root: Root,
    pub targets: BTreeMap<RoleName, Targets>,
    pub snapshot: Snapshot,
    pub timestamp: Timestamp,
    pub served: MemoryRepository,
}

impl Workshop {
    pub fn new() -> Self {
        let holders = [("root", 3), ("targets", 3), ("models", 3), ("rollout", 1), ("campaigns", 1)];
        let online = [("snapshot", 1), ("timestamp", 1)];
        let all = holders.into_iter().chain(online);
        let signers: BTreeMap<_, _> = all.map(|(role, count)| (role.to_owned(), keys(role, count))).collect();
        let public = |name: &str| signers[name].iter().map(|signer| signer.key().clone()).collect::<Vec<_>>();

        let mut root = Root::new(days(365));
        for (name, threshold) in [("root", 2), ("targets", 2), ("snapshot", 1), ("timestamp", 1)] {
            public(name).into_iter().for_each(|key| root.allow(&role(name), key));
            root.require(&role(name), threshold);
        }
        let mut targets = Targets::new(days(180));
        targets.delegate(DelegatedRole::new(role("models"), 2, &["models/*/*"]), public("models"));
        targets.delegate(
            DelegatedRole::new(role("rollout"), 1, &["rollout/*"]).terminating(),
            public("rollout"),
        );
        targets.delegate(
            DelegatedRole::new(role("campaigns"), 1, &["campaigns/*"]).terminating(),
            public("campaigns"),
        );
        let (mut models, mut rollout) = (Targets::new(days(90)), Targets::new(days(7)));
        models.add(&path(MODEL), TargetFile::of(b"model 1"));
        rollout.add(&path(ROLLOUT), TargetFile::of(b"rollout 1"));
        let roles = [
            ("targets", targets),
            ("models", models),
            ("rollout", rollout),
            ("campaigns", Targets::new(days(30))),
        ];
        let mut workshop = Self {
            now: now(),
            signers,
            root,
            targets: roles.into_iter().map(|(name, targets)| (role(name), targets)).collect(),
            snapshot: Snapshot::new(days(7)),
            timestamp: Timestamp::new(MetaFile::of(1, b""), now(), days(2)),
            served: MemoryRepository::default(),
        };
        workshop.publish();
        workshop
    }

    pub fn signers(&self, role: &str) -> &[KeyFileSigner] {
        &self.signers[role]
    }

    /// Signs everything as it stands, at the versions that stand there, and serves it.
    pub fn publish(&mut self) {
        // A root that replaces another carries the signatures of both sides and is served already.
        if self.root.version == 1 {
            self.serve("root", 1, file(&self.root, self.signers("root")));
        }
        let roles: Vec<_> = self.targets.keys().cloned().collect();
        for name in roles {
            let bytes = file(&self.targets[&name], self.signers(name.as_str()));
            self.publish_targets(&name, bytes);
        }
        self.publish_snapshot();
    }

    /// Serves `bytes` as the metadata of a targets role and lists them.
    pub fn publish_targets(&mut self, name: &RoleName, bytes: Vec<u8>) {
        let version = said(&bytes)["version"].as_u64().unwrap();
        self.snapshot.list(name, MetaFile::of(version, &bytes));
        self.serve(name.as_str(), version, bytes);
    }

    /// Signs and serves snapshot and timestamp as they stand.
    pub fn publish_snapshot(&mut self) {
        let bytes = file(&self.snapshot, self.signers("snapshot"));
        let listed = MetaFile::of(self.snapshot.version, &bytes);
        self.serve("snapshot", self.snapshot.version, bytes);
        self.timestamp.meta.insert("snapshot.json".into(), listed);
        self.publish_timestamp();
    }

    pub fn publish_timestamp(&mut self) {
        let bytes = file(&self.timestamp, self.signers("timestamp"));
        self.served.files.insert(MetadataFile::unversioned(&role("timestamp")), bytes);
    }

    pub fn serve(&mut self, name: &str, version: u64, bytes: Vec<u8>) {
        self.served.files.insert(MetadataFile::versioned(&role(name), version), bytes);
    }

    /// Raises the versions of all but root, signs and serves: an honest release.
    pub fn release(&mut self) {
        self.targets.values_mut().for_each(|targets| targets.version += 1);
        self.snapshot.version += 1;
        self.timestamp.version += 1;
        self.publish();
    }

    /// Raises snapshot and timestamp alone, signs and serves.
    pub fn release_snapshot(&mut self) {
        self.snapshot.version += 1;
        self.timestamp.version += 1;
        self.publish_snapshot();
    }

    /// A new root, signed by `signers`.
    pub fn publish_root(&mut self, root: Root, signers: &[KeyFileSigner]) {
        self.serve("root", root.version, file(&root, signers));
        self.root = root;
    }

    pub fn root_file(&self, version: u64) -> &[u8] {
        &self.served.files[&MetadataFile::versioned(&role("root"), version)]
    }

    /// A vehicle fresh from the factory.
    pub fn vehicle(&self) -> Vehicle {
        let mut store = MemoryStore::default();
        install_root(&mut store, self.root_file(1)).unwrap();
        Vehicle { store, reading: Reading::Synchronised(self.now), settings: Settings::new(days(-30)) }
    }
}

/// A device: its store, its clock and its settings.
pub struct Vehicle {
    pub store: MemoryStore,
    pub reading: Reading,
    pub settings: Settings,
}

impl Vehicle {
    pub fn client(&mut self, workshop: &Workshop) -> Client<MemoryRepository, &mut MemoryStore, Reading> {
        Client::new(workshop.served.clone(), &mut self.store, self.reading, self.settings.clone())
    }

    pub fn refresh(&mut self, workshop: &Workshop) -> Result<(), Error> {
        self.client(workshop).refresh().map(|_| ())
    }

    pub fn find(&mut self, workshop: &Workshop, target: &str) -> Result<Found, Error> {
        self.client(workshop).refresh()?.find(&path(target))
    }

    /// The version that is trusted of a role.
    pub fn version(&self, name: &str) -> Option<u64> {
        self.store.roles.get(&role(name)).map(|bytes| said(bytes)["version"].as_u64().unwrap())
    }
}

/// The stable code of what went wrong.
pub fn code<T: std::fmt::Debug>(result: Result<T, Error>) -> &'static str {
    result.map_or_else(|error| error.code(), |value| panic!("accepted: {value:?}"))
}
