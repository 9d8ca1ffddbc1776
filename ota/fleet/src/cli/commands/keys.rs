//! Keys, and who signs what.

use std::path::PathBuf;

use jiff::Timestamp;
use stopline_tuf::KeyId;
use stopline_tuf::key::Key;
use stopline_tuf::write::CommandSigner;

use crate::cli::arguments::{Init, KeyCommand, Sign};
use crate::exit::{Failure, Result, Said};
use crate::init::Holders;
use crate::keys::{KeySpec, Passphrase};
use crate::staging::Staging;
use crate::{init, keys, roles, rotate, sign};

pub(super) fn key(command: &KeyCommand, phrase: &Passphrase, now: Timestamp) -> Result<Said> {
    match command {
        KeyCommand::New { name, unencrypted, beside_other_keys } => {
            keys::new(name, (!unencrypted).then_some(phrase), *beside_other_keys)
        }
        KeyCommand::Capture { file } => crate::dataset::identity::new(file),
        KeyCommand::Online { folder } => {
            let mut words = Vec::new();
            let mut made = serde_json::Map::new();
            for role in ["rollout", "snapshot", "timestamp"] {
                let said = keys::new(&folder.join(role), None, true)?;
                words.push(format!("{role}:"));
                words.extend(said.words);
                made.insert(role.into(), said.json);
            }
            words.push("they are not encrypted: give them to systemd's LoadCredential, and to nobody".into());
            Ok(Said::new(words, made.into()))
        }
        KeyCommand::Show { key, write } => keys::show(key, write.as_deref(), phrase),
        KeyCommand::Rotate { staging, role, old, new } => {
            let old = old.as_ref().map(|id| KeyId::new(id.as_str())).transpose().map_err(Failure::usage)?;
            let new = keys::read_public(new)?;
            rotate::run(&Staging::new(&staging.staging), &roles::parse(role)?, old.as_ref(), Some(&new), now)
        }
        KeyCommand::Revoke { staging, role, key } => {
            let old = KeyId::new(key.as_str()).map_err(Failure::usage)?;
            rotate::run(&Staging::new(&staging.staging), &roles::parse(role)?, Some(&old), None, now)
        }
    }
}

pub(super) fn init(args: &Init, now: Timestamp) -> Result<Said> {
    let read =
        |paths: &[PathBuf]| paths.iter().map(|path| keys::read_public(path)).collect::<Result<Vec<Key>>>();
    let holders = read(&args.holder)?;
    let or_holders = |paths: &[PathBuf]| if paths.is_empty() { Ok(holders.clone()) } else { read(paths) };
    let online = |paths: &[PathBuf], role: &str| match (&args.online, paths.is_empty()) {
        (Some(folder), true) => Ok(vec![keys::read_public(&folder.join(format!("{role}.pub")))?]),
        _ => read(paths),
    };
    let holders = Holders {
        root: or_holders(&args.root)?,
        targets: or_holders(&args.targets)?,
        models: or_holders(&args.models)?,
        rollout: online(&args.rollout, "rollout")?,
        campaigns: read(&args.campaigns)?,
        snapshot: online(&args.snapshot, "snapshot")?,
        timestamp: online(&args.timestamp, "timestamp")?,
    };
    init::run(&Staging::new(&args.staging.staging), &holders, now)
}

pub(super) fn sign(args: &Sign, phrase: &Passphrase) -> Result<Said> {
    let staging = Staging::new(&args.staging.staging);
    if let Some(other) = &args.merge {
        return sign::merge(&staging, other);
    }
    let only = args.role.as_deref().map(roles::parse).transpose()?;
    if let (Some(program), Some(public)) = (&args.sign_command, &args.public_key) {
        let spec = KeySpec::Command { program: program.clone(), public: public.clone() };
        let signer = CommandSigner::new(program, Vec::new(), keys::read_public(public)?);
        return sign::run(&staging, only.as_ref(), &spec, &signer);
    }
    let spec = args.key.as_ref().ok_or_else(|| Failure::usage("give --key or --sign-command"))?;
    let signer = spec.open(phrase)?;
    sign::run(&staging, only.as_ref(), spec, &*signer)
}
