//! Messages of devices, what could not be understood, and acknowledgements.

use sqlx::{FromRow, Row as _};
use stopline_depot::message::{Acknowledge, Change, Event, MAX_LINES, Message};
use stopline_depot::versioned::Versioned as _;

use super::{Database, Writing, failed};
use crate::exit::{Failure, Result};

/// Characters of a dead letter that are kept.
const DEAD_LETTER: usize = 4_000;
/// Dead letters that are kept.
const DEAD_LETTERS: i64 = 10_000;

/// A message that was taken in.
#[derive(Debug, Clone)]
pub struct Stored {
    /// The device.
    pub device: String,
    /// Its boot.
    pub boot_id: String,
    /// Its number in the boot.
    pub seq: i64,
    /// `birth`, `state`, `event`, `stats` or `drift`.
    pub kind: String,
    /// JSON.
    pub body: String,
    /// When it arrived.
    pub received_s: i64,
    /// Who acknowledged it; empty: nobody.
    pub acknowledged_by: String,
    /// When.
    pub acknowledged_s: i64,
}

impl FromRow<'_, sqlx::any::AnyRow> for Stored {
    fn from_row(row: &sqlx::any::AnyRow) -> sqlx::Result<Self> {
        Ok(Self {
            device: row.try_get("device")?,
            boot_id: row.try_get("boot_id")?,
            seq: row.try_get("seq")?,
            kind: row.try_get("kind")?,
            body: row.try_get("body")?,
            received_s: row.try_get("received_s")?,
            acknowledged_by: row.try_get("by_whom")?,
            acknowledged_s: row.try_get("at_s")?,
        })
    }
}

/// Something that was not understood.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// Its number.
    pub number: i64,
    /// Who sent it.
    pub device: String,
    /// What it was to be.
    pub what: String,
    /// What is wrong with it.
    pub problem: String,
    /// When it arrived.
    pub received_s: i64,
}

pub(super) const COLUMNS: &str = "SELECT m.device, m.boot_id, m.seq, m.kind, m.body, m.received_s, COALESCE(a.by_whom, '') AS by_whom, \
                       COALESCE(a.at_s, 0) AS at_s FROM messages m LEFT JOIN acknowledgements a \
                       ON a.device = m.device AND a.boot_id = m.boot_id AND a.seq = m.seq";

impl Database {
    /// The newest message of each device of one kind.
    ///
    /// # Errors
    /// The database's.
    pub async fn newest_of_each(&self, kind: &str) -> Result<Vec<Stored>> {
        let statement = format!(
            "{COLUMNS} WHERE m.kind = $1 AND NOT EXISTS (SELECT 1 FROM messages n WHERE n.device = m.device AND \
             n.kind = m.kind AND (n.received_s > m.received_s OR (n.received_s = m.received_s AND n.seq > m.seq)))"
        );
        sqlx::query_as(&statement).bind(kind).fetch_all(&self.pool).await.map_err(failed)
    }

    /// Messages of these kinds, newest first; of one device where one is named.
    ///
    /// # Errors
    /// The database's.
    pub async fn latest(&self, kinds: &[&str], device: Option<&str>, most: i64) -> Result<Vec<Stored>> {
        // The kinds are words of this program, never of a request.
        let kinds: Vec<String> = kinds.iter().map(|kind| format!("'{kind}'")).collect();
        let statement = format!(
            "{COLUMNS} WHERE m.kind IN ({}) AND (m.device = $1 OR $1 = '') ORDER BY m.received_s DESC, m.seq DESC LIMIT $2",
            kinds.join(", ")
        );
        let found = sqlx::query_as(&statement).bind(device.unwrap_or_default()).bind(most);
        found.fetch_all(&self.pool).await.map_err(failed)
    }

    /// One message.
    ///
    /// # Errors
    /// The database's.
    pub async fn message(&self, device: &str, boot_id: &str, seq: i64) -> Result<Option<Stored>> {
        let statement = format!("{COLUMNS} WHERE m.device = $1 AND m.boot_id = $2 AND m.seq = $3");
        let found = sqlx::query_as(&statement).bind(device).bind(boot_id).bind(seq);
        found.fetch_optional(&self.pool).await.map_err(failed)
    }

    /// What was not understood, newest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn dead_letters(&self, most: i64) -> Result<Vec<DeadLetter>> {
        let statement = "SELECT number, device, what, problem, received_s FROM dead_letters \
                         ORDER BY number DESC LIMIT $1";
        let rows = sqlx::query(statement).bind(most).fetch_all(&self.pool).await.map_err(failed)?;
        let read = |row: &sqlx::any::AnyRow| -> sqlx::Result<DeadLetter> {
            Ok(DeadLetter {
                number: row.try_get(0)?,
                device: row.try_get(1)?,
                what: row.try_get(2)?,
                problem: row.try_get(3)?,
                received_s: row.try_get(4)?,
            })
        };
        rows.iter().map(read).collect::<sqlx::Result<_>>().map_err(failed)
    }
}

