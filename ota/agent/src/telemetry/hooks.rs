//! Web hooks: whom to tell of alerts besides the fleet. Each is told every step from its own on until it answers 2xx, and of
//! the end of what it was told.
//!
//! The body is `{"schema": 1, "device": ID, "event": EVENT}`, as [`Event`]. `Stopline-Key` and
//! `Stopline-Signature` are the device's public key and its signature over `stopline/webhook/v1`, a zero, and the body. The
//! device's certificate is not shown: a hook is somebody else's server.

use std::collections::BTreeMap;
use std::sync::Arc;

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderName};
use stopline_depot::eligible::back_off_ms;
use stopline_depot::message::{Change, Event};
use tokio::runtime::Handle;

use super::Parts;
use super::alerts::Open;
use crate::agent::without_redirects;
use crate::budget::Purpose;
use crate::clock::Clock;
use crate::config::{Config, Download, Notify};
use crate::http::{Http, HttpError};
use crate::identity::Identity;
use crate::tls::Papers;

/// Milliseconds to wait after a first failure, and at most: a person lies on the floor.
const BACK_OFF_MS: (u32, u32) = (1_000, 15_000);
/// Seconds until a connection stands, and until an answer comes: alerts wait for each other here.
const PATIENCE_S: u32 = 10;

/// All of them.
#[derive(Debug)]
pub struct Hooks {
    http: Option<Http>,
    list: Vec<Notify>,
    /// Failures in a row, and milliseconds since boot before which it is not tried again, by name.
    resting: BTreeMap<String, (u32, u64)>,
}

impl Hooks {
    /// Of the configuration.
    ///
    /// # Errors
    /// [`HttpError::Setup`].
    pub fn open(
        config: &Config,
        papers: &Papers,
        runtime: Handle,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, HttpError> {
        let list = config.notify.clone();
        let authorities = config.telemetry.hook_authorities_file.as_deref();
        let http = if list.is_empty() {
            None
        } else {
            let tls = papers.stranger(authorities).map_err(|error| HttpError::Setup(error.to_string()))?;
            let settings = Download {
                connect_s: PATIENCE_S,
                stall_s: PATIENCE_S,
                ..without_redirects(&config.download)
            };
            Some(Http::new(&settings, tls, runtime, clock)?)
        };
        Ok(Self { http, list, resting: BTreeMap::new() })
    }

    /// Tells each what it has not been told yet; whether anything has changed.
    pub(super) fn tell(&mut self, parts: &Parts, one: &mut Open, now: u64) -> bool {
        let mut changed = false;
        for hook in self.list.clone() {
            let Some(change) = news(&hook, one) else { continue };
            let (failures, not_before) = self.resting.get(&hook.name).copied().unwrap_or_default();
            if now < not_before {
                continue;
            }
            match self.post(parts, &hook, &one.event(change)) {
                Ok(()) => {
                    self.resting.remove(&hook.name);
                    if matches!(change, Change::Acknowledged | Change::Over) {
                        one.told_end.insert(hook.name);
                    } else {
                        one.told.insert(hook.name, one.step.saturating_add(1));
                    }
                    changed = true;
                }
                Err(problem) => {
                    tracing::warn!(
                        id = "alert.hook.failed",
                        hook = hook.name,
                        failures,
                        "{problem}; tried again"
                    );
                    let (first, most) = BACK_OFF_MS;
                    let pause = back_off_ms(parts.identity.id(), &hook.name, failures + 1, first, most);
                    let later = parts.clock.since_boot_ms().saturating_add(pause.into());
                    self.resting.insert(hook.name, (failures.saturating_add(1), later));
                }
            }
        }
        changed
    }

    /// Whether every hook knows all that is to be known of it.
    pub(super) fn has_told(&self, one: &Open) -> bool {
        self.list.iter().all(|hook| news(hook, one).is_none())
    }

    fn post(&self, parts: &Parts, hook: &Notify, event: &Event) -> Result<(), String> {
        let Some(http) = &self.http else { return Ok(()) };
        if parts.senses.left(&*parts.clock, &parts.config.caps(), Purpose::Alert) == 0 {
            return Err("the budget for mobile networks is used up, the part for alerts too".into());
        }
        let body = serde_json::json!({ "schema": 1, "device": parts.identity.id(), "event": event });
        let body = body.to_string().into_bytes();
        let headers = signed(&parts.identity, &body).map_err(|error| error.to_string())?;
        let answer = http.ask(Method::POST, &hook.url, &headers, body);
        parts.senses.spend(&*parts.clock, http.take_received());
        match answer.map(|answer| answer.status()) {
            Ok(200..=299) => Ok(()),
            Ok(status) => Err(format!("{}: status {status}; 2xx is expected", hook.url)),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// What a hook has not been told of an alert.
fn news(hook: &Notify, one: &Open) -> Option<Change> {
    let meant = one.message.to.is_empty() || one.message.to.contains(&hook.name);
    let told = one.told.get(&hook.name).copied().unwrap_or(0);
    if !meant || one.step < hook.from_step {
        return None;
    }
    let ended = one.over || one.by.is_some();
    match (ended, told) {
        (true, 0) => None,
        (true, _) if one.told_end.contains(&hook.name) => None,
        (true, _) if one.by.is_some() => Some(Change::Acknowledged),
        (true, _) => Some(Change::Over),
        (false, told) if told > one.step => None,
        (false, _) if one.step == 0 => Some(Change::New),
        (false, _) => Some(Change::Escalated),
    }
}

fn signed(identity: &Identity, body: &[u8]) -> std::io::Result<Vec<(HeaderName, String)>> {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let signature = identity.sign(&[b"stopline/webhook/v1\0", body].concat())?;
    Ok(vec![
        (CONTENT_TYPE, "application/json".to_owned()),
        (HeaderName::from_static("stopline-key"), hex(&identity.public_key())),
        (HeaderName::from_static("stopline-signature"), hex(&signature)),
    ])
}
