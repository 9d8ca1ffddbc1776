//! Where things lie, and who writes them. One writer per file: the agent writes its depot, the runtime its state; what
//! both may read, neither may write, lies in the trust folder.
//!
//! ```text
//! depot/                     the agent's
//!   lock                     held by the one updater (flock)
//!   metadata/                its TUF store
//!   journal.json             where each deployment has come, so that every step goes on after a cut
//!   slots/DIGEST/bundle.tar  a bundle, not compressed; never changed once slot.json is there
//!   slots/DIGEST/slot.json   [`SlotRecord`]: Staged
//!   offers/MODEL.json        [`Offer`]
//! state/                     the runtime's
//!   lock                     held by the one runtime (flock)
//!   pointers.json            [`Pointers`]
//!   verdicts/DIGEST.json     [`crate::deployment::Verdict`]
//!   approvals/DIGEST.json    [`crate::deployment::Approval`]
//!   progress/MODEL.json      [`Progress`]: what the runtime did with the offer
//!   session.json             [`Session`]: the boot, and whether the process ended in order
//!   root.json                the newest root that the runtime has followed its own one to
//!   plans/                   what the engine made of a model; 0700
//! trust/                     read only for both
//!   root.json                the runtime's own root
//!   floor.json, deny.json    [`Floor`], [`Deny`]
//! factory/MODEL/bundle.tar   read only for both; never deleted
//! factory/MODEL/slot.json    if it is there, the factory's bundle is judged like any other
//! ```
//!
//! [`Depot`] is the agent's side, [`RuntimeState`] the runtime's, [`Trust`] what both only read.

mod depot;
mod error;
mod files;
mod filling;
mod journal;
mod lock;
mod paths;
mod pointers;
mod state;
#[cfg(test)]
mod tests;
mod trust;

pub use depot::{Depot, RESERVE, SlotState};
pub use error::DepotError;
pub use files::{read, read_bundle, write};
pub use filling::Filling;
pub use journal::{
    Deployment, FIRST_BACK_OFF_S, Journal, LONGEST_BACK_OFF_S, MAX_MODELS, MAX_TRANSITIONS, back_off_s,
};
pub use lock::Lock;
pub use paths::{DepotPaths, FactoryPaths, StatePaths, TrustPaths};
pub use pointers::{FORGIVEN_POWER_CUTS, PointerError, Restart};
pub use state::{RuntimeState, StateReader};
pub use trust::{MAX_ROOT, Trust};

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::deployment::{DeployCause, Exposure, Phase};
use crate::digest::Digest;
use crate::disk::Disk;
use crate::release::Release;
use crate::rollout::State;
use crate::versioned::{Versioned, VersionedError, check_name};

/// The record of a Staged slot; none if it is not Staged.
///
/// # Errors
/// [`DepotError::File`] for a record that is newer than this program, broken, or speaks of another digest;
/// [`DepotError::Io`].
pub fn slot_record(
    disk: &impl Disk,
    paths: &DepotPaths,
    digest: &Digest,
) -> Result<Option<SlotRecord>, DepotError> {
    let path = paths.slot_record(digest);
    let record: Option<SlotRecord> = read(disk, &path)?;
    match record {
        Some(record) if record.digest != *digest => {
            let problem = format!("it speaks of {}", record.digest);
            let source = VersionedError::Refused { name: SlotRecord::NAME, problem };
            Err(DepotError::File { path, source })
        }
        record => Ok(record),
    }
}

/// A slot that is Staged; without it the slot is Filling or Empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlotRecord {
    /// Schema, [`Versioned::SCHEMA`].
    pub schema: u32,
    /// Of `bundle.tar`, as read back after writing.
    pub digest: Digest,
    /// Its bytes.
    pub length: u64,
    /// What was signed of it.
    pub release: Release,
    /// Target path it is signed under.
    pub target: String,
    /// The TUF files that speak for it, by which the runtime judges for itself.
    pub evidence: StoredEvidence,
}

/// Files of [`stopline_tuf::judge::Evidence`] as text; TUF metadata is JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredEvidence {
    /// Roots in the order of their versions.
    pub roots: Vec<String>,
    /// Top-level targets.
    pub targets: String,
    /// Delegated roles by name.
    pub delegated: BTreeMap<String, String>,
}

impl Versioned for SlotRecord {
    const SCHEMA: u32 = 1;
    const NAME: &'static str = "slot record";
    const LIMIT: usize = 16 << 20;

    fn check(&self) -> Result<(), String> {
        self.release.check()?;
        let said = self.release.unpacked;
        if (said.sha256, said.length) == (self.digest, self.length) {
            return Ok(());
        }
        Err(format!(
            "{} of {} bytes, and the release says {} of {}",
            self.digest, self.length, said.sha256, said.length
        ))
    }
}

/// What the agent offers for a model: a hint. The runtime believes nothing of it that it has not judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// Schema, [`Versioned::SCHEMA`].
    pub schema: u32,
    /// The roll-out, or `usb` for one that was brought by hand.
    pub rollout_id: String,
    /// The model.
    pub model: String,
    /// The bundle, in its slot.
    pub digest: Digest,
    /// Whether the roll-out goes on; aborted asks the runtime to go back to `abort_to`.
    pub state: State,
    /// Where to go when it is aborted, if it lies in a slot here; else the previous one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abort_to: Option<Digest>,
    /// Seconds since 1970 at which the roll-out's metadata was last verified, by a synchronised clock; none if it was not.
    pub verified_at: Option<i64>,
    /// The boot and the seconds after it at which it was last verified: how old it is without a clock that can be set.
    pub verified_since_boot: Option<(String, u64)>,
    /// Whether a person brought it: no roll-out stands behind it.
    #[serde(default)]
    pub attended: bool,
    /// A Bad verdict does not count.
    #[serde(default)]
    pub forgiven: bool,
}

