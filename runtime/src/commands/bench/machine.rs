//! What the machine is asked: to stay on one core, and how much memory was used at most.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Why a core cannot be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum PinError {
    /// There is no such core, or we may not use it.
    #[error("--core {core}: not one of the cores this process may use ({allowed})")]
    NotAllowed {
        /// The core asked for.
        core: usize,
        /// Those there are.
        allowed: String,
    },
    /// The kernel refused.
    #[error("--core {core}: the kernel refused to keep us there: {cause}")]
    Refused {
        /// The core asked for.
        core: usize,
        /// What it said.
        cause: rustix::io::Errno,
    },
}

/// Keeps this thread, and those it starts from now on, on `core`.
pub(super) fn pin(core: usize) -> Result<(), PinError> {
    let allowed = sched_getaffinity(None).map_err(|cause| PinError::Refused { core, cause })?;
    if core >= CpuSet::MAX_CPU || !allowed.is_set(core) {
        let cores = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core)).map(|core| core.to_string());
        return Err(PinError::NotAllowed { core, allowed: cores.collect::<Vec<_>>().join(", ") });
    }
    let mut only = CpuSet::new();
    only.set(core);
    sched_setaffinity(None, &only).map_err(|cause| PinError::Refused { core, cause })
}

/// The most memory this process ever had resident, in bytes; `None` where /proc does not tell.
pub(super) fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_core_that_is_not_there_is_refused_with_those_that_are() {
        let refusal = pin(CpuSet::MAX_CPU).unwrap_err().to_string();
        assert!(refusal.starts_with(&format!("--core {}: not one of", CpuSet::MAX_CPU)), "{refusal}");
        assert!(refusal.chars().any(|c| c.is_ascii_digit()));
    }

    #[test]
    fn a_running_program_has_used_some_memory() {
        assert!(peak_memory().unwrap() > 1 << 20);
    }
}
