//! What is published, kept fresh and looked at.

use jiff::Timestamp;

use super::models::test_set;
use super::signers::{OnlineKeys, open_rollout};
use super::{staged_root, trusted_root};
use crate::cli::arguments::{Place, Publish, Refresh, Verify};
use crate::exit::{Result, Said};
use crate::keys::Passphrase;
use crate::publish::Rules;
use crate::staging::Staging;
use crate::store;
use crate::{expiry, files, publish, verify};

pub(super) fn publish(args: &Publish, phrase: &Passphrase, now: Timestamp) -> Result<Said> {
    let keys = OnlineKeys::open(&args.online, phrase)?;
    let rules = Rules {
        test: test_set(&args.test_set),
        not_compared: args.publish_a_model_nobody_compared_with_the_champion,
        worse_is_wanted: args.publish_a_model_that_is_worse,
        keep_superseded: args.leave_superseded_models_for_thieves_to_push,
    };
    let staging = Staging::new(&args.staging.staging);
    publish::run(&staging, &*store::open(&args.repository)?, &keys.online(), &rules, now)
}

pub(super) fn refresh(args: &Refresh, phrase: &Passphrase, now: Timestamp) -> Result<Said> {
    let keys = OnlineKeys::open(&args.at.online, phrase)?;
    let rollout = open_rollout(&args.at.online, phrase)?;
    let store = store::open(&args.at.place.repository)?;
    expiry::refresh(
        &*store,
        &trusted_root(&args.at.place)?,
        &keys.online(),
        rollout.as_deref(),
        args.now,
        now,
    )
}

pub(super) fn status(place: &Place, now: Timestamp) -> Result<Said> {
    expiry::status(&*store::open(&place.repository)?, &trusted_root(place)?, now)
}

pub(super) fn verify(args: &Verify, now: Timestamp) -> Result<Said> {
    let root = match &args.root {
        Some(path) => files::read(path, files::MAX_SMALL)?,
        None => staged_root(&Staging::new(&args.staging.staging))?,
    };
    verify::run(&args.place, &root, now)
}
