//! From the picture to the bus and the line: `stopline run` with the bundled model sees the bundled crossing through a real
//! camera node, hears the vehicle by DBC from a real bus, is armed by a real switch, and brakes.
//!
//! The machine's clock counts its instructions (`tests/board/run sight`): a virtual processor of a billion a second, so
//! that no setting of the product has to be slackened for emulation, and a busy host changes nothing. What it takes there
//! says nothing of a board. Two settings are v4l2loopback's: it stamps pictures when they arrive, so a latency is declared,
//! and it calls itself a camera of 30 frames a second whatever is fed, so the least rate is said.

use std::path::Path;
use std::process::{Child, Command as Program};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use stopline::eval::events::{TrueEvent, Truth};
use stopline_decide::e2e::{Check, DataIdMode, Protection, Sender};
use stopline_depot::health::Health;
use stopline_sensors::can::frame::BusId;
use stopline_sensors::clock::{Clock, Monotonic, SystemClock};
use v4l::video::Output;

use crate::film::{Film, Form, RATE, SIZE, position};
use crate::mjpeg::LOOPBACK;
use crate::peer::{BUS, Frame, Peer, fresh_bus};
use crate::rig::{Board, Found, ensure, pause, tell_kernel};
use crate::{film, lines};

/// The recording's files, the model, and the film of it.
const DEMO: &str = "/demo";
const FILM: &str = "/film";
const RUN: &str = "/tmp/sight";
/// The switch that arms, and the line that says that the brake is asked for.
const SWITCH: u32 = 6;
const LINE: u32 = 0;
/// Of the machine's own time, which is a minute of ours or more.
const START: Duration = Duration::from_secs(5);

pub fn checks(board: &mut Board) {
    let missing = [(Path::new(LOOPBACK), "v4l2loopback"), (Path::new(lines::WRITTEN), "gpio-sim")];
    let missing = missing.into_iter().find(|(path, _)| !path.exists());
    let full = std::env::var_os("STOPLINE_FULL").is_some_and(|value| !value.is_empty());
    let forms = if full { &Form::ALL[..] } else { &Form::ALL[..1] };
    println!("BOARD sight: {} of {} formats", forms.len(), Form::ALL.len());
    for form in forms {
        let name = format!("a crossing seen as {}: the brake on bus and line", form.code());
        match missing {
            Some((_, module)) => board.skip(&name, &format!("no {module} in this machine")),
            None => board.check(&name, || crossing(*form)),
        }
    }
}

const DBC: &str = "BO_ 256 WHEELS: 8 ABS\n SG_ Speed : 16|16@1+ (0.01,0) [0|300] \"km/h\" X\n\n\
                   BO_ 512 DRIVER: 8 ECU\n SG_ Pedal : 0|8@1+ (0.4,0) [0|100] \"%\" X\n \
                   SG_ Brake : 8|1@1+ (1,0) [0|1] \"\" X\n SG_ Angle : 16|16@1- (0.1,0) [-720|720] \"deg\" X\n";
const WHEELS: BusId = BusId::Standard(256);
const DRIVER: BusId = BusId::Standard(512);

fn config(form: Form, chip: &str) -> String {
    let (width, height, code) = (SIZE.0, SIZE.1, form.code());
    format!(
        r#"schema = 1
[run]
directory = "{RUN}"
lock_memory = false
[[camera]]
name = "front"
source = "{LOOPBACK}"
calibration = "{DEMO}/clips/front.cal.toml"
functions = ["pedestrian"]
declared_latency_ms = 20
guard = {{ min_rate = 10.0 }}
[camera.v4l2]
size = [{width}, {height}]
fps = {RATE}.0
formats = ["{code}"]
[[model]]
name = "detector"
onnx = "{DEMO}/stopline-small.onnx"
manifest = "{DEMO}/model.toml"
[vehicle]
source = "can"
interface = "{BUS}"
dbc = "{RUN}/car.dbc"
[vehicle.signals]
speed = {{ signal = "Speed", factor = 0.27777778 }}
accelerator = {{ signal = "Pedal", factor = 0.01 }}
brake_pedal = {{ signal = "Brake" }}
steering_angle = {{ signal = "Angle", factor = 0.017453293 }}
[vehicle.e2e.WHEELS]
protection = {{ profile = "p01", data_id = 256 }}
[[actuator]]
kind = "can"
name = "brake"
interface = "{BUS}"
[[actuator]]
kind = "gpio"
name = "relay"
chip = "{chip}"
line = {LINE}
mode = "level"
pull = "down"
when = "brake"
[arm]
armed = true
input = {{ chip = "{chip}", line = {SWITCH} }}
with_unsigned_models_that_may_do_anything = true
"#
    )
}

