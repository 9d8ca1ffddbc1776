//! From a pixel to the direction it looks in, for the three lens models that calibrations use.

use crate::arith::{magnitude, root};

/// The distortion model, with OpenCV's coefficients and their order.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Lens {
    /// None: a pinhole, or a picture that was undistorted before.
    #[default]
    Pinhole,
    /// Brown–Conrady (D. C. Brown 1966), OpenCV's `calib3d` with five coefficients:
    /// x″ = x′(1 + k₁r² + k₂r⁴ + k₃r⁶) + 2p₁x′y′ + p₂(r² + 2x′²), y″ likewise with p₁ and p₂ exchanged.
    BrownConrady {
        /// Radial, r².
        k1: f32,
        /// Radial, r⁴.
        k2: f32,
        /// Tangential.
        p1: f32,
        /// Tangential.
        p2: f32,
        /// Radial, r⁶.
        k3: f32,
    },
    /// Kannala–Brandt (PAMI 2006), OpenCV's `fisheye`: θ″ = θ(1 + k₁θ² + k₂θ⁴ + k₃θ⁶ + k₄θ⁸).
    KannalaBrandt {
        /// θ².
        k1: f32,
        /// θ⁴.
        k2: f32,
        /// θ⁶.
        k3: f32,
        /// θ⁸.
        k4: f32,
    },
}

/// Rounds of the inversions. OpenCV stops after five; the strongest wide-angle lenses need more to reach 1e-4.
const ROUNDS: usize = 30;
/// What may be left after the last round, in units of the focal length (a tenth of a pixel at 1 000 pixels).
const RESIDUAL: f32 = 1e-4;
/// Fisheye lenses are not looked through beyond this angle from their axis.
const WIDEST: f32 = 1.75;

impl Lens {
    /// The unit vector (right, down, forward) that the distorted, normalised point (x″, y″) looks along. None where the
    /// model has no answer: beyond the radius at which a Brown–Conrady polynomial folds, behind a fisheye.
    pub fn direction(&self, distorted: [f32; 2]) -> Option<[f32; 3]> {
        match *self {
            Self::Pinhole => Some(unit([distorted[0], distorted[1], 1.0])),
            Self::BrownConrady { .. } => {
                let point = self.unbend(distorted)?;
                Some(unit([point[0], point[1], 1.0]))
            }
            Self::KannalaBrandt { k1, k2, k3, k4 } => unfish(distorted, [k1, k2, k3, k4]),
        }
    }

    /// Fixed-point iteration, as in OpenCV's `undistortPoints`.
    fn unbend(&self, distorted: [f32; 2]) -> Option<[f32; 2]> {
        let mut point = distorted;
        for _ in 0..ROUNDS {
            let (radial, tangential) = self.bending(point)?;
            point = [(distorted[0] - tangential[0]) / radial, (distorted[1] - tangential[1]) / radial];
        }
        let (radial, tangential) = self.bending(point)?;
        let error = |i: usize| magnitude(point[i] * radial + tangential[i] - distorted[i]);
        (error(0) <= RESIDUAL && error(1) <= RESIDUAL).then_some(point)
    }

    /// Radial factor and tangential shift at an undistorted point.
    fn bending(&self, [x, y]: [f32; 2]) -> Option<(f32, [f32; 2])> {
        let Self::BrownConrady { k1, k2, p1, p2, k3 } = *self else { return None };
        let square = x * x + y * y;
        let radial = 1.0 + square * (k1 + square * (k2 + square * k3));
        let tangential =
            [2.0 * p1 * x * y + p2 * (square + 2.0 * x * x), p1 * (square + 2.0 * y * y) + 2.0 * p2 * x * y];
        (radial > 0.05 && square < 1e4).then_some((radial, tangential))
    }
}

/// Newton's method for the angle, then the direction.
fn unfish([x, y]: [f32; 2], [k1, k2, k3, k4]: [f32; 4]) -> Option<[f32; 3]> {
    let distorted = root(x * x + y * y);
    if distorted < 1e-8 {
        return Some([0.0, 0.0, 1.0]);
    }
    let mut angle = distorted;
    for _ in 0..ROUNDS {
        let s = angle * angle;
        let value = angle * (1.0 + s * (k1 + s * (k2 + s * (k3 + s * k4))));
        let slope = 1.0 + s * (3.0 * k1 + s * (5.0 * k2 + s * (7.0 * k3 + s * 9.0 * k4)));
        if slope < 0.01 {
            return None;
        }
        angle -= (value - distorted) / slope;
    }
    let s = angle * angle;
    let left = angle * (1.0 + s * (k1 + s * (k2 + s * (k3 + s * k4)))) - distorted;
    if magnitude(left) > RESIDUAL || !(0.0..=WIDEST).contains(&angle) {
        return None;
    }
    let sine = libm::sinf(angle);
    Some([sine * x / distorted, sine * y / distorted, libm::cosf(angle)])
}

fn unit(v: [f32; 3]) -> [f32; 3] {
    let length = root(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
    v.map(|part| part / length)
}
