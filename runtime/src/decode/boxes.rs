//! Boxes as graphs give them.

use super::DecodeError;
use super::candidates::Place;
use super::outputs::{Part, Setup};
use crate::prepare::geometry::Geometry;
use stopline_depot::manifest::{BoxFormat, Decode, ResizeMode, ValueRange};

/// No box that spans 0 to 1 has a value beyond this, however far it reaches over the edges.
const MOST_UNIT: f32 = 16.0;

/// How four values make a box.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Boxes {
    pub format: BoxFormat,
    pub range: ValueRange,
}

impl Boxes {
    /// As the manifest says, else as is usual.
    pub fn new(decode: &Decode, format: BoxFormat, range: ValueRange) -> Self {
        Self { format: decode.box_format.unwrap_or(format), range: decode.box_range.unwrap_or(range) }
    }

    /// Refuses boxes in source pixels where the picture is not stretched: a graph that reckons with the source's size
    /// knows nothing of a letterbox.
    pub fn check(&self, setup: &Setup<'_>, part: &Part) -> Result<(), DecodeError> {
        let mode = setup.manifest.input.resize.mode;
        if self.range != ValueRange::Source || mode == ResizeMode::Stretch {
            return Ok(());
        }
        let found = format!("input.resize.mode {mode:?}");
        let advice = "stretch the picture, or say in decode.box_range what the boxes span";
        Err(part.misfit("a stretched picture, for boxes in source pixels".into(), found, advice.into()))
    }

    /// Corners in pixels of the input or of the source; refuses pixels where 0 to 1 is expected.
    pub fn place(&self, part: &Part, values: [f32; 4], geometry: &Geometry) -> Result<Place, DecodeError> {
        let corners = corners(self.format, values);
        Ok(match self.range {
            ValueRange::Input => Place::Input(corners),
            ValueRange::Source => Place::Source(corners),
            ValueRange::Unit => {
                if let Some(value) = values.iter().find(|value| value.abs() > MOST_UNIT) {
                    let advice =
                        "set decode.box_range to \"input\", or to \"source\" where the graph knows its size";
                    return Err(part.misfit("boxes from 0 to 1".into(), value, advice.into()));
                }
                let [w, h] = sides(geometry);
                let [x1, y1, x2, y2] = corners;
                Place::Input([x1 * w, y1 * h, x2 * w, y2 * h])
            }
        })
    }
}

/// The input's width and height.
pub(super) fn sides(geometry: &Geometry) -> [f32; 2] {
    // At most 8192 (manifest), so exact.
    #[allow(clippy::cast_precision_loss)]
    geometry.input.map(|side| side as f32)
}

/// Left, top, right, bottom of `values`.
pub(super) fn corners(format: BoxFormat, values: [f32; 4]) -> [f32; 4] {
    let [a, b, c, d] = values;
    match format {
        BoxFormat::Cxcywh => [a - c / 2.0, b - d / 2.0, a + c / 2.0, b + d / 2.0],
        BoxFormat::Xyxy => values,
        BoxFormat::Yxyx => [b, a, d, c],
        BoxFormat::Xywh => [a, b, a + c, b + d],
    }
}
