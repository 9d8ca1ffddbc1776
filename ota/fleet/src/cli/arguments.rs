//! What may stand on the command line: here what several commands take, and by subject what one takes.

mod campaigns;
mod dataset;
mod keys;
mod models;
mod publishing;
mod rollouts;
#[cfg(feature = "serve")]
mod serve;
mod settings;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::exit::EXIT_CODES;
use crate::keys::KeySpec;

pub use campaigns::CampaignCommand;
pub use dataset::{DatasetCommand, DriftArgs, ForgetArgs, Place as DatasetPlace, Scene};
pub use keys::{Init, KeyCommand, Sign};
pub use models::{Delta, Evaluate, ModelsCommand, Pack, ReleaseArgs, TestSetArgs};
pub use publishing::{Publish, Refresh, Verify};
pub use rollouts::{RolloutCommand, RolloutStart, RolloutStep, Simulate};
#[cfg(feature = "serve")]
pub use serve::{Backup, DataArgs, DevicesCommand, Ended, Mosquitto, Serve, ServeCommand, SetUp};
pub use settings::{SettingsCommand, SettingsSigning};

/// The operator of a fleet: keys, packing, signing, publishing, roll-outs.
#[derive(Parser, Debug)]
#[command(name = "stopline-fleet", version, after_help = EXIT_CODES)]
pub struct Cli {
    /// Say what was done as JSON.
    #[arg(long, global = true)]
    pub json: bool,
    /// File that holds the passphrase of the key; else it is asked for at the terminal.
    #[arg(long, global = true, value_name = "FILE", env = "STOPLINE_PASSPHRASE_FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// The audit log of what signs; default: audit.jsonl here. What cannot be written down is not done.
    #[arg(long, global = true, value_name = "FILE", env = "STOPLINE_AUDIT")]
    pub audit: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Make, show, rotate and revoke keys.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Begin a repository: drafts of root, targets and models from the holders' public keys.
    Init(Init),
    /// Sign drafts, offline, with one holder's key.
    Sign(Sign),
    /// Pack a model with its manifest and golden pictures, once it answers them; with --hardware add it to the draft.
    Pack(Pack),
    /// The registry, and adding releases to the draft of models.
    #[command(subcommand)]
    Models(ModelsCommand),
    /// Make a delta from a published release to a new one, where it is worth it.
    Delta(Delta),
    /// Measure a bundle on the frozen test set, for `publish` to compare.
    Evaluate(Evaluate),
    /// Publish the drafts that are signed.
    Publish(Publish),
    /// Sign timestamp, snapshot and rollout anew once half of their life has passed.
    Refresh(Refresh),
    /// List what expires when; a third left is a warning, a fifth an alarm.
    Status(Place),
    /// Start and steer roll-outs.
    #[command(subcommand)]
    Rollout(RolloutCommand),
    /// Set caps, windows and addresses of devices from afar, within what each allows.
    #[command(subcommand)]
    Settings(SettingsCommand),
    /// Ask vehicles for frames, signed by the operator's own key; each holds it to its own limits.
    #[command(subcommand)]
    Campaign(CampaignCommand),
    /// Do what a device would do with a repository, step by step; over HTTP also look at what caches are told.
    Verify(Verify),
    /// A fleet of a million devices, night by night.
    Simulate(Simulate),
    /// Captured frames become labelled data and frozen test sets.
    #[command(subcommand)]
    Dataset(DatasetCommand),
    /// Remove captured records everywhere, for good, and print a receipt.
    Forget(ForgetArgs),
    /// Judge decision records: is the camera, and what the model finds, still what it was?
    Drift(DriftArgs),
    /// The audit log.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Serve: devices come here, and people look here. Needs no set-up.
    #[cfg(feature = "serve")]
    Serve(Box<Serve>),
    /// Let devices in, look at them, let them in no more.
    #[cfg(feature = "serve")]
    #[command(subcommand)]
    Devices(DevicesCommand),
    /// Copy a server's data folder as it is at one moment, while it goes on.
    #[cfg(feature = "serve")]
    Backup(Backup),
    /// Make a new database where the old one is lost and there is no backup, from the audit log and the store.
    #[cfg(feature = "serve")]
    Recover {
        /// Where sealed records lie, if not in the data folder: a folder, `s3://…`, `gs://…`, `az://…`.
        #[arg(long, value_name = "PLACE")]
        store: Option<String>,
        #[command(flatten)]
        data: DataArgs,
    },
    /// Make a server's data folder from a backup.
    #[cfg(feature = "serve")]
    Restore {
        /// The backup.
        from: PathBuf,
        /// The new data folder.
        #[arg(long, value_name = "DIR", default_value = "fleet", env = "STOPLINE_FLEET_DATA")]
        data: PathBuf,
    },
}

