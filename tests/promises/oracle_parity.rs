//! Real models on real pictures and clips, through the library, beside what ONNX Runtime and OpenCV in Python found
//! (`oracle/reference.py` of the field data): the same detections with `tract` and with `ort`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use stopline::detection::Detection;
use stopline::detector::{Detector, DetectorOptions};
use stopline::infer::BackendKind;
use stopline_sensors::clock::SystemClock;
use stopline_sensors::frame::Frame;
use stopline_sensors::open::{OpenOptions, open};
use stopline_sensors::source::Event;
use stopline_tests::{field_data, fixtures, ort_library, skip};

const MODELS: [&str; 4] = ["fastestdet_352", "nanodet_m_320", "pose_cpm_192", "yolox_nano_416"];
/// Detections nearer to the threshold than this may fall on either side of it.
const MARGIN: f32 = 0.05;
const LEAST_SHARE: f64 = 0.99;
const LEAST_IOU: f64 = 0.95;
const MOST_SCORE_DIFFERENCE: f32 = 0.02;
/// Keypoints that the oracle is less sure of are noise: the largest of many nearly equal values.
const LEAST_KEYPOINT: f32 = 0.1;

/// A file of the oracle.
#[derive(Deserialize)]
struct Oracle {
    sha256: String,
    score_threshold: Option<f32>,
    iou_threshold: Option<f32>,
    images: BTreeMap<String, Vec<Expected>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Expected {
    Object {
        class: usize,
        label: String,
        score: f32,
        #[serde(rename = "box")]
        bbox: [f32; 4],
    },
    Pose {
        crop: [i32; 4],
        keypoints: Vec<Point>,
    },
}

#[derive(Deserialize)]
struct Point {
    name: String,
    score: f32,
    x: f32,
    y: f32,
}

/// One model with one engine, and what was counted.
struct Case {
    model: &'static str,
    engine: &'static str,
    threshold: f32,
    detector: Detector,
    tally: Tally,
}

#[derive(Default)]
struct Tally {
    images: usize,
    expected: usize,
    found: usize,
    extra: usize,
    /// Of these, in frames of MP4 recordings.
    extra_in_mp4: usize,
    worst: f32,
    /// Found and expected by the kind of file.
    kinds: BTreeMap<String, [usize; 2]>,
    told: Vec<String>,
}

impl Tally {
    fn count(&mut self, key: &str, found: bool) {
        let path = key.split('#').next().unwrap_or_default();
        let kind = self.kinds.entry(path.rsplit('.').next().unwrap_or_default().to_owned()).or_default();
        kind[0] += usize::from(found);
        kind[1] += 1;
        self.found += usize::from(found);
        self.expected += 1;
    }

