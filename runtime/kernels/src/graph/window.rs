//! Windows and the sizes that they make.

use super::{GraphError, mismatch};

/// How a window slides over a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Rows and columns of the window.
    pub size: [usize; 2],
    /// Rows and columns from a window to the next; at least 1.
    pub stride: [usize; 2],
    /// Rows and columns from a tap to the next; at least 1.
    pub dilation: [usize; 2],
    /// Padding above, left, below, right.
    pub pads: [usize; 4],
}

impl Window {
    /// A square window of `size` that moves by `stride`, padded by `pad` on every side.
    pub fn square(size: usize, stride: usize, pad: usize) -> Self {
        Self { size: [size; 2], stride: [stride; 2], dilation: [1; 2], pads: [pad; 4] }
    }

    /// [`Self::over`] for windows of which each must hold a number: with taps apart, all could fall on padding.
    pub(super) fn pooling(&self, height: usize, width: usize) -> Result<(usize, usize), GraphError> {
        if self.dilation != [1, 1] {
            return mismatch("dilation of a pool", "1", format!("{:?}", self.dilation));
        }
        self.over(height, width)
    }

    /// Rows and columns of the result over a map of this size.
    pub(super) fn over(&self, height: usize, width: usize) -> Result<(usize, usize), GraphError> {
        for value in self.size.iter().chain(&self.stride).chain(&self.dilation) {
            if *value == 0 || *value > 64 {
                return mismatch("window's size, stride or dilation", "1 to 64", value);
            }
        }
        let axis = |length: usize, at: usize| {
            let spread = (self.size[at] - 1) * self.dilation[at] + 1;
            let (before, after) = (self.pads[at], self.pads[at + 2]);
            if before >= spread || after >= spread {
                return mismatch("padding", format!("below the window's {spread}"), before.max(after));
            }
            match (length + before + after).checked_sub(spread) {
                Some(room) => Ok(room / self.stride[at] + 1),
                None => mismatch("padded side", format!("at least the window's {spread}"), length),
            }
        };
        Ok((axis(height, 0)?, axis(width, 1)?))
    }
}
