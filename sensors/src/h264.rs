//! H.264 access units become I420 pictures, by openh264. Shared by recorded video and network cameras.
//!
//! openh264 hands pictures out in display order and without timestamps: whoever feeds it sorts the presentation times
//! and hands them out in that order. It does not decode interlaced pictures, more than 8 bits, 4:2:2 or 4:4:4; the
//! stream's own parameters say so, and the error names what it was.

mod parameters;

use openh264::decoder::{DecodeOptions, DecodedYUV, Decoder, DecoderConfig, Flush};
use openh264::formats::YUVSource;
use openh264::{Error as NativeError, OpenH264API};

use crate::frame::{Buffer, BufferPool, Colour, Frame, MAX_SIDE, PixelFormat};
use crate::orientation::Orientation;
use crate::source::SourceError;

pub use parameters::{Parameters, nal_units};

/// A decoded picture: [`PixelFormat::I420`], its planes one after the other without padding ([`Frame::packed`]). Its
/// pixels were copied once, out of the decoder.
pub struct Picture {
    /// Pixels across and down, cropped as the stream says, and upright.
    pub size: (u32, u32),
    /// As the stream says, else BT.601 limited.
    pub colour: Colour,
    /// The three planes.
    pub buffer: Buffer,
}

/// When a picture leaves the decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delay {
    /// As soon as it is decoded, wherever the stream promises to keep display order; else one or two pictures later.
    Least,
    /// When its place in display order is certain: recordings, whose last pictures [`H264Decoder::finish`] brings.
    Ordered,
}

/// What can be wrong with H.264.
#[derive(Debug, thiserror::Error)]
pub enum H264Error {
    /// openh264 does not start.
    #[error("the H.264 decoder does not start: {0}")]
    Start(NativeError),
    /// Coded in a way openh264 does not decode.
    #[error("H.264 with {0}; only progressive 8-bit 4:2:0 is decoded")]
    Unsupported(String),
    /// Broken bytes, or a picture it refers to is missing.
    #[error("the picture cannot be decoded (openh264: {0})")]
    Picture(NativeError),
    /// Units go in and no picture comes out, beyond what display order can ask for.
    #[error("no picture came of 16 access units")]
    Silent,
    /// An impossible size.
    #[error("a picture of {0}x{1} pixels; each side may be 1 to {MAX_SIDE}")]
    Size(usize, usize),
}

impl H264Error {
    /// The same, said of `what`: a file, or an address without credentials.
    pub fn of(self, what: &str) -> SourceError {
        let (what, problem) = (what.to_owned(), self.to_string());
        match self {
            Self::Unsupported(_) => SourceError::Unsupported {
                what,
                problem,
                advice: "set the camera or encoder to that, or convert the recording with ffmpeg".into(),
            },
            Self::Start(_) | Self::Picture(_) | Self::Silent | Self::Size(..) => SourceError::Malformed {
                what,
                problem,
                advice: "decoding goes on at the next key frame; if this repeats, the stream is damaged"
                    .into(),
            },
        }
    }
}

/// Decodes one stream.
pub struct H264Decoder {
    decoder: Decoder,
    delay: Delay,
    flush: Flush,
    /// The stream broke its promise to keep display order.
    reorders: bool,
    parameters: Parameters,
    orientation: Orientation,
}

impl H264Decoder {
    /// A decoder that has seen nothing yet.
    ///
    /// # Errors
    /// [`H264Error::Start`].
    pub fn new(delay: Delay) -> Result<Self, H264Error> {
        let decoder = start()?;
        Ok(Self {
            decoder,
            delay,
            flush: Flush::NoFlush,
            reorders: false,
            parameters: Parameters::default(),
            orientation: Orientation::default(),
        })
    }

    /// The same decoder, its pictures turned upright by the one copy that is made of them.
    #[must_use]
    pub fn turned(mut self, orientation: Orientation) -> Self {
        self.orientation = orientation;
        self
    }

