//! The page Records of a server that has a key of its own: who sees what, what is written down, what is never shown, and how it
//! stands in a browser.
#![cfg(feature = "serve")]
#![allow(clippy::unwrap_used)] // what cannot be prepared fails the test

mod browser;
mod house;
mod lab;
mod needs;

use std::path::{Path, PathBuf};

use browser::{Browser, chromium};
use house::{Device, FAR_S, House, PASSWORD, Page, Person, results};
use lab::{Frame, Lab, tree};
use serde_json::json;
use stopline_depot::digest::Digest;
use stopline_depot::record::RecordedSituation;

const SCRIPT: &str = "<script>alert(1)</script>";

/// A server with the lab's key, and a device.
fn opening(lab: &Lab) -> (House, Device) {
    let key = lab.at("capture.key");
    let house = House::with(&["--gallery-key", key.to_str().unwrap()]);
    let device = house.device("van-7");
    (house, device)
}

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

/// Records arrive; their addresses, in the order of the contents.
fn arrive(house: &House, device: &Device, contents: &[&[u8]]) -> Vec<Digest> {
    let (id, bytes) = device.batch(1, contents);
    let (status, said) = device.upload(house, &id, &bytes);
    assert_eq!((status, results(&said).len()), (200, contents.len()), "{said}");
    contents.iter().map(|content| Digest::of(content)).collect()
}

fn picture(person: &Person, digest: &Digest) -> Page {
    person.get(&format!("/records/{digest}/picture"))
}

/// How often each record was opened, by the audit log: who, and which.
fn openings(house: &House) -> Vec<(String, String)> {
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let lines = house.audited("records.open");
    lines.iter().map(|line| (text(&line["who"]), text(&line["detail"]["record"]))).collect()
}

#[test]
fn operators_see_boxes_and_reasons_viewers_see_nothing_and_each_opening_is_written_down_once() {
    let lab = Lab::new();
    let (house, device) = opening(&lab);
    let hostile = Frame { objects: vec![(SCRIPT, [0.0, 0.0, 90.0, 90.0])], ..Frame::new(0, 60, 2) };
    let contents = [lab.sealed(&braking()), lab.sealed(&hostile), b"sealed for somebody else".to_vec()];
    let digests = arrive(&house, &device, &contents.each_ref().map(Vec::as_slice));
    let admin = Person::welcomed(&house, "admin", &house.invitation());
    let operator = Person::invited(&house, "otto", "operator");
    let viewer = Person::invited(&house, "vera", "viewer");

    let page = operator.get("/records");
    for expected in [
        &format!("src=\"/records/{}/picture\"", digests[0]),
        "viewBox=\"0 0 320 240\"",
        "<rect x=\"50\" y=\"60\" width=\"40\" height=\"120\">",
        "person 0.75, stop sign 0.70",
        "random",
        "pedestrian: braking, 11.8 m, 1.2 s left",
        "cannot be opened",
        "&lt;script&gt;alert(1)&lt;/script&gt; 0.75",
    ] {
        assert!(page.text.contains(expected), "{expected} is not in {}", page.text);
    }
    assert!(!page.text.contains(SCRIPT) && !page.text.contains(" style="));
    let shown = picture(&operator, &digests[0]);
    assert_eq!((shown.status, shown.headers["content-type"].to_str().unwrap()), (200, "image/jpeg"));
    assert_eq!(shown.headers["cache-control"], "no-store");
    assert_eq!(shown.headers["x-content-type-options"], "nosniff");
    assert!(shown.headers["content-security-policy"].to_str().unwrap().contains("default-src 'none'"));
    assert_eq!(picture(&operator, &digests[2]).status, 422);
    assert_eq!(picture(&operator, &Digest::of(b"never came")).status, 404);
    assert_eq!(operator.get("/records/..%2F..%2Fetc%2Fpasswd/picture").status, 404);

    // A viewer sees that there are records, and no more.
    let page = viewer.get("/records");
    assert!(page.text.contains("unknown (sealed)") && page.text.contains("operators and publishers alone"));
    for secret in ["<rect", "person", "braking", "/picture", "random"] {
        assert!(!page.text.contains(secret), "{secret} in {}", page.text);
    }
    assert_eq!(picture(&viewer, &digests[0]).status, 403);
    assert_eq!(house.audited("web.refused").len(), 1);
    assert_eq!(picture(&Person::new(&house, "nobody"), &digests[0]).status, 303);

    // One line for each person and record, however often they look within the hour.
    operator.get("/records");
    picture(&operator, &digests[1]);
    admin.get("/records");
    let mut expected: Vec<(String, String)> = ["web:admin", "web:otto"]
        .iter()
        .flat_map(|who| digests.iter().map(|digest| ((*who).to_owned(), digest.to_string())))
        .collect();
    let mut found = openings(&house);
    expected.sort();
    found.sort();
    assert_eq!(found, expected);

    // Nothing of what was opened lies anywhere in clear.
    let clear = ["random-0", "braking", "stop sign"];
    for (path, bytes) in tree(&house.folder) {
        let text = String::from_utf8_lossy(&bytes);
        assert!(!clear.iter().any(|words| text.contains(words)), "{} holds what was opened", path.display());
        assert!(!bytes.windows(4).any(|begin| begin == [0xff, 0xd8, 0xff, 0xe0]), "{}", path.display());
    }
}

