//! Small files of the agent's own that may be lost: what cannot be read is as at the first start, and nothing is synced.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// What lies there.
pub(super) fn read<T: DeserializeOwned + Default>(path: &Path) -> T {
    std::fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

/// Puts it there.
pub(super) fn write(path: &Path, value: &impl Serialize) {
    let written = serde_json::to_vec(value).map_err(std::io::Error::other);
    if let Err(error) = written.and_then(|bytes| std::fs::write(path, bytes)) {
        tracing::debug!("{}: {error}", path.display());
    }
}
