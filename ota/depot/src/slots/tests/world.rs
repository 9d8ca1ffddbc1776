//! One board: a depot and a runtime's state on one disk, and updates that go on from wherever they are.

use std::collections::BTreeSet;

use crate::bundle::MAX_UNPACKED;
use crate::deployment::{Approval, DeployCause, Phase, Verdict, VerdictState};
use crate::digest::Digest;
use crate::disk::Disk;
use crate::disk::simulated::SharedDisk;
use crate::release::{Content, Release};
use crate::rollout::State;
use crate::slots::*;

pub const MODEL: &str = "m";

pub fn paths() -> DepotPaths {
    DepotPaths::new("depot")
}

pub fn state_paths() -> StatePaths {
    StatePaths::new("state")
}

/// A bundle; what is in it matters to nobody here.
pub fn bundle(number: u8) -> Vec<u8> {
    (0..5000_u32).map(|at| (at * 31 / 7) as u8 ^ number).collect()
}

pub fn release_of(bytes: &[u8]) -> Release {
    Release {
        schema: 1,
        model: MODEL.into(),
        version: semver::Version::new(1, 0, 0),
        release_seq: 1,
        security_floor: 0,
        hardware: vec!["board".into()],
        min_runtime: semver::Version::new(0, 1, 0),
        unpacked: Content { sha256: Digest::of(bytes), length: bytes.len() as u64 },
        deltas: Vec::new(),
    }
}

pub fn offer_of(digest: Digest) -> Offer {
    Offer {
        schema: 1,
        rollout_id: "r".into(),
        model: MODEL.into(),
        digest,
        state: State::Active,
        abort_to: None,
        verified_at: Some(1_790_000_000),
        verified_since_boot: None,
        attended: false,
        forgiven: false,
    }
}

pub fn depot(disk: &SharedDisk) -> Depot<SharedDisk> {
    Depot::without_lock(disk.clone(), paths()).unwrap()
}

pub fn fill<D: Disk>(depot: &mut Depot<D>, bytes: &[u8]) -> Result<SlotRecord, DepotError> {
    let mut filling = depot.fill(release_of(bytes), "models/m/1.slb", StoredEvidence::default())?;
    bytes.chunks(1024).try_for_each(|piece| filling.add(piece))?;
    filling.finish()
}

/// How an update ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Good,
    Reverted,
}

/// Phases of an update in which a cut meets it, in their order.
pub const STEPS: [&str; 8] =
    ["fetching", "staging", "offering", "approving", "activating", "ending", "confirming", "collecting"];

/// [`drive`] on a simulated disk, opened as after a start.
pub fn update(disk: &SharedDisk, rollout: &str, bytes: &[u8], end: End) -> Result<(), DepotError> {
    let mut depot = Depot::without_lock(disk.clone(), paths())?;
    let mut state = RuntimeState::without_lock(disk.clone(), state_paths())?;
    drive(&mut depot, &mut state, (rollout, bytes, end), &mut |_| {})
}

/// Drives an update to its end from wherever a cut left it, as agent and runtime do: each step looks first at what is
/// there, and tells which one it is.
pub fn drive<D: Disk + Clone>(
    depot: &mut Depot<D>,
    state: &mut RuntimeState<D>,
    (rollout, bytes, end): (&str, &[u8], End),
    tell: &mut dyn FnMut(&str),
) -> Result<(), DepotError> {
    agent(depot, rollout, bytes, tell)?;
    runtime(depot.paths(), state, end, tell)?;
    tell(STEPS[6]);
    confirm(depot, state.reader(), end)?;
    tell(STEPS[7]);
    depot.collect_garbage(state.reader().paths(), &BTreeSet::new()).map(drop)
}

/// The agent's part: fetch, stage, offer.
fn agent<D: Disk>(
    depot: &mut Depot<D>,
    rollout: &str,
    bytes: &[u8],
    tell: &mut dyn FnMut(&str),
) -> Result<(), DepotError> {
    let digest = Digest::of(bytes);
    tell(STEPS[0]);
    depot.record(|journal| Ok(journal.begin(MODEL, rollout, digest, "models/m/1.slb")))?;
    if depot.slot_state(&digest)? != SlotState::Staged {
        depot.record(|journal| journal.advance(MODEL, Phase::Fetching, None))?;
        let mut filling = depot.fill(release_of(bytes), "models/m/1.slb", StoredEvidence::default())?;
        bytes.chunks(1024.max(bytes.len() / 40)).try_for_each(|piece| filling.add(piece))?;
        tell(STEPS[1]);
        filling.finish()?;
    }
    tell(STEPS[2]);
    if depot.journal().of(MODEL).is_some_and(|found| matches!(found.phase, Phase::Offered | Phase::Fetching))
    {
        depot.record(|journal| journal.advance(MODEL, Phase::Staged, None))?;
    }
    depot.offer(&Offer { rollout_id: rollout.into(), ..offer_of(digest) })
}

