//! Who reads at the MQTT end point.

use sqlx::Row as _;

use super::{Database, Writing, failed};
use crate::exit::Result;

impl Database {
    /// The digest of a reader's secret.
    ///
    /// # Errors
    /// The database's.
    pub async fn reader(&self, name: &str) -> Result<Option<String>> {
        let found = sqlx::query("SELECT hash FROM readers WHERE name = $1").bind(name);
        let row = found.fetch_optional(&self.pool).await.map_err(failed)?;
        row.map(|row| row.try_get(0)).transpose().map_err(failed)
    }
}

impl Writing {
    /// Lets a reader in, or gives it a new secret.
    ///
    /// # Errors
    /// The database's.
    pub async fn put_reader(&mut self, name: &str, hash: &str, made_by: &str, now_s: i64) -> Result<()> {
        let statement = "INSERT INTO readers (name, hash, made_by, made_s) VALUES ($1, $2, $3, $4) \
                         ON CONFLICT (name) DO UPDATE SET hash = $2, made_by = $3, made_s = $4";
        let put = sqlx::query(statement).bind(name).bind(hash).bind(made_by).bind(now_s);
        put.execute(self.on()).await.map_err(failed)?;
        Ok(())
    }

    /// Lets a reader in no more; `false` if there was none.
    ///
    /// # Errors
    /// The database's.
    pub async fn remove_reader(&mut self, name: &str) -> Result<bool> {
        let gone = sqlx::query("DELETE FROM readers WHERE name = $1").bind(name);
        let gone = gone.execute(self.on()).await.map_err(failed)?;
        Ok(gone.rows_affected() == 1)
    }
}
