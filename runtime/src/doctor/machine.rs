//! The machine: clock, limits for real-time work, heat, supply, watchdog.

use rustix::process::{Resource, getrlimit};

use super::Findings;
use super::places::Roots;

/// Looks at the machine.
pub fn look(roots: &Roots, to: &mut Findings) {
    clock(roots, to);
    limits(to);
    heat(roots, to);
    watchdog(roots, to);
}

/// Wall time is a label here; the updater needs it to be right.
fn clock(roots: &Roots, to: &mut Findings) {
    let synchronised = roots.run.join("systemd").join("timesync").join("synchronized").exists();
    let hardware = roots.sys.join("class/rtc/rtc0").exists();
    match (synchronised, hardware) {
        (true, _) => to.ok("clock", "synchronised"),
        (false, true) => {
            to.warning(
                "clock",
                "kept by a hardware clock, not synchronised (or not by systemd)",
                "check with timedatectl",
            );
        }
        (false, false) => to.warning(
            "clock",
            "no hardware clock, and not synchronised: wall times on records may be wrong",
            "decisions do not depend on it; new models are not activated until it is right",
        ),
    }
}

/// What the daemon asks for, and works without.
fn limits(to: &mut Findings) {
    let root = rustix::process::geteuid().is_root();
    let memory = getrlimit(Resource::Memlock).current;
    match memory {
        _ if root => to.ok("memory lock", "permitted"),
        None => to.ok("memory lock", "permitted"),
        Some(bytes) if bytes >= 256 << 20 => {
            to.ok("memory lock", format!("permitted up to {} MiB", bytes >> 20))
        }
        Some(bytes) => to.warning(
            "memory lock",
            format!("only {} KiB may be locked: a page fault can delay a command", bytes >> 10),
            "LimitMEMLOCK=infinity in the unit, or run.lock_memory = false",
        ),
    }
    match getrlimit(Resource::Rtprio).current {
        _ if root => to.ok("scheduling", "SCHED_FIFO permitted"),
        None => to.ok("scheduling", "SCHED_FIFO permitted"),
        Some(0) => to.warning(
            "scheduling",
            "SCHED_FIFO is not permitted: other work can delay a command",
            "LimitRTPRIO=98 in the unit, or run.realtime_priority = 0",
        ),
        Some(most) => to.ok("scheduling", format!("SCHED_FIFO permitted up to priority {most}")),
    }
}

fn heat(roots: &Roots, to: &mut Findings) {
    let mut hottest: Option<(f64, String)> = None;
    for zone in 0..64 {
        let folder = roots.sys.join(format!("class/thermal/thermal_zone{zone}"));
        let Some(milli) = roots.number(&folder.join("temp")) else { continue };
        let name = std::fs::read_to_string(folder.join("type")).unwrap_or_default().trim().to_owned();
        #[allow(clippy::cast_precision_loss, reason = "temperatures are small")]
        let celsius = milli as f64 / 1000.0;
        if hottest.as_ref().is_none_or(|(most, _)| celsius > *most) {
            hottest = Some((celsius, name));
        }
    }
    match hottest {
        None => to.ok("heat", "this machine tells no temperature"),
        Some((celsius, name)) if celsius >= 80.0 => {
            to.warning(
                "heat",
                format!("{celsius:.0} °C ({name})"),
                "it is throttled soon: better cooling, or fewer frames",
            );
        }
        Some((celsius, name)) => to.ok("heat", format!("{celsius:.0} °C ({name})")),
    }
    let alarm = roots.sys.join("class/hwmon/hwmon0/in0_lcrit_alarm");
    if roots.number(&alarm) == Some(1) {
        to.fault("supply", "under-voltage", "a stronger supply, a shorter cable");
    }
}

fn watchdog(roots: &Roots, to: &mut Findings) {
    let under_systemd = std::env::var_os("NOTIFY_SOCKET").is_some();
    if roots.dev.join("watchdog").exists() {
        to.ok("watchdog", "a hardware watchdog is there (RuntimeWatchdogSec= of systemd feeds it)");
    } else if under_systemd {
        to.warning("watchdog", "no hardware watchdog", "load its driver (softdog at least)");
    } else {
        let advice = "run under systemd with WatchdogSec=, and load a watchdog driver";
        to.warning("watchdog", "neither a hardware watchdog nor systemd looks after this", advice);
    }
}
