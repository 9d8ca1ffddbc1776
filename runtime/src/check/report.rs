//! What comes of a check.

use serde::Serialize;

use super::reach::{Approach, Latency};
use super::recall::{Confirming, Heights};

/// Version of the JSON.
pub const SCHEMA: u32 = 1;

/// Everything that was found. `--json` prints it as it is.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The configuration file.
    pub config: String,
    /// Whether it can be used.
    pub verdict: Verdict,
    /// Files, wiring, arming.
    pub findings: Vec<Finding>,
    /// Each camera.
    pub cameras: Vec<CameraReport>,
}

/// Whether something can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Yes.
    Passed,
    /// Yes; but somebody should look at it.
    Warning,
    /// No.
    Refused,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// How it is.
    pub verdict: Verdict,
    /// What it is about: a section or key of the configuration.
    pub about: String,
    /// What was found.
    pub text: String,
    /// What to do; empty where there is nothing to do.
    pub advice: String,
}

impl Finding {
    /// It is as it should be.
    pub fn passed(about: impl Into<String>, text: impl Into<String>) -> Self {
        Self { verdict: Verdict::Passed, about: about.into(), text: text.into(), advice: String::new() }
    }

    /// Somebody should look at it.
    pub fn warning(about: impl Into<String>, text: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warning, about: about.into(), text: text.into(), advice: advice.into() }
    }

    /// It cannot be used.
    pub fn refused(about: impl Into<String>, text: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { verdict: Verdict::Refused, about: about.into(), text: text.into(), advice: advice.into() }
    }
}

/// A camera, and what can be decided on its frames.
#[derive(Clone, Debug, Serialize)]
pub struct CameraReport {
    /// Its name.
    pub name: String,
    /// Lens, models, times.
    pub findings: Vec<Finding>,
    /// Light to command, where all of it is known.
    pub latency: Option<Latency>,
    /// Each function.
    pub functions: Vec<FunctionReport>,
}

/// A function of a camera.
#[derive(Clone, Debug, Serialize)]
pub struct FunctionReport {
    /// `stop_sign`, `pedestrian`, `fall`, `watch`.
    pub function: &'static str,
    /// Whether it does what is asked of it.
    pub verdict: Verdict,
    /// One sentence.
    pub summary: String,
    /// What to change, each a sentence; empty where nothing must.
    pub advice: Vec<String>,
    /// The numbers, where there are any.
    pub proof: Option<Proof>,
}

/// The arithmetic of a function that brakes.
#[derive(Clone, Debug, Serialize)]
pub struct Proof {
    /// The speed that is asked for.
    pub asked_kmh: f64,
    /// The highest speed that is proven; `None`: none, not reachable with this camera.
    pub highest_kmh: Option<f64>,
    /// The model that it rests on.
    pub model: String,
    /// Confirmation in frames and seconds.
    pub confirming: Confirming,
    /// Share of approaches it must be believed in.
    pub confidence: f64,
    /// Least recall per frame for that.
    pub needed_recall: f64,
    /// The smallest heights with that recall; `None`: none that was measured.
    pub recognised: Option<Heights>,
    /// The best recall of all heights, at least (95 %).
    pub best_recall: f64,
    /// Focal length on the model's input, in pixels.
    pub focal_on_input: f64,
    /// Input pixels per picture pixel.
    pub scale: f64,
    /// Metres.
    pub object_height: f64,
    /// Metres from the lens to the vehicle's front.
    pub front: f64,
    /// Metres from the front to the object when it is recognised; 0 where it never is.
    pub seen: f64,
    /// Metres that the front needs at the speed that is asked for.
    pub needed: f64,
    /// The terms.
    pub approach: Approach,
    /// Where a person may appear late: seconds, and the highest speed for that.
    pub appears: Option<(f64, Option<f64>)>,
    /// Further facts, each a label and a sentence.
    pub facts: Vec<(String, String)>,
}

impl Report {
    /// Nothing found yet.
    pub fn new(config: &str) -> Self {
        Self {
            schema: SCHEMA,
            config: config.to_owned(),
            verdict: Verdict::Passed,
            findings: Vec::new(),
            cameras: Vec::new(),
        }
    }

    /// The worst of everything becomes the verdict.
    pub fn judge(&mut self) {
        let of_cameras = self.cameras.iter().flat_map(|camera| {
            let functions = camera.functions.iter().map(|function| function.verdict);
            camera.findings.iter().map(|finding| finding.verdict).chain(functions)
        });
        let all = self.findings.iter().map(|finding| finding.verdict).chain(of_cameras);
        self.verdict = all.max().unwrap_or(Verdict::Passed);
    }

    /// How many things refuse it.
    pub fn refusals(&self) -> usize {
        let refused = |verdict: Verdict| usize::from(verdict == Verdict::Refused);
        let of_camera = |camera: &CameraReport| {
            camera.findings.iter().map(|finding| refused(finding.verdict)).sum::<usize>()
                + camera.functions.iter().map(|function| refused(function.verdict)).sum::<usize>()
        };
        self.findings.iter().map(|finding| refused(finding.verdict)).sum::<usize>()
            + self.cameras.iter().map(of_camera).sum::<usize>()
    }
}
