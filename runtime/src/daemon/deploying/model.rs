//! One model over the air: what was seen of it, and what its [`Deployer`] wants done.

#![allow(clippy::vec_box, reason = "each goes to its own thread, and is swapped there without a copy")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use stopline_depot::deployment::{DeployCause, Exposure, VerdictState};
use stopline_depot::digest::Digest;
use stopline_depot::health::DeploymentHealth;
use stopline_depot::slots::{ModelPointers, Offer, Progress};
use stopline_sensors::clock::Monotonic;
use tracing::Level;

use super::jobs::{Done, Job};
use super::service::Service;
use super::{Around, Placed, World};
use crate::config::{Depot as DepotConfig, Model, ShadowLimits, TestLimits};
use crate::daemon::exchange::Seated;
use crate::daemon::notes::Notes;
use crate::daemon::pace::Pace;
use crate::daemon::report::ModelSeat;
use crate::models::deployer::{Deployer, Do, Failed, Known, Limits, Seen, TrialSeen};
use crate::models::store::Store;
use crate::models::vault::{Place, Vault};

/// From one write of what was counted to the next, in seconds.
const KEEP_S: u64 = 10;
/// At one frame for so long a model hangs, in milliseconds.
const HANGS_MS: u64 = 2000;

/// One model over the air.
pub(super) struct Deployed {
    /// Its name in releases.
    pub bundle: String,
    model: Model,
    seat: Arc<ModelSeat>,
    places: Vec<Placed>,
    deployer: Deployer,
    tests: TestLimits,
    shadow: ShadowLimits,
    offer: Option<Offer>,
    /// The last offer that could not be read, told once.
    unread: Option<String>,
    job: Arc<AtomicBool>,
    job_id: u64,
    from_jobs: Receiver<(u64, Done)>,
    to_jobs: Sender<(u64, Done)>,
    /// Loaded, not in place yet.
    next: Vec<Box<Seated>>,
    /// The first problem of an exchange.
    problem: Option<String>,
    /// Each place's way forth and back.
    moves: Vec<Moving>,
    /// This process has put a new one there: a place without an old one at hand never changed.
    exchanged_here: bool,
    /// A start has taken up a trial again: what decided before it, to be loaded.
    before: Option<Place>,
    /// What was counted before this process, or before the trial took its place.
    base: Exposure,
    cycles: Ignition,
    overrides: Overrides,
    kept_s: u64,
    service: Service,
}

/// A place's way from one model to another.
#[derive(Default)]
struct Moving {
    /// On its way, not answered yet.
    under: Option<Way>,
    /// It is to come back as soon as it has answered.
    undo: bool,
    /// What decided before, as long as it may be wanted again.
    before: Option<Box<Seated>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Forth,
    Back,
}

/// Counts how often the ignition was switched on.
#[derive(Default)]
struct Ignition {
    last: Option<bool>,
    count: u64,
}

impl Ignition {
    /// A rising edge counts; so does the first that is heard in a process, since it was off before.
    fn hear(&mut self, on: Option<bool>) {
        if on == Some(true) && self.last != Some(true) {
            self.count += 1;
        }
        self.last = on.or(self.last);
    }
}

/// Counts how often the driver overrode, of what the thread that acts has counted since the process began.
#[derive(Default)]
struct Overrides {
    last: u64,
    count: u64,
}

impl Overrides {
    fn hear(&mut self, total: u64) {
        self.count += total.saturating_sub(self.last);
        self.last = total;
    }
}

