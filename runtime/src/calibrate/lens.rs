//! The two lens models, with the parameters and signs of OpenCV.
//!
//! - **Brown–Conrady** (`cv2.calibrateCamera`, `distCoeffs` of five): k1, k2, p1, p2, k3. D. C. Brown, "Decentering
//!   distortion of lenses", 1966. For lenses up to about 110° across.
//! - **Kannala–Brandt** (`cv2.fisheye`): k1 to k4 on the angle to the axis. J. Kannala, S. Brandt, "A generic camera
//!   model", PAMI 2006. For wider ones.

use serde::{Deserialize, Serialize};

/// Which lens model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Model {
    /// k1, k2, p1, p2, k3; lenses up to about 110° across.
    BrownConrady,
    /// k1 to k4 on the angle; fisheye lenses.
    KannalaBrandt,
}

impl Model {
    /// How many distortion coefficients it has.
    pub const fn coefficients(self) -> usize {
        match self {
            Self::BrownConrady => 5,
            Self::KannalaBrandt => 4,
        }
    }

    /// As in the file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BrownConrady => "brown-conrady",
            Self::KannalaBrandt => "kannala-brandt",
        }
    }
}

/// Most parameters a lens has: fx, fy, cx, cy and the coefficients.
pub const MOST_PARAMETERS: usize = 9;
/// Newton steps of an inversion: five are usual.
const STEPS: usize = 40;
/// Largest angle to the axis that is looked for when a pixel of a fisheye is inverted: 110°.
const WIDEST: f64 = 1.92;

/// A lens on its sensor. Camera axes: x right, y down, z forwards; lengths in pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct Lens {
    /// The model that `distortion` belongs to.
    pub model: Model,
    /// Focal lengths fx, fy in pixels.
    pub focal: [f64; 2],
    /// Principal point cx, cy.
    pub centre: [f64; 2],
    /// [`Model::coefficients`] of them.
    pub distortion: Vec<f64>,
}

impl Lens {
    /// A lens without distortion.
    pub fn plain(model: Model, focal: f64, centre: [f64; 2]) -> Self {
        Self { model, focal: [focal; 2], centre, distortion: vec![0.0; model.coefficients()] }
    }

    /// From fx, fy, cx, cy and the coefficients, as [`Lens::parameters`] gives them.
    pub fn from_parameters(model: Model, parameters: &[f64]) -> Self {
        Self {
            model,
            focal: [parameters[0], parameters[1]],
            centre: [parameters[2], parameters[3]],
            distortion: parameters[4..4 + model.coefficients()].to_vec(),
        }
    }

    /// fx, fy, cx, cy and the coefficients.
    pub fn parameters(&self) -> Vec<f64> {
        let mut all = vec![self.focal[0], self.focal[1], self.centre[0], self.centre[1]];
        all.extend(&self.distortion);
        all
    }

    /// Where a point in camera axes comes to lie in the picture; `None` behind the camera.
    pub fn project(&self, point: [f64; 3]) -> Option<[f64; 2]> {
        let [x, y] = self.distorted(point)?;
        Some([self.focal[0] * x + self.centre[0], self.focal[1] * y + self.centre[1]])
    }

    /// The direction (unit length, camera axes) that a pixel looks into; `None` where the model has no answer.
    pub fn ray(&self, pixel: [f64; 2]) -> Option<[f64; 3]> {
        let aim = [(pixel[0] - self.centre[0]) / self.focal[0], (pixel[1] - self.centre[1]) / self.focal[1]];
        let [x, y, z] = match self.model {
            Model::BrownConrady => {
                let [x, y] = self.undistorted(aim)?;
                [x, y, 1.0]
            }
            Model::KannalaBrandt => {
                let radius = aim[0].hypot(aim[1]);
                let theta = self.angle_of(radius)?;
                let across = if radius > 1e-12 { theta.sin() / radius } else { 1.0 };
                [aim[0] * across, aim[1] * across, theta.cos()]
            }
        };
        let length = (x * x + y * y + z * z).sqrt();
        Some([x / length, y / length, z / length])
    }

