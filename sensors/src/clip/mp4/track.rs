//! The headers of the video track: codec, time scale, size, turn, edit list.

use std::ops::Range;

use super::boxes::{Bytes, at, child, children};
use crate::orientation::Orientation;

/// What the headers say of the first video track.
pub(super) struct Header {
    pub(super) id: u32,
    pub(super) codec: [u8; 4],
    pub(super) avc: Option<Avc>,
    pub(super) size: (u32, u32),
    pub(super) orientation: Orientation,
    pub(super) timescale: u32,
    /// The part of the timeline that is shown.
    pub(super) edit: Range<i64>,
    /// The content of the sample table box.
    pub(super) table: Vec<u8>,
    /// Defaults of fragments: duration, size, flags.
    pub(super) defaults: [u32; 3],
}

/// How H.264 lies in the samples (ISO/IEC 14496-15, `AVCDecoderConfigurationRecord`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Avc {
    /// Bytes of the length before each NAL unit: 1, 2 or 4.
    pub(crate) length_bytes: usize,
    /// Sequence and picture parameter sets, each without length or start code.
    pub(crate) parameter_sets: Vec<Vec<u8>>,
}

/// Reads a `moov` box.
///
/// # Errors
/// Says what is missing.
pub(super) fn header(moov: &[u8], _file: u64) -> Result<Header, String> {
    let movie_scale = child(moov, b"mvhd").and_then(movie_timescale).unwrap_or(1000);
    let mut handlers = Vec::new();
    for (_, trak) in children(moov).filter(|(name, _)| name == b"trak") {
        let handler = at(trak, &[b"mdia", b"hdlr"]).and_then(|hdlr| hdlr.get(8..12));
        if handler == Some(b"vide") {
            let mut header = track(trak, movie_scale).ok_or("the headers of the video track are damaged")?;
            header.defaults = defaults(moov, header.id);
            return Ok(header);
        }
        handlers.push(handler.unwrap_or(b"?").escape_ascii().to_string());
        if handlers.len() >= 16 {
            break;
        }
    }
    Err(format!("no video track among {} track(s) ({})", handlers.len(), handlers.join(", ")))
}

fn track(trak: &[u8], movie_scale: u32) -> Option<Header> {
    let mut tkhd = Bytes(child(trak, b"tkhd")?);
    let (version, _) = tkhd.version()?;
    tkhd.take(if version == 1 { 16 } else { 8 })?;
    let id = tkhd.u32()?;
    tkhd.take(if version == 1 { 12 } else { 8 } + 16)?;
    let matrix = [tkhd.i32()?, tkhd.i32()?, tkhd.i32()?, tkhd.i32()?, tkhd.i32()?];
    let orientation =
        Orientation::from_matrix([matrix[0], matrix[1], matrix[3], matrix[4]]).unwrap_or_default();

    let timescale = at(trak, &[b"mdia", b"mdhd"]).and_then(media_timescale).filter(|scale| *scale > 0)?;
    let table = at(trak, &[b"mdia", b"minf", b"stbl"])?;
    let stsd = child(table, b"stsd")?.get(8..)?;
    let (codec, entry) = children(stsd).next()?;
    let mut fields = Bytes(entry.get(24..)?);
    let size = (u32::from(fields.u16()?), u32::from(fields.u16()?));
    let avc =
        matches!(&codec, b"avc1" | b"avc3").then(|| child(entry.get(78..)?, b"avcC").and_then(avc)).flatten();
    let edit = at(trak, &[b"edts", b"elst"])
        .and_then(|list| edit(list, movie_scale, timescale))
        .unwrap_or(i64::MIN..i64::MAX);
    Some(Header {
        id,
        codec,
        avc,
        size,
        orientation,
        timescale,
        edit,
        table: table.to_vec(),
        defaults: [0; 3],
    })
}

fn movie_timescale(mvhd: &[u8]) -> Option<u32> {
    media_timescale(mvhd).filter(|scale| *scale > 0)
}

/// `mvhd` and `mdhd` begin alike: version, two times, the time scale.
fn media_timescale(mdhd: &[u8]) -> Option<u32> {
    let mut fields = Bytes(mdhd);
    let (version, _) = fields.version()?;
    fields.take(if version == 1 { 16 } else { 8 })?;
    fields.u32()
}

fn avc(record: &[u8]) -> Option<Avc> {
    let mut fields = Bytes(record);
    fields.take(4)?;
    let length_bytes = usize::from(fields.u8()? & 3) + 1;
    let mut parameter_sets = Vec::new();
    for mask in [0x1f, 0xff] {
        for _ in 0..fields.u8()? & mask {
            let length = usize::from(fields.u16()?);
            parameter_sets.push(fields.take(length)?.to_vec());
        }
    }
    (length_bytes != 3).then_some(Avc { length_bytes, parameter_sets })
}

/// The part of the media timeline that the edit list shows. Lists of several parts are rare (cut on the telephone
/// without being written again): the first part is shown.
fn edit(list: &[u8], movie_scale: u32, timescale: u32) -> Option<Range<i64>> {
    let mut fields = Bytes(list);
    let (version, _) = fields.version()?;
    let rows = fields.rows(if version == 1 { 20 } else { 12 })?;
    let mut parts = rows.filter_map(|row| {
        let mut row = Bytes(row);
        let (length, start) = if version == 1 {
            (row.u64()?, row.u64()?.cast_signed())
        } else {
            (u64::from(row.u32()?), i64::from(row.i32()?))
        };
        (start >= 0).then_some((length, start)) // -1: nothing is shown for that long
    });
    let (length, start) = parts.next()?;
    if parts.next().is_some() {
        tracing::warn!("the recording's edit list has several parts; the first is shown");
    }
    let length = i128::from(length) * i128::from(timescale) / i128::from(movie_scale);
    let end = i128::from(start).saturating_add(length);
    // A length of zero stands for "to the end" (fragmented files).
    let end = if length == 0 { i64::MAX } else { i64::try_from(end).unwrap_or(i64::MAX) };
    Some(start..end)
}

fn defaults(moov: &[u8], id: u32) -> [u32; 3] {
    let Some(mvex) = child(moov, b"mvex") else { return [0; 3] };
    children(mvex)
        .filter(|(name, _)| name == b"trex")
        .find_map(|(_, trex)| {
            let mut fields = Bytes(trex);
            fields.version()?;
            let track = fields.u32()?;
            fields.u32()?;
            (track == id).then_some([fields.u32()?, fields.u32()?, fields.u32()?])
        })
        .unwrap_or_default()
}
