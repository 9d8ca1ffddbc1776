//! One person, or the place where one went down and was lost.

use heapless::Deque;

use crate::arith::{larger, smaller};
use crate::time::Nanos;

use super::config::FallConfig;
use super::posture::{Posture, judge, middle};
use super::{Person, Stage};

/// Longest time over which the head's speed is taken, and shortest.
const SPEED_WINDOW: Nanos = Nanos::from_millis(450);
const SPEED_LEAST: Nanos = Nanos::from_millis(180);
/// Samples of the head within the window: one every 20 ms at most.
const SAMPLES: usize = 24;
const SAMPLE_GAP: Nanos = Nanos::from_millis(20);
/// How long after a fast descent a posture may still be its result.
const DESCENT_LASTS: Nanos = Nanos::from_millis(1_500);
/// Share of the height while upright below which somebody low sits or lies on the floor: chairs leave about 0.75.
const ON_FLOOR: f32 = 0.6;
/// Above this share who was there has left it.
const OFF_FLOOR: f32 = 0.68;
/// Weight of a new upright height in the running one, per second: of a larger one, and of a smaller one. People walk
/// away slowly; what shrinks fast falls, and must not take its own measure along.
const GROWS_PER_S: f32 = 1.5;
const SHRINKS_PER_S: f32 = 0.4;

/// One person.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// The situation's id, once something is suspected.
    pub situation: u32,
    /// The track it is, while there is one.
    pub track: Option<u32>,
    pub stage: Stage,
    pub bbox: [f32; 4],
    /// Since when it is suspected or open.
    pub since: Nanos,
    pub fast: bool,
    seen: Nanos,
    posture: Posture,
    /// Since when the posture is what it is, flicker left out.
    steady: Nanos,
    /// What the newest pictures say instead, and since when.
    doubt: Option<(Posture, Nanos)>,
    in_bed: bool,
    reference: Option<f32>,
    heads: Deque<(Nanos, f32), SAMPLES>,
    descended: Option<Nanos>,
    /// The newest acknowledgement.
    pub acknowledged: Option<Nanos>,
}

/// What a picture changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    None,
    Suspected,
    Alert,
    Again,
    Cancelled,
    Over,
}

impl Entry {
    pub fn new(now: Nanos, person: &Person, in_bed: bool, config: &FallConfig) -> Self {
        Self {
            situation: 0,
            track: Some(person.id),
            stage: Stage::Watching,
            bbox: person.bbox,
            since: now,
            fast: false,
            seen: now,
            posture: judge(person, None, config),
            steady: now,
            doubt: None,
            in_bed,
            reference: None,
            heads: Deque::new(),
            descended: None,
            acknowledged: None,
        }
    }

    /// Whether it may be forgotten when its track is gone.
    pub fn is_idle(&self) -> bool {
        self.stage == Stage::Watching && (self.posture != Posture::Down || self.in_bed)
    }

    /// A picture with this person in it. `motion`: frames come often enough to judge speed.
    pub fn see(&mut self, now: Nanos, person: &Person, in_bed: bool, motion: bool, config: &FallConfig) {
        let posture = judge(person, self.reference, config);
        self.follow_head(now, person.bbox[1], motion, config);
        self.settle(now, posture, config);
        if posture == Posture::Upright && self.posture == Posture::Upright {
            self.learn_height(now, person.bbox);
        }
        self.bbox = person.bbox;
        self.in_bed = in_bed;
        self.seen = now;
    }

    /// Whether `person`, who carries this entry's track or appeared anew, can be the one who went down here: one who
    /// goes on lying, or who begins to rise at the same place. An upright box elsewhere, or of a new track, is somebody
    /// else.
    pub fn can_be(&self, person: &Person, config: &FallConfig) -> bool {
        let upright = judge(person, self.reference, config) == Posture::Upright;
        is_near(self.bbox, person.bbox) && (!upright || self.track == Some(person.id))
    }

    /// The track is not in this picture.
    pub fn miss(&mut self) {
        self.track = None;
        self.doubt = None;
    }

    /// What the time that has passed makes of it.
    pub fn turn(&mut self, now: Nanos, config: &FallConfig) -> Turn {
        let steady = now.since(self.steady);
        match self.stage {
            Stage::Watching => self.suspect(now),
            Stage::Suspected => self.confirm(now, steady, config),
            Stage::Open | Stage::Silenced => self.end_or_repeat(now, steady, config),
        }
    }

    fn suspect(&mut self, now: Nanos) -> Turn {
        let fell = self.fell();
        let begins = match self.posture {
            Posture::Upright => false,
            Posture::Low => fell && self.is_below(ON_FLOOR),
            Posture::Down => true,
        };
        if !begins || self.in_bed {
            return Turn::None;
        }
        self.stage = Stage::Suspected;
        self.since = now;
        self.fast = fell;
        Turn::Suspected
    }

