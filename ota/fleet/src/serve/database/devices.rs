//! Devices, the tokens that let them in, and their boots.

use serde::Serialize;
use sqlx::{AnyConnection, FromRow, Row as _};

use super::{Database, Writing, failed};
use crate::exit::Result;

/// Seconds between two notes that a device was heard of.
const SEEN_S: i64 = 30;

/// How a device stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It is let in.
    Active,
    /// Its key is no longer believed.
    Revoked,
    /// Two of it were seen at once; nothing of it counts until a person has looked.
    Quarantined,
    /// Another took its place.
    Replaced,
    /// It is no longer in use.
    Retired,
}

impl Standing {
    /// Its stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Revoked => "revoked",
            Self::Quarantined => "quarantined",
            Self::Replaced => "replaced",
            Self::Retired => "retired",
        }
    }

    /// An unknown word lets nobody in.
    fn of(word: &str) -> Self {
        match word {
            "active" => Self::Active,
            "quarantined" => Self::Quarantined,
            "replaced" => Self::Replaced,
            "retired" => Self::Retired,
            _ => Self::Revoked,
        }
    }
}

/// A device.
#[derive(Debug, Clone, Serialize)]
pub struct Device {
    /// 32 hexadecimal digits.
    pub id: String,
    /// Its ed25519 key, 64 hexadecimal digits.
    pub key: String,
    /// What people call it.
    pub name: String,
    /// How it stands.
    pub standing: Standing,
    /// Why, in words.
    pub reason: String,
    /// The device whose place it took; empty where none.
    pub replaces: String,
    /// When it came.
    pub enrolled_s: i64,
    /// When its standing changed last.
    pub changed_s: i64,
    /// When it was heard of last; 0: never.
    pub seen_s: i64,
    /// Last second of the newest certificate.
    pub certificate_until_s: i64,
}

impl FromRow<'_, sqlx::any::AnyRow> for Device {
    fn from_row(row: &sqlx::any::AnyRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            key: row.try_get("key")?,
            name: row.try_get("name")?,
            standing: Standing::of(&row.try_get::<String, _>("state")?),
            reason: row.try_get("reason")?,
            replaces: row.try_get("replaces")?,
            enrolled_s: row.try_get("enrolled_s")?,
            changed_s: row.try_get("changed_s")?,
            seen_s: row.try_get("seen_s")?,
            certificate_until_s: row.try_get("certificate_until_s")?,
        })
    }
}

/// What a token is good for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Token {
    /// What the device will be called; of a batch, what comes before its number.
    pub name: String,
    /// Who made it.
    pub made_by: String,
    /// When, in seconds since 1970.
    pub made_s: i64,
    /// Last second at which it is good.
    pub expires_s: i64,
    /// How many devices it lets in.
    pub counted: i64,
    /// How many came.
    pub came: i64,
}

impl FromRow<'_, sqlx::any::AnyRow> for Token {
    fn from_row(row: &sqlx::any::AnyRow) -> sqlx::Result<Self> {
        Ok(Self {
            name: row.try_get("name")?,
            made_by: row.try_get("made_by")?,
            made_s: row.try_get("made_s")?,
            expires_s: row.try_get("expires_s")?,
            counted: row.try_get("counted")?,
            came: row.try_get("came")?,
        })
    }
}

impl Token {
    /// What its `number`-th device is called, from 1: a batch counts its devices.
    pub fn name_of(&self, number: i64) -> String {
        if self.counted == 1 { self.name.clone() } else { format!("{} {number}", self.name) }
    }
}

impl Database {
    /// Tokens that still let somebody in, the newest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn open_tokens(&self, now_s: i64) -> Result<Vec<Token>> {
        let query = sqlx::query_as(
            "SELECT name, made_by, made_s, expires_s, counted, came FROM tokens \
             WHERE expires_s >= $1 AND came < counted ORDER BY made_s DESC, name",
        );
        query.bind(now_s).fetch_all(&self.pool).await.map_err(failed)
    }

    /// One device.
    ///
    /// # Errors
    /// The database's.
    pub async fn device(&self, id: &str) -> Result<Option<Device>> {
        device_on(&mut *self.pool.acquire().await.map_err(failed)?, id).await
    }

    /// All devices, by name and id.
    ///
    /// # Errors
    /// The database's.
    pub async fn devices(&self) -> Result<Vec<Device>> {
        sqlx::query_as("SELECT * FROM devices ORDER BY name, id").fetch_all(&self.pool).await.map_err(failed)
    }

    /// Notes that a device was heard of. Not more often than once in half a minute: it costs a commit.
    ///
    /// # Errors
    /// The database's.
    pub async fn seen(&self, device: &Device, now_s: i64) -> Result<()> {
        if now_s - device.seen_s < SEEN_S {
            return Ok(());
        }
        let mut writing = self.write().await?;
        writing.seen(device, now_s).await?;
        writing.commit().await
    }

    /// Devices that are let in no more, of whatever kind, by id.
    ///
    /// # Errors
    /// The database's.
    pub async fn let_in_no_more(&self) -> Result<Vec<Device>> {
        let query = sqlx::query_as("SELECT * FROM devices WHERE state <> $1 ORDER BY id");
        query.bind(Standing::Active.word()).fetch_all(&self.pool).await.map_err(failed)
    }
}

