//! Whether the picture stands still although frames come.
//!
//! *Identical* means: every luma byte is that of the frame before. A raw sensor never gives that, its noise does. A
//! decoder does: an encoder that finds nothing worth coding in a still scene repeats the last picture until its next
//! key frame, seconds later. So three limits:
//!
//! - raw: 150 ms (`frozen_after_ms`);
//! - compressed, and the scene was changing before, or the vehicle drives: 2 s (`frozen_compressed_after_ms`). A scene
//!   that changes does not stop between two frames, and a driving camera cannot see a still scene;
//! - compressed, and the scene stood still before: 60 s (`frozen_static_after_ms`), longer than the key frame intervals
//!   in use. An encoder that hangs over an empty room is noticed that much later; that is the price of no false alarm.
//!
//! A frame with the number of the one before is no new frame, whatever it shows.

use stopline_decide::time::Nanos;
use stopline_sensors::frame::Frame;

use super::config::{GuardConfig, ms};
use super::grid::{Look, whole_signature};

/// The scene changed where the mean luma of the lattice's rows and columns moved by this much, in 1/16 grey level.
const CHANGE: u32 = 4;
/// How long before the pictures became identical a change counts.
const LIVELY: Nanos = Nanos::from_millis(3000);

/// Watches for identical pictures.
pub struct FrozenGuard {
    raw: bool,
    limits: [Nanos; 3],
    period: Nanos,
    last: Option<Last>,
    /// When the scene was last seen to change.
    changed: Option<Nanos>,
    driving: bool,
    frozen: bool,
}

struct Last {
    signature: u64,
    /// Of the whole picture, once it was needed.
    whole: Option<u64>,
    /// Since when this very picture is shown.
    since: Nanos,
    rows: [u16; super::grid::DOWN],
}

impl FrozenGuard {
    /// By `config`; `raw` as the camera is, `period` from frame to frame.
    pub fn new(config: &GuardConfig, raw: bool, period: Option<Nanos>) -> Self {
        let limits =
            [config.frozen_after_ms, config.frozen_compressed_after_ms, config.frozen_static_after_ms]
                .map(ms);
        Self {
            raw,
            limits,
            period: period.unwrap_or_default(),
            last: None,
            changed: None,
            driving: false,
            frozen: false,
        }
    }

    /// Whether the vehicle drives: then no scene stands still.
    pub fn drives(&mut self, driving: bool) {
        self.driving = driving;
    }

    /// Begins anew: the source was opened again.
    pub fn restart(&mut self) {
        self.last = None;
        self.frozen = false;
    }

    /// A new frame and the look at it. Whether the picture is frozen.
    pub fn look(&mut self, look: &Look, frame: &Frame, now: Nanos) -> bool {
        let Some(last) = &mut self.last else {
            self.last = Some(Last { signature: look.signature, whole: None, since: now, rows: look.rows });
            return false;
        };
        let same_look = last.signature == look.signature;
        // Costs a pass over the picture, so only where there is a suspicion.
        let whole = same_look.then(|| whole_signature(frame));
        let identical = same_look && last.whole.is_none_or(|before| Some(before) == whole);
        last.whole = whole;
        if identical {
            return self.repeated(now);
        }
        if differs(&last.rows, &look.rows) {
            self.changed = Some(now);
        }
        last.rows = look.rows;
        last.signature = look.signature;
        last.since = now;
        self.frozen = false;
        false
    }

    /// A frame that is no new one. Whether the picture is frozen.
    pub fn repeated(&mut self, now: Nanos) -> bool {
        if let Some(last) = &self.last {
            // The picture on show may be looked at until the next would come: said before the limit, not after.
            self.frozen = now.since(last.since).plus(self.period) > self.limit(last.since);
        }
        self.frozen
    }

    /// Whether the picture is frozen.
    pub const fn frozen(&self) -> bool {
        self.frozen
    }

    fn limit(&self, since: Nanos) -> Nanos {
        let [raw, lively, still] = self.limits;
        let was_changing = self.changed.is_some_and(|changed| since.since(changed) <= LIVELY);
        match (self.raw, was_changing || self.driving) {
            (true, _) => raw,
            (false, true) => lively,
            (false, false) => still,
        }
    }
}

fn differs(before: &[u16], now: &[u16]) -> bool {
    let moved: u32 = before.iter().zip(now).map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
    moved > CHANGE * u32::try_from(now.len()).unwrap_or(1)
}

#[cfg(test)]
mod tests;
