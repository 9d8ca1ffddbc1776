//! Each transition of a deployment is told three times: one log line with a stable id, one metric, one signed outcome.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use stopline_depot::deployment::{DeployCause, Exposure, Outcome, Phase};
use stopline_depot::digest::Digest;

use crate::identity::Identity;
use crate::spool::{End, Spool};

/// What happened to a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// The model.
    pub model: String,
    /// The roll-out.
    pub rollout_id: String,
    /// The bundle.
    pub digest: Digest,
    /// Where it is now.
    pub phase: Phase,
    /// Why, where there is a reason.
    pub cause: Option<DeployCause>,
    /// In words.
    pub detail: String,
    /// What was counted.
    pub exposure: Option<Exposure>,
}

/// Tells what happens.
#[derive(Debug)]
pub struct Reporter {
    hardware: String,
    metrics_file: Option<PathBuf>,
    counters: BTreeMap<String, u64>,
    /// Outcomes that wait.
    pub spool: Spool,
    /// How many transitions were told since the start.
    pub told: u64,
}

impl Reporter {
    /// For a device of this hardware.
    pub fn new(hardware: String, metrics_file: Option<PathBuf>, spool: Spool) -> Self {
        Self { hardware, metrics_file, counters: BTreeMap::new(), spool, told: 0 }
    }

    /// Tells a transition.
    pub fn tell(&mut self, identity: &Identity, transition: Transition) {
        let Transition { model, rollout_id, digest, phase, cause, detail, exposure } = transition;
        let (word, why) = (word_of(&phase), cause.map(|cause| word_of(&cause)).unwrap_or_default());
        tracing::info!(
            id = format!("ota.{word}"), model, rollout_id, %digest, cause = why, detail,
            "deployment of {model}: {word}"
        );
        self.count(
            &format!(
                "stopline_agent_transitions_total{{model=\"{model}\",phase=\"{word}\",cause=\"{why}\"}}"
            ),
            1,
        );
        self.sign(identity, (model, rollout_id, digest), (phase, cause), exposure);
        self.told += 1;
        self.write();
    }

    /// Tells what a bundle has done in service: no transition, and so neither a log line nor one among their counts.
    pub fn expose(&mut self, identity: &Identity, exposed: Transition) {
        let Transition { model, rollout_id, digest, phase, exposure, .. } = exposed;
        tracing::debug!(id = "ota.exposure", model, rollout_id, %digest, "what it did is told");
        self.count(&format!("stopline_agent_exposures_total{{model=\"{model}\"}}"), 1);
        self.sign(identity, (model, rollout_id, digest), (phase, None), exposure);
        self.write();
    }

    /// Signs it and lets it wait for the fleet's receipt.
    fn sign(
        &mut self,
        identity: &Identity,
        (model, rollout_id, digest): (String, String, Digest),
        (phase, cause): (Phase, Option<DeployCause>),
        exposure: Option<Exposure>,
    ) {
        let outcome = Outcome {
            schema: 1,
            device: identity.id().to_owned(),
            boot_id: String::new(),
            seq: 0,
            rollout_id,
            hardware: self.hardware.clone(),
            model: Some(model),
            digest,
            phase,
            cause,
            exposure,
        };
        match self.spool.put(identity, outcome) {
            Ok(0) => {}
            Ok(evicted) => self.ended(&vec![End::Evicted; evicted]),
            // The log has it; the update goes on.
            Err(error) => tracing::warn!(id = "ota.outcome.lost", "an outcome could not be kept: {error}"),
        }
    }

    /// Counts how outcomes ended.
    pub fn ended(&mut self, ends: &[End]) {
        for end in ends {
            let word = match end {
                End::Delivered => "delivered",
                End::Rejected => "rejected",
                End::Evicted => "evicted",
            };
            self.count(&format!("stopline_agent_outcomes_total{{end=\"{word}\"}}"), 1);
        }
    }

    /// Counts a poll, by what came of it: `ok` or the code of what went wrong.
    pub fn polled(&mut self, code: &str, bytes: u64) {
        self.count(&format!("stopline_agent_polls_total{{result=\"{code}\"}}"), 1);
        self.count("stopline_agent_received_bytes_total", bytes);
        self.write();
    }

    /// Counts a renewal of the certificate, by what came of it: `ok` or the code of what went wrong.
    pub fn renewed(&mut self, code: &str) {
        self.count(&format!("stopline_agent_renewals_total{{result=\"{code}\"}}"), 1);
        self.write();
    }

    fn count(&mut self, name: &str, by: u64) {
        let counter = self.counters.entry(name.to_owned()).or_default();
        *counter = counter.saturating_add(by);
    }

    /// The text format of Prometheus, put in place whole. It is gone after a power cut, and nobody minds.
    fn write(&self) {
        let Some(path) = &self.metrics_file else { return };
        let mut text = String::new();
        let mut last = "";
        for (name, value) in &self.counters {
            let metric = name.split('{').next().unwrap_or(name);
            if metric != last {
                let _ = writeln!(text, "# TYPE {metric} counter");
                last = metric;
            }
            let _ = writeln!(text, "{name} {value}");
        }
        let beside = stopline_depot::disk::beside(path);
        let written = std::fs::write(&beside, text).and_then(|()| std::fs::rename(&beside, path));
        if let Err(error) = written {
            tracing::debug!("{}: {error}", path.display());
        }
    }
}

/// A phase or cause as its stable word.
pub fn word_of(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
