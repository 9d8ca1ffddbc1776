//! `[camera.attention]`: where less than every pixel of every frame is looked at.

use serde::{Deserialize, Serialize};

use crate::config::Misfit;

/// Where less than every pixel of every frame is looked at. By default all of every frame is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AttentionConfig {
    /// Longest time, in ms, for which the models' last answer stands for pictures in which nothing has moved since; 0:
    /// never. 100 to 2000; only for a fixed camera that neither brakes nor warns a driver.
    pub still_max_age_ms: u32,
    /// Change of a cell's mean luma that is motion, in grey levels; 1 to 50.
    pub still_level: f32,
    /// Cells (of 80 × 45) in which there must be motion; 1 to 100.
    pub still_cells: u32,
    /// A look at the whole picture at least every so many frames, and between them only at the corridor ahead and at what
    /// is followed. 1: always the whole picture. Up to 30; needs a calibration with `[mount]`.
    pub whole_every: u32,
    /// Longest time from one whole picture to the next, in ms; 50 to 1000.
    pub whole_max_age_ms: u32,
    /// Half of the corridor's width, in metres; 1 to 20.
    pub corridor_half_width_m: f32,
    /// Where the corridor begins and ends, in metres before the vehicle's front; 5 to 300.
    pub corridor_from_m: f32,
    /// Its end.
    pub corridor_to_m: f32,
    /// Its height, in metres: a sign's upper edge; 1 to 10.
    pub corridor_height_m: f32,
    /// Time, in ms, after which models that have not begun are left out of a frame: never of two in a row, and none that
    /// sees what is followed; 0: none is. 5 to 1000.
    pub budget_ms: u32,
    /// Longest time, in ms, from the frame that a model answered last to one that it is left out of; 50 to 1000.
    pub left_out_max_age_ms: u32,
}

impl Default for AttentionConfig {
    fn default() -> Self {
        Self {
            still_max_age_ms: 0,
            still_level: 4.0,
            still_cells: 2,
            whole_every: 1,
            whole_max_age_ms: 200,
            corridor_half_width_m: 4.0,
            corridor_from_m: 15.0,
            corridor_to_m: 80.0,
            corridor_height_m: 3.5,
            budget_ms: 0,
            left_out_max_age_ms: 200,
        }
    }
}

impl AttentionConfig {
    /// Whether still pictures are not looked at again.
    pub fn rests(&self) -> bool {
        self.still_max_age_ms != 0
    }

    /// Whether some frames are looked at in part.
    pub fn narrows(&self) -> bool {
        self.whole_every > 1
    }

    /// Longest time, in seconds, from a change in the picture to the next frame that is looked at wholly, beyond that
    /// frame itself. `period`: seconds from frame to frame.
    pub fn unseen_for(&self, period: f64) -> f64 {
        let narrow = f64::from(self.whole_every.saturating_sub(1)) * period;
        let narrow = narrow.min(f64::from(self.whole_max_age_ms) / 1e3);
        let still = f64::from(self.still_max_age_ms) / 1e3;
        // A model that was left out of a frame looks at the next one.
        let left =
            if self.budget_ms > 0 { period.min(f64::from(self.left_out_max_age_ms) / 1e3) } else { 0.0 };
        narrow.max(still) + left
    }

