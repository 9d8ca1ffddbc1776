//! The journal's catalogue has an entry for whatever a device's log warns of, and none for what nobody says.

use std::collections::BTreeSet;

use stopline_decide::cause::Cause;

use crate::tree::{Source, files, root};

/// Ids of the macros `name` in a file: what stands behind `id = `, in quotes.
fn ids<'a>(source: &'a Source, name: &'a str) -> impl Iterator<Item = &'a str> {
    source.text.split(name).skip(1).filter_map(|rest| {
        let inside = &rest[..rest.find(';').unwrap_or(rest.len())];
        inside.split_once("id = \"")?.1.split('"').next()
    })
}

#[test]
fn whatever_a_device_warns_of_has_help_in_the_journal() {
    let text = std::fs::read_to_string(root().join("systemd/catalogue.txt")).expect("the catalogue is there");
    let names: BTreeSet<&str> = stopline_journal::names(&text).collect();
    assert_eq!(names.len(), stopline_journal::names(&text).count(), "an entry stands twice");
    let sources = files(&[".rs"]);
    let code: Vec<&Source> = sources.iter().filter(|source| !source.is_test()).collect();
    let agent = code.iter().filter(|source| source.path.starts_with("ota/agent/"));
    let warned =
        agent.flat_map(|source| ["tracing::warn!(", "tracing::error!("].map(|name| ids(source, name)));
    let mut wanted: BTreeSet<String> = warned.flatten().map(str::to_owned).collect();
    wanted.extend(Cause::all().map(|cause| format!("state.{}", cause.code())));
    let missing: Vec<_> = wanted.iter().filter(|id| !names.contains(id.as_str())).collect();
    assert!(missing.is_empty(), "systemd/catalogue.txt has no entry for {missing:?}");
    let said = |name: &str| {
        wanted.contains(name) || code.iter().any(|source| source.text.contains(&format!("\"{name}\"")))
    };
    let unsaid: Vec<_> = names.iter().filter(|name| !said(name)).collect();
    assert!(unsaid.is_empty(), "systemd/catalogue.txt explains {unsaid:?}, which nobody says");
    println!("{} entries, {} of them for warnings and causes", names.len(), wanted.len());
}
