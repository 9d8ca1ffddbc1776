//! What fails and is known to, each with its reason. It stays FAILED in every table.

use stopline_tests::scenario::report::Line;

/// Beginning of a row's name, part of its view's name, reason.
const KNOWN: [(&str, &str, &str); 0] = [];

/// Sequences that are wrong in some run with the assumed detector.
pub const FALLS: [&str; 1] = [
    // A body that lies towards the camera is a box higher than wide: without keypoints it is a squatting person.
    "falls towards the camera",
];

/// Why a row is known to fail.
pub fn reason(line: &Line) -> Option<&'static str> {
    let known = KNOWN.iter().find(|(name, with, _)| line.name.starts_with(name) && line.with.contains(with));
    known.map(|(_, _, reason)| *reason)
}
