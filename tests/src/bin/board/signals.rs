//! Vehicle signals from a real bus, by DBC file, with counter and checksum.

use std::sync::Arc;
use std::time::Duration;

use stopline::signals::VehicleConfig;
use stopline_decide::e2e::{DataIdMode, Protection, Sender};
use stopline_decide::ego::{Ego, Reading};
use stopline_sensors::can::frame::{BusId, BusTrouble};
use stopline_sensors::can::{CanOptions, CanPort, Hear};
use stopline_sensors::clock::{Clock, Monotonic, SystemClock};
use stopline_sensors::signals::Vehicle;
use stopline_sensors::signals::live::BusState;

use crate::peer::{BUS, Peer, fresh_bus};
use crate::rig::{Board, Found, ensure, pause};

const DBC: &str = "BO_ 256 WHEELS: 8 ABS\n SG_ Speed : 16|16@1+ (0.01,0) [0|300] \"km/h\" X\n \
                   BO_ 512 DRIVER: 4 ECU\n SG_ Pedal : 0|8@1+ (0.4,0) [0|100] \"%\" X\n SG_ Off : 8|1@1+ (1,0) [0|1] \"\" X\n \
                   BA_DEF_ BO_ \"GenMsgCycleTime\" INT 0 65535;\nBA_DEF_DEF_ \"GenMsgCycleTime\" 0;\n\
                   BA_ \"GenMsgCycleTime\" BO_ 256 10;\n";
const WHEELS: BusId = BusId::Standard(256);
const PROTECTION: Protection = Protection::p01(0x100, DataIdMode::Both);

pub fn checks(board: &mut Board) {
    board.check("ego speed and pedal by DBC", values);
    board.check("a wrong checksum or counter is invalid, and good frames heal it", forged);
    board.check("silence is stale, and frames heal it", silence);
    board.check("the bus goes down and comes back", down);
    board.check("a frame that waited in the queue is as old as it is", waited);
    board.check("bus off is told", bus_off);
}

struct Car {
    vehicle: Vehicle,
    peer: Peer,
    sender: Sender,
}

impl Car {
    fn new() -> Result<Self, String> {
        std::fs::write("/tmp/car.dbc", DBC.replace("\n BO_", "\nBO_").replace("\n BA_", "\nBA_"))
            .map_err(|error| error.to_string())?;
        let text = format!(
            "source = \"can\"\ninterface = \"{BUS}\"\ndbc = \"/tmp/car.dbc\"\n\
             [signals]\nspeed = {{ signal = \"Speed\", factor = 0.27777778, max_age_ms = 150 }}\n\
             accelerator = {{ signal = \"Pedal\", factor = 0.01 }}\noff_switch = {{ signal = \"Off\" }}\n\
             [e2e.WHEELS]\nprotection = {{ profile = \"p01\", data_id = 256 }}\n"
        );
        let config: VehicleConfig = toml::from_str(&text).map_err(|error| error.to_string())?;
        let vehicle = stopline::signals::open(&config, Arc::new(SystemClock), || {})
            .map_err(|error| error.to_string())?;
        let sender = Sender::new(PROTECTION, 8).map_err(|error| error.to_string())?;
        Ok(Self { vehicle, peer: Peer::new()?, sender })
    }

    /// A frame of the wheels, changed before or after it is protected.
    fn wheels(&mut self, kmh: f32, after: impl Fn(&mut [u8; 8])) -> Result<(), String> {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let [low, high] = ((kmh * 100.0) as u16).to_le_bytes();
        let mut data = [0, 0, low, high, 0, 0, 0, 0];
        ensure(self.sender.protect(&mut data), || "not protected".into())?;
        after(&mut data);
        self.peer.send(WHEELS, &data)
    }

