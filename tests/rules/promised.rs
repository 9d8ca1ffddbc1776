//! `ota/RULES.md` names the test that holds each rule of the update path: each is there.

use crate::tree::{files, root};

/// `path.rs::test` within back quotes.
fn named(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split('`').skip(1).step_by(2).filter_map(|quoted| quoted.split_once(".rs::"))
}

#[test]
fn whatever_is_said_to_hold_a_rule_is_a_test() {
    let text = std::fs::read_to_string(root().join("ota/RULES.md")).expect("the rules are there");
    let sources = files(&[".rs"]);
    let mut missing = Vec::new();
    let mut count = 0;
    for (path, test) in named(&text) {
        let below = if path.starts_with("runtime/") || path.starts_with("tests/") { "" } else { "ota/" };
        let path = format!("{below}{path}.rs");
        let source = sources.iter().find(|source| *source.path == *path);
        let function = format!("fn {test}(");
        // A test, not just a function of that name: its attribute stands above it.
        let is_test =
            source.and_then(|source| Some(source.text.split_once(&function)?.0)).is_some_and(|above| {
                let above = above.trim_end().trim_end_matches("async").trim_end();
                let attributes = above.lines().rev().map(str::trim).take_while(|line| line.starts_with("#["));
                attributes.into_iter().any(|line| line.contains("test"))
            });
        count += 1;
        if !is_test {
            missing.push(format!("{path}::{test}"));
        }
    }
    assert!(missing.is_empty(), "ota/RULES.md names tests that are not there: {missing:#?}");
    assert!(count > 80, "only {count} tests are named: was the way of writing them changed?");
    println!("{count} tests are named, all are there");
}
