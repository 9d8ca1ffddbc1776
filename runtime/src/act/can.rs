//! A periodic frame on a CAN bus.
//!
//! **Never an old frame.** Frames are made in the period they are sent in; nothing is queued here. Of those given to the
//! kernel at most one waits for the bus: the next one is given only after the echo of the one before came back. What the
//! kernel or the controller holds cannot be called back by any program, so while the bus is stuck nothing more is added,
//! and what a stuck bus is tried with (once a second) asks for nothing. An interface that goes down, or a controller that
//! leaves the bus, drops what it holds (kernel: `can_flush_echo_skb`, `dev_deactivate`).
//!
//! **What is a fault**: the interface is down or gone; bus off; error passive; the queue is full; no echo for two periods; a
//! foreign frame under our identifier; a command older than [`OLDEST`].

pub mod pack;

use std::sync::Arc;
use std::time::Duration;

use stopline_decide::command::Command;
use stopline_decide::time::Nanos;
use stopline_sensors::can::frame::{BusFrame, BusTrouble};
use stopline_sensors::can::{CanFault, CanOptions, CanPort, Hear, Heard};
use stopline_sensors::clock::{Clock, Monotonic};

use super::config::{CanConfig, Kind};
use super::{ActError, Actuator, Fault, Outcome, Shown};
use pack::Packer;

/// The oldest command that is sent; the loop makes one right before.
pub const OLDEST: Duration = Duration::from_millis(50);
/// Periods without the echo of a frame that are a fault.
pub const SILENT_PERIODS: u32 = 2;
/// How often a stuck bus is tried, and a lost interface looked for.
const TRY: Duration = Duration::from_secs(1);
/// Bytes that waiting frames may take up in the kernel; it takes at least some 4.5 KiB, a handful of frames.
const SEND_BUFFER: usize = 1;
/// Frames whose echo may come late: the one that waits, and those that a stuck bus was tried with.
const RECENT: usize = 4;
/// Periods in which a bus that was armed still hears frames that ask for nothing: its receivers learn that nothing is asked
/// for, not that the sender died.
const FAREWELL: u32 = 10;
/// Most frames that are looked at in a period: our own echo, error frames, an intruder.
const MOST_HEARD: usize = 64;

/// A periodic frame on a CAN bus.
pub struct CanActuator {
    name: String,
    interface: String,
    clock: Arc<dyn Clock>,
    /// `None`: the interface is gone.
    port: Option<CanPort>,
    packer: Packer,
    send_idle: bool,
    /// Given to the kernel, and its echo not yet seen: the frame, and the periods since.
    waiting: Option<(BusFrame, u32)>,
    /// The frames sent last: a late echo is no intruder.
    recent: [Option<BusFrame>; RECENT],
    /// Periods in which frames that ask for nothing are still sent after disarming.
    farewell: u32,
    off: bool,
    passive: bool,
    /// When the bus was last tried in vain, or got stuck.
    tried: Option<Monotonic>,
}

/// What was heard in a period.
#[derive(Default)]
struct News {
    fault: Option<Fault>,
}

impl CanActuator {
    /// Opens the bus.
    ///
    /// # Errors
    /// There is no such bus, or the frame cannot be made as configured. A bus that is down is a fault while it runs.
    pub fn open(config: &CanConfig, clock: Arc<dyn Clock>) -> Result<Self, ActError> {
        let packer = Packer::new(&config.name, &config.frame())?;
        let port = open(&config.interface, &packer, &clock)
            .map_err(|source| ActError::Bus { name: config.name.clone(), source })?;
        Ok(Self {
            name: config.name.clone(),
            interface: config.interface.clone(),
            clock,
            port: Some(port),
            packer,
            send_idle: config.send_idle,
            waiting: None,
            recent: [None; RECENT],
            farewell: 0,
            off: false,
            passive: false,
            tried: None,
        })
    }

    /// Hears what came since the last period.
    fn listen(&mut self) -> News {
        let mut news = News::default();
        for _ in 0..MOST_HEARD {
            let Some(port) = &mut self.port else { break };
            match port.receive() {
                Ok(None) => break,
                Ok(Some((Heard::Frame(frame), _))) => match self.waiting {
                    Some((waiting, _)) if waiting == frame => self.waiting = None,
                    _ if self.recent.contains(&Some(frame)) => {}
                    // Only our identifier comes in.
                    _ => news.fault = Some(Fault::Intruder),
                },
                Ok(Some((Heard::Trouble(trouble), _))) => self.trouble(trouble),
                Err(fault) => {
                    news.fault = Some(self.lost(fault));
                    break;
                }
            }
        }
        news
    }

    fn trouble(&mut self, trouble: BusTrouble) {
        if trouble.is_bus_off() {
            self.off = true;
            self.waiting = None;
        }
        if trouble.is_restarted() {
            self.off = false;
            self.waiting = None;
        }
        if trouble.is_passive() {
            self.passive = true;
        }
        if trouble.is_active() || trouble.is_restarted() {
            self.passive = false;
        }
    }

