//! One update after the other, as agent and runtime make them, each step from whatever a cut left.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use stopline_depot::bundle::MAX_UNPACKED;
use stopline_depot::deployment::{Approval, DeployCause, Phase, Verdict, VerdictState};
use stopline_depot::digest::Digest;
use stopline_depot::disk::{Disk, RealDisk};
use stopline_depot::release::{Content, Release};
use stopline_depot::rollout::State;
use stopline_depot::slots::{
    Depot, DepotError, DepotPaths, Offer, Progress, RuntimeState, SlotState, StatePaths, StateReader,
    StoredEvidence, read_bundle, slot_record,
};

use crate::certain::{Certain, Told};
use crate::random::Random;

const MODEL: &str = "m";
/// Of a bundle: many blocks, and yet many updates in a second.
const LENGTH: usize = 96 << 10;

fn places(disk: &Path) -> (DepotPaths, StatePaths) {
    (DepotPaths::new(disk.join("depot")), StatePaths::new(disk.join("state")))
}

/// What is in it matters to nobody here.
fn bundle(number: u64) -> Vec<u8> {
    Random(number + 1).bytes(LENGTH)
}

/// Every third is taken back. The first is not, so that there is something to go back to.
fn is_good(number: u64) -> bool {
    number % 3 != 2
}

/// Updates until `goes_on` says no.
pub fn write<D: Disk + Clone>(
    disk: &D,
    place: &Path,
    told: &Told,
    goes_on: &dyn Fn() -> bool,
) -> Result<(), String> {
    let (paths, state) = places(place);
    let mut depot = Depot::without_lock(disk.clone(), paths).map_err(text)?;
    let mut state = RuntimeState::without_lock(disk.clone(), state).map_err(text)?;
    // What ended before a cut and was not told any more is told now.
    let ended = depot
        .journal()
        .of(MODEL)
        .filter(|found| found.has_ended())
        .and_then(|found| number(&found.rollout_id));
    ended.map_or(Ok(()), |number| told.certain(&ending(number)))?;
    while goes_on() {
        let number = next(&depot);
        drive(&mut depot, &mut state, number, told).map_err(text)?;
        told.certain(&ending(number))?;
    }
    Ok(())
}

fn ending(number: u64) -> String {
    format!("{} {number} .", if is_good(number) { "good" } else { "reverted" })
}

fn number(rollout: &str) -> Option<u64> {
    rollout.trim_start_matches('r').parse().ok()
}

/// The update that is going on, or the next.
fn next<D: Disk>(depot: &Depot<D>) -> u64 {
    let Some(found) = depot.journal().of(MODEL) else { return 0 };
    let number = number(&found.rollout_id).unwrap_or(0);
    if found.has_ended() { number + 1 } else { number }
}

fn drive<D: Disk + Clone>(
    depot: &mut Depot<D>,
    state: &mut RuntimeState<D>,
    number: u64,
    told: &Told,
) -> Result<(), DepotError> {
    let bytes = bundle(number);
    let digest = Digest::of(&bytes);
    stage(depot, number, &bytes, told)?;
    told.step("update offering");
    depot.offer(&offer(number, digest))?;
    decide(depot.paths(), state, number, digest, told)?;
    told.step("update confirming");
    let last = state.reader().progress(MODEL)?.map(|told| (told.phase, told.cause));
    depot.record(|journal| {
        for (phase, cause) in
            [Phase::Tested, Phase::Armed, Phase::Trial].map(|phase| (phase, None)).into_iter().chain(last)
        {
            if journal.of(MODEL).is_some_and(|found| found.phase.may_become(phase)) {
                journal.advance(MODEL, phase, cause)?;
            }
        }
        Ok(())
    })?;
    told.step("update collecting");
    depot.collect_garbage(state.reader().paths(), &BTreeSet::new()).map(drop)
}

/// The agent: fetch, stage.
fn stage<D: Disk>(depot: &mut Depot<D>, number: u64, bytes: &[u8], told: &Told) -> Result<(), DepotError> {
    let digest = Digest::of(bytes);
    told.step("update fetching");
    depot.record(|journal| Ok(journal.begin(MODEL, &rollout(number), digest, "models/m/1.slb")))?;
    if depot.slot_state(&digest)? != SlotState::Staged {
        depot.record(|journal| journal.advance(MODEL, Phase::Fetching, None))?;
        let mut filling = depot.fill(release(bytes), "models/m/1.slb", StoredEvidence::default())?;
        bytes.chunks(8 << 10).try_for_each(|piece| filling.add(piece))?;
        told.step("update staging");
        filling.finish()?;
    }
    let is_new = |phase| matches!(phase, Phase::Offered | Phase::Fetching);
    if depot.journal().of(MODEL).is_some_and(|found| is_new(found.phase)) {
        depot.record(|journal| journal.advance(MODEL, Phase::Staged, None))?;
    }
    Ok(())
}

