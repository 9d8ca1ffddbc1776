//! The arguments every command that runs a model shares.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Which model, fed and read how, by which engine.
#[derive(Args, Debug, Clone)]
pub struct ModelArgs {
    /// The ONNX file.
    #[arg(long, value_name = "ONNX")]
    pub model: PathBuf,
    /// Its manifest (`stopline model manifest` writes a first one); default: the ONNX file's name with `.toml`.
    #[arg(long, value_name = "TOML")]
    pub manifest: Option<PathBuf>,
    /// The engine.
    #[arg(long, value_enum, default_value_t = BackendKind::Tract)]
    pub backend: BackendKind,
    /// libonnxruntime.so for `--backend ort`.
    #[arg(long, value_name = "SO", env = "STOPLINE_ORT_LIBRARY")]
    pub ort_library: Option<PathBuf>,
    /// Threads one inference may use.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: u16,
}

/// The engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BackendKind {
    /// Built in, pure Rust.
    Tract,
    /// ONNX Runtime, loaded from `--ort-library`; needs the cargo feature `ort`.
    Ort,
}
