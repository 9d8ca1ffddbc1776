//! `[capture]`: which frames are kept for learning, how they are made unrecognisable, to whom they are encrypted.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use stopline_depot::spool::{Class, MAX_FILES, Rule};

use super::{Misfit, seen_from};

/// Most rules.
const MOST_RULES: usize = 32;
/// Most recipients of a record.
const MOST_RECIPIENTS: usize = 8;

/// Which frames are kept. Off unless `enabled`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Capture {
    /// Whether any frame is kept.
    pub enabled: bool,
    /// The spool's folder.
    pub spool: PathBuf,
    /// Public keys that records are encrypted to, `age1…`.
    pub recipients: Vec<String>,
    /// Cameras by name. Empty: all that do not watch for falls; one that does is captured only where it is named.
    pub cameras: Vec<String>,
    /// Bytes of the spool, at most.
    pub max_bytes: u64,
    /// Records in the spool, at most.
    pub max_files: u32,
    /// Bytes of the file system that stay free.
    pub keep_free_bytes: u64,
    /// Days after which nobody wants a record any more.
    pub retention_days: u32,
    /// Model by its `[[model]]` name that finds persons on pictures before they are written. Empty: the first one that has
    /// `onnx`. It must know persons.
    pub redact_with: String,
    /// Seconds that frames are kept in memory, for what came before an event; 1 to 60.
    pub ring_s: f32,
    /// From one frame kept in memory to the next, in milliseconds; 100 to 10,000.
    pub ring_every_ms: u32,
    /// Pixels of the longest side of a picture in memory, and so of any that is written.
    pub ring_longest_side: u32,
    /// Bytes of the pictures in memory, at most.
    pub ring_bytes: u64,
    /// What `random` draws with. The same on all devices: one draws by camera and frame number.
    pub seed: u64,
    /// Regions that are always made unrecognisable: number plates in view, windows, screens.
    pub regions: Vec<Region>,
    /// In order: the first that wants a frame and has something left of its limits takes it.
    #[serde(rename = "rule")]
    pub rules: Vec<CaptureRule>,
}

/// A region of a camera's picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// The camera's name.
    pub camera: String,
    /// Left, upper, right, lower edge as shares of the picture.
    #[serde(rename = "box")]
    pub bbox: [f32; 4],
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaptureRule {
    /// What it takes.
    pub rule: Rule,
    /// Frames in a minute, at most.
    #[serde(default = "per_minute")]
    pub per_minute: u32,
    /// Frames in an hour, at most.
    #[serde(default = "per_hour")]
    pub per_hour: u32,
    /// Frames in a day, at most.
    #[serde(default = "per_day")]
    pub per_day: u32,
    /// How valuable its records are: 9 are sent first and evicted last.
    #[serde(default = "class")]
    pub class: Class,
    /// JPEG quality, 30 to 95.
    #[serde(default = "quality")]
    pub quality: u8,
    /// Pixels of the longest side; larger pictures are made smaller.
    #[serde(default = "longest_side")]
    pub longest_side: u32,
    /// `event`: seconds before the event that are taken.
    #[serde(default = "roll")]
    pub pre_s: f32,
    /// `event`: seconds after it.
    #[serde(default = "roll")]
    pub post_s: f32,
    /// `near_threshold`: a score is close from the threshold to so far above it.
    #[serde(default = "within")]
    pub within: f32,
    /// `flicker`: a track that lived shorter than this, in seconds.
    #[serde(default = "shorter_than")]
    pub shorter_than_s: f32,
    /// `random`: share of frames, 0 to 1.
    #[serde(default)]
    pub rate: f64,
    /// Classes by name that it is about; empty: all that play a part in decisions. `campaign`: that may be asked for; empty: any.
    #[serde(default)]
    pub labels: Vec<String>,
    /// `campaign`: bytes of sealed records in a day, all campaigns together, at most.
    #[serde(default = "bytes_per_day")]
    pub bytes_per_day: u64,
    /// `campaign`: days that one lasts, at most.
    #[serde(default = "longest_days")]
    pub longest_days: u32,
    /// `campaign`: hours of the day in UTC, from and to, 0 to 24, within which frames may be taken; from > to goes over midnight.
    #[serde(default)]
    pub hours_utc: Option<[u8; 2]>,
}

fn per_minute() -> u32 {
    10
}
fn per_hour() -> u32 {
    60
}
fn per_day() -> u32 {
    300
}
fn class() -> Class {
    Class::new(5).unwrap_or(Class::LOWEST)
}
fn quality() -> u8 {
    85
}
fn longest_side() -> u32 {
    1280
}
fn bytes_per_day() -> u64 {
    20_000_000
}
fn longest_days() -> u32 {
    30
}
fn roll() -> f32 {
    3.0
}
fn within() -> f32 {
    0.1
}
fn shorter_than() -> f32 {
    0.5
}

impl Default for Capture {
    fn default() -> Self {
        Self {
            enabled: false,
            spool: PathBuf::from("/var/lib/stopline/spool"),
            recipients: Vec::new(),
            cameras: Vec::new(),
            max_bytes: 2_000_000_000,
            max_files: 20_000,
            keep_free_bytes: 500_000_000,
            retention_days: 30,
            redact_with: String::new(),
            ring_s: 5.0,
            ring_every_ms: 500,
            ring_longest_side: 1280,
            ring_bytes: 8 << 20,
            seed: 0,
            regions: Vec::new(),
            rules: Vec::new(),
        }
    }
}

impl Capture {
    /// Whether frames of this camera may be kept. A camera that watches for falls looks into rooms: it must be named.
    pub fn takes(&self, camera: &super::Camera) -> bool {
        self.enabled
            && if self.cameras.is_empty() {
                !camera.watches_falls()
            } else {
                self.cameras.contains(&camera.name)
            }
    }

