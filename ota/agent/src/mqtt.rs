//! A broker that may say "ask now", and that hears of transitions and of what the device says of itself. Nothing it says is
//! believed: a hint only brings a poll forward, a receipt only ends a report, an answer only silences an alert that is open.
//!
//! ```text
//! stopline/FLEET/DEVICE/available       online | offline (retained; offline is the last will)
//! stopline/FLEET/DEVICE/birth, state    newest message of its kind (retained)
//! stopline/FLEET/DEVICE/event, stats, drift, update    messages and signed outcomes, QoS 1
//! stopline/FLEET/DEVICE/cmd/poll        a hint; a retained one is an old one and passed over
//! stopline/FLEET/DEVICE/cmd/receipt     {"boot_id": "…", "seq": 7}: the fleet has it
//! stopline/FLEET/DEVICE/cmd/diagnose, cmd/forget        an order; a retained one is passed over
//! stopline/FLEET/DEVICE/cmd/acknowledge {"schema": 1, "id": "fall-…", "by": "…"}; a retained one is passed over
//! ```

mod speaking;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use stopline_depot::eligible::back_off_ms;
use stopline_depot::message::{Acknowledge, Receipt};
use stopline_depot::order::Order;
use stopline_depot::versioned;
use tokio::sync::watch;

use crate::budget::{Caps, Purpose};
use crate::clock::Clock;
use crate::config::Mqtt;
use crate::daemon::Event;
use crate::orders::Asked;
use crate::spool::Spool;
use crate::surroundings::Senses;
use crate::telemetry::Heard;
use crate::telemetry::home_assistant;
use crate::telemetry::outbox::{Outbox, kind_of};
use crate::tls::Papers;

use speaking::{Cut, Met, Mouth};

/// Bytes of a message that is read.
const LARGEST: usize = 4 << 10;
/// Messages between this program and its connection.
const QUEUE: usize = 64;
/// How often the spool is looked at.
const LOOK: Duration = Duration::from_secs(5);
/// Looks after which what nobody confirmed is sent again: the fleet may not have listened.
const AGAIN: u32 = 120;
/// Seconds for a connection, TLS and log-in included: a mobile network takes its time.
const CONNECT_S: u64 = 30;

/// What an incoming message is.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Hint,
    Receipt(Receipt),
    Acknowledge(Acknowledge),
    Order(Box<Order>),
    /// Home Assistant begins: it forgets what it was told.
    Begins,
    Nothing,
}

/// What it talks about, and to whom it tells what it hears.
#[derive(Debug, Clone)]
pub struct Party {
    /// The device.
    pub device: String,
    /// Outcomes that wait.
    pub spool: Spool,
    /// Messages that wait; none where the device says nothing of itself.
    pub outbox: Option<Outbox>,
    /// What each connection shows and believes.
    pub papers: Papers,
    /// Who polls.
    pub events: Sender<Event>,
    /// Who takes acknowledgements.
    pub heard: Option<Sender<Heard>>,
    /// Who does what the server asks for once; none where there is no server to answer.
    pub orders: Option<Sender<Asked>>,
    /// Network and budget.
    pub senses: Senses,
    /// How many bytes may go.
    pub caps: Caps,
    /// The clocks.
    pub clock: Arc<dyn Clock>,
}

