//! Whether a model does on this board what it did in the lab: its golden vectors, its latency, its memory.
//!
//! A golden vector is a picture, the SHA-256 of the tensor that the model is fed for it, and what must be found. The digest
//! tells a fault of preparation (other pixels) from one of the engine (other numbers). Every expected detection needs one of
//! its own, and nothing may be found that is not expected, but for what lies within the tolerance of its threshold.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stopline_depot::bundle::Bundle;
use stopline_depot::deployment::DeployCause;
use stopline_depot::digest::Digest;
use stopline_depot::manifest::{Golden, Manifest};
use stopline_sensors::clock::Monotonic;
use stopline_sensors::frame::{BufferPool, Colour, Frame, FrameMeta, PixelFormat, Stamp};
use stopline_sensors::images;

use super::limits::peak_resident_kib;
use crate::decode::nms::iou;
use crate::detection::Detection;
use crate::detector::{Detector, DetectorOptions};
use crate::draw::label_of;
use crate::percentiles::{Samples, micros};

/// The schema of [`Report`].
pub const SCHEMA: u32 = 1;
/// Runs before measuring.
const WARM_UP: u32 = 3;
/// A few runs among many are late on any machine that does other things too.
const LATE: f64 = 2.0;

/// How it is tested.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SelfTest {
    /// Runs that are measured.
    pub runs: u32,
    /// Milliseconds, in place of the manifest's budget.
    pub latency_budget_ms: Option<f64>,
}

/// What came of it: what `stopline model selftest --json` prints.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Schema, [`SCHEMA`]; within it keys are added, never changed.
    pub schema: u32,
    /// Whether it passed.
    pub passed: bool,
    /// Why not: `bundle`, `min_runtime`, `load`, `golden`, `latency`, `memory`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<DeployCause>,
    /// The same in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub problem: String,
    /// The model's name; empty where the bundle cannot be read.
    pub model: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of `bundle.tar`.
    pub digest: String,
    /// SHA-256 of the ONNX file; empty where it was not loaded.
    pub onnx: String,
    /// This runtime.
    pub runtime: String,
    /// The engine.
    pub engine: String,
    /// Golden vectors, in the manifest's order.
    pub golden: Vec<GoldenReport>,
    /// Prepare, infer and decode together.
    pub latency: Option<LatencyReport>,
    /// Most memory that the process had resident, and what it may.
    pub memory: Option<MemoryReport>,
}

/// One golden vector.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GoldenReport {
    /// The picture.
    pub image: String,
    /// SHA-256 of what the model was fed.
    pub input_sha256: String,
    /// What was found: `label`, `class`, `score`, `box`.
    pub detections: serde_json::Value,
    /// What is wrong; empty where nothing is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub problem: String,
}

/// Prepare, infer and decode together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LatencyReport {
    /// Runs that were measured.
    pub runs: usize,
    /// Median, in microseconds.
    pub p50_us: u64,
    /// 99th percentile, in microseconds.
    pub p99_us: u64,
    /// What the median may be, in milliseconds; the 99th percentile may be twice that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_ms: Option<f64>,
}

/// Memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MemoryReport {
    /// Most that the whole process had resident, in KiB.
    pub peak_kib: u64,
    /// What it may be, in MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_mib: Option<f64>,
}

type Failed = (DeployCause, String);

/// Tests `bundle.tar`, as it lies in memory. `engine.model` is its name in messages.
pub fn selftest(tar: &[u8], engine: &DetectorOptions, test: &SelfTest) -> Report {
    let mut report = Report {
        schema: SCHEMA,
        digest: Digest::of(tar).to_string(),
        runtime: env!("CARGO_PKG_VERSION").to_owned(),
        engine: engine.backend.name().to_owned(),
        ..Report::default()
    };
    match run(tar, engine, test, &mut report) {
        Ok(()) => report.passed = true,
        Err((cause, problem)) => (report.cause, report.problem) = (Some(cause), problem),
    }
    report
}

fn run(tar: &[u8], engine: &DetectorOptions, test: &SelfTest, report: &mut Report) -> Result<(), Failed> {
    let bundle = Bundle::read(tar).map_err(|error| (error.cause(), error.to_string()))?;
    let manifest = &bundle.manifest;
    (report.model, report.version) = (manifest.name.clone(), manifest.version.to_string());
    if let Some(least) = &manifest.min_runtime
        && *least > super::runtime_version()
    {
        let problem = format!("it needs runtime {least}, this is {}", report.runtime);
        return Err((DeployCause::MinRuntime, problem));
    }
    let mut detector =
        Detector::of_bundle(&bundle, engine).map_err(|error| (DeployCause::Load, error.to_string()))?;
    detector.digest().clone_into(&mut report.onnx);
    let frames = pictures(&bundle)?;
    for golden in &manifest.golden {
        let answered = answer(&mut detector, golden, &frames[golden.image.as_str()]);
        report.golden.push(answered);
    }
    if let Some(wrong) = report.golden.iter().find(|golden| !golden.problem.is_empty()) {
        return Err((DeployCause::Golden, format!("{}: {}", wrong.image, wrong.problem)));
    }
    let blank = blank(manifest);
    let first = frames.values().next().unwrap_or(&blank);
    measure(&mut detector, first, test, report)?;
    memory(manifest, report)
}

