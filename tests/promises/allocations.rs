//! No allocation per frame in deciding, none per period in acting, after a warm-up. The bus and the lines themselves are
//! counted on the virtual board.

use std::sync::Arc;
use std::time::Duration;

use stopline::act::can::pack::Packer;
use stopline::act::config::{ActuatorConfig, FrameConfig};
use stopline_decide::cause::Cause;
use stopline_decide::command::{Command, Row};
use stopline_decide::commander::{CommandConfig, Commander};
use stopline_decide::decider::{CameraConfig, DecideConfig, Decider, FrameInput, Function};
use stopline_decide::decision::{Decision, WarnLevel};
use stopline_decide::ego::{Ego, Reading};
use stopline_decide::observe::{Observation, Role};
use stopline_decide::state::Faults;
use stopline_decide::time::Nanos;
use stopline_sensors::can::frame::{BusFrame, BusId};
use stopline_sensors::clock::{Clock, HeldClock, SystemClock};
use stopline_sensors::signals::VehicleSignals;
use stopline_tests::allocations::{Counting, counted};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Frames at 30 a second before anything is counted.
const WARM_UP: u64 = 30;
const FRAMES: u64 = 600;

#[test]
fn deciding_allocates_nothing_per_frame() {
    let cameras = CameraConfig {
        functions: [Function::StopSign, Function::Pedestrian, Function::Fall].into_iter().collect(),
        calibration: None,
    };
    let mut config = DecideConfig::default();
    config.cameras.push(cameras).unwrap();
    let (mut decider, built) = counted(|| Decider::new(config).unwrap());
    let mut commander = Commander::new(CommandConfig::default());
    let ego = Ego { speed: Reading::Fresh(12.0), accelerator: Reading::Fresh(0.0), ..Ego::default() };
    let mut tracks = 0;
    for frame in 0..WARM_UP + FRAMES {
        let now = Nanos::from_millis(1_000 + frame * 33);
        let seen = crowd(frame);
        let ((), allocated) = counted(|| {
            let input =
                FrameInput { camera: 0, frame, captured: now, size: [1280, 720], observations: &seen, ego };
            let decision: &Decision = decider.step(&input);
            tracks = tracks.max(decision.tracks.len());
            for tick in 0..2 {
                let now = now.plus(Nanos::from_millis(20 * tick));
                let command = commander.tick(now, Some(decision), &ego, &Faults::default(), true);
                std::hint::black_box(command);
            }
        });
        assert!(frame < WARM_UP || allocated == 0, "frame {frame}: {allocated} allocations");
    }
    assert!(tracks > 10, "the frames give the tracker something to do: {tracks} tracks");
    println!("{FRAMES} frames with up to {tracks} tracks: 0 allocations; {built} when it was built");
}

/// Persons and signs that come, go, and cross.
fn crowd(frame: u64) -> Vec<Observation> {
    #[allow(clippy::cast_precision_loss)]
    let at = |number: u64| ((number * 97 + frame * (number % 7 + 1)) % 1_180) as f32;
    (0..frame % 20 + 5)
        .filter(|number| !(frame + number).is_multiple_of(11))
        .map(|number| Observation {
            role: if number.is_multiple_of(4) { Role::StopSign } else { Role::Person },
            score: 0.8,
            bbox: [at(number), 200.0, at(number) + 40.0, 330.0],
            keypoints: None,
        })
        .collect()
}

fn commands() -> [Command; 4] {
    let idle = Command { armed: true, valid: true, ..Command::default() };
    let warning = Command { row: Row::Warning, warn: Some(WarnLevel::Warn), persons_down: 1, ..idle };
    [
        idle,
        Command { row: Row::Braking, deceleration: 3.0, object_age: Some(Nanos::from_millis(40)), ..idle },
        Command { armed: false, ..warning },
        Command { cause: Some(Cause::CameraLost), ..warning },
    ]
}

#[test]
fn acting_allocates_nothing_per_period() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display();
    let texts = [
        format!("kind = \"log\"\nname = \"log\"\nfile = \"{path}/log\"\nevery_period = true\n"),
        format!(
            "kind = \"outbox\"\nname = \"staff\"\nfolder = \"{path}/outbox\"\nwhen = [\"fall\", \"warn\", \"brake\", \"fault\"]\n"
        ),
        "kind = \"run\"\nname = \"buzzer\"\nprogram = \"/bin/true\"\nwhen = \"warn\"\nwhile_unarmed = true\n"
            .to_owned(),
    ];
    let configs: Vec<ActuatorConfig> = texts.iter().map(|text| toml::from_str(text).unwrap()).collect();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut actuators = stopline::act::open(&configs, "test", &clock).unwrap();
    let commands = commands();
    for period in 0..200_usize {
        let now = SystemClock.monotonic();
        let command = Command { made: Nanos(now.as_nanos()), ..commands[period / 5 % commands.len()] };
        for actuator in &mut actuators {
            let (outcome, allocated) = counted(|| actuator.send(now, &command));
            assert!(
                period < 20 || allocated == 0,
                "{}, period {period}: {allocated}, {outcome:?}",
                actuator.name()
            );
        }
        SystemClock.sleep(Duration::from_millis(2));
    }
    actuators.iter_mut().for_each(|actuator| actuator.close());

    let mut packer = Packer::new("brake", &FrameConfig::default()).unwrap();
    for command in &commands {
        let (frames, allocated) = counted(|| {
            let before = packer.counter();
            let frames = (packer.shown(command), packer.frame(command));
            packer.take_back(before);
            frames
        });
        assert!(frames.0.is_some() && frames.0 == frames.1);
        assert_eq!(allocated, 0, "packing");
    }
    println!("200 periods of log, outbox and program, and packing of frames: 0 allocations");
}

#[test]
fn asking_for_vehicle_signals_allocates_nothing() {
    let signals = VehicleSignals::constant(&[]);
    let now = HeldClock::default().monotonic();
    let (_, allocated) = counted(|| (signals.at(now), signals.newest(now)));
    assert_eq!(allocated, 0);
    let (frame, allocated) = counted(|| BusFrame::new(BusId::Standard(1), &[1, 2, 3]));
    assert!(frame.is_some() && allocated == 0);
}
