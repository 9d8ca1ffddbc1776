//! Where the camera sits: height, pitch, roll and yaw from things at known places in the yard.
//!
//! Vehicle axes (ISO 8855): x forwards, y to the left, z up; here the origin is the ground right below the lens. Angles
//! are the decision's: pitch positive where the camera looks down, roll positive where its right side hangs lower, yaw
//! positive where it looks to the left; turned in the order roll, pitch, yaw.

use super::lens::Lens;
use super::solve::{self, Problem, State};

/// Where a camera sits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mount {
    /// Metres above the ground.
    pub height: f64,
    /// Radians.
    pub pitch: f64,
    /// Radians.
    pub roll: f64,
    /// Radians.
    pub yaw: f64,
}

impl Mount {
    /// Rows: forwards, left, up, each as a combination of camera axes right, down, forward.
    fn rotation(&self) -> [[f64; 3]; 3] {
        let (sp, cp) = self.pitch.sin_cos();
        let (sr, cr) = self.roll.sin_cos();
        let (sy, cy) = self.yaw.sin_cos();
        let turned = [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ];
        turned.map(|[forward, left, up]| [-left, -up, forward])
    }

    /// A place in vehicle axes, in camera axes.
    pub fn to_camera(&self, [x, y, z]: [f64; 3]) -> [f64; 3] {
        let place = [x, y, z - self.height];
        let rows = self.rotation();
        std::array::from_fn(|axis| (0..3).map(|row| rows[row][axis] * place[row]).sum())
    }

    /// A direction in camera axes, in vehicle axes.
    pub fn to_vehicle(&self, direction: [f64; 3]) -> [f64; 3] {
        self.rotation().map(|row| row[0] * direction[0] + row[1] * direction[1] + row[2] * direction[2])
    }
}

/// Something seen whose place is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mark {
    /// A point: metres forwards, left and up from the ground below the lens.
    Point {
        /// Where it is seen, in pixels.
        seen: [f64; 2],
        /// Where it is.
        place: [f64; 3],
    },
    /// A point of the horizon: water, a far plain, or a mark at the height of the lens.
    Horizon {
        /// Where it is seen, in pixels.
        seen: [f64; 2],
    },
    /// A point straight ahead, however high: the far end of a straight road the vehicle stands on.
    Ahead {
        /// Where it is seen, in pixels.
        seen: [f64; 2],
    },
}

/// What was found, and how sure it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed {
    /// The place.
    pub mount: Mount,
    /// Root mean square of the distances between seen and computed marks, in pixels.
    pub rms: f64,
    /// Standard deviations of pitch, roll and yaw in radians and of height in metres (0 where given), for marks as
    /// exact as `rms` says, at least [`CLICK`] pixels each.
    pub deviations: [f64; 4],
    /// Each mark's distance in pixels.
    pub misses: Vec<f64>,
}

/// How exactly a person tells a mark's place in the picture, in pixels.
pub const CLICK: f64 = 1.0;

/// Marks that do not tell the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MountError {
    /// Fewer equations than unknowns.
    #[error(
        "{marks} marks do not tell {unknown}: give two marks with --height, or three without; horizon and ahead count half"
    )]
    TooFew {
        /// Marks given.
        marks: usize,
        /// What is looked for.
        unknown: &'static str,
    },
    /// No place explains the marks.
    #[error(
        "no place of the camera explains these marks: are pixels given as U,V from the upper left and places as FORWARDS,LEFT,UP in metres?"
    )]
    Nowhere,
}

