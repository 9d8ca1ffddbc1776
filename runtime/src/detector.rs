//! One model, ready to see: [`prepare`](crate::prepare), [`infer`](crate::infer) and [`decode`](crate::decode) in a row.
//!
//! `load` reads the files and holds them against each other, `rig` is the model compiled for one input size with all it
//! needs to run, `extra` fills inputs besides the picture, `parts` looks at a part of it, `error` says what was wrong.

mod error;
mod extra;
mod load;
mod parts;
mod plans;
mod rig;

use std::path::PathBuf;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use stopline_depot::bundle::Bundle;
use stopline_depot::manifest::{Crop, Manifest, ResizeMode};
use stopline_sensors::frame::Frame;

use crate::detection::Detection;
use crate::infer::{BackendKind, OperatorTime, TensorData};
use crate::prepare::geometry::Geometry;
pub use error::{DetectError, LoadError};
use load::Compiler;
use rig::Rig;

/// Which model, fed and read how, by which engine.
#[derive(Clone, Debug)]
pub struct DetectorOptions {
    /// The ONNX file.
    pub model: PathBuf,
    /// Its manifest; `None`: the ONNX file's name with `.toml`.
    pub manifest: Option<PathBuf>,
    /// The engine.
    pub backend: BackendKind,
    /// libonnxruntime.so for [`BackendKind::Ort`].
    pub library: Option<PathBuf>,
    /// Threads one inference may use; at least 1.
    pub threads: usize,
    /// Whether a manifest is drafted from the ONNX file where `manifest` is `None` and none lies beside it. For looking
    /// at a model; what drives needs one that a person has checked.
    pub draft: bool,
    /// Execution providers of ONNX Runtime to try before the CPU ([`PlanOptions`](crate::infer::PlanOptions)).
    pub providers: Vec<String>,
}

/// Thresholds in place of the manifest's.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Overrides {
    /// Least score of a detection, for every class; 0 to 1.
    pub score: Option<f32>,
    /// Overlap (IoU) above which the weaker of two boxes is suppressed; 0 to 1.
    pub iou: Option<f32>,
}

impl Overrides {
    /// Changes `manifest`.
    pub fn apply(self, manifest: &mut Manifest) {
        if let Some(score) = self.score {
            manifest.thresholds.score = score;
            manifest.thresholds.per_class.clear();
        }
        manifest.thresholds.nms_iou = self.iou.unwrap_or(manifest.thresholds.nms_iou);
    }
}

/// How long each stage took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageTimes {
    /// Frame → input tensor.
    pub prepare: Duration,
    /// Input tensor → output tensors.
    pub infer: Duration,
    /// Output tensors → detections.
    pub decode: Duration,
}

impl StageTimes {
    /// All stages together.
    pub fn total(&self) -> Duration {
        self.prepare + self.infer + self.decode
    }
}

/// A loaded model with the scratch memory of one thread.
pub struct Detector {
    manifest: Manifest,
    digest: String,
    warnings: Vec<String>,
    /// The model at the manifest's size first, then at rectangles that frames asked for.
    rigs: Vec<Rig>,
    /// The model at the sizes of parts of pictures.
    parts: Vec<Rig>,
    /// Compiles further rectangles; `None` where the manifest allows none or the model refused one.
    compiler: Option<Compiler>,
}

/// Most rectangles kept compiled: cameras of different shapes on one model are few, and each costs the model's memory.
const MOST_RECTANGLES: usize = 3;

impl Detector {
    /// Reads model and manifest, checks them against each other, and compiles the model for the manifest's input size.
    ///
    /// # Errors
    /// [`LoadError`] names the file, and the line, key, node or tensor.
    pub fn load(options: &DetectorOptions) -> Result<Self, LoadError> {
        Self::load_with(options, |_| ())
    }

    /// As [`Detector::load`], with thresholds or the like changed by `adjust` ([`Overrides::apply`]) after the manifest
    /// was checked and before its decoder is made; [`Detector::manifest`] shows them changed.
    ///
    /// # Errors
    /// As [`Detector::load`].
    pub fn load_with(
        options: &DetectorOptions,
        adjust: impl FnOnce(&mut Manifest),
    ) -> Result<Self, LoadError> {
        let mut loaded = load::load(options)?;
        adjust(&mut loaded.manifest);
        Self::compile(loaded)
    }

