use proptest::prelude::*;

use super::*;
use crate::config::{ShadowLimits, TrialLimits};

fn digest(name: &str) -> Digest {
    Digest::of(name.as_bytes())
}

fn offer(bundle: &str, state: State) -> Offer {
    Offer {
        schema: 1,
        rollout_id: "r1".into(),
        model: "m".into(),
        digest: digest(bundle),
        state,
        abort_to: None,
        verified_at: Some(1),
        verified_since_boot: None,
        attended: false,
        forgiven: false,
    }
}

fn limits() -> Limits {
    Limits {
        shadow: ShadowLimits { frames: 10, max_disagreement: 0.2, ..ShadowLimits::default() },
        trial: TrialLimits { frames: 100, active_hours: 0.0, ignition_cycles: 1, crash_loop: 3 },
    }
}

/// A deployer and what it sees; what it wants done to the pointers is done.
struct Bench {
    deployer: Deployer,
    seen: Seen,
    done: Vec<Do>,
}

impl Bench {
    fn new() -> Self {
        let pointers = ModelPointers { current: Some(digest("old")), ..ModelPointers::default() };
        let deployer = Deployer::new(limits(), None, &pointers);
        let seen = Seen { offer: Some(offer("new", State::Active)), pointers, ..Seen::default() };
        Self { deployer, seen, done: Vec::new() }
    }

    /// One step, with something that happened only now.
    fn step(&mut self, now: impl FnOnce(&mut Seen)) -> &[Do] {
        let mut seen = self.seen.clone();
        now(&mut seen);
        self.done = self.deployer.step(&seen);
        for one in &self.done {
            let pointers = &mut self.seen.pointers;
            match one {
                Do::BeginTrial(digest, id) => {
                    pointers.take_up(*digest).and_then(|()| pointers.begin_trial(id, "b")).expect("moves");
                }
                Do::EndGood => drop(pointers.end_good().expect("on trial")),
                Do::Revert => drop(pointers.revert().expect("on trial")),
                Do::GoTo(to) => pointers.go_to(*to),
                Do::Verdict(of, verdict, more) if *of == digest("new") => {
                    self.seen.known.verdict = *verdict;
                    self.seen.known.deferred += more;
                }
                _ => {}
            }
        }
        &self.done
    }

    fn phase(&self) -> (Phase, Option<DeployCause>) {
        self.deployer.told().map(|told| (told.phase, told.cause)).expect("told something")
    }

    fn reach_shadow(&mut self) {
        self.step(|_| ());
        self.step(|seen| seen.judged = Some(Ok(())));
        let done = self.step(|seen| seen.tested = Some(Ok(())));
        assert!(done.contains(&Do::Shadow(digest("new"))), "{done:?}");
    }

    fn reach_armed(&mut self) {
        self.reach_shadow();
        self.step(|seen| seen.shadow = Some(ShadowSeen { frames: 10, disagreements: 2, ended: None }));
        assert_eq!(self.phase(), (Phase::Armed, None));
    }

    fn reach_trial(&mut self) {
        self.reach_armed();
        self.step(|_| ());
        let done = self.step(|seen| seen.loaded = Some(Ok(())));
        assert_eq!(done.last(), Some(&Do::Exchange), "{done:?}");
        self.step(|seen| seen.exchanged = Some(Ok(())));
        assert_eq!((self.phase(), self.deployer.on_trial()), ((Phase::Trial, None), true));
    }
}

fn failed(cause: DeployCause) -> Option<Result<(), Failed>> {
    Some(Err((cause, "words".into())))
}

#[test]
fn a_good_model_goes_all_the_way_and_the_pointers_name_it_before_it_decides() {
    let mut bench = Bench::new();
    bench.reach_armed();
    bench.step(|_| ());
    let done = bench.step(|seen| seen.loaded = Some(Ok(()))).to_vec();
    let place = |wanted: &dyn Fn(&Do) -> bool| done.iter().position(wanted).expect("done");
    assert!(place(&|one| matches!(one, Do::BeginTrial(..))) < place(&|one| *one == Do::Exchange));
    bench.step(|seen| seen.exchanged = Some(Ok(())));
    bench.step(|seen| seen.trial.exposure.frames = 100);
    assert_eq!(bench.phase(), (Phase::Trial, None), "no ignition cycle yet");
    bench.step(|seen| {
        (seen.trial.exposure.frames, seen.trial.exposure.ignition_cycles) = (100, 1);
    });
    assert_eq!((bench.phase(), bench.seen.pointers.current), ((Phase::Good, None), Some(digest("new"))));
    assert_eq!(bench.seen.pointers.previous, Some(digest("old")));
    assert!(bench.step(|_| ()).is_empty(), "the same offer again asks for nothing");
}

