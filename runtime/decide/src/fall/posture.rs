//! What one picture says of a person's posture.

use crate::arith::{larger, magnitude};
use crate::observe::{Keypoint, Keypoints};

use super::Person;
use super::config::FallConfig;

/// What one picture says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Posture {
    /// Stands or walks.
    Upright,
    /// Sits, kneels, bends, crouches: neither upright nor on the ground, as far as can be told.
    Low,
    /// On the ground, or on a bed.
    Down,
}

/// Width over height up to which a box can be that of an upright person.
const UPRIGHT_ASPECT: f32 = 0.75;
/// Tangent of 55°: a torso further from the vertical is not upright.
const LEANS: f32 = 1.43;
/// Hips over ankles, in torso lengths: lying people have them below this, people on hands and knees at about 0.9.
const HIPS_ON_GROUND: f32 = 0.5;
/// Above this the legs carry.
const LEGS_CARRY: f32 = 0.9;

/// The posture of `person`, whose height while upright was `reference` pixels, where that is known.
pub(super) fn judge(person: &Person, reference: Option<f32>, config: &FallConfig) -> Posture {
    if person.down {
        return Posture::Down;
    }
    let by_points = person.keypoints.as_ref().and_then(|points| by_keypoints(points, config.keypoint_score));
    match by_points {
        // Joints one above the other, but far lower than when upright: lying towards the camera or away from it.
        Some(Posture::Upright) if share_of_height(person, reference) < config.low_height => Posture::Low,
        Some(posture) => posture,
        None => by_box(person, reference, config),
    }
}

/// The box's height beside the height while upright; 1 where that is not known.
fn share_of_height(person: &Person, reference: Option<f32>) -> f32 {
    let height = larger(person.bbox[3] - person.bbox[1], 1.0);
    reference.map_or(1.0, |reference| height / larger(reference, 1.0))
}

/// By shoulders, hips and ankles; `None` where they are not all seen.
fn by_keypoints(points: &Keypoints, least: f32) -> Option<Posture> {
    let shoulders = middle(points, [5, 6], least)?;
    let hips = middle(points, [11, 12], least)?;
    let ankles = middle(points, [15, 16], least)?;
    let (aside, down) = (magnitude(hips[0] - shoulders[0]), hips[1] - shoulders[1]);
    let torso = larger(libm::hypotf(aside, down), 1.0);
    let legs = (ankles[1] - hips[1]) / torso;
    let leans = aside >= LEANS * down;
    Some(if leans && legs < HIPS_ON_GROUND {
        Posture::Down
    } else if !leans && legs >= LEGS_CARRY {
        Posture::Upright
    } else {
        Posture::Low
    })
}

/// The middle of a left and a right point; the one that is seen where the other is not.
pub(super) fn middle(points: &Keypoints, [left, right]: [usize; 2], least: f32) -> Option<[f32; 2]> {
    let seen = |point: Keypoint| (point.score >= least).then_some([point.x, point.y]);
    match (seen(points.0[left]), seen(points.0[right])) {
        (Some(a), Some(b)) => Some([(a[0] + b[0]) / 2.0, (a[1] + b[1]) / 2.0]),
        (one, other) => one.or(other),
    }
}

/// By the box: its shape, and its height beside the height while upright.
fn by_box(person: &Person, reference: Option<f32>, config: &FallConfig) -> Posture {
    let [x1, y1, x2, y2] = person.bbox;
    let aspect = (x2 - x1) / larger(y2 - y1, 1.0);
    let share = share_of_height(person, reference);
    if aspect >= config.lying_aspect || share <= config.lying_height {
        Posture::Down
    } else if aspect <= UPRIGHT_ASPECT && share >= config.low_height {
        Posture::Upright
    } else {
        Posture::Low
    }
}