async fn device_on(on: &mut AnyConnection, id: &str) -> Result<Option<Device>> {
    sqlx::query_as("SELECT * FROM devices WHERE id = $1").bind(id).fetch_optional(on).await.map_err(failed)
}

impl Writing {
    /// Notes that a device was heard of, not more often than [`Database::seen`] does.
    ///
    /// # Errors
    /// The database's.
    pub async fn seen(&mut self, device: &Device, now_s: i64) -> Result<()> {
        if now_s - device.seen_s < SEEN_S {
            return Ok(());
        }
        let noted = sqlx::query("UPDATE devices SET seen_s = $1 WHERE id = $2").bind(now_s).bind(&device.id);
        noted.execute(self.on()).await.map_err(failed)?;
        Ok(())
    }

    /// One device, within this transaction.
    ///
    /// # Errors
    /// The database's.
    pub async fn device(&mut self, id: &str) -> Result<Option<Device>> {
        device_on(self.on(), id).await
    }

    /// Whether another device has this key.
    ///
    /// # Errors
    /// The database's.
    pub async fn holder_of(&mut self, key: &str) -> Result<Option<String>> {
        let row = sqlx::query("SELECT id FROM devices WHERE key = $1").bind(key);
        let row = row.fetch_optional(self.on()).await.map_err(failed)?;
        row.map(|row| row.try_get(0)).transpose().map_err(failed)
    }

    /// Adds a device, or notes its new certificate where it is there.
    ///
    /// # Errors
    /// The database's.
    pub async fn put_device(&mut self, device: &Device) -> Result<()> {
        let statement = "INSERT INTO devices (id, key, name, state, reason, replaces, enrolled_s, changed_s, seen_s, \
                         certificate_until_s) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
                         ON CONFLICT (id) DO UPDATE SET certificate_until_s = $10, seen_s = $9";
        sqlx::query(statement)
            .bind(&device.id)
            .bind(&device.key)
            .bind(&device.name)
            .bind(device.standing.word())
            .bind(&device.reason)
            .bind(&device.replaces)
            .bind(device.enrolled_s)
            .bind(device.changed_s)
            .bind(device.seen_s)
            .bind(device.certificate_until_s)
            .execute(self.on())
            .await
            .map_err(failed)?;
        Ok(())
    }

    /// Changes how a device stands.
    ///
    /// # Errors
    /// The database's.
    pub async fn stand(&mut self, id: &str, standing: Standing, reason: &str, now_s: i64) -> Result<()> {
        sqlx::query("UPDATE devices SET state = $1, reason = $2, changed_s = $3 WHERE id = $4")
            .bind(standing.word())
            .bind(reason)
            .bind(now_s)
            .bind(id)
            .execute(self.on())
            .await
            .map_err(failed)?;
        Ok(())
    }

    /// Gives a device a name, and says whose place it takes.
    ///
    /// # Errors
    /// The database's.
    pub async fn name_device(&mut self, id: &str, name: &str, replaces: &str) -> Result<()> {
        sqlx::query("UPDATE devices SET name = $1, replaces = $2 WHERE id = $3")
            .bind(name)
            .bind(replaces)
            .bind(id)
            .execute(self.on())
            .await
            .map_err(failed)?;
        Ok(())
    }

    /// Keeps a token by its digest.
    ///
    /// # Errors
    /// The database's.
    pub async fn add_token(&mut self, hash: &str, token: &Token) -> Result<()> {
        let statement = "INSERT INTO tokens (hash, name, made_by, made_s, expires_s, counted, came) \
                         VALUES ($1, $2, $3, $4, $5, $6, $7)";
        sqlx::query(statement)
            .bind(hash)
            .bind(&token.name)
            .bind(&token.made_by)
            .bind(token.made_s)
            .bind(token.expires_s)
            .bind(token.counted)
            .bind(token.came)
            .execute(self.on())
            .await
            .map_err(failed)?;
        Ok(())
    }

