//! A running daemon for tests: `stopline run` with a configuration, a clip, a signal track and a model made at test time,
//! all by the doors that users have. Commands are read back from the `log` actuator.
//!
//! The scene: a car stands for two seconds, then drives at 36 km/h towards a person who stands in its path, drawn as a
//! bright box over noise. The model is an ONNX graph that finds the bright box. The clip ends 3 m before the person.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use stopline_depot::health::Health;
use stopline_sensors::clock::{Clock as _, Monotonic, SystemClock};

use crate::onnx::{Attribute, Dim, Kind, Onnx, fixed};
use crate::stopline;

/// Pixels across and down of clip and model.
pub const SIZE: [usize; 2] = [320, 240];
/// Frames per second of the clip.
pub const RATE: usize = 30;
/// Focal length in pixels.
const FOCAL: f32 = 300.0;
/// Height of the camera in metres.
const HEIGHT: f32 = 1.3;
/// Height of the person in metres.
const PERSON: f32 = 1.7;

/// A folder with everything that a configuration names.
pub struct Bench {
    folder: tempfile::TempDir,
}

impl Default for Bench {
    fn default() -> Self {
        Self::new()
    }
}

impl Bench {
    /// With clip, track, calibration and model.
    pub fn new() -> Self {
        let bench = Self { folder: tempfile::tempdir().expect("temporary folder") };
        scene(bench.folder.path()).expect("writes");
        bench
    }

    /// Its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file.
    pub fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).expect("writes");
        path
    }

    /// The configuration of the scene, in `stopline.toml`, with one text in place of another.
    pub fn config(&self, changes: &[(&str, &str)]) -> PathBuf {
        let run = self.path("run");
        let mut text = CONFIG.replace("RUN", run.to_str().expect("UTF-8"));
        for (from, to) in changes {
            assert!(text.contains(from), "{from:?} is not in the configuration");
            text = text.replacen(from, to, 1);
        }
        self.write("stopline.toml", text.as_bytes())
    }

    /// Starts the daemon by the configuration of the scene.
    pub fn start(&self, changes: &[(&str, &str)]) -> Daemon<'_> {
        let config = self.config(changes);
        let said = std::fs::File::create(self.path("said.txt")).expect("makes a file");
        let child = Command::new(stopline())
            .args(["run", "--config"])
            .arg(config)
            .stderr(said)
            .stdout(Stdio::null())
            .spawn()
            .expect("stopline starts");
        Daemon { bench: self, child, clock: SystemClock }
    }
}

/// Clip, track, calibration and model of the scene, into a folder.
pub fn scene(folder: &Path) -> std::io::Result<()> {
    std::fs::write(folder.join("approach.y4m"), approach())?;
    std::fs::write(folder.join("drive.csv"), track())?;
    std::fs::write(folder.join("front.cal.toml"), CALIBRATION)?;
    std::fs::write(folder.join("bright.onnx"), bright())?;
    std::fs::write(folder.join("bright.toml"), MANIFEST)
}

/// A running daemon. Dropped, it is killed.
pub struct Daemon<'a> {
    bench: &'a Bench,
    child: Child,
    clock: SystemClock,
}

/// A command as the `log` actuator writes it.
#[derive(Clone, Debug)]
pub struct Line {
    /// When it was made, in microseconds of the monotonic clock.
    pub at: u64,
    /// The whole line.
    pub json: Value,
}

impl Line {
    /// A number of it; NaN where there is none.
    pub fn number(&self, key: &str) -> f64 {
        self.json[key].as_f64().unwrap_or(f64::NAN)
    }

    /// A text of it.
    pub fn text(&self, key: &str) -> &str {
        self.json[key].as_str().unwrap_or_default()
    }

    /// A truth value of it.
    pub fn is(&self, key: &str) -> bool {
        self.json[key].as_bool().unwrap_or_default()
    }

    /// When the picture was taken that the command stands on, in microseconds.
    pub fn captured(&self) -> Option<u64> {
        Some(self.at - self.json["object_age_us"].as_u64()?)
    }
}

