//! What the daemon writes while nothing happens: budget 20 MB a day to the disk, 5 MB a day to the journal. Counted by the
//! kernel for the process (`/proc/PID/io`, `write_bytes`: pages that were to go to a disk; files in memory do not count),
//! with the run directory in memory, as on a board. One page in twenty seconds would be 17.7 MB a day.

use std::time::Duration;

use stopline_tests::daemon::{Bench, Daemon};
use stopline_tests::{count, skip};

/// Megabytes a day.
const DISK_MB: f64 = 20.0;
const JOURNAL_MB: f64 = 5.0;
/// The start is not idle.
const SETTLED: Duration = Duration::from_secs(6);

#[test]
fn a_board_that_sees_nothing_writes_next_to_nothing() {
    let Ok(memory) = tempfile::tempdir_in("/dev/shm") else {
        return skip("no memory file system for the run directory").unwrap_or_default();
    };
    let bench = Bench::new();
    let run = memory.path().to_str().expect("UTF-8");
    let changes = [
        (bench.path("run").to_str().expect("UTF-8").to_owned(), run.to_owned()),
        ("source = \"approach.y4m\"".into(), "source = \"pattern:320x240@30\"".into()),
        ("every_period = true".into(), "every_period = false".into()),
        ("armed = true".into(), "armed = false".into()),
        ("command = true".into(), "command = false".into()),
    ];
    let changes: Vec<(&str, &str)> = changes.iter().map(|(from, to)| (from.as_str(), to.as_str())).collect();
    let mut daemon = bench.start(&changes);
    let log = bench.path("said.txt");
    daemon.wait("frames", Duration::from_secs(30), |_| std::fs::read(memory.path().join("health.json")).ok());
    std::thread::sleep(SETTLED);
    let (written, said) = (write_bytes(&daemon), length(&log));
    let seconds = count("seconds of an idle daemon", 1_800, 20);
    std::thread::sleep(Duration::from_secs(seconds as u64));
    let after = daemon.wait("it still runs", Duration::from_secs(1), |daemon| Some(write_bytes(daemon)));
    let a_day = |bytes: u64| bytes as f64 / seconds as f64 * 86_400.0 / 1e6;
    let (disk, journal) = (a_day(after - written), a_day(length(&log) - said));
    println!("idle, MB a day: disk {disk:.1} (budget {DISK_MB}), journal {journal:.2} (budget {JOURNAL_MB})");
    assert!(disk <= DISK_MB && journal <= JOURNAL_MB, "it said:\n{}", daemon.said());
}

fn write_bytes(daemon: &Daemon<'_>) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/io", daemon.pid().as_raw_nonzero())).unwrap();
    text.lines().find_map(|line| line.strip_prefix("write_bytes: ")).unwrap().trim().parse().unwrap()
}

fn length(path: &std::path::Path) -> u64 {
    std::fs::metadata(path).unwrap().len()
}
