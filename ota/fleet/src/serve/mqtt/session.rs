//! One connection: who it is, what it may, and its packets until it ends. What a device says is acknowledged after the commit,
//! so that a client which believes PUBACK loses nothing either.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{sleep, timeout};

use super::hub::{Command, Delivery, Ears, FILTERS, OFFLINE, ONLINE, Out};
use super::topics::{LONGEST, Part, matches, short};
use super::wire::{Answer, Broken, Connect, End, Granted, Packet, RECEIVE_MOST, Refused, Wire};
use crate::serve::authority::Named;
use crate::serve::ingest::{Letter, Taken};
use crate::serve::intake;
use crate::serve::server::Server;
use crate::serve::{secret, tls::Peer};

/// How long one may take to send what is ready.
const SENDING: Duration = Duration::from_secs(30);
/// How long a client may be silent that says nothing of it.
const SILENT: Duration = Duration::from_secs(1_200);
/// Messages in flight towards a client, at most.
const WINDOW: usize = 64;
/// Messages that wait for that, at most.
const QUEUE: usize = 4_096;
/// Kept messages that are fetched at once.
const PART: usize = 64;

/// Who is connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Who {
    /// A device, by its certificate.
    Device { id: String, until_s: i64, will: Option<Bytes> },
    /// Somebody who only reads, by name and secret.
    Reader(String),
}

/// Judges the first packet by what TLS saw.
pub(super) async fn admit(server: &Server, peer: &Peer, connect: Connect) -> Result<Who, Refused> {
    let Some(certificate) = &peer.0 else { return admit_reader(server, connect).await };
    let named = Named::read(certificate).map_err(|_| Refused::NotAuthorized)?;
    let device = intake::known(server, &named).await.map_err(|refusal| match refusal.is_for_good() {
        true => Refused::NotAuthorized,
        false => Refused::NotNow,
    })?;
    if connect.client_id != device.id {
        let words =
            format!("it connects as {:?}; a device's client id is its own", short(&connect.client_id));
        server.alarms.raise(server, &device.id, "mqtt.client_id", &words);
        return Err(Refused::ClientId);
    }
    let will = match connect.will {
        None => None,
        Some((topic, payload)) => {
            let part = server.hub.topics().may_say(&device.id, &topic);
            if part != Ok(Part::Available) || payload != OFFLINE {
                let words = format!(
                    "its last will is on {:?}; `available` below its own id is expected",
                    short(&topic)
                );
                server.alarms.raise(server, &device.id, "mqtt.will", &words);
                return Err(Refused::NotAuthorized);
            }
            Some(payload)
        }
    };
    Ok(Who::Device { id: device.id, until_s: named.not_after_s, will })
}

async fn admit_reader(server: &Server, connect: Connect) -> Result<Who, Refused> {
    let (user, password) = connect.login.ok_or(Refused::NotAuthorized)?;
    let hash = server.database.reader(&user).await.map_err(|_| Refused::NotNow)?;
    match hash {
        Some(hash) if secret::same(&hash, &secret::hash("reader", &password)) && connect.will.is_none() => {
            Ok(Who::Reader(user))
        }
        _ => {
            server.alarms.raise(
                server,
                "",
                "mqtt.log_in",
                "somebody without a certificate is refused by user and password",
            );
            Err(Refused::NotAuthorized)
        }
    }
}

/// Lives until the connection ends.
pub(super) struct Session<S> {
    server: Arc<Server>,
    wire: Wire<S>,
    who: Who,
    ears: Ears,
    silent: Duration,
    window: usize,
    /// Filters that count, and whether with QoS 1.
    hears: Vec<(String, bool)>,
    /// Messages of its own that nobody has answered yet.
    unanswered: usize,
    in_flight: BTreeSet<u16>,
    last_id: u16,
    queue: VecDeque<Delivery>,
    /// Filters of which kept messages are still to come, from a topic on.
    kept: VecDeque<(String, Option<Arc<str>>)>,
}

/// How it ended.
enum Ended {
    /// The client left in order.
    Left,
    /// The client left in order and wants its last will published.
    LeftWithWill,
    /// For this reason.
    By(End),
    /// It broke.
    Broken(Broken),
}

impl From<Broken> for Ended {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::TooLarge => Self::By(End::TooLarge),
            Broken::Malformed(_) => Self::By(End::Malformed),
            broken => Self::Broken(broken),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// Of a client that was let in.
    pub(super) fn new(
        (server, wire): (Arc<Server>, Wire<S>),
        who: Who,
        ears: Ears,
        (keep_alive_s, receive_most): (u16, u16),
    ) -> Self {
        let silent = match keep_alive_s {
            0 => SILENT,
            // MQTT 3.1.1 §3.1.2.10: one and a half times what it says.
            seconds => (Duration::from_secs(u64::from(seconds)) * 3 / 2).min(SILENT),
        };
        Self {
            server,
            wire,
            who,
            ears,
            silent,
            window: WINDOW.min(usize::from(receive_most).max(1)),
            hears: Vec::new(),
            unanswered: 0,
            in_flight: BTreeSet::new(),
            last_id: 0,
            queue: VecDeque::new(),
            kept: VecDeque::new(),
        }
    }

