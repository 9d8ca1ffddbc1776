//! A connection in either version of the protocol (MQTT 3.1.1, MQTT 5: OASIS standards), so that the rest need not know which.

use std::time::Duration;

use rumqttc::{QoS, Transport, v5};

use crate::config::{Mqtt, MqttVersion};
use crate::tls::Papers;

use super::{CONNECT_S, LARGEST, QUEUE};

/// Seconds for which a broker keeps a session of MQTT 5 that was cut: none, all that waits is sent on each connection.
const SESSION_S: u32 = 0;

/// What came of listening.
#[derive(Debug)]
pub(super) enum Met {
    /// The broker lets this device in.
    Connected,
    /// A message.
    Message { topic: String, retained: bool, payload: Vec<u8> },
    /// Something of the protocol's own.
    Nothing,
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) struct Cut {
    /// The broker refused the log-in, in this word.
    pub(super) refused: Option<String>,
    /// What happened.
    pub(super) problem: String,
}

/// Where what is to be sent goes; a full queue refuses.
#[derive(Clone, Debug)]
pub(super) enum Mouth {
    Four(rumqttc::AsyncClient),
    Five(v5::AsyncClient),
}

/// The connection.
pub(super) struct Ear {
    inner: Inner,
    connected: bool,
}

enum Inner {
    Four(Box<rumqttc::EventLoop>),
    Five(Box<v5::EventLoop>),
}

/// Both ends of what `device` says, below `will`'s topic; `will` is what the broker says once it is gone.
pub(super) fn open(broker: &Mqtt, device: &str, (topic, will): (String, &str)) -> (Mouth, Ear) {
    let keep_alive = Duration::from_secs(broker.keep_alive_s.into());
    let (mouth, inner) = match broker.version {
        MqttVersion::Four => {
            let mut options = rumqttc::MqttOptions::new(device, broker.host.clone(), broker.port);
            options.set_keep_alive(keep_alive);
            options.set_last_will(rumqttc::LastWill::new(topic, will, QoS::AtLeastOnce, true));
            options.set_max_packet_size(LARGEST * 16, LARGEST * 16);
            let (client, mut connection) = rumqttc::AsyncClient::new(options, QUEUE);
            connection.network_options.set_connection_timeout(CONNECT_S);
            (Mouth::Four(client), Inner::Four(Box::new(connection)))
        }
        MqttVersion::Five => {
            let mut options = v5::MqttOptions::new(device, broker.host.clone(), broker.port);
            options.set_keep_alive(keep_alive);
            let quality = v5::mqttbytes::QoS::AtLeastOnce;
            let will = v5::mqttbytes::v5::LastWill::new(topic, will, quality, true, None);
            options.set_last_will(will);
            options.set_connection_timeout(CONNECT_S);
            options.set_session_expiry_interval(Some(SESSION_S));
            options.set_max_packet_size(u32::try_from(LARGEST * 16).ok());
            let (client, connection) = v5::AsyncClient::new(options, QUEUE);
            (Mouth::Five(client), Inner::Five(Box::new(connection)))
        }
    };
    (mouth, Ear { inner, connected: false })
}

impl Mouth {
    /// Publishes at least once; whether the queue took it.
    pub(super) fn publish(&self, topic: String, retain: bool, bytes: Vec<u8>) -> bool {
        match self {
            Self::Four(client) => client.try_publish(topic, QoS::AtLeastOnce, retain, bytes).is_ok(),
            Self::Five(client) => {
                client.try_publish(topic, v5::mqttbytes::QoS::AtLeastOnce, retain, bytes).is_ok()
            }
        }
    }

    /// Asks for a topic. A full queue is told by what follows: the connection is made anew.
    pub(super) fn subscribe(&self, topic: String) {
        let _ = match self {
            Self::Four(client) => client.try_subscribe(topic, QoS::AtLeastOnce).is_ok(),
            Self::Five(client) => client.try_subscribe(topic, v5::mqttbytes::QoS::AtLeastOnce).is_ok(),
        };
    }

    /// Leaves the broker.
    pub(super) fn disconnect(&self) {
        let _ = match self {
            Self::Four(client) => client.try_disconnect().is_ok(),
            Self::Five(client) => client.try_disconnect().is_ok(),
        };
    }
}

impl Ear {
    pub(super) fn is_connected(&self) -> bool {
        self.connected
    }

    /// What the next connection shows: user and password, and TLS by the papers as they lie on disk now.
    pub(super) fn show(&mut self, broker: &Mqtt, papers: &Papers) {
        if broker.tls {
            match papers.client() {
                Ok(tls) => self.set_transport(Transport::tls_with_config(tls.into())),
                Err(error) => tracing::warn!(id = "ota.mqtt.tls", "{error}"),
            }
        }
        let Some(user) = &broker.user else { return };
        let password = broker.password_file.as_deref().map(std::fs::read_to_string);
        if let Some(Err(error)) = &password {
            tracing::warn!(id = "ota.mqtt.password", "mqtt.password_file: {error}");
        }
        let password = password.and_then(Result::ok).unwrap_or_default();
        let (user, password) = (user.clone(), password.trim_end().to_owned());
        match &mut self.inner {
            Inner::Four(connection) => drop(connection.mqtt_options.set_credentials(user, password)),
            Inner::Five(connection) => drop(connection.options.set_credentials(user, password)),
        }
    }

    fn set_transport(&mut self, transport: Transport) {
        match &mut self.inner {
            Inner::Four(connection) => drop(connection.mqtt_options.set_transport(transport)),
            Inner::Five(connection) => drop(connection.options.set_transport(transport)),
        }
    }

    /// The next thing that happens; connects where there is no connection.
    pub(super) async fn listen(&mut self) -> Result<Met, Cut> {
        let met = match &mut self.inner {
            Inner::Four(connection) => connection.poll().await.map(met_four).map_err(cut_four),
            Inner::Five(connection) => connection.poll().await.map(met_five).map_err(cut_five),
        };
        match &met {
            Ok(Met::Connected) => self.connected = true,
            Ok(_) => {}
            Err(_) => self.connected = false,
        }
        met
    }
}

fn met_four(event: rumqttc::Event) -> Met {
    match event {
        rumqttc::Event::Incoming(rumqttc::Incoming::ConnAck(_)) => Met::Connected,
        rumqttc::Event::Incoming(rumqttc::Incoming::Publish(message)) => {
            Met::Message { topic: message.topic, retained: message.retain, payload: message.payload.into() }
        }
        _ => Met::Nothing,
    }
}

fn met_five(event: v5::Event) -> Met {
    match event {
        v5::Event::Incoming(v5::Incoming::ConnAck(_)) => Met::Connected,
        v5::Event::Incoming(v5::Incoming::Publish(message)) => Met::Message {
            topic: String::from_utf8_lossy(&message.topic).into_owned(),
            retained: message.retain,
            payload: message.payload.into(),
        },
        _ => Met::Nothing,
    }
}

fn cut_four(error: rumqttc::ConnectionError) -> Cut {
    let refused = match &error {
        rumqttc::ConnectionError::ConnectionRefused(code) => Some(format!("{code:?}")),
        _ => None,
    };
    Cut { refused, problem: error.to_string() }
}

fn cut_five(error: v5::ConnectionError) -> Cut {
    let refused = match &error {
        v5::ConnectionError::ConnectionRefused(code) => Some(format!("{code:?}")),
        _ => None,
    };
    Cut { refused, problem: error.to_string() }
}
