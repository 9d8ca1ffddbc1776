//! Least squares by Levenberg and Marquardt for problems of the form of a calibration: a few parameters shared by all
//! views, six of each view's own.
//!
//! The normal equations are reduced to the shared parameters view by view (Schur complement; Triggs et al., "Bundle
//! adjustment: a modern synthesis", 1999), so that time grows with the number of views, not with its cube. Derivatives
//! are central differences: a residual depends on at most fifteen numbers.

use nalgebra::{DMatrix, DVector, Matrix6, SMatrix, Vector6};

/// Something to fit.
pub trait Problem {
    /// How many views there are.
    fn views(&self) -> usize;

    /// Residuals of one view in pixels (a view that needs none of its own six leaves them alone), appended to `out`; always the same number for a view. `false`: the parameters
    /// cannot be (a point behind the camera).
    fn residuals(&self, view: usize, shared: &[f64], own: &[f64; 6], out: &mut Vec<f64>) -> bool;
}

/// The parameters of a fit.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// Shared by all views.
    pub shared: Vec<f64>,
    /// Each view's own.
    pub own: Vec<[f64; 6]>,
}

/// What came of a fit.
#[derive(Clone, Debug)]
pub struct Fit {
    /// The parameters.
    pub state: State,
    /// Sum of squared residuals.
    pub cost: f64,
    /// Number of residuals.
    pub count: usize,
    /// Standard deviations of the shared parameters for residuals with a standard deviation of one pixel; infinite where
    /// the pictures do not tell, zero for what was held.
    pub spread: Vec<f64>,
}

/// Most iterations; twenty are usual.
const ITERATIONS: usize = 200;
/// Relative change of the cost at which it ends.
const SMALL: f64 = 1e-12;

/// Fits `problem`, starting from `start`; shared parameters for which `held` says so stay as they are. `None` where the
/// start itself cannot be.
pub fn fit(problem: &dyn Problem, start: State, held: &[bool]) -> Option<Fit> {
    let mut state = start;
    let mut cost = total(problem, &state)?;
    let mut damping = 1e-3;
    for _ in 0..ITERATIONS {
        let normal = Normal::of(problem, &state, held)?;
        let before = cost;
        while damping < 1e12 {
            let next = normal.step(damping).map(|step| step.applied(&state));
            let reached = next.as_ref().and_then(|next| total(problem, next));
            if let (Some(next), Some(reached)) = (next, reached)
                && reached <= cost
            {
                (state, cost) = (next, reached);
                damping = (damping * 0.2).max(1e-14);
                break;
            }
            damping *= 8.0;
        }
        if damping >= 1e12 || before - cost <= SMALL * before {
            break;
        }
    }
    let normal = Normal::of(problem, &state, held)?;
    let spread = normal.spread();
    Some(Fit { state, cost, count: normal.count, spread })
}

impl Fit {
    /// Standard deviation of the residuals where `free` parameters were fitted.
    pub fn scatter(&self, free: usize) -> f64 {
        (self.cost / self.count.saturating_sub(free).max(1) as f64).sqrt()
    }
}

fn total(problem: &dyn Problem, state: &State) -> Option<f64> {
    let mut residuals = Vec::new();
    let mut sum = 0.0;
    for (view, own) in state.own.iter().enumerate() {
        residuals.clear();
        if !problem.residuals(view, &state.shared, own, &mut residuals) {
            return None;
        }
        sum += residuals.iter().map(|r| r * r).sum::<f64>();
    }
    sum.is_finite().then_some(sum)
}

/// JᵀJ and −Jᵀr in blocks.
struct Normal {
    /// Shared × shared.
    shared: DMatrix<f64>,
    /// Per view: shared × own.
    mixed: Vec<SMatrix6>,
    /// Per view: own × own.
    own: Vec<Matrix6<f64>>,
    shared_gradient: DVector<f64>,
    own_gradient: Vec<Vector6<f64>>,
    held: Vec<bool>,
    count: usize,
}

type SMatrix6 = nalgebra::OMatrix<f64, nalgebra::Dyn, nalgebra::U6>;

struct Step {
    shared: DVector<f64>,
    own: Vec<Vector6<f64>>,
}

impl Step {
    fn applied(&self, state: &State) -> State {
        let shared = state.shared.iter().zip(self.shared.iter()).map(|(value, step)| value + step).collect();
        let own = state
            .own
            .iter()
            .zip(&self.own)
            .map(|(own, step)| std::array::from_fn(|i| own[i] + step[i]))
            .collect();
        State { shared, own }
    }
}

impl Normal {
    fn of(problem: &dyn Problem, state: &State, held: &[bool]) -> Option<Self> {
        let k = state.shared.len();
        let mut normal = Self {
            shared: DMatrix::zeros(k, k),
            mixed: Vec::with_capacity(problem.views()),
            own: Vec::with_capacity(problem.views()),
            shared_gradient: DVector::zeros(k),
            own_gradient: Vec::with_capacity(problem.views()),
            held: held.to_vec(),
            count: 0,
        };
        for (view, own) in state.own.iter().enumerate() {
            normal.add(problem, view, &state.shared, own)?;
        }
        Some(normal)
    }

