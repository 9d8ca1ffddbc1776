//! Settings of the stop sign.

use crate::bounds::{OutOfBounds, Section};
use crate::confirm::ConfirmConfig;

/// Which signs are ours, and how we stop before them.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(deny_unknown_fields, default)
)]
pub struct StopSignConfig {
    /// When a sign is believed. Default: 400 ms window, 250 ms dwell, 400 ms release, on 0.40, off 0.25.
    pub confirm: ConfirmConfig,
    /// Height of the sign's plate in metres: 0.75 (30 inch; R1-1 of the MUTCD), 0.9 or 0.6 (Vienna Convention B2a).
    /// Default 0.75.
    pub height_m: f32,
    /// Its standard deviation. Default 0.09: between 0.6 and 0.9 m lie 1.7 deviations to either side.
    pub height_sigma_m: f32,
    /// Part of the picture in which signs count: left, upper, right, lower edge as shares. Default all of it.
    pub region: [f32; 4],
    /// Least height of the box in pixels. Default 8.
    pub min_height_px: f32,
    /// Least width per height: a sign turned to a side road is narrow. Default 0.7.
    pub min_aspect: f32,
    /// Most width per height. Default 1.4.
    pub max_aspect: f32,
    /// How far to the right of our path a sign of our road may stand, in metres. Default 6.
    pub max_right_m: f32,
    /// How far to the left. Default 3 (swap the two where traffic keeps left).
    pub max_left_m: f32,
    /// Least height of the plate's middle over the road, in metres. Default 0.9.
    pub min_over_road_m: f32,
    /// Most. Default 5.
    pub max_over_road_m: f32,
    /// How far before the sign the front should stand, in metres. Default 2.
    pub stop_before_m: f32,
    /// Deceleration at which braking begins, in m/s². Default 2.
    pub comfort_mps2: f32,
    /// Most deceleration, in m/s². A sign that needs more is warned of, not braked for. Default 3.5.
    pub limit_mps2: f32,
    /// Most change of the deceleration, in m/s³. Default 2.5.
    pub jerk_mps3: f32,
    /// Delay of the brake, in s. Default 0.4.
    pub brake_lag_s: f32,
    /// How long before the brake the driver is told to act, in s. Default 1.5.
    pub warn_ahead_s: f32,
    /// Lowest speed at which a brake begins, in km/h. Default 3.
    pub min_speed_kmh: f32,
    /// Below this speed the vehicle stands, in m/s. Default 0.15.
    pub standstill_mps: f32,
    /// Standing this near before the stop point, or anywhere after it, serves the sign, in metres. Default 3.
    pub line_m: f32,
    /// How far a sign that left the picture at its edge is carried on, in metres. Default 40.
    pub carry_m: f32,
    /// For how long, in s; queues are slow. Default 30.
    pub carry_s: f32,
    /// How long a sign whose growth agreed may be hidden in mid-picture (a lead car), in ms. 0: its scores alone decide.
    /// Default 1 500.
    pub hidden_ms: u32,
    /// How far beyond a served sign it is forgotten, so that the next one counts, in metres. Default 10.
    pub rearm_m: f32,
    /// How far back from a served sign it is forgotten, so that it counts anew, in metres. Default 50.
    pub back_m: f32,
}

impl Default for StopSignConfig {
    fn default() -> Self {
        Self {
            confirm: ConfirmConfig {
                window_ms: 400,
                dwell_ms: 250,
                release_ms: 400,
                ..ConfirmConfig::default()
            },
            height_m: 0.75,
            height_sigma_m: 0.09,
            region: [0.0, 0.0, 1.0, 1.0],
            min_height_px: 8.0,
            min_aspect: 0.7,
            max_aspect: 1.4,
            max_right_m: 6.0,
            max_left_m: 3.0,
            min_over_road_m: 0.9,
            max_over_road_m: 5.0,
            stop_before_m: 2.0,
            comfort_mps2: 2.0,
            limit_mps2: 3.5,
            jerk_mps3: 2.5,
            brake_lag_s: 0.4,
            warn_ahead_s: 1.5,
            min_speed_kmh: 3.0,
            standstill_mps: 0.15,
            line_m: 3.0,
            carry_m: 40.0,
            carry_s: 30.0,
            hidden_ms: 1_500,
            rearm_m: 10.0,
            back_m: 50.0,
        }
    }
}

impl StopSignConfig {
    /// Whether all settings lie within their bounds.
    ///
    /// # Errors
    /// The first that does not.
    pub fn check(&self) -> Result<(), OutOfBounds> {
        self.confirm.check("stop_sign.confirm")?;
        let section = Section("stop_sign");
        section.holds("height_m", self.height_m, 0.2, 2.0)?;
        section.holds("height_sigma_m", self.height_sigma_m, 0.01, 0.3 * self.height_m)?;
        section.region("region", self.region)?;
        section.holds("min_height_px", self.min_height_px, 2.0, 1_000.0)?;
        section.holds("min_aspect", self.min_aspect, 0.1, 1.0)?;
        section.holds("max_aspect", self.max_aspect, 1.0, 5.0)?;
        section.holds("max_right_m", self.max_right_m, 0.0, 20.0)?;
        section.holds("max_left_m", self.max_left_m, 0.0, 20.0)?;
        section.holds("min_over_road_m", self.min_over_road_m, -2.0, 5.0)?;
        section.holds("max_over_road_m", self.max_over_road_m, self.min_over_road_m, 10.0)?;
        section.holds("stop_before_m", self.stop_before_m, 0.0, 20.0)?;
        section.holds("comfort_mps2", self.comfort_mps2, 0.5, 5.0)?;
        section.holds("limit_mps2", self.limit_mps2, self.comfort_mps2, 6.0)?;
        section.holds("jerk_mps3", self.jerk_mps3, 0.5, 50.0)?;
        section.holds("brake_lag_s", self.brake_lag_s, 0.0, 2.0)?;
        section.holds("warn_ahead_s", self.warn_ahead_s, 0.0, 5.0)?;
        section.holds("min_speed_kmh", self.min_speed_kmh, 0.5, 30.0)?;
        section.holds("standstill_mps", self.standstill_mps, 0.01, 1.0)?;
        section.holds("line_m", self.line_m, 0.5, 20.0)?;
        section.holds("carry_m", self.carry_m, 0.0, 100.0)?;
        section.holds("carry_s", self.carry_s, 0.0, 60.0)?;
        section.holds_whole("hidden_ms", self.hidden_ms, 0, 5_000)?;
        section.holds("rearm_m", self.rearm_m, 1.0, 200.0)?;
        section.holds("back_m", self.back_m, 5.0, 500.0)
    }
}
