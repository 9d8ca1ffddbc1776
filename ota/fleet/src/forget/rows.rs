//! The server's database and data folder, at once, beside a server that may be running: rows are removed, devices are asked.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::json;
use stopline_depot::digest::Digest;
use stopline_depot::order::{Forget, What};

use super::{Asked, Register};
use crate::exit::{Failure, Result};
use crate::serve::data::Data;
use crate::serve::database::Database;
use crate::serve::database::devices::Standing;
use crate::serve::orders;

/// The database of a server's data folder, or another that it uses.
#[derive(Debug, Clone)]
pub struct Rows {
    data: PathBuf,
    database: Option<String>,
    who: String,
}

impl Rows {
    /// Of the server that keeps everything in `data`; `database` where it is not there. `who` asks.
    pub fn new(data: &Path, database: Option<&str>, who: &str) -> Self {
        Self { data: data.to_owned(), database: database.map(str::to_owned), who: who.to_owned() }
    }

    /// Does something with the database, and ends the connection.
    fn within<T>(&self, work: impl AsyncFnOnce(&Database) -> Result<T>) -> Result<T> {
        let url = match &self.database {
            Some(url) => url.clone(),
            None => Data::open(&self.data)?.database_url(),
        };
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
        runtime.block_on(async {
            let database = Database::open(&url).await?;
            let done = work(&database).await;
            database.close().await;
            done
        })
    }
}

impl Register for Rows {
    fn forget(&mut self, digests: &BTreeSet<Digest>) -> Result<u64> {
        self.within(async |database| remove(database, digests).await)
    }

    fn forget_device(&mut self, device: &str) -> Result<u64> {
        let data = Data::open(&self.data)?;
        self.within(async |database| {
            let mut removed = 0;
            for order in database.orders_of(device, "diagnose", i64::MAX).await? {
                removed += u64::from(data.remove_diagnosis(&order.id)?);
            }
            let mut writing = database.write().await?;
            writing.forget_diagnoses(device).await?;
            writing.commit().await?;
            database.fold().await?;
            Ok(removed)
        })
    }

    fn ask(&mut self, device: Option<&str>, wanted: &[Forget], now: Timestamp) -> Result<Asked> {
        let request = orders::new_id()?;
        let detail = json!({"request": request, "device": device});
        Data::open(&self.data)?.audit().append(&self.who, "devices.forget", detail, now)?;
        self.within(async |database| {
            // Who is quarantined may come back; who is revoked or retired hears nothing any more.
            let hears = |standing| matches!(standing, Standing::Active | Standing::Quarantined);
            let mut devices = database.devices().await?;
            devices.retain(|one| hears(one.standing) && device.is_none_or(|device| one.id == device));
            let mut writing = database.write().await?;
            for one in &devices {
                for wanted in wanted {
                    let what = What::Forget(wanted.clone());
                    writing.add_order(&orders::new(&one.id, &request, &what, (&self.who, now))?).await?;
                }
            }
            writing.commit().await?;
            Ok(Asked { request, devices: devices.len() })
        })
    }
}

/// All of them or none.
async fn remove(database: &Database, digests: &BTreeSet<Digest>) -> Result<u64> {
    let mut writing = database.write().await?;
    let mut removed = 0;
    for digest in digests {
        removed += u64::from(writing.forget_record(&digest.to_string()).await?);
    }
    writing.commit().await?;
    database.fold().await?;
    Ok(removed)
}
