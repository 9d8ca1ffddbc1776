//! How a picture must be turned to stand upright, and the turning.

/// The eight ways a picture can lie, as EXIF counts them and as a recording's matrix describes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Orientation {
    /// Columns become rows.
    transposed: bool,
    /// Right and left of the stored picture change places.
    flipped_x: bool,
    /// Top and bottom of the stored picture change places.
    flipped_y: bool,
}

impl Orientation {
    /// From the value of the EXIF tag `Orientation` (TIFF 6.0, tag 0x0112): 1 to 8; anything else counts as upright.
    pub fn from_exif(value: u16) -> Self {
        let (transposed, flipped_x, flipped_y) = match value {
            2 => (false, true, false),
            3 => (false, true, true),
            4 => (false, false, true),
            5 => (true, false, false),
            6 => (true, false, true),
            7 => (true, true, true),
            8 => (true, true, false),
            _ => (false, false, false),
        };
        Self { transposed, flipped_x, flipped_y }
    }

    /// From a track header's matrix (ISO/IEC 14496-12, 8.3.2): a stored point (x, y) is shown at (a·x + c·y, b·x + d·y).
    /// Only quarter turns and mirrorings are told apart; `None` for any other matrix.
    pub fn from_matrix([a, b, c, d]: [i32; 4]) -> Option<Self> {
        match (a, b, c, d) {
            (0, 0, 0, 0) => None,
            (a, 0, 0, d) if a != 0 && d != 0 => {
                Some(Self { transposed: false, flipped_x: a < 0, flipped_y: d < 0 })
            }
            (0, b, c, 0) if b != 0 && c != 0 => {
                Some(Self { transposed: true, flipped_x: b < 0, flipped_y: c < 0 })
            }
            _ => None,
        }
    }

    /// Whether the picture already stands upright.
    pub fn is_upright(self) -> bool {
        self == Self::default()
    }

    /// The upright picture's size, from the stored one's.
    pub fn size(self, (width, height): (u32, u32)) -> (u32, u32) {
        if self.transposed { (height, width) } else { (width, height) }
    }

    /// Writes one plane upright and without padding. `size` is the stored plane's, `pixel` the bytes of one sample.
    ///
    /// # Panics
    /// Where a slice is shorter than the sizes say; they are checked by the callers.
    pub(crate) fn place(
        self,
        stored: &[u8],
        stride: usize,
        size: (usize, usize),
        pixel: usize,
        upright: &mut [u8],
    ) {
        if self.is_upright() {
            let row = size.0 * pixel;
            for (y, target) in upright.chunks_exact_mut(row).take(size.1).enumerate() {
                target.copy_from_slice(&stored[y * stride..][..row]);
            }
            return;
        }
        self.convert(stored, stride, size, (pixel, pixel), upright, |from, to| to.copy_from_slice(from));
    }

    /// The same, each sample of `from` bytes made into one of `to` bytes by `sample` on the way.
    pub(crate) fn convert(
        self,
        stored: &[u8],
        stride: usize,
        (width, height): (usize, usize),
        (from, to): (usize, usize),
        upright: &mut [u8],
        sample: impl Fn(&[u8], &mut [u8]),
    ) {
        let (across, down) = if self.transposed { (height, width) } else { (width, height) };
        for (y, row) in upright.chunks_exact_mut(across * to).take(down).enumerate() {
            for (x, target) in row.chunks_exact_mut(to).enumerate() {
                let (u, v) = if self.transposed { (y, x) } else { (x, y) };
                let u = if self.flipped_x { width - 1 - u } else { u };
                let v = if self.flipped_y { height - 1 - v } else { v };
                sample(&stored[v * stride + u * from..][..from], target);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The picture
    /// ```text
    /// 1 2 3
    /// 4 5 6
    /// ```
    /// with one byte of padding per row.
    const STORED: [u8; 8] = [1, 2, 3, 0, 4, 5, 6, 0];

    fn turned(orientation: Orientation) -> ((u32, u32), [u8; 6]) {
        let mut upright = [0; 6];
        orientation.place(&STORED, 4, (3, 2), 1, &mut upright);
        (orientation.size((3, 2)), upright)
    }

    #[test]
    fn the_eight_exif_orientations_stand_upright() {
        let expected = [
            (1, (3, 2), [1, 2, 3, 4, 5, 6]),
            (2, (3, 2), [3, 2, 1, 6, 5, 4]),
            (3, (3, 2), [6, 5, 4, 3, 2, 1]),
            (4, (3, 2), [4, 5, 6, 1, 2, 3]),
            (5, (2, 3), [1, 4, 2, 5, 3, 6]),
            (6, (2, 3), [4, 1, 5, 2, 6, 3]),
            (7, (2, 3), [6, 3, 5, 2, 4, 1]),
            (8, (2, 3), [3, 6, 2, 5, 1, 4]),
            (9, (3, 2), [1, 2, 3, 4, 5, 6]),
        ];
        for (value, size, pixels) in expected {
            assert_eq!(turned(Orientation::from_exif(value)), (size, pixels), "orientation {value}");
        }
    }

    #[test]
    fn a_matrix_is_read_as_the_turn_it_describes() {
        const ONE: i32 = 0x1_0000;
        assert_eq!(Orientation::from_matrix([ONE, 0, 0, ONE]), Some(Orientation::from_exif(1)));
        assert_eq!(Orientation::from_matrix([0, ONE, -ONE, 0]), Some(Orientation::from_exif(6)));
        assert_eq!(Orientation::from_matrix([-ONE, 0, 0, -ONE]), Some(Orientation::from_exif(3)));
        assert_eq!(Orientation::from_matrix([0, -ONE, ONE, 0]), Some(Orientation::from_exif(8)));
        assert_eq!(Orientation::from_matrix([ONE, ONE, -ONE, ONE]), None);
        assert_eq!(Orientation::from_matrix([0; 4]), None);
    }
}
