//! An attended installation from a folder that holds `metadata/` and `targets/`, as on a stick. A person stands by: whose turn
//! it is, and how fresh timestamp, snapshot and roll-out are, is left out. Signatures, the expiry of root, targets and models,
//! floor, hardware, deny list, golden pictures and Trial are not.

use std::collections::BTreeSet;
use std::path::Path;

use stopline_depot::deployment::{DeployCause, Phase};
use stopline_depot::digest::Digest;
use stopline_depot::rollout::State;
use stopline_depot::slots::{Offer, SlotState};
use stopline_tuf::fetch::FolderRepository;
use stopline_tuf::store::FolderStore;
use stopline_tuf::time::ExpiryPolicy;
use stopline_tuf::{Client, RoleName, Session};

use super::fetching::{Source, stage};
use super::{Agent, settings};
use crate::clock::{self, WorkflowClock};
use crate::decision::{Decision, Here, fits};
use crate::download::{Wanted, verify};
use crate::error::AgentError;
use crate::repository::{Candidate, candidate};

/// Name of the roll-out that stands for a person.
pub const ATTENDED: &str = "usb";
/// Files in a model's folder that are looked at, at most.
const MOST_FILES: usize = 1_000;

/// What was installed of one model.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Installed {
    /// The model.
    pub model: String,
    /// Its version.
    pub version: String,
    /// Of `bundle.tar`.
    pub digest: Digest,
}

impl Agent {
    /// Installs the newest bundle of each configured model that `folder` holds.
    ///
    /// # Errors
    /// [`AgentError`]: nothing of the model that it is about was changed. Models before it in the configuration are installed.
    pub fn install(&mut self, folder: &Path) -> Result<Vec<Installed>, AgentError> {
        self.check_power(folder)?;
        self.power.begin("installing bundles from a folder");
        let installed = self.install_all(folder);
        self.rest();
        installed
    }

    fn install_all(&mut self, folder: &Path) -> Result<Vec<Installed>, AgentError> {
        let candidates = self.on_stick(folder)?;
        if candidates.is_empty() {
            let problem = format!(
                "no bundle for {} of {} that lies below targets/models is signed for it",
                self.config.hardware,
                self.config.models.join(", ")
            );
            return Err(refused(folder, DeployCause::Hardware, problem));
        }
        candidates
            .into_iter()
            .map(|(model, candidate)| self.install_one(folder, &model, &candidate))
            .collect()
    }

    /// The newest of each model that may run here.
    fn on_stick(&mut self, folder: &Path) -> Result<Vec<(String, Candidate)>, AgentError> {
        let (mut settings, first_root) = settings(&self.trust()?)?;
        let roles = ["timestamp", "snapshot", "rollout"].map(|name| RoleName::new(name).ok());
        settings.expiry = ExpiryPolicy::Except(roles.into_iter().flatten().collect::<BTreeSet<_>>());
        let store = FolderStore::open(self.depot.paths().metadata()).map_err(stopline_tuf::Error::from)?;
        let metadata = FolderRepository::new(folder.join("metadata"));
        let mut client = Client::new(metadata, store, WorkflowClock(self.clock.clone()), settings);
        let failed = client.refresh().err();
        let mut session = match failed {
            None => client.refresh()?,
            // A stick that is older than what is known here: what is known here stands, and what it still lists is taken.
            Some(error) if error.code() == "rollback" => {
                tracing::info!(id = "ota.usb.older", "{error}; the newer metadata here is used");
                client.resume()?
            }
            Some(error) => return Err(error.into()),
        };
        let mut found = Vec::new();
        for model in &self.config.models {
            found.extend(
                newest(&mut session, folder, model, &self.config.hardware, first_root)?
                    .map(|one| (model.clone(), one)),
            );
        }
        Ok(found)
    }