    /// Angle in radians between the directions of two pixels.
    pub fn angle_between(&self, a: [f64; 2], b: [f64; 2]) -> Option<f64> {
        let (a, b) = (self.ray(a)?, self.ray(b)?);
        let cosine: f64 = a.iter().zip(&b).map(|(a, b)| a * b).sum();
        Some(cosine.clamp(-1.0, 1.0).acos())
    }

    /// Angles of view across and down in degrees for a picture of `size` pixels, through the principal point.
    pub fn field_of_view(&self, size: [u32; 2]) -> Option<[f64; 2]> {
        let [width, height] = size.map(|side| f64::from(side) - 0.5);
        let [cx, cy] = self.centre;
        Some([
            self.angle_between([-0.5, cy], [width, cy])?.to_degrees(),
            self.angle_between([cx, -0.5], [cx, height])?.to_degrees(),
        ])
    }

    /// Whether radius in the picture grows with the angle everywhere within a picture of `size`: a fit that turns back
    /// shows two directions in one pixel.
    pub fn is_one_to_one(&self, size: [u32; 2]) -> bool {
        let [width, height] = size.map(f64::from);
        let corners = [
            [0.0, 0.0],
            [width, 0.0],
            [0.0, height],
            [width, height],
            [width / 2.0, 0.0],
            [0.0, height / 2.0],
        ];
        corners.iter().all(|corner| {
            let Some([x, y, z]) = self.ray(*corner) else { return false };
            let theta = (x.hypot(y)).atan2(z);
            let reach = |angle: f64| match self.model {
                Model::BrownConrady => {
                    let r = angle.tan();
                    r * self.radial(r * r)
                }
                Model::KannalaBrandt => self.bent(angle),
            };
            (1..=64)
                .all(|step| reach(theta * f64::from(step) / 64.0) > reach(theta * f64::from(step - 1) / 64.0))
        })
    }

    fn distorted(&self, [x, y, z]: [f64; 3]) -> Option<[f64; 2]> {
        match self.model {
            Model::BrownConrady => (z > 1e-9).then(|| self.brown([x / z, y / z])),
            Model::KannalaBrandt => {
                let radius = x.hypot(y);
                if radius < 1e-12 {
                    return (z > 0.0).then_some([0.0, 0.0]);
                }
                let bent = self.bent(radius.atan2(z)) / radius;
                Some([x * bent, y * bent])
            }
        }
    }

    fn radial(&self, r2: f64) -> f64 {
        let k = &self.distortion;
        1.0 + r2 * (k[0] + r2 * (k[1] + r2 * k[4]))
    }

    fn brown(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        let (p1, p2) = (self.distortion[2], self.distortion[3]);
        let r2 = x * x + y * y;
        let radial = self.radial(r2);
        [
            x * radial + 2.0 * p1 * x * y + p2 * (r2 + 2.0 * x * x),
            y * radial + p1 * (r2 + 2.0 * y * y) + 2.0 * p2 * x * y,
        ]
    }

    /// Radius on the plane of focal length 1 for an angle to the axis.
    fn bent(&self, theta: f64) -> f64 {
        let k = &self.distortion;
        let t2 = theta * theta;
        theta * (1.0 + t2 * (k[0] + t2 * (k[1] + t2 * (k[2] + t2 * k[3]))))
    }

    /// The inverse of [`Self::brown`] by Newton's method with differences.
    fn undistorted(&self, aim: [f64; 2]) -> Option<[f64; 2]> {
        let mut at = aim;
        for _ in 0..STEPS {
            let here = self.brown(at);
            let miss = [aim[0] - here[0], aim[1] - here[1]];
            if miss[0].abs() + miss[1].abs() < 1e-12 {
                break;
            }
            let h = 1e-7;
            let (along, down) = (self.brown([at[0] + h, at[1]]), self.brown([at[0], at[1] + h]));
            let (a, b) = ((along[0] - here[0]) / h, (down[0] - here[0]) / h);
            let (c, d) = ((along[1] - here[1]) / h, (down[1] - here[1]) / h);
            let determinant = a * d - b * c;
            if determinant.abs() < 1e-9 {
                return None;
            }
            at[0] += (d * miss[0] - b * miss[1]) / determinant;
            at[1] += (a * miss[1] - c * miss[0]) / determinant;
        }
        let back = self.brown(at);
        let miss = (back[0] - aim[0]).hypot(back[1] - aim[1]);
        (miss < 1e-8).then_some(at)
    }

