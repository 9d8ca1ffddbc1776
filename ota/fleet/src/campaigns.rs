//! Campaigns: which frames the operator asks vehicles for, signed by the role `campaigns` with a key of the operator's own. Each
//! device holds them to its own limits; redaction, encryption and retention stay its own matter.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::json;
use stopline_depot::campaign::{Campaign, Campaigns, PATH};
use stopline_depot::rollout::member;
use stopline_depot::versioned::Versioned;

use crate::exit::{Failure, Result, Said};
use crate::published::Published;
use crate::rollouts::random_salt;
use crate::signed::{self, Signers};
use crate::store::Store;

/// What the operator asks for: one `[[campaign]]` after another. What is not in the file any more ends.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// The campaigns.
    #[serde(default)]
    pub campaign: Vec<WantedCampaign>,
}

/// One of them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantedCampaign {
    /// Its name.
    pub name: String,
    /// Hardware variants; left out: all.
    #[serde(default)]
    pub hardware: BTreeSet<String>,
    /// A file of device ids, one a line, beside this one; left out: all devices.
    #[serde(default)]
    pub devices: Option<PathBuf>,
    /// Ids, read from that file.
    #[serde(skip)]
    pub ids: Option<Vec<String>>,
    /// When it begins, RFC 3339; left out: when it is first published.
    #[serde(default)]
    pub from: Option<String>,
    /// Days that it lasts.
    pub days: u16,
    /// Frames of a device in a day, at most.
    pub frames_per_day: u32,
    /// Bytes of a device's sealed records in a day, at most.
    pub bytes_per_day: u64,
    /// Classes by name, of which one must be seen; left out: any that the device lets be asked for.
    #[serde(default)]
    pub labels: BTreeSet<String>,
    /// Scores, least and most; left out: whatever the model reports.
    #[serde(default)]
    pub score: Option<[f32; 2]>,
    /// Hours of the day in UTC, from and to; left out: all.
    #[serde(default)]
    pub hours_utc: Option<[u8; 2]>,
    /// The share of such frames that is taken; left out: all.
    #[serde(default)]
    pub rate: Option<f64>,
}

impl Wanted {
    /// Reads the file, and the lists of devices that it names.
    ///
    /// # Errors
    /// What is wrong with which key.
    pub fn read(path: &Path) -> Result<Self> {
        let mut wanted: Self = signed::wanted(path)?;
        for campaign in &mut wanted.campaign {
            let Some(list) = &campaign.devices else { continue };
            campaign.ids = Some(signed::ids(path, list)?);
        }
        Ok(wanted)
    }

    /// The document after `before`: a campaign that goes on under its name began when it began.
    fn document(&self, before: Option<&Campaigns>, salt: &str, now: Timestamp) -> Result<Campaigns> {
        let began = |name: &str| {
            let old = before.and_then(|before| before.campaigns.iter().find(|old| old.name == name));
            old.and_then(|old| Timestamp::from_second(i64::try_from(old.from).ok()?).ok())
        };
        let campaigns = self.campaign.iter().map(|wanted| {
            let of = |text: &String| {
                let problem = |error| Failure::usage(format!("{}: from: {error}", wanted.name));
                text.parse::<Timestamp>().map_err(problem)
            };
            let from = wanted.from.as_ref().map(of).transpose()?;
            let from = from.or_else(|| began(&wanted.name)).unwrap_or(now);
            let until = from.checked_add(SignedDuration::from_hours(24 * i64::from(wanted.days)));
            let until = until.map_err(|error| Failure::usage(format!("{}: {error}", wanted.name)))?;
            let members = wanted.ids.as_ref().map(|ids| ids.iter().map(|id| member(salt, id)).collect());
            Ok(Campaign {
                name: wanted.name.clone(),
                hardware: wanted.hardware.clone(),
                members,
                from: unix(from)?,
                until: unix(until)?,
                frames_per_day: wanted.frames_per_day,
                bytes_per_day: wanted.bytes_per_day,
                labels: wanted.labels.clone(),
                score: wanted.score,
                hours_utc: wanted.hours_utc,
                rate: wanted.rate.unwrap_or(1.0),
            })
        });
        Ok(Campaigns {
            schema: Campaigns::SCHEMA,
            salt: salt.to_owned(),
            campaigns: campaigns.collect::<Result<_>>()?,
        })
    }
}

/// The published campaigns, checked against their signed digest; `None` where nothing is asked for.
///
/// # Errors
/// That the file is not the one that is signed.
pub fn read(store: &dyn Store, published: &Published) -> Result<Option<Campaigns>> {
    signed::read(store, published, PATH)
}

/// Signs and publishes what is wanted in place of what was.
///
/// # Errors
/// What a device would refuse, or that the repository delegates nothing to campaigns.
pub fn publish(
    store: &dyn Store,
    trusted_root: &[u8],
    signers: &Signers<'_>,
    wanted: &Wanted,
    now: Timestamp,
) -> Result<Said> {
    let salt = random_salt()?;
    change(store, trusted_root, signers, now, &|published| {
        let before = read(store, published)?;
        let salt = before.as_ref().map_or(salt.as_str(), |before| before.salt.as_str());
        wanted.document(before.as_ref(), salt, now).map(Some)
    })
}

/// Nothing is asked for any more.
///
/// # Errors
/// As [`publish`].
pub fn withdraw(
    store: &dyn Store,
    trusted_root: &[u8],
    signers: &Signers<'_>,
    now: Timestamp,
) -> Result<Said> {
    change(store, trusted_root, signers, now, &|_| Ok(None))
}

/// What is asked for, in words.
///
/// # Errors
/// As [`read`].
pub fn status(store: &dyn Store, published: &Published, now: Timestamp) -> Result<Said> {
    let document = read(store, published)?;
    Ok(Said::new(in_words(document.as_ref(), now), json!({"campaigns": document})))
}

fn change(
    store: &dyn Store,
    trusted_root: &[u8],
    signers: &Signers<'_>,
    now: Timestamp,
    make: &dyn Fn(&Published) -> Result<Option<Campaigns>>,
) -> Result<Said> {
    let (document, committed) = signed::change(store, trusted_root, signers, (PATH, now), make)?;
    Ok(signed::said("campaigns", in_words(document.as_ref(), now), document.as_ref(), committed.as_ref()))
}

fn in_words(document: Option<&Campaigns>, now: Timestamp) -> Vec<String> {
    let Some(document) = document.filter(|document| !document.campaigns.is_empty()) else {
        return vec!["no frames are asked for".into()];
    };
    let one = |campaign: &Campaign| {
        let of = campaign.members.as_ref().map_or("all devices".into(), |of| format!("{} devices", of.len()));
        let labels: Vec<&str> = campaign.labels.iter().map(String::as_str).collect();
        let what = if labels.is_empty() { "any frame".to_owned() } else { labels.join(", ") };
        let until = i64::try_from(campaign.until).ok().and_then(|until| Timestamp::from_second(until).ok());
        let until = until.map_or_else(String::new, |until| {
            if until <= now { format!("ended {until}") } else { format!("until {until}") }
        });
        let Campaign { name, frames_per_day, bytes_per_day, .. } = campaign;
        format!(
            "{name}: {what} from {of}, {frames_per_day} frames and {bytes_per_day} bytes a day each, {until}"
        )
    };
    document.campaigns.iter().map(one).collect()
}

fn unix(at: Timestamp) -> Result<u64> {
    u64::try_from(at.as_second()).map_err(|_| Failure::usage(format!("{at}: a time after 1970 is expected")))
}
