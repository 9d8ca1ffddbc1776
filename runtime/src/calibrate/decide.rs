//! The file's lens and place, as the decision takes them.

use stopline_decide::camera::{Calibration, Lens};

use super::file::CalibrationFile;
use super::lens::Model;

impl CalibrationFile {
    /// How the camera sees and where it sits; `None` for a file without `[mount]`, which tells no distances.
    ///
    /// Pixels: the file counts from the centre of the first pixel, as OpenCV does; boxes and the decision count from its
    /// edge, half a pixel further.
    pub fn decide(&self) -> Option<Calibration> {
        let mount = self.mount.as_ref()?;
        let narrow = |degrees: f64| single(degrees.to_radians());
        Some(Calibration {
            size: self.picture,
            focal: self.lens.focal.map(single),
            centre: self.lens.centre.map(|centre| single(centre + 0.5)),
            lens: lens(self.lens.model, &self.lens.distortion),
            height: single(mount.height_m),
            pitch: narrow(mount.pitch_deg),
            roll: narrow(mount.roll_deg),
            yaw: narrow(mount.yaw_deg),
            front: single(mount.front_m),
            lateral: single(mount.lateral_m),
            pitch_sigma: narrow(mount.pitch_sigma_deg),
        })
    }
}

/// Coefficients by their place; the file is checked to have as many as its model.
fn lens(model: Model, distortion: &[f64]) -> Lens {
    let k = |at: usize| distortion.get(at).copied().map_or(0.0, single);
    if distortion.iter().all(|coefficient| *coefficient == 0.0) && model == Model::BrownConrady {
        return Lens::Pinhole;
    }
    match model {
        Model::BrownConrady => Lens::BrownConrady { k1: k(0), k2: k(1), p1: k(2), p2: k(3), k3: k(4) },
        Model::KannalaBrandt => Lens::KannalaBrandt { k1: k(0), k2: k(1), k3: k(2), k4: k(3) },
    }
}

#[allow(clippy::cast_possible_truncation, reason = "seven digits are more than a calibration has")]
fn single(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const FILE: &str = r#"
schema = 1
camera = "front"
made = "2026-02-28"
from = "parameters"
picture = [1280, 720]
[lens]
model = "brown-conrady"
focal = [1000.0, 1001.0]
centre = [639.5, 359.5]
distortion = [-0.3, 0.1, 0.001, -0.002, 0.0]
[mount]
height_m = 1.3
pitch_deg = 2.0
roll_deg = 0.0
yaw_deg = -1.0
pitch_sigma_deg = 0.5
front_m = 1.6
lateral_m = 0.1
"#;

    #[test]
    fn pixels_are_counted_from_the_edge_and_angles_in_radians() {
        let file = CalibrationFile::parse(FILE, Path::new("front.cal.toml")).expect("a file");
        let seen = file.decide().expect("has a place");
        assert_eq!((seen.centre, seen.focal, seen.size), ([640.0, 360.0], [1000.0, 1001.0], [1280, 720]));
        assert!((seen.pitch - 2.0_f32.to_radians()).abs() < 1e-7 && seen.yaw < 0.0);
        assert_eq!(seen.lens, Lens::BrownConrady { k1: -0.3, k2: 0.1, p1: 0.001, p2: -0.002, k3: 0.0 });
        seen.check().expect("within the decision's bounds");
    }

    #[test]
    fn a_file_without_a_place_tells_no_distances() {
        let text = FILE.split("[mount]").next().expect("the first part");
        let file = CalibrationFile::parse(text, Path::new("front.cal.toml")).expect("a file");
        assert!(file.decide().is_none());
    }
}
