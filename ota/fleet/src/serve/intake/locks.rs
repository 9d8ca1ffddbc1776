//! What must not happen twice at once for one device.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// Devices that are remembered, at most; beyond them all that nobody holds are let go.
const MOST: usize = 20_000;

/// By device: who is at its uploads, and in which boot it lives.
#[derive(Debug, Default)]
pub struct Locks {
    uploads: Mutex<HashMap<String, Arc<AsyncMutex<()>>>>,
    boots: Mutex<HashMap<String, String>>,
}

impl Locks {
    /// The device's uploads, for one request alone; `None` where another is at them.
    pub fn uploads_of(&self, device: &str) -> Option<OwnedMutexGuard<()>> {
        let mut uploads = self.uploads.lock().unwrap_or_else(PoisonError::into_inner);
        if uploads.len() > MOST {
            uploads.retain(|_, lock| Arc::strong_count(lock) > 1);
        }
        let lock = uploads.entry(device.to_owned()).or_default().clone();
        drop(uploads);
        lock.try_lock_owned().ok()
    }

    /// Whether the device is known to live in this boot, and no later one was seen.
    pub fn is_in_boot(&self, device: &str, boot_id: &str) -> bool {
        let boots = self.boots.lock().unwrap_or_else(PoisonError::into_inner);
        boots.get(device).is_some_and(|known| known == boot_id)
    }

    /// The device lives in this boot.
    pub fn note_boot(&self, device: &str, boot_id: &str) {
        let mut boots = self.boots.lock().unwrap_or_else(PoisonError::into_inner);
        if boots.len() > MOST {
            boots.clear();
        }
        boots.insert(device.to_owned(), boot_id.to_owned());
    }
}
