//! `forget`: captured records are removed from the server's store and database, from labels, exports and frozen sets, and never
//! taken in again. What was done is a receipt.
//!
//! The tombstone comes first: a device that still holds the record, and sends it again, is answered `not_wanted`. Then the sealed
//! bytes go, then everything that was made of them. Cut anywhere, the same command again finishes it.
//!
//! Devices are asked to let go of what is still in their spools: those that may hold some of it, until each has answered, for 90
//! days at most; the receipt names the request by which one sees who has.
//!
//! Not reached, and the receipt says so: copies that somebody made of an export, backups, and a model that was trained on it.

#[cfg(feature = "serve")]
mod rows;

use std::collections::BTreeSet;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use stopline_depot::digest::Digest;
use stopline_depot::order::{Forget, MOST_RECORDS};

use crate::dataset::captured::{self, RECORDS, Source, TOMBSTONES};
use crate::dataset::erase;
use crate::dataset::folder::Folder;
use crate::dataset::identity::Identities;
use crate::exit::{Failure, Result, Said};
use crate::files;
use crate::store::{Content, Store};
#[cfg(feature = "serve")]
pub use rows::Rows;

/// What is to be forgotten: all that is given must hold.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Records of this device.
    pub device: Option<String>,
    /// These records, whether they have arrived yet or not.
    pub records: Vec<Digest>,
    /// From then on.
    pub from: Option<Timestamp>,
    /// Before then.
    pub to: Option<Timestamp>,
}

impl Selection {
    fn check(&self) -> Result<()> {
        if self.device.is_none() && self.records.is_empty() && self.from.is_none() && self.to.is_none() {
            return Err(Failure::usage("say what: --device, --record, or --from and --to"));
        }
        if let (Some(from), Some(to)) = (self.from, self.to)
            && from >= to
        {
            return Err(Failure::usage(format!("--from {from} is not before --to {to}")));
        }
        Ok(())
    }

    fn has_time(&self) -> bool {
        self.from.is_some() || self.to.is_some()
    }

    /// What devices are asked to let go: nothing that they capture after `now`. Where no time is given, what nobody knows the time of
    /// goes too.
    fn wanted(&self, now: Timestamp) -> Vec<Forget> {
        let second = |at: Timestamp| u64::try_from(at.as_second()).unwrap_or(0);
        let to = self.to.map_or(now, |to| to.min(now));
        let all = Forget {
            records: BTreeSet::new(),
            from: self.from.map(second),
            to: Some(second(to)),
            undated: !self.has_time(),
        };
        if self.records.is_empty() {
            return vec![all];
        }
        let of = |records: &[Digest]| Forget { records: records.iter().copied().collect(), ..all.clone() };
        self.records.chunks(MOST_RECORDS).map(of).collect()
    }

    fn at(&self, second: i64) -> bool {
        self.from.is_none_or(|from| second >= from.as_second())
            && self.to.is_none_or(|to| second < to.as_second())
    }
}

/// The server's database, as far as forgetting goes.
pub trait Register {
    /// Removes every row that names one of these records, and their thumbnails; how many rows.
    ///
    /// # Errors
    /// The database's.
    fn forget(&mut self, digests: &BTreeSet<Digest>) -> Result<u64>;

    /// Removes what a device brought and said besides records: diagnostic bundles; how many.
    ///
    /// # Errors
    /// The database's, the system's.
    fn forget_device(&mut self, device: &str) -> Result<u64>;

    /// Asks devices to let go of what is still in their spools: this one, or all that are let in.
    ///
    /// # Errors
    /// The database's, the log's.
    fn ask(&mut self, device: Option<&str>, wanted: &[Forget], now: Timestamp) -> Result<Asked>;
}

/// That devices were asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// By what its answers are found.
    pub request: String,
    /// How many devices.
    pub devices: usize,
}

/// Where things are removed from.
pub struct Places<'a> {
    /// The server's store.
    pub store: &'a dyn Store,
    /// The operator's folder, where there is one.
    pub folder: Option<&'a Folder>,
    /// Exports that the folder does not know.
    pub exports: &'a [PathBuf],
    /// The server's database, where it is at hand.
    pub register: Option<&'a mut dyn Register>,
    /// What opens records: without it, a time range goes by when a record arrived.
    pub identities: Option<&'a Identities>,
}

