//! What signs or changes something is written down: before it is done, and how it ended.

use std::path::PathBuf;

use jiff::Timestamp;
use serde_json::json;

use crate::audit::Log;
use crate::cli::arguments::{
    CampaignCommand, Cli, Command, DatasetCommand, KeyCommand, ModelsCommand, RolloutCommand, SettingsCommand,
};
use crate::exit::{Result, Said};

/// Does `then`, written down if it is of that kind.
pub(super) fn audited(cli: &Cli, now: Timestamp, then: impl FnOnce() -> Result<Said>) -> Result<Said> {
    let Some(what) = what(&cli.command) else { return then() };
    let log = Log::new(cli.audit.clone().unwrap_or_else(|| PathBuf::from("audit.jsonl")));
    let who = who();
    // No argument of these commands is a secret: passphrases and PINs come from files or the terminal.
    let line: Vec<String> = std::env::args().skip(1).collect();
    log.append(&who, what, json!({"command": line.join(" ")}), now)?;
    let done = then();
    let (ended, detail) = match &done {
        Ok(said) => ("done", json!({"said": said.words.last(), "exit": said.exit as u8})),
        Err(failure) => ("failed", json!({"problem": failure.message, "exit": failure.exit as u8})),
    };
    let noted = log.append(&who, &format!("{what}.{ended}"), detail, now);
    done.and_then(|said| noted.map(|_| said))
}

/// How the log names who runs this program.
pub(super) fn who() -> String {
    let name = ["SUDO_USER", "USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
    format!("cli:{} (uid {})", name.unwrap_or_default(), rustix::process::getuid().as_raw())
}

fn what(command: &Command) -> Option<&'static str> {
    Some(match command {
        Command::Key(KeyCommand::New { .. }) => "key.new",
        Command::Key(KeyCommand::Online { .. }) => "key.online",
        Command::Key(KeyCommand::Rotate { .. }) => "key.rotate",
        Command::Key(KeyCommand::Revoke { .. }) => "key.revoke",
        Command::Key(KeyCommand::Capture { .. }) => "key.capture",
        Command::Dataset(DatasetCommand::Export { .. }) => "dataset.export",
        Command::Dataset(DatasetCommand::Merge { .. }) => "dataset.merge",
        Command::Dataset(DatasetCommand::Freeze { .. }) => "dataset.freeze",
        Command::Forget(_) => "forget",
        Command::Init(_) => "init",
        Command::Sign(_) => "sign",
        Command::Models(ModelsCommand::Add { .. }) => "models.add",
        Command::Models(ModelsCommand::Renew { .. }) => "models.renew",
        Command::Publish(_) => "publish",
        Command::Refresh(_) => "refresh",
        Command::Rollout(RolloutCommand::Start(_)) => "rollout.start",
        Command::Rollout(RolloutCommand::Advance(_)) => "rollout.advance",
        Command::Rollout(RolloutCommand::Pause(_)) => "rollout.pause",
        Command::Rollout(RolloutCommand::Abort(_)) => "rollout.abort",
        Command::Campaign(CampaignCommand::Publish { .. }) => "campaign.publish",
        Command::Campaign(CampaignCommand::Withdraw { .. }) => "campaign.withdraw",
        Command::Settings(SettingsCommand::Publish { .. }) => "settings.publish",
        Command::Settings(SettingsCommand::Withdraw { .. }) => "settings.withdraw",
        Command::Rollout(RolloutCommand::Gate { act: true, .. }) => "rollout.gate",
        _ => return None,
    })
}
