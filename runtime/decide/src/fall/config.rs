//! What counts as a fall: the configuration's `[fall]`.

use heapless::Vec;

use crate::bounds::{OutOfBounds, Section};

/// Most bed regions of one camera.
pub const MAX_REGIONS: usize = 8;
/// Most corners of one region.
pub const MAX_CORNERS: usize = 16;

/// A polygon in fractions of the picture: `[0, 0]` is the top left corner, `[1, 1]` the bottom right one. Its last
/// corner is joined to its first.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct Region(pub Vec<[f32; 2], MAX_CORNERS>);

/// Limits and times of falls. The defaults are the documented ones; a height is the person's own height in the picture
/// while upright, so that no calibration is needed.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct FallConfig {
    /// Time on the ground after a fast descent until it is a fall. Default 2 s; 0.5 to 30 s.
    pub dwell_s: f32,
    /// Time on the ground without a fast descent, or low and still after one, until it is one too. Default 10 s;
    /// 2 to 300 s.
    pub slow_dwell_s: f32,
    /// Time upright, or in a bed, until a fall is over. Default 1.5 s; 0.3 to 30 s.
    pub recovery_s: f32,
    /// Time for which a posture may flicker without changing anything. Default 0.4 s; 0 to 2 s.
    pub flicker_s: f32,
    /// Minutes after an acknowledgement until it alerts again, if the person is still down. Default 5; 0.5 to 120.
    pub again_min: f32,
    /// Frames per second below which motion cannot be judged and monitoring counts as lost. Default 5; 1 to 30.
    pub min_frame_rate: f32,
    /// Speed of the head downwards that is a fall and not sitting down, in heights per second. Default 0.9; 0.3 to 3.
    pub fast: f32,
    /// Width over height from which on a box is that of a lying person. Default 1.25; 0.8 to 3.
    pub lying_aspect: f32,
    /// Height, in heights, below which a box is that of a person on the ground. Default 0.42; 0.2 to 0.6.
    pub lying_height: f32,
    /// Height, in heights, below which a box is not that of an upright person. Default 0.72; 0.5 to 0.95.
    pub low_height: f32,
    /// Score below which a keypoint is not there. Default 0.3; 0.05 to 0.95.
    pub keypoint_score: f32,
    /// Where lying is not a fall: beds, sofas, mats. At most 8 polygons of 3 to 16 corners.
    pub beds: Vec<Region, MAX_REGIONS>,
}

impl Default for FallConfig {
    fn default() -> Self {
        Self {
            dwell_s: 2.0,
            slow_dwell_s: 10.0,
            recovery_s: 1.5,
            flicker_s: 0.4,
            again_min: 5.0,
            min_frame_rate: 5.0,
            fast: 0.9,
            lying_aspect: 1.25,
            lying_height: 0.42,
            low_height: 0.72,
            keypoint_score: 0.3,
            beds: Vec::new(),
        }
    }
}

impl FallConfig {
    /// Whether every number is within its bounds.
    pub fn check(&self) -> Result<(), OutOfBounds> {
        let section = Section("fall");
        section.holds("dwell_s", self.dwell_s, 0.5, 30.0)?;
        section.holds("slow_dwell_s", self.slow_dwell_s, 2.0, 300.0)?;
        section.holds("recovery_s", self.recovery_s, 0.3, 30.0)?;
        section.holds("flicker_s", self.flicker_s, 0.0, 2.0)?;
        section.holds("again_min", self.again_min, 0.5, 120.0)?;
        section.holds("min_frame_rate", self.min_frame_rate, 1.0, 30.0)?;
        section.holds("fast", self.fast, 0.3, 3.0)?;
        section.holds("lying_aspect", self.lying_aspect, 0.8, 3.0)?;
        section.holds("lying_height", self.lying_height, 0.2, 0.6)?;
        section.holds("low_height", self.low_height, 0.5, 0.95)?;
        section.holds("keypoint_score", self.keypoint_score, 0.05, 0.95)?;
        for region in &self.beds {
            section.holds_whole("beds: corners", region.0.len() as u32, 3, MAX_CORNERS as u32)?;
            for number in region.0.iter().flatten() {
                section.holds("beds: corner", *number, 0.0, 1.0)?;
            }
        }
        Ok(())
    }
}

impl Region {
    /// Whether the point lies in it (even-odd rule).
    pub fn contains(&self, [x, y]: [f32; 2]) -> bool {
        let mut inside = false;
        let Some(mut from) = self.0.last() else { return false };
        for to in &self.0 {
            if (from[1] > y) != (to[1] > y) {
                let crossing = from[0] + (y - from[1]) * (to[0] - from[0]) / (to[1] - from[1]);
                inside ^= x < crossing;
            }
            from = to;
        }
        inside
    }
}
