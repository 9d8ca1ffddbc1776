//! A broker of its own in the end point's place: MQTT 5, shared subscriptions, a session that lasts, and acknowledgements
//! after the commit. Several servers with names of their own share the work.
//!
//! Who speaks, the broker says: its access rules ([`super::mosquitto`]) let a device publish below its certificate's name
//! alone. Outcomes count by their own signature even if a broker lies.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Filter, Packet, Publish, SubAck, SubscribeReasonCode};
use rumqttc::v5::{AsyncClient, ClientError, ConnectionError, Event, EventLoop, MqttOptions};
use rumqttc::{NetworkOptions, Transport};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::oneshot;

use super::hub::{Command, OFFLINE, ONLINE};
use super::topics::{Part, short};
use super::wire::LARGEST;
use crate::exit::{Failure, Result};
use crate::serve::ingest::{Letter, Taken};
use crate::serve::server::Server;

/// Servers that share the work.
const GROUP: &str = "stopline-fleet";
/// Seconds for which the broker keeps what came while no server was there.
const SESSION_S: u32 = 7 * 86_400;
/// Messages that were not acknowledged yet, at most.
const RECEIVE_MOST: u16 = 256;
/// Requests between this program and its connection.
const QUEUE: usize = 1_024;
/// Seconds after which silence is broken.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Before a message is tried again that the database did not take.
const AGAIN: Duration = Duration::from_secs(2);
/// Before a request that found the queue full.
const FULL: Duration = Duration::from_millis(5);
/// Before the next connection, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(15));

/// Where a broker is, and what this server shows it.
#[derive(Debug, Clone)]
pub struct Broker {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What this server is called there: two of one name push each other off.
    pub replica: String,
    /// Whom to believe that it is the broker; none: the device authority.
    pub authorities: Option<PathBuf>,
    /// Where whoever is let in no more is listed for it.
    pub crl: Option<PathBuf>,
}

impl Broker {
    /// Reads `mqtts://HOST:PORT`.
    ///
    /// # Errors
    /// In words, what is wrong with it.
    pub fn read(url: &str) -> Result<(String, u16), String> {
        let read = url::Url::parse(url).map_err(|error| format!("{url}: {error}"))?;
        let plain = read.username().is_empty() && read.password().is_none() && read.query().is_none();
        match (read.scheme(), read.host_str()) {
            ("mqtts", Some(host)) if plain && matches!(read.path(), "" | "/") => {
                Ok((host.trim_matches(['[', ']']).to_owned(), read.port().unwrap_or(8883)))
            }
            _ => Err(format!("{url}: mqtts://HOST:PORT is expected; devices and servers show certificates")),
        }
    }
}

/// The name by which a broker knows a server: its certificate's common name.
pub fn name_of(replica: &str) -> String {
    format!("serve-{replica}")
}

/// Speaks by way of a broker.
#[derive(Clone)]
pub struct Voice(AsyncClient);

impl Voice {
    /// Says something to a device, once it can.
    pub fn say(&self, topic: String, payload: Bytes) {
        let client = self.0.clone();
        tokio::spawn(async move {
            // Fails when the server ends.
            let _ = client.publish(topic, QoS::AtLeastOnce, false, payload).await;
        });
    }
}

/// The connection to a broker.
pub struct Outside {
    client: AsyncClient,
    connection: EventLoop,
    name: String,
}

impl Outside {
    /// Prepares it; it connects when it is run.
    ///
    /// # Errors
    /// What of the files cannot be used.
    pub fn new(broker: &Broker, authorities: &[u8], certificate: &[u8], key: &[u8]) -> Result<Self> {
        let name = name_of(&broker.replica);
        let mut options = MqttOptions::new(&name, broker.host.clone(), broker.port);
        options
            .set_transport(Transport::tls_with_config(tls(authorities, certificate, key)?.into()))
            .set_keep_alive(KEEP_ALIVE)
            .set_clean_start(false)
            .set_session_expiry_interval(Some(SESSION_S))
            .set_receive_maximum(Some(RECEIVE_MOST))
            .set_max_packet_size(Some(LARGEST))
            .set_manual_acks(true);
        // Small packets both ways: one that waits for the acknowledgement of the last waits for 40 ms.
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(true);
        options.set_network_options(network);
        let (client, connection) = AsyncClient::new(options, QUEUE);
        Ok(Self { client, connection, name })
    }

    /// By which commands go.
    pub fn voice(&self) -> Voice {
        Voice(self.client.clone())
    }

    /// Takes in what comes for as long as the server lives.
    pub async fn run(mut self, server: Arc<Server>) {
        let acks = Acks { client: self.client.clone(), connection: Arc::default() };
        let mut pause = PAUSE.0;
        loop {
            match self.connection.poll().await {
                Ok(Event::Incoming(Packet::ConnAck(_))) => {
                    tracing::info!(id = "mqtt.broker.connected", "as {}", self.name);
                    pause = PAUSE.0;
                    let _ = self.client.try_subscribe_many(filters(&server));
                }
                Ok(Event::Incoming(Packet::SubAck(answer))) => granted(&server, &answer),
                Ok(Event::Incoming(Packet::Publish(message))) => {
                    let (server, acks, connection) = (server.clone(), acks.clone(), acks.now());
                    tokio::spawn(async move { take(server, acks, connection, message).await });
                }
                Ok(_) => {}
                Err(error) => {
                    acks.connection_ended(&mut self.connection);
                    tell(&self.name, &error);
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE.1);
                }
            }
        }
    }
}

