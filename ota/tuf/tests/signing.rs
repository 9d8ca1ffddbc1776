//! Several holders sign one file on several machines; a program and an HSM sign too.
#![allow(clippy::unwrap_used)] // what cannot be prepared fails the test
#![cfg(feature = "write")]

mod needs;
mod workshop;

use std::process::Command;

use serde_json::Map;
use stopline_tuf::key::Key;
use stopline_tuf::metadata::{
    DelegatedRole, Hashes, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp,
};
use stopline_tuf::write::{Authority, CommandSigner, Draft, KeyFileSigner, Publication, Signer, prove};
use stopline_tuf::{Error, fetch::MemoryRepository};
use workshop::{MODEL, days, file, key, keys, now, path, role};

fn root() -> Root {
    let mut root = Root::new(days(365));
    for name in ["root", "targets"] {
        keys(name, 3).iter().for_each(|signer| root.allow(&role(name), signer.key().clone()));
        root.require(&role(name), 2);
    }
    for name in ["snapshot", "timestamp"] {
        root.allow(&role(name), key(&format!("{name}1")).key().clone());
    }
    root
}

/// The file travels as bytes; each holder has their own key only.
fn hand_round(mut draft: Draft<Root>, holders: &[KeyFileSigner], authority: &Root) -> Draft<Root> {
    for holder in holders {
        let bytes = draft.to_bytes();
        draft = Draft::read(role("root"), &bytes).unwrap();
        draft.sign(holder, Authority::Root(authority)).unwrap();
    }
    draft
}

#[test]
fn three_holders_sign_one_root_and_a_rotation_needs_both_sides() {
    let first = root();
    let draft = Draft::new(role("root"), first.clone()).unwrap();
    assert!(!draft.standing(Authority::Root(&first)).unwrap().complete());
    let draft = hand_round(draft, &keys("root", 2), &first);
    let standing = draft.standing(Authority::Root(&first)).unwrap();
    assert!(standing.complete());
    assert_eq!((standing.valid, standing.waiting.len()), (2, 1));

    let mut second = first.next(days(700));
    let lost = key("root3");
    second.revoke(&role("root"), &lost.key().id());
    second.allow(&role("root"), key("root4").key().clone());
    let draft = Draft::new(role("root"), second.clone()).unwrap();
    let error = draft.clone().sign(&lost, Authority::Root(&second)).unwrap_err();
    assert!(error.to_string().contains("does not name it"), "{error}");
    let draft = hand_round(draft, &[key("root1")], &first);
    let draft = hand_round(draft, &[key("root4")], &second);
    assert_eq!(draft.standing(Authority::Root(&first)).unwrap().valid, 1);
    assert_eq!(draft.standing(Authority::Root(&second)).unwrap().valid, 2);
    let draft = hand_round(draft, &[key("root2")], &second);
    assert!(draft.standing(Authority::Root(&first)).unwrap().complete());
}

#[test]
fn a_whole_repository_is_made_signed_proved_and_published_in_order() {
    let root = root();
    let mut targets = Targets::new(days(180));
    let holders: Vec<_> = keys("models", 3).iter().map(|signer| signer.key().clone()).collect();
    targets.delegate(DelegatedRole::new(role("models"), 2, &["models/*/*"]), holders);
    let mut models = Targets::new(days(90));
    let custom = Map::from_iter([("release_seq".to_owned(), 1.into())]);
    models.add(&path(MODEL), TargetFile::read(&b"model 1"[..]).unwrap().with_custom(custom));

    let by_root = Authority::Root(&root);
    let mut root_file = Draft::new(role("root"), root.clone()).unwrap();
    keys("root", 2).iter().for_each(|holder| root_file.sign(holder, by_root).unwrap());
    let mut targets_file = Draft::new(role("targets"), targets.clone()).unwrap();
    keys("targets", 2).iter().for_each(|holder| targets_file.sign(holder, by_root).unwrap());
    let top = role("targets");
    let by_targets = Authority::Delegator(&targets, &top);
    let mut models_file = Draft::new(role("models"), models).unwrap();
    assert!(matches!(models_file.sign(&key("rollout1"), by_targets), Err(Error::Signer { .. })));
    keys("models", 2).iter().for_each(|holder| models_file.sign(holder, by_targets).unwrap());

    let mut snapshot = Snapshot::new(days(7));
    snapshot.list(&role("targets"), MetaFile::of(1, &targets_file.to_bytes()));
    snapshot.list(&role("models"), MetaFile::of(1, &models_file.to_bytes()));
    let mut snapshot_file = Draft::new(role("snapshot"), snapshot).unwrap();
    snapshot_file.sign(&key("snapshot1"), by_root).unwrap();
    let timestamp = Timestamp::new(MetaFile::of(1, &snapshot_file.to_bytes()), now(), days(2));
    let mut timestamp_file = Draft::new(role("timestamp"), timestamp).unwrap();
    timestamp_file.sign(&key("timestamp1"), by_root).unwrap();

    let publication = Publication::new().root(&root_file).targets(&targets_file).targets(&models_file);
    let files = publication.snapshot(&snapshot_file).timestamp(&timestamp_file);
    let names: Vec<_> = files.iter().map(|(name, _)| name.to_string()).collect();
    assert_eq!(
        names,
        ["1.root.json", "1.targets.json", "1.models.json", "1.snapshot.json", "timestamp.json"]
    );
    let repository = MemoryRepository { files: files.into_iter().collect() };
    let found = prove(&repository, &root_file.to_bytes(), None, now(), &[path(MODEL)]).unwrap();
    assert_eq!(found[0].role, role("models"));
    assert_eq!(found[0].file.hashes, Hashes::sha256_of(b"model 1"));
    // The same files a month later are no good, and the proof says so before a vehicle does.
    let late = prove(&repository, &root_file.to_bytes(), None, days(30), &[path(MODEL)]);
    assert_eq!(late.unwrap_err().code(), "expired");
}

