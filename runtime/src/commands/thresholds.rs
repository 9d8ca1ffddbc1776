//! Thresholds on the command line, in place of the manifest's.

use stopline_depot::manifest::Thresholds;

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
    /// Puts them in place of the manifest's `limits`.
    pub fn apply(self, limits: &mut Thresholds) {
        if let Some(score) = self.score {
            limits.score = score;
            limits.per_class.clear();
        }
        limits.nms_iou = self.iou.unwrap_or(limits.nms_iou);
    }
}

fn unit(text: &str) -> Result<f32, String> {
    let value = text.parse::<f32>().ok().filter(|value| (0.0..=1.0).contains(value));
    value.ok_or_else(|| format!("{text:?} is not a number from 0 to 1"))
}