    /// Keys without the section's own. `drives`: a function of the camera brakes or warns a driver; `falls`: one watches
    /// for falls; `calibrated`: it has a calibration.
    ///
    /// # Errors
    /// The first key that cannot be.
    pub fn check(&self, drives: bool, falls: bool, calibrated: bool) -> Result<(), Misfit> {
        if self.rests() && drives {
            let expected = "0: before a vehicle nothing stands still, and a brake needs a picture of its own";
            return Err(Misfit::new("still_max_age_ms", self.still_max_age_ms, expected));
        }
        if self.narrows() && falls {
            let expected = "1: who watches a room for falls looks at all of it";
            return Err(Misfit::new("whole_every", self.whole_every, expected));
        }
        if self.narrows() && !calibrated {
            let expected =
                "1, or a `calibration` with [mount]: without it nobody knows where the corridor is";
            return Err(Misfit::new("whole_every", self.whole_every, expected));
        }
        if self.rests() {
            whole("still_max_age_ms", self.still_max_age_ms, 100, 2000)?;
        }
        if self.budget_ms != 0 {
            whole("budget_ms", self.budget_ms, 5, 1000)?;
        }
        whole("left_out_max_age_ms", self.left_out_max_age_ms, 50, 1000)?;
        whole("still_cells", self.still_cells, 1, 100)?;
        whole("whole_every", self.whole_every, 1, 30)?;
        whole("whole_max_age_ms", self.whole_max_age_ms, 50, 1000)?;
        number("still_level", self.still_level, 1.0, 50.0)?;
        number("corridor_half_width_m", self.corridor_half_width_m, 1.0, 20.0)?;
        number("corridor_from_m", self.corridor_from_m, 5.0, 300.0)?;
        number("corridor_to_m", self.corridor_to_m, self.corridor_from_m, 300.0)?;
        number("corridor_height_m", self.corridor_height_m, 1.0, 10.0)
    }
}

fn whole(key: &str, found: u32, least: u32, most: u32) -> Result<(), Misfit> {
    if (least..=most).contains(&found) {
        return Ok(());
    }
    Err(Misfit::new(key, found, format!("{least} to {most}")))
}

fn number(key: &str, found: f32, least: f32, most: f32) -> Result<(), Misfit> {
    // So written that what is no number is refused.
    if found >= least && found <= most {
        return Ok(());
    }
    Err(Misfit::new(key, found, format!("{least} to {most}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_default_all_of_every_frame_is_looked_at() {
        let config = AttentionConfig::default();
        assert!(!config.rests() && !config.narrows() && config.unseen_for(0.033) == 0.0);
        assert!(config.check(true, true, false).is_ok());
    }

    #[test]
    fn a_camera_that_brakes_never_rests_and_one_that_watches_falls_never_narrows() {
        let rests = AttentionConfig { still_max_age_ms: 500, ..AttentionConfig::default() };
        assert!(rests.check(false, true, false).is_ok());
        assert!(rests.check(true, false, true).unwrap_err().to_string().contains("still_max_age_ms"));
        let narrows = AttentionConfig { whole_every: 5, ..AttentionConfig::default() };
        assert!(narrows.check(true, false, true).is_ok());
        assert!(narrows.check(true, true, true).unwrap_err().to_string().contains("all of it"));
        assert!(narrows.check(true, false, false).unwrap_err().to_string().contains("calibration"));
    }

    #[test]
    fn values_out_of_bounds_are_refused_and_so_is_what_is_no_number() {
        let sound = AttentionConfig { still_max_age_ms: 500, ..AttentionConfig::default() };
        for wrong in [
            AttentionConfig { still_max_age_ms: 5000, ..sound },
            AttentionConfig { still_level: f32::NAN, ..sound },
            AttentionConfig { still_cells: 0, ..sound },
            AttentionConfig { whole_every: 0, ..sound },
            AttentionConfig { whole_max_age_ms: 5, ..sound },
            AttentionConfig { corridor_to_m: 10.0, ..sound },
            AttentionConfig { budget_ms: 4, ..sound },
            AttentionConfig { left_out_max_age_ms: 1001, ..sound },
        ] {
            assert!(wrong.check(false, false, true).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn what_a_model_was_left_out_of_is_seen_one_frame_later() {
        let config = AttentionConfig { budget_ms: 25, ..AttentionConfig::default() };
        assert!((config.unseen_for(1.0 / 30.0) - 1.0 / 30.0).abs() < 1e-9);
        // At two frames a second every answer is too old for that; reckoned is the longest time all the same.
        assert!((config.unseen_for(0.5) - 0.2).abs() < 1e-9);
    }

    #[test]
    fn what_comes_into_sight_outside_the_corridor_is_seen_with_the_next_whole_picture() {
        let config = AttentionConfig { whole_every: 5, ..AttentionConfig::default() };
        assert!((config.unseen_for(1.0 / 30.0) - 4.0 / 30.0).abs() < 1e-9);
        // At ten frames a second four periods are 400 ms; the longest time comes first.
        assert!((config.unseen_for(0.1) - 0.2).abs() < 1e-9);
    }
}
