//! The vocabulary, and what the codec's packets mean in it.

use bytes::{Bytes, BytesMut};
use rumqttc::mqttbytes::{self, v4};
use rumqttc::v5::mqttbytes::{self as mqttbytes5, v5};

use super::Broken;

/// The version that a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// MQTT 3.1.1.
    V4,
    /// MQTT 5.
    V5,
}

/// The first packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connect {
    /// Who it says it is.
    pub client_id: String,
    /// Seconds; 0: it does not say.
    pub keep_alive_s: u16,
    /// Topic and payload of the last will.
    pub will: Option<(String, Bytes)>,
    /// User and password.
    pub login: Option<(String, String)>,
    /// Packets that may be in flight towards it.
    pub receive_most: u16,
}

/// What a client sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// A message; `id` where it is to be acknowledged.
    Publish {
        /// Its topic.
        topic: String,
        /// Its content.
        payload: Bytes,
        /// Whether it asks for the newest to be kept.
        retain: bool,
        /// QoS 1; none: QoS 0.
        id: Option<u16>,
    },
    /// It asks for QoS 2, which is not offered.
    ExactlyOnce,
    /// It has what we sent.
    PubAck(u16),
    /// It wants to hear.
    Subscribe {
        /// Of this packet.
        id: u16,
        /// Filters, and whether they want QoS 1.
        filters: Vec<(String, bool)>,
    },
    /// It wants to hear no longer.
    Unsubscribe {
        /// Of this packet.
        id: u16,
        /// Filters.
        filters: Vec<String>,
    },
    /// It is there.
    Ping,
    /// It leaves in order; with its last will if it says so.
    Disconnect {
        /// MQTT 5, reason 0x04.
        with_will: bool,
    },
}

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The client id is not its own.
    ClientId,
    /// It may not.
    NotAuthorized,
    /// The server cannot say.
    NotNow,
}

/// What is answered to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It is committed.
    Taken,
    /// It was put aside.
    NotUnderstood,
    /// It may not be published.
    NotAuthorized,
}

/// What is answered to a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Granted {
    /// With QoS 1, or 0.
    Yes {
        /// QoS 1.
        at_least_once: bool,
    },
    /// It may not.
    No,
    /// There are too many.
    TooMany,
    /// Shared subscriptions are not offered.
    NotShared,
}

/// Why the server closes a connection (MQTT 5 §3.14.2.1; in 3.1.1 it just closes).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The same device has connected anew.
    TakenOver,
    /// It is not let in any more.
    NotLetIn,
    /// It did not speak for too long.
    Silent,
    /// It does not take what it asked for.
    Slow,
    /// The database does not answer; it should come again.
    NotNow,
    /// The server ends.
    Stopping,
    /// A packet was malformed.
    Malformed,
    /// A packet was too large.
    TooLarge,
    /// QoS 2.
    Qos,
}

/// The protocol level of a CONNECT (MQTT 3.1.1 §3.1.2); `None` while it has not come.
pub(super) fn level(bytes: &[u8]) -> Result<Option<u8>, Broken> {
    let Some(first) = bytes.first() else { return Ok(None) };
    if *first != 0x10 {
        return Err(Broken::Malformed("the first packet is no CONNECT".into()));
    }
    let ends = bytes.iter().skip(1).take(4).position(|byte| byte & 0x80 == 0);
    let Some(ends) = ends else {
        return if bytes.len() > 4 { Err(Broken::Malformed("remaining length".into())) } else { Ok(None) };
    };
    let header = &bytes[ends + 2..];
    let Some((length, rest)) = header.split_first_chunk::<2>() else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes(*length));
    if length > 6 {
        return Err(Broken::Version);
    }
    let Some((name, [level, ..])) = rest.split_at_checked(length) else { return Ok(None) };
    // MQTT 3.1 called itself MQIsdp: it is told which versions there are.
    Ok(Some(if name == b"MQTT" { *level } else { 0 }))
}

pub(super) fn read4(bytes: &mut BytesMut, limit: usize) -> Result<Option<v4::Packet>, Broken> {
    match v4::Packet::read(bytes, limit) {
        Ok(packet) => Ok(Some(packet)),
        Err(mqttbytes::Error::InsufficientBytes(_)) => Ok(None),
        Err(mqttbytes::Error::PayloadSizeLimitExceeded(_)) => Err(Broken::TooLarge),
        Err(error) => Err(Broken::Malformed(error.to_string())),
    }
}

