//! Devices, by hand.

use std::path::Path;

use jiff::Timestamp;
use serde_json::json;

use crate::cli::arguments::{DataArgs, DevicesCommand, Ended};
use crate::exit::{Failure, Result, Said};
use crate::files;
use crate::outcomes::Heard;
use crate::serve::data::Data;
use crate::serve::database::Database;
use crate::serve::database::devices::{Device, Standing, Token};
use crate::serve::database::orders::Kept;
use crate::serve::devices::Desk;
use crate::serve::orders;

pub(super) fn devices(command: &DevicesCommand, who: &str, now: Timestamp) -> Result<Said> {
    match command {
        DevicesCommand::Token { name, batch, hours, data } => at_desk(data, who, now, async |desk| {
            let token = desk.token(name, *hours, *batch).await?;
            let whom = if *batch == 1 {
                format!("{name} in, once,")
            } else {
                format!("{batch} devices in, each once,")
            };
            let words = vec![
                token.clone(),
                format!("lets {whom} within {hours} h; it is shown now and never again"),
                "on the device: stopline-agent enroll --token -".into(),
            ];
            Ok(Said::new(words, json!({"token": token, "name": name, "hours": hours, "counted": batch})))
        }),
        DevicesCommand::Tokens { data } => at_desk(data, who, now, async |desk| {
            let tokens = desk.database.open_tokens(now.as_second()).await?;
            let words = tokens.iter().map(|token| open_token(token, now)).collect();
            Ok(Said::new(words, json!({"tokens": tokens})))
        }),
        DevicesCommand::EndToken { name, data } => at_desk(data, who, now, async |desk| {
            let ended = desk.end_tokens(name).await?;
            let words = vec![format!("{name}: ended ({ended}); whoever came by it stays in")];
            Ok(Said::new(words, json!({"name": name, "ended": ended})))
        }),
        DevicesCommand::List { data } => at_desk(data, who, now, async |desk| {
            let devices = desk.database.devices().await?;
            let words = devices.iter().map(line).collect();
            Ok(Said::new(words, json!({"devices": devices})))
        }),
        DevicesCommand::Show { device, data } => at_desk(data, who, now, async |desk| {
            let device = desk.find(device).await?;
            Ok(Said::new(all(&device), json!(device)))
        }),
        DevicesCommand::Diagnose { device, out: None, data } => at_desk(data, who, now, async |desk| {
            let device = desk.find(device).await?;
            let order = desk.diagnose(&device).await?;
            let words = vec![format!(
                "{} ({}): {}",
                device.id,
                quoted(&device.name),
                orders::in_words(&order, now.as_second())
            )];
            Ok(Said::new(words, json!({"order": order, "standing": order.standing(now.as_second())})))
        }),
        DevicesCommand::Diagnose { device, out: Some(out), data } => at_desk(data, who, now, async |desk| {
            let device = desk.find(device).await?;
            fetch(&desk, &Data::open(&data.data)?, &device, out).await
        }),
        DevicesCommand::Request { id, data } => at_desk(data, who, now, async |desk| {
            let all = desk.database.request(id).await?;
            if all.is_empty() {
                return Err(Failure::usage(format!("{id}: there is no such request")));
            }
            Ok(request(&all, now.as_second()))
        }),
        DevicesCommand::Revoke(ended) => stand(ended, Standing::Revoked, who, now),
        DevicesCommand::Quarantine(ended) => stand(ended, Standing::Quarantined, who, now),
        DevicesCommand::Release(ended) => stand(ended, Standing::Active, who, now),
        DevicesCommand::Retire(ended) => stand(ended, Standing::Retired, who, now),
        DevicesCommand::Replace { old, new, data } => at_desk(data, who, now, async |desk| {
            let (old, new) = (desk.find(old).await?, desk.find(new).await?);
            desk.replace(&old, &new).await?;
            let words = vec![format!("{} takes the place of {} ({})", new.id, old.id, old.name)];
            Ok(Said::new(words, json!({"old": old.id, "new": new.id, "name": old.name})))
        }),
    }
}