/// The golden pictures, decoded.
fn pictures<'a>(bundle: &Bundle<'a>) -> Result<BTreeMap<String, Frame>, Failed> {
    let pool = BufferPool::default();
    let one = |(name, bytes): (&String, &&'a [u8])| {
        let picture = images::from_bytes(name, bytes, &pool)
            .map_err(|error| (DeployCause::Bundle, format!("{name}: {error}")))?;
        let frame = frame(picture, name).map_err(|problem| (DeployCause::Bundle, problem))?;
        Ok((name.clone(), frame))
    };
    bundle.golden.iter().map(one).collect()
}

fn frame(picture: images::Picture, name: &str) -> Result<Frame, String> {
    let images::Picture { format, colour, size, buffer, copies } = picture;
    let meta = FrameMeta { copies, ..meta(name) };
    Frame::packed(meta, format, colour, size, buffer).map_err(|error| format!("{name}: {error}"))
}

fn meta(name: &str) -> FrameMeta {
    FrameMeta {
        source: name.into(),
        sequence: 0,
        captured: Monotonic::default(),
        stamp: Stamp::Recording,
        wall: std::time::UNIX_EPOCH,
        position: None,
        path: None,
        copies: 0,
    }
}

/// A grey picture of the model's own size, for a bundle without golden vectors and for warming up.
pub fn blank(manifest: &Manifest) -> Frame {
    grey([manifest.input.width, manifest.input.height])
}

/// A grey picture of `size`; 64×64 where no picture has that size.
pub fn grey(size: [u32; 2]) -> Frame {
    let of = |size: [u32; 2]| {
        let length = (size[0] as usize).saturating_mul(size[1] as usize).saturating_mul(3);
        let bytes = vec![114_u8; length.min(1 << 28)];
        Frame::packed(meta("grey"), PixelFormat::Rgb, Colour::default(), (size[0], size[1]), bytes.into())
    };
    of(size).or_else(|_| of([64, 64])).expect("64x64 pixels are a picture")
}

fn answer(detector: &mut Detector, golden: &Golden, frame: &Frame) -> GoldenReport {
    let mut found = Vec::new();
    let digest = detector.input_digest(frame);
    let ran = detector.detect(frame, &mut found);
    let problem = match (&digest, &ran) {
        (Err(error), _) | (_, Err(error)) => error.to_string(),
        (Ok(digest), Ok(_)) if !digest.eq_ignore_ascii_case(&golden.input_sha256) => format!(
            "the model is fed {digest} where {} is expected: the picture is prepared otherwise than in the lab",
            golden.input_sha256
        ),
        (Ok(_), Ok(_)) => compare(detector.manifest(), golden, &found).err().unwrap_or_default(),
    };
    let manifest = detector.manifest();
    GoldenReport {
        image: golden.image.clone(),
        input_sha256: digest.unwrap_or_default(),
        detections: found.iter().map(|detection| detection.as_json(manifest)).collect(),
        problem,
    }
}

/// Whether what was found is what is expected.
fn compare(manifest: &Manifest, golden: &Golden, found: &[Detection]) -> Result<(), String> {
    let mut taken = vec![false; found.len()];
    let tolerance = golden.tolerance;
    for expected in &golden.detections {
        let fits = |at: &usize| {
            let one = &found[*at];
            !taken[*at]
                && label_of(manifest, one.class) == expected.label
                && (one.score - expected.score).abs() <= tolerance.score
                && iou(one.bbox, expected.bbox) >= tolerance.iou
        };
        match (0..found.len()).find(fits) {
            Some(at) => taken[at] = true,
            None => {
                return Err(format!(
                    "{} with score {} at {:?} was not found within {} and an overlap of {}; found were {}",
                    expected.label,
                    expected.score,
                    expected.bbox,
                    tolerance.score,
                    tolerance.iou,
                    listing(manifest, found)
                ));
            }
        }
    }
    let more = found.iter().zip(&taken).find(|(one, taken)| {
        let thresholds = &manifest.thresholds;
        let label = label_of(manifest, one.class);
        let threshold = thresholds.per_class.get(&label).copied().unwrap_or(thresholds.score);
        !**taken && one.score > threshold + tolerance.score
    });
    match more {
        Some((one, _)) => Err(format!(
            "{} with score {} at {:?} was found and is not expected",
            label_of(manifest, one.class),
            one.score,
            one.bbox
        )),
        None => Ok(()),
    }
}