/// Talks to the broker for as long as the process lives. What each connection shows and believes is read anew, so that a
/// certificate that was renewed meanwhile counts.
pub async fn talk(broker: Mqtt, party: Party) {
    let below = format!("stopline/{}/{}", broker.fleet, party.device);
    let (mouth, mut connection) = speaking::open(&broker, &party.device, (available(&below), "offline"));
    // Publishing has a task of its own: a connection that is being made must not be given up for a look at the spool.
    let (connections, seen) = watch::channel(0_u64);
    let publisher = Publisher {
        mouth: mouth.clone(),
        below: below.clone(),
        broker: broker.clone(),
        party: party.clone(),
    };
    tokio::spawn(publisher.publish_what_waits(seen));
    let (mut failures, mut count, mut told) = (0_u32, 0_u64, String::new());
    loop {
        if !connection.is_connected() {
            if !party.may_talk() {
                tokio::time::sleep(LOOK * 6).await;
                continue;
            }
            connection.show(&broker, &party.papers);
        }
        match connection.listen().await {
            Ok(Met::Connected) => {
                tracing::info!(id = "ota.mqtt.connected", "{}: connected", broker.host);
                (failures, told) = (0, String::new());
                count += 1;
                mouth.subscribe(format!("{below}/cmd/#"));
                if let Some(home) = &broker.home_assistant {
                    mouth.subscribe(home_assistant::status_topic(home));
                }
                connections.send_replace(count);
                party.tell_connected(true);
            }
            Ok(Met::Message { topic, retained, payload }) => {
                let said = said(&broker, &topic, &below, retained, &payload);
                tracing::debug!(id = "ota.mqtt.said", retained, ?said, "{topic}");
                if said == Said::Begins {
                    // As a new connection: all that it should know is said again.
                    count += 1;
                    connections.send_replace(count);
                }
                party.take(said);
            }
            Ok(Met::Nothing) => {}
            Err(cut) => {
                connections.send_replace(0);
                party.tell_connected(false);
                failures = failures.saturating_add(1);
                tell(&broker, &cut, &mut told);
                let pause = back_off_ms(&party.device, "mqtt", failures, 1_000, 300_000);
                tokio::time::sleep(Duration::from_millis(pause.into())).await;
            }
        }
    }
}

impl Party {
    /// Whether the budget lets a connection be kept: always while an alert waits and some of the alerts' part is left.
    fn may_talk(&self) -> bool {
        let alert = self.outbox.as_ref().is_some_and(|outbox| {
            outbox.paths().iter().any(|path| kind_of(path) == Some(stopline_depot::message::Kind::Event))
        });
        let purpose = if alert { Purpose::Alert } else { Purpose::Small };
        self.senses.left(&*self.clock, &self.caps, purpose) > 0
    }

    fn tell_connected(&self, connected: bool) {
        if let Some(heard) = &self.heard {
            // Whoever listened has gone: the process ends.
            let _ = heard.send(Heard::Connected(connected));
        }
    }

    fn take(&self, said: Said) {
        match said {
            // The daemon has gone: the process ends.
            Said::Hint => drop(self.events.send(Event::Hint)),
            Said::Receipt(receipt) => {
                if let Err(error) = self.spool.received(&receipt.boot_id, receipt.seq) {
                    tracing::warn!("receipt: {error}");
                }
                if let Some(outbox) = &self.outbox {
                    outbox.received(&receipt);
                }
            }
            Said::Acknowledge(answer) => {
                if let Some(heard) = &self.heard {
                    let _ = heard.send(Heard::Acknowledge(answer));
                }
            }
            Said::Order(order) => {
                if let Some(orders) = &self.orders {
                    let _ = orders.send(Asked::Order(*order));
                }
            }
            Said::Begins | Said::Nothing => {}
        }
    }
}

/// A failure is told when it begins and when it becomes another: a broker that is away for a night fills no log.
fn tell(broker: &Mqtt, cut: &Cut, told: &mut String) {
    let now = match &cut.refused {
        Some(code) => format!(
            "{}: the broker refuses the log-in: {code}. Are mqtt.user, mqtt.password_file and this device's certificate \
             known there?",
            broker.host
        ),
        None => format!("{}: no connection: {}. Tried again later; polls go on", broker.host, cut.problem),
    };
    if now != *told {
        let id = if cut.refused.is_some() { "ota.mqtt.refused" } else { "ota.mqtt.failed" };
        tracing::warn!(id, "{now}");
        *told = now;
    }
}

fn available(below: &str) -> String {
    format!("{below}/available")
}