fn crossing(form: Form) -> Found {
    fresh_bus()?;
    let (chip, switch) =
        lines::chip().map(|(chip, folder)| (chip, folder.join(format!("sim_gpio{SWITCH}/pull"))))?;
    let switch = switch.to_string_lossy().into_owned();
    tell_kernel(&switch, "pull-down")?;
    let write = |name: &str, text: &str| {
        std::fs::write(format!("{RUN}/{name}"), text).map_err(|error| error.to_string())
    };
    std::fs::create_dir_all(RUN).map_err(|error| error.to_string())?;
    write("car.dbc", DBC)?;
    write("stopline.toml", &config(form, &chip))?;
    let _ = std::fs::remove_file(format!("{RUN}/health.json"));
    let road = Road::start(form)?;
    let mut daemon = Daemon::start()?;
    let mut peer = Peer::new()?;
    daemon.wait("ready", |health| health.state.name == "ready")?;
    ensure(peer.news()?.is_empty(), || "frames on the bus before the switch".into())?;
    tell_kernel(&switch, "pull-up")?;
    daemon.wait("armed and active", |health| health.arming.armed && health.state.name == "active")?;
    let (heard, line) = road.drive(&mut peer, &mut daemon)?;
    let health = daemon.health().ok_or("no health file")?;
    tell_kernel(&switch, "pull-down")?;
    drop(daemon);
    judge(&road.end()?, &heard, &line, peer.most)
        .map_err(|wrong| format!("{wrong}; {:?}; {}", health.cameras, said()))
}

/// When each picture was shown, as its place in the film.
type Shown = Vec<(Monotonic, usize)>;

/// Of which second of the recording the newest picture was.
fn second(shown: &Shown, at: Monotonic) -> Option<f64> {
    shown.iter().rev().find(|(then, _)| *then <= at).map(|(_, number)| position(*number))
}

fn truth() -> Result<TrueEvent, String> {
    let json =
        std::fs::read(format!("{DEMO}/clips/pedestrian.truth.json")).map_err(|error| error.to_string())?;
    let truth = Truth::from_json(&json).map_err(|error| error.to_string())?;
    truth.events.into_iter().next().ok_or("no event in the truth".to_owned())
}

/// Against what the recording's truth says.
fn judge(shown: &Shown, heard: &[Frame], line: &[Monotonic], carried_out: f32) -> Found {
    let truth = truth()?;
    let in_sight = truth.visible_from_s.unwrap_or(truth.from_s);
    // The first frame that a receiver hears tells it the counter.
    let wrong = heard.iter().skip(1).filter(|frame| frame.check != Check::Ok).count();
    ensure(heard.len() > 50 && wrong == 0, || {
        format!("{} frames on the bus, {wrong} with a wrong counter or checksum", heard.len())
    })?;
    let first = heard.iter().find(|frame| frame.payload.deceleration > 0.0).ok_or("no brake on the bus")?;
    let braked = second(shown, first.at).ok_or("a brake before the first picture")?;
    ensure(first.payload.valid && (in_sight..truth.to_s).contains(&braked), || {
        format!("braked at {braked:.2} s, the person is in sight from {in_sight} s: {first:?}")
    })?;
    let strongest = heard.iter().map(|frame| frame.payload.deceleration).fold(0.0, f32::max);
    // UN R152, 5.2.1.1: at least 5 m/s².
    ensure(strongest >= 5.0 && carried_out > 0.0, || {
        format!("{strongest} asked, {carried_out} carried out")
    })?;
    let switched =
        second(shown, *line.first().ok_or("the line never changed")?).ok_or("the line was on before")?;
    ensure((switched - braked).abs() < 0.2, || {
        format!("braked at {braked:.2} s, the line at {switched:.2} s")
    })?;
    Ok(format!(
        "{} frames in order; in sight at {in_sight:.2} s, braked at {braked:.2} s, up to {strongest:.1} m/s², \
         {carried_out:.1} carried out; the line at {switched:.2} s",
        heard.len()
    ))
}