#[test]
fn it_waits_armed_as_long_as_anything_is_not_known_and_says_what_for() {
    let mut bench = Bench::new();
    bench.reach_armed();
    for what in ["ego speed is not known", "the vehicle moves"] {
        bench.seen.parked = Some(what);
        bench.step(|_| ());
        assert_eq!(bench.deployer.told().map(|told| told.detail.as_str()), Some(what));
        assert!(bench.step(|_| ()).is_empty(), "told once");
    }
    bench.seen.parked = None;
    bench.seen.stale = Some("the roll-out was not verified for too long");
    assert!(!bench.step(|_| ()).iter().any(|one| matches!(one, Do::Load(_))));
    bench.seen.stale = None;
    bench.seen.offer = Some(offer("new", State::Paused));
    assert!(!bench.step(|_| ()).iter().any(|one| matches!(one, Do::Load(_))), "paused holds");
    bench.seen.offer = Some(offer("new", State::Active));
    assert!(bench.step(|_| ()).contains(&Do::Load(Some(digest("new")))));
    bench.seen.parked = Some("the vehicle moves");
    assert_eq!(
        bench.step(|seen| seen.loaded = Some(Ok(()))),
        [Do::Unload],
        "it drove off while it was loaded"
    );
    assert_eq!(bench.seen.pointers.current, Some(digest("old")));
}

#[test]
fn each_fault_of_the_model_on_trial_takes_it_back_at_once_and_for_good() {
    for (cause, fault) in [
        (DeployCause::Outputs, TrialSeen { invalid: true, ..TrialSeen::default() }),
        (DeployCause::Latency, TrialSeen { late: true, ..TrialSeen::default() }),
    ] {
        let mut bench = Bench::new();
        bench.reach_trial();
        let done = bench.step(|seen| seen.trial = fault);
        assert_eq!(done.first(), Some(&Do::Back), "{done:?}");
        assert_eq!(bench.phase(), (Phase::Reverted, Some(cause)));
        assert_eq!(bench.seen.pointers.current, Some(digest("old")));
        assert!(bench.step(|_| ()).is_empty());
        bench.seen.offer.as_mut().expect("offered").rollout_id = "r2".into();
        bench.step(|_| ());
        assert_eq!(
            bench.phase(),
            (Phase::Rejected, Some(DeployCause::KnownBad)),
            "another roll-out of the same"
        );
        bench.seen.offer.as_mut().expect("offered").forgiven = true;
        assert!(bench.step(|_| ()).contains(&Do::Judge(digest("new"))), "forgiven");
    }
}

#[test]
fn a_model_that_hangs_ends_the_process_after_everything_is_written() {
    let mut bench = Bench::new();
    bench.reach_trial();
    let done = bench.step(|seen| seen.trial.stalled = true);
    assert!(matches!(done, [Do::Revert, Do::Verdict(..), Do::Tell(_), Do::Restart(_)]), "{done:?}");
}

#[test]
fn a_place_that_gets_no_answer_from_the_new_one_keeps_the_old() {
    let mut bench = Bench::new();
    bench.reach_armed();
    bench.step(|_| ());
    bench.step(|seen| seen.loaded = Some(Ok(())));
    bench.step(|seen| seen.exchanged = failed(DeployCause::Outputs));
    assert_eq!(bench.phase(), (Phase::Reverted, Some(DeployCause::Outputs)));
    assert_eq!(bench.seen.pointers.current, Some(digest("old")));
}

#[test]
fn heat_and_lost_cameras_are_no_fault_of_the_model_three_times() {
    let mut bench = Bench::new();
    for attempt in 1..=3 {
        bench.reach_trial();
        bench.seen.surroundings = Some(DeployCause::Heat);
        bench.step(|seen| seen.trial.late = true);
        assert_eq!(bench.phase(), (Phase::Deferred, Some(DeployCause::Heat)), "attempt {attempt}");
        assert_eq!(bench.seen.pointers.current, Some(digest("old")));
        assert!(bench.step(|_| ()).is_empty(), "it is still hot");
        bench.seen.surroundings = None;
        assert!(bench.step(|_| ()).is_empty(), "and then it waits a while");
        bench.seen.now_s += 60;
        if attempt == 3 {
            bench.step(|_| ());
            assert_eq!(bench.phase(), (Phase::Rejected, Some(DeployCause::Surroundings)));
        }
    }
}

