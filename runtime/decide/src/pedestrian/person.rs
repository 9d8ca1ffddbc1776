//! One person who is followed.

use super::PedestrianConfig;
use super::threat::{Across, Closing, Threat, WALKING, judge};
use crate::arith::{from_kmh, larger, magnitude, within};
use crate::camera::{Prior, Ranger, Sight};
use crate::confirm::Confirmation;
use crate::decision::{BrakeRequest, Phase, Situation, SituationKind, WarnLevel};
use crate::scene::{Glimpse, Outcome, Scene, Travel, box_sigma};
use crate::time::Nanos;
use crate::track::Track;

/// Speed in m/s from which a vehicle that was held moves again: its driver has released it.
const MOVES: f32 = 0.5;
/// Metres behind the front at which a person is passed.
const PASSED: f32 = -1.0;

/// Time constant of a brake that is already on, in s.
const SETTLED: f32 = 0.15;
/// How long a person under the bonnet is carried on, and one whose camera gives no frames.
const BENEATH: Nanos = Nanos::from_millis(5_000);
const STALE: Nanos = Nanos::from_millis(2_000);

/// Width per height of an upright person's box, and how wrong the height of a box is that was cut off, as a share.
const ASPECT: f32 = 0.38;
const CUT: f32 = 0.15;
/// Share of its distance beside us by which a person may be wrong, since the range is.
const ASIDE: f32 = 0.04;
/// Least distance of somebody who is seen, in metres.
const AHEAD: f32 = 0.2;

/// One person.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Person {
    pub id: u32,
    since: Nanos,
    camera: u8,
    track: u32,
    front: f32,
    ranger: Ranger,
    /// Metres from the front, by range while seen, by ego speed while not.
    distance: f32,
    across: Across,
    /// Metres to the left of our middle at which our path passes the person.
    curve: f32,
    /// Width per height of the box.
    aspect: f32,
    closing: Closing,
    confirmation: Confirmation,
    score: f32,
    glimpse: Glimpse,
    seen: Nanos,
    visible: bool,
    /// Lost under the bonnet: carried on until we stand or are past.
    beneath: bool,
    calibrated: bool,
    threat: Threat,
    clear_since: Option<Nanos>,
    pub phase: Phase,
    deceleration: f32,
    pub ended: bool,
}

impl Person {
    pub fn new(id: u32, track: &Track, sight: &Sight, scene: &Scene<'_>, config: &PedestrianConfig) -> Self {
        let prior = Prior {
            height: config.height_m,
            sigma: config.height_sigma_m,
            stands: scene.calibrated,
            own_speed: WALKING,
        };
        let ranger = Ranger::new(prior, sight, scene.motion.speed);
        let front = scene.eye.calibration().front;
        let (offset, sigma) = beside(&ranger, ranger.distance(), sight, scene);
        Self {
            id,
            since: scene.now,
            camera: scene.camera,
            track: track.id(),
            front,
            ranger,
            distance: ranger.distance() - front,
            aspect: ASPECT,
            curve: scene.path.left(ranger.distance()),
            across: Across::new(offset, sigma, ranger.height().0),
            closing: Closing::of(&ranger, ranger.distance() - front, front, scene.travel.speed),
            confirmation: Confirmation::default(),
            score: 0.0,
            glimpse: Glimpse::of(track),
            seen: scene.now,
            visible: true,
            beneath: false,
            calibrated: scene.calibrated,
            threat: Threat::Clear,
            clear_since: None,
            phase: Phase::Suspected,
            deceleration: 0.0,
            ended: false,
        }
    }

    /// Whether it is what this track follows.
    pub fn is_of(&self, camera: u8, track: u32) -> bool {
        self.camera == camera && self.track == track
    }

    /// Whether it was last seen by this camera.
    pub fn is_of_camera(&self, camera: u8) -> bool {
        self.camera == camera
    }

    /// Metres from the front.
    pub fn distance(&self) -> f32 {
        self.distance
    }

    /// Whether it may give way to another person when there is no room.
    pub fn is_idle(&self) -> bool {
        self.threat <= Threat::Near && self.phase != Phase::Holding
    }

    /// Whether it speaks for a person that `other` is, too: the one that is braked for, else the one that was seen first.
    pub fn outranks(&self, other: &Self) -> bool {
        let acts = |person: &Self| (!person.ended, matches!(person.phase, Phase::Braking | Phase::Holding));
        !self.ended && self.is_twin(other) && (acts(self), other.id) > (acts(other), self.id)
    }

