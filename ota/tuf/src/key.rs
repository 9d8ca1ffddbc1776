//! Public keys, and whether a signature is theirs (TUF §4.2).
//!
//! ed25519 is always understood; ECDSA P-256 and RSA-PSS behind the features `ecdsa` and `rsa-pss`, for operators whose
//! keys live in a KMS or HSM. A key of any other type, or one that cannot be read, is carried along and never verifies
//! anything: a repository may begin to use a new type before every client knows it.

#[cfg(feature = "ecdsa")]
mod ecdsa;
mod ed25519;
#[cfg(feature = "rsa-pss")]
mod rsa_pss;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::name::{KeyId, canonical_of, key_id_of};

/// A public key as metadata carries it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Key {
    /// `ed25519`, `ecdsa`, `rsa`, …
    pub keytype: String,
    /// How it signs: `ed25519`, `ecdsa-sha2-nistp256`, `rsassa-pss-sha256`, …
    pub scheme: String,
    /// The key itself.
    pub keyval: KeyValue,
    /// What else stands there.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The key itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeyValue {
    /// ed25519: 32 bytes in hexadecimal; ECDSA and RSA: `SubjectPublicKeyInfo` in PEM.
    pub public: String,
    /// What else stands there.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// What a key is beneath its id and its spelling: two keys of one material count once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Material {
    /// The 32 bytes of RFC 8032.
    Ed25519([u8; 32]),
    /// The point in SEC 1 form.
    #[cfg(feature = "ecdsa")]
    EcdsaP256(Vec<u8>),
    /// The DER of `SubjectPublicKeyInfo`.
    #[cfg(feature = "rsa-pss")]
    RsaPss(Vec<u8>),
}

impl Key {
    /// An ed25519 key.
    pub fn ed25519(public: &[u8; 32]) -> Self {
        Self::new("ed25519", "ed25519", crate::hex::encode(public))
    }

    /// An ECDSA P-256 key from its `SubjectPublicKeyInfo` in PEM.
    pub fn ecdsa_p256(pem: impl Into<String>) -> Self {
        Self::new("ecdsa", "ecdsa-sha2-nistp256", pem.into())
    }

    /// An RSA key for PSS with SHA-256 from its `SubjectPublicKeyInfo` in PEM.
    pub fn rsa_pss(pem: impl Into<String>) -> Self {
        Self::new("rsa", "rsassa-pss-sha256", pem.into())
    }

    fn new(keytype: &str, scheme: &str, public: String) -> Self {
        let keyval = KeyValue { public, extra: Map::new() };
        Self { keytype: keytype.into(), scheme: scheme.into(), keyval, extra: Map::new() }
    }

    /// The id that TUF §4.2 gives it: SHA-256 of its canonical form. Metadata may declare another; that is a label.
    ///
    /// # Panics
    /// Never: a key read from metadata or made here holds no fractions.
    pub fn id(&self) -> KeyId {
        key_id_of(
            &canonical_of(self)
                .expect("metadata is read without fractions, so its keys have a canonical form"),
        )
    }

    /// What the key is; `None` where this client cannot use it.
    pub(crate) fn material(&self) -> Option<Material> {
        match (self.keytype.as_str(), self.scheme.as_str()) {
            ("ed25519", "ed25519") => ed25519::read(&self.keyval.public),
            // The second type is what older repositories call it.
            #[cfg(feature = "ecdsa")]
            ("ecdsa" | "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256") => ecdsa::read(&self.keyval.public),
            #[cfg(feature = "rsa-pss")]
            ("rsa", "rsassa-pss-sha256") => rsa_pss::read(&self.keyval.public),
            _ => None,
        }
    }

    /// Whether `signature` is this key's over `message`. Never for a key that is not understood.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.material().is_some_and(|material| material.verifies(message, signature))
    }
}

impl Material {
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Ed25519(key) => ed25519::verifies(key, message, signature),
            #[cfg(feature = "ecdsa")]
            Self::EcdsaP256(key) => ecdsa::verifies(key, message, signature),
            #[cfg(feature = "rsa-pss")]
            Self::RsaPss(key) => rsa_pss::verifies(key, message, signature),
        }
    }
}
