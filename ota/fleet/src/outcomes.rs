//! What devices said: a folder of signed outcomes, as whoever receives them puts them there, one file each. A signature
//! counts only under the key that the fleet knows of the device; whatever else lies there is counted and passed over.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::UNIX_EPOCH;

use serde::Deserialize;
use stopline_depot::deployment::Phase;
use stopline_depot::digest::Digest;
use stopline_depot::gates::Received;
use stopline_depot::outcome::SignedOutcome;
use stopline_depot::versioned::{self, Versioned as _};

use crate::exit::{Failure, Result};
use crate::files;

/// What was heard.
#[derive(Debug, Clone, Default)]
pub struct Heard {
    /// Outcomes whose signature holds.
    pub received: Vec<Received>,
    /// Files that were passed over, and why.
    pub refused: Vec<String>,
}

/// Public keys of devices by id: `devices.json`, `{"DEVICE": "64 hexadecimal digits", …}`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Devices(BTreeMap<String, String>);

impl Devices {
    /// Reads the file.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = files::read(path, 1 << 30)?;
        serde_json::from_slice(&bytes)
            .map_err(|error| Failure::refused(format!("{}: {error}", path.display())))
    }

    /// The key of a device.
    pub fn key(&self, device: &str) -> Option<[u8; 32]> {
        let digits = self.0.get(device)?;
        // A SHA-256 is spelled as a key is: 32 bytes.
        digits.parse::<Digest>().ok().map(|bytes| *bytes.as_bytes())
    }
}

/// Reads a folder of signed outcomes. When one arrived is when its file was last written: the receiver's clock.
pub fn read(folder: &Path, devices: &Devices) -> Result<Heard> {
    let mut heard = Heard::default();
    for name in files::names(folder)?.iter().filter(|name| name.ends_with(".json")) {
        let path = folder.join(name);
        match read_one(&path, devices) {
            Ok(received) => heard.received.push(received),
            Err(failure) => heard.refused.push(format!("{name}: {failure}")),
        }
    }
    Ok(heard)
}

fn read_one(path: &Path, devices: &Devices) -> Result<Received> {
    let limit = u64::try_from(SignedOutcome::LIMIT).unwrap_or(u64::MAX);
    let signed: SignedOutcome = versioned::read(&files::read(path, limit)?)?;
    let device = &signed.outcome.device;
    let key =
        devices.key(device).ok_or_else(|| Failure::refused(format!("no key of device {device} is known")))?;
    if !signed.is_signed_by(&key) {
        return Err(Failure::refused(format!("it is not signed by device {device}")));
    }
    let written = std::fs::metadata(path).and_then(|metadata| metadata.modified());
    let written = written.map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
    let since =
        written.duration_since(UNIX_EPOCH).map_err(|_| Failure::refused("its file is from before 1970"))?;
    let at_s = i64::try_from(since.as_secs()).map_err(Failure::refused)?;
    Ok(Received { at_s, outcome: signed.outcome })
}

/// How many devices said last that a bundle decides, by its digest.
pub fn running(heard: &Heard) -> BTreeMap<Digest, u64> {
    let mut last: BTreeMap<&str, &Received> = BTreeMap::new();
    let decides = |one: &&Received| matches!(one.outcome.phase, Phase::Trial | Phase::Good);
    for one in heard.received.iter().filter(decides) {
        let known = last.entry(&one.outcome.device).or_insert(one);
        if known.at_s <= one.at_s {
            *known = one;
        }
    }
    let mut running = BTreeMap::new();
    for one in last.values() {
        *running.entry(one.outcome.digest).or_default() += 1;
    }
    running
}
