//! The files of the tree.

use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

/// The workspace's folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests lies in the workspace").to_path_buf()
}

/// One text file of the tree.
pub struct Source {
    /// Relative to [`root`], with `/`.
    pub path: String,
    pub text: String,
}

impl Source {
    /// Bindings made by a tool and checked in: not ours to style.
    pub fn is_generated(&self) -> bool {
        self.path == "sensors/v4l2-sys/src/bindings.rs"
    }

    /// Whether it is only compiled for tests.
    pub fn is_test(&self) -> bool {
        self.path.starts_with("tests/") || self.path.ends_with("/tests.rs") || self.path.contains("/tests/")
    }
}

/// Every file whose name ends in one of `endings`, without build outputs and version control.
pub fn files(endings: &[&str]) -> Vec<Source> {
    let root = root();
    let mut found: Vec<Source> = WalkDir::new(&root)
        .into_iter()
        .filter_entry(|entry| !skipped(entry))
        .map(|entry| entry.expect("the tree can be read"))
        .filter(|entry| entry.file_type().is_file())
        .filter(|entry| endings.iter().any(|ending| entry.path().to_string_lossy().ends_with(ending)))
        .map(|entry| {
            let path = entry.path().strip_prefix(&root).expect("walked from the root");
            let text = std::fs::read_to_string(entry.path()).expect("a text file");
            Source { path: path.to_string_lossy().into_owned(), text }
        })
        .collect();
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(!found.is_empty(), "no file ends in {endings:?}");
    found
}

/// All Rust of the tree, each file parsed.
pub fn rust() -> Vec<(Source, syn::File)> {
    let parse = |source: Source| {
        let file = syn::parse_file(&source.text).unwrap_or_else(|error| panic!("{}: {error}", source.path));
        (source, file)
    };
    files(&[".rs"]).into_iter().map(parse).collect()
}

fn skipped(entry: &DirEntry) -> bool {
    const SKIPPED: [&str; 6] = ["target", ".git", "corpus", "artifacts", "coverage", "results"];
    entry.depth() > 0 && entry.file_name().to_str().is_some_and(|name| SKIPPED.contains(&name))
}
