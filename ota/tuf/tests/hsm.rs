//! Keys in SoftHSM2 (Debian: softhsm2), through PKCS#11.
#![allow(clippy::unwrap_used)] // what cannot be prepared fails the test
#![cfg(feature = "pkcs11")]

mod needs;
mod workshop;

use std::path::Path;
use std::process::Command;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::Attribute;
use cryptoki::session::UserType;
use cryptoki::types::AuthPin;
use stopline_tuf::metadata::Root;
use stopline_tuf::token::{Pkcs11Error, Pkcs11Signer};
use stopline_tuf::write::{Authority, Draft, Signer};
use workshop::{days, key, role};

const LIBRARIES: [&str; 2] = ["/usr/lib/softhsm/libsofthsm2.so", "/usr/local/lib/softhsm/libsofthsm2.so"];
const PIN: &str = "1234";

#[test]
fn an_hsm_signs() {
    let Some(library) = LIBRARIES.into_iter().find(|path| Path::new(path).exists()) else {
        return needs::skip("no SoftHSM2").unwrap_or_default();
    };
    // SoftHSM reads where its tokens lie from the environment, which is set for a process of its own.
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens");
    std::fs::create_dir(&tokens).unwrap();
    let config = folder.path().join("softhsm2.conf");
    std::fs::write(&config, format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens.display()))
        .unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "in_the_childs_process", "--ignored", "--nocapture"])
        .env("SOFTHSM2_CONF", &config)
        .env("STOPLINE_TEST_HSM", library)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{said}\n{}", String::from_utf8_lossy(&child.stderr));
    assert!(said.contains("1 passed") && said.contains("signed by"), "{said}");
    said.lines().filter(|line| line.contains("signed by")).for_each(|line| println!("{line}"));
}

#[test]
#[ignore = "run by an_hsm_signs in a process of its own"]
fn in_the_childs_process() {
    let library = std::env::var("STOPLINE_TEST_HSM").unwrap();
    let library = Path::new(&library);
    let kinds = make_keys(library);
    let mut root = Root::new(days(365));
    root.allow(&role("root"), key("root1").key().clone());
    for label in &kinds {
        let signer = Pkcs11Signer::open(library, "holder", label, PIN).unwrap();
        root.allow(&role("root"), signer.key().clone());
    }
    let mut draft = Draft::new(role("root"), root.clone()).unwrap();
    for label in &kinds {
        let signer = Pkcs11Signer::open(library, "holder", label, PIN).unwrap();
        draft.sign(&signer, Authority::Root(&root)).unwrap();
        println!("signed by {} in SoftHSM2", signer.key().scheme);
    }
    assert_eq!(draft.standing(Authority::Root(&root)).unwrap().valid, kinds.len());

    let refused =
        |token: &str, label: &str, pin: &str| Pkcs11Signer::open(library, token, label, pin).unwrap_err();
    assert!(matches!(refused("other", &kinds[0], PIN), Pkcs11Error::NoToken(_)));
    assert!(matches!(refused("holder", "none", PIN), Pkcs11Error::NotOneKey { found: 0, .. }));
    assert!(matches!(refused("holder", &kinds[0], "4321"), Pkcs11Error::Token(_)));
}

/// Initialises the token and makes a key of each kind it has; returns their labels.
fn make_keys(library: &Path) -> Vec<String> {
    let hsm = Pkcs11::new(library).unwrap();
    hsm.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
    let slot = hsm.get_slots_with_token().unwrap()[0];
    let officer = AuthPin::new("0000".into());
    hsm.init_token(slot, &officer, "holder").unwrap();
    let slot = hsm.get_slots_with_initialized_token().unwrap()[0];
    let session = hsm.open_rw_session(slot).unwrap();
    session.login(UserType::So, Some(&officer)).unwrap();
    session.init_pin(&AuthPin::new(PIN.into())).unwrap();
    session.logout().unwrap();
    session.login(UserType::User, Some(&AuthPin::new(PIN.into()))).unwrap();
    // The curves as object identifiers: prime256v1, and ed25519 of RFC 8410.
    let p256 = vec![0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
    let ed25519 = vec![0x06, 0x03, 0x2b, 0x65, 0x70];
    let mut labels = Vec::new();
    for (label, mechanism, curve) in
        [("ecdsa", Mechanism::EccKeyPairGen, p256), ("ed25519", Mechanism::EccEdwardsKeyPairGen, ed25519)]
    {
        let name = || [Attribute::Label(label.into()), Attribute::Id(label.into()), Attribute::Token(true)];
        let public = [&name()[..], &[Attribute::EcParams(curve), Attribute::Verify(true)]].concat();
        let private = [
            &name()[..],
            &[Attribute::Sign(true), Attribute::Sensitive(true), Attribute::Extractable(false)],
        ]
        .concat();
        match session.generate_key_pair(&mechanism, &public, &private) {
            Ok((_, handle)) => {
                if label == "ed25519" {
                    let scheme = Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Ed25519));
                    session.sign(&scheme, handle, b"x").unwrap();
                }
                labels.push(label.to_owned());
            }
            Err(error) => drop(needs::skip::<()>(&format!("SoftHSM2 makes no {label} key: {error}"))),
        }
    }
    assert!(!labels.is_empty());
    labels
}
