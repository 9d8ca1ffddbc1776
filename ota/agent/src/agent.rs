//! The agent's one piece of state and its two steps: [`Agent::poll`] asks the repository and acts on what it says,
//! [`Agent::look`] takes up what the runtime has done and what was put off. Each goes on after a cut: what matters lies in
//! the depot's journal, slots and offers.

mod acting;
mod campaigns;
mod enrolling;
mod exposing;
mod fetching;
mod floor;
mod following;
mod kept;
mod powering;
mod renewing;
mod setting;
pub mod usb;
mod watch;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use semver::Version;
use stopline_depot::deployment::DeployCause;
use stopline_depot::digest::Digest;
use stopline_depot::disk::{RealDisk, replace};
use stopline_depot::health::Health;
use stopline_depot::rollout::Rollout;
use stopline_depot::slots::{Depot, DepotPaths, StatePaths, StateReader, Trust, TrustPaths};
use stopline_depot::versioned;
use stopline_tuf::store::{FolderStore, MemoryStore};
use stopline_tuf::{Client, Settings, install_root};
use tokio::runtime::Handle;

use crate::budget::{Meter, Purpose};
use crate::clock::{self, Clock, WorkflowClock};
use crate::config::Config;
use crate::error::AgentError;
use crate::http::{Cause, Http};
use crate::identity::Identity;
use crate::power::Power;
use crate::report::Reporter;
use crate::repository::{self, Directive, WebMetadata, WebTargets, directive};
use crate::sequence::Sequence;
use crate::settings::Keeper;
use crate::spool::Spool;
use crate::surroundings::Senses;
use crate::tls::{Papers, TimeBound, TlsError};
use exposing::Exposing;
use floor::SeenFloor;
use watch::Watch;

pub use floor::path as floor_path;
pub(crate) use renewing::without_redirects;

/// The agent.
#[derive(Debug)]
pub struct Agent {
    pub(crate) config: Config,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) identity: Identity,
    pub(crate) boot_id: String,
    http: Http,
    bound: TimeBound,
    papers: Papers,
    /// [`Papers::mark`] when `http` was made.
    mark: Digest,
    runtime: Handle,
    floor: SeenFloor,
    depot: Depot<RealDisk>,
    state: StateReader<RealDisk>,
    senses: Senses,
    power: Power,
    reporter: Reporter,
    sequence: Sequence,
    watch: Watch,
    exposing: Exposing,
    keeper: Keeper,
    /// Why the runtime could not be told of capture limits, when that was told last.
    limits_untold: Option<String>,
    directives: BTreeMap<String, Directive>,
    /// When the newest metadata was verified: by the wall clock, and since boot in seconds.
    verified: Option<(Option<i64>, u64)>,
    /// Milliseconds since boot before which a model is not tried again.
    retry_at: BTreeMap<String, u64>,
    /// Whether a person asks: pauses after failures do not hold then.
    asked: bool,
}

/// A pause after a failure that a person's question ended.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct PassedOver {
    /// The model.
    pub model: String,
    /// Why it waited.
    pub cause: Option<DeployCause>,
    /// Seconds that it would have waited on.
    pub seconds: u64,
}

