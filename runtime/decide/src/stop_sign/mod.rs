//! Stop signs on our road: believed, ranged, braked for, held, and not served twice.
//!
//! What brakes must have been believed over time, stand where a sign of our road stands, and grow as something that stands
//! still does. One stop is one event: signs within max(6 m, 30 %) of one another along our path are one, whichever camera
//! and side of the road they are seen with.

mod config;
mod plan;
mod sign;
#[cfg(test)]
mod tests;

use heapless::Vec;

use self::sign::{Sign, aspect, height, same_place};
use crate::arith::magnitude;
use crate::observe::Role;
use crate::scene::{Outcome, Scene, Travel, box_sigma};
use crate::time::Nanos;
use crate::track::{Ids, Track};

pub use config::StopSignConfig;

/// Most signs followed at once. When full, the farthest that is not believed gives way, else the new one is left out.
pub const MAX_SIGNS: usize = 8;
/// Most served places remembered; the oldest goes.
const MAX_SERVED: usize = 4;

/// All signs that are followed, and the places that were served.
#[derive(Clone, Debug)]
pub(crate) struct StopSigns {
    config: StopSignConfig,
    signs: Vec<Sign, MAX_SIGNS>,
    /// Metres from the front to signs that were served.
    served: Vec<f32, MAX_SERVED>,
}

impl StopSigns {
    pub const fn new(config: StopSignConfig) -> Self {
        Self { config, signs: Vec::new(), served: Vec::new() }
    }

    /// We moved, whichever camera's frame tells so. Forgets what ended in the frame before.
    pub fn travel(&mut self, travel: &Travel) {
        self.signs.retain(|sign| !sign.ended);
        for sign in &mut self.signs {
            sign.travel(travel);
        }
        for distance in &mut self.served {
            *distance -= travel.moved;
        }
        let StopSignConfig { rearm_m, back_m, .. } = self.config;
        self.served.retain(|distance| *distance > -rearm_m && *distance < back_m);
    }

    /// One frame of a camera that looks for signs.
    pub fn see(&mut self, scene: &Scene<'_>, ids: &mut Ids) {
        for sign in self.signs.iter_mut().filter(|sign| sign.is_of_camera(scene.camera)) {
            let own = scene.tracks.iter().find(|track| sign.is_of(scene.camera, track.id()));
            if own.is_none_or(|track| track.observation().is_none()) {
                sign.miss(own, scene, &self.config);
            }
        }
        let seen = scene.tracks.iter().filter(|track| track.observation().is_some());
        for track in seen.filter(|track| track.role() == Role::StopSign) {
            self.meet(track, scene, ids);
        }
    }

    /// A track that is seen: one of ours, one of ours again, or a new one.
    fn meet(&mut self, track: &Track, scene: &Scene<'_>, ids: &mut Ids) {
        let config = self.config;
        if let Some(sign) = self.signs.iter_mut().find(|sign| sign.is_of(scene.camera, track.id())) {
            sign.see(track, scene, &config);
            return;
        }
        if !self.counts(track, scene) {
            return;
        }
        let bbox = track.raw();
        let Some(sight) = scene.eye.sight(bbox, box_sigma(height(bbox)), scene.dive) else { return };
        let distance = sight.heights * config.height_m - scene.eye.calibration().front;
        if self.served.iter().any(|served| same_place(*served, distance)) {
            return;
        }
        if let Some(sign) = self.signs.iter_mut().find(|sign| sign.may_be(distance)) {
            sign.see(track, scene, &config);
        } else if self.make_room() {
            let Some(id) = ids.fresh() else { return };
            // Room was made.
            let _ = self.signs.push(Sign::new(id, track, &sight, scene, &config));
        }
    }

    /// Whether a box is one that signs have: large enough, in the region, whole, as wide as high.
    fn counts(&self, track: &Track, scene: &Scene<'_>) -> bool {
        let bbox = track.raw();
        let [left, top, right, bottom] = self.config.region;
        let [x, y] = [0.5 * (bbox[0] + bbox[2]) / scene.size[0], 0.5 * (bbox[1] + bbox[3]) / scene.size[1]];
        let inside = (left..=right).contains(&x) && (top..=bottom).contains(&y);
        let shape = (0.8 * self.config.min_aspect..=1.25 * self.config.max_aspect).contains(&aspect(bbox));
        inside && shape && height(bbox) >= self.config.min_height_px && !track.edges().any()
    }

    fn make_room(&mut self) -> bool {
        if !self.signs.is_full() {
            return true;
        }
        let idle = (0..self.signs.len()).filter(|index| self.signs[*index].is_idle());
        let farthest = idle.max_by(|a, b| self.signs[*a].distance().total_cmp(&self.signs[*b].distance()));
        farthest.map(|index| self.signs.remove(index)).is_some()
    }

    /// What follows, once per frame of any camera.
    pub fn judge(&mut self, now: Nanos, travel: &Travel) {
        for index in 0..self.signs.len() {
            let sign = &mut self.signs[index];
            sign.judge(now, travel, &self.config);
            if sign.served {
                let distance = sign.distance();
                self.remember(distance);
            }
        }
        let served = &self.served;
        for sign in &mut self.signs {
            // The same stop's other sign was served with it.
            let with_it = !sign.served && served.iter().any(|place| same_place(*place, sign.distance()));
            sign.ended |= with_it && !sign.is_idle();
        }
        self.hand_over();
    }

    fn remember(&mut self, distance: f32) {
        if self.served.iter().any(|place| magnitude(*place - distance) < 1.0) {
            return;
        }
        if self.served.is_full() {
            self.served.remove(0);
        }
        // Room was made.
        let _ = self.served.push(distance);
    }

    /// One stop is one event: the oldest id stays with the sign that speaks for it, also when that one ends first, so that
    /// an override of the driver holds on.
    fn hand_over(&mut self) {
        for older in 0..self.signs.len() {
            for newer in older + 1..self.signs.len() {
                if self.outranks(newer, older) && self.signs[newer].id > self.signs[older].id {
                    let (a, b) = (self.signs[older].id, self.signs[newer].id);
                    (self.signs[older].id, self.signs[newer].id) = (b, a);
                }
            }
        }
    }

    /// Whether `a` speaks for the stop and not `b`.
    fn outranks(&self, a: usize, b: usize) -> bool {
        let (one, other) = (&self.signs[a], &self.signs[b]);
        if !same_place(one.distance(), other.distance()) || one.ended {
            return false;
        }
        let rank = |sign: &Sign| (!sign.ended || sign.served, sign.rank(&self.config));
        (rank(one), other.id) > (rank(other), one.id)
    }

    /// What there is, one outcome per stop.
    pub fn outcomes(&self) -> impl Iterator<Item = Outcome> + '_ {
        let all = 0..self.signs.len();
        let hidden =
            move |index: usize| all.clone().any(|other| other != index && self.outranks(other, index));
        let shown = (0..self.signs.len()).filter(move |index| !hidden(*index));
        shown.map(|index| self.signs[index].outcome(&self.config))
    }
}