impl Deployed {
    pub fn new(
        config: &DepotConfig,
        (store, crashed): (&Store, bool),
        (bundle, model, seat): (String, Model, Arc<ModelSeat>),
        places: Vec<Placed>,
    ) -> Self {
        let pointers = store.pointers().unwrap_or_default().of(&bundle);
        let limits = Limits { shadow: config.shadow, trial: config.trial };
        let base = pointers.trial.as_ref().map(|trial| trial.exposure).unwrap_or_default();
        let deployer = Deployer::new(limits, store.progress(&bundle), &pointers);
        let (to_jobs, from_jobs) = channel();
        // A camera on a wall has no ignition: that the process was started is its cycle.
        let cycles = Ignition { last: None, count: 0 };
        let before = pointers.trial.as_ref().map(|_| pointers.previous.map_or(Place::Factory, Place::Slot));
        let service = Service::new(&bundle, crashed);
        let mut deployed = Self {
            bundle,
            model,
            seat,
            places,
            deployer,
            tests: config.selftest,
            shadow: config.shadow,
            offer: None,
            unread: None,
            job: Arc::default(),
            job_id: 0,
            from_jobs,
            to_jobs,
            next: Vec::new(),
            problem: None,
            moves: Vec::new(),
            exchanged_here: false,
            before,
            base,
            cycles,
            overrides: Overrides::default(),
            kept_s: 0,
            service,
        };
        deployed.moves.resize_with(deployed.places.len(), Moving::default);
        deployed.show();
        deployed
    }

    /// What is offered now. One that cannot be read, or is newer than this program, waits.
    pub fn offered(&mut self, offer: Result<Option<Offer>, String>, notes: &Notes) {
        match offer {
            Ok(offer) => {
                self.unread = None;
                self.offer = offer.filter(|offer| offer.model == self.bundle);
            }
            Err(problem) if self.unread.as_ref() != Some(&problem) => {
                notes.log(Level::WARN, format!("model {}: the offer waits: {problem}", self.model.name));
                self.unread = Some(problem);
            }
            Err(_) => {}
        }
    }

    /// A floor that has risen above what decides is told, and stops nothing.
    pub fn look_at_floor(&self, vault: &Vault) {
        let digest = self.seat.rollout.newest().and_then(|shown| shown.bundle.parse::<Digest>().ok());
        if let Some(Ok(below)) = digest.and_then(|digest| vault.recall(&self.bundle, &digest)) {
            self.seat.below_floor.store(below, Ordering::Release);
        }
    }

    /// One step.
    pub fn step(&mut self, around: &Around<'_>, world: &World, vault: &Arc<Vault>, store: &Arc<Store>) {
        if let Some(place) = self.before.take() {
            let (sizes, watched) = (self.sizes(world), world.watched.clone());
            self.job(vault).start(move |job| Some(job.load_before(place, &sizes, &watched)));
        }
        let mut seen = self.seen(around, world, store);
        self.hear_jobs(&mut seen);
        self.hear_places(&mut seen);
        for one in self.deployer.step(&seen) {
            self.carry_out(one, around, (world, vault, store));
        }
        if self.deployer.on_trial() && seen.now_s >= self.kept_s + KEEP_S {
            self.kept_s = seen.now_s;
            self.keep_trial(store);
        }
        self.count_service(seen.now_s, store);
    }

    /// What the bundle that decides has done, whether it is on trial or not.
    fn count_service(&mut self, now_s: u64, store: &Store) {
        let Some(bundle) = self.seat.facts.newest().and_then(|facts| facts.bundle) else { return };
        let (pace, cycles, overrides) = (&self.seat.pace, self.cycles.count, self.overrides.count);
        let told = self.deployer.told().filter(|told| told.digest == bundle.digest);
        let brought = || told.map(|told| told.rollout_id.clone());
        self.service.look(bundle, || counted(pace, cycles, overrides), now_s, brought, store);
    }

    fn seen(&mut self, around: &Around<'_>, world: &World, store: &Store) -> Seen {
        let pointers = store.pointers().unwrap_or_default().of(&self.bundle);
        let ignition = world.vehicle.as_ref().map(|vehicle| vehicle.newest(around.now).ignition.fresh());
        self.cycles.hear(ignition.unwrap_or(Some(true)));
        self.overrides.hear(world.now.newest().unwrap_or_default().overrides);
        Seen {
            now_s: around.now.as_nanos() / 1_000_000_000,
            known: self.offer.as_ref().map_or_else(Known::default, |offer| known(store, &offer.digest)),
            parked: around.parked,
            stale: self.offer.as_ref().and_then(|offer| stale(offer, around, world)),
            surroundings: around.surroundings,
            trial: self.trial(around.now, world),
            offer: self.offer.clone(),
            pointers,
            ..Seen::default()
        }
    }

