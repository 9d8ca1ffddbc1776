//! The period's logic on a held clock: no thread, no waiting, every time exact.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use stopline_decide::commander::CommandConfig;
use stopline_decide::decider::Function;
use stopline_sensors::clock::{Clock as _, HeldClock};
use stopline_sensors::frame::{Colour, Frame, FrameMeta, PixelFormat, Stamp};
use stopline_sensors::signals::{Quantity, VehicleSignals};
use stopline_sensors::source::SourceInfo;

use super::*;
use crate::config::{Arm, GuardConfig};
use crate::daemon::notes::{self, Told};
use crate::guard::{CameraFacts, CameraGuard, Guard, Promised, SignalGuard};

const PERIOD: Duration = Duration::from_millis(20);
const FRAME: Duration = Duration::from_millis(33);

/// One camera for pedestrians at 30 frames a second, a standing vehicle, and a held clock.
struct Rig {
    clock: HeldClock,
    tick: Tick,
    told: Told,
    camera: CameraGuard,
    seats: SyncSender<(usize, Watch)>,
    frames: u64,
}

fn rig(arm: Arm) -> Rig {
    let clock = HeldClock::default();
    clock.advance(Duration::from_secs(100));
    let now = Nanos(clock.monotonic().as_nanos());
    let (notes, told) = notes::channel();
    let (seats, seated) = sync_channel(8);
    let config = GuardConfig::default();
    let facts =
        CameraFacts { period: Some(Nanos::from_millis(33)), timing_only: true, ..CameraFacts::default() };
    let camera = CameraGuard::new(&config, facts, now);
    let mut guard = Guard::new(SignalGuard::new(&config, Promised { speed: true, ..Promised::default() }));
    guard.camera([Function::Pedestrian].into_iter().collect(), Vec::new());
    let gauges = Arc::new(Gauges::default());
    let sight = Sight { decision: Arc::new(Slot::new()), gauges };
    let values = [(Quantity::Speed, 0.0), (Quantity::Accelerator, 0.0), (Quantity::SteeringRate, 0.0)];
    let tick = Tick {
        acting: Acting::new(guard, CommandConfig::default()),
        seats: seated,
        sights: vec![sight],
        vehicle: Drive::new(VehicleSignals::constant(&values), false),
        arming: Arc::new(Arming::new(arm)),
        opened: Arc::default(),
        shed: Arc::default(),
        ending: Arc::default(),
        now: Arc::new(Slot::new()),
        notes,
        last: Now::default(),
    };
    Rig { clock, tick, told, camera, seats, frames: 0 }
}

impl Rig {
    /// Cameras and models are open.
    fn open(&mut self) {
        let info = SourceInfo {
            name: "front".into(),
            kind: "pattern",
            live: true,
            size: (4, 4),
            period: Some(FRAME),
            frames: None,
            duration: None,
            device: None,
        };
        self.tick.sights[0].gauges.info.set(info).expect("opened once");
        self.seats.send((0, self.camera.watch())).expect("room");
        self.tick.opened.store(true, Ordering::Release);
    }

    /// A picture taken now, and the decision on it.
    fn frame(&mut self) {
        self.frames += 1;
        let now = self.clock.monotonic();
        let meta = FrameMeta {
            source: "front".into(),
            sequence: self.frames,
            captured: now,
            stamp: Stamp::KernelEndOfFrame,
            wall: self.clock.wall(),
            position: None,
            path: None,
            copies: 0,
        };
        #[allow(clippy::cast_possible_truncation)]
        let picture: Vec<u8> = (0..16).map(|at: u64| (at * 13 + self.frames * 7) as u8).collect();
        let frame = Frame::packed(meta, PixelFormat::Grey, Colour::default(), (4, 4), picture.into());
        self.camera.frame(&frame.expect("a frame"), Nanos(now.as_nanos()));
        let decision =
            Decision { frame: self.frames, captured: Nanos(now.as_nanos()), ..Decision::default() };
        self.tick.sights[0].decision.put(decision);
        self.tick.sights[0].gauges.decided(now);
    }

