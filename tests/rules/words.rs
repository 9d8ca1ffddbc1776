//! Unsafe code, clocks, names, paths, links.

use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};

use crate::tree::{Source, files, root, rust};

/// At most one file per crate, each with `#![allow(unsafe_code)]` and a reason at every place.
const MAY_BE_UNSAFE: [(&str, &str); 5] = [
    ("sensors", "sensors/src/v4l2/queue.rs"), // the kernel's mapped buffers and unions
    ("runtime", "runtime/src/cpu.rs"),        // calls compiled for wider registers; real-time scheduling
    ("agent", "ota/agent/src/budget/sockets.rs"), // one getsockopt: TCP_INFO has no safe wrapper here
    ("kernels", "runtime/kernels/src/simd.rs"), // the processor's wide instructions
    ("tests", "tests/src/allocations.rs"),    // the allocator that counts
];

const CLOCK: &str = "sensors/src/clock.rs";

/// Every token of the file, also within macros, with its line.
fn tokens(source: &Source) -> Vec<(String, usize)> {
    fn walk(stream: TokenStream, into: &mut Vec<(String, usize)>) {
        for token in stream {
            match token {
                TokenTree::Group(group) => walk(group.stream(), into),
                other => into.push((other.to_string(), other.span().start().line)),
            }
        }
    }
    let stream: TokenStream = source.text.parse().unwrap_or_else(|error| panic!("{}: {error}", source.path));
    let mut found = Vec::new();
    walk(stream, &mut found);
    found
}

fn code() -> impl Iterator<Item = Source> {
    files(&[".rs"]).into_iter().filter(|source| !source.is_generated())
}

#[test]
fn unsafe_code_lies_in_one_named_file_per_crate_and_says_why() {
    let mut rooms: Vec<&str> = MAY_BE_UNSAFE.iter().map(|(room, _)| *room).collect();
    rooms.dedup();
    assert_eq!(rooms.len(), MAY_BE_UNSAFE.len(), "one file per crate");
    let mut seen = 0;
    for source in code() {
        let lines: Vec<&str> = source.text.lines().collect();
        for (_, line) in tokens(&source).iter().filter(|(token, _)| token == "unsafe") {
            let allowed = MAY_BE_UNSAFE.iter().any(|(_, file)| *file == source.path);
            assert!(allowed, "{}:{line}: unsafe code belongs into one of {MAY_BE_UNSAFE:?}", source.path);
            assert!(explained(&lines, *line), "{}:{line}: no `// SAFETY:` above it", source.path);
            seen += 1;
        }
    }
    for (room, file) in MAY_BE_UNSAFE {
        let text = std::fs::read_to_string(root().join(file));
        let text = text.unwrap_or_else(|_| panic!("{file} is gone: take it off the list of {room}"));
        assert!(text.contains("#![allow(unsafe_code)]"), "{file} does not say #![allow(unsafe_code)] itself");
    }
    println!("unsafe: {seen} places in {} files", MAY_BE_UNSAFE.len());
}

/// Whether the comment right above the statement, or its documentation, holds the reason.
fn explained(lines: &[&str], line: usize) -> bool {
    let reason = |line: &&str| line.contains("SAFETY:") || line.contains("# Safety");
    lines[..line].iter().rev().take(8).take_while(|line| !line.trim().is_empty()).any(reason)
}

#[test]
fn time_is_read_in_one_place() {
    for source in code().filter(|source| source.path != CLOCK) {
        for window in tokens(&source).windows(4) {
            let words: Vec<&str> = window.iter().map(|(token, _)| token.as_str()).collect();
            let reads =
                matches!(words.as_slice(), ["Instant" | "SystemTime" | "UtcDateTime", ":", ":", "now"]);
            assert!(!reads, "{}:{}: ask a stopline_sensors::clock::Clock", source.path, window[0].1);
        }
    }
}

#[test]
fn no_name_says_nothing() {
    const EMPTY: [&str; 10] =
        ["util", "utils", "helper", "helpers", "manager", "managers", "misc", "common", "stuff", "shared"];
    for source in code() {
        for part in Path::new(&source.path).with_extension("").iter().filter_map(|part| part.to_str()) {
            let empty = part.split('_').any(|word| EMPTY.contains(&word));
            assert!(!empty, "{}: {part:?} does not say what is in it", source.path);
        }
    }
}

