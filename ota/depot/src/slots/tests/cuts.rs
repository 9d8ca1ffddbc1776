//! Every call of a whole update is the last one, or meets a full disk.

use super::world::{self, End, bundle, depot, paths, state_paths, update};
use crate::disk::Disk;
use crate::disk::simulated::{CUTS, Cut, Failure, SharedDisk};
use crate::slots::*;

/// A board on which the old bundle decides and one older waits to be gone back to.
fn board() -> SharedDisk {
    let disk = SharedDisk::default();
    for (rollout, number) in [("r0", 0), ("r1", 1)] {
        update(&disk, rollout, &bundle(number), End::Good).unwrap();
    }
    let disk = disk.after(Cut::Nothing);
    assert_eq!(serving(&disk, &[&bundle(1)]), Ok(Some(0)), "what was said to be done lasts");
    disk
}

/// Which of the bundles decides, and whether all is whole.
fn serving(disk: &SharedDisk, bundles: &[&[u8]]) -> Result<Option<usize>, String> {
    let Some(current) = world::serving(disk, &paths(), &state_paths())? else { return Ok(None) };
    let number = bundles.iter().position(|bytes| Digest::of(bytes) == current);
    number.map(Some).ok_or(format!("{current} decides and is none of ours"))
}

fn calls_of(end: End) -> usize {
    let disk = board();
    let before = disk.calls();
    update(&disk, "r2", &bundle(2), end).unwrap();
    disk.calls() - before
}

#[test]
fn an_update_cut_at_every_call_leaves_the_old_or_the_new_deciding_and_goes_on() {
    let (old, new) = (bundle(1), bundle(2));
    for end in [End::Good, End::Reverted] {
        let calls = calls_of(end);
        let mut decided = [0, 0];
        for call in 0..=calls {
            for cut in CUTS {
                let disk = board().failing_at(call, Failure::Power);
                let done = update(&disk, "r2", &new, end);
                assert_eq!(done.is_ok(), call == calls, "call {call}");
                let disk = disk.after(cut);
                let now = serving(&disk, &[&old, &new])
                    .unwrap_or_else(|harm| panic!("call {call}, {cut:?}: {harm}"));
                decided[now.expect("a board that had a model never loses it")] += 1;
                // The next start brings order, and the update goes on to its end.
                in_order(&disk);
                update(&disk, "r2", &new, end)
                    .unwrap_or_else(|error| panic!("call {call}, {cut:?}: {error}"));
                ended(&disk.after(Cut::Nothing), end);
            }
        }
        println!(
            "{end:?}: {calls} calls, {} cuts: the old decides after {}, the new after {}",
            (calls + 1) * CUTS.len(),
            decided[0],
            decided[1]
        );
        assert!(calls > 100 && decided[0] > 0 && decided[1] > 0);
    }
}

/// A cut while order is being brought is a cut too.
#[test]
fn a_recovery_cut_at_every_call_recovers_at_the_next_start() {
    let (old, new) = (bundle(1), bundle(2));
    let mut cuts = 0;
    for call in (0..calls_of(End::Good)).step_by(3) {
        let disk = board().failing_at(call, Failure::Power);
        update(&disk, "r2", &new, End::Good).unwrap_err();
        let left = disk.after(Cut::HalfTheContent);
        let mut again = 0;
        loop {
            let disk = left.failing_at(again, Failure::Power);
            let done = Depot::without_lock(disk.clone(), paths()).is_ok()
                && RuntimeState::without_lock(disk.clone(), state_paths()).is_ok();
            for cut in [Cut::Nothing, Cut::NamesWithoutContent] {
                let disk = disk.after(cut);
                serving(&disk, &[&old, &new]).unwrap_or_else(|harm| panic!("call {call}, {again}: {harm}"));
                in_order(&disk);
                cuts += 1;
            }
            if done {
                break;
            }
            again += 1;
        }
    }
    println!("{cuts} cuts while recovering");
    assert!(cuts > 500);
}

