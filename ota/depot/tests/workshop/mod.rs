//! A fleet's keys in one hand, so that tests can sign releases as an operator, a thief or a careless colleague would.
#![allow(dead_code, clippy::unwrap_used, clippy::missing_panics_doc, missing_docs)] // every test program uses another part of it

use std::collections::BTreeMap;

use jiff::Timestamp as Time;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use stopline_depot::campaign::{self, Brought};
use stopline_depot::digest::Digest;
use stopline_depot::release::{Content, Release};
use stopline_depot::slots::{SlotRecord, StoredEvidence};
use stopline_tuf::json::canonical;
use stopline_tuf::metadata::{DelegatedRole, Root, TargetFile, Targets};
use stopline_tuf::write::{KeyFileSigner, Signer};
use stopline_tuf::{RoleName, TargetPath};

pub fn role(name: &str) -> RoleName {
    RoleName::new(name).unwrap()
}

/// The same name, the same key.
pub fn key(name: &str) -> KeyFileSigner {
    KeyFileSigner::from_seed(&Sha256::digest(name.as_bytes()).into()).unwrap()
}

fn keys(role: &str) -> Vec<KeyFileSigner> {
    (1..=3).map(|number| key(&format!("{role}{number}"))).collect()
}

fn far() -> Time {
    "2036-01-01T00:00:00Z".parse().unwrap()
}

/// A file with these signatures over what `signed` says.
pub fn sign(signed: &impl serde::Serialize, signers: &[KeyFileSigner]) -> String {
    let signed = serde_json::to_value(signed).unwrap();
    let message = canonical(&signed).unwrap();
    let signature = |signer: &KeyFileSigner| {
        let sig: String = signer.sign(&message).unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
        json!({"keyid": signer.key().id(), "sig": sig})
    };
    let signatures: Vec<Value> = signers.iter().map(signature).collect();
    json!({"signatures": signatures, "signed": signed}).to_string()
}

/// An operator: root, targets and models 2 of 3.
pub struct Workshop {
    /// Generation of all keys but the first root's; another one after a rotation.
    pub generation: u32,
    /// Every root so far.
    pub roots: Vec<String>,
    /// Who signs for `models`.
    pub signers: Vec<KeyFileSigner>,
    /// The delegated role that lists the release.
    pub role: String,
}

impl Default for Workshop {
    fn default() -> Self {
        let mut workshop =
            Self { generation: 1, roots: Vec::new(), signers: keys("models1-"), role: "models".into() };
        workshop.publish_root(&keys("root1-"));
        workshop
    }
}

impl Workshop {
    fn publish_root(&mut self, signers: &[KeyFileSigner]) {
        let mut root = Root::new(far());
        root.version = self.roots.len() as u64 + 1;
        for name in ["root", "targets", "snapshot", "timestamp"] {
            let keys = keys(&format!("{name}{}-", self.generation));
            keys.iter().for_each(|key| root.allow(&role(name), key.key().clone()));
            root.require(&role(name), 2);
        }
        self.roots.push(sign(&root, signers));
    }

    /// The root that devices are made with.
    pub fn first_root(&self) -> &str {
        &self.roots[0]
    }

    /// New keys for everybody.
    pub fn rotate(&mut self) {
        let old = keys(&format!("root{}-", self.generation));
        self.generation += 1;
        let both: Vec<_> = old.into_iter().chain(keys(&format!("root{}-", self.generation))).collect();
        self.publish_root(&both);
        self.signers = keys(&format!("models{}-", self.generation));
    }

    /// What a slot says of `bundle`, signed.
    pub fn record(&self, bundle: &[u8], release: &Release) -> SlotRecord {
        let (generation, target) =
            (self.generation, format!("models/{}/{}.slb", release.model, release.version));
        let mut targets = Targets::new(far());
        let public = |name: &str| keys(name).iter().map(|key| key.key().clone()).collect::<Vec<_>>();
        let patterns = if self.role == "models" { ["models/*/*"] } else { ["*/*/*"] };
        let delegated = DelegatedRole::new(role(&self.role), 2, &patterns);
        targets.delegate(delegated, public(&format!("models{generation}-")));
        let mut models = Targets::new(far());
        let mut file = TargetFile::of(b"what is sent, packed");
        file.custom = serde_json::to_value(release).unwrap().as_object().cloned();
        models.add(&TargetPath::new(target.clone()).unwrap(), file);
        let evidence = StoredEvidence {
            roots: self.roots.clone(),
            targets: sign(&targets, &keys(&format!("targets{generation}-"))[..2]),
            delegated: BTreeMap::from([(self.role.clone(), sign(&models, &self.signers[..2]))]),
        };
        SlotRecord {
            schema: 1,
            digest: Digest::of(bundle),
            length: bundle.len() as u64,
            release: release.clone(),
            target,
            evidence,
        }
    }
}

/// Campaigns as `by` brings them: signed by the role `by` with the key of `signer`, under a root that is trusted.
pub fn brought(by: &str, signer: &str, document: &str) -> Brought {
    let mut targets = Targets::new(far());
    let patterns: &[&str] = if by == "campaigns" { &["campaigns/*"] } else { &["*/*"] };
    targets.delegate(DelegatedRole::new(role(by), 1, patterns).terminating(), vec![key("own").key().clone()]);
    let mut signed = Targets::new(far());
    signed.add(&TargetPath::new(campaign::PATH).unwrap(), TargetFile::of(document.as_bytes()));
    let evidence = StoredEvidence {
        roots: Workshop::default().roots,
        targets: sign(&targets, &keys("targets1-")[..2]),
        delegated: BTreeMap::from([(by.to_owned(), sign(&signed, &[key(signer)]))]),
    };
    Brought { schema: 1, device: "device-1".into(), document: document.into(), evidence }
}

/// Release `seq` of `model`, for the hardware `board`.
pub fn release(model: &str, version: &str, seq: u64, bundle: &[u8]) -> Release {
    Release {
        schema: 1,
        model: model.into(),
        version: version.parse().unwrap(),
        release_seq: seq,
        security_floor: 0,
        hardware: vec!["board".into()],
        min_runtime: "0.1.0".parse().unwrap(),
        unpacked: Content { sha256: Digest::of(bundle), length: bundle.len() as u64 },
        deltas: Vec::new(),
    }
}