impl Database {
    /// Answers to a device's alerts that it has not said anything of since.
    ///
    /// # Errors
    /// The database's.
    pub async fn answers_for(&self, device: &str, since_s: i64) -> Result<Vec<Acknowledge>> {
        let statement =
            "SELECT event, by_whom FROM acknowledgements WHERE device = $1 AND at_s >= $2 ORDER BY at_s";
        let rows =
            sqlx::query(statement).bind(device).bind(since_s).fetch_all(&self.pool).await.map_err(failed)?;
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let heard = self.latest(&["event"], Some(device), 1_000).await?;
        let is_settled = |id: &str| {
            let said = heard.iter().filter_map(|stored| serde_json::from_str::<Event>(&stored.body).ok());
            said.into_iter()
                .any(|event| event.id == id && matches!(event.change, Change::Acknowledged | Change::Over))
        };
        let mut answers = Vec::new();
        for row in rows.iter().take(MAX_LINES) {
            let (id, by): (String, String) =
                (row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?);
            if !is_settled(&id) {
                answers.push(Acknowledge { schema: Acknowledge::SCHEMA, id, by });
            }
        }
        Ok(answers)
    }
}

impl Writing {
    /// Takes a message in; `false` if it was there.
    ///
    /// # Errors
    /// The database's.
    pub async fn add_message(&mut self, message: &Message, now_s: i64) -> Result<bool> {
        let statement = "INSERT INTO messages (device, boot_id, seq, kind, body, received_s) \
                         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";
        let seq = i64::try_from(message.seq).map_err(|_| Failure::refused("seq: it is too large"))?;
        let added = sqlx::query(statement)
            .bind(&message.device)
            .bind(&message.boot_id)
            .bind(seq)
            .bind(message.kind.topic())
            .bind(message.body.to_string())
            .bind(now_s)
            .execute(self.on())
            .await
            .map_err(failed)?;
        Ok(added.rows_affected() == 1)
    }

    /// Puts aside what was not understood; of very many the oldest go.
    ///
    /// # Errors
    /// The database's.
    pub async fn put_aside(
        &mut self,
        device: &str,
        (what, problem, body): (&str, &str, &str),
        now_s: i64,
    ) -> Result<()> {
        let short =
            |text: &str| text.chars().filter(|char| *char != '\0').take(DEAD_LETTER).collect::<String>();
        let row = sqlx::query("SELECT COALESCE(MAX(number), 0) FROM dead_letters");
        let row = row.fetch_one(self.on()).await.map_err(failed)?;
        let number = row.try_get::<i64, _>(0).map_err(failed)? + 1;
        let statement = "INSERT INTO dead_letters (number, device, what, problem, body, received_s) \
                         VALUES ($1, $2, $3, $4, $5, $6)";
        sqlx::query(statement)
            .bind(number)
            .bind(device)
            .bind(what)
            .bind(short(problem))
            .bind(short(body))
            .bind(now_s)
            .execute(self.on())
            .await
            .map_err(failed)?;
        sqlx::query("DELETE FROM dead_letters WHERE number <= $1")
            .bind(number - DEAD_LETTERS)
            .execute(self.on())
            .await
            .map_err(failed)?;
        Ok(())
    }

    /// Notes who acknowledged an event; `false` if somebody had.
    ///
    /// # Errors
    /// The database's.
    pub async fn acknowledge(
        &mut self,
        (stored, event): (&Stored, &str),
        by_whom: &str,
        now_s: i64,
    ) -> Result<bool> {
        let statement = "INSERT INTO acknowledgements (device, boot_id, seq, event, by_whom, at_s) \
                         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";
        let added = sqlx::query(statement)
            .bind(&stored.device)
            .bind(&stored.boot_id)
            .bind(stored.seq)
            .bind(event)
            .bind(by_whom)
            .bind(now_s)
            .execute(self.on())
            .await
            .map_err(failed)?;
        Ok(added.rows_affected() == 1)
    }

    /// Lets go of messages that nobody asks for any more: figures before a time; births and states that a newer one follows.
    ///
    /// # Errors
    /// The database's.
    pub async fn thin_messages(&mut self, before_s: i64) -> Result<u64> {
        let statement = "DELETE FROM messages WHERE kind IN ('stats', 'state', 'birth') AND received_s < $1 AND \
                         EXISTS (SELECT 1 FROM messages n WHERE n.device = messages.device AND n.kind = messages.kind \
                         AND n.received_s > messages.received_s)";
        let gone = sqlx::query(statement).bind(before_s).execute(self.on()).await.map_err(failed)?;
        Ok(gone.rows_affected())
    }
}
