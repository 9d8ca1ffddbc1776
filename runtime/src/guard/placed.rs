//! Whether a camera still looks where it looked when it was calibrated.
//!
//! The picture is summed up by its mean luma per row and per column (of the lattice in [`super::grid`]), with slow
//! changes of brightness taken out. A camera before a still background is compared in both directions; of a driving
//! camera only the rows are, averaged over a long time: the horizon is the one thing that stays. Profiles are compared
//! by their normalised correlation at every shift within an eighth of the picture.
//!
//! What this cannot see: a turn of a driving camera to the side, a roll about its axis of a few degrees, and a shift
//! below the configured share.

use serde::{Deserialize, Serialize};
use stopline_decide::time::Nanos;

use super::config::{GuardConfig, Placement, ms};
use super::confirm::Confirmed;
use super::grid::{ACROSS, DOWN, Look};

/// Lattice points that a profile's moving mean reaches to each side.
const SMOOTH: usize = 9;
/// Correlation from which a shift is believed.
const BELIEVED: f32 = 0.45;
/// How much better a shift must fit than none.
const BETTER: f32 = 0.15;
/// Correlation within the allowed shift below which, along both sides, the view is another one. Real views of the same
/// place stayed above 0.4 along one side at least; other views stay below 0.3.
const ELSEWHERE: f32 = 0.38;
/// How often a comparison is made at most.
const EVERY: Nanos = Nanos::from_millis(200);
/// Averaging of a still background, in seconds: long enough that people walking by are a breath of it.
const STILL_SETTLE: f32 = 2.0;
/// How long a still background is watched before it is the reference, where none was given.
const LEARN: Nanos = Nanos::from_millis(10_000);

/// What a camera sees when it is where it was calibrated, kept as JSON beside the calibration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// Version of this form; 1.
    pub schema: u32,
    /// Pixels across and down.
    pub size: [u32; 2],
    /// Mean luma per lattice column, 320 of them, 0 to 255.
    pub columns: Vec<f32>,
    /// Mean luma per lattice row, 180 of them.
    pub rows: Vec<f32>,
    /// Sharpness ([`Look::sharpness`]), where there was contrast.
    pub sharpness: Option<f32>,
}

/// A reference that is none.
#[derive(Debug, thiserror::Error)]
pub enum ReferenceError {
    /// Not what [`Reference`] is.
    #[error(
        "no reference view: {0}; make one with `stopline replay CLIP --reference FILE` on the camera's own picture"
    )]
    Json(#[from] serde_json::Error),
    /// Of a version or of lengths that cannot be.
    #[error("reference view: {what} is {found}, expected {expected}")]
    Value {
        /// The key.
        what: &'static str,
        /// What stands there.
        found: usize,
        /// What must stand there.
        expected: usize,
    },
}

impl Reference {
    /// Reads one from JSON.
    ///
    /// # Errors
    /// [`ReferenceError`] says what is wrong.
    pub fn from_json(json: &[u8]) -> Result<Self, ReferenceError> {
        let read: Self = serde_json::from_slice(json)?;
        let held = [
            ("schema", read.schema as usize, 1),
            ("columns", read.columns.len(), ACROSS),
            ("rows", read.rows.len(), DOWN),
        ];
        match held.into_iter().find(|(_, found, expected)| found != expected) {
            Some((what, found, expected)) => Err(ReferenceError::Value { what, found, expected }),
            None => Ok(read),
        }
    }
}

/// Averages looks into a reference.
#[derive(Clone, Debug, Default)]
pub struct ReferenceBuilder {
    columns: Vec<f64>,
    rows: Vec<f64>,
    sharpness: Vec<f32>,
    looks: u32,
}

impl ReferenceBuilder {
    /// One more look.
    pub fn add(&mut self, look: &Look) {
        self.columns.resize(ACROSS, 0.0);
        self.rows.resize(DOWN, 0.0);
        add(&mut self.columns, &look.columns);
        add(&mut self.rows, &look.rows);
        self.sharpness.extend(look.sharpness);
        self.looks += 1;
    }

    /// The mean of all looks, the median of their sharpness; `None` without a look.
    pub fn build(mut self, size: [u32; 2]) -> Option<Reference> {
        if self.looks == 0 {
            return None;
        }
        #[allow(clippy::cast_possible_truncation, reason = "a mean of luma")]
        let mean =
            |sums: &[f64]| sums.iter().map(|sum| (sum / f64::from(self.looks)) as f32).collect::<Vec<_>>();
        let (columns, rows) = (mean(&self.columns), mean(&self.rows));
        self.sharpness.sort_by(f32::total_cmp);
        let sharpness = self.sharpness.get(self.sharpness.len() / 2).copied();
        Some(Reference { schema: 1, size, columns, rows, sharpness })
    }
}

fn add(sums: &mut [f64], means: &[u16]) {
    sums.iter_mut().zip(means).for_each(|(sum, mean)| *sum += f64::from(*mean) / 16.0);
}

/// Rows and columns of a view, as they are compared.
#[derive(Clone)]
struct View {
    columns: [f32; ACROSS],
    rows: [f32; DOWN],
}

impl View {
    fn of(reference: &Reference) -> Self {
        let mut view = Self { columns: [0.0; ACROSS], rows: [0.0; DOWN] };
        view.columns.iter_mut().zip(&reference.columns).for_each(|(to, from)| *to = *from);
        view.rows.iter_mut().zip(&reference.rows).for_each(|(to, from)| *to = *from);
        view.detailed()
    }

    /// Without slow changes along the profile.
    fn detailed(&self) -> Self {
        let mut out = self.clone();
        detail(&self.columns, &mut out.columns);
        detail(&self.rows, &mut out.rows);
        out
    }
}

