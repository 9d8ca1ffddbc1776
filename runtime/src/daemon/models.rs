//! Loads the models of one inference thread. A model that cannot be loaded does not end the process: its cameras have no
//! model, which is told, and the safe command is sent.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use stopline_decide::decider::Function;
use stopline_decide::observe::Role;
use stopline_depot::bundle::Bundle;
use stopline_depot::deployment::{DeployCause, Exposure, Phase, VerdictState};
use stopline_depot::health::DeploymentHealth;
use stopline_depot::record::{ModelIdentity, ModelRole};
use stopline_depot::slots::{ModelPointers, Progress};
use stopline_depot::versioned::Versioned as _;
use tracing::Level;

use super::exchange::{Exchange, Seated};
use super::looking::Looker;
use super::notes::Notes;
use super::report::{BundleFacts, ModelFacts, ModelSeat};
use crate::config::{Camera, Model};
use crate::detector::{Detector, LoadError};
use crate::models::store::Store;
use crate::models::vault::{Held, Passed, Place, Vault};
use crate::observe::Roles;

/// Where models over the air come from, and where it is written what became of them.
#[derive(Clone)]
pub struct Depot {
    /// Bundles.
    pub vault: Arc<Vault>,
    /// The runtime's state; none where it cannot be had, and then the factory's models decide.
    pub store: Option<Arc<Store>>,
    /// The process before this one crashed.
    pub crashed: bool,
}

/// A model of an inference thread.
pub struct Wanted<'a> {
    /// Its number in the configuration.
    pub number: usize,
    /// Its section.
    pub model: &'a Model,
    /// The cameras of this thread that it serves.
    pub cameras: Vec<usize>,
    /// Classes that `[[watch]]` names.
    pub watched: &'a [&'a str],
    /// Where others look.
    pub seat: &'a Arc<ModelSeat>,
    /// Where another one comes in its place.
    pub exchange: Option<Arc<Exchange>>,
}

/// Loads a model; a bundle is the current one, else the previous, else the factory's. `None`: none of them, which was told.
pub fn load(wanted: Wanted<'_>, depot: Option<&Depot>, notes: &Notes) -> Option<Looker> {
    let seated = match (&wanted.model.bundle, depot) {
        (Some(bundle), Some(depot)) => over_the_air(bundle, &wanted, depot, notes),
        _ => plain(&wanted).inspect_err(|error| blind(&wanted.model.name, error, notes)).ok(),
    }?;
    let Seated { detector, roles, facts } = seated;
    // Another thread may have loaded the same model for its own cameras; it is the same one.
    wanted.seat.facts.put(Arc::clone(&facts));
    Some(Looker {
        number: wanted.number,
        facts,
        seat: Arc::clone(wanted.seat),
        detector,
        roles,
        when: wanted.model.when,
        cameras: wanted.cameras,
        exchange: wanted.exchange,
    })
}

fn plain(wanted: &Wanted<'_>) -> Result<Seated, LoadError> {
    let detector = Detector::load(&wanted.model.options())?;
    Ok(seated(detector, &wanted.model.name, wanted.watched, None))
}

/// A bundle that was judged, ready for a place.
///
/// # Errors
/// [`LoadError`].
pub fn of_bundle(held: &Held, model: &Model, watched: &[&str]) -> Result<Seated, LoadError> {
    let bundle = Bundle::read(&held.bytes)
        .map_err(|error| LoadError::Read { path: model.name.clone(), cause: std::io::Error::other(error) })?;
    let detector = Detector::of_bundle(&bundle, &model.options())?;
    let facts = BundleFacts { digest: held.digest, factory: held.place == Place::Factory };
    Ok(seated(detector, &model.name, watched, Some(facts)))
}

fn seated(detector: Detector, name: &str, watched: &[&str], bundle: Option<BundleFacts>) -> Seated {
    let manifest = detector.manifest().clone();
    let identity = ModelIdentity {
        name: manifest.name.clone(),
        version: manifest.version.clone(),
        digest: detector.digest().to_owned(),
        role: ModelRole::Active,
    };
    let roles = Roles::of(&manifest, watched);
    let facts = ModelFacts { name: name.to_owned(), identity, manifest, bundle };
    Seated { detector, roles, facts: Arc::new(facts) }
}

fn blind(name: &str, error: &dyn std::fmt::Display, notes: &Notes) {
    notes.log(Level::ERROR, format!("model {name} cannot be used, its cameras are blind: {error}"));
}

fn over_the_air(bundle: &str, wanted: &Wanted<'_>, depot: &Depot, notes: &Notes) -> Option<Seated> {
    let store = depot.store.as_deref();
    let pointers = store.and_then(|store| store.pointers().ok()).unwrap_or_default().of(bundle);
    let load = |held: &Held| of_bundle(held, wanted.model, wanted.watched);
    let (found, passed) = depot.vault.choose(bundle, &pointers, load);
    for Passed { place, error } in &passed {
        let text = format!(
            "model {}: bundle {place} is not loaded ({:?}): {error}",
            wanted.model.name,
            error.cause()
        );
        notes.log(Level::ERROR, text);
    }
    if let (Some(store), Some(first)) = (store, passed.first()) {
        trial_ended(store, bundle, &pointers, first);
    }
    let Some((held, seated)) = found else {
        blind(&wanted.model.name, &"no bundle of it may be loaded", notes);
        return None;
    };
    wanted.seat.below_floor.store(held.below_floor, Ordering::Release);
    if held.below_floor {
        let text = format!(
            "model {}: bundle {} is below the security floor; it goes on, update it",
            wanted.model.name, held.place
        );
        notes.event("model_below_floor", text);
    }
    let digest = match held.place {
        Place::Slot(digest) => digest.to_string(),
        Place::Factory => "factory".to_owned(),
    };
    wanted.seat.rollout.put(DeploymentHealth {
        bundle: digest,
        below_floor: held.below_floor,
        ..wanted.seat.rollout.newest().unwrap_or_default()
    });
    Some(seated)
}

/// The one on trial could not be loaded: its trial is over before it began again.
fn trial_ended(store: &Store, model: &str, pointers: &ModelPointers, passed: &Passed) {
    let (Some(trial), Some(digest)) = (&pointers.trial, pointers.current) else { return };
    if passed.place != Place::Slot(digest) {
        return;
    }
    let cause = passed.error.cause();
    store.point(model, |pointers| pointers.revert().map(drop));
    if cause == DeployCause::Load {
        store.judge(&digest, VerdictState::Bad { cause }, 0);
    }
    let progress = Progress {
        schema: Progress::SCHEMA,
        rollout_id: trial.rollout_id.clone(),
        digest,
        phase: Phase::Reverted,
        cause: Some(cause),
        detail: passed.error.to_string().chars().take(400).collect(),
        exposure: Exposure { ..trial.exposure },
    };
    store.tell(model, &progress);
}

/// The functions of `camera`, number `number`, that none of `lookers` serves with a class that plays a part in them.
pub fn unserved(number: usize, camera: &Camera, lookers: &[Looker]) -> Vec<Function> {
    let looking = || lookers.iter().filter(|looker| looker.cameras.contains(&number));
    let served =
        |function: &Function| looking().any(|looker| looker.roles.all().any(|role| plays(role, *function)));
    camera.functions.iter().filter(|function| !served(function)).copied().collect()
}

fn plays(role: Role, function: Function) -> bool {
    match function {
        Function::StopSign => role == Role::StopSign,
        Function::Pedestrian => role == Role::Person,
        Function::Fall => matches!(role, Role::Person | Role::PersonDown),
        Function::Watch => matches!(role, Role::Watched(_)),
    }
}
