//! What is watched, and the bins of each.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Bins of a histogram, at most.
pub const BINS: usize = 16;
/// Signals that are histograms.
pub const COUNT: usize = 10;

/// What may drift.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// Colour or infrared: mean distance of chroma from grey, two bins.
    Colour,
    /// Mean luma of a picture, 16 bins of 16.
    Exposure,
    /// Sharpness of a picture, half octaves.
    Sharpness,
    /// Scores of detections, ten bins.
    Scores,
    /// Detections in a picture, by number: 0 to 14, and more.
    Presence,
    /// Detections by class: the first 15 that were met, and all others.
    Classes,
    /// Heights of boxes by the picture's height, half octaves.
    BoxSizes,
    /// Where in the picture detail lies: beds, cameras and parked things moved.
    Background,
    /// How long objects were followed, half octaves from a quarter second.
    TrackLengths,
    /// All stages together, half octaves from two milliseconds.
    Latency,
    /// Pixels of the picture; no histogram.
    Resolution,
    /// Shape of the picture; no histogram.
    Aspect,
}

/// All signals that are histograms.
pub const SIGNALS: [Signal; COUNT] = [
    Signal::Colour,
    Signal::Exposure,
    Signal::Sharpness,
    Signal::Scores,
    Signal::Presence,
    Signal::Classes,
    Signal::BoxSizes,
    Signal::Background,
    Signal::TrackLengths,
    Signal::Latency,
];

impl Signal {
    /// Whether another model changes it by itself.
    pub fn depends_on_model(self) -> bool {
        !matches!(
            self,
            Self::Colour
                | Self::Exposure
                | Self::Sharpness
                | Self::Background
                | Self::Resolution
                | Self::Aspect
        )
    }

    /// Bins in use.
    pub fn bins(self) -> usize {
        match self {
            Self::Colour => 2,
            Self::Scores => 10,
            _ => BINS,
        }
    }

    /// The bin of a value in the signal's own unit (see the variants); anything else than a number falls into the first.
    pub fn bin(self, value: f32) -> usize {
        let at = match self {
            Self::Colour => f32::from(u8::from(value >= GREY)),
            Self::Exposure => value / 16.0,
            Self::Sharpness => 8.0 + 2.0 * (value / 0.5).log2(),
            Self::Scores => value * 10.0,
            Self::BoxSizes => -2.0 * value.log2(),
            Self::TrackLengths => 2.0 * (value / 0.25).log2(),
            Self::Latency => 2.0 * (value / 2.0).log2(),
            Self::Presence | Self::Classes | Self::Background | Self::Resolution | Self::Aspect => value,
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped; NaN becomes 0")]
        let at = at.clamp(0.0, 15.0) as usize;
        at.min(self.bins() - 1)
    }

    /// What a histogram shows, in words: its mean bin in the signal's own unit.
    pub fn words(self, shares: &[f64; BINS]) -> String {
        #[expect(clippy::cast_precision_loss, reason = "at most 16")]
        let mean: f64 = shares.iter().enumerate().map(|(at, share)| (at as f64 + 0.5) * share).sum();
        match self {
            Self::Colour => format!("{:.0} % of pictures in colour", 100.0 * shares[1]),
            Self::Exposure => format!("mean luma {:.0}", mean * 16.0),
            Self::Sharpness => format!("sharpness {:.2}", 0.5 * ((mean - 8.0) / 2.0).exp2()),
            Self::Scores => format!("mean score {:.2}", mean / 10.0),
            Self::Presence => {
                format!(
                    "{:.1} detections in a picture, {:.0} % empty",
                    (mean - 0.5).max(0.0),
                    100.0 * shares[0]
                )
            }
            Self::Classes => format!("class mix {}", mix(shares)),
            Self::BoxSizes => format!("boxes {:.0} % of the picture's height", 100.0 * (-mean / 2.0).exp2()),
            Self::Background => format!("detail {}", mix(shares)),
            Self::TrackLengths => format!("tracks of {:.1} s", 0.25 * (mean / 2.0).exp2()),
            Self::Latency => format!("{:.0} ms", 2.0 * (mean / 2.0).exp2()),
            Self::Resolution | Self::Aspect => String::new(),
        }
    }
}

/// Mean distance of chroma from grey, of 255, below which a picture is taken to be infrared or grey.
pub const GREY: f32 = 3.0;

/// The strongest three bins and their shares in per cent.
fn mix(shares: &[f64; BINS]) -> String {
    let mut order: Vec<(usize, f64)> = shares.iter().copied().enumerate().collect();
    order.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let parts: Vec<String> =
        order.iter().take(3).map(|(at, share)| format!("{at}:{:.0}", 100.0 * share)).collect();
    parts.join(" ")
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Colour => "colour",
            Self::Exposure => "exposure",
            Self::Sharpness => "sharpness",
            Self::Scores => "scores",
            Self::Presence => "presence",
            Self::Classes => "classes",
            Self::BoxSizes => "box sizes",
            Self::Background => "background",
            Self::TrackLengths => "track lengths",
            Self::Latency => "latency",
            Self::Resolution => "resolution",
            Self::Aspect => "aspect",
        })
    }
}
