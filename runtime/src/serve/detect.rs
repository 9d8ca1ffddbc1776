//! One picture through the model.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use stopline_sensors::clock::Clock;
use stopline_sensors::frame::{BufferPool, Frame, FrameMeta, Stamp};
use stopline_sensors::images;

use super::refusal::Refusal;
use crate::detector::Detector;
use crate::percentiles::micros;

/// The model, one request at a time.
pub struct Worker {
    detector: Mutex<Detector>,
    clock: Arc<dyn Clock>,
    pool: BufferPool,
}

impl Worker {
    /// With a loaded model.
    pub fn new(detector: Detector, clock: Arc<dyn Clock>) -> Self {
        Self { detector: Mutex::new(detector), clock, pool: BufferPool::default() }
    }

    /// What answers.
    pub fn model(&self) -> Value {
        let detector = self.detector.lock().unwrap_or_else(PoisonError::into_inner);
        let manifest = detector.manifest();
        json!({
            "name": manifest.name,
            "version": manifest.version,
            "digest": detector.digest(),
            "task": manifest.task,
            "input_size": [manifest.input.width, manifest.input.height],
            "labels": manifest.labels,
            "roles": manifest.roles,
            "thresholds": manifest.thresholds,
        })
    }

    /// What is found in the picture that `bytes` are. `score`: leaves out what is weaker; the model's own threshold
    /// holds below it.
    pub fn detect(&self, bytes: &[u8], most_pixels: u64, score: Option<f32>) -> Result<Value, Refusal> {
        let (width, height) = images::size_of("the picture", bytes)?;
        let pixels = u64::from(width) * u64::from(height);
        if pixels > most_pixels {
            return Err(Refusal::Pixels { pixels, most: most_pixels });
        }
        let frame = self.frame(images::from_bytes("the picture", bytes, &self.pool)?)?;
        let mut detector = self.detector.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = Vec::new();
        let took = detector.detect(&frame, &mut found).map_err(|error| {
            if error.invalid_frame() { Refusal::Invalid(error) } else { Refusal::Internal(error.to_string()) }
        })?;
        let manifest = detector.manifest();
        let strong = found.iter().filter(|detection| score.is_none_or(|least| detection.score >= least));
        let detections: Vec<Value> = strong.map(|detection| detection.as_json(manifest)).collect();
        Ok(json!({
            "model": manifest.name,
            "version": manifest.version,
            "digest": detector.digest(),
            "image_size": [frame.width(), frame.height()],
            "detections": detections,
            "took_ms": f64::from(u32::try_from(micros(took.total())).unwrap_or(u32::MAX)) / 1e3,
        }))
    }

    fn frame(&self, picture: images::Picture) -> Result<Frame, Refusal> {
        let images::Picture { format, colour, size, buffer, copies } = picture;
        let meta = FrameMeta {
            source: "request".into(),
            sequence: 0,
            captured: self.clock.monotonic(),
            stamp: Stamp::Arrival,
            wall: self.clock.wall(),
            position: None,
            path: None,
            copies,
        };
        Frame::packed(meta, format, colour, size, buffer)
            .map_err(|error| Refusal::Internal(error.to_string()))
    }
}
