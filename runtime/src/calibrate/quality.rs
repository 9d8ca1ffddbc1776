//! What is too poor to be used, and what to do about it.

use super::intrinsics::{Solution, View};

/// What a calibration must reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Fewest views.
    pub views: usize,
    /// Fewest views in which the board leans by [`Limits::tilt`] or more: square views do not tell focal length from
    /// distance.
    pub tilted: usize,
    /// Degrees.
    pub tilt: f64,
    /// Largest RMS in pixels for a picture 1280 pixels wide; grows and shrinks with the width, not below 0.4.
    pub rms: f64,
    /// Least share of the picture's cells with a corner in any view.
    pub covered: f64,
    /// Largest standard deviation of the focal length, as a share of it.
    pub focal: f64,
    /// Largest standard deviation of the principal point, as a share of the picture's width.
    pub centre: f64,
}

impl Default for Limits {
    /// 8 views, 4 of them leaning by 15° or more, 0.8 px, 55 % covered, focal length within 0.5 %, centre within 0.5 %.
    fn default() -> Self {
        Self { views: 8, tilted: 4, tilt: 15.0, rms: 0.8, covered: 0.55, focal: 0.005, centre: 0.005 }
    }
}

impl Limits {
    /// Largest RMS for pictures `width` pixels wide.
    pub fn rms_at(&self, width: u32) -> f64 {
        (self.rms * f64::from(width) / 1280.0).max(0.4)
    }
}

/// Cells across and down that coverage is counted in.
pub const CELLS: [usize; 2] = [8, 6];

/// Which cells of the picture hold a corner in any view; row after row.
pub fn covered_cells(views: &[View], size: [u32; 2]) -> Vec<bool> {
    let mut cells = vec![false; CELLS[0] * CELLS[1]];
    for at in views.iter().flat_map(|view| &view.seen) {
        let place = |axis: usize| {
            let share = (at[axis] + 0.5) / f64::from(size[axis]);
            ((share * CELLS[axis] as f64).max(0.0) as usize).min(CELLS[axis] - 1)
        };
        cells[place(1) * CELLS[0] + place(0)] = true;
    }
    cells
}

/// Share of the picture's cells with a corner, 0 to 1.
pub fn covered(views: &[View], size: [u32; 2]) -> f64 {
    let cells = covered_cells(views, size);
    cells.iter().filter(|cell| **cell).count() as f64 / cells.len() as f64
}

/// What is wrong with a calibration, each a sentence that says what to do. None: it can be used.
pub fn problems(found: &Solution, views: &[View], size: [u32; 2], limits: &Limits) -> Vec<String> {
    let mut all = Vec::new();
    if views.len() < limits.views {
        all.push(format!("{} views, expected {} or more: take more pictures", views.len(), limits.views));
    }
    let tilted = found.poses.iter().filter(|pose| pose.tilt() >= limits.tilt).count();
    if tilted < limits.tilted {
        all.push(format!(
            "the board leans by {} degrees or more in {tilted} views, expected {}: lean it to each side, and forwards and \
             backwards",
            limits.tilt, limits.tilted
        ));
    }
    let most = limits.rms_at(size[0]);
    if found.rms > most {
        all.push(format!("RMS {:.2} px, expected {most:.2} or less: {}", found.rms, worst(found, views)));
    }
    let share = covered(views, size);
    if share < limits.covered {
        all.push(format!(
            "corners in {:.0} % of the picture, expected {:.0} % or more; empty: {}. Hold the board there too, up to the edges",
            share * 100.0,
            limits.covered * 100.0,
            empty_parts(views, size)
        ));
    }
    let unsure = found.deviations[0].max(found.deviations[1]) / found.lens.focal[0];
    if unsure > limits.focal {
        all.push(format!(
            "the focal length is known to {:.2} %, expected {:.2} %: more views with the board leaning, near and far",
            unsure * 100.0,
            limits.focal * 100.0
        ));
    }
    let shift = found.deviations[2].max(found.deviations[3]);
    if shift > limits.centre * f64::from(size[0]) {
        all.push(format!(
            "the principal point is known to {shift:.1} px, expected {:.1}: views with the board turned by 90 degrees and at \
             all sides of the picture",
            limits.centre * f64::from(size[0])
        ));
    }
    if !found.lens.is_one_to_one(size) {
        all.push(
            "the distortion turns back within the picture, so that two directions fall into one pixel: bring the board \
             into the corners, or try the other --lens"
                .into(),
        );
    }
    all
}

fn worst(found: &Solution, views: &[View]) -> String {
    let mut ranked: Vec<(f64, &str)> =
        found.rms_of.iter().zip(views).map(|(rms, view)| (*rms, view.name.as_str())).collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    let named: Vec<String> =
        ranked.iter().take(3).map(|(rms, name)| format!("{name} ({rms:.2} px)")).collect();
    format!(
        "worst are {}; a moving or bent board, another focus or a wrong --square does that",
        named.join(", ")
    )
}

/// Where no corner lies, in words: thirds of the picture.
fn empty_parts(views: &[View], size: [u32; 2]) -> String {
    let cells = covered_cells(views, size);
    let names = [
        ["upper left", "above", "upper right"],
        ["left", "middle", "right"],
        ["lower left", "below", "lower right"],
    ];
    let mut empty = [[0_usize; 3]; 3];
    for (index, _) in cells.iter().enumerate().filter(|(_, cell)| !**cell) {
        let (column, row) = (index % CELLS[0], index / CELLS[0]);
        empty[row * 3 / CELLS[1]][column * 3 / CELLS[0]] += 1;
    }
    let mut ranked: Vec<(usize, &str)> = empty
        .iter()
        .flatten()
        .copied()
        .zip(names.iter().flatten().copied())
        .filter(|(n, _)| *n > 0)
        .collect();
    ranked.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    ranked.iter().take(4).map(|(_, name)| *name).collect::<Vec<_>>().join(", ")
}
