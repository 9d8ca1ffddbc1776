//! From frames to samples: which signals of which messages are which quantities.

use std::collections::BTreeMap;

use super::config::VehicleConfig;
use super::history::{Histories, Rule};
use super::{CheckMaker, Quantity, SignalError};
use crate::can::frame::{BusFrame, BusId};
use crate::clock::Monotonic;
use crate::dbc::{Database, DbcError, Message};
use crate::nearest::hint;

/// What a check says of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Counter and checksum are right.
    Accepted,
    /// The same counter as before: the frame says nothing new, and what was said grows old.
    Repeated,
    /// Counter or checksum is wrong: what the frame carries is invalid.
    Refused,
}

/// Checks the counter and checksum of one message. Called once per received frame, in order.
pub trait FrameCheck: Send {
    /// What is to be said of `data`, received at `at`.
    fn check(&mut self, data: &[u8], at: Monotonic) -> Verdict;
}

/// Takes frames, keeps samples.
pub struct Router {
    routes: BTreeMap<BusId, Route>,
    rules: Vec<(Quantity, Rule)>,
}

struct Route {
    message: Message,
    check: Option<Box<dyn FrameCheck>>,
    feeds: Vec<Feed>,
}

struct Feed {
    quantity: Quantity,
    signal: usize,
    factor: f64,
    offset: f64,
    not_available: Vec<u64>,
    on: Vec<u64>,
}

impl Router {
    /// What `config` names, found in `database`.
    ///
    /// # Errors
    /// A message or signal that is not there, there twice, or wrong in the file; a check that cannot be made, or is for a
    /// message that nothing is read from.
    pub fn new<P>(
        config: &VehicleConfig<P>,
        database: &Database,
        checks: &CheckMaker<'_, P>,
    ) -> Result<Self, SignalError> {
        let mut router = Self { routes: BTreeMap::new(), rules: Vec::new() };
        for (quantity, signal) in &config.signals {
            let dbc =
                |source: DbcError| SignalError::Dbc { key: format!("signals.{}", quantity.name()), source };
            let wanted = signal.signal.as_deref().unwrap_or_default();
            let message = match &signal.message {
                Some(name) => database.message(name).map_err(dbc)?,
                None => database.message_with(wanted).map_err(dbc)?.0,
            };
            let feed = Feed {
                quantity: *quantity,
                signal: message.signal(wanted).map_err(dbc)?,
                factor: signal.factor.unwrap_or(1.0),
                offset: signal.offset.unwrap_or(0.0),
                not_available: signal.not_available.clone(),
                on: signal.on.clone(),
            };
            let rule = Rule::of(*quantity, config.max_age(*quantity));
            let possible = (signal.min.unwrap_or(rule.possible.0), signal.max.unwrap_or(rule.possible.1));
            let max_rate = signal.max_rate.or(rule.max_rate);
            router.rules.push((*quantity, Rule { possible, max_rate, ..rule }));
            let route = || Route { message: message.clone(), check: None, feeds: Vec::new() };
            router.routes.entry(message.id).or_insert_with(route).feeds.push(feed);
        }
        for (name, described) in &config.e2e {
            let wrong = |what: String| SignalError::Check { message: name.clone(), what };
            let known: Vec<String> = router.routes.values().map(|route| route.message.name.clone()).collect();
            let route = router.routes.values_mut().find(|route| route.message.name == *name);
            let unread =
                || format!("no signal is read from it{}", hint(name, known.iter().map(String::as_str)));
            let route = route.ok_or_else(|| wrong(unread()))?;
            route.check = Some(checks(described, &route.message).map_err(wrong)?);
        }
        Ok(router)
    }

    /// The identifiers it wants to hear.
    pub fn ids(&self) -> Vec<BusId> {
        self.routes.keys().copied().collect()
    }

    /// Empty histories for its quantities: the last `kept` samples of each, or all where it is 0.
    pub(crate) fn histories(&self, kept: usize) -> Histories {
        let mut histories = Histories::default();
        for (quantity, rule) in &self.rules {
            histories.keep(*quantity, *rule, kept);
        }
        histories
    }

    /// Takes a frame that was received at `at`; whether it was one that is read.
    pub(crate) fn take(&mut self, frame: &BusFrame, at: Monotonic, histories: &mut Histories) -> bool {
        let Some(route) = self.routes.get_mut(&frame.id) else { return false };
        // A frame of another length is another message, or a broken sender: nothing in it means what the file says.
        let whole = frame.data().len() >= route.message.size;
        let verdict = match &mut route.check {
            Some(check) if whole => check.check(frame.data(), at),
            _ if whole => Verdict::Accepted,
            _ => Verdict::Refused,
        };
        match verdict {
            Verdict::Repeated => histories.refused.repeated += 1,
            Verdict::Refused => {
                histories.refused.checks += 1;
                route.feeds.iter().for_each(|feed| histories.add(feed.quantity, at, None));
            }
            Verdict::Accepted => {
                for feed in &route.feeds {
                    match feed.read(&route.message, frame.data()) {
                        Read::Value(value) => histories.add(feed.quantity, at, Some(value)),
                        Read::NotAvailable => histories.add(feed.quantity, at, None),
                        Read::NotThere => {}
                    }
                }
            }
        }
        true
    }
}

enum Read {
    Value(f32),
    /// The sender says that it has none, or it lies beyond the file's range.
    NotAvailable,
    /// Multiplexed, and not in this frame.
    NotThere,
}

impl Feed {
    fn read(&self, message: &Message, data: &[u8]) -> Read {
        let (Some(raw), Some(value)) = (message.raw(self.signal, data), message.value(self.signal, data))
        else {
            return Read::NotThere;
        };
        let (least, most) = message.signals()[self.signal].bounds();
        if self.not_available.contains(&raw) || !(least..=most).contains(&value) {
            return Read::NotAvailable;
        }
        if self.quantity.is_switch() {
            let on = if self.on.is_empty() { raw != 0 } else { self.on.contains(&raw) };
            return Read::Value(f32::from(u8::from(on)));
        }
        #[allow(clippy::cast_possible_truncation, reason = "beyond f32 it is beyond what is possible, too")]
        Read::Value((value * self.factor + self.offset) as f32)
    }
}

#[cfg(test)]
mod tests;
