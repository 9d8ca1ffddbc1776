//! `stopline-fleet serve`.

mod mqtt;

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;
use stopline_journal::Journal;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt};

use super::devices::runtime;
use super::signers::{OnlineKeys, open_rollout, with_signers};
use super::trusted_root;
use crate::cli::arguments::{Backup, DataArgs, Serve, ServeCommand, SetUp, Signing};
use crate::clock::{Clock as _, SystemClock};
use crate::exit::{Failure, Result, Said};
use crate::keys::Passphrase;
use crate::outcomes::Heard;
use crate::rollouts::{self, Step};
use crate::serve::authority::{self, Authority};
use crate::serve::backup;
use crate::serve::data::Data;
use crate::serve::database::Database;
use crate::serve::database::people::Role;
use crate::serve::hooks::Hook;
use crate::serve::mqtt::topics::Topics;
use crate::serve::records::Records;
use crate::serve::recover;
use crate::serve::server::{self, Addresses, Options, Repository};
use crate::serve::web;
use crate::store::{self, Store};
use crate::{expiry, files};

pub(super) fn serve(
    args: &Serve,
    json: bool,
    phrase: &Passphrase,
    who: &str,
    now: Timestamp,
) -> Result<Said> {
    match &args.command {
        None => run(args, json, phrase),
        Some(ServeCommand::Init(set_up)) => init(set_up, args, phrase),
        Some(ServeCommand::Invite { person, role, data }) => invite(data, (person, role), who, now),
        Some(ServeCommand::Reader { reader, remove, data }) => mqtt::reader(data, reader, *remove, who, now),
        Some(ServeCommand::Mosquitto(args)) => mqtt::mosquitto(args, who, now),
        Some(ServeCommand::Crl { to, data }) => mqtt::crl(data, to, who, now),
        Some(ServeCommand::RotateAuthority { data }) => rotate_authority(data, who, now),
    }
}

