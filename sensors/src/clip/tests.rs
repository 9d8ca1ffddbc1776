use std::io::Write as _;

use proptest::prelude::*;

use super::*;
use crate::clock::HeldClock;

/// A Y4M file of `frames` 4×2 pictures at 10 per second; frame n has luma n.
fn y4m(frames: u8) -> tempfile::NamedTempFile {
    let mut bytes = b"YUV4MPEG2 W4 H2 F10:1\n".to_vec();
    for frame in 0..frames {
        bytes.extend_from_slice(b"FRAME\n");
        bytes.extend_from_slice(&[[frame; 8].as_slice(), &[128; 4]].concat());
    }
    file(&bytes)
}

fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

/// Without `ffmpeg`, which is another program's business.
fn alone(options: ClipOptions) -> ClipOptions {
    ClipOptions { ffmpeg: Some("/nonexistent/ffmpeg".into()), ..options }
}

fn open(file: &tempfile::NamedTempFile, options: ClipOptions) -> (ClipSource, HeldClock) {
    let clock = HeldClock::default();
    clock.advance(Duration::from_secs(100));
    (ClipSource::open(file.path(), alone(options), Arc::new(clock.clone())).unwrap(), clock)
}

/// Luma, sequence, and milliseconds since the clock stood at 100 s.
fn told(event: Event) -> (u8, u64, u64) {
    let Event::Frame(frame) = event else { panic!("{event:?}") };
    let captured = frame.meta().captured.as_nanos() / 1_000_000 - 100_000;
    (frame.plane(0).bytes[0], frame.meta().sequence, captured)
}

fn all(source: &mut ClipSource) -> Vec<(u8, u64, u64)> {
    let mut frames = Vec::new();
    loop {
        match source.next(Duration::from_secs(1)).unwrap() {
            Event::End => return frames,
            event => frames.push(told(event)),
        }
    }
}

#[test]
fn unpaced_frames_all_come_without_waiting() {
    let (mut source, clock) = open(&y4m(5), ClipOptions::default());
    assert_eq!(all(&mut source), [(0, 0, 0), (1, 1, 100), (2, 2, 200), (3, 3, 300), (4, 4, 400)]);
    assert_eq!(clock.monotonic().as_nanos(), 100_000_000_000, "nobody slept");
    assert_eq!(source.counters(), Counters { delivered: 5, ..Counters::default() });
    assert_eq!(source.info().frames, Some(5));
    assert_eq!(source.info().duration, Some(Duration::from_millis(500)));
}

#[test]
fn a_part_is_cut_out_by_from_and_to() {
    let options = ClipOptions {
        from: Some(Duration::from_millis(150)),
        to: Some(Duration::from_millis(400)),
        ..ClipOptions::default()
    };
    let (mut source, _) = open(&y4m(8), options);
    assert_eq!(all(&mut source), [(2, 0, 0), (3, 1, 100)]);
}

#[test]
fn a_looped_recording_goes_on_rising() {
    let options =
        ClipOptions { looped: true, from: Some(Duration::from_millis(100)), ..ClipOptions::default() };
    let (mut source, _) = open(&y4m(3), options);
    let frames: Vec<_> = (0..5).map(|_| told(source.next(Duration::ZERO).unwrap())).collect();
    assert_eq!(frames, [(1, 0, 0), (2, 1, 100), (1, 2, 200), (2, 3, 300), (1, 4, 400)]);
    assert_eq!(source.info().frames, None);
}

#[test]
fn a_paced_recording_keeps_its_own_times() {
    let (mut source, clock) = open(&y4m(3), ClipOptions { realtime: true, ..ClipOptions::default() });
    assert_eq!(told(source.next(Duration::ZERO).unwrap()), (0, 0, 0));
    assert!(matches!(source.next(Duration::from_millis(30)).unwrap(), Event::Nothing));
    assert_eq!(clock.monotonic().as_nanos(), 100_030_000_000, "the timeout was waited for");
    assert_eq!(told(source.next(Duration::from_secs(1)).unwrap()), (1, 1, 100));
    assert_eq!(clock.monotonic().as_nanos(), 100_100_000_000, "and the frame came when it was due");
}

