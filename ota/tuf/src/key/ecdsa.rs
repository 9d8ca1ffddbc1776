//! ECDSA over NIST P-256 with SHA-256 (FIPS 186-5); the key is PEM, the signature DER.

use p256::ecdsa::signature::Verifier;
use p256::ecdsa::{Signature, VerifyingKey};
use p256::pkcs8::DecodePublicKey;

use super::Material;

pub(super) fn read(public: &str) -> Option<Material> {
    let key = VerifyingKey::from_public_key_pem(public.trim()).ok()?;
    Some(Material::EcdsaP256(key.to_sec1_point(true).as_bytes().to_vec()))
}

pub(super) fn verifies(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let (Ok(key), Ok(signature)) = (VerifyingKey::from_sec1_bytes(key), Signature::from_der(signature))
    else {
        return false;
    };
    key.verify(message, &signature).is_ok()
}
