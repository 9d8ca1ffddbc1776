//! What the repository says of one model: the roll-out, found in the role `rollout` and nowhere else, and the release it
//! names, found in the role `models` and nowhere else.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use stopline_depot::campaign::{self, Brought, Campaigns};
use stopline_depot::deployment::DeployCause;
use stopline_depot::digest::Digest;
use stopline_depot::release::{Delta, Release};
use stopline_depot::rollout::Rollout;
use stopline_depot::settings;
use stopline_depot::slots::StoredEvidence;
use stopline_depot::versioned::{self, Versioned, VersionedError};
use stopline_tuf::fetch::{Fetch, FetchError, Fetched};
use stopline_tuf::judge::Evidence;
use stopline_tuf::metadata::{TargetCheck, TargetFile};
use stopline_tuf::store::Store;
use stopline_tuf::{Found, MetadataFile, RoleName, Session, TargetPath};

use crate::error::AgentError;
use crate::http::{Http, HttpError};

/// The role that says which models there are.
pub const MODELS: (&str, &str) = ("models", "models/*/*");
/// The role that says who gets which.
pub const ROLLOUT: (&str, &str) = ("rollout", "rollout/*");

/// The role of what the operator asks of devices.
pub const CAMPAIGNS: (&str, &str) = ("campaigns", "campaigns/*");

/// `metadata/` of a repository on a web server.
#[derive(Debug)]
pub struct WebMetadata {
    http: Http,
    base: String,
    /// Where the entity tag of the last `timestamp.json` is kept.
    tag_file: PathBuf,
}

impl WebMetadata {
    /// Below `base`; the entity tag of `timestamp.json` is kept in `tag_file`, so that asking costs next to nothing.
    pub fn new(http: Http, base: &str, tag_file: PathBuf) -> Self {
        Self { http, base: base.trim_end_matches('/').to_owned(), tag_file }
    }

    fn ask(&self, file: &MetadataFile, limit: u64) -> Result<Fetched, HttpError> {
        let is_timestamp = file.as_str() == "timestamp.json";
        let url = format!("{}/metadata/{}", self.base, file.as_str());
        let tag = std::fs::read_to_string(&self.tag_file).ok().filter(|_| is_timestamp);
        let headers: Vec<_> = tag.map(|tag| (reqwest::header::IF_NONE_MATCH, tag)).into_iter().collect();
        let answer = self.http.get(&url, &headers)?;
        match answer.status() {
            200 => {
                let tag = answer.header(&reqwest::header::ETAG).map(str::to_owned);
                let body = answer.body(limit)?;
                if is_timestamp {
                    self.keep(tag.as_deref());
                }
                Ok(Fetched::Found(body))
            }
            304 if !headers.is_empty() => Ok(Fetched::Unchanged),
            403 | 404 | 410 => Ok(Fetched::Missing),
            _ => Err(answer.refused()),
        }
    }

    /// Forgets that `timestamp.json` was ever there: the next answer comes whole.
    pub fn forget(&self) {
        self.keep(None);
    }

    /// A tag that is lost costs one answer, so nothing is synced.
    fn keep(&self, tag: Option<&str>) {
        let kept = match tag.filter(|tag| tag.len() <= 256) {
            Some(tag) => std::fs::write(&self.tag_file, tag),
            None => std::fs::remove_file(&self.tag_file),
        };
        if let Err(error) = kept
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::debug!("{}: {error}", self.tag_file.display());
        }
    }
}

impl Fetch for &WebMetadata {
    fn metadata(&mut self, file: &MetadataFile, limit: u64) -> Result<Fetched, FetchError> {
        self.ask(file, limit).map_err(|error| FetchError::new(file, error))
    }
}

/// Where small target files are read: from the web, or from a stick.
pub trait SmallTargets {
    /// The content of a target that lies at one of `places` below the repository's `targets/`.
    ///
    /// # Errors
    /// [`AgentError`].
    fn read(&mut self, places: &[String], limit: u64) -> Result<Vec<u8>, AgentError>;
}

/// `targets/` of a repository on a web server.
#[derive(Debug)]
pub struct WebTargets<'a> {
    /// The client.
    pub http: &'a Http,
    /// The repository.
    pub base: &'a str,
}

impl WebTargets<'_> {
    /// Where a target lies.
    pub fn url(&self, place: &str) -> String {
        format!("{}/targets/{place}", self.base.trim_end_matches('/'))
    }
}

impl SmallTargets for WebTargets<'_> {
    fn read(&mut self, places: &[String], limit: u64) -> Result<Vec<u8>, AgentError> {
        let url = self.url(places.first().map_or("", String::as_str));
        let answer = self.http.get(&url, &[])?;
        if answer.status() != 200 {
            return Err(answer.refused().into());
        }
        Ok(answer.body(limit)?)
    }
}

