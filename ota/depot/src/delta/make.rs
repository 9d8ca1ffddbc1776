//! Making a delta: the operator's side, with both bundles in memory.

use std::io;

use zstd::zstd_safe::{CCtx, CParameter, compress_bound, get_error_name};

use super::block::{self, BlockHead, Segment};
use super::{Algorithm, DeltaError, Head, MAX_SEGMENTS, onnx};
use crate::bundle::{Bundle, packed::MAX_WINDOW_LOG};
use crate::digest::Digest;
use crate::release::Content;

/// Bytes of the new bundle per block: a quarter of what is allowed, so that a board needs little memory.
const BLOCK: usize = 2 << 20;
/// Bytes of the old bundle before and after a block's place that zstd may look at too.
const MARGIN: usize = 1 << 20;
const LEVEL: i32 = 19;

/// A place in the new bundle that has its like in the old one.
struct Pair {
    new: usize,
    old: usize,
    length: usize,
    width: usize,
}

/// Makes the delta from one `bundle.tar` to another: the same bytes from the same two with the same version of zstd.
///
/// # Errors
/// [`DeltaError::Io`] if zstd fails, for want of memory.
pub fn make(old: &[u8], new: &[u8], algorithm: Algorithm) -> Result<Vec<u8>, DeltaError> {
    let content = |bytes: &[u8]| Content {
        sha256: Digest::of(bytes),
        length: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
    };
    let mut delta = Head { from: content(old), to: content(new) }.write();
    let (old_model, new_model) = (model_of(old), model_of(new));
    let shift = signed(old_model.map_or(0, |(at, _)| at)) - signed(new_model.map_or(0, |(at, _)| at));
    let pairs = match (algorithm, old_model, new_model) {
        (Algorithm::Tensor, Some(old), Some(new)) => pairs(old, new),
        _ => Vec::new(),
    };
    let mut at = 0;
    while at < new.len() {
        let segments = cut(&pairs, at, new.len());
        let length = segments.iter().map(|segment| segment.length).sum();
        let block = smallest(old, new, at, length, &segments, shift)?;
        delta.extend_from_slice(&block);
        at += length;
    }
    Ok(delta)
}

/// Where the ONNX file lies in a bundle.
fn model_of(tar: &[u8]) -> Option<(usize, &[u8])> {
    const HEADER: usize = 512;
    let bundle = Bundle::read(tar).ok()?;
    Some((HEADER + bundle.manifest_json.len().next_multiple_of(HEADER) + HEADER, bundle.model))
}

/// Tensors of the same name, shape and type, by place in the new bundle.
fn pairs((old_at, old): (usize, &[u8]), (new_at, new): (usize, &[u8])) -> Vec<Pair> {
    let old = onnx::tensors(old);
    let pair = |(name, new): (&[u8], onnx::Tensor)| {
        let same = |old: &&onnx::Tensor| old.shape == new.shape && old.bytes.len() == new.bytes.len();
        let old = old.get(name).filter(same)?;
        let (new_place, old_place) = (new_at + new.bytes.start, old_at + old.bytes.start);
        Some(Pair { new: new_place, old: old_place, length: new.bytes.len(), width: new.width })
    };
    let mut pairs: Vec<Pair> = onnx::tensors(new).into_iter().filter_map(pair).collect();
    pairs.sort_by_key(|pair| pair.new);
    pairs
}

