//! User name and password, from a file of their own.

use std::fs::File;
use std::io::{Error, ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use retina::client::Credentials;

use crate::source::SourceError;

/// User name and password. Deliberately without `Debug`.
#[derive(Clone)]
pub(super) struct Login {
    user: String,
    password: String,
}

impl Login {
    /// # Errors
    /// The file cannot be read, others may read it, or it does not hold a user name and a password. None repeats any
    /// of its content.
    pub fn read(path: &Path) -> Result<Self, SourceError> {
        let what = || path.display().to_string();
        let text = content(path).map_err(|cause| SourceError::Io {
            what: what(),
            action: "read user name and password",
            cause,
        })?;
        let malformed = |problem: &str| SourceError::Malformed {
            what: what(),
            problem: problem.to_owned(),
            advice: "write one line user:password, or two lines: user name, then password".into(),
        };
        let lines: Vec<&str> = text.lines().collect();
        let (user, password) = match lines.as_slice() {
            [line] | [line, ""] => {
                line.split_once(':').ok_or_else(|| malformed("one line without a colon"))?
            }
            [user, password] | [user, password, ""] => (*user, *password),
            [] => return Err(malformed("the file is empty")),
            _ => return Err(malformed("more than two lines")),
        };
        if user.is_empty() {
            return Err(malformed("the user name is empty"));
        }
        Ok(Self { user: user.to_owned(), password: password.to_owned() })
    }

    pub fn credentials(&self) -> Credentials {
        Credentials { username: self.user.clone(), password: self.password.clone() }
    }

    /// `text` without user name and password, should a server have sent them back.
    pub fn hide(&self, text: &str) -> String {
        let hide =
            |text: String, secret: &str| if secret.is_empty() { text } else { text.replace(secret, "…") };
        hide(hide(text.to_owned(), &self.password), &self.user)
    }
}

fn content(path: &Path) -> Result<String, Error> {
    const LONGEST: u64 = 4096;
    const OTHERS: u32 = 0o007;
    let file = File::open(path)?;
    let about = file.metadata()?;
    if !about.is_file() {
        return Err(Error::new(ErrorKind::InvalidInput, "not a regular file"));
    }
    let mode = about.permissions().mode() & 0o777;
    if mode & OTHERS != 0 {
        let problem = format!("every user of this machine may use it (mode {mode:03o}); run chmod o= on it");
        return Err(Error::new(ErrorKind::PermissionDenied, problem));
    }
    let mut text = String::new();
    file.take(LONGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LONGEST {
        return Err(Error::new(ErrorKind::InvalidData, format!("longer than {LONGEST} bytes")));
    }
    Ok(text)
}