    /// As [`Detector::load`], of a bundle in memory: no file is opened. `options.model` is its name in messages,
    /// `options.manifest` and `options.draft` have no meaning.
    ///
    /// # Errors
    /// As [`Detector::load`].
    pub fn of_bundle(bundle: &Bundle<'_>, options: &DetectorOptions) -> Result<Self, LoadError> {
        Self::compile(load::of_bundle(bundle, options)?)
    }

    fn compile(mut loaded: load::Loaded) -> Result<Self, LoadError> {
        let mut warnings = std::mem::take(&mut loaded.warnings);
        let size = [loaded.manifest.input.width, loaded.manifest.input.height];
        let (rig, compiled) = loaded.compiler.rig(&loaded.manifest, size)?;
        warnings.extend(compiled);
        let rectangles =
            loaded.manifest.input.rectangle && loaded.manifest.input.resize.mode == ResizeMode::Letterbox;
        Ok(Self {
            manifest: loaded.manifest,
            digest: loaded.digest,
            warnings,
            rigs: vec![rig],
            parts: Vec::new(),
            compiler: rectangles.then_some(loaded.compiler),
        })
    }

    /// The model's manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// SHA-256 of the ONNX file, hexadecimal.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// What had to be done to make the model run, each a sentence for the log. A frame of a new shape may add one.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Appends what is found in `frame` to `found`. A top-down model sees the whole frame as one box.
    ///
    /// # Errors
    /// [`DetectError`]; where [`DetectError::invalid_frame`] says so, only this frame is lost.
    pub fn detect(&mut self, frame: &Frame, found: &mut Vec<Detection>) -> Result<StageTimes, DetectError> {
        let (rig, geometry) = self.placed(frame);
        rig.run(frame, &geometry, found)
    }

    /// Runs the model on `frame` and tells what each of its operators took.
    ///
    /// # Errors
    /// As [`Detector::detect`]; [`DetectError::Infer`] where the engine tells no times.
    pub fn operators(&mut self, frame: &Frame) -> Result<Vec<OperatorTime>, DetectError> {
        let (rig, geometry) = self.placed(frame);
        rig.operators(frame, &geometry)
    }

    /// SHA-256 of the bytes that the model is fed for `frame`, hexadecimal; values little-endian. A golden vector names
    /// it: where it differs, the model sees another picture than in the lab.
    ///
    /// # Errors
    /// [`DetectError::Prepare`].
    pub fn input_digest(&mut self, frame: &Frame) -> Result<String, DetectError> {
        let (rig, geometry) = self.placed(frame);
        Ok(digest_of(&rig.prepare(frame, &geometry)?.data))
    }

    /// The rig for a frame, and how the frame lies on its input.
    fn placed(&mut self, frame: &Frame) -> (&mut Rig, Geometry) {
        let source = [frame.width(), frame.height()];
        if let Some(crop) = self.manifest.input.crop {
            #[allow(clippy::cast_precision_loss, reason = "sides are at most 32768")]
            let whole = [0.0, 0.0, source[0] as f32, source[1] as f32];
            let rig = &mut self.rigs[0];
            let geometry = Geometry::crop(source, rig.size, &Crop { grow: 1.0, ..crop }, whole);
            return (rig, geometry);
        }
        let at = self.rig_for(source);
        let rig = &mut self.rigs[at];
        let geometry = Geometry::fit(source, rig.size, &self.manifest.input.resize);
        (rig, geometry)
    }

    /// Appends what a top-down model finds in the part of `frame` around `bbox` (x1, y1, x2, y2, source pixels), cropped
    /// as `input.crop` of the manifest says.
    ///
    /// # Errors
    /// As [`Detector::detect`], [`DetectError::NoCrop`], and [`DetectError::BadBox`].
    pub fn detect_in(
        &mut self,
        frame: &Frame,
        bbox: [f32; 4],
        found: &mut Vec<Detection>,
    ) -> Result<StageTimes, DetectError> {
        let Some(crop) = self.manifest.input.crop else {
            return Err(DetectError::NoCrop { model: self.manifest.name.clone() });
        };
        check_box(frame, bbox)?;
        let rig = &mut self.rigs[0];
        let geometry = Geometry::crop([frame.width(), frame.height()], rig.size, &crop, bbox);
        rig.run(frame, &geometry, found)
    }

