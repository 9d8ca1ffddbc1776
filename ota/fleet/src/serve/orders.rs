//! What devices are asked to do once: made by the command line or a page, handed over by MQTT and in the answer to messages until
//! the device has answered, at most until the order ends. What diagnoses bring lies in the data folder, for this user alone, for two
//! weeks.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use jiff::Timestamp;
use stopline_depot::order::{Order, What, check_id};

use super::data::{self, Data};
use super::database::Database;
use super::database::orders::Kept;
use super::secret;
use crate::exit::{Failure, Result};
use crate::files;

/// Seconds for which a bundle is asked for.
pub const DIAGNOSE_S: i64 = 86_400;
/// Seconds for which devices are asked to forget.
pub const FORGET_S: i64 = 90 * 86_400;
/// Seconds for which a bundle is kept.
pub const BUNDLE_S: i64 = 14 * 86_400;
/// Seconds for which it is known how an order ended.
pub const KNOWN_S: i64 = 365 * 86_400;
/// Bytes of a bundle, at most.
pub const LARGEST: usize = 1 << 20;

/// A number that nobody guesses, for orders and requests.
///
/// # Errors
/// The system's, if it gives no random numbers.
pub fn new_id() -> Result<String> {
    Ok(secret::bytes::<16>()?.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// An order to a device, which is not in the database yet.
///
/// # Errors
/// No random numbers; what cannot be written as JSON.
pub fn new(device: &str, request: &str, what: &What, (who, now): (&str, Timestamp)) -> Result<Kept> {
    let made_s = now.as_second();
    let stands = match what {
        What::Diagnose => DIAGNOSE_S,
        What::Forget(_) => FORGET_S,
    };
    Ok(Kept {
        id: new_id()?,
        device: device.to_owned(),
        request: request.to_owned(),
        kind: what.word().to_owned(),
        what: serde_json::to_string(what).map_err(Failure::failed)?,
        made_by: who.to_owned(),
        made_s,
        until_s: made_s.saturating_add(stands),
        answered_s: 0,
        result: String::new(),
        removed: 0,
        unsure: 0,
    })
}

/// Asks a device for a bundle; the order that stands already, where one does.
///
/// # Errors
/// The database's.
pub async fn diagnose(database: &Database, device: &str, who: &str, now: Timestamp) -> Result<Kept> {
    let newest = database.orders_of(device, What::Diagnose.word(), 1).await?;
    if let Some(standing) = newest.into_iter().find(|one| one.standing(now.as_second()) == "asked") {
        return Ok(standing);
    }
    let order = new(device, &new_id()?, &What::Diagnose, (who, now))?;
    let mut writing = database.write().await?;
    writing.add_order(&order).await?;
    writing.commit().await?;
    Ok(order)
}

impl Data {
    /// Where bundles lie.
    fn diagnoses(&self) -> PathBuf {
        self.folder().join("diagnoses")
    }

    fn diagnosis_path(&self, id: &str) -> Result<PathBuf> {
        check_id(id).map_err(Failure::usage)?;
        Ok(self.diagnoses().join(format!("{id}.json")))
    }

    /// Keeps what an order brought that nobody has answered yet, whole or not at all.
    ///
    /// # Errors
    /// The system's.
    pub fn keep_diagnosis(&self, id: &str, bytes: &[u8]) -> Result<()> {
        data::make(&self.diagnoses())?;
        let path = self.diagnosis_path(id)?;
        files::write(&path, bytes)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map_err(Failure::failed)
    }

    /// What an order brought, where it is still here.
    ///
    /// # Errors
    /// The system's; an id that is none.
    pub fn diagnosis(&self, id: &str) -> Result<Option<Vec<u8>>> {
        files::read_if_there(&self.diagnosis_path(id)?, u64::try_from(LARGEST).unwrap_or(u64::MAX))
    }

    /// Takes away what an order brought; whether it was there.
    ///
    /// # Errors
    /// The system's.
    pub fn remove_diagnosis(&self, id: &str) -> Result<bool> {
        let path = self.diagnosis_path(id)?;
        let there = path.exists();
        if there {
            files::remove(&path)?;
        }
        Ok(there)
    }

    /// Takes away bundles that are too old.
    ///
    /// # Errors
    /// The system's.
    pub fn remove_old_diagnoses(&self, now_s: i64) -> Result<()> {
        let folder = self.diagnoses();
        if !folder.is_dir() {
            return Ok(());
        }
        for name in files::names(&folder)? {
            let path = folder.join(&name);
            let changed = std::fs::metadata(&path).and_then(|of| of.modified()).map_err(Failure::failed)?;
            let changed_s = Timestamp::try_from(changed).map_or(0, Timestamp::as_second);
            if now_s - changed_s > BUNDLE_S {
                files::remove(&path)?;
            }
        }
        Ok(())
    }
}

/// How it stands with a device's bundle, in words.
pub fn in_words(order: &Kept, now_s: i64) -> String {
    let ended = when(order.answered_s);
    match order.standing(now_s) {
        "done" => format!("arrived {ended}"),
        "refused" => format!("refused by the device {ended}: its own configuration does not allow it"),
        "over" => format!("not answered by {}; it is over", when(order.until_s)),
        _ => {
            format!("asked {}, not answered yet; it stands until {}", when(order.made_s), when(order.until_s))
        }
    }
}

/// Orders as they go out, without those that cannot be read.
pub fn told(orders: Vec<Kept>) -> impl Iterator<Item = (String, Order)> {
    orders.into_iter().filter_map(|kept| Some((kept.device.clone(), kept.order().ok()?)))
}

fn when(at_s: i64) -> String {
    Timestamp::from_second(at_s)
        .map_or_else(|_| "never".into(), |at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}
