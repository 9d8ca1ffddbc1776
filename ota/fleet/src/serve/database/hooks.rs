//! How far web hooks have been told, and what they have not been told of.

use super::messages::Stored;
use super::{Database, Writing, failed};
use crate::exit::Result;

impl Database {
    /// How far a hook has been told; `None` before its first round.
    ///
    /// # Errors
    /// The database's.
    pub async fn hooked_upto(&self, what: &str) -> Result<Option<i64>> {
        let found = sqlx::query_scalar("SELECT upto FROM hooks WHERE what = $1").bind(what);
        found.fetch_optional(&self.pool).await.map_err(failed)
    }

    /// Messages of a kind that arrived after the second `after_s` and up to the second `upto_s`, oldest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn arrived(&self, kind: &str, after_s: i64, upto_s: i64, most: i64) -> Result<Vec<Stored>> {
        let statement = format!(
            "{} WHERE m.kind = $1 AND m.received_s > $2 AND m.received_s <= $3 ORDER BY m.received_s, m.seq LIMIT $4",
            super::messages::COLUMNS
        );
        let found = sqlx::query_as(&statement).bind(kind).bind(after_s).bind(upto_s).bind(most);
        found.fetch_all(&self.pool).await.map_err(failed)
    }
}

impl Writing {
    /// A hook has been told so far.
    ///
    /// # Errors
    /// The database's.
    pub async fn hooked(&mut self, what: &str, upto: i64) -> Result<()> {
        let statement =
            "INSERT INTO hooks (what, upto) VALUES ($1, $2) ON CONFLICT (what) DO UPDATE SET upto = $2";
        sqlx::query(statement).bind(what).bind(upto).execute(self.on()).await.map_err(failed)?;
        Ok(())
    }
}