/// Publishes what waits.
struct Publisher {
    mouth: Mouth,
    below: String,
    broker: Mqtt,
    party: Party,
}

impl Publisher {
    /// Publishes what waits on each new connection, and what comes to it.
    async fn publish_what_waits(self, mut connections: watch::Receiver<u64>) {
        let mut sent: BTreeSet<PathBuf> = BTreeSet::new();
        let (mut look, mut looks) = (tokio::time::interval(LOOK), 0_u32);
        // A device that says nothing of itself has no news: nobody ever sends on this one.
        let (silent, nothing) = watch::channel(0_u64);
        let mut news = self.party.outbox.as_ref().map_or(nothing, Outbox::news);
        let mut greeted = true;
        loop {
            tokio::select! {
                changed = connections.changed() => match changed {
                    // What was sent before may be lost: all that waits is sent again.
                    Ok(()) => {
                        sent.clear();
                        greeted = false;
                    }
                    Err(_) => return,
                },
                changed = news.changed() => if changed.is_err() { return },
                _ = look.tick() => {
                    looks = looks.wrapping_add(1);
                    if looks.is_multiple_of(AGAIN) {
                        sent.clear();
                    }
                    // Counts what the connection costs, and lets it go where that is too much.
                    self.party.senses.spend(&*self.party.clock, 0);
                    if *connections.borrow() > 0 && !self.party.may_talk() {
                        tracing::warn!(id = "ota.mqtt.budget", "the budget for mobile networks is used up; the broker is left");
                        self.mouth.disconnect();
                    }
                }
            }
            if *connections.borrow() > 0 {
                greeted = greeted || self.greet();
                self.publish(&mut sent);
            }
            let _keeps_the_channel = &silent;
        }
    }

    /// Says what a broker keeps for those who come later; whether the queue took all of it.
    fn greet(&self) -> bool {
        let retained = |topic: String, bytes: Vec<u8>| self.mouth.publish(topic, true, bytes);
        let mut done = retained(available(&self.below), b"online".to_vec());
        let last = self.party.outbox.as_ref().map(Outbox::last).unwrap_or_default();
        for message in [last.birth, last.state].into_iter().flatten() {
            let bytes = versioned::write(&message).unwrap_or_default();
            done &= retained(format!("{}/{}", self.below, message.kind.topic()), bytes);
        }
        if let Some(home) = &self.broker.home_assistant {
            for (topic, bytes) in home_assistant::discovery(home, &self.broker.fleet, &self.party.device) {
                done &= retained(topic, bytes);
            }
        }
        done
    }

    /// Publishes what waits and was not sent on this connection, as far as the queue takes it.
    fn publish(&self, sent: &mut BTreeSet<PathBuf>) {
        if let Some(outbox) = &self.party.outbox {
            for path in outbox.paths() {
                if sent.contains(&path) {
                    continue;
                }
                let Some(message) = outbox.read(&path) else { continue };
                let topic = format!("{}/{}", self.below, message.kind.topic());
                let bytes = versioned::write(&message).unwrap_or_default();
                if !self.mouth.publish(topic, message.kind.is_retained(), bytes) {
                    return;
                }
                sent.insert(path);
            }
        }
        let spool = &self.party.spool;
        for path in spool.waiting().unwrap_or_default() {
            if sent.contains(&path) {
                continue;
            }
            let bytes = spool.read(&path).ok().and_then(|signed| versioned::write(&signed).ok());
            let Some(bytes) = bytes else { continue };
            if !self.mouth.publish(format!("{}/update", self.below), false, bytes) {
                return;
            }
            sent.insert(path);
        }
    }
}

