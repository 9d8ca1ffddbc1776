//! What was told to be certain, as lines on the console or as marks in the log of writes.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};

use stopline_depot::digest::Digest;

/// Before each of them; the console holds other lines too.
const BEFORE: &str = "CERTAIN ";

/// Tells that something is certain, the moment the product says so.
#[derive(Clone)]
pub struct Told {
    /// Name of the device-mapper device that records the writes.
    marked: Option<String>,
}

impl Told {
    pub fn new(marked: Option<String>) -> Self {
        Self { marked }
    }

    /// `what` of the product's promises has just been kept.
    pub fn certain(&self, what: &str) -> Result<(), String> {
        if let Some(name) = &self.marked {
            return self.mark(name, &format!("{BEFORE}{what}"));
        }
        // One write for a whole line: two threads tell.
        let line = format!("{BEFORE}{what}\n");
        std::io::stdout().lock().write_all(line.as_bytes()).map_err(|error| error.to_string())
    }

    /// What is being done, for the tally of what a cut met.
    pub fn step(&self, step: &str) {
        if self.marked.is_none() {
            println!("STEP {step}");
        }
    }

    /// A mark lies in the log behind every write that was flushed before it.
    fn mark(&self, name: &str, text: &str) -> Result<(), String> {
        let status = Command::new("/sbin/dmsetup")
            .args(["message", name, "0", "mark", &text.replace(' ', "/")])
            .stdin(Stdio::null())
            .status()
            .map_err(|error| format!("dmsetup: {error}"))?;
        if status.success() { Ok(()) } else { Err(format!("dmsetup: {status}")) }
    }
}

/// The sum of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certain {
    /// The newest update that ended, and the newest that ended well.
    pub ended: Option<u64>,
    pub good: Option<u64>,
    pub put: BTreeSet<Digest>,
    pub delivered: BTreeSet<Digest>,
}

impl Certain {
    /// Of lines or marks; what is not one is passed over. A line that the cut left half is not certain.
    pub fn of<'a>(lines: impl Iterator<Item = &'a str>) -> Self {
        let mut certain = Self::default();
        for line in lines {
            let line = line.trim().replace('/', " ");
            if let Some(what) = line.strip_prefix(BEFORE) {
                certain.add(what);
            }
        }
        certain
    }

    fn add(&mut self, what: &str) {
        let words: Vec<&str> = what.split(' ').collect();
        match words.as_slice() {
            ["good", number, "."] => {
                self.good = number.parse().ok().max(self.good);
                self.ended = self.good.max(self.ended);
            }
            ["reverted", number, "."] => self.ended = number.parse().ok().max(self.ended),
            ["put", digest, "."] => self.put.extend(digest.parse::<Digest>()),
            ["delivered", digest, "."] => self.delivered.extend(digest.parse::<Digest>()),
            _ => {}
        }
    }
}
