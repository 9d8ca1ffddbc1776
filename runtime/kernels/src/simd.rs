//! The one place of this crate with unsafe code: the processor's wide instructions behind [`Simd`], a trait of plain
//! arithmetic on a block of `L` numbers.
//!
//! A token of an implementation is proof that the processor has its instructions: [`Isa::detect`] and
//! [`Isa::available`] are the only makers. Kernels are safe code, generic over the token; [`Simd::call`] compiles one of
//! them for the token's instructions, so everything inlined into it may use them.
#![allow(unsafe_code)]

mod isa;

pub(crate) use crate::wide::{Bytes, Kernel, Simd, halves};
pub(crate) use isa::Chosen;
pub use isa::Isa;

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

    use super::{Avx2, Avx512, Bytes, Kernel, Simd};
    use crate::portable;

    /// Methods of one instruction each.
    macro_rules! each_instruction {
        ($v:ty: $($name:ident($($of:ident),+) = $instruction:ident;)+) => {$(
            #[inline(always)]
            fn $name(self, $($of: $v),+) -> $v {
                granted!($instruction($($of),+))
            }
        )+};
    }

    #[target_feature(enable = "avx2,fma")]
    #[inline(never)]
    fn with_avx2<K: Kernel<8>>(simd: Avx2, kernel: K) {
        kernel.run(simd);
    }

    /// `vpmaddwd`, written out: as an intrinsic, LLVM sees that `a` is a pair spread over a register and takes it from a
    /// register of its neighbours, by a shuffle, rather than from memory, and the sums no longer have registers.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn products(a: __m256, b: __m256) -> __m256i {
        let products: __m256i;
        // SAFETY: the instruction reads and writes these three registers only; AVX2 is enabled here.
        unsafe {
            std::arch::asm!(
                "vpmaddwd {products}, {a}, {b}",
                products = lateout(ymm_reg) products, a = in(ymm_reg) a, b = in(ymm_reg) b,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        products
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
        each_instruction!(__m256:
            add(a, b) = _mm256_add_ps;
            sub(a, b) = _mm256_sub_ps;
            mul(a, b) = _mm256_mul_ps;
            div(a, b) = _mm256_div_ps;
            max(a, b) = _mm256_max_ps;
            min(a, b) = _mm256_min_ps;
            mul_add(a, b, c) = _mm256_fmadd_ps;
        );
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
        #[inline(always)]
        fn add_products(self, a: __m256, b: __m256, c: __m256) -> __m256 {
            granted!(_mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(c), products(a, b))))
        }
        #[inline(always)]
        fn pair(self, a: __m256, b: __m256) -> [__m256; 2] {
            granted!({
                let (a, b) = (_mm256_castps_si256(a), _mm256_castps_si256(b));
                let (low, high) = (_mm256_unpacklo_epi16(a, b), _mm256_unpackhi_epi16(a, b));
                [_mm256_castsi256_ps(low), _mm256_castsi256_ps(high)]
            })
        }
        #[inline(always)]
        fn widen(self, a: __m256) -> [__m256; 2] {
            granted!({
                let a = _mm256_castps_si256(a);
                let low = _mm256_srai_epi32::<16>(_mm256_unpacklo_epi16(a, a));
                let high = _mm256_srai_epi32::<16>(_mm256_unpackhi_epi16(a, a));
                [_mm256_castsi256_ps(low), _mm256_castsi256_ps(high)]
            })
        }
        #[inline(always)]
        fn narrow(self, [low, high]: [__m256; 2]) -> __m256 {
            granted!({
                let narrow = _mm256_packs_epi32(_mm256_castps_si256(low), _mm256_castps_si256(high));
                _mm256_castsi256_ps(narrow)
            })
        }
        #[inline(always)]
        fn to_float(self, a: __m256) -> __m256 {
            granted!(_mm256_cvtepi32_ps(_mm256_castps_si256(a)))
        }
        #[inline(always)]
        fn look_up(self, both: [__m256; 2], bytes: &Bytes, low: [i16; 2]) -> [__m256; 2] {
            granted!({
                let [first, second] = [_mm256_castps_si256(both[0]), _mm256_castps_si256(both[1])];
                let low = [_mm256_set1_epi16(low[0]), _mm256_set1_epi16(low[1])];
                let mut at =
                    _mm256_packus_epi16(_mm256_sub_epi16(first, low[0]), _mm256_sub_epi16(second, low[0]));
                let (part, beyond) = (_mm256_set1_epi8(16), _mm256_set1_epi8(0x70));
                let mut found = _mm256_setzero_si256();
                for sixteen in bytes {
                    let table = _mm256_broadcastsi128_si256(_mm_loadu_si128(sixteen.as_ptr().cast()));
                    // Places beyond this part have their highest bit set, which makes a 0.
                    let here = _mm256_shuffle_epi8(table, _mm256_adds_epu8(at, beyond));
                    found = _mm256_or_si256(found, here);
                    at = _mm256_sub_epi8(at, part);
                }
                let zero = _mm256_setzero_si256();
                let first = _mm256_add_epi16(_mm256_unpacklo_epi8(found, zero), low[1]);
                let second = _mm256_add_epi16(_mm256_unpackhi_epi8(found, zero), low[1]);
                [_mm256_castsi256_ps(first), _mm256_castsi256_ps(second)]
            })
        }
        #[inline(always)]
        fn to_whole(self, a: __m256) -> __m256 {
            granted!(_mm256_castsi256_ps(_mm256_cvtps_epi32(a)))
        }
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")]
    #[inline(never)]
    fn with_avx512<K: Kernel<16>>(simd: Avx512<false>, kernel: K) {
        kernel.run(simd);
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni,avx512vbmi,avx2,fma")]
    #[inline(never)]
    fn with_vnni<K: Kernel<16>>(simd: Avx512<true>, kernel: K) {
        kernel.run(simd);
    }

    /// `vpdpwssd`, written out for the reason of [`products`].
    #[target_feature(enable = "avx512f,avx512vnni")]
    #[inline]
    fn products_added(a: __m512, b: __m512, c: __m512) -> __m512 {
        let mut sums = c;
        // SAFETY: the instruction reads these three registers and writes the first only; VNNI is enabled here.
        unsafe {
            std::arch::asm!(
                "vpdpwssd {sums}, {b}, {a}",
                sums = inout(zmm_reg) sums, a = in(zmm_reg) a, b = in(zmm_reg) b,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        sums
    }

    /// `vpdpbusd`, written out for the reason of [`products`].
    #[target_feature(enable = "avx512f,avx512vnni")]
    #[inline]
    fn byte_products_added(a: __m512, b: __m512, c: __m512) -> __m512 {
        let mut sums = c;
        // SAFETY: the instruction reads these three registers and writes the first only; VNNI is enabled here.
        unsafe {
            std::arch::asm!(
                "vpdpbusd {sums}, {a}, {b}",
                sums = inout(zmm_reg) sums, a = in(zmm_reg) a, b = in(zmm_reg) b,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        sums
    }

    /// Of the bytes `at` what `bytes` has at that place: two instructions that look into 128 bytes each.
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    #[inline]
    fn byte_of(bytes: &Bytes, at: __m512i) -> __m512i {
        let mut tables = [_mm512_setzero_si512(); 4];
        for (table, part) in tables.iter_mut().zip(bytes.as_flattened().as_chunks::<64>().0) {
            // SAFETY: 64 bytes are read, as many as `part` has.
            *table = unsafe { _mm512_loadu_si512(part.as_ptr().cast()) };
        }
        let [a, b, c, d] = tables;
        let (low, high) = (_mm512_permutex2var_epi8(a, at, b), _mm512_permutex2var_epi8(c, at, d));
        _mm512_mask_blend_epi8(_mm512_movepi8_mask(at), low, high)
    }

    impl Avx512<true> {
        /// Without the instructions that only whole numbers ask for.
        pub fn plain(self) -> Avx512<false> {
            Avx512(())
        }
    }

    impl<const V: bool> Simd<16> for Avx512<V> {
        type V = __m512;
        const TILE: usize = 24;
        const BYTES: bool = V;

        fn call<K: Kernel<16>>(self, kernel: K) {
            if V {
                granted!(with_vnni(Avx512(()), kernel));
            } else {
                granted!(with_avx512(Avx512(()), kernel));
            }
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
        each_instruction!(__m512:
            add(a, b) = _mm512_add_ps;
            sub(a, b) = _mm512_sub_ps;
            mul(a, b) = _mm512_mul_ps;
            div(a, b) = _mm512_div_ps;
            max(a, b) = _mm512_max_ps;
            min(a, b) = _mm512_min_ps;
            mul_add(a, b, c) = _mm512_fmadd_ps;
        );
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
        #[inline(always)]
        fn add_products(self, a: __m512, b: __m512, c: __m512) -> __m512 {
            if V {
                return granted!(products_added(a, b, c));
            }
            granted!({
                let products = _mm512_madd_epi16(_mm512_castps_si512(a), _mm512_castps_si512(b));
                _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(c), products))
            })
        }
        #[inline(always)]
        fn bytes(self, [a, b]: [__m512; 2], least: i16) -> __m512 {
            granted!({
                let least = _mm512_set1_epi16(least);
                let a = _mm512_cvtepi16_epi8(_mm512_sub_epi16(_mm512_castps_si512(a), least));
                let b = _mm512_cvtepi16_epi8(_mm512_sub_epi16(_mm512_castps_si512(b), least));
                _mm512_castsi512_ps(_mm512_inserti64x4::<1>(_mm512_castsi256_si512(a), b))
            })
        }
        #[inline(always)]
        fn add_byte_products(self, a: __m512, b: __m512, c: __m512) -> __m512 {
            if V {
                granted!(byte_products_added(a, b, c))
            } else {
                portable::add_byte_products(self, a, b, c)
            }
        }
        #[inline(always)]
        fn pair(self, a: __m512, b: __m512) -> [__m512; 2] {
            granted!({
                let (a, b) = (_mm512_castps_si512(a), _mm512_castps_si512(b));
                let (low, high) = (_mm512_unpacklo_epi16(a, b), _mm512_unpackhi_epi16(a, b));
                [_mm512_castsi512_ps(low), _mm512_castsi512_ps(high)]
            })
        }
        #[inline(always)]
        fn widen(self, a: __m512) -> [__m512; 2] {
            granted!({
                let a = _mm512_castps_si512(a);
                let low = _mm512_srai_epi32::<16>(_mm512_unpacklo_epi16(a, a));
                let high = _mm512_srai_epi32::<16>(_mm512_unpackhi_epi16(a, a));
                [_mm512_castsi512_ps(low), _mm512_castsi512_ps(high)]
            })
        }
        #[inline(always)]
        fn narrow(self, [low, high]: [__m512; 2]) -> __m512 {
            granted!({
                let narrow = _mm512_packs_epi32(_mm512_castps_si512(low), _mm512_castps_si512(high));
                _mm512_castsi512_ps(narrow)
            })
        }
        #[inline(always)]
        fn to_float(self, a: __m512) -> __m512 {
            granted!(_mm512_cvtepi32_ps(_mm512_castps_si512(a)))
        }
        #[inline(always)]
        fn look_up(self, both: [__m512; 2], bytes: &Bytes, low: [i16; 2]) -> [__m512; 2] {
            granted!({
                let [first, second] = [_mm512_castps_si512(both[0]), _mm512_castps_si512(both[1])];
                let low = [_mm512_set1_epi16(low[0]), _mm512_set1_epi16(low[1])];
                let mut at =
                    _mm512_packus_epi16(_mm512_sub_epi16(first, low[0]), _mm512_sub_epi16(second, low[0]));
                let (part, beyond) = (_mm512_set1_epi8(16), _mm512_set1_epi8(0x70));
                let mut found = if V { byte_of(bytes, at) } else { _mm512_setzero_si512() };
                let parts: &[[u8; 16]] = if V { &[] } else { bytes };
                for sixteen in parts {
                    let table = _mm512_broadcast_i32x4(_mm_loadu_si128(sixteen.as_ptr().cast()));
                    // Places beyond this part have their highest bit set, which makes a 0.
                    let here = _mm512_shuffle_epi8(table, _mm512_adds_epu8(at, beyond));
                    found = _mm512_or_si512(found, here);
                    at = _mm512_sub_epi8(at, part);
                }
                let zero = _mm512_setzero_si512();
                let first = _mm512_add_epi16(_mm512_unpacklo_epi8(found, zero), low[1]);
                let second = _mm512_add_epi16(_mm512_unpackhi_epi8(found, zero), low[1]);
                [_mm512_castsi512_ps(first), _mm512_castsi512_ps(second)]
            })
        }
        #[inline(always)]
        fn to_whole(self, a: __m512) -> __m512 {
            granted!(_mm512_castsi512_ps(_mm512_cvtps_epi32(a)))
        }
    }
}

/// AVX-512 F, DQ, BW and VL: sixteen numbers in a register, 32 registers. `V`: with VNNI and VBMI, which whole numbers alone
/// ask for.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Avx512<const V: bool>(());

/// NEON: a block of eight is a pair of registers, 32 registers.
#[cfg(target_arch = "aarch64")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Neon(());

#[cfg(target_arch = "aarch64")]
mod arm {
    use std::arch::aarch64::*;

    use super::{Bytes, Kernel, Neon, Simd};

    type Pair = float32x4x2_t;

    #[target_feature(enable = "neon")]
    #[inline]
    fn add_products(a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        let (a, b) = (vreinterpretq_s16_f32(a), vreinterpretq_s16_f32(b));
        let low = vmull_s16(vget_low_s16(a), vget_low_s16(b));
        let sums = vpaddq_s32(low, vmull_high_s16(a, b));
        vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(c), sums))
    }

    /// Eight numbers.
    #[target_feature(enable = "neon")]
    #[inline]
    fn look_up(numbers: float32x4_t, bytes: &Bytes, low: [i16; 2]) -> float32x4_t {
        let mut at = vqmovun_s16(vsubq_s16(vreinterpretq_s16_f32(numbers), vdupq_n_s16(low[0])));
        let mut found = vdup_n_u8(0);
        for parts in bytes.as_flattened().as_chunks::<64>().0 {
            // SAFETY: 64 bytes are read, as many as `parts` has.
            let table = unsafe { vld1q_u8_x4(parts.as_ptr()) };
            // Places beyond this part make a 0.
            found = vorr_u8(found, vqtbl4_u8(table, at));
            at = vsub_u8(at, vdup_n_u8(64));
        }
        let wide = vreinterpretq_s16_u16(vmovl_u8(found));
        vreinterpretq_f32_s16(vaddq_s16(wide, vdupq_n_s16(low[1])))
    }

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
            let (low, high) = from.split_at(4);
            granted!(float32x4x2_t(vld1q_f32(low.as_ptr()), vld1q_f32(high.as_ptr())))
        }
        #[inline(always)]
        fn store(self, value: Pair, to: &mut [f32; 8]) {
            let (low, high) = to.split_at_mut(4);
            granted!({
                vst1q_f32(low.as_mut_ptr(), value.0);
                vst1q_f32(high.as_mut_ptr(), value.1);
            });
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
        #[inline(always)]
        fn add_products(self, a: Pair, b: Pair, c: Pair) -> Pair {
            // Neighbours' products are added in pairs: no instruction does all of it.
            granted!(float32x4x2_t(add_products(a.0, b.0, c.0), add_products(a.1, b.1, c.1)))
        }
        #[inline(always)]
        fn pair(self, a: Pair, b: Pair) -> [Pair; 2] {
            granted!({
                let (a0, a1) = (vreinterpretq_s16_f32(a.0), vreinterpretq_s16_f32(a.1));
                let (b0, b1) = (vreinterpretq_s16_f32(b.0), vreinterpretq_s16_f32(b.1));
                let low = (vzip1q_s16(a0, b0), vzip1q_s16(a1, b1));
                let high = (vzip2q_s16(a0, b0), vzip2q_s16(a1, b1));
                [
                    float32x4x2_t(vreinterpretq_f32_s16(low.0), vreinterpretq_f32_s16(low.1)),
                    float32x4x2_t(vreinterpretq_f32_s16(high.0), vreinterpretq_f32_s16(high.1)),
                ]
            })
        }
        #[inline(always)]
        fn widen(self, a: Pair) -> [Pair; 2] {
            granted!({
                let (a0, a1) = (vreinterpretq_s16_f32(a.0), vreinterpretq_s16_f32(a.1));
                let low = (vmovl_s16(vget_low_s16(a0)), vmovl_s16(vget_low_s16(a1)));
                let high = (vmovl_high_s16(a0), vmovl_high_s16(a1));
                [
                    float32x4x2_t(vreinterpretq_f32_s32(low.0), vreinterpretq_f32_s32(low.1)),
                    float32x4x2_t(vreinterpretq_f32_s32(high.0), vreinterpretq_f32_s32(high.1)),
                ]
            })
        }
        #[inline(always)]
        fn narrow(self, [low, high]: [Pair; 2]) -> Pair {
            granted!({
                let first = vqmovn_s32(vreinterpretq_s32_f32(low.0));
                let second = vqmovn_s32(vreinterpretq_s32_f32(low.1));
                float32x4x2_t(
                    vreinterpretq_f32_s16(vqmovn_high_s32(first, vreinterpretq_s32_f32(high.0))),
                    vreinterpretq_f32_s16(vqmovn_high_s32(second, vreinterpretq_s32_f32(high.1))),
                )
            })
        }
        #[inline(always)]
        fn look_up(self, both: [Pair; 2], bytes: &Bytes, low: [i16; 2]) -> [Pair; 2] {
            granted!([
                float32x4x2_t(look_up(both[0].0, bytes, low), look_up(both[0].1, bytes, low)),
                float32x4x2_t(look_up(both[1].0, bytes, low), look_up(both[1].1, bytes, low)),
            ])
        }
        #[inline(always)]
        fn to_float(self, a: Pair) -> Pair {
            granted!(float32x4x2_t(
                vcvtq_f32_s32(vreinterpretq_s32_f32(a.0)),
                vcvtq_f32_s32(vreinterpretq_s32_f32(a.1))
            ))
        }
        #[inline(always)]
        fn to_whole(self, a: Pair) -> Pair {
            granted!(float32x4x2_t(
                vreinterpretq_f32_s32(vcvtnq_s32_f32(a.0)),
                vreinterpretq_f32_s32(vcvtnq_s32_f32(a.1))
            ))
        }
    }
}
