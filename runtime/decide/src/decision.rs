//! What one processed frame led to.

use heapless::Vec;

use crate::observe::Role;
use crate::time::Nanos;

/// Most tracks alive at once; the policy when full is the tracker's.
pub const MAX_TRACKS: usize = 64;
/// Most situations alive at once: 8 signs, 16 persons in traffic, 8 watched classes, 32 falls; falls beyond them are
/// counted in the request, not listed.
pub const MAX_SITUATIONS: usize = 64;

/// What a processed frame led to. Valid for the commander as long as its age is below the freshness limit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    /// The camera, by its number in the configuration.
    pub camera: u8,
    /// The frame's number, as its source counts.
    pub frame: u64,
    /// When the picture was taken.
    pub captured: Nanos,
    /// Tracks that are alive, for records and for people to look at.
    pub tracks: Vec<TrackView, MAX_TRACKS>,
    /// Situations that are suspected, confirmed or just ended in this frame.
    pub situations: Vec<Situation, MAX_SITUATIONS>,
    /// What is asked for, all situations together.
    pub request: Request,
    /// What each situation asks for by itself. The commander chooses among these, so that a situation the driver has
    /// taken over does not hide another one; where there are none, [`Decision::request`] is taken.
    pub asks: Vec<Ask, MAX_SITUATIONS>,
}

/// What one situation asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ask {
    /// The situation.
    pub situation: u32,
    /// Brake.
    pub brake: Option<BrakeRequest>,
    /// Tell the driver.
    pub warn: Option<WarnLevel>,
}

/// A track as others see it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrackView {
    /// Stable while the object is followed; never used again.
    pub id: u32,
    /// The part its class plays.
    pub role: Role,
    /// Smoothed corners x1, y1, x2, y2 in source pixels.
    pub bbox: [f32; 4],
    /// Median score over the confirmation window.
    pub score: f32,
    /// Which of the frame's observations it was matched to; `None`: carried on without one.
    pub observation: Option<u16>,
}

/// What a situation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SituationKind {
    /// A stop sign on our road.
    StopSign,
    /// A person in or about to enter our path.
    Pedestrian,
    /// A person who went down.
    Fall,
    /// A configured class is there (animal, red light): its number in the configuration's list.
    Watched(u8),
}

/// How far a situation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Seen, not yet long or surely enough.
    Suspected,
    /// Believed; nothing asked for yet.
    Confirmed,
    /// The driver or staff is told.
    Warning,
    /// Braking is asked for.
    Braking,
    /// A stop was reached and is held.
    Holding,
    /// Over: served, passed, recovered or gone. In one decision only.
    Ended,
}

/// One situation at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Situation {
    /// Stable over the situation's life; never used again.
    pub id: u32,
    /// What it is about.
    pub kind: SituationKind,
    /// How far it has come.
    pub phase: Phase,
    /// The track it is about, while there is one.
    pub track: Option<u32>,
    /// When it was first suspected.
    pub since: Nanos,
    /// Metres to the stop line or the person, along our path.
    pub distance: Option<f32>,
    /// Seconds to collision or to the line.
    pub ttc: Option<f32>,
    /// Median score over the confirmation window.
    pub score: f32,
    /// Whether a stop before it is possible within the limits; `false`: too late, only a warning. True where nothing is
    /// stopped for.
    pub reachable: bool,
}

/// What a decision asks for; the commander decides what becomes of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Request {
    /// Brake, for the most urgent situation.
    pub brake: Option<BrakeRequest>,
    /// Tell the driver, for the most urgent situation.
    pub warn: Option<WarnRequest>,
    /// Tell the staff: a fall alert is open (number of persons down).
    pub persons_down: u8,
}

/// Brake.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BrakeRequest {
    /// The situation it is for: an override of the driver holds for this one only.
    pub situation: u32,
    /// Deceleration in m/s², 0 or more.
    pub deceleration: f32,
    /// Most change of it, in m/s³.
    pub jerk: f32,
    /// Emergency braking (a person), not comfort braking (a sign).
    pub emergency: bool,
    /// Hold when the vehicle stands.
    pub hold: bool,
}

/// Tell the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WarnRequest {
    /// The situation it is for.
    pub situation: u32,
    /// How urgently.
    pub level: WarnLevel,
}

/// How urgently the driver is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum WarnLevel {
    /// Look: a sign ahead.
    Inform,
    /// Act now.
    Warn,
}