impl Versioned for Offer {
    const SCHEMA: u32 = 1;
    const NAME: &'static str = "offer";
    const LIMIT: usize = 16 << 10;

    fn check(&self) -> Result<(), String> {
        check_name("rollout_id", &self.rollout_id)?;
        check_name("model", &self.model)
    }
}

/// Which bundle decides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pointers {
    /// Schema, [`Versioned::SCHEMA`].
    pub schema: u32,
    /// By model.
    pub models: BTreeMap<String, ModelPointers>,
}

/// Which bundles of one model matter. None anywhere means the factory's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelPointers {
    /// Decides. While `trial` is set it is on trial.
    pub current: Option<Digest>,
    /// Decided before; gone back to.
    pub previous: Option<Digest>,
    /// Waits to decide.
    pub candidate: Option<Digest>,
    /// The trial that goes on.
    pub trial: Option<Trial>,
}

/// A trial that goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// The roll-out.
    pub rollout_id: String,
    /// Boot in which it began or was last taken up: another one without a crash marker is a power cut.
    pub boot_id: String,
    /// Power cuts so far; one is forgiven.
    pub power_cuts: u32,
    /// What was counted.
    pub exposure: Exposure,
}

impl Versioned for Pointers {
    const SCHEMA: u32 = 1;
    const NAME: &'static str = "pointers";
    const LIMIT: usize = 1 << 20;

    fn check(&self) -> Result<(), String> {
        self.models.keys().try_for_each(|name| check_name("models", name))
    }
}

/// What a process of the runtime was: its boot, and whether it ended in order. One that did not, in a boot that still goes
/// on, crashed; in another boot the power was cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// Schema, [`Versioned::SCHEMA`].
    pub schema: u32,
    /// The kernel's id of the boot.
    pub boot_id: String,
    /// It ended because it was told to.
    pub ended: bool,
    /// It ended by a fault of its own and could still say so: the crash marker.
    #[serde(default)]
    pub crashed: bool,
    /// Processes in a row that crashed before they had run long enough to count as sound.
    #[serde(default)]
    pub crashes: u32,
}

impl Versioned for Session {
    const SCHEMA: u32 = 1;
    const NAME: &'static str = "session";
    const LIMIT: usize = 4 << 10;
}

/// What the runtime did with an offer; the agent reads it, reports it and offers again where it may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// Schema, [`Versioned::SCHEMA`].
    pub schema: u32,
    /// The roll-out.
    pub rollout_id: String,
    /// The bundle.
    pub digest: Digest,
    /// How far it is.
    pub phase: Phase,
    /// Why, where there is a reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<DeployCause>,
    /// In words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// What was counted in Shadow or Trial.
    #[serde(default)]
    pub exposure: Exposure,
}

impl Versioned for Progress {
    const SCHEMA: u32 = 1;
    const NAME: &'static str = "progress";
    const LIMIT: usize = 64 << 10;

    fn check(&self) -> Result<(), String> {
        check_name("rollout_id", &self.rollout_id)
    }
}

/// What the bundle that decides has done since it took its place, in Trial and ever after. The agent tells it now and then:
/// who has a new model is compared with who has not, and those say so by it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceRecord {
    /// Schema, [`Versioned::SCHEMA`].
    pub schema: u32,
    /// The roll-out that brought it, [`FACTORY`] or [`RETURNED`].
    pub rollout_id: String,
    /// The bundle.
    pub digest: Digest,
    /// What was counted; several models of one device count the same situations.
    pub exposure: Exposure,
}

/// In place of a roll-out: the bundle came with the device.
pub const FACTORY: &str = "factory";

/// In place of a roll-out: the bundle took its place again when another one was taken back.
pub const RETURNED: &str = "returned";

impl Versioned for ServiceRecord {
    const SCHEMA: u32 = 1;
    const NAME: &'static str = "service record";
    const LIMIT: usize = 16 << 10;

    fn check(&self) -> Result<(), String> {
        check_name("rollout_id", &self.rollout_id)
    }
}

/// Oldest releases that may be loaded for the first time, by model.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Floor {
    /// Schema, [`Versioned::SCHEMA`].
    pub schema: u32,
    /// Least `release_seq` by model.
    pub models: BTreeMap<String, u64>,
}

impl Versioned for Floor {
    const SCHEMA: u32 = 1;
    const NAME: &'static str = "floor";
    const LIMIT: usize = 1 << 20;
}

/// Bundles that are never loaded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deny {
    /// Schema, [`Versioned::SCHEMA`].
    pub schema: u32,
    /// Digests of `bundle.tar`.
    pub digests: BTreeSet<Digest>,
}

impl Versioned for Deny {
    const SCHEMA: u32 = 1;
    const NAME: &'static str = "deny list";
    const LIMIT: usize = 1 << 20;
}
