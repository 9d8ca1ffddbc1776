//! How far a new model has come: Staged → Tested → Shadow → Armed → Trial → Good, and the ways back. Pure: what was seen
//! comes in, what is to be done goes out; the thread that carries it out is [`crate::daemon::deploying`].
//!
//! The agent only offers. Nothing here believes an offer: the bundle is judged before its self-test, again when it is
//! loaded, and it decides only when this process itself sees that the vehicle is parked. Whatever has to do with the
//! model alone makes it Bad; whatever does not defers it, three times.
//!
//! One write comes before each deed that could end the process: the pointers name the trial before the first frame is
//! decided by it, so a crash in the exchange itself is found at the next start.

mod seen;

use stopline_depot::deployment::{DeployCause, Exposure, Phase, VerdictState};
use stopline_depot::digest::Digest;
use stopline_depot::rollout::State;
use stopline_depot::slots::{ModelPointers, Offer, Progress};
use stopline_depot::versioned::Versioned as _;

pub use seen::{Do, Failed, Known, Limits, Seen, ShadowSeen, TrialSeen};

/// Attempts that may end with a cause that the model has no part in.
const TRIES: u32 = 3;
/// Seconds until something that passes by itself is tried again.
const RETRY_SOON_S: u64 = 60;
/// Seconds until something that a person or an update must change is.
const RETRY_LATE_S: u64 = 3600;
/// Seconds from a failure until a bundle that is open again is tried: a verdict that cannot be written is no endless round.
const REOPEN_S: u64 = 10;

#[derive(Clone, Debug, PartialEq)]
enum Stage {
    /// Nothing to do.
    Idle,
    /// Judged before its self-test.
    Judging,
    Testing,
    Shadow,
    Armed,
    /// Loaded and warmed up, then judged once more.
    Loading,
    /// The pointers say so, the threads do not yet.
    Exchanging,
    Trial,
    /// Back to a bundle that must be loaded first.
    Returning(Option<Digest>),
    /// It is being put into its place.
    Settling,
}

/// One model's deployments.
#[derive(Clone, Debug)]
pub struct Deployer {
    limits: Limits,
    stage: Stage,
    rollout_id: String,
    digest: Digest,
    /// What was last told; the deployment that has ended, if it has.
    told: Option<Progress>,
    exposure: Exposure,
    shadow_ends: u32,
    /// The last that was forgiven.
    forgave: Option<(String, Digest)>,
    /// When what was deferred is tried again.
    retry_at: u64,
    /// When a deployment last ended as failed here.
    failed_at: Option<u64>,
    now_s: u64,
    /// What was last waited for, so that it is told once.
    waits: Option<&'static str>,
}

impl Deployer {
    /// At the start: `told` is what was last told, `pointers` what [`super::recover`] has made of them.
    pub fn new(limits: Limits, told: Option<Progress>, pointers: &ModelPointers) -> Self {
        let on_trial = pointers.trial.as_ref().zip(pointers.current);
        let (stage, rollout_id, digest, exposure) = match on_trial {
            Some((trial, digest)) => (Stage::Trial, trial.rollout_id.clone(), digest, trial.exposure),
            None => (Stage::Idle, String::new(), Digest::from_bytes([0; 32]), Exposure::default()),
        };
        Self {
            limits,
            stage,
            rollout_id,
            digest,
            told,
            exposure,
            shadow_ends: 0,
            forgave: None,
            retry_at: 0,
            failed_at: None,
            now_s: 0,
            waits: None,
        }
    }

    /// Whether a model is on trial.
    pub fn on_trial(&self) -> bool {
        matches!(self.stage, Stage::Exchanging | Stage::Trial)
    }

    /// What was last told.
    pub fn told(&self) -> Option<&Progress> {
        self.told.as_ref()
    }

    /// One step.
    pub fn step(&mut self, seen: &Seen) -> Vec<Do> {
        let mut todo = Vec::new();
        self.now_s = seen.now_s;
        if self.withdrawn(seen, &mut todo) {
            return todo;
        }
        match self.stage.clone() {
            Stage::Idle => self.idle(seen, &mut todo),
            Stage::Judging => self.judging(seen, &mut todo),
            Stage::Testing => self.testing(seen, &mut todo),
            Stage::Shadow => self.shadow(seen, &mut todo),
            Stage::Armed => self.armed(seen, &mut todo),
            Stage::Loading => self.loading(seen, &mut todo),
            Stage::Exchanging => self.exchanging(seen, &mut todo),
            Stage::Trial => self.trial(seen, &mut todo),
            Stage::Returning(to) => self.returning(to, seen, &mut todo),
            Stage::Settling => self.settling(seen, &mut todo),
        }
        todo
    }

