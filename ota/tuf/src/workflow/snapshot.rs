//! §5.5: the snapshot role.

use super::{check_expiry, check_listed};
use crate::envelope::Unverified;
use crate::error::Error;
use crate::metadata::{MetaFile, Root, Snapshot};
use crate::name::RoleName;
use crate::time::{ExpiryPolicy, UpdateStart};

/// Snapshot metadata from the store: only what the trusted root still stands behind counts, expired or not.
pub(crate) fn stored(root: &Root, bytes: &[u8]) -> Option<Snapshot> {
    let role = RoleName::snapshot();
    Unverified::<Snapshot>::read(&role, bytes).ok()?.verify(&root.signers_of(&role)?).ok()
}

/// §5.5.2 to §5.5.6; `listed` is what the trusted timestamp metadata says of it.
pub(crate) fn check(
    root: &Root,
    listed: &MetaFile,
    trusted: Option<&Snapshot>,
    bytes: &[u8],
    now: UpdateStart,
    policy: &ExpiryPolicy,
) -> Result<Snapshot, Error> {
    let role = RoleName::snapshot();
    // 5.5.2 "The hashes of the new snapshot metadata file MUST match the hashes, if any, listed in the trusted timestamp
    // metadata."
    check_listed("snapshot.json", bytes, listed)?;

    // 5.5.3 "The new snapshot metadata file MUST have been signed by a threshold of keys specified in the trusted root".
    let signers = root.signers_of(&role).ok_or(Error::NoRoot)?;
    let new = Unverified::<Snapshot>::read(&role, bytes)?.verify(&signers)?;

    // 5.5.4 "The version number of the new snapshot metadata file MUST match the version number listed in the trusted
    // timestamp metadata."
    if new.version != listed.version {
        return Err(Error::Version { role, found: new.version, expected: listed.version });
    }

    // 5.5.5 "Check for a rollback attack."
    if let Some(trusted) = trusted {
        check_rollback(trusted, &new)?;
    }

    // 5.5.6 "The expiration timestamp in the new snapshot metadata file MUST be higher than the fixed update start time."
    check_expiry(&role, &new, now, policy)?;
    Ok(new)
}

/// 5.5.5 "The version number of the targets metadata file, and all delegated targets metadata files, … in the trusted
/// snapshot metadata file, if any, MUST be less than or equal to its version number in the new … . Furthermore, any
/// targets metadata filename that was listed … MUST continue to be listed".
fn check_rollback(trusted: &Snapshot, new: &Snapshot) -> Result<(), Error> {
    for (file, before) in &trusted.meta {
        let role = || {
            let name = file.strip_suffix(".json").unwrap_or(file);
            RoleName::new(name).unwrap_or_else(|_| RoleName::snapshot())
        };
        match new.meta.get(file) {
            None => return Err(Error::Delisted { role: role() }),
            Some(after) if after.version < before.version => {
                return Err(Error::Rollback {
                    role: role(),
                    offered: after.version,
                    trusted: before.version,
                });
            }
            Some(_) => {}
        }
    }
    Ok(())
}
