//! Which room imports which, and what none of them brings along.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::tree::{files, root};

/// The only arrows between rooms. `stopline-tests` may import everything, and nobody imports it.
const ARROWS: [(&str, &[&str]); 10] = [
    ("stopline-sensors", &[]),
    ("stopline-decide", &[]),
    ("stopline-kernels", &[]),
    ("stopline-journal", &[]),
    ("stopline-tuf", &[]),
    ("v4l2-sys-mit", &[]),
    ("stopline-depot", &["stopline-tuf"]),
    (
        "stopline",
        &["stopline-sensors", "stopline-decide", "stopline-kernels", "stopline-depot", "stopline-journal"],
    ),
    ("stopline-agent", &["stopline-depot", "stopline-journal", "stopline-tuf"]),
    ("stopline-fleet", &["stopline-depot", "stopline-journal", "stopline-tuf"]),
];

/// A fresh machine has a C compiler and no more.
const NEEDS_MORE_THAN_A_COMPILER: [&str; 6] =
    ["aws-lc-sys", "cmake", "openssl-sys", "bindgen", "clang-sys", "pkg-config"];

/// These build their own C source; they ask the crate pkg-config only where ZSTD_SYS_USE_PKG_CONFIG or
/// LIBSQLITE3_SYS_USE_PKG_CONFIG says so.
const ONLY_WHERE_ASKED: (&str, [&str; 2]) = ("pkg-config", ["libsqlite3-sys", "zstd-sys"]);

