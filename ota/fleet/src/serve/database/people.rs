//! People who log in, their invitations, sessions and approvals.

use serde::Serialize;
use sqlx::Row as _;

use super::{Database, Writing, failed};
use crate::exit::{Failure, Result};

/// What somebody may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Look.
    Viewer,
    /// Also acknowledge events, let devices in, quarantine them, and pause a roll-out.
    Operator,
    /// Also advance and abort roll-outs, revoke devices, and invite people.
    Publisher,
}

impl Role {
    /// Its stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Publisher => "publisher",
        }
    }
}

impl std::str::FromStr for Role {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "viewer" => Ok(Self::Viewer),
            "operator" => Ok(Self::Operator),
            "publisher" => Ok(Self::Publisher),
            _ => Err(format!("{word:?}; viewer, operator or publisher is expected")),
        }
    }
}

/// Somebody.
#[derive(Debug, Clone)]
pub struct Person {
    /// Their name.
    pub name: String,
    /// What they may.
    pub role: Role,
    /// Argon2id, as a PHC string.
    pub password: String,
    /// Secret of the one-time codes, base32.
    pub totp: String,
    /// Step of the last code that counted: none counts twice.
    pub last_step: i64,
    /// Since when.
    pub made_s: i64,
}

/// Somebody who is to come.
#[derive(Debug, Clone)]
pub struct Invitation {
    /// Their name.
    pub name: String,
    /// What they may.
    pub role: Role,
    /// Secret of the one-time codes, base32.
    pub totp: String,
    /// Last second at which it is good.
    pub expires_s: i64,
}

fn role(word: &str) -> Role {
    // What this program does not know may look and no more.
    word.parse().unwrap_or(Role::Viewer)
}

fn person(row: &sqlx::any::AnyRow) -> sqlx::Result<Person> {
    Ok(Person {
        name: row.try_get("name")?,
        role: role(&row.try_get::<String, _>("role")?),
        password: row.try_get("password")?,
        totp: row.try_get("totp")?,
        last_step: row.try_get("last_step")?,
        made_s: row.try_get("made_s")?,
    })
}

impl Database {
    /// Somebody by name.
    ///
    /// # Errors
    /// The database's.
    pub async fn person(&self, name: &str) -> Result<Option<Person>> {
        let row = sqlx::query("SELECT * FROM people WHERE name = $1").bind(name);
        let row = row.fetch_optional(&self.pool).await.map_err(failed)?;
        row.as_ref().map(person).transpose().map_err(failed)
    }

    /// All people, by name.
    ///
    /// # Errors
    /// The database's.
    pub async fn people(&self) -> Result<Vec<Person>> {
        let rows = sqlx::query("SELECT * FROM people ORDER BY name").fetch_all(&self.pool).await;
        rows.map_err(failed)?.iter().map(person).collect::<sqlx::Result<_>>().map_err(failed)
    }

    /// An invitation by its digest.
    ///
    /// # Errors
    /// The database's.
    pub async fn invitation(&self, hash: &str) -> Result<Option<Invitation>> {
        let row =
            sqlx::query("SELECT name, role, totp, expires_s FROM invitations WHERE hash = $1").bind(hash);
        let row = row.fetch_optional(&self.pool).await.map_err(failed)?;
        let read = |row: sqlx::any::AnyRow| -> sqlx::Result<Invitation> {
            Ok(Invitation {
                name: row.try_get(0)?,
                role: role(&row.try_get::<String, _>(1)?),
                totp: row.try_get(2)?,
                expires_s: row.try_get(3)?,
            })
        };
        row.map(read).transpose().map_err(failed)
    }

    /// Whose a session is, when it began and when it was used last.
    ///
    /// # Errors
    /// The database's.
    pub async fn session(&self, hash: &str) -> Result<Option<(Person, i64, i64)>> {
        let statement = "SELECT p.*, s.made_s AS begun_s, s.seen_s AS used_s FROM sessions s \
                         JOIN people p ON p.name = s.person WHERE s.hash = $1";
        let row = sqlx::query(statement).bind(hash).fetch_optional(&self.pool).await.map_err(failed)?;
        let read = |row: sqlx::any::AnyRow| -> sqlx::Result<(Person, i64, i64)> {
            Ok((person(&row)?, row.try_get("begun_s")?, row.try_get("used_s")?))
        };
        row.map(read).transpose().map_err(failed)
    }

    /// Who approved a step first, and when.
    ///
    /// # Errors
    /// The database's.
    pub async fn approval(
        &self,
        rollout_id: &str,
        step: &str,
        percent_bp: i64,
    ) -> Result<Option<(String, i64)>> {
        let statement =
            "SELECT by_whom, at_s FROM approvals WHERE rollout_id = $1 AND step = $2 AND percent_bp = $3";
        let row = sqlx::query(statement).bind(rollout_id).bind(step).bind(percent_bp);
        let row = row.fetch_optional(&self.pool).await.map_err(failed)?;
        row.map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).transpose().map_err(failed)
    }
}

