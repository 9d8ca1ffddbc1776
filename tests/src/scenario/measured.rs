//! What was measured on real detectors (`tests/scenarios/measure.py`), as the simulated camera uses it.

use std::collections::BTreeMap;

use serde::Deserialize;

const FILE: &str = include_str!("../../scenarios/measured.json");

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    schema: u32,
    /// Picture size that sign and person heights were composed for.
    pub source_size: [f64; 2],
    /// Weakest score that was read.
    pub floor: f64,
    /// Per cent, the grid of every list of quantiles.
    pub quantiles: Vec<f64>,
    models: BTreeMap<String, Detector>,
}

/// One detector.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Detector {
    /// Rows of the model's input per row of a 1280 × 720 picture.
    pub rows_per_source_row: f64,
    /// Per class and light.
    pub curves: BTreeMap<String, BTreeMap<String, Vec<Height>>>,
    /// How luck lasts.
    pub persistence: Persistence,
    /// False boxes: per light, per label.
    pub clutter: BTreeMap<String, BTreeMap<String, Clutter>>,
}

/// What was found of objects of one height.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Height {
    /// In rows of the model's input.
    pub rows: f64,
    /// Objects looked at.
    pub n: u32,
    /// Share with a score of 0.3 or more.
    #[serde(rename = "recall_at_0.3")]
    pub recall: f64,
    /// 0 where it was not found.
    pub score_quantiles: Vec<f64>,
    /// Errors of the box; none where too few were found.
    #[serde(rename = "box")]
    pub error: Option<BoxError>,
}

/// Median and spread (1.48 MAD) of the errors, relative to the height.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoxError {
    /// ln(seen / true).
    pub log_height: [f64; 2],
    /// ln(seen / true).
    pub log_width: [f64; 2],
    /// Of the middle.
    pub x: [f64; 2],
    /// Of the lower edge.
    pub bottom: [f64; 2],
}

/// How a score's luck is shared out in time.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Persistence {
    /// Share of the variance that stays with an object in its scene.
    pub object_share: BTreeMap<String, f64>,
    /// Share of the rest that is new in every frame.
    pub single_frame_share: f64,
    /// Decay of what is neither, in seconds.
    pub seconds: f64,
    #[allow(dead_code, reason = "evidence for a reader of the file")]
    measured: serde_json::Value,
    #[serde(rename = "runs_below_0.3_s")]
    #[allow(dead_code, reason = "evidence for a reader of the file")]
    runs: serde_json::Value,
}

/// False boxes on clips that hold none of the class.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clutter {
    /// Length of the clips together.
    pub seconds: f64,
    /// Frames in them.
    pub frames: u32,
    /// False boxes at or above the floor.
    pub boxes: u32,
    /// Runs of boxes that overlap from frame to frame.
    pub tracklets: u32,
    /// Boxes with a score of 0.3 or more.
    #[serde(rename = "boxes_at_0.3")]
    pub strong_boxes: u32,
    /// Tracklets with two such boxes or more.
    #[serde(rename = "tracklets_with_2_at_0.3")]
    pub strong_tracklets: u32,
    /// Tracklets per hour.
    pub per_hour: f64,
    /// Exact upper 95 % bound.
    pub per_hour_upper_95: f64,
    /// How long a tracklet lives.
    pub life_s: Option<Spread>,
    /// Scores of all boxes.
    pub score: Option<Spread>,
    /// Best score of a tracklet.
    pub peak_score: Option<Spread>,
    /// Height over the picture's.
    pub height_of_picture: Option<Spread>,
    /// Width over height.
    pub width_of_height: Option<Spread>,
    /// Middle over the picture's width.
    pub x_of_picture: Option<Spread>,
    /// Lower edge over the picture's height.
    pub bottom_of_picture: Option<Spread>,
    /// d ln(height) / dt over a tracklet's life.
    pub log_growth_per_s: Option<Spread>,
}

/// Quantiles on [`Measured::quantiles`].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    /// Values they stand on.
    pub n: u32,
    /// Empty where `n` is 0.
    #[serde(default)]
    pub quantiles: Vec<f64>,
}

