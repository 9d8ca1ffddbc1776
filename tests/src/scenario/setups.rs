//! Cars, cameras and tolerances of the tables.

use stopline_decide::commander::CommandConfig;
use stopline_decide::decider::DecideConfig;

use super::drive::Setup;
use super::measured::{Height, Light, Measured};
use super::plant::Brakes;
use super::random::Random;
use super::scene::Eye;
use super::sensor::ClutterRate;

/// The detector of the tables.
pub const MODEL: &str = "yolox_nano_416";
/// Height of a stop sign's plate, metres; the tolerance is a fifth of it.
pub const SIGN: f64 = 0.75;

/// One way of looking: lens and frame rate, light, and whether everything is at its worst.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// Horizontal field of view, degrees, of a 1280 × 720 picture that the model sees whole.
    pub degrees: f64,
    /// Pictures per second.
    pub fps: f64,
    /// Day or night.
    pub light: Light,
    /// One of the four corners (pitch, sign height), with slow inference, late signals and the most clutter.
    pub corner: Option<Corner>,
    /// 1: the measured detector. More: one is assumed that sees as well with so many times fewer rows, for the logic of
    /// the decision at speeds that the measured one cannot reach. Never a pass.
    pub assumed_sharper: f64,
}

/// The measured detector behind a 60° lens at 30 pictures a second, by day.
pub const PLAIN: View =
    View { degrees: 60.0, fps: 30.0, light: Light::Day, corner: None, assumed_sharper: 1.0 };

/// A corner of the tolerances.
#[derive(Clone, Copy, Debug)]
pub struct Corner {
    /// −1 or 1: pitch error ∓0.5°.
    pub pitch: f64,
    /// −1 or 1: sign height ∓20 %.
    pub height: f64,
}

impl View {
    /// All four corners of this view.
    pub fn corners(self) -> [Self; 4] {
        [(-1.0, -1.0), (-1.0, 1.0), (1.0, -1.0), (1.0, 1.0)]
            .map(|(pitch, height)| Self { corner: Some(Corner { pitch, height }), ..self })
    }

    /// For the table's second column.
    pub fn name(self) -> String {
        let assumed = if self.assumed_sharper > 1.0 {
            format!(", assumed {:.0}× sharper detector", self.assumed_sharper)
        } else {
            String::new()
        };
        let worst = if self.corner.is_some() { ", worst corner" } else { "" };
        format!("{:.0}°, {:.0} fps, {}{assumed}{worst}", self.degrees, self.fps, self.light.name())
    }

    /// A car whose tolerances are drawn, or stand in the corner; and the factor of the sign's height.
    pub fn setup(self, random: &mut Random) -> (Setup, f64) {
        let worst = self.corner.is_some();
        let drawn = [random.between(-1.0, 1.0), random.between(-1.0, 1.0)];
        let [pitch, height] = self.corner.map_or(drawn, |corner| [corner.pitch, corner.height]);
        let setup = Setup {
            model: MODEL,
            sharper: self.assumed_sharper,
            person_curve: if worst { "person_cut_out" } else { "person" },
            light: self.light,
            fps: self.fps,
            latency: if worst { 0.10 } else { 0.06 },
            eye: Eye::wide(self.degrees),
            pitch_error: 0.5_f64.to_radians() * pitch,
            clutter: if worst { ClutterRate::Upper } else { ClutterRate::Fitted },
            brakes: Brakes::default(),
            signal_delay: if worst { 0.06 } else { 0.02 },
            speed_noise: 0.05,
            decide: DecideConfig::default(),
            command: CommandConfig::default(),
        };
        (setup, 1.0 + 0.2 * height)
    }
}

/// Whether the measured detector sees an object in time, with the arithmetic.
#[derive(Clone, Copy, Debug)]
pub struct Reach {
    /// Distance from the camera at which it must be recognised, metres.
    pub distance: f64,
    /// Its height there, in rows of the model's input.
    pub rows: f64,
    /// Share of such objects whose score is enough there, as measured.
    pub recall: f64,
    /// Whether all of it is in the picture there: half an object has no height to range by.
    pub whole: bool,
    /// Distance at which it comes out from behind what hides it, metres; infinite where nothing does.
    pub appears: f64,
}

/// The measured share from which on a row says that the camera can.
pub const REACHABLE: f64 = 0.99;

impl Reach {
    /// Of an object `metres` high that must be recognised `distance` before the camera with `score`.
    pub fn new(
        measured: &Measured,
        curve: &[Height],
        setup: &Setup,
        metres: f64,
        distance: f64,
        score: f64,
    ) -> Self {
        let eye = &setup.eye;
        let scale =
            measured.detector(setup.model).rows_per_source_row * measured.source_size[1] / eye.size[1];
        let rows = eye.focal * metres / distance * scale * setup.sharper;
        Self {
            distance,
            rows,
            recall: measured.recall(curve, rows, score),
            whole: true,
            appears: f64::INFINITY,
        }
    }

    /// The same of an object from `low` to `high` metres above the road, `beside` metres from our middle.
    #[must_use]
    pub fn with_place(self, eye: &Eye, [low, high]: [f64; 2], beside: f64) -> Self {
        let rows = eye.focal / self.distance * (eye.height - low).max(high - eye.height);
        let columns = eye.focal / self.distance * beside.abs();
        Self { whole: rows <= eye.size[1] / 2.0 && columns <= eye.size[0] / 2.0, ..self }
    }

    /// Whether it is seen often enough, whole, and not hidden for too long.
    pub fn reachable(self) -> bool {
        self.recall >= REACHABLE && self.whole && self.appears >= self.distance
    }
}

impl std::fmt::Display for Reach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "needs {:.0} m: {:.1} rows, recall {:.2}", self.distance, self.rows, self.recall)?;
        if !self.whole {
            write!(f, ", cut off by the picture's edge")?;
        }
        if self.appears < self.distance {
            write!(f, ", hidden until {:.0} m", self.appears)?;
        }
        Ok(())
    }
}

/// Metres from `speed` (m/s) to standstill with this deceleration and this ramp up to it.
pub fn stopping(speed: f64, deceleration: f64, jerk: f64) -> f64 {
    let ramp = deceleration / jerk;
    let after = speed - deceleration * ramp / 2.0;
    if after <= 0.0 {
        // It stands before the ramp ends: v = j t² / 2, x = v t − j t³ / 6.
        let time = (2.0 * speed / jerk).sqrt();
        return speed * time - jerk * time * time * time / 6.0;
    }
    speed * ramp - jerk * ramp * ramp * ramp / 6.0 + after * after / (2.0 * deceleration)
}
