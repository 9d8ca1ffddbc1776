//! Frame → input tensor, exactly as the model's manifest says.
//!
//! In walk order: [`geometry`] says where the picture lies on the input; `plan` turns that into taps and tables once;
//! then for each row of the input `rows` reads the source rows it needs (`lines`, `colour`; `sparse` where the
//! picture becomes much smaller), blends them (`blend`) and
//! writes the values (`write`). No picture stands between frame and tensor.

mod blend;
mod colour;
pub mod geometry;
mod lines;
pub(crate) mod picks;
mod plan;
pub(crate) mod rows;
mod sparse;
mod taps;
mod video;
mod write;

#[cfg(test)]
mod tests;

use stopline_depot::manifest::{ColourOrder, Fill, Filter, Input};
use stopline_sensors::frame::{Frame, MAX_SIDE};

use crate::infer::Tensor;
use geometry::Geometry;
use plan::{Key, Plan};
use rows::{Rows, Scratch};
use write::Writer;

/// The longest side of a model's input; beyond it a tensor does not fit a board's memory.
const MAX_INPUT: u32 = 8192;

/// The longest side of a region, in source pixels: a crop may be some times larger than the largest picture.
const MAX_REGION: i32 = 4 * MAX_SIDE as i32;

/// Fills input tensors for one model. One per inference thread; holds the scratch memory.
///
/// The result is what OpenCV's `cvtColor` and `resize` followed by (pixel × scale − mean) ÷ std give: for RGB and BGR
/// frames within one unit of 0–255, for luma and chroma within two (`tests/promises/prepare_parity.rs`). Chroma is not
/// interpolated, as in OpenCV. A model that wants grey gets `COLOR_RGB2GRAY` of the resized picture.
pub struct Preparer {
    size: [u32; 2],
    order: ColourOrder,
    filter: Filter,
    pad: Fill,
    outside: Fill,
    writer: Writer,
    plan: Plan,
    scratch: Scratch,
}

/// What is wrong with a frame, a geometry or a tensor given to a [`Preparer`].
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The input has a side of no pixels or too many.
    #[error(
        "input of {width}x{height} pixels: each side must be 1 to {MAX_INPUT}; see input.width and input.height in the manifest"
    )]
    Size {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
    },
    /// The tensor is of another shape or type.
    #[error("input tensor: expected {expected}, found {found}; take it from the same Preparer")]
    Tensor {
        /// Type and shape of [`Preparer::tensor`].
        expected: String,
        /// Type and shape given.
        found: String,
    },
    /// The geometry was made for another frame or another input.
    #[error(
        "geometry of {what}: expected {expected:?} pixels, found {found:?}; make it from this frame's size and this model's input"
    )]
    Geometry {
        /// `source picture` or `input`.
        what: &'static str,
        /// Of the frame or the input.
        expected: [u32; 2],
        /// Of the geometry.
        found: [u32; 2],
    },
    /// The part of the picture to be shown is empty or absurdly large.
    #[error(
        "region {region:?} (x, y, width, height) shown at {placed:?}: sides must be 1 to {MAX_REGION} pixels; check the box it was made from"
    )]
    Region {
        /// In source pixels.
        region: [i32; 4],
        /// In input pixels.
        placed: [i32; 4],
    },
}

impl Preparer {
    /// Prepares for the picture input `input` of a model, compiled for `size` pixels (across, down): the manifest's, or
    /// a rectangle that it allows.
    ///
    /// # Errors
    /// [`PrepareError::Size`] for an impossible `size`.
    pub fn new(input: &Input, size: [u32; 2]) -> Result<Self, PrepareError> {
        let [width, height] = size;
        if !(1..=MAX_INPUT).contains(&width) || !(1..=MAX_INPUT).contains(&height) {
            return Err(PrepareError::Size { width, height });
        }
        Ok(Self {
            size,
            order: input.colour,
            filter: input.resize.filter,
            pad: input.resize.pad,
            outside: input.crop.map_or(Fill::All(0), |crop| crop.outside),
            writer: Writer::new(input, size.map(|side| side as usize)),
            plan: Plan::default(),
            scratch: Scratch::default(),
        })
    }

    /// A tensor to be filled, of the type and layout that the manifest states, batch 1. Zeros until then.
    pub fn tensor(&self) -> Tensor {
        self.writer.tensor()
    }

    /// Fills `tensor` with `frame`, lying on the input as `geometry` says. Every value is written.
    ///
    /// Allocates nothing once it has seen a frame of the same size and format with a geometry of the same sizes.
    ///
    /// # Errors
    /// [`PrepareError`] where frame, geometry and tensor do not belong together; `tensor` is left as it was.
    pub fn prepare(
        &mut self,
        frame: &Frame,
        geometry: &Geometry,
        tensor: &mut Tensor,
    ) -> Result<(), PrepareError> {
        self.check(frame, geometry, tensor)?;
        let outside = match self.order {
            ColourOrder::Grey => [write::each(self.outside)[0]; 3],
            ColourOrder::Rgb | ColourOrder::Bgr => write::each(self.outside),
        };
        let key = Key {
            geometry: *geometry,
            format: frame.format(),
            filter: self.filter,
            order: self.order,
            outside,
        };
        if self.plan.set(key) {
            self.scratch.fit(&self.plan);
        }
        self.scratch.begin(frame, &self.plan);
        let (across, down) = (&self.plan.across, &self.plan.down);
        let shown = [across.start, down.start, across.taps.len(), down.taps.len()];
        self.writer.surround(tensor, shown, self.pad);
        crate::cpu::widest(Rows {
            frame,
            plan: &self.plan,
            scratch: &mut self.scratch,
            writer: &self.writer,
            order: self.order,
            filter: self.filter,
            tensor,
        });
        Ok(())
    }

    fn check(&self, frame: &Frame, geometry: &Geometry, tensor: &Tensor) -> Result<(), PrepareError> {
        if !self.writer.fits(tensor) {
            let own = self.tensor();
            let show = |tensor: &Tensor| format!("{:?} {:?}", tensor.data.element(), tensor.shape);
            return Err(PrepareError::Tensor { expected: show(&own), found: show(tensor) });
        }
        let picture = [frame.width(), frame.height()];
        let sizes = [("source picture", picture, geometry.source), ("input", self.size, geometry.input)];
        for (what, expected, found) in sizes {
            if expected != found {
                return Err(PrepareError::Geometry { what, expected, found });
            }
        }
        let Geometry { region, placed, .. } = *geometry;
        let possible = |side: i32| (1..=MAX_REGION).contains(&side);
        let near = |at: i32| (-MAX_REGION..=MAX_REGION).contains(&at);
        let sides = [region[2], region[3]].into_iter().all(possible) && placed[2] > 0 && placed[3] > 0;
        if !sides || !near(region[0]) || !near(region[1]) {
            return Err(PrepareError::Region { region, placed });
        }
        Ok(())
    }
}