/// The runtime: read once, approve, try, and stay or go back.
fn decide<D: Disk + Clone>(
    paths: &DepotPaths,
    state: &mut RuntimeState<D>,
    number: u64,
    digest: Digest,
    told: &Told,
) -> Result<(), DepotError> {
    told.step("update approving");
    let disk = state.disk().clone();
    let pointers = state.reader().pointers()?.of(MODEL);
    let is_bad = state.reader().is_bad(&digest)?;
    let over = pointers.trial.is_none() && (pointers.current == Some(digest) || is_bad);
    if pointers.trial.is_none() && !over {
        read_bundle(&disk, &paths.bundle(&digest), &digest, MAX_UNPACKED)?;
        let model = MODEL.to_owned();
        state.write_approval(&Approval { schema: 1, model, digest, release_seq: 1, root_version: 1 })?;
        state.write_verdict(&verdict(digest, VerdictState::Tested))?;
        told.step("update activating");
        state.point(MODEL, |model| model.take_up(digest))?;
        state.write_progress(MODEL, &progress(number, digest, Phase::Armed, None))?;
        state.point(MODEL, |model| model.begin_trial(&rollout(number), "boot"))?;
        state.write_progress(MODEL, &progress(number, digest, Phase::Trial, None))?;
    }
    told.step("update ending");
    if is_good(number) {
        if !over {
            state.point(MODEL, |model| model.end_good().map(drop))?;
        }
        state.write_verdict(&verdict(digest, VerdictState::Good))?;
        return state.write_progress(MODEL, &progress(number, digest, Phase::Good, None));
    }
    let cause = DeployCause::Crash;
    state.write_verdict(&verdict(digest, VerdictState::Bad { cause }))?;
    if !over {
        state.point(MODEL, |model| model.revert().map(drop))?;
    }
    state.write_progress(MODEL, &progress(number, digest, Phase::Reverted, Some(cause)))
}

/// What the next start finds: one that decides, whole, and no older than what was told.
pub fn look(place: &Path, certain: &Certain) -> Result<String, String> {
    let (paths, state) = places(place);
    let before = serving(&paths, &state)?;
    // The same question again once a start has brought order.
    let depot = Depot::without_lock(RealDisk, paths.clone()).map_err(text)?;
    let runtime = RuntimeState::without_lock(RealDisk, state.clone()).map_err(text)?;
    for slot in RealDisk.list(&paths.slots()).map_err(text)? {
        let digest = slot.parse().map_err(|_| format!("a slot is called {slot:?}"))?;
        depot.verify(&digest).map_err(text)?;
    }
    let after = serving(&paths, &state)?;
    if before != after {
        return Err(format!("{before:?} decided before the start, {after:?} after it"));
    }
    let allowed: Vec<Digest> = certain
        .good
        .into_iter()
        .chain([certain.ended.map_or(0, |ended| ended + 1)])
        .map(|number| Digest::of(&bundle(number)))
        .collect();
    match (after, certain.good) {
        (None, Some(good)) => return Err(format!("nothing decides, update {good} was confirmed")),
        (Some(found), _) if certain.ended.is_some() && !allowed.contains(&found) => {
            return Err(format!(
                "{found} decides; {:?} and {:?} were confirmed",
                certain.good, certain.ended
            ));
        }
        _ => {}
    }
    if let Some(ended) = certain.ended.filter(|ended| !is_good(*ended)) {
        let digest = Digest::of(&bundle(ended));
        if !runtime.reader().is_bad(&digest).map_err(text)? {
            return Err(format!("update {ended} was taken back, and its verdict is forgotten"));
        }
    }
    Ok(format!("updates {:?} good, {:?} ended", certain.good, certain.ended))
}

/// Which bundle decides, and that everything that anything points at or that says to be Staged is whole.
fn serving(paths: &DepotPaths, state: &StatePaths) -> Result<Option<Digest>, String> {
    let state = StateReader::on(RealDisk, state.clone());
    let pointers = state.pointers().map_err(text)?.of(MODEL);
    let whole = |digest: Digest| {
        slot_record(&RealDisk, paths, &digest)
            .map_err(text)?
            .ok_or(format!("{digest} is pointed at and not Staged"))?;
        read_bundle(&RealDisk, &paths.bundle(&digest), &digest, MAX_UNPACKED).map(drop).map_err(text)
    };
    pointers.all().try_for_each(whole)?;
    for slot in RealDisk.list(&paths.slots()).map_err(text)? {
        let digest = slot.parse().map_err(|_| format!("a slot is called {slot:?}"))?;
        if slot_record(&RealDisk, paths, &digest).map_err(text)?.is_some() {
            whole(digest)?;
        }
    }
    Ok(pointers.current)
}

/// The bundle that decides.
pub fn a_bundle(place: &Path) -> Result<PathBuf, String> {
    let (paths, state) = places(place);
    let current = serving(&paths, &state)?.ok_or("nothing decides yet")?;
    Ok(paths.bundle(&current))
}

fn rollout(number: u64) -> String {
    format!("r{number}")
}

fn release(bytes: &[u8]) -> Release {
    Release {
        schema: 1,
        model: MODEL.into(),
        version: semver(1),
        release_seq: 1,
        security_floor: 0,
        hardware: vec!["board".into()],
        min_runtime: semver(0),
        unpacked: Content { sha256: Digest::of(bytes), length: bytes.len() as u64 },
        deltas: Vec::new(),
    }
}

fn offer(number: u64, digest: Digest) -> Offer {
    Offer {
        schema: 1,
        rollout_id: rollout(number),
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

fn progress(number: u64, digest: Digest, phase: Phase, cause: Option<DeployCause>) -> Progress {
    Progress {
        schema: 1,
        rollout_id: rollout(number),
        digest,
        phase,
        cause,
        detail: String::new(),
        exposure: Default::default(),
    }
}

fn verdict(digest: Digest, verdict: VerdictState) -> Verdict {
    Verdict { schema: 1, digest, verdict, runtime: semver(1), deferred: 0 }
}

fn semver(major: u64) -> semver::Version {
    semver::Version::new(major, 0, 0)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
