//! Recordings, pictures and the test pattern: each kind passes the suite that every source passes, and the field's own
//! clips and pictures come out as OpenCV reads them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use stopline_sensors::clip::{ClipOptions, ClipSource};
use stopline_sensors::clock::SystemClock;
use stopline_sensors::frame::{Colour, Frame, Matrix, PixelFormat, Range};
use stopline_sensors::open::{OpenOptions, open};
use stopline_sensors::pattern::{PatternOptions, PatternSource};
use stopline_sensors::source::{Event, FrameSource};
use stopline_tests::source_suite::{Expect, Report, conforms};
use stopline_tests::{field_data, media, python, skip};

const SIZE: (usize, usize) = (64, 48);

fn written(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let file = folder.join(name);
    std::fs::write(&file, bytes).unwrap();
    file
}

/// Runs the suite on a clip, unpaced and paced; the paced frames must keep the recording's own time.
fn clip_conforms(file: &Path, frames: u64, format: PixelFormat) {
    for realtime in [false, true] {
        let mut opened = || {
            let options = OpenOptions { realtime, ..OpenOptions::default() };
            open(&file.display().to_string(), &options, Arc::new(SystemClock))
        };
        let mut expect = Expect::recording("clip", Some((64, 48)), frames);
        expect.formats = vec![format];
        let report =
            conforms(&mut opened, &expect).unwrap_or_else(|broken| panic!("{}: {broken}", file.display()));
        println!("{} paced={realtime}: {:?}", file.display(), report.counters);
        assert_eq!(report.span, Duration::from_millis(40) * (u32::try_from(frames).unwrap() - 1));
    }
}

#[test]
fn an_mp4_conforms() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = media::Mp4::default().file(&media::h264(25, SIZE), SIZE);
    clip_conforms(&written(folder.path(), "clip.mp4", &bytes), 25, PixelFormat::I420);
}

#[test]
fn an_mjpeg_avi_conforms() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = media::avi(b"MJPG", &media::jpegs(25, SIZE), SIZE);
    clip_conforms(&written(folder.path(), "clip.avi", &bytes), 25, PixelFormat::Grey);
}

#[test]
fn a_y4m_conforms() {
    let folder = tempfile::tempdir().unwrap();
    clip_conforms(&written(folder.path(), "clip.y4m", &media::y4m(25, SIZE)), 25, PixelFormat::I420);
}

/// What the ffmpeg door is for: here Matroska with FFV1, made by ffmpeg itself.
#[test]
fn another_format_conforms_through_ffmpeg() {
    let folder = tempfile::tempdir().unwrap();
    let Some(clip) = by_ffmpeg(folder.path(), "clip.mkv", &["-c:v", "ffv1"]) else { return };
    clip_conforms(&clip, 25, PixelFormat::I420);
}

/// 25 frames through `ffmpeg` with these options; `None`, said aloud, where there is none.
fn by_ffmpeg(folder: &Path, name: &str, options: &[&str]) -> Option<PathBuf> {
    let source = written(folder, "source.y4m", &media::y4m(25, SIZE));
    let target = folder.join(name);
    let made = Command::new("ffmpeg")
        .args(["-nostdin", "-loglevel", "error", "-y", "-i"])
        .arg(source)
        .args(options)
        .arg(&target)
        .output();
    match made {
        Ok(output) if output.status.success() => Some(target),
        Ok(output) => panic!("ffmpeg: {}", String::from_utf8_lossy(&output.stderr)),
        Err(_) => skip("no ffmpeg on PATH"),
    }
}

#[test]
fn what_openh264_refuses_comes_through_ffmpeg() {
    let folder = tempfile::tempdir().unwrap();
    let interlaced = ["-vf", "format=yuv420p", "-c:v", "libx264", "-flags", "+ilme+ildct"];
    let deep = ["-pix_fmt", "yuv420p10le", "-c:v", "libx264"];
    for (name, options) in [("interlaced.mp4", &interlaced[..]), ("deep.mp4", &deep[..])] {
        let Some(clip) = by_ffmpeg(folder.path(), name, options) else { return };
        clip_conforms(&clip, 25, PixelFormat::I420);
        let without = ClipOptions { ffmpeg: Some("/nonexistent/ffmpeg".into()), ..ClipOptions::default() };
        let refusal = ClipSource::open(&clip, without, Arc::new(SystemClock)).err().unwrap().to_string();
        println!("{name}: {refusal}");
        assert!(refusal.contains("install ffmpeg"));
    }
}

