//! How much of a frame is looked at: all of it, unless the configuration says otherwise ([`config`]).
//!
//! Ways to look at less, each for its own kind of camera:
//! - [`still`], for a camera on a wall: where nothing has moved since the models looked, their last answer stands for the
//!   new picture, for a bounded time. It stands only where two answers in a row agreed, so that what one frame alone showed
//!   is not repeated.
//! - [`corridor`], for a vehicle: most frames are looked at only where the road ahead lies and where something is
//!   followed; what is followed and does not fit into that part has the whole picture looked at. Something new beside the
//!   corridor is not seen before the next whole picture.
//! - `budget`, for a thread with several models: what has not begun when a frame's time is spent waits for the next frame.
//!
//! Pure: frames come in, times are theirs. What was looked at is in each frame's record.

mod budget;
pub mod config;
pub mod corridor;
pub mod still;

use std::time::Duration;

use stopline_decide::camera::{Calibration, Camera, Path, PathConfig};
use stopline_decide::decision::Decision;
use stopline_decide::ego::Ego;
use stopline_depot::record::RecordedLook;
use stopline_sensors::clock::Monotonic;
use stopline_sensors::frame::Frame;

pub use config::AttentionConfig;

use crate::detection::Detection;
use crate::observe::Roles;
use budget::Budget;
use corridor::Area;
use still::Stillness;

/// How a frame is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// All of it.
    Whole,
    /// Only this part: x, y, width, height in pixels.
    Part([u32; 4]),
    /// Not at all: the answer for this earlier frame stands.
    Again(Earlier),
}

/// A frame that was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Earlier {
    /// Its number.
    pub frame: u64,
    /// When it was taken.
    pub captured: Monotonic,
}

/// What is known of a camera's last looks.
pub struct Attention {
    config: AttentionConfig,
    path: PathConfig,
    still: Option<Stillness>,
    budget: Option<Budget>,
    /// The corridor, the size of the part that holds it, and the pictures that it is valid for.
    ahead: Option<Ahead>,
    looked: Option<Looked>,
    /// The last two answers agreed.
    steady: bool,
    /// Frames since the last that was looked at wholly, and when that was taken.
    since_whole: u32,
    whole_at: Option<Monotonic>,
    /// Where something is followed.
    followed: Vec<Area>,
}

#[derive(Clone, Copy)]
struct Ahead {
    corridor: Area,
    part: [u32; 2],
    picture: [u32; 2],
}

#[derive(Clone, Copy)]
struct Looked {
    earlier: Earlier,
    models: u64,
}

impl Attention {
    /// As `config` says. Without `calibration` there is no corridor.
    pub fn new(config: AttentionConfig, path: PathConfig, calibration: Option<Calibration>) -> Self {
        let camera = calibration.filter(|_| config.narrows()).and_then(|of| Camera::new(of).ok());
        Self {
            still: config.rests().then(|| Stillness::new(config.still_level, config.still_cells)),
            budget: Budget::of(&config),
            ahead: camera.and_then(|camera| Ahead::of(&camera, &config)),
            config,
            path,
            looked: None,
            steady: false,
            since_whole: 0,
            whole_at: None,
            followed: Vec::new(),
        }
    }

    /// Whether answers have to be kept, to stand for later frames.
    pub fn rests(&self) -> bool {
        self.still.is_some()
    }

    /// How `frame` is to be looked at by `models` (bit i: model i); `ego` at its capture time.
    pub fn way(&mut self, frame: &Frame, models: u64, ego: &Ego) -> Way {
        self.budget.iter_mut().for_each(Budget::begin);
        if let Some(still) = &mut self.still {
            let moved = still.moved(frame);
            let stands = !moved && self.steady;
            return self.earlier(frame, models).filter(|_| stands).map_or(Way::Whole, Way::Again);
        }
        self.part(frame, ego).map_or(Way::Whole, Way::Part)
    }

    /// Whether the model in `place`, which sees `roles`, is left out of `frame`, on which `spent` was spent so far. Asked once
    /// for each frame and model.
    pub fn leaves_out(&mut self, place: usize, frame: &Frame, spent: Duration, roles: &Roles) -> bool {
        let captured = frame.meta().captured;
        self.budget.as_mut().is_some_and(|budget| budget.leaves_out(place, captured, spent, roles))
    }

    /// The model in `place` has looked at `frame`; `valid`: it gave numbers that can be.
    pub fn answered(&mut self, place: usize, frame: &Frame, valid: bool) {
        if let Some(budget) = &mut self.budget {
            budget.answered(place, frame.meta().captured, valid);
        }
    }

