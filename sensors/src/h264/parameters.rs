//! What a sequence parameter set says (ITU-T H.264, 7.3.2.1 and annex E): colours, picture order, frame rate.

use std::time::Duration;

use h264_reader::nal::sps::{ChromaFormat, FrameMbsFlags, PicOrderCntType, SeqParameterSet};
use h264_reader::rbsp;

use crate::frame::{Colour, Matrix, Range};

/// What the last sequence parameter set said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    /// Matrix and range of the video signal; BT.601 limited where not said.
    pub colour: Colour,
    /// Pixels across and down, cropped, as stored; where said.
    pub size: Option<(u32, u32)>,
    /// Whether pictures cannot be displayed in another order than they are coded: Baseline profile, or picture order
    /// count type 2. A promise made in the usability information (no re-ordered frames) does not count, since openh264
    /// re-orders by picture order count all the same.
    pub keeps_order: bool,
    /// Time from picture to picture at a steady rate, where said.
    pub period: Option<Duration>,
    /// What openh264 does not decode about it.
    pub unsupported: Option<String>,
}

impl Parameters {
    /// Reads `unit` (a NAL unit without its start code) if it is a sequence parameter set; one that breaks the standard
    /// counts as saying nothing.
    pub(crate) fn of_unit(unit: &[u8]) -> Option<Self> {
        const SEQUENCE_PARAMETER_SET: u8 = 7;
        let (header, _) = unit.split_first()?;
        if header & 0x1f != SEQUENCE_PARAMETER_SET {
            return None;
        }
        // Cameras pad their parameter sets with zeros, which the standard puts between NAL units.
        let end = unit.iter().rposition(|&byte| byte != 0)?;
        let payload = rbsp::decode_nal(&unit[..=end]).ok()?;
        match SeqParameterSet::from_bits(rbsp::BitReader::new(&*payload)) {
            Ok(set) => Some(Self::of_set(&set)),
            Err(problem) => {
                tracing::debug!(?problem, "sequence parameter set not understood");
                Some(Self::default())
            }
        }
    }

    fn of_set(set: &SeqParameterSet) -> Self {
        const BASELINE: u8 = 66;
        let usage = set.vui_parameters.as_ref();
        let signal = usage.and_then(|usage| usage.video_signal_type.as_ref());
        Self {
            colour: Colour {
                matrix: signal
                    .and_then(|signal| signal.colour_description.as_ref())
                    .map_or(Matrix::default(), |colours| matrix(colours.matrix_coefficients)),
                range: match signal {
                    Some(signal) if signal.video_full_range_flag => Range::Full,
                    _ => Range::Limited,
                },
            },
            size: set.pixel_dimensions().ok(),
            keeps_order: u8::from(set.profile_idc) == BASELINE
                || matches!(set.pic_order_cnt, PicOrderCntType::TypeTwo),
            period: period(set),
            unsupported: unsupported(set),
        }
    }
}

/// The NAL units of an Annex B byte stream, without start codes.
pub fn nal_units(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = after_start_code(stream);
    std::iter::from_fn(move || {
        let unit = rest?;
        let end = unit.windows(3).position(|window| window == [0, 0, 1]).unwrap_or(unit.len());
        rest = after_start_code(&unit[end..]);
        Some(&unit[..end])
    })
}

fn after_start_code(stream: &[u8]) -> Option<&[u8]> {
    let at = stream.windows(3).position(|window| window == [0, 0, 1])?;
    stream.get(at + 3..)
}

/// Table E-5 of the standard; what we have no matrix for is taken as BT.601.
fn matrix(coefficients: u8) -> Matrix {
    match coefficients {
        1 => Matrix::Bt709,
        9 | 10 => Matrix::Bt2020,
        _ => Matrix::Bt601,
    }
}

/// Two ticks make a frame (E.2.1, `num_units_in_tick`); only a fixed rate is a promise.
fn period(set: &SeqParameterSet) -> Option<Duration> {
    let timing = set.vui_parameters.as_ref()?.timing_info.as_ref()?;
    let (ticks, scale) = (f64::from(timing.num_units_in_tick) * 2.0, f64::from(timing.time_scale));
    let seconds = ticks / scale;
    let sensible = timing.fixed_frame_rate_flag && (0.001..=60.0).contains(&seconds);
    sensible.then(|| Duration::from_secs_f64(seconds))
}

fn unsupported(set: &SeqParameterSet) -> Option<String> {
    let chroma = &set.chroma_info;
    let luma_bits = u32::from(chroma.bit_depth_luma_minus8) + 8;
    let chroma_bits = u32::from(chroma.bit_depth_chroma_minus8) + 8;
    if luma_bits.max(chroma_bits) > 8 {
        Some(format!("{} bits per sample", luma_bits.max(chroma_bits)))
    } else if !matches!(chroma.chroma_format, ChromaFormat::YUV420) {
        Some(format!("{:?} chroma", chroma.chroma_format))
    } else if matches!(set.frame_mbs_flags, FrameMbsFlags::Fields { .. }) {
        Some("interlaced pictures".into())
    } else {
        None
    }
}
