//! §5.6.2 to §5.6.5: a targets role, top-level or delegated.

use super::{check_expiry, check_listed};
use crate::envelope::Unverified;
use crate::error::Error;
use crate::metadata::{MetaFile, Signers, Targets};
use crate::name::MetadataFile;
use crate::time::{ExpiryPolicy, UpdateStart};

/// Checks the metadata of the role that `signers` sign for; `listed` is what the trusted snapshot metadata says of it.
/// For a delegated role the same steps apply, with the keys of the delegation that led to it (§5.6.7): that the role
/// was trusted along another way counts for nothing.
pub(crate) fn check(
    signers: &Signers<'_>,
    listed: &MetaFile,
    bytes: &[u8],
    now: UpdateStart,
    policy: &ExpiryPolicy,
) -> Result<Targets, Error> {
    // 5.6.2 "The hashes of the new targets metadata file MUST match the hashes, if any, listed in the trusted snapshot
    // metadata."
    check_listed(MetadataFile::unversioned(signers.role).as_str(), bytes, listed)?;

    // 5.6.3 "The new targets metadata file MUST have been signed by a threshold of keys".
    let new = signed(signers, bytes)?;

    // 5.6.4 "The version number of the new targets metadata file MUST match the version number listed in the trusted
    // snapshot metadata."
    if new.version != listed.version {
        let role = signers.role.clone();
        return Err(Error::Version { role, found: new.version, expected: listed.version });
    }

    // 5.6.5 "The expiration timestamp in the new targets metadata file MUST be higher than the fixed update start time."
    check_expiry(signers.role, &new, now, policy)?;
    Ok(new)
}

/// 5.6.3 alone: for a judge that has no snapshot metadata.
pub(crate) fn signed(signers: &Signers<'_>, bytes: &[u8]) -> Result<Targets, Error> {
    Unverified::<Targets>::read(signers.role, bytes)?.verify(signers)
}
