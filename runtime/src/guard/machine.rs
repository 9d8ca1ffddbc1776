//! Heat and supply of the machine, and whether anybody fetches what lies in the outbox. Reads files: about once a
//! second, never in a thread that sees or acts.

use std::path::{Path, PathBuf};

use stopline_decide::cause::{Cause, FaultSet};
use stopline_decide::time::Nanos;

use super::config::{GuardConfig, ms};
use super::confirm::Confirmed;

/// Most files of a kind that are looked at.
const MOST: usize = 256;
/// Most entries of the outbox that are looked at.
const MOST_MESSAGES: usize = 100_000;

/// Bits of the Raspberry Pi firmware's `get_throttled` that say what is so now (raspberrypi.com, `vcgencmd`): under-voltage,
/// frequency capped, throttled, soft temperature limit.
const PI_UNDER_VOLTAGE: u32 = 1;
const PI_THROTTLED: u32 = 0b1110;

/// Reads what the kernel says of heat and supply.
pub struct MachineGuard {
    root: PathBuf,
    /// Sum of the processor's throttle events at the last look.
    events: Option<u64>,
    throttled: Confirmed,
    under_voltage: Confirmed,
}

impl MachineGuard {
    /// Looks below `root`, which is `/sys`.
    pub fn new(config: &GuardConfig, root: &Path) -> Self {
        let held = Confirmed::new(Nanos::default(), ms(config.recover_ms));
        Self { root: root.to_owned(), events: None, throttled: held, under_voltage: held }
    }

    /// What is wrong at `now`. What the machine does not say is not wrong.
    pub fn poll(&mut self, now: Nanos) -> FaultSet {
        let firmware = self.firmware();
        let throttled = self.new_events() | self.cooled() | (firmware & PI_THROTTLED != 0);
        let low = self.low_supply() | (firmware & PI_UNDER_VOLTAGE != 0);
        let mut faults = FaultSet::default();
        if self.throttled.update(now, throttled) {
            faults = faults.with(Cause::Throttled);
        }
        if self.under_voltage.update(now, low) {
            faults = faults.with(Cause::UnderVoltage);
        }
        faults
    }

    /// x86: a count of events per core and package rises while the processor throttles itself.
    fn new_events(&mut self) -> bool {
        let cores = entries(&self.root.join("devices/system/cpu"), "cpu");
        let counts = cores.iter().flat_map(|core| {
            ["core_throttle_count", "package_throttle_count"]
                .map(|name| number(&core.join("thermal_throttle").join(name)))
        });
        let sum = counts.flatten().fold(0_u64, u64::saturating_add);
        let before = self.events.replace(sum);
        before.is_some_and(|before| sum > before)
    }

    /// A cooling device that lowers the processor's clock is at work.
    fn cooled(&self) -> bool {
        entries(&self.root.join("class/thermal"), "cooling_device").iter().any(|device| {
            let kind = text(&device.join("type")).unwrap_or_default();
            let slows = kind.contains("cpufreq") || kind == "Processor" || kind.contains("devfreq");
            slows && number(&device.join("cur_state")).is_some_and(|state| state > 0)
        })
    }

    /// A supply monitor raises its alarm (Raspberry Pi: `rpi_volt`).
    fn low_supply(&self) -> bool {
        entries(&self.root.join("class/hwmon"), "hwmon").iter().any(|monitor| {
            text(&monitor.join("name")).is_some_and(|name| name == "rpi_volt")
                && number(&monitor.join("in0_lcrit_alarm")).is_some_and(|alarm| alarm > 0)
        })
    }

    fn firmware(&self) -> u32 {
        let said = text(&self.root.join("devices/platform/soc/soc:firmware/get_throttled"));
        let bits = said.and_then(|said| u32::from_str_radix(said.trim_start_matches("0x"), 16).ok());
        bits.unwrap_or_default()
    }
}

/// Watches that what is put into the outbox is taken out of it.
pub struct OutboxGuard {
    directory: PathBuf,
    limit: Nanos,
    /// The oldest message, and when it was first seen to be that.
    oldest: Option<(String, Nanos)>,
}

impl OutboxGuard {
    /// Watches `directory`, whose messages' names sort by age; names that begin with a dot are half-written.
    pub fn new(config: &GuardConfig, directory: &Path) -> Self {
        let limit = Nanos::from_millis(u64::from(config.outbox_after_s) * 1000);
        Self { directory: directory.to_owned(), limit, oldest: None }
    }

    /// What is wrong at `now`. An outbox that cannot be read is not emptied either.
    pub fn poll(&mut self, now: Nanos) -> FaultSet {
        let stuck = match oldest(&self.directory) {
            Ok(found) => self.waits(found, now),
            Err(_) => self.waits(Some(String::new()), now),
        };
        if stuck { FaultSet::default().with(Cause::Agent) } else { FaultSet::default() }
    }

