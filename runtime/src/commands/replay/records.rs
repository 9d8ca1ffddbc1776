//! Decision records, one JSON object per line.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use stopline_decide::cause::Cause;
use stopline_depot::record::{
    DecisionRecord, ModelIdentity, RecordedCommand, RecordedDetection, RecordedEgo, RecordedKeypoint,
    RecordedSituation, RecordedState, RecordedTrack, SCHEMA, StageLatencies, WallTime,
};

use super::eyes::Eyes;
use super::judge::Decided;
use super::sinks::Seen;
use crate::detection::{Detection, Keypoint, keypoint_name};
use crate::draw::label_of;
use crate::exit::{Exit, Failure, OrExit};
use crate::output::OutputFile;
use crate::percentiles::micros;
use crate::pipeline::virtual_time::Outcome;
use crate::recorded;
use crate::report::Story;

/// What became of a frame, as records hold it.
pub struct Verdict {
    pub dropped: Option<String>,
    pub faults: Vec<String>,
    pub ego: Option<RecordedEgo>,
    pub tracks: Vec<RecordedTrack>,
    pub situations: Vec<RecordedSituation>,
    pub state: RecordedState,
    pub command: RecordedCommand,
}

impl Verdict {
    pub fn new(outcome: &Outcome, decided: &Decided, dropped: Option<Cause>) -> Self {
        let place = |observation: u16| decided.places.get(usize::from(observation)).copied().flatten();
        Self {
            dropped: dropped.map(|cause| cause.code().to_owned()),
            faults: recorded::faults(outcome.seen),
            ego: recorded::ego(&decided.ego),
            tracks: recorded::tracks(&outcome.decision, place),
            situations: recorded::situations(&outcome.decision),
            state: recorded::state(outcome.acted.state),
            command: recorded::command(&outcome.acted.command),
        }
    }

    /// Tells it to the story of the replay.
    pub fn tell(&self, at: Duration, story: &mut Story) {
        match &self.dropped {
            Some(cause) => story.dropped(cause),
            None => story.frame(at, &self.situations, &self.state, &self.command),
        }
    }

    /// Puts all of it into a record that has only what was seen.
    pub fn fill(&self, record: &mut DecisionRecord) {
        for track in &self.tracks {
            let matched = track.detection.and_then(|at| record.detections.get_mut(usize::from(at)));
            if let Some(detection) = matched {
                detection.track = Some(track.id);
            }
        }
        record.dropped.clone_from(&self.dropped);
        record.faults.clone_from(&self.faults);
        record.ego = self.ego;
        // Where nothing was decided there are no tracks, which is another thing than none.
        let decided = self.dropped.is_none() && record.invalid.is_none();
        record.tracks = decided.then(|| self.tracks.clone());
        record.situations = decided.then(|| self.situations.clone());
        record.state = Some(self.state.clone());
        record.command = Some(self.command.clone());
    }
}

/// A file of records being written.
pub struct Records {
    file: OutputFile,
}

impl Records {
    pub fn create(path: &Path) -> Result<Self, Failure> {
        Ok(Self { file: OutputFile::create(path).or_exit(Exit::Output)? })
    }

    pub fn write(&mut self, line: &[u8]) -> Result<(), Failure> {
        let done = self.file.write_all(line).and_then(|()| self.file.write_all(b"\n"));
        self.file.named(done).or_exit(Exit::Output)
    }

    pub fn finish(self) -> Result<(), Failure> {
        self.file.commit().or_exit(Exit::Output)
    }
}

/// What one frame showed and led to. `timed`: stages' times are the recording machine's own; else they are left zero.
pub fn record(seen: &Seen<'_>, model: &ModelIdentity, eyes: &Eyes, timed: bool) -> DecisionRecord {
    let meta = seen.frame.meta();
    let mut record = DecisionRecord {
        schema: SCHEMA,
        frame: meta.sequence,
        source: meta.source.to_string(),
        captured_ns: meta.captured.as_nanos(),
        captured_wall: WallTime::from(meta.wall),
        position_us: meta.position.map(micros),
        image_size: [seen.frame.width(), seen.frame.height()],
        model: model.clone(),
        detections: seen.looked.found.iter().map(|found| detection(found, eyes)).collect(),
        invalid: seen.looked.invalid.clone(),
        dropped: None,
        looked: None,
        faults: Vec::new(),
        ego: None,
        tracks: None,
        situations: None,
        state: None,
        command: None,
        latency_us: if timed { seen.latency } else { StageLatencies::default() },
    };
    if let Some(verdict) = seen.verdict {
        verdict.fill(&mut record);
    }
    record
}

fn detection(found: &Detection, eyes: &Eyes) -> RecordedDetection {
    let points = found.keypoints.iter().enumerate();
    let keypoint = |(at, point): (usize, &Keypoint)| RecordedKeypoint {
        name: keypoint_name(eyes.shown(), at),
        x: point.x,
        y: point.y,
        score: point.score,
    };
    RecordedDetection {
        label: label_of(eyes.shown(), found.class),
        class: eyes.own_class(found.class),
        score: found.score,
        bbox: found.bbox,
        track: None,
        keypoints: points.map(keypoint).collect(),
    }
}
