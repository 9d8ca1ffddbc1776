//! One sign that is followed, from the first sight to behind us.

use super::StopSignConfig;
use super::plan::{self, Room};
use crate::arith::{magnitude, smaller};
use crate::camera::{Approach, Growth, Sight};
use crate::confirm::Confirmation;
use crate::decision::{BrakeRequest, Phase, Situation, SituationKind, WarnLevel};
use crate::scene::{Glimpse, Outcome, Scene, Travel, box_sigma};
use crate::time::Nanos;
use crate::track::Track;

/// Deviations by which growth may differ.
const SIGMAS: f32 = 3.0;
/// Seconds over which offsets and shapes are smoothed.
const SMOOTHING: f32 = 0.3;
/// Metres behind the front at which a sign is behind us.
const BEHIND: f32 = -1.0;
/// Speed in m/s from which a vehicle that was held moves again: its driver has released it.
const MOVES: f32 = 0.5;
/// How long a camera's last frame counts.
const STALE: Nanos = Nanos::from_millis(500);
/// How long an unseen sign is remembered without asking for anything, so that it is known again.
const REMEMBERED: Nanos = Nanos::from_millis(10_000);

/// Why a sign is not seen, if it is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sightline {
    Seen,
    /// It left the picture at its edge: carried on by ego speed.
    Beyond,
    /// It is missed in mid-picture.
    Missed,
}

/// One sign.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sign {
    pub id: u32,
    since: Nanos,
    camera: u8,
    track: u32,
    /// From the camera to the vehicle's front.
    front: f32,
    approach: Approach,
    /// Metres to the left of our path.
    offset: f32,
    over_road: f32,
    /// Metres to the left of our middle.
    left: f32,
    /// Metres by which the height over the road may be wrong, by the pitch.
    unsure: f32,
    aspect: f32,
    confirmation: Confirmation,
    score: f32,
    glimpse: Glimpse,
    seen: Nanos,
    travelled: f32,
    sightline: Sightline,
    /// Since when growth agrees.
    agrees_since: Option<Nanos>,
    /// Growth has agreed for the dwell, and has not contradicted since.
    verified: bool,
    /// Not seen for too long to ask for anything.
    silent: bool,
    pub phase: Phase,
    deceleration: f32,
    time: Option<f32>,
    reachable: bool,
    /// We stood at its line.
    pub served: bool,
    pub ended: bool,
}

impl Sign {
    pub fn new(id: u32, track: &Track, sight: &Sight, scene: &Scene<'_>, config: &StopSignConfig) -> Self {
        let approach = Approach::new(sight, config.height_m, config.height_sigma_m);
        let mut sign = Self {
            id,
            since: scene.now,
            camera: scene.camera,
            track: track.id(),
            front: scene.eye.calibration().front,
            approach,
            offset: 0.0,
            over_road: 0.0,
            left: 0.0,
            unsure: 0.0,
            aspect: aspect(track.raw()),
            confirmation: Confirmation::default(),
            score: 0.0,
            glimpse: Glimpse::of(track),
            seen: scene.now,
            travelled: 0.0,
            sightline: Sightline::Seen,
            agrees_since: None,
            verified: false,
            silent: false,
            phase: Phase::Suspected,
            deceleration: 0.0,
            time: None,
            reachable: true,
            served: false,
            ended: false,
        };
        sign.place(sight, scene, 1.0);
        sign.score(track.median(scene.now, config.confirm.window()), scene.now, config);
        sign
    }

    /// Metres from the front to the sign.
    pub fn distance(&self) -> f32 {
        self.approach.distance() - self.front
    }

    /// Whether it is what this track follows.
    pub fn is_of(&self, camera: u8, track: u32) -> bool {
        self.camera == camera && self.track == track
    }

    /// Whether it was last seen by this camera.
    pub fn is_of_camera(&self, camera: u8) -> bool {
        self.camera == camera
    }

    /// Whether a new track at this distance may be this sign, seen again.
    pub fn may_be(&self, distance: f32) -> bool {
        self.sightline != Sightline::Seen && same_place(self.distance(), distance)
    }

    /// Whether it would be served: believed, ours, grown as it should.
    pub fn is_sure(&self, config: &StopSignConfig) -> bool {
        self.verified && self.confirmation.is_believed() && self.is_ours(config)
    }

    /// Which of several signs of one stop speaks for it: the one that is acted on, else the surest.
    pub fn rank(&self, config: &StopSignConfig) -> (bool, bool, bool) {
        let acts = matches!(self.phase, Phase::Braking | Phase::Holding);
        (acts, self.is_sure(config), self.confirmation.is_believed())
    }

    /// Whether it may give way to another sign when there is no room.
    pub fn is_idle(&self) -> bool {
        !self.confirmation.is_believed()
    }

    /// We moved.
    pub fn travel(&mut self, travel: &Travel) {
        self.approach.travel(travel.moved, travel.unsure);
        if self.sightline != Sightline::Seen {
            self.travelled += magnitude(travel.moved);
        }
    }

