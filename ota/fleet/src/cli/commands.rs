//! From arguments to what is done.

mod audited;
mod campaigns;
mod dataset;
#[cfg(feature = "serve")]
mod devices;
mod keys;
mod models;
mod publishing;
mod rollouts;
#[cfg(feature = "serve")]
mod serve;
mod settings;
mod signers;

use jiff::Timestamp;

use super::arguments::{AuditCommand, Cli, Command, HeardArgs, Place};
use crate::audit::{self, Log};
use crate::exit::{Failure, Result, Said};
use crate::files;
use crate::keys::Passphrase;
use crate::outcomes::{self, Devices, Heard};
use crate::published::Published;
use crate::staging::Staging;
use crate::store::{self, Store};

pub(super) fn run(cli: &Cli, now: Timestamp) -> Result<Said> {
    let phrase = match &cli.passphrase_file {
        Some(path) => Passphrase::File(path.clone()),
        None => Passphrase::Terminal,
    };
    audited::audited(cli, now, || dispatch(cli, &phrase, now))
}

fn dispatch(cli: &Cli, phrase: &Passphrase, now: Timestamp) -> Result<Said> {
    match &cli.command {
        Command::Key(command) => keys::key(command, phrase, now),
        Command::Init(args) => keys::init(args, now),
        Command::Sign(args) => keys::sign(args, phrase),
        Command::Pack(args) => models::pack(args, now),
        Command::Models(command) => models::models(command, now),
        Command::Delta(args) => models::delta(args, now),
        Command::Evaluate(args) => models::evaluate(args, now),
        Command::Publish(args) => publishing::publish(args, phrase, now),
        Command::Refresh(args) => publishing::refresh(args, phrase, now),
        Command::Status(place) => publishing::status(place, now),
        Command::Rollout(command) => rollouts::rollout(command, phrase, now),
        Command::Campaign(command) => campaigns::campaign(command, phrase, now),
        Command::Settings(command) => settings::settings(command, phrase, now),
        Command::Verify(args) => publishing::verify(args, now),
        Command::Simulate(args) => rollouts::simulate(args),
        Command::Dataset(command) => dataset::dataset(command, now),
        Command::Forget(args) => dataset::forget(args, &audited::who(), now),
        Command::Drift(args) => dataset::drift(args),
        Command::Audit(AuditCommand::Verify { file, head }) => {
            let path = file.as_ref().or(cli.audit.as_ref()).cloned();
            audit::verify(&Log::new(path.unwrap_or_else(|| "audit.jsonl".into())), head.as_deref())
        }
        #[cfg(feature = "serve")]
        Command::Serve(args) => serve::serve(args, cli.json, phrase, &audited::who(), now),
        #[cfg(feature = "serve")]
        Command::Devices(command) => devices::devices(command, &audited::who(), now),
        #[cfg(feature = "serve")]
        Command::Backup(args) => serve::backup(args, &audited::who(), now),
        #[cfg(feature = "serve")]
        Command::Recover { store, data } => serve::recover(store.as_deref(), data, &audited::who(), now),
        #[cfg(feature = "serve")]
        Command::Restore { from, data } => crate::serve::backup::restore(from, data),
    }
}

/// A published repository that must be there.
fn open(place: &Place) -> Result<(Box<dyn Store>, Published)> {
    let store = store::open(&place.repository)?;
    let published = Published::read(&*store, &trusted_root(place)?)?;
    let published =
        published.ok_or_else(|| Failure::usage(format!("{}: nothing is published", store.name())))?;
    Ok((store, published))
}

fn trusted_root(place: &Place) -> Result<Vec<u8>> {
    match &place.root {
        Some(path) => files::read(path, files::MAX_SMALL),
        None => staged_root(&Staging::new(&place.staging.staging)),
    }
}

fn staged_root(staging: &Staging) -> Result<Vec<u8>> {
    staging.trusted_root_bytes()?.ok_or_else(|| {
        Failure::usage(format!(
            "{}: there is no trusted root; give --root FILE, or the folder that was published from",
            staging.folder().display()
        ))
    })
}

fn hear(args: &HeardArgs) -> Result<Heard> {
    #[cfg(feature = "serve")]
    if let Some(folder) = &args.fleet {
        return devices::heard(folder, args.database.as_deref());
    }
    match (&args.outcomes, &args.devices) {
        (Some(folder), Some(devices)) => outcomes::read(folder, &Devices::read(devices)?),
        _ => Ok(Heard::default()),
    }
}
