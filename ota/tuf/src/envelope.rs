//! A signed file: who signed what, byte for byte (TUF §4.2).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::Error;
use crate::hex;
use crate::json;
use crate::limits::MAX_KEYS;
use crate::metadata::{Metadata, Root, Signers};
use crate::name::{KeyId, RoleName};

/// One signature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Signature {
    /// Whose.
    pub keyid: KeyId,
    /// In hexadecimal. What is none verifies nothing and disturbs nothing.
    pub sig: String,
    /// What else stands there.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A file as read: its form is right, its signatures are not yet looked at. Only [`Unverified::verify`] gives out
/// what it says to those who act on it.
#[derive(Debug, Clone)]
pub(crate) struct Unverified<T> {
    role: RoleName,
    signatures: Vec<Signature>,
    message: Vec<u8>,
    signed: T,
}

/// The outer object; other keys in it are not signed and not looked at.
#[derive(Deserialize)]
struct Outer {
    signatures: Vec<Signature>,
    signed: Value,
}

impl<T: Metadata> Unverified<T> {
    /// Reads `bytes` as the metadata of `role`.
    pub fn read(role: &RoleName, bytes: &[u8]) -> Result<Self, Error> {
        let malformed = |problem: String| Error::malformed(role, problem);
        let outer = json::parse(bytes).map_err(|error| malformed(error.to_string()))?;
        let Outer { signatures, signed } =
            serde_json::from_value(outer).map_err(|error| malformed(error.to_string()))?;
        check_signatures(&signatures).map_err(malformed)?;
        let message = json::canonical(&signed).ok_or_else(|| malformed("a number with a fraction".into()))?;
        let signed: T =
            serde_json::from_value(signed).map_err(|error| malformed(format!("signed: {error}")))?;
        check_common(&signed).and_then(|()| signed.check()).map_err(malformed)?;
        Ok(Self { role: role.clone(), signatures, message, signed })
    }

    /// What it says, if `signers` stand behind it.
    pub fn verify(self, signers: &Signers<'_>) -> Result<T, Error> {
        self.check(signers)?;
        Ok(self.signed)
    }

    /// What it says, the bytes that are signed, and the signatures, none of them looked at.
    #[cfg(feature = "write")]
    pub(crate) fn into_parts(self) -> (T, Vec<u8>, Vec<Signature>) {
        (self.signed, self.message, self.signatures)
    }

    fn check(&self, signers: &Signers<'_>) -> Result<(), Error> {
        let found = valid_signatures(&self.signatures, &self.message, signers);
        let enough = u64::try_from(found).is_ok_and(|found| found >= signers.threshold);
        if enough && signers.threshold > 0 {
            return Ok(());
        }
        let (role, by) = (self.role.clone(), signers.by.clone());
        Err(Error::Signatures { role, found, threshold: signers.threshold, by })
    }
}

impl Unverified<Root> {
    /// What it says, if a threshold of `trusted`'s keys, where given, and of its own stand behind it.
    pub fn verify_root(self, trusted: Option<&Root>) -> Result<Root, Error> {
        for root in trusted.into_iter().chain([&self.signed]) {
            self.check(&root.signers_of(&self.role).ok_or(Error::NoRoot)?)?;
        }
        Ok(self.signed)
    }
}

/// Different keys of `signers` with a valid signature over `message`. One key counts once, under however many ids it is
/// listed.
pub(crate) fn valid_signatures(signatures: &[Signature], message: &[u8], signers: &Signers<'_>) -> usize {
    let allowed: BTreeSet<&KeyId> = signers.keyids.iter().collect();
    let mut counted = BTreeSet::new();
    for signature in signatures.iter().filter(|signature| allowed.contains(&signature.keyid)) {
        let material = signers.keys.get(&signature.keyid).and_then(crate::key::Key::material);
        let (Some(material), Some(bytes)) = (material, hex::decode(&signature.sig)) else { continue };
        if !counted.contains(&material) && material.verifies(message, &bytes) {
            counted.insert(material);
        }
    }
    counted.len()
}

/// §4.2: "the KEYID MUST be unique in the signatures array".
fn check_signatures(signatures: &[Signature]) -> Result<(), String> {
    if signatures.len() > MAX_KEYS {
        return Err(format!("{} signatures, at most {MAX_KEYS} are allowed", signatures.len()));
    }
    let mut seen = BTreeSet::new();
    match signatures.iter().find(|signature| !seen.insert(&signature.keyid)) {
        Some(twice) => Err(format!("two signatures by key {}", twice.keyid)),
        None => Ok(()),
    }
}

fn check_common<T: Metadata>(signed: &T) -> Result<(), String> {
    if signed.kind() != T::KIND {
        return Err(format!("_type is {:?}, expected {:?}", signed.kind(), T::KIND));
    }
    crate::metadata::check_spec_version(signed.spec_version())?;
    crate::metadata::check_version(signed.version())
}