/// Acknowledgements. A packet's number means another packet on the next connection: one for a message of an earlier
/// connection must not be sent, or a message is lost that nobody has taken.
#[derive(Clone)]
struct Acks {
    client: AsyncClient,
    connection: Arc<Mutex<u64>>,
}

impl Acks {
    fn now(&self) -> u64 {
        *self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connection_ended(&self, connection: &mut EventLoop) {
        let mut now = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        *now += 1;
        // Takes acknowledgements away that were given between the connection's end and here.
        connection.clean();
    }

    async fn give(&self, connection: u64, message: &Publish) {
        loop {
            {
                let now = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
                if *now != connection {
                    return;
                }
                match self.client.try_ack(message) {
                    Err(ClientError::TryRequest(_)) => {}
                    _ => return,
                }
            }
            tokio::time::sleep(FULL).await;
        }
    }
}

async fn take(server: Arc<Server>, acks: Acks, connection: u64, message: Publish) {
    let topic = String::from_utf8_lossy(&message.topic).into_owned();
    match server.hub.topics().read(&topic) {
        None => {
            let words = format!("the broker hands on {:?}, which no device publishes on", short(&topic));
            server.alarms.raise(&server, "", "mqtt.publish", &words);
        }
        Some((device, Part::Available)) => available(&server, device, &message.payload).await,
        Some((device, part)) => {
            let is_current = || acks.now() == connection;
            let taken = ingest(&server, (device, part), &message.payload, is_current).await;
            if matches!(taken, Taken::Committed(_)) {
                server.hub.spread(device, part, &message.payload, false);
            }
            if let Taken::NotLetIn(standing) = taken {
                let words = format!("it speaks by way of the broker and is {standing}");
                server.alarms.raise(&server, device, "mqtt.standing", &words);
            }
            if let Taken::Committed(receipt) | Taken::PutAside(Some(receipt)) = taken {
                server.hub.tell(device, &Command::Receipt(receipt));
            }
        }
    }
    acks.give(connection, &message).await;
}

/// Until the database has taken it, or the connection is another: then the broker hands it out again.
async fn ingest(
    server: &Server,
    (device, part): (&str, Part),
    bytes: &Bytes,
    is_current: impl Fn() -> bool,
) -> Taken {
    loop {
        let (done, taken) = oneshot::channel();
        let letter = Letter { device: device.to_owned(), part, bytes: bytes.clone() };
        let done = Box::new(move |taken| drop(done.send(taken)));
        server.ingest.give(letter, done).await;
        match taken.await {
            Ok(Taken::NotNow) | Err(_) if !is_current() => return Taken::NotNow,
            Ok(Taken::NotNow) | Err(_) => tokio::time::sleep(AGAIN).await,
            Ok(taken) => return taken,
        }
    }
}

async fn available(server: &Server, device: &str, payload: &Bytes) {
    if payload != ONLINE && payload != OFFLINE {
        server.alarms.raise(server, device, "mqtt.publish", "available: online or offline is expected");
        return;
    }
    server.hub.is_there(device, payload, true);
    if payload == ONLINE {
        match server.commands(device).await {
            Ok(commands) => commands.iter().for_each(|command| server.hub.tell(device, command)),
            Err(failure) => tracing::warn!(id = "mqtt.answers", device, "{failure}"),
        }
    }
}

fn filters(server: &Server) -> Vec<Filter> {
    let below = |part: Part| format!("$share/{GROUP}/{}", server.hub.topics().topic("+", part));
    Part::ALL.into_iter().map(|part| Filter::new(below(part), QoS::AtLeastOnce)).collect()
}

fn granted(server: &Server, answer: &SubAck) {
    let is_granted =
        |code: &SubscribeReasonCode| matches!(code, SubscribeReasonCode::Success(QoS::AtLeastOnce));
    if !answer.return_codes.iter().all(is_granted) {
        let words = format!(
            "the broker refuses subscriptions: {:?}. Are its access rules this fleet's?",
            answer.return_codes
        );
        server.alarms.raise(server, "", "mqtt.broker", &words);
    }
}

fn tell(name: &str, error: &ConnectionError) {
    match error {
        ConnectionError::ConnectionRefused(code) => tracing::error!(
            id = "mqtt.broker.refused",
            "the broker refuses {name}: {code:?}. Does it believe the device authority?"
        ),
        error => tracing::warn!(id = "mqtt.broker.away", "no connection to the broker: {error}; tried again"),
    }
}

fn tls(authorities: &[u8], certificate: &[u8], key: &[u8]) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(authorities) {
        roots.add(authority.map_err(Failure::refused)?).map_err(Failure::refused)?;
    }
    let chain: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate).collect();
    let key = PrivateKeyDer::from_pem_slice(key).map_err(Failure::refused)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(Failure::failed)?;
    let config = builder.with_root_certificates(roots);
    let config =
        config.with_client_auth_cert(chain.map_err(Failure::refused)?, key).map_err(Failure::refused)?;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_is_named_by_tls_alone() {
        assert_eq!(Broker::read("mqtts://b.example.org:1"), Ok(("b.example.org".into(), 1)));
        assert_eq!(Broker::read("mqtts://[::1]"), Ok(("::1".into(), 8883)));
        for wrong in ["mqtt://b:1", "b:1883", "mqtts://user:secret@b", "mqtts://b/x", "https://b", ""] {
            assert!(Broker::read(wrong).is_err(), "{wrong}");
        }
    }
}