#[test]
fn a_full_disk_at_every_call_leaves_the_old_or_the_new_deciding_and_it_is_tried_again() {
    let (old, new) = (bundle(1), bundle(2));
    for (end, failure) in [End::Good, End::Reverted]
        .into_iter()
        .flat_map(|end| [Failure::Full, Failure::StaysFull].map(|failure| (end, failure)))
    {
        let calls = calls_of(end);
        let mut refused = 0;
        for call in 0..calls {
            let disk = board().failing_at(call, failure);
            let done = update(&disk, "r2", &new, end);
            if let Err(error) = &done {
                assert!(error.is_full(), "call {call}: {error}");
                refused += 1;
            }
            // As the running processes see it, and as the next start would find it.
            for disk in
                [SharedDisk::new(disk.copy()), disk.after(Cut::Nothing), disk.after(Cut::HalfTheContent)]
            {
                let disk = disk.failing_at(usize::MAX, Failure::Full);
                let now = serving(&disk, &[&old, &new]).unwrap_or_else(|harm| panic!("call {call}: {harm}"));
                assert!(now.is_some());
                update(&disk, "r2", &new, end).unwrap_or_else(|error| panic!("call {call}: {error}"));
                ended(&disk.after(Cut::Nothing), end);
            }
        }
        println!("{end:?}, {failure:?}: {calls} calls, {refused} told that the disk is full");
        assert!(refused * 2 > calls);
    }
}

/// The control: the same test without syncs finds harm, or it would prove nothing.
#[test]
fn without_syncs_the_same_cuts_do_harm() {
    let (old, new) = (bundle(1), bundle(2));
    let mut harmed = 0;
    let calls = calls_of(End::Good);
    for call in 0..=calls {
        for cut in CUTS {
            let disk = board().failing_at(call, Failure::Power);
            disk.change(|disk| disk.without_sync = true);
            let done = update(&disk, "r2", &new, End::Good);
            let found = serving(&disk.after(cut), &[&old, &new]);
            let lost = done.is_ok() && found != Ok(Some(1));
            harmed += usize::from(lost || !matches!(found, Ok(Some(_))));
        }
    }
    println!("without syncs: harm after {harmed} of {} cuts", (calls + 1) * CUTS.len());
    assert!(harmed > 10);
}

/// After a start: no slot is half full and no file is half written.
fn in_order(disk: &SharedDisk) {
    let depot = depot(disk);
    RuntimeState::without_lock(disk.clone(), state_paths()).unwrap();
    for name in disk.list(&paths().slots()).unwrap() {
        let digest = name.parse().unwrap();
        assert_eq!(depot.slot_state(&digest).unwrap(), SlotState::Staged);
        depot.verify(&digest).unwrap();
        assert_eq!(disk.list(&paths().slot(&digest)).unwrap(), ["bundle.tar", "slot.json"]);
    }
    for folder in [paths().folder(), &paths().offers(), state_paths().folder(), &state_paths().verdicts()] {
        let left: Vec<_> = disk.list(folder).unwrap();
        assert!(left.iter().all(|name| !name.ends_with(crate::disk::BESIDE)), "{left:?}");
    }
}

/// The update has ended as it should, and the slots hold what is pointed at and nothing more.
fn ended(disk: &SharedDisk, end: End) {
    let (old, new) = (bundle(1), bundle(2));
    let expected = if end == End::Good { 1 } else { 0 };
    assert_eq!(serving(disk, &[&old, &new]), Ok(Some(expected)));
    let state = StateReader::on(disk.clone(), state_paths());
    assert_eq!(state.is_bad(&Digest::of(&new)).unwrap(), end == End::Reverted);
    let pointers = state.pointers().unwrap().of(super::world::MODEL);
    assert!(pointers.trial.is_none() && pointers.candidate.is_none());
}
