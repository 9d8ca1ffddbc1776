//! The one place of this crate with unsafe code: what is asked of the machine. The hot loops compiled a second time for wider
//! registers, the real-time turn of a thread, memory given back.
#![allow(unsafe_code)]

use std::io;

use crate::prepare::rows::Rows;

/// Runs `rows` with the widest vectors that this processor has.
///
/// Why: the loops are plain and vectorise, but a program for every x86-64 processor may only use the instructions of SSE2.
/// ARM's NEON is part of its 64-bit target. README, "Prepare", has what it gains.
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
    #[cfg(target_arch = "aarch64")]
    return rows.run(Sixteen(()));
    #[cfg(not(target_arch = "aarch64"))]
    rows.run(OneByOne);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn with_avx512(rows: Rows<'_>) {
    rows.run(Sixteen(()));
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn with_avx2(rows: Rows<'_>) {
    rows.run(Sixteen(()));
}

/// Whether [`widest`] has an instruction that looks bytes up.
pub(crate) fn looks_up() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx2");
    #[cfg(not(target_arch = "x86_64"))]
    cfg!(target_arch = "aarch64")
}

/// Looks bytes up in 16 others.
pub(crate) trait LookUp: Copy {
    /// Whether there is an instruction for it.
    const IS_FAST: bool;
    /// Byte `places[i]` of `from` for each `i`; zero where `places[i]` is 128 or more. Nothing else may be asked for.
    fn look_up(self, from: [u8; 16], places: [u8; 16]) -> [u8; 16];
}

/// For processors without an instruction for it.
#[cfg(any(test, not(target_arch = "aarch64")))]
#[derive(Clone, Copy)]
pub(crate) struct OneByOne;

#[cfg(any(test, not(target_arch = "aarch64")))]
impl LookUp for OneByOne {
    const IS_FAST: bool = false;

    fn look_up(self, from: [u8; 16], places: [u8; 16]) -> [u8; 16] {
        places.map(|place| from.get(usize::from(place)).copied().unwrap_or(0))
    }
}

/// All 16 at once: SSSE3's `pshufb`, NEON's `tbl`. Made where the processor has it, and nowhere else.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[derive(Clone, Copy)]
pub(crate) struct Sixteen(());

#[cfg(target_arch = "x86_64")]
impl LookUp for Sixteen {
    const IS_FAST: bool = true;

    #[inline(always)]
    fn look_up(self, from: [u8; 16], places: [u8; 16]) -> [u8; 16] {
        #[target_feature(enable = "ssse3")]
        #[inline]
        fn shuffled(from: [u8; 16], places: [u8; 16]) -> [u8; 16] {
            use std::arch::x86_64::{__m128i, _mm_shuffle_epi8};
            // SAFETY: both are 16 bytes without padding, for which every value is one.
            let [from, places] =
                [from, places].map(|bytes| unsafe { std::mem::transmute::<[u8; 16], __m128i>(bytes) });
            // SAFETY: as above.
            unsafe { std::mem::transmute::<__m128i, [u8; 16]>(_mm_shuffle_epi8(from, places)) }
        }
        // SAFETY: a `Sixteen` is made only behind a check of AVX2 or AVX-512, and none has those without SSSE3.
        unsafe { shuffled(from, places) }
    }
}

#[cfg(target_arch = "aarch64")]
impl LookUp for Sixteen {
    const IS_FAST: bool = true;

    #[inline(always)]
    fn look_up(self, from: [u8; 16], places: [u8; 16]) -> [u8; 16] {
        use std::arch::aarch64::{uint8x16_t, vqtbl1q_u8};
        // SAFETY: all are 16 bytes without padding, for which every value is one; NEON is part of the target.
        unsafe {
            let [from, places] =
                [from, places].map(|bytes| std::mem::transmute::<[u8; 16], uint8x16_t>(bytes));
            std::mem::transmute::<uint8x16_t, [u8; 16]>(vqtbl1q_u8(from, places))
        }
    }
}

/// One way of collecting the bytes of a row.
#[cfg(test)]
pub(crate) type Collect = fn(&crate::prepare::picks::Picks, &[u8], &mut [u8]);

/// Each way that this processor has.
#[cfg(test)]
pub(crate) fn collectors() -> Vec<(&'static str, Collect)> {
    let mut all: Vec<(&'static str, Collect)> =
        vec![("one by one", |picks, row, out| picks.collect(OneByOne, row, out))];
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        all.push(("pshufb", |picks, row, out| picks.collect(Sixteen(()), row, out)));
    }
    #[cfg(target_arch = "aarch64")]
    all.push(("tbl", |picks, row, out| picks.collect(Sixteen(()), row, out)));
    all
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
