//! Campaigns.

use jiff::Timestamp;

use super::open;
use super::settings::signed;
use crate::campaigns::{self, Wanted};
use crate::cli::arguments::CampaignCommand;
use crate::exit::{Result, Said};
use crate::keys::Passphrase;

pub(super) fn campaign(command: &CampaignCommand, phrase: &Passphrase, now: Timestamp) -> Result<Said> {
    match command {
        CampaignCommand::Publish { file, by } => {
            let wanted = Wanted::read(file)?;
            signed(by, phrase, |store, root, signers| campaigns::publish(store, root, signers, &wanted, now))
        }
        CampaignCommand::Withdraw { by } => {
            signed(by, phrase, |store, root, signers| campaigns::withdraw(store, root, signers, now))
        }
        CampaignCommand::Status { place } => {
            let (store, published) = open(place)?;
            campaigns::status(&*store, &published, now)
        }
    }
}