#[test]
fn what_was_forgotten_or_has_expired_shows_nothing_and_without_a_key_all_stays_sealed() {
    let lab = Lab::new();
    let (house, device) = opening(&lab);
    let now = u64::try_from(jiff::Timestamp::now().as_second()).unwrap();
    let frames: Vec<Vec<u8>> = (0..3).map(|n| lab.sealed(&Frame::new(0, n * 60, n))).collect();
    let contents: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
    let mut entries: Vec<_> = contents.iter().map(|content| device.entry(content, 5, FAR_S)).collect();
    entries[1] = device.entry(contents[1], 5, now + 5);
    let (id, bytes) = device.batch_of(1, entries, &contents);
    assert_eq!(results(&device.upload(&house, &id, &bytes).1), ["stored"; 3]);
    let digests: Vec<Digest> = contents.iter().map(|content| Digest::of(content)).collect();
    let admin = Person::welcomed(&house, "admin", &house.invitation());
    let shown = |digest: &Digest| admin.get("/records").text.contains(&format!("/records/{digest}/picture"));
    assert!(shown(&digests[0]));
    // Forgotten: from that moment on, before the server itself has come round to it.
    let store = house.folder.join("store");
    house.well(&format!(
        "forget {} --record {} --data {}",
        store.display(),
        digests[0],
        house.folder.display()
    ));
    assert!(!shown(&digests[0]) && shown(&digests[2]));
    assert_eq!(picture(&admin, &digests[0]).status, 404);
    while jiff::Timestamp::now().as_second() <= i64::try_from(now).unwrap() + 5 {
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    assert!(!shown(&digests[1]));
    assert_eq!(picture(&admin, &digests[1]).status, 404);

    let sealed = House::new();
    let device = sealed.device("van-7");
    arrive(&sealed, &device, &contents);
    let admin = Person::welcomed(&sealed, "admin", &sealed.invitation());
    let page = admin.get("/records");
    assert!(page.text.contains("unknown (sealed)") && !page.text.contains("/picture"), "{}", page.text);
    assert_eq!(picture(&admin, &digests[0]).status, 404);
    assert!(openings(&sealed).is_empty());
}

#[test]
fn a_page_opens_no_more_than_it_shows() {
    let lab = Lab::new();
    let (house, device) = opening(&lab);
    let frames: Vec<Vec<u8>> = (0..30).map(|n| lab.sealed(&Frame::new(0, n * 60, n))).collect();
    arrive(&house, &device, &frames.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let admin = Person::welcomed(&house, "admin", &house.invitation());
    let first = admin.get("/records");
    assert_eq!((first.text.matches("<img").count(), openings(&house).len()), (24, 24));
    assert!(first.text.contains("/records?from=24") && !first.text.contains("Newer"));
    let second = admin.get("/records?from=24");
    assert_eq!((second.text.matches("<img").count(), openings(&house).len()), (6, 30));
    assert!(second.text.contains("/records?from=0") && !second.text.contains("Older"));
    assert_eq!(admin.get("/records?from=-5").status, 200);
    assert_eq!(admin.get("/records?from=x").status, 400);
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
fn boxes_lie_where_they_belong_on_wide_and_narrow_screens_and_links_are_reached_by_the_keyboard() {
    let Some(chromium) = chromium() else { return };
    let lab = Lab::new();
    let (house, device) = opening(&lab);
    let mut frames: Vec<Vec<u8>> = (1..29).map(|n| lab.sealed(&Frame::new(0, n * 60, n))).collect();
    frames[3] = b"sealed for somebody else".to_vec();
    arrive(&house, &device, &frames.iter().map(Vec::as_slice).collect::<Vec<_>>());
    // The newest comes first.
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    let newest = lab.sealed(&braking());
    let (id, bytes) = device.batch(2, &[&newest]);
    assert_eq!(results(&device.upload(&house, &id, &bytes).1), ["stored"]);
    let mut admin = Person::welcomed(&house, "admin", &house.invitation());
    let mut browser = Browser::start(&chromium);
    browser.size(360, 740);
    browser.go(&format!("{}/login", house.people));
    for (field, text) in
        [("name", "admin".to_owned()), ("password", PASSWORD.to_owned()), ("code", admin.code())]
    {
        let selector = format!("input[name={field}]");
        if browser.ask(&format!("document.activeElement.matches({})", json!(selector))) != true {
            browser.tab_to(&selector);
        }
        browser.write(&text);
    }
    browser.press("Enter");
    browser.until("document.readyState === 'complete' && location.pathname === '/devices'");
    browser.go(&format!("{}/records", house.people));
    // What is not on the screen is fetched when it comes there.
    browser.ask("document.querySelectorAll('img').forEach(one => { one.loading = 'eager'; })");
    let shots = std::env::var_os("STOPLINE_SCREENSHOTS").map(PathBuf::from);
    let shot = |name: &str| shots.as_ref().map(|folder| folder.join(name));
    look(&mut browser, (360, 740), shot("gallery-360.png").as_deref());
    look(&mut browser, (1_200, 900), shot("gallery-wide.png").as_deref());
    browser.size(360, 740);
    browser.tab_to("nav.pages a");
    browser.press("Enter");
    browser.until("location.search === '?from=24' && document.readyState === 'complete'");
    assert!(browser.complaints.is_empty(), "{:?}", browser.complaints);
}
