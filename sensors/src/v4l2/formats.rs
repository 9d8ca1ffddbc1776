//! Which of a camera's formats is used, and what its colours mean.
//!
//! Choosing is pure: it works on the list of what a node offers, so that every case is a plain test.

use serde::{Deserialize, Serialize};
use v4l::v4l_sys as sys;

use super::node::{Granted, SizeOffer};
use crate::frame::{Colour, Matrix, PixelFormat, Range};
use crate::source::SourceError;

/// A camera format this house reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum CameraFormat {
    /// 4:2:0, luma then interleaved chroma, in one memory plane (`NV12`).
    Nv12,
    /// The same in two memory planes (`NM12`), of multi-planar devices.
    Nv12Planes,
    /// 4:2:2 packed (`YUYV`).
    Yuyv,
    /// 4:2:2 packed (`UYVY`).
    Uyvy,
    /// Motion JPEG (`MJPG`, also `JPEG`): each frame a JPEG file.
    Mjpeg,
    /// Luma only (`GREY`).
    Grey,
    /// 24 bit R G B (`RGB3`).
    Rgb,
    /// 24 bit B G R (`BGR3`).
    Bgr,
}

impl CameraFormat {
    /// The order in which formats are tried where the configuration names none: least conversion work first.
    pub const PREFERENCE: [Self; 8] =
        [Self::Nv12, Self::Nv12Planes, Self::Yuyv, Self::Uyvy, Self::Mjpeg, Self::Rgb, Self::Bgr, Self::Grey];

    /// The kernel's codes for it; the first is its name here.
    pub const fn fourccs(self) -> &'static [&'static [u8; 4]] {
        match self {
            Self::Nv12 => &[b"NV12"],
            Self::Nv12Planes => &[b"NM12"],
            Self::Yuyv => &[b"YUYV"],
            Self::Uyvy => &[b"UYVY"],
            Self::Mjpeg => &[b"MJPG", b"JPEG"],
            Self::Grey => &[b"GREY"],
            Self::Rgb => &[b"RGB3"],
            Self::Bgr => &[b"BGR3"],
        }
    }

    /// How its pixels lie in a frame; `None` for MJPEG, where the JPEG file says.
    pub const fn pixels(self) -> Option<PixelFormat> {
        match self {
            Self::Nv12 | Self::Nv12Planes => Some(PixelFormat::Nv12),
            Self::Yuyv => Some(PixelFormat::Yuyv),
            Self::Uyvy => Some(PixelFormat::Uyvy),
            Self::Mjpeg => None,
            Self::Grey => Some(PixelFormat::Grey),
            Self::Rgb => Some(PixelFormat::Rgb),
            Self::Bgr => Some(PixelFormat::Bgr),
        }
    }
}

impl From<CameraFormat> for String {
    fn from(format: CameraFormat) -> Self {
        name(*format.fourccs()[0])
    }
}

impl TryFrom<String> for CameraFormat {
    type Error = String;

    /// Takes a kernel code in either case. A raw Bayer format is refused by name, with what to do instead.
    fn try_from(given: String) -> Result<Self, String> {
        let upper = given.trim().to_ascii_uppercase();
        let found = Self::PREFERENCE
            .into_iter()
            .find(|format| format.fourccs().iter().any(|&&code| name(code) == upper));
        if let Some(format) = found {
            return Ok(format);
        }
        let known = Self::PREFERENCE.map(String::from).join(", ");
        match upper.as_str() {
            "MJPEG" => Ok(Self::Mjpeg),
            "RGB" => Ok(Self::Rgb),
            "BGR" => Ok(Self::Bgr),
            other => Err(match bayer(other.as_bytes()) {
                Some(layout) => {
                    format!("`{given}` is raw Bayer ({layout}), which no detector reads; {}", isp_advice(""))
                }
                None => format!("`{given}` is not a format read here; expected one of {known}"),
            }),
        }
    }
}

/// What is wanted of a camera.
#[derive(Clone, Debug)]
pub struct Wants {
    /// Formats in order of preference.
    pub formats: Vec<CameraFormat>,
    /// Exact pixels across and down, or `None` for the best up to [`DEFAULT_SIZE`].
    pub size: Option<(u32, u32)>,
    /// Frames per second.
    pub fps: f64,
}

/// The size aimed at where none is configured.
pub const DEFAULT_SIZE: (u32, u32) = (1280, 720);

/// An offer that fits, at the size it would be used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice {
    /// The format.
    pub format: CameraFormat,
    /// The kernel's code for it.
    pub fourcc: [u8; 4],
    /// Pixels across and down.
    pub size: (u32, u32),
    /// Most frames per second at that size, where the driver says.
    pub fastest: Option<f64>,
}

/// The offers of a node that are wanted, in order of preference. `codes` is everything the node offers.
pub fn wanted(codes: &[[u8; 4]], formats: &[CameraFormat]) -> Vec<(CameraFormat, [u8; 4])> {
    let order = formats.iter().flat_map(|&format| format.fourccs().iter().map(move |&&code| (format, code)));
    order.filter(|(_, code)| codes.contains(code)).collect()
}

