//! §5.2 and §5.3: the chain of roots.

use crate::envelope::Unverified;
use crate::error::Error;
use crate::metadata::Root;
use crate::name::RoleName;

/// §5.2 "Load the trusted root metadata file." "The expiration … does not matter". It was trusted when it was installed
/// or stored; that it carries its own threshold of signatures is checked still, so that a file damaged since, or a
/// stored one that never verified, is not begun with.
pub(crate) fn load(bytes: &[u8]) -> Result<Root, Error> {
    Unverified::<Root>::read(&RoleName::root(), bytes)?.verify_root(None)
}

/// §5.3.4 and §5.3.5: whether `bytes` are the root that follows `trusted`.
pub(crate) fn next(trusted: &Root, bytes: &[u8]) -> Result<Root, Error> {
    let role = RoleName::root();
    // 5.3.4 "Version N+1 … MUST have been signed by: (1) a threshold of keys specified in the trusted root metadata file
    // (version N), and (2) a threshold of keys specified in the new root metadata file".
    let new = Unverified::<Root>::read(&role, bytes)?.verify_root(Some(trusted))?;

    // 5.3.5 "checking that the version number signed in the new root metadata file is indeed N+1". An equal version,
    // which the text lets pass without effect, cannot be what was asked for as N+1.root.json.
    if new.version < trusted.version {
        return Err(Error::Rollback { role, offered: new.version, trusted: trusted.version });
    }
    let expected = following(trusted)?;
    if new.version != expected {
        return Err(Error::Version { role, found: new.version, expected });
    }
    // 5.3.6 "the expiration of the new (intermediate) root metadata file does not matter yet".
    Ok(new)
}

/// N+1.
pub(crate) fn following(trusted: &Root) -> Result<u64, Error> {
    let next = trusted.version.checked_add(1);
    next.ok_or_else(|| Error::malformed(&RoleName::root(), "its version is the highest there is"))
}
