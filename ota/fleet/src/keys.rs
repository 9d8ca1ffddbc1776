//! Keys: each holder makes their own, on their own machine, and gives away the public half only.
//!
//! A key is named by what lies where: a PEM file with a passphrase, `credential:NAME` (a systemd credential),
//! `command:PROGRAM,PUBLIC` (a program that signs) or `pkcs11:LIBRARY?token=…&label=…&pin-file=…`.

mod passphrase;

use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde_json::json;
use stopline_tuf::KeyId;
use stopline_tuf::key::Key;
use stopline_tuf::write::{CommandSigner, KeyFileError, KeyFileSigner, Signer};

use crate::exit::{Failure, Result, Said};
use crate::files;

pub use passphrase::Passphrase;

/// Ends the name of a private key's file.
pub const PRIVATE: &str = "pem";
/// Ends the name of a public key's file.
pub const PUBLIC: &str = "pub";

/// Where a key that signs is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySpec {
    /// A PEM file.
    File(PathBuf),
    /// A credential of this name that the system gave this program.
    Credential(String),
    /// A program that signs, and the file of its public key.
    Command {
        /// The program, started without a shell and without arguments.
        program: String,
        /// File of the public key.
        public: PathBuf,
    },
    /// A key in a token.
    Token {
        /// The vendor's library.
        library: PathBuf,
        /// Label of the token.
        token: String,
        /// Label of the key.
        label: String,
        /// File that holds the PIN; else it is asked for.
        pin_file: Option<PathBuf>,
    },
}

impl FromStr for KeySpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(name) = text.strip_prefix("credential:") {
            let plain = !name.is_empty() && !name.contains('/') && name != "..";
            return plain
                .then(|| Self::Credential(name.into()))
                .ok_or_else(|| format!("credential {name:?}"));
        }
        if let Some(rest) = text.strip_prefix("command:") {
            let (program, public) =
                rest.rsplit_once(',').ok_or("command:PROGRAM,PUBLIC-KEY-FILE is expected")?;
            return Ok(Self::Command { program: program.into(), public: public.into() });
        }
        let Some(rest) = text.strip_prefix("pkcs11:") else { return Ok(Self::File(text.into())) };
        let expected = "pkcs11:LIBRARY?token=TOKEN&label=KEY&pin-file=FILE is expected";
        let (library, query) = rest.split_once('?').ok_or(expected)?;
        let (mut token, mut label, mut pin_file) = (None, None, None);
        for pair in query.split('&') {
            match pair.split_once('=').ok_or(expected)? {
                ("token", value) => token = Some(value.to_owned()),
                ("label", value) => label = Some(value.to_owned()),
                ("pin-file", value) => pin_file = Some(PathBuf::from(value)),
                (key, _) => return Err(format!("{key:?} is not known: {expected}")),
            }
        }
        let (token, label) = token.zip(label).ok_or(expected)?;
        Ok(Self::Token { library: library.into(), token, label, pin_file })
    }
}

impl KeySpec {
    /// Opens it; a passphrase or PIN comes from `passphrase`.
    pub fn open(&self, passphrase: &Passphrase) -> Result<Box<dyn Signer>> {
        match self {
            Self::File(path) => open_file(path, passphrase),
            Self::Credential(name) => {
                let folder = std::env::var_os("CREDENTIALS_DIRECTORY").ok_or_else(|| {
                    Failure::usage(
                        "CREDENTIALS_DIRECTORY is not set: credentials are given by systemd's LoadCredential",
                    )
                })?;
                open_file(&Path::new(&folder).join(name), passphrase)
            }
            Self::Command { program, public } => {
                Ok(Box::new(CommandSigner::new(program, Vec::new(), read_public(public)?)))
            }
            Self::Token { library, token, label, pin_file } => {
                open_token(library, token, label, pin_file.as_deref(), passphrase)
            }
        }
    }

    /// The folder of a key file.
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(stopline_depot::disk::folder_of(path)),
            _ => None,
        }
    }
}

