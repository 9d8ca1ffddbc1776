//! Falls before a camera that does not move: posture, descent, time on the ground, recovery.
//!
//! Per tracked person: posture by shoulders, hips and ankles where the model gives keypoints, else by the box's shape
//! and its height beside the person's own height while upright; a class "person on the ground" counts as posture. A
//! fall is a fast descent and then [`FallConfig::dwell_s`] on the ground; lying on the ground for
//! [`FallConfig::slow_dwell_s`] is one too, however it began. Lying in a bed region is none. Detectors lose lying
//! people: a track that is lost while down leaves its place open, goes on dwelling, and is taken up again by a track
//! that lies or begins to rise there. Getting up, or being put to bed, ends it. Acknowledging silences; it alerts again
//! after [`FallConfig::again_min`] if nobody got up.

mod config;
mod person;
mod posture;

use heapless::{Deque, Vec};

use crate::observe::Keypoints;
use crate::time::Nanos;

pub use config::{FallConfig, MAX_CORNERS, MAX_REGIONS, Region};
use person::{Entry, Turn, place};

/// Most people, and places of lost ones, followed at once by one camera. When full, nobody new is followed until
/// somebody who does not lie leaves; a place where somebody is down is never given up.
pub const MAX_PERSONS: usize = 32;

/// One tracked person in one picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Person {
    /// The track's id: stable, never used again.
    pub id: u32,
    /// Corners x1, y1, x2, y2 in pixels of the source picture.
    pub bbox: [f32; 4],
    /// Posture, where the model gives it.
    pub keypoints: Option<Keypoints>,
    /// 0 to 1.
    pub score: f32,
    /// Whether it was detected in this picture; `false`: carried on without, and its box says nothing of posture.
    pub observed: bool,
    /// Whether the model's class says that the person is on the ground.
    pub down: bool,
}

/// How far a fall has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// None.
    Watching,
    /// Went down, not yet for long enough.
    Suspected,
    /// On the ground: the staff is told.
    Open,
    /// On the ground, acknowledged.
    Silenced,
}

/// One fall, suspected or open.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fall {
    /// Stable over its life.
    pub id: u32,
    /// The track, while there is one.
    pub track: Option<u32>,
    /// How far it has come.
    pub stage: Stage,
    /// Since when it is that, but for an acknowledgement.
    pub since: Nanos,
    /// Where, in pixels of the source picture.
    pub bbox: [f32; 4],
    /// Whether it began with a fast descent.
    pub fast: bool,
}

/// What changed with one fall.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FallChange {
    /// Somebody went down.
    Suspected,
    /// Got up, or lies in bed, before it was a fall.
    Cancelled,
    /// It is one: tell the staff.
    Alert,
    /// Still down so long after the acknowledgement: tell the staff again.
    Again,
    /// Got up, or was put to bed.
    Over,
    /// Somebody said that it is over.
    Closed,
}

/// What one picture led to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FallReport {
    /// Falls that are suspected or open.
    pub falls: Vec<Fall, MAX_PERSONS>,
    /// What changed, with the fall's id.
    pub changes: Vec<(u32, FallChange), MAX_PERSONS>,
    /// Open falls that nobody has acknowledged: [`crate::decision::Request::persons_down`].
    pub persons_down: u8,
    /// Frames come too slowly to judge motion: raise [`crate::cause::Cause::FrameRateLow`] for this camera.
    pub frame_rate_low: bool,
}

/// Times of the newest pictures, for the frame rate.
const RATE_FRAMES: usize = 16;
/// Shortest time over which a rate is taken.
const RATE_SPAN: Nanos = Nanos::from_millis(1_000);

/// Watches one camera for falls.
#[derive(Clone, Debug)]
pub struct FallWatch {
    config: FallConfig,
    people: Vec<Entry, MAX_PERSONS>,
    times: Deque<Nanos, RATE_FRAMES>,
    report: FallReport,
}

impl FallWatch {
    /// [`FallConfig::check`] is the caller's to ask.
    pub fn new(config: FallConfig) -> Self {
        Self { config, people: Vec::new(), times: Deque::new(), report: FallReport::default() }
    }

    /// The newest report.
    pub const fn report(&self) -> &FallReport {
        &self.report
    }

    /// One picture, taken at `captured`, of `size` (width, height) pixels, with the people in it. New falls take their
    /// id from `next_id` and count it on. A picture that is not newer than the last changes nothing.
    pub fn step(
        &mut self,
        captured: Nanos,
        size: [f32; 2],
        people: &[Person],
        next_id: &mut u32,
    ) -> &FallReport {
        if self.times.back().is_some_and(|last| captured <= *last) {
            self.report.changes.clear();
            return &self.report;
        }
        self.measure_rate(captured);
        self.take_in(captured, size, people);
        self.miss(people);
        self.turn(captured, next_id);
        self.people.retain(|entry| entry.track.is_some() || !entry.is_idle());
        &self.report
    }