    fn install_one(
        &mut self,
        folder: &Path,
        model: &str,
        candidate: &Candidate,
    ) -> Result<Installed, AgentError> {
        let digest = candidate.release.unpacked.sha256;
        self.floor.raise(model, candidate.release.security_floor)?;
        self.check_fits(candidate)?;
        let packed = place(folder, candidate)?;
        if self.depot.slot_state(&digest)? != SlotState::Staged {
            // The whole file before a slot is touched: a stick that is damaged at its end changes nothing here.
            let wanted = Wanted { name: &candidate.target, urls: &[], file: &candidate.packed.file };
            verify(&packed, wanted).map_err(|problem| refused(&packed, DeployCause::Content, problem))?;
        }
        let superseded = self.depot.record(|journal| {
            let of_it =
                journal.of(model).is_some_and(|before| before.rollout_id == ATTENDED && before.has_ended());
            if of_it {
                journal.deployments.remove(model);
            }
            Ok(journal.begin(model, ATTENDED, digest, &candidate.target))
        })?;
        if superseded.is_some() {
            self.depot.withdraw(model)?;
        }
        self.told_phase(model, "attended installation");
        if self.depot.slot_state(&digest)? != SlotState::Staged {
            self.advance(model, Phase::Fetching, None, "from a folder")?;
            stage(&mut self.depot, candidate, Source::Full(&packed))?;
        }
        self.advance(model, Phase::Staged, None, "from a folder")?;
        self.depot.offer(&Offer {
            schema: 1,
            rollout_id: ATTENDED.into(),
            model: model.into(),
            digest,
            state: State::Active,
            abort_to: None,
            verified_at: clock::wall_s(&*self.clock),
            verified_since_boot: Some((self.boot_id.clone(), self.clock.since_boot_ms() / 1_000)),
            attended: true,
            forgiven: false,
        })?;
        let version = candidate.release.version.to_string();
        Ok(Installed { model: model.into(), version, digest })
    }

    /// Floor, deny list, verdict, hardware and runtime hold for a person too.
    fn check_fits(&self, candidate: &Candidate) -> Result<(), AgentError> {
        let digest = candidate.release.unpacked.sha256;
        let (trust, runtime) = (self.trust()?, self.runtime_version());
        let here = Here {
            hardware: &self.config.hardware,
            device: self.identity.id(),
            camera: None,
            floor: self.floor_of(&trust, &candidate.release.model),
            denied: trust.denies(&digest),
            bad: self.state.is_bad(&digest)?,
            runtime: runtime.as_ref(),
            begun: false,
        };
        match fits(&candidate.release, &here, false) {
            Decision::Reject(cause) | Decision::Defer(cause) => Err(refused(
                Path::new(&candidate.target),
                cause,
                format!("refused: {}", crate::report::word_of(&cause)),
            )),
            _ => Ok(()),
        }
    }
}

/// The newest release of `model` for this hardware whose file lies in the folder. Names of files are only asked about; what is
/// signed is believed.
fn newest(
    session: &mut Session<'_, FolderRepository, FolderStore>,
    folder: &Path,
    model: &str,
    hardware: &str,
    first_root: u64,
) -> Result<Option<Candidate>, AgentError> {
    let models = folder.join("targets").join("models").join(model);
    let entries = match std::fs::read_dir(&models) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        entries => entries.map_err(AgentError::io(&models))?,
    };
    let mut best: Option<Candidate> = None;
    for entry in entries.take(MOST_FILES) {
        let name = entry.map_err(AgentError::io(&models))?.file_name();
        // With consistent snapshots the digest comes first.
        let Some(name) = name.to_str() else { continue };
        let name =
            name.split_once('.').filter(|(digest, _)| digest.len() >= 64).map_or(name, |(_, name)| name);
        let one = match candidate(session, model, &format!("models/{model}/{name}"), first_root) {
            Err(AgentError::Metadata(stopline_tuf::Error::NoTarget { .. }) | AgentError::Document { .. }) => {
                continue;
            }
            one => one?,
        };
        let here = one.release.hardware.iter().any(|named| named == hardware);
        let newer = best.as_ref().is_none_or(|best| best.release.release_seq < one.release.release_seq);
        if here && newer && place(folder, &one).is_ok() {
            best = Some(one);
        }
    }
    Ok(best)
}

fn place(folder: &Path, candidate: &Candidate) -> Result<std::path::PathBuf, AgentError> {
    let targets = folder.join("targets");
    let places = candidate.packed.places.iter().map(|place| targets.join(place));
    let there = places.into_iter().find(|path| path.is_file());
    there.ok_or_else(|| {
        refused(&targets.join(&candidate.target), DeployCause::Content, "it is not there".into())
    })
}

fn refused(path: &Path, cause: DeployCause, problem: String) -> AgentError {
    AgentError::Refused { path: path.display().to_string(), cause, problem }
}