    /// Until it ends.
    pub(super) async fn live(mut self) {
        let Err(ended) = self.packets().await;
        match &ended {
            Ended::By(end) => {
                tracing::info!(id = "mqtt.ended", who = self.name(), "{end:?}");
                if self.wire.end(*end).is_ok() {
                    let _ = timeout(SENDING, self.wire.flush()).await;
                }
            }
            Ended::Broken(broken) => tracing::debug!(id = "mqtt.broken", who = self.name(), "{broken}"),
            Ended::Left | Ended::LeftWithWill => {}
        }
        match &self.who {
            Who::Device { id, will, .. } => {
                // Where the device has come again by another connection, it is not gone: its will is not spread.
                let is_gone = self.server.hub.leave(id, self.ears.number);
                if let Some(will) = will.as_ref().filter(|_| is_gone && !matches!(ended, Ended::Left)) {
                    self.server.hub.is_there(id, will, true);
                }
            }
            Who::Reader(_) => self.server.hub.leave_reader(self.ears.number),
        }
        let _ = timeout(SENDING, self.wire.close()).await;
    }

    fn name(&self) -> &str {
        match &self.who {
            Who::Device { id, .. } => id,
            Who::Reader(name) => name,
        }
    }

    async fn packets(&mut self) -> Result<std::convert::Infallible, Ended> {
        let silence = sleep(self.silent);
        tokio::pin!(silence);
        loop {
            while self.unanswered < usize::from(RECEIVE_MOST) {
                match self.wire.next()? {
                    Some(packet) => self.take(packet).await?,
                    None => break,
                }
            }
            self.deliver().await?;
            self.flush().await?;
            let may_read = self.unanswered < usize::from(RECEIVE_MOST);
            tokio::select! {
                _ = self.ears.end.changed() => {
                    let end = *self.ears.end.borrow();
                    return Err(Ended::By(end.unwrap_or(End::Stopping)));
                }
                out = self.ears.out.recv() => {
                    let mut next = out;
                    while let Some(out) = next {
                        self.hear(out)?;
                        next = self.ears.out.try_recv().ok();
                    }
                    // Who is not read from cannot show that it is there.
                    if !may_read {
                        silence.set(sleep(self.silent));
                    }
                }
                read = self.wire.read(), if may_read => {
                    read?;
                    silence.set(sleep(self.silent));
                }
                () = &mut silence => return Err(Ended::By(End::Silent)),
            }
        }
    }

    async fn take(&mut self, packet: Packet) -> Result<(), Ended> {
        match packet {
            Packet::Publish { topic, payload, retain, id } => self.said(&topic, payload, retain, id).await,
            Packet::ExactlyOnce => Err(Ended::By(End::Qos)),
            Packet::PubAck(id) => {
                self.in_flight.remove(&id);
                Ok(())
            }
            Packet::Subscribe { id, filters } => {
                let granted: Vec<Granted> =
                    filters.into_iter().map(|(filter, qos)| self.subscribe(filter, qos)).collect();
                Ok(self.wire.granted(id, &granted)?)
            }
            Packet::Unsubscribe { id, filters } => {
                for filter in &filters {
                    self.hears.retain(|(known, _)| known != filter);
                    self.kept.retain(|(known, _)| known != filter);
                    self.server.hub.unsubscribe(self.ears.number, filter);
                }
                Ok(self.wire.unsubscribed(id, filters.len())?)
            }
            Packet::Ping => Ok(self.wire.pong()?),
            Packet::Disconnect { with_will: false } => Err(Ended::Left),
            Packet::Disconnect { with_will: true } => Err(Ended::LeftWithWill),
        }
    }

    /// The client publishes.
    async fn said(
        &mut self,
        topic: &str,
        payload: Bytes,
        retain: bool,
        id: Option<u16>,
    ) -> Result<(), Ended> {
        let may = match &self.who {
            Who::Device { id, .. } => {
                self.server.hub.topics().may_say(id, topic).map(|part| (id.clone(), part))
            }
            Who::Reader(name) => Err(format!("reader {} publishes; readers read", short(name))),
        };
        let (device, part) = match may {
            Ok(may) => may,
            Err(words) => return self.refuse(topic, &words, id).await,
        };
        if part == Part::Available {
            if payload != ONLINE && payload != OFFLINE {
                return self.refuse(topic, "available: online or offline is expected", id).await;
            }
            self.server.hub.is_there(&device, &payload, retain);
            if payload == ONLINE {
                let commands = self.server.commands(&device).await.map_err(|_| Ended::By(End::NotNow))?;
                commands.iter().for_each(|command| self.server.hub.tell(&device, command));
            }
            return match id {
                Some(id) => Ok(self.wire.acknowledge(id, Answer::Taken)?),
                None => Ok(()),
            };
        }
        let (line, server) = (self.ears.line.clone(), self.server.clone());
        let (of, content) = (device.clone(), payload.clone());
        let done = Box::new(move |taken: Taken| {
            if matches!(taken, Taken::Committed(_)) {
                server.hub.spread(&of, part, &content, retain);
            }
            line.send(Out::Done { id, taken });
        });
        self.unanswered += 1;
        self.server.ingest.give(Letter { device, part, bytes: payload }, done).await;
        Ok(())
    }

