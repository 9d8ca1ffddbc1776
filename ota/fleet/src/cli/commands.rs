//! From arguments to what is done.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use stopline_depot::rollout::{Gates, Stage, Unit, Window};
use stopline_tuf::KeyId;
use stopline_tuf::key::Key;
use stopline_tuf::write::{CommandSigner, Signer};

use super::arguments::{
    Cli, Command, Evaluate, HeardArgs, Init, KeyCommand, ModelsCommand, OnlineArgs, Pack, Place, Publish,
    Refresh, ReleaseArgs, RolloutCommand, RolloutStart, RolloutStep, Sign, Simulate, TestSetArgs, Verify,
};
use crate::child::Stopline;
use crate::commit::Online;
use crate::evaluation::{self, TestSet};
use crate::exit::{Failure, Result, Said};
use crate::init::Holders;
use crate::keys::{KeySpec, Passphrase};
use crate::models::NewRelease;
use crate::outcomes::{self, Devices, Heard};
use crate::publish::Rules;
use crate::published::Published;
use crate::rollouts::{self, Signers, Start, Step};
use crate::staging::Staging;
use crate::store::{self, Store};
use crate::{delta, expiry, files, init, keys, models, pack, publish, roles, rotate, sign, simulate, verify};

pub(super) fn run(cli: &Cli, now: Timestamp) -> Result<Said> {
    let phrase = match &cli.passphrase_file {
        Some(path) => Passphrase::File(path.clone()),
        None => Passphrase::Terminal,
    };
    match &cli.command {
        Command::Key(command) => key(command, &phrase, now),
        Command::Init(args) => init(args, now),
        Command::Sign(args) => sign(args, &phrase),
        Command::Pack(args) => pack(args, now),
        Command::Models(command) => models(command, now),
        Command::Delta(args) => {
            let store = store::open(&args.place.repository)?;
            let staging = Staging::new(&args.place.staging.staging);
            delta::run(&staging, &*store, &args.from, &args.to, args.worth, now)
        }
        Command::Evaluate(args) => evaluate(args, now),
        Command::Publish(args) => publish(args, &phrase, now),
        Command::Refresh(args) => refresh(args, &phrase, now),
        Command::Status(place) => {
            expiry::status(&*store::open(&place.repository)?, &trusted_root(place)?, now)
        }
        Command::Rollout(command) => rollout(command, &phrase, now),
        Command::Verify(args) => verify(args, now),
        Command::Simulate(args) => simulate(args),
    }
}

