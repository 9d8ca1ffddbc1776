//! The runtime as a child process: what only it can know, it is asked.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::exit::{Failure, Result};

/// Bytes of a child's complaint that are passed on.
const MAX_COMPLAINT: usize = 2000;

/// The `stopline` program.
#[derive(Debug, Clone)]
pub struct Stopline(PathBuf);

impl Stopline {
    /// At this path, or by name in PATH.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self(program.into())
    }

    /// Its version, as `stopline --version` prints it.
    pub fn version(&self) -> Result<String> {
        let output = self.run([OsStr::new("--version")])?;
        let text = String::from_utf8_lossy(&output.stdout);
        let version = text.split_whitespace().nth(1).unwrap_or_default();
        match semver::Version::parse(version) {
            Ok(version) => Ok(version.to_string()),
            Err(_) => {
                Err(Failure::failed(format!("{} --version: {text:?} names no version", self.0.display())))
            }
        }
    }

    /// Runs a bundle against its own golden vectors.
    pub fn selftest(&self, bundle: &Path) -> Result<serde_json::Value> {
        let arguments = ["model".as_ref(), "selftest".as_ref(), bundle.as_os_str(), "--json".as_ref()];
        let output = self.start(arguments)?;
        if !output.status.success() {
            return Err(Failure::refused(format!(
                "the model does not answer its own golden vectors here ({}): {}",
                output.status,
                complaint(&output)
            )));
        }
        // What it says beside its exit status is passed on; that it passed, the status says.
        Ok(serde_json::from_slice(&output.stdout).unwrap_or(serde_json::Value::Null))
    }

    /// Runs it; an exit status other than 0 is a failure.
    pub fn run<'a>(&self, arguments: impl IntoIterator<Item = &'a OsStr>) -> Result<Output> {
        let output = self.start(arguments)?;
        if output.status.success() {
            return Ok(output);
        }
        Err(Failure::failed(format!("{}: {}: {}", self.0.display(), output.status, complaint(&output))))
    }

    fn start<'a>(&self, arguments: impl IntoIterator<Item = &'a OsStr>) -> Result<Output> {
        let output = Command::new(&self.0).args(arguments).stdin(Stdio::null()).output();
        output.map_err(|error| {
            Failure::failed(format!(
                "{}: cannot be started ({error}); name the runtime's program with --stopline PATH",
                self.0.display()
            ))
        })
    }
}

/// The end of what it wrote to its standard error.
fn complaint(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let text = text.trim();
    let begin = text.char_indices().rev().nth(MAX_COMPLAINT).map_or(0, |(at, _)| at);
    text[begin..].to_owned()
}
