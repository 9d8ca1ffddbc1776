//! `verify`: what a device would accept, step by step, from a folder or a server; and whether caches on the way would keep
//! it from the newest.

#[cfg(feature = "store")]
mod http;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use stopline_depot::release::Release;
use stopline_depot::rollout::{Rollout, State};
use stopline_depot::versioned::{self, Versioned as _};
use stopline_tuf::fetch::{Fetch, MemoryRepository};
use stopline_tuf::metadata::{TargetCheck, Targets};
use stopline_tuf::store::MemoryStore;
use stopline_tuf::time::Reading;
use stopline_tuf::write::Draft;
use stopline_tuf::{Client, Found, RoleName, Session, Settings, TargetPath, install_root};

use crate::exit::{Exit, Failure, Result, Said};
use crate::models::release_of;
use crate::published::StoreFetch;
use crate::roles;
use crate::store::{self, Store};

/// One step and how it went.
#[derive(Debug, Clone, Serialize)]
struct Step {
    step: String,
    accepted: bool,
    detail: String,
}

/// Steps so far, and what is not wrong and yet keeps some devices out.
#[derive(Default)]
struct Steps(Vec<Step>, Vec<String>);

impl Steps {
    fn accepted(&mut self, step: impl ToString, detail: impl ToString) {
        self.0.push(Step { step: step.to_string(), accepted: true, detail: detail.to_string() });
    }

    fn refused(&mut self, step: impl ToString, detail: impl ToString) {
        self.0.push(Step { step: step.to_string(), accepted: false, detail: detail.to_string() });
    }
}

/// Where files come from: each is read whole, bounded.
trait Source: Fetch {
    fn target(&mut self, path: &str, limit: u64) -> Result<Option<Vec<u8>>>;
    /// Problems with how it is served.
    fn complaints(&self) -> Vec<String>;
}

