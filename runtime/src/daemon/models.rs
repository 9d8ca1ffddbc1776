//! Loads the models of one inference thread. A model that cannot be loaded does not end the process: its cameras have no
//! model, which is told, and the safe command is sent.

use std::sync::Arc;

use stopline_decide::decider::Function;
use stopline_decide::observe::Role;
use stopline_depot::record::{ModelIdentity, ModelRole};

use super::looking::Looker;
use super::report::{ModelFacts, ModelSeat};
use crate::config::{Camera, Model};
use crate::detector::{Detector, LoadError};
use crate::observe::Roles;

/// Loads `model`, number `number`, for `cameras` of this thread. Also its warnings.
///
/// # Errors
/// [`LoadError`].
pub fn load(
    (number, model): (usize, &Model),
    cameras: Vec<usize>,
    watched: &[&str],
    seat: &Arc<ModelSeat>,
) -> Result<Looker, LoadError> {
    let detector = Detector::load(&model.options())?;
    let manifest = detector.manifest().clone();
    let identity = ModelIdentity {
        name: manifest.name.clone(),
        version: manifest.version.clone(),
        digest: detector.digest().to_owned(),
        role: ModelRole::Active,
    };
    let roles = Roles::of(&manifest, watched);
    let facts = Arc::new(ModelFacts { name: model.name.clone(), identity, manifest });
    // Another thread may have loaded the same model for its own cameras; it is the same one.
    let _ = seat.facts.set(Arc::clone(&facts));
    Ok(Looker { number, facts, seat: Arc::clone(seat), detector, roles, when: model.when, cameras })
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
