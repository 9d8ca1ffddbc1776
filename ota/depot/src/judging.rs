//! Whether a bundle may be loaded, judged by one who believes nobody: the bytes at hand, the evidence beside them, and
//! trust that lies where no updater can write.
//!
//! The first time a digest is loaded everything is judged ([`Trust::judge`]): the chain of roots from one's own,
//! targets, the role [`MODELS`] with its threshold, that the release speaks of these very bytes, hardware, runtime, floor
//! and deny list. Expiry is not: a model that was accepted once still loads after a year in a garage. What was found out
//! is an [`Approval`]; later loads ask only that, the deny list and the floor ([`Trust::recall`]), so that a rotation of
//! keys sends nobody back to the factory's model.

use std::path::Path;

use semver::Version;
use stopline_tuf::judge::{Evidence, Judge};
use stopline_tuf::metadata::TargetCheck;
use stopline_tuf::{RoleName, TargetPath};

use crate::campaign::{self, Brought, Campaigns};
use crate::deployment::{Approval, DeployCause};
use crate::digest::Digest;
use crate::disk::Disk;
use crate::release::Release;
use crate::slots::{self, DepotError, MAX_ROOT, SlotRecord, StoredEvidence, TrustPaths};
use crate::versioned::{self, Versioned as _, VersionedError};

/// The delegated role that alone may speak for models.
pub const MODELS: &str = "models";
/// The target paths that it may speak for.
pub const PATTERN: &str = "models/*/*";
/// The delegated role that alone may ask for frames.
pub const CAMPAIGNS: &str = "campaigns";
/// The target paths that it may speak for.
pub const CAMPAIGNS_PATTERN: &str = "campaigns/*";

/// What is trusted: a root, the floors, the deny list.
#[derive(Debug, Clone)]
pub struct Trust {
    judge: Judge,
    lists: slots::Trust,
}

/// Bytes that are to be loaded, and by whom.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The model that they are to be.
    pub model: &'a str,
    /// Of the bytes in memory.
    pub digest: &'a Digest,
    /// How many they are.
    pub length: u64,
    /// This device's hardware variant.
    pub hardware: &'a str,
    /// The runtime that is to load them.
    pub runtime: &'a Version,
}

/// A bundle that was judged for the first time.
#[derive(Debug, Clone)]
pub struct Judged {
    /// To be kept: later loads need no more.
    pub approval: Approval,
    /// What was signed of it.
    pub release: Release,
    /// A root newer than one's own, to be kept so that an older one is never taken again.
    pub newer_root: Option<Vec<u8>>,
}

