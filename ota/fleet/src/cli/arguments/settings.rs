//! Settings of devices from afar.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{OnlineArgs, Place};
use crate::keys::KeySpec;

/// Settings from afar.
#[derive(Subcommand, Debug)]
pub enum SettingsCommand {
    /// Sign and publish what the file says, in place of what is set.
    Publish {
        /// TOML with a [[cohort]] for each group: name, hardware, devices (a file of ids), and settings.window, settings.upload,
        /// settings.stats_s, settings.home.
        file: PathBuf,
        /// Try this cohort's settings once more on devices that went back from them; may be given again.
        #[arg(long, value_name = "COHORT")]
        again: Vec<String>,
        #[command(flatten)]
        by: SettingsSigning,
    },
    /// Nothing is set any more: each device goes by its own configuration.
    Withdraw {
        #[command(flatten)]
        by: SettingsSigning,
    },
    /// What is set.
    Status {
        #[command(flatten)]
        place: Place,
    },
}

/// Who signs settings.
#[derive(Args, Debug, Clone)]
pub struct SettingsSigning {
    /// The operator's own key, which the role campaigns names: FILE.pem, pkcs11:…, command:…, credential:NAME.
    #[arg(long, value_name = "KEY")]
    pub campaigns_key: KeySpec,
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub online: OnlineArgs,
}
