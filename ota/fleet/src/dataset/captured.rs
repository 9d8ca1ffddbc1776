//! Captured records: read from the store, opened, and what is remembered of each. Pictures are not kept in memory.

use std::collections::BTreeSet;
use std::io::Read as _;

use serde::{Deserialize, Serialize};
use stopline_depot::digest::Digest;
use stopline_depot::record::{ModelIdentity, WallTime};
use stopline_depot::spool::{CaptureRecord, MAX_PLAIN, MAX_RECORD, Redaction, open_plain};

use super::annotation::{Annotation, predicted};
use super::identity::Identities;
use super::picture::{Condition, Eye, Look};
use crate::exit::{Failure, Result};
use crate::files;
use crate::store::Store;

/// Where sealed records lie in a store.
pub const RECORDS: &str = "records";
/// Where what was forgotten is marked.
pub const TOMBSTONES: &str = "tombstones";

/// What lies in clear beside a sealed record; the server wrote it from a device's certificate and its batch.
#[derive(Clone, Debug, Deserialize)]
pub struct Clear {
    /// The device, by its certificate.
    pub device: String,
    /// When it arrived, seconds since 1970.
    #[serde(alias = "received_s")]
    pub received: i64,
}

/// What places a record: kept for frozen sets and for what training was given, when the record itself may be gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anchor {
    /// Address of the sealed record.
    pub digest: Digest,
    /// SHA-256 of its picture.
    pub picture: Digest,
    /// What its picture looks like.
    pub look: Look,
    /// Hash of the device's id.
    pub device: Digest,
    /// When it was taken, by the device's clock.
    pub captured: WallTime,
}

/// A record, opened, without its picture's bytes.
#[derive(Clone, Debug)]
pub struct Captured {
    /// What places it.
    pub anchor: Anchor,
    /// The camera's name, and the frame's number as it counts them.
    pub source: (String, u64),
    /// Pixels of its picture.
    pub size: [u32; 2],
    /// Under which light.
    pub condition: Condition,
    /// The rule that took it.
    pub rule: String,
    /// What the rule was about, with the device: an event, a track.
    pub group: String,
    /// The model that looked.
    pub model: ModelIdentity,
    /// What was made unrecognisable.
    pub redaction: Redaction,
    /// What the model found.
    pub predictions: Vec<Annotation>,
}

/// The hash by which a device is known outside: ids are 128 random bits, which nobody finds by trying.
pub fn device_hash(device: &str) -> Digest {
    Digest::of(format!("stopline/device/v1\n{device}").as_bytes())
}

/// All that is in a store.
#[derive(Debug, Default)]
pub struct Survey {
    /// What could be opened, by digest.
    pub records: Vec<Captured>,
    /// What could not, and why, by digest.
    pub unreadable: Vec<(Digest, String)>,
    /// Forgotten: passed over, if it is still there at all.
    pub forgotten: usize,
}

/// A store, and what opens its records.
pub struct Source<'a> {
    /// The server's store.
    pub store: &'a dyn Store,
    /// The operator's.
    pub identities: &'a Identities,
}

