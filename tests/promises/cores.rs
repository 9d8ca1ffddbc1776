//! The processor's cores, for what measures on one of them.

use rustix::thread::{CpuSet, sched_getaffinity};

/// Those this thread may use, in order.
pub fn cores() -> Vec<usize> {
    let allowed = sched_getaffinity(None).unwrap();
    (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect()
}

/// The last of them.
pub fn last() -> usize {
    *cores().last().unwrap()
}

/// One core alone.
pub fn only(core: usize) -> CpuSet {
    let mut only = CpuSet::new();
    only.set(core);
    only
}
