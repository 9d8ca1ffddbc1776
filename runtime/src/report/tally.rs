//! What a replay counts.

use std::collections::BTreeMap;
use std::time::Duration;

use stopline_depot::record::StageLatencies;

use super::story::Story;
use crate::detection::Detection;
use crate::percentiles::Samples;

/// Most reasons kept of frames that could not be used; the count goes on.
const REASONS: usize = 20;

/// What was seen, frame by frame, and what it took.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Every processed frame, in order.
    pub frames: Vec<FrameNote>,
    /// How long the stages took.
    pub stages: Stages,
    /// Where frames could not be read or used: timeline and reason; at most 20, the first.
    pub faults: Vec<(Duration, String)>,
    /// Places of frames that came and could not be read.
    pub skipped: Vec<Duration>,
    /// Frames for which the model gave no numbers.
    pub invalid: u64,
    /// Frames the source says were lost before they reached us.
    pub dropped: u64,
    /// Frames left out on purpose (`--every`).
    pub left_out: u64,
    /// What was decided, where the replay decides.
    pub story: Story,
    /// How long the whole replay took.
    pub took: Duration,
}

/// One processed frame.
#[derive(Clone, Debug, Default)]
pub struct FrameNote {
    /// Its place on the timeline.
    pub at: Duration,
    /// Class and score of what was found.
    pub found: Vec<(usize, f32)>,
    /// Whether the model gave no numbers for it.
    pub invalid: bool,
    /// All stages together, in microseconds.
    pub took: u64,
}

/// Samples per stage.
#[derive(Clone, Debug, Default)]
pub struct Stages {
    /// Reading and unpacking.
    pub capture: Samples,
    /// Frame to tensor.
    pub prepare: Samples,
    /// The model.
    pub infer: Samples,
    /// Tensors to detections.
    pub decode: Samples,
    /// All together.
    pub total: Samples,
}

impl Stages {
    /// Name, meaning and samples of each, in walk order.
    pub fn named(&self) -> [(&'static str, &'static str, &Samples); 5] {
        [
            ("capture", "read and unpack the frame", &self.capture),
            ("prepare", "frame to input tensor", &self.prepare),
            ("infer", "run the model", &self.infer),
            ("decode", "output tensors to detections", &self.decode),
            ("total", "all four, frame by frame", &self.total),
        ]
    }
}

/// What was seen of one class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassTally {
    /// Class number.
    pub class: usize,
    /// Detections in all frames.
    pub detections: u64,
    /// Frames with at least one.
    pub frames: u64,
    /// Most in one frame.
    pub most: u64,
    /// Highest score.
    pub strongest: f32,
    /// Timeline of the first.
    pub first: Duration,
    /// Timeline of the last.
    pub last: Duration,
}

impl Tally {
    /// One processed frame.
    pub fn frame(&mut self, at: Duration, found: &[Detection], invalid: Option<&str>, took: &StageLatencies) {
        let total = took.total();
        self.stages.capture.add(took.capture);
        if let Some(reason) = invalid {
            self.invalid += 1;
            self.fault(at, reason);
        } else {
            self.stages.prepare.add(took.prepare);
            self.stages.infer.add(took.infer);
            self.stages.decode.add(took.decode);
            self.stages.total.add(total);
        }
        let found = found.iter().map(|detection| (detection.class, detection.score)).collect();
        self.frames.push(FrameNote { at, found, invalid: invalid.is_some(), took: total });
    }

    /// One frame that could not be read.
    pub fn skip(&mut self, at: Duration, reason: &str) {
        self.skipped.push(at);
        self.fault(at, reason);
    }

    fn fault(&mut self, at: Duration, reason: &str) {
        if self.faults.len() < REASONS {
            self.faults.push((at, reason.to_owned()));
        }
    }

    /// Detections in all frames.
    pub fn detections(&self) -> u64 {
        self.frames.iter().map(|frame| frame.found.len() as u64).sum()
    }

    /// Classes seen, those in most frames first.
    pub fn classes(&self) -> Vec<ClassTally> {
        let mut classes = BTreeMap::<usize, ClassTally>::new();
        for frame in &self.frames {
            let mut here = BTreeMap::<usize, u64>::new();
            for &(class, score) in &frame.found {
                *here.entry(class).or_default() += 1;
                let fresh = ClassTally {
                    class,
                    detections: 0,
                    frames: 0,
                    most: 0,
                    strongest: score,
                    first: frame.at,
                    last: frame.at,
                };
                let seen = classes.entry(class).or_insert(fresh);
                seen.detections += 1;
                seen.strongest = seen.strongest.max(score);
                seen.last = frame.at;
            }
            for (class, count) in here {
                if let Some(seen) = classes.get_mut(&class) {
                    seen.frames += 1;
                    seen.most = seen.most.max(count);
                }
            }
        }
        let mut classes: Vec<_> = classes.into_values().collect();
        classes.sort_by_key(|seen| (std::cmp::Reverse(seen.frames), seen.class));
        classes
    }

    /// Frames processed per second of the replay's own time.
    pub fn rate(&self) -> f64 {
        let seconds = self.took.as_secs_f64();
        #[allow(clippy::cast_precision_loss, reason = "a number for people")]
        if seconds > 0.0 { self.frames.len() as f64 / seconds } else { 0.0 }
    }
}
