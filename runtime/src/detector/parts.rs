//! Parts of a picture, looked at as large as the whole picture would have them.

use stopline_sensors::frame::Frame;

use super::{DetectError, Detector, MOST_RECTANGLES, StageTimes};
use crate::detection::Detection;
use crate::prepare::geometry::Geometry;

/// Input pixels within which a box at the edge of a part counts as cut by it.
const CUT: f32 = 2.0;

impl Detector {
    /// Whether the model can look at parts of a picture: its manifest allows rectangles, and it has refused none yet.
    pub fn takes_parts(&self) -> bool {
        self.compiler.is_some()
    }

    /// Appends what is found in the part `part` of `frame` (x, y, width, height in source pixels, within the picture), as
    /// large on the input as the whole picture would have it. The part is widened to whole strides of the model. What its
    /// edge cuts is left out: half of an object has another place and size than the object.
    ///
    /// A part of a new size compiles the model for it, which takes as long as loading; a model that cannot look at parts
    /// looks at all of the frame.
    ///
    /// # Errors
    /// As [`Detector::detect`].
    pub fn detect_part(
        &mut self,
        frame: &Frame,
        part: [u32; 4],
        found: &mut Vec<Detection>,
    ) -> Result<StageTimes, DetectError> {
        let source = [frame.width(), frame.height()];
        let (size, region) = self.widened(source, part);
        let Some(at) = self.part_for(size) else { return self.detect(frame, found) };
        let rig = &mut self.parts[at];
        let before = found.len();
        let times = rig.run(frame, &Geometry::region(source, size, region), found)?;
        let margin = [0, 1].map(|axis| CUT * region[axis + 2] as f32 / size[axis] as f32);
        let mut at = 0;
        found.retain(|one| {
            at += 1;
            at <= before || !cut(one.bbox, region, source, margin)
        });
        Ok(times)
    }

    /// The input's size for a part of a picture, and the part of the picture that fills it.
    fn widened(&self, source: [u32; 2], [x, y, width, height]: [u32; 4]) -> ([u32; 2], [i32; 4]) {
        let input = &self.manifest.input;
        let whole = Geometry::fit(source, [input.width, input.height], &input.resize);
        let stride = input.rectangle_stride.max(1);
        let most = [input.width, input.height];
        let axis = |axis: usize, begin: u32, side: u32| {
            let scale = f64::from(whole.scale[axis]);
            // Held to the manifest's size and the picture's, so nothing is cut.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let pixels = (f64::from(side) * scale).ceil().clamp(1.0, f64::from(most[axis])) as u32;
            let pixels = pixels.next_multiple_of(stride).min(most[axis]);
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let wide = (f64::from(pixels) / scale).round() as u32;
            let wide = wide.max(1);
            // Around its middle; beyond the picture's edge only where the picture is smaller.
            let begin = i64::from(begin) - (i64::from(wide) - i64::from(side)) / 2;
            let begin = begin.clamp(0, (i64::from(source[axis]) - i64::from(wide)).max(0));
            (pixels, i32::try_from(begin).unwrap_or(0), i32::try_from(wide).unwrap_or(i32::MAX))
        };
        let ((w, left, across), (h, top, down)) = (axis(0, x, width), axis(1, y, height));
        ([w, h], [left, top, across, down])
    }

    /// The rig for parts of `size` input pixels.
    fn part_for(&mut self, size: [u32; 2]) -> Option<usize> {
        if let Some(at) = self.parts.iter().position(|rig| rig.size == size) {
            return Some(at);
        }
        match self.compiler.as_ref()?.rig(&self.manifest, size) {
            Ok((rig, _)) => {
                if self.parts.len() >= MOST_RECTANGLES {
                    self.parts.remove(0);
                }
                self.parts.push(rig);
                Some(self.parts.len() - 1)
            }
            Err(refusal) => {
                let [w, h] = size;
                self.warnings.push(format!("looks at whole pictures only, not at {w}x{h}: {refusal}"));
                self.compiler = None;
                None
            }
        }
    }
}

/// Whether a box found in `region` touches an edge of it that is none of the picture's, and so may be a half of something.
fn cut([x1, y1, x2, y2]: [f32; 4], region: [i32; 4], source: [u32; 2], margin: [f32; 2]) -> bool {
    #[allow(clippy::cast_precision_loss, reason = "sides are at most 32768")]
    let [left, top, right, bottom] =
        [region[0], region[1], region[0] + region[2], region[1] + region[3]].map(|side| side as f32);
    #[allow(clippy::cast_precision_loss, reason = "sides are at most 32768")]
    let [width, height] = source.map(|side| side as f32);
    (left > 0.0 && x1 <= left + margin[0])
        || (top > 0.0 && y1 <= top + margin[1])
        || (right < width && x2 >= right - margin[0])
        || (bottom < height && y2 >= bottom - margin[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_edge_of_a_part_cuts_is_left_out_and_what_the_pictures_edge_cuts_is_not() {
        let (region, source) = ([100, 0, 200, 100], [400, 100]);
        let cut = |bbox| cut(bbox, region, source, [4.0, 4.0]);
        assert!(!cut([120.0, 0.0, 180.0, 100.0]), "from edge to edge of the picture");
        assert!(cut([103.0, 10.0, 180.0, 90.0]) && cut([120.0, 10.0, 297.0, 90.0]));
        assert!(cut([90.0, 10.0, 180.0, 90.0]), "the model guesses beyond the edge");
    }
}
