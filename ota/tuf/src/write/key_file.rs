//! An ed25519 key in a file: PKCS#8 (RFC 8410) in PEM, encrypted with a passphrase (PBES2: scrypt and AES-256-CBC), as
//! `openssl pkey` reads and writes it.

use std::error::Error;

use ed25519_dalek::{Signer as _, SigningKey};
use pkcs8::der::asn1::OctetStringRef;
use pkcs8::der::pem::PemLabel;
use pkcs8::pkcs5::{pbes2, scrypt};
use pkcs8::{
    AlgorithmIdentifierRef, EncryptedPrivateKeyInfoRef, LineEnding, ObjectIdentifier, PrivateKeyInfoRef,
    SecretDocument,
};
use zeroize::Zeroizing;

use super::Signer;
use crate::key::Key;

/// RFC 8410 §3.
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
/// RFC 8410 §7: the private key is an octet string of its own, of 32 bytes.
const INNER: [u8; 2] = [0x04, 0x20];
/// scrypt with N = 2^14, r = 8, p = 5: as much work as OWASP asks for within the 32 MiB that OpenSSL allows.
const SCRYPT: (u8, u32, u32) = (14, 8, 5);

/// Why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// Not PEM, or not a private key.
    #[error("this is no private key in PEM: {0}")]
    NoKey(String),
    /// Encrypted, and no passphrase was given.
    #[error("the key is encrypted: give its passphrase")]
    PassphraseMissing,
    /// The passphrase does not open it.
    #[error("the passphrase does not open the key")]
    PassphraseWrong,
    /// An empty passphrase protects nothing.
    #[error("the passphrase is empty")]
    PassphraseEmpty,
    /// Another kind of key.
    #[error("the key is of algorithm {0}, expected ed25519 (1.3.101.112)")]
    OtherAlgorithm(String),
    /// A key that anybody can guess.
    #[error("the key consists of equal bytes: it is no key")]
    Trivial,
    /// No random numbers.
    #[error("the system gives no random numbers: {0}")]
    Random(String),
    /// Encrypting or encoding failed.
    #[error("the key cannot be written: {0}")]
    Write(String),
}

/// An ed25519 key in this process's memory, from a file or new. It is wiped when dropped.
pub struct KeyFileSigner {
    secret: SigningKey,
    key: Key,
}

impl std::fmt::Debug for KeyFileSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyFileSigner").field("key", &self.key).finish_non_exhaustive()
    }
}

impl KeyFileSigner {
    /// A new key from the system's random numbers.
    ///
    /// # Errors
    /// [`KeyFileError::Random`].
    pub fn generate() -> Result<Self, KeyFileError> {
        let mut seed = Zeroizing::new([0_u8; 32]);
        getrandom::fill(seed.as_mut_slice()).map_err(|error| KeyFileError::Random(error.to_string()))?;
        Self::from_seed(&seed)
    }

