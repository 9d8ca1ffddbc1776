//! Keys that never leave an HSM or smart card: PKCS#11, the vendor's library loaded at run time.
//!
//! ed25519 (`CKM_EDDSA`) and ECDSA P-256 (`CKM_ECDSA` over a SHA-256 made here, since not every token hashes). The public
//! key is read from the token; it must lie there under the private key's id.

use std::error::Error;
use std::path::Path;
use std::sync::Mutex;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::RvError;
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use p256::PublicKey;
use p256::ecdsa::Signature;
use p256::pkcs8::{EncodePublicKey, LineEnding};
use sha2::{Digest, Sha256};

use crate::key::Key;
#[cfg(feature = "write")]
use crate::write::Signer;

/// Why a key in a token cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Pkcs11Error {
    /// The library or the token said no.
    #[error("{0}")]
    Token(#[from] cryptoki::error::Error),
    /// No such token.
    #[error("no token is labelled {0:?}: is it in its slot?")]
    NoToken(String),
    /// None, or more than one.
    #[error("{found} private keys are labelled {label:?}, expected one")]
    NotOneKey {
        /// Label looked for.
        label: String,
        /// Keys that carry it.
        found: usize,
    },
    /// The public key is missing or cannot be read.
    #[error("the public key of {label:?} cannot be used: {problem}")]
    PublicKey {
        /// Label of the private key.
        label: String,
        /// Why.
        problem: &'static str,
    },
}

/// A key in a token, and a session in which the user is logged in.
pub struct Pkcs11Signer {
    // A session is not to be used by two threads at once.
    session: Mutex<Session>,
    private: ObjectHandle,
    kind: Kind,
    key: Key,
    // Unloads the library when dropped, so it comes last.
    _library: Pkcs11,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Ed25519,
    EcdsaP256,
}

impl std::fmt::Debug for Pkcs11Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pkcs11Signer")
            .field("kind", &self.kind)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl Pkcs11Signer {
    /// Logs in to the token labelled `token` through the vendor's `library` and finds the private key labelled `label`.
    ///
    /// # Errors
    /// [`Pkcs11Error`] says what is wrong.
    pub fn open(library: &Path, token: &str, label: &str, pin: &str) -> Result<Self, Pkcs11Error> {
        let library = Pkcs11::new(library)?;
        let begun = library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK));
        // A process that signs with two keys of one token initialises its library and logs in once.
        unless_done(begun, RvError::CryptokiAlreadyInitialized)?;
        let mut slot = None;
        for candidate in library.get_slots_with_token()? {
            if library.get_token_info(candidate)?.label().trim_end() == token {
                slot = Some(candidate);
            }
        }
        let session = library.open_ro_session(slot.ok_or_else(|| Pkcs11Error::NoToken(token.into()))?)?;
        let logged_in = session.login(UserType::User, Some(&AuthPin::new(pin.into())));
        unless_done(logged_in, RvError::UserAlreadyLoggedIn)?;
        let (private, kind, key) = find(&session, label)?;
        Ok(Self { session: Mutex::new(session), private, kind, key, _library: library })
    }

    /// The public key.
    pub fn public(&self) -> &Key {
        &self.key
    }

    /// Signs in the key's scheme: ed25519 64 bytes, ECDSA DER.
    ///
    /// # Errors
    /// What the token said.
    pub fn signature(&self, message: &[u8]) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
        let session = self.session.lock().map_err(|_| "an earlier use of the token panicked")?;
        match self.kind {
            Kind::Ed25519 => {
                let mechanism = Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Ed25519));
                Ok(session.sign(&mechanism, self.private, message)?)
            }
            Kind::EcdsaP256 => {
                let numbers = session.sign(&Mechanism::Ecdsa, self.private, &Sha256::digest(message))?;
                Ok(Signature::from_slice(&numbers)?.to_der().as_bytes().to_vec())
            }
        }
    }
}

/// What was done before is no error.
fn unless_done(
    answer: Result<(), cryptoki::error::Error>,
    done: RvError,
) -> Result<(), cryptoki::error::Error> {
    match answer {
        Err(cryptoki::error::Error::Pkcs11(found, _)) if found == done => Ok(()),
        other => other,
    }
}

fn find(session: &Session, label: &str) -> Result<(ObjectHandle, Kind, Key), Pkcs11Error> {
    let labelled = [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Label(label.into())];
    let found = session.find_objects(&labelled)?;
    let [private] = found[..] else {
        return Err(Pkcs11Error::NotOneKey { label: label.into(), found: found.len() });
    };
    let unusable = |problem| Pkcs11Error::PublicKey { label: label.into(), problem };
    let (mut id, mut key_type) = (None, None);
    for attribute in session.get_attributes(private, &[AttributeType::Id, AttributeType::KeyType])? {
        match attribute {
            Attribute::Id(value) => id = Some(value),
            Attribute::KeyType(value) => key_type = Some(value),
            _ => {}
        }
    }
    if !matches!(key_type, Some(KeyType::EC_EDWARDS | KeyType::EC)) {
        return Err(unusable("it is neither ed25519 nor ECDSA"));
    }
    let id = id.ok_or_else(|| unusable("the private key has no id"))?;
    let public = session.find_objects(&[Attribute::Class(ObjectClass::PUBLIC_KEY), Attribute::Id(id)])?;
    let public = *public.first().ok_or_else(|| unusable("none lies beside the private key"))?;
    let point =
        session.get_attributes(public, &[AttributeType::EcPoint])?.into_iter().find_map(|attribute| {
            match attribute {
                Attribute::EcPoint(point) => Some(point),
                _ => None,
            }
        });
    let point = point.ok_or_else(|| unusable("it has no point"))?;
    let (kind, key) = match key_type {
        Some(KeyType::EC_EDWARDS) => (Kind::Ed25519, ed25519(&point)),
        Some(KeyType::EC) => (Kind::EcdsaP256, ecdsa(&point)),
        _ => return Err(unusable("it is neither ed25519 nor ECDSA")),
    };
    Ok((private, kind, key.ok_or_else(|| unusable("its point is of no supported curve"))?))
}

/// PKCS#11 wraps the point into an octet string; some tokens leave that out.
fn ed25519(point: &[u8]) -> Option<Key> {
    let bare = point.strip_prefix(&[0x04, 0x20]).unwrap_or(point);
    Some(Key::ed25519(bare.try_into().ok()?))
}

fn ecdsa(point: &[u8]) -> Option<Key> {
    let bare = point.strip_prefix(&[0x04, 0x41]).unwrap_or(point);
    let pem = PublicKey::from_sec1_bytes(bare).ok()?.to_public_key_pem(LineEnding::LF).ok()?;
    Some(Key::ecdsa_p256(pem))
}

#[cfg(feature = "write")]
impl Signer for Pkcs11Signer {
    fn key(&self) -> &Key {
        &self.key
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
        self.signature(message)
    }
}