    /// Its track, or the track that is it now, was seen.
    pub fn see(&mut self, track: &Track, scene: &Scene<'_>, config: &StopSignConfig) {
        (self.camera, self.track) = (scene.camera, track.id());
        self.front = scene.eye.calibration().front;
        let edges = track.edges();
        let whole = !(edges.top || edges.bottom);
        let share = self.smoothing(scene.now);
        let sight = scene.eye.sight(track.raw(), box_sigma(height(track.raw())), scene.dive);
        if let Some(sight) = sight.filter(|_| whole) {
            self.approach.update(&sight);
            self.place(&sight, scene, share);
            if !edges.any() {
                self.aspect += share * (aspect(track.raw()) - self.aspect);
            }
        }
        self.verify(scene.now, config);
        // At the edge it comes and goes; what was missed there says nothing.
        if self.sightline != Sightline::Beyond && !edges.any() {
            self.score(track.median(scene.now, config.confirm.window()), scene.now, config);
        }
        self.glimpse = Glimpse::of(track);
        self.seen = scene.now;
        self.travelled = 0.0;
        self.sightline = Sightline::Seen;
        self.silent = false;
    }

    /// Its camera gave a frame without it.
    pub fn miss(&mut self, track: Option<&Track>, scene: &Scene<'_>, config: &StopSignConfig) {
        if self.phase == Phase::Holding {
            // No timer and no missing picture drops a hold.
            self.sightline = Sightline::Missed;
            return;
        }
        let unseen = scene.now.since(self.seen);
        let soon = unseen.0 <= Nanos::from_millis(250).0.max(nanos(2.0 * scene.motion.dt));
        let left = soon && self.glimpse.has_left(scene.now, scene.size);
        if left || (self.verified && !self.silent && self.lies_outside(scene)) {
            self.sightline = Sightline::Beyond;
        }
        if self.sightline == Sightline::Beyond {
            let carried = unseen.seconds() <= config.carry_s && self.travelled <= config.carry_m;
            self.ended |= !(carried && self.confirmation.is_believed());
            return;
        }
        self.sightline = Sightline::Missed;
        let median = track.map_or(0.0, |track| track.median(scene.now, config.confirm.window()));
        let hidden = self.is_sure(config) && unseen <= Nanos::from_millis(u64::from(config.hidden_ms));
        if !hidden {
            self.score(median, scene.now, config);
        }
        self.silent |= !self.confirmation.is_believed();
        self.ended |= track.is_none() && self.silent && !(self.verified && unseen <= REMEMBERED);
    }

    /// Whether the place that ego speed has carried it to lies outside the picture: hidden or not, it could not be seen.
    fn lies_outside(&self, scene: &Scene<'_>) -> bool {
        let distance = self.approach.distance();
        if distance <= 0.5 {
            return true;
        }
        let calibration = scene.eye.calibration();
        let bearing = (self.left - calibration.lateral) / distance;
        let elevation = (self.over_road - calibration.height) / distance;
        let [width, height] = scene.size;
        let edge = |x: f32, y: f32| scene.eye.direction([x, y]).filter(|ray| ray[0] > 0.05);
        edge(0.0, 0.5 * height).is_some_and(|ray| bearing > ray[1] / ray[0])
            || edge(width, 0.5 * height).is_some_and(|ray| bearing < ray[1] / ray[0])
            || edge(0.5 * width, 0.0).is_some_and(|ray| elevation > ray[2] / ray[0])
    }

    fn verify(&mut self, now: Nanos, config: &StopSignConfig) {
        match self.approach.growth(SIGMAS) {
            Growth::Agrees => {
                let since = *self.agrees_since.get_or_insert(now);
                let dwell = Nanos::from_millis(u64::from(config.confirm.dwell_ms));
                self.verified |= now.since(since) >= dwell;
            }
            Growth::Unknown => self.agrees_since = None,
            Growth::Contradicts => {
                self.agrees_since = None;
                self.verified = false;
            }
        }
    }

    fn score(&mut self, median: f32, now: Nanos, config: &StopSignConfig) {
        self.score = median;
        self.confirmation.update(&config.confirm, now, median);
    }

    fn smoothing(&self, now: Nanos) -> f32 {
        let dt = now.since(self.seen).seconds();
        dt / (SMOOTHING + dt)
    }

    fn place(&mut self, sight: &Sight, scene: &Scene<'_>, share: f32) {
        let distance = self.approach.distance();
        let calibration = scene.eye.calibration();
        let left = distance * sight.bearing + calibration.lateral;
        let over_road = calibration.height + distance * sight.elevation;
        self.left += share * (left - self.left);
        self.offset += share * (scene.path.offset(distance, left) - self.offset);
        self.over_road += share * (over_road - self.over_road);
        self.unsure = 1.5 * distance * (calibration.pitch_sigma + scene.dive);
    }

    /// Whether it stands where a sign of our road stands, and faces us.
    fn is_ours(&self, config: &StopSignConfig) -> bool {
        // What was ours stays so half a metre further.
        let slack = if matches!(self.phase, Phase::Suspected) { 0.0 } else { 0.5 };
        let beside = (-config.max_right_m - slack..=config.max_left_m + slack).contains(&self.offset);
        let unsure = self.unsure + slack;
        let over =
            (config.min_over_road_m - unsure..=config.max_over_road_m + unsure).contains(&self.over_road);
        let facing = (config.min_aspect..=config.max_aspect).contains(&self.aspect);
        beside && over && facing
    }

