//! Decision records, one JSON object per line.

use std::io::Write;
use std::path::Path;

use stopline_depot::manifest::Manifest;
use stopline_depot::record::{
    DecisionRecord, ModelIdentity, ModelRole, RecordedDetection, RecordedKeypoint, SCHEMA, WallTime,
};

use super::sinks::Seen;
use crate::detection::{Detection, keypoint_name};
use crate::detector::Detector;
use crate::draw::label_of;
use crate::exit::{Exit, Failure, OrExit};
use crate::output::OutputFile;
use crate::percentiles::micros;

/// A file of records being written.
pub struct Records {
    file: OutputFile,
    model: ModelIdentity,
}

impl Records {
    pub fn create(path: &Path, detector: &Detector) -> Result<Self, Failure> {
        let manifest = detector.manifest();
        let model = ModelIdentity {
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            digest: detector.digest().to_owned(),
            role: ModelRole::Active,
        };
        Ok(Self { file: OutputFile::create(path).or_exit(Exit::Output)?, model })
    }

    pub fn write(&mut self, seen: &Seen<'_>, manifest: &Manifest) -> Result<(), Failure> {
        let record = record(seen, &self.model, manifest);
        let mut line = serde_json::to_vec(&record).or_exit(Exit::Internal)?;
        line.push(b'\n');
        let done = self.file.write_all(&line);
        self.file.named(done).or_exit(Exit::Output)
    }

    pub fn finish(self) -> Result<(), Failure> {
        self.file.commit().or_exit(Exit::Output)
    }
}

fn record(seen: &Seen<'_>, model: &ModelIdentity, manifest: &Manifest) -> DecisionRecord {
    let meta = seen.frame.meta();
    DecisionRecord {
        schema: SCHEMA,
        frame: meta.sequence,
        source: meta.source.to_string(),
        captured_ns: meta.captured.as_nanos(),
        captured_wall: WallTime::from(meta.wall),
        position_us: meta.position.map(micros),
        image_size: [seen.frame.width(), seen.frame.height()],
        model: model.clone(),
        detections: seen.found.iter().map(|found| detection(found, manifest)).collect(),
        invalid: seen.invalid.map(str::to_owned),
        latency_us: seen.latency,
    }
}

fn detection(found: &Detection, manifest: &Manifest) -> RecordedDetection {
    let points = found.keypoints.iter().enumerate();
    let keypoint = |(at, point): (usize, &crate::detection::Keypoint)| RecordedKeypoint {
        name: keypoint_name(manifest, at),
        x: point.x,
        y: point.y,
        score: point.score,
    };
    RecordedDetection {
        label: label_of(manifest, found.class),
        class: found.class,
        score: found.score,
        bbox: found.bbox,
        keypoints: points.map(keypoint).collect(),
    }
}
