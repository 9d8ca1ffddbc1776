//! What a start makes of the pointers. Pure.
//!
//! A process that did not end in order, in a boot that still goes on, crashed: a model on trial is taken back and is Bad.
//! In another boot without a crash marker the power was cut: the trial goes on, once; the second cut ends it without a
//! verdict on the model. Where nothing is on trial and one process after the other crashes, the factory's models are taken.

use stopline_depot::deployment::{DeployCause, Exposure};
use stopline_depot::digest::Digest;
use stopline_depot::slots::{Pointers, Restart, Session};
use stopline_depot::versioned::Versioned as _;

/// How the process before this one ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// There was none, or it ended because it was told to.
    InOrder,
    /// By itself, or killed.
    Crash,
    /// With the machine.
    PowerCut,
}

/// What was changed, for messages, verdicts and progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The model.
    pub model: String,
    /// The roll-out of its trial; none where none was on trial.
    pub rollout_id: Option<String>,
    /// The bundle that it is about.
    pub digest: Digest,
    /// What happened to it.
    pub what: What,
    /// What was counted in the trial.
    pub exposure: Exposure,
}

/// What happened to a bundle at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// On trial, and still is.
    GoesOn,
    /// Taken back: Bad.
    Reverted(DeployCause),
    /// Taken back, and nothing is said of the model.
    TakenBack,
    /// It decided when processes crashed one after the other.
    Factory,
}

/// How the process before ended.
pub fn ending(session: Option<&Session>, boot_id: &str) -> Ending {
    match session {
        None => Ending::InOrder,
        Some(session) if session.crashed => Ending::Crash,
        Some(session) if session.ended => Ending::InOrder,
        Some(session) if session.boot_id == boot_id => Ending::Crash,
        Some(_) => Ending::PowerCut,
    }
}

/// The session of the process that starts now. Power cuts are no crashes.
pub fn begin(before: Option<&Session>, boot_id: &str) -> Session {
    let crashes = before.map_or(0, |session| session.crashes);
    let crashes = match ending(before, boot_id) {
        Ending::Crash => crashes.saturating_add(1),
        Ending::InOrder => 0,
        Ending::PowerCut => crashes,
    };
    Session { schema: Session::SCHEMA, boot_id: boot_id.to_owned(), ended: false, crashed: false, crashes }
}

