//! Picture sizes: another one that stays is named at once.

use super::{Against, Alarm, Signal, Span};
use crate::record::WallTime;

/// Frames of another size in a row before it is told.
const FRAMES: u32 = 30;
/// And nanoseconds from the first of them.
const LASTING: u64 = 2_000_000_000;
/// Aspect ratios further apart than this differ.
const ASPECT: f64 = 0.02;
/// Sides that differ by more than this factor from all that was trained on are told.
const SCALE: f64 = 1.5;

/// What sizes were seen.
#[derive(Default)]
pub struct Sizes {
    usual: Option<[u32; 2]>,
    other: Option<Other>,
}

struct Other {
    size: [u32; 2],
    frames: u32,
    since: u64,
}

impl Sizes {
    /// Goes on from a size that is the usual one.
    pub fn from_usual(usual: Option<[u32; 2]>) -> Self {
        Self { usual, other: None }
    }

    /// The size that lasts.
    pub fn usual(&self) -> Option<[u32; 2]> {
        self.usual
    }

    /// A frame of this size at this moment of capture; `trained` are the manifest's.
    pub fn see(&mut self, size: [u32; 2], now: u64, at: WallTime, trained: &[[u32; 2]]) -> Vec<Alarm> {
        if self.usual == Some(size) || size.contains(&0) {
            self.other = None;
            return Vec::new();
        }
        let other = match &mut self.other {
            Some(other) if other.size == size && now >= other.since => other,
            other => other.insert(Other { size, frames: 0, since: now }),
        };
        other.frames += 1;
        if other.frames < FRAMES || now - other.since < LASTING {
            return Vec::new();
        }
        self.other = None;
        let before = self.usual.replace(size);
        let past = before.map(|before| alarm(before, size, Against::Past, at));
        past.into_iter()
            .chain(unlike(size, trained).map(|near| alarm(near, size, Against::Training, at)))
            .collect()
    }
}

/// The nearest size trained on, where even that one is far.
fn unlike(size: [u32; 2], trained: &[[u32; 2]]) -> Option<[u32; 2]> {
    let far = |from: &[u32; 2]| {
        let scale = f64::from(size[1]) / f64::from(from[1].max(1));
        let scale = scale.max(1.0 / scale);
        if other_aspect(*from, size) { scale * 100.0 } else { scale }
    };
    let near = trained.iter().min_by(|a, b| far(a).total_cmp(&far(b)))?;
    (far(near) > SCALE).then_some(*near)
}

fn other_aspect(one: [u32; 2], other: [u32; 2]) -> bool {
    let aspect = |size: [u32; 2]| f64::from(size[0]) / f64::from(size[1].max(1));
    (aspect(one) / aspect(other) - 1.0).abs() > ASPECT
}

fn alarm(before: [u32; 2], size: [u32; 2], against: Against, at: WallTime) -> Alarm {
    let words = |size: [u32; 2]| format!("{}x{}", size[0], size[1]);
    Alarm {
        signal: if other_aspect(before, size) { Signal::Aspect } else { Signal::Resolution },
        against,
        span: Span::Frames,
        at,
        expected: words(before),
        found: words(size),
        statistic: 0.0,
        threshold: 0.0,
    }
}