/// The world: pictures into the camera, the vehicle's frames onto the bus.
struct Road {
    go: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Result<Shown, String>>,
}

impl Road {
    fn start(form: Form) -> Result<Self, String> {
        let film = Film::read(Path::new(FILM), form)?;
        let mut code = [0; 4];
        code.copy_from_slice(form.code().as_bytes());
        let device = v4l::Device::with_path(LOOPBACK).map_err(|error| format!("camera: {error}"))?;
        let format = v4l::Format::new(SIZE.0, SIZE.1, v4l::FourCC::new(&code));
        let taken = Output::set_format(&device, &format).map_err(|error| format!("camera: {error}"))?;
        ensure(taken.fourcc == format.fourcc && (taken.width, taken.height) == SIZE, || {
            format!("camera: {taken:?}")
        })?;
        let (go, over) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let mut running = Running {
            film,
            device,
            car: Car::new()?,
            go: Arc::clone(&go),
            over: Arc::clone(&over),
            shown: Vec::new(),
        };
        let thread = std::thread::Builder::new().name("road".into()).spawn(move || {
            let result = running.play();
            running.over.store(true, Ordering::SeqCst);
            result.map(|()| running.shown)
        });
        // The node can be read only once something was written.
        pause(Duration::from_millis(200));
        Ok(Self { go, over, thread: thread.map_err(|error| error.to_string())? })
    }

    /// Lets the film go on to its end; what was on the bus, and when the line was on.
    fn drive(&self, peer: &mut Peer, daemon: &mut Daemon) -> Result<(Vec<Frame>, Vec<Monotonic>), String> {
        let mut line = Vec::new();
        self.go.store(true, Ordering::SeqCst);
        while !self.over.load(Ordering::SeqCst) {
            peer.step()?;
            if lines::level(LINE)? {
                line.push(SystemClock.monotonic());
            }
            daemon.lives()?;
            pause(Duration::from_millis(5));
        }
        Ok((std::mem::take(&mut peer.heard), line))
    }

    fn end(self) -> Result<Shown, String> {
        self.go.store(true, Ordering::SeqCst);
        self.thread.join().map_err(|_| "the road panicked".to_owned())?
    }
}

struct Running {
    film: Film,
    device: v4l::Device,
    car: Car,
    go: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
    shown: Shown,
}

impl Running {
    /// The road to and fro until it goes on, then the rest. A tick is that of the bus: 20 ms.
    fn play(&mut self) -> Result<(), String> {
        let begun = SystemClock.monotonic();
        let (mut number, mut back, mut count) = (0, false, 0_u32);
        for tick in 0_u32.. {
            self.car.tell(position(number))?;
            let passed = Duration::from_millis(20) * tick;
            if passed >= Duration::from_secs(1) / RATE * count {
                count += 1;
                (number, back) = self.next(number, back);
                if number == self.film.frames.len() {
                    return Ok(());
                }
                self.show(number)?;
            }
            let due = begun.plus(passed + Duration::from_millis(20));
            pause(due.since(SystemClock.monotonic()));
        }
        Ok(())
    }

    fn next(&self, number: usize, back: bool) -> (usize, bool) {
        if back && number > 0 {
            return (number - 1, true);
        }
        let goes_on = self.go.load(Ordering::SeqCst) || number < self.film.road;
        if goes_on { (number + 1, false) } else { (number - 1, true) }
    }

