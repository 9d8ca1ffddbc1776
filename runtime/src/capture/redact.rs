//! Heads and configured regions become one grey value before a picture is written. Best effort: a person whom the model does
//! not see at a score of 0.05 stays clear, and nobody counts on this alone.

use std::time::Duration;

use image::RgbImage;
use stopline_decide::observe::Role;
use stopline_depot::manifest::Manifest;
use stopline_sensors::clock::Monotonic;
use stopline_sensors::frame::{Buffer, Colour, Frame, FrameMeta, PixelFormat, Stamp};

use crate::detection::{Detection, keypoint_name};
use crate::detector::{DetectError, Detector, DetectorOptions, LoadError, Overrides};
use crate::observe::Roles;

/// Least score of a person whose head is filled.
pub const FROM_SCORE: f32 = 0.05;
/// By so much of their sides boxes are enlarged.
pub const ENLARGED: f32 = 0.3;
/// Persons followed so long before and after a frame count too.
pub const TRACKS: Duration = Duration::from_secs(1);
/// Persons found at once, at most: as many as a crowd shows at the lowest threshold.
const MOST: u32 = 300;
/// A keypoint that is sure enough to say where a face is.
const SURE: f32 = 0.3;
/// Overlap above which two boxes are one person. Higher than for decisions: one box too many costs a head nobody needed.
const OVERLAP: f32 = 0.7;
/// Share of an upright person's enlarged box, from the top, that holds the head however it is turned.
const UPPER: f32 = 0.4;
/// What is put there.
const GREY: [u8; 3] = [114; 3];
const FACE: [&str; 5] = ["nose", "left_eye", "right_eye", "left_ear", "right_ear"];

/// Why a picture could not be made unrecognisable; it is not written then.
#[derive(Debug, thiserror::Error)]
pub enum RedactError {
    /// The model cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// It knows no persons.
    #[error(
        "model {model}: none of its labels has the role `pedestrian`, `person` or `fallen`; capture.redact_with needs one that does"
    )]
    NoPersons {
        /// The model.
        model: String,
    },
    /// It gave no answer.
    #[error(transparent)]
    Detect(#[from] DetectError),
    /// The picture is none.
    #[error("{0}")]
    Picture(String),
}

/// Finds persons.
pub struct Finder {
    detector: Detector,
    roles: Roles,
}

impl Finder {
    /// Loads the model a second time, with thresholds of its own: what decides keeps its own.
    ///
    /// # Errors
    /// [`RedactError::Load`], [`RedactError::NoPersons`].
    pub fn load(options: &DetectorOptions) -> Result<Self, RedactError> {
        let overrides = Overrides { score: Some(FROM_SCORE), iou: Some(OVERLAP) };
        let detector = Detector::load_with(options, |manifest| {
            overrides.apply(manifest);
            manifest.thresholds.max_detections = manifest.thresholds.max_detections.max(MOST);
        })?;
        let roles = Roles::of(detector.manifest(), &[]);
        if !roles.all().any(is_person) {
            return Err(RedactError::NoPersons { model: options.model.display().to_string() });
        }
        Ok(Self { detector, roles })
    }

    /// Where heads are, in pixels of the picture.
    ///
    /// # Errors
    /// [`RedactError::Picture`], [`RedactError::Detect`].
    pub fn heads(&mut self, picture: &RgbImage) -> Result<Vec<[f32; 4]>, RedactError> {
        let meta = FrameMeta {
            source: "capture".into(),
            sequence: 0,
            captured: Monotonic::default(),
            stamp: Stamp::Arrival,
            wall: std::time::UNIX_EPOCH,
            position: None,
            path: None,
            copies: 1,
        };
        let buffer = Buffer::from(picture.as_raw().clone());
        let frame = Frame::packed(meta, PixelFormat::Rgb, Colour::default(), picture.dimensions(), buffer)
            .map_err(|error| RedactError::Picture(error.to_string()))?;
        let mut found = Vec::new();
        self.detector.detect(&frame, &mut found)?;
        let manifest = self.detector.manifest();
        let persons = found.iter().filter(|one| self.roles.role(one.class).is_some_and(is_person));
        Ok(persons.flat_map(|person| heads_of(person, manifest)).collect())
    }
}

