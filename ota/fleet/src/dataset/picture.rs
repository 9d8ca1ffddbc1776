//! What a picture looks like: a perceptual hash, and under which condition it was taken.

use std::io::Cursor;

use image::{ImageFormat, ImageReader, Limits, RgbImage};
use image_hasher::{FilterType, HashAlg, Hasher, HasherConfig};
use serde::{Deserialize, Serialize};

/// Bits of the hash.
pub const BITS: u32 = 256;
/// Pixels along a side, at most.
const MAX_SIDE: u32 = 16_384;
/// Bytes that decoding may take.
const MAX_DECODED: u64 = 512 << 20;
/// Mean luma below which a picture counts as dark.
const DARK: u64 = 60;
/// Mean difference of a pixel's channels below which a picture counts as infrared or grey.
const GREY: u64 = 4;

/// Perceptual hash: of a 17 × 16 reduction, whether each pixel is brighter than its neighbour (difference hash).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Look(pub [u64; 4]);

impl Look {
    /// Bits that differ.
    pub fn distance(&self, other: &Self) -> u32 {
        self.0.iter().zip(other.0).map(|(mine, theirs)| (mine ^ theirs).count_ones()).sum()
    }
}

impl Serialize for Look {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let [a, b, c, d] = self.0;
        serializer.serialize_str(&format!("{a:016x}{b:016x}{c:016x}{d:016x}"))
    }
}

impl<'de> Deserialize<'de> for Look {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let part =
            |at: usize| text.get(at * 16..at * 16 + 16).and_then(|part| u64::from_str_radix(part, 16).ok());
        match (text.len(), part(0), part(1), part(2), part(3)) {
            (64, Some(a), Some(b), Some(c), Some(d)) => Ok(Self([a, b, c, d])),
            _ => Err(serde::de::Error::custom("a picture's hash: 64 digits of 0-9 and a-f are expected")),
        }
    }
}

/// Under which light a picture was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// By day or good light.
    Bright,
    /// In colour, with little light.
    Dark,
    /// Without colour.
    Infrared,
}

/// A picture, as far as it matters here.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Pixels across and down.
    pub size: [u32; 2],
    /// Its hash.
    pub look: Look,
    /// Its condition.
    pub condition: Condition,
}

/// Looks at JPEGs.
pub struct Eye(Hasher<[u8; 32]>);

impl Default for Eye {
    fn default() -> Self {
        let config = HasherConfig::with_bytes_type::<[u8; 32]>();
        Self(
            config
                .hash_size(16, 16)
                .hash_alg(HashAlg::Gradient)
                .resize_filter(FilterType::Triangle)
                .to_hasher(),
        )
    }
}

/// Decodes a picture, within limits.
///
/// # Errors
/// What is wrong with it.
pub fn decode(jpeg: &[u8]) -> Result<RgbImage, String> {
    let mut reader = ImageReader::with_format(Cursor::new(jpeg), ImageFormat::Jpeg);
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(MAX_SIDE), Some(MAX_SIDE));
    limits.max_alloc = Some(MAX_DECODED);
    reader.limits(limits);
    Ok(reader.decode().map_err(|error| format!("picture.jpg: {error}"))?.into_rgb8())
}

impl Eye {
    /// Decodes a picture, within limits, and looks at it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn look(&self, jpeg: &[u8]) -> Result<Seen, String> {
        let picture = decode(jpeg)?;
        let hash = self.0.hash_image(&picture);
        let mut bytes = hash
            .as_bytes()
            .chunks_exact(8)
            .map(|part| part.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)));
        let look = Look(std::array::from_fn(|_| bytes.next().unwrap_or_default()));
        Ok(Seen { size: [picture.width(), picture.height()], look, condition: condition(&picture) })
    }
}

fn condition(picture: &RgbImage) -> Condition {
    let (mut luma, mut colour, mut count) = (0_u64, 0_u64, 0_u64);
    // Every seventh pixel: seven divides no usual width, so columns and rows are all met.
    for pixel in picture.pixels().step_by(7) {
        let [r, g, b] = pixel.0;
        luma += (299 * u64::from(r) + 587 * u64::from(g) + 114 * u64::from(b)) / 1000;
        colour += u64::from(r.max(g).max(b) - r.min(g).min(b));
        count += 1;
    }
    match (luma / count.max(1), colour / count.max(1)) {
        (_, ..GREY) => Condition::Infrared,
        (..DARK, _) => Condition::Dark,
        _ => Condition::Bright,
    }
}