    fn trial(&self, now: Monotonic, world: &World) -> TrialSeen {
        let pace = &self.seat.pace;
        let said = self.seat.facts.newest().and_then(|facts| facts.manifest.budget);
        #[allow(clippy::cast_precision_loss, reason = "milliseconds")]
        let budget_ms = said.map_or(world.budget_ms as f64, |budget| budget.latency_ms);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a manifest's budget is finite, and the cast saturates"
        )]
        let budget_us = (budget_ms * 1000.0) as u64;
        // The guard has long made the state safe; this ends the process, so it waits until it is sure.
        let stalled = pace.at_one_for(now) > world.stalled_after_ms.max(HANGS_MS) * 1_000_000;
        TrialSeen {
            exposure: self.exposure(),
            invalid: pace.invalid() > 0,
            stalled,
            late: pace.late(budget_us),
        }
    }

    /// What was counted in the trial.
    fn exposure(&self) -> Exposure {
        self.base.and_then(&self.counted())
    }

    /// What was counted in this process.
    fn counted(&self) -> Exposure {
        counted(&self.seat.pace, self.cycles.count, self.overrides.count)
    }

    fn hear_jobs(&mut self, seen: &mut Seen) {
        while let Ok((id, done)) = self.from_jobs.try_recv() {
            let newest = id == self.job_id;
            match done {
                Done::Frames(frames) => {
                    if let Some(place) = self.places.first_mut() {
                        place.frames = Some(frames);
                    }
                }
                Done::Before(Ok(before)) => {
                    for (moving, before) in self.moves.iter_mut().zip(before) {
                        moving.before = Some(before);
                    }
                }
                // Then a trial that fails ends the process, and the next one loads what it can.
                Done::Before(Err((_, problem))) => {
                    tracing::warn!(
                        "model {}: what decided before the trial is not loaded: {problem}",
                        self.model.name
                    );
                }
                _ if !newest => {}
                Done::Judged(judged) => seen.judged = Some(judged),
                Done::Tested(tested) => seen.tested = Some(tested),
                Done::Shadow(shadow) => seen.shadow = Some(shadow),
                Done::Loaded(Ok(next)) => {
                    self.next = next;
                    seen.loaded = Some(Ok(()));
                }
                Done::Loaded(Err(failed)) => seen.loaded = Some(Err(failed)),
            }
        }
    }

    /// What the inference threads answered to an exchange.
    fn hear_places(&mut self, seen: &mut Seen) {
        let mut heard = false;
        for (place, moving) in self.places.iter().zip(&mut self.moves) {
            while let Ok(answer) = place.answers.try_recv() {
                let way = moving.under.take();
                if way != Some(Way::Forth) {
                    // What came back out was taken back: nobody wants it.
                    continue;
                }
                heard = true;
                match answer.problem {
                    Some(problem) => self.problem = Some(problem),
                    None if std::mem::take(&mut moving.undo) => {
                        moving.under = Some(Way::Back);
                        place.exchange.offer(answer.out);
                    }
                    None => moving.before = Some(answer.out),
                }
            }
        }
        if heard && !self.moves.iter().any(|moving| moving.under == Some(Way::Forth)) {
            let failed = |problem: String| -> Failed { (DeployCause::Outputs, problem) };
            seen.exchanged = Some(self.problem.take().map_or(Ok(()), |problem| Err(failed(problem))));
        }
    }

    fn carry_out(
        &mut self,
        one: Do,
        around: &Around<'_>,
        (world, vault, store): (&World, &Arc<Vault>, &Arc<Store>),
    ) {
        match one {
            Do::Judge(digest) => self.job(vault).start(move |job| Some(job.judge(digest))),
            Do::Test(digest) => {
                let limits = self.tests;
                self.job(vault).start(move |job| Some(job.test(digest, &limits)));
            }
            Do::Shadow(digest) => self.look_on(digest, world, vault),
            Do::EndShadow => self.job.store(true, Ordering::Release),
            Do::Load(digest) => self.load(digest, world, vault),
            Do::Unload => self.next.clear(),
            Do::BeginTrial(digest, rollout_id) => {
                self.base = Exposure::default();
                (self.cycles.count, self.overrides.count) = (0, 0);
                let begun = |pointers: &mut ModelPointers| {
                    pointers.take_up(digest)?;
                    pointers.begin_trial(&rollout_id, around.boot_id)
                };
                store.point(&self.bundle, begun);
                self.decides(Some(digest));
            }
            Do::GoTo(to) => {
                let gone = |pointers: &mut ModelPointers| {
                    match to {
                        Some(digest) => pointers.go_to(Some(digest)),
                        None => pointers.to_factory(),
                    }
                    Ok(())
                };
                store.point(&self.bundle, gone);
                self.decides(to);
            }
            Do::EndGood => {
                self.keep_trial(store);
                store.point(&self.bundle, |pointers| pointers.end_good().map(drop));
            }
            Do::Revert => {
                store.point(&self.bundle, |pointers| pointers.revert().map(drop));
                self.decides(store.pointers().unwrap_or_default().of(&self.bundle).current);
            }
            Do::Exchange => self.exchange(),
            Do::Back if self.back() => {}
            Do::Back => {
                let why = format!("model {}: what decided before is not loaded", self.model.name);
                world.restart.put(why);
            }
            Do::Forget => self.moves.iter_mut().for_each(|moving| moving.before = None),
            Do::Verdict(digest, verdict, deferred) => {
                store.judge(&digest, verdict, deferred);
            }
            Do::Tell(progress) => self.tell(&progress, store, &world.notes),
            Do::Restart(why) => world.restart.put(format!("model {}: {why}", self.model.name)),
        }
    }

    /// A job of its own; the one before is not wanted any more.
    fn job(&mut self, vault: &Arc<Vault>) -> Job {
        self.job.store(true, Ordering::Release);
        self.job = Arc::default();
        self.job_id += 1;
        Job {
            id: self.job_id,
            vault: Arc::clone(vault),
            bundle: self.bundle.clone(),
            model: self.model.clone(),
            stop: Arc::clone(&self.job),
            done: self.to_jobs.clone(),
        }
    }

    fn look_on(&mut self, digest: Digest, world: &World, vault: &Arc<Vault>) {
        let job = self.job(vault);
        let active = self.seat.facts.newest().map(|facts| Arc::new(facts.manifest.clone()));
        let place = self.places.first_mut().and_then(|place| place.frames.take().zip(Some(&place.onlooker)));
        let (Some(active), Some((frames, onlooker))) = (active, place) else {
            let ended = Some((false, "there is no active model to look on beside".to_owned()));
            let seen = crate::models::deployer::ShadowSeen { ended, ..Default::default() };
            let _ = self.to_jobs.send((self.job_id, Done::Shadow(seen)));
            return;
        };
        let (limits, watched, onlooker) = (self.shadow, world.watched.clone(), Arc::clone(onlooker));
        job.start(move |job| Some(job.shadow(digest, (active, watched), &limits, (&onlooker, frames))));
    }

    /// The pictures' sizes of each place's cameras.
    fn sizes(&self, world: &World) -> Vec<Vec<[u32; 2]>> {
        let size = |camera: &usize| {
            let info = world.cameras.get(*camera)?.gauges.info.get()?;
            Some([info.size.0, info.size.1])
        };
        self.places.iter().map(|place| place.cameras.iter().filter_map(size).collect()).collect()
    }

    fn load(&mut self, digest: Option<Digest>, world: &World, vault: &Arc<Vault>) {
        let sizes = self.sizes(world);
        let place = digest.map_or(Place::Factory, Place::Slot);
        let trial = self.offer.as_ref().is_some_and(|offer| Some(offer.digest) == digest);
        let watched = world.watched.clone();
        self.job(vault).start(move |job| Some(job.load(place, trial, &sizes, &watched)));
    }

    /// Puts what was loaded where each inference thread takes it with its next frame.
    fn exchange(&mut self) {
        self.problem = None;
        self.exchanged_here = true;
        let next = self.next.drain(..);
        for ((place, moving), next) in self.places.iter().zip(&mut self.moves).zip(next) {
            moving.under = Some(Way::Forth);
            place.exchange.offer(next);
        }
    }

    /// What decided before takes its place again with the next frame. `false`: it is not at hand.
    fn back(&mut self) -> bool {
        let mut at_hand = true;
        for (place, moving) in self.places.iter().zip(&mut self.moves) {
            if let Some(before) = moving.before.take() {
                moving.under = Some(Way::Back);
                place.exchange.offer(before);
            } else if moving.under == Some(Way::Forth) {
                // Not taken yet: it never had the place. Taken and not answered: back as soon as it has.
                let taken = place.exchange.withdraw().is_none();
                moving.under = taken.then_some(Way::Forth);
                moving.undo = taken;
            } else {
                // A thread whose new one could not answer has kept its old one.
                at_hand &= self.exchanged_here;
            }
        }
        at_hand
    }

    fn tell(&self, progress: &Progress, store: &Store, notes: &Notes) {
        store.tell(&self.bundle, progress);
        self.show();
        let cause = progress.cause.map_or(String::new(), |cause| format!(" ({cause:?})"));
        let detail =
            if progress.detail.is_empty() { String::new() } else { format!(": {}", progress.detail) };
        let short = &progress.digest.to_string()[..12];
        notes.event(
            "deployment",
            format!("model {}: bundle {short} {:?}{cause}{detail}", self.model.name, progress.phase),
        );
    }

    /// Which bundle decides now, for the health file.
    fn decides(&self, digest: Option<Digest>) {
        let bundle = digest.map_or_else(|| "factory".to_owned(), |digest| digest.to_string());
        self.seat.rollout.put(DeploymentHealth { bundle, ..self.seat.rollout.newest().unwrap_or_default() });
    }

    /// For the health file.
    fn show(&self) {
        let Some(told) = self.deployer.told() else { return };
        let before = self.seat.rollout.newest().unwrap_or_default();
        self.seat.rollout.put(DeploymentHealth {
            rollout_id: told.rollout_id.clone(),
            phase: code(&told.phase),
            cause: told.cause.map(|cause| code(&cause)),
            detail: told.detail.clone(),
            below_floor: self.seat.below_floor.load(Ordering::Acquire),
            bundle: before.bundle,
        });
    }

    /// Writes what was counted, at the end of the process.
    pub fn keep(&mut self, store: &Store) {
        self.keep_trial(store);
        // A process may end before the first step: a crash before it counts all the same.
        self.count_service(u64::MAX, store);
    }

    /// Writes what was counted, so that a trial goes on with it after a start.
    fn keep_trial(&mut self, store: &Store) {
        if !self.deployer.on_trial() {
            return;
        }
        let exposure = self.exposure();
        store.point(&self.bundle, |pointers| {
            if let Some(trial) = &mut pointers.trial {
                trial.exposure = exposure;
            }
            Ok(())
        });
    }
}