    /// What the last sequence parameter set said.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Decodes one access unit in Annex B form, parameter sets in front of key frames. Gives a picture or, while the
    /// decoder holds pictures back for display order, none.
    ///
    /// # Errors
    /// [`H264Error::Picture`]: this unit gives no picture, and those after it lack a reference until the next key
    /// frame. [`H264Error::Unsupported`] cannot mend itself.
    pub fn decode(&mut self, access_unit: &[u8], pool: &BufferPool) -> Result<Option<Picture>, H264Error> {
        self.read_parameters(access_unit);
        let (colour, orientation) = (self.parameters.colour, self.orientation);
        let options = DecodeOptions::new().flush_after_decode(self.flush);
        let native = match self.decoder.decode_with_options(access_unit, options) {
            Ok(decoded) => return decoded.map(|yuv| copy(&yuv, colour, orientation, pool)).transpose(),
            Err(native) => native,
        };
        if let Some(why) = &self.parameters.unsupported {
            return Err(H264Error::Unsupported(why.clone()));
        }
        if native.native_code() == FLUSHED_TOO_EARLY && self.flush == Flush::Flush {
            // The stream re-orders although it said it does not: from the next key frame on it gets its delay.
            self.restart()?;
            self.reorders = true;
            self.flush = Flush::NoFlush;
        }
        Err(H264Error::Picture(native))
    }

    /// The pictures held back for display order, once no more access units come.
    ///
    /// # Errors
    /// As [`Self::decode`].
    pub fn finish(&mut self, pool: &BufferPool) -> Result<Vec<Picture>, H264Error> {
        let (colour, orientation) = (self.parameters.colour, self.orientation);
        let held = self.decoder.flush_remaining().map_err(H264Error::Picture)?;
        held.iter().map(|yuv| copy(yuv, colour, orientation, pool)).collect()
    }

    /// Forgets every picture, as if nothing had been decoded; the next unit must be a key frame.
    ///
    /// # Errors
    /// [`H264Error::Start`].
    pub fn restart(&mut self) -> Result<(), H264Error> {
        self.decoder = start()?;
        Ok(())
    }

    fn read_parameters(&mut self, access_unit: &[u8]) {
        let Some(found) = nal_units(access_unit).find_map(Parameters::of_unit) else { return };
        if found == self.parameters {
            return;
        }
        self.flush = match self.delay {
            Delay::Least if found.keeps_order && !self.reorders => Flush::Flush,
            Delay::Least | Delay::Ordered => Flush::NoFlush,
        };
        self.parameters = found;
    }
}

/// openh264's answer to a flush while pictures still wait for their place (`dsOutOfMemory`, by name misleading).
const FLUSHED_TOO_EARLY: i64 = 16_384;

fn start() -> Result<Decoder, H264Error> {
    Decoder::with_api_config(OpenH264API::from_source(), DecoderConfig::new()).map_err(H264Error::Start)
}

fn copy(
    yuv: &DecodedYUV<'_>,
    colour: Colour,
    orientation: Orientation,
    pool: &BufferPool,
) -> Result<Picture, H264Error> {
    let (across, down) = yuv.dimensions();
    let side = |pixels: usize| u32::try_from(pixels).ok().filter(|side| (1..=MAX_SIDE).contains(side));
    let (Some(width), Some(height)) = (side(across), side(down)) else {
        return Err(H264Error::Size(across, down));
    };
    let size = orientation.size((width, height));
    let (layout, bytes) = Frame::packed_layout(PixelFormat::I420, size.0, size.1);
    let mut buffer = pool.take(bytes);
    let strides = yuv.strides();
    let planes = [(yuv.y(), strides.0), (yuv.u(), strides.1), (yuv.v(), strides.2)];
    for (plane, ((from, stride), to)) in planes.into_iter().zip(&layout).enumerate() {
        let (row, rows) = PixelFormat::I420.plane_size(plane, width, height);
        if from.len() < stride * (rows - 1) + row {
            return Err(H264Error::Size(across, down));
        }
        orientation.place(from, stride, (row, rows), 1, &mut buffer.bytes_mut()[to.offset..]);
    }
    Ok(Picture { size, colour, buffer })
}

#[cfg(test)]
mod tests;
