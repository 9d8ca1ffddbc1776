//! Who signs a change of what is published.

use stopline_tuf::write::Signer;

use super::trusted_root;
use crate::cli::arguments::{OnlineArgs, Signing};
use crate::commit::Online;
use crate::exit::{Failure, Result, Said};
use crate::keys::{KeySpec, Passphrase};
use crate::rollouts::Signers;
use crate::store::{self, Store};

/// Open keys of snapshot and timestamp.
pub(super) struct OnlineKeys {
    snapshot: Box<dyn Signer>,
    timestamp: Box<dyn Signer>,
}

impl OnlineKeys {
    pub(super) fn open(args: &OnlineArgs, phrase: &Passphrase) -> Result<Self> {
        let snapshot = open_online(args.snapshot_key.as_ref(), args, "snapshot", phrase)?;
        let timestamp = open_online(args.timestamp_key.as_ref(), args, "timestamp", phrase)?;
        let missing = |role: &str| Failure::usage(format!("give --{role}-key KEY, or --online DIR"));
        Ok(Self {
            snapshot: snapshot.ok_or_else(|| missing("snapshot"))?,
            timestamp: timestamp.ok_or_else(|| missing("timestamp"))?,
        })
    }

    pub(super) fn online(&self) -> Online<'_> {
        Online { snapshot: &*self.snapshot, timestamp: &*self.timestamp }
    }
}

pub(super) fn with_signers(
    at: &Signing,
    phrase: &Passphrase,
    then: impl FnOnce(&dyn Store, &[u8], &Signers<'_>) -> Result<Said>,
) -> Result<Said> {
    let keys = OnlineKeys::open(&at.online, phrase)?;
    let rollout = open_rollout(&at.online, phrase)?;
    let rollout = rollout.ok_or_else(|| Failure::usage("give --rollout-key KEY, or --online DIR"))?;
    let signers = Signers { rollout: &*rollout, online: keys.online() };
    then(&*store::open(&at.place.repository)?, &trusted_root(&at.place)?, &signers)
}

pub(super) fn open_rollout(args: &OnlineArgs, phrase: &Passphrase) -> Result<Option<Box<dyn Signer>>> {
    open_online(args.rollout_key.as_ref(), args, "rollout", phrase)
}

fn open_online(
    spec: Option<&KeySpec>,
    args: &OnlineArgs,
    role: &str,
    phrase: &Passphrase,
) -> Result<Option<Box<dyn Signer>>> {
    let in_folder = args.online.as_ref().map(|folder| KeySpec::File(folder.join(format!("{role}.pem"))));
    spec.or(in_folder.as_ref()).map(|spec| spec.open(phrase)).transpose()
}
