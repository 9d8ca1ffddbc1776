//! Sealed records: what of them is clear.

use sqlx::{FromRow, Row as _};

use super::{Database, Writing, failed};
use crate::exit::Result;

/// A record, as far as the server can know it.
#[derive(Debug, Clone)]
pub struct Sealed {
    /// SHA-256 of the ciphertext, its address.
    pub digest: String,
    /// Who sent it.
    pub device: String,
    /// In which boot.
    pub boot_id: String,
    /// Number of its batch.
    pub seq: i64,
    /// Bytes of ciphertext.
    pub length: i64,
    /// Value class, 0 to 9 = most valuable.
    pub class: i64,
    /// When it is to be gone.
    pub expires_s: i64,
    /// When it arrived.
    pub received_s: i64,
}

/// Which records are wanted for a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// Arrived then or later, seconds since 1970.
    pub from_s: i64,
    /// Arrived before then.
    pub to_s: i64,
    /// Of this value class, or a more valuable one.
    pub class: i64,
    /// So many, at most.
    pub most: i64,
}

impl FromRow<'_, sqlx::any::AnyRow> for Sealed {
    fn from_row(row: &sqlx::any::AnyRow) -> sqlx::Result<Self> {
        Ok(Self {
            digest: row.try_get("digest")?,
            device: row.try_get("device")?,
            boot_id: row.try_get("boot_id")?,
            seq: row.try_get("seq")?,
            length: row.try_get("length")?,
            class: row.try_get("class")?,
            expires_s: row.try_get("expires_s")?,
            received_s: row.try_get("received_s")?,
        })
    }
}

impl Database {
    /// Records, newest first; of one device where one is named.
    ///
    /// # Errors
    /// The database's.
    pub async fn records(&self, device: Option<&str>, most: i64) -> Result<Vec<Sealed>> {
        let statement =
            "SELECT * FROM records WHERE device = $1 OR $1 = '' ORDER BY received_s DESC, digest LIMIT $2";
        let found = sqlx::query_as(statement).bind(device.unwrap_or_default()).bind(most);
        found.fetch_all(&self.pool).await.map_err(failed)
    }

    /// Records for a data set, the most valuable first and of those the newest; of one device where one is named.
    ///
    /// # Errors
    /// The database's.
    pub async fn chosen(&self, device: &str, asked: &Asked, now_s: i64) -> Result<Vec<Sealed>> {
        let statement = "SELECT * FROM records WHERE (device = $1 OR $1 = '') AND received_s >= $2 AND received_s < $3 \
                         AND class >= $4 AND expires_s > $5 ORDER BY class DESC, received_s DESC, digest LIMIT $6";
        let found = sqlx::query_as(statement)
            .bind(device)
            .bind(asked.from_s)
            .bind(asked.to_s)
            .bind(asked.class)
            .bind(now_s)
            .bind(asked.most);
        found.fetch_all(&self.pool).await.map_err(failed)
    }

    /// How many records there are, and their bytes.
    ///
    /// # Errors
    /// The database's.
    pub async fn records_total(&self) -> Result<(i64, i64)> {
        let statement = "SELECT COUNT(*), CAST(COALESCE(SUM(length), 0) AS BIGINT) FROM records";
        let row = sqlx::query(statement).fetch_one(&self.pool).await.map_err(failed)?;
        Ok((row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?))
    }

    /// Those of `digests` that are there.
    ///
    /// # Errors
    /// The database's.
    pub async fn has_record(&self, digest: &str) -> Result<bool> {
        let row = sqlx::query("SELECT 1 FROM records WHERE digest = $1").bind(digest);
        Ok(row.fetch_optional(&self.pool).await.map_err(failed)?.is_some())
    }
}

impl Writing {
    /// Takes a record in; `false` if it was there.
    ///
    /// # Errors
    /// The database's.
    pub async fn add_record(&mut self, record: &Sealed) -> Result<bool> {
        let statement = "INSERT INTO records (digest, device, boot_id, seq, length, class, expires_s, received_s) \
                         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING";
        let added = sqlx::query(statement)
            .bind(&record.digest)
            .bind(&record.device)
            .bind(&record.boot_id)
            .bind(record.seq)
            .bind(record.length)
            .bind(record.class)
            .bind(record.expires_s)
            .bind(record.received_s)
            .execute(self.on())
            .await
            .map_err(failed)?;
        Ok(added.rows_affected() == 1)
    }

    /// Takes out all that names a record: its row, and receipts in which it stands. `true` if there was any.
    ///
    /// # Errors
    /// The database's.
    pub async fn forget_record(&mut self, digest: &str) -> Result<bool> {
        let row = sqlx::query("DELETE FROM records WHERE digest = $1").bind(digest);
        let rows = row.execute(self.on()).await.map_err(failed)?.rows_affected();
        let receipts = sqlx::query("DELETE FROM batches WHERE receipts LIKE $1").bind(format!("%{digest}%"));
        let receipts = receipts.execute(self.on()).await.map_err(failed)?.rows_affected();
        Ok(rows + receipts > 0)
    }
}
