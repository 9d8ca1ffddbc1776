//! A small signed repository: one model, vouched for by a delegated role.

use stopline_tuf::fetch::MemoryRepository;
use stopline_tuf::metadata::{DelegatedRole, MetaFile, Metadata, Root, Snapshot, TargetFile, Targets, Timestamp};
use stopline_tuf::write::{Authority, Draft, KeyFileSigner, Publication, Signer};
use stopline_tuf::{RoleName, TargetPath};

/// The model's path.
pub fn model() -> TargetPath {
    TargetPath::new("models/a/1.slb").expect("a good path")
}

/// When it was made, for ever fresh.
pub fn now() -> jiff::Timestamp {
    jiff::Timestamp::from_second(1_790_000_000).expect("a good time")
}

/// The repository.
pub fn signed() -> MemoryRepository {
    let key = KeyFileSigner::from_seed(&std::array::from_fn(|at| at as u8)).expect("a good seed");
    let models = RoleName::new("models").expect("a good name");
    let until = jiff::Timestamp::from_second(4_000_000_000).expect("a good time");
    let top = [RoleName::root(), RoleName::targets(), RoleName::snapshot(), RoleName::timestamp()];
    let [root_name, targets_name, snapshot_name, timestamp_name] = top.clone();

    let mut root = Root::new(until);
    top.iter().for_each(|role| root.allow(role, key.key().clone()));
    let by_root = Authority::Root(&root);
    let root_file = sign(&key, &root_name, root.clone(), by_root);
    let mut targets = Targets::new(until);
    targets.delegate(DelegatedRole::new(models.clone(), 1, &["models/*/*"]), vec![key.key().clone()]);
    let targets_file = sign(&key, &targets_name, targets.clone(), by_root);
    let mut listed = Targets::new(until);
    listed.add(&model(), TargetFile::of(b"the model"));
    let models_file = sign(&key, &models, listed, Authority::Delegator(&targets, &targets_name));

    // Neither length nor digests, so that other bytes of these files reach the reader.
    let bare = || MetaFile { length: None, hashes: None, ..MetaFile::of(1, b"") };
    let mut snapshot = Snapshot::new(until);
    snapshot.list(&targets_name, bare());
    snapshot.list(&models, bare());
    let snapshot_file = sign(&key, &snapshot_name, snapshot, by_root);
    let timestamp_file = sign(&key, &timestamp_name, Timestamp::new(bare(), now(), until), by_root);
    let publication = Publication::new().root(&root_file).targets(&targets_file).targets(&models_file);
    let files = publication.snapshot(&snapshot_file).timestamp(&timestamp_file);
    MemoryRepository { files: files.into_iter().collect() }
}

fn sign<T: Metadata>(key: &KeyFileSigner, role: &RoleName, said: T, by: Authority<'_>) -> Draft<T> {
    let mut draft = Draft::new(role.clone(), said).expect("a good form");
    draft.sign(key, by).expect("the key may sign");
    draft
}
