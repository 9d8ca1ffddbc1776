use super::*;

/// What every store must do.
fn suite(store: &dyn Store) {
    assert!(store.read(TIMESTAMP, 100).unwrap().is_none());
    assert!(store.swap(TIMESTAMP, None, b"one").unwrap());
    assert!(!store.swap(TIMESTAMP, None, b"other").unwrap(), "it is there already");
    let (bytes, seen) = store.read(TIMESTAMP, 100).unwrap().unwrap();
    assert_eq!(bytes, b"one");
    assert!(store.swap(TIMESTAMP, Some(&seen), b"two").unwrap());
    assert!(!store.swap(TIMESTAMP, Some(&seen), b"three").unwrap(), "it is not what was seen");
    assert_eq!(store.read(TIMESTAMP, 100).unwrap().unwrap().0, b"two");
    assert!(store.read(TIMESTAMP, 2).is_err(), "longer than allowed");

    assert_eq!(store.add("metadata/1.root.json", Content::Bytes(b"root")).unwrap(), Added::New);
    assert_eq!(store.add("metadata/1.root.json", Content::Bytes(b"root")).unwrap(), Added::Same);
    assert_eq!(store.add("metadata/1.root.json", Content::Bytes(b"other")).unwrap(), Added::Other);
    assert_eq!(store.read("metadata/1.root.json", 100).unwrap().unwrap().0, b"root");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x");
    std::fs::write(&file, b"bundle").unwrap();
    assert_eq!(store.add("targets/a/b/x.slb", Content::File(&file)).unwrap(), Added::New);
    assert_eq!(store.list("metadata").unwrap(), ["1.root.json", "timestamp.json"]);
    assert_eq!(store.list("nothing").unwrap(), [""; 0]);
    let now_s = jiff::Timestamp::now().as_second();
    let ages = store.ages("targets").unwrap();
    assert!(
        matches!(&ages[..], [(path, at_s)] if path == "targets/a/b/x.slb" && (now_s - at_s).abs() < 3_600),
        "{ages:?}"
    );
    assert_eq!(store.ages("nothing").unwrap(), []);
    assert!(store.sign_put("../x", (&Digest::of(b""), 0), Duration::from_secs(1)).is_err());
    assert!(store.remove("targets/a/b/x.slb").unwrap());
    assert!(!store.remove("targets/a/b/x.slb").unwrap(), "it is gone already");
    assert!(store.read("targets/a/b/x.slb", 100).unwrap().is_none());
    assert!(store.remove("../x").is_err());
    for path in ["", "/etc/x", "../x", "a/../../x", "a//b"] {
        assert!(store.read(path, 1).is_err(), "{path:?}");
    }
}

#[test]
fn a_folder_is_a_store() {
    let folder = tempfile::tempdir().unwrap();
    suite(&LocalStore::new(folder.path().join("made")));
    let left = crate::files::names(&folder.path().join("made/metadata")).unwrap();
    assert_eq!(left, ["1.root.json", "timestamp.json"], "nothing is left over");
}

#[cfg(feature = "store")]
#[test]
fn an_object_store_is_a_store() {
    let memory = std::sync::Arc::new(object_store::memory::InMemory::new());
    suite(&ObjectStorage::of("memory", memory.clone(), object_store::path::Path::from("fleet/a")).unwrap());
    let other = ObjectStorage::of("memory", memory, object_store::path::Path::from("fleet/b")).unwrap();
    assert!(other.read(TIMESTAMP, 100).unwrap().is_none(), "prefixes keep apart");
}

/// With an S3 at hand (`STOPLINE_S3=s3://bucket/prefix` and the AWS environment), the same suite runs against it.
#[cfg(feature = "store")]
#[test]
fn an_s3_is_a_store() {
    let Ok(place) = std::env::var("STOPLINE_S3") else {
        println!("skipped: STOPLINE_S3 names no bucket");
        return;
    };
    let mut random = [0; 4];
    getrandom::fill(&mut random).unwrap();
    let place = format!("{place}/{:08x}", u32::from_be_bytes(random));
    suite(&*open(&place).unwrap());
}
