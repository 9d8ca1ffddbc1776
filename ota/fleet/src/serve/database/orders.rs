//! Orders to devices, and how they were answered.

use serde::Serialize;
use sqlx::{FromRow, Row as _};
use stopline_depot::order::{Answer, Done, MOST_ORDERS, Order, What};
use stopline_depot::versioned::Versioned as _;

use super::{Database, Writing, failed};
use crate::exit::{Failure, Result};

/// An order as it is kept.
#[derive(Debug, Clone, Serialize)]
pub struct Kept {
    /// 32 hexadecimal digits.
    pub id: String,
    /// To whom.
    pub device: String,
    /// What a person asked for; the same for all its orders.
    pub request: String,
    /// `diagnose` or `forget`.
    pub kind: String,
    /// What is to be done, as JSON.
    #[serde(skip)]
    pub what: String,
    /// Who asked.
    pub made_by: String,
    /// When, in seconds since 1970.
    pub made_s: i64,
    /// Until when it stands.
    pub until_s: i64,
    /// When it was answered; 0: not yet.
    pub answered_s: i64,
    /// `done` or `refused`; empty: not yet.
    pub result: String,
    /// Records that went.
    pub removed: i64,
    /// Records that stayed, since nobody knows when they were captured.
    pub unsure: i64,
}

impl FromRow<'_, sqlx::any::AnyRow> for Kept {
    fn from_row(row: &sqlx::any::AnyRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            device: row.try_get("device")?,
            request: row.try_get("request")?,
            kind: row.try_get("kind")?,
            what: row.try_get("what")?,
            made_by: row.try_get("made_by")?,
            made_s: row.try_get("made_s")?,
            until_s: row.try_get("until_s")?,
            answered_s: row.try_get("answered_s")?,
            result: row.try_get("result")?,
            removed: row.try_get("removed")?,
            unsure: row.try_get("unsure")?,
        })
    }
}

impl Kept {
    /// As the device is told.
    ///
    /// # Errors
    /// A database that holds something else.
    pub fn order(&self) -> Result<Order> {
        let what: What = serde_json::from_str(&self.what).map_err(Failure::failed)?;
        let until = u64::try_from(self.until_s).unwrap_or(0);
        Ok(Order { schema: Order::SCHEMA, id: self.id.clone(), until, what })
    }

    /// How it stands, in a word: `asked`, `done`, `refused`, `over`.
    pub fn standing(&self, now_s: i64) -> &str {
        match self.result.as_str() {
            "" if now_s > self.until_s => "over",
            "" => "asked",
            result => result,
        }
    }
}

impl Database {
    /// Orders that a device has not answered yet, the oldest first, as many as are handed over together.
    ///
    /// # Errors
    /// The database's.
    pub async fn open_orders(&self, device: &str, now_s: i64) -> Result<Vec<Order>> {
        let query = sqlx::query_as::<_, Kept>(
            "SELECT * FROM orders WHERE device = $1 AND answered_s = 0 AND until_s >= $2 ORDER BY made_s, id LIMIT $3",
        );
        let most = i64::try_from(MOST_ORDERS).unwrap_or(i64::MAX);
        let found = query.bind(device).bind(now_s).bind(most).fetch_all(&self.pool).await.map_err(failed)?;
        found.iter().map(Kept::order).collect()
    }

    /// Orders that were made since that second and not answered yet.
    ///
    /// # Errors
    /// The database's.
    pub async fn orders_since(&self, since_s: i64, now_s: i64) -> Result<Vec<Kept>> {
        let query = sqlx::query_as(
            "SELECT * FROM orders WHERE made_s >= $1 AND answered_s = 0 AND until_s >= $2 ORDER BY made_s, id",
        );
        query.bind(since_s).bind(now_s).fetch_all(&self.pool).await.map_err(failed)
    }

    /// A device's orders of a kind, the newest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn orders_of(&self, device: &str, kind: &str, most: i64) -> Result<Vec<Kept>> {
        let query = sqlx::query_as(
            "SELECT * FROM orders WHERE device = $1 AND kind = $2 ORDER BY made_s DESC, id DESC LIMIT $3",
        );
        query.bind(device).bind(kind).bind(most).fetch_all(&self.pool).await.map_err(failed)
    }

    /// All orders of a request, by device.
    ///
    /// # Errors
    /// The database's.
    pub async fn request(&self, request: &str) -> Result<Vec<Kept>> {
        let query = sqlx::query_as("SELECT * FROM orders WHERE request = $1 ORDER BY device, id");
        query.bind(request).fetch_all(&self.pool).await.map_err(failed)
    }
}

impl Writing {
    /// Makes an order, which nobody has answered.
    ///
    /// # Errors
    /// The database's.
    pub async fn add_order(&mut self, order: &Kept) -> Result<()> {
        let statement = "INSERT INTO orders (id, device, request, kind, what, made_by, made_s, until_s) \
                         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        sqlx::query(statement)
            .bind(&order.id)
            .bind(&order.device)
            .bind(&order.request)
            .bind(&order.kind)
            .bind(&order.what)
            .bind(&order.made_by)
            .bind(order.made_s)
            .bind(order.until_s)
            .execute(self.on())
            .await
            .map_err(failed)?;
        Ok(())
    }

    /// An order to this device.
    ///
    /// # Errors
    /// The database's.
    pub async fn order_to(&mut self, device: &str, id: &str) -> Result<Option<Kept>> {
        let query = sqlx::query_as("SELECT * FROM orders WHERE id = $1 AND device = $2");
        query.bind(id).bind(device).fetch_optional(self.on()).await.map_err(failed)
    }

    /// Notes an answer, and which records were meant no longer. The first counts; `false` if there was one.
    ///
    /// # Errors
    /// The database's.
    pub async fn answer_order(&mut self, device: &str, answer: &Answer, now_s: i64) -> Result<bool> {
        let statement = "UPDATE orders SET answered_s = $1, result = $2, removed = $3, unsure = $4, what = '' \
                         WHERE id = $5 AND device = $6 AND answered_s = 0";
        let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let result = match answer.result {
            Done::Done => "done",
            Done::Refused => "refused",
        };
        let query = sqlx::query(statement).bind(now_s).bind(result).bind(count(answer.removed));
        let query = query.bind(count(answer.unsure)).bind(&answer.id).bind(device);
        Ok(query.execute(self.on()).await.map_err(failed)?.rows_affected() == 1)
    }

    /// Takes out a device's diagnoses: that they were asked for, and how that ended.
    ///
    /// # Errors
    /// The database's.
    pub async fn forget_diagnoses(&mut self, device: &str) -> Result<u64> {
        let query = sqlx::query("DELETE FROM orders WHERE device = $1 AND kind = 'diagnose'").bind(device);
        Ok(query.execute(self.on()).await.map_err(failed)?.rows_affected())
    }

    /// Notes no longer which records were meant by orders that have ended, and lets those go that ended before that second.
    ///
    /// # Errors
    /// The database's.
    pub async fn thin_orders(&mut self, before_s: i64, now_s: i64) -> Result<()> {
        sqlx::query("UPDATE orders SET what = '' WHERE until_s < $1 AND what <> ''")
            .bind(now_s)
            .execute(self.on())
            .await
            .map_err(failed)?;
        sqlx::query("DELETE FROM orders WHERE until_s < $1")
            .bind(before_s)
            .execute(self.on())
            .await
            .map_err(failed)?;
        Ok(())
    }
}
