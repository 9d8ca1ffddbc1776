//! The exact upper bound of a Poisson count.

/// The largest expectation under which `count` events or fewer still have a chance of 5 %: Garwood's one-sided upper bound
/// at 95 %. 2.996 for none.
pub fn upper_bound(count: u64) -> f64 {
    let (mut low, mut high) = (0.0_f64, 10.0);
    while at_most(count, high) > 0.05 {
        high *= 2.0;
    }
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if at_most(count, middle) > 0.05 { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// The chance of `count` or fewer where `mean` are expected.
#[allow(clippy::cast_precision_loss, reason = "counts of events")]
fn at_most(count: u64, mean: f64) -> f64 {
    // Logarithms: e^-mean is 0 for a few hundred expected.
    let mut log_term = -mean;
    let mut sum = log_term.exp();
    for k in 1..=count {
        log_term += (mean / k as f64).ln();
        sum += log_term.exp();
    }
    sum
}
