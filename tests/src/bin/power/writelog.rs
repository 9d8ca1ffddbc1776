//! Many cuts of one run, from what the kernel's dm-log-writes recorded of it: what a drive that reorders and loses what it
//! was not told to flush may hold after a cut.
//!
//! The log (drivers/md/dm-log-writes.c) holds a write behind the flush that made it certain, a write with FUA when it was
//! complete, and marks where they were made. So at an entry: everything before the flush group it lies in is on the medium;
//! of its group what had FUA; of the rest any part, in any order, torn within a write too.

use std::fs::File;
use std::io::{self, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::certain::Certain;
use crate::look;
use crate::random::Random;

const MAGIC: u64 = 0x006a_7366_7773_6872;
const SECTOR: usize = 512;
const FLUSH: u64 = 1;
const FUA: u64 = 2;
const DISCARD: u64 = 4;
const MARK: u64 = 8;
/// Sectors of one write, at most; the kernel splits larger ones.
const MOST_SECTORS: u64 = 1 << 16;

struct Entry {
    flags: u64,
    sector: u64,
    data: Vec<u8>,
    mark: String,
}

/// Cuts at `cuts` places spread over the log. `places`: the file system before the run, the log, the image that is made of
/// both (in memory), and the folder it is mounted on.
pub fn replay(places: &[PathBuf; 4], cuts: usize, seed: u64) -> Result<(), String> {
    let [base, log, image, disk] = places;
    let entries = read(log)?;
    let marks = entries.iter().filter(|entry| !entry.mark.is_empty()).count();
    let flushes = entries.iter().filter(|entry| entry.flags & (FLUSH | FUA) != 0).count();
    println!("POWER LOG {} entries, {flushes} of them flush, {marks} marks", entries.len());
    let base = std::fs::read(base).map_err(|error| format!("{}: {error}", base.display()))?;
    let mut random = Random(seed);
    for number in 0..cuts {
        // Spread evenly, and within its part anywhere.
        let (from, to) = (entries.len() * number / cuts, entries.len() * (number + 1) / cuts);
        let at = from + random.next() as usize % (to - from).max(1);
        let left = medium(&base, &entries, at, &mut random);
        std::fs::write(image, left).map_err(|error| format!("{}: {error}", image.display()))?;
        let certain = Certain::of(entries[..at].iter().map(|entry| entry.mark.as_str()));
        match with_mounted(image, disk, || look(disk, &certain)) {
            Ok(found) => println!("POWER WHOLE cut {number} at entry {at}: {found}"),
            Err(harm) => println!("POWER HARM cut {number} at entry {at}: {harm}"),
        }
        io::stdout().flush().map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// What the medium holds when the power is cut before entry `at`.
fn medium(base: &[u8], entries: &[Entry], at: usize, random: &mut Random) -> Vec<u8> {
    let group = entries[..at].iter().rposition(|entry| entry.flags & FLUSH != 0).map_or(0, |found| found + 1);
    let end = entries[at..]
        .iter()
        .position(|entry| entry.flags & FLUSH != 0)
        .map_or(entries.len(), |found| at + found);
    let mut medium = base.to_vec();
    for entry in &entries[..group] {
        put(&mut medium, entry, entry.data.len());
    }
    for (number, entry) in entries[group..end].iter().enumerate() {
        let is_certain = entry.flags & FUA != 0 && group + number < at;
        let sectors = entry.data.len() / SECTOR;
        let kept = match random.next() % 4 {
            _ if is_certain => sectors,
            0 | 1 => sectors,
            2 => random.next() as usize % (sectors + 1),
            _ => 0,
        };
        put(&mut medium, entry, kept * SECTOR);
    }
    medium
}

fn put(medium: &mut [u8], entry: &Entry, length: usize) {
    let from = entry.sector as usize * SECTOR;
    if let Some(place) = medium.get_mut(from..from + length) {
        place.copy_from_slice(&entry.data[..length]);
    }
}

fn read(log: &Path) -> Result<Vec<Entry>, String> {
    let wrong = |error: io::Error| format!("{}: {error}", log.display());
    let mut log = BufReader::with_capacity(1 << 20, File::open(log).map_err(wrong)?);
    let head = block(&mut log, SECTOR).map_err(wrong)?;
    let (magic, count, size) =
        (number(&head, 0), number(&head, 2), u32::from_le_bytes([head[24], head[25], head[26], head[27]]));
    if magic != MAGIC || size as usize != SECTOR {
        return Err(format!("the log of writes begins with {magic:#x} and has sectors of {size} bytes"));
    }
    let mut entries = Vec::new();
    for _ in 0..count {
        let head = block(&mut log, SECTOR).map_err(wrong)?;
        let [sector, sectors, flags, length] = [0, 1, 2, 3].map(|at| number(&head, at));
        if sectors > MOST_SECTORS {
            return Err(format!("an entry of the log has {sectors} sectors"));
        }
        let mark = head.get(32..32 + length as usize).filter(|_| flags & MARK != 0).unwrap_or_default();
        let carries = flags & (DISCARD | MARK) == 0;
        let data =
            if carries { block(&mut log, sectors as usize * SECTOR).map_err(wrong)? } else { Vec::new() };
        entries.push(Entry { flags, sector, data, mark: String::from_utf8_lossy(mark).into_owned() });
    }
    Ok(entries)
}

fn block(log: &mut impl Read, length: usize) -> io::Result<Vec<u8>> {
    let mut block = vec![0; length];
    log.read_exact(&mut block).map(|()| block)
}

/// The `at`-th little-endian number of eight bytes.
fn number(block: &[u8], at: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&block[at * 8..at * 8 + 8]);
    u64::from_le_bytes(bytes)
}

/// As a start after the cut does: the file system brings its own order first.
fn with_mounted(
    image: &Path,
    disk: &Path,
    look: impl FnOnce() -> Result<String, String>,
) -> Result<String, String> {
    command(
        "mount",
        &["-t".as_ref(), "ext4".as_ref(), "-o".as_ref(), "loop".as_ref(), image.as_ref(), disk.as_ref()],
    )?;
    let found = look();
    command("umount", &[disk.as_ref()])?;
    found
}

fn command(name: &str, arguments: &[&std::ffi::OsStr]) -> Result<(), String> {
    let status = Command::new(name).args(arguments).status().map_err(|error| format!("{name}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{name}: {status}")) }
}
