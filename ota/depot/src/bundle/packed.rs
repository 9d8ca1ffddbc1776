//! `NAME-VERSION.slb`: `bundle.tar` in one zstd frame (RFC 8878) with content size and checksum.
//!
//! The frame's header is read here before zstd sees a byte: it decides how much memory the decoder takes, and whoever
//! wrote it is not yet trusted.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::ops::RangeInclusive;

use sha2::{Digest, Sha256};

use super::{Bundle, BundleError, MAX_UNPACKED, write_tar};

/// Largest window: 2^23 = 8 MiB, which is about what the decoder takes.
pub const MAX_WINDOW_LOG: u32 = 23;
/// Unpacked bytes per packed one, at most. Weights pack to about nine tenths; a bomb to a thousandth.
pub const MAX_RATIO: u64 = 64;

const LEVEL: i32 = 19;
/// Bytes read and written at once.
const PIECE: usize = 64 << 10;
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Length and digest of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measure {
    /// Bytes.
    pub length: u64,
    /// SHA-256.
    pub sha256: [u8; 32],
}

/// What packing gave: to be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packed {
    /// The `.slb` file.
    pub packed: Measure,
    /// Its `bundle.tar`.
    pub unpacked: Measure,
}

/// Packs a bundle: the same bytes from the same parts with the same version of zstd.
///
/// # Errors
/// Those of [`write_tar`].
pub fn pack(bundle: &Bundle<'_>, out: impl Write) -> Result<Packed, BundleError> {
    let mut packed = Measured::new(out);
    let mut encoder = zstd::Encoder::new(&mut packed, LEVEL)?;
    encoder.include_checksum(true)?;
    encoder.include_contentsize(true)?;
    encoder.window_log(MAX_WINDOW_LOG)?;
    encoder.set_pledged_src_size(Some(bundle.tar_length()))?;
    let mut unpacked = Measured::new(encoder);
    write_tar(bundle, &mut unpacked)?;
    let (encoder, unpacked) = unpacked.finish();
    encoder.finish()?;
    Ok(Packed { unpacked, packed: packed.finish().1 })
}

/// Unpacks what is `packed_length` bytes long into `bundle.tar`, with flat memory, and measures that. The measure is to
/// be compared with the signed one, and [`Bundle::read`] to be passed, before anything is made of it.
///
/// # Errors
/// [`BundleError::Content`] for a frame that is not as [`pack`] writes it, or too large, before anything is decoded;
/// [`BundleError::Io`] for one that is damaged.
pub fn unpack(packed: impl Read, packed_length: u64, out: impl Write) -> Result<Measure, BundleError> {
    let mut unpacked = Measured::new(out);
    unpack_within(packed, packed_length, 1..=MAX_UNPACKED, &mut unpacked)?;
    Ok(unpacked.finish().1)
}

/// [`unpack`] of a frame that promises exactly `length` bytes, the signed length; any other is refused before anything is
/// decoded. What comes out is not measured here: a slot hashes what is written to it.
///
/// # Errors
/// As [`unpack`].
pub fn unpack_exactly(
    packed: impl Read,
    packed_length: u64,
    length: u64,
    out: impl Write,
) -> Result<(), BundleError> {
    unpack_within(packed, packed_length, length..=length.min(MAX_UNPACKED), out)
}

fn unpack_within(
    packed: impl Read,
    packed_length: u64,
    promise: RangeInclusive<u64>,
    out: impl Write,
) -> Result<(), BundleError> {
    let mut packed = BufReader::with_capacity(PIECE, packed.take(packed_length));
    let expected = content_size(packed.fill_buf()?).map_err(BundleError::Content)?;
    let allowed = *promise.start()..=(*promise.end()).min(packed_length.saturating_mul(MAX_RATIO));
    if !allowed.contains(&expected) {
        let problem = format!(
            "{packed_length} bytes would unpack to {expected}, {} to {} are allowed",
            allowed.start(),
            allowed.end()
        );
        return Err(BundleError::Content(problem));
    }
    let mut decoder = zstd::Decoder::with_buffer(packed)?.single_frame();
    decoder.window_log_max(MAX_WINDOW_LOG)?;
    // One byte more than promised would show.
    let copied = copy((&mut decoder).take(expected.saturating_add(1)), out)?;
    if copied != expected {
        return Err(BundleError::Content(format!("{copied} bytes came of a frame that promised {expected}")));
    }
    if !decoder.finish().fill_buf()?.is_empty() {
        return Err(BundleError::Content("something follows the zstd frame".into()));
    }
    Ok(())
}

/// [`io::copy`] in pieces that are worth a write.
fn copy(mut from: impl Read, mut to: impl Write) -> io::Result<u64> {
    let (mut piece, mut copied) = (vec![0; PIECE], 0_u64);
    loop {
        let read = match from.read(&mut piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        if read == 0 {
            return Ok(copied);
        }
        to.write_all(&piece[..read])?;
        copied = copied.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
    }
}

/// The content size that the header of a zstd frame promises (RFC 8878 §3.1.1.1), if the frame may be decoded here.
pub fn content_size(begin: &[u8]) -> Result<u64, String> {
    let Some([descriptor, rest @ ..]) = begin.strip_prefix(&MAGIC) else {
        return Err("it does not begin as a zstd frame".into());
    };
    let single_segment = descriptor & 0x20 != 0;
    if descriptor & 0x04 == 0 || descriptor & 0x08 != 0 || descriptor & 0x03 != 0 {
        return Err("a zstd frame with a checksum and without a dictionary is expected".into());
    }
    let (window, rest) = match (single_segment, rest) {
        (true, rest) => (None, rest),
        (false, [window, rest @ ..]) => (Some(window_size(*window)), rest),
        (false, []) => return Err("it ends within its header".into()),
    };
    // 2 bytes count from 256.
    let (width, base) = match (descriptor >> 6, single_segment) {
        (0, true) => (1, 0),
        (0, false) => return Err("a zstd frame that says how large its content is is expected".into()),
        (1, _) => (2, 256),
        (2, _) => (4, 0),
        _ => (8, 0),
    };
    let bytes = rest.get(..width).ok_or("it ends within its header")?;
    let size = bytes.iter().rev().fold(0_u64, |size, byte| size << 8 | u64::from(*byte)).saturating_add(base);
    let window = window.unwrap_or(size);
    if window > 1 << MAX_WINDOW_LOG {
        return Err(format!("its window has {window} bytes, at most 2^{MAX_WINDOW_LOG} are allowed"));
    }
    Ok(size)
}

/// RFC 8878 §3.1.1.1.2.
fn window_size(descriptor: u8) -> u64 {
    let base = 1_u64 << (10 + (descriptor >> 3));
    base + base / 8 * u64::from(descriptor & 7)
}

/// Passes bytes on and measures them.
struct Measured<W> {
    inner: W,
    length: u64,
    digest: Sha256,
}

impl<W> Measured<W> {
    fn new(inner: W) -> Self {
        Self { inner, length: 0, digest: Sha256::new() }
    }

    fn finish(self) -> (W, Measure) {
        (self.inner, Measure { length: self.length, sha256: self.digest.finalize().into() })
    }
}

impl<W: Write> Write for Measured<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.digest.update(&bytes[..written]);
        self.length = self.length.saturating_add(u64::try_from(written).unwrap_or(u64::MAX));
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
