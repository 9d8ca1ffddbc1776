//! What the machine grants: memory that stays in RAM, real-time turns, cores. What it refuses is told, never hidden: the
//! loop then runs as other programs do, and its deadlines are met only as long as the machine is idle enough.

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{Resource, getrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::config::Run;
use crate::cpu;

/// Which thread, for its share of real-time priority. Inference has none: a model that takes all of a core would starve
/// the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rank {
    /// Sends commands, or adds the vehicle's signals that the sending thread reads.
    Act,
    /// Fetches frames and judges them.
    Capture,
    /// No deadline.
    Plain,
}

/// Keeps all memory of this process in RAM, present and future, as it is touched. `locked`, `off`, or why not.
///
/// Not tried where the limit could be met later: an allocation beyond `RLIMIT_MEMLOCK` would then end the process.
pub fn lock_memory(run: &Run) -> String {
    if !run.lock_memory {
        return "off".to_owned();
    }
    if getrlimit(Resource::Memlock).current.is_some() && !rustix::process::geteuid().is_root() {
        return "not locked: RLIMIT_MEMLOCK is limited; LimitMEMLOCK=infinity in the unit allows it"
            .to_owned();
    }
    // Pages are locked when first touched: thread stacks that are never used cost nothing.
    match mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT) {
        Ok(()) => "locked".to_owned(),
        Err(error) => format!("not locked: {error}"),
    }
}

/// Gives the calling thread its real-time turn. `fifo`, `off`, or why not.
pub fn schedule(run: &Run, rank: Rank) -> String {
    let priority = match rank {
        Rank::Act => run.realtime_priority,
        Rank::Capture => run.realtime_priority.saturating_sub(1),
        Rank::Plain => 0,
    };
    if priority == 0 {
        return "off".to_owned();
    }
    match cpu::first_in_first_out(priority) {
        Ok(()) => "fifo".to_owned(),
        Err(error) => format!("not real time: {error}; LimitRTPRIO= or CAP_SYS_NICE in the unit allows it"),
    }
}

/// Keeps the calling thread on `core`; with `None` it may go anywhere.
///
/// # Errors
/// Which cores there are, or what the kernel said.
pub fn pin(core: Option<u16>) -> Result<(), String> {
    let Some(core) = core.map(usize::from) else { return Ok(()) };
    // The first thread's: whoever starts this one may keep off the cores of inference.
    let process = rustix::process::getpid();
    let allowed = sched_getaffinity(Some(process)).map_err(|error| format!("core {core}: {error}"))?;
    if core >= CpuSet::MAX_CPU || !allowed.is_set(core) {
        let cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).map(|core| core.to_string());
        return Err(format!(
            "core {core}: not one this process may use ({})",
            cores.collect::<Vec<_>>().join(", ")
        ));
    }
    let mut only = CpuSet::new();
    only.set(core);
    sched_setaffinity(None, &only).map_err(|error| format!("core {core}: {error}"))
}

/// Keeps the calling thread, which has no core of its own, off the cores of inference (`run.inference_cpus`), where there are
/// others: what runs beside a model costs it time, and frame to command is what counts. `capture::start` does so too.
///
/// # Errors
/// Which cores there are, or what the kernel said.
pub fn keep_off(inference: &[u16]) -> Result<(), String> {
    if inference.is_empty() {
        return Ok(());
    }
    let mut rest = sched_getaffinity(None).map_err(|error| error.to_string())?;
    let here = inference.iter().map(|core| usize::from(*core)).filter(|core| *core < CpuSet::MAX_CPU);
    here.for_each(|core| rest.unset(core));
    match rest.count() {
        0 => Ok(()),
        _ => sched_setaffinity(None, &rest).map_err(|error| format!("off cores {inference:?}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_without_a_core_leaves_those_of_inference_and_stays_where_there_are_no_others() {
        let cores = || {
            let set = sched_getaffinity(None).expect("the kernel says it");
            (0..1024_u16).filter(|core| set.is_set(usize::from(*core))).collect::<Vec<u16>>()
        };
        // A thread of its own: what it is allowed ends with it.
        let seen = std::thread::spawn(move || {
            let all = cores();
            keep_off(&[]).expect("nothing to leave");
            keep_off(&all).expect("no others");
            let stayed = cores() == all;
            keep_off(&all[..1]).expect("allowed");
            let left = cores();
            pin(Some(all[0])).expect("a thread of inference that this one starts has its core all the same");
            (all, stayed, left, cores())
        });
        let (all, stayed, left, pinned) = seen.join().expect("no panic");
        assert!(stayed, "{all:?}");
        assert_eq!(pinned, all[..1]);
        assert_eq!(left, if all.len() > 1 { all[1..].to_vec() } else { all });
    }

    #[test]
    fn what_is_off_is_not_tried_and_a_core_that_is_not_there_is_named() {
        let run = Run { lock_memory: false, realtime_priority: 0, ..Run::default() };
        assert_eq!((lock_memory(&run), schedule(&run, Rank::Act)), ("off".to_owned(), "off".to_owned()));
        pin(None).expect("anywhere");
        let said = pin(Some(60_000)).expect_err("no such core");
        assert!(said.starts_with("core 60000: not one this process may use (0"), "{said}");
    }
}
