//! `ota/RULES.md` and `tests/FAULTS.md` name the tests that hold each rule of the update path and each fault: all are there.

use crate::tree::{Source, files, root};

/// `path.rs::test` within back quotes.
fn named(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split('`').skip(1).step_by(2).filter_map(|quoted| quoted.split_once(".rs::"))
}

/// `board "check"` within back quotes.
fn checks(text: &str) -> impl Iterator<Item = &str> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.filter_map(|quoted| quoted.strip_prefix("board \"")?.strip_suffix('"'))
}

/// Whether a test of that name stands in the file, not just a function: its attribute stands above it.
fn is_test(sources: &[Source], path: &str, test: &str) -> bool {
    let source = sources.iter().find(|source| *source.path == *path);
    let function = format!("fn {test}(");
    source.and_then(|source| Some(source.text.split_once(&function)?.0)).is_some_and(|above| {
        let above = above.trim_end().trim_end_matches("async").trim_end();
        let attributes = above.lines().rev().map(str::trim).take_while(|line| line.starts_with("#["));
        attributes.into_iter().any(|line| line.contains("test"))
    })
}

#[test]
fn whatever_is_said_to_hold_a_rule_is_a_test() {
    let text = std::fs::read_to_string(root().join("ota/RULES.md")).expect("the rules are there");
    let sources = files(&[".rs"]);
    let at = |path: &str| {
        let below = if path.starts_with("runtime/") || path.starts_with("tests/") { "" } else { "ota/" };
        format!("{below}{path}.rs")
    };
    let missing: Vec<_> = named(&text).filter(|(path, test)| !is_test(&sources, &at(path), test)).collect();
    assert!(missing.is_empty(), "ota/RULES.md names tests that are not there: {missing:#?}");
    let count = named(&text).count();
    assert!(count > 80, "only {count} tests are named: was the way of writing them changed?");
    println!("{count} tests are named, all are there");
}

#[test]
fn whatever_is_said_to_hold_in_a_fault_is_a_test_or_a_check_of_the_board() {
    let text = std::fs::read_to_string(root().join("tests/FAULTS.md")).expect("the matrix is there");
    let sources = files(&[".rs"]);
    let of_board = |source: &&Source| source.path.starts_with("tests/src/bin/board/");
    let board: String = sources.iter().filter(of_board).map(|source| source.text.as_str()).collect();
    let tests = named(&text).filter(|(path, test)| !is_test(&sources, &format!("{path}.rs"), test));
    let tests = tests.map(|(path, test)| format!("{path}.rs::{test}"));
    let checks = checks(&text).filter(|check| !board.contains(&format!("\"{check}\"")));
    let missing: Vec<String> = tests.chain(checks.map(str::to_owned)).collect();
    assert!(missing.is_empty(), "tests/FAULTS.md names what is not there: {missing:#?}");
    assert!(named(&text).count() > 40, "was the way of writing them changed?");
}
