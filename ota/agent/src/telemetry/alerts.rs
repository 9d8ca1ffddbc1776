//! The loop's outbox: each message becomes an event for the fleet and the web hooks, escalated until somebody acknowledges it
//! or it is over.
//!
//! `HOME/alerts/ID.json` holds what is open, over restarts. The loop's own file goes when the fleet or a web hook has confirmed
//! it, not before: until then the loop knows that nobody has heard, and sounds its own buzzer.
//!
//! An acknowledgement names the event and the person. It counts only between the event's begin and its end; who may give one
//! is the fleet's to judge, which alone may write below this device's `cmd`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use stopline_depot::disk::{Disk as _, RealDisk, replace};
use stopline_depot::message::{Acknowledge, Body, Change, Event, Receipt};
use stopline_depot::outbox::{self, Acknowledgement, Message, Subject};

use super::hooks::Hooks;
use super::{Parts, say};
use crate::clock;
use crate::config;

/// Alerts that are open, at most: beyond them the loop's messages stay in its outbox.
const MOST_OPEN: usize = 1_000;
/// Bytes of a file, at most.
const LIMIT: u64 = 64 << 10;
/// Milliseconds for which the end of an alert is told to a web hook that does not answer.
const END_MS: u64 = 3_600_000;

/// An alert as it lies on disk.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Open {
    /// What the loop said.
    pub message: Message,
    /// The loop's file.
    file: PathBuf,
    /// What the fleet's receipt of its first event will name; none where it could not be said yet.
    receipt: Option<Receipt>,
    /// The fleet or a web hook has it.
    confirmed: bool,
    /// Whether somebody must acknowledge it.
    pub asks: bool,
    /// How often it was escalated.
    pub step: u32,
    /// Who acknowledged it.
    pub by: Option<String>,
    /// It is over.
    pub over: bool,
    /// Steps told to each web hook: one more than the last step's number.
    pub told: BTreeMap<String, u32>,
    /// Web hooks that were told of its end.
    pub told_end: BTreeSet<String>,
}

impl Open {
    /// Whether nothing more is expected of it.
    pub fn has_ended(&self) -> bool {
        self.over || self.by.is_some() || !self.asks
    }

    /// As it is told.
    pub fn event(&self, change: Change) -> Event {
        let message = &self.message;
        Event {
            id: message.id.clone(),
            change,
            subject: message.subject,
            name: message.device.clone(),
            made_wall: message.made_wall,
            persons_down: message.persons_down,
            cause: message.cause.clone(),
            situation: message.situation,
            armed: message.armed,
            asks: self.asks,
            step: self.step,
            by: self.by.clone(),
        }
    }
}

/// All that are open.
#[derive(Debug)]
pub struct Alerts {
    folder: PathBuf,
    outbox: PathBuf,
    settings: config::Telemetry,
    open: BTreeMap<String, Open>,
    /// Milliseconds since boot at which each is escalated, or forgotten.
    due: BTreeMap<String, u64>,
    /// Files of the loop that cannot be read: each is told once.
    unreadable: BTreeSet<PathBuf>,
}

impl Alerts {
    /// Takes up what was open.
    ///
    /// # Errors
    /// The system's.
    pub fn open(home: &Path, outbox: PathBuf, settings: config::Telemetry) -> io::Result<Self> {
        let folder = home.join("alerts");
        fs::create_dir_all(&folder)?;
        let mut open = BTreeMap::new();
        for name in RealDisk.list(&folder)?.into_iter().filter(|name| name.ends_with(".json")) {
            let bytes = RealDisk.read(&folder.join(&name), LIMIT)?.unwrap_or_default();
            match serde_json::from_slice::<Open>(&bytes) {
                Ok(one) => drop(open.insert(one.message.id.clone(), one)),
                Err(error) => tracing::warn!(id = "alert.unreadable", "{name}: {error}"),
            }
        }
        Ok(Self { folder, outbox, settings, open, due: BTreeMap::new(), unreadable: BTreeSet::new() })
    }

    /// Those that nobody has acknowledged, by id.
    pub fn open_ones(&self) -> Vec<String> {
        self.open.values().filter(|one| !one.has_ended()).map(|one| one.message.id.clone()).collect()
    }

    /// Whether one waits for an answer.
    pub fn asks(&self) -> bool {
        self.open.values().any(|one| !one.has_ended())
    }

    /// One look: what is new is said, what nobody answered is escalated, what was confirmed leaves the loop's outbox.
    pub fn step(&mut self, parts: &Parts, hooks: &mut Hooks, now: u64) {
        self.take_in(parts, now);
        let ids: Vec<String> = self.open.keys().cloned().collect();
        for id in ids {
            self.go_on(parts, hooks, &id, now);
        }
    }

    /// Somebody answers.
    pub fn acknowledge(&mut self, parts: &Parts, answer: &Acknowledge, now: u64) {
        let refused = |why: &str| {
            tracing::warn!(id = "alert.acknowledge.refused", event = answer.id, by = answer.by, "{why}");
        };
        let Some(one) = self.open.get_mut(&answer.id) else {
            return refused("no such alert is open: it has not begun, or is over");
        };
        match (&one.by, one.over, one.asks) {
            (_, true, _) => return refused("the alert is over"),
            (_, _, false) => return refused("the alert asks nobody"),
            // Said again: the first counts.
            (Some(_), ..) => return,
            (None, false, true) => {}
        }
        let at_wall = clock::wall_label(&*parts.clock).unwrap_or_else(|| std::time::UNIX_EPOCH.into());
        let written =
            Acknowledgement { schema: outbox::SCHEMA, id: answer.id.clone(), by: answer.by.clone(), at_wall };
        if let Err(error) = outbox::acknowledge(&self.outbox, &written) {
            // It is not silent: whoever answered must hear no "done".
            tracing::error!(id = "alert.acknowledge.failed", event = answer.id, "{error}");
            return;
        }
        one.by = Some(answer.by.clone());
        tracing::info!(
            id = "alert.acknowledged",
            event = answer.id,
            by = answer.by,
            "somebody answered an alert"
        );
        let event = one.event(Change::Acknowledged);
        say(&parts.outbox, &Body::Event(Box::new(event)), now);
        self.due.insert(answer.id.clone(), now.saturating_add(END_MS));
        self.keep(&answer.id);
    }