    /// What may not be published: an alarm, and of what is told now and then one is put aside to be looked at.
    async fn refuse(&mut self, topic: &str, words: &str, id: Option<u16>) -> Result<(), Ended> {
        let name = self.name().to_owned();
        if self.server.alarms.raise(&self.server, &name, "mqtt.publish", words) {
            let kept = self.server.keep_refused(&name, words, topic).await;
            kept.map_err(|_| Ended::By(End::NotNow))?;
        }
        match id {
            Some(id) => Ok(self.wire.acknowledge(id, Answer::NotAuthorized)?),
            None => Ok(()),
        }
    }

    fn subscribe(&mut self, filter: String, at_least_once: bool) -> Granted {
        if filter.starts_with("$share/") {
            return Granted::NotShared;
        }
        let topics = self.server.hub.topics();
        let may = filter.len() <= LONGEST
            && match &self.who {
                Who::Device { id, .. } => topics.may_hear(id, &filter),
                Who::Reader(_) => topics.may_read(&filter),
            };
        if !may {
            let words = format!("it asks to hear {:?}", short(&filter));
            self.server.alarms.raise(&self.server, self.name(), "mqtt.subscribe", &words);
            return Granted::No;
        }
        self.hears.retain(|(known, _)| *known != filter);
        if self.hears.len() >= FILTERS {
            return Granted::TooMany;
        }
        if matches!(self.who, Who::Reader(_)) {
            if !self.server.hub.subscribe(self.ears.number, &filter) {
                return Granted::TooMany;
            }
            self.kept.push_back((filter.clone(), None));
        }
        self.hears.push((filter, at_least_once));
        Granted::Yes { at_least_once }
    }

    /// Something came for this session.
    fn hear(&mut self, out: Out) -> Result<(), Ended> {
        match out {
            Out::Deliver(delivery) => {
                if self.queue.len() >= QUEUE {
                    return Err(Ended::By(End::Slow));
                }
                self.queue.push_back(delivery);
                Ok(())
            }
            Out::Done { id, taken } => {
                self.unanswered -= 1;
                let (answer, receipt) = match taken {
                    Taken::Committed(receipt) => (Answer::Taken, Some(receipt)),
                    Taken::PutAside(receipt) => (Answer::NotUnderstood, receipt),
                    Taken::NotLetIn(_) => return Err(Ended::By(End::NotLetIn)),
                    // Not acknowledged: the client sends it again when it comes again.
                    Taken::NotNow => return Err(Ended::By(End::NotNow)),
                };
                if let Some(id) = id {
                    self.wire.acknowledge(id, answer)?;
                }
                let (Some(receipt), Who::Device { id, .. }) = (receipt, &self.who) else { return Ok(()) };
                let command = Command::Receipt(receipt);
                let topic = self.server.hub.topics().command(id, command.word()).into();
                self.hear(Out::Deliver(Delivery { topic, payload: command.bytes(), kept: false }))
            }
        }
    }

    /// Sends what waits, as far as the client's window allows.
    async fn deliver(&mut self) -> Result<(), Ended> {
        loop {
            if self.wire.is_full() {
                self.flush().await?;
            }
            if self.queue.is_empty() {
                self.fetch_kept();
            }
            if self.in_flight.len() >= self.window {
                return Ok(());
            }
            let Some(delivery) = self.queue.pop_front() else { return Ok(()) };
            let heard = self.hears.iter().filter(|(filter, _)| matches(filter, &delivery.topic));
            // Of several filters that mean it the highest QoS counts (MQTT 3.1.1 §3.3.5).
            let Some(at_least_once) = heard.map(|(_, qos)| *qos).max() else { continue };
            let id = at_least_once.then(|| self.next_id());
            self.wire.publish(&delivery.topic, delivery.payload, delivery.kept, id)?;
        }
    }

    async fn flush(&mut self) -> Result<(), Ended> {
        let sent = timeout(SENDING, self.wire.flush()).await;
        Ok(sent.map_err(|_| Ended::By(End::Slow))??)
    }

    fn fetch_kept(&mut self) {
        let Some((filter, after)) = self.kept.front_mut() else { return };
        let part = self.server.hub.kept(filter, after.as_deref(), PART);
        match part.last() {
            Some(last) if part.len() == PART => *after = Some(last.topic.clone()),
            _ => drop(self.kept.pop_front()),
        }
        self.queue.extend(part);
    }

    fn next_id(&mut self) -> u16 {
        loop {
            self.last_id = self.last_id.wrapping_add(1).max(1);
            if self.in_flight.insert(self.last_id) {
                return self.last_id;
            }
        }
    }
}
