//! Rows of the server's database, removed at once, beside a server that may be running.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use stopline_depot::digest::Digest;

use super::Register;
use crate::exit::{Failure, Result};
use crate::serve::data::Data;
use crate::serve::database::Database;

/// The database of a server's data folder, or another that it uses.
#[derive(Debug, Clone)]
pub struct Rows {
    data: PathBuf,
    database: Option<String>,
}

impl Rows {
    /// Of the server that keeps everything in `data`; `database` where it is not there.
    pub fn new(data: &Path, database: Option<&str>) -> Self {
        Self { data: data.to_owned(), database: database.map(str::to_owned) }
    }
}

impl Register for Rows {
    fn forget(&mut self, digests: &BTreeSet<Digest>) -> Result<u64> {
        let url = match &self.database {
            Some(url) => url.clone(),
            None => Data::open(&self.data)?.database_url(),
        };
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
        runtime.block_on(async {
            let database = Database::open(&url).await?;
            let removed = remove(&database, digests).await;
            database.close().await;
            removed
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