/// What class and light a curve is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Light {
    /// A bright day.
    Day,
    /// Dim objects, a noisy sensor, retro-reflecting signs.
    Night,
}

impl Light {
    /// As the file calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Night => "night",
        }
    }
}

impl Measured {
    /// The committed file.
    pub fn load() -> Self {
        let measured: Self =
            serde_json::from_str(FILE).expect("tests/scenarios/measured.json fits its types");
        assert_eq!(measured.schema, 1, "tests/scenarios/measured.json: schema 1 is expected");
        measured
    }

    /// A detector by name.
    pub fn detector(&self, name: &str) -> &Detector {
        self.models.get(name).unwrap_or_else(|| panic!("{name} was not measured: {:?}", self.models.keys()))
    }

    /// Names of all detectors.
    pub fn detectors(&self) -> impl Iterator<Item = &str> {
        self.models.keys().map(String::as_str)
    }

    /// The value below which the share `u` (0 to 1) of `quantiles` lies: straight lines between the grid's points.
    pub fn at(&self, quantiles: &[f64], u: f64) -> f64 {
        let per_cent = u.clamp(0.0, 1.0) * 100.0;
        let after =
            self.quantiles.iter().position(|grid| *grid >= per_cent).unwrap_or(self.quantiles.len() - 1);
        let Some(before) = after.checked_sub(1) else { return quantiles[0] };
        let part = (per_cent - self.quantiles[before]) / (self.quantiles[after] - self.quantiles[before]);
        quantiles[before] + part * (quantiles[after] - quantiles[before])
    }

    /// The score of an object `rows` high in the model's input whose luck is `u`; below the floor it is not seen.
    /// Below the smallest measured height the scores fall to none at half of it: nothing is taken for granted there.
    pub fn score(&self, curve: &[Height], rows: f64, u: f64) -> f64 {
        let (low, high, part) = bracket(curve, rows);
        let at = |height: &Height| self.at(&height.score_quantiles, u);
        let score = at(low) + part * (at(high) - at(low));
        let faded = (2.0 * rows / curve[0].rows - 1.0).clamp(0.0, 1.0);
        let score = score * faded;
        if score < self.floor { 0.0 } else { score }
    }

    /// Share of objects `rows` high whose score is `least` or more.
    pub fn recall(&self, curve: &[Height], rows: f64, least: f64) -> f64 {
        let steps = 400;
        let seen =
            (0..steps).filter(|i| self.score(curve, rows, (f64::from(*i) + 0.5) / f64::from(steps)) >= least);
        f64::from(u32::try_from(seen.count()).expect("few")) / f64::from(steps)
    }
}

/// Errors of the box at a height, between the measured heights.
pub fn box_error(curve: &[Height], rows: f64) -> BoxError {
    let known: Vec<&Height> = curve.iter().filter(|height| height.error.is_some()).collect();
    let after = known.iter().position(|height| height.rows >= rows).unwrap_or(known.len() - 1);
    let before = after.saturating_sub(1);
    let part = share(known[before].rows, known[after].rows, rows);
    let (a, b) = (known[before].error.expect("filtered"), known[after].error.expect("filtered"));
    let mix = |a: [f64; 2], b: [f64; 2]| [a[0] + part * (b[0] - a[0]), a[1] + part * (b[1] - a[1])];
    BoxError {
        log_height: mix(a.log_height, b.log_height),
        log_width: mix(a.log_width, b.log_width),
        x: mix(a.x, b.x),
        bottom: mix(a.bottom, b.bottom),
    }
}

fn bracket(curve: &[Height], rows: f64) -> (&Height, &Height, f64) {
    let after = curve.iter().position(|height| height.rows >= rows).unwrap_or(curve.len() - 1);
    let before = after.saturating_sub(1);
    (&curve[before], &curve[after], share(curve[before].rows, curve[after].rows, rows))
}

/// Where `rows` lies between two heights, on a logarithmic scale.
fn share(low: f64, high: f64, rows: f64) -> f64 {
    if high <= low {
        return 1.0;
    }
    (libm::log(rows / low) / libm::log(high / low)).clamp(0.0, 1.0)
}
