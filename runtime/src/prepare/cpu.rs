//! The one place of this crate with unsafe code: the hot loops compiled a second time for processors with AVX2.
#![allow(unsafe_code)]

use super::rows::Rows;

/// Runs `rows` with the widest vectors that this processor has.
///
/// Why: the loops are plain and vectorise, but a program for every x86-64 processor may only use the instructions of SSE2.
/// With AVX2 a 720p YUYV frame takes 0.49 ms instead of 2.19 (README, "Prepare"). ARM's NEON is part of its target.
pub(super) fn widest(rows: Rows<'_>) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has just said that it has AVX2; calling code compiled for it is the only unsafe thing.
        return unsafe { with_avx2(rows) };
    }
    rows.run();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn with_avx2(rows: Rows<'_>) {
    rows.run();
}
