//! One model, ready to see: [`prepare`](crate::prepare), [`infer`](crate::infer) and [`decode`](crate::decode) in a row.
//!
//! `load` reads the files and holds them against each other, `rig` is the model compiled for one input size with all it
//! needs to run, `extra` fills inputs besides the picture.

mod extra;
mod load;
mod plans;
mod rig;

use std::path::PathBuf;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use stopline_depot::bundle::Bundle;
use stopline_depot::manifest::{Crop, Manifest, ManifestError, ResizeMode};
use stopline_sensors::frame::Frame;

use crate::decode::DecodeError;
use crate::detection::Detection;
use crate::infer::{BackendKind, InferError, OperatorTime, TensorData};
use crate::model::ModelError;
use crate::prepare::PrepareError;
use crate::prepare::geometry::Geometry;
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

/// Why a model cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file cannot be read.
    #[error("{path}: cannot read: {cause}")]
    Read {
        /// The file.
        path: String,
        /// The system's answer.
        cause: std::io::Error,
    },
    /// There is no manifest.
    #[error("{path}: no manifest; `stopline model manifest {model} -o {path}` writes a first one to check")]
    NoManifest {
        /// Where it was looked for.
        path: String,
        /// The model it is for.
        model: String,
    },
    /// The manifest cannot be used.
    #[error("{path}: {cause}")]
    Manifest {
        /// The manifest.
        path: String,
        /// Line or key, found and expected.
        cause: ManifestError,
    },
    /// The file is too large to be a model.
    #[error("{path}: {bytes} bytes, expected at most {most}")]
    Large {
        /// The file.
        path: String,
        /// What it has.
        bytes: u64,
        /// What it may have.
        most: u64,
    },
    /// A model out of a bundle names weights in another file.
    #[error(
        "{model}: weights lie in another file ({file:?}); a bundle holds one ONNX file with all its weights"
    )]
    External {
        /// The model.
        model: String,
        /// The file it names.
        file: String,
    },
    /// The engine cannot use the model.
    #[error(transparent)]
    Infer(#[from] InferError),
    /// Model and manifest contradict each other.
    #[error("{model} does not fit {manifest}: {cause}")]
    Model {
        /// The ONNX file.
        model: String,
        /// The manifest.
        manifest: String,
        /// What either says.
        cause: ModelError,
    },
    /// The manifest's input cannot be prepared for.
    #[error("{manifest}: {cause}")]
    Prepare {
        /// The manifest.
        manifest: String,
        /// What is wrong.
        cause: PrepareError,
    },
    /// An input besides the picture cannot be filled.
    #[error("{manifest}: input.extra {name:?}: {problem}")]
    Extra {
        /// The manifest.
        manifest: String,
        /// The input.
        name: String,
        /// Expected and found.
        problem: String,
    },
    /// The outputs do not fit the manifest.
    #[error("{model} does not fit {manifest}: {cause}")]
    Decode {
        /// The ONNX file.
        model: String,
        /// The manifest.
        manifest: String,
        /// Which tensor, expected and found.
        cause: DecodeError,
    },
}