/// Finds where the camera sits from `marks`; `height` in metres where it was measured. Without a mark that tells yaw
/// (only horizon marks) the camera is taken to look straight ahead.
///
/// # Errors
/// [`MountError`].
pub fn place(lens: &Lens, marks: &[Mark], height: Option<f64>) -> Result<Placed, MountError> {
    let knows_yaw = marks.iter().any(|mark| !matches!(mark, Mark::Horizon { .. }));
    let held = [false, false, !knows_yaw, height.is_some()];
    let equations: usize =
        marks.iter().map(|mark| if matches!(mark, Mark::Point { .. }) { 2 } else { 1 }).sum();
    let unknowns = held.iter().filter(|held| !**held).count();
    if equations < unknowns
        || (height.is_none() && !marks.iter().any(|mark| matches!(mark, Mark::Point { .. })))
    {
        let unknown = if height.is_some() { "pitch, roll and yaw" } else { "height, pitch, roll and yaw" };
        return Err(MountError::TooFew { marks: marks.len(), unknown });
    }
    let problem = Marks { lens, marks };
    let starts =
        [0.0, 0.15, 0.5, 0.9, -0.15].into_iter().flat_map(|pitch| [0.0, 0.6, -0.6].map(|yaw| (pitch, yaw)));
    let fits = starts.filter_map(|(pitch, yaw)| {
        let yaw = if knows_yaw { yaw } else { 0.0 };
        let shared = vec![pitch, 0.0, yaw, height.unwrap_or(1.3)];
        solve::fit(&problem, State { shared, own: vec![[0.0; 6]] }, &held)
    });
    let best = fits.min_by(|a, b| a.cost.total_cmp(&b.cost)).ok_or(MountError::Nowhere)?;
    let [pitch, roll, yaw, height] = best.state.shared[..] else { return Err(MountError::Nowhere) };
    let mount = Mount { height, pitch, roll, yaw };
    if !best.cost.is_finite()
        || !mount.height.is_finite()
        || mount.height <= 0.0
        || pitch.abs() > 1.6
        || roll.abs() > 1.6
    {
        return Err(MountError::Nowhere);
    }
    let misses: Vec<f64> = marks
        .iter()
        .map(|mark| {
            problem
                .miss(mark, &mount)
                .map_or(f64::INFINITY, |miss| miss.iter().map(|m| m * m).sum::<f64>().sqrt())
        })
        .collect();
    let rms = (best.cost / marks.len() as f64).sqrt();
    let scatter = best.scatter(unknowns).max(CLICK);
    let deviations = std::array::from_fn(|i| best.spread[i] * scatter);
    Ok(Placed { mount, rms, deviations, misses })
}

struct Marks<'a> {
    lens: &'a Lens,
    marks: &'a [Mark],
}

impl Marks<'_> {
    /// By how much `mark` is missed, in pixels; one or two numbers. `None` where it cannot be seen.
    fn miss(&self, mark: &Mark, mount: &Mount) -> Option<Vec<f64>> {
        match *mark {
            Mark::Point { seen, place } => {
                let at = self.lens.project(mount.to_camera(place))?;
                Some(vec![at[0] - seen[0], at[1] - seen[1]])
            }
            Mark::Horizon { seen } => {
                let [x, y, z] = mount.to_vehicle(self.lens.ray(seen)?);
                Some(vec![z.atan2(x.hypot(y)) * self.lens.focal[1]])
            }
            Mark::Ahead { seen } => {
                let [x, y, _] = mount.to_vehicle(self.lens.ray(seen)?);
                Some(vec![y.atan2(x) * self.lens.focal[0]])
            }
        }
    }
}

impl Problem for Marks<'_> {
    fn views(&self) -> usize {
        1
    }

    fn residuals(&self, _: usize, shared: &[f64], _: &[f64; 6], out: &mut Vec<f64>) -> bool {
        let mount = Mount { pitch: shared[0], roll: shared[1], yaw: shared[2], height: shared[3] };
        for mark in self.marks {
            let Some(miss) = self.miss(mark, &mount) else { return false };
            out.extend(miss);
        }
        true
    }
}

