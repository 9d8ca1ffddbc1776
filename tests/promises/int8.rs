//! YOLOX-nano with eight bits (QDQ, by ONNX Runtime's own quantisation) beside the same model in f32: the same numbers as
//! ONNX Runtime computes with them, how much faster, and what it costs in detections.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use stopline::detection::Detection;
use stopline::detector::{Detector, DetectorOptions};
use stopline::infer::{BackendKind, backend};
use stopline_sensors::clock::SystemClock;
use stopline_sensors::open::{OpenOptions, open};
use stopline_sensors::source::Event;
use stopline_tests::{count, field_data, fixtures, ort_library, python};

use crate::engines::{Side, middle, noise};

/// Int8 over f32, ours.
const BAR: f64 = 0.6;
/// Most that scores and coordinates may differ from ONNX Runtime's on average, relative to 1 plus their size: an engine may
/// round a product's scale otherwise, and then a number comes to lie on the grid's next line.
const MOST_MEAN_DIFFERENCE: f64 = 0.05;

/// The model, quantised with the field's own pictures; `None` where Python or the data is missing.
fn quantised(folder: &Path) -> Option<(PathBuf, PathBuf)> {
    let (data, python) = (field_data()?, python()?);
    let model = data.join("models/yolox_nano_416.onnx");
    let target = folder.join("yolox_nano_416_int8.onnx");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("promises/quantise.py");
    let done =
        Command::new(python).arg(script).arg(&model).arg(&target).args(pictures(&data)).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    println!("{}", String::from_utf8_lossy(&done.stdout).trim());
    Some((model, target))
}

/// The stills of the field data.
fn pictures(data: &Path) -> Vec<PathBuf> {
    let folders = ["drive", "fall", "pedestrian", "stop-sign"].map(|kind| data.join("media").join(kind));
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let picture = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "jpg" || ending == "png");
    let mut pictures: Vec<PathBuf> = files.map(|file| file.unwrap().path()).filter(picture).collect();
    pictures.sort();
    pictures
}

#[test]
fn a_quantised_model_computes_what_onnx_runtime_does() {
    let folder = tempfile::tempdir().unwrap();
    let (Some(library), Some((_, model))) = (ort_library(), quantised(folder.path())) else { return };
    let mut own = Side::new(&*backend(BackendKind::Kernels, None).unwrap(), &model);
    assert_eq!(own.plan.backend(), "kernels", "{:?}", own.plan.warnings());
    assert!(own.plan.warnings().is_empty(), "all of it is in the kernels: {:?}", own.plan.warnings());
    let inputs = noise(&*own.plan, Path::new("yolox_nano_416.onnx"));
    let times = Arc::clone(&own.plan).session().unwrap().run_timed(&inputs).unwrap();
    let whole = times.iter().filter(|time| time.operator.starts_with("int8 ")).count();
    let floats =
        times.iter().filter(|time| ["pointwise", "conv", "depthwise"].contains(&time.operator.as_str()));
    println!("{whole} steps of whole numbers, {} convolutions in f32", floats.clone().count());
    assert!(whole >= 100 && floats.count() == 9, "the nine that tell boxes and scores are f32, and no other");
    let mut ort = Side::new(&*backend(BackendKind::Ort, Some(&library)).unwrap(), &model);
    let (found, expected) = (own.run(&inputs), ort.run(&inputs));
    let (mut sum, mut numbers) = (0.0, 0u32);
    for (a, b) in found[0].data.iter().zip(&expected[0].data) {
        sum += f64::from((a - b).abs() / (1.0 + b.abs()));
        numbers += 1;
    }
    let mean = sum / f64::from(numbers);
    println!("{numbers} numbers differ from ONNX Runtime's by {mean:.1e} on average");
    assert!(mean <= MOST_MEAN_DIFFERENCE, "{mean}");
}

/// What int8 finds beside what f32 finds.
#[derive(Default)]
struct Agreement {
    frames: usize,
    expected: usize,
    /// Of the expected ones, found at the manifest's threshold.
    found: usize,
    /// Score of each int8 detection, and whether it is one of the expected.
    scored: Vec<(f32, bool)>,
}

#[test]
#[ignore = "takes a minute: cargo test --release --test promises -- --ignored --nocapture int8::"]
fn int8_beside_f32() {
    let folder = tempfile::tempdir().unwrap();
    let Some((float, int8)) = quantised(folder.path()) else { return };
    let library = ort_library();
    let turns = count("turns of each engine and model", 100, 40);
    println!(
        "one thread; ms of processor time, the median of {turns} turns; int8 / f32: median of the turns' ratios [its 95 % interval]"
    );
    println!("| engine | f32 | int8 | int8 / f32 | bar {BAR} |\n|---|---|---|---|---|");
    for (kind, library) in [(BackendKind::Kernels, None), (BackendKind::Ort, library.as_deref())] {
        if kind == BackendKind::Ort && library.is_none() {
            continue;
        }
        let engine = backend(kind, library).unwrap();
        let mut sides = [&float, &int8].map(|path| Side::new(&*engine, path));
        let inputs = noise(&*sides[0].plan, &float);
        for turn in 0..turns + 2 {
            for at in if turn % 2 == 0 { [0, 1] } else { [1, 0] } {
                sides[at].time(&inputs);
            }
        }
        let [f32s, int8s] =
            sides.map(|side| side.times[2..].iter().map(|time| time.as_secs_f64() * 1e3).collect::<Vec<_>>());
        let (ratio, low, high) = middle(int8s.iter().zip(&f32s).map(|(int8, float)| int8 / float).collect());
        let bar = match kind {
            BackendKind::Kernels if ratio <= BAR => "held",
            BackendKind::Kernels => "MISSED",
            _ => "",
        };
        println!(
            "| {} | {:.2} | {:.2} | {ratio:.3} [{low:.3}, {high:.3}] | {bar} |",
            kind.name(),
            middle(f32s).0,
            middle(int8s).0
        );
    }
    for (kind, library) in [(BackendKind::Kernels, None), (BackendKind::Ort, library.as_deref())] {
        if kind == BackendKind::Ort && library.is_none() {
            continue;
        }
        let agreement = agreement(folder.path(), [&float, &int8], kind, library);
        let Agreement { frames, expected, found, .. } = agreement;
        println!(
            "{}: int8 finds {found} of f32's {expected} detections in {frames} frames ({:.1} %) at the manifest's threshold; AP50 against f32's detections {:.3}",
            kind.name(),
            found as f64 / expected as f64 * 100.0,
            average_precision(&agreement)
        );
    }
    println!(
        "AP50: all classes together, over stills and every tenth frame of the clips. No labelled set of enough pictures is here, so it tells how far int8 is from f32, not from the truth; the stills also calibrated the model."
    );
}

