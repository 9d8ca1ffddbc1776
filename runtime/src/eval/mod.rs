//! **How well a model sees**, measured against a labelled dataset as the field measures it: COCO's average precision,
//! figure by figure as pycocotools' `COCOeval` gives it for boxes, and then where and how the model fails.
//!
//! In walk order:
//! - [`coco`]: the dataset, read from a COCO instances file.
//! - [`results`]: detections, read from a COCO results file or from what `stopline detect --json` prints.
//! - [`labels`]: which label of the model is which category of the dataset.
//! - [`pictures`]: where the pictures lie, and reading one.
//! - [`matching`]: which detection found which labelled box.
//! - [`metrics`]: precision, recall, average precision, the twelve figures.
//! - [`operating`]: what holds at one score threshold: best F1, recall by height in pixels.
//! - [`mistakes`]: each miss and each false positive, and of which kind it is.
//! - [`report`]: all of it as one value; [`table`], [`page`] and JSON show that value.
//! - [`gallery`]: the worst mistakes as pictures; [`plot`]: curves as SVG.
//!
//! [`events`] is another measure: what was decided, beside what really was.
//!
//! Not here: running the model (`commands/eval.rs` does), masks and keypoints.

pub mod coco;
pub mod events;
pub mod gallery;
pub mod labels;
pub mod matching;
pub mod metrics;
pub mod mistakes;
pub mod operating;
pub mod page;
pub mod pictures;
pub mod plot;
pub mod report;
pub mod results;
pub mod table;

mod json;

/// Why a dataset or a file of detections cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    /// A file cannot be read.
    #[error("{path}: cannot read: {cause}")]
    Read {
        /// The file.
        path: String,
        /// The system's answer.
        cause: std::io::Error,
    },
    /// A file is larger than anything this command reads.
    #[error("{path}: {bytes} bytes, at most {limit} are read; split the file")]
    TooLarge {
        /// The file.
        path: String,
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// Not JSON, or a value of the wrong kind.
    #[error("{path}: {cause}; expected {expected}")]
    Json {
        /// The file.
        path: String,
        /// Which value, with line and column.
        cause: serde_json::Error,
        /// What the file should be.
        expected: &'static str,
    },
    /// A value that cannot be meant.
    #[error("{path}: {place}: expected {expected}, found {found}")]
    Value {
        /// The file.
        path: String,
        /// Which value.
        place: String,
        /// What may stand there.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// Labels and categories do not go together.
    #[error("{0}")]
    Labels(String),
}

/// A box as COCO files have it: left, top, width, height in pixels.
pub type BoxXywh = [f64; 4];

/// A detection, by place in the dataset's lists.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Index into [`coco::Dataset::images`].
    pub image: usize,
    /// Index into [`coco::Dataset::categories`].
    pub category: usize,
    /// Finite; higher is surer.
    pub score: f64,
    /// Left, top, width, height in pixels.
    pub bbox: BoxXywh,
}
