//! From two files to a model that can be compiled.

use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use stopline_depot::bundle::Bundle;
use stopline_depot::manifest::Manifest;

use super::plans;
use super::rig::Rig;
use super::{DetectorOptions, LoadError};
use crate::infer::{self, Backend, ModelFile, PlanOptions, TensorSpec};
use crate::model::{self, ModelError, ModelInfo};

/// Protobuf ends at 2 GiB; larger weights lie in files of their own.
const MOST_MODEL: u64 = 2 << 30;

/// A manifest with the names of ten thousand classes is far smaller.
const MOST_MANIFEST: u64 = 4 << 20;

/// Files read and held against each other.
pub(super) struct Loaded {
    pub manifest: Manifest,
    pub digest: String,
    pub warnings: Vec<String>,
    pub compiler: Compiler,
}

/// Compiles the model for an input size.
pub(super) struct Compiler {
    backend: Box<dyn Backend>,
    path: PathBuf,
    manifest_path: String,
    bytes: Vec<u8>,
    inputs: Vec<TensorSpec>,
    picture: String,
    options: PlanOptions,
    /// By which other threads know the model; `None` where other files than the ONNX one have a part in it.
    digest: Option<String>,
}

pub(super) fn load(options: &DetectorOptions) -> Result<Loaded, LoadError> {
    let bytes = read(&options.model, MOST_MODEL)?;
    let manifest_path = options.manifest.clone().unwrap_or_else(|| options.model.with_extension("toml"));
    let shown = manifest_path.display().to_string();
    let model = options.model.display().to_string();
    let contradiction = |cause| match cause {
        ModelError::Infer(cause) => LoadError::Infer(cause),
        cause => LoadError::Model { model: model.clone(), manifest: shown.clone(), cause },
    };
    let mut info: ModelInfo = model::read(&options.model, &bytes).map_err(contradiction)?;
    let mut warnings = Vec::new();
    let manifest = match read_manifest(&manifest_path, &options.model) {
        Err(LoadError::NoManifest { .. }) if options.draft && options.manifest.is_none() => {
            model::work_out_outputs(&mut info, &options.model, &bytes);
            let drafted = model::draft(&info).map_err(contradiction)?.manifest;
            warnings.push(told(&drafted, &model));
            drafted
        }
        other => other?,
    };
    fit(manifest, info, (bytes, warnings), shown, options)
}

/// A model whose manifest and bytes are at hand: one piece, so weights in other files are refused.
pub(super) fn of_bundle(bundle: &Bundle<'_>, options: &DetectorOptions) -> Result<Loaded, LoadError> {
    let shown = "manifest.json".to_owned();
    let model = options.model.display().to_string();
    let info = model::read(&options.model, bundle.model).map_err(|cause| match cause {
        ModelError::Infer(cause) => LoadError::Infer(cause),
        cause => LoadError::Model { model: model.clone(), manifest: shown.clone(), cause },
    })?;
    if let Some(file) = info.external.first() {
        return Err(LoadError::External { model, file: file.clone() });
    }
    fit(bundle.manifest.clone(), info, (bundle.model.to_vec(), Vec::new()), shown, options)
}

/// Holds manifest and file against each other, and makes ready to compile.
fn fit(
    manifest: Manifest,
    info: ModelInfo,
    (bytes, warnings): (Vec<u8>, Vec<String>),
    shown: String,
    options: &DetectorOptions,
) -> Result<Loaded, LoadError> {
    let model = options.model.display().to_string();
    let contradiction = |cause| match cause {
        ModelError::Infer(cause) => LoadError::Infer(cause),
        cause => LoadError::Model { model: model.clone(), manifest: shown.clone(), cause },
    };
    model::check(&manifest, &info).map_err(contradiction)?;
    let picture = model::picture(&manifest, &info).map_err(contradiction)?.name.clone();
    let backend = infer::backend(options.backend, options.library.as_deref())?;
    let plan = PlanOptions {
        input_shapes: Vec::new(),
        threads: options.threads.max(1),
        providers: options.providers.clone(),
    };
    let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let compiler = Compiler {
        backend,
        path: options.model.clone(),
        manifest_path: shown,
        bytes,
        inputs: info.inputs,
        picture,
        options: plan,
        digest: info.external.is_empty().then(|| digest.clone()),
    };
    Ok(Loaded { manifest, digest, warnings, compiler })
}

/// What was guessed for a model without a manifest.
fn told(drafted: &Manifest, model: &str) -> String {
    let input = &drafted.input;
    format!(
        "no manifest, so one was guessed from the file: decoder {:?}, input {}x{} {:?}, {:?}, {} labels; check the result \
         by eye, and write the guess down with `stopline model manifest {model}`",
        drafted.decoder,
        input.width,
        input.height,
        input.colour,
        input.resize.mode,
        drafted.labels.len(),
    )
}

fn read(path: &Path, most: u64) -> Result<Vec<u8>, LoadError> {
    let shown = || path.display().to_string();
    let fail = |cause| LoadError::Read { path: shown(), cause };
    let file = std::fs::File::open(path).map_err(fail)?;
    let stated = file.metadata().map_err(fail)?.len();
    let large = |bytes| LoadError::Large { path: shown(), bytes, most };
    if stated > most {
        return Err(large(stated));
    }
    let mut bytes = Vec::new();
    // A device states no length, so the reading is bounded too.
    file.take(most + 1).read_to_end(&mut bytes).map_err(fail)?;
    let found = bytes.len() as u64;
    if found > most { Err(large(found)) } else { Ok(bytes) }
}

fn read_manifest(path: &Path, model: &Path) -> Result<Manifest, LoadError> {
    let shown = path.display().to_string();
    let bytes = read(path, MOST_MANIFEST).map_err(|error| match error {
        LoadError::Read { cause, .. } if cause.kind() == std::io::ErrorKind::NotFound => {
            LoadError::NoManifest { path: shown.clone(), model: model.display().to_string() }
        }
        other => other,
    })?;
    let parsed = if path.extension().is_some_and(|ending| ending == "json") {
        Manifest::from_json(&bytes)
    } else {
        let text = String::from_utf8(bytes).map_err(|error| LoadError::Read {
            path: shown.clone(),
            cause: std::io::Error::new(std::io::ErrorKind::InvalidData, error),
        })?;
        Manifest::from_toml(&text)
    };
    parsed.map_err(|cause| LoadError::Manifest { path: shown, cause })
}

impl Compiler {
    /// The model ready to run at `size` (across, down), and what had to be done for it.
    pub(super) fn rig(&self, manifest: &Manifest, size: [u32; 2]) -> Result<(Rig, Vec<String>), LoadError> {
        let shapes = super::extra::shapes(&self.inputs, &self.picture, manifest, size);
        let options = PlanOptions { input_shapes: shapes, ..self.options.clone() };
        let (model, backend) = (ModelFile { path: &self.path, bytes: &self.bytes }, &*self.backend);
        let plan = match self.digest.clone() {
            Some(digest) => {
                plans::plan(plans::Key { digest, backend: backend.name(), options }, backend, &model)?
            }
            None => backend.plan(&model, &options)?,
        };
        let warnings = plan.warnings().to_vec();
        let names = (self.path.display().to_string(), self.manifest_path.clone());
        Ok((Rig::new(manifest, size, plan, &self.picture, names)?, warnings))
    }
}