#[test]
fn nothing_is_left_undone_in_the_code() {
    for source in code() {
        for (token, line) in tokens(&source) {
            let undone = ["todo", "unimplemented", "dbg"].contains(&token.as_str());
            let called =
                source.text.lines().nth(line - 1).is_some_and(|text| text.contains(&format!("{token}!")));
            assert!(!(undone && called), "{}:{line}: {token}!", source.path);
        }
    }
}

#[test]
fn no_file_knows_the_machine_it_was_written_on() {
    // Put together here, so that this file does not hold them.
    let forbidden =
        [["/wo", "rk/"], ["/home", "/"], ["/ro", "ot/"], ["/Use", "rs/"]].map(|parts| parts.concat());
    for source in files(&[".rs", ".md", ".toml", ".py", ".sh", "/run", "/newcomer", ".service", ".yml"]) {
        for (line, text) in source.text.lines().enumerate() {
            let found = forbidden.iter().find(|path| begins_in(text, path));
            assert!(found.is_none(), "{}:{}: {found:?}", source.path, line + 1);
        }
    }
}

/// Whether an absolute path that begins with `path` stands in `text`; `$out/root/` is none.
fn begins_in(text: &str, path: &str) -> bool {
    let within = |c: char| c.is_ascii_alphanumeric() || "_.-/}*".contains(c);
    text.match_indices(path).any(|(at, _)| !text[..at].ends_with(within))
}

#[test]
fn links_in_the_documents_lead_somewhere() {
    let mut dead = Vec::new();
    for document in files(&[".md"]) {
        let folder = root().join(&document.path).parent().expect("a file lies in a folder").to_path_buf();
        for target in links(&document.text) {
            let path = target.split(['#', '?']).next().unwrap_or_default();
            let outside = target.contains("://") || target.starts_with("mailto:") || path.is_empty();
            if !outside && !folder.join(path).exists() {
                dead.push(format!("{}: {target}", document.path));
            }
        }
    }
    assert!(dead.is_empty(), "dead links: {dead:#?}");
}

/// Targets of Markdown links, outside code blocks.
fn links(text: &str) -> Vec<&str> {
    let outside_code = text.split("```").step_by(2);
    outside_code.flat_map(|part| part.split("](").skip(1)).filter_map(|rest| rest.split(')').next()).collect()
}

#[test]
fn files_named_in_documents_and_comments_exist() {
    let mut dead = Vec::new();
    for source in files(&[".md", ".rs", ".toml", ".py"]) {
        for (line, text) in source.text.lines().enumerate() {
            let gone = named_paths(text).filter(|path| !root().join(path).exists());
            dead.extend(gone.map(|path| format!("{}:{}: {path}", source.path, line + 1)));
        }
    }
    assert!(dead.is_empty(), "files that do not exist: {dead:#?}");
}

/// Words that look like a path from the root of the tree.
fn named_paths(line: &str) -> impl Iterator<Item = &str> {
    const ROOMS: [&str; 7] = ["sensors/", "runtime/", "ota/", "tests/", "cross/", "systemd/", ".ci/"];
    // Made by a run, and folders of the same name elsewhere.
    const ELSEWHERE: [&str; 2] = ["tests/results", "tests/fuzz/corpus"];
    let is_path = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    line.split(|c: char| c.is_whitespace() || "`\"'()[],;|<>".contains(c))
        .map(|word| word.trim_end_matches(['.', ':', '!', '?', '/']))
        .filter(move |word| ROOMS.iter().any(|room| word.starts_with(room)) && word.chars().all(is_path))
        .filter(|word| !ELSEWHERE.iter().any(|made| word.starts_with(made)) && !word.contains("..."))
}

#[test]
fn the_rules_see_what_they_look_for() {
    let source = Source {
        path: "x.rs".into(),
        text: "fn a() { m!(unsafe { x }); let t = std::time::Instant::now(); }".into(),
    };
    let words: Vec<String> = tokens(&source).into_iter().map(|(token, _)| token).collect();
    assert!(
        words.contains(&"unsafe".to_owned()) && words.windows(4).any(|w| w == ["Instant", ":", ":", "now"])
    );
    assert!(!explained(&["let x = 1;", "", "unsafe {}"], 3) && explained(&["// SAFETY: x", "unsafe {}"], 2));
    assert_eq!(links("[a](b.md) ```[c](d)``` [e](f#g)"), ["b.md", "f#g"]);
    let found: Vec<&str> =
        named_paths("see `tests/run`, tests/walks/{a,b}.rs and sensors/src/clock.rs.").collect();
    assert_eq!(found, ["tests/run", "sensors/src/clock.rs"]);
    assert!(!rust().is_empty());
}