    /// Whether both are one person, seen by two cameras.
    fn is_twin(&self, other: &Self) -> bool {
        self.camera != other.camera
            && self.calibrated
            && other.calibrated
            && magnitude(self.distance - other.distance) <= larger(2.0, 0.3 * self.distance)
            && magnitude(self.beside().offset() - other.beside().offset()) <= larger(0.8, 0.1 * self.distance)
    }

    /// Beside our path, in metres.
    fn beside(&self) -> Across {
        self.across.in_metres(self.ranger.height().0).beside(self.curve)
    }

    /// We moved: a person who is not seen stays where he was.
    pub fn travel(&mut self, travel: &Travel) {
        if !self.visible {
            self.distance -= travel.moved;
        }
    }

    /// The camera's frame: with the track, seen or not, or without it.
    pub fn see(&mut self, track: Option<&Track>, scene: &Scene<'_>, config: &PedestrianConfig) {
        let seen = track.filter(|track| track.observation().is_some());
        let sight = seen.and_then(|track| self.look(track, scene));
        self.ranger.step(&scene.motion, sight.as_ref());
        self.visible = sight.is_some();
        let (height, _) = self.ranger.height();
        let ahead = (self.distance + self.front) / height;
        self.across.predict(scene.motion.dt, height, -scene.turning * ahead);
        if let Some(sight) = &sight {
            // Whoever is seen before us is not behind our front.
            self.distance = larger(AHEAD, self.ranger.distance() - self.front);
            let further = sight.after(scene.motion.dt);
            let (offset, sigma) = beside(&self.ranger, self.distance + self.front, &further, scene);
            self.across.update(offset, sigma);
        }
        self.curve = scene.path.left(self.distance + self.front);
        self.closing = Closing::of(&self.ranger, self.distance, self.front, scene.travel.speed);
        match seen {
            Some(track) => {
                self.glimpse = Glimpse::of(track);
                self.seen = scene.now;
                self.beneath = false;
            }
            None => self.lose(track, scene, config),
        }
        if !self.beneath {
            let window = config.confirm.window();
            self.score = track.map_or(0.0, |track| track.median(scene.now, window));
            self.confirmation.update(&config.confirm, scene.now, self.score);
        }
    }

    /// What the box says. One that is cut off by the upper or lower edge is as high as its width and the shape that it had
    /// before tell: rough, and without a foot.
    fn look(&mut self, track: &Track, scene: &Scene<'_>) -> Option<Sight> {
        let bbox = track.raw();
        let (edges, [width, height]) = (track.edges(), [bbox[2] - bbox[0], bbox[3] - bbox[1]]);
        if !(edges.top || edges.bottom) {
            if !edges.any() {
                self.aspect += 0.2 * (width / larger(1.0, height) - self.aspect);
            }
            return scene.eye.sight(bbox, box_sigma(height), scene.dive);
        }
        let whole = larger(height, width / self.aspect);
        let [top, bottom] =
            if edges.bottom { [bbox[1], bbox[1] + whole] } else { [bbox[3] - whole, bbox[3]] };
        let sight = scene.eye.sight([bbox[0], top, bbox[2], bottom], CUT * whole, scene.dive)?;
        let bearing_sigma = sight.bearing_sigma * box_sigma(height) / (CUT * whole);
        Some(Sight { foot: None, bearing_sigma, ..sight })
    }

    fn lose(&mut self, track: Option<&Track>, scene: &Scene<'_>, config: &PedestrianConfig) {
        let lost = scene.now.since(self.seen) > Nanos::from_millis(u64::from(config.lost_ms));
        self.beneath |= self.glimpse.is_at_our_feet(scene.now, scene.size) && !lost;
        let carried = self.beneath && matches!(self.phase, Phase::Braking | Phase::Holding);
        self.ended |=
            !carried && self.phase != Phase::Holding && lost && (track.is_none() || self.is_acting());
    }

    fn is_acting(&self) -> bool {
        matches!(self.phase, Phase::Warning | Phase::Braking)
    }

