//! MP4 with H.264 by openh264, every picture at its own time. The index stands in front, so that browsers play at once.
//!
//! The muxer gathers the encoded pictures in memory until the end; writing stops at [`LIMIT`].

use std::path::{Path, PathBuf};
use std::time::Duration;

use image::RgbImage;
use muxide::api::{Muxer, MuxerBuilder, VideoCodec};
use openh264::OpenH264API;
use openh264::encoder::{
    BitRate, Complexity, Encoder, EncoderConfig, FrameRate, FrameType, IntraFramePeriod, RateControlMode,
    UsageType, VuiConfig,
};
use openh264::formats::YUVSlices;
use yuv::{BufferStoreMut, YuvConversionMode, YuvPlanarImageMut, YuvRange, YuvStandardMatrix, rgb_to_yuv420};

use super::{Fit, VideoError, VideoWriter};
use crate::output::OutputFile;

/// Most encoded bytes in memory: about half an hour of 720p.
const LIMIT: u64 = 1 << 30;
/// openh264 encodes up to 3840×2160, upright or lying.
const LONGEST: u32 = 3840;
const SHORTEST: u32 = 2160;

pub struct Mp4 {
    path: PathBuf,
    /// Moves into the muxer when the first picture tells the size.
    file: Option<OutputFile>,
    muxer: Option<Muxer<OutputFile>>,
    encoder: Encoder,
    fit: Fit,
    period: Duration,
    last: Option<Duration>,
    written: u64,
    yuv: Vec<u8>,
    bytes: Vec<u8>,
}

impl Mp4 {
    pub fn create(path: &Path, period: Duration) -> Result<Self, VideoError> {
        let file = Some(OutputFile::create(path)?);
        let period = if period.is_zero() { Duration::from_millis(40) } else { period };
        let rate = (1.0 / period.as_secs_f32()).clamp(1.0, 120.0);
        let config = EncoderConfig::new()
            .usage_type(UsageType::CameraVideoRealTime)
            .complexity(Complexity::Low)
            // A steady quality: the annotated video is looked at frame by frame, nobody streams it.
            .rate_control_mode(RateControlMode::Off)
            .bitrate(BitRate::from_bps(20_000_000))
            .skip_frames(false)
            .max_frame_rate(FrameRate::from_hz(rate))
            .intra_frame_period(IntraFramePeriod::from_num_frames(60))
            .vui(VuiConfig::bt709());
        let encoder = Encoder::with_api_config(OpenH264API::from_source(), config)
            .map_err(|error| refuse(path, error))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            muxer: None,
            encoder,
            fit: Fit::default(),
            period,
            last: None,
            written: 0,
            yuv: Vec::new(),
            bytes: Vec::new(),
        })
    }
}

fn refuse(path: &Path, problem: impl ToString) -> VideoError {
    VideoError::Encode { path: path.display().to_string(), codec: "H.264", problem: problem.to_string() }
}

/// Even, as 4:2:0 wants it, and within the encoder's limits, aspect kept.
fn encodable((width, height): (u32, u32)) -> (u32, u32) {
    let (long, short) = (width.max(height), width.min(height));
    let (w, h) = (u64::from(width), u64::from(height));
    let even = |side: u64| u32::try_from(side & !1).unwrap_or(LONGEST).max(16);
    if long <= LONGEST && short <= SHORTEST {
        return (even(w + 1).min(LONGEST), even(h + 1).min(LONGEST));
    }
    // Whichever side is further over its limit rules: side × limit ÷ over.
    let (limit, over) = if u64::from(long) * u64::from(SHORTEST) >= u64::from(short) * u64::from(LONGEST) {
        (u64::from(LONGEST), u64::from(long))
    } else {
        (u64::from(SHORTEST), u64::from(short))
    };
    (even(w * limit / over), even(h * limit / over))
}

/// I420 of `picture` (BT.709, limited range) in `yuv`; its sides are even.
fn convert(picture: &RgbImage, yuv: &mut Vec<u8>) -> Result<(), yuv::YuvError> {
    let (width, height) = picture.dimensions();
    let luma = (width * height) as usize;
    yuv.resize(luma + luma / 2, 0);
    let (y, chroma) = yuv.split_at_mut(luma);
    let (u, v) = chroma.split_at_mut(luma / 4);
    let mut planes = YuvPlanarImageMut {
        y_plane: BufferStoreMut::Borrowed(y),
        y_stride: width,
        u_plane: BufferStoreMut::Borrowed(u),
        u_stride: width / 2,
        v_plane: BufferStoreMut::Borrowed(v),
        v_stride: width / 2,
        width,
        height,
    };
    let mode = YuvConversionMode::Balanced;
    rgb_to_yuv420(&mut planes, picture, width * 3, YuvRange::Limited, YuvStandardMatrix::Bt709, mode)
}

impl VideoWriter for Mp4 {
    fn write(&mut self, picture: &RgbImage, at: Duration) -> Result<(), VideoError> {
        if self.written > LIMIT {
            let path = self.path.display().to_string();
            let advice = "write .mjpeg, which has no limit, or less with --from, --to and --every";
            return Err(VideoError::Full { path, limit_mib: LIMIT >> 20, advice });
        }
        let at = self.last.map_or(at, |last| if at > last { at } else { last + self.period });
        let picture = self.fit.apply(picture, encodable);
        let (width, height) = picture.dimensions();
        convert(&picture, &mut self.yuv).map_err(|error| refuse(&self.path, error))?;
        let (w, h) = (width as usize, height as usize);
        let (y, chroma) = self.yuv.split_at(w * h);
        let (u, v) = chroma.split_at(w * h / 4);
        let planes = YUVSlices::new((y, u, v), (w, h), (w, w / 2, w / 2));
        let stream = self.encoder.encode(&planes).map_err(|error| refuse(&self.path, error))?;
        let key = matches!(stream.frame_type(), FrameType::IDR | FrameType::I);
        self.bytes.clear();
        stream.write_vec(&mut self.bytes);
        if let Some(file) = self.file.take() {
            let rate = 1.0 / self.period.as_secs_f64();
            let builder =
                MuxerBuilder::new(file).video(VideoCodec::H264, width, height, rate).with_fast_start(true);
            self.muxer = Some(builder.build().map_err(|error| refuse(&self.path, error))?);
        }
        if let Some(muxer) = &mut self.muxer {
            let done = muxer.write_video(at.as_secs_f64(), &self.bytes, key);
            done.map_err(|error| refuse(&self.path, error))?;
        }
        self.written += self.bytes.len() as u64;
        self.last = Some(at);
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), VideoError> {
        let Some(mut muxer) = self.muxer.take() else {
            return Err(refuse(&self.path, "no picture came, so there is no video to write"));
        };
        muxer.finish_in_place().map_err(|error| refuse(&self.path, error))?;
        Ok(muxer.into_writer().commit()?)
    }
}