    fn tell(&mut self, what: String) {
        if self.told.len() < 20 {
            self.told.push(what);
        }
    }
}

#[test]
fn every_model_finds_what_the_oracle_found_with_every_engine() {
    let Some(data) = field_data() else { return };
    let oracles: BTreeMap<&str, Oracle> =
        MODELS.into_iter().map(|model| (model, read_oracle(&data, model))).collect();
    let mut cases = load(&data, &oracles);
    for (path, frames) in media(&oracles) {
        each_frame(&data.join("media").join(&path), &frames, |at, frame| {
            let key = at.map_or_else(|| path.clone(), |at| format!("{path}#frame={at}"));
            for case in &mut cases {
                if let Some(expected) = oracles[case.model].images.get(&key) {
                    case.look(&key, frame, expected);
                }
            }
        });
    }
    let mut failed = false;
    for case in &cases {
        failed |= !case.report();
    }
    assert!(!failed, "see the figures above");
}

fn read_oracle(data: &Path, model: &str) -> Oracle {
    let text = std::fs::read(data.join("oracle").join(model).with_extension("json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

fn load(data: &Path, oracles: &BTreeMap<&str, Oracle>) -> Vec<Case> {
    let mut engines = vec![(BackendKind::Kernels, None), (BackendKind::Tract, None)];
    if cfg!(feature = "ort") {
        engines.extend(ort_library().map(|library| (BackendKind::Ort, Some(library))));
    }
    let mut cases = Vec::new();
    for model in MODELS {
        for (backend, library) in &engines {
            let options = DetectorOptions {
                draft: false,
                model: data.join("models").join(model).with_extension("onnx"),
                manifest: Some(fixtures().join("manifests").join(model).with_extension("toml")),
                backend: *backend,
                library: library.clone(),
                threads: 1,
                providers: Vec::new(),
            };
            let oracle = &oracles[model];
            let detector = Detector::load_with(&options, |manifest| {
                let limits = &mut manifest.thresholds;
                limits.score = oracle.score_threshold.unwrap_or(limits.score);
                limits.nms_iou = oracle.iou_threshold.unwrap_or(limits.nms_iou);
            })
            .unwrap();
            assert_eq!(detector.digest(), oracle.sha256, "{model} is not the file the oracle saw");
            assert!(detector.warnings().is_empty(), "{model}: {:?}", detector.warnings());
            let threshold = oracle.score_threshold.unwrap_or_default();
            cases.push(Case { model, engine: backend.name(), threshold, detector, tally: Tally::default() });
        }
    }
    cases
}

/// Paths below `media`, each with the frames that any oracle looked at; none for a still picture.
fn media(oracles: &BTreeMap<&str, Oracle>) -> BTreeMap<String, BTreeSet<usize>> {
    let mut media = BTreeMap::<String, BTreeSet<usize>>::new();
    for key in oracles.values().flat_map(|oracle| oracle.images.keys()) {
        let (path, frame) =
            key.split_once("#frame=").map_or((key.as_str(), None), |(path, at)| (path, Some(at)));
        media.entry(path.to_owned()).or_default().extend(frame.map(|at| at.parse::<usize>().unwrap()));
    }
    media
}

/// Hands over the picture at `path`, or those frames of the clip, counted from 0.
pub(crate) fn each_frame(path: &Path, frames: &BTreeSet<usize>, mut look: impl FnMut(Option<usize>, &Frame)) {
    let shown = path.display().to_string();
    let mut source = match open(&shown, &OpenOptions::default(), Arc::new(SystemClock)) {
        Ok(source) => source,
        Err(error) if path.extension().is_some_and(|ending| ending == "avi") => {
            skip::<()>(&format!("{shown}: {error}"));
            return;
        }
        Err(error) => panic!("{error}"),
    };
    let mut at = 0;
    loop {
        match source.next(Duration::from_secs(10)).unwrap() {
            Event::Frame(frame) if frames.is_empty() => look(None, &frame),
            Event::Frame(frame) => {
                if frames.contains(&at) {
                    look(Some(at), &frame);
                }
                at += 1;
                if frames.last().is_some_and(|last| at > *last) {
                    return;
                }
            }
            Event::End => break,
            other => panic!("{shown}: {other:?}"),
        }
    }
    assert!(frames.last().is_none_or(|last| at > *last), "{shown} ends after {at} frames");
}

impl Case {
    fn look(&mut self, key: &str, frame: &Frame, expected: &[Expected]) {
        self.tally.images += 1;
        if expected.iter().any(|one| matches!(one, Expected::Pose { .. })) {
            for pose in expected {
                self.pose(key, frame, pose);
            }
            return;
        }
        let mut found = Vec::new();
        self.detector.detect(frame, &mut found).unwrap_or_else(|error| panic!("{key}: {error}"));
        self.objects(key, &found, expected);
    }

    fn objects(&mut self, key: &str, found: &[Detection], expected: &[Expected]) {
        let labels = &self.detector.manifest().labels;
        let mut taken = vec![false; found.len()];
        for one in expected {
            let Expected::Object { class, label, score, bbox } = one else {
                panic!("{key}: a pose among objects")
            };
            let fits = |own: &Detection| {
                own.class == *class && labels[own.class] == *label && iou(own.bbox, *bbox) >= LEAST_IOU
            };
            let near = (0..found.len()).filter(|&at| !taken[at] && fits(&found[at]));
            let best =
                near.min_by(|a, b| difference(&found[*a], *score).total_cmp(&difference(&found[*b], *score)));
            if let Some(at) = best {
                taken[at] = true;
            }
            if *score < self.threshold + MARGIN {
                continue;
            }
            let off = best.map(|at| difference(&found[at], *score));
            self.tally.count(key, off.is_some_and(|off| off <= MOST_SCORE_DIFFERENCE));
            match off {
                Some(off) if off <= MOST_SCORE_DIFFERENCE => {
                    self.tally.worst = self.tally.worst.max(off);
                }
                other => {
                    self.tally.tell(format!("{key}: {label} {score} {bbox:?} missed, score off by {other:?}"))
                }
            }
        }
        for (own, _) in
            found.iter().zip(&taken).filter(|(own, taken)| !**taken && own.score >= self.threshold + MARGIN)
        {
            self.tally.extra += 1;
            self.tally.extra_in_mp4 += usize::from(key.contains(".mp4#"));
            self.tally.tell(format!("{key}: extra {own:?}"));
        }
    }

    /// A keypoint is found where it lies within two pixels of one cell of the heat map, with the oracle's score.
    fn pose(&mut self, key: &str, frame: &Frame, pose: &Expected) {
        let Expected::Pose { crop: [x1, y1, x2, y2], keypoints } = pose else {
            panic!("{key}: an object among poses")
        };
        let mut found = Vec::new();
        let region = [*x1, *y1, x2 - x1, y2 - y1];
        self.detector
            .detect_region(frame, region, &mut found)
            .unwrap_or_else(|error| panic!("{key}: {error}"));
        let [own] = &found[..] else { panic!("{key}: {} poses for one crop", found.len()) };
        let names = &self.detector.manifest().keypoints;
        assert_eq!(own.keypoints.len(), keypoints.len());
        let cell = f64::from(x2 - x1) / 96.0;
        for ((own, name), theirs) in own.keypoints.iter().zip(names).zip(keypoints) {
            assert_eq!(*name, theirs.name);
            if theirs.score < LEAST_KEYPOINT {
                self.tally.extra += usize::from(own.score >= LEAST_KEYPOINT + MARGIN);
                continue;
            }
            let far = f64::from(own.x - theirs.x).hypot(f64::from(own.y - theirs.y));
            let off = (own.score - theirs.score).abs();
            let near = far <= cell + 2.0 && off <= MOST_SCORE_DIFFERENCE;
            self.tally.count(key, near);
            if near {
                self.tally.worst = self.tally.worst.max(off);
            } else {
                self.tally.tell(format!(
                    "{key}: {name} {} off by {far:.1} px (cell {cell:.1}), score by {off}",
                    theirs.score
                ));
            }
        }
    }

    fn report(&self) -> bool {
        let Tally { images, expected, found, extra, worst, .. } = self.tally;
        #[allow(clippy::cast_precision_loss)]
        let share = found as f64 / expected.max(1) as f64;
        println!(
            "{:15} {:7}: {images} pictures, {expected} expected, {found} found ({:.2} %), {extra} extra, worst score \
             difference {worst:.4}",
            self.model,
            self.engine,
            100.0 * share
        );
        println!("    found of expected by kind of file: {:?}", self.tally.kinds);
        // openh264's pictures of streams with B-frames are not FFmpeg's to the bit, and where two boxes overlap by just
        // the limit of suppression, that decides. One in a hundred in MP4 frames; none in anything else.
        let in_mp4 = self.tally.kinds.get("mp4").map_or(0, |[_, expected]| *expected);
        let extra_in_mp4 = self.tally.extra_in_mp4;
        let passed =
            share >= LEAST_SHARE && extra == extra_in_mp4 && extra_in_mp4 * 100 <= in_mp4 && expected > 50;
        for told in &self.tally.told {
            println!("    {told}");
        }
        passed
    }
}

fn difference(own: &Detection, score: f32) -> f32 {
    (own.score - score).abs()
}

fn iou(a: [f32; 4], b: [f32; 4]) -> f64 {
    let area = |[x1, y1, x2, y2]: [f64; 4]| (x2 - x1).max(0.0) * (y2 - y1).max(0.0);
    let [a, b] = [a, b].map(|sides| sides.map(f64::from));
    let shared = area([a[0].max(b[0]), a[1].max(b[1]), a[2].min(b[2]), a[3].min(b[3])]);
    shared / (area(a) + area(b) - shared)
}
