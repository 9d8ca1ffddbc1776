//! The one place of this crate with unsafe code: the processor's wide instructions behind [`Simd`], a trait of plain
//! arithmetic on a block of `L` numbers.
//!
//! A token of an implementation is proof that the processor has its instructions: [`Isa::detect`] and
//! [`Isa::available`] are the only makers. Kernels are safe code, generic over the token; [`Simd::call`] compiles one of
//! them for the token's instructions, so everything inlined into it may use them.
#![allow(unsafe_code)]

/// A kernel: the arguments of one call, run with one set of instructions.
pub(crate) trait Kernel<const L: usize> {
    /// To be `#[inline(always)]`: only what is inlined into [`Simd::call`] gets the token's instructions.
    fn run<S: Simd<L>>(self, simd: S);
}

/// Arithmetic on blocks of `L` numbers.
///
/// Where an operand of [`Simd::max`] or [`Simd::min`] is NaN, the result is the second one: `max(zero, x)` keeps a NaN.
pub(crate) trait Simd<const L: usize>: Copy {
    /// `L` numbers in registers.
    type V: Copy;
    /// How many blocks of results fit into the registers beside the operands: the size of a kernel's tile.
    const TILE: usize;

    /// Runs `kernel` compiled for this token's instructions.
    fn call<K: Kernel<L>>(self, kernel: K);