    /// The key that grows from `seed` (RFC 8032 §5.1.5).
    ///
    /// # Errors
    /// [`KeyFileError::Trivial`] for equal bytes, as an erased file has them.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, KeyFileError> {
        if seed.iter().all(|byte| *byte == seed[0]) {
            return Err(KeyFileError::Trivial);
        }
        let secret = SigningKey::from_bytes(seed);
        let key = Key::ed25519(secret.verifying_key().as_bytes());
        Ok(Self { secret, key })
    }

    /// Reads `pem`; `passphrase` is needed where it is encrypted. Unencrypted keys are for credentials that the system
    /// keeps safe.
    ///
    /// # Errors
    /// [`KeyFileError`] says what is wrong; there is no key then.
    pub fn from_pem(pem: &str, passphrase: Option<&str>) -> Result<Self, KeyFileError> {
        let (label, document) =
            SecretDocument::from_pem(pem).map_err(|error| KeyFileError::NoKey(error.to_string()))?;
        let clear = if label == EncryptedPrivateKeyInfoRef::PEM_LABEL {
            let passphrase = passphrase.ok_or(KeyFileError::PassphraseMissing)?;
            let sealed = EncryptedPrivateKeyInfoRef::try_from(document.as_bytes());
            let sealed = sealed.map_err(|error| KeyFileError::NoKey(error.to_string()))?;
            sealed.decrypt(passphrase).map_err(|_| KeyFileError::PassphraseWrong)?
        } else if label == PrivateKeyInfoRef::PEM_LABEL {
            document
        } else {
            return Err(KeyFileError::NoKey(format!("it is labelled {label:?}")));
        };
        Self::from_der(clear.as_bytes())
    }

    fn from_der(der: &[u8]) -> Result<Self, KeyFileError> {
        let info =
            PrivateKeyInfoRef::try_from(der).map_err(|error| KeyFileError::NoKey(error.to_string()))?;
        if info.algorithm.oid != ED25519 {
            return Err(KeyFileError::OtherAlgorithm(info.algorithm.oid.to_string()));
        }
        let seed = info.private_key.as_bytes().strip_prefix(&INNER).and_then(|seed| seed.try_into().ok());
        Self::from_seed(seed.ok_or_else(|| KeyFileError::NoKey("its key is not of 32 bytes".into()))?)
    }

    /// The key as an encrypted file.
    ///
    /// # Errors
    /// [`KeyFileError::PassphraseEmpty`], [`KeyFileError::Random`] or [`KeyFileError::Write`].
    pub fn to_pem(&self, passphrase: &str) -> Result<Zeroizing<String>, KeyFileError> {
        if passphrase.is_empty() {
            return Err(KeyFileError::PassphraseEmpty);
        }
        let (mut salt, mut iv) = ([0; 16], [0; 16]);
        for random in [&mut salt, &mut iv] {
            getrandom::fill(random).map_err(|error| KeyFileError::Random(error.to_string()))?;
        }
        let write = |error: &dyn std::fmt::Display| KeyFileError::Write(error.to_string());
        let (log_n, r, p) = SCRYPT;
        let params = scrypt::Params::new(log_n, r, p).map_err(|error| write(&error))?;
        let scheme =
            pbes2::Parameters::generate_scrypt_aes256cbc(params, &salt, iv).map_err(|error| write(&error))?;
        let sealed = self.with_info(|info| info.encrypt_with_params(scheme, passphrase));
        let sealed = sealed?.map_err(|error| write(&error))?;
        sealed.to_pem(EncryptedPrivateKeyInfoRef::PEM_LABEL, LineEnding::LF).map_err(|error| write(&error))
    }

    /// The key as a file without a passphrase, for an online key that the system's own store of secrets keeps.
    ///
    /// # Errors
    /// [`KeyFileError::Write`].
    pub fn to_unencrypted_pem(&self) -> Result<Zeroizing<String>, KeyFileError> {
        let write = |error: &dyn std::fmt::Display| KeyFileError::Write(error.to_string());
        let der = self.with_info(|info| SecretDocument::encode_msg(&info))?.map_err(|error| write(&error))?;
        der.to_pem(PrivateKeyInfoRef::PEM_LABEL, LineEnding::LF).map_err(|error| write(&error))
    }

    fn with_info<T>(&self, use_it: impl FnOnce(PrivateKeyInfoRef<'_>) -> T) -> Result<T, KeyFileError> {
        let mut inner = Zeroizing::new([0_u8; 34]);
        inner[..2].copy_from_slice(&INNER);
        inner[2..].copy_from_slice(self.secret.as_bytes());
        let octets =
            OctetStringRef::new(inner.as_slice()).map_err(|error| KeyFileError::Write(error.to_string()))?;
        Ok(use_it(PrivateKeyInfoRef::new(AlgorithmIdentifierRef { oid: ED25519, parameters: None }, octets)))
    }
}

impl Signer for KeyFileSigner {
    fn key(&self) -> &Key {
        &self.key
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
        Ok(self.secret.sign(message).to_bytes().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_back_from_its_file_with_the_passphrase_and_not_without() {
        let signer = KeyFileSigner::generate().unwrap();
        let pem = signer.to_pem("correct horse").unwrap();
        assert!(pem.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));
        let back = KeyFileSigner::from_pem(&pem, Some("correct horse")).unwrap();
        assert_eq!(back.key(), signer.key());
        assert!(signer.key().verifies(b"message", &back.sign(b"message").unwrap()));
        assert!(matches!(KeyFileSigner::from_pem(&pem, Some("wrong")), Err(KeyFileError::PassphraseWrong)));
        assert!(matches!(KeyFileSigner::from_pem(&pem, None), Err(KeyFileError::PassphraseMissing)));
        assert!(matches!(signer.to_pem(""), Err(KeyFileError::PassphraseEmpty)));
        let clear = signer.to_unencrypted_pem().unwrap();
        assert_eq!(KeyFileSigner::from_pem(&clear, None).unwrap().key(), signer.key());
    }

    #[test]
    fn an_empty_erased_or_foreign_key_file_is_no_key() {
        for pem in ["", "\n", "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n", "\0\0\0\0"] {
            assert!(
                matches!(KeyFileSigner::from_pem(pem, Some("x")), Err(KeyFileError::NoKey(_))),
                "{pem:?}"
            );
        }
        for byte in [0, 0xff] {
            assert!(matches!(KeyFileSigner::from_seed(&[byte; 32]), Err(KeyFileError::Trivial)));
        }
        let other = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VuBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n-----END PRIVATE KEY-----\n";
        assert!(matches!(KeyFileSigner::from_pem(other, None), Err(KeyFileError::OtherAlgorithm(_))));
    }

    #[test]
    fn the_secret_is_not_shown() {
        let signer = KeyFileSigner::from_seed(&std::array::from_fn(|i| u8::try_from(i).unwrap())).unwrap();
        let shown = format!("{signer:?}");
        assert!(!shown.contains("secret") && shown.contains("ed25519"), "{shown}");
    }
}
