//! Settings of devices from afar.

use jiff::Timestamp;

use super::signers::OnlineKeys;
use super::{open, trusted_root};
use crate::cli::arguments::{SettingsCommand, SettingsSigning};
use crate::exit::{Result, Said};
use crate::keys::Passphrase;
use crate::settings::{self, Wanted};
use crate::signed::Signers;
use crate::store::{self, Store};

pub(super) fn settings(command: &SettingsCommand, phrase: &Passphrase, now: Timestamp) -> Result<Said> {
    match command {
        SettingsCommand::Publish { file, again, by } => {
            let wanted = Wanted::read(file)?;
            signed(by, phrase, |store, root, signers| {
                settings::publish(store, root, signers, &wanted, again, now)
            })
        }
        SettingsCommand::Withdraw { by } => {
            signed(by, phrase, |store, root, signers| settings::withdraw(store, root, signers, now))
        }
        SettingsCommand::Status { place } => {
            let (store, published) = open(place)?;
            settings::status(&*store, &published)
        }
    }
}

pub(super) fn signed(
    by: &SettingsSigning,
    phrase: &Passphrase,
    then: impl FnOnce(&dyn Store, &[u8], &Signers<'_>) -> Result<Said>,
) -> Result<Said> {
    let online = OnlineKeys::open(&by.online, phrase)?;
    let campaigns = by.campaigns_key.open(phrase)?;
    let signers = Signers { campaigns: &*campaigns, online: online.online() };
    then(&*store::open(&by.place.repository)?, &trusted_root(&by.place)?, &signers)
}
