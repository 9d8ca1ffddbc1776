//! From one `bundle.tar` to another with fewer bytes: a delta.
//!
//! A delta is an untrusted hint. It says from which bundle it starts and to which it leads, both are compared with what is
//! signed, and what comes of it is hashed in the slot like any other content; a delta that does not hold is an error, the
//! full file is the way that remains. It is a head and blocks, each of at most [`MAX_BLOCK`] bytes of the new bundle, so
//! that it is applied with flat memory:
//!
//! ```text
//! head    "stopline-delta" 0 version; digest and length of the old bundle; digest and length of the new one
//! block   u32 bytes of the new bundle; u32 segments; u64, u32 part of the old bundle that is zstd's prefix; u32 packed bytes
//!         one zstd frame: the segments (u32 bytes, u8 width, i64 place in the old bundle less place in the new one), literal
//!         bytes, then the planes of the differences
//! ```
//!
//! All numbers are little-endian. A segment of width 0 is literal. Any other is the wrapping difference of elements of so
//! many bytes, sign in the lowest bit, its lowest bytes first, then its second bytes, and so on: weights that moved a
//! little leave the upper planes empty. [`Algorithm::Tensor`] finds such pairs by name, shape and type in the two ONNX
//! files; [`Algorithm::PatchFrom`] is zstd's own way, with the old bundle as prefix.

mod apply;
mod block;
mod make;
mod onnx;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::str::FromStr;

pub use apply::apply;
pub use make::make;

use crate::digest::Digest;
use crate::release::Content;

/// Bytes of the new bundle in a block, and of the old one as its prefix, at most.
pub const MAX_BLOCK: usize = 8 << 20;
/// Segments of a block, at most.
pub const MAX_SEGMENTS: usize = 1 << 14;

const MAGIC: &[u8; 15] = b"stopline-delta\0";
const VERSION: u8 = 1;
const HEAD: usize = 96;

/// How a delta is made. All are applied the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// Differences of tensors of the same name, shape and type; where that is larger, as [`Algorithm::PatchFrom`].
    Tensor,
    /// zstd with the old bundle as prefix.
    PatchFrom,
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tensor => "tensor",
            Self::PatchFrom => "patch-from",
        })
    }
}

/// The name of no algorithm that this program knows; such a delta is passed over.
#[derive(Debug, thiserror::Error)]
#[error("no way to make deltas of this name is known here; tensor and patch-from are")]
pub struct UnknownAlgorithm;

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(name: &str) -> Result<Self, UnknownAlgorithm> {
        match name {
            "tensor" => Ok(Self::Tensor),
            "patch-from" => Ok(Self::PatchFrom),
            _ => Err(UnknownAlgorithm),
        }
    }
}

/// Why a delta was not made or applied.
#[derive(Debug, thiserror::Error)]
pub enum DeltaError {
    /// It is not of the form that is expected.
    #[error("delta, byte {at}: {problem}")]
    Form {
        /// Offset in the delta.
        at: u64,
        /// What was found and what is expected.
        problem: String,
    },
    /// It leads from or to another bundle than the one that is signed.
    #[error("delta: it leads from {found_from} to {found_to}; {from} to {to} is expected")]
    Other {
        /// Where it starts.
        found_from: Digest,
        /// Where it leads.
        found_to: Digest,
        /// The bundle in the slot.
        from: Digest,
        /// The bundle that is signed.
        to: Digest,
    },
    /// A newer program made it: fetch the full file.
    #[error("delta: version {0}; this program reads up to {VERSION}. The full file remains")]
    Newer(u8),
    /// Reading the old bundle, the delta or writing the new bundle failed.
    #[error("delta: {0}")]
    Io(#[from] io::Error),
}

/// What a delta begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The old bundle.
    pub from: Content,
    /// The new one.
    pub to: Content,
}

impl Head {
    fn write(&self) -> Vec<u8> {
        let mut bytes = [&MAGIC[..], &[VERSION]].concat();
        for content in [self.from, self.to] {
            bytes.extend_from_slice(content.sha256.as_bytes());
            bytes.extend_from_slice(&content.length.to_le_bytes());
        }
        bytes
    }

    /// Reads what a delta begins with.
    ///
    /// # Errors
    /// [`DeltaError::Form`], [`DeltaError::Newer`].
    pub fn read(bytes: &[u8]) -> Result<Self, DeltaError> {
        let form = |at, problem: &str| DeltaError::Form { at, problem: problem.to_owned() };
        let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| form(0, "it does not begin as a delta"))?;
        match rest.first() {
            Some(&VERSION) => {}
            Some(&found) if found > VERSION => return Err(DeltaError::Newer(found)),
            _ => return Err(form(15, "version 1 is expected")),
        }
        let content = |at: usize| {
            let sha256 = bytes.get(at..at + 32)?.try_into().ok()?;
            let length = bytes.get(at + 32..at + 40)?.try_into().ok()?;
            Some(Content { sha256: Digest::from_bytes(sha256), length: u64::from_le_bytes(length) })
        };
        let both = content(16).zip(content(56));
        let (from, to) = both.ok_or_else(|| form(16, "it ends within its head"))?;
        Ok(Self { from, to })
    }
}
