//! Network cameras, against GStreamer's RTSP server.

mod camera;
mod output;

use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use stopline_sensors::clock::{Clock, Monotonic, SystemClock};
use stopline_sensors::frame::{Frame, Matrix, PixelFormat, Range, Stamp};
use stopline_sensors::rtsp::{RtspConfig, RtspSource, Transport};
use stopline_sensors::source::{Event, FrameSource, SourceError};
use stopline_tests::count;
use stopline_tests::source_suite::{Expect, Report, conforms};

use camera::Camera;
use output::everything_said;

const SIZE: (u32, u32) = (320, 240);
const PERIOD: Duration = Duration::from_millis(50);

fn open(config: &RtspConfig) -> Result<RtspSource, SourceError> {
    RtspSource::open(config, Arc::new(SystemClock))
}

fn suite(config: &RtspConfig, formats: &[PixelFormat]) -> Report {
    let frames = count("frames of a network camera", 200, 40) as u64;
    let expect = Expect { formats: formats.to_vec(), ..Expect::live("rtsp", SIZE, frames) };
    let mut again = || open(config).map(|source| Box::new(source) as Box<dyn FrameSource>);
    let report = conforms(&mut again, &expect).unwrap();
    println!("{report:?}");
    assert_eq!(report.stamps, [Stamp::Arrival]);
    assert_eq!(report.info.period, Some(PERIOD));
    report
}

/// Takes events until `wanted` is one, at most `limit`.
fn until(source: &mut RtspSource, limit: Duration, wanted: impl Fn(&Event) -> bool) -> (Event, Duration) {
    let begun = SystemClock.monotonic();
    loop {
        let event = source.next(Duration::from_millis(20)).unwrap();
        let took = SystemClock.monotonic().since(begun);
        if wanted(&event) {
            return (event, took);
        }
        assert!(took < limit, "not within {limit:?}; the last event was {event:?}, {:?}", source.counters());
    }
}

fn frame(source: &mut RtspSource) -> Frame {
    match until(source, Duration::from_secs(10), |event| matches!(event, Event::Frame(_))).0 {
        Event::Frame(frame) => frame,
        other => unreachable!("{other:?} is no frame"),
    }
}

/// Mean of each plane of an I420 frame.
fn means(frame: &Frame) -> [f64; 3] {
    [0, 1, 2].map(|plane| {
        let plane = frame.plane(plane);
        let sum: f64 = plane.bytes.iter().map(|&sample| f64::from(sample)).sum();
        sum / plane.bytes.len() as f64
    })
}

fn assert_near(found: [f64; 3], expected: [f64; 3]) {
    let near = found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 3.0);
    assert!(near, "{found:?} is not {expected:?}");
}

#[test]
fn h264_over_tcp_conforms() {
    let Some(camera) = Camera::start(&[]) else { return };
    let report = suite(&camera.config(), &[PixelFormat::I420]);
    assert_eq!(report.counters.dropped + report.counters.skipped, 0, "{:?}", report.counters);
}

#[test]
fn h264_over_udp_conforms() {
    let Some(camera) = Camera::start(&[]) else { return };
    suite(&RtspConfig { transport: Transport::Udp, ..camera.config() }, &[PixelFormat::I420]);
}

#[test]
fn mjpeg_over_tcp_conforms() {
    let Some(camera) = Camera::start(&["--codec", "mjpeg"]) else { return };
    let report = suite(&camera.config(), &[]);
    assert_eq!(report.counters.copies, 0);
}

#[test]
fn mjpeg_over_udp_conforms() {
    let Some(camera) = Camera::start(&["--codec", "mjpeg"]) else { return };
    suite(&RtspConfig { transport: Transport::Udp, ..camera.config() }, &[]);
}

#[test]
fn every_profile_of_h264_comes_whole() {
    for profile in ["high", "b-frames", "high-type-0"] {
        let Some(camera) = Camera::start(&["--profile", profile, "--key", "100"]) else { return };
        println!("{profile}");
        let report = suite(&camera.config(), &[PixelFormat::I420]);
        assert_eq!(report.counters.skipped, 0, "{profile}: {:?}", report.counters);
    }
}

#[test]
fn colours_are_what_the_stream_says() {
    // Pure red in limited range, by the matrices of BT.601 and BT.709.
    let cases = [("", Matrix::Bt601, [81.0, 90.0, 240.0]), ("bt709", Matrix::Bt709, [63.0, 102.0, 240.0])];
    for (colorimetry, matrix, red) in cases {
        let Some(camera) = Camera::start(&["--pattern", "red", "--colorimetry", colorimetry]) else { return };
        let mut source = open(&camera.config()).unwrap();
        let frame = frame(&mut source);
        assert_eq!((frame.colour().matrix, frame.colour().range), (matrix, Range::Limited), "{colorimetry}");
        assert_near(means(&frame), red);
    }
}

#[test]
fn lost_packets_are_counted_and_never_seen() {
    let Some(camera) = Camera::start(&["--pattern", "red", "--loss", "0.03"]) else { return };
    let mut source = open(&RtspConfig { transport: Transport::Udp, ..camera.config() }).unwrap();
    for _ in 0..count("frames of a lossy camera", 300, 60) {
        assert_near(means(&frame(&mut source)), [81.0, 90.0, 240.0]);
    }
    let counters = source.counters();
    println!("{counters:?}");
    assert!(counters.dropped > 0, "{counters:?}");
}

