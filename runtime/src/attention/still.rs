//! Whether anything has moved since a model looked: mean luma of 80 × 45 cells, held against that of the frame that was
//! looked at, not of the frame before, so that slow motion adds up.
//!
//! The cost is bounded: 230 400 samples, whatever the picture's size; nothing is allocated after the first frame. A change
//! of the light moves every cell, and is motion.

use stopline_sensors::frame::{Frame, PixelFormat};

use crate::guard::grid::{LEAST_SIDE, Luma};

/// Cells across and down.
const ACROSS: usize = 80;
const DOWN: usize = 45;
/// Samples along each side of a cell.
const SIDE: usize = 8;

/// Sums of 64 samples each.
type Cells = Box<[u16; ACROSS * DOWN]>;

/// Cells of the picture that was looked at, and of the newest.
pub struct Stillness {
    level: u16,
    least: usize,
    looked_at: Cells,
    newest: Cells,
    /// Byte of each sample on a row, for pictures of this width and format.
    places: Vec<u32>,
    of: Option<(u32, u32, PixelFormat)>,
}

impl Stillness {
    /// `level`: change of a cell's mean, in grey levels, that is motion; in at least `cells` of them.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float cast saturates")]
    pub fn new(level: f32, cells: u32) -> Self {
        Self {
            level: (level * (SIDE * SIDE) as f32) as u16,
            least: cells as usize,
            looked_at: Box::new([0; ACROSS * DOWN]),
            newest: Box::new([0; ACROSS * DOWN]),
            places: Vec::new(),
            of: None,
        }
    }

    /// Whether something has moved since [`Stillness::looked`]. Always where the picture is of another size or format than
    /// the one before, or too small to be judged.
    pub fn moved(&mut self, frame: &Frame) -> bool {
        if frame.width() < LEAST_SIDE || frame.height() < LEAST_SIDE {
            return true;
        }
        let of = Some((frame.width(), frame.height(), frame.format()));
        let another = self.of != of;
        if another {
            self.of = of;
            self.place(frame);
        }
        self.read(frame);
        let changed = self.newest.iter().zip(self.looked_at.iter());
        let changed = changed.filter(|(now, then)| now.abs_diff(**then) > self.level).count();
        another || changed >= self.least
    }

    /// The frame of the last [`Stillness::moved`] is looked at.
    pub fn looked(&mut self) {
        std::mem::swap(&mut self.looked_at, &mut self.newest);
    }

    fn place(&mut self, frame: &Frame) {
        let luma = Luma::of(frame);
        let columns = ACROSS * SIDE;
        let place = |at: usize| luma.byte_at((2 * at + 1) * frame.width() as usize / (2 * columns));
        self.places.clear();
        self.places.extend((0..columns).map(|at| u32::try_from(place(at)).unwrap_or(0)));
    }

    fn read(&mut self, frame: &Frame) {
        let luma = Luma::of(frame);
        let rows = DOWN * SIDE;
        for (cells, at) in self.newest.chunks_exact_mut(ACROSS).zip(0..) {
            cells.fill(0);
            for line in 0..SIDE {
                let y = (2 * (at * SIDE + line) + 1) * frame.height() as usize / (2 * rows);
                let row = luma.row(y);
                for (cell, places) in cells.iter_mut().zip(self.places.chunks_exact(SIDE)) {
                    // 64 bytes in all.
                    let sum = places.iter().map(|place| row.get(*place as usize).copied().unwrap_or(0));
                    *cell = sum.fold(*cell, |sum, luma| sum.wrapping_add(u16::from(luma)));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attention::tests::{noisy, picture};

    #[test]
    fn noise_is_no_motion_and_a_hand_that_moves_is() {
        let mut still = Stillness::new(4.0, 2);
        assert!(still.moved(&noisy(0, 0)), "the first picture is always looked at");
        still.looked();
        for frame in 1..20 {
            assert!(!still.moved(&noisy(frame, 0)), "frame {frame}");
        }
        assert!(still.moved(&noisy(20, 12)), "a person 12 pixels further");
    }

    #[test]
    fn slow_motion_adds_up_because_the_picture_looked_at_stays_the_measure() {
        let mut still = Stillness::new(4.0, 2);
        still.moved(&noisy(0, 0));
        still.looked();
        let first = (1..40).find(|shift| still.moved(&noisy(*shift, u32::try_from(*shift).unwrap())));
        assert!(first.is_some_and(|pixels| pixels <= 6), "{first:?}");
    }

    #[test]
    fn another_size_or_light_is_motion() {
        let mut still = Stillness::new(4.0, 2);
        still.moved(&picture([640, 360], |_, _| 100));
        still.looked();
        assert!(!still.moved(&picture([640, 360], |_, _| 100)));
        assert!(still.moved(&picture([640, 360], |_, _| 106)), "the light has changed");
        assert!(still.moved(&picture([320, 180], |_, _| 100)), "the size has");
        assert!(still.moved(&picture([32, 18], |_, _| 100)), "nothing can be said of a stamp");
    }
}
