//! What a model saw in one frame, as the decision takes it in.

/// Which part a class plays in decisions. The manifest's `roles` say which labels play it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// A stop sign.
    StopSign,
    /// A standing, walking or otherwise upright person; any person where the model tells no postures.
    Person,
    /// A person on the ground, where the model tells.
    PersonDown,
    /// Any other watched class (animal, traffic light): its number in the configuration's list.
    Watched(u8),
}

/// Keypoints of a person, in the order of COCO: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles (left
/// before right). A point the model does not give has score 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Keypoints(pub [Keypoint; 17]);

/// One keypoint, in pixels of the source picture.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Keypoint {
    /// Pixels from the left edge.
    pub x: f32,
    /// Pixels from the top edge.
    pub y: f32,
    /// 0 to 1; 0 where unknown.
    pub score: f32,
}

/// One detection of a class that plays a part.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observation {
    /// The part it plays.
    pub role: Role,
    /// 0 to 1, finite.
    pub score: f32,
    /// Corners x1, y1, x2, y2 in pixels of the source picture; finite, x1 ≤ x2, y1 ≤ y2.
    pub bbox: [f32; 4],
    /// Posture, where the model gives it.
    pub keypoints: Option<Keypoints>,
}
