//! What the device says of itself, and that somebody hears an alert.
//!
//! In walk order: [`outbox`] (messages that wait for the fleet's receipt), [`looks`] (birth, state and figures from the
//! runtime's health file and the board), [`drifts`] (what the runtime says has drifted), [`alerts`] (the loop's outbox: said, escalated, acknowledged), [`hooks`] (web hooks),
//! [`home_assistant`] (a wall camera that Home Assistant finds by itself), [`Telemetry`] (the thread that does it).
//!
//! Each message goes by MQTT where a broker is connected, else to `fleet_url` by HTTPS; an event that has no receipt after
//! some seconds goes both ways. Doubles are one: (device, boot id, seq).

pub mod alerts;
pub mod drifts;
pub mod home_assistant;
pub mod hooks;
pub mod looks;
pub mod machine;
pub mod outbox;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use stopline_depot::eligible::back_off_ms;
use stopline_depot::message::{Acknowledge, Body, Kind, MAX_LINES, Message, Receipt, Receipts, lines};
use stopline_depot::versioned;

use crate::budget::Purpose;
use crate::clock::Clock;
use crate::config::Config;
use crate::fleet::{Line, Refusal};
use crate::identity::Identity;
use crate::orders::Asked;
use crate::surroundings::Senses;
use crate::upload;

use alerts::Alerts;
use hooks::Hooks;
use looks::Looks;
use outbox::Outbox;

/// Milliseconds after which an event without a receipt goes by HTTPS too.
const EVENT_PATIENCE_MS: u64 = 10_000;
/// Milliseconds after which anything else does, while a broker is connected.
const PATIENCE_MS: u64 = 120_000;
/// Milliseconds between two questions whether somebody has acknowledged an open alert, without a broker.
const ASK_MS: u64 = 10_000;
/// Milliseconds to wait after a first failure, and at most.
const BACK_OFF_MS: (u32, u32) = (2_000, 300_000);
/// The same while an alert waits.
const ALERT_BACK_OFF_MS: (u32, u32) = (1_000, 15_000);
/// Milliseconds for which an event that the server does not understand lets others go first.
const ASIDE_MS: u64 = 900_000;
/// Bytes of messages in one request, at most.
const MOST_BYTES: usize = 256 << 10;

/// What wakes it.
#[derive(Debug)]
pub enum Heard {
    /// Somebody answers an alert.
    Acknowledge(Acknowledge),
    /// The broker has connected, or is gone.
    Connected(bool),
}

/// What it is made of.
#[derive(Debug)]
pub struct Parts {
    /// The whole configuration.
    pub config: Config,
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// The device.
    pub identity: Identity,
    /// Network and budget.
    pub senses: Senses,
    /// Messages that wait.
    pub outbox: Outbox,
    /// The server, where one is configured.
    pub line: Option<Line>,
    /// How the upload goes, where there is one.
    pub upload: upload::Progress,
}

/// The thread.
#[derive(Debug)]
pub struct Telemetry {
    parts: Parts,
    looks: Looks,
    alerts: Option<Alerts>,
    hooks: Hooks,
    connected: bool,
    failures: u32,
    not_before: u64,
    asked_at: u64,
    told: String,
    /// Messages in one request, at most: fewer while one is looked for that the server does not understand.
    most: usize,
    /// Events that it does not understand, and until when others go first, milliseconds since boot.
    aside: BTreeMap<Receipt, u64>,
    /// Who does what the server asks for once.
    orders: Option<Sender<Asked>>,
}

impl Telemetry {
    /// Takes up the alerts that were open.
    ///
    /// # Errors
    /// The folder of open alerts cannot be made or read.
    pub fn open(parts: Parts, hooks: Hooks) -> std::io::Result<Self> {
        let alerts = match &parts.config.telemetry.outbox {
            Some(folder) => {
                Some(Alerts::open(&parts.config.home, folder.clone(), parts.config.telemetry.clone())?)
            }
            None => None,
        };
        let looks = Looks::new(&parts.config);
        let (connected, failures, not_before, asked_at) = (false, 0, 0, 0);
        Ok(Self {
            parts,
            looks,
            alerts,
            hooks,
            connected,
            failures,
            not_before,
            asked_at,
            told: String::new(),
            most: MAX_LINES,
            aside: BTreeMap::new(),
            orders: None,
        })
    }

    /// Hands on what the server asks for once.
    pub fn hand_orders_to(&mut self, orders: Sender<Asked>) {
        self.orders = Some(orders);
    }

