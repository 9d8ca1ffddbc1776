//! A broker that may say "ask now", and that hears of transitions. Nothing it says is believed: a hint only brings a poll
//! forward, a receipt only ends a report.
//!
//! ```text
//! stopline/FLEET/DEVICE/update        signed outcomes, QoS 1
//! stopline/FLEET/DEVICE/cmd/poll      a hint; a retained one is an old one and passed over
//! stopline/FLEET/DEVICE/cmd/receipt   {"boot_id": "…", "seq": 7}: the fleet has it
//! ```

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::mpsc::Sender;
use std::time::Duration;

use rumqttc::{
    AsyncClient, ConnectionError, Event as Packet, EventLoop, Incoming, MqttOptions, QoS, Transport,
};
use serde::Deserialize;
use stopline_depot::eligible::back_off_ms;
use stopline_depot::versioned;
use tokio::sync::watch;

use crate::config::Mqtt;
use crate::daemon::Event;
use crate::spool::Spool;
use crate::tls::Papers;

/// Bytes of a message that is read.
const LARGEST: usize = 4 << 10;
/// Messages between this program and its connection.
const QUEUE: usize = 16;
/// How often the spool is looked at.
const LOOK: Duration = Duration::from_secs(5);
/// Looks after which what nobody confirmed is sent again: the fleet may not have listened.
const AGAIN: u32 = 120;
/// Seconds for a connection, TLS and log-in included: a mobile network takes its time.
const CONNECT_S: u64 = 30;

/// A receipt.
#[derive(Debug, Deserialize)]
struct Receipt {
    boot_id: String,
    seq: u64,
}

/// What an incoming message is.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Hint,
    Receipt { boot_id: String, seq: u64 },
    Nothing,
}

/// Talks to the broker for as long as the process lives. What each connection shows and believes is read anew, so that a
/// certificate that was renewed meanwhile counts.
pub async fn talk(broker: Mqtt, device: String, spool: Spool, papers: Papers, events: Sender<Event>) {
    let below = format!("stopline/{}/{device}", broker.fleet);
    let (client, mut connection) = AsyncClient::new(options(&broker, &device), QUEUE);
    connection.network_options.set_connection_timeout(CONNECT_S);
    // Publishing has a task of its own: a connection that is being made must not be given up for a look at the spool.
    let (connections, seen) = watch::channel(0_u64);
    tokio::spawn(publish_what_waits(client.clone(), below.clone(), spool.clone(), seen));
    let (mut failures, mut count, mut told) = (0_u32, 0_u64, String::new());
    loop {
        if connection.network.is_none() {
            show(&mut connection, &broker, &papers);
        }
        match connection.poll().await {
            Ok(Packet::Incoming(Incoming::ConnAck(_))) => {
                tracing::info!(id = "ota.mqtt.connected", "{}: connected", broker.host);
                (failures, told) = (0, String::new());
                count += 1;
                let _ = client.try_subscribe(format!("{below}/cmd/#"), QoS::AtLeastOnce);
                connections.send_replace(count);
            }
            Ok(Packet::Incoming(Incoming::Publish(message))) => {
                let said = said(&message.topic, &below, message.retain, &message.payload);
                tracing::debug!(id = "ota.mqtt.said", retained = message.retain, ?said, "{}", message.topic);
                take(said, &spool, &events);
            }
            Ok(_) => {}
            Err(error) => {
                connections.send_replace(0);
                failures = failures.saturating_add(1);
                tell(&broker, &error, &mut told);
                let pause = back_off_ms(&device, "mqtt", failures, 1_000, 300_000);
                tokio::time::sleep(Duration::from_millis(pause.into())).await;
            }
        }
    }
}

fn options(broker: &Mqtt, device: &str) -> MqttOptions {
    let mut options = MqttOptions::new(device, broker.host.clone(), broker.port);
    options.set_keep_alive(Duration::from_secs(60));
    options.set_max_packet_size(LARGEST * 16, LARGEST * 16);
    options
}

/// What the next connection shows: user and password, and TLS by the papers as they lie on disk now.
fn show(connection: &mut EventLoop, broker: &Mqtt, papers: &Papers) {
    if broker.tls {
        match papers.client() {
            Ok(tls) => {
                connection.mqtt_options.set_transport(Transport::tls_with_config(tls.into()));
            }
            Err(error) => tracing::warn!(id = "ota.mqtt.tls", "{error}"),
        }
    }
    let Some(user) = &broker.user else { return };
    let password = broker.password_file.as_deref().map(std::fs::read_to_string);
    if let Some(Err(error)) = &password {
        tracing::warn!(id = "ota.mqtt.password", "mqtt.password_file: {error}");
    }
    let password = password.and_then(Result::ok).unwrap_or_default();
    connection.mqtt_options.set_credentials(user.clone(), password.trim_end());
}