    /// The smallest angle with `bent(angle) = radius`.
    fn angle_of(&self, radius: f64) -> Option<f64> {
        let (mut low, mut high) = (0.0, None);
        for step in 1..=96 {
            let angle = WIDEST * f64::from(step) / 96.0;
            if self.bent(angle) >= radius {
                high = Some(angle);
                break;
            }
            low = angle;
        }
        let mut high = high?;
        for _ in 0..60 {
            let middle = f64::midpoint(low, high);
            if self.bent(middle) < radius { low = middle } else { high = middle }
        }
        Some(f64::midpoint(low, high))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lens(model: Model, focal: f64, distortion: &[f64]) -> Lens {
        Lens { model, focal: [focal, focal * 1.01], centre: [641.3, 356.8], distortion: distortion.to_vec() }
    }

    #[test]
    fn the_models_give_what_opencv_gives() {
        // cv2.projectPoints / cv2.fisheye.projectPoints (OpenCV 5.0) of (0.4, -0.3, 1.2).
        let brown = lens(Model::BrownConrady, 900.0, &[-0.31, 0.12, 0.0011, -0.0007, -0.02]);
        let [u, v] = brown.project([0.4, -0.3, 1.2]).unwrap();
        assert!((u - 925.793_464).abs() < 1e-4 && (v - 141.386_943).abs() < 1e-4, "{u} {v}");
        let fish = lens(Model::KannalaBrandt, 400.0, &[0.02, -0.01, 0.003, -0.0005]);
        let [u, v] = fish.project([0.4, -0.3, 1.2]).unwrap();
        assert!((u - 767.997_673).abs() < 1e-4 && (v - 260.826_513).abs() < 1e-4, "{u} {v}");
    }

    #[test]
    fn a_lens_of_60_degrees_says_so() {
        let plain = Lens::plain(Model::BrownConrady, 640.0 / 30f64.to_radians().tan(), [639.5, 359.5]);
        let [across, _] = plain.field_of_view([1280, 720]).unwrap();
        assert!((across - 60.0).abs() < 1e-9, "{across}");
    }

    #[test]
    fn a_fit_that_turns_back_within_the_picture_is_told() {
        let good = lens(Model::BrownConrady, 900.0, &[-0.2, 0.05, 0.0, 0.0, 0.0]);
        assert!(good.is_one_to_one([1280, 720]));
        let bad = lens(Model::BrownConrady, 500.0, &[-0.45, 0.0, 0.0, 0.0, 0.0]);
        assert!(!bad.is_one_to_one([1280, 720]));
    }

    proptest! {
        #[test]
        fn a_pixel_looks_into_the_direction_it_was_seen_in(
            x in -1.0..1.0f64, y in -0.8..0.8f64, z in 0.9..5.0f64,
            k1 in -0.2..0.2f64, p in -0.002..0.002f64, fish in any::<bool>(),
        ) {
            let lens = if fish {
                lens(Model::KannalaBrandt, 400.0, &[k1 / 5.0, 0.003, -0.001, 0.0])
            } else {
                lens(Model::BrownConrady, 900.0, &[k1, 0.01, p, -p, 0.0])
            };
            let pixel = lens.project([x, y, z]).unwrap();
            let ray = lens.ray(pixel);
            prop_assume!(ray.is_some());
            let ray = ray.unwrap();
            let back = lens.project(ray).unwrap();
            prop_assert!((back[0] - pixel[0]).abs() < 1e-5 && (back[1] - pixel[1]).abs() < 1e-5);
        }
    }
}
