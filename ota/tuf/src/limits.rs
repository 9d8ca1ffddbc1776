//! How much is taken from a repository before it is trusted: the W, X, Y and Z of TUF §5.

/// Bounds of one client. What exceeds one is refused, never cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a root metadata file (W).
    pub root: u64,
    /// New root metadata files in one update (Y).
    pub root_rotations: u32,
    /// Bytes of timestamp metadata (X).
    pub timestamp: u64,
    /// Bytes of snapshot metadata (Y of §5.5.1), also where the timestamp metadata allows more.
    pub snapshot: u64,
    /// Bytes of the metadata of one targets role (Z), also where the snapshot metadata allows more.
    pub targets: u64,
    /// Delegated roles visited in one search.
    pub delegations: usize,
    /// Delegations in a row from the top-level targets role.
    pub delegation_depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            root: 512 << 10,
            root_rotations: 256,
            timestamp: 16 << 10,
            snapshot: 1 << 20,
            targets: 2 << 20,
            delegations: 32,
            delegation_depth: 8,
        }
    }
}

/// Keys that one role may name, and signatures that one file may carry.
pub(crate) const MAX_KEYS: usize = 128;
/// Highest version of a role. Versions stay far below the limits of the numbers that other clients count with.
pub(crate) const MAX_VERSION: u64 = 1 << 53;