    /// Goes on until whoever could say something has gone.
    pub fn run(&mut self, heard: &Receiver<Heard>) {
        let look = Duration::from_secs(self.parts.config.telemetry.look_s.into());
        loop {
            self.step();
            match heard.recv_timeout(look) {
                Ok(heard) => self.hear(heard),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Takes in what was said to it.
    pub fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Acknowledge(answer) => self.acknowledged(&answer),
            Heard::Connected(connected) => self.connected = connected,
        }
    }

    /// One look: what is new is said, alerts go on, what waits is sent.
    pub fn step(&mut self) {
        let now = self.parts.clock.since_boot_ms();
        if let Some(alerts) = &mut self.alerts {
            alerts.step(&self.parts, &mut self.hooks, now);
        }
        let open = self.alerts.as_ref().map(Alerts::open_ones).unwrap_or_default();
        self.looks.step(&self.parts, open, now);
        self.send(now);
    }

    fn acknowledged(&mut self, answer: &Acknowledge) {
        let now = self.parts.clock.since_boot_ms();
        match &mut self.alerts {
            Some(alerts) => alerts.acknowledge(&self.parts, answer, now),
            None => {
                tracing::warn!(id = "alert.acknowledge.refused", event = answer.id, "no alert of this device")
            }
        }
    }

    /// Sends what waits by HTTPS, where a broker does not do it.
    fn send(&mut self, now: u64) {
        if self.parts.line.is_none() || now < self.not_before {
            return;
        }
        let waiting = self.understood(self.parts.outbox.waiting(self.patience(now)), now);
        let alert = waiting.iter().any(|message| message.kind == Kind::Event);
        let open = self.alerts.as_ref().is_some_and(Alerts::asks) && !self.connected;
        let ask = open && now.saturating_sub(self.asked_at) >= ASK_MS;
        if waiting.is_empty() && !ask {
            return;
        }
        let purpose = if alert || ask { Purpose::Alert } else { Purpose::Small };
        if self.parts.senses.left(&*self.parts.clock, &self.parts.config.caps(), purpose) == 0 {
            self.tell("budget", "the budget for mobile networks is used up; messages wait");
            return;
        }
        self.asked_at = now;
        let some = &waiting[..waiting.len().min(self.most)];
        match self.post(some) {
            Ok(()) => {
                self.failures = 0;
                self.told.clear();
                self.most = self.most.saturating_mul(2).min(MAX_LINES);
            }
            Err(refusal) => {
                self.learn(&refusal, some, now);
                self.tell(refusal.code(), &format!("{refusal}; messages wait"));
                self.failures = self.failures.saturating_add(1);
                let (first, most) = if alert || open { ALERT_BACK_OFF_MS } else { BACK_OFF_MS };
                let pause = back_off_ms(self.parts.identity.id(), "messages", self.failures, first, most);
                self.not_before = now.saturating_add(pause.into());
            }
        }
    }

    /// Those that the server has not refused alone of late; where there are none but those, they are tried again.
    fn understood(&self, waiting: Vec<Message>, now: u64) -> Vec<Message> {
        let rests = |message: &Message| self.aside.get(&message.receipt()).is_some_and(|until| now < *until);
        let (aside, fresh): (Vec<_>, Vec<_>) = waiting.into_iter().partition(rests);
        if fresh.is_empty() { aside } else { fresh }
    }

    /// One of them may be what the server does not understand: it is looked for by halves, and goes when it is alone. An event
    /// stays: it may be the server that is wrong.
    fn learn(&mut self, refusal: &Refusal, sent: &[Message], now: u64) {
        if !matches!(refusal, Refusal::NotUnderstood { .. } | Refusal::TooBig { .. }) {
            return;
        }
        match sent {
            [alone] if alone.kind != Kind::Event => self.parts.outbox.refused(&alone.receipt()),
            [alone] => {
                self.aside.insert(alone.receipt(), now.saturating_add(ASIDE_MS));
            }
            _ => self.most = (sent.len() / 2).max(1),
        }
    }

    /// Milliseconds that an event, and anything else, may wait for a receipt by the broker.
    fn patience(&self, now: u64) -> outbox::Patience {
        let (event_ms, other_ms) = if self.connected { (EVENT_PATIENCE_MS, PATIENCE_MS) } else { (0, 0) };
        outbox::Patience { now, event_ms, other_ms }
    }

    fn post(&mut self, waiting: &[Message]) -> Result<(), Refusal> {
        let Some(line) = &mut self.parts.line else { return Ok(()) };
        let mut some: Vec<&Message> = waiting.iter().take(MAX_LINES).collect();
        let mut body = lines(some.iter().copied()).unwrap_or_default();
        while body.len() > MOST_BYTES || (body.is_empty() && !some.is_empty()) {
            some.truncate(some.len() / 2);
            body = lines(some.iter().copied()).unwrap_or_default();
        }
        let headers = [(CONTENT_TYPE, "application/x-ndjson".to_owned())];
        let asked = line.ask(Method::POST, "v1/messages", &headers, body);
        self.parts.senses.spend(&*self.parts.clock, line.take_received());
        let reply = asked?;
        let answer: Receipts = match versioned::read(&reply.body) {
            Ok(answer) => answer,
            Err(error) => {
                let problem = error.to_string();
                return Err(Refusal::NotUnderstood {
                    url: "v1/messages".into(),
                    status: reply.status,
                    problem,
                });
            }
        };
        for receipt in &answer.receipts {
            self.aside.remove(receipt);
            self.parts.outbox.received(receipt);
        }
        for acknowledge in &answer.acknowledge {
            self.acknowledged(acknowledge);
        }
        if let Some(orders) = &self.orders {
            // Whoever does them has gone: the process ends.
            answer.orders.into_iter().for_each(|order| drop(orders.send(Asked::Order(order))));
        }
        Ok(())
    }

    fn tell(&mut self, code: &str, what: &str) {
        if self.told != code {
            tracing::warn!(id = "telemetry.waits", code, "{what}");
            self.told = code.to_owned();
        }
    }
}

/// What the device said last of a kind that a broker keeps.
#[derive(Debug, Clone, Default)]
pub struct Last {
    /// Birth.
    pub birth: Option<Message>,
    /// State.
    pub state: Option<Message>,
}

impl Last {
    fn keep(&mut self, message: &Message) {
        match message.kind {
            Kind::Birth => self.birth = Some(message.clone()),
            Kind::State => self.state = Some(message.clone()),
            Kind::Event | Kind::Stats | Kind::Drift => {}
        }
    }
}

/// Says a body: it waits in the outbox from then on. What cannot be kept is told and lost.
fn say(outbox: &Outbox, body: &Body, now: u64) -> Option<Receipt> {
    match outbox.put(body, now) {
        Ok(receipt) => Some(receipt),
        Err(error) => {
            tracing::warn!(
                id = "telemetry.lost",
                kind = body.kind().topic(),
                "a message could not be kept: {error}"
            );
            None
        }
    }
}
