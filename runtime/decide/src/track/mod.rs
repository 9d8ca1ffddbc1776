//! Objects followed over frames: one [`Tracker`] per camera.
//!
//! Two-stage association after ByteTrack (Zhang et al., ECCV 2022): detections with a high score are given to tracks
//! first, those with a low score to the tracks that are left; only high ones begin a track. All motion is in seconds
//! between capture stamps. Ids are never used again.

mod assign;
mod config;
mod kalman;
mod object;
#[cfg(test)]
mod tests;

use heapless::Vec;

use self::assign::{Assignment, FORBIDDEN};
use crate::arith::magnitude;
use crate::decision::MAX_TRACKS;
use crate::observe::{Observation, Role};
use crate::time::Nanos;

pub use config::TrackConfig;
pub use object::{Edges, Track};

/// Most detections that are looked at per frame: those with the highest scores.
pub const MAX_OBSERVATIONS: usize = MAX_TRACKS;

/// A track seen in the frame before may be found again after a gap between frames as long as this: a slow camera is not
/// a coasting track.
const LONGEST_GAP: Nanos = Nanos::from_millis(2_000);

/// Where ids come from: one per [`crate::decider::Decider`], so that no two cameras give the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ids(u32);

impl Ids {
    /// An id that was never given before; none when all 4 294 967 295 have been.
    pub fn fresh(&mut self) -> Option<u32> {
        self.0 = self.0.checked_add(1)?;
        Some(self.0)
    }

    /// Lends the next id to one who takes several and counts it on; not at all where fewer than a thousand are left.
    pub(crate) fn lend(&mut self, taker: impl FnOnce(&mut u32)) {
        let Some(mut next) = self.0.checked_add(1).filter(|next| *next < u32::MAX - 1_000) else { return };
        taker(&mut next);
        self.0 = next.wrapping_sub(1);
    }
}

/// What one frame brings to a tracker.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// When the picture was taken.
    pub captured: Nanos,
    /// Width and height of the source picture in pixels.
    pub size: [f32; 2],
    /// What the model saw.
    pub observations: &'a [Observation],
}

/// The tracks of one camera.
#[derive(Clone, Debug)]
pub struct Tracker {
    config: TrackConfig,
    tracks: Vec<Track, MAX_TRACKS>,
    assignment: Assignment<MAX_TRACKS>,
    last: Option<Nanos>,
    refused: u32,
}

impl Tracker {
    /// Without any track. `config` is taken as it is: see [`TrackConfig::check`].
    pub const fn new(config: TrackConfig) -> Self {
        Self { config, tracks: Vec::new(), assignment: Assignment::new(), last: None, refused: 0 }
    }

    /// All tracks that are alive, those carried on without a detection among them; oldest first.
    pub fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    /// The track with this id, while it is alive.
    pub fn track(&self, id: u32) -> Option<&Track> {
        self.tracks.iter().find(|track| track.id() == id)
    }

    /// How many detections found no room for a track, ever.
    pub fn refused(&self) -> u32 {
        self.refused
    }

    /// Takes in one frame. A stamp that is not later than the one before moves nothing on.
    pub fn step(&mut self, seen: &Seen<'_>, ids: &mut Ids) -> &[Track] {
        let now = self.last.map_or(seen.captured, |last| last.max(seen.captured));
        let dt = self.last.map_or(0.0, |last| now.since(last).seconds());
        self.last = Some(now);
        self.forget_old(now);
        for track in &mut self.tracks {
            track.predict(dt, &self.config, seen.size);
        }
        let (high, low) = self.pick(seen.observations);
        let left_high = self.associate(&high, seen, now, |_| true);
        let recent = Nanos::from_millis(u64::from(self.config.tentative_ms)).0;
        self.associate(&low, seen, now, |track| {
            track.is_confirmed() && track.unseen(now).0 <= recent.max(LONGEST_GAP.0.min(nanos(dt)))
        });
        self.miss(now, seen.size);
        for index in left_high {
            self.begin(index, seen, now, ids);
        }
        &self.tracks
    }

    /// Drops tracks that were not seen for too long already before this frame.
    fn forget_old(&mut self, now: Nanos) {
        let config = self.config;
        self.tracks.retain(|track| {
            let seen_before = track.observation().is_some();
            let limit =
                if seen_before { LONGEST_GAP.max(track.coast(&config)) } else { track.coast(&config) };
            track.unseen(now) <= limit
        });
    }

    /// Indices of the detections with high and with low scores, highest first.
    fn pick(&self, observations: &[Observation]) -> (Picked, Picked) {
        let mut sorted = Picked::new();
        for (index, seen) in observations.iter().enumerate() {
            let Ok(index) = u16::try_from(index) else { break };
            if seen.is_sound() && seen.score >= self.config.low_score {
                insert(&mut sorted, index, observations);
            }
        }
        let is_high = |index: &&u16| observations[usize::from(**index)].score >= self.config.high_score;
        let count = sorted.iter().take_while(is_high).count();
        let (high, low) = sorted.split_at(count);
        (high.iter().copied().collect(), low.iter().copied().collect())
    }