/// Why a bundle is not loaded.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// There is nothing to judge by. Fails closed.
    #[error("no trust to judge by: {0}")]
    Trust(#[from] DepotError),
    /// The root that lies there is none.
    #[error("{path}: no root that could be trusted: {source}; install the one that the device was made with")]
    Root {
        /// The file.
        path: String,
        /// What is wrong with it.
        source: stopline_tuf::Error,
    },
    /// Signatures, thresholds or roles do not hold.
    #[error("the evidence does not hold ({code}): {0}", code = .0.code())]
    Evidence(#[from] stopline_tuf::Error),
    /// What is signed is not what lies there.
    #[error("{what}: {found} where {expected} is signed")]
    Content {
        /// Which part.
        what: &'static str,
        /// What lies there.
        found: String,
        /// What is signed.
        expected: String,
    },
    /// A format that is newer than this program, or broken.
    #[error(transparent)]
    Format(#[from] VersionedError),
    /// On the deny list.
    #[error("{0} is on the deny list")]
    Denied(Digest),
    /// Older than the floor.
    #[error("release {found} is below the security floor {floor}")]
    Floor {
        /// Its place in the order of releases.
        found: u64,
        /// The least that is loaded for the first time.
        floor: u64,
    },
    /// For other hardware.
    #[error("it is for {expected:?}, this is {found:?}")]
    Hardware {
        /// This device.
        found: String,
        /// Those it is for.
        expected: Vec<String>,
    },
    /// For a newer runtime.
    #[error("it needs runtime {expected}, this is {found}")]
    MinRuntime {
        /// This runtime.
        found: Version,
        /// The oldest it runs on.
        expected: Version,
    },
}

impl Refusal {
    /// The stable cause that a deployment ends or waits with.
    pub fn cause(&self) -> DeployCause {
        match self {
            // Lists that a newer program wrote: it waits for that program.
            Self::Trust(error) if error.cause() == DeployCause::Schema => DeployCause::Schema,
            Self::Trust(_) | Self::Root { .. } | Self::Evidence(_) => DeployCause::Signature,
            Self::Content { .. } => DeployCause::Content,
            Self::Format(VersionedError::Newer { .. }) => DeployCause::Schema,
            Self::Format(VersionedError::Refused { .. }) => DeployCause::Bundle,
            Self::Denied(_) => DeployCause::Denied,
            Self::Floor { .. } => DeployCause::Floor,
            Self::Hardware { .. } => DeployCause::Hardware,
            Self::MinRuntime { .. } => DeployCause::MinRuntime,
        }
    }
}

impl Trust {
    /// Reads it. `followed` is the newest root that this one was followed to before; it counts where it is the newer one.
    ///
    /// # Errors
    /// [`Refusal::Trust`], [`Refusal::Root`].
    pub fn read(disk: &impl Disk, paths: &TrustPaths, followed: &Path) -> Result<Self, Refusal> {
        let lists = slots::Trust::read(disk, paths)?;
        let root = |source| Refusal::Root { path: paths.root().display().to_string(), source };
        let judge = Judge::new(&lists.root).map_err(root)?;
        let newer = disk.read(followed, MAX_ROOT).ok().flatten();
        let newer = newer.filter(|newer| version(newer) > version(&lists.root));
        let judge = newer.and_then(|newer| Judge::new(&newer).ok()).unwrap_or(judge);
        Ok(Self { judge, lists })
    }

    /// Judges bytes that were never loaded here.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn judge(&self, asked: &Asked<'_>, record: &SlotRecord) -> Result<Judged, Refusal> {
        self.denied(asked.digest)?;
        let path = TargetPath::new(record.target.clone()).map_err(|error| broken(error.to_string()))?;
        let judgement = self.judge.find(&evidence(&record.evidence)?, &path)?;
        let models = RoleName::new(MODELS).map_err(|error| broken(error.to_string()))?;
        judgement.found.provided_by(&models, PATTERN)?;
        let custom = judgement.found.file.custom.unwrap_or_default();
        let custom = serde_json::to_vec(&custom).map_err(|error| broken(error.to_string()))?;
        // The record's own copy of the release is not believed: only what is signed.
        let release: Release = versioned::read(&custom)?;
        matches(asked, &release, &path)?;
        let floor = self.floor_of(asked.model);
        if release.release_seq < floor {
            return Err(Refusal::Floor { found: release.release_seq, floor });
        }
        let approval = Approval {
            schema: Approval::SCHEMA,
            model: release.model.clone(),
            digest: *asked.digest,
            release_seq: release.release_seq,
            root_version: judgement.root_version,
        };
        Ok(Judged { approval, release, newer_root: judgement.newer_root })
    }

    /// Judges what the agent says the operator asks for. Expiry is not judged, for each campaign ends by itself.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn campaigns(&self, brought: &Brought) -> Result<Campaigns, Refusal> {
        let broken =
            |problem: String| Refusal::Format(VersionedError::Refused { name: Campaigns::NAME, problem });
        let path = TargetPath::new(campaign::PATH).map_err(|error| broken(error.to_string()))?;
        let found = self.judge.find(&evidence(&brought.evidence)?, &path)?.found;
        let role = RoleName::new(CAMPAIGNS).map_err(|error| broken(error.to_string()))?;
        found.provided_by(&role, CAMPAIGNS_PATTERN)?;
        let mut check = TargetCheck::new(&found.path, &found.file)?;
        check.update(brought.document.as_bytes())?;
        check.finish()?;
        Ok(versioned::read(brought.document.as_bytes())?)
    }

    /// Judges bytes that were approved before. `true`: the floor has risen above them since; they run, and that is told.
    ///
    /// # Errors
    /// [`Refusal::Denied`], or [`Refusal::Content`] where the approval is another's.
    pub fn recall(&self, asked: &Asked<'_>, approval: &Approval) -> Result<bool, Refusal> {
        self.denied(asked.digest)?;
        same("approval, digest", asked.digest, &approval.digest)?;
        same("approval, model", asked.model, approval.model.as_str())?;
        Ok(approval.release_seq < self.floor_of(asked.model))
    }

    /// Whether `digest` may be loaded at all.
    ///
    /// # Errors
    /// [`Refusal::Denied`].
    pub fn denied(&self, digest: &Digest) -> Result<(), Refusal> {
        if self.lists.denies(digest) { Err(Refusal::Denied(*digest)) } else { Ok(()) }
    }

    /// The least release of `model` that is loaded for the first time.
    pub fn floor_of(&self, model: &str) -> u64 {
        self.lists.floor_of(model)
    }
}

