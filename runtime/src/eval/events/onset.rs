//! Brake onset by Euro NCAP (AEB protocols, C2C 4.3.1): *T_AEB is when the filtered acceleration falls below −1 m/s²,
//! traced back to where it first crossed −0.3 m/s²*. The filter is a 12-pole phaseless Butterworth of 10 Hz: six poles
//! forwards, six backwards.

/// Samples per second that the signal is brought to before it is filtered.
const RATE: f64 = 100.0;
/// The filter's cut-off, in hertz.
const CUT_OFF: f64 = 10.0;
/// Below this rate, in hertz, there is nothing above the cut-off to filter.
const LEAST_RATE: f64 = 25.0;
/// The least acceleration and where it is traced back to, in m/s².
const BRAKES: f64 = -1.0;
const BEGINS: f64 = -0.3;
/// A hole in the signal above which what follows is another drive, in seconds.
const HOLE: f64 = 0.5;

/// When brakes began, in the times of `samples` (rising seconds, m/s²). `None` where there is no signal.
pub fn brake_onset(samples: &[(f64, f64)]) -> Option<Vec<f64>> {
    if samples.len() < 2 {
        return None;
    }
    let mut onsets = Vec::new();
    let mut begin = 0;
    for at in 1..=samples.len() {
        let ends = at == samples.len() || samples[at].0 - samples[at - 1].0 > HOLE;
        if ends {
            within(&samples[begin..at], &mut onsets);
            begin = at;
        }
    }
    Some(onsets)
}

fn within(samples: &[(f64, f64)], onsets: &mut Vec<f64>) {
    let [(first, _), .., (last, _)] = samples else { return };
    #[allow(clippy::cast_precision_loss, reason = "a count of samples")]
    let rate = (samples.len() - 1) as f64 / (last - first).max(1e-9);
    let (times, values): (Vec<f64>, Vec<f64>) = if rate < LEAST_RATE {
        samples.iter().copied().unzip()
    } else {
        let (times, values) = evenly(samples, *first, *last);
        (times, phaseless(&values))
    };
    let mut at = 0;
    while at < values.len() {
        if values[at] < BRAKES {
            onsets.push(traced_back(&times, &values, at));
            // The next brake begins after this one has ended.
            while at < values.len() && values[at] < BEGINS {
                at += 1;
            }
        }
        at += 1;
    }
}

/// Where the acceleration crossed −0.3 m/s² on its way to the sample `at`, between samples interpolated.
fn traced_back(times: &[f64], values: &[f64], at: usize) -> f64 {
    let Some(before) = values[..at].iter().rposition(|value| *value >= BEGINS) else { return times[0] };
    let (a, b) = (values[before], values[before + 1]);
    times[before] + (times[before + 1] - times[before]) * (BEGINS - a) / (b - a)
}

/// Samples at even times, interpolated.
fn evenly(samples: &[(f64, f64)], first: f64, last: f64) -> (Vec<f64>, Vec<f64>) {
    let mut next = 1;
    let mut out = (Vec::new(), Vec::new());
    for step in 0_u32.. {
        let time = first + f64::from(step) / RATE;
        if time > last {
            break;
        }
        while next + 1 < samples.len() && samples[next].0 < time {
            next += 1;
        }
        let ((t0, v0), (t1, v1)) = (samples[next - 1], samples[next]);
        let share = if t1 > t0 { ((time - t0) / (t1 - t0)).clamp(0.0, 1.0) } else { 1.0 };
        out.0.push(time);
        out.1.push(v0 + (v1 - v0) * share);
    }
    out
}

/// The filter forwards and backwards; the ends are led on by their mirror image, so that they neither ring nor lean on
/// one sample of a shake.
fn phaseless(values: &[f64]) -> Vec<f64> {
    let padding = values.len().min(100);
    let mut padded: Vec<f64> = values[..padding].iter().rev().copied().collect();
    padded.extend_from_slice(values);
    padded.extend(values[values.len() - padding..].iter().rev());
    for _ in 0..2 {
        sections().iter().for_each(|section| section.run(&mut padded));
        padded.reverse();
    }
    padded[padding..padding + values.len()].to_vec()
}

