//! A processed frame as a decision record, for the stream.

use stopline_depot::record::{DecisionRecord, RecordedDetection, RecordedKeypoint, SCHEMA, WallTime};

use super::report::{Found, FrameReport};
use crate::detection::{Detection, Keypoint};
use crate::draw::label_of;
use crate::percentiles::micros;
use crate::recorded;

/// The record of a frame that at least one model looked at. Of several models the first is named; what all of them found
/// is in it.
pub fn record(report: &FrameReport) -> Option<DecisionRecord> {
    let first = report.found.first()?;
    Some(DecisionRecord {
        schema: SCHEMA,
        frame: report.meta.sequence,
        source: report.meta.source.to_string(),
        captured_ns: report.meta.captured.as_nanos(),
        captured_wall: WallTime::from(report.meta.wall),
        position_us: report.meta.position.map(micros),
        image_size: report.size,
        model: first.model.identity.clone(),
        detections: report.found.iter().flat_map(detections).collect(),
        invalid: report.found.iter().find_map(|found| found.invalid.clone()),
        dropped: None,
        faults: Vec::new(),
        ego: None,
        // Which detection a track was matched to is known where the frame was decided on, and not here.
        tracks: report.decision.as_ref().map(|decision| recorded::tracks(decision, |_| None)),
        situations: report.decision.as_ref().map(recorded::situations),
        state: None,
        command: None,
        latency_us: report.latency,
    })
}

fn detections(found: &Found) -> impl Iterator<Item = RecordedDetection> + '_ {
    found.detections.iter().map(|detection| RecordedDetection {
        label: label_of(&found.model.manifest, detection.class),
        class: detection.class,
        score: detection.score,
        bbox: detection.bbox,
        track: None,
        keypoints: keypoints(found, detection),
    })
}

fn keypoints(found: &Found, detection: &Detection) -> Vec<RecordedKeypoint> {
    let names = &found.model.manifest.keypoints;
    let keypoint = |(at, point): (usize, &Keypoint)| RecordedKeypoint {
        name: names.get(at).cloned().unwrap_or_else(|| format!("keypoint {at}")),
        x: point.x,
        y: point.y,
        score: point.score,
    };
    detection.keypoints.iter().enumerate().map(keypoint).collect()
}