    /// Before Trial an offer that is gone, aborted or another one ends what goes on. `true`: it did.
    fn withdrawn(&mut self, seen: &Seen, todo: &mut Vec<Do>) -> bool {
        let before_trial = matches!(
            self.stage,
            Stage::Judging | Stage::Testing | Stage::Shadow | Stage::Armed | Stage::Loading
        );
        let offer = seen.offer.as_ref();
        let ours = offer.filter(|offer| offer.rollout_id == self.rollout_id && offer.digest == self.digest);
        let cause = match ours {
            Some(offer) if offer.state == State::Aborted => DeployCause::Aborted,
            Some(_) => return false,
            None => DeployCause::Superseded,
        };
        if before_trial {
            todo.extend([Do::EndShadow, Do::Unload]);
            self.end(todo, Phase::Withdrawn, Some(cause), String::new());
        }
        before_trial
    }

    fn idle(&mut self, seen: &Seen, todo: &mut Vec<Do>) {
        let Some(offer) = &seen.offer else { return };
        if offer.state == State::Aborted {
            return self.aborted_after(offer, seen, todo);
        }
        let told = self
            .told
            .as_ref()
            .filter(|told| told.rollout_id == offer.rollout_id && told.digest == offer.digest);
        let failed = |phase| matches!(phase, Phase::Rejected | Phase::Reverted);
        // Forgiven once: what fails again is not tried for ever.
        let forgiven =
            offer.forgiven && self.forgave.as_ref() != Some(&(offer.rollout_id.clone(), offer.digest));
        let again = told.is_none_or(|told| {
            told.phase == Phase::Deferred
                || may_go_on(told.phase)
                || failed(told.phase) && (forgiven || self.is_open_again(told.cause, seen))
        });
        if offer.state == State::Paused || !again {
            return;
        }
        let deferred = told.is_some_and(|told| told.phase == Phase::Deferred);
        if deferred && (seen.surroundings.is_some() || self.now_s < self.retry_at) {
            return;
        }
        if offer.forgiven {
            self.forgave = Some((offer.rollout_id.clone(), offer.digest));
        }
        self.rollout_id.clone_from(&offer.rollout_id);
        self.digest = offer.digest;
        self.exposure = Exposure::default();
        if seen.pointers.current == Some(offer.digest) && seen.pointers.trial.is_none() {
            return self.end(todo, Phase::Good, None, "it decides already".into());
        }
        match seen.known.verdict {
            VerdictState::Bad { cause } if !offer.forgiven && !seen.known.reopened => {
                let detail = format!("it was found bad here: {cause:?}");
                return self.end(todo, Phase::Rejected, Some(DeployCause::KnownBad), detail);
            }
            _ if seen.known.deferred >= TRIES && !offer.forgiven => {
                let detail = format!("{TRIES} attempts ended for reasons beside the model");
                return self.end(todo, Phase::Rejected, Some(DeployCause::Surroundings), detail);
            }
            _ => {}
        }
        self.stage = Stage::Judging;
        self.tell(todo, Phase::Staged, None, String::new());
        todo.push(Do::Judge(self.digest));
    }

    /// Whether what was found against the offered bundle no longer holds: somebody has reopened it, or this runtime is
    /// newer than the one that could not load it.
    fn is_open_again(&self, cause: Option<DeployCause>, seen: &Seen) -> bool {
        let judged = cause.is_some_and(|cause| {
            is_of_the_model(cause) || matches!(cause, DeployCause::KnownBad | DeployCause::Surroundings)
        });
        let bad = matches!(seen.known.verdict, VerdictState::Bad { .. }) && !seen.known.reopened;
        let soon = self.failed_at.is_some_and(|at| self.now_s < at.saturating_add(REOPEN_S));
        judged && !bad && seen.known.deferred < TRIES && !soon
    }