/// What a process has counted of a model.
fn counted(pace: &Pace, ignition_cycles: u64, overrides: u64) -> Exposure {
    Exposure { ignition_cycles, overrides, ..pace.exposure() }
}

/// A phase's or cause's stable name, as files have it.
fn code(of: &impl serde::Serialize) -> String {
    serde_json::to_value(of).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
}

fn known(store: &Store, digest: &Digest) -> Known {
    let Some(verdict) = store.verdict(digest) else { return Known::default() };
    let load = matches!(verdict.verdict, VerdictState::Bad { cause: DeployCause::Load });
    let reopened = load && verdict.runtime < crate::models::runtime_version();
    Known { verdict: verdict.verdict, reopened, deferred: verdict.deferred }
}

/// Whether the roll-out's metadata was verified lately, by a clock that was synchronised then. Its age is counted on the
/// clock of this boot, which nobody can set; one of another boot is stale until the agent has looked again.
fn stale(offer: &Offer, around: &Around<'_>, world: &World) -> Option<&'static str> {
    if offer.attended {
        return None;
    }
    if offer.verified_at.is_none() {
        return Some("the clock was not synchronised when the roll-out was last verified");
    }
    let since_boot = around.now.as_nanos() / 1_000_000_000 + world.clock.suspended().as_secs();
    match &offer.verified_since_boot {
        Some((boot_id, at))
            if boot_id == around.boot_id && since_boot.saturating_sub(*at) <= around.max_age_s =>
        {
            None
        }
        Some((boot_id, _)) if boot_id == around.boot_id => Some("the roll-out was not verified for too long"),
        _ => Some("the roll-out was not verified since the machine started"),
    }
}
