//! How long stages take: counted in powers of two, with atomics, so that the loop never waits for who reads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use stopline_depot::health::StageHealth;

/// Up to 2^23 µs, 8.4 s; what takes longer is only in the count.
const POWERS: usize = 24;

/// The stages of the walk from frame to command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Stage {
    /// Capture to the begin of prepare: hand-over, guard, mailbox.
    Wait,
    /// Frame to input tensor.
    Prepare,
    /// Input tensor to output tensors.
    Infer,
    /// Output tensors to detections.
    Decode,
    /// Observations to a decision.
    Decide,
    /// Capture to decision.
    Total,
    /// One period of the actuator thread: faults, command, sending.
    Act,
}

const STAGES: [(Stage, &str); 7] = [
    (Stage::Wait, "wait"),
    (Stage::Prepare, "prepare"),
    (Stage::Infer, "infer"),
    (Stage::Decode, "decode"),
    (Stage::Decide, "decide"),
    (Stage::Total, "total"),
    (Stage::Act, "act"),
];

/// All stages' times.
#[derive(Debug, Default)]
pub struct Timings([Timing; STAGES.len()]);

#[derive(Debug, Default)]
struct Timing {
    sum_us: AtomicU64,
    max_us: AtomicU64,
    count: AtomicU64,
    powers: [AtomicU64; POWERS],
}

impl Timings {
    /// `stage` took so long.
    pub fn took(&self, stage: Stage, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let timing = &self.0[stage as usize];
        timing.sum_us.fetch_add(micros, Ordering::Relaxed);
        timing.max_us.fetch_max(micros, Ordering::Relaxed);
        timing.count.fetch_add(1, Ordering::Relaxed);
        if let Some(power) = timing.powers.get(power_of(micros)) {
            power.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// For the health file.
    pub fn health(&self) -> Vec<StageHealth> {
        STAGES.iter().zip(&self.0).map(|((_, name), timing)| timing.health(name)).collect()
    }
}

impl Timing {
    fn health(&self, name: &str) -> StageHealth {
        let mut sum = 0;
        let cumulative = |power: &AtomicU64| {
            sum += power.load(Ordering::Relaxed);
            sum
        };
        StageHealth {
            stage: name.to_owned(),
            within_power_us: self.powers.iter().map(cumulative).collect(),
            count: self.count.load(Ordering::Relaxed),
            sum_us: self.sum_us.load(Ordering::Relaxed),
            max_us: self.max_us.load(Ordering::Relaxed),
        }
    }
}

/// The least i with `micros` ≤ 2^i.
fn power_of(micros: u64) -> usize {
    micros.max(1).next_power_of_two().trailing_zeros() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_counted_up_to_the_power_of_two_above_them() {
        let timings = Timings::default();
        for micros in [0, 1, 2, 3, 1000, 20_000_000] {
            timings.took(Stage::Infer, Duration::from_micros(micros));
        }
        let all = timings.health();
        let infer = all.iter().find(|stage| stage.stage == "infer").expect("there");
        assert_eq!((infer.count, infer.max_us, infer.sum_us), (6, 20_000_000, 20_001_006));
        assert_eq!(infer.within_power_us[..4], [2, 3, 4, 4]);
        assert_eq!(
            (infer.within_power_us[9], infer.within_power_us[10], infer.within_power_us[23]),
            (4, 5, 5)
        );
        assert!(all.iter().filter(|stage| stage.stage != "infer").all(|stage| stage.count == 0));
    }
}