/// Why there is no agent.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The configuration cannot be used.
    #[error("configuration: {0}")]
    Config(String),
    /// Its identity cannot be used.
    #[error(transparent)]
    Identity(#[from] crate::identity::IdentityError),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The depot cannot be opened, or what lies in the agent's own folder.
    #[error(transparent)]
    Agent(#[from] AgentError),
}

impl Agent {
    /// Opens depot, identity and spool. `runtime` carries the connections; the caller must not be on it.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(config: Config, clock: Arc<dyn Clock>, runtime: Handle) -> Result<Self, OpenError> {
        std::fs::create_dir_all(config.home.join("rollouts")).map_err(AgentError::io(&config.home))?;
        let identity = Identity::of(&config)?;
        let mut keeper = Keeper::open(&config.home);
        let config = keeper.in_force(config);
        let bound = TimeBound::default();
        let papers = Papers::new(&config, &identity, clock.clone(), bound.clone());
        let mark = papers.mark();
        let http = Http::new(&config.download, papers.client()?, runtime.clone(), clock.clone())
            .map_err(AgentError::from)?;
        let floor = SeenFloor::open(&config.home)?;
        let depot = Depot::open(DepotPaths::new(&config.depot)).map_err(AgentError::from)?;
        let state = StateReader::new(StatePaths::new(&config.state));
        let zone = config.zone().map_err(OpenError::Config)?;
        let meter =
            Meter::open(&config.home, zone.clone(), config.budget.clone(), config.window.mobile_day_bytes);
        let senses = Senses::new(config.device.clone(), zone, meter);
        let power = Power::new(&config, clock.clone());
        let boot_id = clock::boot_id();
        let sequence = Sequence::open(&config.home, boot_id.clone());
        let spool = Spool::open(&config.home, sequence.clone()).map_err(AgentError::io(&config.home))?;
        let reporter = Reporter::new(config.hardware.clone(), config.metrics_file.clone(), spool);
        let watch = Watch::open(&config.home, config.poll.watch_s);
        let exposing = Exposing::open(&config.home);
        let mut agent = Self {
            config,
            clock,
            identity,
            boot_id,
            http,
            bound,
            papers,
            mark,
            runtime,
            floor,
            depot,
            state,
            senses,
            power,
            reporter,
            sequence,
            watch,
            exposing,
            keeper,
            limits_untold: None,
            directives: BTreeMap::new(),
            verified: None,
            retry_at: BTreeMap::new(),
            asked: false,
        };
        agent.tell_capture_limits();
        Ok(agent)
    }

    /// A person asks: as [`Self::poll`], and pauses after failures end. Windows, room and budgets hold for a person too.
    ///
    /// # Errors
    /// As [`Self::poll`].
    pub fn check_now(&mut self) -> Result<Vec<PassedOver>, AgentError> {
        let held = self.held();
        for one in &held {
            tracing::info!(
                id = "ota.asked",
                model = one.model,
                seconds = one.seconds,
                "a person asks: the pause after a failure ends now"
            );
        }
        self.asked = true;
        let polled = self.poll();
        self.asked = false;
        polled.map(|()| held)
    }

    /// Asks the repository and acts on what it says. What one model meets does not keep the others from going on.
    ///
    /// # Errors
    /// Why the repository's metadata could not be had or was not accepted; nothing new is begun then, and what is installed
    /// stays.
    pub fn poll(&mut self) -> Result<(), AgentError> {
        let polled = self.ask();
        self.rest();
        polled
    }

    fn ask(&mut self) -> Result<(), AgentError> {
        self.enrol();
        self.renew();
        // Who asks means what the repository says now, not what it said last.
        let asked = std::mem::take(&mut self.asked);
        self.take_up();
        self.asked = asked;
        self.check_budget()?;
        let refreshed = self.refresh();
        let code = refreshed.as_ref().map_or_else(AgentError::code, |()| "ok");
        let received = self.http.take_received();
        self.senses.spend(&*self.clock, received);
        self.reporter.polled(code, received);
        match &refreshed {
            Ok(()) => tracing::debug!(id = "ota.poll", received, "asked the repository"),
            Err(error) => tracing::warn!(id = "ota.poll.failed", code, "{}", Cause::of(error)),
        }
        refreshed?;
        self.home_answers();
        self.watch.polled();
        for model in self.config.models.clone() {
            self.act_and_tell(&model);
        }
        self.send_outcomes();
        Ok(())
    }

    /// Takes up what the runtime has done and what was put off.
    pub fn look(&mut self) {
        self.take_up();
        self.rest();
    }

    fn take_up(&mut self) {
        self.keeper.tick(self.clock.since_boot_ms());
        self.tell_capture_limits();
        for model in self.config.models.clone() {
            if let Err(error) = self.follow(&model) {
                tracing::warn!(id = "ota.progress.unreadable", model, "{error}");
            }
            self.expose(&model);
            if self.verified.is_some() && self.is_due(&model) {
                self.act_and_tell(&model);
            }
        }
    }

    /// Sends outcomes that wait.
    pub fn send_outcomes(&mut self) {
        let Some(url) = self.config.outcomes_url.clone() else { return };
        match self.reporter.spool.post(&self.http, &url) {
            Ok(ends) => self.reporter.ended(&ends),
            Err(error) => tracing::warn!(id = "ota.outcomes.failed", "outcomes: {error}"),
        }
    }

    /// Seconds to the next poll that a model under watch asks for.
    pub fn watch_s(&self) -> Option<u32> {
        let journal = self.depot.journal();
        let phases = self.config.models.iter().filter_map(|model| Some((model, journal.of(model)?.phase)));
        let watched = phases.into_iter().any(|(model, phase)| self.watch.is_on(model, phase));
        watched.then_some(self.config.poll.watch_s)
    }

    /// The local second of the day, where the clock is synchronised.
    pub fn local_second(&self) -> Option<u32> {
        let zone = self.config.zone().ok()?;
        clock::local(&*self.clock, &zone).map(|(_, second)| second)
    }

    /// What the journal says of a model.
    pub fn deployment(&self, model: &str) -> Option<&stopline_depot::slots::Deployment> {
        self.depot.journal().of(model)
    }

    /// Outcomes that wait.
    pub fn spool(&self) -> &Spool {
        &self.reporter.spool
    }

    /// What the device knows of its surroundings; it counts what goes over mobile networks.
    pub fn senses(&self) -> &Senses {
        &self.senses
    }

    /// Numbers of messages, outcomes and batches.
    pub fn sequence(&self) -> &Sequence {
        &self.sequence
    }

    /// What a connection to a broker shows.
    pub fn papers(&self) -> &Papers {
        &self.papers
    }

    /// A poll costs bytes too. A deployment that goes on is the runtime's to end meanwhile.
    fn check_budget(&mut self) -> Result<(), AgentError> {
        if self.senses.left(&*self.clock, &self.config.caps(), Purpose::Small) > 0 {
            return Ok(());
        }
        self.reporter.polled("budget", 0);
        tracing::warn!(id = "ota.poll.budget", "{}", AgentError::Budget);
        Err(AgentError::Budget)
    }

    fn refresh(&mut self) -> Result<(), AgentError> {
        let trust = self.trust()?;
        let (settings, first_root) = settings(&trust)?;
        let store = FolderStore::open(self.depot.paths().metadata()).map_err(stopline_tuf::Error::from)?;
        let web = WebMetadata::new(
            self.http.clone(),
            &self.config.repository,
            self.config.home.join("timestamp.etag"),
        );
        let mut client = Client::new(&web, store, WorkflowClock(self.clock.clone()), settings);
        let session = client.refresh();
        if let Err(error) = &session
            && error.code() != "fetch"
        {
            // Whatever stands in the way, the next answer must come whole.
            web.forget();
        }
        let mut session = session?;
        self.bound.raise(session.now().at());
        let mut small = WebTargets { http: &self.http, base: &self.config.repository };
        let mut said = Vec::new();
        for model in &self.config.models {
            let cached = rollout_path(&self.config, model);
            let one = (model.as_str(), self.config.hardware.as_str());
            said.push((model.clone(), directive(&mut session, &mut small, one, &cached, first_root)));
        }
        let cached = crate::settings::document_path(&self.config.home);
        let asked = self.config.remote.is_some();
        let set = asked.then(|| repository::settings(&mut session, &mut small, &cached));
        let brings = self.config.remote.as_ref().is_some_and(|remote| remote.campaigns);
        let cached = campaigns::document_path(&self.config.home);
        let by = (self.identity.id(), cached.as_path());
        let frames = brings.then(|| repository::campaigns(&mut session, &mut small, by, first_root));
        drop(session);
        if let Some(set) = set {
            self.take_settings(set);
        }
        self.bring_campaigns(frames.unwrap_or(Ok(None)));
        self.verified = Some((clock::wall_s(&*self.clock), self.clock.since_boot_ms() / 1_000));
        said.into_iter().try_for_each(|(model, said)| self.take_directive(&model, said))
    }

    /// Takes what is said of one model; a refusal is told and ends nothing but what is new.
    fn take_directive(
        &mut self,
        model: &str,
        said: Result<Option<Directive>, AgentError>,
    ) -> Result<(), AgentError> {
        let said = match said {
            Err(error @ (AgentError::Http(_) | AgentError::Io { .. })) => return Err(error),
            Err(AgentError::Metadata(error)) if matches!(error.code(), "fetch" | "store") => {
                return Err(error.into());
            }
            Err(error) => {
                tracing::warn!(
                    id = "ota.refused",
                    model,
                    code = error.code(),
                    cause = crate::report::word_of(&error.cause()),
                    "{error}"
                );
                self.reporter.polled(error.code(), 0);
                self.directives.remove(model);
                return Ok(());
            }
            Ok(said) => said,
        };
        let Some(said) = said else {
            self.directives.remove(model);
            return Ok(());
        };
        if let Some(candidate) = &said.candidate {
            self.floor.raise(model, candidate.release.security_floor)?;
        }
        let path = rollout_path(&self.config, model);
        let before = std::fs::read(&path).ok().and_then(|bytes| versioned::read::<Rollout>(&bytes).ok());
        if let Some(Err(problem)) = before.map(|before| before.may_become(&said.rollout)) {
            tracing::warn!(id = "ota.refused", model, code = "rollout_changed", "{problem}");
            self.reporter.polled("rollout_changed", 0);
            return Ok(());
        }
        if std::fs::read(&path).ok().as_deref() != Some(said.document.as_slice()) {
            replace(&mut RealDisk, &path, &said.document).map_err(AgentError::io(&path))?;
        }
        self.directives.insert(model.to_owned(), said);
        Ok(())
    }

    fn trust(&self) -> Result<Trust, AgentError> {
        Ok(Trust::read(&RealDisk, &TrustPaths::new(&self.config.trust))?)
    }

    /// Least `release_seq` of a model: the trust folder's floor, or the highest that a signed release named.
    fn floor_of(&self, trust: &Trust, model: &str) -> u64 {
        trust.floor_of(model).max(self.floor.of(model))
    }

    /// The runtime's version, as its health file says.
    fn runtime_version(&self) -> Option<Version> {
        let health = Health::read(self.config.device.health_file.as_deref()?).ok()?;
        Version::parse(&health.version).ok()
    }
}

/// How the workflow runs, and the first version of root metadata that the runtime, which begins at the same one, needs.
fn settings(trust: &Trust) -> Result<(Settings, u64), AgentError> {
    let root = install_root(&mut MemoryStore::default(), &trust.root)?;
    let settings = Settings { anchor: Some(trust.root.clone()), ..Settings::new(clock::not_before()) };
    Ok((settings, root.version.saturating_add(1)))
}

fn rollout_path(config: &Config, model: &str) -> PathBuf {
    config.home.join("rollouts").join(format!("{model}.json"))
}
