//! Campaigns.

use std::path::PathBuf;

use clap::Subcommand;

use super::{Place, SettingsSigning};

/// Frames that the operator asks vehicles for.
#[derive(Subcommand, Debug)]
pub enum CampaignCommand {
    /// Sign and publish what the file says, in place of what was asked; what is not in it any more ends.
    Publish {
        /// TOML with a [[campaign]] for each: name, days, frames_per_day, bytes_per_day, and hardware, devices (a file of ids), from,
        /// labels, score, hours_utc, rate.
        file: PathBuf,
        #[command(flatten)]
        by: SettingsSigning,
    },
    /// Nothing is asked for any more.
    Withdraw {
        #[command(flatten)]
        by: SettingsSigning,
    },
    /// What is asked for.
    Status {
        #[command(flatten)]
        place: Place,
    },
}
