//! A file on its way through the hands of its signers.

use serde_json::{Value, json};

use super::Signer;
use crate::envelope::{Signature, Unverified, valid_signatures};
use crate::error::Error;
use crate::hex;
use crate::json;
use crate::metadata::{Metadata, Root, Signers, Targets};
use crate::name::{KeyId, RoleName};

/// What a file says, and who signed it so far. What it says cannot be changed without losing the signatures.
#[derive(Debug, Clone)]
pub struct Draft<T> {
    role: RoleName,
    signed: T,
    message: Vec<u8>,
    signatures: Vec<Signature>,
}

/// Who names the keys of a role.
#[derive(Debug, Clone, Copy)]
pub enum Authority<'a> {
    /// Root metadata: of the four top-level roles. For a new root both the old and the new one must be asked.
    Root(&'a Root),
    /// The targets role that delegates to it, and that role's name.
    Delegator(&'a Targets, &'a RoleName),
}

/// How far a file is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Different keys that signed validly.
    pub valid: usize,
    /// Keys needed.
    pub threshold: u64,
    /// Keys that may still sign.
    pub waiting: Vec<KeyId>,
}

impl Standing {
    /// Whether nobody need sign any more.
    pub fn complete(&self) -> bool {
        u64::try_from(self.valid).is_ok_and(|valid| valid >= self.threshold)
    }
}

impl<T: Metadata> Draft<T> {
    /// A file that nobody has signed.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the client would refuse its form.
    pub fn new(role: RoleName, signed: T) -> Result<Self, Error> {
        let malformed = |problem: String| Error::malformed(&role, problem);
        let value = serde_json::to_value(&signed).map_err(|error| malformed(error.to_string()))?;
        let message = json::canonical(&value).ok_or_else(|| malformed("a number with a fraction".into()))?;
        let draft = Self { role, signed, message, signatures: Vec::new() };
        // The client's own reading is the check.
        Unverified::<T>::read(&draft.role, &draft.to_bytes())?;
        Ok(draft)
    }

    /// A file that others have signed. It must read back to exactly the bytes they signed.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn read(role: RoleName, bytes: &[u8]) -> Result<Self, Error> {
        let (signed, message, signatures) = Unverified::<T>::read(&role, bytes)?.into_parts();
        let draft = Self::new(role, signed)?;
        if draft.message != message {
            return Err(Error::malformed(
                &draft.role,
                "it holds a spelling that would not survive: sign it with the tool that wrote it",
            ));
        }
        Ok(Self { signatures, ..draft })
    }

    /// The role it is of.
    pub fn role(&self) -> &RoleName {
        &self.role
    }

    /// What it says.
    pub fn signed(&self) -> &T {
        &self.signed
    }

    /// What it says, to make a new version of. The signatures are gone.
    pub fn into_signed(self) -> T {
        self.signed
    }

    /// The bytes that are signed.
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// Who has signed, valid or not.
    pub fn signed_by(&self) -> impl Iterator<Item = &KeyId> {
        self.signatures.iter().map(|signature| &signature.keyid)
    }

    /// Adds the signature of `signer`, or renews it. The key must be among those `authority` names: its own id or any
    /// under which the same key is listed.
    ///
    /// # Errors
    /// [`Error::Signer`] if the key may not sign, did not, or signed something else.
    pub fn sign(&mut self, signer: &dyn Signer, authority: Authority<'_>) -> Result<(), Error> {
        let key = signer.key();
        let failed = |problem: String| Error::Signer { key: key.id(), problem };
        let signers = authority.signers_of(&self.role)?;
        let material = key.material().ok_or_else(|| failed("its type is not understood here".into()))?;
        let same = |id: &&KeyId| {
            signers.keys.get(*id).and_then(crate::key::Key::material).as_ref() == Some(&material)
        };
        let keyid = signers.keyids.iter().find(same).cloned();
        let keyid =
            keyid.ok_or_else(|| failed(format!("{} does not name it for {}", signers.by, self.role)))?;
        drop(signers);
        let bytes = signer.sign(&self.message).map_err(|error| failed(error.to_string()))?;
        if !material.verifies(&self.message, &bytes) {
            return Err(failed("what it returned is not its signature over these bytes".into()));
        }
        self.signatures.retain(|signature| signature.keyid != keyid);
        self.signatures.push(Signature { keyid, sig: hex::encode(&bytes), extra: serde_json::Map::new() });
        self.signatures.sort_by(|one, other| one.keyid.cmp(&other.keyid));
        Ok(())
    }

    /// How far it is signed.
    ///
    /// # Errors
    /// [`Error::Malformed`] if `authority` does not know the role.
    pub fn standing(&self, authority: Authority<'_>) -> Result<Standing, Error> {
        let signers = authority.signers_of(&self.role)?;
        let valid = valid_signatures(&self.signatures, &self.message, &signers);
        let unsigned = |id: &&KeyId| !self.signatures.iter().any(|signature| signature.keyid == **id);
        let waiting = signers.keyids.iter().filter(unsigned).cloned().collect();
        Ok(Standing { valid, threshold: signers.threshold, waiting })
    }

    /// The file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let file: Value = json!({ "signatures": self.signatures, "signed": self.signed });
        file.to_string().into_bytes()
    }
}

impl Authority<'_> {
    fn signers_of<'a>(&'a self, role: &'a RoleName) -> Result<Signers<'a>, Error> {
        let unknown = || Error::malformed(role, "whoever should name its keys does not know it");
        match self {
            Self::Root(root) => root.signers_of(role).ok_or_else(unknown),
            Self::Delegator(targets, delegator) => {
                let delegations = targets.delegations.as_ref().ok_or_else(unknown)?;
                let delegation = delegations.roles.iter().find(|delegation| delegation.name == *role);
                Ok(delegations.signers_of(delegation.ok_or_else(unknown)?, delegator))
            }
        }
    }
}
