//! What a client is told once.

use jiff::Timestamp;

use crate::limits::Limits;
use crate::time::ExpiryPolicy;

/// What a client is told once.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How much is taken from the repository.
    pub limits: Limits,
    /// Whose expiry counts.
    pub expiry: ExpiryPolicy,
    /// It is no earlier than this: the time of the build.
    pub not_before: Timestamp,
    /// Root metadata that came with this program. It is begun with if the store has none, an older one, or a damaged one.
    pub anchor: Option<Vec<u8>>,
}

impl Settings {
    /// Default limits, all expiry counts, no anchor: root metadata must have been installed in the store.
    pub fn new(not_before: Timestamp) -> Self {
        Self { limits: Limits::default(), expiry: ExpiryPolicy::All, not_before, anchor: None }
    }
}
