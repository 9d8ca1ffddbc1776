//! A processed frame as a decision record, for the stream.

use stopline_depot::record::{DecisionRecord, RecordedDetection, RecordedKeypoint, SCHEMA, WallTime};

use super::report::{Decided, Found, FrameReport};
use super::tick::Now;
use crate::detection::{Detection, Keypoint};
use crate::draw::label_of;
use crate::percentiles::micros;
use crate::recorded;

/// The record of a frame that at least one model looked at. Of several models the first is named; what all of them found
/// is in it. `now`: the newest period, whose state and command it holds.
pub fn record(report: &FrameReport, now: &Now) -> Option<DecisionRecord> {
    let first = report.found.first()?;
    let faults = now.faults.cameras.get(report.camera).map(|of| recorded::faults(of.faults));
    let mut record = DecisionRecord {
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
        looked: report.looked,
        faults: faults.unwrap_or_default(),
        ego: None,
        tracks: None,
        situations: None,
        state: Some(recorded::state(now.state)),
        command: Some(recorded::command(&now.command)),
        latency_us: report.latency,
    };
    if let Some(Decided { decision, ego, places }) = &report.decision {
        let place = |observation: u16| places.get(usize::from(observation)).copied();
        let tracks = recorded::tracks(decision, place);
        for track in &tracks {
            let detection = track.detection.and_then(|at| record.detections.get_mut(usize::from(at)));
            if let Some(detection) = detection {
                detection.track = Some(track.id);
            }
        }
        record.ego = recorded::ego(ego);
        record.tracks = Some(tracks);
        record.situations = Some(recorded::situations(decision));
    }
    Some(record)
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