/// Why none of a node's formats can be used: named, Bayer with advice.
pub fn refusal(what: &str, driver: &str, codes: &[[u8; 4]], formats: &[CameraFormat]) -> SourceError {
    let offered = codes.iter().copied().map(name).collect::<Vec<_>>().join(", ");
    let asked = formats.iter().copied().map(String::from).collect::<Vec<_>>().join(", ");
    let raw = codes.iter().find_map(|code| Some((name(*code), bayer(code)?)));
    let supported = CameraFormat::PREFERENCE.map(String::from).join(", ");
    let (problem, advice) = match raw {
        Some((code, layout)) => {
            (format!("it gives raw Bayer ({code}, {layout}), expected one of {asked}"), isp_advice(driver))
        }
        None if codes.is_empty() => (
            "it offers no picture format".to_owned(),
            "check that this is the capture node and not a metadata or output node (v4l2-ctl --list-devices)"
                .to_owned(),
        ),
        None => (
            format!("it offers {offered}, expected one of {asked}"),
            format!(
                "list another in `formats` (read here: {supported}), or convert it before, for example by v4l2loopback"
            ),
        ),
    };
    SourceError::Unsupported { what: what.to_owned(), problem, advice }
}

/// Why no format has the wanted size.
pub fn no_such_size(what: &str, wanted: Option<(u32, u32)>, sizes: &[SizeOffer]) -> SourceError {
    let mut named: Vec<String> = Vec::new();
    for offer in sizes {
        let text = match *offer {
            SizeOffer::Exactly(width, height) => format!("{width}x{height}"),
            SizeOffer::Range { width: w, height: h } => {
                format!("{}x{} to {}x{} in steps of {}x{}", w.0, h.0, w.1, h.1, w.2, h.2)
            }
        };
        if !named.contains(&text) {
            named.push(text);
        }
    }
    SourceError::Unsupported {
        what: what.to_owned(),
        problem: wanted
            .map_or("it offers no usable size".into(), |(w, h)| format!("it has no pictures of {w}x{h}")),
        advice: format!("it has: {}", named.join(", ")),
    }
}

/// The size at which an offer would be used: the wanted one exactly, or the best up to [`DEFAULT_SIZE`].
pub fn fit(sizes: &[SizeOffer], wanted: Option<(u32, u32)>) -> Option<(u32, u32)> {
    if sizes.is_empty() {
        return Some(wanted.unwrap_or(DEFAULT_SIZE));
    }
    let Some(wanted) = wanted else { return best_size(sizes) };
    sizes.iter().any(|offer| nearest(offer, wanted) == wanted).then_some(wanted)
}

fn best_size(sizes: &[SizeOffer]) -> Option<(u32, u32)> {
    let area = |(width, height): (u32, u32)| u64::from(width) * u64::from(height);
    let sizes = || sizes.iter().map(|offer| nearest(offer, DEFAULT_SIZE)).filter(|&size| area(size) > 0);
    let within = sizes().filter(|size| size.0 <= DEFAULT_SIZE.0 && size.1 <= DEFAULT_SIZE.1);
    within.max_by_key(|&size| area(size)).or_else(|| sizes().min_by_key(|&size| area(size)))
}

/// The size of an offer nearest to `wanted`.
fn nearest(offer: &SizeOffer, wanted: (u32, u32)) -> (u32, u32) {
    let snap = |(least, most, step): (u32, u32, u32), wanted: u32| {
        let inside = wanted.clamp(least, most.max(least));
        inside - (inside - least) % step.max(1)
    };
    match *offer {
        SizeOffer::Exactly(width, height) => (width, height),
        SizeOffer::Range { width, height } => (snap(width, wanted.0), snap(height, wanted.1)),
    }
}

/// The one to use: the first in order of preference that is fast enough, else the fastest.
///
/// `choices` are in order of preference. A rate the driver does not state counts as fast enough; 5 % are forgiven,
/// because 29.97 is meant by 30.
pub fn choose(choices: &[Choice], fps: f64) -> Option<Choice> {
    let enough = choices.iter().find(|choice| choice.fastest.is_none_or(|fastest| fastest >= fps * 0.95));
    let speed = |choice: &&Choice| choice.fastest.unwrap_or_default();
    // `max_by` keeps the last of equals: walked backwards, so that preference decides between equals.
    enough.or_else(|| choices.iter().rev().max_by(|a, b| speed(a).total_cmp(&speed(b)))).copied()
}

