//! What the server knows, in SQLite (one machine) or PostgreSQL: the same statements for both, each in the file of its
//! subject. Times are seconds since 1970.
//!
//! A commit is on the medium when it returns (`synchronous = FULL`): a device deletes what it has a receipt for.

pub mod batches;
pub mod devices;
pub mod hooks;
pub mod messages;
pub mod orders;
pub mod outcomes;
pub mod people;
pub mod readers;
pub mod records;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use sqlx::any::{AnyPoolOptions, install_default_drivers};
use sqlx::{Any, AnyPool, Executor as _, Row as _, Transaction};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::exit::{Failure, Result};

/// Versions of the schema, in order; each is applied once.
static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("src/serve/migrations");
/// Connections, at most.
const CONNECTIONS: u32 = 8;
/// How often it is tried to fold the log into the file: each time it waits as long as for a lock.
const FOLDS: u32 = 3;
/// How long one waits for the database.
const PATIENCE: Duration = Duration::from_secs(15);

/// An open database.
#[derive(Clone)]
pub struct Database {
    pool: AnyPool,
    /// How a transaction that writes begins: SQLite is told at once, lest two readers both want to become the writer.
    begin: &'static str,
    writer: Arc<Mutex<()>>,
}

/// A transaction that writes; undone unless it is committed.
pub struct Writing {
    tx: Transaction<'static, Any>,
    _turn: Option<OwnedMutexGuard<()>>,
}

impl Database {
    /// Opens `sqlite://FILE?mode=rwc` or `postgres://…`, and brings its schema up to date.
    ///
    /// # Errors
    /// That it cannot be reached, or is of a newer schema.
    pub async fn open(url: &str) -> Result<Self> {
        install_default_drivers();
        let is_sqlite = url.starts_with("sqlite:");
        if !is_sqlite && !url.starts_with("postgres:") && !url.starts_with("postgresql:") {
            return Err(Failure::usage(
                "the database must be sqlite://FILE or postgres://USER:PASSWORD@HOST/NAME",
            ));
        }
        let options = AnyPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(PATIENCE);
        let options = options.after_connect(move |connection, _| {
            Box::pin(async move {
                // One by one: of several in one text only the first would be executed.
                for pragma in SQLITE.iter().filter(|_| is_sqlite) {
                    connection.execute(*pragma).await?;
                }
                Ok(())
            })
        });
        let pool = options.connect(url).await.map_err(|error| unreachable_at(url, &error))?;
        MIGRATIONS.run(&pool).await.map_err(|error| {
            Failure::failed(format!("database: its schema cannot be brought up to date: {error}"))
        })?;
        let begin = if is_sqlite { "BEGIN IMMEDIATE" } else { "BEGIN" };
        Ok(Self { pool, begin, writer: Arc::default() })
    }

    /// Where one reads.
    pub fn read(&self) -> &AnyPool {
        &self.pool
    }

    /// Begins a transaction that writes.
    ///
    /// # Errors
    /// That it cannot be had in time.
    pub async fn write(&self) -> Result<Writing> {
        // Writers of this process wait for each other here, in order, and not in SQLite's busy loop.
        let alone = self.begin != "BEGIN";
        let turn = if alone { Some(self.writer.clone().lock_owned().await) } else { None };
        let tx = self.pool.begin_with(self.begin).await.map_err(failed)?;
        Ok(Writing { tx, _turn: turn })
    }

    /// Lets what was removed be removed from the file too: until SQLite's log is folded into it, the file still holds the pages
    /// of before. PostgreSQL has its own rounds (`VACUUM`).
    ///
    /// # Errors
    /// That somebody keeps reading what was before.
    pub async fn fold(&self) -> Result<()> {
        if self.begin == "BEGIN" {
            return Ok(());
        }
        for _ in 0..FOLDS {
            let row = self.pool.fetch_one("PRAGMA wal_checkpoint(TRUNCATE)").await.map_err(failed)?;
            if row.try_get::<i64, _>(0).map_err(failed)? == 0 {
                return Ok(());
            }
        }
        Err(Failure::failed(
            "database: somebody keeps reading it as it was before; what was removed still lies in its file. Do it again, or after \
             the server has ended",
        ))
    }

    /// Ends all connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

impl Writing {
    /// What statements are executed on.
    pub fn on(&mut self) -> &mut sqlx::AnyConnection {
        &mut self.tx
    }

    /// Makes it so. It is on the medium when this returns.
    ///
    /// # Errors
    /// That it is not known whether it is so.
    pub async fn commit(self) -> Result<()> {
        self.tx.commit().await.map_err(failed)
    }
}

/// What went wrong in the database.
pub fn failed(error: sqlx::Error) -> Failure {
    Failure::failed(format!("database: {error}"))
}

/// The URL may hold a password.
fn unreachable_at(url: &str, error: &sqlx::Error) -> Failure {
    let place = url.split_once('@').map_or(url, |(_, place)| place);
    Failure::failed(format!("database {place}: {error}"))
}

const SQLITE: [&str; 5] = [
    "PRAGMA busy_timeout = 15000",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA secure_delete = ON",
];