    /// Appends what is found in exactly the part `region` of `frame` (x, y, width, height in source pixels; may reach
    /// beyond the picture), stretched over the input.
    ///
    /// # Errors
    /// As [`Detector::detect`], and [`DetectError::BadBox`].
    pub fn detect_region(
        &mut self,
        frame: &Frame,
        region: [i32; 4],
        found: &mut Vec<Detection>,
    ) -> Result<StageTimes, DetectError> {
        let [x, y, w, h] = region;
        #[allow(clippy::cast_precision_loss, reason = "only compared with the picture's sides")]
        check_box(frame, [x as f32, y as f32, x.saturating_add(w) as f32, y.saturating_add(h) as f32])?;
        let rig = &mut self.rigs[0];
        rig.run(frame, &Geometry::region([frame.width(), frame.height()], rig.size, region), found)
    }

    /// The rig for frames of `source` pixels: a rectangle where the manifest allows it, else the manifest's size.
    fn rig_for(&mut self, source: [u32; 2]) -> usize {
        let Some(compiler) = &self.compiler else { return 0 };
        let input = &self.manifest.input;
        let size = rectangle(source, [input.width, input.height], input.rectangle_stride);
        if let Some(at) = self.rigs.iter().position(|rig| rig.size == size) {
            return at;
        }
        match compiler.rig(&self.manifest, size) {
            Ok((rig, warnings)) => {
                if self.rigs.len() > MOST_RECTANGLES {
                    self.rigs.remove(1);
                }
                self.rigs.push(rig);
                let new = warnings
                    .into_iter()
                    .filter(|warning| !self.warnings.contains(warning))
                    .collect::<Vec<_>>();
                self.warnings.extend(new);
                self.rigs.len() - 1
            }
            Err(refusal) => {
                let [w, h] = size;
                self.warnings.push(format!(
                    "runs at {}x{} only, not at {w}x{h}: {refusal}",
                    input.width, input.height
                ));
                self.compiler = None;
                0
            }
        }
    }
}

fn digest_of(data: &TensorData) -> String {
    let mut hash = Sha256::new();
    match data {
        TensorData::F32(values) => values.iter().for_each(|value| hash.update(value.to_le_bytes())),
        TensorData::F16(values) => values.iter().for_each(|value| hash.update(value.to_le_bytes())),
        TensorData::U8(values) => hash.update(values),
        TensorData::I32(values) => values.iter().for_each(|value| hash.update(value.to_le_bytes())),
        TensorData::I64(values) => values.iter().for_each(|value| hash.update(value.to_le_bytes())),
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The rectangle within `most` that a picture of `source` pixels fills best: the letterboxed size, rounded up to
/// multiples of `stride`.
fn rectangle(source: [u32; 2], most: [u32; 2], stride: u32) -> [u32; 2] {
    let ratio = [0, 1]
        .map(|axis| f64::from(most[axis]) / f64::from(source[axis]))
        .into_iter()
        .fold(f64::MAX, f64::min);
    [0, 1].map(|axis| {
        let fitted = (f64::from(source[axis]) * ratio).ceil();
        // At most `most`, so nothing is cut; rounding up by less than one stride cannot overflow.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let fitted = fitted.clamp(1.0, f64::from(most[axis])) as u32;
        fitted.div_ceil(stride.max(1)).saturating_mul(stride.max(1)).min(most[axis])
    })
}

fn check_box(frame: &Frame, bbox: [f32; 4]) -> Result<(), DetectError> {
    let [x1, y1, x2, y2] = bbox;
    let (width, height) = (frame.width(), frame.height());
    #[allow(clippy::cast_precision_loss, reason = "sides are at most 32768")]
    let inside = x1 < width as f32 && y1 < height as f32 && x2 > 0.0 && y2 > 0.0;
    let sound = bbox.iter().all(|side| side.is_finite()) && x1 < x2 && y1 < y2 && inside;
    if sound { Ok(()) } else { Err(DetectError::BadBox { bbox, width, height }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wide_frame_runs_at_a_wide_rectangle_of_whole_strides() {
        assert_eq!(rectangle([960, 540], [416, 416], 32), [416, 256]);
        assert_eq!(rectangle([1920, 1080], [640, 640], 32), [640, 384]);
        assert_eq!(rectangle([1080, 1920], [640, 640], 32), [384, 640]);
        assert_eq!(rectangle([640, 640], [416, 416], 32), [416, 416]);
        assert_eq!(rectangle([10_000, 10], [416, 416], 32), [416, 32]);
    }
}