    /// The roll-out whose model decides was aborted: back, when parked. No fresh metadata is needed.
    fn aborted_after(&mut self, offer: &Offer, seen: &Seen, todo: &mut Vec<Do>) {
        if seen.pointers.current != Some(offer.digest) || seen.parked.is_some() || self.now_s < self.retry_at
        {
            return;
        }
        self.rollout_id.clone_from(&offer.rollout_id);
        self.digest = offer.digest;
        let to = offer.abort_to.or(seen.pointers.previous).filter(|to| *to != offer.digest);
        self.stage = Stage::Returning(to);
        todo.push(Do::Load(to));
    }

    fn judging(&mut self, seen: &Seen, todo: &mut Vec<Do>) {
        match &seen.judged {
            None => {}
            Some(Ok(())) if matches!(seen.known.verdict, VerdictState::Tested | VerdictState::Good) => {
                self.tested(todo);
            }
            Some(Ok(())) => {
                self.stage = Stage::Testing;
                todo.push(Do::Test(self.digest));
            }
            Some(Err((cause, words))) => self.refuse(*cause, words.clone(), todo),
        }
    }

    fn testing(&mut self, seen: &Seen, todo: &mut Vec<Do>) {
        match &seen.tested {
            None => {}
            Some(Ok(())) => {
                todo.push(Do::Verdict(self.digest, VerdictState::Tested, 0));
                self.tested(todo);
            }
            // A slow test on a hot machine says nothing of the model.
            Some(Err((DeployCause::Latency, words))) if seen.surroundings.is_some() => {
                self.defer(seen.surroundings, words.clone(), todo);
            }
            Some(Err((cause, words))) => self.refuse(*cause, words.clone(), todo),
        }
    }

    fn tested(&mut self, todo: &mut Vec<Do>) {
        self.tell(todo, Phase::Tested, None, String::new());
        self.shadow_ends = 0;
        if self.limits.shadow.frames == 0 {
            return self.arm(todo);
        }
        self.stage = Stage::Shadow;
        self.tell(todo, Phase::Shadow, None, String::new());
        todo.push(Do::Shadow(self.digest));
    }

    fn arm(&mut self, todo: &mut Vec<Do>) {
        self.stage = Stage::Armed;
        self.waits = None;
        self.tell(todo, Phase::Armed, None, String::new());
    }

    fn shadow(&mut self, seen: &Seen, todo: &mut Vec<Do>) {
        let Some(shadow) = &seen.shadow else { return };
        self.exposure.frames = shadow.frames;
        self.exposure.disagreements = shadow.disagreements;
        if let Some((own_fault, words)) = &shadow.ended {
            self.shadow_ends += 1;
            todo.push(Do::EndShadow);
            if *own_fault {
                return self.refuse(DeployCause::Crash, words.clone(), todo);
            }
            if self.shadow_ends >= TRIES {
                return self.defer(Some(DeployCause::Surroundings), words.clone(), todo);
            }
            return todo.push(Do::Shadow(self.digest));
        }
        if shadow.frames < self.limits.shadow.frames {
            return;
        }
        todo.push(Do::EndShadow);
        #[allow(clippy::cast_precision_loss, reason = "a share")]
        let share = shadow.disagreements as f64 / shadow.frames.max(1) as f64;
        let most = self.limits.shadow.max_disagreement;
        if share > most {
            let words = format!(
                "it disagreed in {:.1} % of {} frames, {:.1} % are allowed",
                share * 100.0,
                shadow.frames,
                most * 100.0
            );
            return self.refuse(DeployCause::Disagreement, words, todo);
        }
        self.arm(todo);
    }

    fn armed(&mut self, seen: &Seen, todo: &mut Vec<Do>) {
        let waits = self.waits_for(seen);
        if waits != self.waits {
            self.waits = waits;
            self.tell(todo, Phase::Armed, None, waits.unwrap_or_default().into());
        }
        if waits.is_none() {
            self.stage = Stage::Loading;
            todo.push(Do::Load(Some(self.digest)));
        }
    }

