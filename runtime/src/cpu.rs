//! The one place of this crate with unsafe code: what is asked of the machine. The hot loops compiled a second time for wider
//! registers, the real-time turn of a thread, memory given back.
#![allow(unsafe_code)]

use std::io;

use crate::prepare::rows::Rows;

/// Runs `rows` with the widest vectors that this processor has.
///
/// Why: the loops are plain and vectorise, but a program for every x86-64 processor may only use the instructions of SSE2.
/// With AVX2 a 720p YUYV frame takes 0.49 ms instead of 2.19 (README, "Prepare"), with AVX-512 about two thirds of that;
/// I420 gains nothing there. ARM's NEON is part of its target.
pub(crate) fn widest(rows: Rows<'_>) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx512bw")
        && std::arch::is_x86_feature_detected!("avx512dq")
        && std::arch::is_x86_feature_detected!("avx512vl")
    {
        // SAFETY: the processor has just said that it has them, and none has them without AVX-512F.
        return unsafe { with_avx512(rows) };
    }
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has just said that it has AVX2; calling code compiled for it is the only unsafe thing.
        return unsafe { with_avx2(rows) };
    }
    rows.run();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn with_avx512(rows: Rows<'_>) {
    rows.run();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn with_avx2(rows: Rows<'_>) {
    rows.run();
}

/// Puts the calling thread under SCHED_FIFO with `priority` (1 to 99): it runs before every thread without.
///
/// Why: rustix has no call for it, and neither has the standard library. `sched_setscheduler` would do with glibc; musl
/// refuses it.
///
/// # Errors
/// The kernel's answer: `EPERM` without CAP_SYS_NICE or a large enough RLIMIT_RTPRIO.
pub(crate) fn first_in_first_out(priority: u8) -> io::Result<()> {
    // SAFETY: a C structure of integers, for which all zeroes is a value.
    let mut parameters: libc::sched_param = unsafe { std::mem::zeroed() };
    parameters.sched_priority = libc::c_int::from(priority);
    // SAFETY: the calling thread's own handle is always good; the structure is only read and outlives the call.
    let answer =
        unsafe { libc::pthread_setschedparam(libc::pthread_self(), libc::SCHED_FIFO, &raw const parameters) };
    if answer == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(answer)) }
}

/// Gives memory that was used and is free back to the kernel. To be called once, after something large was built up: loading
/// YOLOX-nano leaves about 12 of 41 MiB behind that the allocator would keep.
///
/// Why: only glibc's own call does it, and nothing wraps it. Other allocators are left alone.
pub(crate) fn give_back_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: the call takes the allocator's own locks and moves nothing that is in use.
    unsafe {
        libc::malloc_trim(0);
    }
}
