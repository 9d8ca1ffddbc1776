//! One model's health on one camera: whether it answers, in time, with numbers that can be.

use std::sync::Arc;

use stopline_decide::cause::{Cause, FaultSet};
use stopline_decide::time::Nanos;

use super::config::{GuardConfig, ms};
use super::confirm::Confirmed;
use super::pulse::{Pulse, Watch};

/// Watches one model. Owned by its inference thread; others read its [`Watch`].
pub struct ModelGuard {
    budget: Nanos,
    slow: Confirmed,
    invalid: Confirmed,
    pulse: Arc<Pulse>,
    watch: Watch,
}

impl ModelGuard {
    /// By `config`. `period` is how often the camera's frames come: a camera of 5 frames a second gives its model 200 ms
    /// before it is slow, and 2.5 periods before it is stalled.
    pub fn new(config: &GuardConfig, period: Option<Nanos>, now: Nanos) -> Self {
        let pulse = Pulse::new(now);
        let periods = Nanos(period.map_or(0, |period| period.0.saturating_mul(5) / 2));
        let watch = Watch::of_model(&pulse, ms(config.stalled_after_ms).max(periods));
        let confirm = ms(config.slow_confirm_ms);
        Self {
            budget: ms(config.latency_budget_ms).max(period.unwrap_or_default()),
            slow: Confirmed::new(confirm, confirm),
            invalid: Confirmed::new(ms(config.invalid_confirm_ms), ms(config.recover_ms)),
            pulse,
            watch,
        }
    }

    /// The model is given a frame.
    pub fn begin(&self, now: Nanos) {
        self.pulse.beat(now);
    }

    /// It has answered a frame taken at `captured`; `valid` where its numbers can be.
    pub fn done(&mut self, captured: Nanos, now: Nanos, valid: bool) -> FaultSet {
        self.pulse.rest();
        let mut faults = FaultSet::default();
        if self.slow.update(now, now.since(captured) > self.budget) {
            faults = faults.with(Cause::InferenceSlow);
        }
        if self.invalid.update(now, !valid) {
            faults = faults.with(Cause::OutputInvalid);
        }
        self.pulse.publish(faults);
        faults
    }

    /// The model is given no frames at present (its conditions do not hold): what was wrong with it concerns nobody.
    pub fn idle(&mut self) {
        self.pulse.rest();
        self.pulse.publish(FaultSet::default());
    }

    /// What is wrong at `now`, a missing answer included.
    pub fn tick(&self, now: Nanos) -> FaultSet {
        self.watch.faults(now)
    }

    /// For the thread that acts.
    pub fn watch(&self) -> Watch {
        self.watch.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms_of(millis: u64) -> Nanos {
        Nanos::from_millis(millis)
    }

    fn guard() -> ModelGuard {
        ModelGuard::new(&GuardConfig::default(), Some(Nanos(33_333_333)), Nanos::default())
    }

    #[test]
    fn a_model_that_never_answers_is_stalled_after_a_tenth_of_a_second() {
        let mut guard = guard();
        assert!(guard.tick(ms_of(10_000)).is_empty(), "it was given nothing yet");
        guard.begin(ms_of(10_000));
        assert!(guard.tick(ms_of(10_100)).is_empty());
        let watch = guard.watch();
        assert!(watch.faults(ms_of(10_101)).has(Cause::InferenceStalled));
        guard.done(ms_of(9990), ms_of(10_200), true);
        assert!(
            watch.faults(ms_of(20_000)).is_empty(),
            "no frame, no stall: the camera's silence is the camera's"
        );
    }

    #[test]
    fn one_slow_answer_is_none_and_a_second_of_them_is_a_fault_until_they_are_fast_again() {
        let mut guard = guard();
        let mut seen = Vec::new();
        for frame in 0..150_u64 {
            let captured = ms_of(frame * 33);
            let took = if frame == 10 || (40..90).contains(&frame) { 130 } else { 40 };
            guard.begin(captured);
            if guard.done(captured, captured.plus(ms_of(took)), true).has(Cause::InferenceSlow) {
                seen.push(frame);
            }
        }
        assert_eq!((seen.first(), seen.last()), (Some(&71), Some(&120)));
    }

    #[test]
    fn a_slow_camera_gives_its_model_more_time() {
        let mut guard = ModelGuard::new(&GuardConfig::default(), Some(ms_of(200)), Nanos::default());
        guard.begin(ms_of(1000));
        assert!(guard.tick(ms_of(1500)).is_empty() && !guard.tick(ms_of(1501)).is_empty());
        for frame in 0..20 {
            let captured = ms_of(2000 + frame * 200);
            assert!(guard.done(captured, captured.plus(ms_of(190)), true).is_empty());
        }
    }

    #[test]
    fn impossible_numbers_are_a_fault_within_a_hundred_milliseconds() {
        let mut guard = guard();
        let faults = |guard: &mut ModelGuard, at: u64, valid| guard.done(ms_of(at), ms_of(at + 30), valid);
        assert!(faults(&mut guard, 0, false).is_empty(), "one frame is only thrown away");
        assert!(faults(&mut guard, 33, false).is_empty() && faults(&mut guard, 67, false).is_empty());
        assert!(faults(&mut guard, 100, false).has(Cause::OutputInvalid));
        assert!(faults(&mut guard, 133, true).has(Cause::OutputInvalid), "not yet well for long");
        assert!(faults(&mut guard, 333, true).is_empty());
    }
}