    fn splat(self, value: f32) -> Self::V;
    fn load(self, from: &[f32; L]) -> Self::V;
    fn store(self, value: Self::V, to: &mut [f32; L]);
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`, rounded once where the processor can.
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// The nearest whole number, for values within ±2²³.
    fn round(self, a: Self::V) -> Self::V;
    /// 2 to the power of whole numbers from −126 to 127.
    fn power_of_two(self, whole: Self::V) -> Self::V;
    /// `a` in the lanes where `mask` is −1, `b` where it is 0.
    fn select(self, mask: Self::V, a: Self::V, b: Self::V) -> Self::V;
    /// In each lane the number of `a` in the lane that `from` names: whole numbers from 0 to L − 1.
    fn permute(self, a: Self::V, from: Self::V) -> Self::V;
}

/// A set of instructions that this processor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Isa(pub(crate) Chosen);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chosen {
    Portable(Portable),
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
    #[cfg(target_arch = "aarch64")]
    Neon(Neon),
}

impl Isa {
    /// The fastest that this processor has, of those whose results were compared on one, or under emulation.
    pub fn detect() -> Self {
        Self::available().into_iter().rfind(Self::compared).unwrap_or(Self::portable())
    }

    /// AVX-512 is written and compared by this crate's tests where it is; nobody has seen those pass yet. NEON's pass under
    /// emulation (README).
    fn compared(&self) -> bool {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Chosen::Avx512(_) => false,
            _ => true,
        }
    }

    /// All that this processor has, the slowest first.
    pub fn available() -> Vec<Self> {
        #[allow(unused_mut, reason = "other processors have no more")]
        let mut found = vec![Self::portable()];
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            if has!("avx2") && has!("fma") {
                found.push(Self(Chosen::Avx2(Avx2(()))));
                if has!("avx512f") {
                    found.push(Self(Chosen::Avx512(Avx512(()))));
                }
            }
        }
        #[cfg(target_arch = "aarch64")]
        if std::arch::is_aarch64_feature_detected!("neon") {
            found.push(Self(Chosen::Neon(Neon(()))));
        }
        found
    }

    /// Plain code for any processor, slower.
    pub fn portable() -> Self {
        Self(Chosen::Portable(Portable))
    }

    /// `portable`, `avx2`, `avx512`, `neon`.
    pub fn name(self) -> &'static str {
        match self.0 {
            Chosen::Portable(_) => "portable",
            #[cfg(target_arch = "x86_64")]
            Chosen::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Chosen::Avx512(_) => "avx512",
            #[cfg(target_arch = "aarch64")]
            Chosen::Neon(_) => "neon",
        }
    }
}

/// Plain Rust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Portable;

impl<const L: usize> Simd<L> for Portable {
    type V = [f32; L];
    const TILE: usize = 4;

    fn call<K: Kernel<L>>(self, kernel: K) {
        kernel.run(self);
    }

    #[inline(always)]
    fn splat(self, value: f32) -> [f32; L] {
        [value; L]
    }
    #[inline(always)]
    fn load(self, from: &[f32; L]) -> [f32; L] {
        *from
    }
    #[inline(always)]
    fn store(self, value: [f32; L], to: &mut [f32; L]) {
        *to = value;
    }
    #[inline(always)]
    fn add(self, a: [f32; L], b: [f32; L]) -> [f32; L] {
        std::array::from_fn(|at| a[at] + b[at])
    }
    #[inline(always)]
    fn sub(self, a: [f32; L], b: [f32; L]) -> [f32; L] {
        std::array::from_fn(|at| a[at] - b[at])
    }
    #[inline(always)]
    fn mul(self, a: [f32; L], b: [f32; L]) -> [f32; L] {
        std::array::from_fn(|at| a[at] * b[at])
    }
    #[inline(always)]
    fn div(self, a: [f32; L], b: [f32; L]) -> [f32; L] {
        std::array::from_fn(|at| a[at] / b[at])
    }
    #[inline(always)]
    fn max(self, a: [f32; L], b: [f32; L]) -> [f32; L] {
        std::array::from_fn(|at| if a[at] > b[at] { a[at] } else { b[at] })
    }
    #[inline(always)]
    fn min(self, a: [f32; L], b: [f32; L]) -> [f32; L] {
        std::array::from_fn(|at| if a[at] < b[at] { a[at] } else { b[at] })
    }
    #[inline(always)]
    fn mul_add(self, a: [f32; L], b: [f32; L], c: [f32; L]) -> [f32; L] {
        // Not f32::mul_add: without the instruction it is a call.
        std::array::from_fn(|at| a[at] * b[at] + c[at])
    }
    #[inline(always)]
    fn round(self, a: [f32; L]) -> [f32; L] {
        // 1.5 × 2²³: the sum has no room for a fraction.
        std::array::from_fn(|at| (a[at] + 12_582_912.0) - 12_582_912.0)
    }
    #[inline(always)]
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a whole number from −126 to 127"
    )]
    fn power_of_two(self, whole: [f32; L]) -> [f32; L] {
        std::array::from_fn(|at| f32::from_bits(((whole[at] as i32).wrapping_add(127) as u32) << 23))
    }
    #[inline(always)]
    fn select(self, mask: [f32; L], a: [f32; L], b: [f32; L]) -> [f32; L] {
        std::array::from_fn(|at| if mask[at] < 0.0 { a[at] } else { b[at] })
    }
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number below L")]
    fn permute(self, a: [f32; L], from: [f32; L]) -> [f32; L] {
        std::array::from_fn(|at| a[from[at] as usize % L])
    }
}

/// The instructions of a token, used inside its trait.
macro_rules! granted {
    ($instructions:expr) => {{
        // SAFETY: the token `self` exists only where the processor was asked and has these instructions; pointers come
        // from references to arrays of as many numbers as the instruction reads or writes, at any alignment.
        unsafe { $instructions }
    }};
}

/// AVX2 and FMA: eight numbers in a register, 16 registers.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Avx2(());

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Avx2, Avx512, Kernel, Simd};

    #[target_feature(enable = "avx2,fma")]
    #[inline(never)]
    fn with_avx2<K: Kernel<8>>(simd: Avx2, kernel: K) {
        kernel.run(simd);
    }

    impl Simd<8> for Avx2 {
        type V = __m256;
        // With 12 one of the sums waits in memory: the scheduler wants more than the four registers that are left.
        const TILE: usize = 10;

        fn call<K: Kernel<8>>(self, kernel: K) {
            granted!(with_avx2(self, kernel));
        }

        #[inline(always)]
        fn splat(self, value: f32) -> __m256 {
            granted!(_mm256_set1_ps(value))
        }
        #[inline(always)]
        fn load(self, from: &[f32; 8]) -> __m256 {
            granted!(_mm256_loadu_ps(from.as_ptr()))
        }
        #[inline(always)]
        fn store(self, value: __m256, to: &mut [f32; 8]) {
            granted!(_mm256_storeu_ps(to.as_mut_ptr(), value));
        }
        #[inline(always)]
        fn add(self, a: __m256, b: __m256) -> __m256 {
            granted!(_mm256_add_ps(a, b))
        }
        #[inline(always)]
        fn sub(self, a: __m256, b: __m256) -> __m256 {
            granted!(_mm256_sub_ps(a, b))
        }
        #[inline(always)]
        fn mul(self, a: __m256, b: __m256) -> __m256 {
            granted!(_mm256_mul_ps(a, b))
        }
        #[inline(always)]
        fn div(self, a: __m256, b: __m256) -> __m256 {
            granted!(_mm256_div_ps(a, b))
        }
        #[inline(always)]
        fn max(self, a: __m256, b: __m256) -> __m256 {
            granted!(_mm256_max_ps(a, b))
        }
        #[inline(always)]
        fn min(self, a: __m256, b: __m256) -> __m256 {
            granted!(_mm256_min_ps(a, b))
        }
        #[inline(always)]
        fn mul_add(self, a: __m256, b: __m256, c: __m256) -> __m256 {
            granted!(_mm256_fmadd_ps(a, b, c))
        }
        #[inline(always)]
        fn round(self, a: __m256) -> __m256 {
            granted!(_mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a))
        }
        #[inline(always)]
        fn power_of_two(self, whole: __m256) -> __m256 {
            granted!({
                let biased = _mm256_add_epi32(_mm256_cvtps_epi32(whole), _mm256_set1_epi32(127));
                _mm256_castsi256_ps(_mm256_slli_epi32::<23>(biased))
            })
        }
        #[inline(always)]
        fn select(self, mask: __m256, a: __m256, b: __m256) -> __m256 {
            granted!(_mm256_blendv_ps(b, a, mask))
        }
        #[inline(always)]
        fn permute(self, a: __m256, from: __m256) -> __m256 {
            granted!(_mm256_permutevar8x32_ps(a, _mm256_cvtps_epi32(from)))
        }
    }

    #[target_feature(enable = "avx512f,avx2,fma")]
    #[inline(never)]
    fn with_avx512<K: Kernel<16>>(simd: Avx512, kernel: K) {
        kernel.run(simd);
    }

    impl Simd<16> for Avx512 {
        type V = __m512;
        const TILE: usize = 24;

        fn call<K: Kernel<16>>(self, kernel: K) {
            granted!(with_avx512(self, kernel));
        }

        #[inline(always)]
        fn splat(self, value: f32) -> __m512 {
            granted!(_mm512_set1_ps(value))
        }
        #[inline(always)]
        fn load(self, from: &[f32; 16]) -> __m512 {
            granted!(_mm512_loadu_ps(from.as_ptr()))
        }
        #[inline(always)]
        fn store(self, value: __m512, to: &mut [f32; 16]) {
            granted!(_mm512_storeu_ps(to.as_mut_ptr(), value));
        }
        #[inline(always)]
        fn add(self, a: __m512, b: __m512) -> __m512 {
            granted!(_mm512_add_ps(a, b))
        }
        #[inline(always)]
        fn sub(self, a: __m512, b: __m512) -> __m512 {
            granted!(_mm512_sub_ps(a, b))
        }
        #[inline(always)]
        fn mul(self, a: __m512, b: __m512) -> __m512 {
            granted!(_mm512_mul_ps(a, b))
        }
        #[inline(always)]
        fn div(self, a: __m512, b: __m512) -> __m512 {
            granted!(_mm512_div_ps(a, b))
        }
        #[inline(always)]
        fn max(self, a: __m512, b: __m512) -> __m512 {
            granted!(_mm512_max_ps(a, b))
        }
        #[inline(always)]
        fn min(self, a: __m512, b: __m512) -> __m512 {
            granted!(_mm512_min_ps(a, b))
        }
        #[inline(always)]
        fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
            granted!(_mm512_fmadd_ps(a, b, c))
        }
        #[inline(always)]
        fn round(self, a: __m512) -> __m512 {
            granted!(_mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a))
        }
        #[inline(always)]
        fn power_of_two(self, whole: __m512) -> __m512 {
            granted!({
                let biased = _mm512_add_epi32(_mm512_cvtps_epi32(whole), _mm512_set1_epi32(127));
                _mm512_castsi512_ps(_mm512_slli_epi32::<23>(biased))
            })
        }
        #[inline(always)]
        fn select(self, mask: __m512, a: __m512, b: __m512) -> __m512 {
            granted!({
                let negative = _mm512_cmplt_epi32_mask(_mm512_castps_si512(mask), _mm512_setzero_si512());
                _mm512_mask_blend_ps(negative, b, a)
            })
        }
        #[inline(always)]
        fn permute(self, a: __m512, from: __m512) -> __m512 {
            granted!(_mm512_permutexvar_ps(_mm512_cvtps_epi32(from), a))
        }
    }
}

/// AVX-512 F: sixteen numbers in a register, 32 registers.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Avx512(());

/// NEON: a block of eight is a pair of registers, 32 registers.
#[cfg(target_arch = "aarch64")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Neon(());

#[cfg(target_arch = "aarch64")]
mod arm {
    use std::arch::aarch64::*;

    use super::{Kernel, Neon, Simd};

    type Pair = float32x4x2_t;

    #[target_feature(enable = "neon")]
    #[inline(never)]
    fn with_neon<K: Kernel<8>>(simd: Neon, kernel: K) {
        kernel.run(simd);
    }

    impl Simd<8> for Neon {
        type V = Pair;
        const TILE: usize = 12;

        fn call<K: Kernel<8>>(self, kernel: K) {
            granted!(with_neon(self, kernel));
        }

        #[inline(always)]
        fn splat(self, value: f32) -> Pair {
            granted!(float32x4x2_t(vdupq_n_f32(value), vdupq_n_f32(value)))
        }
        #[inline(always)]
        fn load(self, from: &[f32; 8]) -> Pair {
            granted!(vld1q_f32_x2(from.as_ptr()))
        }
        #[inline(always)]
        fn store(self, value: Pair, to: &mut [f32; 8]) {
            granted!(vst1q_f32_x2(to.as_mut_ptr(), value));
        }
        #[inline(always)]
        fn add(self, a: Pair, b: Pair) -> Pair {
            granted!(float32x4x2_t(vaddq_f32(a.0, b.0), vaddq_f32(a.1, b.1)))
        }
        #[inline(always)]
        fn sub(self, a: Pair, b: Pair) -> Pair {
            granted!(float32x4x2_t(vsubq_f32(a.0, b.0), vsubq_f32(a.1, b.1)))
        }
        #[inline(always)]
        fn mul(self, a: Pair, b: Pair) -> Pair {
            granted!(float32x4x2_t(vmulq_f32(a.0, b.0), vmulq_f32(a.1, b.1)))
        }
        #[inline(always)]
        fn div(self, a: Pair, b: Pair) -> Pair {
            granted!(float32x4x2_t(vdivq_f32(a.0, b.0), vdivq_f32(a.1, b.1)))
        }
        #[inline(always)]
        fn max(self, a: Pair, b: Pair) -> Pair {
            granted!(float32x4x2_t(
                vbslq_f32(vcgtq_f32(a.0, b.0), a.0, b.0),
                vbslq_f32(vcgtq_f32(a.1, b.1), a.1, b.1)
            ))
        }
        #[inline(always)]
        fn min(self, a: Pair, b: Pair) -> Pair {
            granted!(float32x4x2_t(
                vbslq_f32(vcltq_f32(a.0, b.0), a.0, b.0),
                vbslq_f32(vcltq_f32(a.1, b.1), a.1, b.1)
            ))
        }
        #[inline(always)]
        fn mul_add(self, a: Pair, b: Pair, c: Pair) -> Pair {
            granted!(float32x4x2_t(vfmaq_f32(c.0, a.0, b.0), vfmaq_f32(c.1, a.1, b.1)))
        }
        #[inline(always)]
        fn round(self, a: Pair) -> Pair {
            granted!(float32x4x2_t(vrndnq_f32(a.0), vrndnq_f32(a.1)))
        }
        #[inline(always)]
        fn power_of_two(self, whole: Pair) -> Pair {
            granted!({
                let bias = vdupq_n_s32(127);
                let low = vshlq_n_s32::<23>(vaddq_s32(vcvtq_s32_f32(whole.0), bias));
                let high = vshlq_n_s32::<23>(vaddq_s32(vcvtq_s32_f32(whole.1), bias));
                float32x4x2_t(vreinterpretq_f32_s32(low), vreinterpretq_f32_s32(high))
            })
        }
        #[inline(always)]
        fn select(self, mask: Pair, a: Pair, b: Pair) -> Pair {
            granted!(float32x4x2_t(
                vbslq_f32(vcltzq_f32(mask.0), a.0, b.0),
                vbslq_f32(vcltzq_f32(mask.1), a.1, b.1)
            ))
        }
        #[inline(always)]
        fn permute(self, a: Pair, from: Pair) -> Pair {
            // Of lane n the bytes 4n to 4n + 3.
            granted!({
                let table = uint8x16x2_t(vreinterpretq_u8_f32(a.0), vreinterpretq_u8_f32(a.1));
                let (scale, bytes) = (vdupq_n_u32(0x0404_0404), vdupq_n_u32(0x0302_0100));
                let low = vmlaq_u32(bytes, vcvtnq_u32_f32(from.0), scale);
                let high = vmlaq_u32(bytes, vcvtnq_u32_f32(from.1), scale);
                float32x4x2_t(
                    vreinterpretq_f32_u8(vqtbl2q_u8(table, vreinterpretq_u8_u32(low))),
                    vreinterpretq_f32_u8(vqtbl2q_u8(table, vreinterpretq_u8_u32(high))),
                )
            })
        }
    }
}