    /// Silences an open fall for [`FallConfig::again_min`]. `false` where there is none with this id.
    pub fn acknowledge(&mut self, now: Nanos, id: u32) -> bool {
        let open = |entry: &&mut Entry| {
            entry.situation == id && matches!(entry.stage, Stage::Open | Stage::Silenced)
        };
        let Some(entry) = self.people.iter_mut().find(open) else { return false };
        entry.stage = Stage::Silenced;
        entry.acknowledged = Some(now);
        self.count();
        true
    }

    /// Ends a fall because somebody who is there says so. `false` where there is none with this id.
    pub fn close(&mut self, id: u32) -> bool {
        let of = |entry: &Entry| entry.situation == id && entry.stage != Stage::Watching;
        let Some(at) = self.people.iter().position(of) else { return false };
        self.people.swap_remove(at);
        self.report.falls.retain(|fall| fall.id != id);
        // A full list loses the newest change; the falls themselves are always complete.
        let _ = self.report.changes.push((id, FallChange::Closed));
        self.count();
        true
    }

    fn measure_rate(&mut self, captured: Nanos) {
        if self.times.is_full() {
            self.times.pop_front();
        }
        // There is room: the oldest was taken out.
        let _ = self.times.push_back(captured);
        let span = self.times.front().map_or(Nanos::default(), |first| captured.since(*first));
        if span >= RATE_SPAN || self.times.is_full() {
            let frames = (self.times.len() - 1) as f32;
            self.report.frame_rate_low = frames < self.config.min_frame_rate * span.seconds() * 0.999;
        }
    }

    /// Gives each person to an entry, or makes one.
    fn take_in(&mut self, now: Nanos, size: [f32; 2], people: &[Person]) {
        for person in people.iter().filter(|person| person.observed) {
            let in_bed = self.is_in_bed(person, size);
            let motion = !self.report.frame_rate_low;
            let of_track = self.people.iter().position(|entry| entry.track == Some(person.id));
            let at = match of_track {
                Some(at) if !self.people[at].is_idle() && !self.people[at].can_be(person, &self.config) => {
                    // Another body wears this track's number: the place stays open without it.
                    self.people[at].miss();
                    None
                }
                Some(at) => Some(at),
                None => self.lost_at(person),
            };
            match at {
                Some(at) => {
                    self.people[at].track = Some(person.id);
                    self.people[at].see(now, person, in_bed, motion, &self.config);
                }
                // When full, nobody new is followed.
                None => drop(self.people.push(Entry::new(now, person, in_bed, &self.config))),
            }
        }
    }

    /// The place of a lost person that this one, who lies or begins to rise, can be.
    fn lost_at(&self, person: &Person) -> Option<usize> {
        self.people.iter().position(|entry| entry.track.is_none() && entry.can_be(person, &self.config))
    }

    fn is_in_bed(&self, person: &Person, size: [f32; 2]) -> bool {
        let [x, y] = place(person, &self.config);
        self.config.beds.iter().any(|bed| bed.contains([x / size[0], y / size[1]]))
    }

    /// Entries whose track is no longer among the people.
    fn miss(&mut self, people: &[Person]) {
        for entry in &mut self.people {
            let there = people.iter().any(|person| Some(person.id) == entry.track);
            if !there {
                entry.miss();
            }
        }
    }

    fn turn(&mut self, now: Nanos, next_id: &mut u32) {
        self.report.changes.clear();
        self.report.falls.clear();
        for entry in &mut self.people {
            let change = match entry.turn(now, &self.config) {
                Turn::None => None,
                Turn::Suspected => {
                    entry.situation = *next_id;
                    *next_id = next_id.wrapping_add(1);
                    Some(FallChange::Suspected)
                }
                Turn::Alert => Some(FallChange::Alert),
                Turn::Again => Some(FallChange::Again),
                Turn::Cancelled => Some(FallChange::Cancelled),
                Turn::Over => Some(FallChange::Over),
            };
            // Neither list can be full: each entry adds one at most.
            if let Some(change) = change {
                let _ = self.report.changes.push((entry.situation, change));
            }
            if entry.stage != Stage::Watching {
                let _ = self.report.falls.push(entry.as_fall());
            }
        }
        self.count();
    }

    fn count(&mut self) {
        let open = self.people.iter().filter(|entry| entry.stage == Stage::Open).count();
        self.report.persons_down = u8::try_from(open).unwrap_or(u8::MAX);
    }
}

impl Entry {
    fn as_fall(&self) -> Fall {
        Fall {
            id: self.situation,
            track: self.track,
            stage: self.stage,
            since: self.since,
            bbox: self.bbox,
            fast: self.fast,
        }
    }
}

#[cfg(test)]
mod tests;