/// Whether this is a person.
pub fn is_person(role: Role) -> bool {
    matches!(role, Role::Person | Role::PersonDown)
}

/// Where the head of a detected person may be: the face, where the model shows it, and else the part of the box that holds
/// it. Where it shows a face the upper part of the box is filled too, unless the person lies: keypoints are sure of
/// themselves where they are wrong, as well.
fn heads_of(person: &Detection, manifest: &Manifest) -> Vec<[f32; 4]> {
    let face = face(person, manifest);
    let lies = is_lying(person.bbox);
    match face {
        Some(face) if lies => vec![face],
        Some(face) => vec![face, head_of_box(person.bbox)],
        None => vec![head_of_box(person.bbox)],
    }
}

fn face(person: &Detection, manifest: &Manifest) -> Option<[f32; 4]> {
    let points =
        person.keypoints.iter().enumerate().filter(|(at, point)| {
            point.score >= SURE && FACE.contains(&keypoint_name(manifest, *at).as_str())
        });
    let points: Vec<[f32; 2]> = points.map(|(_, point)| [point.x, point.y]).collect();
    if points.len() < 2 {
        return None;
    }
    let edge = |axis: usize, start: f32, pick: fn(f32, f32) -> f32| {
        points.iter().map(|point| point[axis]).fold(start, pick)
    };
    let [x1, y1] = [edge(0, f32::MAX, f32::min), edge(1, f32::MAX, f32::min)];
    let [x2, y2] = [edge(0, f32::MIN, f32::max), edge(1, f32::MIN, f32::max)];
    // Eyes, nose and ears lie in the middle of a head: it reaches about as far again on every side. From the side they are
    // close together, so the person's size sets a least one.
    let [w, h] = sides(person.bbox);
    let reach = (x2 - x1).max(y2 - y1).max(0.08 * w.max(h));
    Some(enlarge([x1 - reach, y1 - reach, x2 + reach, y2 + reach], ENLARGED))
}

/// The part of a person's box that holds the head: the upper part of one who stands or sits; all of it of one who lies.
pub fn head_of_box(bbox: [f32; 4]) -> [f32; 4] {
    let [x1, y1, x2, y2] = enlarge(bbox, ENLARGED);
    if is_lying(bbox) { [x1, y1, x2, y2] } else { [x1, y1, x2, y1 + (y2 - y1) * UPPER] }
}

fn is_lying(bbox: [f32; 4]) -> bool {
    let [w, h] = sides(bbox);
    w >= h
}

fn sides([x1, y1, x2, y2]: [f32; 4]) -> [f32; 2] {
    [(x2 - x1).max(0.0), (y2 - y1).max(0.0)]
}

fn enlarge([x1, y1, x2, y2]: [f32; 4], share: f32) -> [f32; 4] {
    let [dx, dy] = sides([x1, y1, x2, y2]).map(|side| side * share / 2.0);
    [x1 - dx, y1 - dy, x2 + dx, y2 + dy]
}

/// Fills boxes with grey; a part of a pixel counts as the whole of it.
pub fn fill(picture: &mut RgbImage, boxes: &[[f32; 4]]) {
    let (width, height) = picture.dimensions();
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "casts saturate; bounded by the picture"
    )]
    let bound = |value: f32, most: u32| (value.max(0.0) as u32).min(most);
    for [x1, y1, x2, y2] in boxes {
        let (left, upper) = (bound(x1.floor(), width), bound(y1.floor(), height));
        let (right, lower) = (bound(x2.ceil(), width), bound(y2.ceil(), height));
        for y in upper..lower {
            (left..right).for_each(|x| picture.put_pixel(x, y, image::Rgb(GREY)));
        }
    }
}

/// Boxes times a factor: from one size of a picture to another.
pub fn scaled(boxes: &[[f32; 4]], factor: f32) -> Vec<[f32; 4]> {
    boxes.iter().map(|of| of.map(|side| side * factor)).collect()
}
