//! Detections on pictures, for people: boxes, labels with scores, keypoints, one colour per class.
//!
//! Lines and letters grow with the picture, so that a 4K frame reads like a thumbnail. Letters are bitmap fonts with the
//! characters of ISO 8859-1; others come out as `?`.

mod canvas;
mod palette;
mod rgb;
mod skeleton;

use image::RgbImage;
use stopline_depot::manifest::Manifest;

use crate::detection::Detection;
use canvas::Canvas;

pub use palette::{Colour, class_colour};
pub use rgb::{RgbError, rgb_image, shrink};

/// Score from which a keypoint is drawn filled and a limb is drawn between two; weaker ones are only rings.
const SURE_KEYPOINT: f32 = 0.3;

/// Draws `found` onto `picture`, whose pixels the boxes refer to, the strongest on top.
pub fn annotate(picture: &mut RgbImage, found: &[Detection], manifest: &Manifest) {
    let mut canvas = Canvas::new(picture);
    for detection in found.iter().rev() {
        let colour = class_colour(detection.class);
        if manifest.keypoints.is_empty() || detection.keypoints.is_empty() || has_area(detection.bbox) {
            canvas.outline(detection.bbox, colour);
        }
        draw_keypoints(&mut canvas, detection, manifest, colour);
    }
    // Labels last: no box runs through one.
    for detection in found.iter().rev() {
        canvas.label(detection.bbox, &caption(detection, manifest), class_colour(detection.class));
    }
}

/// Least width of the lines of [`mark`]: they are told apart by dashes and colour, on small cut-outs too.
const MARK_LINE: u32 = 3;

/// Draws one box onto `picture` in a colour of the caller's choice, dashed or not, with `caption` at it where given.
pub fn mark(picture: &mut RgbImage, bbox: [f32; 4], colour: Colour, dashed: bool, caption: Option<&str>) {
    let mut canvas = Canvas::new(picture).with_lines_from(MARK_LINE);
    if dashed {
        canvas.dashed_outline(bbox, colour);
    } else {
        canvas.outline(bbox, colour);
    }
    if let Some(caption) = caption {
        canvas.label(bbox, caption, colour);
    }
}

/// Draws the number of each followed object below its box, and a thin box where it is.
pub fn tracks(picture: &mut RgbImage, tracks: impl Iterator<Item = (u32, [f32; 4])>) {
    let colour = Colour { red: 255, green: 255, blue: 255 };
    for (id, bbox) in tracks {
        let mut canvas = Canvas::new(picture);
        canvas.dashed_outline(bbox, colour);
        let [x1, _, x2, y2] = bbox;
        canvas.label([x1, y2, x2, y2], &format!("#{id}"), colour);
    }
}

/// Draws `text` along the lower edge of `picture`: state and command. `acting` where something is asked for.
pub fn status(picture: &mut RgbImage, text: &str, acting: bool) {
    let colour = match acting {
        true => Colour { red: 230, green: 120, blue: 0 },
        false => Colour { red: 40, green: 40, blue: 40 },
    };
    #[allow(clippy::cast_precision_loss, reason = "a side of a picture")]
    let bottom = picture.height() as f32;
    Canvas::new(picture).label([0.0, bottom, 0.0, bottom], text, colour);
}

/// Draws `text` as a band across the top of `picture`: what is wrong with a frame.
pub fn banner(picture: &mut RgbImage, text: &str) {
    let mut canvas = Canvas::new(picture);
    canvas.label([0.0, 0.0, 0.0, 0.0], text, Colour { red: 200, green: 30, blue: 30 });
}

/// The label of class number `class`, or its number where the manifest has no name for it.
pub fn label_of(manifest: &Manifest, class: usize) -> String {
    manifest.labels.get(class).cloned().unwrap_or_else(|| format!("class {class}"))
}

/// `detections`, as a picture made smaller by `factor` shows them.
pub fn scaled(detections: &[Detection], factor: f32) -> Vec<Detection> {
    let mut scaled = detections.to_vec();
    for detection in &mut scaled {
        detection.bbox = detection.bbox.map(|side| side * factor);
        for point in &mut detection.keypoints {
            (point.x, point.y) = (point.x * factor, point.y * factor);
        }
    }
    scaled
}

fn caption(detection: &Detection, manifest: &Manifest) -> String {
    format!("{} {:.2}", label_of(manifest, detection.class), detection.score)
}

fn has_area([x1, y1, x2, y2]: [f32; 4]) -> bool {
    x2 > x1 && y2 > y1
}

fn draw_keypoints(canvas: &mut Canvas<'_>, detection: &Detection, manifest: &Manifest, colour: Colour) {
    let named = |name: &str| manifest.keypoints.iter().position(|known| known == name);
    for (from, to) in skeleton::limbs(named) {
        if let (Some(a), Some(b)) = (detection.keypoints.get(from), detection.keypoints.get(to))
            && a.score >= SURE_KEYPOINT
            && b.score >= SURE_KEYPOINT
        {
            canvas.line([a.x, a.y], [b.x, b.y], colour);
        }
    }
    for point in &detection.keypoints {
        canvas.dot([point.x, point.y], colour, point.score >= SURE_KEYPOINT);
    }
}

#[cfg(test)]
mod tests;
