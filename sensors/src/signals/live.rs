//! The thread that reads a bus.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::history::KEPT;
use super::route::Router;
use super::{SignalError, VehicleSignals};
use crate::can::frame::BusTrouble;
use crate::can::{CanFault, CanOptions, CanPort, Hear, Heard};
use crate::clock::{Clock, Monotonic};

/// How the bus is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum BusState {
    /// Up, and the controller takes part.
    Up = 0,
    /// The controller is error passive: too many errors.
    Passive = 1,
    /// The controller has left the bus.
    Off = 2,
    /// The interface is down or gone.
    Down = 3,
}

/// How long the thread waits for a frame before it looks around.
const PATIENCE: Duration = Duration::from_millis(50);
/// How long it waits before it looks again for an interface that is gone.
const REOPEN: Duration = Duration::from_millis(500);
/// A sleep of the machine shorter than this is a rounding of the two clocks.
const SLEPT: Duration = Duration::from_millis(5);

/// A bus that is being read. Dropped, the thread ends.
pub(super) struct LiveBus {
    signals: VehicleSignals,
    state: Arc<AtomicU8>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl LiveBus {
    pub(super) fn start(
        interface: &str,
        router: Router,
        clock: Arc<dyn Clock>,
        started: impl FnOnce() + Send + 'static,
    ) -> Result<Self, SignalError> {
        let port = open(interface, &router, &clock)?;
        let signals = VehicleSignals::of(router.histories(KEPT));
        let state = Arc::new(AtomicU8::new(BusState::Up as u8));
        let stop = Arc::new(AtomicBool::new(false));
        let reader = Reader {
            interface: interface.into(),
            router,
            signals: signals.clone(),
            state: Arc::clone(&state),
            slept: clock.suspended(),
            clock,
        };
        let stopping = Arc::clone(&stop);
        let run = move || {
            started();
            reader.run(port, &stopping);
        };
        let thread =
            std::thread::Builder::new().name("vehicle-bus".into()).spawn(run).map_err(SignalError::Thread)?;
        Ok(Self { signals, state, stop, thread: Some(thread) })
    }

    pub(super) fn signals(&self) -> VehicleSignals {
        self.signals.clone()
    }

    pub(super) fn state(&self) -> BusState {
        match self.state.load(Ordering::Relaxed) {
            0 => BusState::Up,
            1 => BusState::Passive,
            2 => BusState::Off,
            _ => BusState::Down,
        }
    }
}

impl Drop for LiveBus {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It ended by itself only by a panic, which the panic hook has told.
            let _ = thread.join();
        }
    }
}

fn open(
    interface: &str,
    router: &Router,
    clock: &Arc<dyn Clock>,
) -> Result<CanPort, crate::can::CanOpenError> {
    let options = CanOptions { hear: Hear::Only(&router.ids()), echo: false, send_buffer: None };
    CanPort::open(interface, options, Arc::clone(clock))
}

struct Reader {
    interface: String,
    router: Router,
    signals: VehicleSignals,
    state: Arc<AtomicU8>,
    slept: Duration,
    clock: Arc<dyn Clock>,
}

impl Reader {
    fn run(mut self, port: CanPort, stop: &AtomicBool) {
        let mut port = Some(port);
        while !stop.load(Ordering::Relaxed) {
            let Some(open_port) = &mut port else {
                self.clock.sleep(REOPEN);
                port = open(&self.interface, &self.router, &self.clock).ok();
                continue;
            };
            open_port.wait(PATIENCE);
            self.forget_over_a_sleep();
            match self.drain(open_port) {
                Ok(()) => {}
                Err(CanFault::Gone) => {
                    self.tell(BusState::Down);
                    port = None;
                }
                Err(fault) => {
                    let down = fault == CanFault::Down;
                    if down {
                        self.tell(BusState::Down);
                    } else {
                        tracing::warn!(interface = self.interface, %fault, "the vehicle's bus cannot be read");
                    }
                    // An error that stays must not spin.
                    self.clock.sleep(PATIENCE);
                }
            }
        }
    }

    fn drain(&mut self, port: &mut CanPort) -> Result<(), CanFault> {
        while let Some((heard, at)) = port.receive()? {
            match heard {
                Heard::Frame(frame) => {
                    // What comes through is proof that the bus is up again.
                    if self.state.load(Ordering::Relaxed) != BusState::Up as u8 {
                        self.tell(BusState::Up);
                    }
                    self.take(&frame, at);
                }
                Heard::Trouble(trouble) => self.trouble(trouble),
            }
        }
        Ok(())
    }

    fn take(&mut self, frame: &crate::can::frame::BusFrame, at: Monotonic) {
        let signals = self.signals.clone();
        self.router.take(frame, at, &mut signals.lock());
    }

    fn trouble(&self, trouble: BusTrouble) {
        if trouble.is_bus_off() {
            self.tell(BusState::Off);
        } else if trouble.is_restarted() || trouble.is_active() {
            self.tell(BusState::Up);
        } else if trouble.is_passive() {
            self.tell(BusState::Passive);
        }
    }

    fn forget_over_a_sleep(&mut self) {
        let slept = self.clock.suspended();
        if slept.saturating_sub(self.slept) > SLEPT {
            tracing::warn!(
                seconds = slept.saturating_sub(self.slept).as_secs_f64(),
                "the machine slept: vehicle signals are stale"
            );
            self.signals.lock().forget();
        }
        self.slept = slept;
    }

    fn tell(&self, state: BusState) {
        if self.state.swap(state as u8, Ordering::Relaxed) != state as u8 {
            tracing::info!(interface = self.interface, ?state, "the vehicle's bus");
        }
    }
}
