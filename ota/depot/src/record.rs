//! The decision record: what one frame showed, by which model, and what it cost. One JSON object per line.
//!
//! In replay it is written whole; on a board it lives in memory and is written around events. A reader must look at
//! `schema` first and may meet keys it does not know: within a schema version keys are added, never changed.
//! What was decided (tracks, situations, state, command) has its keys only where something was decided. Camera controls are
//! part of the record and have no key until something fills them.

mod decided;
mod wall;

use serde::{Deserialize, Serialize};

pub use decided::{
    NoReading, RecordedCommand, RecordedEgo, RecordedReading, RecordedSituation, RecordedState, RecordedTrack,
};
pub use wall::WallTime;

/// The schema this code writes.
pub const SCHEMA: u32 = 1;

/// What one processed frame showed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DecisionRecord {
    /// Version of this schema; 1.
    pub schema: u32,
    /// Number of the frame, counted by its source from 0; a gap is a frame that was dropped, skipped or left out.
    pub frame: u64,
    /// The source's name, as configured, or the recording's file name.
    pub source: String,
    /// When the picture was taken, on the monotonic clock, in nanoseconds. In a replay the recording's own timeline
    /// laid on that clock: differences mean something, the value does not.
    pub captured_ns: u64,
    /// The same moment on the wall clock: a label, never a measure.
    pub captured_wall: WallTime,
    /// Position in the recording, in microseconds from its first frame; left out for a live source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position_us: Option<u64>,
    /// Pixels across and down of the picture that boxes refer to.
    pub image_size: [u32; 2],
    /// What looked at it.
    pub model: ModelIdentity,
    /// What was found, strongest first.
    pub detections: Vec<RecordedDetection>,
    /// Why nothing can be said of this frame (a model output that is no number); left out for a valid one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invalid: Option<String>,
    /// The cause for which nothing was decided on this frame (`camera_frozen`, `clock_anomaly`); left out where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped: Option<String>,
    /// How it was looked at, where that was not wholly; left out where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looked: Option<RecordedLook>,
    /// What was wrong with the camera as this frame showed it: codes of causes; left out where nothing was.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<String>,
    /// The vehicle's signals at capture time; left out where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ego: Option<RecordedEgo>,
    /// Objects followed; left out where nothing was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracks: Option<Vec<RecordedTrack>>,
    /// Situations alive or just ended; left out where nothing was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub situations: Option<Vec<RecordedSituation>>,
    /// The state in the first actuator period that knew this frame's decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<RecordedState>,
    /// The command of that period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<RecordedCommand>,
    /// What each stage took; zeros in a replay on virtual time, which has no time of its own.
    pub latency_us: StageLatencies,
}

/// How a frame was looked at that was not looked at wholly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordedLook {
    /// Not at all: nothing had moved since an earlier frame, whose detections stand for this one's.
    Still {
        /// Number of the earlier frame.
        frame: u64,
        /// Microseconds between the two.
        age_us: u64,
    },
    /// In part: what lay outside was not looked for.
    Part {
        /// x, y, width, height in pixels.
        region: [u32; 4],
    },
}

/// Which model, exactly, and what its answer counts for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelIdentity {
    /// The manifest's name.
    pub name: String,
    /// The manifest's version.
    pub version: semver::Version,
    /// SHA-256 of the ONNX file, hexadecimal.
    pub digest: String,
    /// What its answer counts for.
    pub role: ModelRole,
}

/// What a model's answer counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelRole {
    /// It decides.
    Active,
    /// It is watched only; its answers never reach an actuator.
    Shadow,
}

/// One detection, in pixels of the source picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordedDetection {
    /// Class name.
    pub label: String,
    /// Class number, from 0.
    pub class: usize,
    /// 0 to 1.
    pub score: f32,
    /// Corners x1, y1, x2, y2.
    #[serde(rename = "box")]
    pub bbox: [f32; 4],
    /// The track it was matched to; left out where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub track: Option<u32>,
    /// Keypoints in the model's order; left out where it gives none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keypoints: Vec<RecordedKeypoint>,
}

/// One keypoint, in pixels of the source picture; may lie outside it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordedKeypoint {
    /// Keypoint name.
    pub name: String,
    /// Pixels from the left edge.
    pub x: f32,
    /// Pixels from the top edge.
    pub y: f32,
    /// 0 to 1.
    pub score: f32,
}

