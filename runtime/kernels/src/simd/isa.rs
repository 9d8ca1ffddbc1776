//! Which instructions this processor has.

#[cfg(target_arch = "aarch64")]
use super::Neon;
#[cfg(target_arch = "x86_64")]
use super::{Avx2, Avx512};
use crate::portable::Portable;

/// A set of instructions that this processor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Isa(pub(crate) Chosen);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chosen {
    Portable(Portable),
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512<false>),
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni(Avx512<true>),
    #[cfg(target_arch = "aarch64")]
    Neon(Neon),
}

impl Isa {
    /// The fastest that this processor has.
    pub fn detect() -> Self {
        Self::available().pop().unwrap_or(Self::portable())
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
                if has!("avx512f") && has!("avx512dq") && has!("avx512bw") && has!("avx512vl") {
                    found.push(Self(Chosen::Avx512(Avx512(()))));
                    if has!("avx512vnni") && has!("avx512vbmi") {
                        found.push(Self(Chosen::Avx512Vnni(Avx512(()))));
                    }
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

    /// Numbers of 32 bits in a block.
    pub(crate) fn lanes(self) -> usize {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Chosen::Avx512(_) | Chosen::Avx512Vnni(_) => 16,
            _ => 8,
        }
    }

    /// Whether it multiplies bytes: [`super::Simd::BYTES`].
    pub(crate) fn bytes(self) -> bool {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Chosen::Avx512Vnni(_) => true,
            _ => false,
        }
    }

    /// `portable`, `avx2`, `avx512`, `avx512vnni`, `neon`.
    pub fn name(self) -> &'static str {
        match self.0 {
            Chosen::Portable(_) => "portable",
            #[cfg(target_arch = "x86_64")]
            Chosen::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Chosen::Avx512(_) => "avx512",
            #[cfg(target_arch = "x86_64")]
            Chosen::Avx512Vnni(_) => "avx512vnni",
            #[cfg(target_arch = "aarch64")]
            Chosen::Neon(_) => "neon",
        }
    }
}
