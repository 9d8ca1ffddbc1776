//! Thresholds on the command line, in place of the manifest's.

use crate::detector::Overrides;

/// When a detection counts, other than the manifest says.
#[derive(clap::Args, Debug, Clone, Copy, Default)]
pub struct ThresholdArgs {
    /// Least score of a detection, 0 to 1, for every class; default: the manifest's.
    #[arg(long, value_name = "SCORE", value_parser = unit)]
    pub score: Option<f32>,
    /// Overlap (IoU, 0 to 1) above which the weaker of two boxes is suppressed; default: the manifest's.
    #[arg(long, value_name = "IOU", value_parser = unit)]
    pub iou: Option<f32>,
}

impl ThresholdArgs {
    /// The same for the detector.
    pub fn overrides(self) -> Overrides {
        Overrides { score: self.score, iou: self.iou }
    }
}

fn unit(text: &str) -> Result<f32, String> {
    let value = text.parse::<f32>().ok().filter(|value| (0.0..=1.0).contains(value));
    value.ok_or_else(|| format!("{text:?} is not a number from 0 to 1"))
}
