//! Confirmation in time: the median of scores over a window, a dwell, a release, and a gap between the score that
//! confirms and the one that releases. Nothing counts frames, so 10 and 60 frames per second confirm alike, within one
//! frame's period.

use heapless::Deque;

use crate::bounds::{OutOfBounds, Section};
use crate::time::Nanos;

/// Most scores kept. Above `SCORES / window` frames per second the window is shorter than configured; the dwell is not.
pub const SCORES: usize = 32;

/// When something is believed. Scores are 0 to 1; a frame in which the object was missed counts as 0, so the median says
/// in which half of the frames it was seen how surely.
///
/// In a file all five are given, or none: each function has defaults of its own, and some of one with some of another
/// would be neither.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct ConfirmConfig {
    /// Length of the window that the median is taken over, in ms.
    pub window_ms: u32,
    /// How long the median must be at or above `score_on`, in ms.
    pub dwell_ms: u32,
    /// How long it must be below `score_off` before the object is no longer believed, in ms.
    pub release_ms: u32,
    /// Median that begins to confirm.
    pub score_on: f32,
    /// Median below which it begins to release; not above `score_on`.
    pub score_off: f32,
}

impl Default for ConfirmConfig {
    /// 300 ms window, 200 ms dwell, 300 ms release, on at 0.40, off below 0.25.
    fn default() -> Self {
        Self { window_ms: 300, dwell_ms: 200, release_ms: 300, score_on: 0.40, score_off: 0.25 }
    }
}

impl ConfirmConfig {
    /// Whether all settings lie within their bounds.
    ///
    /// # Errors
    /// The first that does not.
    pub fn check(&self, section: &'static str) -> Result<(), OutOfBounds> {
        let section = Section(section);
        section.holds_whole("window_ms", self.window_ms, 50, 2_000)?;
        section.holds_whole("dwell_ms", self.dwell_ms, 0, 60_000)?;
        section.holds_whole("release_ms", self.release_ms, 0, 60_000)?;
        section.holds("score_on", self.score_on, 0.05, 1.0)?;
        section.holds("score_off", self.score_off, 0.01, self.score_on)
    }

    /// The window.
    pub fn window(&self) -> Nanos {
        Nanos::from_millis(u64::from(self.window_ms))
    }
}

/// The newest scores of a track, 0 for each frame it was missed in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scores {
    /// Microseconds, of which 71 minutes are kept: a track lives by far shorter without a frame.
    samples: Deque<(u32, f32), SCORES>,
}

impl Scores {
    /// Notes the score of the frame taken at `at`; the oldest one goes when there is no room.
    pub fn push(&mut self, at: Nanos, score: f32) {
        if self.samples.is_full() {
            self.samples.pop_front();
        }
        // Room was made.
        let _ = self.samples.push_back((micros(at), score));
    }

    /// Median of the scores not older than `window`; 0 where there is none.
    pub fn median(&self, now: Nanos, window: Nanos) -> f32 {
        let mut sorted = [0.0_f32; SCORES];
        let mut count = 0;
        let (now, window) = (micros(now), micros(window));
        for (_, score) in self.samples.iter().filter(|(at, _)| now.wrapping_sub(*at) <= window) {
            let mut place = count;
            while place > 0 && sorted[place - 1] > *score {
                sorted[place] = sorted[place - 1];
                place -= 1;
            }
            sorted[place] = *score;
            count += 1;
        }
        match count {
            0 => 0.0,
            odd if odd % 2 == 1 => sorted[odd / 2],
            even => 0.5 * (sorted[even / 2 - 1] + sorted[even / 2]),
        }
    }
}

/// The lower 32 bits.
#[allow(clippy::cast_possible_truncation, reason = "differences are what is asked for")]
fn micros(time: Nanos) -> u32 {
    (time.0 / 1_000) as u32
}

/// Whether one object is believed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Confirmation {
    above_since: Option<Nanos>,
    below_since: Option<Nanos>,
    believed: bool,
}

impl Confirmation {
    /// Takes in the median at `now` and says whether the object is believed.
    pub fn update(&mut self, config: &ConfirmConfig, now: Nanos, median: f32) -> bool {
        if median >= config.score_on {
            let since = *self.above_since.get_or_insert(now);
            self.below_since = None;
            self.believed |= now.since(since) >= Nanos::from_millis(u64::from(config.dwell_ms));
        } else if median < config.score_off {
            self.above_since = None;
            let since = *self.below_since.get_or_insert(now);
            self.believed &= now.since(since) < Nanos::from_millis(u64::from(config.release_ms));
        } else {
            // Between the two: neither begins, neither is forgotten.
            self.below_since = None;
            if !self.believed {
                self.above_since = None;
            }
        }
        self.believed
    }

