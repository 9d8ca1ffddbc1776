//! From recall by height to the height from which a model can be relied on. Pure arithmetic.
//!
//! A situation is believed when the median score over a window reaches a limit and stays there for a dwell
//! ([`ConfirmConfig`]); a frame in which the object is missed counts as 0. So in every window more than half of the
//! frames must find it. The probability of that follows from the recall per frame, frames taken as independent of each
//! other. That is the model's limit: an object that is missed because of what it looks like is missed in every frame.

use serde::Serialize;
use stopline_decide::confirm::{ConfirmConfig, SCORES};

/// Fewest labelled objects of a height that say anything about it.
pub const FEWEST: usize = 20;
/// One-sided 95 % of the normal distribution.
const Z: f64 = 1.645;

/// Labelled objects of some heights on the model's input, and how many were found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Heights {
    /// Least height in input pixels.
    pub from: f64,
    /// Greatest; `None`: no limit.
    pub to: Option<f64>,
    /// How many there were.
    pub labelled: usize,
    /// How many were found at the threshold.
    pub found: usize,
}

impl Heights {
    /// Share found.
    pub fn recall(&self) -> f64 {
        if self.labelled == 0 { 0.0 } else { self.found as f64 / self.labelled as f64 }
    }

    /// What the recall is at least, 95 % sure (E. B. Wilson, JASA 1927, one side).
    pub fn at_least(&self) -> f64 {
        if self.labelled == 0 {
            return 0.0;
        }
        let (n, p) = (self.labelled as f64, self.recall());
        let z2 = Z * Z;
        let middle = p + z2 / (2.0 * n);
        let reach = Z * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
        ((middle - reach) / (1.0 + z2 / n)).max(0.0)
    }

    /// The height that the figures are taken for: the middle of the bin as a ratio; of an open one a factor √2 above its
    /// edge.
    pub fn height(&self) -> f64 {
        match self.to {
            Some(to) if self.from > 0.0 => (self.from * to).sqrt(),
            Some(to) => to * std::f64::consts::FRAC_1_SQRT_2,
            None => self.from * std::f64::consts::SQRT_2,
        }
    }
}

/// Confirmation at a frame rate, in frames.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Confirming {
    /// Frames in a window.
    pub window: usize,
    /// How many of them must find the object.
    pub needed: usize,
    /// Frames of the dwell: at each, the window before it must be full enough.
    pub dwell: usize,
    /// Seconds from the first frame that shows the object well enough to its being believed, at most: window, dwell and
    /// one period.
    pub seconds: f64,
}

impl Confirming {
    /// Of `config` at `rate` frames per second.
    pub fn new(config: &ConfirmConfig, rate: f64) -> Self {
        let seconds = |ms: u32| f64::from(ms) / 1000.0;
        let (window_s, dwell_s) = (seconds(config.window_ms), seconds(config.dwell_ms));
        let window = ((window_s * rate + 1e-6).floor() as usize + 1).min(SCORES);
        // The median of an even number is the mean of the middle two: a miss there may pull it below the limit.
        let needed = window / 2 + 1;
        let dwell = (dwell_s * rate - 1e-6).ceil().max(0.0) as usize + 1;
        Self { window, needed, dwell, seconds: window_s + dwell_s + 1.0 / rate }
    }

    /// Probability, at most, that an object found with probability `recall` in each frame is *not* believed after
    /// [`Confirming::seconds`]. The better of two bounds: any one of the dwell's windows fails (each counted in full), or
    /// all frames together miss more often than one window may.
    pub fn failure(&self, recall: f64) -> f64 {
        let any = self.dwell as f64 * at_most(self.window, recall, self.needed - 1);
        let all = self.window + self.dwell - 1;
        let borne = self.window - self.needed;
        let together = at_most(all, recall, all - borne - 1);
        any.min(together).clamp(0.0, 1.0)
    }

    /// The least recall per frame with which an object is believed in time in a share `confidence` of approaches.
    pub fn needed_recall(&self, confidence: f64) -> f64 {
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..60 {
            let middle = f64::midpoint(low, high);
            if self.failure(middle) <= 1.0 - confidence { high = middle } else { low = middle }
        }
        high
    }
}

/// P(X ≤ k) for X successes in n trials of probability p.
fn at_most(n: usize, p: f64, k: usize) -> f64 {
    if k >= n {
        return 1.0;
    }
    if p >= 1.0 {
        return 0.0;
    }
    let mut term = (1.0 - p).powi(n as i32);
    let mut sum = term;
    for i in 0..k {
        term *= (n - i) as f64 / (i + 1) as f64 * p / (1.0 - p);
        sum += term;
    }
    sum.min(1.0)
}

