//! **Walks, faults, promises, rules.** May import everything; nobody imports it.
//!
//! What a test needs from the machine it asks for here. What is missing is never passed silently: [`skip`] says so, and
//! `tests/run` counts it.

pub mod actuator_suite;
pub mod allocations;
pub mod daemon;
#[cfg(feature = "h264")]
pub mod luma;
#[cfg(feature = "h264")]
pub mod media;
pub mod onnx;
pub mod operator;
pub mod scenario;
pub mod signed;
pub mod source_suite;
pub mod uploading;

use std::io::Write;
use std::path::{Path, PathBuf};

/// Real detectors, pictures, clips and reference detections, where `STOPLINE_FIELD_DATA` points to them.
pub fn field_data() -> Option<PathBuf> {
    from_env("STOPLINE_FIELD_DATA").or_else(|| skip("no field data"))
}

/// The Python of the test environment (`tests/requirements.txt`), for comparisons with OpenCV, ONNX Runtime and others.
pub fn python() -> Option<PathBuf> {
    from_env("STOPLINE_PYTHON").or_else(|| skip("no Python test environment; tests/run makes one"))
}

/// ONNX Runtime's shared library.
pub fn ort_library() -> Option<PathBuf> {
    from_env("STOPLINE_ORT_LIBRARY").or_else(|| skip("no libonnxruntime; tests/run installs one"))
}

/// Whether counts are those the promises state (`tests/run --full`) or the gate's reduced ones.
pub fn full() -> bool {
    std::env::var_os("STOPLINE_FULL").is_some()
}

/// `full` in a full run, else `reduced`; prints which.
pub fn count(what: &str, full_count: usize, reduced: usize) -> usize {
    let count = if full() { full_count } else { reduced };
    println!("{what}: {count} (full: {full_count})");
    count
}

/// Debian's libfaketime, for a program whose clock is to be wrong.
pub fn fake_clock() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?.flatten();
    folders.map(|folder| folder.path().join("faketime/libfaketime.so.1")).find(|library| library.exists())
}

/// Says why a stage did not run. Always `None`, so that it ends an `?` or `let … else` chain.
pub fn skip<T>(reason: &str) -> Option<T> {
    let test = std::thread::current().name().unwrap_or("?").to_owned();
    println!("skipped: {reason}");
    if let Some(list) = from_env("STOPLINE_SKIPS") {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(list);
        let written = file.and_then(|mut file| writeln!(file, "{test}: skipped: {reason}"));
        assert!(written.is_ok(), "the list of skipped stages cannot be written: {written:?}");
    }
    None
}

/// The `stopline` program beside the tests (`cargo build --workspace --all-features --bins` makes it).
pub fn stopline() -> PathBuf {
    program("stopline")
}

/// A program of the project: beside the tests, or in the folder that `STOPLINE_PROGRAMS` names, where they are installed.
pub fn program(name: &str) -> PathBuf {
    if let Some(folder) = from_env("STOPLINE_PROGRAMS") {
        return folder.join(name);
    }
    let test = std::env::current_exe().expect("a running program has a path");
    let program = test.ancestors().nth(2).map(|folder| folder.join(name)).unwrap_or_default();
    assert!(
        program.exists(),
        "{} is not built: run tests/run, or cargo build with the tests' features",
        program.display()
    );
    program
}

/// The folder `tests/fixtures`.
pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

fn from_env(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}
