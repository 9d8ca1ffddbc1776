//! §5.4: the timestamp role.

use super::check_expiry;
use crate::envelope::Unverified;
use crate::error::Error;
use crate::metadata::{Root, Timestamp};
use crate::name::RoleName;
use crate::time::{ExpiryPolicy, UpdateStart};

/// What came of new timestamp metadata.
pub(crate) enum Outcome {
    /// It replaces what is trusted, and is to be stored.
    New(Timestamp, UpdateStart),
    /// It has the version of what is trusted, which stays.
    Same,
}

/// Timestamp metadata from the store: only what the trusted root still stands behind counts, expired or not.
pub(crate) fn stored(root: &Root, bytes: &[u8]) -> Option<Timestamp> {
    let role = RoleName::timestamp();
    Unverified::<Timestamp>::read(&role, bytes).ok()?.verify(&root.signers_of(&role)?).ok()
}

/// §5.4.2 to §5.4.4.
pub(crate) fn check(
    root: &Root,
    trusted: Option<&Timestamp>,
    bytes: &[u8],
    now: UpdateStart,
    policy: &ExpiryPolicy,
) -> Result<Outcome, Error> {
    let role = RoleName::timestamp();
    // 5.4.2 "The new timestamp metadata file MUST have been signed by a threshold of keys specified in the trusted root".
    let signers = root.signers_of(&role).ok_or(Error::NoRoot)?;
    let new = Unverified::<Timestamp>::read(&role, bytes)?.verify(&signers)?;

    if let Some(trusted) = trusted {
        // 5.4.3.1 "The version number of the trusted timestamp metadata file, if any, MUST be less than the version
        // number of the new". "In case they are equal, discard the new … and abort the update cycle. This is normal".
        if new.version < trusted.version {
            return Err(Error::Rollback { role, offered: new.version, trusted: trusted.version });
        }
        if new.version == trusted.version {
            return Ok(Outcome::Same);
        }
        check_snapshot_version(trusted, &new)?;
    }

    let now = now.raised(new.signed_at).ok_or_else(|| Error::FromTheFuture {
        signed_at: new.signed_at.unwrap_or(now.at()),
        now: now.at(),
    })?;
    // 5.4.4 "The expiration timestamp in the new timestamp metadata file MUST be higher than the fixed update start
    // time. If so, the new timestamp metadata file becomes the trusted" one.
    check_expiry(&role, &new, now, policy)?;
    Ok(Outcome::New(new, now))
}

/// 5.4.3.2 "The version number of the snapshot metadata file in the trusted timestamp metadata file, if any, MUST be
/// less than or equal to its version number in the new timestamp metadata file. If not, discard the new".
fn check_snapshot_version(trusted: &Timestamp, new: &Timestamp) -> Result<(), Error> {
    let version = |timestamp: &Timestamp| timestamp.snapshot().map_or(0, |listed| listed.version);
    let (offered, trusted) = (version(new), version(trusted));
    if offered < trusted {
        return Err(Error::Rollback { role: RoleName::snapshot(), offered, trusted });
    }
    Ok(())
}
