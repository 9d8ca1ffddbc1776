//! What needs no camera; against a real server: tests/walks/rtsp.rs.

use std::fs::{Permissions, set_permissions, write};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::SystemTime;

use super::*;
use crate::clock::{Monotonic, SystemClock};
use crate::frame::{BufferPool, Colour, Frame, FrameMeta, PixelFormat, Stamp};

fn refusal(url: &str) -> String {
    let config = RtspConfig::new("front", url);
    let error = RtspSource::open(&config, Arc::new(SystemClock)).err().expect("the address is refused");
    format!("{error} | {error:?} | {config:?}")
}

#[test]
fn credentials_in_the_address_are_refused_and_not_repeated() {
    for url in [
        "rtsp://viewer:Rosen-17@cam.local/a",
        "rtsp://viewer@cam.local/",
        "rtsp://viewer:Rosen-17@cam:99999/",
    ] {
        let text = refusal(url);
        assert!(!text.contains("Rosen-17") && !text.contains("viewer"), "{text}");
    }
    assert!(refusal("rtsp://viewer:Rosen-17@cam.local/a").contains("credentials_file"));
}

#[test]
fn settings_in_path_and_query_are_not_printed() {
    for url in
        ["rtsp://cam.local/user=admin&password=Rosen-17&channel=1", "rtsp://cam.local/live?pw=Rosen-17"]
    {
        let config = RtspConfig::new("front", url);
        let shown = config::Address::of(&config).unwrap().shown;
        assert!(shown.starts_with("rtsp://cam.local/"), "{shown}");
        assert!(!format!("{shown} {config:?}").contains("Rosen-17"), "{shown}");
    }
}

#[test]
fn an_address_of_another_kind_says_what_to_write() {
    assert!(refusal("rtsps://cam.local/a").contains("tunnel"));
    assert!(refusal("http://cam.local/a").contains("rtsp://host"));
    assert!(refusal("cam.local/a").contains("rtsp://host"));
    assert!(refusal("").contains("rtsp://host"));
}

#[test]
fn an_unknown_key_is_refused() {
    let read = |text: &str| serde_json::from_str::<RtspConfig>(text);
    let config = read(r#"{"name": "front", "url": "rtsp://cam.local/a", "transport": "udp"}"#).unwrap();
    assert_eq!((config.transport, config.start_timeout_ms), (Transport::Udp, 10_000));
    let error =
        read(r#"{"name": "front", "url": "rtsp://cam.local/a", "tcp": true}"#).unwrap_err().to_string();
    assert!(error.contains("tcp") && error.contains("transport"), "{error}");
}

fn login_file(folder: &tempfile::TempDir, text: &str, mode: u32) -> PathBuf {
    let path = folder.path().join("login");
    write(&path, text).unwrap();
    set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    path
}

#[test]
fn a_login_is_one_line_or_two() {
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        ("viewer:a:b", "a:b"),
        ("viewer:\n", ""),
        ("viewer\na:b\n", "a:b"),
        ("viewer\r\n pass \r\n", " pass "),
    ];
    for (text, password) in cases {
        let read = Login::read(&login_file(&folder, text, 0o600)).unwrap().credentials();
        assert_eq!((read.username.as_str(), read.password.as_str()), ("viewer", password), "{text:?}");
    }
}

#[test]
fn a_login_that_makes_no_sense_is_refused_without_its_content() {
    let folder = tempfile::tempdir().unwrap();
    for text in ["", "Rosen-17", ":Rosen-17", "a\nb\nRosen-17", &"Rosen-17".repeat(1000)] {
        let error = Login::read(&login_file(&folder, text, 0o600)).err().expect("refused");
        assert!(!format!("{error} {error:?}").contains("Rosen-17"), "{error}");
    }
}

#[test]
fn a_login_that_every_user_may_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for mode in [0o644, 0o604, 0o602] {
        let error =
            Login::read(&login_file(&folder, "viewer:Rosen-17", mode)).err().expect("refused").to_string();
        assert!(error.contains("chmod"), "{error}");
    }
    assert!(
        Login::read(&login_file(&folder, "viewer:Rosen-17", 0o640)).is_ok(),
        "a group is a service's own affair"
    );
}