#[test]
fn a_late_reader_of_a_paced_recording_loses_frames_which_are_counted() {
    let (mut source, clock) = open(&y4m(8), ClipOptions { realtime: true, ..ClipOptions::default() });
    assert_eq!(told(source.next(Duration::ZERO).unwrap()), (0, 0, 0));
    clock.advance(Duration::from_millis(450));
    assert_eq!(told(source.next(Duration::from_secs(1)).unwrap()), (4, 4, 400));
    assert_eq!(source.counters().dropped, 3);
    clock.advance(Duration::from_secs(60));
    assert_eq!(
        told(source.next(Duration::from_secs(1)).unwrap()),
        (7, 7, 700),
        "the last frame is never dropped"
    );
    assert!(matches!(source.next(Duration::ZERO).unwrap(), Event::End));
    assert_eq!(source.counters(), Counters { delivered: 3, dropped: 5, ..Counters::default() });
}

#[test]
fn parts_outside_the_recording_are_refused() {
    let refused = |from: u64, to: Option<u64>| {
        let options = ClipOptions {
            from: Some(Duration::from_millis(from)),
            to: to.map(Duration::from_millis),
            ..ClipOptions::default()
        };
        ClipSource::open(y4m(5).path(), alone(options), Arc::new(HeldClock::default()))
            .err()
            .unwrap()
            .to_string()
    };
    assert!(refused(500, None).contains("the recording is 500ms long"));
    assert!(refused(300, Some(200)).contains("before it begins"));
}

#[test]
fn the_other_chroma_samplings_are_converted() {
    let planes = |chroma: &str, bytes: &[u8]| {
        let clip = file(&[format!("YUV4MPEG2 W3 H2 {chroma}\nFRAME\n").as_bytes(), bytes].concat());
        let (mut source, _) = open(&clip, ClipOptions::default());
        let Event::Frame(frame) = source.next(Duration::ZERO).unwrap() else { panic!("no frame") };
        (frame.format(), frame.plane(0).bytes.to_vec())
    };
    use crate::frame::PixelFormat;
    let luma = [1, 2, 3, 4, 5, 6];
    assert_eq!(planes("Cmono", &luma), (PixelFormat::Grey, luma.to_vec()));
    let across = [&luma[..], &[10, 11, 12, 13], &[20, 21, 22, 23]].concat();
    let yuyv = vec![1, 10, 2, 20, 3, 11, 3, 21, 4, 12, 5, 22, 6, 13, 6, 23];
    assert_eq!(planes("C422", &across), (PixelFormat::Yuyv, yuyv));
    let full = [&[235u8; 6][..], &[128; 12]].concat();
    assert_eq!(planes("C444", &full), (PixelFormat::Rgb, vec![255; 18]));
}

#[test]
fn what_no_reader_knows_names_ffmpeg() {
    let refusal = |bytes: &[u8]| {
        ClipSource::open(file(bytes).path(), alone(ClipOptions::default()), Arc::new(HeldClock::default()))
            .err()
            .unwrap()
            .to_string()
    };
    assert!(refusal(b"\x1aE\xdf\xa3 matroska").contains("install ffmpeg"));
    assert!(refusal(b"YUV4MPEG2 W4 H2 C420p10\n").contains("install ffmpeg"));
    assert!(refusal(b"").contains("empty"));
    assert!(refusal(b"YUV4MPEG2 W4 H99999\n").contains("each side must be"));
    assert!(refusal(&b"YUV4MPEG2 ".repeat(500)).contains("longer than"));
    assert!(refusal(b"RIFF\x04\0\0\0AVI ").contains("movi"));
    assert!(refusal(b"\0\0\0\x08ftyp").contains("moov"));
}

/// Boxes, chunks or lines that look right at first.
fn beginnings() -> impl Strategy<Value = Vec<u8>> {
    let head = prop_oneof![
        Just(b"YUV4MPEG2 W4 H2 F10:1\nFRAME\n".to_vec()),
        Just(b"RIFF\xff\xff\xff\x7fAVI LIST\xff\0\0\0movi00dc\x08\0\0\0".to_vec()),
        Just(b"\0\0\0\x08ftyp\0\0\x01\0moov".to_vec()),
        Just(b"\0\0\0\x01moov\0\0\0\0\0\0\x02\0".to_vec()),
    ];
    (head, proptest::collection::vec(any::<u8>(), 0..600)).prop_map(|(head, tail)| [head, tail].concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn arbitrary_files_never_panic_nor_go_on_for_ever(bytes in beginnings()) {
        let clip = file(&bytes);
        let opened = ClipSource::open(clip.path(), alone(ClipOptions::default()), Arc::new(HeldClock::default()));
        let Ok(mut source) = opened else { return Ok(()) };
        for _ in 0..=bytes.len() {
            if matches!(source.next(Duration::ZERO), Ok(Event::End) | Err(_)) {
                return Ok(());
            }
        }
        prop_assert!(false, "more events than bytes");
    }
}