/// `audit`.
#[derive(Subcommand, Debug)]
pub enum AuditCommand {
    /// Check that no line was changed, taken out or put in.
    Verify {
        /// The log; default: --audit, else audit.jsonl here.
        file: Option<PathBuf>,
        /// A head that was noted earlier and must be in it.
        #[arg(long, value_name = "HASH")]
        head: Option<String>,
    },
}

/// The folder of drafts.
#[derive(Args, Debug, Clone)]
pub struct StagingArgs {
    /// Folder of drafts, which goes from holder to holder.
    #[arg(long, value_name = "DIR", default_value = "staging", env = "STOPLINE_STAGING")]
    pub staging: PathBuf,
}

/// A published repository.
#[derive(Args, Debug, Clone)]
pub struct Place {
    /// Where it is published: a folder, file:///…, s3://BUCKET/PREFIX, gs://…, az://….
    #[arg(long, value_name = "PLACE", default_value = "repository", env = "STOPLINE_REPOSITORY")]
    pub repository: String,
    /// Root metadata that is trusted; default: the staging folder's.
    #[arg(long, value_name = "FILE", env = "STOPLINE_ROOT")]
    pub root: Option<PathBuf>,
    #[command(flatten)]
    pub staging: StagingArgs,
}

/// Keys of snapshot and timestamp.
#[derive(Args, Debug, Clone)]
pub struct OnlineArgs {
    /// Folder with snapshot.pem, timestamp.pem and rollout.pem, as `key online` makes it.
    #[arg(long, value_name = "DIR", env = "STOPLINE_ONLINE_KEYS")]
    pub online: Option<PathBuf>,
    /// Key of snapshot.
    #[arg(long, value_name = "KEY")]
    pub snapshot_key: Option<KeySpec>,
    /// Key of timestamp.
    #[arg(long, value_name = "KEY")]
    pub timestamp_key: Option<KeySpec>,
    /// Key of rollout.
    #[arg(long, value_name = "KEY")]
    pub rollout_key: Option<KeySpec>,
}

/// A published repository and who signs changes of it.
#[derive(Args, Debug, Clone)]
pub struct Signing {
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub online: OnlineArgs,
}

/// What devices said.
#[derive(Args, Debug, Clone)]
pub struct HeardArgs {
    /// Data folder of the fleet's server, which has taken them in.
    #[cfg(feature = "serve")]
    #[arg(long, value_name = "DIR", conflicts_with_all = ["outcomes", "devices"])]
    pub fleet: Option<PathBuf>,
    /// The server's database, if not in its data folder.
    #[cfg(feature = "serve")]
    #[arg(long, value_name = "URL", env = "STOPLINE_FLEET_DATABASE", hide_env_values = true)]
    pub database: Option<String>,
    /// Folder of signed outcomes, one file each.
    #[arg(long, value_name = "DIR", requires = "devices")]
    pub outcomes: Option<PathBuf>,
    /// Public keys of devices: a JSON object from id to 64 hexadecimal digits.
    #[arg(long, value_name = "JSON")]
    pub devices: Option<PathBuf>,
}
