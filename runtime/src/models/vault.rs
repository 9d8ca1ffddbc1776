//! A bundle's bytes, read once into private memory while they are hashed, and judged by one's own root.
//!
//! The agent owns the slots and may rewrite them at any moment. So there is one opening, no mapping, and no second look:
//! what was hashed is what is parsed and compiled.

use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::OFlags;
use semver::Version;
use sha2::{Digest as _, Sha256};
use stopline_depot::bundle::{Bundle, BundleError, MAX_UNPACKED};
use stopline_depot::deployment::{Approval, DeployCause};
use stopline_depot::digest::Digest;
use stopline_depot::disk::RealDisk;
use stopline_depot::judging::{Asked, Refusal, Trust};
use stopline_depot::slots::{
    self, DepotPaths, FactoryPaths, ModelPointers, SlotRecord, StatePaths, TrustPaths,
};

use super::store::Store;
use crate::config::Depot;
use crate::detector::LoadError;

/// Read at once.
const PIECE: usize = 1 << 20;

/// Where bundles lie, and what they are judged by.
#[derive(Clone, Debug)]
pub struct Vault {
    depot: DepotPaths,
    factory: FactoryPaths,
    trust: TrustPaths,
    state: StatePaths,
    /// What is kept; nothing, for one who only looks.
    store: Option<Arc<Store>>,
    hardware: String,
    runtime: Version,
}

/// Which bundle of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the slot of this digest.
    Slot(Digest),
    /// The one that came with the device.
    Factory,
}

/// A bundle in private memory that may be loaded.
#[derive(Clone, Debug)]
pub struct Held {
    /// Where it came from.
    pub place: Place,
    /// SHA-256 of the bytes.
    pub digest: Digest,
    /// `bundle.tar`.
    pub bytes: Arc<Vec<u8>>,
    /// The floor has risen above it since it was approved.
    pub below_floor: bool,
}

