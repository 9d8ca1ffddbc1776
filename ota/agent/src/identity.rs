//! Who this device is: a random number of 128 bits and an ed25519 key, made at the first start. Never the VIN or the
//! machine's id, which others know and which say more than is needed.
//!
//! ```text
//! HOME/device-id     32 hexadecimal digits
//! HOME/device.key    the secret key, 64 hexadecimal digits; 0600. None where `device_key` names a token that holds it
//! ```
//! An image must not carry them: two devices with one identity look like one that is in two places. The certificate that the
//! fleet issues for them is [`crate::certificate`]'s.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ed25519_dalek::{Signer as _, SigningKey};
#[cfg(feature = "pkcs11")]
use stopline_tuf::token::Pkcs11Signer;

use crate::config::{Config, DeviceKey};

/// The device.
#[derive(Clone)]
pub struct Identity {
    id: String,
    public: [u8; 32],
    custody: Custody,
}

/// Where the secret key is.
#[derive(Clone)]
enum Custody {
    File(Arc<SigningKey>),
    #[cfg(feature = "pkcs11")]
    Token(Arc<Pkcs11Signer>),
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file cannot be read or written.
    #[error("identity {}: {source}", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not what this program wrote. It is never replaced: a new identity would be another device.
    #[error(
        "identity {}: {problem}. Restore it, or delete device-id and device.key together to become a new device",
        path.display()
    )]
    Content {
        /// Which one.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The token does not give what is expected.
    #[error("device_key: {problem}")]
    Token {
        /// What is wrong, and what to do.
        problem: String,
    },
}

impl Identity {
    /// As the configuration says: below its home, or with the key in a token.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub fn of(config: &Config) -> Result<Self, IdentityError> {
        match &config.device_key {
            None => Self::open(&config.home),
            Some(token) => Self::in_token(&config.home, token),
        }
    }

    /// With a key that was made in the token and never leaves it. The id is made at the first start.
    #[cfg(feature = "pkcs11")]
    fn in_token(home: &Path, token: &DeviceKey) -> Result<Self, IdentityError> {
        let (id_path, key_path) = (home.join("device-id"), home.join("device.key"));
        if key_path.exists() {
            let problem = format!(
                "{} is there too, and a device has one key; delete it, and enrol again, to be known by the token's",
                key_path.display()
            );
            return Err(IdentityError::Token { problem });
        }
        let pin = read_secret(&token.pin_file)?
            .ok_or_else(|| wrong(&token.pin_file, "it is not there; the token's PIN is expected"))?;
        let failed = |problem: String| IdentityError::Token { problem };
        let signer = Pkcs11Signer::open(&token.library, &token.token, &token.key, &pin)
            .map_err(|error| failed(error.to_string()))?;
        let key = signer.public();
        let public = (key.keytype == "ed25519").then(|| hex::<32>(&key.keyval.public)).flatten();
        let public = public.ok_or_else(|| {
            failed(format!(
                "the key {:?} is {}; what a device says is signed by ed25519",
                token.key, key.keytype
            ))
        })?;
        let id = match read_id(&id_path)? {
            Some(id) => id,
            None => make_id(&id_path)?,
        };
        Ok(Self { id, public, custody: Custody::Token(Arc::new(signer)) })
    }

    #[cfg(not(feature = "pkcs11"))]
    fn in_token(_: &Path, _: &DeviceKey) -> Result<Self, IdentityError> {
        let problem = "this agent was built without tokens: build it with the feature `pkcs11`".into();
        Err(IdentityError::Token { problem })
    }

    /// Reads it below `home`, or makes it at the first start. The key comes first and the id last, so that a cut in between
    /// leaves no id without its key.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub fn open(home: &Path) -> Result<Self, IdentityError> {
        let (id_path, key_path) = (home.join("device-id"), home.join("device.key"));
        let (id, key) = match read_id(&id_path)? {
            Some(id) => {
                let key = read_key(&key_path)?;
                (id, key.ok_or_else(|| wrong(&key_path, "there is an id and no key"))?)
            }
            None => {
                let key = match read_key(&key_path)? {
                    Some(key) => key,
                    None => make_key(&key_path)?,
                };
                (make_id(&id_path)?, key)
            }
        };
        Ok(Self { id, public: key.verifying_key().to_bytes(), custody: Custody::File(Arc::new(key)) })
    }

    /// The device's id, 32 hexadecimal digits.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The public key.
    pub fn public_key(&self) -> [u8; 32] {
        self.public
    }

    /// Signs.
    ///
    /// # Errors
    /// What the token said; a key in a file always signs.
    pub fn sign(&self, message: &[u8]) -> io::Result<[u8; 64]> {
        match &self.custody {
            Custody::File(key) => Ok(key.sign(message).to_bytes()),
            #[cfg(feature = "pkcs11")]
            Custody::Token(signer) => {
                let failed = |problem| io::Error::other(format!("the token does not sign: {problem}"));
                let signature = signer.signature(message).map_err(|error| failed(error.to_string()))?;
                let length = signature.len();
                let whole = signature.try_into();
                whole.map_err(|_| failed(format!("{length} bytes came back, 64 are expected")))
            }
        }
    }
}