fn open_file(path: &Path, passphrase: &Passphrase) -> Result<Box<dyn Signer>> {
    let bytes = files::read(path, files::MAX_SMALL)?;
    let pem =
        String::from_utf8(bytes).map_err(|_| Failure::refused(format!("{}: no PEM", path.display())))?;
    let pem = zeroize::Zeroizing::new(pem);
    let opened = match KeyFileSigner::from_pem(&pem, None) {
        Err(KeyFileError::PassphraseMissing) => {
            let phrase = passphrase.ask(&format!("Passphrase of {}: ", path.display()))?;
            KeyFileSigner::from_pem(&pem, Some(&phrase))
        }
        other => other,
    };
    match opened {
        Ok(signer) => Ok(Box::new(signer)),
        Err(error) => Err(Failure::refused(format!("{}: {error}", path.display()))),
    }
}

#[cfg(feature = "pkcs11")]
fn open_token(
    library: &Path,
    token: &str,
    label: &str,
    pin_file: Option<&Path>,
    passphrase: &Passphrase,
) -> Result<Box<dyn Signer>> {
    let pin = match pin_file {
        Some(path) => Passphrase::File(path.into()).ask("")?,
        None => passphrase.ask(&format!("PIN of the token {token:?}: "))?,
    };
    let signer = stopline_tuf::token::Pkcs11Signer::open(library, token, label, &pin);
    signer.map(|signer| Box::new(signer) as Box<dyn Signer>).map_err(Failure::refused)
}

#[cfg(not(feature = "pkcs11"))]
fn open_token(_: &Path, _: &str, _: &str, _: Option<&Path>, _: &Passphrase) -> Result<Box<dyn Signer>> {
    Err(Failure::usage("this program was built without tokens: build it with the feature `pkcs11`"))
}

/// Reads a public key's file: as this program writes it, or `SubjectPublicKeyInfo` in PEM.
pub fn read_public(path: &Path) -> Result<Key> {
    let bytes = files::read(path, files::MAX_SMALL)?;
    if bytes.starts_with(b"-----BEGIN") && bytes.windows(11).any(|part| part == b"PRIVATE KEY") {
        return Err(Failure::refused(format!(
            "{}: this is a PRIVATE key; give its .{PUBLIC} file, and never let the private one leave its holder",
            path.display()
        )));
    }
    let refused = |problem: String| Failure::refused(format!("{}: no public key: {problem}", path.display()));
    if bytes.starts_with(b"-----BEGIN") {
        return Key::from_public_pem(&String::from_utf8_lossy(&bytes)).map_err(refused);
    }
    serde_json::from_slice(&bytes).map_err(|error| refused(error.to_string()))
}

/// Writes a public key's file.
pub fn write_public(path: &Path, key: &Key) -> Result<()> {
    let mut bytes = serde_json::to_vec_pretty(key).map_err(Failure::failed)?;
    bytes.push(b'\n');
    files::write_new(path, &bytes, 0o644)
}

/// Makes a key: `NAME.pem`, for its holder alone, and `NAME.pub`, to be given away.
pub fn new(name: &Path, passphrase: Option<&Passphrase>, with_others: bool) -> Result<Said> {
    let (private, public) = (with_ending(name, PRIVATE), with_ending(name, PUBLIC));
    let folder = stopline_depot::disk::folder_of(&private);
    let there: Vec<String> =
        files::names(folder)?.into_iter().filter(|name| name.ends_with(".pem")).collect();
    if !with_others && !there.is_empty() {
        return Err(Failure::refused(format!(
            "{}: it holds a private key already ({}). Each holder's key lies alone, on the holder's own machine; online \
             keys of one role each (rollout, snapshot, timestamp) may lie together with --beside-other-keys",
            folder.display(),
            there.join(", ")
        )));
    }
    let signer = KeyFileSigner::generate().map_err(Failure::failed)?;
    let pem = match passphrase {
        Some(passphrase) => {
            let phrase = passphrase.choose(&format!("New passphrase of {}: ", private.display()))?;
            signer.to_pem(&phrase)
        }
        None => signer.to_unencrypted_pem(),
    };
    files::write_new(&private, pem.map_err(Failure::refused)?.as_bytes(), 0o600)?;
    write_public(&public, signer.key())?;
    let id = signer.key().id();
    let words = vec![
        format!("made the key {id}"),
        format!("  private: {} (for its holder alone)", private.display()),
        format!("  public:  {} (to be given to whoever runs init or rotate)", public.display()),
    ];
    Ok(Said::new(words, json!({"keyid": id, "private": private, "public": public})))
}

