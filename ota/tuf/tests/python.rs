//! The reference implementation, python-tuf, reads what we write, and we read what it writes: rotations, thresholds and
//! delegations included. Needs `tuf` and `securesystemslib[crypto]` in the Python that `STOPLINE_PYTHON` names.
#![allow(clippy::unwrap_used)] // what cannot be prepared fails the test
#![cfg(all(feature = "write", feature = "ecdsa", feature = "rsa-pss"))]

mod needs;
mod workshop;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use stopline_tuf::fetch::FolderRepository;
use stopline_tuf::metadata::{DelegatedRole, MetaFile, TargetFile, Targets};
use stopline_tuf::store::FolderStore;
use stopline_tuf::time::Reading;
use stopline_tuf::write::Signer;
use stopline_tuf::{Client, Settings, TargetPath, install_root};
use workshop::{MODEL, Workshop, days, file, key, keys, path, role};

fn script(name: &str, arguments: &[&Path], targets: &[&str]) -> Option<Value> {
    let python = needs::python_with("tuf.ngclient, securesystemslib.signer, cryptography")?;
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests").join("python").join(name);
    let output = Command::new(python).arg(script).args(arguments).args(targets).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn what_python_tuf_wrote_is_found_role_by_role() {
    let folder = tempfile::tempdir().unwrap();
    let repository = folder.path().join("repository");
    let Some(expected) = script("write_repository.py", &[&repository], &[]) else { return };
    let mut store = FolderStore::open(folder.path().join("store")).unwrap();
    install_root(&mut store, &std::fs::read(repository.join("metadata/1.root.json")).unwrap()).unwrap();
    let built = "2024-01-01T00:00:00Z".parse().unwrap();
    let fetch = FolderRepository::new(repository.join("metadata"));
    let clock = Reading::Synchronised(jiff::Timestamp::now());
    let mut client = Client::new(fetch, store, clock, Settings::new(built));
    let mut session = client.refresh().unwrap();
    assert_eq!(session.root().version, 2);
    let expected = expected.as_object().unwrap();
    assert_eq!(expected.len(), 8);
    for (path, expected) in expected {
        let found = session.find(&TargetPath::new(path.as_str()).unwrap()).unwrap();
        assert_eq!(found.role.as_str(), expected["role"], "{path}");
        assert_eq!(found.file.hashes.by("sha256"), expected["sha256"].as_str(), "{path}");
        assert_eq!(found.file.length, expected["length"].as_u64().unwrap());
    }
    let model = session.find(&path(MODEL)).unwrap();
    assert_eq!(model.role_version, 5);
    assert_eq!(model.file.custom.as_ref().unwrap()["release_seq"], 7);
    let evidence = session.evidence(&model, 1).unwrap();
    let judge = stopline_tuf::judge::Judge::new(&evidence.roots[0]).unwrap();
    assert_eq!(judge.find(&evidence, &path(MODEL)).unwrap().found, model);
}

/// Writes what the workshop serves, and the contents of targets.
fn write(workshop: &Workshop, folder: &Path, contents: &[(&str, &[u8])]) {
    std::fs::create_dir_all(folder.join("metadata")).unwrap();
    for (name, bytes) in &workshop.served.files {
        std::fs::write(folder.join("metadata").join(name.as_str()), bytes).unwrap();
    }
    for (target, content) in contents {
        let file = TargetFile::of(content);
        let place = folder.join("targets").join(path(target).url_path(file.hashes.by("sha256")));
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::write(place, content).unwrap();
    }
}

#[test]
fn python_tuf_finds_what_we_wrote_through_rotations_and_delegations() {
    let folder = tempfile::tempdir().unwrap();
    let (repository, cache) = (folder.path().join("repository"), folder.path().join("cache"));
    let mut workshop = Workshop::new();
    // It goes by the clock of this machine, and reads times in whole seconds only.
    let today = jiff::Timestamp::now();
    let day = jiff::SignedDuration::from_hours(24);
    let soon = stopline_tuf::write::whole_seconds(today.checked_add(day).unwrap());
    workshop.root.expires = soon;
    workshop.snapshot.expires = soon;
    (workshop.timestamp.expires, workshop.timestamp.signed_at) =
        (soon, Some(stopline_tuf::write::whole_seconds(today)));
    workshop.targets.values_mut().for_each(|targets| targets.expires = soon);

    let odd = role("../odd name?");
    workshop.signers.insert(odd.to_string(), keys("odd", 1));
    let mut inner = Targets::new(soon);
    inner.add(&path("models/odd/x.slb"), TargetFile::of(b"odd"));
    workshop.targets.insert(odd.clone(), inner);
    let models = workshop.targets.get_mut(&role("models")).unwrap();
    let delegation = DelegatedRole::new(odd, 1, &["models/odd/*.slb"]).terminating();
    models.delegate(delegation, vec![key("odd1").key().clone()]);
    for name in ["models/x/a", "models/x/a b", "models/x/a!", "models/\u{212a}/e\u{301}"] {
        models.add(&path(name), TargetFile::of(name.as_bytes()));
    }
    workshop.publish();
    let contents: [(&str, &[u8]); 3] =
        [(MODEL, b"model 1"), ("models/odd/x.slb", b"odd"), ("models/x/a", b"models/x/a")];
    write(&workshop, &repository, &contents);
    let wanted = [MODEL, "models/odd/x.slb", "models/x/a", "models/x/none"];
    let Some(first) = script("read_repository.py", &[&repository, &cache], &wanted) else { return };
    for (target, content) in contents {
        assert_eq!(first[target].as_str(), TargetFile::of(content).hashes.by("sha256"), "{first}");
    }
    assert_eq!(first["models/x/none"], Value::Null);

    // Every key changes, and a new model comes.
    for name in ["timestamp", "snapshot", "targets", "root"] {
        let mut root = workshop.root.next(soon);
        root.roles[name].keyids.clone().iter().for_each(|id| root.revoke(&role(name), id));
        let new = keys(&format!("new-{name}"), workshop.signers(name).len());
        new.iter().for_each(|signer| root.allow(&role(name), signer.key().clone()));
        let mut holders = keys("root", 3);
        if name == "root" {
            holders.extend(keys("new-root", 3));
        }
        workshop.signers.insert(name.into(), new);
        workshop.publish_root(root, &holders);
    }
    workshop.signers.insert("models".into(), keys("new-models", 3));
    let public: Vec<_> = workshop.signers("models").iter().map(|signer| signer.key().clone()).collect();
    let delegation = DelegatedRole::new(role("models"), 2, &["models/*/*"]);
    workshop.targets.get_mut(&role("targets")).unwrap().delegate(delegation, public);
    workshop.targets.get_mut(&role("models")).unwrap().add(&path(MODEL), TargetFile::of(b"model 2"));
    workshop.release();
    write(&workshop, &repository, &[(MODEL, b"model 2")]);
    let second = script("read_repository.py", &[&repository, &cache], &[MODEL]).unwrap();
    assert_eq!(second[MODEL].as_str(), TargetFile::of(b"model 2").hashes.by("sha256"), "{second}");

    // And both refuse the same thing: a model signed by one holder of two.
    let models = &workshop.targets[&role("models")];
    let lone = file(models, &keys("new-models", 1));
    workshop.snapshot.list(&role("models"), MetaFile::of(models.version, &lone));
    workshop.serve("models", models.version, lone);
    workshop.release_snapshot();
    write(&workshop, &repository, &[]);
    let fresh = folder.path().join("fresh");
    let refused = script("read_repository.py", &[&repository, &fresh], &[MODEL]).unwrap();
    assert_eq!(refused["error"], "UnsignedMetadataError", "{refused}");
    let mut vehicle = workshop.vehicle();
    vehicle.reading = Reading::Synchronised(today);
    vehicle.settings.not_before = days(-300);
    assert_eq!(workshop::code(vehicle.find(&workshop, MODEL)), "signatures");
}