    fn add(&mut self, problem: &dyn Problem, view: usize, shared: &[f64], own: &[f64; 6]) -> Option<()> {
        let k = shared.len();
        let mut residuals = Vec::new();
        if !problem.residuals(view, shared, own, &mut residuals) {
            return None;
        }
        let residuals = DVector::from_vec(residuals);
        let mut of_shared = DMatrix::zeros(residuals.len(), k);
        for i in (0..k).filter(|i| !self.held[*i]) {
            let column = slope(residuals.len(), shared[i], |value, out| {
                let mut moved = shared.to_vec();
                moved[i] = value;
                problem.residuals(view, &moved, own, out)
            })?;
            of_shared.set_column(i, &column);
        }
        let mut of_own = nalgebra::OMatrix::<f64, nalgebra::Dyn, nalgebra::U6>::zeros(residuals.len());
        for i in 0..6 {
            let column = slope(residuals.len(), own[i], |value, out| {
                let mut moved = *own;
                moved[i] = value;
                problem.residuals(view, shared, &moved, out)
            })?;
            of_own.set_column(i, &column);
        }
        self.shared += of_shared.tr_mul(&of_shared);
        self.mixed.push(of_shared.tr_mul(&of_own));
        self.own.push(of_own.tr_mul(&of_own));
        self.shared_gradient -= of_shared.tr_mul(&residuals);
        self.own_gradient.push(-of_own.tr_mul(&residuals));
        self.count += residuals.len();
        Some(())
    }

    /// The step with Marquardt's damping; `None` where the equations have no solution.
    fn step(&self, damping: f64) -> Option<Step> {
        let mut reduced = self.shared.clone();
        let mut gradient = self.shared_gradient.clone();
        for i in 0..reduced.nrows() {
            // A held parameter has an empty row: 1 keeps the matrix solvable and the step 0.
            reduced[(i, i)] = if self.held[i] { 1.0 } else { reduced[(i, i)] * (1.0 + damping) + 1e-30 };
        }
        let mut inverses = Vec::with_capacity(self.own.len());
        for ((own, mixed), own_gradient) in self.own.iter().zip(&self.mixed).zip(&self.own_gradient) {
            let inverse = damped(own, damping).cholesky()?.inverse();
            let through = mixed * inverse;
            reduced -= &through * mixed.transpose();
            gradient -= through * own_gradient;
            inverses.push(inverse);
        }
        let shared = scaled_solve(reduced, &gradient)?;
        let own = inverses.iter().zip(&self.mixed).zip(&self.own_gradient);
        let own =
            own.map(|((inverse, mixed), gradient)| inverse * (gradient - mixed.tr_mul(&shared))).collect();
        Some(Step { shared, own })
    }

    fn spread(&self) -> Vec<f64> {
        let k = self.shared.nrows();
        let mut reduced = self.shared.clone();
        for (own, mixed) in self.own.iter().zip(&self.mixed) {
            let Some(cholesky) = damped(own, 0.0).cholesky() else { return vec![f64::INFINITY; k] };
            reduced -= mixed * cholesky.inverse() * mixed.transpose();
        }
        for i in (0..k).filter(|i| self.held[*i]) {
            reduced[(i, i)] = 1.0;
        }
        let scale = DVector::from_iterator(k, (0..k).map(|i| 1.0 / reduced[(i, i)].max(1e-300).sqrt()));
        let unit = DMatrix::from_fn(k, k, |i, j| reduced[(i, j)] * scale[i] * scale[j]);
        let Some(inverse) = unit.cholesky().map(|c| c.inverse()) else { return vec![f64::INFINITY; k] };
        (0..k).map(|i| if self.held[i] { 0.0 } else { inverse[(i, i)].sqrt() * scale[i] }).collect()
    }
}

/// The least value on the diagonal keeps numbers that nothing depends on from having no solution.
fn damped(own: &Matrix6<f64>, damping: f64) -> SMatrix<f64, 6, 6> {
    let mut damped = *own;
    for i in 0..6 {
        damped[(i, i)] = damped[(i, i)] * (1.0 + damping) + 1e-30;
    }
    damped
}

/// Solves with rows and columns scaled to a diagonal of ones: focal lengths and k3 differ by nine orders of magnitude.
fn scaled_solve(matrix: DMatrix<f64>, right: &DVector<f64>) -> Option<DVector<f64>> {
    let k = matrix.nrows();
    let diagonal: Vec<f64> = (0..k).map(|i| matrix[(i, i)]).collect();
    if diagonal.iter().any(|d| !(*d > 0.0 && d.is_finite())) {
        return None;
    }
    let scale = DVector::from_iterator(k, diagonal.iter().map(|d| 1.0 / d.sqrt()));
    let unit = DMatrix::from_fn(k, k, |i, j| matrix[(i, j)] * scale[i] * scale[j]);
    let solved = unit.cholesky()?.solve(&right.component_mul(&scale));
    Some(solved.component_mul(&scale))
}

/// Derivative of all residuals by one parameter, by central differences.
fn slope(
    count: usize,
    at: f64,
    mut residuals: impl FnMut(f64, &mut Vec<f64>) -> bool,
) -> Option<DVector<f64>> {
    let h = 1e-6 * at.abs().max(0.1);
    let (mut above, mut below) = (Vec::with_capacity(count), Vec::with_capacity(count));
    if !residuals(at + h, &mut above) || !residuals(at - h, &mut below) {
        return None;
    }
    Some(DVector::from_iterator(count, above.iter().zip(&below).map(|(a, b)| (a - b) / (2.0 * h))))
}