/// Shows a key by its public file, or opens a private one; with `write` its public half is written there, to be given to
/// whoever runs `init` or `rotate`.
pub fn show(spec: &KeySpec, write: Option<&Path>, passphrase: &Passphrase) -> Result<Said> {
    let key = match spec {
        KeySpec::File(path) if path.extension().is_some_and(|ending| ending == PUBLIC) => read_public(path)?,
        other => other.open(passphrase)?.key().clone(),
    };
    if let Some(path) = write {
        write_public(path, &key)?;
    }
    let words = vec![
        format!("{}  {} {}", key.id(), key.keytype, key.scheme),
        serde_json::to_string(&key).map_err(Failure::failed)?,
    ];
    Ok(Said::new(words, json!({"keyid": key.id(), "key": key})))
}

/// Whether one folder holds a threshold of the keys in `ids`: then a thief of one disk signs alone.
///
/// # Errors
/// A failure that names the folder and its keys.
pub fn check_custody(folder: &Path, role: &str, ids: &[KeyId], threshold: u64) -> Result<()> {
    if threshold < 2 {
        return Ok(());
    }
    let mut together = Vec::new();
    for name in files::names(folder)?.iter().filter(|name| name.ends_with(".pem")) {
        let public = with_ending(&folder.join(name.trim_end_matches(".pem")), PUBLIC);
        if public.exists() && ids.contains(&read_public(&public)?.id()) {
            together.push(name.clone());
        }
    }
    if u64::try_from(together.len()).is_ok_and(|count| count < threshold) {
        return Ok(());
    }
    Err(Failure::refused(format!(
        "{}: it holds {} private keys of {role} ({}), and {threshold} sign: a thief of this one folder could sign alone. \
         Move each to its holder's own machine",
        folder.display(),
        together.len(),
        together.join(", ")
    )))
}

fn with_ending(name: &Path, ending: &str) -> PathBuf {
    let mut path = name.as_os_str().to_owned();
    path.push(".");
    path.push(ending);
    path.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_named_by_where_it_lies() {
        let parse = |text: &str| text.parse::<KeySpec>();
        assert_eq!(parse("a/b.pem").unwrap(), KeySpec::File("a/b.pem".into()));
        assert_eq!(parse("credential:ts").unwrap(), KeySpec::Credential("ts".into()));
        let token = KeySpec::Token {
            library: "/usr/lib/x.so".into(),
            token: "t".into(),
            label: "k".into(),
            pin_file: Some("pin".into()),
        };
        assert_eq!(parse("pkcs11:/usr/lib/x.so?token=t&label=k&pin-file=pin").unwrap(), token);
        for wrong in
            ["credential:", "credential:a/b", "command:x", "pkcs11:x", "pkcs11:x?token=t", "pkcs11:x?a=b"]
        {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn two_holders_keys_in_one_folder_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let phrase = Passphrase::Given("a long one".into());
        new(&folder.path().join("anna"), Some(&phrase), false).unwrap();
        let refused = new(&folder.path().join("ben"), Some(&phrase), false).unwrap_err();
        assert!(refused.message.contains("anna.pem"), "{refused}");
        new(&folder.path().join("ben"), Some(&phrase), true).unwrap();
        let id = |name: &str| read_public(&folder.path().join(name)).unwrap().id();
        let ids = [id("anna.pub"), id("ben.pub")];
        assert!(check_custody(folder.path(), "root", &ids, 2).is_err());
        check_custody(folder.path(), "root", &ids[..1], 2).unwrap();
    }

    #[test]
    fn a_private_key_is_never_taken_for_a_public_one() {
        let folder = tempfile::tempdir().unwrap();
        new(&folder.path().join("anna"), Some(&Passphrase::Given("x y z".into())), false).unwrap();
        let refused = read_public(&folder.path().join("anna.pem")).unwrap_err();
        assert!(refused.message.contains("PRIVATE"), "{refused}");
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(folder.path().join("anna.pem")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
