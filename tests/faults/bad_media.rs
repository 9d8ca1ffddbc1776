//! Recordings and pictures that are damaged, cut, strange or not there: a clear error or a counted skip, never a panic,
//! a hang, or half a picture.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use stopline_sensors::clip::{ClipOptions, ClipSource};
use stopline_sensors::clock::{Clock, HeldClock, SystemClock};
use stopline_sensors::frame::Frame;
use stopline_sensors::open::{OpenOptions, open};
use stopline_sensors::source::{Counters, Event, SourceError};
use stopline_tests::media::{self, Mp4, level};

const SIZE: (usize, usize) = (64, 48);

fn written(folder: &tempfile::TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let file = folder.path().join(name);
    std::fs::write(&file, bytes).unwrap();
    file
}

struct Played {
    frames: Vec<Frame>,
    skipped: Vec<String>,
    counters: Counters,
    error: Option<String>,
}

impl Played {
    /// Which frames came, told by their luma.
    fn numbers(&self) -> Vec<usize> {
        let luma = |frame: &Frame| {
            let plane = frame.plane(0);
            f64::from(plane.bytes[24 * plane.stride + 8])
        };
        let number = |luma: f64| ((luma - f64::from(level(0))) / 6.0).round() as usize;
        self.frames.iter().map(|frame| number(luma(frame))).collect()
    }

    fn millis(&self) -> Vec<u128> {
        self.frames.iter().map(|frame| frame.meta().position.unwrap().as_millis()).collect()
    }
}

/// Plays to the end without ffmpeg, which is another program's business.
fn play(file: &Path, options: ClipOptions) -> Result<Played, SourceError> {
    let options = ClipOptions { ffmpeg: Some("/nonexistent/ffmpeg".into()), ..options };
    let mut source = ClipSource::open(file, options, Arc::new(HeldClock::default()))?;
    let mut played =
        Played { frames: Vec::new(), skipped: Vec::new(), counters: Counters::default(), error: None };
    loop {
        use stopline_sensors::source::FrameSource as _;
        match source.next(Duration::from_secs(1)) {
            Ok(Event::Frame(frame)) => played.frames.push(frame),
            Ok(Event::Skipped(error)) => played.skipped.push(error.to_string()),
            Ok(Event::End) => break,
            Ok(other) => panic!("{other:?}"),
            Err(error) => {
                played.error = Some(error.to_string());
                break;
            }
        }
    }
    use stopline_sensors::source::FrameSource as _;
    played.counters = source.counters();
    Ok(played)
}

fn whole(file: &Path) -> Played {
    play(file, ClipOptions::default()).unwrap_or_else(|error| panic!("{error}"))
}

fn refusal(file: &Path) -> String {
    let refusal = open(&file.display().to_string(), &OpenOptions::default(), Arc::new(SystemClock));
    let refusal = refusal.err().map(|error| error.to_string()).expect("it must be refused");
    println!("{refusal}");
    assert!(refusal.contains(&file.display().to_string()), "{refusal}: the file must be named");
    refusal
}

#[test]
fn an_empty_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["empty.mp4", "empty.avi", "empty.jpg"] {
        assert!(refusal(&written(&folder, name, b"")).contains("empty"));
    }
}

#[test]
fn a_file_that_cannot_be_read_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    assert!(refusal(&folder.path().join("absent.mp4")).contains("No such file"));
    let pipe = folder.path().join("pipe.mp4");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    let began = SystemClock.monotonic();
    assert!(refusal(&pipe).contains("pipe"));
    assert!(
        SystemClock.monotonic().since(began) < Duration::from_secs(2),
        "nobody waits for the pipe's writer"
    );
    let folder_named_clip = folder.path().join("folder.mp4");
    std::fs::create_dir(&folder_named_clip).unwrap();
    assert!(refusal(&folder_named_clip).contains("no picture there"));
}

#[test]
fn an_mp4_cut_before_its_headers_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = Mp4 { headers_first: false, ..Mp4::default() }.file(&media::h264(12, SIZE), SIZE);
    let refusal = refusal(&written(&folder, "cut.mp4", &bytes[..bytes.len() / 2]));
    assert!(refusal.contains("no `moov` box"));
}

#[test]
fn an_mp4_cut_in_its_pictures_plays_as_far_as_it_goes() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = Mp4::default().file(&media::h264(20, SIZE), SIZE);
    let media_starts = bytes.windows(4).position(|name| name == b"mdat").unwrap();
    let cut = media_starts + (bytes.len() - media_starts) * 7 / 10;
    let played = whole(&written(&folder, "cut.mp4", &bytes[..cut]));
    assert!(played.frames.len() >= 10, "{} frames", played.frames.len());
    assert_eq!(played.frames.len() + played.skipped.len(), 20);
    assert_eq!(played.numbers(), (0..played.frames.len()).collect::<Vec<_>>());
    assert_eq!(played.counters.skipped, played.skipped.len() as u64);
    assert!(played.skipped[0].contains("the file ends before it does"), "{}", played.skipped[0]);
    // Nothing but headers: an error, not an empty recording.
    let nothing = whole(&written(&folder, "headers.mp4", &bytes[..media_starts + 4]));
    assert!(nothing.error.unwrap().contains("no frame could be read"));
}

