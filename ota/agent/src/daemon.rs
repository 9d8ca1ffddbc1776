//! `stopline-agent run`: when each step is taken. One thread does the work, so that nothing in the depot is done twice at
//! once; connections live on tokio's.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use stopline_depot::eligible::{DAY_S, back_off_ms, seconds_to_poll, spread};
use tokio::signal::unix::{SignalKind, signal};

use crate::agent::Agent;
use crate::clock::{self, Clock};
use crate::config::Config;
use crate::exit::{Exit, Failure, OrExit as _};
use crate::{control, reporting};

/// Milliseconds to wait after a first poll that failed, and at most.
const POLL_BACK_OFF_MS: (u32, u32) = (60_000, 3_600_000);

/// What wakes it.
#[derive(Debug)]
pub enum Event {
    /// A person asks it to poll now.
    CheckNow(control::Asked),
    /// A broker says that there is something new: nothing is believed but that it may be worth asking.
    Hint,
    /// It is to end.
    Stop,
}

/// Runs until a signal ends it.
///
/// # Errors
/// [`Failure`] if it cannot begin.
pub fn run(config: Config, clock: Arc<dyn Clock>) -> Result<(), Failure> {
    let runtime = runtime().or_exit(Exit::Internal)?;
    let mut agent = Agent::open(config, clock.clone(), runtime.handle().clone()).map_err(open_failure)?;
    let (send, events) = mpsc::channel();
    control::listen(&agent.config.home, send.clone()).or_exit(Exit::Config)?;
    let started = reporting::start(&agent, &clock, runtime.handle(), send.clone());
    let _reporting = started.or_exit(Exit::Config)?;
    {
        let _within = runtime.enter();
        end_on_signals(&runtime, send).or_exit(Exit::Internal)?;
    }
    tracing::info!(
        id = "ota.started",
        device = agent.identity.id(),
        "stopline-agent {}",
        env!("CARGO_PKG_VERSION")
    );
    let ended = Schedule::begin(&agent, clock).run(&mut agent, &events);
    agent.senses().close();
    if ended == Ended::Anew {
        return Err(anew());
    }
    tracing::info!(id = "ota.stopped", "ended in order");
    Ok(())
}

/// Why the daemon ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// Somebody asked for it.
    Stopped,
    /// Other settings are in force: all of it begins anew with them.
    Anew,
}

/// The same program in place of this one, with its arguments: nothing is carried over in memory, as after a kill. Returns only
/// where it cannot be begun; then the service manager starts it again.
fn anew() -> Failure {
    use std::os::unix::process::CommandExt as _;
    tracing::info!(id = "ota.anew", "begins anew with other settings");
    let program = std::env::current_exe().unwrap_or_else(|_| "/proc/self/exe".into());
    let error = std::process::Command::new(program).args(std::env::args_os().skip(1)).exec();
    Failure {
        exit: Exit::Internal,
        error: anyhow::Error::new(error).context("cannot begin anew with other settings"),
    }
}

/// tokio's threads: one for all connections.
///
/// # Errors
/// The system's.
pub fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).max_blocking_threads(2).enable_all().build()
}

/// What an agent that does not open ends with.
pub fn open_failure(error: crate::agent::OpenError) -> Failure {
    use crate::agent::OpenError;
    let exit = match &error {
        OpenError::Config(_) | OpenError::Identity(_) | OpenError::Tls(_) => Exit::Config,
        OpenError::Agent(error) if error.code() == "held" => Exit::Busy,
        OpenError::Agent(_) => Exit::Internal,
    };
    Failure { exit, error: error.into() }
}

fn end_on_signals(runtime: &tokio::runtime::Runtime, events: Sender<Event>) -> std::io::Result<()> {
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let (mut signals, events) = (signal(kind)?, events.clone());
        runtime.spawn(async move {
            signals.recv().await;
            // A second signal, or one that nobody takes any more, ends it at once: everything goes on after a cut.
            if events.send(Event::Stop).is_err() || signals.recv().await.is_some() {
                std::process::exit(Exit::Success as i32);
            }
        });
    }
    Ok(())
}

