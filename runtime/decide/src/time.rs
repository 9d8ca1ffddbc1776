//! Monotonic time, as a number that comes in from outside.

/// Nanoseconds on the monotonic clock that frames are stamped with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nanos(pub u64);

impl Nanos {
    /// From milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// Nanoseconds passed since `earlier`; zero where `earlier` is later.
    pub const fn since(self, earlier: Self) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }

    /// This moment moved on by `by`; stays at the largest value instead of wrapping.
    pub const fn plus(self, by: Self) -> Self {
        Self(self.0.saturating_add(by.0))
    }

    /// In seconds. For differences: single precision keeps seven digits.
    #[allow(clippy::cast_precision_loss, reason = "differences are short")]
    pub const fn seconds(self) -> f32 {
        self.0 as f32 * 1e-9
    }
}
