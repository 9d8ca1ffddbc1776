//! The audit log: who did what, one JSON line each, chained by digests, so that no line can be changed, taken out or put in
//! between without [`verify`](Log::verify) naming the place. The command line and the web write the same file.
//!
//! A line comes before what it tells of is done: what is not written down is not done. What a chain cannot show is that its
//! end was cut off; for that, compare the head that `audit verify` prints with one that was noted elsewhere.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stopline_depot::digest::Digest;
use stopline_tuf::json::canonical;

use crate::exit::{Failure, Result, Said};

/// Bytes of a line, at most.
const LONGEST: u64 = 64 << 10;
/// Characters of a text in a line, at most.
const LONGEST_TEXT: usize = 4_000;
/// What the first line follows.
const BEGINNING: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Schema; 1.
    pub schema: u32,
    /// From 1 on, without a gap.
    pub number: u64,
    /// Seconds since 1970.
    pub at_s: i64,
    /// `cli:NAME`, `web:NAME`, `device:ID` or `serve`.
    pub who: String,
    /// What, as a stable word such as `rollout.advance`.
    pub what: String,
    /// To what, and how.
    pub detail: Value,
    /// `hash` of the line before.
    pub before: String,
    /// SHA-256 of `stopline/audit/v1`, a zero, and this line without its hash as canonical JSON.
    pub hash: String,
}

impl Entry {
    fn expected_hash(&self) -> Result<String> {
        let mut value = serde_json::to_value(self).map_err(Failure::failed)?;
        value.as_object_mut().and_then(|fields| fields.remove("hash"));
        let body = canonical(&value)
            .ok_or_else(|| Failure::failed("an audit line holds a number with a fraction"))?;
        let mut bytes = b"stopline/audit/v1\0".to_vec();
        bytes.extend(body);
        Ok(Digest::of(&bytes).to_string())
    }
}

/// What a whole log says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Lines.
    pub entries: u64,
    /// Hash of the last one.
    pub head: String,
}

/// A log in a file.
#[derive(Debug, Clone)]
pub struct Log {
    path: PathBuf,
}

impl Log {
    /// At `path`, which is made with the first line.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a line. It is on the medium when this returns.
    ///
    /// # Errors
    /// What kept it from being written; then what it was to tell of must not be done.
    pub fn append(&self, who: &str, what: &str, detail: Value, now: Timestamp) -> Result<Entry> {
        let mut file = self.open()?;
        let last = self.last_of(&mut file)?;
        let (number, before) = last.map_or((1, BEGINNING.into()), |last| (last.number + 1, last.hash));
        let mut entry = Entry {
            schema: 1,
            number,
            at_s: now.as_second(),
            who: bounded(who),
            what: bounded(what),
            detail: bounded_value(detail),
            before,
            hash: String::new(),
        };
        entry.hash = entry.expected_hash()?;
        let mut line = serde_json::to_vec(&entry).map_err(Failure::failed)?;
        line.push(b'\n');
        file.write_all(&line).and_then(|()| file.sync_all()).map_err(|error| self.failed(&error))?;
        Ok(entry)
    }

    /// Checks every line.
    ///
    /// # Errors
    /// The first line that does not hold, by its number.
    pub fn verify(&self) -> Result<Verified> {
        let mut verified = Verified { entries: 0, head: BEGINNING.into() };
        self.each(|entry| {
            let number = verified.entries + 1;
            let wrong = |problem: &str| {
                Err(Failure::refused(format!("{}: line {number}: {problem}", self.path.display())))
            };
            if entry.number != number {
                return wrong(&format!("it says it is line {}; lines are missing or added", entry.number));
            }
            if entry.before != verified.head {
                return wrong("it does not follow the line before; lines were changed, added or taken out");
            }
            if entry.hash != entry.expected_hash()? {
                return wrong("its hash is not its own; it was changed");
            }
            verified = Verified { entries: number, head: entry.hash };
            Ok(())
        })?;
        Ok(verified)
    }

