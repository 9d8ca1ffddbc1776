//! Our engines beside ONNX Runtime, in turns within one process, on one core: that they compute the same, and how long
//! they take. Prints a table; asserts the numbers, never a time.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use stopline::infer::{
    Backend, BackendKind, ModelFile, Output, Plan, PlanOptions, Session, Tensor, TensorData, backend,
};
use stopline_sensors::clock::{Clock, SystemClock};
use stopline_tests::{count, field_data, ort_library};

const MODELS: [&str; 4] = ["yolox_nano_416", "nanodet_m_320", "fastestdet_352", "pose_cpm_192"];
/// Most that a number may differ by, relative to 1 plus its size: sums in another order.
const MOST_DIFFERENCE: f32 = 2e-3;
/// The first bar and the second: our time over ONNX Runtime's.
const BARS: [f64; 2] = [1.2, 1.0];

/// The files, the bundled model last.
fn models() -> Option<Vec<PathBuf>> {
    let folder = field_data()?.join("models");
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime/demo/stopline-small.onnx");
    Some(MODELS.map(|name| folder.join(name).with_extension("onnx")).into_iter().chain([own]).collect())
}

/// One engine with one model.
struct Side {
    plan: Arc<dyn Plan>,
    session: Box<dyn Session>,
    loaded: Duration,
    times: Vec<Duration>,
}

impl Side {
    fn new(engine: &dyn Backend, path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let from = SystemClock.monotonic();
        let plan = engine.plan(&ModelFile { path, bytes: &bytes }, &PlanOptions::default()).unwrap();
        let session = Arc::clone(&plan).session().unwrap();
        let loaded = SystemClock.monotonic().since(from);
        Self { plan, session, loaded, times: Vec::new() }
    }

    fn run(&mut self, inputs: &[Tensor]) -> Vec<Output> {
        self.session.run(inputs).unwrap().to_vec()
    }

    fn time(&mut self, inputs: &[Tensor]) {
        let from = SystemClock.monotonic();
        self.session.run(inputs).unwrap();
        self.times.push(SystemClock.monotonic().since(from));
    }
}

/// A picture of noise around a middle gray, in the range that the model's own pictures have.
fn noise(plan: &dyn Plan, path: &Path) -> Vec<Tensor> {
    let wide = path.ends_with("yolox_nano_416.onnx");
    let one = |spec: &stopline::infer::TensorSpec| {
        let shape: Vec<usize> = spec.shape.iter().map(|size| size.unwrap()).collect();
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            #[allow(clippy::cast_precision_loss)]
            let share = (state >> 40) as f32 / 16_777_216.0;
            if wide { share * 255.0 } else { share }
        };
        let data = (0..shape.iter().product()).map(|_| next()).collect();
        Tensor { shape, data: TensorData::F32(data) }
    };
    plan.inputs().iter().map(one).collect()
}

fn name(path: &Path) -> &str {
    path.file_stem().unwrap().to_str().unwrap()
}

#[test]
fn the_kernels_compute_what_tract_and_onnx_runtime_do() {
    let Some(models) = models() else { return };
    let mut peers = vec![backend(BackendKind::Tract, None).unwrap()];
    peers.extend(ort_library().map(|library| backend(BackendKind::Ort, Some(&library)).unwrap()));
    let kernels = backend(BackendKind::Kernels, None).unwrap();
    for path in models {
        let mut own = Side::new(&*kernels, &path);
        assert_eq!(own.plan.backend(), "kernels", "{}: {:?}", path.display(), own.plan.warnings());
        println!("{}: told: {:?}", name(&path), own.plan.warnings());
        let inputs = noise(&*own.plan, &path);
        let found = own.run(&inputs);
        for peer in &peers {
            let mut other = Side::new(&**peer, &path);
            let expected = other.run(&inputs);
            let mut worst = 0.0f32;
            for (found, expected) in found.iter().zip(&expected) {
                assert_eq!((&found.name, &found.shape), (&expected.name, &expected.shape));
                for (a, b) in found.data.iter().zip(&expected.data) {
                    let off = (a - b).abs() / (1.0 + b.abs());
                    worst = if off.is_nan() { f32::INFINITY } else { worst.max(off) };
                }
            }
            println!("{:16} kernels and {:6} differ by {worst:.1e} at most", name(&path), peer.name());
            assert!(worst <= MOST_DIFFERENCE, "{} differs by {worst}", path.display());
        }
    }
}

#[test]
#[ignore = "wants a quiet machine: cargo test --release --test promises -- --ignored --nocapture engines::"]
fn the_kernels_beside_onnx_runtime_and_tract() {
    let (Some(models), Some(library)) = (models(), ort_library()) else { return };
    let turns = count("turns of each engine and model", 100, 40);
    let kinds = [
        (BackendKind::Kernels, None),
        (BackendKind::Ort, Some(library.as_path())),
        (BackendKind::Tract, None),
    ];
    println!(
        "one thread; ms, the median of {turns} turns; kernels / ort: median of the turns' ratios [its 95 % interval]"
    );
    println!(
        "| model | kernels | ort | tract | kernels / ort | bars 1.2, 1.0 | loaded in: kernels | ort | tract |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for path in models {
        let mut sides = kinds.map(|(kind, library)| Side::new(&*backend(kind, library).unwrap(), &path));
        let inputs = noise(&*sides[0].plan, &path);
        for side in &mut sides {
            side.run(&inputs);
            side.run(&inputs);
        }
        for turn in 0..turns {
            // Each engine runs after each other one equally often.
            let order = if turn % 2 == 0 { [0, 1, 2] } else { [2, 1, 0] };
            for at in order {
                sides[at].time(&inputs);
            }
        }
        let ratios: Vec<f64> = sides[0]
            .times
            .iter()
            .zip(&sides[1].times)
            .map(|(own, theirs)| own.as_secs_f64() / theirs.as_secs_f64())
            .collect();
        let (median, low, high) = middle(ratios);
        let bars = BARS.map(|bar| if median <= bar { "held" } else { "MISSED" }).join(", ");
        let ms = |side: &Side| {
            let (median, ..) = middle(side.times.iter().map(|time| time.as_secs_f64() * 1e3).collect());
            format!("{median:.2}")
        };
        let loaded = |side: &Side| format!("{:.0}", side.loaded.as_secs_f64() * 1e3);
        println!(
            "| {} | {} | {} | {} | {median:.3} [{low:.3}, {high:.3}] | {bars} | {} | {} | {} |",
            name(&path),
            ms(&sides[0]),
            ms(&sides[1]),
            ms(&sides[2]),
            loaded(&sides[0]),
            loaded(&sides[1]),
            loaded(&sides[2])
        );
    }
}

/// The median and its 95 % interval by order statistics: ranks n/2 ± 0.98 √n.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
fn middle(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    let count = values.len() as f64;
    let half = 0.98 * count.sqrt();
    let at = |rank: f64| values[(rank.max(0.0) as usize).min(values.len() - 1)];
    (at(count / 2.0), at(count / 2.0 - half), at(count / 2.0 + half))
}
