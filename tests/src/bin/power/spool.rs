//! Records put, claimed and delivered, one after the other.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use stopline_depot::digest::Digest;
use stopline_depot::disk::{Disk, RealDisk};
use stopline_depot::spool::{self, Claims, Class, End, Event, Limits, Put, Spool};

use crate::certain::{Certain, Told};
use crate::random::Random;

/// Enough for everything that is put: nothing is evicted, so that what is missing was lost.
const LIMITS: Limits = Limits { bytes: 1 << 30, files: 10_000, keep_free: 0 };
const NOW: u64 = 1_790_000_000;
const EXPIRES: u64 = NOW + 86_400;
/// The newest that stay, so that a small disk does not fill.
const STAYING: usize = 12;

/// Puts and delivers until `goes_on` says no.
pub fn write<D: Disk + Clone>(
    disk: D,
    place: &Path,
    told: &Told,
    goes_on: &dyn Fn() -> bool,
) -> Result<(), String> {
    let folder = place.join("spool");
    spool::prepare(&folder).map_err(text)?;
    let mut spool = Spool::open(disk.clone(), &folder, LIMITS, NOW).map_err(text)?;
    let mut claims = Claims::open(disk, &folder, NOW).map_err(text)?;
    // Another in each life: what was put before the cut must not be met again.
    let counts = spool::counts(&RealDisk, &folder).map_err(text)?;
    let mut random = Random(counts.captured + 77);
    while goes_on() {
        told.step("spool putting");
        let length = 1000 + random.next() as usize % 20_000;
        let class = Class::new((random.next() % 10) as u8).unwrap_or(Class::LOWEST);
        match spool.put(&random.bytes(length), class, EXPIRES, NOW).map_err(text)? {
            Put::Waiting(digest) => told.certain(&format!("put {digest} ."))?,
            other => return Err(format!("{other:?}")),
        }
        told.step("spool claiming");
        let waiting = claims.waiting().map_err(text)?.len();
        if waiting + claims.held().len() <= STAYING {
            continue;
        }
        claims.claim(24 << 10).map_err(text)?;
        told.step("spool delivering");
        for one in claims.held() {
            claims.read(&one.digest).map_err(text)?;
            claims.end(&one.digest, End::Delivered, NOW).map_err(text)?;
            told.certain(&format!("delivered {} .", one.digest))?;
        }
    }
    Ok(())
}

/// What the next start finds: every record that was told to be certain, whole, or delivered; none delivered twice.
pub fn look(place: &Path, certain: &Certain) -> Result<String, String> {
    let folder = place.join("spool");
    if !folder.is_dir() {
        let nothing = certain.put.is_empty();
        return if nothing { Ok("no spool yet".into()) } else { Err("the spool is gone".into()) };
    }
    let mut spool = Spool::open(RealDisk, &folder, LIMITS, NOW).map_err(text)?;
    spool.evict(NOW).map_err(text)?;
    let mut claims = Claims::open(RealDisk, &folder, NOW).map_err(text)?;
    claims.claim(u64::MAX).map_err(text)?;
    let mut held = BTreeSet::new();
    for one in claims.held() {
        claims.read(&one.digest).map_err(text)?;
        held.insert(one.digest);
    }
    let entries = spool::entries(&RealDisk, &folder).map_err(text)?;
    let delivered: Vec<Digest> =
        entries.iter().filter(|entry| entry.event == Event::Delivered).map(|entry| entry.digest).collect();
    let once: BTreeSet<Digest> = delivered.iter().copied().collect();
    if once.len() != delivered.len() {
        return Err("a record was delivered twice".into());
    }
    let (kept, gone) = (certain.put.difference(&certain.delivered), &certain.delivered);
    // A ledger is bounded: what it no longer tells is in its sums.
    let tells_all =
        entries.iter().filter(|entry| entry.event == Event::Captured).count() >= certain.put.len();
    for digest in kept {
        if !held.contains(digest) && !once.contains(digest) && tells_all {
            return Err(format!("record {digest} was certain and is lost"));
        }
    }
    for digest in gone {
        if held.contains(digest) {
            return Err(format!("record {digest} was delivered, and is there again"));
        }
        if !once.contains(digest) && tells_all {
            return Err(format!("record {digest} was delivered, and the ledger does not know it"));
        }
    }
    let counts = spool::counts(&RealDisk, &folder).map_err(text)?;
    if !counts.is_balanced() {
        return Err(format!("the books do not balance: {counts:?}"));
    }
    if counts.captured < certain.put.len() as u64 {
        return Err(format!("{} records were certain, {} were captured", certain.put.len(), counts.captured));
    }
    Ok(format!(
        "{} records certain, {} of them delivered, {} there",
        certain.put.len(),
        gone.len(),
        held.len()
    ))
}

/// A record that waits or is being sent.
pub fn a_record(place: &Path) -> Result<PathBuf, String> {
    for folder in ["spool/waiting", "spool/sending"].map(|name| place.join(name)) {
        let names = RealDisk.list(&folder).map_err(text)?;
        if let Some(name) = names.iter().find(|name| name.ends_with(".age")) {
            return Ok(folder.join(name));
        }
    }
    Err("no record waits".into())
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