/// What each stage took, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageLatencies {
    /// Reading and unpacking the frame; waiting for a recording's pace is not counted.
    pub capture: u64,
    /// Frame to input tensor.
    pub prepare: u64,
    /// Input tensor to output tensors.
    pub infer: u64,
    /// Output tensors to detections.
    pub decode: u64,
}

impl StageLatencies {
    /// All stages together.
    pub fn total(&self) -> u64 {
        [self.capture, self.prepare, self.infer, self.decode].into_iter().fold(0, u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> DecisionRecord {
        DecisionRecord {
            schema: SCHEMA,
            frame: 7,
            source: "clip.mp4".into(),
            captured_ns: 1_000_000_007,
            captured_wall: "2026-02-28T23:59:59.000250Z".parse().expect("a good time"),
            position_us: Some(233_333),
            image_size: [1280, 720],
            model: ModelIdentity {
                name: "yolox-nano".into(),
                version: semver::Version::new(1, 2, 3),
                digest: "ab".repeat(32),
                role: ModelRole::Active,
            },
            detections: vec![RecordedDetection {
                label: "stop sign".into(),
                class: 11,
                score: 0.875,
                bbox: [1.0, 2.5, 3.0, 4.0],
                track: None,
                keypoints: Vec::new(),
            }],
            invalid: None,
            dropped: None,
            looked: None,
            faults: Vec::new(),
            ego: None,
            tracks: None,
            situations: None,
            state: None,
            command: None,
            latency_us: StageLatencies { capture: 1, prepare: 2, infer: 3, decode: 4 },
        }
    }

    #[test]
    fn a_record_is_one_line_with_exactly_these_keys() {
        let expected = concat!(
            r#"{"schema":1,"frame":7,"source":"clip.mp4","captured_ns":1000000007,"#,
            r#""captured_wall":"2026-02-28T23:59:59.000250Z","position_us":233333,"image_size":[1280,720],"#,
            r#""model":{"name":"yolox-nano","version":"1.2.3","digest":""#,
            "abababababababababababababababababababababababababababababababab",
            r#"","role":"active"},"detections":[{"label":"stop sign","class":11,"score":0.875,"#,
            r#""box":[1.0,2.5,3.0,4.0]}],"latency_us":{"capture":1,"prepare":2,"infer":3,"decode":4}}"#,
        );
        assert_eq!(serde_json::to_string(&record()).expect("writes"), expected);
    }

    #[test]
    fn what_was_decided_has_keys_of_its_own() {
        let mut decided = record();
        decided.detections[0].track = Some(9);
        decided.faults = vec!["camera_backlit".into()];
        decided.ego = Some(RecordedEgo { speed: RecordedReading::Fresh(8.5), ..RecordedEgo::default() });
        decided.tracks = Some(vec![RecordedTrack {
            id: 9,
            role: "stop_sign".into(),
            score: 0.75,
            bbox: [1.0, 2.0, 3.0, 4.0],
            detection: Some(0),
        }]);
        decided.situations = Some(Vec::new());
        decided.state = Some(RecordedState { name: "degraded".into(), cause: Some("camera_backlit".into()) });
        decided.command =
            Some(RecordedCommand { row: "idle".into(), valid: true, ..RecordedCommand::default() });
        let line = serde_json::to_string(&decided).expect("writes");
        for part in [
            r#""box":[1.0,2.5,3.0,4.0],"track":9}"#,
            r#""faults":["camera_backlit"],"ego":{"speed":8.5,"yaw_rate":"missing","#,
            r#""tracks":[{"id":9,"role":"stop_sign","score":0.75,"box":[1.0,2.0,3.0,4.0],"detection":0}],"situations":[],"#,
            r#""state":{"name":"degraded","cause":"camera_backlit"},"command":{"row":"idle","valid":true,"armed":false,"#,
        ] {
            assert!(line.contains(part), "{part} in {line}");
        }
        assert_eq!(serde_json::from_str::<DecisionRecord>(&line).expect("reads"), decided);
    }

    #[test]
    fn what_was_written_reads_back_and_keys_of_later_versions_are_left_alone() {
        let mut json = serde_json::to_value(record()).expect("writes");
        json["track_summary"] = serde_json::json!({"later": true});
        assert_eq!(serde_json::from_value::<DecisionRecord>(json).expect("reads"), record());
    }
}
