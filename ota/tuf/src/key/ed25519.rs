//! ed25519 (RFC 8032), verified strictly: small-order keys and signatures in more than one spelling are refused, so
//! that no key signs everything.

use ed25519_dalek::{Signature, VerifyingKey};

use super::Material;
use crate::hex;

pub(super) fn read(public: &str) -> Option<Material> {
    let bytes: [u8; 32] = hex::decode(public)?.try_into().ok()?;
    let key = VerifyingKey::from_bytes(&bytes).ok()?;
    (!key.is_weak()).then_some(Material::Ed25519(bytes))
}

pub(super) fn verifies(key: &[u8; 32], message: &[u8], signature: &[u8]) -> bool {
    let (Ok(key), Ok(signature)) = (VerifyingKey::from_bytes(key), Signature::from_slice(signature)) else {
        return false;
    };
    key.verify_strict(message, &signature).is_ok()
}
