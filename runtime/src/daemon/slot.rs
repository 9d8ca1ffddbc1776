//! Hand-over of the newest value from one thread to another, neither of which may wait.

use std::sync::{Mutex, PoisonError, TryLockError};

/// The newest value. Putting waits at most for a copy that the other side is just making; looking never waits.
#[derive(Debug)]
pub struct Slot<T>(Mutex<Option<T>>);

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T: Clone> Slot<T> {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Puts in the newest value.
    pub fn put(&self, value: T) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
    }

    /// Hands the newest value to `look`, unless there is none or it is just being replaced: then the caller goes on with
    /// what it knows and looks again in its next period.
    pub fn look<R>(&self, look: impl FnOnce(&T) -> R) -> Option<R> {
        match self.0.try_lock() {
            Ok(value) => value.as_ref().map(look),
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner().as_ref().map(look),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// A copy of the newest value, waiting for a copy that is just being made.
    pub fn newest(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_value_is_seen_and_a_held_one_is_not_waited_for() {
        let slot = Slot::new();
        assert_eq!(slot.look(|value: &u32| *value), None);
        slot.put(1);
        slot.put(2);
        assert_eq!((slot.look(|value| *value), slot.newest()), (Some(2), Some(2)));
        slot.look(|_| assert_eq!(slot.look(|value| *value), None, "held by the outer look"));
    }
}