fn listing(manifest: &Manifest, found: &[Detection]) -> String {
    let one = |one: &Detection| format!("{} {:.3} {:?}", label_of(manifest, one.class), one.score, one.bbox);
    if found.is_empty() {
        "none".into()
    } else {
        found.iter().take(8).map(one).collect::<Vec<_>>().join(", ")
    }
}

fn measure(
    detector: &mut Detector,
    frame: &Frame,
    test: &SelfTest,
    report: &mut Report,
) -> Result<(), Failed> {
    let (mut times, mut found) = (Samples::default(), Vec::new());
    for run in 0..WARM_UP.saturating_add(test.runs.max(1)) {
        found.clear();
        let took =
            detector.detect(frame, &mut found).map_err(|error| (DeployCause::Outputs, error.to_string()))?;
        if run >= WARM_UP {
            times.add(micros(took.total()));
        }
    }
    let taken = times.percentiles();
    let said = detector.manifest().budget.map(|budget| budget.latency_ms);
    let budget = test.latency_budget_ms.or(said);
    report.latency =
        Some(LatencyReport { runs: times.len(), p50_us: taken.p50, p99_us: taken.p99, budget_ms: budget });
    let Some(budget) = budget else { return Ok(()) };
    #[allow(clippy::cast_precision_loss, reason = "milliseconds")]
    let (median, late) = (taken.p50 as f64 / 1e3, taken.p99 as f64 / 1e3);
    if median <= budget && late <= budget * LATE {
        return Ok(());
    }
    let problem = format!(
        "{median:.1} ms a frame (p99 {late:.1} ms) where {budget} ms (p99 {:.1} ms) are allowed; another board, or a \
         smaller model",
        budget * LATE
    );
    Err((DeployCause::Latency, problem))
}

fn memory(manifest: &Manifest, report: &mut Report) -> Result<(), Failed> {
    let Some(peak_kib) = peak_resident_kib() else { return Ok(()) };
    let budget = manifest.budget.map(|budget| budget.memory_mib);
    report.memory = Some(MemoryReport { peak_kib, budget_mib: budget });
    #[allow(clippy::cast_precision_loss, reason = "mebibytes")]
    let used = peak_kib as f64 / 1024.0;
    match budget {
        Some(budget) if used > budget => {
            Err((DeployCause::Memory, format!("{used:.1} MiB resident where {budget} MiB are allowed")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stopline_depot::manifest::{GoldenDetection, Tolerance};

    fn manifest() -> Manifest {
        let text = "schema = 1\nname = \"m\"\nversion = \"1.0.0\"\ntask = \"detect\"\ndecoder = \"yolox\"\nlabels = [\"a\", \"b\"]\n\
            [input]\nname = \"images\"\nwidth = 32\nheight = 32\ncolour = \"bgr\"\nresize = { mode = \"stretch\" }\n\
            [thresholds]\nscore = 0.3\n";
        Manifest::from_toml(text).expect("a manifest")
    }

    fn seen(class: usize, score: f32, x: f32) -> Detection {
        Detection { class, score, bbox: [x, 0.0, x + 10.0, 10.0], keypoints: Vec::new() }
    }

    fn golden(score: f32) -> Golden {
        Golden {
            image: "golden/a.png".into(),
            input_sha256: String::new(),
            detections: vec![GoldenDetection { label: "a".into(), score, bbox: [0.0, 0.0, 10.0, 10.0] }],
            tolerance: Tolerance { score: 0.05, iou: 0.9 },
        }
    }

    #[test]
    fn within_the_tolerance_is_the_same_and_beyond_it_is_not() {
        let manifest = manifest();
        assert_eq!(compare(&manifest, &golden(0.8), &[seen(0, 0.84, 0.2)]), Ok(()));
        for wrong in [seen(0, 0.86, 0.0), seen(0, 0.8, 2.0), seen(1, 0.8, 0.0)] {
            compare(&manifest, &golden(0.8), &[wrong]).expect_err("differs");
        }
        compare(&manifest, &golden(0.8), &[]).expect_err("nothing was found");
    }

    #[test]
    fn what_is_found_besides_is_wrong_unless_it_hardly_counts() {
        let manifest = manifest();
        let right = seen(0, 0.8, 0.0);
        assert_eq!(compare(&manifest, &golden(0.8), &[right.clone(), seen(1, 0.34, 90.0)]), Ok(()));
        let said =
            compare(&manifest, &golden(0.8), &[right.clone(), seen(1, 0.4, 90.0)]).expect_err("one more");
        assert!(said.contains("is not expected"), "{said}");
        compare(&manifest, &golden(0.8), &[right.clone(), right]).expect_err("each needs its own");
    }

    #[test]
    fn bytes_that_are_no_bundle_fail_with_their_cause() {
        let options = crate::models::engine("x", &crate::models::Engine::default());
        let test = SelfTest { runs: 1, latency_budget_ms: None };
        let report = selftest(b"not a tar", &options, &test);
        assert_eq!((report.passed, report.cause), (false, Some(DeployCause::Bundle)));
    }
}