/// Name → its own packages that it declares, of any kind (build, dev, optional).
fn declared() -> BTreeMap<String, Vec<Value>> {
    let text = cargo(&["metadata", "--format-version=1", "--no-deps"]);
    let metadata: Value = serde_json::from_str(&text).expect("cargo writes JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let name = |package: &Value| package["name"].as_str().expect("a name").to_owned();
    let dependencies = |package: &Value| package["dependencies"].as_array().cloned().unwrap_or_default();
    packages.iter().map(|package| (name(package), dependencies(package))).collect()
}

fn cargo(arguments: &[&str]) -> String {
    let program = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let output = Command::new(program).args(arguments).arg("--offline").current_dir(root()).output();
    let output = output.expect("cargo runs");
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("cargo writes UTF-8")
}

/// Every crate in the tree of a package, on this machine's kind of system, build dependencies included.
fn brought(package: &str, features: &[&str]) -> BTreeSet<String> {
    let mut arguments =
        vec!["tree", "--package", package, "--edges=normal,build", "--prefix=none", "--format={p}"];
    arguments.extend(features);
    let text = cargo(&arguments);
    text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

#[test]
fn rooms_import_only_what_they_may() {
    let declared = declared();
    let ours: BTreeSet<&str> = declared.keys().map(String::as_str).collect();
    let named: BTreeSet<&str> = ARROWS.iter().map(|(name, _)| *name).chain(["stopline-tests"]).collect();
    assert_eq!(ours, named, "a room came or went: say in ARROWS what it may import");
    for (from, allowed) in ARROWS {
        let imported = declared[from].iter().filter_map(|dependency| dependency["name"].as_str());
        for to in imported.filter(|to| ours.contains(to)) {
            assert!(allowed.contains(&to), "{from} imports {to}; it may import {allowed:?}");
        }
    }
}

#[test]
fn the_async_runtime_stays_in_the_air_and_behind_rtsp() {
    for (name, dependencies) in declared() {
        for dependency in dependencies {
            if dependency["name"] != "tokio" {
                continue;
            }
            let optional = dependency["optional"] == true;
            let may = match name.as_str() {
                "stopline-agent" | "stopline-fleet" => true,
                "stopline-sensors" => optional,
                _ => false,
            };
            assert!(may, "{name} depends on tokio (optional: {optional})");
        }
    }
    for package in ["stopline-decide", "stopline-kernels", "stopline-depot", "stopline-tuf"] {
        assert!(!brought(package, &[]).contains("tokio"), "{package} brings tokio");
    }
    let eyes_only = brought("stopline-sensors", &["--no-default-features", "--features=h264"]);
    assert!(!eyes_only.contains("tokio") && eyes_only.contains("openh264"), "{eyes_only:?}");
    assert!(brought("stopline-sensors", &["--features=rtsp"]).contains("tokio"), "the test can see tokio");
}

#[test]
fn a_vehicle_gets_no_network_and_no_foreign_library() {
    let vehicle = brought("stopline", &["--no-default-features", "--features=vehicle"]);
    assert!(vehicle.contains("tract-onnx"), "the test sees the tree: {vehicle:?}");
    for unwanted in ["tokio", "mio", "retina", "rumqttc", "reqwest", "rustls", "ort", "ort-sys"] {
        assert!(!vehicle.contains(unwanted), "a vehicle build brings {unwanted}");
    }
}

#[test]
fn the_build_needs_a_compiler_and_no_more() {
    for package in declared().keys() {
        let brought = brought(package, &[]);
        for unwanted in NEEDS_MORE_THAN_A_COMPILER {
            let (asked, by) = ONLY_WHERE_ASKED;
            let known = |name: &String| by.contains(&name.as_str());
            let excused = unwanted == asked && brought_by(package, asked).iter().all(known);
            assert!(
                excused || !brought.contains(unwanted),
                "{package} brings {unwanted}; cargo tree -p {package} -i {unwanted}"
            );
        }
    }
}

/// The crates in the tree of a package that themselves bring `unwanted`.
fn brought_by(package: &str, unwanted: &str) -> BTreeSet<String> {
    if !brought(package, &[]).contains(unwanted) {
        return BTreeSet::new();
    }
    let tree = cargo(&[
        "tree",
        "--package",
        package,
        "--invert",
        unwanted,
        "--depth=1",
        "--prefix=none",
        "--format={p}",
    ]);
    let names = tree.lines().filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != unwanted && !name.starts_with('[')).map(str::to_owned).collect()
}

#[test]
fn every_crate_comes_from_the_one_registry() {
    const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";
    let lock: toml::Table = std::fs::read_to_string(root().join("Cargo.lock"))
        .expect("Cargo.lock is kept")
        .parse()
        .expect("TOML");
    for package in lock["package"].as_array().expect("packages") {
        let source = package.get("source").and_then(toml::Value::as_str);
        assert!(source.is_none_or(|source| source == REGISTRY), "{} comes from {source:?}", package["name"]);
    }
}

#[test]
fn every_crate_obeys_the_one_list_of_lints() {
    let workspace: toml::Table =
        std::fs::read_to_string(root().join("Cargo.toml")).expect("it is there").parse().expect("TOML");
    let lints = &workspace["workspace"]["lints"]["rust"];
    assert!(matches!(lints["missing_docs"].as_str(), Some("warn" | "deny")), "{lints}");
    assert_eq!(lints["unsafe_code"].as_str(), Some("deny"));
    for manifest in files(&["/Cargo.toml"]) {
        // Bindings made by a tool; the workspace itself; workspaces of their own that are never shipped.
        if ["sensors/v4l2-sys/Cargo.toml", "Cargo.toml", "tests/fuzz/Cargo.toml", "tests/mcu/Cargo.toml"]
            .contains(&manifest.path.as_str())
        {
            continue;
        }
        let table: toml::Table = manifest.text.parse().expect("TOML");
        let inherits =
            table.get("lints").and_then(|lints| lints.get("workspace")).and_then(toml::Value::as_bool);
        assert_eq!(inherits, Some(true), "{}: add [lints] workspace = true", manifest.path);
    }
}

#[test]
fn every_room_says_what_it_is() {
    for manifest in files(&["/Cargo.toml"]) {
        let Some(room) = manifest.path.strip_suffix("/Cargo.toml") else { continue };
        let has = |file: &str| {
            std::fs::read_to_string(root().join(room).join(file)).is_ok_and(|text| text.len() > 40)
        };
        let documented = std::fs::read_to_string(root().join(room).join("src/lib.rs"))
            .is_ok_and(|text| text.trim_start_matches("#![no_std]").trim_start().starts_with("//!"));
        assert!(
            has("README.md") || documented,
            "{room} has neither a README.md nor a lib.rs that says what it is"
        );
    }
}
