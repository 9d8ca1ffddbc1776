//! Who this device is: a random number of 128 bits and an ed25519 key, made at the first start. Never the VIN or the
//! machine's id, which others know and which say more than is needed.
//!
//! ```text
//! HOME/device-id     32 hexadecimal digits
//! HOME/device.key    the secret key, 64 hexadecimal digits; 0600
//! ```
//! An image must not carry them: two devices with one identity look like one that is in two places. The certificate that the
//! fleet issues for them is [`crate::certificate`]'s.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use ed25519_dalek::{Signer as _, SigningKey};
use rustls::pki_types::PrivatePkcs8KeyDer;

/// PKCS #8 around the 32 bytes of an Ed25519 key (RFC 8410 §7).
const PKCS8: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// The device.
#[derive(Clone)]
pub struct Identity {
    id: String,
    key: SigningKey,
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
}

impl Identity {
    /// Reads it below `home`, or makes it at the first start. The key comes first and the id last, so that a cut in between
    /// leaves no id without its key.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub fn open(home: &Path) -> Result<Self, IdentityError> {
        let (id_path, key_path) = (home.join("device-id"), home.join("device.key"));
        match read(&id_path)? {
            Some(id) => {
                let id = hex::<16>(&id)
                    .map(|_| id)
                    .ok_or_else(|| wrong(&id_path, "32 hexadecimal digits are expected"))?;
                let key =
                    read_key(&key_path)?.ok_or_else(|| wrong(&key_path, "there is an id and no key"))?;
                Ok(Self { id, key })
            }
            None => {
                let key = match read_key(&key_path)? {
                    Some(key) => key,
                    None => make_key(&key_path)?,
                };
                let id = digits(&random::<16>(&id_path)?);
                write(&id_path, &id, 0o644)?;
                Ok(Self { id, key })
            }
        }
    }

    /// The device's id, 32 hexadecimal digits.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The public key.
    pub fn public_key(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }

    /// Signs.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }

    /// The key as TLS takes it.
    pub fn tls_key(&self) -> PrivatePkcs8KeyDer<'static> {
        PrivatePkcs8KeyDer::from([&PKCS8[..], self.key.as_bytes()].concat())
    }
}

fn make_key(path: &Path) -> Result<SigningKey, IdentityError> {
    let seed = random::<32>(path)?;
    write(path, &digits(&seed), 0o600)?;
    Ok(SigningKey::from_bytes(&seed))
}

fn read_key(path: &Path) -> Result<Option<SigningKey>, IdentityError> {
    let Some(text) = read(path)? else { return Ok(None) };
    let mode = fs::metadata(path).map_err(io_error(path))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(wrong(
            path,
            &format!("others may read it (mode {:o}); chmod 600 is expected", mode & 0o777),
        ));
    }
    let seed = hex::<32>(&text).ok_or_else(|| wrong(path, "64 hexadecimal digits are expected"))?;
    if seed == [0; 32] {
        return Err(wrong(path, "it is all zeros"));
    }
    Ok(Some(SigningKey::from_bytes(&seed)))
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
        assert!(!format!("{first:?}").contains(&digits(&first.key.to_bytes())), "the secret is not shown");
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