    /// A token by its digest.
    ///
    /// # Errors
    /// The database's.
    pub async fn token(&mut self, hash: &str) -> Result<Option<Token>> {
        let query = sqlx::query_as(
            "SELECT name, made_by, made_s, expires_s, counted, came FROM tokens WHERE hash = $1",
        );
        query.bind(hash).fetch_optional(self.on()).await.map_err(failed)
    }

    /// Whether the token has let this device in before.
    ///
    /// # Errors
    /// The database's.
    pub async fn has_let_in(&mut self, hash: &str, device: &str) -> Result<bool> {
        let query = sqlx::query("SELECT used_s FROM token_devices WHERE hash = $1 AND device = $2");
        let row = query.bind(hash).bind(device).fetch_optional(self.on()).await.map_err(failed)?;
        Ok(row.is_some())
    }

    /// Counts a device that a token lets in: its number, from 1, or none where as many have come as were counted. One
    /// statement counts, so that two servers at one database never let in one too many.
    ///
    /// # Errors
    /// The database's.
    pub async fn use_token(&mut self, hash: &str, device: &str, now_s: i64) -> Result<Option<i64>> {
        let statement = "UPDATE tokens SET came = came + 1 WHERE hash = $1 AND came < counted RETURNING came";
        let row = sqlx::query(statement).bind(hash).fetch_optional(self.on()).await.map_err(failed)?;
        let Some(row) = row else { return Ok(None) };
        sqlx::query("INSERT INTO token_devices (hash, device, used_s) VALUES ($1, $2, $3)")
            .bind(hash)
            .bind(device)
            .bind(now_s)
            .execute(self.on())
            .await
            .map_err(failed)?;
        row.try_get(0).map(Some).map_err(failed)
    }

    /// Ends the tokens of this name, which let nobody else in from now on; how many there were.
    ///
    /// # Errors
    /// The database's.
    pub async fn end_tokens(&mut self, name: &str, now_s: i64) -> Result<u64> {
        let statement =
            "UPDATE tokens SET expires_s = $1 WHERE name = $2 AND expires_s > $1 AND came < counted";
        let query = sqlx::query(statement).bind(now_s - 1).bind(name);
        Ok(query.execute(self.on()).await.map_err(failed)?.rows_affected())
    }

    /// Lets go of a device's boots: whoever of it speaks next is the one.
    ///
    /// # Errors
    /// The database's.
    pub async fn forget_boots(&mut self, device: &str) -> Result<()> {
        sqlx::query("DELETE FROM boots WHERE device = $1")
            .bind(device)
            .execute(self.on())
            .await
            .map_err(failed)?;
        Ok(())
    }

    /// Notes that a device lives in a boot now. `true` if it is one that a later boot has followed already: then two of this
    /// device live at once, for no boot comes twice.
    ///
    /// # Errors
    /// The database's.
    pub async fn lives_in(&mut self, device: &str, boot_id: &str, now_s: i64) -> Result<bool> {
        let newest = sqlx::query("SELECT boot_id, number FROM boots WHERE device = $1 ORDER BY number DESC");
        let newest = newest.bind(device).fetch_optional(self.on()).await.map_err(failed)?;
        let newest = newest.map(|row| Ok((row.try_get::<String, _>(0)?, row.try_get::<i64, _>(1)?)));
        let newest = newest.transpose().map_err(failed)?;
        if newest.as_ref().is_some_and(|(newest, _)| newest == boot_id) {
            return Ok(false);
        }
        let known = sqlx::query("SELECT number FROM boots WHERE device = $1 AND boot_id = $2");
        let known = known.bind(device).bind(boot_id).fetch_optional(self.on()).await.map_err(failed)?;
        if known.is_some() {
            return Ok(true);
        }
        let number = newest.map_or(1, |(_, number)| number + 1);
        let statement = "INSERT INTO boots (device, boot_id, number, first_s) VALUES ($1, $2, $3, $4)";
        sqlx::query(statement)
            .bind(device)
            .bind(boot_id)
            .bind(number)
            .bind(now_s)
            .execute(self.on())
            .await
            .map_err(failed)?;
        Ok(false)
    }
}