    fn waits(&mut self, found: Option<String>, now: Nanos) -> bool {
        let Some(found) = found else {
            self.oldest = None;
            return false;
        };
        match &self.oldest {
            Some((name, since)) if *name == found => now.since(*since) >= self.limit,
            _ => {
                self.oldest = Some((found, now));
                false
            }
        }
    }
}

fn oldest(directory: &Path) -> std::io::Result<Option<String>> {
    let entries = std::fs::read_dir(directory)?.take(MOST_MESSAGES).flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    Ok(names.filter(|name| !name.starts_with('.')).min())
}

/// Entries of `folder` whose name is `prefix` and a number.
fn entries(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let Ok(found) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = found.flatten().map(|entry| entry.path()).filter(|path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.strip_prefix(prefix)
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
    });
    paths.take(MOST).collect()
}

fn text(path: &Path) -> Option<String> {
    Some(std::fs::read_to_string(path).ok()?.trim().to_owned())
}

fn number(path: &Path) -> Option<u64> {
    text(path)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> (tempfile::TempDir, MachineGuard) {
        let root = tempfile::tempdir().expect("temporary folder");
        let guard = MachineGuard::new(&GuardConfig::default(), root.path());
        (root, guard)
    }

    fn write(root: &Path, path: &str, content: &str) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().expect("has a folder")).expect("folder");
        std::fs::write(path, content).expect("writes");
    }

    fn at(seconds: u64) -> Nanos {
        Nanos::from_millis(seconds * 1000)
    }

    #[test]
    fn a_machine_that_says_nothing_is_well() {
        let (_root, mut guard) = machine();
        assert!(guard.poll(at(0)).is_empty());
    }

    #[test]
    fn a_processor_that_throttles_itself_again_is_told_and_old_events_are_not() {
        let (root, mut guard) = machine();
        let count = "devices/system/cpu/cpu3/thermal_throttle/core_throttle_count";
        write(root.path(), count, "17\n");
        assert!(guard.poll(at(0)).is_empty(), "seventeen times before we began");
        write(root.path(), count, "18\n");
        assert!(guard.poll(at(1)).has(Cause::Throttled));
        assert!(guard.poll(at(2)).has(Cause::Throttled), "recovering");
        assert!(guard.poll(at(3)).is_empty());
    }

    #[test]
    fn a_lowered_clock_is_throttling_and_a_fan_is_not() {
        let (root, mut guard) = machine();
        write(root.path(), "class/thermal/cooling_device0/type", "pwm-fan\n");
        write(root.path(), "class/thermal/cooling_device0/cur_state", "3\n");
        assert!(guard.poll(at(0)).is_empty());
        write(root.path(), "class/thermal/cooling_device1/type", "thermal-cpufreq-0\n");
        write(root.path(), "class/thermal/cooling_device1/cur_state", "2\n");
        assert!(guard.poll(at(1)).has(Cause::Throttled));
    }

    #[test]
    fn a_raspberry_pi_with_a_thin_cable_is_under_voltage() {
        let (root, mut guard) = machine();
        let firmware = "devices/platform/soc/soc:firmware/get_throttled";
        write(root.path(), firmware, "50000\n");
        assert!(guard.poll(at(0)).is_empty(), "that it was so once is not that it is so now");
        write(root.path(), firmware, "50005\n");
        let faults = guard.poll(at(1));
        assert!(faults.has(Cause::UnderVoltage) && faults.has(Cause::Throttled));
        let (root, mut guard) = machine();
        write(root.path(), "class/hwmon/hwmon1/name", "rpi_volt\n");
        write(root.path(), "class/hwmon/hwmon1/in0_lcrit_alarm", "1\n");
        assert_eq!(guard.poll(at(0)), FaultSet::default().with(Cause::UnderVoltage));
    }

    #[test]
    fn an_outbox_that_nobody_empties_is_told_and_one_that_is_emptied_slowly_is_not() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let mut guard = OutboxGuard::new(&GuardConfig::default(), folder.path());
        for second in 0..120_u64 {
            // Two come in while one goes out.
            write(folder.path(), &format!("{:06}.json", second * 2), "{}");
            write(folder.path(), &format!("{:06}.json", second * 2 + 1), "{}");
            write(folder.path(), ".half", "{");
            assert!(guard.poll(at(second)).is_empty());
            std::fs::remove_file(folder.path().join(format!("{second:06}.json"))).expect("taken");
        }
        assert!(guard.poll(at(120)).is_empty() && guard.poll(at(149)).is_empty());
        assert!(guard.poll(at(150)).has(Cause::Agent));
    }

    #[test]
    fn an_outbox_that_is_gone_is_told_too() {
        let mut guard = OutboxGuard::new(&GuardConfig::default(), Path::new("/nowhere/outbox"));
        assert!(guard.poll(at(0)).is_empty());
        assert!(guard.poll(at(30)).has(Cause::Agent));
    }
}
