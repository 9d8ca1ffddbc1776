//! Pictures of the last seconds, compressed, in memory. Bounded by time and bytes; what is to be written is let go last.

use std::collections::VecDeque;
use std::time::Duration;

use stopline_depot::record::DecisionRecord;
use stopline_depot::spool::Reason;
use stopline_sensors::clock::Monotonic;

/// A picture in memory.
#[derive(Debug)]
pub struct Held {
    /// The camera's number.
    pub camera: usize,
    /// Its frame's number.
    pub sequence: u64,
    /// When it was taken.
    pub at: Monotonic,
    /// The side-car's first part.
    pub record: DecisionRecord,
    /// How its frame lay in memory.
    pub pixel_format: &'static str,
    /// The picture, not redacted.
    pub jpeg: Vec<u8>,
    /// Pixels of the picture for each of the source.
    pub scale: f32,
    /// The rule's place and why, where it is to be written.
    pub taken: Option<(usize, Reason)>,
}

/// The ring of all cameras.
#[derive(Debug)]
pub struct Ring {
    held: VecDeque<Held>,
    bytes: u64,
    most_bytes: u64,
    span: Duration,
}

impl Ring {
    /// An empty one.
    pub fn new(span: Duration, most_bytes: u64) -> Self {
        Self { held: VecDeque::new(), bytes: 0, most_bytes, span }
    }

    /// Takes a picture in; `false` where all there is waits to be written.
    pub fn push(&mut self, held: Held) -> bool {
        let now = held.at;
        let length = held.jpeg.len() as u64;
        let span = self.span;
        self.let_go(|old| now.since(old.at) > span);
        while self.bytes.saturating_add(length) > self.most_bytes {
            let Some(at) = self.held.iter().position(|old| old.taken.is_none()) else { return false };
            self.remove(at);
        }
        self.bytes += length;
        self.held.push_back(held);
        true
    }

    /// Pictures of a camera, oldest first.
    pub fn of(&mut self, camera: usize) -> impl Iterator<Item = &mut Held> {
        self.held.iter_mut().filter(move |held| held.camera == camera)
    }

    /// The picture of a camera nearest to a moment, within `reach`.
    pub fn nearest(&mut self, camera: usize, at: Monotonic, reach: Duration) -> Option<&mut Held> {
        let away = |held: &Held| held.at.since(at).max(at.since(held.at));
        self.of(camera).filter(|held| away(held) <= reach).min_by_key(|held| away(held))
    }

    /// Takes out the oldest that is to be written and was taken before `until`.
    pub fn due(&mut self, until: Monotonic) -> Option<Held> {
        let at = self.held.iter().position(|held| held.taken.is_some() && held.at <= until)?;
        self.remove(at)
    }

    /// Bytes held.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    fn let_go(&mut self, old: impl Fn(&Held) -> bool) {
        while let Some(at) = self.held.iter().position(|held| held.taken.is_none() && old(held)) {
            self.remove(at);
        }
    }

    fn remove(&mut self, at: usize) -> Option<Held> {
        let held = self.held.remove(at)?;
        self.bytes = self.bytes.saturating_sub(held.jpeg.len() as u64);
        Some(held)
    }
}
