//! The board itself: processor, memory, temperature, disks. What it does not tell is none, never zero.

use std::fs;
use std::path::Path;

use stopline_depot::message::DiskStats;

/// Time that all cores together have spent, in ticks, and of that the time in which they had nothing to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ticks {
    /// All of it.
    pub all: u64,
    /// Idle, or waiting for a disk.
    pub idle: u64,
}

/// Of `/proc/stat`.
pub fn ticks() -> Option<Ticks> {
    parse_ticks(&fs::read_to_string("/proc/stat").ok()?)
}

fn parse_ticks(stat: &str) -> Option<Ticks> {
    let words = stat.lines().next()?.strip_prefix("cpu ")?;
    // user nice system idle iowait irq softirq steal; guest time is in user already.
    let times: Vec<u64> = words.split_whitespace().take(8).map_while(|word| word.parse().ok()).collect();
    let idle = times.get(3)?.saturating_add(times.get(4).copied().unwrap_or(0));
    Some(Ticks { all: times.iter().fold(0, |sum: u64, time| sum.saturating_add(*time)), idle })
}

/// Share of all cores' time that was used between two readings, 0 to 1.
pub fn used(before: Ticks, after: Ticks) -> Option<f32> {
    let all = after.all.checked_sub(before.all).filter(|all| *all > 0)?;
    let idle = after.idle.saturating_sub(before.idle).min(all);
    #[expect(clippy::cast_precision_loss, reason = "a share of some thousand ticks")]
    Some((all - idle) as f32 / all as f32)
}

/// A line of `/proc/meminfo`, bytes.
pub fn memory(key: &str) -> Option<u64> {
    kib(&fs::read_to_string("/proc/meminfo").ok()?, key)
}

/// Resident memory of this process, bytes.
pub fn own_resident() -> Option<u64> {
    kib(&fs::read_to_string("/proc/self/status").ok()?, "VmRSS")
}

fn kib(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1_024)
}

/// The hottest thermal zone, degrees Celsius.
pub fn temperature() -> Option<f32> {
    hottest(Path::new("/sys/class/thermal"))
}

fn hottest(thermal: &Path) -> Option<f32> {
    let zones = fs::read_dir(thermal).ok()?.flatten().filter(|entry| name_begins(entry, "thermal_zone"));
    let milli = zones.filter_map(|zone| number(&zone.path().join("temp")));
    // Sensors that are not there say 0 K or absurd numbers.
    let plausible = milli.filter(|milli| (-60_000..=200_000).contains(milli)).max()?;
    #[expect(clippy::cast_precision_loss, reason = "some ten thousand thousandths of a degree")]
    Some(plausible as f32 / 1_000.0)
}

/// Whether the processor is slowed for heat or supply; none where nothing tells.
pub fn throttled() -> Option<bool> {
    let firmware = fs::read_to_string("/sys/devices/platform/soc/soc:firmware/get_throttled").ok();
    let by_firmware =
        firmware.and_then(|text| u32::from_str_radix(text.trim().trim_start_matches("0x"), 16).ok());
    // Raspberry Pi: the low four bits are now, the others since boot.
    let by_firmware = by_firmware.map(|bits| bits & 0xf != 0);
    let by_cooling = cooled(Path::new("/sys/class/thermal"));
    match (by_firmware, by_cooling) {
        (None, None) => None,
        (a, b) => Some(a.unwrap_or(false) || b.unwrap_or(false)),
    }
}

fn cooled(thermal: &Path) -> Option<bool> {
    let devices = fs::read_dir(thermal).ok()?.flatten().filter(|entry| name_begins(entry, "cooling_device"));
    let slows =
        |kind: &str| ["cpufreq", "thermal-cpufreq", "Processor"].iter().any(|begin| kind.starts_with(begin));
    let states = devices.filter_map(|device| {
        let kind = fs::read_to_string(device.path().join("type")).ok()?;
        slows(&kind).then(|| number(&device.path().join("cur_state"))).flatten()
    });
    let states: Vec<i64> = states.collect();
    if states.is_empty() { None } else { Some(states.iter().any(|state| *state > 0)) }
}

/// Room on the file system of a folder.
pub fn disk(folder: &Path) -> Option<DiskStats> {
    let found = rustix::fs::statvfs(folder).ok()?;
    Some(DiskStats { free_bytes: found.f_bavail.saturating_mul(found.f_frsize), free_files: found.f_favail })
}

/// A line of `/etc/os-release`.
pub fn system() -> Option<String> {
    let text = fs::read_to_string("/etc/os-release").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(line.trim_matches('"').chars().take(128).collect())
}

/// Version of the kernel.
pub fn kernel() -> Option<String> {
    fs::read_to_string("/proc/sys/kernel/osrelease").ok().map(|text| text.trim().chars().take(128).collect())
}

fn number(path: &Path) -> Option<i64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn name_begins(entry: &fs::DirEntry, begin: &str) -> bool {
    entry.file_name().to_str().is_some_and(|name| name.starts_with(begin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_the_processor_is_of_all_cores_between_two_looks() {
        let at = |text: &str| parse_ticks(text).unwrap();
        let before = at("cpu  100 0 50 800 50 0 0 0 7 7\ncpu0 1 2 3\n");
        let after = at("cpu  150 0 75 850 75 0 0 0 9 9\n");
        assert_eq!(used(before, after), Some(0.5));
        assert_eq!((used(after, after), used(after, before)), (None, None));
        assert_eq!(parse_ticks("intr 1 2"), None);
        assert_eq!(kib("MemTotal:  16 kB\nMemFree: 4 kB\n", "MemFree"), Some(4_096));
    }

    #[test]
    fn the_hottest_plausible_zone_counts_and_only_what_slows_the_processor() {
        let thermal = tempfile::tempdir().unwrap();
        let put = |folder: &str, file: &str, text: &str| {
            fs::create_dir_all(thermal.path().join(folder)).unwrap();
            fs::write(thermal.path().join(folder).join(file), text).unwrap();
        };
        assert_eq!((hottest(thermal.path()), cooled(thermal.path())), (None, None));
        put("thermal_zone0", "temp", "41250\n");
        put("thermal_zone1", "temp", "-273150\n");
        put("cooling_device0", "type", "Fan\n");
        put("cooling_device0", "cur_state", "3\n");
        assert_eq!((hottest(thermal.path()), cooled(thermal.path())), (Some(41.25), None));
        put("cooling_device1", "type", "cpufreq-cpu0\n");
        put("cooling_device1", "cur_state", "1\n");
        assert_eq!(cooled(thermal.path()), Some(true));
    }
}
