//! Messages for the agent to send: fall alerts, webhooks. The loop never waits for them.
//!
//! A worker writes them and, each second, looks how long the oldest has waited: longer than `unread_s`, and nobody is there
//! to fetch them ([`Fault::Unread`], [`Cause::Agent`](stopline_decide::cause::Cause::Agent)); a buzzer of its own can answer
//! to that (`when = "agent_lost"`).

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use stopline_decide::command::Command;
use stopline_depot::outbox::{self, Message, Subject};
use stopline_sensors::clock::{Clock, Monotonic};

use super::config::{Kind, OutboxConfig};
use super::trigger::Trigger;
use super::worker::{Failed, Job, Worker};
use super::{ActError, Actuator, Fault, Outcome, Shown};

/// Most triggers of one outbox.
const MOST: usize = 12;

/// Messages for the agent.
pub struct OutboxActuator {
    name: String,
    when: Vec<Trigger>,
    while_unarmed: bool,
    before: [bool; MOST],
    persons_before: u8,
    unread: Arc<AtomicBool>,
    worker: Worker<Note>,
}

/// What is to be told.
#[derive(Clone, Copy)]
struct Note {
    subject: Subject,
    made: Monotonic,
    persons_down: u8,
    cause: Option<&'static str>,
    situation: Option<u32>,
    armed: bool,
}

impl OutboxActuator {
    /// Makes the folder where it is missing and starts the thread that writes into it.
    ///
    /// # Errors
    /// The folder cannot be made, or no thread can be started.
    pub fn open(config: &OutboxConfig, device: &str, clock: Arc<dyn Clock>) -> Result<Self, ActError> {
        outbox::prepare(&config.folder).map_err(|error| ActError::Path {
            name: config.name.clone(),
            key: "folder",
            path: config.folder.display().to_string(),
            source: std::io::Error::other(error),
        })?;
        let unread = Arc::new(AtomicBool::new(false));
        let writer = Writer {
            folder: config.folder.clone(),
            device: device.into(),
            to: config.to.clone(),
            patience: Duration::from_secs(config.unread_s),
            // Unique beyond this process: a message of an earlier one may still wait.
            run: clock.wall().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_millis(),
            number: 0,
            unread: Arc::clone(&unread),
            clock,
        };
        let worker = Worker::start(&config.name, writer)
            .map_err(|source| ActError::Thread { name: config.name.clone(), source })?;
        Ok(Self {
            name: config.name.clone(),
            when: config.when.iter().copied().take(MOST).collect(),
            while_unarmed: config.while_unarmed,
            before: [false; MOST],
            persons_before: 0,
            unread,
            worker,
        })
    }

    /// Messages handled so far.
    pub fn written(&self) -> u64 {
        self.worker.done()
    }
}

impl Actuator for OutboxActuator {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> Kind {
        Kind::Outbox
    }

    fn send(&mut self, now: Monotonic, command: &Command) -> Outcome {
        let (mut sent, mut full, mut would) = (false, false, false);
        for (trigger, before) in self.when.iter().zip(&mut self.before) {
            let on = trigger.is_on(command, self.while_unarmed);
            would |= trigger.would(command);
            // One more person down is a message of its own.
            let more = *trigger == Trigger::Fall && command.persons_down > self.persons_before;
            let subject = match (on, *before) {
                (true, false) => begins(*trigger),
                (true, true) if more => begins(*trigger),
                (false, true) => ends(*trigger),
                _ => None,
            };
            *before = on;
            if let Some(subject) = subject {
                let given = self.worker.give(Note {
                    subject,
                    made: now,
                    persons_down: command.persons_down,
                    cause: command.cause.map(|cause| cause.code()),
                    situation: command.situation,
                    armed: command.armed,
                });
                sent |= given;
                full |= !given;
            }
        }
        self.persons_before = command.persons_down;
        let failed = (full || self.worker.is_failing()).then_some(Fault::Worker);
        let unread = self.unread.load(Ordering::Relaxed).then_some(Fault::Unread);
        Outcome { sent, fault: unread.or(failed), shown: if would { Shown::Event } else { Shown::Nothing } }
    }

    fn close(&mut self) {
        self.worker.close();
    }
}

fn begins(trigger: Trigger) -> Option<Subject> {
    match trigger {
        Trigger::Fall => Some(Subject::Fall),
        Trigger::MonitoringLost => Some(Subject::MonitoringLost),
        Trigger::Inform | Trigger::Warn => Some(Subject::Warning),
        Trigger::Brake => Some(Subject::Brake),
        Trigger::Escalate => Some(Subject::Escalation),
        Trigger::Fault => Some(Subject::Fault),
        // Refused by the configuration's check.
        Trigger::Valid | Trigger::Hold | Trigger::ParkingBrake | Trigger::Disengage | Trigger::AgentLost => {
            None
        }
    }
}

fn ends(trigger: Trigger) -> Option<Subject> {
    match trigger {
        Trigger::Fall => Some(Subject::FallOver),
        Trigger::MonitoringLost => Some(Subject::MonitoringRestored),
        Trigger::Fault => Some(Subject::FaultOver),
        _ => None,
    }
}

struct Writer {
    folder: PathBuf,
    device: String,
    to: Vec<String>,
    patience: Duration,
    run: u128,
    number: u64,
    unread: Arc<AtomicBool>,
    clock: Arc<dyn Clock>,
}

impl Job<Note> for Writer {
    fn work(&mut self, note: Note, _stop: &AtomicBool) -> Result<(), Failed> {
        self.number += 1;
        let message = Message {
            schema: outbox::SCHEMA,
            id: format!("{}-{}-{}", code(note.subject), self.run, self.number),
            device: self.device.clone(),
            subject: note.subject,
            to: self.to.clone(),
            made_wall: self.clock.wall().into(),
            made_monotonic_ns: note.made.as_nanos(),
            persons_down: note.persons_down,
            cause: note.cause.map(str::to_owned),
            situation: note.situation,
            armed: note.armed,
        };
        self.told(outbox::put(&self.folder, &message).map(drop))?;
        self.idle()
    }

    fn idle(&mut self) -> Result<(), Failed> {
        let waiting = outbox::waiting(&self.folder);
        let now = self.clock.monotonic();
        // A file of an earlier boot may be stamped later than now: nobody has fetched it since then.
        let old = |made: u64| {
            let made = Monotonic::from_nanos(made);
            made > now || now.since(made) > self.patience
        };
        let unread = waiting
            .as_ref()
            .is_ok_and(|waiting| waiting.iter().any(|waiting| old(waiting.made_monotonic_ns)));
        if self.unread.swap(unread, Ordering::Relaxed) != unread {
            tracing::warn!(folder = %self.folder.display(), unread, "messages in the outbox");
        }
        self.told(waiting.map(drop))
    }

    fn pause(&self) -> Duration {
        Duration::from_secs(1)
    }
}

impl Writer {
    fn told(&self, done: Result<(), outbox::OutboxError>) -> Result<(), Failed> {
        done.map_err(|error| {
            tracing::error!(%error, "the outbox cannot be used");
            Failed
        })
    }
}

fn code(subject: Subject) -> &'static str {
    match subject {
        Subject::Fall => "fall",
        Subject::FallOver => "fall-over",
        Subject::MonitoringLost => "monitoring-lost",
        Subject::MonitoringRestored => "monitoring-restored",
        Subject::Warning => "warning",
        Subject::Brake => "brake",
        Subject::Escalation => "escalation",
        Subject::Fault => "fault",
        Subject::FaultOver => "fault-over",
    }
}