fn key(command: &KeyCommand, phrase: &Passphrase, now: Timestamp) -> Result<Said> {
    match command {
        KeyCommand::New { name, unencrypted, beside_other_keys } => {
            keys::new(name, (!unencrypted).then_some(phrase), *beside_other_keys)
        }
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
        KeyCommand::Show { key } => keys::show(key, phrase),
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

fn init(args: &Init, now: Timestamp) -> Result<Said> {
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

fn sign(args: &Sign, phrase: &Passphrase) -> Result<Said> {
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

fn pack(args: &Pack, now: Timestamp) -> Result<Said> {
    let parts = pack::Parts {
        model: args.model.clone(),
        manifest: args.manifest.clone(),
        golden: args.golden.clone(),
        card: args.card.clone(),
        output: args.output.clone(),
    };
    let stopline = (!args.pack_a_model_that_may_not_work_at_all).then(|| Stopline::new(&args.stopline));
    let (mut said, bundle) = pack::run(&parts, stopline.as_ref())?;
    if !args.release.hardware.is_empty() {
        let added = add(&bundle, &args.release, &args.place, now)?;
        said.words.extend(added.words);
        said.json["added"] = added.json;
    }
    Ok(said)
}

fn add(bundle: &Path, args: &ReleaseArgs, place: &Place, now: Timestamp) -> Result<Said> {
    let new = NewRelease {
        hardware: args.hardware.clone(),
        min_runtime: args.min_runtime.clone(),
        security_floor: args.security_floor,
        factory: args.factory,
    };
    let staging = Staging::new(&place.staging.staging);
    models::add(&staging, &*store::open(&place.repository)?, bundle, &new, now)
}

fn models(command: &ModelsCommand, now: Timestamp) -> Result<Said> {
    match command {
        ModelsCommand::Add { bundle, release, place } => add(bundle, release, place, now),
        ModelsCommand::List { place, heard } => {
            let (store, published) = open(place)?;
            models::list(&*store, &published, &hear(heard)?)
        }
        ModelsCommand::Show { release, place, heard } => {
            let (store, published) = open(place)?;
            models::show(&*store, &published, &hear(heard)?, release)
        }
        ModelsCommand::Diff { one, other, place } => {
            models::diff(&*store::open(&place.repository)?, one, other)
        }
        ModelsCommand::Renew { role, place } => {
            let (store, published) = open(place)?;
            let staging = Staging::new(&place.staging.staging);
            rotate::renew(&staging, &*store, &published, &roles::parse(role)?, now)
        }
    }
}

fn evaluate(args: &Evaluate, now: Timestamp) -> Result<Said> {
    let (test_set, stopline) = test_set(&args.test_set)
        .ok_or_else(|| Failure::usage("give the frozen test set with --test-set and --images"))?;
    let folder = args.staging.staging.join("evaluations");
    evaluation::run(&args.bundle, &test_set, &folder, &stopline, now)
}

fn test_set(args: &TestSetArgs) -> Option<(TestSet, Stopline)> {
    let (annotations, images) = (args.test_set.clone()?, args.images.clone()?);
    Some((TestSet { annotations, images }, Stopline::new(&args.stopline)))
}

fn publish(args: &Publish, phrase: &Passphrase, now: Timestamp) -> Result<Said> {
    let keys = OnlineKeys::open(&args.online, phrase)?;
    let rules = Rules {
        test: test_set(&args.test_set),
        not_compared: args.publish_a_model_nobody_compared_with_the_champion,
        worse_is_wanted: args.publish_a_model_that_is_worse,
        keep_superseded: args.leave_superseded_models_for_thieves_to_push,
    };
    let staging = Staging::new(&args.staging.staging);
    publish::run(&staging, &*store::open(&args.repository)?, &keys.online(), &rules, now)
}

fn refresh(args: &Refresh, phrase: &Passphrase, now: Timestamp) -> Result<Said> {
    let keys = OnlineKeys::open(&args.online, phrase)?;
    let rollout = open_rollout(&args.online, phrase)?;
    let store = store::open(&args.place.repository)?;
    expiry::refresh(&*store, &trusted_root(&args.place)?, &keys.online(), rollout.as_deref(), args.now, now)
}

fn rollout(command: &RolloutCommand, phrase: &Passphrase, now: Timestamp) -> Result<Said> {
    match command {
        RolloutCommand::Start(args) => {
            let new = start(args)?;
            with_signers(&args.place, &args.online, phrase, |store, root, signers| {
                rollouts::start(store, root, signers, &new, now)
            })
        }
        RolloutCommand::Advance(args) => step(args, Step::Advance, phrase, now),
        RolloutCommand::Pause(args) => step(args, Step::Pause, phrase, now),
        RolloutCommand::Abort(args) => step(args, Step::Abort, phrase, now),
        RolloutCommand::Status { model, place } => {
            let (store, published) = open(place)?;
            rollouts::status(&*store, &published, model.as_deref())
        }
        RolloutCommand::Gate { model, heard, act, place, online } => {
            let heard = hear(heard)?;
            if *act {
                return with_signers(place, online, phrase, |store, root, signers| {
                    rollouts::gate(store, root, &heard, model, Some(signers), now)
                });
            }
            rollouts::gate(&*store::open(&place.repository)?, &trusted_root(place)?, &heard, model, None, now)
        }
    }
}

fn step(args: &RolloutStep, step: Step, phrase: &Passphrase, now: Timestamp) -> Result<Said> {
    with_signers(&args.place, &args.online, phrase, |store, root, signers| {
        rollouts::step(store, root, signers, &args.model, step, now)
    })
}

fn start(args: &RolloutStart) -> Result<Start> {
    let usual = Gates::default();
    let gates = Gates {
        min_reports: args.min_reports.unwrap_or(usual.min_reports),
        max_failed_bp: args.max_failed_bp.unwrap_or(usual.max_failed_bp),
        max_silent_bp: args.max_silent_bp.unwrap_or(usual.max_silent_bp),
        min_hours: args.min_hours.unwrap_or(usual.min_hours),
        max_ratio: args.max_ratio.unwrap_or(usual.max_ratio),
    };
    let local = args.window.as_deref().map(local_window).transpose()?;
    let cohorts = args.cohort.iter().map(|(name, path)| Ok((name.clone(), ids(Path::new(path))?)));
    Ok(Start {
        rollout_id: args.id.clone(),
        model: args.model.clone(),
        targets: args.target.iter().cloned().collect(),
        stages: stages(&args.stages)?,
        gates,
        window: Window { local, parked: args.parked, ..Window::default() },
        cohorts: cohorts.collect::<Result<BTreeMap<_, _>>>()?,
        exclude: args.exclude.as_deref().map(ids).transpose()?.unwrap_or_default(),
        unit: if args.by_camera { Unit::Camera } else { Unit::Device },
        report_within_s: rollouts::REPORT_WITHIN_S,
    })
}

fn verify(args: &Verify, now: Timestamp) -> Result<Said> {
    let root = match &args.root {
        Some(path) => files::read(path, files::MAX_SMALL)?,
        None => staged_root(&Staging::new(&args.staging.staging))?,
    };
    verify::run(&args.place, &root, now)
}

fn simulate(args: &Simulate) -> Result<Said> {
    let named = args.ids.as_deref().map(ids).transpose()?;
    let plan = simulate::Plan {
        name_them: named.is_some(),
        ids: named.unwrap_or_else(|| simulate::Plan::numbered(args.devices)),
        nights: args.nights,
        parked_percent: args.parked,
        away_percent: args.away,
        hours_a_day: 1.5,
        alerts_an_hour: 0.2,
        bundle_bytes: args.bundle_bytes,
        stages: stages(&args.stages)?,
        gates: Gates::default(),
        window: Window { local: Some(local_window(&args.window)?), parked: true, ..Window::default() },
        salt: args.salt.clone(),
        sample: 20_000,
    };
    simulate::run(&plan)
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
    match (&args.outcomes, &args.devices) {
        (Some(folder), Some(devices)) => outcomes::read(folder, &Devices::read(devices)?),
        _ => Ok(Heard::default()),
    }
}

/// Open keys of snapshot and timestamp.
struct OnlineKeys {
    snapshot: Box<dyn Signer>,
    timestamp: Box<dyn Signer>,
}

impl OnlineKeys {
    fn open(args: &OnlineArgs, phrase: &Passphrase) -> Result<Self> {
        let snapshot = open_online(args.snapshot_key.as_ref(), args, "snapshot", phrase)?;
        let timestamp = open_online(args.timestamp_key.as_ref(), args, "timestamp", phrase)?;
        let missing = |role: &str| Failure::usage(format!("give --{role}-key KEY, or --online DIR"));
        Ok(Self {
            snapshot: snapshot.ok_or_else(|| missing("snapshot"))?,
            timestamp: timestamp.ok_or_else(|| missing("timestamp"))?,
        })
    }

    fn online(&self) -> Online<'_> {
        Online { snapshot: &*self.snapshot, timestamp: &*self.timestamp }
    }
}

fn open_online(
    spec: Option<&KeySpec>,
    args: &OnlineArgs,
    role: &str,
    phrase: &Passphrase,
) -> Result<Option<Box<dyn Signer>>> {
    let in_folder = args.online.as_ref().map(|folder| KeySpec::File(folder.join(format!("{role}.pem"))));
    spec.or(in_folder.as_ref()).map(|spec| spec.open(phrase)).transpose()
}

fn open_rollout(args: &OnlineArgs, phrase: &Passphrase) -> Result<Option<Box<dyn Signer>>> {
    open_online(args.rollout_key.as_ref(), args, "rollout", phrase)
}

fn with_signers(
    place: &Place,
    online: &OnlineArgs,
    phrase: &Passphrase,
    then: impl FnOnce(&dyn Store, &[u8], &Signers<'_>) -> Result<Said>,
) -> Result<Said> {
    let keys = OnlineKeys::open(online, phrase)?;
    let rollout = open_rollout(online, phrase)?;
    let rollout = rollout.ok_or_else(|| Failure::usage("give --rollout-key KEY, or --online DIR"))?;
    let signers = Signers { rollout: &*rollout, online: keys.online() };
    then(&*store::open(&place.repository)?, &trusted_root(place)?, &signers)
}

/// Ids, one a line; empty lines do not count.
fn ids(path: &Path) -> Result<Vec<String>> {
    let text = String::from_utf8(files::read(path, 1 << 30)?);
    let text = text.map_err(|_| Failure::usage(format!("{}: no text", path.display())))?;
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

fn stages(texts: &[String]) -> Result<Vec<Stage>> {
    let stage = |text: &String| {
        let (bp, seconds) = text.split_once(':').unwrap_or((text, "0"));
        let parsed = bp.parse().ok().zip(seconds.parse().ok());
        let (bp, min_dwell_s) =
            parsed.ok_or_else(|| Failure::usage(format!("stage {text:?}; BP[:SECONDS] is expected")))?;
        Ok(Stage { bp, min_dwell_s })
    };
    texts.iter().map(stage).collect()
}

/// `01:00-05:00` as minutes of the day.
fn local_window(text: &str) -> Result<(u16, u16)> {
    let minute = |text: &str| -> Option<u16> {
        let (hour, minute) = text.split_once(':')?;
        let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
        (hour < 24 && minute < 60).then(|| hour * 60 + minute)
    };
    let parsed = text.split_once('-').and_then(|(from, to)| minute(from).zip(minute(to)));
    parsed.ok_or_else(|| Failure::usage(format!("window {text:?}; HH:MM-HH:MM is expected")))
}
