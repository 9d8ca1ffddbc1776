//! What a test needs from the machine. What is missing is said, and counted by `tests/run`; nothing passes silently.
#![allow(dead_code)] // every test program uses another part of it

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program that stands in for the runtime: a script that runs the stand-in with the Python of the test environment.
pub fn stand_in(folder: &Path) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    let python = std::env::var_os("STOPLINE_PYTHON").filter(|path| !path.is_empty());
    let python = python.map_or_else(|| PathBuf::from("python3"), PathBuf::from);
    if !Command::new(&python).arg("--version").output().is_ok_and(|output| output.status.success()) {
        return skip("no Python for the runtime's stand-in");
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join("stand_in").join("stopline.py");
    let path = folder.join("stopline");
    let text = format!("#!/bin/sh\nexec '{}' '{}' \"$@\"\n", python.display(), script.display());
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    Some(path)
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
