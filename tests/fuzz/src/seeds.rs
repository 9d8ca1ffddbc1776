//! A small corpus to begin from, made by code. Each target writes its own when libFuzzer starts it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use image::{Rgb, RgbImage};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use stopline_depot::bundle::packed::pack;
use stopline_depot::bundle::{Bundle, write_tar};
use stopline_depot::delta::Algorithm;
use stopline_depot::digest::Digest;
use stopline_depot::release::{Content, Release};

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

/// Writes the seeds of `dbc`.
pub fn dbcs() {
    let Some(folder) = folder() else { return };
    for (at, text) in DBCS.iter().enumerate() {
        save(&folder.join(format!("seed-{at}")), text.as_bytes());
    }
}

/// Writes the seeds of `track`.
pub fn tracks() {
    let Some(folder) = folder() else { return };
    for (at, text) in TRACKS.iter().enumerate() {
        save(&folder.join(format!("seed-{at}")), text.as_bytes());
    }
}

/// Writes the seeds of `bundle`: one plain, one packed.
pub fn bundles() {
    let Some(folder) = folder() else { return };
    let tar = tar(1);
    let mut packed = Vec::new();
    let bundle = Bundle::read(&tar).expect("a good bundle");
    pack(&bundle, &mut packed).expect("a bundle is packed");
    save(&folder.join("seed-tar"), &tar);
    save(&folder.join("seed-slb"), &packed);
}

/// Writes the seeds of `delta`: one of each kind, and a model.
pub fn deltas() {
    let Some(folder) = folder() else { return };
    for algorithm in [Algorithm::Tensor, Algorithm::PatchFrom] {
        let delta = stopline_depot::delta::make(&tar(1), &tar(2), algorithm).expect("there is memory");
        save(&folder.join(format!("seed-{algorithm}")), &delta);
    }
    save(&folder.join("seed-onnx"), &onnx(3));
}

/// A bundle with a model whose weights differ a little from those of another number.
pub fn tar(number: u8) -> Vec<u8> {
    tar_of(&onnx(number)).expect("a model is not empty")
}

/// A bundle with this model, if it can be one.
pub fn tar_of(model: &[u8]) -> Option<Vec<u8>> {
    let bundle = Bundle::new(BUNDLED.as_bytes(), model, None, BTreeMap::new()).ok()?;
    let mut tar = Vec::new();
    write_tar(&bundle, &mut tar).ok()?;
    Some(tar)
}

/// What would be signed of a bundle.
pub fn release_of(tar: &[u8]) -> Release {
    Release {
        schema: 1,
        model: "m".into(),
        version: semver::Version::new(1, 0, 0),
        release_seq: 1,
        security_floor: 0,
        hardware: vec!["board".into()],
        min_runtime: semver::Version::new(0, 1, 0),
        unpacked: Content { sha256: Digest::of(tar), length: tar.len() as u64 },
        deltas: Vec::new(),
    }
}

/// An ONNX file with one tensor of 64 floats (onnx.proto: graph 7, initializer 5; dims 1, data_type 2, name 8, raw_data 9).
fn onnx(number: u8) -> Vec<u8> {
    let weights = (0..64_u32).flat_map(|at| ((at * 77) as f32 + f32::from(number) * 1e-3).to_le_bytes());
    let mut tensor = vec![1 << 3, 64, 2 << 3, 1, 8 << 3 | 2, 1, b'w', 9 << 3 | 2, 0x80, 2];
    tensor.extend(weights);
    let length = |bytes: &[u8]| [(bytes.len() & 0x7f) as u8 | 0x80, (bytes.len() >> 7) as u8];
    let graph = [&[5 << 3 | 2][..], &length(&tensor), &tensor].concat();
    [&[7 << 3 | 2][..], &length(&graph), &graph].concat()
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

/// The manifest of the bundles.
const BUNDLED: &str = r#"{"schema": 1, "name": "stop-sign", "version": "1.4.0", "task": "detect", "decoder": "yolox",
"labels": ["stop sign"], "input": {"width": 416, "height": 416, "colour": "bgr", "resize": {"mode": "letterbox"}}}"#;

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

const DBCS: [&str; 2] = [
    r#"VERSION "1"
NS_ :
	CM_
BS_:
BU_: ABS ECU
BO_ 256 WHEELS: 8 ABS
 SG_ Mode M : 0|4@1+ (1,0) [0|15] "" ECU
 SG_ Speed m0 : 8|16@1+ (0.01,-40) [0|300] "km/h" ECU
 SG_ Yaw m1 : 23|12@0- (0.05,0) [-100|100] "deg/s" ECU,ABS
BO_ 2566844673 TRUCK: 64 Vector__XXX
 SG_ Single : 0|32@1- (1,0) [0|0] "" ECU
CM_ SG_ 256 Speed "of the wheels";
BA_DEF_ BO_ "GenMsgCycleTime" INT 0 65535;
BA_DEF_DEF_ "GenMsgCycleTime" 0;
BA_ "GenMsgCycleTime" BO_ 256 10;
VAL_ 256 Mode 0 "off" 1 "on" ;
SIG_VALTYPE_ 2566844673 Single : 1;
"#,
    "BO_ 1 A: 8 X\n SG_ Outer M : 0|8@1+ (1,0) [0|1] \"\" X\n SG_ Inner m1M : 8|8@1+ (1,0) [0|1] \"\" X\n \
     SG_ Deep m3 : 16|8@0- (1,0) [0|1] \"\" X\nSG_MUL_VAL_ 1 Inner Outer 1-1;\nSG_MUL_VAL_ 1 Deep Inner 3-3, 7-9;\n",
];

const TRACKS: [&str; 3] = [
    "# stopline signal track, schema 1\n# invented\ntime_us,speed,ignition\n-5,9,1\n0,10.5,1\n100000,!,\n",
    "(1609459200.000000) can0 100#E803000000000000\n(1609459200.050000) can0 100#R\n\
     (1609459200.100000) can0 100#B0.04.00.00.00.00.00.00\n",
    "(1609459200.210000) can0 18FEF101##1000000000000000000000064\n",
];