/// What the repository says of one model.
#[derive(Debug, Clone)]
pub struct Directive {
    /// The roll-out.
    pub rollout: Rollout,
    /// Its bytes, as signed.
    pub document: Vec<u8>,
    /// What this hardware gets; none if it is not named.
    pub candidate: Option<Candidate>,
    /// What to go back to when it is aborted.
    pub abort_to: Option<Digest>,
}

/// A release that may be fetched.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// What is signed of it.
    pub release: Release,
    /// Its target path.
    pub target: String,
    /// Its places below `targets/`, best first, and length and digests of the packed file.
    pub packed: Packed,
    /// Ways from other bundles, of those that the same role signs.
    pub deltas: Vec<(Delta, Packed)>,
    /// What speaks for it.
    pub evidence: StoredEvidence,
}

/// A file that can be fetched.
#[derive(Debug, Clone)]
pub struct Packed {
    /// Places below `targets/`, best first.
    pub places: Vec<String>,
    /// Length and digests.
    pub file: TargetFile,
}

/// Looks up what is to be done about `model`; none if there is no roll-out for it.
///
/// # Errors
/// [`AgentError`]: what was refused, or could not be had.
pub fn directive<F: Fetch, S: Store>(
    session: &mut Session<'_, F, S>,
    small: &mut dyn SmallTargets,
    (model, hardware): (&str, &str),
    cached: &Path,
    first_root: u64,
) -> Result<Option<Directive>, AgentError> {
    let path = format!("rollout/{model}.json");
    let found = match find(session, &path, ROLLOUT) {
        Err(AgentError::Metadata(stopline_tuf::Error::NoTarget { .. })) => return Ok(None),
        found => found?,
    };
    let bytes = document(session, small, &found, cached)?;
    let rollout: Rollout =
        versioned::read(&bytes).map_err(|source| AgentError::Document { path: path.clone(), source })?;
    if rollout.model != model {
        let problem = format!("it is about the model {:?}", rollout.model);
        return Err(AgentError::Refused { path, cause: DeployCause::Bundle, problem });
    }
    let Some(variant) = rollout.targets.get(hardware) else {
        return Ok(Some(Directive { rollout, document: bytes, candidate: None, abort_to: None }));
    };
    let candidate = candidate(session, model, &variant.target, first_root)?;
    let abort_to = variant.abort_to.as_deref().map(|target| release(session, model, target));
    let abort_to = abort_to.transpose()?.map(|(_, release)| release.unpacked.sha256);
    Ok(Some(Directive { rollout, document: bytes, candidate: Some(candidate), abort_to }))
}

/// What the operator sets on devices, as it was signed by the role `campaigns` and no other; none if nothing is set.
///
/// # Errors
/// [`AgentError`]: what was refused, or could not be had.
pub fn settings<F: Fetch, S: Store>(
    session: &mut Session<'_, F, S>,
    small: &mut dyn SmallTargets,
    cached: &Path,
) -> Result<Option<(Vec<u8>, settings::Document)>, AgentError> {
    let found = match find(session, settings::PATH, CAMPAIGNS) {
        // Not delegated, nothing set, or nothing ever asked.
        Err(AgentError::Metadata(
            stopline_tuf::Error::NoTarget { .. } | stopline_tuf::Error::NotInSnapshot { .. },
        )) => return Ok(None),
        found => found?,
    };
    let bytes = document(session, small, &found, cached)?;
    let read = versioned::read(&bytes);
    let document = read.map_err(|source| AgentError::Document { path: settings::PATH.into(), source })?;
    Ok(Some((bytes, document)))
}

/// What frames the operator asks for, as it was signed by the role `campaigns` and no other, with what speaks for it; none if nothing
/// is asked.
///
/// # Errors
/// [`AgentError`]: what was refused, or could not be had.
pub fn campaigns<F: Fetch, S: Store>(
    session: &mut Session<'_, F, S>,
    small: &mut dyn SmallTargets,
    (device, cached): (&str, &Path),
    first_root: u64,
) -> Result<Option<Brought>, AgentError> {
    let found = match find(session, campaign::PATH, CAMPAIGNS) {
        // Not delegated, nothing asked for, or nothing ever asked.
        Err(AgentError::Metadata(
            stopline_tuf::Error::NoTarget { .. } | stopline_tuf::Error::NotInSnapshot { .. },
        )) => return Ok(None),
        found => found?,
    };
    let refused = |source| AgentError::Document { path: campaign::PATH.into(), source };
    let bytes = document(session, small, &found, cached)?;
    versioned::read::<Campaigns>(&bytes).map_err(refused)?;
    let evidence = stored(session.evidence(&found, first_root)?)?;
    let broken = |error: std::string::FromUtf8Error| VersionedError::Refused {
        name: Campaigns::NAME,
        problem: error.to_string(),
    };
    let document = String::from_utf8(bytes).map_err(|error| refused(broken(error)))?;
    Ok(Some(Brought { schema: Brought::SCHEMA, device: device.to_owned(), document, evidence }))
}