/// Changes `pointers` as this start needs it. `begun`: the session that [`begin`] made; after `crash_loop` crashes in a row
/// all models go to the factory's.
pub fn recover(
    pointers: &mut Pointers,
    before: Option<&Session>,
    begun: &Session,
    crash_loop: u32,
) -> Vec<Change> {
    let ending = ending(before, &begun.boot_id);
    let on_trial = pointers.models.values().any(|model| model.trial.is_some());
    let looping = !on_trial && begun.crashes >= crash_loop;
    let mut changes = Vec::new();
    for (name, model) in &mut pointers.models {
        let Some(digest) = model.current else { continue };
        let change = |what, rollout_id: Option<String>, exposure| Change {
            model: name.clone(),
            rollout_id,
            digest,
            what,
            exposure,
        };
        if let Some(trial) = &model.trial {
            let (rollout, mut exposure) = (Some(trial.rollout_id.clone()), trial.exposure);
            let what = match ending {
                Ending::InOrder => What::GoesOn,
                // A trial that goes on is known by this boot from now on.
                ending => match model.restart(&begun.boot_id, ending == Ending::Crash) {
                    Ok(Restart::GoesOn) => What::GoesOn,
                    Ok(Restart::GoBack) | Err(_) if ending == Ending::Crash => {
                        exposure.crashes += 1;
                        What::Reverted(DeployCause::Crash)
                    }
                    Ok(Restart::GoBack) | Err(_) => What::TakenBack,
                },
            };
            changes.push(change(what, rollout, exposure));
            if what != What::GoesOn && model.revert().is_err() {
                model.to_factory();
            }
        } else if looping {
            changes.push(change(What::Factory, None, Exposure::default()));
            model.to_factory();
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use stopline_depot::slots::{ModelPointers, Trial};

    fn session(boot_id: &str, ended: bool, crashes: u32) -> Session {
        Session { schema: 1, boot_id: boot_id.into(), ended, crashed: false, crashes }
    }

    fn pointers(power_cuts: Option<u32>) -> Pointers {
        let trial = power_cuts.map(|power_cuts| Trial {
            rollout_id: "r1".into(),
            boot_id: "a".into(),
            power_cuts,
            exposure: Exposure::default(),
        });
        let model = ModelPointers {
            current: Some(Digest::of(b"new")),
            previous: Some(Digest::of(b"old")),
            candidate: None,
            trial,
        };
        Pointers { schema: 1, models: [("m".to_owned(), model)].into() }
    }

    fn start(pointers: &mut Pointers, before: &Session, boot_id: &str) -> Vec<Change> {
        let begun = begin(Some(before), boot_id);
        recover(pointers, Some(before), &begun, 3)
    }

    #[test]
    fn a_crash_in_the_trial_takes_it_back_and_is_bad() {
        let mut pointers = pointers(Some(0));
        let changes = start(&mut pointers, &session("a", false, 0), "a");
        assert_eq!(changes[0].what, What::Reverted(DeployCause::Crash));
        assert_eq!((changes[0].exposure.crashes, changes[0].digest), (1, Digest::of(b"new")));
        let model = &pointers.models["m"];
        assert_eq!((model.current, model.previous, &model.trial), (Some(Digest::of(b"old")), None, &None));
    }

    #[test]
    fn a_power_cut_is_forgiven_once_and_the_second_is_no_verdict() {
        let mut pointers = pointers(Some(0));
        assert_eq!(start(&mut pointers, &session("a", false, 0), "b")[0].what, What::GoesOn);
        assert_eq!(pointers.models["m"].trial.as_ref().map(|trial| trial.power_cuts), Some(1));
        assert_eq!(start(&mut pointers, &session("b", false, 0), "c")[0].what, What::TakenBack);
        assert_eq!(pointers.models["m"].current, Some(Digest::of(b"old")));
    }

    #[test]
    fn a_crash_marker_counts_in_another_boot_too() {
        let mut pointers = pointers(Some(0));
        let marked = Session { crashed: true, ..session("a", false, 0) };
        assert_eq!(start(&mut pointers, &marked, "b")[0].what, What::Reverted(DeployCause::Crash));
    }

    #[test]
    fn an_end_in_order_goes_on_with_the_trial() {
        let mut pointers = pointers(Some(0));
        assert_eq!(start(&mut pointers, &session("a", true, 0), "b")[0].what, What::GoesOn);
        assert_eq!(pointers.models["m"].trial.as_ref().map(|trial| trial.power_cuts), Some(0));
    }

    #[test]
    fn a_good_model_that_crashes_again_and_again_gives_way_to_the_factorys() {
        let mut pointers = pointers(None);
        assert!(start(&mut pointers, &session("a", false, 1), "a").is_empty(), "the second crash");
        assert_eq!(start(&mut pointers, &session("a", false, 2), "a")[0].what, What::Factory);
        assert_eq!(pointers.models["m"].current, None);
        assert_eq!(begin(Some(&session("a", true, 9)), "a").crashes, 0, "an end in order ends the count");
    }

    proptest! {
        #[test]
        fn whatever_happens_a_model_is_on_trial_only_where_it_is_current_and_something_is_left(
            starts in proptest::collection::vec((any::<bool>(), any::<bool>(), any::<bool>()), 0..12),
            trial in any::<bool>(),
        ) {
            let mut pointers = pointers(trial.then_some(0));
            let (mut boot, mut before) = (0, session("0", true, 0));
            let mut reverted = false;
            for (ended, crashed, rebooted) in starts {
                before.ended = ended;
                before.crashed = crashed && !ended;
                boot += u32::from(rebooted);
                let begun = begin(Some(&before), &boot.to_string());
                let changes = recover(&mut pointers, Some(&before), &begun, 3);
                reverted |= changes.iter().any(|change| matches!(change.what, What::Reverted(_) | What::TakenBack));
                let model = &pointers.models["m"];
                prop_assert!(model.trial.is_none() || model.current == Some(Digest::of(b"new")));
                prop_assert!(!reverted || model.current != Some(Digest::of(b"new")), "never back to a bad one");
                before = begun;
            }
        }
    }
}
