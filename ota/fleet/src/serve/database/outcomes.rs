//! Outcomes of deployments: what the gates judge by.

use sqlx::Row as _;
use stopline_depot::digest::Digest;
use stopline_depot::gates::Received;
use stopline_depot::outcome::SignedOutcome;
use stopline_depot::versioned;

use super::{Database, Writing, failed};
use crate::exit::{Failure, Result};
use crate::outcomes::Heard;

impl Writing {
    /// Takes an outcome in; `false` if it was there.
    ///
    /// # Errors
    /// The database's.
    pub async fn add_outcome(&mut self, signed: &SignedOutcome, now_s: i64) -> Result<bool> {
        let outcome = &signed.outcome;
        let statement = "INSERT INTO outcomes (device, boot_id, seq, rollout_id, phase, digest, document, received_s) \
                         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING";
        let seq = i64::try_from(outcome.seq).map_err(|_| Failure::refused("seq: it is too large"))?;
        let document = versioned::write(signed)?;
        let phase = serde_json::to_value(outcome.phase).map_err(Failure::failed)?;
        let added = sqlx::query(statement)
            .bind(&outcome.device)
            .bind(&outcome.boot_id)
            .bind(seq)
            .bind(&outcome.rollout_id)
            .bind(phase.as_str().unwrap_or_default())
            .bind(outcome.digest.to_string())
            .bind(String::from_utf8_lossy(&document).into_owned())
            .bind(now_s)
            .execute(self.on())
            .await
            .map_err(failed)?;
        Ok(added.rows_affected() == 1)
    }
}

impl Database {
    /// What devices said, for the gates: each signature is checked again, and only devices that are let in count. When it
    /// arrived is this server's clock.
    ///
    /// # Errors
    /// The database's.
    pub async fn heard(&self) -> Result<Heard> {
        let statement = "SELECT o.device, o.seq, o.document, o.received_s, d.key, d.state FROM outcomes o \
                         LEFT JOIN devices d ON d.id = o.device ORDER BY o.received_s, o.device, o.seq";
        let rows = sqlx::query(statement).fetch_all(&self.pool).await.map_err(failed)?;
        let mut heard = Heard::default();
        for row in &rows {
            let device: String = row.try_get(0).map_err(failed)?;
            let seq: i64 = row.try_get(1).map_err(failed)?;
            let document: String = row.try_get(2).map_err(failed)?;
            let at_s: i64 = row.try_get(3).map_err(failed)?;
            let key: Option<String> = row.try_get(4).map_err(failed)?;
            let state: Option<String> = row.try_get(5).map_err(failed)?;
            match counts(&document, key.as_deref(), state.as_deref()) {
                Ok(signed) => heard.received.push(Received { at_s, outcome: signed.outcome }),
                Err(problem) => heard.refused.push(format!("{device} {seq}: {problem}")),
            }
        }
        Ok(heard)
    }
}

fn counts(document: &str, key: Option<&str>, state: Option<&str>) -> Result<SignedOutcome, String> {
    // One that was replaced or retired was good while it spoke.
    if !matches!(state, Some("active" | "replaced" | "retired")) {
        return Err(format!("the device is {}", state.unwrap_or("unknown")));
    }
    let signed: SignedOutcome = versioned::read(document.as_bytes()).map_err(|error| error.to_string())?;
    let key = key.and_then(|key| key.parse::<Digest>().ok());
    match key {
        Some(key) if signed.is_signed_by(key.as_bytes()) => Ok(signed),
        _ => Err("it is not signed by the device".into()),
    }
}
