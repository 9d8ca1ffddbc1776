//! The detailed client workflow of TUF 1.0 §5, one file per section, each step quoted by number beside its code.
//!
//! These are pure functions over bytes: nothing here fetches, stores or asks for the time. [`crate::client`] runs them
//! against a repository, [`crate::judge`] over files at hand.

pub(crate) mod root;
pub(crate) mod search;
pub(crate) mod snapshot;
pub(crate) mod targets;
pub(crate) mod timestamp;

use crate::error::Error;
use crate::metadata::{MetaFile, Metadata, TargetCheck};
use crate::name::RoleName;
use crate::time::{ExpiryPolicy, UpdateStart};

/// "Check for a freeze attack": "the expiration timestamp … MUST be higher than the fixed update start time" (§5.3.10,
/// §5.4.4, §5.5.6, §5.6.5).
pub(crate) fn check_expiry(
    role: &RoleName,
    metadata: &impl Metadata,
    now: UpdateStart,
    policy: &ExpiryPolicy,
) -> Result<(), Error> {
    let expires = metadata.expires();
    if policy.covers(role) && expires <= now.at() {
        return Err(Error::Expired { role: role.clone(), expires, now: now.at() });
    }
    Ok(())
}

/// "The hashes of the new … metadata file MUST match the hashes, if any, listed" (§5.5.2, §5.6.2), and its length.
fn check_listed(file: &str, bytes: &[u8], listed: &MetaFile) -> Result<(), Error> {
    let found = length_of(bytes);
    if let Some(expected) = listed.length.filter(|expected| *expected != found) {
        return Err(Error::Length { file: file.to_owned(), found, expected });
    }
    let Some(hashes) = &listed.hashes else { return Ok(()) };
    let mut check = TargetCheck::of(file.to_owned(), found, hashes)?;
    check.update(bytes)?;
    check.finish()
}

pub(crate) fn length_of(bytes: &[u8]) -> u64 {
    // No processor addresses more than 64 bits.
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