/// When the next poll is.
#[derive(Debug)]
struct Schedule {
    clock: Arc<dyn Clock>,
    /// Milliseconds since boot.
    next_poll: u64,
    last_hint: Option<u64>,
    failures: u32,
    /// Whether the clock was synchronised when it was last looked at.
    timed: bool,
}

impl Schedule {
    fn begin(agent: &Agent, clock: Arc<dyn Clock>) -> Self {
        let within = agent.config.poll.start_within_s;
        let first = if within == 0 { 0 } else { spread(agent.identity.id(), &agent.boot_id, within) };
        let next_poll = clock.since_boot_ms().saturating_add(u64::from(first) * 1_000);
        let timed = clock::wall_s(&*clock).is_some();
        Self { clock, next_poll, last_hint: None, failures: 0, timed }
    }

    fn run(&mut self, agent: &mut Agent, events: &Receiver<Event>) -> Ended {
        loop {
            if agent.settings().begins_anew() {
                return Ended::Anew;
            }
            let look = u64::from(agent.config.poll.look_s) * 1_000;
            let wait = self.next_poll.saturating_sub(self.clock.since_boot_ms()).min(look);
            match events.recv_timeout(Duration::from_millis(wait)) {
                Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => return Ended::Stopped,
                Ok(Event::CheckNow(person)) => {
                    let asked = agent.check_now();
                    self.polled(agent, asked.is_ok());
                    person.answer(&control::answer_of(agent, asked));
                    continue;
                }
                Ok(Event::Hint) => self.hint(agent),
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.time_comes();
            if self.clock.since_boot_ms() >= self.next_poll {
                self.poll(agent);
            } else {
                agent.look();
            }
        }
    }

    fn poll(&mut self, agent: &mut Agent) {
        let done = agent.poll().is_ok();
        self.polled(agent, done);
    }

    fn polled(&mut self, agent: &Agent, done: bool) {
        self.failures = if done { 0 } else { self.failures.saturating_add(1) };
        let pause = pause_ms(agent, self.failures);
        self.next_poll = self.clock.since_boot_ms().saturating_add(pause);
        tracing::debug!(id = "ota.next_poll", seconds = pause / 1_000, "next poll");
    }

    /// Where a poll failed and the clock has come right since, it is tried at once: without time no certificate is believed that
    /// is younger than the lower bound.
    fn time_comes(&mut self) {
        let timed = clock::wall_s(&*self.clock).is_some();
        if timed && !self.timed && self.failures > 0 {
            tracing::info!(
                id = "ota.clock.synchronised",
                "the clock has come right; the repository is asked again"
            );
            self.next_poll = self.clock.since_boot_ms();
        }
        self.timed = timed;
    }

    /// A hint brings the next poll forward: not more often than configured, and not at the same moment on every device.
    fn hint(&mut self, agent: &Agent) {
        let Some(broker) = &agent.config.mqtt else { return };
        let now = self.clock.since_boot_ms();
        let least = u64::from(broker.hint_least_s) * 1_000;
        if self.last_hint.is_some_and(|last| now.saturating_sub(last) < least) {
            tracing::debug!(id = "ota.hint.passed_over", "a hint so soon after another");
            return;
        }
        self.last_hint = Some(now);
        let within = spread(agent.identity.id(), &now.to_string(), broker.hint_within_s);
        self.next_poll = self.next_poll.min(now.saturating_add(u64::from(within) * 1_000));
    }
}

/// Milliseconds to the next poll: the device's own second of the night, sooner after a failure or while a model is under watch.
fn pause_ms(agent: &Agent, failures: u32) -> u64 {
    if failures > 0 {
        let (first, most) = POLL_BACK_OFF_MS;
        return u64::from(back_off_ms(agent.identity.id(), "poll", failures, first, most));
    }
    let night = match agent.local_second() {
        Some(second) => seconds_to_poll(agent.identity.id(), agent.config.poll.local, second),
        // Without a clock, a day; sooner than a day later where the clock comes right meanwhile does not matter.
        None => DAY_S,
    };
    u64::from(agent.watch_s().map_or(night, |watch| night.min(watch))) * 1_000
}
