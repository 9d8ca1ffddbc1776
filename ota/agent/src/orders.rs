//! What the fleet's server asks this device to do once: to bring a diagnostic bundle, to let captured records go. Each order is
//! answered once, whichever way and how often it comes, over restarts too; the answer is said again where the order comes again.
//!
//! ```text
//! HOME/orders.json     which orders were answered and how, and when the last bundle was made
//! ```
//!
//! One thread does it ([`Orders::run`]): a bundle may take minutes, and no alert must wait for it. Records are let go by the
//! upload, whose spool it is ([`Forgetting`]).

mod kept;

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use stopline_depot::eligible::back_off_ms;
use stopline_depot::order::{Answer, Done, Forget, Order, What};
use stopline_depot::versioned::{self, Versioned as _};

use crate::budget::Purpose;
use crate::clock::{self, Clock};
use crate::config::Config;
use crate::diagnose::{self, Ask, LARGEST};
use crate::fleet::{Line, Refusal};
use crate::identity::Identity;
use crate::status;
use crate::surroundings::Senses;

use kept::Kept;

/// How often it looks at what waits.
const LOOK: Duration = Duration::from_secs(5);
/// Orders that wait, at most; the server says others again.
const MOST_WAITING: usize = 32;
/// Milliseconds to wait after a first failure, and at most.
const BACK_OFF_MS: (u32, u32) = (2_000, 900_000);

/// What wakes it.
#[derive(Debug)]
pub enum Asked {
    /// The server asks for something.
    Order(Order),
    /// The upload has let records go.
    Forgot(Answer),
}

/// What the upload is to let go; clones share it.
#[derive(Debug, Clone)]
pub struct Forgetting {
    wanted: Arc<Mutex<VecDeque<(String, Forget)>>>,
    done: Sender<Asked>,
}

impl Forgetting {
    /// Says what was done to `done`.
    pub fn new(done: Sender<Asked>) -> Self {
        Self { wanted: Arc::default(), done }
    }

    /// The next order, by its id.
    pub fn next(&self) -> Option<(String, Forget)> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// One that could not be done stays asked for.
    pub fn again(&self, id: String, wanted: Forget) {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner).push_back((id, wanted));
    }

    /// One is done: so many records went, and so many stayed since nobody knows when they were captured.
    pub fn done(&self, id: &str, removed: u64, unsure: u64) {
        let answer =
            Answer { schema: Answer::SCHEMA, id: id.to_owned(), result: Done::Done, removed, unsure };
        // Whoever answers has gone: the process ends, and the order comes again.
        let _ = self.done.send(Asked::Forgot(answer));
    }
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
    /// The server.
    pub line: Line,
    /// What lets records go; none where this device has no spool.
    pub forgetting: Option<Forgetting>,
}

/// The thread.
#[derive(Debug)]
pub struct Orders {
    parts: Parts,
    kept: Kept,
    /// Orders that were not answered yet, by id.
    waiting: BTreeMap<String, Order>,
    /// Answers that the server has not got yet, by id.
    unsaid: BTreeMap<String, Answer>,
    /// A bundle that was made and not brought yet, by its order.
    bundle: Option<(String, Vec<u8>)>,
    failures: u32,
    /// Milliseconds since boot before which nothing is tried.
    not_before: u64,
}

impl Orders {
    /// Takes up what was answered before.
    pub fn open(parts: Parts) -> Self {
        let kept = Kept::open(&parts.config.home);
        let (waiting, unsaid) = (BTreeMap::new(), BTreeMap::new());
        Self { parts, kept, waiting, unsaid, bundle: None, failures: 0, not_before: 0 }
    }

