//! Captured frames: datasets, forgetting, drift.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use stopline_depot::digest::Digest;

use crate::dataset::export::Purpose;

/// Where captured records are, what opens them, and where the operator keeps the rest.
#[derive(Args, Debug, Clone)]
pub struct Place {
    /// The server's store of sealed records: a folder, s3://BUCKET/PREFIX, gs://…, az://….
    #[arg(value_name = "STORE")]
    pub store: String,
    /// Identity that opens records, as `key capture` makes it; may be given again for older keys.
    #[arg(long, value_name = "KEYFILE", required = true)]
    pub identity: Vec<PathBuf>,
    /// Folder of labels and frozen test sets.
    #[arg(long, value_name = "DIR", default_value = "dataset", env = "STOPLINE_DATASET")]
    pub dataset: PathBuf,
}

/// What belongs together and is never split.
#[derive(Args, Debug, Clone, Copy)]
pub struct Scene {
    /// What chance decides is decided by it: the same seed gives the same bytes.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Seconds between two records of a device, below which they are of one scene.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub scene_gap: u64,
    /// Pictures whose 256-bit hashes differ in at most so many bits are of one scene.
    #[arg(long, value_name = "BITS", default_value_t = 20)]
    pub alike: u32,
}

/// Datasets.
#[derive(Subcommand, Debug)]
pub enum DatasetCommand {
    /// Write captured pictures as COCO and YOLO, without duplicates, balanced, split so that no scene leaks.
    Export {
        #[command(flatten)]
        place: Place,
        /// Folder that is made.
        #[arg(short, long, value_name = "DIR")]
        output: PathBuf,
        /// What for: pictures to be labelled, with the model's predictions; or what people labelled, to train on.
        #[arg(long = "for", value_enum, default_value = "labelling")]
        purpose: Purpose,
        #[command(flatten)]
        scene: Scene,
        /// Pictures that look alike within so many bits and show the same are duplicates.
        #[arg(long, value_name = "BITS", default_value_t = 8)]
        duplicate: u32,
        /// Per cent of scenes that are for validation.
        #[arg(long, value_name = "PERCENT", default_value_t = 20)]
        validation: u8,
        /// Pictures, at most; then rare classes, conditions and devices come first.
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
        /// Class names in class order, by commas; default: those that occur, by name.
        #[arg(long, value_name = "NAMES", value_delimiter = ',')]
        labels: Vec<String>,
        /// Only what this selection names, as the server's page Datasets gives it.
        #[arg(long, value_name = "JSON")]
        only: Option<PathBuf>,
    },
    /// Take in labels that people corrected: COCO, as CVAT and others write it.
    Merge {
        /// The annotations.
        file: PathBuf,
        /// The export that was labelled.
        #[arg(long, value_name = "DIR")]
        export: PathBuf,
        /// Who labelled.
        #[arg(long, value_name = "NAME")]
        by: String,
        /// A class that the export has not.
        #[arg(long, value_name = "CLASS")]
        new_label: Vec<String>,
        /// Folder of labels and frozen test sets.
        #[arg(long, value_name = "DIR", default_value = "dataset", env = "STOPLINE_DATASET")]
        dataset: PathBuf,
    },
    /// Write one page of captured pictures with the model's boxes and why each was taken, to be looked at here.
    #[cfg(feature = "serve")]
    Gallery {
        #[command(flatten)]
        place: Place,
        /// File that is made.
        #[arg(short, long, value_name = "FILE.html")]
        output: PathBuf,
        /// Records, the newest first, at most.
        #[arg(long, value_name = "N", default_value_t = 200)]
        limit: usize,
        /// Only what this selection names, as the server's page Datasets gives it.
        #[arg(long, value_name = "JSON")]
        only: Option<PathBuf>,
    },
    /// List where model and labels disagree, the worst first.
    Audit {
        #[command(flatten)]
        place: Place,
        /// How many are told.
        #[arg(long, value_name = "N", default_value_t = 50)]
        top: usize,
    },
    /// Make a test set that nothing changes any more and that training is never given.
    Freeze {
        #[command(flatten)]
        place: Place,
        /// Its name.
        #[arg(long)]
        name: String,
        /// Per cent of the labelled scenes that training was never given.
        #[arg(long, value_name = "PERCENT", default_value_t = 20)]
        percent: u8,
        /// Just this record; may be given again.
        #[arg(long, value_name = "DIGEST", conflicts_with = "percent")]
        record: Vec<Digest>,
        #[command(flatten)]
        scene: Scene,
    },
}

/// `forget`.
#[derive(Args, Debug)]
pub struct ForgetArgs {
    /// The server's store of sealed records.
    #[arg(value_name = "STORE")]
    pub store: String,
    /// Records of this device.
    #[arg(long, value_name = "ID")]
    pub device: Option<String>,
    /// This record; may be given again.
    #[arg(long, value_name = "DIGEST")]
    pub record: Vec<Digest>,
    /// From then on (2026-11-22T06:00:00Z): when it was taken with --identity, else when it arrived.
    #[arg(long, value_name = "TIME")]
    pub from: Option<Timestamp>,
    /// Before then.
    #[arg(long, value_name = "TIME")]
    pub to: Option<Timestamp>,
    /// Identity that opens records, to know when they were taken.
    #[arg(long, value_name = "KEYFILE")]
    pub identity: Vec<PathBuf>,
    /// Folder of labels and frozen test sets.
    #[arg(long, value_name = "DIR", env = "STOPLINE_DATASET")]
    pub dataset: Option<PathBuf>,
    /// An export that the folder does not know, because it was moved; may be given again.
    #[arg(long, value_name = "DIR", requires = "dataset")]
    pub export: Vec<PathBuf>,
    /// The server's data folder, to remove rows of its database at once; a server that runs does it within its next round by itself.
    #[cfg(feature = "serve")]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The server's database, if not in its data folder: postgres://USER:PASSWORD@HOST/NAME.
    #[cfg(feature = "serve")]
    #[arg(long, value_name = "URL", hide_env_values = true, requires = "data")]
    pub database: Option<String>,
    /// Keep the receipt as JSON in a new file.
    #[arg(long, value_name = "FILE")]
    pub receipt: Option<PathBuf>,
}

/// `drift`.
#[derive(Args, Debug)]
pub struct DriftArgs {
    /// Decision records, one a line (as `stopline replay` writes them), or folders of such files (.jsonl); by name, in their order.
    #[arg(required = true, value_name = "PLACE")]
    pub places: Vec<PathBuf>,
    /// The model's manifest, for its training reference.
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,
    /// False alarms in 30 days of a camera that runs day and night, at most.
    #[arg(long, value_name = "N", default_value_t = 1.0)]
    pub false_alarms_per_month: f64,
}