fn read_id(path: &Path) -> Result<Option<String>, IdentityError> {
    let id = read(path)?;
    match id {
        Some(id) if hex::<16>(&id).is_none() => Err(wrong(path, "32 hexadecimal digits are expected")),
        id => Ok(id),
    }
}

fn make_id(path: &Path) -> Result<String, IdentityError> {
    let id = digits(&random::<16>(path)?);
    write(path, &id, 0o644)?;
    Ok(id)
}

fn make_key(path: &Path) -> Result<SigningKey, IdentityError> {
    let seed = random::<32>(path)?;
    write(path, &digits(&seed), 0o600)?;
    Ok(SigningKey::from_bytes(&seed))
}

fn read_key(path: &Path) -> Result<Option<SigningKey>, IdentityError> {
    let Some(text) = read_secret(path)? else { return Ok(None) };
    let seed = hex::<32>(&text).ok_or_else(|| wrong(path, "64 hexadecimal digits are expected"))?;
    if seed == [0; 32] {
        return Err(wrong(path, "it is all zeros"));
    }
    Ok(Some(SigningKey::from_bytes(&seed)))
}

/// A file that nobody else may read.
pub(crate) fn read_secret(path: &Path) -> Result<Option<String>, IdentityError> {
    let Some(text) = read(path)? else { return Ok(None) };
    let mode = fs::metadata(path).map_err(io_error(path))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(wrong(
            path,
            &format!("others may read it (mode {:o}); chmod 600 is expected", mode & 0o777),
        ));
    }
    Ok(Some(text))
}

fn random<const N: usize>(path: &Path) -> Result<[u8; N], IdentityError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| io_error(path)(io::Error::other(error)))?;
    Ok(bytes)
}

fn read(path: &Path) -> Result<Option<String>, IdentityError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text.trim_end().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_error(path)(error)),
    }
}

/// Writes beside, syncs, renames, syncs the folder.
fn write(path: &Path, text: &str, mode: u32) -> Result<(), IdentityError> {
    let beside = stopline_depot::disk::beside(path);
    let folder = stopline_depot::disk::folder_of(path);
    let done = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&beside)?;
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(text.as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        fs::File::open(folder)?.sync_all()
    };
    done().map_err(io_error(path))
}

fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let value = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let mut bytes = [0; N];
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    if pairs.len() != N {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = value(*high)? << 4 | value(*low)?;
    }
    Some(bytes)
}

fn wrong(path: &Path, problem: &str) -> IdentityError {
    IdentityError::Content { path: path.to_owned(), problem: problem.to_owned() }
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> IdentityError {
    let path = path.to_owned();
    move |source| IdentityError::Io { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_stays_who_it_is_and_its_key_is_its_own() {
        let home = tempfile::tempdir().unwrap();
        let first = Identity::open(home.path()).unwrap();
        let again = Identity::open(home.path()).unwrap();
        assert_eq!((first.id(), first.public_key()), (again.id(), again.public_key()));
        assert_eq!(first.id().len(), 32);
        let mode = fs::metadata(home.path().join("device.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let other = tempfile::tempdir().unwrap();
        assert_ne!(Identity::open(other.path()).unwrap().id(), first.id());
        let secret = fs::read_to_string(home.path().join("device.key")).unwrap();
        assert!(!format!("{first:?}").contains(secret.trim_end()), "the secret is not shown");
    }

    #[test]
    fn a_key_that_is_gone_damaged_or_open_to_others_makes_no_new_device() {
        let made = || {
            let home = tempfile::tempdir().unwrap();
            Identity::open(home.path()).unwrap();
            home
        };
        let home = made();
        fs::remove_file(home.path().join("device.key")).unwrap();
        assert!(Identity::open(home.path()).is_err());
        for text in ["", "xyz", &"0".repeat(64), &"ab".repeat(33)] {
            let home = made();
            write(&home.path().join("device.key"), text, 0o600).unwrap();
            assert!(Identity::open(home.path()).is_err(), "{text:?}");
        }
        let home = made();
        fs::set_permissions(home.path().join("device.key"), fs::Permissions::from_mode(0o640)).unwrap();
        assert!(Identity::open(home.path()).unwrap_err().to_string().contains("chmod 600"));
    }
}
