//! Settings from afar in the running agent: taken when the repository names them, good when home answers under them. What they say
//! of capture is the runtime's to take: it finds what is in force in `DEPOT/capture-limits.json`.

use reqwest::Method;
use stopline_depot::capture::CaptureLimits;
use stopline_depot::disk::{Disk as _, RealDisk, replace};
use stopline_depot::settings::Document;
use stopline_depot::versioned::{self, Versioned as _};

use super::Agent;
use super::campaigns::taken_away;
use crate::error::AgentError;
use crate::fleet::Line;
use crate::settings::{Keeper, Mine, document_path};

impl Agent {
    /// Takes what the repository says is set. What cannot be had or is refused changes nothing, and keeps no roll-out waiting.
    pub(super) fn take_settings(&mut self, set: Result<Option<(Vec<u8>, Document)>, AgentError>) {
        let taken = set.and_then(|set| self.settings_said(set));
        if let Err(error) = taken {
            tracing::warn!(id = "ota.settings.refused", code = error.code(), "{error}; what is set stays");
        }
    }

    fn settings_said(&mut self, set: Option<(Vec<u8>, Document)>) -> Result<(), AgentError> {
        let Some((bytes, document)) = set else { return self.keeper.said(None) };
        let path = document_path(&self.config.home);
        if std::fs::read(&path).ok().as_deref() != Some(bytes.as_slice()) {
            replace(&mut RealDisk, &path, &bytes).map_err(AgentError::io(&path))?;
        }
        let mine = document.of(&self.config.hardware, self.identity.id()).map(Mine::from);
        self.keeper.said(mine)
    }

    /// The repository was reached; where settings are on trial the fleet's server must answer this device too.
    pub(super) fn home_answers(&mut self) {
        if !self.keeper.is_on_trial() || self.keeper.begins_anew() {
            return;
        }
        match self.ask_fleet() {
            Ok(()) => self.keeper.confirmed(),
            Err(problem) => {
                tracing::warn!(id = "ota.settings.unconfirmed", "{problem}; the settings stay on trial");
            }
        }
    }

    fn ask_fleet(&self) -> Result<(), String> {
        let Some(url) = &self.config.fleet_url else { return Ok(()) };
        let (papers, runtime) = (self.papers.clone(), self.runtime.clone());
        let line = Line::open(url, &self.config.download, papers, runtime, self.clock.clone());
        let mut line = line.map_err(|error| error.to_string())?;
        // How much it has of a batch that nobody made.
        let nothing = format!("v1/batches/{}", "0".repeat(64));
        let asked = line.ask(Method::GET, &nothing, &[], Vec::new());
        self.senses.spend(&*self.clock, line.take_received());
        asked.map(drop).map_err(|refusal| refusal.to_string())
    }

    /// Puts the capture limits in force where the runtime looks, or takes them away where none are: those on trial too, and
    /// again what was good where the device goes back.
    pub(super) fn tell_capture_limits(&mut self) {
        let problem = self.told_limits().err().map(|error| error.to_string());
        if let Some(problem) = problem.as_ref().filter(|problem| self.limits_untold.as_ref() != Some(problem))
        {
            tracing::warn!(
                id = "ota.settings.capture",
                "capture limits: {problem}; the runtime keeps those it has"
            );
        }
        self.limits_untold = problem;
    }

    fn told_limits(&self) -> Result<(), AgentError> {
        let path = self.depot.paths().capture_limits();
        let running = self.keeper.kept().running.as_ref().filter(|_| self.config.remote.is_some());
        let Some(mine) = running.filter(|mine| !mine.settings.capture.is_empty()) else {
            return taken_away(&path);
        };
        let set_by = format!("{} {}", mine.cohort, mine.revision);
        let limits =
            CaptureLimits { schema: CaptureLimits::SCHEMA, set_by, rules: mine.settings.capture.clone() };
        let refused = |source| AgentError::Document { path: path.display().to_string(), source };
        let bytes = versioned::write(&limits).map_err(refused)?;
        let limit = u64::try_from(CaptureLimits::LIMIT).unwrap_or(u64::MAX);
        if RealDisk.read(&path, limit).ok().flatten().as_deref() == Some(bytes.as_slice()) {
            return Ok(());
        }
        replace(&mut RealDisk, &path, &bytes).map_err(AgentError::io(&path))?;
        tracing::info!(
            id = "ota.settings.limits",
            "capture limits of {}: the runtime is told",
            limits.set_by
        );
        Ok(())
    }

    /// What is set from afar.
    pub fn settings(&self) -> &Keeper {
        &self.keeper
    }
}
