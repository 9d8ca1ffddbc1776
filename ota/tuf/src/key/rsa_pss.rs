//! RSASSA-PSS with SHA-256 and MGF1 of the same (RFC 8017 §8.1), salts of any length; the key is PEM.
//!
//! Only verification: the timing weakness of the crate's private-key operations (RUSTSEC-2023-0071) has nothing to leak
//! here.

use rsa::pkcs8::{DecodePublicKey, EncodePublicKey};
use rsa::pss::{Signature, VerifyingKey};
use rsa::signature::Verifier;
use rsa::traits::PublicKeyParts;
use rsa::{RsaPublicKey, sha2::Sha256};

use super::Material;

/// Below, a key is within reach of factoring; above, one signature costs seconds on a small board.
const BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

pub(super) fn read(public: &str) -> Option<Material> {
    let key = RsaPublicKey::from_public_key_pem(public.trim()).ok()?;
    let bits = key.size().checked_mul(8)?;
    BITS.contains(&bits).then(|| key.to_public_key_der().ok())?.map(|der| Material::RsaPss(der.into_vec()))
}

pub(super) fn verifies(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let (Ok(key), Ok(signature)) = (RsaPublicKey::from_public_key_der(key), Signature::try_from(signature))
    else {
        return false;
    };
    VerifyingKey::<Sha256>::new_with_auto_salt_len(key).verify(message, &signature).is_ok()
}