    /// Gives the `picked` detections to tracks that have none yet; returns those left.
    fn associate(
        &mut self,
        picked: &Picked,
        seen: &Seen<'_>,
        now: Nanos,
        may: impl Fn(&Track) -> bool,
    ) -> Picked {
        let free = |track: &Track| track.observation().is_none() && may(track);
        let rows: Vec<usize, MAX_TRACKS> =
            self.tracks.iter().enumerate().filter(|(_, track)| free(track)).map(|(index, _)| index).collect();
        for (row, &track) in rows.iter().enumerate() {
            for (column, &index) in picked.iter().enumerate() {
                let observation = &seen.observations[usize::from(index)];
                self.assignment.set(row, column, cost(&self.tracks[track], observation, &self.config));
            }
        }
        let found = self.assignment.solve(rows.len(), picked.len());
        let mut left = picked.clone();
        for (&track, column) in rows.iter().zip(found) {
            let Some(column) = column else { continue };
            let index = picked[usize::from(column)];
            let observation = &seen.observations[usize::from(index)];
            self.tracks[track].observe(observation, index, now, &self.config, seen.size);
            left.retain(|other| *other != index);
        }
        left
    }

    /// Notes the miss in all tracks without a detection and drops those that are over.
    fn miss(&mut self, now: Nanos, size: [f32; 2]) {
        let config = self.config;
        self.tracks.retain_mut(|track| {
            if track.observation().is_some() {
                return true;
            }
            track.miss(now);
            track.unseen(now) <= track.coast(&config) && !track.is_outside(size)
        });
    }

    /// Begins a track, if the score allows it and there is room or room can be made.
    fn begin(&mut self, index: u16, seen: &Seen<'_>, now: Nanos, ids: &mut Ids) {
        let observation = &seen.observations[usize::from(index)];
        if observation.score < self.config.new_score {
            return;
        }
        if self.tracks.is_full() {
            match self.weakest(observation.score, now) {
                Some(weakest) => drop(self.tracks.remove(weakest)),
                None => {
                    self.refused = self.refused.saturating_add(1);
                    return;
                }
            }
        }
        let Some(id) = ids.fresh() else { return };
        // Room was made.
        let _ = self.tracks.push(Track::new(id, observation, index, now, seen.size));
    }

    /// Which track gives way to a detection with `score`: the unconfirmed one with the lowest median, if that is lower;
    /// else the confirmed one that has been without a detection for longest; never one that is seen right now.
    fn weakest(&self, score: f32, now: Nanos) -> Option<usize> {
        let window = Nanos::from_millis(1_000);
        let median = |index: &usize| self.tracks[*index].median(now, window);
        let unconfirmed = (0..self.tracks.len()).filter(|index| !self.tracks[*index].is_confirmed());
        let unconfirmed = unconfirmed.min_by(|a, b| median(a).total_cmp(&median(b)));
        unconfirmed.filter(|index| median(index) < score).or_else(|| {
            let coasting = (0..self.tracks.len()).filter(|index| self.tracks[*index].observation().is_none());
            coasting.max_by_key(|index| self.tracks[*index].unseen(now))
        })
    }
}

type Picked = Vec<u16, MAX_OBSERVATIONS>;

/// Keeps `sorted` by falling score, the earlier detection first among equals; the lowest falls out when full.
fn insert(sorted: &mut Picked, index: u16, observations: &[Observation]) {
    let score = observations[usize::from(index)].score;
    let place = sorted.iter().position(|other| observations[usize::from(*other)].score < score);
    if sorted.is_full() {
        if place.is_none() {
            return;
        }
        sorted.pop();
    }
    // Room was made, and the place lies within.
    let _ = sorted.insert(place.unwrap_or(sorted.len()), index);
}

/// What it costs to give `observation` to `track`: by overlap below 10 000; where boxes hardly overlap (small signs, few
/// frames per second) by the distance of their centres within the gate, from 10 000 to 15 000.
fn cost(track: &Track, observation: &Observation, config: &TrackConfig) -> u16 {
    if !same_family(track.role(), observation.role) {
        return FORBIDDEN;
    }
    let overlap = iou(track.bbox(), observation.bbox);
    if overlap >= config.min_iou {
        return whole((1.0 - overlap) * 10_000.0);
    }
    match track.gate(observation.bbox, config) {
        Some(distance) => whole(10_000.0 + 5_000.0 * distance),
        None => FORBIDDEN,
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 15 000, and casts saturate")]
fn whole(cost: f32) -> u16 {
    cost as u16
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "seconds, not negative; casts saturate"
)]
fn nanos(seconds: f32) -> u64 {
    (seconds * 1e9) as u64
}

/// A person who goes down stays the same track, also where the model has two classes for it.
fn same_family(a: Role, b: Role) -> bool {
    let person = |role| matches!(role, Role::Person | Role::PersonDown);
    a == b || (person(a) && person(b))
}

/// Intersection over union of two boxes; 0 for boxes without area.
fn iou(a: [f32; 4], b: [f32; 4]) -> f32 {
    let side = |from: f32, to: f32| if to > from { to - from } else { 0.0 };
    let area = |x: [f32; 4]| side(x[0], x[2]) * side(x[1], x[3]);
    let low = |i: usize| if a[i] > b[i] { a[i] } else { b[i] };
    let high = |i: usize| if a[i] < b[i] { a[i] } else { b[i] };
    let common = side(low(0), high(2)) * side(low(1), high(3));
    let union = area(a) + area(b) - common;
    if union > 0.0 { common / union } else { 0.0 }
}

/// Whether a number is one that arithmetic can go on with.
fn is_number(value: f32) -> bool {
    // Beyond a million pixels no picture goes; squares and products stay finite.
    magnitude(value) <= 1e6
}

impl Observation {
    /// Whether its numbers are numbers in order: finite, within a million pixels, corners in order, score 0 to 1.
    /// Whatever is not is no observation.
    pub fn is_sound(&self) -> bool {
        let [x1, y1, x2, y2] = self.bbox;
        self.bbox.iter().all(|value| is_number(*value))
            && x1 <= x2
            && y1 <= y2
            && (0.0..=1.0).contains(&self.score)
    }
}
