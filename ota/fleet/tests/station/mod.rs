//! A client of MQTT that says exactly what a test wants, in either version, with the certificate of a device or none.
#![allow(dead_code)] // every test program uses another part of it

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rumqttc::mqttbytes::{Error as Error4, QoS as QoS4, v4};
use rumqttc::v5::mqttbytes::{Error as Error5, QoS as QoS5, v5};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How long a test waits for what must come.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How long it waits for what must not come.
pub const QUIET: Duration = Duration::from_millis(700);

/// A version's packets.
pub trait Speech: Sized + std::fmt::Debug {
    fn read(bytes: &mut BytesMut) -> Option<Self>;
    fn put(&self, bytes: &mut BytesMut);
    fn connect(client_id: &str, will: Option<&str>, login: Option<(&str, &str)>) -> Self;
    fn publish(id: u16, topic: &str, payload: &[u8], retain: bool) -> Self;
    fn subscribe(id: u16, filter: &str) -> Self;
    fn acknowledge(id: u16) -> Self;
    /// What of it a test asks about.
    fn heard(self) -> Heard;
}

/// What the server says, in both versions' words: 0 is yes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    Let(u8),
    Taken(u16, u8),
    Granted(Vec<u8>),
    Message { topic: String, payload: Bytes, retain: bool, id: u16 },
    Other,
}

impl Speech for v4::Packet {
    fn read(bytes: &mut BytesMut) -> Option<Self> {
        match v4::Packet::read(bytes, 1 << 20) {
            Ok(packet) => Some(packet),
            Err(Error4::InsufficientBytes(_)) => None,
            Err(error) => panic!("{error}"),
        }
    }

    fn put(&self, bytes: &mut BytesMut) {
        self.write(bytes, usize::MAX).unwrap();
    }

    fn connect(client_id: &str, will: Option<&str>, login: Option<(&str, &str)>) -> Self {
        let mut connect = v4::Connect::new(client_id);
        connect.keep_alive = 60;
        connect.last_will = will.map(|topic| v4::LastWill::new(topic, "offline", QoS4::AtLeastOnce, true));
        connect.login = login.map(|(user, password)| v4::Login::new(user, password));
        Self::Connect(connect)
    }

    fn publish(id: u16, topic: &str, payload: &[u8], retain: bool) -> Self {
        let mut publish = v4::Publish::new(topic, QoS4::AtLeastOnce, payload);
        (publish.pkid, publish.retain) = (id, retain);
        Self::Publish(publish)
    }

    fn subscribe(id: u16, filter: &str) -> Self {
        let mut subscribe = v4::Subscribe::new(filter, QoS4::AtLeastOnce);
        subscribe.pkid = id;
        Self::Subscribe(subscribe)
    }

    fn acknowledge(id: u16) -> Self {
        Self::PubAck(v4::PubAck::new(id))
    }

    fn heard(self) -> Heard {
        match self {
            Self::ConnAck(ack) => Heard::Let(ack.code as u8),
            Self::PubAck(ack) => Heard::Taken(ack.pkid, 0),
            Self::SubAck(ack) => Heard::Granted(
                ack.return_codes
                    .iter()
                    .map(|code| u8::from(*code == v4::SubscribeReasonCode::Failure) * 0x80)
                    .collect(),
            ),
            Self::Publish(publish) => Heard::Message {
                topic: publish.topic,
                payload: publish.payload,
                retain: publish.retain,
                id: publish.pkid,
            },
            _ => Heard::Other,
        }
    }
}

impl Speech for v5::Packet {
    fn read(bytes: &mut BytesMut) -> Option<Self> {
        match v5::Packet::read(bytes, None) {
            Ok(packet) => Some(packet),
            Err(Error5::InsufficientBytes(_)) => None,
            Err(error) => panic!("{error}"),
        }
    }

    fn put(&self, bytes: &mut BytesMut) {
        self.write(bytes, None).unwrap();
    }

    fn connect(client_id: &str, will: Option<&str>, login: Option<(&str, &str)>) -> Self {
        let connect =
            v5::Connect { keep_alive: 60, client_id: client_id.into(), clean_start: true, properties: None };
        let will = will.map(|topic| v5::LastWill::new(topic, "offline", QoS5::AtLeastOnce, true, None));
        let login =
            login.map(|(user, password)| v5::Login { username: user.into(), password: password.into() });
        Self::Connect(connect, will, login)
    }

    fn publish(id: u16, topic: &str, payload: &[u8], retain: bool) -> Self {
        let payload = Bytes::copy_from_slice(payload);
        let mut publish = v5::Publish::new(topic, QoS5::AtLeastOnce, payload, None);
        (publish.pkid, publish.retain) = (id, retain);
        Self::Publish(publish)
    }

