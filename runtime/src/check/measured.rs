//! What `stopline eval --json` and `stopline bench --json` wrote, and whether it is of the model that is used.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use super::recall::Heights;

/// Longest measurement that is read: recall of two thousand categories with their curves.
const LONGEST: u64 = 256 << 20;

/// A measurement that proves nothing. Each says how to get one that does.
#[derive(Debug, thiserror::Error)]
pub enum MeasureError {
    /// Not readable.
    #[error("{path}: cannot read the measurement: {cause}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// Not of this form.
    #[error("{path}: not what `{command}` writes: {problem}")]
    Format {
        /// The file.
        path: PathBuf,
        /// The command that writes such files.
        command: &'static str,
        /// What and where.
        problem: String,
    },
    /// Of another model.
    #[error(
        "{path}: measured with a model of SHA-256 {found}, the configured file has {expected}: measure this one with `{command}`"
    )]
    OtherModel {
        /// The file.
        path: PathBuf,
        /// The measured model's digest, shortened.
        found: String,
        /// The configured model's.
        expected: String,
        /// The command that measures.
        command: &'static str,
    },
    /// Detections from a file: nobody knows how large the objects were on the model's input.
    #[error(
        "{path}: tells no recall by height on the model's input: run `stopline eval --model`, not --detections"
    )]
    NoHeights {
        /// The file.
        path: PathBuf,
    },
    /// The dataset has none of the objects.
    #[error(
        "{path}: no category of the dataset is one of {wanted:?}; it has {found:?}. Measure with pictures of these objects"
    )]
    NoCategory {
        /// The file.
        path: PathBuf,
        /// The labels that play the role.
        wanted: Vec<String>,
        /// The dataset's categories, the first of them.
        found: Vec<String>,
    },
    /// Measured at a lower threshold than the decision asks for.
    #[error(
        "{path}: recall was measured from score {found:.2} on, the decision believes from {expected:.2} on ({key}): run `stopline eval --at {expected:.2}`"
    )]
    LowThreshold {
        /// The file.
        path: PathBuf,
        /// The measured threshold.
        found: f64,
        /// The decision's.
        expected: f64,
        /// Its key.
        key: &'static str,
    },
    /// Nothing was timed.
    #[error("{path}: no frames were timed: run `stopline bench` with frames of this camera's size")]
    NoFrames {
        /// The file.
        path: PathBuf,
    },
}

/// Recall of one role by height on the input.
#[derive(Clone, Debug)]
pub struct Recall {
    /// The category of the dataset.
    pub category: String,
    /// Score from which a detection counted.
    pub threshold: f64,
    /// By rising height.
    pub heights: Vec<Heights>,
}

/// Time per frame.
#[derive(Clone, Debug)]
pub struct Timing {
    /// 99th percentile of prepare + infer + decode, seconds.
    pub p99: f64,
    /// Frames that were timed.
    pub frames: u64,
    /// Picture size.
    pub size: [u32; 2],
    /// Engine.
    pub backend: String,
    /// Threads of one inference.
    pub threads: u64,
}

#[derive(Deserialize)]
struct EvalFile {
    subject: EvalSubject,
    categories: Vec<EvalCategory>,
}

#[derive(Deserialize)]
struct EvalSubject {
    sha256: Option<String>,
}

#[derive(Deserialize)]
struct EvalCategory {
    name: String,
    operating: EvalPoint,
    by_input_height: Option<Vec<EvalBin>>,
}

#[derive(Deserialize)]
struct EvalPoint {
    score: f64,
}

#[derive(Deserialize)]
struct EvalBin {
    from: f64,
    to: Option<f64>,
    truths: usize,
    found_at_threshold: usize,
}

#[derive(Deserialize)]
struct BenchFile {
    sha256: String,
    backend: String,
    threads: u64,
    width: u32,
    height: u32,
    frames: u64,
    stages_us: BenchStages,
}

