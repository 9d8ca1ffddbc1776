//! YOLOX-nano with eight bits, by ONNX Runtime's own quantisation (static: QDQ; dynamic: the scales found while it runs) beside
//! the same model in f32: the same numbers as ONNX Runtime computes with them, how much faster, and what it costs in
//! detections.

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

/// Static int8 over f32, ours.
const BAR: f64 = 0.6;
/// Most that scores and coordinates may differ from ONNX Runtime's on average, relative to 1 plus their size: an engine may
/// round a product's scale otherwise, and then a number comes to lie on the grid's next line.
const MOST_MEAN_DIFFERENCE: f64 = 0.05;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Calibrated with the field's own pictures.
    Static,
    /// All convolutions.
    Dynamic,
    /// All but the first and those of each channel by itself.
    DynamicDense,
}

/// The model, and the same quantised; `None` where Python or the data is missing.
fn quantised(folder: &Path, way: Way) -> Option<(PathBuf, PathBuf)> {
    let (data, python) = (field_data()?, python()?);
    let model = data.join("models/yolox_nano_416.onnx");
    let target = folder.join(format!("yolox_nano_416_{way:?}.onnx"));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("promises/quantise.py");
    let how = match way {
        Way::Static => pictures(&data),
        Way::Dynamic => vec!["--dynamic".into()],
        Way::DynamicDense => vec!["--dynamic-dense".into()],
    };
    let done = Command::new(python).arg(script).arg(&model).arg(&target).args(how).output().unwrap();
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
    computes_what_onnx_runtime_does(Way::Static, |whole, floats| {
        assert!(whole >= 100 && floats == 9, "the nine that tell boxes and scores are f32, and no other");
    });
}

#[test]
fn a_model_that_quantises_while_it_runs_computes_what_onnx_runtime_does() {
    computes_what_onnx_runtime_does(Way::Dynamic, |whole, floats| assert_eq!((whole, floats), (113, 0)));
    computes_what_onnx_runtime_does(Way::DynamicDense, |whole, floats| {
        assert!(
            whole > 70 && floats > 0 && whole + floats == 112,
            "the first convolution has a kind of its own"
        );
    });
}

/// `counted`: steps of whole numbers, and convolutions in f32.
fn computes_what_onnx_runtime_does(way: Way, counted: impl Fn(usize, usize)) {
    let folder = tempfile::tempdir().unwrap();
    let (Some(library), Some((_, model))) = (ort_library(), quantised(folder.path(), way)) else { return };
    let mut own = Side::new(&*backend(BackendKind::Kernels, None).unwrap(), &model);
    assert_eq!(own.plan.backend(), "kernels", "{:?}", own.plan.warnings());
    assert!(own.plan.warnings().is_empty(), "all of it is in the kernels: {:?}", own.plan.warnings());
    let inputs = noise(&*own.plan, Path::new("yolox_nano_416.onnx"));
    let times = Arc::clone(&own.plan).session().unwrap().run_timed(&inputs).unwrap();
    let whole = times.iter().filter(|time| time.operator.starts_with("int8 ")).count();
    let floats =
        times.iter().filter(|time| ["pointwise", "conv", "depthwise"].contains(&time.operator.as_str()));
    let floats = floats.count();
    println!("{whole} steps of whole numbers, {floats} convolutions in f32");
    counted(whole, floats);
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
    beside_f32(Way::Static);
}

#[test]
#[ignore = "takes a minute: cargo test --release --test promises -- --ignored --nocapture int8::"]
fn dynamic_int8_beside_f32() {
    beside_f32(Way::Dynamic);
    beside_f32(Way::DynamicDense);
}

fn beside_f32(way: Way) {
    let folder = tempfile::tempdir().unwrap();
    let Some((float, int8)) = quantised(folder.path(), way) else { return };
    let library = ort_library();
    let turns = count("turns of each engine and model", 100, 40);
    println!(
        "{way:?} quantisation; one thread; ms of processor time, the median of {turns} turns; int8 / f32: median of the turns' ratios [its 95 % interval]"
    );
    println!("| engine | f32 | int8 | int8 / f32 | bar {BAR} (static) |\n|---|---|---|---|---|");
    let kinds = [BackendKind::Kernels, BackendKind::Ort];
    let kinds = &kinds[..1 + usize::from(library.is_some())];
    let engine = |kind: BackendKind| backend(kind, library.as_deref().filter(|_| kind == BackendKind::Ort));
    let side = |(kind, path): (BackendKind, &PathBuf)| Side::new(&*engine(kind).unwrap(), path);
    let mut sides: Vec<Side> =
        kinds.iter().flat_map(|kind| [(*kind, &float), (*kind, &int8)]).map(side).collect();
    let inputs = noise(&*sides[0].plan, &float);
    for turn in 0..turns + 2 {
        // Each runs after each neighbour equally often.
        for at in 0..sides.len() {
            let at = if turn % 2 == 0 { at } else { sides.len() - 1 - at };
            sides[at].time(&inputs);
        }
    }
    let times: Vec<Vec<f64>> = sides
        .iter()
        .map(|side| side.times[2..].iter().map(|time| time.as_secs_f64() * 1e3).collect())
        .collect();
    let over = |a: &[f64], b: &[f64]| middle(a.iter().zip(b).map(|(a, b)| a / b).collect());
    for (kind, pair) in kinds.iter().zip(times.chunks_exact(2)) {
        let (ratio, low, high) = over(&pair[1], &pair[0]);
        let bar = match kind {
            BackendKind::Kernels if way != Way::Static => "",
            BackendKind::Kernels if ratio <= BAR => "held",
            BackendKind::Kernels => "MISSED",
            _ => "",
        };
        println!(
            "| {} | {:.2} | {:.2} | {ratio:.3} [{low:.3}, {high:.3}] | {bar} |",
            kind.name(),
            middle(pair[0].clone()).0,
            middle(pair[1].clone()).0
        );
    }
    if let [_, own, _, theirs] = &times[..] {
        let (ratio, low, high) = over(own, theirs);
        println!("int8, kernels / ort: {ratio:.3} [{low:.3}, {high:.3}]");
    }
    let mut tract = side((BackendKind::Tract, &int8));
    (0..4).for_each(|_| tract.time(&inputs));
    let tract = tract.times[1..].iter().map(|time| time.as_secs_f64() * 1e3).collect();
    println!("int8 in tract, median of 3: {:.0} ms", middle(tract).0);
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
        "AP50: all classes together, over stills and every tenth frame of the clips. No labelled set of enough pictures is here, so it tells how far int8 is from f32, not from the truth; the stills also calibrated the static model."
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