impl Writing {
    /// Invites somebody.
    ///
    /// # Errors
    /// The database's.
    pub async fn invite(&mut self, hash: &str, invitation: &Invitation, made_by: &str) -> Result<()> {
        let statement = "INSERT INTO invitations (hash, name, role, totp, made_by, expires_s) \
                         VALUES ($1, $2, $3, $4, $5, $6)";
        sqlx::query(statement)
            .bind(hash)
            .bind(&invitation.name)
            .bind(invitation.role.word())
            .bind(&invitation.totp)
            .bind(made_by)
            .bind(invitation.expires_s)
            .execute(self.on())
            .await
            .map_err(failed)?;
        Ok(())
    }

    /// Takes an invitation up: it counts once. Whoever had the name has another password now, and is logged out.
    ///
    /// # Errors
    /// The database's, or that it was taken up by another.
    pub async fn take_up(&mut self, hash: &str, person: &Person) -> Result<()> {
        let gone = sqlx::query("DELETE FROM invitations WHERE hash = $1").bind(hash);
        if gone.execute(self.on()).await.map_err(failed)?.rows_affected() != 1 {
            return Err(Failure::refused("the invitation was taken up already"));
        }
        let statement = "INSERT INTO people (name, role, password, totp, last_step, made_s) \
                         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (name) DO UPDATE SET role = $2, password = $3, \
                         totp = $4, last_step = $5, made_s = $6";
        sqlx::query(statement)
            .bind(&person.name)
            .bind(person.role.word())
            .bind(&person.password)
            .bind(&person.totp)
            .bind(person.last_step)
            .bind(person.made_s)
            .execute(self.on())
            .await
            .map_err(failed)?;
        sqlx::query("DELETE FROM sessions WHERE person = $1")
            .bind(&person.name)
            .execute(self.on())
            .await
            .map_err(failed)?;
        Ok(())
    }

    /// A code of this step counts now; `false` if one of it or a later one has.
    ///
    /// # Errors
    /// The database's.
    pub async fn use_step(&mut self, name: &str, step: i64) -> Result<bool> {
        let used = sqlx::query("UPDATE people SET last_step = $1 WHERE name = $2 AND last_step < $1");
        let used = used.bind(step).bind(name).execute(self.on()).await.map_err(failed)?;
        Ok(used.rows_affected() == 1)
    }

    /// Begins a session.
    ///
    /// # Errors
    /// The database's.
    pub async fn begin_session(&mut self, hash: &str, name: &str, now_s: i64) -> Result<()> {
        let statement = "INSERT INTO sessions (hash, person, made_s, seen_s) VALUES ($1, $2, $3, $3)";
        sqlx::query(statement).bind(hash).bind(name).bind(now_s).execute(self.on()).await.map_err(failed)?;
        Ok(())
    }

    /// Notes that a session is used.
    ///
    /// # Errors
    /// The database's.
    pub async fn use_session(&mut self, hash: &str, now_s: i64) -> Result<()> {
        sqlx::query("UPDATE sessions SET seen_s = $1 WHERE hash = $2")
            .bind(now_s)
            .bind(hash)
            .execute(self.on())
            .await
            .map_err(failed)?;
        Ok(())
    }

    /// Ends a session.
    ///
    /// # Errors
    /// The database's.
    pub async fn end_session(&mut self, hash: &str) -> Result<()> {
        sqlx::query("DELETE FROM sessions WHERE hash = $1")
            .bind(hash)
            .execute(self.on())
            .await
            .map_err(failed)?;
        Ok(())
    }

    /// Removes somebody, and ends their sessions.
    ///
    /// # Errors
    /// The database's.
    pub async fn remove_person(&mut self, name: &str) -> Result<()> {
        for statement in ["DELETE FROM sessions WHERE person = $1", "DELETE FROM people WHERE name = $1"] {
            sqlx::query(statement).bind(name).execute(self.on()).await.map_err(failed)?;
        }
        Ok(())
    }

    /// Notes who approves a step first.
    ///
    /// # Errors
    /// The database's.
    pub async fn approve(
        &mut self,
        (rollout_id, step, percent_bp): (&str, &str, i64),
        by_whom: &str,
        now_s: i64,
    ) -> Result<()> {
        let statement = "INSERT INTO approvals (rollout_id, step, percent_bp, by_whom, at_s) \
                         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (rollout_id, step, percent_bp) \
                         DO UPDATE SET by_whom = $4, at_s = $5";
        sqlx::query(statement)
            .bind(rollout_id)
            .bind(step)
            .bind(percent_bp)
            .bind(by_whom)
            .bind(now_s)
            .execute(self.on())
            .await
            .map_err(failed)?;
        Ok(())
    }

    /// Lets go of invitations and sessions that are over.
    ///
    /// # Errors
    /// The database's.
    pub async fn thin_people(&mut self, now_s: i64, sessions_before_s: i64) -> Result<()> {
        sqlx::query("DELETE FROM invitations WHERE expires_s < $1")
            .bind(now_s)
            .execute(self.on())
            .await
            .map_err(failed)?;
        sqlx::query("DELETE FROM sessions WHERE made_s < $1")
            .bind(sessions_before_s)
            .execute(self.on())
            .await
            .map_err(failed)?;
        Ok(())
    }
}