    fn show(&mut self, number: usize) -> Result<(), String> {
        use std::io::Write as _;
        self.shown.push((SystemClock.monotonic(), number));
        let bytes = &self.film.frames[number];
        self.device.write_all(bytes).map_err(|error| format!("camera: picture {number}: {error}"))
    }
}

/// The vehicle: sends what the signal track beside the recording says.
struct Car {
    port: Peer,
    sender: Sender,
    /// Second, speed in m/s, accelerator, steering angle in rad, brake pedal.
    track: Vec<[f64; 5]>,
}

impl Car {
    fn new() -> Result<Self, String> {
        let path = format!("{DEMO}/clips/pedestrian.track.csv");
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
        let line = |line: &str| {
            let mut values = line.split(',').map(str::parse::<f64>);
            let mut next = || values.next()?.ok();
            Some([next()? / 1e6, next()?, next()?, next()?, next()?])
        };
        let track: Vec<[f64; 5]> = text.lines().filter_map(line).collect();
        ensure(track.len() > 100, || format!("{path}: {} lines", track.len()))?;
        let sender =
            Sender::new(Protection::p01(0x100, DataIdMode::Both), 8).map_err(|error| error.to_string())?;
        Ok(Self { port: Peer::new()?, sender, track })
    }

    /// What it says at this second of the recording. The track's driver brakes late; until then he drives.
    fn tell(&mut self, second: f64) -> Result<(), String> {
        let at = self.track.partition_point(|line| line[0] <= second).saturating_sub(1);
        let [_, speed, accelerator, angle, brake] = self.track[at];
        let raw = |value: f64, step: f64| ((value / step).round() as i16).to_le_bytes();
        let [low, high] = raw(speed * 3.6, 0.01);
        let mut wheels = [0, 0, low, high, 0, 0, 0, 0];
        ensure(self.sender.protect(&mut wheels), || "not protected".into())?;
        self.port.send(WHEELS, &wheels)?;
        let [angle_low, angle_high] = raw(angle.to_degrees(), 0.1);
        let [pedal, _] = raw(accelerator * 100.0, 0.4);
        self.port.send(DRIVER, &[pedal, u8::from(brake > 0.5), angle_low, angle_high, 0, 0, 0, 0])
    }
}

fn said() -> String {
    let said = std::fs::read_to_string(format!("{RUN}/said")).unwrap_or_default();
    let last: Vec<&str> = said.lines().rev().take(12).collect();
    format!("it said last: {}", last.into_iter().rev().collect::<Vec<_>>().join(" | "))
}

/// `stopline run`. Dropped, it is killed.
struct Daemon(Child);

impl Daemon {
    fn start() -> Result<Self, String> {
        let said = std::fs::File::create(format!("{RUN}/said")).map_err(|error| error.to_string())?;
        let mut program = Program::new(stopline_tests::stopline());
        let child = program.args(["run", "--config", &format!("{RUN}/stopline.toml")]).stderr(said).spawn();
        child.map(Self).map_err(|error| format!("stopline: {error}"))
    }

    fn health(&self) -> Option<Health> {
        Health::read(format!("{RUN}/health.json").as_ref()).ok()
    }

    fn lives(&mut self) -> Result<(), String> {
        match self.0.try_wait().map_err(|error| error.to_string())? {
            None => Ok(()),
            Some(status) => Err(format!("stopline ended: {status}; {}", said())),
        }
    }

    fn wait(&mut self, what: &str, wanted: impl Fn(&Health) -> bool) -> Result<(), String> {
        let begun = SystemClock.monotonic();
        while !self.health().is_some_and(|health| wanted(&health)) {
            self.lives()?;
            ensure(SystemClock.monotonic().since(begun) < START, || {
                let state = self.health().map(|health| (health.state, health.cameras));
                format!("not {what} within {START:?}: {state:?}; {}", said())
            })?;
            pause(Duration::from_millis(50));
        }
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Makes the film, on the machine that starts this one.
pub fn make_film(folder: Option<String>) -> Found {
    let folder = folder.ok_or("board film FOLDER")?;
    film::make(Path::new("runtime/demo/clips/pedestrian.mp4"), Path::new(&folder))
}
