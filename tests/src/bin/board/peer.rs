//! The other end of the bus: listens, holds what it hears to the reference receiver, and sends what it is told to.

use std::process::Command as Program;
use std::sync::Arc;
use std::time::Duration;

use socketcan::CanInterface;
use stopline::act::can::CanActuator;
use stopline::act::config::CanConfig;
use stopline::act::{Actuator, Outcome};
use stopline_decide::command::{Command, Row};
use stopline_decide::e2e::Check;
use stopline_decide::frame::{ID, Payload};
use stopline_decide::receiver::{Brakes, Receiver, ReceiverConfig, Wheels};
use stopline_decide::time::Nanos;
use stopline_sensors::can::frame::{BusFrame, BusId, BusTrouble};
use stopline_sensors::can::{CanOptions, CanPort, Hear, Heard};
use stopline_sensors::clock::{Clock, Monotonic, SystemClock};
use stopline_tests::actuator_suite::PERIOD;

/// The bus.
pub const BUS: &str = "vcan0";

/// Makes the bus anew, up.
pub fn fresh_bus() -> Result<CanInterface, String> {
    if let Ok(old) = CanInterface::open(BUS) {
        old.delete().map_err(|(_, error)| format!("{BUS} cannot be removed: {error}"))?;
    }
    let bus =
        CanInterface::create_vcan(BUS, None).map_err(|error| format!("{BUS} cannot be made: {error}"))?;
    bus.bring_up().map_err(|error| format!("{BUS} cannot be brought up: {error}"))?;
    Ok(bus)
}

/// Runs `tc` with these words.
pub fn tc(words: &str) -> Result<(), String> {
    let done = Program::new("/sbin/tc")
        .args(words.split_whitespace())
        .output()
        .map_err(|error| error.to_string())?;
    if done.status.success() {
        return Ok(());
    }
    Err(format!("tc {words}: {}", String::from_utf8_lossy(&done.stderr).trim()))
}

/// One frame that was heard.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    pub at: Monotonic,
    pub check: Check,
    pub payload: Payload,
}

/// A node on the bus that listens to the brake frames.
pub struct Peer {
    port: CanPort,
    pub receiver: Receiver,
    pub heard: Vec<Frame>,
    pub brakes: Brakes,
    /// The most that was carried out.
    pub most: f32,
}

impl Peer {
    pub fn new() -> Result<Self, String> {
        let own = [BusId::Standard(ID)];
        let options = CanOptions { hear: Hear::Only(&own), echo: false, send_buffer: None };
        let port = CanPort::open(BUS, options, Arc::new(SystemClock)).map_err(|error| error.to_string())?;
        let receiver = Receiver::new(ReceiverConfig::default()).map_err(|error| error.to_string())?;
        Ok(Self { port, receiver, heard: Vec::new(), brakes: Brakes::default(), most: 0.0 })
    }

    /// Takes in what came, and does one step of the brake controller at 60 km/h.
    pub fn step(&mut self) -> Result<Brakes, String> {
        while let Some((heard, at)) = self.port.receive().map_err(|error| error.to_string())? {
            let Heard::Frame(frame) = heard else { continue };
            let check = self.receiver.receive(Nanos(at.as_nanos()), frame.data());
            let data = frame.data().try_into().map_err(|_| format!("{frame:?} has not 8 bytes"))?;
            let payload = Payload::unpack(data).map_err(|error| error.to_string())?;
            self.heard.push(Frame { at, check, payload });
        }
        let now = Nanos(SystemClock.monotonic().as_nanos());
        self.brakes = self.receiver.step(now, &Wheels { speed: 16.7, ..Wheels::default() });
        self.most = self.most.max(self.brakes.requested);
        Ok(self.brakes)
    }

    /// Steps each millisecond until `wanted`, at most `limit`; how long it took.
    pub fn until(&mut self, limit: Duration, wanted: impl Fn(&Brakes) -> bool) -> Result<Duration, String> {
        let begun = SystemClock.monotonic();
        loop {
            let brakes = self.step()?;
            let passed = SystemClock.monotonic().since(begun);
            if wanted(&brakes) {
                return Ok(passed);
            }
            if passed > limit {
                return Err(format!(
                    "did not come within {limit:?}; {brakes:?}, {} frames",
                    self.heard.len()
                ));
            }
            SystemClock.sleep(Duration::from_millis(1));
        }
    }

    /// What came since the last call.
    pub fn news(&mut self) -> Result<Vec<Frame>, String> {
        self.step()?;
        Ok(std::mem::take(&mut self.heard))
    }

    /// Puts any frame onto the bus.
    pub fn send(&self, id: BusId, data: &[u8]) -> Result<(), String> {
        let frame = BusFrame::new(id, data).ok_or("no such frame")?;
        self.port.send(&frame).map_err(|error| error.to_string())
    }

    /// Puts an error frame onto the bus, as a controller's driver would.
    pub fn inject(&self, trouble: BusTrouble) -> Result<(), String> {
        self.port.inject(trouble).map_err(|error| error.to_string())
    }
}

/// A braking command.
pub fn braking(deceleration: f32) -> Command {
    Command { armed: true, valid: true, row: Row::Braking, deceleration, ..Command::default() }
}

/// An armed command that asks for nothing.
pub fn idle() -> Command {
    Command { armed: true, valid: true, ..Command::default() }
}

/// The actuator on the bus, as configured in a few words.
pub fn actuator(rest: &str) -> Result<CanActuator, String> {
    let text = format!("name = \"brake\"\ninterface = \"{BUS}\"\n{rest}");
    let config: CanConfig = toml::from_str(&text).map_err(|error| error.to_string())?;
    CanActuator::open(&config, Arc::new(SystemClock)).map_err(|error| error.to_string())
}

/// One period of an actuator and its peer.
pub fn period(actuator: &mut dyn Actuator, peer: &mut Peer, command: &Command) -> Result<Outcome, String> {
    let now = SystemClock.monotonic();
    let outcome = actuator.send(now, &Command { made: Nanos(now.as_nanos()), ..*command });
    SystemClock.sleep(PERIOD);
    peer.step()?;
    Ok(outcome)
}

/// Some periods; the last outcome.
pub fn periods(
    actuator: &mut dyn Actuator,
    peer: &mut Peer,
    command: &Command,
    count: u32,
) -> Result<Outcome, String> {
    (0..count).try_fold(Outcome::default(), |_, _| period(actuator, peer, command))
}