impl Daemon<'_> {
    /// Its process id.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("the process is there");
    }

    /// Now, on the clock of the lines.
    pub fn now(&self) -> u64 {
        self.clock.monotonic().as_nanos() / 1000
    }

    /// All commands so far; a half-written last one is left out.
    pub fn lines(&self) -> Vec<Line> {
        let text = std::fs::read_to_string(self.bench.path("commands.jsonl")).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(read).collect()
    }

    /// The newest command, without reading all of them.
    pub fn newest(&self) -> Option<Line> {
        use std::io::{Read as _, Seek as _, SeekFrom};
        let mut file = std::fs::File::open(self.bench.path("commands.jsonl")).ok()?;
        let length = file.metadata().ok()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(2048))).ok()?;
        let mut text = String::new();
        file.read_to_string(&mut text).ok()?;
        let whole = &text[..text.rfind('\n')?];
        whole.lines().next_back().map(read)
    }

    /// What it has said on stderr.
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.bench.path("said.txt")).unwrap_or_default()
    }

    /// The health file.
    pub fn health(&self) -> Option<Health> {
        Health::read(&self.bench.path("run/health.json")).ok()
    }

    /// Waits until `look` gives something, at most so long.
    pub fn wait<T>(&mut self, what: &str, most: Duration, look: impl Fn(&Self) -> Option<T>) -> T {
        let until = self.clock.monotonic().plus(most);
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            let ended = self.child.try_wait().expect("can be waited for");
            let late = self.clock.monotonic() > until;
            assert!(
                ended.is_none() && !late,
                "{what}: not seen; ended: {ended:?}; it said:\n{}",
                self.said()
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits until a brake is in progress, at least so strong.
    pub fn wait_for_brake(&mut self, least: f64) -> Line {
        self.wait("a brake", Duration::from_secs(30), |daemon| {
            let line = daemon.newest()?;
            (line.text("row") == "braking" && line.number("deceleration") >= least).then_some(line)
        })
    }

    /// Waits until the process ends by itself.
    pub fn ended(&mut self, most: Duration) -> ExitStatus {
        let until = self.clock.monotonic().plus(most);
        loop {
            if let Some(status) = self.child.try_wait().expect("can be waited for") {
                return status;
            }
            assert!(self.clock.monotonic() < until, "still running; it said:\n{}", self.said());
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(line: &str) -> Line {
    let json: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    Line { at: json["t_us"].as_u64().expect("a time"), json }
}

/// Reads the stream's socket as a viewer does.
pub fn connect(bench: &Bench) -> std::os::unix::net::UnixStream {
    std::os::unix::net::UnixStream::connect(bench.path("run/stream.sock")).expect("the stream is there")
}

/// Now, for tests that have no daemon yet.
pub fn now() -> Monotonic {
    SystemClock.monotonic()
}

const CONFIG: &str = r#"schema = 1
[run]
directory = "RUN"
lock_memory = false
realtime_priority = 0
[[camera]]
name = "front"
source = "approach.y4m"
calibration = "front.cal.toml"
functions = ["pedestrian"]
guard = { timing_only = true }
[[model]]
name = "bright"
onnx = "bright.onnx"
[vehicle]
source = "track"
file = "drive.csv"
[[actuator]]
kind = "log"
name = "commands"
file = "commands.jsonl"
every_period = true
[arm]
armed = true
command = true
with_unsigned_models_that_may_do_anything = true
"#;

const CALIBRATION: &str = r#"schema = 1
camera = "front"
made = "2026-01-01"
from = "parameters"
picture = [320, 240]
[lens]
model = "brown-conrady"
focal = [300.0, 300.0]
centre = [159.5, 119.5]
distortion = [0.0, 0.0, 0.0, 0.0, 0.0]
[mount]
height_m = 1.3
pitch_deg = 0.0
roll_deg = 0.0
yaw_deg = 0.0
pitch_sigma_deg = 0.3
front_m = 0.5
lateral_m = 0.0
"#;

/// Manifest of [`bright`], and of [`heavy`].
pub const MANIFEST: &str = r#"schema = 1
name = "bright"
version = "1.0.0"
task = "detect"
decoder = "yolo-end2end"
labels = ["person"]
[input]
name = "images"
width = 320
height = 240
colour = "rgb"
scale = 0.00392156862745098
resize = { mode = "stretch" }
[decode]
box_range = "input"
[thresholds]
score = 0.3
[roles]
pedestrian = ["person"]
"#;

/// Seconds for which the car stands.
const STANDS: f32 = 2.0;
/// Its speed after that, in m/s.
const SPEED: f32 = 10.0;
/// Seconds in which it gets there.
const SPURT: f32 = 0.4;
/// Distance of the person from the camera when it drives at full speed, in metres.
const FAR: f32 = 28.0;
/// Distance at which the clip ends.
const NEAR: f32 = 3.0;

/// Seconds of the clip.
fn seconds() -> f32 {
    STANDS + SPURT + (FAR - NEAR) / SPEED
}

/// Distance of the person at `time`.
fn distance(time: f32) -> f32 {
    let driven = (time - STANDS - SPURT).max(0.0) * SPEED;
    let spurt = (time - STANDS).clamp(0.0, SPURT);
    FAR + 0.5 * SPEED * SPURT - 0.5 * SPEED / SPURT * spurt * spurt - driven
}

/// The clip: YUV4MPEG2.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn approach() -> Vec<u8> {
    let [width, height] = SIZE;
    let frames = (seconds() * RATE as f32) as usize;
    let mut bytes = format!("YUV4MPEG2 W{width} H{height} F{RATE}:1 Ip A1:1 C420jpeg\n").into_bytes();
    for frame in 0..frames {
        let away = distance(frame as f32 / RATE as f32);
        let row = |below: f32| ((height as f32 / 2.0 + FOCAL * below / away) as usize).min(height);
        let half = FOCAL * 0.25 / away;
        let column = |side: f32| (width as f32 / 2.0 + side * half) as usize;
        let (rows, columns) = (row(HEIGHT - PERSON)..row(HEIGHT), column(-1.0)..column(1.0));
        bytes.extend_from_slice(b"FRAME\n");
        bytes.extend((0..width * height).map(|pixel| {
            let (x, y) = (pixel % width, pixel / width);
            if rows.contains(&y) && columns.contains(&x) { 235 } else { noise(pixel, frame) }
        }));
        bytes.resize(bytes.len() + width * height / 2, 128);
    }
    bytes
}

/// Between 40 and 103, another in each frame.
#[allow(clippy::cast_possible_truncation)]
fn noise(pixel: usize, frame: usize) -> u8 {
    let mixed = (pixel as u64 ^ (frame as u64) << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    40 + (mixed >> 58) as u8
}

/// The signal track: stands, then drives; the driver does nothing.
fn track() -> String {
    let mut text = String::from(
        "# stopline signal track, schema 1\n# made for a test\ntime_us,speed,accelerator,steering_angle\n",
    );
    for step in 0..1000 {
        #[allow(clippy::cast_precision_loss)]
        let time = step as f32 * 0.02;
        let speed = ((time - STANDS) / SPURT).clamp(0.0, 1.0) * SPEED;
        text.push_str(&format!("{},{speed},0,0\n", step * 20_000));
    }
    text
}

/// A model that finds the box around everything bright, as `[1, 1, 6]`: x1 y1 x2 y2 score class.
#[allow(clippy::cast_precision_loss)]
pub fn bright() -> Vec<u8> {
    let [width, height] = SIZE;
    finish(Onnx::default().input("images", Kind::F32, &fixed(&[1, 3, height, width])), "images")
}

/// The same, which runs a convolution of about five billion multiplications first: far longer than a tenth of a second.
#[allow(clippy::cast_precision_loss)]
pub fn heavy() -> Vec<u8> {
    let [width, height] = SIZE;
    let kernel = |from: usize, to: usize| vec![1.0 / (9 * from) as f32; 9 * from * to];
    let pads =
        || vec![Attribute::Ints("pads", vec![1, 1, 1, 1]), Attribute::Ints("kernel_shape", vec![3, 3])];
    let graph = Onnx::default()
        .input("images", Kind::F32, &fixed(&[1, 3, height, width]))
        .weights("k0", &[64, 3, 3, 3], &kernel(3, 64))
        .weights("k1", &[64, 64, 3, 3], &kernel(64, 64))
        .weights("k2", &[3, 64, 3, 3], &kernel(64, 3))
        .weights("little", &[1], &[1e-9])
        .node("Conv", &["images", "k0"], &["c0"], &pads())
        .node("Conv", &["c0", "k1"], &["c1"], &pads())
        .node("Conv", &["c1", "k1"], &["c2"], &pads())
        .node("Conv", &["c2", "k2"], &["c3"], &pads())
        .node("Mul", &["c3", "little"], &["c4"], &[])
        .node("Add", &["images", "c4"], &["seen"], &[]);
    finish(graph, "seen")
}

#[allow(clippy::cast_precision_loss)]
fn finish(graph: Onnx, seen: &str) -> Vec<u8> {
    let [width, height] = SIZE;
    let ramp = |side: usize| (0..side).map(|at| (at + 1) as f32).collect::<Vec<_>>();
    let back = |side: usize| (0..side).map(|at| (side - at) as f32).collect::<Vec<_>>();
    let most = |axes: &[u64]| vec![Attribute::Ints("axes", axes.to_vec()), Attribute::Int("keepdims", 1)];
    let flat = |axes: &[u64]| vec![Attribute::Ints("axes", axes.to_vec()), Attribute::Int("keepdims", 0)];
    graph
        .output("found", Kind::F32, &[Dim::Is(1), Dim::Is(1), Dim::Is(6)])
        .weights("threshold", &[1], &[0.85])
        .weights("right", &[1, width], &ramp(width))
        .weights("left", &[1, width], &back(width))
        .weights("down", &[1, height], &ramp(height))
        .weights("up", &[1, height], &back(height))
        .weights("width", &[1, 1], &[width as f32])
        .weights("height", &[1, 1], &[height as f32])
        .weights("sure", &[1, 1], &[0.9])
        .weights("class", &[1, 1], &[0.0])
        .numbers("shape", &[1, 1, 6])
        .node("Sub", &[seen, "threshold"], &["above"], &[])
        .node("Relu", &["above"], &["lit"], &[])
        .node("Sign", &["lit"], &["mask"], &[])
        .node("ReduceMax", &["mask"], &["columns"], &flat(&[1, 2]))
        .node("ReduceMax", &["mask"], &["rows"], &flat(&[1, 3]))
        .node("Mul", &["columns", "right"], &["r"], &[])
        .node("ReduceMax", &["r"], &["x2"], &most(&[1]))
        .node("Mul", &["columns", "left"], &["l"], &[])
        .node("ReduceMax", &["l"], &["from_left"], &most(&[1]))
        .node("Sub", &["width", "from_left"], &["x1"], &[])
        .node("Mul", &["rows", "down"], &["d"], &[])
        .node("ReduceMax", &["d"], &["y2"], &most(&[1]))
        .node("Mul", &["rows", "up"], &["u"], &[])
        .node("ReduceMax", &["u"], &["from_top"], &most(&[1]))
        .node("Sub", &["height", "from_top"], &["y1"], &[])
        .node("ReduceMax", &["columns"], &["any"], &most(&[1]))
        .node("Mul", &["any", "sure"], &["score"], &[])
        .node("Concat", &["x1", "y1", "x2", "y2", "score", "class"], &["row"], &[Attribute::Int("axis", 1)])
        .node("Reshape", &["row", "shape"], &["found"], &[])
        .file(&[])
}

/// Writes `text` into a running daemon's configuration file, whole, as an editor does.
pub fn rewrite(path: &Path, text: &str) {
    let mut file = tempfile::NamedTempFile::new_in(path.parent().expect("a folder")).expect("a file");
    file.write_all(text.as_bytes()).expect("writes");
    file.persist(path).expect("renames");
}
