//! Coded pictures become decoded ones, with the time they arrived at.

use std::time::SystemTime;

#[cfg(feature = "h264")]
use std::collections::VecDeque;

use retina::codec::VideoFrame;

use super::session::Coding;
use crate::clock::Monotonic;
use crate::frame::{Buffer, BufferPool, Colour, PixelFormat};
#[cfg(feature = "h264")]
use crate::h264::{Delay, H264Decoder, H264Error};
use crate::jpeg;
use crate::source::SourceError;

/// When a coded picture came, and which it is.
#[derive(Clone, Copy)]
pub(super) struct Arrived {
    pub sequence: u64,
    pub captured: Monotonic,
    pub wall: SystemTime,
}

/// A decoded picture.
pub(super) struct Decoded {
    pub arrived: Arrived,
    pub format: PixelFormat,
    pub colour: Colour,
    pub size: (u32, u32),
    pub buffer: Buffer,
    /// Pixel copies after decoding.
    pub copies: u8,
}

/// What became of a coded picture.
pub(super) enum Outcome {
    /// This or an earlier picture is decoded.
    Decoded(Decoded),
    /// It waits for its place in display order.
    Held,
    /// It cannot be used; `also` are pictures that waited and are given up with it.
    Skipped { why: SourceError, also: u64 },
    /// Nor can any other of this stream.
    Hopeless(SourceError),
}

/// Decodes one connection's stream.
pub(super) struct Pictures {
    what: String,
    pool: BufferPool,
    #[cfg(feature = "h264")]
    h264: Option<H264>,
}

impl Pictures {
    pub fn new(coding: Coding, what: &str, pool: &BufferPool) -> Result<Self, SourceError> {
        #[cfg(not(feature = "h264"))]
        let Coding::Jpeg = coding else { unreachable!("a session without the feature chooses no H.264") };
        Ok(Self {
            what: what.to_owned(),
            pool: pool.clone(),
            #[cfg(feature = "h264")]
            h264: match coding {
                Coding::H264 => Some(H264::new().map_err(|error| error.of(what))?),
                Coding::Jpeg => None,
            },
        })
    }

    /// Whether `frame` is from before the first key frame: of no use, and nothing was lost.
    pub fn joins_before_key_frame(&self, frame: &VideoFrame) -> bool {
        #[cfg(feature = "h264")]
        if let Some(h264) = &self.h264 {
            return !h264.begun && !frame.is_random_access_point();
        }
        let _ = frame;
        false
    }

    /// Pictures that wait in the decoder, and never come if the connection ends now.
    pub fn held(&self) -> u64 {
        #[cfg(feature = "h264")]
        if let Some(h264) = &self.h264 {
            return h264.waiting.len() as u64;
        }
        0
    }

    pub fn decode(&mut self, frame: VideoFrame, arrived: Arrived) -> Outcome {
        #[cfg(feature = "h264")]
        if let Some(h264) = &mut self.h264 {
            return h264.decode(&frame, arrived, &self.what, &self.pool);
        }
        match jpeg::decode(&self.what, &ended(frame.into_data()), &self.pool) {
            Ok(jpeg::Decoded { format, colour, size, buffer }) => {
                Outcome::Decoded(Decoded { arrived, format, colour, size, buffer, copies: 0 })
            }
            Err(why) => Outcome::Skipped { why, also: 0 },
        }
    }
}

/// With the end marker, which RFC 2435 does not carry and retina does not always add.
fn ended(mut jpeg: Vec<u8>) -> Vec<u8> {
    const END_OF_IMAGE: [u8; 2] = [0xff, 0xd9];
    if !jpeg.ends_with(&END_OF_IMAGE) {
        jpeg.extend_from_slice(&END_OF_IMAGE);
    }
    jpeg
}

#[cfg(feature = "h264")]
struct H264 {
    decoder: H264Decoder,
    /// When the pictures the decoder still holds came. They leave in display order, so the earliest arrival is given to
    /// the first that leaves: stamps never go back, and a picture's age is never stated too low.
    waiting: VecDeque<Arrived>,
    begun: bool,
    /// A reference is missing: what comes before the next key frame would show things that are not there.
    broken: bool,
}

#[cfg(feature = "h264")]
impl H264 {
    /// More than any stream's re-ordering (the standard's largest picture buffer).
    const WAITING: usize = 16;

    fn new() -> Result<Self, H264Error> {
        let decoder = H264Decoder::new(Delay::Least)?;
        Ok(Self { decoder, waiting: VecDeque::new(), begun: false, broken: false })
    }

    fn decode(&mut self, frame: &VideoFrame, arrived: Arrived, what: &str, pool: &BufferPool) -> Outcome {
        let key = frame.is_random_access_point();
        self.begun |= key;
        self.broken = !key && (self.broken || frame.loss() > 0);
        if self.broken {
            return Outcome::Skipped { why: reference_lost(what), also: self.forget() };
        }
        self.waiting.push_back(arrived);
        match self.decoder.decode(frame.data(), pool) {
            Ok(Some(picture)) => {
                let arrived = self.waiting.pop_front().unwrap_or(arrived);
                Outcome::Decoded(Decoded {
                    arrived,
                    format: PixelFormat::I420,
                    colour: picture.colour,
                    size: picture.size,
                    buffer: picture.buffer,
                    copies: 1,
                })
            }
            Ok(None) if self.waiting.len() <= Self::WAITING => Outcome::Held,
            Ok(None) => self.start_over(H264Error::Silent, what),
            Err(error @ H264Error::Unsupported(_)) => Outcome::Hopeless(error.of(what)),
            Err(error) => self.start_over(error, what),
        }
    }

    /// After an error nothing the decoder holds is trusted.
    fn start_over(&mut self, error: H264Error, what: &str) -> Outcome {
        self.broken = true;
        if let Err(error) = self.decoder.restart() {
            return Outcome::Hopeless(error.of(what));
        }
        Outcome::Skipped { why: error.of(what), also: self.forget().saturating_sub(1) }
    }

    fn forget(&mut self) -> u64 {
        let held = self.waiting.len();
        self.waiting.clear();
        held as u64
    }
}

#[cfg(feature = "h264")]
fn reference_lost(what: &str) -> SourceError {
    SourceError::Malformed {
        what: what.to_owned(),
        problem: "the picture refers to one that was lost on the way".into(),
        advice: "decoding goes on at the next key frame; use transport = \"tcp\", or let the camera send key frames \
                 more often"
            .into(),
    }
}
