//! From a frame's detections to a [`Decision`], for all cameras of a vehicle or a room.

mod config;
mod falls;
#[cfg(test)]
mod tests;
mod travel;

use heapless::Vec;

use self::falls::Falls;
use self::travel::{Odometer, sound};
use crate::bounds::OutOfBounds;
use crate::camera::{Calibration, Camera, Motion, Path};
use crate::decision::{Ask, BrakeRequest, Decision, Phase, TrackView, WarnRequest};
use crate::ego::Ego;
use crate::observe::Observation;
use crate::pedestrian::Pedestrians;
use crate::scene::{Outcome, Scene, Travel};
use crate::stop_sign::StopSigns;
use crate::time::Nanos;
use crate::track::{Ids, Seen, Track, Tracker};
use crate::watch::Watches;

pub use config::{CameraConfig, DecideConfig, Function, Functions, MAX_CAMERAS};

/// One processed frame.
#[derive(Clone, Copy, Debug)]
pub struct FrameInput<'a> {
    /// The camera, by its number in the configuration.
    pub camera: u8,
    /// The frame's number, as its source counts.
    pub frame: u64,
    /// When the picture was taken.
    pub captured: Nanos,
    /// Width and height of the source picture in pixels.
    pub size: [u32; 2],
    /// What the models saw; what is not sound (see [`Observation::is_sound`]) is left out.
    pub observations: &'a [Observation],
    /// The vehicle's signals, interpolated to `captured`; values that cannot be true count as invalid.
    pub ego: Ego,
}

/// Follows objects and decides. Pure: the same frames give the same decisions.
#[derive(Clone, Debug)]
pub struct Decider {
    config: DecideConfig,
    eyes: Vec<Eye, MAX_CAMERAS>,
    odometer: Odometer,
    path: Path,
    ids: Ids,
    signs: StopSigns,
    pedestrians: Pedestrians,
    watches: Watches,
    falls: Falls,
    decision: Decision,
}

/// One camera: what it is for, how it sees, whom it follows.
#[derive(Clone, Debug)]
struct Eye {
    functions: Functions,
    camera: Option<Camera>,
    tracker: Tracker,
    last: Option<Nanos>,
    speed: Option<f32>,
}

impl Decider {
    /// Checks the configuration and begins without any track.
    ///
    /// # Errors
    /// The first setting out of its bounds.
    pub fn new(config: DecideConfig) -> Result<Self, OutOfBounds> {
        config.check()?;
        let mut eyes = Vec::new();
        for camera in &config.cameras {
            // As many as the configuration has.
            let _ = eyes.push(Eye {
                functions: camera.functions,
                camera: camera.calibration.map(Camera::new).transpose()?,
                tracker: Tracker::new(config.track),
                last: None,
                speed: None,
            });
        }
        Ok(Self {
            eyes,
            odometer: Odometer::default(),
            path: Path::default(),
            ids: Ids::default(),
            signs: StopSigns::new(config.stop_sign),
            pedestrians: Pedestrians::new(config.pedestrian, config.brake_without_speed),
            watches: Watches::new(&config.watch),
            falls: Falls::new(&config),
            decision: Decision::default(),
            config,
        })
    }

    /// Takes in one frame. The decision holds this camera's tracks and the situations of all cameras. A camera that is
    /// not configured moves nothing on and gives an empty decision.
    pub fn step(&mut self, input: &FrameInput<'_>) -> &Decision {
        self.decision = Decision {
            camera: input.camera,
            frame: input.frame,
            captured: input.captured,
            ..Decision::default()
        };
        if usize::from(input.camera) < self.eyes.len() {
            self.follow(input);
            self.show_tracks(input);
            self.show_situations(input);
        }
        &self.decision
    }

    /// The decision of the newest step.
    pub fn decision(&self) -> &Decision {
        &self.decision
    }

    /// The tracks of a camera; none where there is no such camera.
    pub fn tracks(&self, camera: u8) -> &[Track] {
        self.eyes.get(usize::from(camera)).map_or(&[], |eye| eye.tracker.tracks())
    }

    /// Silences an open fall, by its situation's id, for [`crate::fall::FallConfig::again_min`]. `false` where there is
    /// none with this id.
    pub fn acknowledge(&mut self, now: Nanos, situation: u32) -> bool {
        self.falls.acknowledge(now, situation)
    }

    /// Ends a fall, by its situation's id, because somebody who is there says so. `false` where there is none.
    pub fn close(&mut self, situation: u32) -> bool {
        self.falls.close(situation)
    }

    /// Whether this camera's frames come too slowly to judge falls: raise [`crate::cause::Cause::FrameRateLow`].
    pub fn is_frame_rate_low(&self, camera: u8) -> bool {
        self.falls.is_frame_rate_low(camera)
    }

