//! Ledgers grow, begin anew, and keep their sums.

use super::super::ledger::{FILES, Ledger, Side, read_side};
use super::*;
use crate::disk::simulated::{CUTS, Failure, SimulatedDisk};

const FOLDER: &str = "ledger";
/// Lines appended at once.
const LINES: u32 = 20;
/// Small, so that few lines fill it.
const SMALL: u64 = 20 << 10;

fn line(number: u32) -> Entry {
    let event = if number.is_multiple_of(2) { Event::Captured } else { Event::Evicted };
    Entry {
        at: NOW,
        event,
        digest: Digest::of(&number.to_le_bytes()),
        class: class(1),
        cause: None,
        at_once: false,
    }
}

fn lines(from: u32) -> Vec<Entry> {
    (from..from + LINES).map(line).collect()
}

fn opened(disk: &SimulatedDisk) -> Ledger<usize> {
    let mut ledger = Ledger::open(disk, Path::new(FOLDER), Side::Runtime).unwrap();
    ledger.file_bytes = SMALL;
    ledger
}

fn started() -> SimulatedDisk {
    let mut disk = SimulatedDisk::default();
    disk.create_folder(Path::new(FOLDER)).unwrap();
    disk.sync_folder(Path::new(".")).unwrap();
    disk
}

fn sums(disk: &impl Disk) -> (usize, String) {
    let read = read_side(disk, Path::new(FOLDER), Side::Runtime).unwrap();
    (read.entries.len(), format!("{:?}", read.totals))
}

#[test]
fn a_ledger_keeps_within_its_bounds_and_its_sums_for_ever() {
    let mut disk = started();
    let mut ledger = opened(&disk);
    let rounds = 100;
    for round in 0..rounds {
        ledger.append(&mut disk, &lines(round * LINES)).unwrap();
        if round % 7 == 0 {
            // A restart goes on where it was.
            ledger = opened(&disk);
        }
    }
    let files = disk.list(Path::new(FOLDER)).unwrap();
    let bytes: usize = files
        .iter()
        .map(|file| disk.read(&Path::new(FOLDER).join(file), 2 * SMALL).unwrap().unwrap().len())
        .sum();
    let (kept, totals) = sums(&disk);
    println!("{} files, {bytes} bytes, {kept} of {} lines kept", files.len(), rounds * LINES);
    assert!(files.len() == FILES as usize && bytes as u64 <= SMALL * u64::from(FILES), "{files:?}");
    assert!((400..2_000).contains(&kept), "{kept}");
    assert!(totals.contains("captured: 1000,") && totals.contains("evicted: 1000,"), "{totals}");
}

#[test]
fn a_new_file_cut_at_every_call_keeps_the_sums() {
    let mut disk = started();
    let mut ledger = opened(&disk);
    let mut round = 0;
    while disk.list(Path::new(FOLDER)).unwrap().len() < FILES as usize {
        ledger.append(&mut disk, &lines(round * LINES)).unwrap();
        round += 1;
    }
    // Up to just before the next one begins.
    let rotates =
        |disk: &SimulatedDisk| !disk.list(Path::new(FOLDER)).unwrap().contains(&"runtime-1.jsonl".into());
    loop {
        let before = disk.clone();
        let mut ledger = opened(&disk);
        ledger.append(&mut disk, &lines(round * LINES)).unwrap();
        if rotates(&disk) {
            disk = before;
            break;
        }
        round += 1;
    }
    for call in 0.. {
        let mut cut_disk = disk.clone().failing_at(call, Failure::Power);
        let mut ledger = opened(&cut_disk);
        let done = ledger.append(&mut cut_disk, &lines(round * LINES));
        for cut in CUTS {
            let mut disk = cut_disk.after(cut);
            let there = read_side(&disk, Path::new(FOLDER), Side::Runtime).unwrap();
            let mut ledger = opened(&disk);
            // As whoever recovers does: what is not there is written again.
            let (begun, ended) = (there.captured(), there.ended());
            let missing: Vec<Entry> = lines(round * LINES)
                .into_iter()
                .filter(|line| !begun.contains(&line.digest) && !ended.contains(&line.digest))
                .collect();
            assert!(done.is_err() || missing.is_empty());
            ledger.append(&mut disk, &missing).unwrap();
            let all = (round + 1) * (LINES / 2);
            let (_, totals) = sums(&disk.after(cut));
            assert!(
                totals.contains(&format!("captured: {all},")) && totals.contains(&format!("evicted: {all},")),
                "call {call}, {cut:?}: {totals}, expected {all}"
            );
        }
        if done.is_ok() {
            assert!(call > 8, "{call}");
            break;
        }
    }
}

#[test]
fn a_ledger_of_a_newer_program_is_refused_with_advice_and_left_alone() {
    let mut disk = started();
    opened(&disk).append(&mut disk, &lines(0)).unwrap();
    let path = Path::new(FOLDER).join("runtime-2.jsonl");
    let newer = b"{\"schema\":2,\"of_tomorrow\":true}\n";
    crate::disk::replace(&mut disk, &path, newer).unwrap();
    let refused = Ledger::<usize>::open(&disk, Path::new(FOLDER), Side::Runtime).unwrap_err().to_string();
    assert!(
        refused.contains("runtime-2.jsonl: schema 2") && refused.contains("Install a newer one"),
        "{refused}"
    );
    assert_eq!(disk.read(&path, 1 << 10).unwrap().unwrap(), newer);
    // The other side's is its own.
    assert!(Ledger::<usize>::open(&disk, Path::new(FOLDER), Side::Agent).is_ok());
}