#[test]
fn a_damaged_picture_in_an_mp4_is_skipped_and_the_next_key_frame_mends_it() {
    let folder = tempfile::tempdir().unwrap();
    let units = media::h264(24, SIZE);
    let mut bytes = Mp4::default().file(&units, SIZE);
    // The fourth picture's slice becomes garbage; ten pictures later comes a key frame.
    let slice = &units[3][4..];
    let at = bytes.windows(slice.len()).position(|window| window == slice).unwrap();
    bytes[at + 1..at + slice.len()].fill(0xff);
    let played = whole(&written(&folder, "damaged.mp4", &bytes));
    println!("{:?} frames, skipped {:?}", played.numbers(), played.skipped);
    assert!(!played.skipped.is_empty());
    assert_eq!(played.frames.len() + played.skipped.len(), 24);
    assert_eq!(played.numbers()[..3], [0, 1, 2]);
    let tail = played.numbers()[played.frames.len() - 14..].to_vec();
    assert_eq!(tail, (10..24).collect::<Vec<_>>(), "from the next key frame on all is well");
    let times = played.millis();
    let expected: Vec<u128> = played.numbers().iter().map(|number| *number as u128 * 40).collect();
    assert_eq!(times, expected, "each frame keeps its own time");
}

#[test]
fn an_mp4_without_video_says_what_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = Mp4 { handler: *b"soun", ..Mp4::default() }.file(&media::h264(3, SIZE), SIZE);
    assert!(
        refusal(&written(&folder, "sound.mp4", &bytes)).contains("no video track among 1 track(s) (soun)")
    );
}

#[test]
fn a_turned_mp4_stands_upright() {
    let folder = tempfile::tempdir().unwrap();
    let units = media::h264(2, SIZE);
    // The stored picture is dark at the left. What the matrix says, and where the dark side is then.
    let turns: [([i32; 4], (u32, u32), fn(usize, usize) -> bool); 3] = [
        ([0, 1, -1, 0], (48, 64), |_, y| y < 32), // a quarter clockwise: on top
        ([-1, 0, 0, -1], (64, 48), |x, _| x >= 32), // half: at the right
        ([0, -1, 1, 0], (48, 64), |_, y| y >= 32), // a quarter the other way: below
    ];
    for (matrix, size, dark) in turns {
        let bytes = Mp4 { matrix, ..Mp4::default() }.file(&units, SIZE);
        let played = whole(&written(&folder, "turned.mp4", &bytes));
        let frame = &played.frames[0];
        assert_eq!((frame.width(), frame.height(), frame.meta().copies), (size.0, size.1, 1), "{matrix:?}");
        let plane = frame.plane(0);
        for (x, y) in [(4, 4), (44, 4), (4, 44), (44, 44)] {
            let value = plane.bytes[y * plane.stride + x];
            assert_eq!(value < level(0) + 20, dark(x, y), "{matrix:?} at {x},{y}: {value}");
        }
    }
}

#[test]
fn variable_times_edit_lists_and_fragments_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let units = media::h264(12, SIZE);
    let durations = vec![200, 200, 80, 120, 160, 40, 40, 40, 40, 40, 40, 40];
    let variable = Mp4 { durations, ..Mp4::default() };
    let times = [0, 200, 400, 480, 600, 760, 800, 840, 880, 920, 960, 1000];
    let played = whole(&written(&folder, "variable.mp4", &variable.file(&units, SIZE)));
    assert_eq!(played.millis(), times);
    for fragments in [1, 5, 12] {
        let file = Mp4 { fragments: Some(fragments), ..variable.clone() }.file(&units, SIZE);
        let played = whole(&written(&folder, "fragmented.mp4", &file));
        assert_eq!(played.millis(), times, "fragments of {fragments}");
        // Power lost in the last fragment: what was closed before plays.
        let cut = whole(&written(&folder, "cut.mp4", &file[..file.len() - 20]));
        assert!(cut.frames.len() + cut.skipped.len() >= 10, "{}", cut.frames.len());
    }
    let edited = Mp4 { edit: Some((400, 400)), ..variable }.file(&units, SIZE);
    let played = whole(&written(&folder, "edited.mp4", &edited));
    assert_eq!(played.numbers(), [2, 3, 4, 5], "shown from 400 to 800 ms");
    assert_eq!(played.millis(), [0, 80, 200, 360]);
}