/// The corners of an upright board that faces the vehicle squarely as marks. `lower_left`: place of its lower left
/// inner corner.
pub fn board_marks(
    corners: &[[f64; 2]],
    columns: usize,
    rows: usize,
    square: f64,
    lower_left: [f64; 3],
) -> Vec<Mark> {
    let place = |index: usize| {
        let (column, row) = (index % columns, index / columns);
        let [x, y, z] = lower_left;
        [x, y - column as f64 * square, z + (rows - 1 - row) as f64 * square]
    };
    corners.iter().enumerate().map(|(index, seen)| Mark::Point { seen: *seen, place: place(index) }).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::calibrate::lens::Model;

    fn lens() -> Lens {
        Lens {
            model: Model::BrownConrady,
            focal: [1000.0, 1002.0],
            centre: [642.0, 355.0],
            distortion: vec![-0.2, 0.05, 0.001, 0.0, 0.0],
        }
    }

    fn seen(mount: &Mount, place: [f64; 3]) -> Mark {
        Mark::Point { seen: lens().project(mount.to_camera(place)).unwrap(), place }
    }

    const YARD: [[f64; 3]; 4] = [[6.0, 1.5, 0.0], [6.0, -1.5, 0.0], [14.0, 2.0, 0.0], [14.0, -2.0, 1.0]];

    #[test]
    fn a_camera_that_looks_down_sees_the_ground_nearer_in_the_middle() {
        let mount = Mount { height: 1.2, pitch: 0.1, roll: 0.0, yaw: 0.0 };
        let [x, y, z] = mount.to_camera([1.2 / 0.1_f64.tan(), 0.0, 0.0]);
        assert!(x.abs() < 1e-12 && y.abs() < 1e-12 && z > 0.0);
        let right_side_lower = Mount { roll: 0.1, pitch: 0.0, ..mount };
        let down = |left: f64| right_side_lower.to_camera([10.0, left, 1.2])[1];
        assert!(
            down(-1.0) < down(1.0),
            "what is level on the right climbs in a picture that hangs to the right"
        );
        let looks_left = Mount { yaw: 0.1, pitch: 0.0, ..mount };
        assert!(looks_left.to_camera([10.0, 0.0, 1.2])[0] > 0.0);
    }

    proptest! {
        #[test]
        fn marks_in_the_yard_give_the_place_back(
            pitch in -0.05..0.35f64, roll in -0.1..0.1f64, yaw in -0.2..0.2f64, height in 0.8..3.0f64,
            measured in any::<bool>(),
        ) {
            let mount = Mount { height, pitch, roll, yaw };
            let marks: Vec<Mark> = YARD.iter().map(|place| seen(&mount, *place)).collect();
            let found = place(&lens(), &marks, measured.then_some(height)).unwrap().mount;
            prop_assert!((found.pitch - pitch).abs() < 1e-5 && (found.roll - roll).abs() < 1e-5, "{found:?}");
            prop_assert!((found.yaw - yaw).abs() < 1e-5 && (found.height - height).abs() < 1e-4, "{found:?}");
        }
    }

    #[test]
    fn two_points_of_the_horizon_give_pitch_and_roll() {
        let mount = Mount { height: 1.4, pitch: 0.03, roll: -0.02, yaw: 0.0 };
        let far = |left: f64| lens().project(mount.to_camera([1e6, left * 1e6, 1.4])).unwrap();
        let marks = [Mark::Horizon { seen: far(0.3) }, Mark::Horizon { seen: far(-0.35) }];
        let found = place(&lens(), &marks, Some(1.4)).unwrap();
        assert!(
            (found.mount.pitch - 0.03).abs() < 1e-5 && (found.mount.roll + 0.02).abs() < 1e-5,
            "{found:?}"
        );
        let degree = found.deviations[0].to_degrees();
        assert!(degree > 0.01 && degree < 0.2, "{degree}");
    }

    #[test]
    fn too_few_marks_are_told() {
        let mount = Mount { height: 1.2, pitch: 0.1, roll: 0.0, yaw: 0.0 };
        let one = [seen(&mount, YARD[0])];
        assert_eq!(
            place(&lens(), &one, Some(1.2)).unwrap_err().to_string().split(':').next(),
            Some("1 marks do not tell pitch, roll and yaw")
        );
        let horizon = [Mark::Horizon { seen: [10.0, 300.0] }, Mark::Horizon { seen: [1200.0, 300.0] }];
        assert!(matches!(place(&lens(), &horizon, None), Err(MountError::TooFew { .. })));
    }

    #[test]
    fn one_wrong_tape_reading_shows_in_the_residuals() {
        let mount = Mount { height: 1.2, pitch: 0.1, roll: 0.0, yaw: 0.0 };
        let mut marks: Vec<Mark> = YARD.iter().map(|place| seen(&mount, *place)).collect();
        if let Mark::Point { place, .. } = &mut marks[0] {
            place[0] = 7.0;
        }
        assert!(place(&lens(), &marks, Some(1.2)).unwrap().rms > 5.0);
    }
}
