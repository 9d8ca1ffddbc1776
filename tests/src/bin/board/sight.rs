//! From the picture to the bus and the line: `stopline run` with the bundled model sees the bundled crossing through a real
//! camera node, hears the vehicle by DBC from a real bus, is armed by a real switch, and brakes.
//!
//! The machine's clock counts its instructions (`tests/board/run sight`): a virtual processor of a billion a second, so
//! that no setting of the product has to be slackened for emulation, and a busy host changes nothing. What it takes there
//! says nothing of a board. Two settings are v4l2loopback's: it stamps pictures when they arrive, so a latency is declared,
//! and it calls itself a camera of 30 frames a second whatever is fed, so the least rate is said.

use std::path::Path;

use stopline_decide::e2e::{Check, DataIdMode, Protection, Sender};
use stopline_sensors::can::frame::BusId;
use stopline_sensors::clock::{Clock, Monotonic, SystemClock};

use crate::daemon::{Daemon, RUN, fresh_folder, said, seeing};
use crate::film::{CLIPS, CROSSING, Form};
use crate::mjpeg::LOOPBACK;
use crate::peer::{BUS, Frame, Peer, fresh_bus};
use crate::rig::{Board, Found, ensure, tell_kernel};
use crate::scene::{Scene, Shown, second};
use crate::{fallen, lines};

/// The switch that arms, and the line that says that the brake is asked for.
const SWITCH: u32 = 6;
const LINE: u32 = 0;

pub fn checks(board: &mut Board) {
    let missing = [(Path::new(LOOPBACK), "v4l2loopback"), (Path::new(lines::WRITTEN), "gpio-sim")];
    let missing = missing.into_iter().find(|(path, _)| !path.exists());
    let full = std::env::var_os("STOPLINE_FULL").is_some_and(|value| !value.is_empty());
    let forms = if full { &Form::ALL[..] } else { &Form::ALL[..1] };
    println!("BOARD sight: {} of {} formats", forms.len(), Form::ALL.len());
    let mut check = |name: &str, check: &dyn Fn() -> Found| match missing {
        Some((_, module)) => board.skip(name, &format!("no {module} in this machine")),
        None => board.check(name, check),
    };
    for form in forms {
        let name = format!("a crossing seen as {}: the brake on bus and line", form.code());
        check(&name, &|| crossing(*form));
    }
    check("a fall seen as MJPG: the lamp on its line and a message for the agent", &fallen::fall);
}

/// The switch that arms, off; its place in sysfs, and the chip.
pub fn switched_off() -> Result<(String, String), String> {
    let (chip, folder) = lines::chip()?;
    let switch = folder.join(format!("sim_gpio{SWITCH}/pull")).to_string_lossy().into_owned();
    tell_kernel(&switch, "pull-down")?;
    Ok((chip, switch))
}

/// That switch, as the configuration has it.
pub fn arming(chip: &str) -> String {
    format!(
        "[arm]\narmed = true\ninput = {{ chip = \"{chip}\", line = {SWITCH} }}\n\
         with_unsigned_models_that_may_do_anything = true\n"
    )
}

const DBC: &str = "BO_ 256 WHEELS: 8 ABS\n SG_ Speed : 16|16@1+ (0.01,0) [0|300] \"km/h\" X\n\n\
                   BO_ 512 DRIVER: 8 ECU\n SG_ Pedal : 0|8@1+ (0.4,0) [0|100] \"%\" X\n \
                   SG_ Brake : 8|1@1+ (1,0) [0|1] \"\" X\n SG_ Angle : 16|16@1- (0.1,0) [-720|720] \"deg\" X\n";
const WHEELS: BusId = BusId::Standard(256);
const DRIVER: BusId = BusId::Standard(512);

fn config(form: Form, chip: &str) -> String {
    let camera =
        format!("name = \"front\"\nfunctions = [\"pedestrian\"]\ncalibration = \"{CLIPS}/front.cal.toml\"\n");
    format!(
        r#"{seeing}[vehicle]
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
{arming}"#,
        seeing = seeing(&camera, form),
        arming = arming(chip),
    )
}

fn crossing(form: Form) -> Found {
    fresh_bus()?;
    fresh_folder()?;
    let (chip, switch) = switched_off()?;
    std::fs::write(format!("{RUN}/car.dbc"), DBC).map_err(|error| error.to_string())?;
    let mut car = Car::new()?;
    let scene = Scene::start(&CROSSING, form, Box::new(move |second| car.tell(second)))?;
    let mut daemon = Daemon::start(&config(form, &chip))?;
    let mut peer = Peer::new()?;
    daemon.wait("ready", |health| health.state.name == "ready")?;
    ensure(peer.news()?.is_empty(), || "frames on the bus before the switch".into())?;
    tell_kernel(&switch, "pull-up")?;
    daemon.wait("armed and active", |health| health.arming.armed && health.state.name == "active")?;
    let mut line = Vec::new();
    scene.go_on(|| {
        peer.step()?;
        if lines::level(LINE)? {
            line.push(SystemClock.monotonic());
        }
        daemon.lives()
    })?;
    let health = daemon.health().ok_or("no health file")?;
    tell_kernel(&switch, "pull-down")?;
    drop(daemon);
    judge(&scene.end()?, &peer.heard, &line, peer.most)
        .map_err(|wrong| format!("{wrong}; {:?}; {}", health.cameras, said()))
}

/// Against what the recording's truth says.
fn judge(shown: &Shown, heard: &[Frame], line: &[Monotonic], carried_out: f32) -> Found {
    let truth = CROSSING.truth()?;
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

/// The vehicle: sends what the signal track beside the recording says.
struct Car {
    port: Peer,
    sender: Sender,
    /// Second, speed in m/s, accelerator, steering angle in rad, brake pedal.
    track: Vec<[f64; 5]>,
}

impl Car {
    fn new() -> Result<Self, String> {
        let path = format!("{CLIPS}/{}.track.csv", CROSSING.name);
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