/// What a message means; one that the broker kept is an old one, and no command.
fn said(broker: &Mqtt, topic: &str, below: &str, retained: bool, payload: &[u8]) -> Said {
    if let Some(home) = &broker.home_assistant
        && topic == home_assistant::status_topic(home)
    {
        return if payload == b"online" && !retained { Said::Begins } else { Said::Nothing };
    }
    let command = topic.strip_prefix(below).and_then(|rest| rest.strip_prefix("/cmd/"));
    match command {
        Some("poll") if !retained => Said::Hint,
        Some("receipt") if payload.len() <= LARGEST => {
            serde_json::from_slice(payload).map_or(Said::Nothing, Said::Receipt)
        }
        Some("acknowledge") if !retained => match versioned::read(payload) {
            Ok(answer) => Said::Acknowledge(answer),
            Err(error) => {
                tracing::warn!(id = "alert.acknowledge.refused", "{error}");
                Said::Nothing
            }
        },
        Some(word @ ("diagnose" | "forget")) if !retained => match versioned::read::<Order>(payload) {
            Ok(order) if order.what.word() == word => Said::Order(Box::new(order)),
            Ok(order) => {
                tracing::warn!(id = "order.refused", "cmd/{word}: an order to {}", order.what.word());
                Said::Nothing
            }
            Err(error) => {
                tracing::warn!(id = "order.refused", "cmd/{word}: {error}");
                Said::Nothing
            }
        },
        _ => Said::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broker(more: &str) -> Mqtt {
        let text = format!("host = 'b'\nfleet = 'north'\n{more}");
        toml::from_str(&text).unwrap()
    }

    #[test]
    fn a_broker_can_ask_confirm_and_answer_and_nothing_else() {
        let below = "stopline/north/d";
        let broker = broker("");
        let said = |end: &str, retained: bool, payload: &[u8]| {
            said(&broker, &format!("{below}/cmd/{end}"), below, retained, payload)
        };
        assert_eq!(said("poll", false, b""), Said::Hint);
        assert_eq!(said("poll", true, b""), Said::Nothing, "an old one, replayed");
        let receipt = said("receipt", false, br#"{"boot_id":"b","seq":7}"#);
        assert_eq!(receipt, Said::Receipt(Receipt { boot_id: "b".into(), seq: 7 }));
        for payload in [&b"{}"[..], b"\xff", b"[]", br#"{"boot_id":7}"#, &[b' '; 5_000]] {
            assert_eq!(said("receipt", false, payload), Said::Nothing);
            assert_eq!(said("acknowledge", false, payload), Said::Nothing);
        }
        let answer = br#"{"schema":1,"id":"fall-1","by":"n"}"#;
        let expected = Acknowledge { schema: 1, id: "fall-1".into(), by: "n".into() };
        assert_eq!(said("acknowledge", false, answer), Said::Acknowledge(expected));
        assert_eq!(said("acknowledge", true, answer), Said::Nothing, "an acknowledgement is never retained");
        let order = br#"{"schema":1,"id":"0123456789abcdef0123456789abcdef","until":5,"what":"diagnose"}"#;
        assert!(matches!(said("diagnose", false, order), Said::Order(_)));
        assert_eq!(said("diagnose", true, order), Said::Nothing, "an old one, replayed");
        assert_eq!(said("forget", false, order), Said::Nothing, "another order than its topic says");
        assert_eq!(said("install", false, b"x"), Said::Nothing);
        let other = super::said(&broker, "stopline/north/other/cmd/poll", below, false, b"");
        assert_eq!(other, Said::Nothing);
    }

    #[test]
    fn home_assistant_is_heard_only_where_it_is_configured() {
        let (with, without) = (broker("[home_assistant]\n"), broker(""));
        let said = |broker: &Mqtt, retained, payload| {
            said(broker, "homeassistant/status", "stopline/north/d", retained, payload)
        };
        assert_eq!(said(&with, false, b"online"), Said::Begins);
        assert_eq!(said(&with, true, b"online"), Said::Nothing);
        assert_eq!(said(&with, false, b"offline"), Said::Nothing);
        assert_eq!(said(&without, false, b"online"), Said::Nothing);
    }
}