pub(super) fn read5(bytes: &mut BytesMut, limit: u32) -> Result<Option<v5::Packet>, Broken> {
    match v5::Packet::read(bytes, Some(limit)) {
        Ok(packet) => Ok(Some(packet)),
        Err(mqttbytes5::Error::InsufficientBytes(_)) => Ok(None),
        Err(mqttbytes5::Error::PayloadSizeLimitExceeded { .. }) => Err(Broken::TooLarge),
        Err(error) => Err(Broken::Malformed(error.to_string())),
    }
}

pub(super) fn packet4(packet: v4::Packet) -> Result<Packet, Broken> {
    Ok(match packet {
        v4::Packet::Publish(publish) if publish.qos == mqttbytes::QoS::ExactlyOnce => Packet::ExactlyOnce,
        v4::Packet::Publish(publish) => Packet::Publish {
            topic: publish.topic,
            payload: publish.payload,
            retain: publish.retain,
            id: (publish.qos == mqttbytes::QoS::AtLeastOnce).then_some(publish.pkid),
        },
        v4::Packet::PubAck(ack) => Packet::PubAck(ack.pkid),
        v4::Packet::Subscribe(subscribe) => Packet::Subscribe {
            id: subscribe.pkid,
            filters: subscribe
                .filters
                .into_iter()
                .map(|filter| (filter.path, filter.qos != mqttbytes::QoS::AtMostOnce))
                .collect(),
        },
        v4::Packet::Unsubscribe(gone) => Packet::Unsubscribe { id: gone.pkid, filters: gone.topics },
        v4::Packet::PingReq => Packet::Ping,
        v4::Packet::Disconnect => Packet::Disconnect { with_will: false },
        _ => return Err(Broken::Malformed("a packet that clients do not send here".into())),
    })
}

pub(super) fn packet5(packet: v5::Packet) -> Result<Packet, Broken> {
    Ok(match packet {
        v5::Packet::Publish(publish) if publish.qos == mqttbytes5::QoS::ExactlyOnce => Packet::ExactlyOnce,
        v5::Packet::Publish(publish) => Packet::Publish {
            topic: utf8(&publish.topic)?,
            payload: publish.payload,
            retain: publish.retain,
            id: (publish.qos == mqttbytes5::QoS::AtLeastOnce).then_some(publish.pkid),
        },
        v5::Packet::PubAck(ack) => Packet::PubAck(ack.pkid),
        v5::Packet::Subscribe(subscribe) => Packet::Subscribe {
            id: subscribe.pkid,
            filters: subscribe
                .filters
                .into_iter()
                .map(|filter| (filter.path, filter.qos != mqttbytes5::QoS::AtMostOnce))
                .collect(),
        },
        v5::Packet::Unsubscribe(gone) => Packet::Unsubscribe { id: gone.pkid, filters: gone.filters },
        v5::Packet::PingReq(_) => Packet::Ping,
        v5::Packet::Disconnect(disconnect) => Packet::Disconnect {
            with_will: disconnect.reason_code == v5::DisconnectReasonCode::DisconnectWithWillMessage,
        },
        _ => return Err(Broken::Malformed("a packet that clients do not send here".into())),
    })
}

pub(super) fn utf8(bytes: &[u8]) -> Result<String, Broken> {
    let text = std::str::from_utf8(bytes).map_err(|_| Broken::Malformed("a topic is not UTF-8".into()))?;
    Ok(text.to_owned())
}

pub(super) fn nothing() -> v5::ConnAckProperties {
    v5::ConnAckProperties {
        session_expiry_interval: None,
        receive_max: None,
        max_qos: None,
        retain_available: None,
        max_packet_size: None,
        assigned_client_identifier: None,
        topic_alias_max: None,
        reason_string: None,
        user_properties: Vec::new(),
        wildcard_subscription_available: None,
        subscription_identifiers_available: None,
        shared_subscription_available: None,
        server_keep_alive: None,
        response_information: None,
        server_reference: None,
        authentication_method: None,
        authentication_data: None,
    }
}