#[test]
fn variable_times_come_through_ffmpeg_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let options = ["-vf", "select='not(mod(n,3))+lt(n,6)'", "-vsync", "passthrough", "-c:v", "ffv1"];
    let Some(clip) = by_ffmpeg(folder.path(), "variable.mkv", &options) else { return };
    let mut source =
        open(&clip.display().to_string(), &OpenOptions::default(), Arc::new(SystemClock)).unwrap();
    let mut times = Vec::new();
    while let Event::Frame(frame) = source.next(Duration::ZERO).unwrap() {
        times.push(frame.meta().position.unwrap().as_millis());
    }
    assert_eq!(times, [0, 40, 80, 120, 160, 200, 240, 360, 480, 600, 720, 840, 960]);
}

#[test]
fn pictures_conform() {
    let folder = tempfile::tempdir().unwrap();
    for (number, jpeg) in media::jpegs(4, SIZE).iter().enumerate() {
        written(folder.path(), &format!("{number}.jpg"), jpeg);
    }
    let conforms = |spec: &Path, expect: &Expect| -> Report {
        let mut opened = || open(&spec.display().to_string(), &OpenOptions::default(), Arc::new(SystemClock));
        conforms(&mut opened, expect).unwrap_or_else(|broken| panic!("{}: {broken}", spec.display()))
    };
    conforms(&folder.path().join("2.jpg"), &Expect::recording("images", Some((64, 48)), 1));
    conforms(&folder.path().join("*.jpg"), &Expect::recording("images", Some((64, 48)), 4));
    written(folder.path(), "5.jpg", b"\xff\xd8\xff no picture");
    let mut expect = Expect::recording("images", Some((64, 48)), 4);
    expect.skipped = 1;
    conforms(folder.path(), &expect);
}

#[test]
fn the_test_pattern_conforms_as_a_recording_and_as_a_camera() {
    for format in [PixelFormat::I420, PixelFormat::Yuyv, PixelFormat::Rgb] {
        for (realtime, frames) in [(false, Some(20)), (true, Some(20)), (true, None)] {
            let options =
                PatternOptions { format, realtime, frames, size: (320, 240), ..PatternOptions::default() };
            let mut opened = || {
                let source = PatternSource::open(options.clone(), Arc::new(SystemClock))?;
                Ok(Box::new(source) as Box<dyn FrameSource>)
            };
            let live = frames.is_none();
            let expect = if live {
                Expect::live("pattern", (320, 240), 20)
            } else {
                Expect::recording("pattern", Some((320, 240)), 20)
            };
            conforms(&mut opened, &expect)
                .unwrap_or_else(|broken| panic!("{format:?} {realtime} {frames:?}: {broken}"));
        }
    }
}

/// How many frames OpenCV reads from the clip; and those wanted, as raw BGR.
const CLIP_BY_OPENCV: &str = r#"
import cv2, sys, json
clip, wanted, out = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
capture = cv2.VideoCapture(clip)
count = 0
with open(out, "wb") as file:
    while True:
        there, frame = capture.read()
        if not there:
            break
        if count in wanted:
            file.write(frame.tobytes())
        count += 1
print(json.dumps(count))
"#;