/// Holds a camera to its place.
pub struct PlacedGuard {
    placement: Placement,
    references: Vec<View>,
    mean: View,
    /// When the mean began, and when it was last moved on.
    times: Option<(Nanos, Nanos)>,
    compared: Nanos,
    settle: f32,
    share: f32,
    learns: bool,
    moved: Confirmed,
}

impl PlacedGuard {
    /// By `config`. Without a reference a fixed camera takes its first ten seconds as one, and a driving camera is not
    /// judged.
    pub fn new(config: &GuardConfig, placement: Placement, references: &[Reference]) -> Self {
        let settle = match placement {
            Placement::Vehicle => ms(config.horizon_settle_ms).seconds(),
            Placement::Fixed => STILL_SETTLE,
        };
        let confirm = ms(config.moved_confirm_ms);
        Self {
            placement,
            references: references.iter().map(View::of).collect(),
            mean: View { columns: [0.0; ACROSS], rows: [0.0; DOWN] },
            times: None,
            compared: Nanos::default(),
            settle,
            share: config.moved_share,
            learns: placement == Placement::Fixed && references.is_empty(),
            moved: Confirmed::new(confirm, confirm),
        }
    }

    /// One look at `now`; `sound` where nothing is wrong with the picture itself. Whether the camera has moved.
    pub fn look(&mut self, look: &Look, sound: bool, now: Nanos) -> bool {
        if !sound || (self.references.is_empty() && !self.learns) {
            return self.moved.present();
        }
        let (begun, last) = *self.times.get_or_insert((now, now));
        // At first a plain mean, then a moving one.
        let age = now.since(begun).seconds();
        let settle = if self.learns { LEARN.seconds() } else { self.settle };
        let step = if begun == now { 1.0 } else { now.since(last).seconds() / settle.min(age) };
        self.times = Some((begun, now));
        follow(&mut self.mean.columns, &look.columns, step);
        follow(&mut self.mean.rows, &look.rows, step);
        if self.learns {
            if now.since(begun) >= LEARN {
                self.references.push(self.mean.detailed());
                self.learns = false;
            }
            return false;
        }
        if age >= 0.5 * self.settle && now.since(self.compared) >= EVERY {
            self.compared = now;
            let view = self.mean.detailed();
            let elsewhere = !self.references.iter().any(|reference| self.same(reference, &view));
            self.moved.update(now, elsewhere);
        }
        self.moved.present()
    }

    fn same(&self, reference: &View, view: &View) -> bool {
        let rows = Fit::of(&reference.rows, &view.rows, self.share);
        if rows.shifted() {
            return false;
        }
        match self.placement {
            Placement::Vehicle => true,
            Placement::Fixed => {
                let columns = Fit::of(&reference.columns, &view.columns, self.share);
                !columns.shifted() && (rows.near > ELSEWHERE || columns.near > ELSEWHERE)
            }
        }
    }
}

fn follow(mean: &mut [f32], look: &[u16], step: f32) {
    let step = step.clamp(0.0, 1.0);
    mean.iter_mut().zip(look).for_each(|(mean, now)| *mean += (f32::from(*now) / 16.0 - *mean) * step);
}

/// `from` minus its moving mean; at the ends the last value goes on.
fn detail(from: &[f32], to: &mut [f32]) {
    let last = from.len() - 1;
    let at = |index: usize| from[index.saturating_sub(SMOOTH).min(last)];
    #[allow(clippy::cast_precision_loss, reason = "19")]
    let span = (2 * SMOOTH + 1) as f32;
    let mut sum: f32 = (0..=2 * SMOOTH).map(at).sum();
    for (index, to) in to.iter_mut().enumerate() {
        *to = from[index] - sum / span;
        sum += at(index + 2 * SMOOTH + 1) - at(index);
    }
}

/// How well two profiles fit at no shift, within the allowed one, and anywhere within an eighth of the side.
#[derive(Clone, Copy, Debug)]
struct Fit {
    /// The best fit lies beyond the allowed shift.
    beyond: bool,
    best: f32,
    near: f32,
    still: f32,
}

impl Fit {
    #[allow(clippy::cast_precision_loss, reason = "at most 320")]
    fn of(reference: &[f32], view: &[f32], share: f32) -> Self {
        let still = correlation(reference, view);
        let mut fit = Self { beyond: false, best: still, near: still, still };
        let allowed = share * reference.len() as f32;
        for shift in 1..=reference.len() / 8 {
            let kept = reference.len() - shift;
            let later = correlation(&reference[..kept], &view[shift..]);
            let earlier = correlation(&reference[shift..], &view[..kept]);
            let here = later.max(earlier);
            let beyond = shift as f32 >= allowed;
            if here > fit.best {
                fit.best = here;
                fit.beyond = beyond;
            }
            if !beyond {
                fit.near = fit.near.max(here);
            }
        }
        fit
    }

    fn shifted(&self) -> bool {
        self.beyond && self.best >= BELIEVED && self.best - self.still >= BETTER
    }
}

/// Pearson's correlation; 0 where either has no detail.
#[allow(clippy::cast_precision_loss, reason = "at most 320")]
fn correlation(a: &[f32], b: &[f32]) -> f32 {
    let n = a.len() as f32;
    let (mean_a, mean_b) = (a.iter().sum::<f32>() / n, b.iter().sum::<f32>() / n);
    let (mut aa, mut bb, mut ab) = (0.0_f32, 0.0_f32, 0.0_f32);
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (a - mean_a, b - mean_b);
        (aa, bb, ab) = (aa + a * a, bb + b * b, ab + a * b);
    }
    let scale = (aa * bb).sqrt();
    if scale > 1e-3 { ab / scale } else { 0.0 }
}

#[cfg(test)]
mod tests;