    /// The last `most` lines, newest first.
    ///
    /// # Errors
    /// What kept it from being read.
    pub fn latest(&self, most: usize) -> Result<Vec<Entry>> {
        let mut latest = std::collections::VecDeque::new();
        self.each(|entry| {
            latest.push_front(entry);
            latest.truncate(most);
            Ok(())
        })?;
        Ok(latest.into())
    }

    /// Every line, from the first on, unchecked: [`verify`](Log::verify) says whether they hold.
    ///
    /// # Errors
    /// A line that is none; what kept it from being read; `then`'s own.
    pub fn each(&self, mut then: impl FnMut(Entry) -> Result<()>) -> Result<()> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(self.failed(&error)),
        };
        let mut reader = BufReader::new(file);
        let mut line = Vec::new();
        for number in 1_u64.. {
            line.clear();
            let read = reader.by_ref().take(LONGEST + 1).read_until(b'\n', &mut line);
            if read.map_err(|error| self.failed(&error))? == 0 {
                break;
            }
            // What a power cut left of a line was never answered for: it does not count.
            if line.last() != Some(&b'\n') && u64::try_from(line.len()).is_ok_and(|length| length <= LONGEST)
            {
                break;
            }
            let entry = serde_json::from_slice(&line).map_err(|error| {
                Failure::refused(format!("{}: line {number}: {error}", self.path.display()))
            })?;
            then(entry)?;
        }
        Ok(())
    }

    fn open(&self) -> Result<File> {
        let mut options = OpenOptions::new();
        options.create(true).read(true).append(true).mode(0o600);
        let file = options.open(&self.path).map_err(|error| self.failed(&error))?;
        flock(&file, FlockOperation::LockExclusive).map_err(|error| self.failed(&error.into()))?;
        Ok(file)
    }

    /// The last line, once what a power cut left after it is gone.
    fn last_of(&self, file: &mut File) -> Result<Option<Entry>> {
        let failed = |error: io::Error| self.failed(&error);
        let length = file.seek(SeekFrom::End(0)).map_err(failed)?;
        let from = length.saturating_sub(2 * LONGEST);
        file.seek(SeekFrom::Start(from)).map_err(failed)?;
        let mut tail = Vec::new();
        (&*file).take(2 * LONGEST).read_to_end(&mut tail).map_err(failed)?;
        let whole = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        if whole < tail.len() {
            let keep = from + u64::try_from(whole).unwrap_or(0);
            file.set_len(keep).map_err(failed)?;
            tail.truncate(whole);
        }
        let lines = tail.strip_suffix(b"\n");
        let Some(line) = lines.and_then(|lines| lines.rsplit(|byte| *byte == b'\n').next()) else {
            return Ok(None);
        };
        let broken = |problem: String| {
            Failure::refused(format!(
                "{}: its last line does not hold ({problem}); nothing is added to a broken log. See `stopline-fleet audit \
                 verify`, keep this file, and begin another",
                self.path.display()
            ))
        };
        let entry: Entry = serde_json::from_slice(line).map_err(|error| broken(error.to_string()))?;
        if entry.hash != entry.expected_hash()? {
            return Err(broken("its hash is not its own".into()));
        }
        Ok(Some(entry))
    }

    fn failed(&self, error: &io::Error) -> Failure {
        Failure::failed(format!(
            "audit log {}: {error}. What cannot be written down is not done; give --audit FILE where it can be",
            self.path.display()
        ))
    }
}

/// `stopline-fleet audit verify`.
///
/// # Errors
/// The first line that does not hold; with `head`, that this one is not in it.
pub fn verify(log: &Log, head: Option<&str>) -> Result<Said> {
    if !log.path.exists() {
        return Err(Failure::usage(format!("{}: there is no audit log", log.path.display())));
    }
    let verified = log.verify()?;
    if let Some(head) = head {
        let mut found = false;
        log.each(|entry| {
            found |= entry.hash == head;
            Ok(())
        })?;
        if !found {
            return Err(Failure::refused(format!(
                "{}: no line has the hash {head}: the end of the log was cut off, or it is another log",
                log.path.display()
            )));
        }
    }
    let words = vec![
        format!("{}: {} lines, all hold", log.path.display(), verified.entries),
        format!("head {} (note it elsewhere, and compare with --head later)", verified.head),
    ];
    Ok(Said::new(words, json!(verified)))
}

