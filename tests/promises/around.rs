//! What lies around the model: a 720p picture of a camera to the input tensor, outputs to detections, a decision, a command
//! as a frame for the bus; beside what OpenCV takes for the first two of them. In turns, on one core, processor time of the
//! thread on both sides. Asserts that both find as much; prints the ratio, and whether its bar is held.

use std::process::Command;
use std::time::Duration;

use rustix::thread::{sched_getaffinity, sched_setaffinity};
use stopline::act::can::pack::Packer;
use stopline::act::config::FrameConfig;
use stopline::decode::{Decoder, decoder};
use stopline::detection::Detection;
use stopline::guard::{Guard, GuardConfig, Promised, SignalGuard};
use stopline::infer::{BackendKind, ModelFile, Output, PlanOptions, Tensor, backend};
use stopline::observe::Roles;
use stopline::pipeline::{Acting, Deciding, FrameFacts, Period};
use stopline::prepare::Preparer;
use stopline::prepare::geometry::Geometry;
use stopline_decide::commander::CommandConfig;
use stopline_decide::decider::{CameraConfig, DecideConfig, Function};
use stopline_decide::ego::{Ego, Reading};
use stopline_decide::time::Nanos;
use stopline_depot::manifest::Manifest;
use stopline_sensors::frame::{BufferPool, Frame, PixelFormat};
use stopline_sensors::jpeg;
use stopline_tests::{count, field_data, fixtures, python};

use crate::cores::{last, only};
use crate::engines::processor_time;
use crate::peer_pipeline::json;
use crate::prepare_parity::{camera_frame, photograph};

/// Ours, all four stages, over OpenCV's two.
const BAR: f64 = 0.35;
const SIZE: (u32, u32) = (1280, 720);
const FORMATS: [(PixelFormat, &str); 2] = [(PixelFormat::Yuyv, "yuyv"), (PixelFormat::Nv12, "nv12")];
const PICTURE: &str = "media/drive/bdd_adb4871d-4d063244.jpg";

#[test]
fn around_the_model_beside_opencv() {
    // What decides is some hundred kilobytes in one piece, and is moved into its place several times.
    let body = std::thread::Builder::new().stack_size(16 << 20).spawn(measure).unwrap();
    if let Err(panic) = body.join() {
        std::panic::resume_unwind(panic);
    }
}

fn measure() {
    let (Some(data), Some(python)) = (field_data(), python()) else { return };
    let (turns, rounds) = (count("turns", 30, 5), count("pictures per turn", 100, 30));
    let folder = tempfile::tempdir().unwrap();
    let (model, manifest) =
        (data.join("models/yolox_nano_416.onnx"), fixtures().join("manifests/yolox_nano_416.toml"));
    let picture = image::open(data.join(PICTURE)).unwrap().to_rgb8();
    assert_eq!(picture.dimensions(), SIZE);
    let mut sides = FORMATS.map(|(format, name)| {
        let bytes = photograph(&picture, format, SIZE);
        std::fs::write(folder.path().join(name), &bytes).unwrap();
        Around::new(camera_frame(format, SIZE, bytes), &model, &manifest)
    });
    let all = sched_getaffinity(None).unwrap();
    let core = std::env::var("STOPLINE_CORE").map_or(last(), |core| core.parse().unwrap());
    let one = only(core);
    let encoded = std::fs::read(data.join(PICTURE)).unwrap();
    let pool = BufferPool::default();
    let mut lines = [const { Line::new() }; 3];
    for turn in 0..turns {
        let mut peer = Command::new(&python);
        peer.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/promises/around_peer.py")).args([&model, &manifest]);
        peer.args(FORMATS.map(|(_, name)| folder.path().join(name))).arg(data.join(PICTURE));
        peer.args([SIZE.0, SIZE.1].map(|side| side.to_string()));
        peer.args(["--core", &core.to_string(), "--rounds", &rounds.to_string()]);
        let peer = json(&mut peer);
        sched_setaffinity(None, &one).unwrap();
        for ((side, line), (_, name)) in sides.iter_mut().zip(&mut lines).zip(FORMATS) {
            let ours = median(rounds, || side.once());
            let stage = |stage: &str| peer[name][stage].as_f64().unwrap();
            line.add(ours, stage("prepare") + stage("decode"));
            let found = peer[name]["found"].as_u64().unwrap();
            assert!(
                found > 0 && found.abs_diff(side.found.len() as u64) <= 1,
                "{name}: {found}, {:?}",
                side.found
            );
        }
        let ours = median(rounds, || drop(jpeg::decode("picture", &encoded, &pool).unwrap()));
        lines[2].add(ours, peer["jpeg"].as_f64().unwrap());
        sched_setaffinity(None, &all).unwrap();
        if turn == 0 {
            let [yuyv, nv12] = sides.each_mut().map(|side| side.stages(rounds));
            println!("prepare, decode, decide and act, µs: yuyv {yuyv:.0?}, nv12 {nv12:.0?}");
        }
    }
    println!(
        "prepare + decode + decide + act of ours over prepare + decode of OpenCV, 720p, {turns} turns of {rounds}:"
    );
    for (line, (_, name)) in lines.iter_mut().zip(FORMATS) {
        let ratio = line.told(name);
        println!("  {name}: at most {BAR}: {}", if ratio <= BAR { "held" } else { "MISSED" });
    }
    lines[2].told("JPEG to pixels, of a camera, over OpenCV's libjpeg-turbo");
}

