use std::time::Duration;

use stopline_depot::record::StageLatencies;

use super::html::{base64, counted, grouped};
use super::*;
use crate::detection::Detection;

fn found(class: usize, score: f32) -> Detection {
    Detection { class, score, bbox: [0.0, 0.0, 1.0, 1.0], keypoints: Vec::new() }
}

fn tally() -> Tally {
    let mut tally = Tally::default();
    let took = StageLatencies { capture: 900, prepare: 2_000, infer: 15_000, decode: 100 };
    tally.frame(Duration::from_secs(1), &[found(0, 0.5), found(0, 0.7)], None, &took);
    tally.frame(Duration::from_secs(2), &[], Some("output \"a<b\" holds NaN"), &took);
    tally.skip(Duration::from_secs(3), "</ul><script>alert(1)</script>");
    tally.frame(Duration::from_secs(4), &[found(1, 0.9), found(0, 0.2)], None, &took);
    tally
}

fn html(clip: &str, tally: &Tally) -> String {
    let labels = ["person".to_owned(), "<img onerror='x'>".to_owned()];
    let report = Report {
        clip,
        made: "2026-01-01".into(),
        clip_facts: &[("Size", "640 × 480".into())],
        model_facts: &[("Name", "a&b".into())],
        labels: &labels,
        tally,
        pictures: &[],
    };
    report.html()
}

#[test]
fn no_foreign_string_becomes_markup() {
    let html = html("\"><script>alert(2)</script>\u{202e}", &tally());
    assert!(!html.contains("<script>alert") && !html.contains("<img onerror"), "{html}");
    assert!(!html.contains('\u{202e}'));
    assert!(html.contains("&lt;img onerror=&#39;x&#39;&gt;") && html.contains("a&amp;b"));
}

#[test]
fn every_tag_that_opens_closes() {
    let html = html("clip.mp4", &tally());
    for tag in [
        "main", "section", "div", "ul", "li", "table", "tbody", "tr", "td", "svg", "g", "figure", "details",
        "dl", "script",
    ] {
        let opened = html.matches(&format!("<{tag}>")).count() + html.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, html.matches(&format!("</{tag}>")).count(), "<{tag}>");
    }
}

#[test]
fn nothing_is_fetched_from_anywhere() {
    let html = html("clip.mp4", &tally());
    for forbidden in ["http://", "https://", "url(", "@import", "src=\"/", "href=\"/"] {
        assert!(!html.contains(forbidden), "{forbidden}");
    }
}

#[test]
fn a_replay_that_saw_nothing_still_gives_a_report() {
    let html = html("clip.mp4", &Tally::default());
    assert!(html.contains("No frame could be used.") && html.contains("No frame was measured."));
}

#[test]
fn the_tally_counts_frames_detections_and_classes() {
    let tally = tally();
    assert_eq!((tally.frames.len(), tally.detections(), tally.skipped.len(), tally.invalid), (3, 4, 1, 1));
    let classes = tally.classes();
    let person = classes[0];
    assert_eq!((person.class, person.detections, person.frames, person.most), (0, 3, 2, 2));
    assert_eq!((person.first, person.last), (Duration::from_secs(1), Duration::from_secs(4)));
    assert!((person.strongest - 0.7).abs() < 1e-6);
    assert_eq!(tally.stages.total.len(), 2, "an invalid frame's stages are not measured");
}

#[test]
fn times_counts_and_base64_are_written_as_people_and_browsers_read_them() {
    assert_eq!(
        [0, 7_449, 61_000, 3_723_960].map(|ms| clock(Duration::from_millis(ms))),
        ["0:00.0", "0:07.4", "1:01.0", "1:02:04.0"]
    );
    assert_eq!((counted(1_u64, "frame"), counted(0_u64, "frame")), ("1 frame".into(), "0 frames".into()));
    assert_eq!(grouped(1_234_567), "1\u{202f}234\u{202f}567");
    // RFC 4648, section 10.
    let vectors = [
        ("", ""),
        ("f", "Zg=="),
        ("fo", "Zm8="),
        ("foo", "Zm9v"),
        ("foob", "Zm9vYg=="),
        ("fooba", "Zm9vYmE="),
        ("foobar", "Zm9vYmFy"),
    ];
    for (plain, coded) in vectors {
        assert_eq!(base64(plain.as_bytes()), coded);
    }
}