    /// What follows from all that, once per frame of any camera. `half` is half of the path's width.
    pub fn judge(&mut self, now: Nanos, travel: &Travel, half: f32, rules: Rules<'_>) {
        let config = rules.config;
        let moves = matches!(travel.speed, Some(speed) if magnitude(speed) > MOVES);
        if self.phase == Phase::Holding {
            self.ended |= moves;
            return;
        }
        // Passed, or its camera gives no frames any more.
        let lost = Nanos::from_millis(u64::from(config.lost_ms));
        let unseen = now.since(self.seen);
        let stale = if self.beneath {
            BENEATH
        } else if self.phase == Phase::Braking {
            lost
        } else {
            STALE
        };
        self.ended |= self.distance < PASSED || unseen > stale;
        if self.ended {
            return;
        }
        let half = half + config.half_width_m;
        self.threat = if self.beneath {
            self.threat
        } else if self.confirmation.is_believed() {
            judge(&self.beside(), &self.closing, travel.speed, half, config)
        } else {
            Threat::Clear
        };
        match self.phase {
            Phase::Braking => self.keep_braking(now, travel, config),
            _ => self.begin(travel, rules),
        }
    }

    fn begin(&mut self, travel: &Travel, rules: Rules<'_>) {
        let config = rules.config;
        let allowed = match travel.speed {
            Some(speed) => (from_kmh(config.min_speed_kmh)..=from_kmh(config.max_speed_kmh)).contains(&speed),
            None => rules.without_speed,
        };
        let backwards = matches!(travel.speed, Some(speed) if speed < MOVES);
        self.phase = match self.threat {
            _ if !self.confirmation.is_believed() => Phase::Suspected,
            Threat::Brake if allowed && self.calibrated => {
                self.deceleration = self.demand(travel, config);
                Phase::Braking
            }
            Threat::Brake | Threat::Warn if !backwards => Phase::Warning,
            // A warning stays until the person is clear, so that it does not flicker.
            Threat::Near if self.phase == Phase::Warning && !backwards => Phase::Warning,
            _ => Phase::Confirmed,
        };
        self.clear_since = None;
    }

    /// A demand is never lowered while the danger lasts; it ends when the path is clear for a while, or we stand.
    fn keep_braking(&mut self, now: Nanos, travel: &Travel, config: &PedestrianConfig) {
        if matches!(travel.speed, Some(speed) if magnitude(speed) <= config.standstill_mps) {
            self.phase = Phase::Holding;
            return;
        }
        self.deceleration = larger(self.deceleration, self.demand(travel, config));
        if self.threat != Threat::Clear {
            self.clear_since = None;
            return;
        }
        let since = *self.clear_since.get_or_insert(now);
        if now.since(since) >= Nanos::from_millis(u64::from(config.clear_ms)) {
            self.phase = Phase::Confirmed;
            self.deceleration = 0.0;
        }
    }

    /// Deceleration that stops before the person, within what is asked for at all.
    fn demand(&self, travel: &Travel, config: &PedestrianConfig) -> f32 {
        let closing = match travel.speed {
            Some(speed) => speed,
            None => self.ranger.closing().0,
        };
        let lag = if self.phase == Phase::Braking { SETTLED } else { config.brake_delay() };
        let room = self.distance - 0.5 * config.stop_before_m - closing * lag;
        let needed = if room > 0.05 { closing * closing / (2.0 * room) } else { config.limit_mps2 };
        within(needed, config.least_mps2, config.limit_mps2)
    }

    /// What it comes to.
    pub fn outcome(&self, config: &PedestrianConfig) -> Outcome {
        let phase = if self.ended { Phase::Ended } else { self.phase };
        Outcome {
            situation: Situation {
                id: self.id,
                kind: SituationKind::Pedestrian,
                phase,
                track: (!self.beneath).then_some(self.track),
                since: self.since,
                distance: self.calibrated.then_some(self.distance),
                ttc: self.closing.time(),
                score: self.score,
                reachable: true,
            },
            brake: matches!(phase, Phase::Braking | Phase::Holding).then_some(BrakeRequest {
                situation: self.id,
                deceleration: self.deceleration,
                jerk: config.jerk_mps3,
                emergency: true,
                hold: true,
            }),
            warn: matches!(phase, Phase::Warning | Phase::Braking).then_some(WarnLevel::Warn),
        }
    }
}

/// Settings of a judgement.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules<'a> {
    pub config: &'a PedestrianConfig,
    /// Whether a brake may begin without a fresh speed.
    pub without_speed: bool,
}

/// To the left of our middle, `distance` before the camera, and the standard deviation: both in heights of the person.
fn beside(ranger: &Ranger, distance: f32, sight: &Sight, scene: &Scene<'_>) -> (f32, f32) {
    let (height, _) = ranger.height();
    let left = distance * sight.bearing + scene.eye.calibration().lateral;
    let sigma = 0.06 + magnitude(distance) * sight.bearing_sigma + ASIDE * magnitude(left);
    (left / height, sigma / height)
}
