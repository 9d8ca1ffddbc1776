//! Packets of MQTT 3.1.1 (OASIS, 2014) and 5 (OASIS, 2019) on one connection, as one vocabulary. The codec is `rumqttc`'s; what
//! it is given is bounded first.

mod packets;

use std::io;

use bytes::{Bytes, BytesMut};
use rumqttc::mqttbytes::{self, v4};
use rumqttc::v5::mqttbytes::{self as mqttbytes5, v5};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

pub use packets::{Answer, Connect, End, Granted, Packet, Refused, Version};
use packets::{level, nothing, packet4, packet5, read4, read5, utf8};

/// Bytes of a packet after its fixed header, at most: a message that is too long by half is still put aside by its name.
pub const LARGEST: u32 = 128 << 10;
/// Bytes of the first packet, of somebody who is not known yet.
const LARGEST_CONNECT: usize = 4 << 10;
/// Packets that a client may have in flight towards us (MQTT 5 §3.2.2.3.3).
pub const RECEIVE_MOST: u16 = 64;
/// Bytes of room that a read is given.
const ROOM: usize = 2 << 10;
/// Bytes beyond which an empty buffer is let go.
const WIDE: usize = 16 << 10;

/// What ends a connection.
#[derive(Debug, Error)]
pub enum Broken {
    /// It was closed, or the system says why not.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The other side closed it.
    #[error("closed by the client")]
    Closed,
    /// It speaks another protocol or version.
    #[error("no MQTT 3.1.1 or 5")]
    Version,
    /// A packet is not as the standard says.
    #[error("a packet is malformed: {0}")]
    Malformed(String),
    /// A packet is too large.
    #[error("a packet is larger than {LARGEST} bytes")]
    TooLarge,
}

/// One connection.
pub struct Wire<S> {
    stream: S,
    version: Version,
    inbound: BytesMut,
    outbound: BytesMut,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// On a connection that nothing was read from.
    pub fn new(stream: S) -> Self {
        Self { stream, version: Version::V4, inbound: BytesMut::new(), outbound: BytesMut::new() }
    }

    /// Reads the first packet.
    ///
    /// # Errors
    /// [`Broken::Version`] after a refusal was sent.
    pub async fn connect(&mut self) -> Result<Connect, Broken> {
        loop {
            if let Some(level) = level(&self.inbound)? {
                self.version = match level {
                    4 => Version::V4,
                    5 => Version::V5,
                    _ => {
                        self.refuse_version().await?;
                        return Err(Broken::Version);
                    }
                };
                if let Some(connect) = self.first()? {
                    return Ok(connect);
                }
            }
            if self.inbound.len() > LARGEST_CONNECT {
                return Err(Broken::TooLarge);
            }
            self.read().await?;
        }
    }

    fn first(&mut self) -> Result<Option<Connect>, Broken> {
        let limit = u32::try_from(LARGEST_CONNECT).unwrap_or(u32::MAX);
        match self.version {
            Version::V4 => Ok(match read4(&mut self.inbound, LARGEST_CONNECT)? {
                Some(v4::Packet::Connect(connect)) => Some(Connect {
                    client_id: connect.client_id,
                    keep_alive_s: connect.keep_alive,
                    will: connect.last_will.map(|will| (will.topic, will.message)),
                    login: connect.login.map(|login| (login.username, login.password)),
                    receive_most: u16::MAX,
                }),
                _ => None,
            }),
            Version::V5 => Ok(match read5(&mut self.inbound, limit)? {
                Some(v5::Packet::Connect(connect, will, login)) => Some(Connect {
                    client_id: connect.client_id,
                    keep_alive_s: connect.keep_alive,
                    will: will.map(|will| Ok::<_, Broken>((utf8(&will.topic)?, will.message))).transpose()?,
                    login: login.map(|login| (login.username, login.password)),
                    receive_most: connect
                        .properties
                        .and_then(|properties| properties.receive_maximum)
                        .unwrap_or(u16::MAX),
                }),
                _ => None,
            }),
        }
    }

    /// Waits for more bytes. What was read stays read if this is given up.
    ///
    /// # Errors
    /// That the connection ended.
    pub async fn read(&mut self) -> Result<(), Broken> {
        if self.inbound.is_empty() && self.inbound.capacity() > WIDE {
            self.inbound = BytesMut::new();
        }
        self.inbound.reserve(ROOM);
        match self.stream.read_buf(&mut self.inbound).await? {
            0 => Err(Broken::Closed),
            _ => Ok(()),
        }
    }

