//! The runtime's state at the start and at the end.

use std::sync::Arc;

use stopline_depot::deployment::{Phase, VerdictState};
use stopline_depot::slots::{Progress, Session};
use stopline_depot::versioned::Versioned as _;
use tracing::Level;

use crate::config::Depot as DepotConfig;
use crate::daemon::models::Depot;
use crate::daemon::notes::Notes;
use crate::models::recover::{Change, Ending, What, begin, ending, recover};
use crate::models::store::{Store, boot_id};
use crate::models::vault::Vault;

/// Opens the state and sets right what the end of the process before has left. A state that cannot be had is told: the
/// factory's models decide, and nothing new is taken.
pub fn open(config: &DepotConfig, notes: &Notes) -> Depot {
    let store = match Store::open(&config.state) {
        Ok(store) => Some(Arc::new(store)),
        Err(error) => {
            notes.log(Level::ERROR, format!("depot.state: {error}; the factory's models decide"));
            None
        }
    };
    let crashed = store.as_ref().is_some_and(|store| recovered(config, store, notes));
    Depot { vault: Arc::new(Vault::new(config, store.clone())), store, crashed }
}

/// `true`: the process before crashed.
fn recovered(config: &DepotConfig, store: &Store, notes: &Notes) -> bool {
    let before = store.session();
    let begun = begin(before.as_ref(), &boot_id());
    match store.pointers() {
        Ok(mut pointers) => {
            let changes = recover(&mut pointers, before.as_ref(), &begun, config.trial.crash_loop);
            store.write_pointers(&pointers);
            changes.iter().for_each(|change| tell(change, store, notes));
        }
        Err(error) => notes.log(Level::ERROR, format!("{error}; the factory's models decide")),
    }
    // After the pointers: a cut in between is found again at the next start.
    store.write_session(&begun);
    ending(before.as_ref(), &begun.boot_id) == Ending::Crash
}

fn tell(change: &Change, store: &Store, notes: &Notes) {
    let Change { model, digest, .. } = change;
    let short = &digest.to_string()[..12];
    let (phase, cause, text) = match change.what {
        What::GoesOn => {
            notes.log(Level::INFO, format!("model {model}: the trial of bundle {short} goes on"));
            return;
        }
        What::Reverted(cause) => {
            store.judge(digest, VerdictState::Bad { cause }, 0);
            let text = format!("model {model}: bundle {short} crashed on trial and is taken back");
            (Phase::Reverted, Some(cause), text)
        }
        What::TakenBack => {
            store.judge(digest, VerdictState::Untested, 1);
            let cause = stopline_depot::deployment::DeployCause::Surroundings;
            let text = format!(
                "model {model}: the power was cut twice in the trial of bundle {short}; it is taken back"
            );
            (Phase::Deferred, Some(cause), text)
        }
        What::Factory => {
            let text = format!(
                "model {model}: one process after the other crashed with bundle {short}; the factory's model decides"
            );
            notes.event("model_factory", text);
            return;
        }
    };
    notes.event("model_taken_back", text.clone());
    let progress = Progress {
        schema: Progress::SCHEMA,
        rollout_id: change.rollout_id.clone().unwrap_or_default(),
        digest: *digest,
        phase,
        cause,
        detail: text,
        exposure: change.exposure,
    };
    store.tell(model, &progress);
}

/// The process ends: in order, or `crashed` by a fault of its own.
pub fn ended(store: &Store, crashed: bool) {
    let Some(session) = store.session() else { return };
    store.write_session(&Session { ended: !crashed, crashed, ..session });
}
