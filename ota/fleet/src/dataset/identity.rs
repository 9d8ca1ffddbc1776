//! The operator's key pair for captured records (age, X25519): devices have the recipient, the operator the identity.

use std::path::Path;

use age::secrecy::ExposeSecret as _;
use serde_json::json;
use zeroize::Zeroizing;

use crate::exit::{Failure, Result, Said};
use crate::files;

/// Bytes of an identity file, at most.
const MAX_FILE: u64 = 64 << 10;

/// Makes a key pair: the identity into a file that only its owner reads, the recipient to be configured on devices.
///
/// # Errors
/// A file is there already, or cannot be written.
pub fn new(path: &Path) -> Result<Said> {
    let identity = age::x25519::Identity::generate();
    let recipient = identity.to_public().to_string();
    let secret = identity.to_string();
    let text = Zeroizing::new(format!("# public key: {recipient}\n{}\n", secret.expose_secret()));
    files::write_new(path, text.as_bytes(), 0o600)?;
    let words = vec![
        format!("identity: {} (keep it off every server; without it no record opens)", path.display()),
        format!("recipient: {recipient}"),
    ];
    Ok(Said::new(words, json!({"identity": path, "recipient": recipient})))
}

/// What opens records: one identity or several, tried in turn.
pub struct Identities(Vec<age::x25519::Identity>);

impl Identities {
    /// Reads identity files in age's own form: one `AGE-SECRET-KEY-1…` a line, `#` begins a comment.
    ///
    /// # Errors
    /// A file is missing or holds something else.
    pub fn read(paths: &[impl AsRef<Path>]) -> Result<Self> {
        let mut identities = Vec::new();
        for path in paths {
            let path = path.as_ref();
            let wrong = |at: usize, problem: &str| {
                Failure::refused(format!(
                    "{}, line {at}: {problem}; AGE-SECRET-KEY-1… is expected, as `key capture` writes it",
                    path.display()
                ))
            };
            let bytes = Zeroizing::new(files::read(path, MAX_FILE)?);
            let text = std::str::from_utf8(&bytes).map_err(|_| wrong(1, "no text"))?;
            let before = identities.len();
            for (at, line) in text.lines().map(str::trim).enumerate() {
                if !line.is_empty() && !line.starts_with('#') {
                    identities.push(line.parse().map_err(|problem| wrong(at + 1, problem))?);
                }
            }
            if identities.len() == before {
                return Err(wrong(1, "no identity"));
            }
        }
        Ok(Self(identities))
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &dyn age::Identity> {
        self.0.iter().map(|identity| -> &dyn age::Identity { identity })
    }
}