/// Why a frame gave no detections.
#[derive(Debug, thiserror::Error)]
pub enum DetectError {
    /// The model is not made for looking into boxes.
    #[error("{model} is not made for single boxes: its manifest has no input.crop")]
    NoCrop {
        /// The model's name.
        model: String,
    },
    /// The box cannot be looked into.
    #[error(
        "box {bbox:?}: expected x1 < x2 and y1 < y2, finite, at least partly inside the {width}x{height} picture"
    )]
    BadBox {
        /// x1, y1, x2, y2 as given.
        bbox: [f32; 4],
        /// Picture, pixels across.
        width: u32,
        /// Picture, pixels down.
        height: u32,
    },
    /// The frame cannot be prepared.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The engine failed.
    #[error(transparent)]
    Infer(#[from] InferError),
    /// The outputs cannot be read.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

impl DetectError {
    /// Whether only this frame is invalid (the model gave numbers that cannot be); to be counted, and the next frame tried.
    pub fn invalid_frame(&self) -> bool {
        matches!(self, Self::Decode(DecodeError::NotFinite { .. } | DecodeError::Range { .. }))
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

/// Input pixels within which a box at the edge of a part counts as cut by it.
const CUT: f32 = 2.0;

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

    /// Whether the model can look at parts of a picture: its manifest allows rectangles, and it has refused none yet.
    pub fn takes_parts(&self) -> bool {
        self.compiler.is_some()
    }

    /// Appends what is found in the part `part` of `frame` (x, y, width, height in source pixels, within the picture), as
    /// large on the input as the whole picture would have it. The part is widened to whole strides of the model. What its
    /// edge cuts is left out: half of an object has another place and size than the object.
    ///
    /// A part of a new size compiles the model for it, which takes as long as loading; a model that cannot look at parts
    /// looks at all of the frame.
    ///
    /// # Errors
    /// As [`Detector::detect`].
    pub fn detect_part(
        &mut self,
        frame: &Frame,
        part: [u32; 4],
        found: &mut Vec<Detection>,
    ) -> Result<StageTimes, DetectError> {
        let source = [frame.width(), frame.height()];
        let (size, region) = self.widened(source, part);
        let Some(at) = self.part_for(size) else { return self.detect(frame, found) };
        let rig = &mut self.parts[at];
        let before = found.len();
        let times = rig.run(frame, &Geometry::region(source, size, region), found)?;
        let margin = [0, 1].map(|axis| CUT * region[axis + 2] as f32 / size[axis] as f32);
        let mut at = 0;
        found.retain(|one| {
            at += 1;
            at <= before || !cut(one.bbox, region, source, margin)
        });
        Ok(times)
    }

    /// The input's size for a part of a picture, and the part of the picture that fills it.
    fn widened(&self, source: [u32; 2], [x, y, width, height]: [u32; 4]) -> ([u32; 2], [i32; 4]) {
        let input = &self.manifest.input;
        let whole = Geometry::fit(source, [input.width, input.height], &input.resize);
        let stride = input.rectangle_stride.max(1);
        let most = [input.width, input.height];
        let axis = |axis: usize, begin: u32, side: u32| {
            let scale = f64::from(whole.scale[axis]);
            // Held to the manifest's size and the picture's, so nothing is cut.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let pixels = (f64::from(side) * scale).ceil().clamp(1.0, f64::from(most[axis])) as u32;
            let pixels = pixels.next_multiple_of(stride).min(most[axis]);
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let wide = (f64::from(pixels) / scale).round() as u32;
            let wide = wide.max(1);
            // Around its middle; beyond the picture's edge only where the picture is smaller.
            let begin = i64::from(begin) - (i64::from(wide) - i64::from(side)) / 2;
            let begin = begin.clamp(0, (i64::from(source[axis]) - i64::from(wide)).max(0));
            (pixels, i32::try_from(begin).unwrap_or(0), i32::try_from(wide).unwrap_or(i32::MAX))
        };
        let ((w, left, across), (h, top, down)) = (axis(0, x, width), axis(1, y, height));
        ([w, h], [left, top, across, down])
    }

    /// The rig for parts of `size` input pixels.
    fn part_for(&mut self, size: [u32; 2]) -> Option<usize> {
        if let Some(at) = self.parts.iter().position(|rig| rig.size == size) {
            return Some(at);
        }
        match self.compiler.as_ref()?.rig(&self.manifest, size) {
            Ok((rig, _)) => {
                if self.parts.len() >= MOST_RECTANGLES {
                    self.parts.remove(0);
                }
                self.parts.push(rig);
                Some(self.parts.len() - 1)
            }
            Err(refusal) => {
                let [w, h] = size;
                self.warnings.push(format!("looks at whole pictures only, not at {w}x{h}: {refusal}"));
                self.compiler = None;
                None
            }
        }
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

/// Whether a box found in `region` touches an edge of it that is none of the picture's, and so may be a half of something.
fn cut([x1, y1, x2, y2]: [f32; 4], region: [i32; 4], source: [u32; 2], margin: [f32; 2]) -> bool {
    #[allow(clippy::cast_precision_loss, reason = "sides are at most 32768")]
    let [left, top, right, bottom] =
        [region[0], region[1], region[0] + region[2], region[1] + region[3]].map(|side| side as f32);
    #[allow(clippy::cast_precision_loss, reason = "sides are at most 32768")]
    let [width, height] = source.map(|side| side as f32);
    (left > 0.0 && x1 <= left + margin[0])
        || (top > 0.0 && y1 <= top + margin[1])
        || (right < width && x2 >= right - margin[0])
        || (bottom < height && y2 >= bottom - margin[1])
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
    fn what_the_edge_of_a_part_cuts_is_left_out_and_what_the_pictures_edge_cuts_is_not() {
        let (region, source) = ([100, 0, 200, 100], [400, 100]);
        let cut = |bbox| cut(bbox, region, source, [4.0, 4.0]);
        assert!(!cut([120.0, 0.0, 180.0, 100.0]), "from edge to edge of the picture");
        assert!(cut([103.0, 10.0, 180.0, 90.0]) && cut([120.0, 10.0, 297.0, 90.0]));
        assert!(cut([90.0, 10.0, 180.0, 90.0]), "the model guesses beyond the edge");
    }

    #[test]
    fn a_wide_frame_runs_at_a_wide_rectangle_of_whole_strides() {
        assert_eq!(rectangle([960, 540], [416, 416], 32), [416, 256]);
        assert_eq!(rectangle([1920, 1080], [640, 640], 32), [640, 384]);
        assert_eq!(rectangle([1080, 1920], [640, 640], 32), [384, 640]);
        assert_eq!(rectangle([640, 640], [416, 416], 32), [416, 416]);
        assert_eq!(rectangle([10_000, 10], [416, 416], 32), [416, 32]);
    }
}