    /// What follows from all that, once per frame of any camera.
    pub fn judge(&mut self, now: Nanos, travel: &Travel, config: &StopSignConfig) {
        // Its camera gives no frames any more: what is not looked for is not seen.
        let hidden = Nanos::from_millis(u64::from(config.hidden_ms));
        self.silent |= self.sightline == Sightline::Seen && now.since(self.seen) > hidden.max(STALE);
        let distance = self.distance();
        let passed = distance < BEHIND && self.phase != Phase::Holding;
        let driven_away = matches!(travel.speed, Some(speed) if magnitude(speed) > MOVES);
        if passed || (self.phase == Phase::Holding && driven_away) {
            self.ended = true;
        }
        if self.ended || self.phase == Phase::Holding {
            return;
        }
        let unsure = smaller(self.approach.distance_sigma(), 0.15 * magnitude(distance));
        let room = Room { distance: distance - unsure - config.stop_before_m };
        self.time =
            travel.speed.filter(|speed| *speed > MOVES && distance > 0.0).map(|speed| distance / speed);
        if self.silent || !self.confirmation.is_believed() || !self.is_ours(config) {
            self.phase = Phase::Suspected;
            self.deceleration = 0.0;
        } else if let Some(speed) = travel.speed {
            self.decide(speed, room, config);
        } else if self.phase == Phase::Suspected {
            self.phase = Phase::Confirmed;
        }
    }

    /// With a fresh speed: brake, warn, or serve.
    fn decide(&mut self, speed: f32, room: Room, config: &StopSignConfig) {
        let stands = magnitude(speed) <= config.standstill_mps;
        if stands && self.verified && room.distance <= config.line_m {
            self.serve();
            return;
        }
        let growth = self.approach.growth(SIGMAS);
        if self.phase == Phase::Braking {
            self.keep_braking(speed, room, stands, config);
            return;
        }
        let need = room.to_begin(speed, config);
        self.reachable = need <= config.limit_mps2;
        let sure = self.verified && growth != Growth::Contradicts;
        let fast = speed >= crate::arith::from_kmh(config.min_speed_kmh);
        self.phase = if sure && fast && self.reachable && need >= config.comfort_mps2 {
            self.deceleration = need;
            Phase::Braking
        } else if growth == Growth::Contradicts && !self.approach.comes_nearer() {
            Phase::Suspected
        } else if sure && fast && (!self.reachable || room.is_soon(speed, config)) {
            Phase::Warning
        } else {
            Phase::Confirmed
        };
    }

    fn serve(&mut self) {
        self.served = true;
        if self.phase == Phase::Braking {
            self.phase = Phase::Holding;
        } else {
            self.ended = true;
        }
    }

    fn keep_braking(&mut self, speed: f32, room: Room, stands: bool, config: &StopSignConfig) {
        let need = room.to_go_on(speed, self.deceleration, config);
        self.reachable = need <= plan::TOLERANCE * config.limit_mps2;
        self.deceleration = smaller(need, config.limit_mps2);
        if stands || !self.verified || speed < 0.0 || need <= 0.0 {
            self.phase = Phase::Confirmed;
            self.deceleration = 0.0;
        }
    }

    /// What it comes to.
    pub fn outcome(&self, config: &StopSignConfig) -> Outcome {
        let phase = if self.ended { Phase::Ended } else { self.phase };
        let brakes = matches!(phase, Phase::Braking | Phase::Holding);
        Outcome {
            situation: Situation {
                id: self.id,
                kind: SituationKind::StopSign,
                phase,
                track: (self.sightline == Sightline::Seen).then_some(self.track),
                since: self.since,
                distance: Some(self.distance() - config.stop_before_m),
                ttc: self.time,
                score: self.score,
                reachable: self.reachable,
            },
            brake: brakes.then_some(BrakeRequest {
                situation: self.id,
                deceleration: self.deceleration,
                jerk: config.jerk_mps3,
                emergency: false,
                hold: true,
            }),
            warn: match phase {
                Phase::Confirmed => Some(WarnLevel::Inform),
                Phase::Warning | Phase::Braking => Some(WarnLevel::Warn),
                _ => None,
            },
        }
    }
}

/// Whether two distances along our path are one place: signs on both sides of a road, one sign in two cameras.
pub(super) fn same_place(a: f32, b: f32) -> bool {
    let nearer = smaller(magnitude(a), magnitude(b));
    magnitude(a - b) <= crate::arith::larger(6.0, 0.3 * nearer)
}

pub(super) fn height(bbox: [f32; 4]) -> f32 {
    bbox[3] - bbox[1]
}

pub(super) fn aspect(bbox: [f32; 4]) -> f32 {
    (bbox[2] - bbox[0]) / crate::arith::larger(1.0, height(bbox))
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "seconds, not negative; casts saturate"
)]
fn nanos(seconds: f32) -> u64 {
    (seconds * 1e9) as u64
}