    /// Goes on until whoever could ask has gone.
    pub fn run(&mut self, asked: &Receiver<Asked>) {
        loop {
            match asked.recv_timeout(LOOK) {
                Ok(asked) => self.take(asked),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.step();
        }
    }

    /// Takes in what was asked or done.
    pub fn take(&mut self, asked: Asked) {
        match asked {
            Asked::Order(order) => self.order(order),
            Asked::Forgot(answer) if self.waiting.contains_key(&answer.id) => self.answer(answer),
            Asked::Forgot(_) => {}
        }
    }

    fn order(&mut self, order: Order) {
        if let Some(answered) = self.kept.answered(&order.id) {
            // The answer may have been lost; a bundle was acknowledged when it was brought.
            self.unsaid.extend(answered.map(|answer| (order.id, answer)));
            return;
        }
        if self.waiting.contains_key(&order.id) || self.waiting.len() >= MOST_WAITING || self.is_over(&order)
        {
            return;
        }
        tracing::info!(
            id = "order.taken",
            order = order.id,
            what = order.what.word(),
            "the server asks for something"
        );
        match (&order.what, &self.parts.forgetting) {
            (What::Diagnose, _) if !self.may_diagnose() => return self.refuse(&order.id),
            (What::Forget(_), None) => return self.refuse(&order.id),
            (What::Forget(wanted), Some(forgetting)) => forgetting.again(order.id.clone(), wanted.clone()),
            (What::Diagnose, _) => {}
        }
        self.waiting.insert(order.id.clone(), order);
    }

    fn may_diagnose(&self) -> bool {
        self.parts.config.remote.as_ref().is_some_and(|remote| remote.diagnose)
    }

    fn is_over(&self, order: &Order) -> bool {
        let now = clock::wall_s(&*self.parts.clock).and_then(|now| u64::try_from(now).ok());
        now.is_some_and(|now| now > order.until)
    }

    /// This device's own configuration does not let it be done.
    fn refuse(&mut self, id: &str) {
        let (removed, unsure) = (0, 0);
        self.answer(Answer {
            schema: Answer::SCHEMA,
            id: id.to_owned(),
            result: Done::Refused,
            removed,
            unsure,
        });
    }

    fn answer(&mut self, answer: Answer) {
        self.waiting.remove(&answer.id);
        self.kept.note(&answer.id.clone(), Some(answer.clone()));
        self.unsaid.insert(answer.id.clone(), answer);
    }

    /// One look: answers go, and a bundle is made and brought where one is asked for.
    pub fn step(&mut self) {
        let now = self.parts.clock.since_boot_ms();
        if now < self.not_before || (self.unsaid.is_empty() && self.waiting.is_empty()) {
            return;
        }
        match self.say().and_then(|()| self.diagnose()) {
            Ok(()) => self.failures = 0,
            Err(refusal) => {
                if self.failures == 0 {
                    tracing::warn!(id = "order.waits", code = refusal.code(), "{refusal}; tried again");
                }
                self.failures = self.failures.saturating_add(1);
                let (first, most) = BACK_OFF_MS;
                let pause = back_off_ms(self.parts.identity.id(), "orders", self.failures, first, most);
                self.not_before = now.saturating_add(pause.into());
            }
        }
    }

    /// Says answers that wait. What the server does not know of, or does not understand, is of no use to it.
    fn say(&mut self) -> Result<(), Refusal> {
        while let Some((id, answer)) = self.unsaid.first_key_value() {
            let (id, body) = (id.clone(), versioned::write(answer).unwrap_or_default());
            if !self.may_send(body.len()) {
                return Ok(());
            }
            self.ask(Method::POST, "v1/answers", body)?;
            self.unsaid.remove(&id);
        }
        Ok(())
    }

    fn diagnose(&mut self) -> Result<(), Refusal> {
        let over: Vec<String> =
            self.waiting.values().filter(|order| self.is_over(order)).map(|order| order.id.clone()).collect();
        over.iter().for_each(|id| drop(self.waiting.remove(id)));
        let asked =
            self.waiting.values().find(|order| order.what == What::Diagnose).map(|order| order.id.clone());
        let Some(id) = asked else {
            self.bundle = None;
            return Ok(());
        };
        if self.bundle.as_ref().is_none_or(|(of, _)| *of != id) {
            self.bundle = self.make(id.clone());
        }
        let Some((_, bytes)) = &self.bundle else { return Ok(()) };
        if !self.may_send(bytes.len()) {
            return Ok(());
        }
        // What is refused for now is brought again.
        let bytes = bytes.clone();
        if self.ask(Method::PUT, &format!("v1/diagnoses/{id}"), bytes)? {
            tracing::info!(id = "order.diagnosed", order = id, "a diagnostic bundle is with the fleet");
        }
        self.bundle = None;
        self.waiting.remove(&id);
        self.kept.note(&id, None);
        Ok(())
    }

    /// A bundle, where an hour has passed since the last.
    fn make(&mut self, id: String) -> Option<(String, Vec<u8>)> {
        let config = &self.parts.config;
        let remote = config.remote.as_ref()?;
        if !self.kept.may_make(&*self.parts.clock) {
            return None;
        }
        // Before it is made: a process that dies of it must not begin again and again.
        self.kept.made(&*self.parts.clock);
        let ask = Ask {
            config: config.file.clone().unwrap_or_default(),
            runtime_config: remote.diagnose_runtime_config.clone(),
            logs: remote.diagnose_logs.clone(),
            doctor: remote.diagnose_doctor.clone(),
        };
        let status = status::of(config, Some(&self.parts.identity), self.parts.clock.clone());
        let status = status.unwrap_or_else(|error| serde_json::json!({"problem": error.to_string()}));
        let bundle = diagnose::gather(&ask, config, &status, &*self.parts.clock).to_string().into_bytes();
        if bundle.len() > LARGEST {
            tracing::warn!(
                id = "order.refused",
                order = id,
                "the bundle has {} bytes; at most {LARGEST} go",
                bundle.len()
            );
            self.refuse(&id);
            return None;
        }
        Some((id, bundle))
    }

    /// Whether the budget for mobile networks lets so many bytes go, as for figures.
    fn may_send(&self, bytes: usize) -> bool {
        let left = self.parts.senses.left(&*self.parts.clock, &self.parts.config.caps(), Purpose::Small);
        left >= u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    /// Asks the server; whether it took it. What it refuses for good is done with: it is its order, and it has no use for this.
    fn ask(&mut self, method: Method, path: &str, body: Vec<u8>) -> Result<bool, Refusal> {
        let headers = [(CONTENT_TYPE, "application/json".to_owned())];
        let asked = self.parts.line.ask(method, path, &headers, body);
        self.parts.senses.spend(&*self.parts.clock, self.parts.line.take_received());
        match asked {
            Ok(_) => Ok(true),
            Err(
                refusal @ (Refusal::NotUnderstood { .. }
                | Refusal::TooBig { .. }
                | Refusal::Later { status: 404, .. }),
            ) => {
                tracing::warn!(
                    id = "order.refused",
                    code = refusal.code(),
                    "{refusal}; the order is done with"
                );
                Ok(false)
            }
            Err(refusal) => Err(refusal),
        }
    }
}

/// Where what was answered lies.
pub fn path(home: &Path) -> std::path::PathBuf {
    home.join("orders.json")
}
