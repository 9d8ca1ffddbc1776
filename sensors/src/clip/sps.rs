//! The sequence parameter set of H.264 (ITU-T H.264, 7.3.2.1.1 and E.1.1): whether the built-in decoder can read the
//! stream, and how its colours are meant.

use crate::frame::{Colour, Matrix, Range};

/// What matters of it here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sps {
    /// 0 mono, 1 4:2:0, 2 4:2:2, 3 4:4:4.
    pub(crate) chroma_format: u32,
    pub(crate) bit_depth: u32,
    pub(crate) interlaced: bool,
    /// Pixels across and down, cropped.
    pub(crate) size: (u32, u32),
    pub(crate) colour: Colour,
}

impl Sps {
    /// Reads a NAL unit of type 7, without start code. `None` where it is cut or impossible.
    pub(crate) fn parse(unit: &[u8]) -> Option<Self> {
        if unit.first()? & 0x1f != 7 {
            return None;
        }
        let bytes = without_emulation_prevention(unit.get(1..unit.len().min(1024))?);
        let mut bits = Bits { bytes: &bytes, at: 0 };
        let profile = bits.take(8)?;
        bits.take(16)?;
        bits.exp_golomb()?; // seq_parameter_set_id
        let mut sps = Self { chroma_format: 1, bit_depth: 8, ..Self::default() };
        if matches!(profile, 100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135) {
            sps.high_profile(&mut bits)?;
        }
        bits.exp_golomb()?; // log2_max_frame_num_minus4
        picture_order(&mut bits)?;
        bits.exp_golomb()?; // max_num_ref_frames
        bits.take(1)?;
        let (width, height) = (bits.exp_golomb()?.checked_add(1)?, bits.exp_golomb()?.checked_add(1)?);
        sps.interlaced = bits.take(1)? == 0;
        if sps.interlaced {
            bits.take(1)?;
        }
        bits.take(1)?;
        let field = if sps.interlaced { 2 } else { 1 };
        let (mut width, mut height) = (width.checked_mul(16)?, height.checked_mul(16 * field)?);
        if bits.take(1)? == 1 {
            let (unit_x, unit_y) = match sps.chroma_format {
                1 => (2, 2 * field),
                2 => (2, field),
                _ => (1, field),
            };
            let across = bits.exp_golomb()?.checked_add(bits.exp_golomb()?)?.checked_mul(unit_x)?;
            let down = bits.exp_golomb()?.checked_add(bits.exp_golomb()?)?.checked_mul(unit_y)?;
            (width, height) = (width.checked_sub(across)?, height.checked_sub(down)?);
        }
        sps.size = (width, height);
        if bits.take(1)? == 1 {
            sps.colour = colour(&mut bits).unwrap_or_default();
        }
        Some(sps)
    }

    /// What the built-in decoder cannot read about it.
    pub(crate) fn obstacle(&self) -> Option<&'static str> {
        if self.interlaced {
            Some("interlaced H.264")
        } else if self.bit_depth != 8 {
            Some("H.264 with more than 8 bits per sample")
        } else if self.chroma_format > 1 {
            Some("H.264 with 4:2:2 or 4:4:4 chroma")
        } else {
            None
        }
    }

    fn high_profile(&mut self, bits: &mut Bits) -> Option<()> {
        self.chroma_format = bits.exp_golomb()?;
        if self.chroma_format == 3 {
            bits.take(1)?;
        }
        let luma = bits.exp_golomb()?.checked_add(8)?;
        self.bit_depth = bits.exp_golomb()?.checked_add(8)?.max(luma);
        bits.take(1)?;
        if bits.take(1)? == 1 {
            for list in 0..if self.chroma_format == 3 { 12 } else { 8 } {
                if bits.take(1)? == 1 {
                    scaling_list(bits, if list < 6 { 16 } else { 64 })?;
                }
            }
        }
        Some(())
    }
}

fn scaling_list(bits: &mut Bits, size: u32) -> Option<()> {
    let (mut last, mut next) = (8i64, 8i64);
    for _ in 0..size {
        if next != 0 {
            next = (last + bits.signed_exp_golomb()? + 256) % 256;
        }
        last = if next == 0 { last } else { next };
    }
    Some(())
}

fn picture_order(bits: &mut Bits) -> Option<()> {
    match bits.exp_golomb()? {
        0 => {
            bits.exp_golomb()?;
        }
        1 => {
            bits.take(1)?;
            bits.exp_golomb()?;
            bits.exp_golomb()?;
            for _ in 0..bits.exp_golomb()?.min(255) {
                bits.exp_golomb()?;
            }
        }
        _ => {}
    }
    Some(())
}

/// From the VUI parameters, as far as the video signal type.
fn colour(bits: &mut Bits) -> Option<Colour> {
    if bits.take(1)? == 1 && bits.take(8)? == 255 {
        bits.take(32)?;
    }
    if bits.take(1)? == 1 {
        bits.take(1)?;
    }
    let mut colour = Colour::default();
    if bits.take(1)? == 1 {
        bits.take(3)?;
        colour.range = if bits.take(1)? == 1 { Range::Full } else { Range::Limited };
        if bits.take(1)? == 1 {
            bits.take(16)?;
            colour.matrix = matrix(bits.take(8)?);
        }
    }
    Some(colour)
}

/// By the codes of ITU-T H.273, which H.264 shares; those without a form of their own here count as BT.601.
fn matrix(code: u32) -> Matrix {
    match code {
        1 => Matrix::Bt709,
        9 | 10 => Matrix::Bt2020,
        _ => Matrix::Bt601,
    }
}

fn without_emulation_prevention(bytes: &[u8]) -> Vec<u8> {
    let mut zeros = 0;
    let keep = |byte: &u8| {
        let prevention = zeros >= 2 && *byte == 3;
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
        !prevention
    };
    bytes.iter().copied().filter({
        let mut keep = keep;
        move |byte| keep(byte)
    }).collect()
}

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: usize) -> Option<u32> {
        let mut value = 0u32;
        for _ in 0..count {
            let byte = *self.bytes.get(self.at / 8)?;
            value = value << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(value)
    }

    fn exp_golomb(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.take(1)? == 0 {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        Some((1 << zeros) - 1 + self.take(zeros)?)
    }

    fn signed_exp_golomb(&mut self) -> Option<i64> {
        let code = i64::from(self.exp_golomb()?);
        Some(if code % 2 == 1 { (code + 1) / 2 } else { -code / 2 })
    }
}
