//! What a child may take of the machine: a new model is tried in a process that the kernel ends before the loop feels it.
//!
//! The child limits itself, first thing, before it reads a byte of the model: between fork and exec nothing of ours runs,
//! and a limit that was taken on cannot be given back.

use rustix::process::{
    Resource, Rlimit, Signal, getrlimit, nice, set_parent_process_death_signal, setrlimit,
};

/// Limits of a child.
#[derive(clap::Args, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Memory it may have, in MiB; beyond it an allocation fails and the process ends.
    #[arg(long = "limit-memory", value_name = "MIB")]
    pub memory_mib: Option<u64>,
    /// Processor time it may use, in seconds; beyond it the kernel ends the process.
    #[arg(long = "limit-cpu", value_name = "S")]
    pub cpu_s: Option<u64>,
    /// How much it stands back behind others, 0 to 19.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..=19))]
    pub nice: Option<i32>,
    /// End when the process that started this one does.
    #[arg(long)]
    pub with_parent: bool,
}

impl Limits {
    /// The same as arguments of a command line.
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        let mut push = |name: &str, value: Option<String>| {
            arguments.extend(value.map(|value| format!("--{name}={value}")));
        };
        push("limit-memory", self.memory_mib.map(|mib| mib.to_string()));
        push("limit-cpu", self.cpu_s.map(|seconds| seconds.to_string()));
        push("nice", self.nice.map(|nice| nice.to_string()));
        if self.with_parent {
            arguments.push("--with-parent".to_owned());
        }
        arguments
    }

    /// Takes them on.
    ///
    /// # Errors
    /// The kernel's answer: nothing is run without the limits that were asked for.
    pub fn apply(&self) -> std::io::Result<()> {
        if self.with_parent {
            set_parent_process_death_signal(Some(Signal::KILL))?;
        }
        if let Some(mib) = self.memory_mib {
            limit(Resource::Data, mib.saturating_mul(1 << 20))?;
        }
        if let Some(seconds) = self.cpu_s {
            limit(Resource::Cpu, seconds)?;
        }
        if let Some(by) = self.nice {
            nice(by)?;
        }
        Ok(())
    }
}

/// Lower only: a limit that is there already is kept where it is the lower one.
fn limit(resource: Resource, most: u64) -> std::io::Result<()> {
    let there = getrlimit(resource);
    let most = there.maximum.map_or(most, |maximum| maximum.min(most));
    setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    Ok(())
}

/// The most memory that this process ever had resident, in KiB; `None` where /proc does not tell.
pub fn peak_resident_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}
