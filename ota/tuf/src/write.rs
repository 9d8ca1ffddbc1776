//! The other side: making, signing and rotating the metadata that the client checks. Only the operator's program enables
//! it; nothing of it is in a vehicle.
//!
//! A file comes into being as a [`Draft`]: what it says, and signatures that several holders add on several machines.
//! [`Signer`] is who signs: a key file with a passphrase, a program, or an HSM. [`prove`] runs our own client over what
//! is about to be published.

mod build;
mod command;
mod draft;
mod key_file;
mod public_key;
mod publication;

pub use build::whole_seconds;
pub use command::CommandSigner;
pub use draft::{Authority, Draft, Standing};
pub use key_file::{KeyFileError, KeyFileSigner};
pub use publication::{Publication, prove};

use crate::key::Key;

/// Who signs. What comes back is checked against [`Signer::key`] before it is used, whoever made it.
pub trait Signer {
    /// The public key.
    fn key(&self) -> &Key;

    /// Signs `message` in the key's scheme: ed25519 64 bytes, ECDSA DER, RSA-PSS the plain number.
    ///
    /// # Errors
    /// What kept it from signing, in words for the one who holds the key.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>>;
}
