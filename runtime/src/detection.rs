//! What a model found in a picture.

/// One detection, in pixels of the source picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Detection {
    /// Class number, counted from 0; the manifest's `labels` name it.
    pub class: usize,
    /// 0 to 1, finite.
    pub score: f32,
    /// Corners x1, y1, x2, y2, clipped to the picture; finite, x1 ≤ x2, y1 ≤ y2.
    pub bbox: [f32; 4],
    /// Keypoints in the manifest's order; empty where the model gives none.
    pub keypoints: Vec<Keypoint>,
}

/// One keypoint, in pixels of the source picture; may lie outside it where a crop did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Keypoint {
    /// Pixels from the left edge.
    pub x: f32,
    /// Pixels from the top edge.
    pub y: f32,
    /// 0 to 1.
    pub score: f32,
}
