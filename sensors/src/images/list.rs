//! Which files a folder or a glob stands for, and in which order.

use std::cmp::Ordering;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::picture;
use crate::source::SourceError;

/// The most files that are listed.
const MAX_FILES: usize = 1 << 20;

/// The files, and whether it is one that was named itself.
pub(super) fn files(spec: &Path) -> Result<(Vec<PathBuf>, bool), SourceError> {
    let what = spec.display().to_string();
    let found = match std::fs::metadata(spec) {
        Ok(kind) if kind.is_dir() => folder(&what, spec)?,
        Ok(_) => return Ok((vec![spec.to_path_buf()], true)),
        Err(_) if is_glob(spec) => matches(&what, spec)?,
        Err(cause) => return Err(SourceError::Io { what, action: "open", cause }),
    };
    let mut pictures: Vec<PathBuf> = found.into_iter().filter(|file| picture::is_meant(file)).collect();
    if pictures.is_empty() {
        return Err(SourceError::Unsupported {
            what,
            problem: "no picture there".to_owned(),
            advice:
                "JPEG, PNG and BMP files are read; folders inside a folder are not searched (`**/*.jpg` does)"
                    .to_owned(),
        });
    }
    pictures.sort_by(|a, b| natural(a.as_os_str(), b.as_os_str()));
    Ok((pictures, false))
}

/// Whether the path contains what a glob is made of.
pub(crate) fn is_glob(spec: &Path) -> bool {
    spec.as_os_str().as_encoded_bytes().iter().any(|byte| matches!(byte, b'*' | b'?' | b'['))
}

fn folder(what: &str, folder: &Path) -> Result<Vec<PathBuf>, SourceError> {
    let io = |cause| SourceError::Io { what: what.to_owned(), action: "list", cause };
    std::fs::read_dir(folder)
        .map_err(io)?
        .take(MAX_FILES)
        .map(|entry| entry.map(|entry| entry.path()).map_err(io))
        .collect()
}

fn matches(what: &str, pattern: &Path) -> Result<Vec<PathBuf>, SourceError> {
    let malformed = |problem: String| SourceError::Malformed {
        what: what.to_owned(),
        problem,
        advice: "a glob has *, **, ? and [a-z]".to_owned(),
    };
    let text = pattern.to_str().ok_or_else(|| malformed("the glob is not UTF-8".to_owned()))?;
    let found = glob::glob(text).map_err(|error| malformed(error.to_string()))?;
    // What may not be listed is not matched either, as in a shell.
    Ok(found.filter_map(Result::ok).take(MAX_FILES).collect())
}

/// Runs of digits are compared as numbers: `frame9` comes before `frame10`.
fn natural(a: &OsStr, b: &OsStr) -> Ordering {
    let (mut left, mut right) = (a.as_encoded_bytes(), b.as_encoded_bytes());
    loop {
        match (left.first(), right.first()) {
            (Some(x), Some(y)) if x.is_ascii_digit() && y.is_ascii_digit() => {
                let (x, y) = (digits(&mut left), digits(&mut right));
                match x.len().cmp(&y.len()).then(x.cmp(y)) {
                    Ordering::Equal => {}
                    other => return other,
                }
            }
            (Some(x), Some(y)) if x == y => (left, right) = (&left[1..], &right[1..]),
            (x, y) => return x.cmp(&y).then_with(|| a.cmp(b)),
        }
    }
}

/// Takes a run of digits from the front; without its leading zeros.
fn digits<'a>(bytes: &mut &'a [u8]) -> &'a [u8] {
    let length = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (run, rest) = bytes.split_at(length);
    *bytes = rest;
    let zeros = run.iter().take_while(|byte| **byte == b'0').count();
    &run[zeros..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_are_compared_as_numbers() {
        let mut names = ["f10.png", "f9.png", "f1.png", "F2.png", "f09.png", "f100a2", "f100a10", "f"];
        names.sort_by(|a, b| natural(OsStr::new(a), OsStr::new(b)));
        assert_eq!(names, ["F2.png", "f", "f1.png", "f09.png", "f9.png", "f10.png", "f100a2", "f100a10"]);
    }
}
