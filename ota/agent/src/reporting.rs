//! Starts what tells the fleet: the upload and the telemetry, each with a thread of its own, and the broker's connection. A
//! stalled batch stops no alert, and neither stops an update.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use tokio::runtime::Handle;

use crate::agent::Agent;
use crate::clock::Clock;
use crate::config::{Config, Download};
use crate::daemon::Event;
use crate::fleet::Line;
use crate::http::HttpError;
use crate::mqtt::{self, Party};
use crate::orders::{self, Asked, Forgetting, Orders};
use crate::telemetry::hooks::Hooks;
use crate::telemetry::outbox::Outbox;
use crate::telemetry::{self, Heard, Telemetry};
use crate::upload::{self, Uploader};

/// Seconds after which a question with an alert in it is given up and asked again, at most.
const ALERT_STALL_S: u32 = 20;
/// Seconds between two tries to open a spool that the runtime has not made yet.
const SPOOL_S: u64 = 10;

/// Why nothing is told.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No client can be made.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// A thread or a folder.
    #[error("telemetry: {0}")]
    Io(#[from] std::io::Error),
}

/// What goes on until it is dropped.
#[derive(Debug)]
pub struct Reporting {
    _stop: Sender<()>,
    _heard: Option<Sender<Heard>>,
    _asked: Option<Sender<Asked>>,
}

/// Starts all that is configured.
///
/// # Errors
/// [`StartError`].
pub fn start(
    agent: &Agent,
    clock: &Arc<dyn Clock>,
    runtime: &Handle,
    events: Sender<Event>,
) -> Result<Reporting, StartError> {
    let config = &agent.config;
    let (stop, stopped) = mpsc::channel();
    let progress = upload::Progress::default();
    let (asked, forgetting) = do_orders(agent, clock, runtime)?;
    if let (Some(spool), Some(url)) = (config.upload.spool.clone(), &config.fleet_url) {
        let parts = upload::Parts {
            config: config.clone(),
            clock: clock.clone(),
            identity: agent.identity.clone(),
            sequence: agent.sequence().clone(),
            senses: agent.senses().clone(),
            line: line(agent, &config.download, url, clock, runtime)?,
        };
        let progress = progress.clone();
        thread("upload", move || upload_from(parts, &spool, (progress, forgetting), &stopped))?;
    }
    let (mut heard, mut outbox) = (None, None);
    let anybody = config.fleet_url.is_some() || config.mqtt.is_some() || !config.notify.is_empty();
    if config.telemetry.on && anybody {
        let (send, receive) = mpsc::channel();
        let kept = Outbox::open(&config.home, &agent.identity, agent.sequence().clone())?;
        let mut telemetry = telemetry(agent, clock, runtime, kept.clone(), progress)?;
        asked.iter().for_each(|asked| telemetry.hand_orders_to(asked.clone()));
        thread("telemetry", move || telemetry.run(&receive))?;
        (heard, outbox) = (Some(send), Some(kept));
    }
    if let Some(broker) = config.mqtt.clone() {
        let party = Party {
            device: agent.identity.id().to_owned(),
            spool: agent.spool().clone(),
            outbox,
            papers: agent.papers().clone(),
            events,
            heard: heard.clone(),
            orders: asked.clone(),
            senses: agent.senses().clone(),
            caps: config.caps(),
            clock: clock.clone(),
        };
        runtime.spawn(mqtt::talk(broker, party));
    }
    Ok(Reporting { _stop: stop, _heard: heard, _asked: asked })
}

/// Starts what does the server's orders, where there is a server to answer; and what tells the upload of records to let go.
fn do_orders(
    agent: &Agent,
    clock: &Arc<dyn Clock>,
    runtime: &Handle,
) -> Result<(Option<Sender<Asked>>, Option<Forgetting>), StartError> {
    let config = &agent.config;
    let Some(url) = &config.fleet_url else { return Ok((None, None)) };
    let (send, receive) = mpsc::channel();
    let forgetting = config.upload.spool.as_ref().map(|_| Forgetting::new(send.clone()));
    let mut orders = Orders::open(orders::Parts {
        config: config.clone(),
        clock: clock.clone(),
        identity: agent.identity.clone(),
        senses: agent.senses().clone(),
        line: line(agent, &config.download, url, clock, runtime)?,
        forgetting: forgetting.clone(),
    });
    thread("orders", move || orders.run(&receive))?;
    Ok((Some(send), forgetting))
}

fn telemetry(
    agent: &Agent,
    clock: &Arc<dyn Clock>,
    runtime: &Handle,
    outbox: Outbox,
    upload: upload::Progress,
) -> Result<Telemetry, StartError> {
    let config: &Config = &agent.config;
    let patient = Download { stall_s: config.download.stall_s.min(ALERT_STALL_S), ..config.download.clone() };
    let line = config.fleet_url.as_ref().map(|url| line(agent, &patient, url, clock, runtime)).transpose()?;
    let hooks = Hooks::open(config, agent.papers(), runtime.clone(), clock.clone())?;
    let parts = telemetry::Parts {
        config: config.clone(),
        clock: clock.clone(),
        identity: agent.identity.clone(),
        senses: agent.senses().clone(),
        outbox,
        line,
        upload,
    };
    Ok(Telemetry::open(parts, hooks)?)
}

fn line(
    agent: &Agent,
    settings: &Download,
    url: &str,
    clock: &Arc<dyn Clock>,
    runtime: &Handle,
) -> Result<Line, HttpError> {
    Line::open(url, settings, agent.papers().clone(), runtime.clone(), clock.clone())
}

/// Waits for the spool, which the runtime may make later, and uploads from it.
fn upload_from(
    parts: upload::Parts,
    spool: &std::path::Path,
    (progress, forgetting): (upload::Progress, Option<Forgetting>),
    stop: &Receiver<()>,
) {
    let mut told = String::new();
    let mut parts = Some(parts);
    while let Some(given) = parts.take() {
        match Uploader::open(given, spool, progress.clone()) {
            Ok(mut uploader) => {
                forgetting.into_iter().for_each(|forgetting| uploader.forgets(forgetting));
                return uploader.run(stop);
            }
            Err((given, error)) => {
                if told != error.to_string() {
                    tracing::warn!(id = "upload.waits", code = error.code(), "{error}; tried again");
                    told = error.to_string();
                }
                if stop.recv_timeout(Duration::from_secs(SPOOL_S)) == Err(RecvTimeoutError::Timeout) {
                    parts = Some(*given);
                }
            }
        }
    }
}

fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    std::thread::Builder::new().name(name.into()).spawn(work).map(drop)
}