    pub(super) fn check(&self, cameras: &BTreeSet<&str>, models: &[super::Model]) -> Result<(), Misfit> {
        for (key, found, range) in [
            ("capture.ring_s", f64::from(self.ring_s), 1.0..=60.0),
            ("capture.ring_every_ms", f64::from(self.ring_every_ms), 100.0..=10_000.0),
            ("capture.ring_longest_side", f64::from(self.ring_longest_side), 160.0..=4096.0),
            ("capture.retention_days", f64::from(self.retention_days), 1.0..=365.0),
            ("capture.max_files", f64::from(self.max_files), 1.0..=f64::from(MAX_FILES)),
        ] {
            if !range.contains(&found) {
                return Err(Misfit::new(key, found, format!("{} to {}", range.start(), range.end())));
            }
        }
        if !(1 << 20..=256 << 20).contains(&self.ring_bytes) {
            return Err(Misfit::new("capture.ring_bytes", self.ring_bytes, "1 MiB to 256 MiB"));
        }
        let known = |key: String, name: &str| {
            let wrong = || Misfit::new(&key, format!("{name:?}"), "the name of a [[camera]]");
            if cameras.contains(name) { Ok(()) } else { Err(wrong()) }
        };
        self.cameras.iter().try_for_each(|name| known("capture.cameras".into(), name))?;
        for (at, region) in self.regions.iter().enumerate() {
            known(format!("capture.regions[{at}].camera"), &region.camera)?;
            let [x1, y1, x2, y2] = region.bbox;
            if !(0.0 <= x1 && x1 < x2 && x2 <= 1.0 && 0.0 <= y1 && y1 < y2 && y2 <= 1.0) {
                let key = format!("capture.regions[{at}].box");
                return Err(Misfit::new(
                    &key,
                    format!("{:?}", region.bbox),
                    "[left, upper, right, lower], 0 to 1",
                ));
            }
        }
        if self.rules.len() > MOST_RULES {
            return Err(Misfit::new("capture.rule", self.rules.len(), format!("at most {MOST_RULES}")));
        }
        for (at, rule) in self.rules.iter().enumerate() {
            rule.check(self.ring_s).map_err(|misfit| misfit.within(&format!("capture.rule[{at}]")))?;
        }
        if self.enabled { self.check_enabled(models) } else { Ok(()) }
    }

    /// What must be there before the first frame is kept.
    fn check_enabled(&self, models: &[super::Model]) -> Result<(), Misfit> {
        if self.recipients.is_empty() || self.recipients.len() > MOST_RECIPIENTS {
            let expected = format!(
                "1 to {MOST_RECIPIENTS} public keys `age1…`: make one with `age-keygen -o operator.key` on a machine of \
                 the operator's, keep that file there, and name the public key that it prints"
            );
            return Err(Misfit::new(
                "capture.recipients",
                format!("{} keys", self.recipients.len()),
                expected,
            ));
        }
        for (at, recipient) in self.recipients.iter().enumerate() {
            crate::capture::check_recipient(recipient).map_err(|problem| {
                Misfit::new(&format!("capture.recipients[{at}]"), format!("{recipient:?}"), problem)
            })?;
        }
        if !self.spool.is_absolute() {
            return Err(Misfit::new("capture.spool", self.spool.display(), "an absolute path"));
        }
        let fits = |model: &&super::Model| {
            model.bundle.is_none() && (self.redact_with.is_empty() || model.name == self.redact_with)
        };
        if models.iter().find(fits).is_none() {
            let expected =
                "the name of a [[model]] with `onnx` that knows persons: nothing is written without it";
            return Err(Misfit::new("capture.redact_with", format!("{:?}", self.redact_with), expected));
        }
        Ok(())
    }

    pub(super) fn resolve(&mut self, folder: &Path) {
        seen_from(folder, &mut self.spool);
    }
}

impl CaptureRule {
    fn check(&self, ring_s: f32) -> Result<(), Misfit> {
        if !(30..=95).contains(&self.quality) {
            return Err(Misfit::new("quality", self.quality, "30 to 95"));
        }
        if !(160..=4096).contains(&self.longest_side) {
            return Err(Misfit::new("longest_side", self.longest_side, "160 to 4096 pixels"));
        }
        if !(0.0..=ring_s).contains(&self.pre_s) {
            return Err(Misfit::new("pre_s", self.pre_s, format!("0 to capture.ring_s, {ring_s}")));
        }
        if !(0.0..=60.0).contains(&self.post_s) {
            return Err(Misfit::new("post_s", self.post_s, "0 to 60"));
        }
        if !(0.0..=1.0).contains(&self.within) {
            return Err(Misfit::new("within", self.within, "0 to 1"));
        }
        if !(0.0..=10.0).contains(&self.shorter_than_s) {
            return Err(Misfit::new("shorter_than_s", self.shorter_than_s, "0 to 10"));
        }
        if !(0.0..=1.0).contains(&self.rate) || (self.rule == Rule::Random && self.rate == 0.0) {
            return Err(Misfit::new("rate", self.rate, "above 0 for `random`, at most 1"));
        }
        if !(1..=366).contains(&self.longest_days) {
            return Err(Misfit::new("longest_days", self.longest_days, "1 to 366"));
        }
        match self.hours_utc {
            Some([from, to]) if from >= 24 || to > 24 || from == to => {
                Err(Misfit::new("hours_utc", format!("[{from}, {to}]"), "two different hours, 0 to 24"))
            }
            _ => Ok(()),
        }
    }
}
