//! A flat board and its picture: homographies, and the board's pose from one.

use nalgebra::{DMatrix, Matrix3, Rotation3, Vector3};

/// Where a board stands in camera axes: a rotation vector (axis × angle, as in OpenCV) and metres.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pose {
    /// Rotation vector of board axes to camera axes.
    pub rotation: [f64; 3],
    /// The board's first corner in camera axes.
    pub translation: [f64; 3],
}

impl Pose {
    /// As six numbers.
    pub fn parameters(&self) -> [f64; 6] {
        let ([a, b, c], [x, y, z]) = (self.rotation, self.translation);
        [a, b, c, x, y, z]
    }

    /// From six numbers.
    pub fn from_parameters(p: &[f64]) -> Self {
        Self { rotation: [p[0], p[1], p[2]], translation: [p[3], p[4], p[5]] }
    }

    /// A point of the board's plane in camera axes.
    pub fn place(&self, [x, y]: [f64; 2]) -> [f64; 3] {
        let turned = Rotation3::new(Vector3::from(self.rotation)) * Vector3::new(x, y, 0.0);
        (turned + Vector3::from(self.translation)).into()
    }

    /// Angle in degrees between the board and the picture plane.
    pub fn tilt(&self) -> f64 {
        let normal = Rotation3::new(Vector3::from(self.rotation)) * Vector3::z();
        normal.z.abs().clamp(0.0, 1.0).acos().to_degrees()
    }
}

/// The homography that takes `from` to `to` (each at least four points): direct linear transformation on normalised
/// coordinates (Hartley, "In defense of the eight-point algorithm", PAMI 1997). `None` where the points lie on a line.
pub fn homography(from: &[[f64; 2]], to: &[[f64; 2]]) -> Option<Matrix3<f64>> {
    if from.len() < 4 || from.len() != to.len() {
        return None;
    }
    let (scale_from, scale_to) = (normaliser(from)?, normaliser(to)?);
    let mut rows = DMatrix::zeros((2 * from.len()).max(9), 9);
    for (k, (a, b)) in from.iter().zip(to).enumerate() {
        let a = scale_from * Vector3::new(a[0], a[1], 1.0);
        let b = scale_to * Vector3::new(b[0], b[1], 1.0);
        for c in 0..3 {
            rows[(2 * k, c)] = -a[c];
            rows[(2 * k, 6 + c)] = b.x * a[c];
            rows[(2 * k + 1, 3 + c)] = -a[c];
            rows[(2 * k + 1, 6 + c)] = b.y * a[c];
        }
    }
    let svd = (rows.transpose() * &rows).symmetric_eigen();
    let least = svd.eigenvalues.iamin();
    let h = svd.eigenvectors.column(least);
    let normalised = Matrix3::new(h[0], h[1], h[2], h[3], h[4], h[5], h[6], h[7], h[8]);
    let whole = scale_to.try_inverse()? * normalised * scale_from;
    let finite = whole.iter().all(|v| v.is_finite()) && whole.determinant().abs() > 1e-300;
    finite.then_some(whole)
}

/// Moves points to their middle and makes their mean distance from it √2.
fn normaliser(points: &[[f64; 2]]) -> Option<Matrix3<f64>> {
    let n = points.len() as f64;
    let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), p| (x + p[0] / n, y + p[1] / n));
    let spread: f64 = points.iter().map(|p| (p[0] - x).hypot(p[1] - y)).sum::<f64>() / n;
    if !(spread > 1e-12 && spread.is_finite()) {
        return None;
    }
    let s = std::f64::consts::SQRT_2 / spread;
    Some(Matrix3::new(s, 0.0, -s * x, 0.0, s, -s * y, 0.0, 0.0, 1.0))
}

/// The pose of a board from the homography of its plane to directions (x/z, y/z): Zhang, "A flexible new technique for
/// camera calibration", PAMI 2000, section 3.1. `None` where the board would lie behind the camera.
pub fn pose(homography: &Matrix3<f64>) -> Option<Pose> {
    let (a, b, t) = (homography.column(0), homography.column(1), homography.column(2));
    let scale = 2.0 / (a.norm() + b.norm());
    let scale = if t.z < 0.0 { -scale } else { scale };
    let (a, b, t) = (a * scale, b * scale, t * scale);
    if !t.z.is_finite() || t.z <= 0.0 {
        return None;
    }
    let raw = Matrix3::from_columns(&[a, b, a.cross(&b)]);
    let svd = raw.svd(true, true);
    let (mut u, v) = (svd.u?, svd.v_t?);
    if (u * v).determinant() < 0.0 {
        u.column_mut(2).neg_mut();
    }
    let rotation = Rotation3::from_matrix_unchecked(u * v).scaled_axis();
    Some(Pose { rotation: rotation.into(), translation: t.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boards_pose_comes_back_from_its_picture() {
        let pose_in = Pose { rotation: [0.3, -0.4, 0.2], translation: [-0.1, 0.05, 1.4] };
        let board: Vec<[f64; 2]> =
            (0..54).map(|i| [f64::from(i % 9) * 0.03, f64::from(i / 9) * 0.03]).collect();
        let seen: Vec<[f64; 2]> = board
            .iter()
            .map(|&corner| {
                let [x, y, z] = pose_in.place(corner);
                [x / z, y / z]
            })
            .collect();
        let out = pose(&homography(&board, &seen).unwrap()).unwrap();
        for (a, b) in out.parameters().iter().zip(pose_in.parameters()) {
            assert!((a - b).abs() < 1e-8, "{out:?}");
        }
        assert!((out.tilt() - 28.2).abs() < 1.0, "{}", out.tilt());
    }

    #[test]
    fn points_on_a_line_have_no_homography() {
        let line: Vec<[f64; 2]> = (0..6).map(|i| [f64::from(i), 0.0]).collect();
        let same = vec![[1.0, 1.0]; 6];
        assert!(homography(&same, &line).is_none());
    }
}
