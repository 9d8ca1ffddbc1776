//! What a test needs from the machine. What is missing is said, and counted by `tests/run`; nothing passes silently.
#![allow(dead_code)] // every test program uses another part of it

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program that stands in for the runtime: a script that runs the stand-in with the Python of the test environment.
pub fn stand_in(folder: &Path) -> Option<PathBuf> {
    let python = python();
    if !Command::new(&python).arg("--version").output().is_ok_and(|output| output.status.success()) {
        return skip("no Python for the runtime's stand-in");
    }
    let script = fixture("stand_in/stopline.py");
    let text = format!("#!/bin/sh\nexec '{}' '{}' \"$@\"\n", python.display(), script.display());
    Some(program(&folder.join("stopline"), &text))
}

/// The Python of the test environment, or the system's.
pub fn python() -> PathBuf {
    let python = std::env::var_os("STOPLINE_PYTHON").filter(|path| !path.is_empty());
    python.map_or_else(|| PathBuf::from("python3"), PathBuf::from)
}

/// Whether counts are those that are promised, and not the gate's.
pub fn full() -> bool {
    std::env::var("STOPLINE_FULL").is_ok_and(|value| value == "1")
}

/// A file beside the tests.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

/// A program made of this text.
pub fn program(path: &Path, text: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.to_owned()
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
