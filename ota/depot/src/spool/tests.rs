mod cuts;
mod hands;
mod ledgers;
mod life;
mod random;

use std::collections::HashMap;

use super::ending::names;
use super::name::State;
use super::*;
use crate::digest::Digest;
use crate::disk::simulated::SharedDisk;
use crate::disk::{Disk, RealDisk};

const SPOOL: &str = "spool";
/// Some day in 2027.
const NOW: u64 = 1_800_000_000;

fn limits(bytes: u64, files: u32) -> Limits {
    Limits { bytes, files, keep_free: 0 }
}

fn class(class: u8) -> Class {
    Class::new(class).unwrap()
}

/// Bytes that nothing else has.
fn sealed(number: u32, length: usize) -> Vec<u8> {
    let mut bytes = vec![b'x'; length.max(4)];
    bytes[..4].copy_from_slice(&number.to_le_bytes());
    bytes
}

fn writer(disk: &SharedDisk, limits: Limits) -> Result<Spool<SharedDisk>, SpoolError> {
    Spool::open(disk.clone(), Path::new(SPOOL), limits, NOW)
}

fn agent(disk: &SharedDisk) -> Result<Claims<SharedDisk>, SpoolError> {
    Claims::open(disk.clone(), Path::new(SPOOL), NOW)
}

/// What must always hold: the sum, and by digest that what began has ended once or is here. Returns what has ended and what
/// is here.
fn check(disk: &impl Disk, folder: &Path) -> Result<(HashMap<Digest, Event>, Vec<Digest>), String> {
    let found = counts(disk, folder).map_err(|error| error.to_string())?;
    if !found.is_balanced() {
        return Err(format!("{found:?}"));
    }
    let (mut begun, mut ended) = (HashMap::new(), HashMap::new());
    for entry in entries(disk, folder).map_err(|error| error.to_string())? {
        let begins = entry.event == Event::Captured || entry.at_once;
        if begins && begun.insert(entry.digest, entry.class).is_some() {
            return Err(format!("{} began twice", entry.digest));
        }
        if entry.event != Event::Captured && ended.insert(entry.digest, entry.event).is_some() {
            return Err(format!("{} ended twice", entry.digest));
        }
    }
    let places = Places::new(folder);
    let mut here = Vec::new();
    for folder in [&places.waiting, &places.sending] {
        for (name, state) in names(disk, folder).map_err(|error| error.to_string())? {
            let is_whole = state == State::Whole;
            if is_whole && ended.contains_key(&name.digest) {
                return Err(format!("{} ended as {:?} and is here", name.digest, ended[&name.digest]));
            }
            let bytes = disk.read(&folder.join(name.file(state)), MAX_RECORD).unwrap().unwrap();
            if is_whole && Digest::of(&bytes) != name.digest {
                return Err(format!("{} is not whole", name.digest));
            }
            if (is_whole || begun.contains_key(&name.digest)) && !ended.contains_key(&name.digest) {
                here.push(name.digest);
            }
        }
    }
    let accounted = |digest: &Digest| ended.contains_key(digest) || here.contains(digest);
    if let Some(lost) = begun.keys().find(|digest| !accounted(digest)) {
        return Err(format!("{lost} is lost"));
    }
    if let Some(stray) = ended.keys().chain(&here).find(|digest| !begun.contains_key(digest)) {
        return Err(format!("{stray} never began"));
    }
    Ok((ended, here))
}
