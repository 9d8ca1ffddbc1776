//! What signed metadata says of a model bundle: the `custom` object of its target `models/MODEL/FILE`, signed by the role
//! `models`.

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::bundle::MAX_UNPACKED;
use crate::digest::Digest;
use crate::versioned::{Versioned, check_name};

/// Deltas that a release may offer, at most.
pub const MAX_DELTAS: usize = 8;
/// Hardware variants, at most.
pub const MAX_HARDWARE: usize = 64;

/// A released bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// Schema, [`Versioned::SCHEMA`].
    pub schema: u32,
    /// The model's name; the manifest in the bundle says the same.
    pub model: String,
    /// The model's version; the manifest says the same.
    pub version: Version,
    /// Grows by every release of this model.
    pub release_seq: u64,
    /// Releases of this model with a lower `release_seq` are unsafe from now on.
    pub security_floor: u64,
    /// Hardware variants that it is for.
    pub hardware: Vec<String>,
    /// Oldest runtime that it runs on.
    pub min_runtime: Version,
    /// `bundle.tar`, as it lies in a slot. Its digest is the bundle's name everywhere.
    pub unpacked: Content,
    /// Ways from another bundle to this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deltas: Vec<Delta>,
}

/// Content by digest and length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// SHA-256.
    pub sha256: Digest,
    /// Bytes.
    pub length: u64,
}

/// A way from another bundle to this one: a hint that saves bytes, never an authority.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delta {
    /// `bundle.tar` that it starts from.
    pub from: Digest,
    /// Target path of the delta file, `models/MODEL/…`; length and digest are in its own target entry.
    pub path: String,
    /// How it was made: `tensor` or `patch-from`. One that is not known is passed over.
    pub algorithm: String,
    /// Bytes of the delta file.
    pub length: u64,
}

impl Versioned for Release {
    const SCHEMA: u32 = 1;
    const NAME: &'static str = "release";
    const LIMIT: usize = 16 << 10;

    fn check(&self) -> Result<(), String> {
        check_name("model", &self.model)?;
        if self.hardware.is_empty() || self.hardware.len() > MAX_HARDWARE {
            return Err(format!("hardware: {} names; 1 to {MAX_HARDWARE} are expected", self.hardware.len()));
        }
        self.hardware.iter().try_for_each(|name| check_name("hardware", name))?;
        if self.security_floor > self.release_seq {
            return Err(format!(
                "security_floor: {}; at most its own release_seq {} is expected",
                self.security_floor, self.release_seq
            ));
        }
        if self.unpacked.length == 0 || self.unpacked.length > MAX_UNPACKED {
            return Err(format!(
                "unpacked.length: {}; 1 to {MAX_UNPACKED} are expected",
                self.unpacked.length
            ));
        }
        if self.deltas.len() > MAX_DELTAS {
            return Err(format!("deltas: {}; at most {MAX_DELTAS} are allowed", self.deltas.len()));
        }
        Ok(())
    }
}
