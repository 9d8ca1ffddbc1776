//! Pointers: whatever comes in whatever order, something decides, and a trial always has a way back.

use proptest::prelude::*;

use crate::digest::Digest;
use crate::slots::*;

#[derive(Debug, Clone)]
enum Move {
    TakeUp(u8),
    Drop,
    Begin,
    Good,
    Revert,
    Restart { same_boot: bool, crashed: bool },
    GoTo(Option<u8>),
    Factory,
}

fn digest(number: u8) -> Digest {
    Digest::of(&[number])
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        3 => (0_u8..5).prop_map(Move::TakeUp),
        1 => Just(Move::Drop),
        3 => Just(Move::Begin),
        2 => Just(Move::Good),
        2 => Just(Move::Revert),
        2 => (any::<bool>(), any::<bool>()).prop_map(|(same_boot, crashed)| Move::Restart { same_boot, crashed }),
        1 => prop::option::of(0_u8..5).prop_map(Move::GoTo),
        1 => Just(Move::Factory),
    ];
    prop::collection::vec(one, 0..40)
}

proptest! {
    #[test]
    fn a_refused_move_changes_nothing_and_a_trial_has_a_way_back(moves in moves()) {
        let mut model = ModelPointers::default();
        let mut boots = 0;
        for (number, step) in moves.into_iter().enumerate() {
            let before = model.clone();
            let refused = match step {
                Move::TakeUp(number) => model.take_up(digest(number)).is_err(),
                Move::Drop => { model.drop_candidate(); false }
                Move::Begin => { boots += 1; model.begin_trial("r", &format!("boot {boots}")).is_err() }
                Move::Good => model.end_good().is_err(),
                Move::Revert => {
                    let reverted = model.revert();
                    if reverted.is_ok() {
                        // What decides now is what decided before the trial, and what failed is not pointed at.
                        prop_assert_eq!(model.current, before.previous);
                        prop_assert!(before.current == before.previous || model.current != before.current);
                        prop_assert_eq!(model.previous, None);
                    }
                    reverted.is_err()
                }
                Move::Restart { same_boot, crashed } => {
                    if !same_boot { boots += 1; }
                    match model.restart(&format!("boot {boots}"), crashed) {
                        Ok(Restart::GoesOn) => {
                            prop_assert!(!crashed);
                            prop_assert_ne!(&before.trial.as_ref().unwrap().boot_id, &format!("boot {boots}"));
                            prop_assert!(model.trial.as_ref().unwrap().power_cuts <= FORGIVEN_POWER_CUTS);
                            prop_assert_eq!((model.current, model.previous), (before.current, before.previous));
                            false
                        }
                        Ok(Restart::GoBack) | Err(_) => true,
                    }
                }
                Move::GoTo(to) => { model.go_to(to.map(digest)); false }
                Move::Factory => { model.to_factory(); false }
            };
            prop_assert!(!refused || model == before, "step {}", number);
            // A trial has something on trial that is not what is gone back to.
            prop_assert!(model.trial.is_none() || model.current.is_some());
            prop_assert!(model.trial.is_none() || model.current != model.previous);
            prop_assert!(model.candidate.is_none() || model.candidate != model.current || model.trial.is_some());
        }
    }

    #[test]
    fn pointers_come_back_as_they_were_written(names in prop::collection::btree_map("[a-z]{1,8}", 0_u8..9, 0..9)) {
        let models = names.into_iter().map(|(name, number)| {
            let mut model = ModelPointers::default();
            model.take_up(digest(number)).unwrap();
            if number % 2 == 0 { model.begin_trial("r", "b").unwrap(); }
            (name, model)
        });
        let pointers = Pointers { schema: 1, models: models.collect() };
        let bytes = crate::versioned::write(&pointers).unwrap();
        prop_assert_eq!(crate::versioned::read::<Pointers>(&bytes).unwrap(), pointers);
    }
}

#[test]
fn a_trial_survives_one_power_cut_and_no_crash() {
    let mut model = ModelPointers::default();
    model.take_up(digest(1)).unwrap();
    model.begin_trial("r", "first boot").unwrap();
    let on_trial = model.clone();
    assert_eq!(model.restart("first boot", false), Ok(Restart::GoBack), "it ended within one boot: a crash");
    assert_eq!(model.restart("second boot", true), Ok(Restart::GoBack), "a crash marker");
    assert_eq!(model, on_trial);
    assert_eq!(model.restart("second boot", false), Ok(Restart::GoesOn), "a power cut");
    assert_eq!(model.restart("third boot", false), Ok(Restart::GoBack), "another one");
    assert_eq!(model.revert(), Ok(Some(digest(1))));
    assert_eq!(model, ModelPointers::default(), "the factory's decides again");
    assert_eq!(model.restart("third boot", false), Err(PointerError::NoTrial));
}

#[test]
fn an_aborted_roll_out_goes_to_where_it_says_or_to_what_decided_before() {
    let mut model = ModelPointers::default();
    for number in [1, 2] {
        model.take_up(digest(number)).unwrap();
        model.begin_trial("r", "b").unwrap();
        model.end_good().unwrap();
    }
    let mut other = model.clone();
    model.go_to(None);
    assert_eq!((model.current, model.previous), (Some(digest(1)), None));
    other.go_to(Some(digest(7)));
    assert_eq!((other.current, other.previous), (Some(digest(7)), None));
    assert_eq!(other.take_up(digest(7)), Err(PointerError::Decides));
}

#[test]
fn what_decides_again_after_a_trial_is_no_candidate_any_more() {
    let mut model = ModelPointers::default();
    model.go_to(Some(digest(1)));
    model.take_up(digest(2)).unwrap();
    model.begin_trial("r", "b").unwrap();
    model.take_up(digest(1)).unwrap();
    assert_eq!(model.revert(), Ok(Some(digest(2))));
    assert_eq!((model.current, model.candidate), (Some(digest(1)), None));
}
