//! Batches that were committed: their receipts, so that a device that did not hear them is told again.

use sqlx::Row as _;

use super::{Database, Writing, failed};
use crate::exit::Result;

impl Database {
    /// Length and receipts (JSON) of a batch that was committed.
    ///
    /// # Errors
    /// The database's.
    pub async fn batch(&self, device: &str, id: &str) -> Result<Option<(i64, String)>> {
        let row = sqlx::query("SELECT length, receipts FROM batches WHERE device = $1 AND id = $2");
        let row = row.bind(device).bind(id).fetch_optional(&self.pool).await.map_err(failed)?;
        row.map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).transpose().map_err(failed)
    }
}

impl Writing {
    /// Notes a batch's receipts.
    ///
    /// # Errors
    /// The database's.
    pub async fn add_batch(
        &mut self,
        (device, id): (&str, &str),
        length: i64,
        receipts: &str,
        now_s: i64,
    ) -> Result<()> {
        let statement = "INSERT INTO batches (device, id, length, receipts, changed_s) \
                         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (device, id) DO UPDATE SET receipts = $4, changed_s = $5";
        sqlx::query(statement)
            .bind(device)
            .bind(id)
            .bind(length)
            .bind(receipts)
            .bind(now_s)
            .execute(self.on())
            .await
            .map_err(failed)?;
        Ok(())
    }

    /// Lets go of receipts from before a time.
    ///
    /// # Errors
    /// The database's.
    pub async fn thin_batches(&mut self, before_s: i64) -> Result<u64> {
        let gone = sqlx::query("DELETE FROM batches WHERE changed_s < $1").bind(before_s);
        Ok(gone.execute(self.on()).await.map_err(failed)?.rows_affected())
    }
}
