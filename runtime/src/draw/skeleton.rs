//! Which keypoints are joined by a line, found by their names, so that it fits every order of keypoints.

/// Pairs of names, as COCO's 17 keypoints and the 14 of AI Challenger have them.
const LIMBS: [(&str, &str); 21] = [
    ("left_shoulder", "left_elbow"),
    ("left_elbow", "left_wrist"),
    ("right_shoulder", "right_elbow"),
    ("right_elbow", "right_wrist"),
    ("left_hip", "left_knee"),
    ("left_knee", "left_ankle"),
    ("right_hip", "right_knee"),
    ("right_knee", "right_ankle"),
    ("left_shoulder", "right_shoulder"),
    ("left_hip", "right_hip"),
    ("left_shoulder", "left_hip"),
    ("right_shoulder", "right_hip"),
    ("head_top", "neck"),
    ("neck", "left_shoulder"),
    ("neck", "right_shoulder"),
    ("nose", "left_eye"),
    ("nose", "right_eye"),
    ("left_eye", "left_ear"),
    ("right_eye", "right_ear"),
    ("left_ear", "left_shoulder"),
    ("right_ear", "right_shoulder"),
];

/// The limbs both of whose ends `index` knows, as pairs of keypoint numbers.
pub fn limbs(index: impl Fn(&str) -> Option<usize>) -> impl Iterator<Item = (usize, usize)> {
    LIMBS.into_iter().filter_map(move |(from, to)| Some((index(from)?, index(to)?)))
}
