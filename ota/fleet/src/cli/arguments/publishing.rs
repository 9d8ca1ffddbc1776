//! What is published, kept fresh and looked at.

use std::path::PathBuf;

use clap::Args;

use super::models::TestSetArgs;
use super::{OnlineArgs, Signing, StagingArgs};

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
    pub at: Signing,
    /// Whatever has passed of their life.
    #[arg(long)]
    pub now: bool,
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
