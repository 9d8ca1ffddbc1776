//! What people do with devices: the command line and the web alike. Each is written down before it is done.

use jiff::Timestamp;
use serde_json::json;

use super::authority::check_device;
use super::database::Database;
use super::database::devices::{Device, Standing, Token};
use super::database::orders::Kept;
use super::intake::enrolment::TOKEN;
use super::{orders, secret};
use crate::audit::Log;
use crate::exit::{Failure, Result};

/// Characters of a name, at most.
const NAME: usize = 80;
/// Hours for which a token is good, at most.
pub const TOKEN_HOURS: u32 = 24 * 30;
/// Devices of one batch, at most.
pub const BATCH: u32 = 10_000;

/// Somebody at work on devices.
pub struct Desk<'a> {
    /// What is known.
    pub database: &'a Database,
    /// Where it is written down.
    pub audit: &'a Log,
    /// Who: `cli:NAME` or `web:NAME`.
    pub who: &'a str,
    /// When.
    pub now: Timestamp,
}

impl Desk<'_> {
    /// A token that lets in one device, or a batch of `counted`, each once. It is shown now and never again.
    ///
    /// # Errors
    /// A name, a time or a number that is none; the database's; the log's.
    pub async fn token(&self, name: &str, hours: u32, counted: u32) -> Result<String> {
        let name = checked_name(name)?;
        if counted == 0 || counted > BATCH {
            return Err(Failure::usage(format!("{counted} devices; 1 to {BATCH} are expected")));
        }
        if hours == 0 || hours > TOKEN_HOURS {
            return Err(Failure::usage(format!("{hours} hours; 1 to {TOKEN_HOURS} are expected")));
        }
        self.write_down("devices.token", json!({"name": name, "hours": hours, "counted": counted}))?;
        let token = secret::new()?;
        let now_s = self.now.as_second();
        let mut writing = self.database.write().await?;
        let kept = Token {
            name: name.to_owned(),
            made_by: self.who.to_owned(),
            made_s: now_s,
            expires_s: now_s + i64::from(hours) * 3_600,
            counted: i64::from(counted),
            came: 0,
        };
        writing.add_token(&secret::hash(TOKEN, &token), &kept).await?;
        writing.commit().await?;
        Ok(token)
    }

    /// Ends the tokens of this name before their time: a batch's that has gone astray.
    ///
    /// # Errors
    /// That no open token has this name; the database's; the log's.
    pub async fn end_tokens(&self, name: &str) -> Result<u64> {
        let name = checked_name(name)?;
        self.write_down("devices.end_token", json!({"name": name}))?;
        let mut writing = self.database.write().await?;
        let ended = writing.end_tokens(name, self.now.as_second()).await?;
        writing.commit().await?;
        if ended > 0 {
            return Ok(ended);
        }
        Err(Failure::usage(format!(
            "{name:?}: no open token has this name; see `stopline-fleet devices tokens`"
        )))
    }

    /// One device, by its id or its name where that is one of a kind.
    ///
    /// # Errors
    /// That there is none, or more than one.
    pub async fn find(&self, which: &str) -> Result<Device> {
        if check_device(which).is_ok()
            && let Some(device) = self.database.device(which).await?
        {
            return Ok(device);
        }
        let mut named: Vec<Device> =
            self.database.devices().await?.into_iter().filter(|device| device.name == which).collect();
        // Who took a place took the name with it.
        if named.iter().any(|device| device.standing == Standing::Active) {
            named.retain(|device| device.standing == Standing::Active);
        }
        match (named.pop(), named.len()) {
            (Some(device), 0) => Ok(device),
            (Some(_), more) => {
                Err(Failure::usage(format!("{which:?}: {} devices have this name; give the id", more + 1)))
            }
            (None, _) => Err(Failure::usage(format!(
                "{which:?}: no device has this id or name; see `stopline-fleet devices list`"
            ))),
        }
    }

    /// Changes how a device stands.
    ///
    /// # Errors
    /// One that cannot stand so any more; the database's; the log's.
    pub async fn stand(&self, device: &Device, standing: Standing, reason: &str) -> Result<()> {
        if device.standing == standing {
            return Err(Failure::usage(format!("{}: it is {} already", device.id, standing.word())));
        }
        // Only a quarantine ends: what is revoked, replaced or retired gets in again as a new device, with a new key.
        let may_return = device.standing == Standing::Quarantined || standing != Standing::Active;
        if !may_return {
            return Err(Failure::refused(format!(
                "{}: it is {}; it comes back only with a new id and key: take its identity away, and enrol it with a token",
                device.id,
                device.standing.word()
            )));
        }
        let what = match standing {
            Standing::Active => "devices.release",
            Standing::Revoked => "devices.revoke",
            Standing::Quarantined => "devices.quarantine",
            Standing::Replaced => "devices.replace",
            Standing::Retired => "devices.retire",
        };
        self.write_down(what, json!({"device": device.id, "name": device.name, "reason": reason}))?;
        let mut writing = self.database.write().await?;
        if standing == Standing::Active {
            writing.forget_boots(&device.id).await?;
        }
        writing.stand(&device.id, standing, reason, self.now.as_second()).await?;
        writing.commit().await
    }

    /// `new`, which is enrolled, takes the place and the name of `old`, which is let in no more.
    ///
    /// # Errors
    /// Devices that cannot; the database's; the log's.
    pub async fn replace(&self, old: &Device, new: &Device) -> Result<()> {
        if old.id == new.id {
            return Err(Failure::usage("a device cannot take its own place"));
        }
        if new.standing != Standing::Active {
            return Err(Failure::refused(format!("{}: it is {}", new.id, new.standing.word())));
        }
        if matches!(old.standing, Standing::Replaced | Standing::Retired) {
            return Err(Failure::refused(format!("{}: it is {} already", old.id, old.standing.word())));
        }
        let detail = json!({"old": old.id, "new": new.id, "name": old.name});
        self.write_down("devices.replace", detail)?;
        let now_s = self.now.as_second();
        let mut writing = self.database.write().await?;
        writing.stand(&old.id, Standing::Replaced, &format!("by {}", new.id), now_s).await?;
        writing.name_device(&new.id, &old.name, &old.id).await?;
        writing.commit().await
    }

    /// Asks a device for a diagnostic bundle; the order that stands already, where one does.
    ///
    /// # Errors
    /// One that is not let in; the database's; the log's.
    pub async fn diagnose(&self, device: &Device) -> Result<Kept> {
        if device.standing != Standing::Active {
            return Err(Failure::refused(format!(
                "{}: it is {}; it hears nothing",
                device.id,
                device.standing.word()
            )));
        }
        self.write_down("devices.diagnose", json!({"device": device.id, "name": device.name}))?;
        orders::diagnose(self.database, &device.id, self.who, self.now).await
    }

    /// Gives a device another name.
    ///
    /// # Errors
    /// A name that is none; the database's; the log's.
    pub async fn rename(&self, device: &Device, name: &str) -> Result<()> {
        let name = checked_name(name)?;
        self.write_down("devices.name", json!({"device": device.id, "from": device.name, "to": name}))?;
        let mut writing = self.database.write().await?;
        writing.name_device(&device.id, name, &device.replaces).await?;
        writing.commit().await
    }

    fn write_down(&self, what: &str, detail: serde_json::Value) -> Result<()> {
        self.audit.append(self.who, what, detail, self.now).map(drop)
    }
}

/// A name for people: any letters, nothing that moves a cursor.
fn checked_name(name: &str) -> Result<&str> {
    let name = name.trim();
    let is_plain = !name.is_empty() && name.chars().count() <= NAME && !name.chars().any(char::is_control);
    if is_plain {
        return Ok(name);
    }
    Err(Failure::usage(format!("a name has 1 to {NAME} characters, none of them a control character")))
}