    /// `frame` was looked at by `models` in this `way`. `sound`: every model gave numbers that can be; `agrees`: their
    /// answer is that of the look before; `decision`: what it led to.
    pub fn looked(&mut self, frame: &Frame, way: Way, models: u64, answer: Answer<'_>) {
        let Answer { sound, agrees, decision } = answer;
        self.budget.iter_mut().for_each(|budget| budget.decided(decision));
        let captured = frame.meta().captured;
        if matches!(way, Way::Again(_)) {
            return;
        }
        let earlier = Earlier { frame: frame.meta().sequence, captured };
        self.looked = sound.then_some(Looked { earlier, models });
        self.steady = sound && agrees;
        if let Some(still) = &mut self.still {
            still.looked();
        }
        // What is not known to be seen has the whole picture looked at.
        match (way, decision) {
            (Way::Part(_), Some(_)) if sound => self.since_whole += 1,
            (Way::Whole, Some(_)) if sound => (self.since_whole, self.whole_at) = (0, Some(captured)),
            _ => self.whole_at = None,
        }
        self.followed.clear();
        if self.ahead.is_some() {
            self.followed.extend(decision.iter().flat_map(|of| &of.tracks).map(|track| grown(track.bbox)));
        }
    }

    /// The frame whose answer could stand for this one.
    fn earlier(&self, frame: &Frame, models: u64) -> Option<Earlier> {
        let Looked { earlier, models: before } = self.looked?;
        let captured = frame.meta().captured;
        let most = Duration::from_millis(u64::from(self.config.still_max_age_ms));
        let young = captured > earlier.captured && captured.since(earlier.captured) <= most;
        (young && models != 0 && models == before).then_some(earlier)
    }

    /// The part of `frame` to look at; `None`: all of it.
    fn part(&self, frame: &Frame, ego: &Ego) -> Option<[u32; 4]> {
        let ahead = self.ahead?;
        let most = Duration::from_millis(u64::from(self.config.whole_max_age_ms));
        let recent = frame.meta().captured.since(self.whole_at?) <= most;
        let due = self.since_whole + 1 >= self.config.whole_every;
        // In a curve the road is not where the corridor lies.
        let aside = Path::ahead(&self.path, ego).left(self.config.corridor_to_m).abs();
        let straight = aside <= self.config.corridor_half_width_m / 2.0;
        if !recent || due || !straight || ahead.picture != [frame.width(), frame.height()] {
            return None;
        }
        let areas = std::iter::once(ahead.corridor).chain(self.followed.iter().copied());
        corridor::part(areas, ahead.part, ahead.picture)
    }
}

/// What a look led to.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// Every model was asked and gave numbers that can be.
    pub sound: bool,
    /// The answer is that of the look before.
    pub agrees: bool,
    /// What was decided.
    pub decision: Option<&'a Decision>,
}

impl Ahead {
    fn of(camera: &Camera, config: &AttentionConfig) -> Option<Self> {
        let corridor = corridor::corridor(camera, config)?;
        let picture = camera.calibration().size;
        let side = |axis: usize| {
            // A tenth more, so that what is followed at its edge does not need the whole picture.
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a float cast saturates"
            )]
            let side = ((corridor[axis + 2] - corridor[axis]) * 1.1).ceil() as u32;
            side.next_multiple_of(2).min(picture[axis])
        };
        Some(Self { corridor, part: [side(0), side(1)], picture })
    }
}

impl Way {
    /// For the record of a frame taken at `captured`; none where all of it was looked at.
    pub fn recorded(self, captured: Monotonic) -> Option<RecordedLook> {
        match self {
            Self::Whole => None,
            Self::Part(region) => Some(RecordedLook::Part { region }),
            Self::Again(Earlier { frame, captured: then }) => {
                let age_us = u64::try_from(captured.since(then).as_micros()).unwrap_or(u64::MAX);
                Some(RecordedLook::Still { frame, age_us })
            }
        }
    }
}

/// Whether two answers of a model are the same: as many objects, of the same classes, each in the same place.
pub fn agree(one: &[Detection], other: &[Detection]) -> bool {
    let same =
        |a: &Detection| other.iter().any(|b| a.class == b.class && overlap(a.bbox, b.bbox) >= SAME_PLACE);
    one.len() == other.len() && one.iter().all(same)
}

/// Overlap (intersection over union) from which two boxes are in the same place.
const SAME_PLACE: f32 = 0.8;

fn overlap(a: Area, b: Area) -> f32 {
    let side = |low: f32, high: f32| (high - low).max(0.0);
    let area = |of: Area| side(of[0], of[2]) * side(of[1], of[3]);
    let shared = side(a[0].max(b[0]), a[2].min(b[2])) * side(a[1].max(b[1]), a[3].min(b[3]));
    let all = area(a) + area(b) - shared;
    if all > 0.0 { shared / all } else { 0.0 }
}

/// A box and as much around it as it may move until the next frame.
fn grown([x1, y1, x2, y2]: Area) -> Area {
    let (across, down) = (0.25 * (x2 - x1) + 8.0, 0.25 * (y2 - y1) + 8.0);
    [x1 - across, y1 - down, x2 + across, y2 + down]
}

#[cfg(test)]
mod tests;