#[test]
fn what_would_be_refused_is_not_even_drafted() {
    let mut root = root();
    root.require(&role("timestamp"), 0);
    assert_eq!(Draft::new(role("root"), root).unwrap_err().code(), "malformed");
    let mut targets = Targets::new(days(1));
    targets.delegate(DelegatedRole::new(role("timestamp"), 1, &["*"]), vec![key("x").key().clone()]);
    assert_eq!(Draft::new(role("targets"), targets).unwrap_err().code(), "malformed");
}

#[test]
fn a_file_whose_spelling_would_not_survive_is_not_signed() {
    let mut said = serde_json::to_value(Targets::new(days(1))).unwrap();
    said["expires"] = "2026-11-22T12:00:00.000Z".into();
    let bytes = file(&said, &keys("targets", 1));
    let error = Draft::<Targets>::read(role("targets"), &bytes).unwrap_err();
    assert!(error.to_string().contains("spelling"), "{error}");
    // Keys that nobody knows survive.
    let mut said = serde_json::to_value(Targets::new(days(1))).unwrap();
    said["later"] = serde_json::json!({"b": [1, "é"], "a": null});
    Draft::<Targets>::read(role("targets"), &file(&said, &keys("targets", 1))).unwrap();
}

/// A signer that returns something else than a signature over what it was given.
struct Wrong(Key, Vec<u8>);

impl Signer for Wrong {
    fn key(&self) -> &Key {
        &self.0
    }

    fn sign(&self, _message: &[u8]) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
        Ok(self.1.clone())
    }
}

#[test]
fn what_a_signer_returns_is_verified_before_it_is_used() {
    let root = root();
    let honest = key("root1");
    let other = honest.sign(b"something else").unwrap();
    for signature in [vec![], vec![0; 64], other] {
        let mut draft = Draft::new(role("root"), root.clone()).unwrap();
        let error = draft.sign(&Wrong(honest.key().clone(), signature), Authority::Root(&root)).unwrap_err();
        assert!(error.to_string().contains("not its signature"), "{error}");
        assert_eq!(draft.signed_by().count(), 0);
    }
}

#[test]
fn a_command_that_fails_floods_or_is_missing_signs_nothing() {
    let root = root();
    let public = key("root1").key().clone();
    let run = |program: &str, arguments: &[&str]| {
        let signer =
            CommandSigner::new(program, arguments.iter().map(|a| (*a).to_owned()).collect(), public.clone());
        let mut draft = Draft::new(role("root"), root.clone()).unwrap();
        draft.sign(&signer, Authority::Root(&root)).unwrap_err().to_string()
    };
    for (arguments, expected) in [
        (&["-c", "exit 3"][..], "exit status: 3"),
        (&["-c", "cat > /dev/null; head -c 100000 /dev/zero"], "more than 1024 bytes"),
        (&["-c", "cat > /dev/null"], "wrote nothing"),
        (&["-c", "cat > /dev/null; head -c 64 /dev/zero"], "not its signature"),
    ] {
        let error = run("sh", arguments);
        assert!(error.contains(expected), "{error}");
    }
    assert!(run("/nowhere/signer", &[]).contains("cannot be started"));
}

/// openssl reads our key file, and signs as a command.
#[test]
fn openssl_reads_our_key_file() {
    let Some(openssl) = needs::program("openssl") else { return };
    let folder = tempfile::tempdir().unwrap();
    let ours = folder.path().join("ours.pem");
    std::fs::write(&ours, key("root1").to_pem("correct horse").unwrap().as_bytes()).unwrap();
    let output = Command::new(&openssl)
        .args(["pkey", "-passin", "pass:correct horse", "-pubout", "-outform", "DER", "-in"])
        .arg(&ours)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let public: [u8; 32] = output.stdout[output.stdout.len() - 32..].try_into().unwrap();
    assert_eq!(&Key::ed25519(&public), key("root1").key());

    let theirs = folder.path().join("theirs.pem");
    let made = Command::new(&openssl)
        .args(["genpkey", "-algorithm", "ed25519", "-aes256", "-pass", "pass:other", "-out"])
        .arg(&theirs)
        .status()
        .unwrap();
    assert!(made.success());
    let pem = std::fs::read_to_string(&theirs).unwrap();
    KeyFileSigner::from_pem(&pem, Some("other")).unwrap();
}

#[cfg(feature = "ecdsa")]
#[test]
fn openssl_signs_as_a_command_with_an_ecdsa_key() {
    let Some(openssl) = needs::program("openssl") else { return };
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("ec.pem");
    let made = Command::new(&openssl)
        .args(["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out"])
        .arg(&secret)
        .output()
        .unwrap();
    assert!(made.status.success());
    let public = Command::new(&openssl).args(["pkey", "-pubout", "-in"]).arg(&secret).output().unwrap();
    let key = Key::ecdsa_p256(String::from_utf8(public.stdout).unwrap());
    let arguments = ["dgst", "-sha256", "-sign", secret.to_str().unwrap()].map(str::to_owned).into();
    let signer = CommandSigner::new(openssl.to_str().unwrap(), arguments, key.clone());
    let mut root = root();
    root.allow(&role("root"), key);
    let mut draft = Draft::new(role("root"), root.clone()).unwrap();
    draft.sign(&signer, Authority::Root(&root)).unwrap();
    assert_eq!(draft.standing(Authority::Root(&root)).unwrap().valid, 1);
}