#[test]
fn what_fails_before_trial_has_its_cause_and_what_is_the_models_own_is_bad() {
    let mut bench = Bench::new();
    bench.step(|_| ());
    bench.step(|seen| seen.judged = failed(DeployCause::Signature));
    assert_eq!(bench.phase(), (Phase::Rejected, Some(DeployCause::Signature)));
    assert_eq!(bench.seen.known.verdict, VerdictState::Untested, "nothing is said of the bytes themselves");
    for (cause, phase) in [
        (DeployCause::Golden, Phase::Rejected),
        (DeployCause::Latency, Phase::Rejected),
        (DeployCause::Memory, Phase::Rejected),
        (DeployCause::Crash, Phase::Rejected),
        (DeployCause::Surroundings, Phase::Deferred),
    ] {
        let mut bench = Bench::new();
        bench.step(|_| ());
        bench.step(|seen| seen.judged = Some(Ok(())));
        bench.step(|seen| seen.tested = failed(cause));
        assert_eq!(bench.phase(), (phase, Some(cause)));
        let bad = bench.seen.known.verdict == VerdictState::Bad { cause };
        assert_eq!(bad, phase == Phase::Rejected, "{cause:?}");
    }
    let mut bench = Bench::new();
    bench.step(|_| ());
    bench.step(|seen| seen.judged = failed(DeployCause::MinRuntime));
    assert_eq!(bench.phase(), (Phase::Deferred, Some(DeployCause::MinRuntime)));
}

#[test]
fn a_shadow_that_disagrees_is_bad_and_one_that_was_killed_is_begun_again() {
    let mut bench = Bench::new();
    bench.reach_shadow();
    bench.step(|seen| seen.shadow = Some(ShadowSeen { frames: 10, disagreements: 3, ended: None }));
    assert_eq!(bench.phase(), (Phase::Rejected, Some(DeployCause::Disagreement)));
    let mut bench = Bench::new();
    bench.reach_shadow();
    let killed = |own| ShadowSeen { ended: Some((own, "killed".to_owned())), ..ShadowSeen::default() };
    for _ in 0..2 {
        assert!(bench.step(|seen| seen.shadow = Some(killed(false))).contains(&Do::Shadow(digest("new"))));
    }
    bench.step(|seen| seen.shadow = Some(killed(false)));
    assert_eq!(bench.phase(), (Phase::Deferred, Some(DeployCause::Surroundings)));
    let mut bench = Bench::new();
    bench.reach_shadow();
    bench.step(|seen| seen.shadow = Some(killed(true)));
    assert_eq!(bench.phase(), (Phase::Rejected, Some(DeployCause::Crash)));
}

#[test]
fn an_aborted_roll_out_goes_back_from_trial_at_once_and_from_good_when_parked() {
    let mut bench = Bench::new();
    bench.reach_trial();
    bench.seen.offer = Some(offer("new", State::Aborted));
    bench.step(|_| ());
    assert_eq!(bench.phase(), (Phase::Withdrawn, Some(DeployCause::Aborted)));
    assert_eq!(bench.seen.pointers.current, Some(digest("old")));

    let mut bench = Bench::new();
    bench.reach_trial();
    bench.step(|seen| (seen.trial.exposure.frames, seen.trial.exposure.ignition_cycles) = (100, 1));
    bench.seen.offer = Some(Offer { abort_to: Some(digest("older")), ..offer("new", State::Aborted) });
    bench.seen.parked = Some("the vehicle moves");
    assert!(bench.step(|_| ()).is_empty());
    bench.seen.parked = None;
    bench.seen.stale = Some("no fresh metadata is needed to go back");
    assert_eq!(bench.step(|_| ()), [Do::Load(Some(digest("older")))]);
    assert_eq!(
        bench.step(|seen| seen.loaded = failed(DeployCause::Content)),
        [Do::Unload, Do::Load(Some(digest("old")))]
    );
    bench.step(|seen| seen.loaded = Some(Ok(())));
    bench.step(|seen| seen.exchanged = Some(Ok(())));
    assert_eq!((bench.phase().0, bench.seen.pointers.current), (Phase::Withdrawn, Some(digest("old"))));
    assert!(bench.step(|_| ()).is_empty(), "it decides no more");
}

#[test]
fn another_offer_takes_the_place_of_one_that_waits_but_not_of_one_on_trial() {
    let mut bench = Bench::new();
    bench.reach_armed();
    bench.seen.offer = Some(Offer { rollout_id: "r2".into(), ..offer("newer", State::Active) });
    bench.step(|_| ());
    assert_eq!(bench.phase(), (Phase::Withdrawn, Some(DeployCause::Superseded)));
    assert!(bench.step(|_| ()).contains(&Do::Judge(digest("newer"))));
    let mut bench = Bench::new();
    bench.reach_trial();
    bench.seen.offer = Some(Offer { rollout_id: "r2".into(), ..offer("newer", State::Active) });
    assert!(bench.step(|_| ()).is_empty(), "the trial goes on");
}

fn any_failure() -> impl Strategy<Value = Option<Result<(), Failed>>> {
    let cause = prop_oneof![
        Just(DeployCause::Golden),
        Just(DeployCause::Floor),
        Just(DeployCause::Surroundings),
        Just(DeployCause::Schema)
    ];
    prop_oneof![
        3 => Just(None),
        3 => Just(Some(Ok(()))),
        1 => cause.prop_map(|cause| Some(Err((cause, String::new())))),
    ]
}

