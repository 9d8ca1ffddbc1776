//! Settings of the pedestrian function.

use crate::bounds::{OutOfBounds, Section};
use crate::confirm::ConfirmConfig;

/// Who is in our path, and when to warn and to brake.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(deny_unknown_fields, default)
)]
pub struct PedestrianConfig {
    /// When a person is believed. Default: 250 ms window, 150 ms dwell, 300 ms release, on 0.40, off 0.25.
    pub confirm: ConfirmConfig,
    /// Height of a person in metres. Default 1.6: adults 1.7, children from 1.1.
    pub height_m: f32,
    /// Its standard deviation. Default 0.25.
    pub height_sigma_m: f32,
    /// Least height of the box in pixels. Default 16.
    pub min_height_px: f32,
    /// Half the width of a person, in metres: added to either side of the vehicle. Default 0.25.
    pub half_width_m: f32,
    /// How much farther beside the path a person is warned of than braked for, in metres. Default 0.35.
    pub warn_beside_m: f32,
    /// How far before the person the vehicle should stand, in metres. Default 1.
    pub stop_before_m: f32,
    /// Deceleration that the moment of braking is reckoned with, in m/s². Default 6.5.
    pub plan_mps2: f32,
    /// Least deceleration asked for, in m/s². Default 5 (UN R152, 5.2.1.1: emergency braking demands at least 5.0).
    pub least_mps2: f32,
    /// Most, in m/s². Default 9.
    pub limit_mps2: f32,
    /// Most change of the deceleration that is asked for, in m/s³. Default 20.
    pub jerk_mps3: f32,
    /// What the brake really ramps with, in m/s³; the moment of braking is reckoned with it. Default 10.
    pub brake_ramp_mps3: f32,
    /// Delay of the brake, in s. Default 0.4.
    pub brake_lag_s: f32,
    /// How long before the brake the driver is warned, in s. Default 0.8.
    pub warn_ahead_s: f32,
    /// Lowest speed at which a brake begins, in km/h. Default 6.
    pub min_speed_kmh: f32,
    /// Highest one, in km/h; warnings go on above it. Default 90.
    pub max_speed_kmh: f32,
    /// How long the path must be clear before a brake ends, in ms. Default 500.
    pub clear_ms: u32,
    /// How long a person lost in mid-picture is braked for, in ms; one lost at the lower edge, under the bonnet, until we
    /// stand or are past. Default 500.
    pub lost_ms: u32,
    /// Below this speed the vehicle stands, in m/s. Default 0.15.
    pub standstill_mps: f32,
    /// Time to collision by growth below which a warning is given where the speed is not known, in s. Default 1.8.
    pub blind_warn_s: f32,
}

impl Default for PedestrianConfig {
    fn default() -> Self {
        Self {
            confirm: ConfirmConfig {
                window_ms: 250,
                dwell_ms: 150,
                release_ms: 300,
                ..ConfirmConfig::default()
            },
            height_m: 1.6,
            height_sigma_m: 0.25,
            min_height_px: 16.0,
            half_width_m: 0.25,
            warn_beside_m: 0.35,
            stop_before_m: 1.0,
            plan_mps2: 6.5,
            least_mps2: 5.0,
            limit_mps2: 9.0,
            jerk_mps3: 20.0,
            brake_ramp_mps3: 10.0,
            brake_lag_s: 0.4,
            warn_ahead_s: 0.8,
            min_speed_kmh: 6.0,
            max_speed_kmh: 90.0,
            clear_ms: 500,
            lost_ms: 500,
            standstill_mps: 0.15,
            blind_warn_s: 1.8,
        }
    }
}

impl PedestrianConfig {
    /// Whether all settings lie within their bounds.
    ///
    /// # Errors
    /// The first that does not.
    pub fn check(&self) -> Result<(), OutOfBounds> {
        self.confirm.check("pedestrian.confirm")?;
        let section = Section("pedestrian");
        section.holds("height_m", self.height_m, 0.5, 2.5)?;
        section.holds("height_sigma_m", self.height_sigma_m, 0.01, 0.5 * self.height_m)?;
        section.holds("min_height_px", self.min_height_px, 4.0, 1_000.0)?;
        section.holds("half_width_m", self.half_width_m, 0.0, 1.0)?;
        section.holds("warn_beside_m", self.warn_beside_m, 0.0, 3.0)?;
        section.holds("stop_before_m", self.stop_before_m, 0.0, 5.0)?;
        section.holds("least_mps2", self.least_mps2, 5.0, 10.0)?;
        section.holds("limit_mps2", self.limit_mps2, self.least_mps2, 10.0)?;
        section.holds("plan_mps2", self.plan_mps2, 2.0, self.limit_mps2)?;
        section.holds("jerk_mps3", self.jerk_mps3, 1.0, 100.0)?;
        section.holds("brake_ramp_mps3", self.brake_ramp_mps3, 1.0, 100.0)?;
        section.holds("brake_lag_s", self.brake_lag_s, 0.0, 2.0)?;
        section.holds("warn_ahead_s", self.warn_ahead_s, 0.0, 3.0)?;
        section.holds("min_speed_kmh", self.min_speed_kmh, 1.0, 60.0)?;
        section.holds("max_speed_kmh", self.max_speed_kmh, self.min_speed_kmh, 250.0)?;
        section.holds_whole("clear_ms", self.clear_ms, 0, 5_000)?;
        section.holds_whole("lost_ms", self.lost_ms, 0, 500)?;
        section.holds("standstill_mps", self.standstill_mps, 0.01, 1.0)?;
        section.holds("blind_warn_s", self.blind_warn_s, 0.2, 5.0)
    }

    /// Seconds to collision at which braking must begin at a closing speed, in m/s:
    /// lag + half of the ramp + v / 2a + the gap that is to be left.
    pub fn brake_time(&self, closing: f32) -> f32 {
        let gap = self.stop_before_m / crate::arith::larger(closing, 1.0);
        self.brake_delay() + closing / (2.0 * self.plan_mps2) + gap
    }

    /// Seconds lost before the planned deceleration is there: the lag, and half of the ramp (its distance, to first
    /// order).
    pub(super) fn brake_delay(&self) -> f32 {
        self.brake_lag_s + 0.5 * self.plan_mps2 / self.brake_ramp_mps3
    }
}