fn run(args: &Serve, json: bool, phrase: &Passphrase) -> Result<Said> {
    let options = options(&args.set_up, args, phrase)?;
    let filter = EnvFilter::try_from_env("STOPLINE_FLEET_LOG").unwrap_or_else(|_| "info,sqlx=warn".into());
    let lines = match Journal::connect("stopline-fleet") {
        Some(journal) => journal.boxed(),
        None => fmt::layer().with_writer(std::io::stderr).with_ansi(stopline_journal::colours()).boxed(),
    };
    tracing_subscriber::registry().with(filter).with(lines).init();
    let told = |words: &[String], at: Addresses| {
        let Addresses { devices, mqtt, people } = at;
        if json {
            println!("{}", json!({"devices": devices, "mqtt": mqtt, "people": people, "words": words}));
        } else {
            words.iter().for_each(|line| println!("{line}"));
            let mqtt = mqtt.map(|at| format!(" and mqtts://{at}")).unwrap_or_default();
            println!("devices come to https://{devices}{mqtt}, people to {people}");
        }
    };
    runtime()?.block_on(async {
        let mut end = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
            .map_err(Failure::failed)?;
        let stop = async {
            tokio::select! {
                _ = end.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        };
        server::serve(options, told, stop).await
    })?;
    Ok(Said::new(vec!["ended".into()], json!({"ended": true})))
}

fn init(set_up: &SetUp, args: &Serve, phrase: &Passphrase) -> Result<Said> {
    let options = options(set_up, args, phrase)?;
    let (data, database, mut words) = runtime()?.block_on(server::prepare(&options))?;
    runtime()?.block_on(database.close());
    words.push(format!("now: stopline-fleet serve --data {}", data.folder().display()));
    let json = json!({"data": data.folder(), "authorities": data.authorities_file(), "words": words});
    Ok(Said::new(words, json))
}

fn invite(args: &DataArgs, (person, role): (&str, &str), who: &str, now: Timestamp) -> Result<Said> {
    let data = Data::open(&args.data)?;
    let role: Role = role.parse().map_err(Failure::usage)?;
    let name = web::checked_name(person)?;
    data.audit().append(who, "people.invite", json!({"name": name, "role": role.word()}), now)?;
    let secret = runtime()?.block_on(async {
        let database = Database::open(args.database.as_deref().unwrap_or(&data.database_url())).await?;
        let secret = web::invite(&database, name, role, who, now.as_second()).await;
        database.close().await;
        secret
    })?;
    let words = vec![
        format!(
            "for {name}, as {}: open this on the server's page within a day; it counts once",
            role.word()
        ),
        format!("  /welcome?invitation={secret}"),
    ];
    Ok(Said::new(words, json!({"name": name, "role": role, "invitation": secret})))
}

fn rotate_authority(args: &DataArgs, who: &str, now: Timestamp) -> Result<Said> {
    let data = Data::open(&args.data)?;
    let folder = authority::folder(data.folder());
    let numbers = files::names(&folder)?;
    let numbers = numbers.iter().filter_map(|name| name.strip_suffix(".pem")?.parse::<u64>().ok());
    let number = numbers.max().unwrap_or(0) + 1;
    data.audit().append(who, "serve.rotate_authority", json!({"number": number}), now)?;
    Authority::make(&folder, number, now.as_second())?;
    Data::prepare(data.folder(), now.as_second())?;
    let words = vec![
        format!(
            "authority {number} issues from the next start of `serve` on; devices learn it when they renew"
        ),
        format!("devices that are set up from now on pin {}", data.authorities_file().display()),
        "take the old one's .pem away once every device has renewed".into(),
    ];
    Ok(Said::new(words, json!({"number": number, "authorities": data.authorities_file()})))
}

pub(super) fn backup(args: &Backup, who: &str, now: Timestamp) -> Result<Said> {
    let data = Data::open(&args.data.data)?;
    data.audit().append(who, "backup", json!({"to": args.to, "records": args.records}), now)?;
    runtime()?.block_on(async {
        let url = args.data.database.clone().unwrap_or_else(|| data.database_url());
        let database = Database::open(&url).await?;
        let said = backup::backup(&data, &database, &args.to, args.records, now.as_second()).await;
        database.close().await;
        said
    })
}

pub(super) fn recover(store: Option<&str>, args: &DataArgs, who: &str, now: Timestamp) -> Result<Said> {
    let data = Data::open(&args.data)?;
    let file = data.folder().join("stopline.db");
    if args.database.is_none() && file.exists() {
        return Err(Failure::refused(format!(
            "{}: it is there. If it is damaged, move it away first, with its -wal and -shm; nothing is written over it",
            file.display()
        )));
    }
    let place = store.map_or_else(|| data.store().display().to_string(), str::to_owned);
    let records = Records::open(&place)?;
    runtime()?.block_on(async {
        let url = args.database.clone().unwrap_or_else(|| data.database_url());
        let database = Database::open(&url).await?;
        let said = recover::recover(&data, &database, &records).await;
        database.close().await;
        let said = said?;
        data.audit().append(who, "recover", said.json.clone(), now)?;
        Ok(said)
    })
}

fn options(set_up: &SetUp, args: &Serve, phrase: &Passphrase) -> Result<Options> {
    let repository = Steered { at: args.at.clone(), phrase: phrase.clone() };
    let broker = args.broker.as_ref().map(|url| mqtt::broker(url, args)).transpose()?;
    let authorities =
        args.hook_authorities.as_deref().map(|path| files::read(path, files::MAX_SMALL)).transpose()?;
    let hook = args.hook.clone().map(|url| Hook { url, authorities, records: args.hook_records });
    Ok(Options {
        hook,
        topics: Topics::of(&args.fleet_name)
            .map_err(|problem| Failure::usage(format!("--fleet-name: {problem}")))?,
        mqtt: args.mqtt.0,
        broker,
        data: set_up.data.data.clone(),
        database: set_up.data.database.clone(),
        store: args.store.clone(),
        presigned: args.presigned,
        names: names(&set_up.name),
        devices: args.devices,
        people: set_up.operators,
        people_tls: set_up.operators_tls,
        repository: Box::new(repository),
        clock: Arc::new(SystemClock),
    })
}

fn names(given: &[String]) -> Vec<String> {
    let mut names = given.to_vec();
    let host = files::read_if_there(std::path::Path::new("/proc/sys/kernel/hostname"), 256);
    let host = host.ok().flatten().and_then(|bytes| String::from_utf8(bytes).ok());
    let host = host.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
    if names.is_empty() {
        names.extend(host);
    }
    names.extend(["localhost", "127.0.0.1", "::1"].map(str::to_owned));
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

/// The command line's own code, for the web.
struct Steered {
    at: Signing,
    phrase: Passphrase,
}

impl Repository for Steered {
    fn store(&self) -> Result<Box<dyn Store>> {
        store::open(&self.at.place.repository)
    }

    fn trusted_root(&self) -> Result<Vec<u8>> {
        trusted_root(&self.at.place)
    }

    fn can_sign(&self) -> bool {
        let online = &self.at.online;
        online.online.is_some()
            || (online.rollout_key.is_some()
                && online.snapshot_key.is_some()
                && online.timestamp_key.is_some())
    }

    fn step(&self, model: &str, step: Step) -> Result<Said> {
        with_signers(&self.at, &self.phrase, |store, root, signers| {
            rollouts::step(store, root, signers, model, step, SystemClock.now())
        })
    }

    fn gate(&self, model: &str, heard: &Heard) -> Result<Said> {
        rollouts::gate(&*self.store()?, &self.trusted_root()?, heard, model, None, SystemClock.now())
    }

    fn refresh(&self) -> Result<Said> {
        let keys = OnlineKeys::open(&self.at.online, &self.phrase)?;
        let rollout = open_rollout(&self.at.online, &self.phrase)?;
        let store = self.store()?;
        let root = self.trusted_root()?;
        expiry::refresh(&*store, &root, &keys.online(), rollout.as_deref(), false, SystemClock.now())
    }
}
