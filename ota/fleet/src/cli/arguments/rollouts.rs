//! Roll-outs, real and simulated.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{HeardArgs, Place, Signing};

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
        at: Signing,
    },
}

/// `rollout advance`, `pause`, `abort`.
#[derive(Args, Debug)]
pub struct RolloutStep {
    /// The model.
    pub model: String,
    #[command(flatten)]
    pub at: Signing,
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
    #[command(flatten)]
    pub stages: StageArgs,
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
    pub at: Signing,
}

/// Shares of a roll-out.
#[derive(Args, Debug, Clone)]
pub struct StageArgs {
    /// Shares in hundredths of a percent and least seconds of each, by commas.
    #[arg(
        long,
        value_name = "BP[:SECONDS]",
        value_delimiter = ',',
        default_value = "100:86400,5000:86400,10000"
    )]
    pub stages: Vec<String>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("NAME=VALUE is expected")?;
    Ok((name.into(), value.into()))
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
    #[command(flatten)]
    pub stages: StageArgs,
    /// Devices that take part from the beginning: a file of ids, one a line.
    #[arg(long, value_name = "FILE")]
    pub cohort: Option<PathBuf>,
    /// Devices that take no part: a file of ids, one a line.
    #[arg(long, value_name = "FILE")]
    pub exclude: Option<PathBuf>,
    /// Local time in which vehicles may fetch.
    #[arg(long, value_name = "HH:MM-HH:MM", default_value = "01:00-05:00")]
    pub window: String,
    /// The salt; the same gives the same fleet.
    #[arg(long, default_value = "simulated")]
    pub salt: String,
}
