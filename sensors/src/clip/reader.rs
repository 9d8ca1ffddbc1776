//! What the kinds of recording have in common.

use std::time::Duration;

use crate::frame::{Buffer, BufferPool, Colour, PixelFormat};
use crate::source::SourceError;

/// One kind of recording: gives its pictures in the order they are shown.
pub(super) trait Reader: Send {
    /// What the headers say.
    fn facts(&self) -> &Facts;

    /// The next picture.
    ///
    /// # Errors
    /// Where nothing further can be read; one unreadable picture is a [`Read::Skipped`].
    fn read(&mut self, pool: &BufferPool) -> Result<Read, SourceError>;

    /// Goes to the last place at or before `position` from which pictures can be read; pictures shown before it may
    /// come first.
    ///
    /// # Errors
    /// Where the file cannot be read there.
    fn seek(&mut self, position: Duration) -> Result<(), SourceError>;
}

/// What a recording's headers say.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// Pixels across and down, upright.
    pub(super) size: (u32, u32),
    /// Nominal time from picture to picture.
    pub(super) period: Option<Duration>,
    /// How many pictures.
    pub(super) frames: Option<u64>,
    /// From the first picture to the end of the last.
    pub(super) duration: Option<Duration>,
}

/// What reading gave.
pub(super) enum Read {
    /// A picture.
    Picture(Picture),
    /// A picture that cannot be used.
    Skipped(SourceError),
    /// There are no more.
    End,
}

/// A decoded picture: planes without padding, and when it is shown.
pub(super) struct Picture {
    /// From the first picture of the recording.
    pub(super) position: Duration,
    pub(super) format: PixelFormat,
    pub(super) colour: Colour,
    pub(super) size: (u32, u32),
    pub(super) buffer: Buffer,
    /// Copies since the decoder wrote the pixels.
    pub(super) copies: u8,
}

/// `units` of `1/per_second` s as a duration; units below zero count as zero.
pub(super) fn duration(units: i128, per_second: u64) -> Duration {
    let nanos = units.max(0).saturating_mul(1_000_000_000) / i128::from(per_second.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}
