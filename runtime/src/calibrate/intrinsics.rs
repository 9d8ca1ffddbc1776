//! The lens from views of a board.
//!
//! First guesses of the focal length: Zhang's closed form with the principal point in the middle of the picture (PAMI
//! 2000, section 3.1; what OpenCV's `initCameraMatrix2D` does), and a few fixed ones, since the closed form has no answer
//! when the board is square to the camera in every view. The best of them goes on to the least squares.

use nalgebra::{DMatrix, DVector, Matrix3};

use super::lens::{Lens, Model};
use super::plane::{self, Pose};
use super::solve::{self, Fit, Problem, State};

/// One picture's corners beside the board's.
#[derive(Clone, Debug)]
pub struct View {
    /// The picture, as people know it.
    pub name: String,
    /// Where the corners lie in the picture.
    pub seen: Vec<[f64; 2]>,
}

/// A lens found from views.
#[derive(Clone, Debug)]
pub struct Solution {
    /// The lens.
    pub lens: Lens,
    /// Where the board stood in each view.
    pub poses: Vec<Pose>,
    /// Root of the mean squared distance between seen and computed corners, in pixels, as OpenCV's functions return.
    pub rms: f64,
    /// The same for each view.
    pub rms_of: Vec<f64>,
    /// Standard deviations of fx, fy, cx, cy and the coefficients.
    pub deviations: Vec<f64>,
}

/// Views that give no lens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no {model} lens explains these {views} views: is the square size right, and is every picture from this camera with the \
     same focus, zoom and size? For a fisheye try --lens kannala-brandt"
)]
pub struct NoSolution {
    /// The model that was tried.
    pub model: &'static str,
    /// How many views there were.
    pub views: usize,
}

/// Finds the lens of `model` that shows `board` (metres, all views the same) as `views` saw it in pictures of `size`.
///
/// # Errors
/// [`NoSolution`] where no start leads anywhere.
pub fn calibrate(
    model: Model,
    board: &[[f64; 2]],
    views: &[View],
    size: [u32; 2],
) -> Result<Solution, NoSolution> {
    let none = NoSolution { model: model.name(), views: views.len() };
    let problem = Boards { model, board, views };
    let centre = size.map(|side| (f64::from(side) - 1.0) / 2.0);
    let rough = starts(board, views, model, size, centre)
        .into_iter()
        .filter_map(|focal| {
            let lens = Lens::plain(model, focal, centre);
            let own = poses(&lens, board, views)?.iter().map(Pose::parameters).collect();
            // The focal lengths and the first coefficient only: nothing can run away before the poses are right.
            let held: Vec<bool> = (0..lens.parameters().len()).map(|i| !matches!(i, 0 | 1 | 4)).collect();
            solve::fit(&problem, State { shared: lens.parameters(), own }, &held)
        })
        .filter(|fit| fit.state.shared[0] > 0.0 && fit.state.shared[1] > 0.0);
    let rough = rough.min_by(|a, b| a.cost.total_cmp(&b.cost)).ok_or(none)?;
    let free = vec![false; rough.state.shared.len()];
    let fit = solve::fit(&problem, rough.state, &free).ok_or(none)?;
    solution(model, &problem, &fit).filter(|found| found.lens.focal.iter().all(|f| *f > 0.0)).ok_or(none)
}

/// First guesses of the focal length in pixels.
fn starts(board: &[[f64; 2]], views: &[View], model: Model, size: [u32; 2], centre: [f64; 2]) -> Vec<f64> {
    let width = f64::from(size[0].max(size[1]));
    let mut all: Vec<f64> = match model {
        Model::BrownConrady => [0.5, 0.8, 1.2, 2.0, 4.0].iter().map(|share| share * width).collect(),
        Model::KannalaBrandt => [0.22, 0.32, 0.45, 0.7, 1.2].iter().map(|share| share * width).collect(),
    };
    if let (Model::BrownConrady, Some(closed)) = (model, closed_form(board, views, centre)) {
        all.insert(0, closed);
    }
    all
}