#[test]
fn a_slow_reader_gets_the_newest_frame_and_the_rest_counted() {
    let Some(camera) = Camera::start(&[]) else { return };
    let mut source = open(&camera.config()).unwrap();
    let first = frame(&mut source).meta().sequence;
    SystemClock.sleep(Duration::from_secs(1));
    let waited = frame(&mut source);
    let age = SystemClock.monotonic().since(waited.meta().captured);
    assert!(age < 4 * PERIOD, "the frame is {age:?} old");
    let missing = waited.meta().sequence - first - 1;
    assert!(missing >= 10, "{missing} frames passed in a second");
    assert_eq!(source.counters().dropped, missing);
}

#[test]
fn a_camera_that_dies_is_lost_at_once_and_back_when_it_returns() {
    let Some(mut camera) = Camera::start(&[]) else { return };
    let mut source = open(&camera.config()).unwrap();
    let before = frame(&mut source).meta().sequence;
    camera.kill();
    let (lost, took) = until(&mut source, Duration::from_secs(2), |event| matches!(event, Event::Lost(_)));
    println!("lost after {took:?}: {lost:?}");
    // max(2.5 periods, 100 ms), and two scheduling delays of a busy machine.
    assert!(took < Duration::from_millis(400), "lost after {took:?}");

    camera.restart();
    let (_, took) = until(&mut source, Duration::from_secs(10), |event| !matches!(event, Event::Nothing));
    println!("back after {took:?}");
    assert!(frame(&mut source).meta().sequence > before);
    let counters = source.counters();
    assert_eq!((counters.lost, counters.restored), (1, 1));
}

#[test]
fn a_camera_whose_pictures_stop_is_lost_and_connected_to_again() {
    let Some(camera) = Camera::start(&["--stall-after", "2"]) else { return };
    let config = RtspConfig { reconnect_after_ms: 500, start_timeout_ms: 3000, ..camera.config() };
    let mut source = open(&config).unwrap();
    let (lost, _) = until(&mut source, Duration::from_secs(6), |event| matches!(event, Event::Lost(_)));
    let Event::Lost(SourceError::Silent { waited, limit, .. }) = lost else { panic!("{lost:?}") };
    assert_eq!(limit, (PERIOD * 5 / 2).max(Duration::from_millis(100)));
    assert!(waited >= limit && waited < limit + Duration::from_millis(300), "waited {waited:?}");
    // The last client gone, the server makes the camera anew: its pictures start again.
    until(&mut source, Duration::from_secs(10), |event| matches!(event, Event::Restored));
    frame(&mut source);
}

#[test]
fn a_server_that_accepts_and_says_nothing_is_silent() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = RtspConfig {
        start_timeout_ms: 700,
        ..RtspConfig::new("front", format!("rtsp://127.0.0.1:{port}/camera"))
    };
    let begun = SystemClock.monotonic();
    let error = open(&config).err().expect("nothing was said");
    let took = SystemClock.monotonic().since(begun);
    assert!(matches!(error, SourceError::Silent { .. }), "{error}");
    assert!(took < Duration::from_millis(1700), "{took:?}");
}

#[test]
fn a_source_that_is_lost_is_dropped_at_once() {
    let Some(mut camera) = Camera::start(&[]) else { return };
    let mut source = open(&camera.config()).unwrap();
    frame(&mut source);
    camera.kill();
    until(&mut source, Duration::from_secs(2), |event| matches!(event, Event::Lost(_)));
    let begun = SystemClock.monotonic();
    drop(source);
    let took = SystemClock.monotonic().since(begun);
    assert!(took < Duration::from_millis(900), "{took:?}");
}

const USER: &str = "roadside-viewer";
const PASSWORD: &str = "Tulpe:7;nacht";

fn credentials(folder: &tempfile::TempDir, text: &str) -> PathBuf {
    let path = folder.path().join("front.login");
    let mut file = std::fs::File::create(&path).unwrap();
    file.set_permissions(std::fs::Permissions::from_mode(0o600)).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    path
}

/// What neither logs nor errors may hold: the login, plain and as HTTP's Basic scheme sends it.
fn assert_nothing_betrayed(text: &str, password: &str) {
    for secret in [USER, password, "cm9hZHNpZGUtdmlld2Vy"] {
        assert!(!text.contains(secret), "{secret} in: {text}");
    }
}

#[test]
fn a_login_works_and_is_never_printed() {
    everything_said();
    let folder = tempfile::tempdir().unwrap();
    for scheme in ["basic", "digest"] {
        let arguments = ["--auth", scheme, "--user", USER, "--password", PASSWORD];
        let Some(camera) = Camera::start(&arguments) else { return };
        let good = credentials(&folder, &format!("{USER}\n{PASSWORD}\n"));
        let with = |file| RtspConfig { credentials_file: Some(file), ..camera.config() };
        let mut source = open(&with(good.clone())).unwrap_or_else(|error| panic!("{scheme}: {error}"));
        frame(&mut source);
        println!("{:?} {:?}", with(good), source.info());
        drop(source);

        let wrong = "Nelke-9-morgen";
        let bad = credentials(&folder, &format!("{USER}:{wrong}"));
        let begun: Monotonic = SystemClock.monotonic();
        let refused = open(&with(bad)).err().expect("the password is wrong");
        assert!(SystemClock.monotonic().since(begun) < Duration::from_secs(2));
        let text = format!("{refused} {refused:?}");
        assert!(text.contains("log in") && text.contains("401"), "{text}");
        assert_nothing_betrayed(&text, wrong);

        let unasked = open(&camera.config()).err().expect("a login is needed").to_string();
        assert!(unasked.contains("credentials_file"), "{unasked}");
    }
    let said = everything_said().text();
    assert!(said.contains("SETUP response"), "the client's own log was listened to");
    for password in [PASSWORD, "Nelke-9-morgen"] {
        assert_nothing_betrayed(&said, password);
    }
}