#[test]
fn a_part_begins_at_its_frame_and_not_at_the_key_frame_before() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = Mp4::default().file(&media::h264(24, SIZE), SIZE);
    let options = ClipOptions {
        from: Some(Duration::from_millis(15 * 40)),
        to: Some(Duration::from_millis(18 * 40)),
        ..ClipOptions::default()
    };
    let played = play(&written(&folder, "clip.mp4", &bytes), options).unwrap();
    assert_eq!(played.numbers(), [15, 16, 17]);
}

#[test]
fn a_jpeg_cut_in_half_in_an_avi_is_skipped_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let mut pictures = media::jpegs(6, SIZE);
    let half = pictures[3].len() / 2;
    pictures[3].truncate(half);
    pictures[4] = Vec::new(); // an empty chunk: the picture before is shown for longer
    let played = whole(&written(&folder, "cut.avi", &media::avi(b"MJPG", &pictures, SIZE)));
    assert_eq!(played.numbers(), [0, 1, 2, 5]);
    assert_eq!(played.millis(), [0, 40, 80, 200]);
    assert_eq!(played.counters, Counters { delivered: 4, skipped: 1, ..Counters::default() });
    assert!(played.skipped[0].contains("cut.avi, frame 3 at byte"), "{}", played.skipped[0]);
    assert!(played.skipped[0].contains("ends in mid-picture"), "{}", played.skipped[0]);
}

#[test]
fn an_avi_cut_anywhere_plays_as_far_as_it_goes() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = media::avi(b"MJPG", &media::jpegs(8, SIZE), SIZE);
    let first = bytes.windows(4).position(|name| name == b"00dc").unwrap();
    for cut in (first..bytes.len()).step_by(101) {
        let played = whole(&written(&folder, "cut.avi", &bytes[..cut]));
        assert_eq!(played.numbers(), (0..played.frames.len()).collect::<Vec<_>>(), "cut at {cut}");
        assert!(played.skipped.len() <= 1);
    }
}

#[test]
fn a_codec_that_needs_ffmpeg_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = written(&folder, "clip.avi", &media::avi(b"XVID", &media::jpegs(2, SIZE), SIZE));
    let refusal = play(&file, ClipOptions::default()).err().unwrap().to_string();
    assert!(refusal.contains("AVI with the codec `XVID`") && refusal.contains("install ffmpeg"), "{refusal}");
}

#[test]
fn a_y4m_cut_in_its_last_frame_plays_as_far_as_it_goes() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = media::y4m(4, SIZE);
    let played = whole(&written(&folder, "cut.y4m", &bytes[..bytes.len() - 100]));
    assert_eq!((played.numbers(), played.counters.skipped), (vec![0, 1, 2], 1));
}

#[test]
fn a_picture_that_lies_about_its_size_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut jpeg = media::jpegs(1, SIZE).remove(0);
    let frame = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0x20, 0, 0x20, 0]);
    assert!(refusal(&written(&folder, "liar.jpg", &jpeg)).contains("cannot hold"));
    let played = whole(&written(&folder, "liar.avi", &media::avi(b"MJPG", &[jpeg], SIZE)));
    assert!(played.error.unwrap().contains("no frame could be read, 1 were skipped"));
}

/// Sound files of every kind, changed at a few places, and cut.
#[test]
fn mutated_recordings_never_panic_and_end() {
    let folder = tempfile::tempdir().unwrap();
    let units = media::h264(6, (32, 32));
    let originals = [
        Mp4::default().file(&units, (32, 32)),
        Mp4 { fragments: Some(2), edit: Some((40, 0)), ..Mp4::default() }.file(&units, (32, 32)),
        media::avi(b"MJPG", &media::jpegs(6, (32, 32)), (32, 32)),
        media::y4m(6, (32, 32)),
    ];
    let cases = stopline_tests::count("mutated recordings", 20_000, 1_000) as u32;
    let changes = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6);
    let strategy = (0..originals.len(), changes, any::<prop::sample::Index>(), any::<bool>());
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let outcome = runner.run(&strategy, |(original, changes, cut, is_cut)| {
        let mut bytes = originals[original].clone();
        for (at, value) in changes {
            // Headers matter more than pixels.
            let within = if original == 3 { bytes.len() } else { bytes.len().min(1200) };
            let at = at.index(within);
            bytes[at] = value;
        }
        if is_cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(played) = play(&written(&folder, "mutated", &bytes), ClipOptions::default()) {
            prop_assert!(played.frames.len() + played.skipped.len() <= bytes.len());
        }
        Ok(())
    });
    outcome.unwrap();
}