/// The newest bundle that a device brought, into a new file.
async fn fetch(desk: &Desk<'_>, data: &Data, device: &Device, out: &Path) -> Result<Said> {
    let all = desk.database.orders_of(&device.id, "diagnose", 20).await?;
    let newest = all.first().ok_or_else(|| {
        Failure::usage(format!(
            "{}: nobody asked it; `stopline-fleet devices diagnose {}`",
            device.id, device.id
        ))
    })?;
    for order in all.iter().filter(|order| order.result == "done") {
        if let Some(bytes) = data.diagnosis(&order.id)? {
            files::write_new(out, &bytes, 0o600)?;
            let words = vec![format!(
                "{}: {} bytes, {}",
                out.display(),
                bytes.len(),
                orders::in_words(order, desk.now.as_second())
            )];
            return Ok(Said::new(words, json!({"order": order, "out": out, "bytes": bytes.len()})));
        }
    }
    Err(Failure::refused(format!(
        "{}: no bundle of it is here (kept for {} days): {}",
        device.id,
        orders::BUNDLE_S / 86_400,
        orders::in_words(newest, desk.now.as_second())
    )))
}

fn request(all: &[Kept], now_s: i64) -> Said {
    let answered = all.iter().filter(|order| order.answered_s != 0).count();
    let removed: i64 = all.iter().map(|order| order.removed).sum();
    let mut words = vec![format!("{answered} of {} orders are answered; {removed} records went", all.len())];
    words.extend(all.iter().map(|order| {
        let unsure = if order.unsure == 0 {
            String::new()
        } else {
            format!(", {} stay: of no known time", order.unsure)
        };
        format!("  {}  {:<7}  {} went{unsure}", order.device, order.standing(now_s), order.removed)
    }));
    Said::new(words, json!({"answered": answered, "asked": all.len(), "removed": removed, "orders": all}))
}

fn stand(ended: &Ended, standing: Standing, who: &str, now: Timestamp) -> Result<Said> {
    at_desk(&ended.data, who, now, async |desk| {
        let device = desk.find(&ended.device).await?;
        desk.stand(&device, standing, &ended.reason).await?;
        let words = vec![format!("{} ({}) is {}", device.id, device.name, standing.word())];
        Ok(Said::new(words, json!({"device": device.id, "standing": standing})))
    })
}

fn open_token(token: &Token, now: Timestamp) -> String {
    let hours = (token.expires_s - now.as_second()) / 3_600;
    format!(
        "{}: {} of {} came, good for {hours} h more, by {}",
        token.name, token.came, token.counted, token.made_by
    )
}

fn at_desk(
    args: &DataArgs,
    who: &str,
    now: Timestamp,
    work: impl AsyncFnOnce(Desk<'_>) -> Result<Said>,
) -> Result<Said> {
    let data = Data::open(&args.data)?;
    let audit = data.audit();
    runtime()?.block_on(async {
        let database = Database::open(args.database.as_deref().unwrap_or(&data.database_url())).await?;
        let said = work(Desk { database: &database, audit: &audit, who, now }).await;
        database.close().await;
        said
    })
}

/// What the server took in, for the gates.
pub(super) fn heard(folder: &Path, database: Option<&str>) -> Result<Heard> {
    let data = Data::open(folder)?;
    runtime()?.block_on(async {
        let database = Database::open(database.unwrap_or(&data.database_url())).await?;
        let heard = database.heard().await;
        database.close().await;
        heard
    })
}

/// What the server's parts run on.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime> {
    // Another part of this process may have chosen already; then that one holds.
    let _ = rustls::crypto::ring::default_provider().install_default();
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::failed)
}

fn line(device: &Device) -> String {
    let name = quoted(&device.name);
    format!("{}  {:<11}  {:<20}  {name}", device.id, device.standing.word(), when(device.seen_s))
}

fn all(device: &Device) -> Vec<String> {
    let mut words = vec![
        format!("{}  {}", device.id, quoted(&device.name)),
        format!("  key {}", device.key),
        format!("  {} since {} {}", device.standing.word(), when(device.changed_s), quoted(&device.reason)),
        format!("  enrolled {}, heard of {}", when(device.enrolled_s), when(device.seen_s)),
        format!("  certificate until {}", when(device.certificate_until_s)),
    ];
    if !device.replaces.is_empty() {
        words.push(format!("  replaces {}", device.replaces));
    }
    words
}

/// A name from outside moves no cursor.
fn quoted(name: &str) -> String {
    name.chars().filter(|char| !char.is_control()).collect()
}

fn when(at_s: i64) -> String {
    match Timestamp::from_second(at_s) {
        Ok(at) if at_s != 0 => at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        _ => "never".into(),
    }
}
