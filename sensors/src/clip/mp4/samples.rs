//! The sample tables of a file without fragments: run-length tables of durations, offsets, sizes and chunks, laid out
//! into one list.

use super::boxes::{Bytes, child};
use super::track::Header;
use super::{MAX_SAMPLES, Sample};

/// The samples in decoding order. Tables that end early end the list: what they cover can be shown.
///
/// # Errors
/// Says which table is missing, or cannot be true of a file of `file` bytes.
pub(super) fn table(header: &Header, file: u64) -> Result<Vec<Sample>, String> {
    let table = &header.table[..];
    let sizes = Sizes::new(child(table, b"stsz").ok_or("no sample sizes (`stsz`)")?, file)?;
    if sizes.count == 0 {
        return Ok(Vec::new()); // a fragmented file
    }
    let chunks = Chunks::new(table).ok_or("no chunk offsets (`stco`, `stsc`)")?;
    let mut times = Runs::new(child(table, b"stts").ok_or("no sample times (`stts`)")?);
    let mut offsets = child(table, b"ctts").map(Runs::new);
    let keys: Option<Vec<u32>> = child(table, b"stss").and_then(|stss| {
        let mut fields = Bytes(stss);
        fields.version()?;
        Some(fields.rows(4)?.filter_map(|row| Bytes(row).u32()).collect())
    });
    let mut samples = Vec::with_capacity(sizes.count);
    let mut decoded: i64 = 0;
    let mut keys_passed = 0;
    'chunks: for (start, in_chunk) in chunks {
        let mut offset = start;
        for _ in 0..in_chunk {
            let index = samples.len();
            if index == sizes.count {
                break 'chunks;
            }
            let (Some(size), Some(duration)) = (sizes.size(index), times.next()) else { break 'chunks };
            // Offsets are signed in version 1; in version 0 no sane one reaches the sign bit.
            let later = offsets.as_mut().map_or(Some(0), Runs::next).unwrap_or_default().cast_signed();
            let key = keys.as_ref().is_none_or(|keys| {
                let here = keys.get(keys_passed).is_some_and(|key| *key as usize == index + 1);
                keys_passed += usize::from(here);
                here
            });
            samples.push(Sample { offset, size, shown: decoded.saturating_add(i64::from(later)), key });
            decoded = decoded.saturating_add(i64::from(duration));
            offset = offset.saturating_add(u64::from(size));
        }
    }
    Ok(samples)
}

struct Sizes<'a> {
    same: u32,
    each: &'a [u8],
    count: usize,
}

impl<'a> Sizes<'a> {
    fn new(stsz: &'a [u8], file: u64) -> Result<Self, String> {
        let mut fields = Bytes(stsz);
        let (Some(_), Some(same), Some(count)) = (fields.version(), fields.u32(), fields.u32()) else {
            return Err("sample sizes (`stsz`) are cut".to_owned());
        };
        let total = u64::from(same).saturating_mul(u64::from(count));
        if count as usize > MAX_SAMPLES || total > file {
            return Err(format!("{count} frames are claimed, which a file of {file} bytes cannot hold"));
        }
        let each = fields.0;
        let count = if same == 0 { (count as usize).min(each.len() / 4) } else { count as usize };
        Ok(Self { same, each, count })
    }

    fn size(&self, index: usize) -> Option<u32> {
        if self.same != 0 { Some(self.same) } else { Bytes(self.each.get(index * 4..)?).u32() }
    }
}

/// Where each chunk starts and how many samples it has.
struct Chunks<'a> {
    offsets: std::slice::ChunksExact<'a, u8>,
    runs: std::iter::Peekable<std::slice::ChunksExact<'a, u8>>,
    chunk: u32,
    per_chunk: u32,
}

impl<'a> Chunks<'a> {
    fn new(table: &'a [u8]) -> Option<Self> {
        let (content, row) = child(table, b"stco")
            .map(|content| (content, 4))
            .or(child(table, b"co64").map(|content| (content, 8)))?;
        let mut offsets = Bytes(content);
        offsets.version()?;
        let mut runs = Bytes(child(table, b"stsc")?);
        runs.version()?;
        Some(Self { offsets: offsets.rows(row)?, runs: runs.rows(12)?.peekable(), chunk: 0, per_chunk: 0 })
    }
}

impl Iterator for Chunks<'_> {
    type Item = (u64, u32);

    fn next(&mut self) -> Option<(u64, u32)> {
        let offset = self.offsets.next()?;
        let start = if offset.len() == 8 { Bytes(offset).u64()? } else { u64::from(Bytes(offset).u32()?) };
        self.chunk += 1;
        while let Some(run) = self.runs.peek() {
            let mut run = Bytes(run);
            if run.u32()? > self.chunk {
                break;
            }
            self.per_chunk = run.u32()?;
            self.runs.next();
        }
        Some((start, self.per_chunk))
    }
}

/// A run-length table: rows of a count and a value.
struct Runs<'a> {
    rows: std::slice::ChunksExact<'a, u8>,
    left: u32,
    value: u32,
}

impl<'a> Runs<'a> {
    fn new(content: &'a [u8]) -> Self {
        let mut fields = Bytes(content);
        let rows = fields.version().and_then(|_| fields.rows(8)).unwrap_or([].chunks_exact(8));
        Self { rows, left: 0, value: 0 }
    }

    fn next(&mut self) -> Option<u32> {
        while self.left == 0 {
            let mut row = Bytes(self.rows.next()?);
            (self.left, self.value) = (row.u32()?, row.u32()?);
        }
        self.left -= 1;
        Some(self.value)
    }
}
