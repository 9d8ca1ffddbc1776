//! What became of each record: one line of JSON for its begin and one for its end, appended and synced; one ledger for each
//! process. A file that has grown begins anew with the sums of all before it, and the oldest go.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::counts::Totals;
use super::{Cause, Class, End};
use crate::digest::Digest;
use crate::disk::{Disk, replace};

/// The schema this code writes.
const SCHEMA: u32 = 1;
/// Bytes after which a new file begins.
const FILE_BYTES: u64 = 1 << 20;
/// Files kept for each process.
pub(super) const FILES: u32 = 4;
/// Lines written at once: far less than a file.
const MOST_AT_ONCE: usize = 1000;
/// Read of a file, at most: a line more than it should have.
const LARGEST: u64 = FILE_BYTES + (64 << 10);

/// What happened to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// It was put.
    Captured,
    /// The other side has it.
    Delivered,
    /// It had to make room.
    Evicted,
    /// Nobody fetched it in time.
    Expired,
    /// The other side does not take it.
    Rejected,
}

/// A line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Seconds since 1970, by a clock that may have been wrong: a label.
    pub at: u64,
    /// What happened.
    pub event: Event,
    /// To which record.
    pub digest: Digest,
    /// Its value.
    pub class: Class,
    /// Why it was rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// Begin and end in one line: it was captured too, and never lay in the spool.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub at_once: bool,
}

impl Entry {
    pub(super) fn ended(at: u64, end: End, digest: Digest, class: Class) -> Self {
        let (event, cause) = match end {
            End::Delivered => (Event::Delivered, None),
            End::Evicted => (Event::Evicted, None),
            End::Expired => (Event::Expired, None),
            End::Rejected(cause) => (Event::Rejected, Some(cause)),
        };
        Self { at, event, digest, class, cause, at_once: false }
    }
}

/// The first line of a file: sums of all files before it.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    schema: u32,
    totals: Totals,
}

/// Whose ledger it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Runtime,
    Agent,
}

impl Side {
    pub(super) const BOTH: [Self; 2] = [Self::Runtime, Self::Agent];

    fn word(self) -> &'static str {
        match self {
            Self::Runtime => "runtime",
            Self::Agent => "agent",
        }
    }

    fn file(self, number: u32) -> String {
        format!("{}-{number}.jsonl", self.word())
    }

    /// Whether a file of the ledger is this side's.
    pub(super) fn owns(self, file: &str) -> bool {
        self.number(file).is_some()
    }

    fn number(self, file: &str) -> Option<u32> {
        let number = file.strip_prefix(self.word())?.strip_prefix('-')?.strip_suffix(".jsonl")?;
        number.parse().ok().filter(|number| self.file(*number) == file)
    }
}

/// One process's ledger, to be written on.
#[derive(Debug)]
pub(super) struct Ledger<F> {
    folder: PathBuf,
    side: Side,
    /// Of the file that is written on.
    number: u32,
    file: Option<F>,
    length: u64,
    /// Whether its last line may be half a line.
    torn: bool,
    totals: Totals,
    /// Bytes after which a new file begins.
    pub(super) file_bytes: u64,
}

impl<F> Ledger<F> {
    /// Takes it up where it was left.
    pub(super) fn open<D: Disk<File = F>>(disk: &D, folder: &Path, side: Side) -> io::Result<Self> {
        let read = read_side(disk, folder, side)?;
        Ok(Self {
            folder: folder.to_owned(),
            side,
            number: read.newest.unwrap_or(0),
            file: None,
            length: read.length,
            torn: read.torn,
            totals: read.totals,
            file_bytes: FILE_BYTES,
        })
    }

    /// Appends lines and returns when they are certain.
    ///
    /// # Errors
    /// What is on the disk then is not known: the ledger must be opened again.
    pub(super) fn append<D: Disk<File = F>>(&mut self, disk: &mut D, lines: &[Entry]) -> io::Result<()> {
        for some in lines.chunks(MOST_AT_ONCE) {
            self.append_some(disk, some)?;
        }
        Ok(())
    }

    fn append_some<D: Disk<File = F>>(&mut self, disk: &mut D, lines: &[Entry]) -> io::Result<()> {
        let mut text = if self.torn { "\n".to_owned() } else { String::new() };
        for line in lines {
            text += &serde_json::to_string(line)?;
            text.push('\n');
        }
        let added = u64::try_from(text.len()).unwrap_or(u64::MAX);
        if self.number == 0 || self.length.saturating_add(added) > self.file_bytes {
            self.rotate(disk)?;
        }
        self.torn = true;
        let file = self.opened(disk)?;
        disk.write(file, text.as_bytes())?;
        disk.sync(file)?;
        self.torn = false;
        self.length += added;
        lines.iter().for_each(|line| self.totals.add(line));
        Ok(())
    }