    /// Takes in what the loop has put into its outbox.
    fn take_in(&mut self, parts: &Parts, now: u64) {
        for waiting in outbox::waiting(&self.outbox).unwrap_or_default() {
            let message = match outbox::read(&waiting.path) {
                Ok(message) => message,
                Err(error) => {
                    if self.unreadable.insert(waiting.path) {
                        tracing::error!(
                            id = "alert.unreadable",
                            "{error}; it stays, and the loop tells that nobody reads it"
                        );
                    }
                    continue;
                }
            };
            if self.open.contains_key(&message.id) || self.open.len() >= MOST_OPEN {
                continue;
            }
            self.end_those_of(parts, message.subject, now);
            let asks = self.settings.acknowledge.contains(&message.subject);
            let (id, file) = (message.id.clone(), waiting.path);
            tracing::info!(
                id = "alert.new",
                event = id,
                subject = crate::report::word_of(&message.subject),
                asks,
                "the loop says"
            );
            let one = Open {
                message,
                file,
                receipt: None,
                confirmed: false,
                asks,
                step: 0,
                by: None,
                over: false,
                told: BTreeMap::new(),
                told_end: BTreeSet::new(),
            };
            self.open.insert(id.clone(), one);
            self.keep(&id);
        }
    }

    /// What ends others: all that are open of its kind.
    fn end_those_of(&mut self, parts: &Parts, subject: Subject, now: u64) {
        let ended = match subject {
            Subject::FallOver => Subject::Fall,
            Subject::MonitoringRestored => Subject::MonitoringLost,
            Subject::FaultOver => Subject::Fault,
            _ => return,
        };
        let of = |one: &&mut Open| one.message.subject == ended && !one.over;
        let mut changed = Vec::new();
        for one in self.open.values_mut().filter(of) {
            one.over = true;
            let event = one.event(Change::Over);
            say(&parts.outbox, &Body::Event(Box::new(event)), now);
            changed.push(one.message.id.clone());
        }
        for id in changed {
            self.due.insert(id.clone(), now.saturating_add(END_MS));
            self.keep(&id);
        }
    }

    fn go_on(&mut self, parts: &Parts, hooks: &mut Hooks, id: &str, now: u64) {
        let escalate = u64::from(self.settings.escalate_s) * 1_000;
        let due = *self.due.entry(id.to_owned()).or_insert(now.saturating_add(escalate));
        let Some(one) = self.open.get_mut(id) else { return };
        let mut changed = false;
        if one.receipt.is_none() {
            one.receipt = say(&parts.outbox, &Body::Event(Box::new(one.event(Change::New))), now);
            changed = one.receipt.is_some();
        }
        if !one.has_ended() && now >= due {
            one.step = one.step.saturating_add(1);
            tracing::warn!(
                id = "alert.escalated",
                event = id,
                step = one.step,
                "nobody has acknowledged an alert"
            );
            let event = one.event(Change::Escalated);
            say(&parts.outbox, &Body::Event(Box::new(event)), now);
            self.due.insert(id.to_owned(), now.saturating_add(escalate));
            changed = true;
        }
        changed |= hooks.tell(parts, one, now);
        let heard = one.receipt.as_ref().is_some_and(|receipt| !parts.outbox.holds(receipt));
        if !one.confirmed && (heard || !one.told.is_empty()) {
            one.confirmed = true;
            changed = true;
        }
        if one.confirmed && one.file.exists() {
            // What cannot be removed is tried again; the loop tells meanwhile that nobody reads it.
            if let Err(error) = RealDisk.remove(&one.file) {
                tracing::error!(id = "alert.stays", "{}: {error}", one.file.display());
                return;
            }
        }
        let told_all = hooks.has_told(one);
        if one.confirmed && one.has_ended() && (told_all || now >= due) {
            self.forget(id);
        } else if changed {
            self.keep(id);
        }
    }

    fn keep(&self, id: &str) {
        let Some(one) = self.open.get(id) else { return };
        let written = serde_json::to_vec(one)
            .map_err(io::Error::other)
            .and_then(|bytes| replace(&mut RealDisk, &self.path(id), &bytes));
        if let Err(error) = written {
            tracing::warn!(id = "alert.unwritten", event = id, "{error}; it goes on in memory");
        }
    }

    fn forget(&mut self, id: &str) {
        self.open.remove(id);
        self.due.remove(id);
        if let Err(error) = RealDisk.remove(&self.path(id)) {
            tracing::warn!(id = "alert.unwritten", event = id, "{error}");
        }
    }

    /// An id is the loop's word, and no path.
    fn path(&self, id: &str) -> PathBuf {
        let letter = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
        self.folder.join(format!("{}.json", id.chars().take(64).map(letter).collect::<String>()))
    }
}
