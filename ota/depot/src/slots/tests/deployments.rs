//! The journal: only what may follow follows, and nothing goes on for ever.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::deployment::{DeployCause, Phase};
use crate::digest::Digest;
use crate::slots::*;

const PHASES: [Phase; 12] = [
    Phase::Offered,
    Phase::Fetching,
    Phase::Staged,
    Phase::Tested,
    Phase::Shadow,
    Phase::Armed,
    Phase::Trial,
    Phase::Good,
    Phase::Deferred,
    Phase::Rejected,
    Phase::Withdrawn,
    Phase::Reverted,
];

fn begun() -> Journal {
    let mut journal = Journal::default();
    assert!(journal.begin("m", "r", Digest::of(b"x"), "models/m/1.slb").is_none());
    journal
}

#[test]
fn the_same_roll_out_goes_on_where_it_is_and_another_takes_its_place() {
    let mut journal = begun();
    journal.advance("m", Phase::Fetching, None).unwrap();
    assert!(journal.begin("m", "r", Digest::of(b"x"), "models/m/1.slb").is_none());
    assert_eq!(journal.of("m").unwrap().phase, Phase::Fetching);
    let superseded = journal.begin("m", "r2", Digest::of(b"y"), "models/m/2.slb").unwrap();
    assert_eq!((superseded.phase, superseded.cause), (Phase::Withdrawn, Some(DeployCause::Superseded)));
    assert_eq!((superseded.rollout_id.as_str(), journal.of("m").unwrap().phase), ("r", Phase::Offered));
    journal.advance("m", Phase::Rejected, Some(DeployCause::Signature)).unwrap();
    assert!(journal.begin("m", "r3", Digest::of(b"z"), "models/m/3.slb").is_none(), "it had ended by itself");
    assert!(journal.advance("other", Phase::Fetching, None).is_err());
}

/// Mender's state_test: "spontaneous reboot forever" must end.
#[test]
fn a_deployment_that_fails_for_ever_ends() {
    let mut journal = begun();
    let mut now = 0;
    let mut nights = 0;
    loop {
        let began = journal.advance("m", Phase::Fetching, None).unwrap();
        if began == Phase::Rejected
            || journal.defer("m", DeployCause::Network, now, 0).unwrap() == Phase::Rejected
        {
            break;
        }
        let next = journal.of("m").unwrap().next_try.unwrap();
        assert!(next - now >= FIRST_BACK_OFF_S as i64 && next - now <= LONGEST_BACK_OFF_S as i64);
        now = next;
        nights += 1;
        assert!(nights < 1000, "it never ends");
    }
    let ended = journal.of("m").unwrap();
    println!("it ended after {nights} attempts, {} days", now / 86_400);
    assert!(ended.has_ended() && now > 200 * 86_400, "and not too soon");
    assert!(journal.advance("m", Phase::Fetching, None).is_err());
}

#[test]
fn the_back_off_doubles_to_a_day_and_is_spread() {
    let waits: Vec<u64> = [0, 1, 2, 10, 11, 63, 64, u32::MAX].map(back_off_s).into();
    assert_eq!(waits, [60, 120, 240, 61_440, 86_400, 86_400, 86_400, 86_400]);
    for (spread, expected) in [(0, 60), (500, 75), (1000, 90), (u16::MAX, 90)] {
        let mut journal = begun();
        journal.defer("m", DeployCause::Network, 1000, spread).unwrap();
        assert_eq!(journal.of("m").unwrap().next_try, Some(1000 + expected));
    }
}

#[test]
fn after_a_cut_the_journal_learns_what_the_slots_know() {
    let staged = BTreeSet::from([Digest::of(b"x")]);
    for (before, is_staged, after) in [
        (Phase::Offered, true, Phase::Staged),
        (Phase::Fetching, true, Phase::Staged),
        (Phase::Fetching, false, Phase::Fetching),
        (Phase::Staged, true, Phase::Staged),
        (Phase::Staged, false, Phase::Deferred),
        (Phase::Armed, false, Phase::Deferred),
        (Phase::Trial, false, Phase::Trial),
        (Phase::Good, false, Phase::Good),
    ] {
        let mut journal = begun();
        journal.deployments.get_mut("m").unwrap().phase = before;
        journal.agree_with(&if is_staged { staged.clone() } else { BTreeSet::new() });
        assert_eq!(journal.of("m").unwrap().phase, after, "{before:?}, {is_staged}");
    }
}

proptest! {
    #[test]
    fn only_what_may_follow_follows_and_it_comes_to_an_end(
        steps in prop::collection::vec((0_usize..PHASES.len(), any::<bool>()), 0..80)
    ) {
        let mut journal = begun();
        for (step, defers) in steps {
            let before = journal.clone();
            let from = before.of("m").unwrap().clone();
            let to = if defers { Phase::Deferred } else { PHASES[step] };
            let moved = if defers {
                journal.defer("m", DeployCause::Network, 0, 0)
            } else {
                journal.advance("m", to, None)
            };
            let now = journal.of("m").unwrap();
            match moved {
                Ok(phase) => {
                    prop_assert_eq!(phase, now.phase);
                    prop_assert!(from.phase.may_become(to) || from.phase == to);
                    prop_assert!(!from.has_ended());
                    prop_assert!(now.transitions >= from.transitions);
                }
                Err(_) => prop_assert_eq!(&journal, &before),
            }
            prop_assert!(now.transitions <= MAX_TRANSITIONS + 1);
            let bytes = crate::versioned::write(&journal).unwrap();
            prop_assert_eq!(&crate::versioned::read::<Journal>(&bytes).unwrap(), &journal);
        }
    }
}