/// Times of both sides, a pair per turn, in µs.
struct Line(Vec<(f64, f64)>);

impl Line {
    const fn new() -> Self {
        Self(Vec::new())
    }

    fn add(&mut self, ours: f64, theirs: f64) {
        self.0.push((ours, theirs));
    }

    /// Prints the line; the median ratio.
    fn told(&mut self, name: &str) -> f64 {
        let middle = |mut values: Vec<f64>| {
            values.sort_by(f64::total_cmp);
            (values[values.len() / 2], values[0], values[values.len() - 1])
        };
        let [ours, theirs] =
            [0, 1].map(|side| middle(self.0.iter().map(|pair| [pair.0, pair.1][side]).collect()).0);
        let (ratio, least, most) = middle(self.0.iter().map(|(ours, theirs)| ours / theirs).collect());
        println!("  {name}: {ours:.0} µs, theirs {theirs:.0} µs, ratio {ratio:.3} [{least:.3}–{most:.3}]");
        ratio
    }
}

/// All that lies around a model, with the model's real outputs for one picture.
struct Around {
    frame: Frame,
    geometry: Geometry,
    preparer: Preparer,
    tensor: Tensor,
    decoder: Box<dyn Decoder>,
    outputs: Vec<Output>,
    found: Vec<Detection>,
    roles: Roles,
    deciding: Deciding,
    acting: Acting,
    packer: Packer,
    period: u64,
}

impl Around {
    fn new(frame: Frame, model: &std::path::Path, manifest: &std::path::Path) -> Self {
        let manifest = Manifest::from_toml(&std::fs::read_to_string(manifest).unwrap()).unwrap();
        let size = [manifest.input.width, manifest.input.height];
        let geometry = Geometry::fit([frame.width(), frame.height()], size, &manifest.input.resize);
        let mut preparer = Preparer::new(&manifest.input, size).unwrap();
        let mut tensor = preparer.tensor();
        preparer.prepare(&frame, &geometry, &mut tensor).unwrap();
        let bytes = std::fs::read(model).unwrap();
        let engine = backend(BackendKind::Kernels, None).unwrap();
        let plan = engine.plan(&ModelFile { path: model, bytes: &bytes }, &PlanOptions::default()).unwrap();
        let decoder = decoder(&manifest, plan.outputs()).unwrap();
        let outputs = plan.session().unwrap().run(std::slice::from_ref(&tensor)).unwrap().to_vec();
        let mut config = DecideConfig::default();
        let functions = [Function::Pedestrian, Function::StopSign].into_iter().collect();
        config.cameras.push(CameraConfig { functions, calibration: None }).unwrap();
        let guard = Guard::new(SignalGuard::new(&GuardConfig::default(), Promised::default()));
        Self {
            frame,
            geometry,
            preparer,
            tensor,
            decoder,
            outputs,
            found: Vec::new(),
            roles: Roles::of(&manifest, &[]),
            deciding: Deciding::new(config).unwrap(),
            acting: Acting::new(guard, CommandConfig::default()),
            packer: Packer::new("brake", &FrameConfig::default()).unwrap(),
            period: 0,
        }
    }

    fn once(&mut self) {
        self.prepare();
        self.decode();
        self.decide();
        self.act();
    }

    fn prepare(&mut self) {
        self.preparer.prepare(&self.frame, &self.geometry, &mut self.tensor).unwrap();
    }

    fn decode(&mut self) {
        self.found.clear();
        self.decoder.decode(&self.outputs, &self.geometry, &mut self.found).unwrap();
    }

    fn now(&self) -> Nanos {
        Nanos::from_millis(1_000 + 33 * self.period)
    }

    fn decide(&mut self) {
        self.period += 1;
        let facts =
            FrameFacts { camera: 0, number: self.period, captured: self.now(), size: [SIZE.0, SIZE.1] };
        self.deciding.begin();
        self.deciding.see(&self.found, &self.roles);
        let now = self.now();
        let ego = Ego { speed: Reading::Fresh(12.0), accelerator: Reading::Fresh(0.0), ..Ego::default() };
        self.acting.take(now, self.deciding.decide(&facts, ego));
    }

    fn act(&mut self) {
        let acted = self.acting.tick(self.now(), &Period { armed: true, ..Period::default() });
        std::hint::black_box(self.packer.frame(&acted.command));
    }

    /// Median of each stage alone, in µs.
    fn stages(&mut self, rounds: usize) -> [f64; 4] {
        let mut times = [const { Vec::new() }; 4];
        for _ in 0..rounds {
            let works: [fn(&mut Self); 4] = [Self::prepare, Self::decode, Self::decide, Self::act];
            for (times, work) in times.iter_mut().zip(works) {
                let begun = processor_time();
                work(self);
                times.push(processor_time() - begun);
            }
        }
        times.map(middle)
    }
}

fn median(rounds: usize, mut work: impl FnMut()) -> f64 {
    let times = (0..rounds + 5).map(|_| {
        let begun = processor_time();
        work();
        processor_time() - begun
    });
    middle(times.skip(5).collect())
}

fn middle(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1e6
}