/// Conversion matrix and range, from what the driver says of the picture.
///
/// Defaults as `linux/videodev2.h` maps them (`V4L2_MAP_YCBCR_ENC_DEFAULT`, `V4L2_MAP_QUANTIZATION_DEFAULT`); SMPTE
/// 240M counts as BT.709, from which it differs by less than 8-bit cameras show.
pub fn colour(granted: &Granted) -> Colour {
    let matrix = match granted.encoding {
        sys::v4l2_ycbcr_encoding_V4L2_YCBCR_ENC_DEFAULT => match granted.colorspace {
            sys::v4l2_colorspace_V4L2_COLORSPACE_REC709
            | sys::v4l2_colorspace_V4L2_COLORSPACE_DCI_P3
            | sys::v4l2_colorspace_V4L2_COLORSPACE_SMPTE240M => Matrix::Bt709,
            sys::v4l2_colorspace_V4L2_COLORSPACE_BT2020 => Matrix::Bt2020,
            _ => Matrix::Bt601,
        },
        sys::v4l2_ycbcr_encoding_V4L2_YCBCR_ENC_709
        | sys::v4l2_ycbcr_encoding_V4L2_YCBCR_ENC_XV709
        | sys::v4l2_ycbcr_encoding_V4L2_YCBCR_ENC_SMPTE240M => Matrix::Bt709,
        sys::v4l2_ycbcr_encoding_V4L2_YCBCR_ENC_BT2020
        | sys::v4l2_ycbcr_encoding_V4L2_YCBCR_ENC_BT2020_CONST_LUM => Matrix::Bt2020,
        _ => Matrix::Bt601,
    };
    let range = match granted.quantization {
        sys::v4l2_quantization_V4L2_QUANTIZATION_FULL_RANGE => Range::Full,
        sys::v4l2_quantization_V4L2_QUANTIZATION_LIM_RANGE => Range::Limited,
        _ if granted.colorspace == sys::v4l2_colorspace_V4L2_COLORSPACE_JPEG => Range::Full,
        _ => Range::Limited,
    };
    Colour { matrix, range }
}

/// A kernel code as text; bytes that cannot be printed show as `?`.
pub fn name(fourcc: [u8; 4]) -> String {
    let printable = |byte: u8| if byte.is_ascii_graphic() { char::from(byte) } else { '?' };
    // `Y16 ` and the like end with a blank; bit 31 marks big endian.
    fourcc.map(|byte| byte & 0x7f).map(printable).iter().collect::<String>().trim_end_matches('?').to_owned()
}

/// The layout a raw Bayer code of `linux/videodev2.h` stands for; `None` for any other code.
fn bayer(code: &[u8]) -> Option<&'static str> {
    const CODES: [(&str, &str); 9] = [
        ("BA81 GBRG GRBG RGGB", "8 bit"),
        ("BG10 GB10 BA10 RG10", "10 bit"),
        ("PBAA PGAA PAAA PRAA", "10 bit packed"),
        ("ABA8 AGA8 AAA8 ARA8 BBA8 BGA8 BDA8 BRA8", "10 bit compressed"),
        ("BG12 GB12 BA12 RG12", "12 bit"),
        ("PBCC PGCC PACC PRCC", "12 bit packed"),
        ("BG14 GB14 GR14 RG14 PBEE PGEE PAEE PREE", "14 bit"),
        ("BYR2 GB16 GR16 RG16", "16 bit"),
        ("IP3B IP3G IP3R IP3V", "10 bit packed by IPU3"),
    ];
    // The packed layouts differ in case alone (`pRAA`); none of the codes means something else in the other case.
    let code = std::str::from_utf8(code).ok()?.to_ascii_uppercase();
    CODES.iter().find(|(codes, _)| codes.split(' ').any(|known| known == code)).map(|(_, layout)| *layout)
}

/// What to do with a sensor that gives raw Bayer, by kernel driver.
fn isp_advice(driver: &str) -> String {
    let way = match driver {
        "unicam" | "bcm2835-unicam" | "rp1-cfe" => {
            "on a Raspberry Pi the ISP is driven by libcamera: run libcamera's GStreamer source or rpicam-vid into a \
             v4l2loopback node and name that node"
        }
        "tegra-video" | "vi" => {
            "on a Jetson the ISP is driven by Argus: run nvarguscamerasrc into a v4l2loopback node and name that node"
        }
        "rkcif" | "rkisp1" | "rkisp" => {
            "on Rockchip use the ISP's main path node (rkisp1_mainpath), which gives NV12"
        }
        "mxc-isi" | "imx7-csi" | "mx6s-csi" => {
            "on i.MX use the node behind the ISP (i.MX 8M Plus: its viv_v4l2 device), which gives NV12 or YUYV"
        }
        "qcom-camss" | "camss" => {
            "on Qualcomm use libcamera's software ISP into a v4l2loopback node and name that node"
        }
        "intel-ipu6-isys" | "intel-ipu6" | "ipu3-cio2" => {
            "on Intel IPU run libcamera (its simple or ipu3 pipeline) into a v4l2loopback node and name that node"
        }
        _ => {
            "use the video node behind the board's ISP (media-ctl -p shows the pipeline), or let libcamera run the ISP \
             and feed a v4l2loopback node"
        }
    };
    format!("a raw sensor needs an ISP (demosaicing, exposure, white balance): {way}")
}

#[cfg(test)]
mod tests;