prop_compose! {
    fn any_now()(
        (judged, tested, loaded, exchanged) in (any_failure(), any_failure(), any_failure(), any_failure()),
        (parked, stale, hot) in (any::<bool>(), proptest::bool::weighted(0.2), proptest::bool::weighted(0.1)),
        (frames, disagreements, killed) in (0..20_u64, 0..4_u64, proptest::bool::weighted(0.1)),
        (invalid, late, stalled) in (proptest::bool::weighted(0.05), proptest::bool::weighted(0.05), proptest::bool::weighted(0.02)),
        (state, bundle, decided) in (0..8_u8, 0..6_u8, 0..200_u64),
    ) -> Seen {
        let state = [State::Aborted, State::Paused].get(usize::from(state)).copied().unwrap_or(State::Active);
        let shadow = ShadowSeen { frames, disagreements, ended: killed.then(|| (false, String::new())) };
        Seen {
            offer: (bundle > 0).then(|| offer(if bundle == 1 { "newer" } else { "new" }, state)),
            parked: (!parked).then_some("moves"),
            stale: stale.then_some("stale"),
            surroundings: hot.then_some(DeployCause::Heat),
            judged, tested, loaded, exchanged,
            shadow: Some(shadow),
            trial: TrialSeen {
                exposure: Exposure { frames: decided, ignition_cycles: 1, ..Exposure::default() },
                invalid, late, stalled,
            },
            now_s: 100 * decided,
            ..Seen::default()
        }
    }
}

proptest! {
    #[test]
    fn whatever_is_seen_it_exchanges_only_when_parked_and_judged_and_never_a_bad_one(
        nows in proptest::collection::vec(any_now(), 1..120),
    ) {
        let mut bench = Bench::new();
        let mut last: Option<Phase> = None;
        let mut last_of = (String::new(), digest(""));
        for now in nows {
            let (pointers, known) = (bench.seen.pointers.clone(), bench.seen.known);
            let parked = now.parked.is_none();
            let fresh = now.stale.is_none();
            let done = bench.step(|seen| *seen = Seen { pointers, known, ..now }).to_vec();
            for one in &done {
                match one {
                    Do::BeginTrial(..) => prop_assert!(parked && fresh, "{done:?}"),
                    Do::GoTo(_) => prop_assert!(parked),
                    Do::Tell(told) => {
                        let of = (told.rollout_id.clone(), told.digest);
                        if let Some(last) = last.filter(|_| of == last_of) {
                            let again = last == told.phase || matches!(told.phase, Phase::Staged | Phase::Good | Phase::Rejected | Phase::Withdrawn);
                            prop_assert!(again || last.may_become(told.phase), "{last:?} → {:?}", told.phase);
                        }
                        (last, last_of) = (Some(told.phase), of);
                    }
                    _ => {}
                }
            }
            let trial = bench.seen.pointers.trial.is_some();
            prop_assert_eq!(trial, bench.deployer.on_trial());
        }
    }
}

#[test]
fn a_bundle_that_was_found_bad_is_tried_again_by_the_same_offer_once_it_is_open_again() {
    let mut bench = Bench::new();
    let fails = |bench: &mut Bench, cause| {
        bench.step(|_| ());
        bench.step(|seen| seen.judged = Some(Err((cause, "no".into()))));
        assert_eq!(bench.phase(), (Phase::Rejected, Some(cause)));
        bench.seen.now_s += 3600;
    };
    fails(&mut bench, DeployCause::Load);
    assert!(bench.step(|_| ()).is_empty(), "bad stays bad");
    bench.seen.known.reopened = true;
    assert!(bench.step(|_| ()).contains(&Do::Judge(digest("new"))), "a newer runtime");
    bench.seen.known.reopened = false;

    let mut bench = Bench::new();
    fails(&mut bench, DeployCause::Golden);
    bench.seen.known = Known::default();
    assert!(bench.step(|_| ()).contains(&Do::Judge(digest("new"))), "somebody has reopened it");

    let mut bench = Bench::new();
    fails(&mut bench, DeployCause::Signature);
    assert!(bench.step(|_| ()).is_empty(), "there was no verdict to take back");
}

#[test]
fn a_verdict_that_cannot_be_written_is_no_endless_round() {
    let mut bench = Bench::new();
    bench.step(|_| ());
    bench.step(|seen| seen.judged = Some(Err((DeployCause::Bundle, "no".into()))));
    bench.seen.known = Known::default();
    for _ in 0..REOPEN_S - 1 {
        bench.seen.now_s += 1;
        assert!(bench.step(|_| ()).is_empty(), "at {} s", bench.seen.now_s);
    }
}
