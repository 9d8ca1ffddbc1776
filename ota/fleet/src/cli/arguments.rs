//! What may stand on the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use semver::Version;

use crate::exit::EXIT_CODES;
use crate::keys::KeySpec;

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
    /// Do what a device would do with a repository, step by step; over HTTP also look at what caches are told.
    Verify(Verify),
    /// A fleet of a million devices, night by night.
    Simulate(Simulate),
}

/// Keys.
#[derive(Subcommand, Debug)]
pub enum KeyCommand {
    /// Make a key: NAME.pem for its holder, NAME.pub to give away.
    New {
        /// Path without ending.
        name: PathBuf,
        /// Without a passphrase: for keys that the system's own store of secrets keeps.
        #[arg(long)]
        unencrypted: bool,
        /// Beside keys that lie there already: for the online keys of one machine, never for holders'.
        #[arg(long)]
        beside_other_keys: bool,
    },
    /// Make the online keys (rollout, snapshot, timestamp), unencrypted, for systemd's credentials.
    Online {
        /// Folder.
        folder: PathBuf,
    },
    /// Show a key: a .pub file, or any place a private key may lie.
    Show {
        /// FILE.pub, FILE.pem, credential:NAME, command:PROGRAM,PUBLIC or pkcs11:LIBRARY?token=…&label=….
        key: KeySpec,
    },
    /// Draft a change of a role's keys: a new one for an old one.
    Rotate {
        #[command(flatten)]
        staging: StagingArgs,
        /// Role.
        role: String,
        /// Id of the key that goes.
        #[arg(long, value_name = "KEYID")]
        old: Option<String>,
        /// Public key that comes.
        #[arg(long, value_name = "PUB")]
        new: PathBuf,
    },
    /// Draft taking a key from a role.
    Revoke {
        #[command(flatten)]
        staging: StagingArgs,
        /// Role.
        role: String,
        /// Id of the key that goes.
        #[arg(value_name = "KEYID")]
        key: String,
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

/// `init`.
#[derive(Args, Debug)]
pub struct Init {
    #[command(flatten)]
    pub staging: StagingArgs,
    /// Public key of someone who holds root, targets and models; three or more.
    #[arg(long, value_name = "PUB")]
    pub holder: Vec<PathBuf>,
    /// Public keys of root, where others hold it.
    #[arg(long, value_name = "PUB")]
    pub root: Vec<PathBuf>,
    /// Public keys of targets, where others hold it.
    #[arg(long, value_name = "PUB")]
    pub targets: Vec<PathBuf>,
    /// Public keys of models, where others hold it.
    #[arg(long, value_name = "PUB")]
    pub models: Vec<PathBuf>,
    /// Folder with rollout.pub, snapshot.pub and timestamp.pub.
    #[arg(long, value_name = "DIR")]
    pub online: Option<PathBuf>,
    /// Public keys of rollout.
    #[arg(long, value_name = "PUB")]
    pub rollout: Vec<PathBuf>,
    /// Public keys of snapshot.
    #[arg(long, value_name = "PUB")]
    pub snapshot: Vec<PathBuf>,
    /// Public keys of timestamp.
    #[arg(long, value_name = "PUB")]
    pub timestamp: Vec<PathBuf>,
    /// Public keys of campaigns.
    #[arg(long, value_name = "PUB")]
    pub campaigns: Vec<PathBuf>,
}

/// `sign`.
#[derive(Args, Debug)]
pub struct Sign {
    #[command(flatten)]
    pub staging: StagingArgs,
    /// Only this role's draft; default: all that the key may sign.
    pub role: Option<String>,
    /// The holder's key: FILE.pem, pkcs11:LIBRARY?token=…&label=…&pin-file=…, credential:NAME.
    #[arg(long, value_name = "KEY", required_unless_present_any = ["sign_command", "merge"])]
    pub key: Option<KeySpec>,
    /// A program that reads the bytes to sign from standard input and writes the signature to standard output.
    #[arg(long, value_name = "PROGRAM", requires = "public_key", conflicts_with = "key")]
    pub sign_command: Option<String>,
    /// The public key of --sign-command.
    #[arg(long, value_name = "PUB")]
    pub public_key: Option<PathBuf>,
    /// Take over the signatures that another holder put on a copy of the same drafts.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["key", "sign_command"])]
    pub merge: Option<PathBuf>,
}

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

/// What devices said.
#[derive(Args, Debug, Clone)]
pub struct HeardArgs {
    /// Folder of signed outcomes, one file each.
    #[arg(long, value_name = "DIR", requires = "devices")]
    pub outcomes: Option<PathBuf>,
    /// Public keys of devices: a JSON object from id to 64 hexadecimal digits.
    #[arg(long, value_name = "JSON")]
    pub devices: Option<PathBuf>,
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

/// `publish`.
#[derive(Args, Debug)]
pub struct Publish {
    /// Where: a folder, file:///…, s3://BUCKET/PREFIX, gs://…, az://….
    #[arg(default_value = "repository", env = "STOPLINE_REPOSITORY")]
    pub repository: String,
    #[command(flatten)]
    pub staging: StagingArgs,
    #[command(flatten)]
    pub online: OnlineArgs,
    #[command(flatten)]
    pub test_set: TestSetArgs,
    /// Publish a challenger that nobody compared with the model that decides now.
    #[arg(long)]
    pub publish_a_model_nobody_compared_with_the_champion: bool,
    /// Publish a challenger that is worse than the model that decides now by more than the margins.
    #[arg(long)]
    pub publish_a_model_that_is_worse: bool,
    /// Leave releases on the list that no roll-out needs, for a thief of the online keys to push.
    #[arg(long)]
    pub leave_superseded_models_for_thieves_to_push: bool,
}

/// `refresh`.
#[derive(Args, Debug)]
pub struct Refresh {
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub online: OnlineArgs,
    /// Whatever has passed of their life.
    #[arg(long)]
    pub now: bool,
}

/// Roll-outs.
#[derive(Subcommand, Debug)]
pub enum RolloutCommand {
    /// Start one, at its first stage.
    Start(RolloutStart),
    /// On to the next stage; after a pause, on with this one.
    Advance(RolloutStep),
    /// Nobody begins any more; who has it on trial stays.
    Pause(RolloutStep),
    /// Who has it goes back.
    Abort(RolloutStep),
    /// Where roll-outs stand.
    Status {
        /// Only this model's.
        model: Option<String>,
        #[command(flatten)]
        place: Place,
    },
    /// Judge it by what devices said; with --act pause it or take it on.
    Gate {
        /// The model.
        model: String,
        #[command(flatten)]
        heard: HeardArgs,
        /// Do it, not only say it.
        #[arg(long)]
        act: bool,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        online: OnlineArgs,
    },
}

/// `rollout advance`, `pause`, `abort`.
#[derive(Args, Debug)]
pub struct RolloutStep {
    /// The model.
    pub model: String,
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub online: OnlineArgs,
}

/// `rollout start`.
#[derive(Args, Debug)]
pub struct RolloutStart {
    /// The model.
    pub model: String,
    /// What a hardware variant gets; default: the newest release, on all that it is for.
    #[arg(long, value_name = "HARDWARE=TARGET", value_parser = pair)]
    pub target: Vec<(String, String)>,
    /// Its name; default: date, model and release.
    #[arg(long, value_name = "NAME")]
    pub id: Option<String>,
    /// Shares in hundredths of a percent and least seconds of each, by commas.
    #[arg(
        long,
        value_name = "BP[:SECONDS]",
        value_delimiter = ',',
        default_value = "100:86400,5000:86400,10000"
    )]
    pub stages: Vec<String>,
    /// Devices that take part from the beginning: a file of ids, one a line.
    #[arg(long, value_name = "NAME=FILE", value_parser = pair)]
    pub cohort: Vec<(String, String)>,
    /// Devices that take no part: a file of ids, one a line.
    #[arg(long, value_name = "FILE")]
    pub exclude: Option<PathBuf>,
    /// Local time in which vehicles may fetch, such as 01:00-05:00.
    #[arg(long, value_name = "HH:MM-HH:MM")]
    pub window: Option<String>,
    /// Only while parked.
    #[arg(long)]
    pub parked: bool,
    /// Buckets are cameras, not devices.
    #[arg(long)]
    pub by_camera: bool,
    /// Vehicles that must have reported before the next stage.
    #[arg(long, value_name = "N")]
    pub min_reports: Option<u64>,
    /// Active hours that both groups need before rates are compared.
    #[arg(long, value_name = "HOURS")]
    pub min_hours: Option<f64>,
    /// Share of reverted vehicles above which it is paused, hundredths of a percent.
    #[arg(long, value_name = "BP")]
    pub max_failed_bp: Option<u16>,
    /// Share of silent vehicles above which it is paused, hundredths of a percent.
    #[arg(long, value_name = "BP")]
    pub max_silent_bp: Option<u16>,
    /// Ratio of new to old rates above which it is paused.
    #[arg(long, value_name = "RATIO")]
    pub max_ratio: Option<f64>,
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub online: OnlineArgs,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("NAME=VALUE is expected")?;
    Ok((name.into(), value.into()))
}

/// `verify`.
#[derive(Args, Debug)]
pub struct Verify {
    /// A server (http://…, https://…: what lies above metadata/), or any place that `publish` takes.
    pub place: String,
    /// Root metadata that the device trusts; default: the staging folder's.
    #[arg(long, value_name = "FILE", env = "STOPLINE_ROOT")]
    pub root: Option<PathBuf>,
    #[command(flatten)]
    pub staging: StagingArgs,
}

/// `simulate`.
#[derive(Args, Debug)]
pub struct Simulate {
    /// Devices.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub devices: u32,
    /// Ids of the devices, one a line, instead of made-up ones; then the report names who got it in each night.
    #[arg(long, value_name = "FILE")]
    pub ids: Option<PathBuf>,
    /// Nights, at most.
    #[arg(long, default_value_t = 30)]
    pub nights: u32,
    /// Vehicles in a hundred that are parked with a network in a given night.
    #[arg(long, default_value_t = 85)]
    pub parked: u32,
    /// Vehicles in a hundred that are out of reach throughout.
    #[arg(long, default_value_t = 2)]
    pub away: u32,
    /// Bytes of a bundle.
    #[arg(long, default_value_t = 4 << 20)]
    pub bundle_bytes: u64,
    /// Shares in hundredths of a percent and least seconds of each, by commas.
    #[arg(
        long,
        value_name = "BP[:SECONDS]",
        value_delimiter = ',',
        default_value = "100:86400,5000:86400,10000"
    )]
    pub stages: Vec<String>,
    /// Local time in which vehicles may fetch.
    #[arg(long, value_name = "HH:MM-HH:MM", default_value = "01:00-05:00")]
    pub window: String,
    /// The salt; the same gives the same fleet.
    #[arg(long, default_value = "simulated")]
    pub salt: String,
}
