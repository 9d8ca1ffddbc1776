//! Counts what a thread allocates, for promises of none.
//!
//! A program that wants to count says `#[global_allocator] static ALLOCATOR: Counting = Counting;`. Without it [`counted`]
//! panics instead of counting nothing.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, with each thread's calls counted.
pub struct Counting;

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // A thread that is ending has no counter any more; what it frees then is nobody's promise.
    let _ = CALLS.try_with(|calls| calls.set(calls.get() + 1));
}

// SAFETY: every call is handed on to the system's allocator as it came; counting neither allocates nor touches the memory.
unsafe impl GlobalAlloc for Counting {
    // SAFETY: what the caller promises is handed on as it came.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise, handed on.
        unsafe { System.alloc(layout) }
    }

    // SAFETY: what the caller promises is handed on as it came.
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise, handed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    // SAFETY: what the caller promises is handed on as it came.
    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise, handed on.
        unsafe { System.realloc(memory, layout, size) }
    }

    // SAFETY: what the caller promises is handed on as it came.
    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise, handed on.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// What `work` gives, and how often this thread allocated during it.
///
/// # Panics
/// The program does not count.
pub fn counted<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let before = calls();
    std::hint::black_box(Box::new(before));
    assert!(calls() > before, "this program does not have the counting allocator");
    let begun = calls();
    let done = work();
    (done, calls() - begun)
}

fn calls() -> u64 {
    CALLS.with(Cell::get)
}
