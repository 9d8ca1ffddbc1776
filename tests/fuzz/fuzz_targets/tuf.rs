//! Update metadata: with one file of a signed repository replaced by anything, a client and a judge find the target that
//! was signed, or none.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use stopline_fuzz::repository;
use stopline_tuf::fetch::MemoryRepository;
use stopline_tuf::judge::{Evidence, Judge};
use stopline_tuf::metadata::Hashes;
use stopline_tuf::store::MemoryStore;
use stopline_tuf::time::Reading;
use stopline_tuf::{Client, Found, MetadataFile, RoleName, Settings, install_root, json};

static HONEST: LazyLock<MemoryRepository> = LazyLock::new(repository::signed);

fuzz_target!(init: stopline_fuzz::seeds::metadata(), |bytes: &[u8]| {
    let Some((number, bytes)) = bytes.split_first() else { return };
    check_json(bytes);
    let mut served = HONEST.clone();
    let names: Vec<MetadataFile> = served.files.keys().cloned().collect();
    // One number more than there are files: the root that would follow.
    let next_root = MetadataFile::versioned(&RoleName::root(), 2);
    let replaced = names.get(usize::from(*number)).unwrap_or(&next_root).clone();
    served.files.insert(replaced, bytes.to_vec());
    check_client(&served);
    check_judge(&served);
});

fn check_json(bytes: &[u8]) {
    let Ok(value) = json::parse(bytes) else { return };
    let written = serde_json::to_vec(&value).expect("a value can be written");
    assert_eq!(json::parse(&written).expect("what was written is accepted"), value);
    json::canonical(&value).expect("what is read has a canonical form");
}

fn check_client(served: &MemoryRepository) {
    let mut store = MemoryStore::default();
    let root = MetadataFile::versioned(&RoleName::root(), 1);
    install_root(&mut store, &HONEST.files[&root]).expect("the honest root is good");
    let _ = install_root(&mut MemoryStore::default(), &served.files[&root]);
    let clock = Reading::Synchronised(repository::now());
    let mut client = Client::new(served.clone(), store, clock, Settings::new(repository::now()));
    if let Ok(found) = client.refresh().and_then(|mut session| session.find(&repository::model())) {
        check_found(&found);
    }
}

fn check_judge(served: &MemoryRepository) {
    let file = |role: &str, version| {
        let name = MetadataFile::versioned(&RoleName::new(role).expect("a good name"), version);
        served.files.get(&name).cloned()
    };
    let models = RoleName::new("models").expect("a good name");
    let evidence = Evidence {
        roots: [file("root", 1), file("root", 2)].into_iter().flatten().collect(),
        targets: file("targets", 1).unwrap_or_default(),
        delegated: file("models", 1).into_iter().map(|bytes| (models.clone(), bytes)).collect(),
    };
    let root = MetadataFile::versioned(&RoleName::root(), 1);
    let judge = Judge::new(&HONEST.files[&root]).expect("the honest root is good");
    if let Ok(judgement) = judge.find(&evidence, &repository::model()) {
        check_found(&judgement.found);
    }
}

fn check_found(found: &Found) {
    assert_eq!(found.file.hashes, Hashes::sha256_of(b"the model"));
    found.provided_by(&RoleName::new("models").expect("a good name"), "models/*/*").expect("the role that was signed");
}