/// A failure is told when it begins and when it becomes another: a broker that is away for a night fills no log.
fn tell(broker: &Mqtt, error: &ConnectionError, told: &mut String) {
    let now = match error {
        ConnectionError::ConnectionRefused(code) => format!(
            "{}: the broker refuses the log-in: {code:?}. Are mqtt.user, mqtt.password_file and this device's certificate \
             known there?",
            broker.host
        ),
        error => format!("{}: no connection: {error}. Tried again later; polls go on", broker.host),
    };
    if now != *told {
        let refused = matches!(error, ConnectionError::ConnectionRefused(_));
        let id = if refused { "ota.mqtt.refused" } else { "ota.mqtt.failed" };
        tracing::warn!(id, "{now}");
        *told = now;
    }
}

/// Publishes what waits on each new connection, and what comes to it.
async fn publish_what_waits(
    client: AsyncClient,
    below: String,
    spool: Spool,
    mut connections: watch::Receiver<u64>,
) {
    let mut sent: BTreeSet<PathBuf> = BTreeSet::new();
    let (mut look, mut looks) = (tokio::time::interval(LOOK), 0_u32);
    loop {
        tokio::select! {
            changed = connections.changed() => match changed {
                // What was sent before may be lost: all that waits is sent again.
                Ok(()) => sent.clear(),
                Err(_) => return,
            },
            _ = look.tick() => {
                looks = looks.wrapping_add(1);
                if looks.is_multiple_of(AGAIN) {
                    sent.clear();
                }
            }
        }
        if *connections.borrow() > 0 {
            publish(&client, &below, &spool, &mut sent);
        }
    }
}

/// Publishes what waits and was not sent on this connection, as far as the queue takes it.
fn publish(client: &AsyncClient, below: &str, spool: &Spool, sent: &mut BTreeSet<PathBuf>) {
    for path in spool.waiting().unwrap_or_default() {
        if sent.contains(&path) {
            continue;
        }
        let bytes = spool.read(&path).ok().and_then(|signed| versioned::write(&signed).ok());
        let Some(bytes) = bytes else { continue };
        if client.try_publish(format!("{below}/update"), QoS::AtLeastOnce, false, bytes).is_err() {
            return;
        }
        sent.insert(path);
    }
}

fn take(said: Said, spool: &Spool, events: &Sender<Event>) {
    match said {
        // The daemon has gone: the process ends.
        Said::Hint => drop(events.send(Event::Hint)),
        Said::Receipt { boot_id, seq } => {
            if let Err(error) = spool.received(&boot_id, seq) {
                tracing::warn!("receipt: {error}");
            }
        }
        Said::Nothing => {}
    }
}

fn said(topic: &str, below: &str, retained: bool, payload: &[u8]) -> Said {
    let command = topic.strip_prefix(below).and_then(|rest| rest.strip_prefix("/cmd/"));
    match command {
        Some("poll") if !retained => Said::Hint,
        Some("receipt") if payload.len() <= LARGEST => serde_json::from_slice(payload)
            .map_or(Said::Nothing, |Receipt { boot_id, seq }| Said::Receipt { boot_id, seq }),
        _ => Said::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_can_ask_and_confirm_and_nothing_else() {
        let below = "stopline/north/d";
        assert_eq!(said("stopline/north/d/cmd/poll", below, false, b""), Said::Hint);
        assert_eq!(
            said("stopline/north/d/cmd/poll", below, true, b""),
            Said::Nothing,
            "an old one, replayed"
        );
        assert_eq!(said("stopline/north/other/cmd/poll", below, false, b""), Said::Nothing);
        let receipt = said("stopline/north/d/cmd/receipt", below, false, br#"{"boot_id":"b","seq":7}"#);
        assert_eq!(receipt, Said::Receipt { boot_id: "b".into(), seq: 7 });
        for payload in [&b"{}"[..], b"\xff", b"[]", br#"{"boot_id":7}"#, &[b' '; 5_000]] {
            assert_eq!(said("stopline/north/d/cmd/receipt", below, false, payload), Said::Nothing);
        }
        assert_eq!(said("stopline/north/d/cmd/install", below, false, b"x"), Said::Nothing);
    }
}