/// Why a bundle is not loaded.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// It cannot be read.
    #[error("{path}: cannot read the bundle: {cause}")]
    Read {
        /// The file.
        path: String,
        /// The system's answer.
        cause: std::io::Error,
    },
    /// Its bytes are not those of its slot.
    #[error("{path}: bundle.tar has the SHA-256 {found}, its slot is {expected}; the agent fetches it again")]
    Digest {
        /// The file.
        path: String,
        /// What lies there.
        found: Digest,
        /// What the slot is.
        expected: Digest,
    },
    /// Its slot record says nothing.
    #[error(transparent)]
    Record(#[from] slots::DepotError),
    /// It has no slot record.
    #[error("{path}: not there, so nothing speaks for the bundle")]
    Unspoken {
        /// The slot record.
        path: String,
    },
    /// It may not be loaded.
    #[error("{path}: not loaded: {cause}")]
    Refused {
        /// The file.
        path: String,
        /// Why.
        cause: Refusal,
    },
    /// It is no bundle, or another model's.
    #[error("{path}: {cause}")]
    Bundle {
        /// The file.
        path: String,
        /// What is wrong.
        cause: BundleError,
    },
    /// The engine cannot load it.
    #[error(transparent)]
    Load(#[from] LoadError),
}

impl VaultError {
    /// The stable cause that a deployment ends or waits with.
    pub fn cause(&self) -> DeployCause {
        match self {
            Self::Read { .. } | Self::Digest { .. } => DeployCause::Content,
            Self::Record(error) => error.cause(),
            Self::Unspoken { .. } => DeployCause::Bundle,
            Self::Bundle { cause, .. } => cause.cause(),
            Self::Refused { cause, .. } => cause.cause(),
            Self::Load(_) => DeployCause::Load,
        }
    }
}

/// A bundle that was refused on the way to one that is loaded.
#[derive(Debug)]
pub struct Passed {
    /// Which.
    pub place: Place,
    /// Why.
    pub error: VaultError,
}

impl Vault {
    /// As configured. Without a `store` nothing is kept: every bundle that was never approved is judged each time.
    pub fn new(config: &Depot, store: Option<Arc<Store>>) -> Self {
        Self {
            depot: DepotPaths::new(&config.directory),
            factory: FactoryPaths::new(&config.factory),
            trust: TrustPaths::new(&config.trust),
            state: StatePaths::new(&config.state),
            store,
            hardware: config.hardware.clone(),
            runtime: super::runtime_version(),
        }
    }

    /// Where offers lie.
    pub fn depot(&self) -> &DepotPaths {
        &self.depot
    }

    /// Reads and judges the bundle of `model` at `place`.
    ///
    /// # Errors
    /// [`VaultError`].
    pub fn open(&self, model: &str, place: Place) -> Result<Held, VaultError> {
        let (path, record) = match place {
            Place::Slot(digest) => (self.depot.bundle(&digest), self.depot.slot_record(&digest)),
            Place::Factory => (self.factory.bundle(model), self.factory.slot_record(model)),
        };
        let shown = path.display().to_string();
        let (bytes, digest) = read(&path).map_err(|cause| VaultError::Read { path: shown.clone(), cause })?;
        if let Place::Slot(expected) = place
            && expected != digest
        {
            return Err(VaultError::Digest { path: shown, found: digest, expected });
        }
        let refused = |cause| VaultError::Refused { path: shown.clone(), cause };
        let below_floor = match place {
            Place::Factory if !record.exists() => {
                self.came_with_the_device(&digest).map_err(refused)?;
                false
            }
            _ => self.judge(model, &digest, bytes.len(), &record, &shown)?,
        };
        let bundle = |problem: BundleError| VaultError::Bundle { path: shown.clone(), cause: problem };
        let found = Bundle::read(&bytes).map_err(bundle)?.manifest.name;
        if found != model {
            let problem = format!("it is of the model {found:?}, and {model:?} is expected");
            return Err(bundle(BundleError::Content(problem)));
        }
        Ok(Held { place, digest, bytes: Arc::new(bytes), below_floor })
    }

    /// The first of current, previous and factory that `load` makes something of, and those that were passed over.
    pub fn choose<T>(
        &self,
        model: &str,
        pointers: &ModelPointers,
        mut load: impl FnMut(&Held) -> Result<T, LoadError>,
    ) -> (Option<(Held, T)>, Vec<Passed>) {
        let slots = [pointers.current, pointers.previous].into_iter().flatten().map(Place::Slot);
        // None anywhere means the factory's.
        let places: Vec<Place> = match pointers.current {
            Some(_) => slots.chain([Place::Factory]).collect(),
            None => vec![Place::Factory],
        };
        let mut passed = Vec::new();
        for place in places {
            let opened = self.open(model, place);
            match opened.and_then(|held| load(&held).map(|loaded| (held, loaded)).map_err(VaultError::from)) {
                Ok(found) => return (Some(found), passed),
                Err(error) => passed.push(Passed { place, error }),
            }
        }
        (None, passed)
    }

    /// Whether the bundle may be loaded: by its approval, or judged for the first time. `true`: it is below the floor.
    fn judge(
        &self,
        model: &str,
        digest: &Digest,
        length: usize,
        record: &Path,
        shown: &str,
    ) -> Result<bool, VaultError> {
        let refused = |cause| VaultError::Refused { path: shown.to_owned(), cause };
        let trust = self.trust().map_err(refused)?;
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        let asked = Asked { model, digest, length, hardware: &self.hardware, runtime: &self.runtime };
        // An approval that cannot be read is none: the bundle is judged again.
        if let Ok(Some(approval)) = slots::read::<Approval>(&RealDisk, &self.state.approval(digest)) {
            return trust.recall(&asked, &approval).map_err(refused);
        }
        let unspoken = || VaultError::Unspoken { path: record.display().to_string() };
        let record: SlotRecord = slots::read(&RealDisk, record)?.ok_or_else(unspoken)?;
        let judged = trust.judge(&asked, &record).map_err(refused)?;
        if let Some(store) = &self.store {
            store.approve(&judged);
        }
        Ok(false)
    }

    /// A factory bundle without evidence lies where only the image's maker writes, as the root itself does. The deny list
    /// counts for it too.
    fn came_with_the_device(&self, digest: &Digest) -> Result<(), Refusal> {
        // Without trust no slot is loaded. What came with the device is: a vehicle without any model is no safer.
        self.trust().map_or(Ok(()), |trust| trust.denied(digest))
    }

    /// What is trusted now; read anew each time, so that a floor or a denial counts at once.
    ///
    /// # Errors
    /// [`Refusal::Trust`].
    pub fn trust(&self) -> Result<Trust, Refusal> {
        Trust::read(&RealDisk, &self.trust, &self.state.root())
    }

    /// Whether the floor lies above an approved bundle now, and whether it was denied since.
    pub fn recall(&self, model: &str, digest: &Digest) -> Option<Result<bool, Refusal>> {
        let approval: Approval = slots::read(&RealDisk, &self.state.approval(digest)).ok()??;
        let asked = Asked { model, digest, length: 0, hardware: &self.hardware, runtime: &self.runtime };
        Some(self.trust().and_then(|trust| trust.recall(&asked, &approval)))
    }
}

/// The whole file and its digest, from one opening. A link is not followed: whoever can write a slot could lead to any file.
fn read(path: &Path) -> std::io::Result<(Vec<u8>, Digest)> {
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or_default();
    let mut file: File = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    let wrong = |problem: &str| std::io::Error::other(problem.to_owned());
    if !metadata.is_file() {
        return Err(wrong("not a regular file"));
    }
    let (mut bytes, mut hash) = (Vec::new(), Sha256::new());
    loop {
        let from = bytes.len();
        let count = file.by_ref().take(PIECE as u64).read_to_end(&mut bytes)?;
        if count == 0 {
            return Ok((bytes, Digest::from_bytes(hash.finalize().into())));
        }
        if bytes.len() as u64 > MAX_UNPACKED {
            return Err(wrong("longer than a bundle may be"));
        }
        hash.update(&bytes[from..]);
    }
}

/// The name of a place in messages.
impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Slot(digest) => f.write_str(&digest.to_string()[..12]),
            Self::Factory => f.write_str("factory"),
        }
    }
}