/// Whether the release speaks of these bytes, for this device.
fn matches(asked: &Asked<'_>, release: &Release, path: &TargetPath) -> Result<(), Refusal> {
    same("model", asked.model, release.model.as_str())?;
    let folder = format!("{MODELS}/{}/", release.model);
    if !path.as_str().starts_with(&folder) {
        return Err(content("target path", path.as_str(), &folder));
    }
    same("SHA-256 of bundle.tar", asked.digest, &release.unpacked.sha256)?;
    same("length of bundle.tar", &asked.length, &release.unpacked.length)?;
    if !release.hardware.iter().any(|hardware| hardware == asked.hardware) {
        let (found, expected) = (asked.hardware.to_owned(), release.hardware.clone());
        return Err(Refusal::Hardware { found, expected });
    }
    if *asked.runtime < release.min_runtime {
        let (found, expected) = (asked.runtime.clone(), release.min_runtime.clone());
        return Err(Refusal::MinRuntime { found, expected });
    }
    Ok(())
}

fn same<T: PartialEq + ToString + ?Sized>(
    what: &'static str,
    found: &T,
    expected: &T,
) -> Result<(), Refusal> {
    if found == expected { Ok(()) } else { Err(content(what, found, expected)) }
}

fn content<T: ToString + ?Sized>(what: &'static str, found: &T, expected: &T) -> Refusal {
    Refusal::Content { what, found: found.to_string(), expected: expected.to_string() }
}

fn broken(problem: String) -> Refusal {
    Refusal::Format(VersionedError::Refused { name: SlotRecord::NAME, problem })
}

fn evidence(stored: &StoredEvidence) -> Result<Evidence, Refusal> {
    let role = |(name, text): (&String, &String)| {
        let name = RoleName::new(name.clone()).map_err(|error| broken(error.to_string()))?;
        Ok((name, text.clone().into_bytes()))
    };
    Ok(Evidence {
        roots: stored.roots.iter().map(|root| root.clone().into_bytes()).collect(),
        targets: stored.targets.clone().into_bytes(),
        delegated: stored.delegated.iter().map(role).collect::<Result<_, Refusal>>()?,
    })
}

/// The version that root metadata says it has; 0 if it says none.
fn version(root: &[u8]) -> u64 {
    let value: serde_json::Value = serde_json::from_slice(root).unwrap_or_default();
    value.pointer("/signed/version").and_then(serde_json::Value::as_u64).unwrap_or_default()
}
