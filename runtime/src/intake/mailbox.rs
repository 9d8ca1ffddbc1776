//! The newest frame of each camera, waiting for one inference thread.
//!
//! A mailbox holds one frame per camera. A newer one takes the place of an older one that nobody fetched; that one is
//! dropped and counted. The thread fetches by priority: the highest number first, among equals the camera that has waited
//! longest since it was last served. Strict priority can starve a camera; that is the configuration's choice, and its
//! health says so (`replaced`, `newest_ms`, and the guard's causes).

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// One frame per camera. `T` is a frame in the daemon.
#[derive(Debug)]
pub struct Mailbox<T> {
    boxes: Mutex<Boxes<T>>,
    filled: Condvar,
}

#[derive(Debug)]
struct Boxes<T> {
    slots: Vec<Slot<T>>,
    /// Rises with each fetch, to know who was served longest ago.
    turn: u64,
    closed: bool,
}

#[derive(Debug)]
struct Slot<T> {
    camera: usize,
    priority: Arc<AtomicU8>,
    newest: Option<T>,
    served: u64,
}

/// What became of a frame that was put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// The box was empty.
    Kept,
    /// An older frame that nobody fetched was dropped for it.
    Replaced,
    /// The mailbox is closed, or not this camera's; the frame is dropped.
    Refused,
}

impl<T> Mailbox<T> {
    /// A mailbox for cameras, by their numbers, each with its priority, which may change while it is in use.
    pub fn new(cameras: impl IntoIterator<Item = (usize, Arc<AtomicU8>)>) -> Self {
        let slot = |(camera, priority)| Slot { camera, priority, newest: None, served: 0 };
        let slots = cameras.into_iter().map(slot).collect();
        Self { boxes: Mutex::new(Boxes { slots, turn: 0, closed: false }), filled: Condvar::new() }
    }

    /// Puts in the newest frame of `camera`. Never waits longer than another thread needs to move a frame.
    pub fn put(&self, camera: usize, frame: T) -> Put {
        let mut boxes = self.lock();
        let closed = boxes.closed;
        let Some(slot) = boxes.slots.iter_mut().find(|slot| slot.camera == camera && !closed) else {
            return Put::Refused;
        };
        let older = slot.newest.replace(frame);
        drop(boxes);
        self.filled.notify_one();
        // Dropped here, outside the lock: a frame gives its buffer back to its pool.
        if older.is_some() { Put::Replaced } else { Put::Kept }
    }

    /// The next frame and its camera, waiting at most `timeout`; `None`: nothing came, or the mailbox was closed.
    pub fn take(&self, timeout: Duration) -> Option<(usize, T)> {
        let boxes = self.lock();
        let empty =
            |boxes: &mut Boxes<T>| !boxes.closed && boxes.slots.iter().all(|slot| slot.newest.is_none());
        let waited = self.filled.wait_timeout_while(boxes, timeout, empty);
        let (mut boxes, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if boxes.closed {
            return None;
        }
        boxes.turn += 1;
        let turn = boxes.turn;
        let due = boxes.slots.iter_mut().filter(|slot| slot.newest.is_some());
        let next =
            due.max_by_key(|slot| (slot.priority.load(Ordering::Relaxed), std::cmp::Reverse(slot.served)))?;
        next.served = turn;
        Some((next.camera, next.newest.take()?))
    }

    /// Wakes whoever waits; from now on nothing is kept.
    pub fn close(&self) {
        let mut boxes = self.lock();
        boxes.closed = true;
        let left: Vec<T> = boxes.slots.iter_mut().filter_map(|slot| slot.newest.take()).collect();
        drop(boxes);
        drop(left);
        self.filled.notify_all();
    }

    /// A thread that panicked while it held the lock left whole values: they are moved, never changed in place.
    fn lock(&self) -> MutexGuard<'_, Boxes<T>> {
        self.boxes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::ZERO;

    fn mailbox(priorities: &[u8]) -> (Mailbox<u32>, Vec<Arc<AtomicU8>>) {
        let priorities: Vec<_> = priorities.iter().map(|of| Arc::new(AtomicU8::new(*of))).collect();
        (Mailbox::new(priorities.iter().cloned().enumerate()), priorities)
    }

    #[test]
    fn the_newest_frame_wins_and_the_older_one_is_told() {
        let (mailbox, _) = mailbox(&[0]);
        assert_eq!(mailbox.put(0, 1), Put::Kept);
        assert_eq!(mailbox.put(0, 2), Put::Replaced);
        assert_eq!(mailbox.take(NOW), Some((0, 2)));
        assert_eq!(mailbox.take(NOW), None);
        assert_eq!(mailbox.put(7, 1), Put::Refused);
    }

    #[test]
    fn equals_take_turns_and_the_higher_number_goes_first() {
        let (mailbox, priorities) = mailbox(&[5, 5, 1]);
        let mut order = Vec::new();
        for frame in 0..6 {
            for camera in 0..3 {
                mailbox.put(camera, frame);
            }
            order.extend(mailbox.take(NOW).map(|(camera, _)| camera));
        }
        assert_eq!(order, [1, 0, 1, 0, 1, 0]);
        priorities[2].store(9, Ordering::Relaxed);
        assert_eq!(mailbox.take(NOW).map(|(camera, _)| camera), Some(2), "a changed priority counts at once");
    }

    #[test]
    fn a_waiting_thread_is_woken_by_a_frame_and_by_the_end() {
        let (mailbox, _) = mailbox(&[0]);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| mailbox.take(Duration::from_secs(20)));
            mailbox.put(0, 4);
            assert_eq!(waiting.join().expect("no panic"), Some((0, 4)));
            let waiting = scope.spawn(|| mailbox.take(Duration::from_secs(20)));
            mailbox.close();
            assert_eq!(waiting.join().expect("no panic"), None);
        });
        assert_eq!(mailbox.put(0, 5), Put::Refused);
    }
}