    /// Periods for so long; a frame before each when `frames`. The state after the last.
    fn run(&mut self, time: Duration, frames: bool) -> State {
        let end = self.clock.monotonic().plus(time);
        while self.clock.monotonic() < end {
            if frames {
                self.frame();
            }
            self.tick.command(self.clock.monotonic(), false);
            self.clock.advance(PERIOD);
        }
        self.tick.last.state
    }

    fn transitions(&self) -> Vec<String> {
        let text = |note| match note {
            Note::Transition { from, to, .. } => Some(format!("{from} > {to}")),
            _ => None,
        };
        self.told.from.try_iter().filter_map(text).collect()
    }
}

fn nothing_to_arm() -> Arm {
    Arm::default()
}

#[test]
fn from_the_start_to_a_lost_camera_and_back_each_state_is_told_once() {
    let mut rig = rig(nothing_to_arm());
    assert_eq!(rig.run(Duration::from_millis(200), false), State::Init);
    rig.open();
    assert_eq!(rig.run(Duration::from_millis(500), true), State::Active);
    let last = rig.clock.monotonic();
    assert_eq!(rig.run(Duration::from_millis(300), false), State::FailSafe(Cause::CameraLost));
    let lost_after = Monotonic::from_nanos(rig.tick.last.since.0).since(last);
    assert!(lost_after <= Duration::from_millis(150), "{lost_after:?}");
    assert!(!rig.tick.last.command.valid);
    assert_eq!(rig.run(Duration::from_secs(2), true), State::Active);
    let expected = ["init > active", "active > fail_safe(camera_lost)", "fail_safe(camera_lost) > active"];
    assert_eq!(rig.transitions(), expected);
}

#[test]
fn a_camera_that_never_opened_is_lost_as_soon_as_the_start_is_over() {
    let mut rig = rig(nothing_to_arm());
    rig.tick.opened.store(true, Ordering::Release);
    assert_eq!(rig.run(PERIOD, false), State::FailSafe(Cause::CameraLost));
}

#[test]
fn a_frame_that_no_model_serves_is_a_missing_model() {
    let mut rig = rig(nothing_to_arm());
    rig.open();
    rig.run(Duration::from_millis(200), true);
    rig.tick.sights[0].gauges.missing.store(true, Ordering::Release);
    assert_eq!(rig.run(PERIOD, true), State::FailSafe(Cause::ModelMissing));
    rig.tick.sights[0].gauges.missing.store(false, Ordering::Release);
    assert_eq!(rig.run(Duration::from_secs(1), true), State::Active);
}

#[test]
fn what_may_be_armed_and_is_not_is_ready_and_its_commands_say_so() {
    let mut rig = rig(Arm { armed: true, command: true, ..Arm::default() });
    rig.open();
    assert_eq!(rig.run(Duration::from_millis(500), true), State::Ready);
    assert!(!rig.tick.last.command.armed);
    let ego = rig.tick.vehicle.newest(rig.clock.monotonic());
    rig.tick.arming.command(&ego).expect("stands");
    assert_eq!(rig.run(Duration::from_millis(100), true), State::Active);
    assert!(rig.tick.last.command.armed);
    rig.tick.arming.disarm();
    assert_eq!(rig.run(Duration::from_millis(100), true), State::Ready);
    assert!(!rig.tick.last.command.armed);
}

#[test]
fn the_end_is_no_news_and_the_longest_gap_is_kept() {
    let mut rig = rig(nothing_to_arm());
    rig.open();
    rig.run(Duration::from_millis(200), true);
    rig.clock.advance(Duration::from_millis(70));
    rig.run(PERIOD, true);
    assert_eq!(rig.tick.last.longest_gap, Nanos::from_millis(90));
    rig.transitions();
    rig.tick.ending.store(true, Ordering::Release);
    assert_eq!(rig.run(Duration::from_millis(500), false), State::FailSafe(Cause::CameraLost));
    assert!(rig.transitions().is_empty());
}
