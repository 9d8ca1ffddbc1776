//! Our engines beside ONNX Runtime, in turns within one process, on one core: that they compute the same, and how long
//! they take. Prints a table; asserts the numbers, never a time.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use stopline::infer::{
    Backend, BackendKind, ModelFile, Output, Plan, PlanOptions, Session, Tensor, TensorData, backend,
};
use stopline_sensors::clock::{Clock, SystemClock};
use stopline_tests::{count, field_data, fixtures, ort_library, stopline};

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
pub(crate) struct Side {
    pub plan: Arc<dyn Plan>,
    session: Box<dyn Session>,
    loaded: Duration,
    pub times: Vec<Duration>,
}

impl Side {
    pub fn new(engine: &dyn Backend, path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let from = SystemClock.monotonic();
        let plan = engine.plan(&ModelFile { path, bytes: &bytes }, &PlanOptions::default()).unwrap();
        let session = Arc::clone(&plan).session().unwrap();
        let loaded = SystemClock.monotonic().since(from);
        Self { plan, session, loaded, times: Vec::new() }
    }

    pub fn run(&mut self, inputs: &[Tensor]) -> Vec<Output> {
        self.session.run(inputs).unwrap().to_vec()
    }

    pub fn time(&mut self, inputs: &[Tensor]) {
        let from = processor_time();
        self.session.run(inputs).unwrap();
        self.times.push(processor_time().saturating_sub(from));
    }
}

/// This thread's time on a processor so far: what others do on the machine does not count. Every engine here runs on the
/// calling thread.
pub(crate) fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap(), u32::try_from(time.tv_nsec).unwrap())
}

/// A picture of noise around a middle gray, in the range that the model's own pictures have.
pub(crate) fn noise(plan: &dyn Plan, path: &Path) -> Vec<Tensor> {
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
        "one thread; ms of processor time, the median of {turns} turns; kernels / ort: median of the turns' ratios [its 95 % interval]"
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

/// For `tests/promises/instructions`: some inferences by one engine. It asks no clock, because rustix looks for the kernel's
/// own under valgrind, where there is none.
#[test]
#[ignore = "run by tests/promises/instructions, under callgrind"]
fn inferences_to_be_counted() {
    let told = |name: &str| std::env::var(name).unwrap_or_default();
    let (model, runs) = (PathBuf::from(told("STOPLINE_COUNT_MODEL")), told("STOPLINE_COUNT_RUNS"));
    let library = ort_library();
    let engine = match told("STOPLINE_COUNT_ENGINE").as_str() {
        "kernels" => backend(BackendKind::Kernels, None),
        "tract" => backend(BackendKind::Tract, None),
        "ort" => backend(BackendKind::Ort, library.as_deref()),
        other => panic!(
            "STOPLINE_COUNT_ENGINE is {other:?}, not kernels, tract or ort; tests/promises/instructions sets it"
        ),
    };
    let bytes = std::fs::read(&model).unwrap();
    let file = ModelFile { path: &model, bytes: &bytes };
    let plan = engine.unwrap().plan(&file, &PlanOptions::default()).unwrap();
    let inputs = noise(&*plan, &model);
    let mut session = plan.session().unwrap();
    for _ in 0..runs.parse().unwrap() {
        session.run(&inputs).unwrap();
    }
}

/// Most memory of its own that the program may take with YOLOX-nano (README).
const MOST_MEMORY: u64 = 48 << 20;

#[test]
#[allow(clippy::cast_precision_loss, reason = "bytes of memory, printed")]
fn the_program_with_yolox_nano_stays_within_its_memory() {
    let Some(data) = field_data() else { return };
    let from = SystemClock.monotonic();
    let mut child = Command::new(stopline())
        .args(["bench", "pattern:1280x720,nv12", "--frames", "20", "--warm-up", "2", "--json", "--model"])
        .arg(data.join("models/yolox_nano_416.onnx"))
        .arg("--manifest")
        .arg(fixtures().join("manifests/yolox_nano_416.toml"))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let (mut most, mut looks) = (0, 0);
    let ended = loop {
        if let Some(ended) = child.try_wait().unwrap() {
            break ended;
        }
        // The file goes with the process.
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        if let Some(line) = text.lines().find_map(|line| line.strip_prefix("RssAnon:")) {
            most = most.max(line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10);
            looks += 1;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    assert!(ended.success() && looks > 5, "{ended}, {looks} looks");
    let took = SystemClock.monotonic().since(from);
    println!(
        "YOLOX-nano, 22 frames: at most {:.1} MiB of its own memory in {looks} looks; {took:.2?} from start to end",
        most as f64 / f64::from(1 << 20)
    );
    assert!(most <= MOST_MEMORY, "{most} bytes, expected at most {MOST_MEMORY}");
}

/// The median and its 95 % interval by order statistics: ranks n/2 ± 0.98 √n.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
pub(crate) fn middle(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    let count = values.len() as f64;
    let half = 0.98 * count.sqrt();
    let at = |rank: f64| values[(rank.max(0.0) as usize).min(values.len() - 1)];
    (at(count / 2.0), at(count / 2.0 - half), at(count / 2.0 + half))
}
