//! What `serve` does about MQTT, beside serving.

use std::path::Path;

use jiff::Timestamp;
use serde_json::json;
use stopline_depot::versioned::check_name;

use super::super::devices::runtime;
use crate::cli::arguments::{DataArgs, Mosquitto, Serve};
use crate::exit::{Failure, Result, Said};
use crate::files;
use crate::serve::authority::revoked;
use crate::serve::data::{self, Data};
use crate::serve::database::Database;
use crate::serve::mqtt::mosquitto;
use crate::serve::mqtt::outside::Broker;
use crate::serve::mqtt::topics::Topics;
use crate::serve::secret;

pub(super) fn broker(url: &str, args: &Serve) -> Result<Broker> {
    let (host, port) = Broker::read(url).map_err(|problem| Failure::usage(format!("--broker: {problem}")))?;
    check_name("--replica", &args.replica).map_err(Failure::usage)?;
    Ok(Broker {
        host,
        port,
        replica: args.replica.clone(),
        authorities: args.broker_authorities.clone(),
        crl: args.broker_crl.clone(),
    })
}

pub(super) fn reader(
    args: &DataArgs,
    name: &str,
    is_removed: bool,
    who: &str,
    now: Timestamp,
) -> Result<Said> {
    check_name("reader", name).map_err(Failure::usage)?;
    let data = Data::open(&args.data)?;
    let what = if is_removed { "serve.reader.remove" } else { "serve.reader" };
    data.audit().append(who, what, json!({"name": name}), now)?;
    let password = secret::new()?;
    let changed = runtime()?.block_on(async {
        let database = Database::open(args.database.as_deref().unwrap_or(&data.database_url())).await?;
        let mut writing = database.write().await?;
        let changed = if is_removed {
            writing.remove_reader(name).await?
        } else {
            let hash = secret::hash("reader", &password);
            writing.put_reader(name, &hash, who, now.as_second()).await?;
            true
        };
        writing.commit().await?;
        database.close().await;
        Ok::<_, Failure>(changed)
    })?;
    if !changed {
        return Err(Failure::refused(format!("there is no reader {name}")));
    }
    if is_removed {
        let words = format!("{name} is let in no more; a connection that it has lasts until it ends");
        return Ok(Said::new(vec![words], json!({"name": name, "removed": true})));
    }
    let words = vec![
        password.clone(),
        format!("lets {name} read stopline/FLEET/# over MQTT; it is shown now and never again"),
    ];
    Ok(Said::new(words, json!({"name": name, "password": password})))
}

pub(super) fn mosquitto(args: &Mosquitto, who: &str, now: Timestamp) -> Result<Said> {
    let topics =
        Topics::of(&args.fleet_name).map_err(|problem| Failure::usage(format!("--fleet-name: {problem}")))?;
    for replica in &args.replica {
        check_name("--replica", replica).map_err(Failure::usage)?;
    }
    let from = Data::open(&args.data.data)?;
    if args.to.exists() {
        return Err(Failure::usage(format!("{}: it is there already; name a new folder", args.to.display())));
    }
    let detail = json!({"to": args.to, "names": args.name, "replicas": args.replica});
    from.audit().append(who, "serve.mosquitto", detail, now)?;
    data::make(&args.to)?;
    data::make(&args.to.join("kept"))?;
    let authority = from.authority()?;
    let at = |name: &str| args.to.join(name);
    authority.make_server(&at("broker.pem"), &at("broker.key"), &args.name, now.as_second())?;
    files::write(&at("authorities.pem"), authority.pem().as_bytes())?;
    write_crl(&from, &args.data, &at("revoked.crl"), now)?;
    files::write(&at("acl"), mosquitto::access(&topics, &args.replica).as_bytes())?;
    let folder = std::path::absolute(&args.to).map_err(Failure::failed)?;
    files::write(&at("mosquitto.conf"), mosquitto::configuration(&folder, args.port).as_bytes())?;
    let words = vec![
        format!(
            "wrote {}; give it to the broker's user (chown), for the folder is this user's alone",
            folder.display()
        ),
        format!("mosquitto -c {}", at("mosquitto.conf").display()),
        format!(
            "then: stopline-fleet serve --fleet-name {} --broker mqtts://{}:{} --broker-crl FILE",
            args.fleet_name, args.name[0], args.port
        ),
        "FILE is the broker's revoked.crl: after a change bring it there and send the broker a SIGHUP, or a device that is \
         revoked still connects"
            .into(),
        "its certificate is good for a year; a new authority is to be carried here too".into(),
    ];
    Ok(Said::new(words, json!({"folder": folder, "names": args.name, "port": args.port})))
}

/// The list of now, in a file.
pub(super) fn crl(args: &DataArgs, to: &Path, who: &str, now: Timestamp) -> Result<Said> {
    let data = Data::open(&args.data)?;
    data.audit().append(who, "serve.crl", json!({"to": to}), now)?;
    let listed = write_crl(&data, args, to, now)?;
    let words = vec![
        format!("{}: {listed} device(s) that are let in no more; good for a year", to.display()),
        "tell the broker to read it again (Mosquitto: SIGHUP); a connection that a device has lasts until it ends".into(),
    ];
    Ok(Said::new(words, json!({"file": to, "devices": listed})))
}

fn write_crl(data: &Data, args: &DataArgs, to: &Path, now: Timestamp) -> Result<usize> {
    let authority = data.authority()?;
    runtime()?.block_on(async {
        let database = Database::open(args.database.as_deref().unwrap_or(&data.database_url())).await?;
        let listed = revoked::write(&authority, &database, to, now.as_second()).await;
        database.close().await;
        listed
    })
}