    /// What an activation waits for.
    fn waits_for(&self, seen: &Seen) -> Option<&'static str> {
        let paused = seen.offer.as_ref().is_some_and(|offer| offer.state == State::Paused);
        let held = paused.then_some("the roll-out is paused");
        let around = seen.surroundings.map(|_| "something besides the model is wrong");
        held.or(seen.parked).or(seen.stale).or(around)
    }

    fn loading(&mut self, seen: &Seen, todo: &mut Vec<Do>) {
        match &seen.loaded {
            None => {}
            Some(Err((cause, words))) => {
                todo.push(Do::Unload);
                self.refuse(*cause, words.clone(), todo);
            }
            // Loading takes seconds: the car may have driven off, the deny list may have changed.
            Some(Ok(())) if self.waits_for(seen).is_some() => {
                todo.push(Do::Unload);
                self.stage = Stage::Armed;
            }
            Some(Ok(())) => {
                self.stage = Stage::Exchanging;
                self.exposure = Exposure::default();
                todo.push(Do::BeginTrial(self.digest, self.rollout_id.clone()));
                self.tell(todo, Phase::Trial, None, String::new());
                todo.push(Do::Exchange);
            }
        }
    }

    fn exchanging(&mut self, seen: &Seen, todo: &mut Vec<Do>) {
        match &seen.exchanged {
            None if seen.trial.stalled => self.stalled(todo),
            None => {}
            Some(Ok(())) => self.stage = Stage::Trial,
            Some(Err((cause, words))) => self.revert(*cause, words.clone(), todo),
        }
    }

    fn trial(&mut self, seen: &Seen, todo: &mut Vec<Do>) {
        let trial = &seen.trial;
        self.exposure = trial.exposure;
        let offer = seen.offer.as_ref().filter(|offer| offer.rollout_id == self.rollout_id);
        let aborted = offer.is_some_and(|offer| offer.state == State::Aborted);
        if trial.stalled {
            return self.stalled(todo);
        }
        if trial.invalid {
            return self.revert(DeployCause::Outputs, "its numbers cannot be".into(), todo);
        }
        match seen.surroundings {
            // Heat makes every model slow.
            Some(cause) if trial.late => return self.take_back(cause, todo),
            None if trial.late => {
                let words = "too many of its frames took too long".to_owned();
                return self.revert(DeployCause::Latency, words, todo);
            }
            _ => {}
        }
        if aborted {
            todo.extend([Do::Revert, Do::Back, Do::Forget]);
            return self.end(todo, Phase::Withdrawn, Some(DeployCause::Aborted), String::new());
        }
        let most = &self.limits.trial;
        #[allow(clippy::cast_precision_loss, reason = "hours")]
        let hours = self.exposure.active_s as f64 / 3600.0;
        let enough = self.exposure.frames >= most.frames
            && hours >= most.active_hours
            && self.exposure.ignition_cycles >= most.ignition_cycles;
        if enough {
            todo.extend([Do::EndGood, Do::Verdict(self.digest, VerdictState::Good, 0), Do::Forget]);
            self.end(todo, Phase::Good, None, String::new());
        }
    }

    /// The thread that decides hangs in the model and cannot be freed: what is known is written, then the process ends.
    fn stalled(&mut self, todo: &mut Vec<Do>) {
        let words = "it stopped answering".to_owned();
        let bad = VerdictState::Bad { cause: DeployCause::Stalled };
        todo.extend([Do::Revert, Do::Verdict(self.digest, bad, 0)]);
        self.end(todo, Phase::Reverted, Some(DeployCause::Stalled), words.clone());
        todo.push(Do::Restart(words));
    }

    /// Back at once; the model is Bad.
    fn revert(&mut self, cause: DeployCause, words: String, todo: &mut Vec<Do>) {
        let bad = VerdictState::Bad { cause };
        todo.extend([Do::Back, Do::Revert, Do::Verdict(self.digest, bad, 0), Do::Forget]);
        self.end(todo, Phase::Reverted, Some(cause), words);
    }

    /// Back at once; nothing is said of the model.
    fn take_back(&mut self, cause: DeployCause, todo: &mut Vec<Do>) {
        todo.extend([Do::Back, Do::Revert, Do::Forget]);
        self.defer(Some(cause), "taken back for something besides the model".into(), todo);
    }

    fn returning(&mut self, to: Option<Digest>, seen: &Seen, todo: &mut Vec<Do>) {
        match &seen.loaded {
            None => {}
            Some(Err(_)) => {
                // From abort_to to the previous one, from there to the factory's.
                let next = seen.pointers.previous.filter(|previous| to.is_some_and(|to| to != *previous));
                todo.push(Do::Unload);
                if to.is_none() {
                    // Nothing to go back to loads; what decides goes on.
                    self.stage = Stage::Idle;
                    self.retry_at = self.now_s.saturating_add(RETRY_SOON_S);
                    return;
                }
                self.stage = Stage::Returning(next);
                todo.push(Do::Load(next));
            }
            Some(Ok(())) if seen.parked.is_some() => {}
            Some(Ok(())) => {
                self.stage = Stage::Settling;
                todo.extend([Do::GoTo(to), Do::Exchange]);
            }
        }
    }

    fn settling(&mut self, seen: &Seen, todo: &mut Vec<Do>) {
        let Some(exchanged) = &seen.exchanged else { return };
        todo.push(Do::Forget);
        let words = exchanged.as_ref().err().map(|(_, words)| words.clone()).unwrap_or_default();
        self.end(todo, Phase::Withdrawn, Some(DeployCause::Aborted), words);
    }

    /// Before Trial: what waits for something is deferred, everything else is refused, and what is the model's own is Bad.
    fn refuse(&mut self, cause: DeployCause, words: String, todo: &mut Vec<Do>) {
        use DeployCause::{Clock, Content, Hardware, Heat, MinRuntime, Schema, Space, Surroundings};
        match cause {
            Hardware | MinRuntime | Schema | Heat | Space | Clock => {
                self.end(todo, Phase::Deferred, Some(cause), words);
            }
            Surroundings => self.defer(Some(cause), words, todo),
            cause if is_of_the_model(cause) => {
                todo.push(Do::Verdict(self.digest, VerdictState::Bad { cause }, 0));
                self.end(todo, Phase::Rejected, Some(cause), words);
            }
            // The slot, not the bundle: it is fetched again.
            Content => self.end(todo, Phase::Rejected, Some(cause), words),
            other => self.end(todo, Phase::Rejected, Some(other), words),
        }
    }

    /// Something besides the model: counted, three times.
    fn defer(&mut self, cause: Option<DeployCause>, words: String, todo: &mut Vec<Do>) {
        todo.push(Do::Verdict(self.digest, VerdictState::Untested, 1));
        self.end(todo, Phase::Deferred, cause.or(Some(DeployCause::Surroundings)), words);
    }

    fn end(&mut self, todo: &mut Vec<Do>, phase: Phase, cause: Option<DeployCause>, words: String) {
        let soon = matches!(
            cause,
            Some(DeployCause::Heat | DeployCause::Space | DeployCause::Surroundings | DeployCause::Clock)
        );
        let wait = if soon { RETRY_SOON_S } else { RETRY_LATE_S };
        self.retry_at = if phase == Phase::Deferred { self.now_s.saturating_add(wait) } else { self.now_s };
        if matches!(phase, Phase::Rejected | Phase::Reverted) {
            self.failed_at = Some(self.now_s);
        }
        self.tell(todo, phase, cause, words);
        self.stage = Stage::Idle;
    }

    fn tell(&mut self, todo: &mut Vec<Do>, phase: Phase, cause: Option<DeployCause>, detail: String) {
        let progress = Progress {
            schema: Progress::SCHEMA,
            rollout_id: self.rollout_id.clone(),
            digest: self.digest,
            phase,
            cause,
            detail,
            exposure: self.exposure,
        };
        self.told = Some(progress.clone());
        todo.push(Do::Tell(progress));
    }
}

/// Causes that make a bundle Bad.
fn is_of_the_model(cause: DeployCause) -> bool {
    use DeployCause::{Bundle, Crash, Disagreement, Golden, Latency, Load, Memory, Outputs, Stalled};
    matches!(cause, Bundle | Load | Golden | Latency | Memory | Disagreement | Crash | Outputs | Stalled)
}

/// Whether a start finds something that was cut and is taken up again.
fn may_go_on(phase: Phase) -> bool {
    matches!(
        phase,
        Phase::Offered | Phase::Fetching | Phase::Staged | Phase::Tested | Phase::Shadow | Phase::Armed
    )
}

#[cfg(test)]
mod tests;