/// A manifest for a model of other bytes than its own names.
fn manifest(folder: &Path, name: &str, threshold: f32) -> PathBuf {
    let text = std::fs::read_to_string(fixtures().join("manifests/yolox_nano_416.toml")).unwrap();
    let text: Vec<String> = text
        .lines()
        .filter(|line| !line.starts_with("sha256"))
        .map(
            |line| {
                if line.starts_with("score = ") { format!("score = {threshold}") } else { line.to_owned() }
            },
        )
        .collect();
    let path = folder.join(name);
    std::fs::write(&path, text.join("\n")).unwrap();
    path
}

fn agreement(folder: &Path, models: [&PathBuf; 2], kind: BackendKind, library: Option<&Path>) -> Agreement {
    const SCORE: f32 = 0.3;
    let data = field_data().unwrap();
    let mut detectors =
        [(models[0], "f32.toml", SCORE), (models[1], "int8.toml", 0.05)].map(|(model, name, threshold)| {
            let options = DetectorOptions {
                model: model.clone(),
                manifest: Some(manifest(folder, name, threshold)),
                backend: kind,
                library: library.map(Path::to_path_buf),
                threads: 1,
                draft: false,
                providers: Vec::new(),
            };
            Detector::load(&options).unwrap()
        });
    let mut agreement = Agreement::default();
    let clips = [
        "drive/parking_car-detection.mp4",
        "pedestrian/person-bicycle-car.mp4",
        "drive/udacity_solidWhiteRight.mp4",
    ];
    let mut sources = pictures(&data);
    sources.extend(clips.map(|clip| data.join("media").join(clip)));
    for path in sources {
        let clip = path.extension().is_some_and(|ending| ending == "mp4");
        let mut source =
            open(path.to_str().unwrap(), &OpenOptions::default(), Arc::new(SystemClock)).unwrap();
        let mut number = 0;
        loop {
            let frame = match source.next(std::time::Duration::from_secs(5)).unwrap() {
                Event::Frame(frame) => frame,
                Event::End => break,
                _ => continue,
            };
            number += 1;
            if clip && number % 10 != 1 {
                continue;
            }
            let mut found = [Vec::new(), Vec::new()];
            for (detector, found) in detectors.iter_mut().zip(&mut found) {
                detector.detect(&frame, found).unwrap();
            }
            let [expected, found] = found;
            agreement.add(&expected, found, SCORE);
            if !clip {
                break;
            }
        }
    }
    agreement
}

impl Agreement {
    fn add(&mut self, expected: &[Detection], mut found: Vec<Detection>, threshold: f32) {
        self.frames += 1;
        self.expected += expected.len();
        found.sort_by(|a, b| b.score.total_cmp(&a.score));
        let mut taken = vec![false; expected.len()];
        for detection in &found {
            let best = expected
                .iter()
                .enumerate()
                .filter(|(at, other)| !taken[*at] && other.class == detection.class)
                .map(|(at, other)| (at, overlap(detection.bbox, other.bbox)))
                .max_by(|a, b| a.1.total_cmp(&b.1))
                .filter(|(_, overlap)| *overlap >= 0.5);
            if let Some((at, _)) = best {
                taken[at] = true;
                self.found += usize::from(detection.score >= threshold);
            }
            self.scored.push((detection.score, best.is_some()));
        }
    }
}

/// Area under precision over recall, precision being the greatest at that recall or more.
fn average_precision(agreement: &Agreement) -> f64 {
    let mut scored = agreement.scored.clone();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut right = 0.0;
    let mut points: Vec<(f64, f64)> = Vec::new();
    for (at, (_, hit)) in scored.iter().enumerate() {
        right += f64::from(*hit);
        points.push((right / agreement.expected as f64, right / (at + 1) as f64));
    }
    let mut area = 0.0;
    let mut best: f64 = 0.0;
    for at in (0..points.len()).rev() {
        best = best.max(points[at].1);
        area += best * (points[at].0 - if at > 0 { points[at - 1].0 } else { 0.0 });
    }
    area
}

fn overlap(a: [f32; 4], b: [f32; 4]) -> f32 {
    let side = |axis: usize| (a[axis + 2].min(b[axis + 2]) - a[axis].max(b[axis])).max(0.0);
    let area = |b: [f32; 4]| (b[2] - b[0]) * (b[3] - b[1]);
    let both = side(0) * side(1);
    both / (area(a) + area(b) - both)
}
