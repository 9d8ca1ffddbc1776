//! `recover`: a new database where the old one is lost or damaged and no backup is at hand, from what else a data folder and its
//! store hold: the audit log says which devices were let in, by which key and name, and how they stand; the labels beside the
//! sealed records say what arrived.
//!
//! Not to be had again: messages and outcomes (gates wait for new ones), receipts (a device that asks sends again, and nothing is
//! kept twice), tokens, and people, who are invited anew.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::data::Data;
use super::database::Database;
use super::database::devices::{Device, Standing};
use super::database::records::Sealed;
use super::records::Records;
use crate::audit::Entry;
use crate::exit::{Failure, Result, Said};

/// Fills an empty database.
///
/// # Errors
/// An audit log that does not hold: of it nothing is believed. A database that is not empty; the store's.
pub async fn recover(data: &Data, database: &Database, records: &Records) -> Result<Said> {
    let there = database.devices().await?.len();
    if there > 0 {
        return Err(Failure::refused(format!(
            "the database knows {there} devices; only an empty one is filled. Is it really lost? `stopline-fleet devices list`"
        )));
    }
    let audit = data.audit();
    let lines = audit.verify()?.entries;
    let mut devices = Devices::default();
    audit.each(|entry| {
        devices.hear(&entry);
        Ok(())
    })?;
    let mut writing = database.write().await?;
    for device in devices.0.values() {
        writing.put_device(device).await?;
    }
    let labels = records.labels()?;
    for label in &labels {
        let number = |value: u64, what: &str| {
            i64::try_from(value).map_err(|_| {
                Failure::failed(format!("records/{}.json: {what} {value} is too large", label.digest))
            })
        };
        let sealed = Sealed {
            digest: label.digest.to_string(),
            device: label.device.clone(),
            boot_id: label.boot_id.clone(),
            seq: number(label.seq, "seq")?,
            length: number(label.length, "length")?,
            class: i64::from(label.class),
            expires_s: number(label.expires, "expires")?,
            received_s: label.received,
        };
        writing.add_record(&sealed).await?;
    }
    writing.commit().await?;
    let (known, kept) = (devices.0.len(), labels.len());
    let words = vec![
        format!("{known} devices from {lines} lines of the audit log, {kept} records from their labels"),
        "gone: messages, outcomes, receipts, tokens and people; devices go on with their certificates and tell anew".into(),
        "the next start of `serve` shows a link for the first person".into(),
    ];
    Ok(Said::new(words, json!({"devices": known, "lines": lines, "records": kept})))
}

/// Devices by id, as one line after the other leaves them.
#[derive(Default)]
struct Devices(BTreeMap<String, Device>);

impl Devices {
    fn hear(&mut self, entry: &Entry) {
        let text =
            |field: &str| entry.detail.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let speaker = entry.who.strip_prefix("device:");
        match (entry.what.as_str(), speaker) {
            ("devices.enroll", Some(id)) => self.come(id, text("key"), text("name"), entry),
            ("devices.renew", Some(id)) => {
                if let Some(device) = self.0.get_mut(id) {
                    device.certificate_until_s = until(entry);
                }
            }
            ("devices.name", _) => {
                if let Some(device) = self.0.get_mut(&text("device")) {
                    device.name = text("to");
                }
            }
            ("devices.replace", _) if entry.detail.get("new").is_some() => {
                self.replace(&text("old"), &text("new"), entry)
            }
            (what, _) => {
                if let Some(standing) = standing(what) {
                    self.stand(&text("device"), standing, &text("reason"), entry);
                }
            }
        }
    }

    /// A device that comes again, its answer having been lost, is the one that is there.
    fn come(&mut self, id: &str, key: String, name: String, entry: &Entry) {
        let device = self.0.entry(id.to_owned()).or_insert_with(|| Device {
            id: id.to_owned(),
            key,
            name,
            standing: Standing::Active,
            reason: String::new(),
            replaces: String::new(),
            enrolled_s: entry.at_s,
            changed_s: entry.at_s,
            seen_s: entry.at_s,
            certificate_until_s: 0,
        });
        device.certificate_until_s = until(entry);
    }

    fn stand(&mut self, id: &str, standing: Standing, reason: &str, entry: &Entry) {
        if let Some(device) = self.0.get_mut(id) {
            (device.standing, device.changed_s) = (standing, entry.at_s);
            reason.clone_into(&mut device.reason);
        }
    }

    fn replace(&mut self, old: &str, new: &str, entry: &Entry) {
        self.stand(old, Standing::Replaced, &format!("by {new}"), entry);
        let name = self.0.get(old).map(|device| device.name.clone()).unwrap_or_default();
        if let Some(device) = self.0.get_mut(new) {
            (device.name, device.replaces) = (name, old.to_owned());
        }
    }
}

fn until(entry: &Entry) -> i64 {
    entry.detail.get("until_s").and_then(Value::as_i64).unwrap_or(entry.at_s)
}

fn standing(what: &str) -> Option<Standing> {
    Some(match what {
        "devices.release" => Standing::Active,
        "devices.revoke" => Standing::Revoked,
        "devices.quarantine" => Standing::Quarantined,
        "devices.replace" => Standing::Replaced,
        "devices.retire" => Standing::Retired,
        _ => return None,
    })
}
