//! Tells devices that something was published, whoever published it: the repository's `timestamp.json` has changed. A hint
//! says nothing but "ask now"; the agent spreads its polls by itself.

use std::sync::Arc;
use std::time::Duration;

use super::hub::Command;
use crate::exit::{Failure, Result};
use crate::serve::server::Server;
use crate::store::{TIMESTAMP, Tag};

/// Between two looks where nobody asks for one.
const LOOK: Duration = Duration::from_secs(15);
/// Bytes of `timestamp.json`, at most.
const LIMIT: u64 = 1 << 20;

/// Looks for as long as the server lives.
pub async fn watch(server: Arc<Server>) {
    let mut known: Option<Option<Tag>> = None;
    loop {
        match look(&server).await {
            Ok(now) => {
                if known.as_ref().is_some_and(|known| *known != now)
                    && let Err(failure) = hint_all(&server).await
                {
                    tracing::warn!(id = "mqtt.hints", "{failure}");
                }
                known = Some(now);
            }
            // Without a repository there is nothing to tell.
            Err(failure) => tracing::debug!(id = "mqtt.hints", "{failure}"),
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = server.hub.asked_to_look() => {}
        }
    }
}

async fn look(server: &Arc<Server>) -> Result<Option<Tag>> {
    let shared = server.clone();
    let looked = tokio::task::spawn_blocking(move || shared.repository.store()?.read(TIMESTAMP, LIMIT)).await;
    Ok(looked.map_err(Failure::failed)??.map(|(_, tag)| tag))
}

async fn hint_all(server: &Server) -> Result<()> {
    let devices = if server.hub.is_outside() {
        let all = server.database.devices().await?;
        let is_in = crate::serve::database::devices::Standing::Active;
        all.into_iter().filter(|device| device.standing == is_in).map(|device| device.id).collect()
    } else {
        server.hub.connected()
    };
    tracing::info!(id = "mqtt.hints", "something was published: {} devices are told", devices.len());
    for device in devices {
        server.hub.tell(&device, &Command::Poll);
    }
    Ok(())
}