/// Forgets, and says what.
///
/// # Errors
/// What kept it from being gone; then it is to be called again.
pub fn run(places: Places<'_>, selection: &Selection, now: Timestamp) -> Result<Said> {
    selection.check()?;
    let (digests, unsure) = select(&places, selection)?;
    for digest in &digests {
        let stone = json!({"schema": 1, "forgotten": now.as_second()});
        let bytes = serde_json::to_vec(&stone).map_err(Failure::failed)?;
        // One that is there already, of another second, is as good.
        places.store.add(&format!("{TOMBSTONES}/{digest}"), Content::Bytes(&bytes))?;
    }
    let mut sealed = 0_u64;
    for digest in &digests {
        sealed += u64::from(places.store.remove(&format!("{RECORDS}/{digest}.age"))?);
        places.store.remove(&format!("{RECORDS}/{digest}.json"))?;
    }
    let (mut rows, mut bundles, mut asked) = (None, None, None);
    if let Some(register) = places.register {
        rows = Some(register.forget(&digests)?);
        bundles = selection.device.as_ref().map(|device| register.forget_device(device)).transpose()?;
        asked = Some(register.ask(selection.device.as_deref(), &selection.wanted(now), now)?);
    }
    let erased = places.folder.map(|folder| erase::run(folder, places.exports, &digests)).transpose()?;
    let mut words = vec![
        format!("{} records are forgotten (receipt of {now})", digests.len()),
        format!(
            "  store {}: {sealed} sealed records removed; they are not taken in again",
            places.store.name()
        ),
    ];
    words.push(match rows {
        Some(rows) => format!("  database: {rows} rows removed"),
        None => "  database: left to the server, which removes rows of what has a tombstone; --data DIR does it now".into(),
    });
    words.extend(bundles.map(|bundles| format!("  diagnostic bundles: {bundles} removed")));
    match &erased {
        Some(erased) => {
            words.push(format!("  labels: {} removed", erased.labels));
            words.push(format!(
                "  exports: {} pictures of {} exports removed",
                erased.exported,
                erased.exports.len()
            ));
            words.extend(erased.frozen.iter().map(|(name, before, after)| {
                format!("  frozen set {name}: {before} is now {after}; evaluate on it again")
            }));
        }
        None => words.push(
            "  labels, exports, frozen sets: no dataset folder given, not touched; --dataset names it".into(),
        ),
    }
    if unsure > 0 {
        words.push(format!(
            "  NOT forgotten: {unsure} records that could not be opened, so that nobody knows their time"
        ));
    }
    words.push(match &asked {
        Some(asked) => format!(
            "  vehicles: {} are asked to let go of what is in their spools; who has: stopline-fleet devices request {}",
            asked.devices, asked.request
        ),
        None => "  vehicles: not asked; --data DIR asks them, until then what is in their spools ends by its expiry".into(),
    });
    words.push("  not reached: copies, backups, trained models".into());
    words.extend(digests.iter().map(|digest| format!("  {digest}")));
    let mut said = Said::new(
        words,
        json!({
            "schema": 1, "at": now.to_string(), "records": digests, "store": places.store.name(), "sealed": sealed,
            "database_rows": rows, "diagnoses": bundles, "vehicles": asked, "dataset": erased, "unsure": unsure,
            "device": selection.device, "from": selection.from.map(|time| time.to_string()),
            "to": selection.to.map(|time| time.to_string()),
        }),
    );
    if unsure > 0 {
        said.exit = crate::exit::Exit::Warning;
    }
    Ok(said)
}

/// Writes a receipt beside what was told.
///
/// # Errors
/// The system's.
pub fn keep_receipt(path: &std::path::Path, said: &Said) -> Result<()> {
    let bytes = serde_json::to_vec_pretty(&said.json).map_err(Failure::failed)?;
    files::write_new(path, &bytes, 0o600)
}

/// What is meant, and how many records nobody can say it of.
fn select(places: &Places<'_>, selection: &Selection) -> Result<(BTreeSet<Digest>, u64)> {
    let named: BTreeSet<Digest> = selection.records.iter().copied().collect();
    if selection.device.is_none() && !selection.has_time() {
        return Ok((named, 0));
    }
    let (mut chosen, mut unsure) = (BTreeSet::new(), 0);
    for digest in captured::digests(places.store)? {
        if !named.is_empty() && !named.contains(&digest) {
            continue;
        }
        let Some(clear) = captured::clear(places.store, &digest)? else {
            unsure += 1;
            continue;
        };
        if selection.device.as_ref().is_some_and(|device| *device != clear.device) {
            continue;
        }
        let second = match places.identities.filter(|_| selection.has_time()) {
            Some(identities) => Source { store: places.store, identities }.taken(&digest)?,
            None => Some(clear.received),
        };
        match second {
            Some(second) if selection.at(second) => drop(chosen.insert(digest)),
            Some(_) => {}
            None => unsure += 1,
        }
    }
    Ok((chosen, unsure))
}