/// A second-order section, direct form 2 transposed.
struct Section {
    b: [f64; 3],
    a: [f64; 2],
}

impl Section {
    /// Filters in place, as if the first value had stood for ever.
    fn run(&self, values: &mut [f64]) {
        let first = values.first().copied().unwrap_or_default();
        let (mut s1, mut s2) = (first * (1.0 - self.b[0]), first * (self.b[2] - self.a[1]));
        for value in values {
            let x = *value;
            let y = self.b[0] * x + s1;
            s1 = self.b[1] * x - self.a[0] * y + s2;
            s2 = self.b[2] * x - self.a[1] * y;
            *value = y;
        }
    }
}

/// A Butterworth low-pass of six poles by the bilinear transform, in three sections.
fn sections() -> [Section; 3] {
    let warped = (std::f64::consts::PI * CUT_OFF / RATE).tan();
    let squared = warped * warped;
    [1.0_f64, 3.0, 5.0].map(|pole| {
        let damping = 2.0 * (std::f64::consts::PI * pole / 12.0).sin();
        let norm = 1.0 + damping * warped + squared;
        let b = squared / norm;
        Section {
            b: [b, 2.0 * b, b],
            a: [2.0 * (squared - 1.0) / norm, (1.0 - damping * warped + squared) / norm],
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cruises until 2 s, then ramps with `jerk` to `deceleration`, at `rate` samples a second, with a 30 Hz shake.
    fn brake(rate: f64, jerk: f64, deceleration: f64, shake: f64) -> Vec<(f64, f64)> {
        (0..(5.0 * rate) as u32)
            .map(|at| {
                let time = f64::from(at) / rate;
                let value = -((time - 2.0).max(0.0) * jerk).min(deceleration);
                (time, value + shake * (std::f64::consts::TAU * 30.0 * time).sin())
            })
            .collect()
    }

    #[test]
    fn a_ramp_begins_where_it_crosses_three_tenths() {
        for (rate, shake) in [(100.0, 0.0), (1000.0, 0.8), (30.0, 0.0), (10.0, 0.0)] {
            let onsets = brake_onset(&brake(rate, 10.0, 5.0, shake)).expect("a signal");
            assert_eq!(onsets.len(), 1, "{rate}");
            assert!((onsets[0] - 2.03).abs() < 0.02, "{rate}: {onsets:?}");
        }
    }

    #[test]
    fn a_touch_of_the_brake_and_a_rough_road_are_no_onset() {
        assert_eq!(brake_onset(&brake(100.0, 10.0, 0.9, 0.0)), Some(vec![]));
        assert_eq!(brake_onset(&brake(200.0, 0.0, 0.0, 3.0)), Some(vec![]));
        assert_eq!(brake_onset(&[]), None);
    }

    #[test]
    fn two_brakes_and_two_drives_are_told_apart() {
        let mut samples = brake(100.0, 10.0, 4.0, 0.0);
        samples.extend(brake(100.0, 20.0, 4.0, 0.0).into_iter().map(|(time, value)| (time + 60.0, value)));
        let onsets = brake_onset(&samples).expect("a signal");
        assert_eq!(onsets.len(), 2);
        assert!((onsets[1] - 62.015).abs() < 0.02, "{onsets:?}");
    }

    #[test]
    fn the_filter_passes_what_is_slow_and_halves_power_twice_at_its_cut_off() {
        let gain = |hertz: f64| {
            let wave: Vec<f64> =
                (0..2000).map(|at| (std::f64::consts::TAU * hertz * f64::from(at) / RATE).sin()).collect();
            let most =
                |wave: &[f64]| wave[500..1500].iter().fold(0.0_f64, |most, value| most.max(value.abs()));
            most(&phaseless(&wave)) / most(&wave)
        };
        assert!((gain(1.0) - 1.0).abs() < 1e-3, "{}", gain(1.0));
        assert!((gain(9.99) - 0.5).abs() < 0.01, "{}", gain(9.99));
        assert!(gain(30.0) < 1e-3, "{}", gain(30.0));
    }
}