/// A release with all that is needed to fetch it and to prove it to the runtime.
///
/// # Errors
/// [`AgentError`].
pub fn candidate<F: Fetch, S: Store>(
    session: &mut Session<'_, F, S>,
    model: &str,
    target: &str,
    first_root: u64,
) -> Result<Candidate, AgentError> {
    let (found, release) = release(session, model, target)?;
    let evidence = stored(session.evidence(&found, first_root)?)?;
    let mut deltas = Vec::new();
    for delta in &release.deltas {
        // A delta is a hint: one that is not there or not signed by the role is passed over.
        if let Ok(found) = find(session, &delta.path, MODELS) {
            deltas.push((delta.clone(), packed(session, found)));
        }
    }
    Ok(Candidate { release, target: target.to_owned(), packed: packed(session, found), deltas, evidence })
}

/// A release, found in the role `models` and nowhere else.
fn release<F: Fetch, S: Store>(
    session: &mut Session<'_, F, S>,
    model: &str,
    target: &str,
) -> Result<(Found, Release), AgentError> {
    let found = find(session, target, MODELS)?;
    let custom = found.file.custom.clone().unwrap_or_default();
    let bytes = serde_json::to_vec(&custom).unwrap_or_default();
    let release: Release =
        versioned::read(&bytes).map_err(|source| AgentError::Document { path: target.to_owned(), source })?;
    if release.model != model {
        let problem = format!("it is a release of the model {:?}", release.model);
        return Err(AgentError::Refused { path: target.to_owned(), cause: DeployCause::Bundle, problem });
    }
    Ok((found, release))
}

fn find<F: Fetch, S: Store>(
    session: &mut Session<'_, F, S>,
    path: &str,
    (role, pattern): (&str, &str),
) -> Result<Found, AgentError> {
    let refused = |problem: String| AgentError::Refused {
        path: path.to_owned(),
        cause: DeployCause::Signature,
        problem,
    };
    let target = TargetPath::new(path).map_err(|error| refused(error.to_string()))?;
    let role = RoleName::new(role).map_err(|error| refused(error.to_string()))?;
    let found = session.find(&target)?;
    found.provided_by(&role, pattern)?;
    Ok(found)
}

fn packed<F: Fetch, S: Store>(session: &Session<'_, F, S>, found: Found) -> Packed {
    Packed { places: session.url_paths(&found), file: found.file }
}

/// A small signed document: the copy on disk while that is what is signed, else fetched anew.
fn document<F: Fetch, S: Store>(
    session: &Session<'_, F, S>,
    small: &mut dyn SmallTargets,
    found: &Found,
    cached: &Path,
) -> Result<Vec<u8>, AgentError> {
    let check = |bytes: &[u8]| -> Result<(), stopline_tuf::Error> {
        let mut check = TargetCheck::new(&found.path, &found.file)?;
        check.update(bytes)?;
        check.finish()
    };
    let limit = u64::try_from(Rollout::LIMIT).unwrap_or(u64::MAX);
    if let Ok(Some(bytes)) = stopline_depot::disk::Disk::read(&stopline_depot::disk::RealDisk, cached, limit)
        && check(&bytes).is_ok()
    {
        return Ok(bytes);
    }
    let bytes = small.read(&session.url_paths(found), limit.min(found.file.length))?;
    check(&bytes)?;
    Ok(bytes)
}

fn stored(evidence: Evidence) -> Result<StoredEvidence, AgentError> {
    let text = |bytes: Vec<u8>| {
        String::from_utf8(bytes).map_err(|error| AgentError::Refused {
            path: "metadata".into(),
            cause: DeployCause::Signature,
            problem: error.to_string(),
        })
    };
    let delegated = evidence.delegated.into_iter();
    let delegated: Result<BTreeMap<_, _>, AgentError> =
        delegated.map(|(role, bytes)| Ok((role.as_str().to_owned(), text(bytes)?))).collect();
    Ok(StoredEvidence {
        roots: evidence.roots.into_iter().map(text).collect::<Result<_, _>>()?,
        targets: text(evidence.targets)?,
        delegated: delegated?,
    })
}
