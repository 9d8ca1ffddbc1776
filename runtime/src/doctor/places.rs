//! Folders that are written to, the room in them, and where the system describes itself.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, StatVfs};

use super::Findings;
use crate::act::config::ActuatorConfig;
use crate::config::Config;

/// Least free room; below it a log or an outbox soon fills the disk.
const LEAST_FREE: u64 = 64 << 20;

/// Where the system describes itself; other folders in tests.
#[derive(Clone, Debug)]
pub struct Roots {
    /// `/sys`.
    pub sys: PathBuf,
    /// `/dev`.
    pub dev: PathBuf,
    /// `/run`.
    pub run: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Self { sys: "/sys".into(), dev: "/dev".into(), run: "/run".into() }
    }
}

impl Roots {
    /// The number that a file of the system holds.
    pub fn number(&self, file: &Path) -> Option<u64> {
        std::fs::read_to_string(file).ok()?.trim().parse().ok()
    }
}

/// Looks at every folder that the daemon writes to.
pub fn look(config: &Config, to: &mut Findings) {
    folder("run directory", &config.run.directory, 1 << 20, to);
    let folders = config.actuators.iter().filter_map(|actuator| match actuator {
        ActuatorConfig::Outbox(outbox) => Some(outbox.folder.as_path()),
        ActuatorConfig::Log(log) => log.file.parent(),
        _ => None,
    });
    for path in folders.collect::<BTreeSet<_>>() {
        folder("disk", path, LEAST_FREE, to);
    }
    for actuator in &config.actuators {
        if let ActuatorConfig::Run(run) = actuator {
            program(&run.name, &run.program, to);
        }
    }
}

fn folder(about: &str, path: &Path, least: u64, to: &mut Findings) {
    let shown = path.display();
    if !path.is_dir() {
        return to.fault(
            about,
            format!("{shown} is not there"),
            format!("mkdir -p {shown}, owned by the daemon's user"),
        );
    }
    if let Err(error) = rustix::fs::access(path, Access::WRITE_OK | Access::EXEC_OK) {
        return to.fault(
            about,
            format!("{shown} cannot be written: {error}"),
            "give it to the daemon's user",
        );
    }
    let Ok(StatVfs { f_bavail, f_frsize, f_favail, .. }) = rustix::fs::statvfs(path) else {
        return to.warning(about, format!("{shown}: its disk says nothing of its room"), "look with df");
    };
    let free = f_bavail.saturating_mul(f_frsize);
    let found = format!("{shown}: {} MiB free", free >> 20);
    if free < least || f_favail == 0 {
        to.fault(about, found, format!("make room: at least {} MiB, and inodes", least >> 20));
    } else {
        to.ok(about, found);
    }
}

fn program(name: &str, path: &Path, to: &mut Findings) {
    let about = format!("program {name}");
    match rustix::fs::access(path, Access::EXEC_OK) {
        Ok(()) => to.ok(&about, format!("{} can be run", path.display())),
        Err(error) => {
            to.fault(&about, format!("{}: {error}", path.display()), "install it, and make it executable")
        }
    }
}