impl Source for StoreFetch<'_> {
    fn target(&mut self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        Ok(self.store.read(&format!("targets/{path}"), limit)?.map(|(bytes, _)| bytes))
    }

    fn complaints(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Does what a device does that trusts `root`; whatever it refuses is told, and the exit code says so.
pub fn run(place: &str, root: &[u8], now: Timestamp) -> Result<Said> {
    if place.starts_with("http://") || place.starts_with("https://") {
        #[cfg(feature = "store")]
        return Ok(walk(&mut http::HttpSource::new(place)?, place, root, now));
        #[cfg(not(feature = "store"))]
        return Err(Failure::usage(format!("{place}: this program was built without a network")));
    }
    let store: Box<dyn Store> = store::open(place)?;
    let mut source = StoreFetch { store: &*store, seen: MemoryRepository::default() };
    Ok(walk(&mut source, place, root, now))
}

fn walk(source: &mut impl Source, place: &str, root: &[u8], now: Timestamp) -> Said {
    let mut steps = Steps::default();
    if let Err(failure) = try_walk(source, root, now, &mut steps) {
        steps.refused("a device goes no further", failure);
    }
    let mut complaints = source.complaints();
    complaints.append(&mut steps.1);
    let whole = steps.0.iter().all(|step| step.accepted);
    let mut words: Vec<String> = steps
        .0
        .iter()
        .map(|step| {
            format!("{} {}: {}", if step.accepted { "ok     " } else { "REFUSED" }, step.step, step.detail)
        })
        .collect();
    words.extend(complaints.iter().map(|complaint| format!("WARNING {complaint}")));
    let exit = match (whole, complaints.is_empty()) {
        (false, _) => Exit::Refused,
        (true, false) => Exit::Warning,
        (true, true) => Exit::Done,
    };
    Said { words, json: json!({"repository": place, "steps": steps.0, "warnings": complaints}), exit }
}

fn try_walk(source: &mut impl Source, root: &[u8], now: Timestamp, steps: &mut Steps) -> Result<()> {
    let mut device = MemoryStore::default();
    let trusted = install_root(&mut device, root)?;
    steps.accepted("trusted root", format!("version {}", trusted.version));
    let mut client = Client::new(&mut *source, device, Reading::Synchronised(now), Settings::new(now));
    let wanted = [roles::rollout(), roles::models()];
    {
        let mut session = client.refresh()?;
        told_top_level(&session, steps);
        wanted.iter().for_each(|role| load(&mut session, role, steps));
    }
    let (_, device, _) = client.into_parts();
    let mut paths = Vec::new();
    for role in &wanted {
        if let Some(bytes) = device.roles.get(role) {
            let listed = Draft::<Targets>::read(role.clone(), bytes)?.into_signed().targets.into_keys();
            paths.extend(listed.filter_map(|path| Some((TargetPath::new(path).ok()?, role.clone()))));
        }
    }
    let mut client = Client::new(&mut *source, device, Reading::Synchronised(now), Settings::new(now));
    let mut session = client.refresh()?;
    let mut files = Vec::new();
    for (path, role) in paths {
        match look(&mut session, &path, &role) {
            Ok((one, urls)) => {
                steps.accepted(&path, format!("found in {} version {}", one.role, one.role_version));
                files.push((one, urls));
            }
            Err(failure) => steps.refused(&path, failure),
        }
    }
    let found: Vec<Found> = files.iter().map(|(one, _)| one.clone()).collect();
    for (one, urls) in files {
        read_target(source, &one, &urls, &found, steps);
    }
    Ok(())
}

fn told_top_level<F: Fetch, S: stopline_tuf::store::Store>(session: &Session<'_, F, S>, steps: &mut Steps) {
    let (root, timestamp) = (session.root(), session.timestamp());
    steps.accepted("root", format!("version {}, until {}", root.version, root.expires));
    steps.accepted("timestamp", format!("version {}, until {}", timestamp.version, timestamp.expires));
    let snapshot = session.snapshot();
    steps.accepted("snapshot", format!("version {}, until {}", snapshot.version, snapshot.expires));
    let targets = session.targets();
    steps.accepted("targets", format!("version {}, until {}", targets.version, targets.expires));
    let delegations = targets.delegations.iter();
    let delegated = delegations.flat_map(|all| {
        all.roles.iter().map(|one| (one.name.as_str(), (&one.keyids, one.threshold), &all.keys))
    });
    let top = root.roles.iter().map(|(name, one)| (name.as_str(), (&one.keyids, one.threshold), &root.keys));
    for (name, (ids, threshold), keys) in top.chain(delegated) {
        let plain = ids.iter().filter(|id| keys.get(*id).is_some_and(|key| key.keytype == "ed25519")).count();
        if u64::try_from(plain).is_ok_and(|plain| plain < threshold) {
            steps.1.push(format!(
                "{name}: {plain} of the {threshold} keys that must sign are ed25519. Devices verify ECDSA and RSA only \
                 where agent and runtime were built with the features ecdsa and rsa-pss"
            ));
        }
    }
}

/// Has a delegated role loaded. A device learns of a role by looking for something; what is not there does for that.
fn load<F: Fetch, S: stopline_tuf::store::Store>(
    session: &mut Session<'_, F, S>,
    role: &RoleName,
    steps: &mut Steps,
) {
    if !session.snapshot().meta.contains_key(&format!("{role}.json")) {
        return;
    }
    let probe = if *role == roles::models() { "models/none/none" } else { "rollout/none" };
    let Ok(probe) = TargetPath::new(probe) else { return };
    match session.find(&probe) {
        Ok(_) | Err(stopline_tuf::Error::NoTarget { .. }) => {}
        Err(error) => steps.refused(role, Failure::from(error)),
    }
}

fn look<F: Fetch, S: stopline_tuf::store::Store>(
    session: &mut Session<'_, F, S>,
    path: &TargetPath,
    role: &RoleName,
) -> Result<(Found, Vec<String>)> {
    let found = session.find(path)?;
    let pattern = if *role == roles::models() { roles::MODELS.1 } else { roles::ROLLOUT.1 };
    found.provided_by(role, pattern)?;
    let urls = session.url_paths(&found);
    Ok((found, urls))
}

/// Reads a target as a device would, and what it says.
fn read_target(source: &mut impl Source, found: &Found, urls: &[String], all: &[Found], steps: &mut Steps) {
    let name = format!("{} (content)", found.path);
    let Some(url) = urls.first() else { return steps.refused(name, "it has no digest") };
    let bytes = match source.target(url, found.file.length) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return steps.refused(name, format!("targets/{url} is missing")),
        Err(failure) => return steps.refused(name, failure),
    };
    let checked = TargetCheck::new(&found.path, &found.file).and_then(|mut check| {
        check.update(&bytes)?;
        check.finish()
    });
    if let Err(error) = checked {
        return steps.refused(name, Failure::from(error));
    }
    steps.accepted(&name, format!("{} bytes, digest as signed", bytes.len()));
    if found.role == roles::rollout() {
        check_rollout(&bytes, found, all, steps);
    } else {
        match release_of(&found.file) {
            Ok(Some(release)) => steps.accepted(format!("{} (release)", found.path), in_words(&release)),
            Ok(None) => {}
            Err(failure) => steps.refused(format!("{} (release)", found.path), failure),
        }
    }
}

fn in_words(release: &Release) -> String {
    format!(
        "{} {}, release {}, for {}",
        release.model,
        release.version,
        release.release_seq,
        release.hardware.join(", ")
    )
}

fn check_rollout(bytes: &[u8], found: &Found, all: &[Found], steps: &mut Steps) {
    let name = format!("{} (roll-out)", found.path);
    let rollout: Rollout = match versioned::read(bytes) {
        Ok(rollout) => rollout,
        Err(error) => return steps.refused(name, format!("{error} ({})", Rollout::NAME)),
    };
    steps.accepted(&name, format!("{}: {}", rollout.rollout_id, crate::rollouts::state_name(rollout.state)));
    if rollout.state == State::Aborted {
        return;
    }
    for (hardware, variant) in &rollout.targets {
        for target in std::iter::once(&variant.target).chain(&variant.abort_to) {
            match all.iter().find(|one| one.path.as_str() == target) {
                Some(one) if one.role == roles::models() => {}
                Some(one) => steps.refused(&name, format!("{hardware}: {target} is listed by {}", one.role)),
                None => steps.refused(&name, format!("{hardware}: {target} is listed by nobody")),
            }
        }
    }
}