fn bounded(text: &str) -> String {
    text.chars().take(LONGEST_TEXT).collect()
}

fn bounded_value(value: Value) -> Value {
    let length = value.to_string().len();
    if length <= LONGEST_TEXT * 4 { value } else { json!({"too_long": length}) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> (tempfile::TempDir, Log) {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::new(folder.path().join("audit.jsonl"));
        for number in 0..5 {
            log.append("cli:anna", "rollout.pause", json!({"n": number}), Timestamp::UNIX_EPOCH).unwrap();
        }
        (folder, log)
    }

    fn changed(log: &Log, change: impl Fn(Vec<String>) -> Vec<String>) -> String {
        let text = std::fs::read_to_string(&log.path).unwrap();
        let lines = change(text.lines().map(str::to_owned).collect());
        std::fs::write(&log.path, lines.join("\n") + "\n").unwrap();
        log.verify().unwrap_err().message
    }

    #[test]
    fn a_line_that_is_changed_taken_out_or_put_in_is_named() {
        let (_folder, log) = log();
        assert_eq!(log.verify().unwrap().entries, 5);
        let said = changed(&log, |mut lines| {
            lines[2] = lines[2].replace("pause", "abort");
            lines
        });
        assert!(said.contains("line 3"), "{said}");
        let (_folder, log) = self::log();
        let said = changed(&log, |mut lines| {
            lines.remove(1);
            lines
        });
        assert!(said.contains("line 2"), "{said}");
        let (_folder, log) = self::log();
        let said = changed(&log, |mut lines| {
            lines.insert(1, lines[0].clone());
            lines
        });
        assert!(said.contains("line 2"), "{said}");
    }

    #[test]
    fn a_cut_off_end_is_seen_by_the_head_that_was_noted() {
        let (_folder, log) = log();
        let head = log.verify().unwrap().head;
        verify(&log, Some(&head)).unwrap();
        let text = std::fs::read_to_string(&log.path).unwrap();
        let kept: Vec<&str> = text.lines().take(4).collect();
        std::fs::write(&log.path, kept.join("\n") + "\n").unwrap();
        assert_eq!(log.verify().unwrap().entries, 4);
        assert!(verify(&log, Some(&head)).is_err());
    }

    #[test]
    fn what_a_power_cut_left_of_a_line_is_taken_away_and_the_chain_goes_on() {
        let (_folder, log) = log();
        let mut file = OpenOptions::new().append(true).open(&log.path).unwrap();
        file.write_all(b"{\"schema\":1,\"numb").unwrap();
        assert_eq!(log.verify().unwrap().entries, 5);
        assert_eq!(log.append("serve", "x", json!({}), Timestamp::UNIX_EPOCH).unwrap().number, 6);
        assert_eq!(log.verify().unwrap().entries, 6);
        assert_eq!(log.latest(2).unwrap()[0].number, 6);
    }

    #[test]
    fn nothing_is_added_to_a_log_whose_end_does_not_hold() {
        let (_folder, log) = log();
        let text = std::fs::read_to_string(&log.path).unwrap().replace("\"n\":4", "\"n\":7");
        std::fs::write(&log.path, text).unwrap();
        assert!(log.append("serve", "x", json!({}), Timestamp::UNIX_EPOCH).is_err());
    }

    #[test]
    fn many_writers_at_once_make_one_chain() {
        let (_folder, log) = log();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10 {
                        log.append("web:ben", "x", json!({}), Timestamp::UNIX_EPOCH).unwrap();
                    }
                });
            }
        });
        assert_eq!(log.verify().unwrap().entries, 45);
    }
}
