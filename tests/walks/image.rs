//! The operator's program as an OCI image: the same bytes twice, and it runs from what is in it, as its own user.

use std::path::Path;
use std::process::Command;

use stopline_tests::{program, skip};

/// Runs a program of the project's root; what it printed.
fn run(name: &str, arguments: &[&str]) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let output = Command::new(name).args(arguments).current_dir(root).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} {arguments:?}: {}: {said}", output.status);
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn the_image_is_the_same_twice_and_runs_from_what_is_in_it() {
    if Command::new("umoci").arg("--version").output().is_err() {
        skip::<()>("no umoci (tests/run installs it)");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let built = program("stopline-fleet").parent().unwrap().display().to_string();
    for name in ["one", "two"] {
        println!("{}", run("cross/image", &["--from", &built, "--out", &at(name)]));
    }
    let index = |name: &str| std::fs::read(folder.path().join(name).join("index.json")).unwrap();
    // The index names everything else by its digest.
    assert_eq!(index("one"), index("two"));
    if !rustix::process::geteuid().is_root() {
        skip::<()>("unpacking an image as its own users needs root");
        return;
    }
    let image = format!("{}:{}", at("one"), env!("CARGO_PKG_VERSION"));
    run("umoci", &["unpack", "--image", &image, &at("bundle")]);
    let inside = at("bundle/rootfs");
    let user = "--userspec=65532:65532";
    let version = run("chroot", &[user, &inside, "/usr/bin/stopline-fleet", "--version"]);
    assert_eq!(version, format!("stopline-fleet {}", env!("CARGO_PKG_VERSION")));
    let config = std::fs::read_to_string(at("bundle/config.json")).unwrap();
    let config: serde_json::Value = serde_json::from_str(&config).unwrap();
    assert_eq!(config["process"]["args"][0], "/usr/bin/stopline-fleet");
    assert_eq!(config["process"]["user"]["uid"], 65532);
    // Its own folder alone is its own to write.
    let owner = std::fs::metadata(format!("{inside}/var/lib/stopline-fleet")).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&owner), 65532);
}
