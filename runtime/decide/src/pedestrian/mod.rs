//! Persons in, or about to enter, our path: warned of, then braked for.

mod config;
mod person;
#[cfg(test)]
mod tests;
mod threat;

use heapless::Vec;

use self::person::{Person, Rules};
use crate::observe::Role;
use crate::scene::{Outcome, Scene, Travel, box_sigma};
use crate::time::Nanos;
use crate::track::{Ids, Track};

pub use config::PedestrianConfig;

/// Most persons followed at once. When full, the farthest that is no threat gives way to a nearer one.
pub const MAX_PERSONS: usize = 16;

/// All persons that are followed.
#[derive(Clone, Debug)]
pub(crate) struct Pedestrians {
    config: PedestrianConfig,
    without_speed: bool,
    persons: Vec<Person, MAX_PERSONS>,
}

impl Pedestrians {
    pub const fn new(config: PedestrianConfig, without_speed: bool) -> Self {
        Self { config, without_speed, persons: Vec::new() }
    }

    /// We moved, whichever camera's frame tells so. Forgets what ended in the frame before.
    pub fn travel(&mut self, travel: &Travel) {
        self.persons.retain(|person| !person.ended);
        for person in &mut self.persons {
            person.travel(travel);
        }
    }

    /// One frame of a camera that looks for persons.
    pub fn see(&mut self, scene: &Scene<'_>, ids: &mut Ids) {
        for person in self.persons.iter_mut().filter(|person| person.is_of_camera(scene.camera)) {
            let own = scene.tracks.iter().find(|track| person.is_of(scene.camera, track.id()));
            person.see(own, scene, &self.config);
        }
        let seen = scene.tracks.iter().filter(|track| track.observation().is_some());
        for track in seen.filter(|track| matches!(track.role(), Role::Person | Role::PersonDown)) {
            if !self.persons.iter().any(|person| person.is_of(scene.camera, track.id())) {
                self.meet(track, scene, ids);
            }
        }
    }

    fn meet(&mut self, track: &Track, scene: &Scene<'_>, ids: &mut Ids) {
        let bbox = track.raw();
        let height = bbox[3] - bbox[1];
        if height < self.config.min_height_px {
            return;
        }
        let Some(sight) = scene.eye.sight(bbox, box_sigma(height), scene.dive) else { return };
        let distance = sight.heights * self.config.height_m - scene.eye.calibration().front;
        if !self.make_room(distance) {
            return;
        }
        let Some(id) = ids.fresh() else { return };
        // Room was made.
        let _ = self.persons.push(Person::new(id, track, &sight, scene, &self.config));
    }

    fn make_room(&mut self, distance: f32) -> bool {
        if !self.persons.is_full() {
            return true;
        }
        let idle = (0..self.persons.len()).filter(|index| self.persons[*index].is_idle());
        let farthest =
            idle.max_by(|a, b| self.persons[*a].distance().total_cmp(&self.persons[*b].distance()));
        let farther = farthest.filter(|index| self.persons[*index].distance() > distance);
        farther.map(|index| self.persons.remove(index)).is_some()
    }

    /// What follows, once per frame of any camera. `width` is the path's, in metres.
    pub fn judge(&mut self, now: Nanos, travel: &Travel, width: f32) {
        let rules = Rules { config: &self.config, without_speed: self.without_speed };
        for person in &mut self.persons {
            person.judge(now, travel, 0.5 * width, rules);
        }
        self.hand_over();
    }

    /// One person is one event: the oldest id stays with whichever camera's sight of him speaks for him.
    fn hand_over(&mut self) {
        for older in 0..self.persons.len() {
            for newer in older + 1..self.persons.len() {
                let (one, other) = (self.persons[newer], self.persons[older]);
                if one.id > other.id && one.outranks(&other) {
                    (self.persons[newer].id, self.persons[older].id) = (other.id, one.id);
                }
            }
        }
    }

    /// What there is: one outcome per person, also where two cameras see him.
    pub fn outcomes(&self) -> impl Iterator<Item = Outcome> + '_ {
        let shown = |person: &&Person| !self.persons.iter().any(|other| other.outranks(person));
        self.persons.iter().filter(shown).map(|person| person.outcome(&self.config))
    }
}
