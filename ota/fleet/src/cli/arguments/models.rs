//! Models: packed, listed, compared.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use semver::Version;

use super::{HeardArgs, Place, StagingArgs};

/// What a release says beyond its bundle.
#[derive(Args, Debug, Clone)]
pub struct ReleaseArgs {
    /// Hardware variants that it is for, by commas.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub hardware: Vec<String>,
    /// Oldest runtime that it runs on; default: the manifest's.
    #[arg(long, value_name = "VERSION")]
    pub min_runtime: Option<Version>,
    /// Releases of this model with a lower number are unsafe from now on.
    #[arg(long, value_name = "N")]
    pub security_floor: Option<u64>,
    /// A factory image carries it: it stays listed.
    #[arg(long)]
    pub factory: bool,
}

/// `pack`.
#[derive(Args, Debug)]
pub struct Pack {
    /// The ONNX file.
    pub model: PathBuf,
    /// The manifest.
    pub manifest: PathBuf,
    /// Folder of golden pictures; default: golden/ beside the manifest.
    #[arg(long, value_name = "DIR")]
    pub golden: Option<PathBuf>,
    /// What people should know of the model, in Markdown.
    #[arg(long, value_name = "MD")]
    pub card: Option<PathBuf>,
    /// The bundle; default: NAME-VERSION.slb.
    #[arg(short, long, value_name = "SLB")]
    pub output: Option<PathBuf>,
    /// A factory image's folder of models, such as usr/share/stopline/factory: MODEL/bundle.tar is laid down there too.
    #[arg(long, value_name = "DIR")]
    pub factory_image: Option<PathBuf>,
    /// The runtime's program.
    #[arg(long, value_name = "PROGRAM", default_value = "stopline", env = "STOPLINE_PROGRAM")]
    pub stopline: PathBuf,
    /// Pack a model that nobody saw answer its golden vectors. It may do anything on a vehicle.
    #[arg(long)]
    pub pack_a_model_that_may_not_work_at_all: bool,
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub release: ReleaseArgs,
}

/// The registry.
#[derive(Subcommand, Debug)]
pub enum ModelsCommand {
    /// Add a bundle to the draft of models.
    Add {
        /// The bundle.
        bundle: PathBuf,
        #[command(flatten)]
        release: ReleaseArgs,
        #[command(flatten)]
        place: Place,
    },
    /// What is released, at which stage, on how many devices.
    List {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        heard: HeardArgs,
    },
    /// All that is known of a release.
    Show {
        /// MODEL, or MODEL@VERSION.
        release: String,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        heard: HeardArgs,
    },
    /// What two releases differ in.
    Diff {
        /// MODEL@VERSION.
        one: String,
        /// MODEL@VERSION.
        other: String,
        #[command(flatten)]
        place: Place,
    },
    /// Draft a next version of a role that says the same, to renew its expiry or signatures.
    Renew {
        /// root, targets, models or campaigns.
        #[arg(default_value = "models")]
        role: String,
        #[command(flatten)]
        place: Place,
    },
}

/// `delta`.
#[derive(Args, Debug)]
pub struct Delta {
    /// MODEL@VERSION that it starts from, published.
    pub from: String,
    /// MODEL@VERSION that it leads to, in the draft of models.
    pub to: String,
    /// Share of the whole bundle, in a hundred, above which a delta is not worth it.
    #[arg(long, value_name = "PERCENT", default_value_t = 60)]
    pub worth: u8,
    #[command(flatten)]
    pub place: Place,
}

/// A test set.
#[derive(Args, Debug, Clone)]
pub struct TestSetArgs {
    /// COCO annotations of the frozen test set.
    #[arg(long, value_name = "JSON", requires = "images")]
    pub test_set: Option<PathBuf>,
    /// Folder of its pictures.
    #[arg(long, value_name = "DIR")]
    pub images: Option<PathBuf>,
    /// The runtime's program.
    #[arg(long, value_name = "PROGRAM", default_value = "stopline", env = "STOPLINE_PROGRAM")]
    pub stopline: PathBuf,
}

/// `evaluate`.
#[derive(Args, Debug)]
pub struct Evaluate {
    /// The bundle.
    pub bundle: PathBuf,
    #[command(flatten)]
    pub test_set: TestSetArgs,
    #[command(flatten)]
    pub staging: StagingArgs,
}
