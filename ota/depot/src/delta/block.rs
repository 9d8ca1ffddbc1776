//! One block: its head, its segments, and the order in which bytes lie in its frame.

use super::{MAX_BLOCK, MAX_SEGMENTS};

/// Bytes of a block's head.
pub const HEAD: usize = 24;
/// Bytes of a segment.
pub const SEGMENT: usize = 13;
/// Bytes that zstd may need more than it was given, at most.
const OVERHEAD: usize = 64 << 10;
/// Widest element, bytes.
const WIDEST: usize = 8;

/// A block's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockHead {
    /// Bytes of the new bundle.
    pub length: usize,
    /// Segments.
    pub segments: usize,
    /// Where zstd's prefix begins in the old bundle.
    pub prefix_at: u64,
    /// Its bytes; 0: none.
    pub prefix_length: usize,
    /// Bytes of the frame.
    pub packed: usize,
}

impl BlockHead {
    pub fn write(&self) -> Vec<u8> {
        // All four are bounded far below 2^32.
        let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes();
        let mut bytes = [number(self.length), number(self.segments)].concat();
        bytes.extend_from_slice(&self.prefix_at.to_le_bytes());
        bytes.extend_from_slice(&number(self.prefix_length));
        bytes.extend_from_slice(&number(self.packed));
        bytes
    }

    /// Reads a head; every number is bounded before anything of its size is asked for.
    pub fn read(bytes: &[u8; HEAD]) -> Result<Self, String> {
        let number = |at: usize| {
            let four = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
            usize::try_from(u32::from_le_bytes(four)).unwrap_or(usize::MAX)
        };
        let within = |name: &str, value: usize, least: usize, most: usize| match value {
            value if (least..=most).contains(&value) => Ok(value),
            value => Err(format!("a block with {name} {value}; {least} to {most} are expected")),
        };
        let mut prefix_at = [0; 8];
        prefix_at.copy_from_slice(&bytes[8..16]);
        let length = within("bytes:", number(0), 1, MAX_BLOCK)?;
        let segments = within("segments:", number(4), 1, MAX_SEGMENTS.min(length))?;
        let unpacked = segments * SEGMENT + length;
        Ok(Self {
            length,
            segments,
            prefix_at: u64::from_le_bytes(prefix_at),
            prefix_length: within("bytes of prefix:", number(16), 0, MAX_BLOCK)?,
            packed: within("packed bytes:", number(20), 1, unpacked + OVERHEAD)?,
        })
    }

    /// Bytes of its frame, unpacked.
    pub fn unpacked(&self) -> usize {
        self.segments * SEGMENT + self.length
    }
}

/// A piece of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Bytes.
    pub length: usize,
    /// Bytes of an element; 0: literal.
    pub width: usize,
    /// Place in the old bundle less place in the new one.
    pub shift: i64,
}

impl Segment {
    pub fn write(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(&u32::try_from(self.length).unwrap_or(u32::MAX).to_le_bytes());
        into.push(u8::try_from(self.width).unwrap_or(u8::MAX));
        into.extend_from_slice(&self.shift.to_le_bytes());
    }

    fn read(bytes: &[u8]) -> Result<Self, String> {
        let too_short = || "half a segment".to_owned();
        let (length, rest) = bytes.split_first_chunk().ok_or_else(too_short)?;
        let (width, rest) = rest.split_first().ok_or_else(too_short)?;
        let shift = rest.first_chunk().ok_or_else(too_short)?;
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let width = usize::from(*width);
        if !matches!(width, 0 | 1 | 2 | 4 | 8) || length == 0 || !length.is_multiple_of(width.max(1)) {
            return Err(format!("a segment of {length} bytes with elements of {width}"));
        }
        Ok(Self { length, width, shift: i64::from_le_bytes(*shift) })
    }
}

/// The segments at the beginning of an unpacked frame; together they are as long as the block.
pub fn segments(head: &BlockHead, unpacked: &[u8]) -> Result<Vec<Segment>, String> {
    let table = unpacked.get(..head.segments * SEGMENT).ok_or("it ends within its segments")?;
    let segments = table.chunks(SEGMENT).map(Segment::read).collect::<Result<Vec<_>, _>>()?;
    let sum = segments.iter().fold(0_usize, |sum, segment| sum.saturating_add(segment.length));
    if sum != head.length {
        return Err(format!("segments of {sum} bytes in a block of {}", head.length));
    }
    Ok(segments)
}

/// The order in which a block's bytes lie in its frame, as runs of (place in the block, distance to the next byte, bytes).
pub fn runs(segments: &[Segment]) -> impl Iterator<Item = (usize, usize, usize)> {
    let begins = segments.iter().scan(0, |at, segment| {
        let begin = *at;
        *at += segment.length;
        Some((begin, *segment))
    });
    let begins: Vec<(usize, Segment)> = begins.collect();
    let literal = begins.clone().into_iter().filter(|(_, segment)| segment.width == 0);
    let literal = literal.map(|(begin, segment)| (begin, 1, segment.length));
    let planes = (0..WIDEST).flat_map(move |plane| {
        let wide = begins.clone().into_iter().filter(move |(_, segment)| segment.width > plane);
        wide.map(move |(begin, segment)| (begin + plane, segment.width, segment.length / segment.width))
    });
    literal.chain(planes)
}

/// Turns elements into their differences from `old`, in place.
pub fn subtract(new: &mut [u8], old: &[u8], width: usize) {
    each(new, old, width, |new, old, mask| {
        let difference = new.wrapping_sub(old) & mask;
        let negative = difference & (mask ^ mask >> 1) != 0;
        (difference << 1 & mask) ^ if negative { mask } else { 0 }
    });
}

/// Turns differences from `old` into elements, in place.
pub fn add(differences: &mut [u8], old: &[u8], width: usize) {
    each(differences, old, width, |difference, old, mask| {
        let difference = difference >> 1 ^ if difference & 1 == 1 { mask } else { 0 };
        old.wrapping_add(difference) & mask
    });
}

fn each(changed: &mut [u8], old: &[u8], width: usize, change: impl Fn(u64, u64, u64) -> u64) {
    let mask = u64::MAX >> (64 - 8 * width);
    let number = |bytes: &[u8]| {
        let mut eight = [0; WIDEST];
        eight[..width].copy_from_slice(bytes);
        u64::from_le_bytes(eight)
    };
    for (element, old) in changed.chunks_exact_mut(width).zip(old.chunks_exact(width)) {
        let value = change(number(element), number(old), mask);
        element.copy_from_slice(&value.to_le_bytes()[..width]);
    }
}