    fn follow(&mut self, input: &FrameInput<'_>) {
        let ego = sound(&input.ego);
        let (travel, passed) = self.odometer.step(input.captured, &ego);
        let ahead = Path::ahead(&self.config.path, &ego);
        self.path.follow(ahead, passed);
        self.signs.travel(&travel);
        self.pedestrians.travel(&travel);
        let eye = &mut self.eyes[usize::from(input.camera)];
        let camera = eye.camera.filter(|camera| camera.matches(input.size));
        let guess = camera.or_else(|| guessed(input.size));
        let motion = eye.moved(input.captured, travel.speed);
        let size = input.size.map(pixels);
        let seen = Seen { captured: input.captured, size, observations: input.observations };
        let tracks = eye.tracker.step(&seen, &mut self.ids);
        let now = eye.last.unwrap_or(input.captured);
        if let Some(guess) = &guess {
            let scene = Scene {
                camera: input.camera,
                now,
                size,
                eye: guess,
                calibrated: camera.is_some(),
                tracks,
                motion,
                path: self.path,
                turning: travel.speed.map_or(0.0, |speed| ahead.curvature * speed),
                dive: self.config.path.dive(self.odometer.acceleration()),
                travel,
            };
            if eye.functions.has(Function::StopSign) {
                // Nothing is ranged without a calibration: then it sees no sign.
                let tracks = if scene.calibrated { tracks } else { &[] };
                self.signs.see(&Scene { tracks, ..scene }, &mut self.ids);
            }
            if eye.functions.has(Function::Pedestrian) {
                self.pedestrians.see(&scene, &mut self.ids);
            }
            if eye.functions.has(Function::Watch) {
                self.watches.see(&scene, &mut self.ids);
            }
        }
        self.falls.see(input.camera, now, size, tracks, &mut self.ids);
        self.judge(now, &travel);
    }

    fn judge(&mut self, now: Nanos, travel: &Travel) {
        self.signs.judge(now, travel);
        self.pedestrians.judge(now, travel, self.config.path.width_m);
    }

    fn show_tracks(&mut self, input: &FrameInput<'_>) {
        let eye = &self.eyes[usize::from(input.camera)];
        let window = self.config.stop_sign.confirm.window();
        for track in eye.tracker.tracks() {
            let view = TrackView {
                id: track.id(),
                role: track.role(),
                bbox: track.bbox(),
                score: track.median(input.captured, window),
                observation: track.observation(),
            };
            // As many as a tracker has.
            let _ = self.decision.tracks.push(view);
        }
    }

    fn show_situations(&mut self, input: &FrameInput<'_>) {
        let decision = &mut self.decision;
        let outcomes =
            self.signs.outcomes().chain(self.pedestrians.outcomes()).chain(self.watches.outcomes());
        for outcome in outcomes {
            show(decision, &outcome);
        }
        let eye = &self.eyes[usize::from(input.camera)];
        for situation in self.falls.situations(input.camera, eye.tracker.tracks(), input.captured) {
            // Suspected ones fall out first; the count of persons down is always complete.
            let _ = decision.situations.push(situation);
        }
        decision.request.persons_down = self.falls.persons_down();
    }
}

/// Adds one situation and keeps the most urgent request: the hardest brake, the strongest warning, the first of equals.
fn show(decision: &mut Decision, outcome: &Outcome) {
    // There is room for as many situations as all functions together follow.
    let _ = decision.situations.push(outcome.situation);
    if outcome.situation.phase == Phase::Ended {
        return;
    }
    if outcome.brake.is_some() || outcome.warn.is_some() {
        let ask = Ask { situation: outcome.situation.id, brake: outcome.brake, warn: outcome.warn };
        let _ = decision.asks.push(ask);
    }
    let harder = |brake: &BrakeRequest, than: &BrakeRequest| brake.deceleration > than.deceleration;
    if let Some(brake) = outcome.brake {
        let hardest = decision.request.brake.filter(|other| !harder(&brake, other));
        decision.request.brake = Some(hardest.unwrap_or(brake));
    }
    if let Some(level) = outcome.warn {
        let strongest = decision.request.warn.filter(|other| other.level >= level);
        let own = WarnRequest { situation: outcome.situation.id, level };
        decision.request.warn = Some(strongest.unwrap_or(own));
    }
}

impl Eye {
    /// Since this camera's last frame.
    fn moved(&mut self, captured: Nanos, speed: Option<f32>) -> Motion {
        let last = self.last.unwrap_or(captured);
        self.last = Some(last.max(captured));
        let change = match (self.speed, speed) {
            (Some(before), Some(now)) => now - before,
            _ => 0.0,
        };
        self.speed = speed;
        Motion { dt: captured.since(last).seconds(), speed, change }
    }
}

/// A camera nobody calibrated: 60° wide, level, at the height of a windscreen. Good enough for time to collision by
/// growth and for "in the middle of the picture"; nothing brakes on it.
fn guessed(size: [u32; 2]) -> Option<Camera> {
    let calibration = Calibration::level(size, 0.866 * pixels(size[0]), 1.3);
    Camera::new(Calibration { front: 0.0, ..calibration }).ok()
}

#[allow(clippy::cast_precision_loss, reason = "pictures are smaller than 2^24 pixels")]
fn pixels(length: u32) -> f32 {
    length as f32
}
