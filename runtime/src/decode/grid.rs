//! Cells of dense heads.

use super::DecodeError;
use super::outputs::{Matrix, Part};

/// One map of cells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Level {
    /// Pixels of the input that a cell spans.
    pub stride: u32,
    /// Cells across.
    pub width: usize,
    /// Cells down.
    pub height: usize,
}

impl Level {
    /// Over an input of `input` pixels; what is left over at the right and bottom has cells too.
    pub fn new(stride: u32, input: [u32; 2]) -> Self {
        let [width, height] = input.map(|side| side.div_ceil(stride.max(1)) as usize);
        Self { stride, width, height }
    }

    /// Number of cells.
    pub fn cells(&self) -> usize {
        self.width * self.height
    }

    /// Column and row of cell `at`, counted row by row.
    #[allow(clippy::cast_precision_loss)] // cells of an input of at most 8192 pixels
    pub fn cell(&self, at: usize) -> [f32; 2] {
        [(at % self.width) as f32, (at / self.width) as f32]
    }

    /// The stride as a number of pixels.
    #[allow(clippy::cast_precision_loss)] // at most 8192 (manifest)
    pub fn pixels(&self) -> f32 {
        self.stride as f32
    }
}

/// The cells of all `strides` one after the other.
pub(super) fn levels(strides: &[u32], input: [u32; 2]) -> impl Iterator<Item = Level> + '_ {
    strides.iter().map(move |&stride| Level::new(stride, input))
}

/// Number of cells of all `strides`.
pub(super) fn cells(strides: &[u32], input: [u32; 2]) -> usize {
    levels(strides, input).map(|level| level.cells()).sum()
}

/// Refuses a matrix whose rows are not the cells of `strides`.
pub(super) fn check(
    part: &Part,
    matrix: &Matrix<'_>,
    strides: &[u32],
    input: [u32; 2],
) -> Result<(), DecodeError> {
    let cells = cells(strides, input);
    if matrix.rows == cells {
        return Ok(());
    }
    let [w, h] = input;
    Err(part.misfit(
        format!("{cells} rows: the cells of strides {strides:?} on an input of {w}×{h}"),
        format!("{} rows", matrix.rows),
        "check decode.strides, input.width and input.height".into(),
    ))
}

/// Refuses, where it is known already, a number of rows that cannot be the cells of `strides` on the manifest's input.
pub(super) fn check_known(
    part: &Part,
    rows: Option<usize>,
    strides: &[u32],
    input: &stopline_depot::manifest::Input,
) -> Result<(), DecodeError> {
    let (Some(rows), false) = (rows, input.rectangle) else { return Ok(()) };
    let matrix = Matrix { data: &[], rows, columns: 0, order: super::outputs::Order::Rows };
    check(part, &matrix, strides, [input.width, input.height])
}