/// The runtime's part: read once, approve, test, wait, try, and stay or go back.
fn runtime<D: Disk + Clone>(
    paths: &DepotPaths,
    state: &mut RuntimeState<D>,
    end: End,
    tell: &mut dyn FnMut(&str),
) -> Result<(), DepotError> {
    tell(STEPS[3]);
    let disk = state.disk().clone();
    let offer: Offer = read(&disk, &paths.offer(MODEL))?.expect("it was offered");
    let digest = offer.digest;
    let told = |phase, cause| Progress {
        schema: 1,
        rollout_id: offer.rollout_id.clone(),
        digest,
        phase,
        cause,
        detail: String::new(),
        exposure: Default::default(),
    };
    let pointers = state.reader().pointers()?.of(MODEL);
    let over =
        pointers.trial.is_none() && (pointers.current == Some(digest) || state.reader().is_bad(&digest)?);
    if pointers.trial.is_none() && !over {
        read_bundle(&disk, &paths.bundle(&digest), &digest, MAX_UNPACKED)?;
        let model = MODEL.to_owned();
        state.write_approval(&Approval { schema: 1, model, digest, release_seq: 1, root_version: 1 })?;
        state.write_verdict(&verdict(digest, VerdictState::Tested))?;
        tell(STEPS[4]);
        state.point(MODEL, |model| model.take_up(digest))?;
        state.write_progress(MODEL, &told(Phase::Armed, None))?;
        state.point(MODEL, |model| model.begin_trial(&offer.rollout_id, "boot"))?;
        state.write_progress(MODEL, &told(Phase::Trial, None))?;
    }
    tell(STEPS[5]);
    match end {
        End::Good => {
            if !over {
                state.point(MODEL, |model| model.end_good().map(drop))?;
            }
            state.write_verdict(&verdict(digest, VerdictState::Good))?;
            state.write_progress(MODEL, &told(Phase::Good, None))
        }
        End::Reverted => {
            // The verdict comes first: a cut before the pointers move must not make it forgotten.
            let cause = DeployCause::Crash;
            state.write_verdict(&verdict(digest, VerdictState::Bad { cause }))?;
            if !over {
                state.point(MODEL, |model| model.revert().map(drop))?;
            }
            state.write_progress(MODEL, &told(Phase::Reverted, Some(cause)))
        }
    }
}

/// The agent writes down what became of it.
fn confirm<D: Disk>(depot: &mut Depot<D>, state: &StateReader<D>, end: End) -> Result<(), DepotError> {
    let told = state.progress(MODEL)?.expect("the runtime told");
    assert_eq!(told.phase, if end == End::Good { Phase::Good } else { Phase::Reverted });
    depot.record(|journal| {
        for phase in [Phase::Tested, Phase::Armed, Phase::Trial, told.phase] {
            if journal.of(MODEL).is_some_and(|found| found.phase.may_become(phase)) {
                journal.advance(MODEL, phase, told.cause)?;
            }
        }
        Ok(())
    })
}

fn verdict(digest: Digest, verdict: VerdictState) -> Verdict {
    Verdict { schema: 1, digest, verdict, runtime: semver::Version::new(1, 0, 0), deferred: 0 }
}

/// Which bundle decides, and that everything that anything points at or that says to be Staged is whole. `Err` tells what
/// is not.
pub fn serving<D: Disk + Clone>(
    disk: &D,
    paths: &DepotPaths,
    state: &StatePaths,
) -> Result<Option<Digest>, String> {
    let state = StateReader::on(disk.clone(), state.clone());
    let pointers = state.pointers().map_err(|error| error.to_string())?.of(MODEL);
    let whole = |digest: Digest| {
        let record = slot_record(disk, paths, &digest).map_err(|error| error.to_string())?;
        record.ok_or(format!("{digest} is pointed at and not Staged"))?;
        let bytes = read_bundle(disk, &paths.bundle(&digest), &digest, MAX_UNPACKED);
        bytes.map(drop).map_err(|error| error.to_string())
    };
    pointers.all().try_for_each(whole)?;
    for name in disk.list(&paths.slots()).unwrap() {
        let digest = name.parse().unwrap();
        if slot_record(disk, paths, &digest).map_err(|error| error.to_string())?.is_some() {
            whole(digest)?;
        }
    }
    Ok(pointers.current)
}
