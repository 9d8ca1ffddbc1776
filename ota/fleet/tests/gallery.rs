//! The operator's own page of captured pictures: what stands on it, what does not, and how it looks in a browser.
#![cfg(feature = "serve")]
#![allow(clippy::unwrap_used)] // what cannot be prepared fails the test

mod browser;
mod lab;
mod needs;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use browser::{Browser, chromium};
use lab::{Frame, Lab};
use serde_json::Value;
use stopline_depot::digest::Digest;
use stopline_depot::record::RecordedSituation;

const SCRIPT: &str = "<script>alert(1)</script>";

fn braking() -> Frame {
    let situation = RecordedSituation {
        id: 7,
        kind: "pedestrian".into(),
        phase: "braking".into(),
        track: Some(3),
        since_ns: 1,
        distance_m: Some(11.84),
        ttc_s: Some(1.2),
        score: 0.8,
        reachable: true,
    };
    let objects = vec![("person", [100.0, 120.0, 180.0, 360.0]), ("stop sign", [560.0, 20.0, 650.0, 100.0])];
    Frame { situations: Some(vec![situation]), objects, ..Frame::new(0, 0, 1) }
}

/// Runs the program; whether it went well, and what it said.
fn gallery(lab: &Lab, arguments: &[&str]) -> (bool, Value, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stopline-fleet"));
    command.current_dir(lab.room.path()).args([
        "dataset",
        "gallery",
        "store",
        "--identity",
        "capture.key",
        "--json",
    ]);
    let output = command.args(arguments).output().unwrap();
    let said = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.success(), said, String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn the_page_shows_boxes_reasons_and_situations_and_nothing_that_was_forgotten() {
    let lab = Lab::new();
    let hostile = Frame { objects: vec![(SCRIPT, [0.0, 0.0, 90.0, 90.0])], ..Frame::new(0, 600, 2) };
    let (first, second) = (lab.put(&braking()), lab.put(&hostile));
    let gone = lab.put(&Frame::new(0, 1_200, 3));
    let tombstones = lab.at("store/tombstones");
    std::fs::create_dir_all(&tombstones).unwrap();
    std::fs::write(tombstones.join(gone.to_string()), "").unwrap();
    let stranger = Digest::of(b"sealed for somebody else");
    std::fs::write(lab.at(&format!("store/records/{stranger}.age")), "sealed for somebody else").unwrap();

    let (done, said, problem) = gallery(&lab, &["-o", "page.html"]);
    assert!(done, "{problem}");
    assert_eq!((&said["shown"], &said["records"], &said["closed"]), (&2.into(), &2.into(), &1.into()));
    let path = lab.at("page.html");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let page = std::fs::read_to_string(&path).unwrap();
    for expected in [
        "viewBox=\"0 0 320 240\"",
        "<rect x=\"50\" y=\"60\" width=\"40\" height=\"120\">",
        "person 0.75, stop sign 0.70",
        "random",
        "pedestrian: braking, 11.8 m, 1.2 s left",
        "&lt;script&gt;alert(1)&lt;/script&gt; 0.75",
        &first.to_string(),
    ] {
        assert!(page.contains(expected), "{expected} is not in {page}");
    }
    assert!(!page.contains(SCRIPT) && !page.contains(&gone.to_string()) && !page.contains("src=\"http"));
    let at = |digest: &Digest| page.find(&digest.to_string()).unwrap();
    assert!(at(&second) < at(&first), "the newest comes first");

    let (done, _, problem) = gallery(&lab, &["-o", "page.html"]);
    assert!(!done && problem.contains("page.html"), "another file is not written over: {problem}");
    let (_, said, _) = gallery(&lab, &["-o", "one.html", "--limit", "1"]);
    assert_eq!((&said["shown"], &said["records"]), (&1.into(), &2.into()));
    let (done, _, problem) = gallery(&lab, &["-o", "none.html", "--limit", "0"]);
    assert!(!done && problem.contains("--limit 0: 1 to 2000 are expected"), "{problem}");
}

/// The page, at a size, as somebody with a browser sees it.
fn look(browser: &mut Browser, size: (u32, u32), shot: Option<&Path>) {
    browser.size(size.0, size.1);
    browser.until("[...document.querySelectorAll('.frame img')].every(one => one.complete)");
    let painted = browser.ask("[...document.querySelectorAll('.frame img')].map(one => one.naturalWidth)");
    assert!(painted.as_array().unwrap().iter().all(|width| width.as_u64() > Some(0)), "{painted}");
    let [width, view] = ["document.documentElement.scrollWidth", "document.documentElement.clientWidth"]
        .map(|one| browser.ask(one).as_u64().unwrap());
    assert!(width <= view, "{width} pixels on a screen of {view}");
    // A box lies over the picture where it belongs: its left edge at 50 of 320, its upper at 60 of 240.
    let off = browser.ask(
        "(() => { const frame = document.querySelector('.frame'); \
         const img = frame.querySelector('img').getBoundingClientRect(); \
         const rect = frame.querySelector('rect').getBoundingClientRect(); \
         return Math.max(Math.abs(rect.left + rect.width / 2 - img.left - img.width * 70 / 320), \
             Math.abs(rect.top + rect.height / 2 - img.top - img.height * 120 / 240), \
             Math.abs(img.width / img.height - 320 / 240) * 10); })()",
    );
    assert!(off.as_f64().unwrap() < 2.0, "{off} pixels");
    // Nor are words cut off at the picture's edges.
    let cut = browser.ask(
        "[...document.querySelectorAll('.frame text')].filter(one => { \
         const words = one.getBoundingClientRect(); const frame = one.closest('.frame').getBoundingClientRect(); \
         return words.left < frame.left - 2 || words.right > frame.right + 2 || words.top < frame.top - 2; }).length",
    );
    assert_eq!(cut, 0, "words that are cut off");
    if let Some(path) = shot {
        browser.picture(path);
    }
}

#[test]
fn boxes_lie_where_they_belong_on_wide_and_narrow_screens() {
    let Some(chromium) = chromium() else { return };
    let lab = Lab::new();
    for n in 1..12 {
        lab.put(&Frame::new(0, n * 60, n));
    }
    // Taken last, so that it stands first.
    lab.put(&Frame { second: 90_000, ..braking() });
    assert!(gallery(&lab, &["-o", "page.html"]).0);
    let mut browser = Browser::start(&chromium);
    browser.go(&format!("file://{}", lab.at("page.html").display()));
    browser.ask("document.querySelectorAll('img').forEach(one => { one.loading = 'eager'; })");
    let shots = std::env::var_os("STOPLINE_SCREENSHOTS").map(PathBuf::from);
    let shot = |name: &str| shots.as_ref().map(|folder| folder.join(name));
    look(&mut browser, (360, 740), shot("gallery-360.png").as_deref());
    look(&mut browser, (1_200, 900), shot("gallery-1200.png").as_deref());
}
