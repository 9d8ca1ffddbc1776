//! What the deployer sees, and what it wants done.

use stopline_depot::deployment::{DeployCause, Exposure, VerdictState};
use stopline_depot::digest::Digest;
use stopline_depot::slots::{ModelPointers, Offer, Progress};

use crate::config::{ShadowLimits, TrialLimits};

/// How long something is tried and watched.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Shadow.
    pub shadow: ShadowLimits,
    /// Trial.
    pub trial: TrialLimits,
}

/// A failure: the stable cause, and words.
pub type Failed = (DeployCause, String);

/// What was seen since the last step.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Seconds since anything: only differences count.
    pub now_s: u64,
    /// What is offered now.
    pub offer: Option<Offer>,
    /// Which bundles decide.
    pub pointers: ModelPointers,
    /// What is known of the offered bundle, and how often it was deferred.
    pub known: Known,
    /// Whether what decides may be changed now; if not, what is waited for.
    pub parked: Option<&'static str>,
    /// Whether the roll-out's metadata is fresh by a clock that is known; if not, what is waited for.
    pub stale: Option<&'static str>,
    /// Something besides the model is wrong: heat, a lost camera.
    pub surroundings: Option<DeployCause>,
    /// The bundle was judged.
    pub judged: Option<Result<(), Failed>>,
    /// The self-test ended.
    pub tested: Option<Result<(), Failed>>,
    /// What the shadow has counted.
    pub shadow: Option<ShadowSeen>,
    /// A bundle was loaded and warmed up.
    pub loaded: Option<Result<(), Failed>>,
    /// Every inference thread has answered with the new one, or one of them could not.
    pub exchanged: Option<Result<(), Failed>>,
    /// What the model on trial did.
    pub trial: TrialSeen,
}

/// What is known of a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// The verdict.
    pub verdict: VerdictState,
    /// A load failure that an older runtime found: tried again.
    pub reopened: bool,
    /// Attempts that ended with a cause that it has no part in.
    pub deferred: u32,
}

impl Default for Known {
    fn default() -> Self {
        Self { verdict: VerdictState::Untested, reopened: false, deferred: 0 }
    }
}

/// What the shadow has counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShadowSeen {
    /// Frames that both looked at.
    pub frames: u64,
    /// Frames in which they disagreed.
    pub disagreements: u64,
    /// The child ended; whether that is the model's fault, and words.
    pub ended: Option<(bool, String)>,
}

/// What the model on trial did since it decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrialSeen {
    /// All of the trial, processes before this one included.
    pub exposure: Exposure,
    /// A frame for which its numbers could not be.
    pub invalid: bool,
    /// It is at a frame for too long.
    pub stalled: bool,
    /// Too many of its newest frames took too long.
    pub late: bool,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Do {
    /// Judge the bundle.
    Judge(Digest),
    /// Test it in a child.
    Test(Digest),
    /// Let it look on in a child.
    Shadow(Digest),
    /// It need not look on any more.
    EndShadow,
    /// Load it, `None`: the factory's, and warm it up, beside the one that decides.
    Load(Option<Digest>),
    /// Let what was loaded go again.
    Unload,
    /// The pointers: this bundle begins its trial.
    BeginTrial(Digest, String),
    /// The pointers: this bundle decides, `None`: the factory's; no trial.
    GoTo(Option<Digest>),
    /// The pointers: the trial was passed.
    EndGood,
    /// The pointers: back to what decided before.
    Revert,
    /// Put what was loaded in the place of what decides, between two frames.
    Exchange,
    /// Put what decided before in its place again, at once.
    Back,
    /// What decided before is not needed any more.
    Forget,
    /// What is known of a bundle now.
    Verdict(Digest, VerdictState, u32),
    /// How far it has come.
    Tell(Progress),
    /// A thread hangs in the model: end this process, and begin with what decided before.
    Restart(String),
}