#[test]
fn the_fields_clips_come_out_as_opencv_reads_them() {
    let (Some(data), Some(python)) = (field_data(), python()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut seen = 0;
    for clip in files(&data.join("media"), &["mp4", "avi"]) {
        let wanted = [0, 3, 17, 36];
        let raw = folder.path().join("frames.bgr");
        let output = Command::new(&python)
            .args(["-c", CLIP_BY_OPENCV])
            .arg(&clip)
            .arg(format!("{wanted:?}"))
            .arg(&raw)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let expected: u64 = said.trim().parse().unwrap_or_else(|_| panic!("{}: {output:?}", clip.display()));
        let (frames, kept) = read(&clip, &wanted);
        assert_eq!(frames, expected, "frames of {}", clip.display());
        let raw = std::fs::read(&raw).unwrap();
        let size = kept[0].width() as usize * kept[0].height() as usize * 3;
        assert_eq!(raw.len(), size * kept.len());
        like_ffmpegs_planes(&clip, &wanted, &kept);
        for (frame, bgr) in kept.iter().zip(raw.chunks_exact(size)) {
            let (mean, max) = difference(&to_bgr(frame), bgr);
            println!("{} {frame:?} {:?}: mean {mean:.3}, max {max}", clip.display(), frame.colour());
            // OpenCV's conversion rounds towards zero; the planes are held to far less above.
            assert!(mean < 1.5, "{}: {frame:?} differs by {mean:.3} in the mean", clip.display());
        }
        seen += 1;
    }
    assert!(seen >= 8, "{seen} clips");
}

/// Before any conversion: the decoder's planes beside ffmpeg's.
fn like_ffmpegs_planes(clip: &Path, wanted: &[u64], kept: &[Frame]) {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-loglevel", "error", "-i"])
        .arg(clip)
        .args(["-frames:v", "40", "-pix_fmt", "yuv420p", "-f", "rawvideo", "-"])
        .output();
    let Ok(output) = output else { return skip("no ffmpeg on PATH").unwrap_or_default() };
    let planes = |frame: &Frame| {
        let bytes = |plane: usize| frame.plane(plane).bytes.to_vec();
        [bytes(0), bytes(1), bytes(2)].concat()
    };
    let size = planes(&kept[0]).len();
    for (number, frame) in wanted.iter().zip(kept) {
        let theirs = &output.stdout[*number as usize * size..][..size];
        let (mean, max) = difference(&planes(frame), theirs);
        println!("{} {frame:?} beside ffmpeg: mean {mean:.4}, max {max}", clip.display());
        assert!(mean < 0.05, "{}: {frame:?} differs by {mean:.4} in the mean", clip.display());
    }
}

/// Another crate's reading of the headers: the same frames at the same times.
#[test]
fn the_fields_clips_have_the_times_re_mp4_reads() {
    let Some(data) = field_data() else { return };
    for clip in files(&data.join("media"), &["mp4"]) {
        let (theirs, _) = re_mp4::Mp4::read_file(&clip).unwrap();
        let track =
            theirs.tracks().values().find(|track| track.kind == Some(re_mp4::TrackKind::Video)).unwrap();
        let nanos = |units: i64| Duration::from_nanos(units as u64 * 1_000_000_000 / track.timescale);
        let mut times: Vec<i64> = track.samples.iter().map(|sample| sample.composition_timestamp).collect();
        times.sort_unstable();
        let times: Vec<Duration> = times.iter().map(|time| nanos(time - times[0])).collect();
        let ours: Vec<Duration> =
            digests(&clip, &OpenOptions::default()).into_iter().map(|(position, _)| position).collect();
        assert_eq!(ours, times, "{}", clip.display());
    }
}

#[test]
fn the_fields_pictures_come_out_as_opencv_reads_them() {
    let (Some(data), Some(python)) = (field_data(), python()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut worst = (0.0f64, 0);
    let pictures = files(&data.join("media"), &["jpg", "png"]);
    let script =
        "import cv2,sys\nfor n, f in enumerate(sys.argv[2:]): cv2.imread(f).tofile(f'{sys.argv[1]}/{n}')";
    let status =
        Command::new(&python).args(["-c", script]).arg(folder.path()).args(&pictures).status().unwrap();
    assert!(status.success());
    for (number, file) in pictures.iter().enumerate() {
        let (_, kept) = read(file, &[0]);
        let theirs = std::fs::read(folder.path().join(number.to_string())).unwrap();
        let (mean, max) = difference(&to_bgr(&kept[0]), &theirs);
        worst = (worst.0.max(mean), worst.1.max(max));
        assert!(mean < 0.5, "{}: differs by {mean:.3} in the mean, {max} at most", file.display());
    }
    assert!(pictures.len() >= 30, "{} pictures", pictures.len());
    println!("pictures beside imread: mean at most {:.4}, largest difference {}", worst.0, worst.1);
}

/// Where the clip's own key frames allow it, a part is the same frames as in the whole.
#[test]
fn a_part_of_a_field_clip_is_the_same_as_in_the_whole() {
    let Some(data) = field_data() else { return };
    let clips = [
        "drive/udacity_solidWhiteRight.mp4",
        "pedestrian/person-bicycle-car.mp4",
        "fall/fall_sequence_1fps.avi",
    ];
    for clip in clips.map(|name| data.join("media").join(name)) {
        if clip.extension().is_some_and(|kind| kind == "avi")
            && Command::new("ffmpeg").arg("-version").output().is_err()
        {
            let _: Option<()> = skip("no ffmpeg on PATH");
            continue;
        }
        let whole = digests(&clip, &OpenOptions::default());
        let (from, to) = (whole[whole.len() / 2].0, whole[whole.len() - 1].0);
        let options = OpenOptions { from: Some(from), to: Some(to), ..OpenOptions::default() };
        let part = digests(&clip, &options);
        assert_eq!(part, whole[whole.len() / 2..whole.len() - 1], "{}", clip.display());
    }
}

fn digests(clip: &Path, options: &OpenOptions) -> Vec<(Duration, u64)> {
    let mut source = open(&clip.display().to_string(), options, Arc::new(SystemClock)).unwrap();
    let mut frames = Vec::new();
    while let Event::Frame(frame) = source.next(Duration::ZERO).unwrap() {
        let sum = frame
            .plane(0)
            .bytes
            .iter()
            .fold(0u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
        frames.push((frame.meta().position.unwrap(), sum));
    }
    frames
}

fn files(folder: &Path, kinds: &[&str]) -> Vec<PathBuf> {
    let is_meant =
        |path: &Path| path.extension().is_some_and(|kind| kinds.iter().any(|meant| kind == *meant));
    let entries = walkdir::WalkDir::new(folder).sort_by_file_name();
    entries
        .into_iter()
        .filter_map(Result::ok)
        .map(|entry| entry.into_path())
        .filter(|path| is_meant(path))
        .collect()
}

/// How many frames there are, and those wanted.
fn read(file: &Path, wanted: &[u64]) -> (u64, Vec<Frame>) {
    let mut source =
        open(&file.display().to_string(), &OpenOptions::default(), Arc::new(SystemClock)).unwrap();
    let (mut count, mut kept) = (0, Vec::new());
    loop {
        match source.next(Duration::from_secs(1)).unwrap() {
            Event::Frame(frame) => {
                if wanted.contains(&count) {
                    kept.push(frame);
                }
                count += 1;
            }
            Event::End => return (count, kept),
            other => panic!("{}: {other:?}", file.display()),
        }
    }
}

/// Chroma is not interpolated, as OpenCV does it.
fn to_bgr(frame: &Frame) -> Vec<u8> {
    let (width, height) = (frame.width() as usize, frame.height() as usize);
    let luma = frame.plane(0);
    let mut bgr = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        for x in 0..width {
            match frame.format() {
                PixelFormat::Grey => bgr.extend([luma.bytes[y * luma.stride + x]; 3]),
                PixelFormat::Rgb => {
                    let pixel = &luma.bytes[y * luma.stride + 3 * x..][..3];
                    bgr.extend([pixel[2], pixel[1], pixel[0]]);
                }
                PixelFormat::I420 => {
                    let at = |plane: usize| {
                        let plane = frame.plane(plane);
                        f32::from(plane.bytes[y / 2 * plane.stride + x / 2]) - 128.0
                    };
                    bgr.extend(convert(
                        f32::from(luma.bytes[y * luma.stride + x]),
                        at(1),
                        at(2),
                        frame.colour(),
                    ));
                }
                other => panic!("{other:?}"),
            }
        }
    }
    bgr
}

/// The colours as the frame says they are meant.
fn convert(y: f32, u: f32, v: f32, colour: Colour) -> [u8; 3] {
    let (red, blue) = match colour.matrix {
        Matrix::Bt601 => (0.299, 0.114),
        Matrix::Bt709 => (0.2126, 0.0722),
        Matrix::Bt2020 => (0.2627, 0.0593),
    };
    let (y, scale) = match colour.range {
        Range::Limited => ((y - 16.0) * 255.0 / 219.0, 255.0 / 224.0),
        Range::Full => (y, 1.0),
    };
    let (b, r) = (y + 2.0 * (1.0 - blue) * u * scale, y + 2.0 * (1.0 - red) * v * scale);
    let g = (y - red * r - blue * b) / (1.0 - red - blue);
    [b, g, r].map(|value| value.round().clamp(0.0, 255.0) as u8)
}

fn difference(ours: &[u8], theirs: &[u8]) -> (f64, u8) {
    assert_eq!(ours.len(), theirs.len());
    let (mut sum, mut max) = (0u64, 0);
    for (a, b) in ours.iter().zip(theirs) {
        sum += u64::from(a.abs_diff(*b));
        max = max.max(a.abs_diff(*b));
    }
    (sum as f64 / ours.len() as f64, max)
}
