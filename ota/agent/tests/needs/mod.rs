//! What a test needs from the machine. What is missing is said, and counted by `tests/run`; nothing passes silently.
#![allow(dead_code)] // every test program uses another part of it

use std::io::Write;

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

/// Whether counts are those the promises state (`tests/run --full`) or the gate's reduced ones; prints which.
pub fn count(what: &str, full: usize, reduced: usize) -> usize {
    let count = if std::env::var_os("STOPLINE_FULL").is_some() { full } else { reduced };
    println!("{what}: {count} (full: {full})");
    count
}

/// Looks every 10 ms until `what` holds, for a minute at most: a busy machine is slow, and nothing more.
pub fn until(name: &str, mut what: impl FnMut() -> bool) {
    for _ in 0..6_000 {
        if what() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("{name}: not within a minute");
}
