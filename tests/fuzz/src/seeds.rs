//! A small corpus to begin from, made by code. Each target writes its own when libFuzzer starts it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use image::{Rgb, RgbImage};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

/// Where seeds go: the variable `STOPLINE_SEEDS`, which tests/fuzz/run sets. Unset, there are none.
fn folder() -> Option<PathBuf> {
    std::env::var_os("STOPLINE_SEEDS").map(PathBuf::from)
}

/// Writes the seeds of `manifest`.
pub fn manifests() {
    let Some(folder) = folder() else { return };
    for (at, manifest) in MANIFESTS.iter().enumerate() {
        save(&folder.join(format!("seed-{at}")), manifest.as_bytes());
    }
}

/// Writes the seeds of `jpeg`.
pub fn jpegs() {
    let Some(folder) = folder() else { return };
    for (name, bytes) in pictures() {
        save(&folder.join(format!("seed-{name}")), &bytes);
    }
}

/// Writes the seeds of `clip`.
pub fn clips() {
    let Some(folder) = folder() else { return };
    for ending in ["mp4", "avi"] {
        // Under its own name first: it tells the writer the format.
        let path = folder.join(format!("seed-clip.{ending}"));
        let mut writer = stopline::video::create(&path, Duration::from_millis(40)).expect("a video is begun");
        for number in 0..4 {
            writer
                .write(&picture(number), Duration::from_millis(u64::from(number) * 40))
                .expect("a picture is written");
        }
        writer.finish().expect("a video is ended");
    }
    for (chroma, bytes) in [("420jpeg", 48 * 32 * 3 / 2), ("mono", 48 * 32), ("422", 48 * 32 * 2)] {
        let mut file = format!("YUV4MPEG2 W48 H32 F25:1 Ip A1:1 C{chroma}\n").into_bytes();
        for shade in [60, 120] {
            file.extend_from_slice(b"FRAME\n");
            file.resize(file.len() + bytes, shade);
        }
        save(&folder.join(format!("seed-{chroma}.y4m")), &file);
    }
}

/// Writes the seeds of `tuf`: the number of a file, then that file.
pub fn metadata() {
    let Some(folder) = folder() else { return };
    for (number, (name, file)) in crate::repository::signed().files.iter().enumerate() {
        let bytes: Vec<u8> = u8::try_from(number).into_iter().chain(file.iter().copied()).collect();
        save(&folder.join(format!("seed-{name}")), &bytes);
    }
}

/// Writes the seeds of `decoders`: bytes without meaning, of several lengths.
pub fn bytes() {
    let Some(folder) = folder() else { return };
    for length in [16_usize, 256, 4096] {
        let bytes: Vec<u8> = (0..length).map(|at| (at * 37 % 251) as u8).collect();
        save(&folder.join(format!("seed-{length}")), &bytes);
    }
}

fn save(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// 48 × 32 pixels of something.
fn picture(number: u32) -> RgbImage {
    RgbImage::from_fn(48, 32, |x, y| Rgb([(x * 5) as u8, (y * 7) as u8, ((x ^ y) * 3 + number * 20) as u8]))
}

/// JPEG pictures of the kinds that cameras and programs write.
fn pictures() -> Vec<(&'static str, Vec<u8>)> {
    let encode = |sampling: SamplingFactor, change: fn(&mut Encoder<&mut Vec<u8>>), colour: ColorType| {
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, 70);
        encoder.set_sampling_factor(sampling);
        change(&mut encoder);
        let pixels = picture(1).into_raw();
        let samples = if matches!(colour, ColorType::Luma) { 1 } else { 3 };
        let pixels = &pixels[..48 * 32 * samples];
        encoder.encode(pixels, 48, 32, colour).expect("a picture is encoded");
        bytes
    };
    vec![
        ("420", encode(SamplingFactor::F_2_2, |_| {}, ColorType::Rgb)),
        ("422", encode(SamplingFactor::F_2_1, |_| {}, ColorType::Rgb)),
        ("444", encode(SamplingFactor::F_1_1, |_| {}, ColorType::Rgb)),
        ("grey", encode(SamplingFactor::F_1_1, |_| {}, ColorType::Luma)),
        (
            "progressive",
            encode(SamplingFactor::F_2_2, |encoder| encoder.set_progressive(true), ColorType::Rgb),
        ),
        (
            "restarts",
            encode(SamplingFactor::F_2_2, |encoder| encoder.set_restart_interval(2), ColorType::Rgb),
        ),
    ]
}

const MANIFESTS: [&str; 4] = [
    r#"
schema = 1
name = "yolox-nano"
version = "0.1.1"
task = "detect"
decoder = "yolox"
labels = ["person", "stop sign"]
[input]
width = 416
height = 416
colour = "bgr"
resize = { mode = "letterbox", anchor = "top_left", pad = 114 }
[thresholds]
score = 0.3
per_class = { person = 0.4 }
[roles]
stop_sign = ["stop sign"]
"#,
    r#"
schema = 1
name = "pose"
version = "1.0.0"
task = "pose"
decoder = "yolo-pose"
labels = ["person"]
keypoints = ["nose", "left_eye"]
min_runtime = "0.1.0"
[input]
width = 320
height = 256
colour = "rgb"
scale = 0.00392156862
rectangle = true
resize = { mode = "letterbox" }
[budget]
latency_ms = 50.0
memory_mib = 200.0
[provenance]
licence = "AGPL-3.0"
"#,
    r#"{"schema": 1, "name": "ssd", "version": "1.2.3", "task": "detect", "decoder": "ssd", "labels": ["a"],
"input": {"width": 300, "height": 300, "colour": "rgb", "dtype": "u8", "layout": "nhwc", "resize": {"mode": "stretch"}},
"decode": {"outputs": {"boxes": "b"}, "first_class": 0}, "thresholds": {"score": 0.5, "iou": 0.45}}"#,
    r#"{"schema": 1, "name": "yolov5", "version": "7.0.0", "task": "detect", "decoder": "yolov5", "labels": ["a", "b"],
"input": {"width": 64, "height": 64, "colour": "rgb", "resize": {"mode": "letterbox"}},
"decode": {"strides": [8], "anchors": [[[10, 13], [16, 30]]]}}"#,
];
