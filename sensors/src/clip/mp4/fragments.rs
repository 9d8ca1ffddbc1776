//! Fragmented files (`moof`): what cameras and dash recorders write that may lose power at any time.

use super::boxes::{Bytes, child, children};
use super::track::Header;
use super::{MAX_SAMPLES, Sample};

/// Appends the samples of the fragment `moof`, which starts at byte `start` of a file of `file` bytes.
/// `decode_time` goes on from fragment to fragment where a fragment does not say its own.
///
/// # Errors
/// Says what cannot be true.
pub(super) fn samples(
    moof: &[u8],
    start: u64,
    header: &Header,
    file: u64,
    decode_time: &mut i64,
    samples: &mut Vec<Sample>,
) -> Result<(), String> {
    for (_, traf) in children(moof).filter(|(name, _)| name == b"traf") {
        let Some(defaults) = child(traf, b"tfhd").and_then(|tfhd| Defaults::new(tfhd, start, header)) else {
            continue;
        };
        if let Some(time) = child(traf, b"tfdt").and_then(base_time) {
            *decode_time = time;
        }
        let mut next = defaults.base;
        for (_, trun) in children(traf).filter(|(name, _)| name == b"trun") {
            run(trun, &defaults, file, &mut next, decode_time, samples)
                .ok_or("a run of samples is cut or impossible")?;
        }
    }
    Ok(())
}

/// What holds for the samples of a track fragment that do not say otherwise.
struct Defaults {
    base: u64,
    duration: u32,
    size: u32,
    flags: u32,
}

impl Defaults {
    /// `None` where the fragment is another track's, or cut.
    fn new(tfhd: &[u8], start: u64, header: &Header) -> Option<Self> {
        let mut fields = Bytes(tfhd);
        let (_, present) = fields.version()?;
        if fields.u32()? != header.id {
            return None;
        }
        let base = if present & 0x1 != 0 { fields.u64()? } else { start };
        if present & 0x2 != 0 {
            fields.u32()?; // which sample description
        }
        let mut field = |bit, default| if present & bit != 0 { fields.u32() } else { Some(default) };
        let [duration, size, flags] = header.defaults;
        Some(Self {
            base,
            duration: field(0x8, duration)?,
            size: field(0x10, size)?,
            flags: field(0x20, flags)?,
        })
    }
}

fn base_time(tfdt: &[u8]) -> Option<i64> {
    let mut fields = Bytes(tfdt);
    let (version, _) = fields.version()?;
    if version == 1 { i64::try_from(fields.u64()?).ok() } else { fields.u32().map(i64::from) }
}

fn run(
    trun: &[u8],
    defaults: &Defaults,
    file: u64,
    next: &mut u64,
    decode_time: &mut i64,
    samples: &mut Vec<Sample>,
) -> Option<()> {
    let mut fields = Bytes(trun);
    let (_, present) = fields.version()?;
    let count = fields.u32()? as usize;
    if present & 0x1 != 0 {
        *next = defaults.base.checked_add_signed(i64::from(fields.i32()?))?;
    }
    let first_flags = if present & 0x4 != 0 { Some(fields.u32()?) } else { None };
    let row = 4 * (present >> 8 & 0xf).count_ones() as usize;
    let bytes_each = if present & 0x200 != 0 { 0 } else { u64::from(defaults.size) };
    let held = fields.0.len() >= count.checked_mul(row)?;
    // Samples without a row of their own must have bytes in the file, or a small box could claim any number of them.
    let possible =
        if row == 0 { bytes_each > 0 && bytes_each.checked_mul(count as u64)? <= file } else { held };
    if !possible || samples.len().checked_add(count)? > MAX_SAMPLES {
        return None;
    }
    for index in 0..count {
        let mut field = |bit, default| if present & bit != 0 { fields.u32() } else { Some(default) };
        let (duration, size) = (field(0x100, defaults.duration)?, field(0x200, defaults.size)?);
        let flags = field(0x400, first_flags.filter(|_| index == 0).unwrap_or(defaults.flags))?;
        let later = field(0x800, 0)?.cast_signed();
        // Bit 16: the sample is not one at which decoding can begin.
        let key = flags & 0x1_0000 == 0;
        samples.push(Sample {
            offset: *next,
            size,
            shown: decode_time.saturating_add(i64::from(later)),
            key,
        });
        *next = next.checked_add(u64::from(size))?;
        *decode_time = decode_time.saturating_add(i64::from(duration));
    }
    Some(())
}
