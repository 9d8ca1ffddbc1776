//! A web hook of the operator's: a drift was told, or so many new records have come, and a person or a pipeline that trains
//! begins.
//!
//! How far it was told stands in the database. Told is what was answered with 2xx; anything else comes again after
//! some seconds, so a hook may hear a thing twice and never misses one. Of several servers on one database one has the hook.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use serde_json::{Value, json};

use super::server::Server;
use crate::exit::{Failure, Result};

/// From one look to the next.
const LOOK: Duration = Duration::from_secs(2);
/// After a hook that did not answer.
const PAUSE: Duration = Duration::from_secs(10);
/// For a hook to answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Drifts in one request, at most.
const MOST: i64 = 100;

/// Whom to tell, and of what.
#[derive(Debug, Clone)]
pub struct Hook {
    /// Where to. It may hold a secret, so it is never said.
    pub url: url::Url,
    /// Whom to believe that it is the hook, in PEM; `None`: whom this machine believes.
    pub authorities: Option<Vec<u8>>,
    /// New records after which it is told of them; 0: never.
    pub records: u32,
}

/// Tells for as long as the server lives.
///
/// # Errors
/// The authorities are none.
pub fn watch(hook: Hook, server: Arc<Server>) -> Result<impl Future<Output = ()> + Send> {
    let mut builder = reqwest::Client::builder().timeout(PATIENCE).redirect(Policy::none());
    if let Some(pem) = &hook.authorities {
        let roots = reqwest::Certificate::from_pem_bundle(pem).map_err(Failure::usage)?;
        builder = builder.tls_certs_only(roots);
    }
    let client = builder.build().map_err(Failure::failed)?;
    Ok(async move {
        loop {
            let told = round(&hook, &client, &server).await;
            if let Err(failure) = &told {
                tracing::warn!(id = "serve.hook", "{failure}; it is tried again");
            }
            tokio::time::sleep(if told.is_ok() { LOOK } else { PAUSE }).await;
        }
    })
}

async fn round(hook: &Hook, client: &reqwest::Client, server: &Server) -> Result<()> {
    drifts(hook, client, server).await?;
    if hook.records > 0 { records(hook, client, server).await } else { Ok(()) }
}

/// A second is told once it is over, so that none of it is left out.
async fn drifts(hook: &Hook, client: &reqwest::Client, server: &Server) -> Result<()> {
    let upto_s = server.now_s() - 1;
    let Some(after_s) = server.database.hooked_upto("drift").await? else {
        return done(server, "drift", upto_s).await;
    };
    let found = server.database.arrived("drift", after_s, upto_s, MOST).await?;
    let Some(last) = found.last() else { return Ok(()) };
    // As many as were asked for: the last second may hold more, and comes again whole. A second with more than fit is told in
    // part rather than for ever.
    let is_full = i64::try_from(found.len()).is_ok_and(|count| count == MOST);
    let upto_s = if is_full && last.received_s > after_s + 1 { last.received_s - 1 } else { last.received_s };
    let drift = |stored: &super::database::messages::Stored| {
        let body: Value = serde_json::from_str(&stored.body).unwrap_or_default();
        json!({"device": stored.device, "boot_id": stored.boot_id, "seq": stored.seq, "received_s": stored.received_s, "drift": body})
    };
    let told: Vec<Value> = found.iter().filter(|stored| stored.received_s <= upto_s).map(drift).collect();
    if told.is_empty() {
        return done(server, "drift", upto_s).await;
    }
    post(hook, client, &json!({"schema": 1, "event": "drift", "drifts": told})).await?;
    done(server, "drift", upto_s).await
}

async fn records(hook: &Hook, client: &reqwest::Client, server: &Server) -> Result<()> {
    let (total, bytes) = server.database.records_total().await?;
    let before = match server.database.hooked_upto("records").await? {
        // Records that were forgotten are no new ones.
        Some(before) if before <= total => before,
        _ => return done(server, "records", total).await,
    };
    if total - before < i64::from(hook.records) {
        return Ok(());
    }
    let said =
        json!({"schema": 1, "event": "records", "new": total - before, "records": total, "bytes": bytes});
    post(hook, client, &said).await?;
    done(server, "records", total).await
}

async fn post(hook: &Hook, client: &reqwest::Client, said: &Value) -> Result<()> {
    // Without the address: what follows the host may be a secret.
    let host = hook.url.host_str().unwrap_or_default();
    let failed = |what: String| Failure::failed(format!("hook at {host}: {what}"));
    let request = client.post(hook.url.clone()).header(CONTENT_TYPE, "application/json");
    let answer = request.body(said.to_string()).send().await;
    let status = answer.map_err(|error| failed(error.without_url().to_string()))?.status();
    if status.is_success() { Ok(()) } else { Err(failed(status.to_string())) }
}

async fn done(server: &Server, what: &str, upto: i64) -> Result<()> {
    let mut writing = server.database.write().await?;
    writing.hooked(what, upto).await?;
    writing.commit().await
}