#[derive(Deserialize)]
struct BenchStages {
    total: BenchFigures,
}

#[derive(Deserialize)]
struct BenchFigures {
    p99: f64,
}

const EVAL: &str = "stopline eval --json";
const BENCH: &str = "stopline bench --json";

/// The recall of the category that is one of `labels`, measured with the model of digest `sha256` at a score of at least
/// `threshold`, which the configuration calls `key`.
///
/// # Errors
/// [`MeasureError`].
pub fn recall(
    path: &Path,
    labels: &[String],
    sha256: &str,
    (key, threshold): (&'static str, f64),
) -> Result<Recall, MeasureError> {
    let file: EvalFile = read(path, EVAL)?;
    match &file.subject.sha256 {
        Some(found) if found == sha256 => {}
        Some(found) => return Err(other(path, found, sha256, EVAL)),
        None => return Err(MeasureError::NoHeights { path: path.to_owned() }),
    }
    let plain = |name: &str| name.to_lowercase().replace(['_', '-'], " ");
    let wanted: Vec<String> = labels.iter().map(|label| plain(label)).collect();
    let category = file.categories.iter().find(|category| wanted.contains(&plain(&category.name)));
    let category = category.ok_or_else(|| MeasureError::NoCategory {
        path: path.to_owned(),
        wanted: labels.to_vec(),
        found: file.categories.iter().take(8).map(|category| category.name.clone()).collect(),
    })?;
    let found = category.operating.score;
    if found + 1e-6 < threshold {
        return Err(MeasureError::LowThreshold { path: path.to_owned(), found, expected: threshold, key });
    }
    let bins = category.by_input_height.as_ref();
    let bins = bins.ok_or_else(|| MeasureError::NoHeights { path: path.to_owned() })?;
    let heights = bins.iter().map(|bin| Heights {
        from: bin.from,
        to: bin.to,
        labelled: bin.truths,
        found: bin.found_at_threshold,
    });
    Ok(Recall { category: category.name.clone(), threshold: found, heights: heights.collect() })
}

/// Time per frame of the model of digest `sha256`.
///
/// # Errors
/// [`MeasureError`].
pub fn timing(path: &Path, sha256: &str) -> Result<Timing, MeasureError> {
    let file: BenchFile = read(path, BENCH)?;
    if file.sha256 != sha256 {
        return Err(other(path, &file.sha256, sha256, BENCH));
    }
    let p99 = file.stages_us.total.p99 / 1e6;
    if file.frames == 0 || p99.is_nan() || p99 <= 0.0 {
        return Err(MeasureError::NoFrames { path: path.to_owned() });
    }
    let BenchFile { frames, width, height, backend, threads, .. } = file;
    Ok(Timing { p99, frames, size: [width, height], backend, threads })
}

/// SHA-256 of a file in hexadecimal.
///
/// # Errors
/// It cannot be read.
pub fn digest(path: &Path) -> std::io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect());
        }
        hash.update(&buffer[..count]);
    }
}

fn read<T: DeserializeOwned>(path: &Path, command: &'static str) -> Result<T, MeasureError> {
    let refused = |cause| MeasureError::Read { path: path.to_owned(), cause };
    let mut bytes = Vec::new();
    std::fs::File::open(path).and_then(|file| file.take(LONGEST).read_to_end(&mut bytes)).map_err(refused)?;
    serde_json::from_slice(&bytes).map_err(|error| MeasureError::Format {
        path: path.to_owned(),
        command,
        problem: error.to_string(),
    })
}

fn other(path: &Path, found: &str, expected: &str, command: &'static str) -> MeasureError {
    let short = |digest: &str| digest.chars().take(12).collect::<String>() + "…";
    MeasureError::OtherModel {
        path: path.to_owned(),
        found: short(found),
        expected: short(expected),
        command,
    }
}

#[cfg(test)]
mod tests;