/// The least height from which recall suffices, and what it rests on. `None`: at no measured height.
///
/// From the tallest objects downwards, as long as each bin's recall is at least `needed` (95 % sure). Tallest bins with
/// fewer than [`FEWEST`] objects are passed over: an object taller than all that were measured is taken to be no harder.
pub fn recognised_from(bins: &[Heights], needed: f64) -> Option<Heights> {
    let mut least = None;
    for bin in bins.iter().rev() {
        if bin.labelled < FEWEST {
            if least.is_some() {
                break;
            }
            continue;
        }
        if bin.at_least() < needed {
            break;
        }
        least = Some(*bin);
    }
    least
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bin(from: f64, to: f64, labelled: usize, found: usize) -> Heights {
        Heights { from, to: Some(to), labelled, found }
    }

    #[test]
    fn fifty_of_fifty_is_no_proof_of_one() {
        let all = bin(10.0, 20.0, 50, 50);
        assert_eq!(all.recall(), 1.0);
        // Wilson, z = 1.645: 50 / (50 + 2.706).
        assert!((all.at_least() - 0.9487).abs() < 1e-3, "{}", all.at_least());
        assert_eq!(bin(10.0, 20.0, 0, 0).at_least(), 0.0);
    }

    #[test]
    fn a_window_of_300_ms_at_30_fps_has_ten_frames_and_needs_six() {
        let config = ConfirmConfig::default();
        let confirming = Confirming::new(&config, 30.0);
        assert_eq!((confirming.window, confirming.needed, confirming.dwell), (10, 6, 7));
        assert!((confirming.seconds - (0.3 + 0.2 + 1.0 / 30.0)).abs() < 1e-9);
        let slow = Confirming::new(&config, 10.0);
        assert_eq!((slow.window, slow.needed, slow.dwell), (4, 3, 3));
        assert!(slow.needed_recall(0.95) > confirming.needed_recall(0.95));
    }

    #[test]
    fn the_binomial_tail_is_right() {
        // Bin(10, 0.9): P(X ≤ 5) = 0.0016349374.
        assert!((at_most(10, 0.9, 5) - 0.001_634_937_4).abs() < 1e-9);
        assert_eq!(at_most(5, 0.3, 5), 1.0);
        assert_eq!(at_most(5, 1.0, 4), 0.0);
        assert!((at_most(5, 0.0, 0) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn small_objects_that_are_missed_end_the_range_and_gaps_do_too() {
        let bins = [
            bin(8.0, 16.0, 100, 20),
            bin(16.0, 24.0, 100, 97),
            bin(24.0, 32.0, 100, 98),
            bin(32.0, 48.0, 100, 100),
            bin(48.0, 64.0, 3, 0),
        ];
        assert_eq!(recognised_from(&bins, 0.8).unwrap().from, 16.0);
        assert_eq!(recognised_from(&bins, 0.96).unwrap().from, 32.0);
        assert_eq!(recognised_from(&bins, 0.99), None);
        let mut gap = bins;
        gap[2].labelled = 5;
        gap[2].found = 5;
        assert_eq!(recognised_from(&gap, 0.8).unwrap().from, 32.0);
    }

    /// What really happens, frame by frame, with the decision's own code.
    #[test]
    fn the_bound_holds_for_the_decisions_own_confirmation() {
        use stopline_decide::confirm::{Confirmation, Scores};
        use stopline_decide::time::Nanos;
        let config = ConfirmConfig::default();
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as f64 / (1_u64 << 53) as f64
        };
        for (rate, recall) in [(30.0, 0.85), (30.0, 0.7), (10.0, 0.9), (15.0, 0.8)] {
            let confirming = Confirming::new(&config, rate);
            let (mut late, runs) = (0, 4000);
            for _ in 0..runs {
                let (mut scores, mut confirmation) = (Scores::default(), Confirmation::default());
                let mut believed = false;
                let mut frame = 0;
                while !believed && frame as f64 / rate <= confirming.seconds {
                    let now = Nanos((frame as f64 / rate * 1e9) as u64);
                    scores.push(now, if random() < recall { 0.8 } else { 0.0 });
                    believed = confirmation.update(&config, now, scores.median(now, config.window()));
                    frame += 1;
                }
                late += usize::from(!believed);
            }
            let share = late as f64 / f64::from(runs);
            assert!(
                share <= confirming.failure(recall) + 0.02,
                "{rate} fps, {recall}: {share} > {}",
                confirming.failure(recall)
            );
        }
    }

    proptest! {
        #[test]
        fn more_recall_never_confirms_worse(a in 0.0..1.0f64, b in 0.0..1.0f64, rate in 5.0..60.0f64) {
            let confirming = Confirming::new(&ConfirmConfig::default(), rate);
            let (low, high) = (a.min(b), a.max(b));
            prop_assert!(confirming.failure(high) <= confirming.failure(low) + 1e-9);
        }

        #[test]
        fn asking_for_more_never_recognises_smaller_objects(
            found in proptest::collection::vec(0_usize..=60, 8), a in 0.0..1.0f64, b in 0.0..1.0f64,
        ) {
            let bins: Vec<Heights> =
                found.iter().enumerate().map(|(i, f)| bin(8.0 * (i + 1) as f64, 8.0 * (i + 2) as f64, 60, *f)).collect();
            let height = |needed| recognised_from(&bins, needed).map_or(f64::INFINITY, |bin| bin.from);
            prop_assert!(height(a.max(b)) >= height(a.min(b)));
        }
    }
}