#[test]
fn a_server_that_sends_the_login_back_does_not_get_it_printed() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 2000];
        let _ = stream.read(&mut request);
        let answer =
            "RTSP/1.0 200 viewer Rosen-17\r\nCSeq: viewer:Rosen-17\r\nContent-Type: Rosen-17\r\n\r\n";
        let _ = stream.write_all(answer.as_bytes());
    });
    let config = RtspConfig {
        credentials_file: Some(login_file(&folder, "viewer:Rosen-17", 0o600)),
        start_timeout_ms: 1500,
        ..RtspConfig::new("front", format!("rtsp://127.0.0.1:{port}/a"))
    };
    let error = RtspSource::open(&config, Arc::new(SystemClock)).err().expect("no camera");
    server.join().unwrap();
    let text = format!("{error} {error:?}");
    assert!(!text.contains("Rosen-17") && !text.contains("viewer"), "{text}");
}

#[test]
fn a_server_that_is_not_there_is_said_at_once() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let text = refusal(&format!("rtsp://127.0.0.1:{port}/a"));
    assert!(text.contains("connect") && text.contains("refused"), "{text}");
}

fn frame(sequence: u64) -> Frame {
    let meta = FrameMeta {
        source: "front".into(),
        sequence,
        captured: Monotonic::from_nanos(sequence),
        stamp: Stamp::Arrival,
        wall: SystemTime::UNIX_EPOCH,
        position: None,
        path: None,
        copies: 1,
    };
    let buffer = BufferPool::default().take(4);
    Frame::packed(meta, PixelFormat::Grey, Colour::default(), (2, 2), buffer).unwrap()
}

fn trouble() -> SourceError {
    handover::stopped("front")
}

fn fetched(handover: &Handover) -> String {
    match handover.next(Duration::ZERO, "front").0 {
        Ok(Event::Frame(frame)) => frame.meta().sequence.to_string(),
        Ok(Event::Lost(_)) => "lost".into(),
        Ok(Event::Restored) => "restored".into(),
        Ok(Event::Skipped(_)) => "skipped".into(),
        Ok(Event::Nothing) => "nothing".into(),
        Ok(Event::End) => "end".into(),
        Err(_) => "error".into(),
    }
}

#[test]
fn the_newest_frames_wait_and_the_others_are_counted() {
    let handover = Handover::default();
    (0..5).for_each(|sequence| handover.frame(frame(sequence)));
    let (event, dropped) = handover.next(Duration::ZERO, "front");
    assert!(matches!(event, Ok(Event::Frame(ref frame)) if frame.meta().sequence == 3) && dropped == 3);
    assert_eq!([fetched(&handover), fetched(&handover)], ["4", "nothing"]);
}

#[test]
fn however_often_the_camera_goes_the_reader_sees_lost_and_restored_in_turn() {
    let handover = Handover::default();
    handover.frame(frame(0));
    for sequence in 1..100 {
        handover.lost(trouble());
        handover.restored();
        handover.frame(frame(sequence));
    }
    let seen: Vec<String> = (0..5).map(|_| fetched(&handover)).collect();
    assert_eq!(seen, ["0", "lost", "restored", "99", "nothing"]);
    assert_eq!(handover.next(Duration::ZERO, "front").1, 98, "frames 1 to 98 nobody got");

    handover.lost(trouble());
    handover.restored();
    handover.lost(trouble());
    assert_eq!([fetched(&handover), fetched(&handover)], ["lost", "nothing"]);
}

#[test]
fn a_source_that_failed_says_so_again_and_again() {
    let handover = Handover::default();
    handover.frame(frame(0));
    handover.failed(trouble());
    let seen: Vec<String> = (0..3).map(|_| fetched(&handover)).collect();
    assert_eq!(seen, ["0", "error", "error"]);
}

#[test]
fn reports_of_unusable_frames_do_not_pile_up() {
    let handover = Handover::default();
    (0..50).for_each(|_| handover.skipped(trouble()));
    assert_eq!((0..50).filter(|_| fetched(&handover) == "skipped").count(), 8);
    assert_eq!(handover.next(Duration::ZERO, "front").1, 42);
}