/// The segments of the block that begins at `at`: what lies between pairs is literal; a pair is cut between elements.
fn cut(pairs: &[Pair], mut at: usize, end: usize) -> Vec<Segment> {
    let mut segments = Vec::new();
    let mut room = BLOCK;
    let first = pairs.partition_point(|pair| pair.new + pair.length <= at);
    let mut pairs = pairs[first..].iter().peekable();
    while at < end && room > 0 && segments.len() < MAX_SEGMENTS {
        let segment = match pairs.peek().copied() {
            Some(pair) if pair.new <= at => {
                let rest = pair.new + pair.length - at;
                // Where not one element fits into what is left, the block ends.
                let length = rest.min(room / pair.width * pair.width);
                if length == rest {
                    pairs.next();
                }
                Segment { length, width: pair.width, shift: signed(pair.old) - signed(pair.new) }
            }
            next => {
                let until = next.map_or(end, |pair| pair.new);
                Segment { length: (until - at).min(room), width: 0, shift: 0 }
            }
        };
        if segment.length == 0 {
            break;
        }
        at += segment.length;
        room -= segment.length;
        segments.push(segment);
    }
    segments
}

/// The smallest of the ways to say a block.
fn smallest(
    old: &[u8],
    new: &[u8],
    at: usize,
    length: usize,
    segments: &[Segment],
    shift: i64,
) -> Result<Vec<u8>, DeltaError> {
    let literal = [Segment { length, width: 0, shift: 0 }];
    let begin = at.saturating_add_signed(isize::try_from(shift).unwrap_or(0)).min(old.len());
    let from = begin.saturating_sub(MARGIN);
    let to = (begin + length + MARGIN).min(old.len());
    let mut ways = vec![frame(old, new, at, &literal, from..to)?, frame(old, new, at, &literal, 0..0)?];
    if segments.iter().any(|segment| segment.width > 0) {
        ways.push(frame(old, new, at, segments, 0..0)?);
    }
    ways.sort_by_key(Vec::len);
    Ok(ways.swap_remove(0))
}

fn frame(
    old: &[u8],
    new: &[u8],
    at: usize,
    segments: &[Segment],
    prefix: std::ops::Range<usize>,
) -> Result<Vec<u8>, DeltaError> {
    let length = segments.iter().map(|segment| segment.length).sum();
    let mut block = new[at..at + length].to_vec();
    let mut unpacked = Vec::with_capacity(segments.len() * block::SEGMENT + length);
    let mut begin = 0;
    for segment in segments {
        segment.write(&mut unpacked);
        let place = (at + begin).saturating_add_signed(isize::try_from(segment.shift).unwrap_or(0));
        if segment.width > 0 {
            let bytes = &mut block[begin..begin + segment.length];
            block::subtract(bytes, &old[place..place + segment.length], segment.width);
        }
        begin += segment.length;
    }
    for (at, step, count) in block::runs(segments) {
        unpacked.extend(block[at..].iter().step_by(step).take(count));
    }
    let prefix_at = if prefix.is_empty() { 0 } else { prefix.start };
    let packed = pack(&unpacked, &old[prefix.clone()])?;
    let head = BlockHead {
        length,
        segments: segments.len(),
        prefix_at: u64::try_from(prefix_at).unwrap_or(u64::MAX),
        prefix_length: prefix.len(),
        packed: packed.len(),
    };
    Ok([head.write(), packed].concat())
}

fn pack(bytes: &[u8], prefix: &[u8]) -> Result<Vec<u8>, DeltaError> {
    let failed = |code| DeltaError::Io(io::Error::other(format!("zstd: {}", get_error_name(code))));
    let mut encoder = CCtx::try_create().ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?;
    encoder.set_parameter(CParameter::CompressionLevel(LEVEL)).map_err(failed)?;
    encoder.set_parameter(CParameter::WindowLog(MAX_WINDOW_LOG)).map_err(failed)?;
    if !prefix.is_empty() {
        encoder.set_parameter(CParameter::EnableLongDistanceMatching(true)).map_err(failed)?;
        encoder.ref_prefix(prefix).map_err(failed)?;
    }
    let mut packed = Vec::with_capacity(compress_bound(bytes.len()));
    encoder.compress2(&mut packed, bytes).map_err(failed)?;
    Ok(packed)
}

/// Places lie far below 2^63.
fn signed(place: usize) -> i64 {
    i64::try_from(place).unwrap_or(i64::MAX)
}