    /// Whether it is believed, as of the last update.
    pub fn is_believed(&self) -> bool {
        self.believed
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn confirmed_after_ms(fps: f64, offset_ms: f64, config: &ConfirmConfig, score: f32) -> Option<f64> {
        let (mut scores, mut confirmation) = (Scores::default(), Confirmation::default());
        for frame in 0..2_000 {
            let at = offset_ms + f64::from(frame) * 1_000.0 / fps;
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few seconds")]
            let now = Nanos((at * 1e6) as u64);
            scores.push(now, score);
            if confirmation.update(config, now, scores.median(now, config.window())) {
                return Some(at - offset_ms);
            }
        }
        None
    }

    proptest! {
        #[test]
        fn every_frame_rate_confirms_at_the_same_time_within_one_period(
            dwell_ms in 0_u32..1_500, window_ms in 50_u32..1_000, offset_ms in 0.0_f64..100.0,
        ) {
            let config = ConfirmConfig { dwell_ms, window_ms, ..ConfirmConfig::default() };
            for fps in [10.0, 15.0, 30.0, 60.0] {
                let after = confirmed_after_ms(fps, offset_ms, &config, 0.8).unwrap();
                let late = after - f64::from(dwell_ms);
                prop_assert!((-1e-3..=1_000.0 / fps + 1e-3).contains(&late), "{fps} fps: {after} ms");
            }
        }

        #[test]
        fn the_median_lies_among_the_scores(scores in proptest::collection::vec(0.0_f32..1.0, 1..100)) {
            let mut kept = Scores::default();
            for (at, score) in (0_u64..).zip(&scores) {
                kept.push(Nanos::from_millis(at), *score);
            }
            let newest = &scores[scores.len().saturating_sub(SCORES)..];
            let median = kept.median(Nanos::from_millis(99), Nanos::from_millis(1_000));
            let below = newest.iter().filter(|score| **score <= median).count();
            let above = newest.iter().filter(|score| **score >= median).count();
            prop_assert!(2 * below >= newest.len() && 2 * above >= newest.len());
        }
    }

    #[test]
    fn too_low_a_score_never_confirms() {
        assert_eq!(confirmed_after_ms(30.0, 0.0, &ConfirmConfig::default(), 0.39), None);
    }

    #[test]
    fn a_short_gap_does_not_release_and_a_long_one_does() {
        let config = ConfirmConfig::default();
        let mut confirmation = Confirmation::default();
        for at in 0..=20 {
            confirmation.update(&config, Nanos::from_millis(at * 10), 0.8);
        }
        assert!(confirmation.is_believed());
        for at in 21..=40 {
            assert!(confirmation.update(&config, Nanos::from_millis(at * 10), 0.0), "at {at}0 ms");
        }
        assert!(confirmation.update(&config, Nanos::from_millis(410), 0.3), "between off and on it stays");
        for at in 42..=71 {
            assert!(confirmation.update(&config, Nanos::from_millis(at * 10), 0.0), "at {at}0 ms");
        }
        assert!(!confirmation.update(&config, Nanos::from_millis(720), 0.0));
    }

    #[test]
    fn a_score_that_only_peeks_over_the_limit_begins_anew() {
        let config = ConfirmConfig::default();
        let mut confirmation = Confirmation::default();
        for at in 0..100_u64 {
            let median = if at % 10 == 9 { 0.3 } else { 0.5 };
            assert!(!confirmation.update(&config, Nanos::from_millis(at * 20), median));
        }
    }

    #[test]
    fn an_empty_window_has_no_median() {
        let mut scores = Scores::default();
        assert_eq!(scores.median(Nanos(5), Nanos(1)), 0.0);
        scores.push(Nanos(1), 0.5);
        assert_eq!(scores.median(Nanos::from_millis(900), Nanos::from_millis(100)), 0.0);
    }

    #[test]
    fn settings_out_of_bounds_are_named() {
        let config = ConfirmConfig { window_ms: 5, ..ConfirmConfig::default() };
        let error = config.check("stop_sign.confirm").unwrap_err();
        assert_eq!(std::format!("{error}"), "[stop_sign.confirm] window_ms = 5: expected 50 to 2000");
        let config = ConfirmConfig { score_off: 0.9, ..ConfirmConfig::default() };
        assert_eq!(config.check("x").unwrap_err().key, "score_off");
    }
}