    /// Returns when what was written before is certain.
    pub(super) fn sync<D: Disk<File = F>>(&mut self, disk: &mut D) -> io::Result<()> {
        if self.number == 0 {
            return Ok(());
        }
        let file = self.opened(disk)?;
        disk.sync(file)
    }

    fn opened<D: Disk<File = F>>(&mut self, disk: &mut D) -> io::Result<&mut F> {
        let path = self.folder.join(self.side.file(self.number));
        if self.file.is_none() {
            // An earlier start may have made it and not come to this.
            disk.sync_folder(&self.folder)?;
            self.file = Some(disk.append(&path)?);
        }
        self.file.as_mut().ok_or_else(|| io::Error::other("the ledger is not open"))
    }

    fn rotate<D: Disk<File = F>>(&mut self, disk: &mut D) -> io::Result<()> {
        let number = self.number + 1;
        let mut head = serde_json::to_vec(&Head { schema: SCHEMA, totals: self.totals })?;
        head.push(b'\n');
        replace(disk, &self.folder.join(self.side.file(number)), &head)?;
        (self.number, self.file, self.torn) = (number, None, false);
        self.length = u64::try_from(head.len()).unwrap_or(u64::MAX);
        for name in disk.list(&self.folder)? {
            let old = self.side.number(&name).is_some_and(|found| found + FILES <= number);
            if old {
                disk.remove(&self.folder.join(name))?;
            }
        }
        Ok(())
    }
}

/// What one process's ledger says.
#[derive(Debug, Default)]
pub(super) struct Read {
    newest: Option<u32>,
    length: u64,
    torn: bool,
    /// Of all that was ever written.
    pub(super) totals: Totals,
    /// The lines that are still there.
    pub(super) entries: Vec<Entry>,
}

impl Read {
    /// The records whose begin it knows.
    pub(super) fn captured(&self) -> HashSet<Digest> {
        self.of(|entry| entry.event == Event::Captured || entry.at_once)
    }

    /// The records whose end it knows.
    pub(super) fn ended(&self) -> HashSet<Digest> {
        self.of(|entry| entry.event != Event::Captured)
    }

    fn of(&self, wanted: impl Fn(&Entry) -> bool) -> HashSet<Digest> {
        self.entries.iter().filter(|entry| wanted(entry)).map(|entry| entry.digest).collect()
    }
}

/// Of a first line, whatever else a newer program writes there.
#[derive(Debug, Deserialize)]
struct Schema {
    schema: u64,
}

/// Reads one process's ledger. What is half a line, or no line of ours, is passed over; what a newer program wrote is refused,
/// since nothing may be written behind it.
pub(super) fn read_side(disk: &impl Disk, folder: &Path, side: Side) -> io::Result<Read> {
    let mut numbers: Vec<u32> = disk.list(folder)?.iter().filter_map(|name| side.number(name)).collect();
    numbers.sort_unstable();
    let mut read = Read { newest: numbers.last().copied(), ..Read::default() };
    let surplus = numbers.len().saturating_sub(FILES as usize + 1);
    for number in numbers.into_iter().skip(surplus) {
        // Rotated away meanwhile, where it is gone: the newer ones know its sums.
        let Some(bytes) = disk.read(&folder.join(side.file(number)), LARGEST)? else { continue };
        if let Some(found) = newer(&bytes) {
            let problem = format!(
                "{}: schema {found}; this program reads up to {SCHEMA}. Install a newer one; until then the spool is left alone",
                folder.join(side.file(number)).display()
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
        }
        read.length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        read.torn = bytes.last().is_some_and(|last| *last != b'\n');
        for line in bytes.split(|byte| *byte == b'\n') {
            if let Ok(entry) = serde_json::from_slice::<Entry>(line) {
                read.totals.add(&entry);
                read.entries.push(entry);
            } else if let Ok(head) = serde_json::from_slice::<Head>(line) {
                read.totals = head.totals;
            }
        }
    }
    Ok(read)
}

/// The schema of a file that a newer program began.
fn newer(bytes: &[u8]) -> Option<u64> {
    let head = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let Schema { schema } = serde_json::from_slice(head).ok()?;
    (schema > u64::from(SCHEMA)).then_some(schema)
}