    fn subscribe(id: u16, filter: &str) -> Self {
        let mut subscribe = v5::Subscribe::new(v5::Filter::new(filter, QoS5::AtLeastOnce), None);
        subscribe.pkid = id;
        Self::Subscribe(subscribe)
    }

    fn acknowledge(id: u16) -> Self {
        Self::PubAck(v5::PubAck::new(id, None))
    }

    fn heard(self) -> Heard {
        match self {
            Self::ConnAck(ack) => Heard::Let(match ack.code {
                v5::ConnectReturnCode::Success => 0,
                v5::ConnectReturnCode::ClientIdentifierNotValid => 0x85,
                v5::ConnectReturnCode::NotAuthorized => 0x87,
                other => panic!("{other:?}"),
            }),
            Self::PubAck(ack) => Heard::Taken(
                ack.pkid,
                match ack.reason {
                    // Mosquitto says 0x10 where nobody listens.
                    v5::PubAckReason::Success | v5::PubAckReason::NoMatchingSubscribers => 0,
                    v5::PubAckReason::NotAuthorized => 0x87,
                    v5::PubAckReason::PayloadFormatInvalid => 0x99,
                    other => panic!("{other:?}"),
                },
            ),
            Self::SubAck(ack) => Heard::Granted(
                ack.return_codes
                    .iter()
                    .map(|code| match code {
                        v5::SubscribeReasonCode::Success(_) => 0,
                        v5::SubscribeReasonCode::NotAuthorized => 0x87,
                        v5::SubscribeReasonCode::SharedSubscriptionsNotSupported => 0x9e,
                        other => panic!("{other:?}"),
                    })
                    .collect(),
            ),
            Self::Publish(publish) => Heard::Message {
                topic: String::from_utf8(publish.topic.to_vec()).unwrap(),
                payload: publish.payload,
                retain: publish.retain,
                id: publish.pkid,
            },
            _ => Heard::Other,
        }
    }
}

/// What a client shows and believes.
pub fn tls(authorities: &Path, identity: Option<(&str, &str)>) -> Arc<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    for one in CertificateDer::pem_file_iter(authorities).unwrap() {
        roots.add(one.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
    Arc::new(match identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = CertificateDer::pem_slice_iter(certificate.as_bytes()).map(Result::unwrap).collect();
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    })
}

/// A connection.
pub struct Station {
    stream: TlsStream<TcpStream>,
    inbound: BytesMut,
}

impl Station {
    /// TLS, and nothing said yet.
    ///
    /// # Errors
    /// That there is nobody, or that TLS refuses.
    pub async fn open(port: u16, tls: Arc<rustls::ClientConfig>) -> std::io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(tls).connect(name, stream).await?;
        Ok(Self { stream, inbound: BytesMut::new() })
    }

    pub async fn say(&mut self, packets: &[impl Speech]) -> std::io::Result<()> {
        let mut bytes = BytesMut::new();
        packets.iter().for_each(|packet| packet.put(&mut bytes));
        self.stream.write_all(&bytes).await?;
        self.stream.flush().await
    }

    /// The next packet; an error where the connection has ended. May be given up while it waits.
    pub async fn next<P: Speech>(&mut self) -> std::io::Result<Heard> {
        loop {
            if let Some(packet) = P::read(&mut self.inbound) {
                return Ok(packet.heard());
            }
            self.inbound.reserve(1 << 10);
            if self.stream.read_buf(&mut self.inbound).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// What must come, among whatever else comes; messages are acknowledged.
    pub async fn until<P: Speech>(&mut self, what: &str, mut is: impl FnMut(&Heard) -> bool) -> Heard {
        let waiting = async {
            loop {
                let heard = self.next::<P>().await.unwrap_or_else(|error| panic!("{what}: {error}"));
                if let Heard::Message { id: id @ 1.., .. } = &heard {
                    let _ = self.say(&[P::acknowledge(*id)]).await;
                }
                if is(&heard) {
                    return heard;
                }
            }
        };
        timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{what}: it does not come"))
    }

    /// All messages that come for a while.
    pub async fn rest<P: Speech>(&mut self) -> Vec<(String, Bytes)> {
        let mut all = Vec::new();
        while let Ok(Ok(heard)) = timeout(QUIET, self.next::<P>()).await {
            if let Heard::Message { topic, payload, .. } = heard {
                all.push((topic, payload));
            }
        }
        all
    }

    /// Whether the other side ends the connection.
    pub async fn is_ended<P: Speech>(&mut self) -> bool {
        timeout(PATIENCE, async { while self.next::<P>().await.is_ok() {} }).await.is_ok()
    }
}