    /// Whether the posture came with a fast descent.
    fn fell(&self) -> bool {
        let lasts = |then: Nanos| {
            self.steady.since(then) <= DESCENT_LASTS && then.since(self.steady) <= DESCENT_LASTS
        };
        self.descended.is_some_and(lasts)
    }

    fn is_below(&self, share: f32) -> bool {
        self.reference.is_some_and(|height| self.bbox[3] - self.bbox[1] <= height * share)
    }

    fn confirm(&mut self, now: Nanos, steady: Nanos, config: &FallConfig) -> Turn {
        self.fast |= self.fell();
        let sits = self.posture == Posture::Low && !(self.fast && self.is_below(OFF_FLOOR));
        if self.posture == Posture::Upright || self.in_bed || sits {
            return self.close(Turn::Cancelled);
        }
        let dwell =
            if self.posture == Posture::Down && self.fast { config.dwell_s } else { config.slow_dwell_s };
        // Who is just changing posture may be getting up.
        if steady.seconds() < dwell || self.doubt.is_some() {
            return Turn::None;
        }
        self.stage = Stage::Open;
        self.since = now;
        Turn::Alert
    }

    fn end_or_repeat(&mut self, now: Nanos, steady: Nanos, config: &FallConfig) -> Turn {
        let up = self.posture == Posture::Upright || self.in_bed;
        if up && self.track.is_some() && steady.seconds() >= config.recovery_s {
            return self.close(Turn::Over);
        }
        let again = Nanos::from_millis((config.again_min * 60_000.0) as u64);
        if self.stage == Stage::Silenced && self.acknowledged.is_some_and(|then| now.since(then) >= again) {
            self.stage = Stage::Open;
            return Turn::Again;
        }
        Turn::None
    }

    fn close(&mut self, turn: Turn) -> Turn {
        self.stage = Stage::Watching;
        self.fast = false;
        self.descended = None;
        self.acknowledged = None;
        turn
    }

    /// A posture counts when it has lasted longer than a flicker.
    fn settle(&mut self, now: Nanos, posture: Posture, config: &FallConfig) {
        if posture == self.posture {
            self.doubt = None;
            return;
        }
        let since = match self.doubt {
            Some((doubted, since)) if doubted == posture => since,
            _ => now,
        };
        self.doubt = Some((posture, since));
        if now.since(since).seconds() >= config.flicker_s {
            self.posture = posture;
            self.steady = since;
            self.doubt = None;
        }
    }

    fn learn_height(&mut self, now: Nanos, bbox: [f32; 4]) {
        let height = bbox[3] - bbox[1];
        let known = self.reference.unwrap_or(height);
        let per_second = if height > known { GROWS_PER_S } else { SHRINKS_PER_S };
        let weight = smaller(now.since(self.seen).seconds() * per_second, 1.0);
        self.reference = Some(known + (height - known) * weight);
    }

    /// Notes when the head went down faster than anybody sits down.
    fn follow_head(&mut self, now: Nanos, head: f32, motion: bool, config: &FallConfig) {
        while self.heads.front().is_some_and(|(then, _)| now.since(*then) > SPEED_WINDOW) {
            self.heads.pop_front();
        }
        let height = self.reference.unwrap_or(larger(self.bbox[3] - self.bbox[1], 1.0));
        if motion {
            for (then, before) in &self.heads {
                let passed = now.since(*then);
                let speed = (head - before) / (passed.seconds() * height);
                if passed >= SPEED_LEAST && speed >= config.fast {
                    self.descended = Some(now);
                }
            }
        }
        if self.heads.back().is_none_or(|(then, _)| now.since(*then) >= SAMPLE_GAP) {
            if self.heads.is_full() {
                self.heads.pop_front();
            }
            // There is room: the oldest was taken out.
            let _ = self.heads.push_back((now, head));
        }
    }
}

/// Where the person is, for bed regions: the hips, else the middle of the box.
pub(super) fn place(person: &Person, config: &FallConfig) -> [f32; 2] {
    let hips = person.keypoints.as_ref().and_then(|points| middle(points, [11, 12], config.keypoint_score));
    let [x1, y1, x2, y2] = person.bbox;
    hips.unwrap_or([(x1 + x2) / 2.0, (y1 + y2) / 2.0])
}

/// Whether a box is where another was: its middle, or the middle of its lower edge, lies within the other grown by half.
fn is_near(place: [f32; 4], other: [f32; 4]) -> bool {
    let [x1, y1, x2, y2] = place;
    let (grow_x, grow_y) = ((x2 - x1) / 2.0, (y2 - y1) / 2.0);
    let x = (other[0] + other[2]) / 2.0;
    let within = |y: f32| x >= x1 - grow_x && x <= x2 + grow_x && y >= y1 - grow_y && y <= y2 + grow_y;
    within((other[1] + other[3]) / 2.0) || within(other[3])
}