/// Zhang's constraints h₁ᵀωh₂ = 0 and h₁ᵀωh₁ = h₂ᵀωh₂ with ω = diag(1/f², 1/f², 1), solved for 1/f².
fn closed_form(board: &[[f64; 2]], views: &[View], centre: [f64; 2]) -> Option<f64> {
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for view in views {
        let moved: Vec<[f64; 2]> = view.seen.iter().map(|p| [p[0] - centre[0], p[1] - centre[1]]).collect();
        let h: Matrix3<f64> = plane::homography(board, &moved)?;
        let h = h / h.norm();
        let (a, b) = (h.column(0), h.column(1));
        left.push(a.x * b.x + a.y * b.y);
        right.push(-a.z * b.z);
        left.push(a.x * a.x + a.y * a.y - b.x * b.x - b.y * b.y);
        right.push(b.z * b.z - a.z * a.z);
    }
    let (left, right) = (DMatrix::from_vec(left.len(), 1, left), DVector::from_vec(right));
    let inverse_square = left.tr_mul(&right)[0] / left.tr_mul(&left)[(0, 0)];
    (inverse_square > 0.0 && inverse_square.is_finite()).then(|| 1.0 / inverse_square.sqrt())
}

/// Where the board stands in each view, if the lens is `lens`.
fn poses(lens: &Lens, board: &[[f64; 2]], views: &[View]) -> Option<Vec<Pose>> {
    views.iter().map(|view| pose(lens, board, &view.seen)).collect()
}

/// Where a board stands that is `seen` through `lens`; a start for least squares.
pub fn pose(lens: &Lens, board: &[[f64; 2]], seen: &[[f64; 2]]) -> Option<Pose> {
    let directions = seen.iter().map(|pixel| {
        let [x, y, z] = lens.ray(*pixel)?;
        (z > 0.05).then(|| [x / z, y / z])
    });
    let directions: Vec<[f64; 2]> = directions.collect::<Option<_>>()?;
    plane::pose(&plane::homography(board, &directions)?)
}

fn solution(model: Model, problem: &Boards<'_>, fit: &Fit) -> Option<Solution> {
    let mut rms_of = Vec::with_capacity(problem.views.len());
    let mut residuals = Vec::new();
    for (view, own) in fit.state.own.iter().enumerate() {
        residuals.clear();
        if !problem.residuals(view, &fit.state.shared, own, &mut residuals) {
            return None;
        }
        rms_of.push(rms(residuals.iter().map(|r| r * r).sum(), residuals.len()));
    }
    let scatter = fit.scatter(fit.state.shared.len() + 6 * fit.state.own.len());
    Some(Solution {
        lens: Lens::from_parameters(model, &fit.state.shared),
        poses: fit.state.own.iter().map(|own| Pose::from_parameters(own)).collect(),
        rms: rms(fit.cost, fit.count),
        rms_of,
        deviations: fit.spread.iter().map(|spread| spread * scatter).collect(),
    })
}

/// A corner has two residuals.
fn rms(squares: f64, residuals: usize) -> f64 {
    (squares / (residuals as f64 / 2.0)).sqrt()
}

struct Boards<'a> {
    model: Model,
    board: &'a [[f64; 2]],
    views: &'a [View],
}

impl Problem for Boards<'_> {
    fn views(&self) -> usize {
        self.views.len()
    }

    fn residuals(&self, view: usize, shared: &[f64], own: &[f64; 6], out: &mut Vec<f64>) -> bool {
        let lens = Lens::from_parameters(self.model, shared);
        let pose = Pose::from_parameters(own);
        for (corner, seen) in self.board.iter().zip(&self.views[view].seen) {
            let Some([u, v]) = lens.project(pose.place(*corner)) else { return false };
            out.extend([u - seen[0], v - seen[1]]);
        }
        true
    }
}

#[cfg(test)]
mod tests;
