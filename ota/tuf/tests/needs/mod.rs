//! What a test needs from the machine. What is missing is said, and counted by `tests/run`; nothing passes silently.
#![allow(dead_code)] // every test program uses another part of it

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The Python of the test environment, if it has these modules.
pub fn python_with(modules: &str) -> Option<PathBuf> {
    let Some(python) = std::env::var_os("STOPLINE_PYTHON").filter(|path| !path.is_empty()) else {
        return skip("no Python test environment; tests/run makes one");
    };
    let imported =
        Command::new(&python).args(["-c", &format!("import {modules}")]).stderr(Stdio::null()).status();
    if imported.is_ok_and(|status| status.success()) {
        return Some(python.into());
    }
    skip(&format!("the Python test environment lacks one of {modules}"))
}

/// A program on the path.
pub fn program(name: &str) -> Option<PathBuf> {
    let found = std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file());
    found.or_else(|| skip(&format!("no program {name}")))
}

/// Says why a test did not run.
pub fn skip<T>(reason: &str) -> Option<T> {
    let test = std::thread::current().name().unwrap_or("?").to_owned();
    println!("skipped: {reason}");
    if let Some(list) = std::env::var_os("STOPLINE_SKIPS").filter(|path| !path.is_empty()) {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(list);
        let written = file.and_then(|mut file| writeln!(file, "{test}: skipped: {reason}"));
        assert!(written.is_ok(), "the list of skipped tests cannot be written: {written:?}");
    }
    None
}