    /// The next packet of what was read, if it is whole.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn next(&mut self) -> Result<Option<Packet>, Broken> {
        match self.version {
            Version::V4 => {
                let limit = usize::try_from(LARGEST).unwrap_or(usize::MAX);
                read4(&mut self.inbound, limit)?.map(packet4).transpose()
            }
            // The codec knows no DISCONNECT without a reason, which is the usual one (§3.14.2.1).
            Version::V5 if self.inbound.starts_with(&[0xe0, 0]) => {
                Ok(Some(Packet::Disconnect { with_will: false }))
            }
            Version::V5 => read5(&mut self.inbound, LARGEST)?.map(packet5).transpose(),
        }
    }

    /// Lets the client in. Sessions end with their connection: what must last is in the sender's outbox and in the database.
    ///
    /// # Errors
    /// The codec's.
    pub fn accept(&mut self) -> Result<(), Broken> {
        match self.version {
            Version::V4 => {
                self.put4(&v4::Packet::ConnAck(v4::ConnAck::new(v4::ConnectReturnCode::Success, false)))
            }
            Version::V5 => {
                let properties = v5::ConnAckProperties {
                    session_expiry_interval: Some(0),
                    receive_max: Some(RECEIVE_MOST),
                    max_qos: Some(1),
                    max_packet_size: Some(LARGEST),
                    shared_subscription_available: Some(0),
                    ..nothing()
                };
                self.put5(&v5::Packet::ConnAck(v5::ConnAck {
                    session_present: false,
                    code: v5::ConnectReturnCode::Success,
                    properties: Some(properties),
                }))
            }
        }
    }

    /// Refuses the client, and says why.
    ///
    /// # Errors
    /// The codec's.
    pub fn refuse(&mut self, refused: Refused) -> Result<(), Broken> {
        match self.version {
            Version::V4 => {
                let code = match refused {
                    Refused::ClientId => v4::ConnectReturnCode::BadClientId,
                    Refused::NotAuthorized => v4::ConnectReturnCode::NotAuthorized,
                    Refused::NotNow => v4::ConnectReturnCode::ServiceUnavailable,
                };
                self.put4(&v4::Packet::ConnAck(v4::ConnAck::new(code, false)))
            }
            Version::V5 => {
                let code = match refused {
                    Refused::ClientId => v5::ConnectReturnCode::ClientIdentifierNotValid,
                    Refused::NotAuthorized => v5::ConnectReturnCode::NotAuthorized,
                    Refused::NotNow => v5::ConnectReturnCode::ServerUnavailable,
                };
                self.put5(&v5::Packet::ConnAck(v5::ConnAck {
                    session_present: false,
                    code,
                    properties: None,
                }))
            }
        }
    }

    /// Acknowledges a message. In 3.1.1 there is no word for a refusal: it is acknowledged and dropped (§3.3.5).
    ///
    /// # Errors
    /// The codec's.
    pub fn acknowledge(&mut self, id: u16, answer: Answer) -> Result<(), Broken> {
        match self.version {
            Version::V4 => self.put4(&v4::Packet::PubAck(v4::PubAck::new(id))),
            Version::V5 => {
                let mut ack = v5::PubAck::new(id, None);
                ack.reason = match answer {
                    Answer::Taken => v5::PubAckReason::Success,
                    Answer::NotUnderstood => v5::PubAckReason::PayloadFormatInvalid,
                    Answer::NotAuthorized => v5::PubAckReason::NotAuthorized,
                };
                self.put5(&v5::Packet::PubAck(ack))
            }
        }
    }

    /// Answers filters, in their order.
    ///
    /// # Errors
    /// The codec's.
    pub fn granted(&mut self, id: u16, granted: &[Granted]) -> Result<(), Broken> {
        match self.version {
            Version::V4 => {
                let code = |granted: &Granted| match granted {
                    Granted::Yes { at_least_once: true } => {
                        v4::SubscribeReasonCode::Success(mqttbytes::QoS::AtLeastOnce)
                    }
                    Granted::Yes { at_least_once: false } => {
                        v4::SubscribeReasonCode::Success(mqttbytes::QoS::AtMostOnce)
                    }
                    _ => v4::SubscribeReasonCode::Failure,
                };
                self.put4(&v4::Packet::SubAck(v4::SubAck::new(id, granted.iter().map(code).collect())))
            }
            Version::V5 => {
                let code = |granted: &Granted| match granted {
                    Granted::Yes { at_least_once: true } => {
                        v5::SubscribeReasonCode::Success(mqttbytes5::QoS::AtLeastOnce)
                    }
                    Granted::Yes { at_least_once: false } => {
                        v5::SubscribeReasonCode::Success(mqttbytes5::QoS::AtMostOnce)
                    }
                    Granted::No => v5::SubscribeReasonCode::NotAuthorized,
                    Granted::TooMany => v5::SubscribeReasonCode::QuotaExceeded,
                    Granted::NotShared => v5::SubscribeReasonCode::SharedSubscriptionsNotSupported,
                };
                let return_codes = granted.iter().map(code).collect();
                self.put5(&v5::Packet::SubAck(v5::SubAck { pkid: id, return_codes, properties: None }))
            }
        }
    }

    /// Answers an unsubscription.
    ///
    /// # Errors
    /// The codec's.
    pub fn unsubscribed(&mut self, id: u16, filters: usize) -> Result<(), Broken> {
        match self.version {
            Version::V4 => self.put4(&v4::Packet::UnsubAck(v4::UnsubAck::new(id))),
            Version::V5 => {
                let reasons = vec![v5::UnsubAckReason::Success; filters];
                self.put5(&v5::Packet::UnsubAck(v5::UnsubAck { pkid: id, reasons, properties: None }))
            }
        }
    }

    /// Answers a ping.
    ///
    /// # Errors
    /// The codec's.
    pub fn pong(&mut self) -> Result<(), Broken> {
        match self.version {
            Version::V4 => self.put4(&v4::Packet::PingResp),
            Version::V5 => self.put5(&v5::Packet::PingResp(v5::PingResp)),
        }
    }

    /// Publishes; with QoS 1 where it has an id.
    ///
    /// # Errors
    /// The codec's.
    pub fn publish(
        &mut self,
        topic: &str,
        payload: Bytes,
        kept: bool,
        id: Option<u16>,
    ) -> Result<(), Broken> {
        match self.version {
            Version::V4 => {
                let qos = if id.is_some() { mqttbytes::QoS::AtLeastOnce } else { mqttbytes::QoS::AtMostOnce };
                let mut publish = v4::Publish::from_bytes(topic, qos, payload);
                (publish.pkid, publish.retain) = (id.unwrap_or(0), kept);
                self.put4(&v4::Packet::Publish(publish))
            }
            Version::V5 => {
                let qos =
                    if id.is_some() { mqttbytes5::QoS::AtLeastOnce } else { mqttbytes5::QoS::AtMostOnce };
                let mut publish = v5::Publish::new(topic, qos, payload, None);
                (publish.pkid, publish.retain) = (id.unwrap_or(0), kept);
                self.put5(&v5::Packet::Publish(publish))
            }
        }
    }

    /// Says why the connection ends, where the version has a word for it.
    ///
    /// # Errors
    /// The codec's.
    pub fn end(&mut self, end: End) -> Result<(), Broken> {
        if self.version == Version::V4 {
            return Ok(());
        }
        let reason = match end {
            End::TakenOver => v5::DisconnectReasonCode::SessionTakenOver,
            End::NotLetIn => v5::DisconnectReasonCode::NotAuthorized,
            End::Silent => v5::DisconnectReasonCode::KeepAliveTimeout,
            End::Slow => v5::DisconnectReasonCode::QuotaExceeded,
            End::NotNow => v5::DisconnectReasonCode::ServerBusy,
            End::Stopping => v5::DisconnectReasonCode::ServerShuttingDown,
            End::Malformed => v5::DisconnectReasonCode::MalformedPacket,
            End::TooLarge => v5::DisconnectReasonCode::PacketTooLarge,
            End::Qos => v5::DisconnectReasonCode::QoSNotSupported,
        };
        self.put5(&v5::Packet::Disconnect(v5::Disconnect { reason_code: reason, properties: None }))
    }

    /// Sends what was put.
    ///
    /// # Errors
    /// That the connection ended.
    pub async fn flush(&mut self) -> Result<(), Broken> {
        if self.outbound.is_empty() {
            return Ok(());
        }
        let bytes = self.outbound.split();
        self.stream.write_all(&bytes).await?;
        self.stream.flush().await?;
        if self.outbound.capacity() > WIDE {
            self.outbound = BytesMut::new();
        }
        Ok(())
    }

    /// Whether so much was put that it should be sent before more is.
    pub fn is_full(&self) -> bool {
        self.outbound.len() > WIDE
    }

    /// Closes the connection in order.
    pub async fn close(mut self) {
        // It may be gone already.
        let _ = self.stream.shutdown().await;
    }

    async fn refuse_version(&mut self) -> Result<(), Broken> {
        let code = v4::ConnectReturnCode::RefusedProtocolVersion;
        self.put4(&v4::Packet::ConnAck(v4::ConnAck::new(code, false)))?;
        self.flush().await
    }

    fn put4(&mut self, packet: &v4::Packet) -> Result<(), Broken> {
        packet
            .write(&mut self.outbound, usize::MAX)
            .map(drop)
            .map_err(|error| Broken::Malformed(error.to_string()))
    }

    fn put5(&mut self, packet: &v5::Packet) -> Result<(), Broken> {
        packet.write(&mut self.outbound, None).map(drop).map_err(|error| Broken::Malformed(error.to_string()))
    }
}

#[cfg(test)]
mod tests;
