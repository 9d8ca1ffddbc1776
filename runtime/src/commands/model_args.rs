//! The arguments every command that runs a model shares.

use std::path::PathBuf;

use clap::Args;

use crate::detector::DetectorOptions;
use crate::infer::BackendKind;
use crate::models::{self, Engine};

/// Which model, fed and read how, by which engine.
#[derive(Args, Debug, Clone)]
pub struct ModelArgs {
    /// The ONNX file.
    #[arg(long, value_name = "ONNX")]
    pub model: PathBuf,
    #[command(flatten)]
    pub engine: EngineArgs,
}

/// How a model is fed and read, and by which engine. Apart from the model itself for commands that can do without one: an
/// optional group counts as given where only `STOPLINE_ORT_LIBRARY` is set.
#[derive(Args, Debug, Clone)]
pub struct EngineArgs {
    /// The model's manifest (`stopline model manifest` writes a first one); default: the ONNX file's name with
    /// `.toml`, and where there is none, what can be guessed from the file.
    #[arg(long, value_name = "TOML", requires = "model")]
    pub manifest: Option<PathBuf>,
    #[command(flatten)]
    pub on: BackendArgs,
}

/// The engine alone, for a bundle too, which brings its own manifest.
#[derive(Args, Debug, Clone)]
pub struct BackendArgs {
    /// The engine.
    #[arg(long, value_enum, default_value_t)]
    pub backend: BackendKind,
    /// libonnxruntime.so for `--backend ort`.
    #[arg(long, value_name = "SO", env = "STOPLINE_ORT_LIBRARY")]
    pub ort_library: Option<PathBuf>,
    /// Threads one inference may use.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: u16,
    /// Execution provider of ONNX Runtime to try before the CPU (`XNNPACK`, `CUDA`, `TensorRT`, …); may be given again.
    #[arg(long = "provider", value_name = "NAME")]
    pub providers: Vec<String>,
}

impl EngineArgs {
    /// Of the model `model`, where one is given.
    pub fn of(&self, model: Option<&PathBuf>) -> Option<ModelArgs> {
        Some(ModelArgs { model: model?.clone(), engine: self.clone() })
    }
}

impl ModelArgs {
    /// The same for [`Detector::load`](crate::detector::Detector::load).
    pub fn options(&self) -> DetectorOptions {
        let EngineArgs { manifest, on } = self.engine.clone();
        let BackendArgs { backend, ort_library, threads, providers } = on;
        DetectorOptions {
            model: self.model.clone(),
            manifest,
            backend,
            library: ort_library,
            threads: usize::from(threads),
            draft: true,
            providers,
        }
    }
}

impl BackendArgs {
    /// The same for the detector of a bundle; `name` is the bundle's in messages.
    pub fn options(&self, name: &str) -> DetectorOptions {
        let Self { backend, ort_library, threads, providers } = self.clone();
        models::engine(name, &Engine { backend, library: ort_library, threads, providers })
    }
}