    /// What a failed call means; an interface that went down has dropped what it held.
    fn lost(&mut self, fault: CanFault) -> Fault {
        match fault {
            CanFault::Down => {
                self.waiting = None;
                Fault::Down
            }
            CanFault::Gone => {
                self.waiting = None;
                self.port = None;
                Fault::Down
            }
            CanFault::QueueFull => Fault::QueueFull,
            CanFault::Unfit => Fault::System(libc::EINVAL),
            CanFault::Other(number) => Fault::System(number),
        }
    }

    /// Whether it is time to try a bus that is stuck, or to look for an interface that is gone: [`TRY`] after it began,
    /// and each [`TRY`] from then on.
    fn may_try(&mut self, now: Monotonic) -> bool {
        let due = self.tried.is_some_and(|tried| now.since(tried) >= TRY);
        if due || self.tried.is_none() {
            self.tried = Some(now);
        }
        due
    }

    fn put(&mut self, command: &Command) -> (bool, Option<Fault>, Shown) {
        let counter = self.packer.counter();
        let Some(frame) = self.packer.frame(command) else {
            return (false, Some(Fault::System(libc::EINVAL)), Shown::Nothing);
        };
        let Some(port) = &self.port else { return (false, Some(Fault::Down), Shown::Frame(frame)) };
        match port.send(&frame) {
            Ok(()) => {
                self.waiting = Some((frame, 0));
                self.recent.rotate_right(1);
                self.recent[0] = Some(frame);
                (true, None, Shown::Frame(frame))
            }
            Err(fault) => {
                self.packer.take_back(counter);
                (false, Some(self.lost(fault)), Shown::Frame(frame))
            }
        }
    }

    /// What an armed command of the same content would have been.
    fn would(&self, command: &Command) -> Shown {
        let armed = Command { armed: true, ..*command };
        self.packer.shown(&armed).map_or(Shown::Nothing, Shown::Frame)
    }
}

impl Actuator for CanActuator {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> Kind {
        Kind::Can
    }

    fn send(&mut self, now: Monotonic, command: &Command) -> Outcome {
        if self.port.is_none() && self.may_try(now) {
            self.port = open(&self.interface, &self.packer, &self.clock).ok();
        }
        if self.port.is_none() {
            return Outcome { sent: false, fault: Some(Fault::Down), shown: self.would(command) };
        }
        let mut fault = self.listen().fault;
        if command.armed {
            self.farewell = FAREWELL;
        } else if !self.send_idle {
            if self.farewell == 0 {
                // What waits from before is still looked after; nothing is added.
                let down = self.port.as_ref().is_some_and(|port| !port.is_up()).then_some(Fault::Down);
                let fault = fault.or(down).or(self.standing());
                return Outcome { sent: false, fault, shown: self.would(command) };
            }
            self.farewell -= 1;
        }
        let made = Monotonic::from_nanos(command.made.0);
        if now.since(made) > OLDEST {
            return Outcome { sent: false, fault: Some(Fault::OldCommand), shown: self.would(command) };
        }
        if let Some((_, periods)) = &mut self.waiting {
            *periods += 1;
        }
        if let Some(stuck) = self.stuck() {
            if !self.may_try(now) {
                return Outcome { sent: false, fault: self.standing().or(fault), shown: self.would(command) };
            }
            let asks_for_nothing = Command { made: Nanos(now.as_nanos()), ..Command::default() };
            let (sent, failed, _) = self.put(&asks_for_nothing);
            // Still a fault until an echo says otherwise.
            let fault = failed.or(stuck.fault).or(self.standing());
            return Outcome { sent, fault, shown: self.would(command) };
        }
        self.tried = None;
        let (sent, failed, shown) = self.put(command);
        fault = failed.or(fault).or(self.standing());
        Outcome { sent, fault, shown }
    }

    fn close(&mut self) {
        self.port = None;
    }
}

/// Nothing may be added now.
struct Stuck {
    fault: Option<Fault>,
}

impl CanActuator {
    fn stuck(&self) -> Option<Stuck> {
        if self.off {
            return Some(Stuck { fault: Some(Fault::BusOff) });
        }
        self.waiting.map(|(_, periods)| Stuck { fault: (periods >= SILENT_PERIODS).then_some(Fault::NoEcho) })
    }

    /// A fault that goes on by itself.
    fn standing(&self) -> Option<Fault> {
        let silent = self.waiting.is_some_and(|(_, periods)| periods >= SILENT_PERIODS);
        match (self.off, silent, self.passive) {
            (true, _, _) => Some(Fault::BusOff),
            (_, true, _) => Some(Fault::NoEcho),
            (_, _, true) => Some(Fault::Passive),
            _ => None,
        }
    }
}

fn open(
    interface: &str,
    packer: &Packer,
    clock: &Arc<dyn Clock>,
) -> Result<CanPort, stopline_sensors::can::CanOpenError> {
    let options = CanOptions { hear: Hear::Only(&[packer.id()]), echo: true, send_buffer: Some(SEND_BUFFER) };
    CanPort::open(interface, options, Arc::clone(clock))
}