    fn drive(&mut self, kmh: f32, frames: u32) -> Result<(), String> {
        for _ in 0..frames {
            self.wheels(kmh, |_| {})?;
            self.peer.send(BusId::Standard(512), &[50, 1, 0, 0])?;
            pause(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Drives until this speed is known; after how many frames. The machine may stand still for longer than a value is
    /// fresh, so one look after a number of frames would prove nothing.
    fn heals(&mut self, kmh: f32) -> Result<u32, String> {
        for frames in 1..=500 {
            self.drive(kmh, 1)?;
            if is_about(self.now().speed, kmh / 3.6) {
                return Ok(frames);
            }
        }
        Err(format!("500 frames, and ego speed is {:?}", self.now().speed))
    }

    /// Waits until so many frames were refused; the speed is then not known.
    fn refuses(&self, frames: u64) -> Result<(), String> {
        let signals = self.vehicle.signals();
        self.until(Duration::from_secs(2), |_| signals.refused().checks == frames)?;
        let speed = self.now().speed;
        ensure(matches!(speed, Reading::Invalid | Reading::Stale), || format!("refused, and still {speed:?}"))
    }

    fn now(&self) -> Ego {
        stopline::signals::ego(&self.vehicle.signals().newest(SystemClock.monotonic()))
    }

    fn until(&self, limit: Duration, wanted: impl Fn(&Ego) -> bool) -> Result<Duration, String> {
        let begun = SystemClock.monotonic();
        loop {
            let ego = self.now();
            let passed = SystemClock.monotonic().since(begun);
            if wanted(&ego) {
                return Ok(passed);
            }
            ensure(passed < limit, || format!("not within {limit:?}: {:?}", ego.speed))?;
            pause(Duration::from_millis(2));
        }
    }
}

fn is_about(reading: Reading<f32>, wanted: f32) -> bool {
    reading.fresh().is_some_and(|value| (value - wanted).abs() < 0.05)
}

fn values() -> Found {
    fresh_bus()?;
    let mut car = Car::new()?;
    ensure(car.now().speed == Reading::Missing, || format!("{:?}", car.now().speed))?;
    car.heals(36.0)?;
    let middle = SystemClock.monotonic();
    // A step that a vehicle can do within a frame.
    car.heals(37.0)?;
    let ego = car.now();
    ensure(is_about(ego.speed, 37.0 / 3.6), || format!("{:?}", ego.speed))?;
    let others = (ego.accelerator, ego.off_switch, ego.yaw_rate);
    ensure(others == (Reading::Fresh(0.2), Reading::Fresh(true), Reading::Missing), || {
        format!("{others:?}")
    })?;
    let then = stopline::signals::ego(&car.vehicle.signals().at(middle));
    ensure(then.speed.fresh().is_some_and(|speed| (9.99..=10.3).contains(&speed)), || {
        format!("{:?}", then.speed)
    })?;
    Ok(format!("now {:?}, between {:?}", ego.speed, then.speed))
}

fn forged() -> Found {
    fresh_bus()?;
    let mut car = Car::new()?;
    car.heals(36.0)?;
    car.wheels(200.0, |data| data[4] ^= 1)?;
    car.refuses(1)?;
    let after_checksum = car.heals(36.0)?;
    // Seven frames are swallowed in no time.
    for _ in 0..7 {
        let _ = car.sender.protect(&mut [0; 8]);
    }
    car.wheels(36.0, |_| {})?;
    car.refuses(2)?;
    let after_counter = car.heals(36.0)?;
    let refused = car.vehicle.signals().refused();
    ensure(refused.checks == 2, || format!("{refused:?}"))?;
    // Three good samples in a row, after two frames that prove the counter where it was wrong.
    ensure(after_checksum >= 3 && after_counter >= 5, || {
        format!("healed after {after_checksum}, {after_counter}")
    })?;
    Ok(format!("healed after {after_checksum} and {after_counter} frames; {refused:?}"))
}

fn silence() -> Found {
    fresh_bus()?;
    let mut car = Car::new()?;
    car.heals(36.0)?;
    let after = car.until(Duration::from_secs(2), |ego| ego.speed == Reading::Stale)?;
    let frames = car.heals(36.0)?;
    Ok(format!("stale {after:?} after the last frame, known again after {frames}"))
}

fn down() -> Found {
    let bus = fresh_bus()?;
    let mut car = Car::new()?;
    car.heals(36.0)?;
    bus.bring_down().map_err(|error| error.to_string())?;
    car.until(Duration::from_secs(2), |ego| ego.speed == Reading::Stale)?;
    ensure(car.vehicle.bus() == Some(BusState::Down), || format!("{:?}", car.vehicle.bus()))?;
    bus.bring_up().map_err(|error| error.to_string())?;
    car.peer = Peer::new()?;
    pause(Duration::from_millis(120));
    car.heals(36.0)?;
    ensure(car.vehicle.bus() == Some(BusState::Up), || format!("{:?}", car.vehicle.bus()))?;
    Ok("down, stale; up, fresh".into())
}

/// Nobody reads for a while, as when the process is stopped: the stamp is that of the arrival.
fn waited() -> Found {
    fresh_bus()?;
    let options = CanOptions { hear: Hear::Only(&[WHEELS]), echo: false, send_buffer: None };
    let mut port = CanPort::open(BUS, options, Arc::new(SystemClock)).map_err(|error| error.to_string())?;
    let peer = Peer::new()?;
    let sent = SystemClock.monotonic();
    peer.send(WHEELS, &[1; 8])?;
    peer.send(BusId::Standard(257), &[1; 8])?;
    pause(Duration::from_millis(300));
    let heard = port.receive().map_err(|error| error.to_string())?;
    let (_, at): (_, Monotonic) = heard.ok_or("nothing came")?;
    let late = at.since(sent);
    ensure(at >= sent && late < Duration::from_millis(100), || {
        format!("stamped {late:?} after it was sent")
    })?;
    ensure(port.receive() == Ok(None), || "a frame that nobody wants came in".into())?;
    Ok(format!("read 300 ms later, stamped {late:?} after it was sent"))
}

fn bus_off() -> Found {
    fresh_bus()?;
    let car = Car::new()?;
    for (trouble, state) in [
        (BusTrouble::PASSIVE, BusState::Passive),
        (BusTrouble::BUS_OFF, BusState::Off),
        (BusTrouble::RESTARTED, BusState::Up),
    ] {
        car.peer.inject(trouble)?;
        let begun = SystemClock.monotonic();
        while car.vehicle.bus() != Some(state) {
            let waited = SystemClock.monotonic().since(begun);
            ensure(waited < Duration::from_secs(1), || format!("{:?}, not {state:?}", car.vehicle.bus()))?;
            pause(Duration::from_millis(2));
        }
    }
    Ok("passive, off, up".into())
}
