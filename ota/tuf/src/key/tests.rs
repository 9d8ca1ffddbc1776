use super::*;
use crate::hex;

/// RFC 8032 §7.1, test 3.
const PUBLIC: &str = "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025";
const SIGNATURE: &str = "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a";

fn key(public: &str) -> Key {
    Key::new("ed25519", "ed25519", public.into())
}

#[test]
fn ed25519_is_that_of_the_rfc() {
    let signature = hex::decode(SIGNATURE).unwrap();
    assert!(key(PUBLIC).verifies(&[0xaf, 0x82], &signature));
    assert!(!key(PUBLIC).verifies(&[0xaf, 0x83], &signature));
    for length in [0, 63, 65] {
        let mut other = signature.clone();
        other.resize(length, 0);
        assert!(!key(PUBLIC).verifies(&[0xaf, 0x82], &other), "{length} bytes");
    }
}

#[test]
fn a_signature_has_one_spelling() {
    // S + L, L the order of the group: the same point, another number.
    let mut signature = hex::decode(SIGNATURE).unwrap();
    let order = hex::decode("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010").unwrap();
    let mut carry = 0_u16;
    for (byte, add) in signature[32..].iter_mut().zip(order) {
        carry += u16::from(*byte) + u16::from(add);
        *byte = u8::try_from(carry & 0xff).unwrap();
        carry >>= 8;
    }
    assert!(!key(PUBLIC).verifies(&[0xaf, 0x82], &signature));
}

#[test]
fn a_key_that_would_sign_everything_is_none() {
    // Points of small order, among them the erased file of zeros.
    for point in [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    ] {
        assert_eq!(key(point).material(), None, "{point}");
        assert!(!key(point).verifies(b"", &[0; 64]));
    }
}

#[test]
fn a_key_that_is_not_understood_verifies_nothing_and_is_carried_along() {
    for public in ["", "zz", "00", &PUBLIC[2..], &format!("{PUBLIC}00"), "é"] {
        assert_eq!(key(public).material(), None, "{public:?}");
    }
    let future: Key = serde_json::from_str(
        r#"{"keytype":"ml-dsa","scheme":"ml-dsa-65/1","keyval":{"public":"ab","extra":1},"keyid_hash_algorithms":["sha256"]}"#,
    )
    .unwrap();
    assert!(!future.verifies(b"", b""));
    assert_eq!(serde_json::to_value(&future).unwrap()["keyval"]["extra"], 1);
    // The scheme is part of the key: one of another scheme is another key.
    assert_eq!(Key::new("ed25519", "ed25519ph", PUBLIC.into()).material(), None);
}

#[test]
fn an_id_is_the_digest_of_the_canonical_key() {
    // TUF §4.2, computed by securesystemslib 1.6.0.
    assert_eq!(key(PUBLIC).id().as_str(), ID);
}

const ID: &str = "e45b8d1fab21a7a7550adbca559eade41e36a398f14a577f8766ec32bf237101";

#[cfg(feature = "ecdsa")]
#[test]
fn ecdsa_keys_of_both_spellings_are_one_and_broken_ones_are_none() {
    use p256::ecdsa::signature::Signer;
    use p256::pkcs8::{EncodePublicKey, LineEnding};
    let secret = p256::ecdsa::SigningKey::from_slice(&[7; 32]).unwrap();
    let public = p256::PublicKey::from(secret.verifying_key());
    let pem = public.to_public_key_pem(LineEnding::LF).unwrap();
    let signature: p256::ecdsa::Signature = secret.sign(b"message");
    let key = Key::ecdsa_p256(pem.as_str());
    assert!(key.verifies(b"message", signature.to_der().as_bytes()));
    assert!(!key.verifies(b"massage", signature.to_der().as_bytes()));
    assert!(!key.verifies(b"message", &signature.to_bytes()), "not DER");
    let legacy = Key::new("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256", pem.replace('\n', "\r\n"));
    assert_eq!(legacy.material(), key.material());
    assert_ne!(legacy.id(), key.id());
    for broken in ["", "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n", &pem[..60]] {
        assert_eq!(Key::ecdsa_p256(broken).material(), None);
    }
}
