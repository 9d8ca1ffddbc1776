//! Chance that is the same every time: numbers that follow from what they are about.

/// A number from two (SplitMix64's finaliser).
pub fn mix(a: u64, b: u64) -> u64 {
    let mut z = a.wrapping_add(b.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Whether something that happens `percent` times in a hundred happens to a device at an occasion.
pub fn happens(device: u64, occasion: u64, percent: u32) -> bool {
    mix(device, occasion) % 100 < u64::from(percent)
}

/// A number from 0 to 1, neither included.
pub fn uniform(device: u64, occasion: u64) -> f64 {
    let high = u32::try_from(mix(device, occasion) >> 32).unwrap_or(0);
    (f64::from(high) + 0.5) / 4_294_967_296.0
}

/// How often something happens that happens `mean` times on average (Knuth's method; for small means).
pub fn poisson(device: u64, occasion: u64, mean: f64) -> u64 {
    let (limit, mut product, mut count) = ((-mean).exp(), 1.0, 0);
    loop {
        product *= uniform(device, mix(occasion, count));
        if product <= limit || count > 10_000 {
            return count;
        }
        count += 1;
    }
}