impl Source<'_> {
    /// Opens every record that is not in `forgotten`.
    ///
    /// # Errors
    /// The store's. What is wrong with a record is told in the survey.
    pub fn survey(&self, forgotten: &BTreeSet<Digest>) -> Result<Survey> {
        let mut survey = Survey::default();
        let eye = Eye::default();
        for digest in digests(self.store)? {
            if forgotten.contains(&digest) {
                survey.forgotten += 1;
                continue;
            }
            match self.open(&digest, &eye)? {
                Ok(captured) => survey.records.push(captured),
                Err(problem) => survey.unreadable.push((digest, problem)),
            }
        }
        Ok(survey)
    }

    /// The picture's bytes of a record that was surveyed.
    ///
    /// # Errors
    /// The store's, or that the record is not what it was.
    pub fn picture(&self, anchor: &Anchor) -> Result<Vec<u8>> {
        let opened = self
            .plain(&anchor.digest)?
            .map_err(|problem| Failure::failed(format!("{}: {problem}", anchor.digest)))?;
        let (_, jpeg) =
            open_plain(&opened).map_err(|error| Failure::refused(format!("{}: {error}", anchor.digest)))?;
        if Digest::of(jpeg) == anchor.picture {
            return Ok(jpeg.to_vec());
        }
        Err(Failure::failed(format!("{}: its picture changed while it was read", anchor.digest)))
    }

    /// What a record says of itself and its picture's bytes, as they came: neither is looked at yet. Why not, where it cannot be
    /// opened.
    ///
    /// # Errors
    /// The store's.
    pub fn whole(&self, digest: &Digest) -> Result<Result<(CaptureRecord, Vec<u8>), String>> {
        let plain = match self.plain(digest)? {
            Ok(plain) => plain,
            Err(problem) => return Ok(Err(problem)),
        };
        let opened = open_plain(&plain).map_err(|error| error.to_string());
        Ok(opened.map(|(record, jpeg)| (record, jpeg.to_vec())))
    }

    /// When a record was taken, seconds since 1970; `None` where it cannot be opened.
    ///
    /// # Errors
    /// The store's.
    pub fn taken(&self, digest: &Digest) -> Result<Option<i64>> {
        let Ok(plain) = self.plain(digest)? else { return Ok(None) };
        let Ok((record, _)) = open_plain(&plain) else { return Ok(None) };
        Ok(i64::try_from(record.decision.captured_wall.unix_seconds()).ok())
    }

    fn open(&self, digest: &Digest, eye: &Eye) -> Result<Result<Captured, String>> {
        let Some(clear) = clear(self.store, digest)? else {
            return Ok(Err(format!("{RECORDS}/{digest}.json is missing: nobody can say whose it is")));
        };
        let plain = match self.plain(digest)? {
            Ok(plain) => plain,
            Err(problem) => return Ok(Err(problem)),
        };
        let opened = open_plain(&plain).map_err(|error| error.to_string());
        Ok(opened.and_then(|(record, jpeg)| captured(*digest, &clear, record, jpeg, eye)))
    }

    /// The decrypted bytes, or why there are none.
    fn plain(&self, digest: &Digest) -> Result<Result<Vec<u8>, String>> {
        let Some((sealed, _)) = self.store.read(&format!("{RECORDS}/{digest}.age"), MAX_RECORD)? else {
            return Ok(Err("it is gone".into()));
        };
        let found = Digest::of(&sealed);
        if found != *digest {
            return Ok(Err(format!("its bytes have the digest {found}: it is damaged")));
        }
        Ok(unseal(&sealed, self.identities))
    }
}

fn unseal(sealed: &[u8], identities: &Identities) -> Result<Vec<u8>, String> {
    let words =
        |error: &dyn std::fmt::Display| format!("cannot be opened: {error}; is it the right identity?");
    let decryptor = age::Decryptor::new_buffered(sealed).map_err(|error| words(&error))?;
    let reader = decryptor.decrypt(identities.iter()).map_err(|error| words(&error))?;
    let limit = u64::try_from(MAX_PLAIN).unwrap_or(u64::MAX);
    let mut plain = Vec::new();
    reader.take(limit + 1).read_to_end(&mut plain).map_err(|error| words(&error))?;
    if plain.len() > MAX_PLAIN {
        Err(format!("holds more than the {limit} bytes allowed"))
    } else {
        Ok(plain)
    }
}

fn captured(
    digest: Digest,
    clear: &Clear,
    record: CaptureRecord,
    jpeg: &[u8],
    eye: &Eye,
) -> Result<Captured, String> {
    let seen = eye.look(jpeg)?;
    let stated = [record.picture.width, record.picture.height];
    if seen.size != stated {
        return Err(format!(
            "its picture has {}x{} pixels, and its side-car says {}x{}",
            seen.size[0], seen.size[1], stated[0], stated[1]
        ));
    }
    let device = device_hash(&clear.device);
    let decision = record.decision;
    Ok(Captured {
        anchor: Anchor {
            digest,
            picture: Digest::of(jpeg),
            look: seen.look,
            device,
            captured: decision.captured_wall,
        },
        source: (decision.source, decision.frame),
        size: seen.size,
        condition: seen.condition,
        rule: record.reason.rule.code().into(),
        group: record.reason.group,
        predictions: predicted(&decision.detections, decision.image_size, seen.size),
        model: decision.model,
        redaction: record.redaction,
    })
}

/// Addresses of all sealed records, sorted.
pub fn digests(store: &dyn Store) -> Result<Vec<Digest>> {
    let names = store.list(RECORDS)?;
    let digests = names.iter().filter_map(|name| name.strip_suffix(".age")?.parse().ok());
    let mut digests: Vec<Digest> = digests.collect();
    digests.sort();
    Ok(digests)
}

/// What lies in clear beside a record.
pub fn clear(store: &dyn Store, digest: &Digest) -> Result<Option<Clear>> {
    let path = format!("{RECORDS}/{digest}.json");
    let Some((bytes, _)) = store.read(&path, files::MAX_SMALL)? else { return Ok(None) };
    let clear = serde_json::from_slice(&bytes);
    clear.map(Some).map_err(|error| Failure::refused(format!("{}/{path}: {error}", store.name())))
}

/// What the server was told to forget.
pub fn tombstones(store: &dyn Store) -> Result<BTreeSet<Digest>> {
    Ok(store.list(TOMBSTONES)?.iter().filter_map(|name| name.parse().ok()).collect())
}
