//! Stop signs: the approach at all speeds, and what else stands, moves and hides beside the road.

use std::cell::Cell;

use super::drive::{Outcome, Setup, Story, run};
use super::measured::Measured;
use super::plant::{Driver, Plant};
use super::random::Random;
use super::report::{Line, Verdict, middle_and_most};
use super::scene::{Class, Motion, Thing};
use super::setups::{Reach, SIGN, View, stopping};

/// Speeds of the approach, km/h: the issue's, and one below it that the measured detector reaches.
pub const SPEEDS: [f64; 8] = [15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0];
/// The limit for a sign, m/s².
const LIMIT: f64 = 5.0;
/// The ramp, m/s³, and one step of the frame's deceleration over a period.
const RAMP: f64 = 10.0 + 1.0;
/// Farther from the sign than this the stop is no stop before the sign, metres.
const FARTHEST: f64 = 12.0;

/// One approach: a sign 8 s ahead, a steady foot, no driver. `random` draws the tolerances.
pub fn approach(measured: &Measured, view: View, kmh: f64, mut random: Random) -> (Outcome, f64) {
    let (setup, factor) = view.setup(&mut random);
    let speed = kmh / 3.6;
    let sign = (8.0 * speed).max(60.0);
    let things = vec![Thing::sign(sign, random.between(-4.2, -2.6), SIGN * factor)];
    let outcome = until_it_stood(measured, &setup, things, speed, sign + 15.0, random);
    (outcome, sign)
}

/// A row of the table of approaches.
pub fn row(measured: &Measured, view: View, kmh: f64, runs: usize) -> Line {
    let reach = reach(measured, view, kmh);
    let mut good = 0;
    let (mut gaps, mut requests) = (Vec::new(), Vec::new());
    for seed in 0..runs {
        let (view, seed) = of_run(view, seed);
        let random = Random::of(&[1, view.fps.to_bits(), view.degrees.to_bits(), kmh.to_bits(), seed]);
        let (outcome, sign) = approach(measured, view, kmh, random);
        requests.push(outcome.peak_request);
        let gap = outcome.stood_at.map(|at| sign - at);
        gaps.extend(gap);
        let stopped = gap.is_some_and(|gap| (0.0..=FARTHEST).contains(&gap));
        let bounded = outcome.peak_request <= LIMIT && outcome.peak_jerk <= RAMP && outcome.unheld == 0;
        good += usize::from(stopped && bounded);
    }
    let most = requests.iter().copied().fold(0.0, f64::max);
    let least = gaps.iter().copied().fold(f64::INFINITY, f64::min);
    let short =
        if gaps.is_empty() { format!("{good}/{runs}") } else { format!("{good}/{runs}, {least:.1} m") };
    let stops = middle_and_most(gaps).map_or("no stop".into(), |(middle, far)| {
        format!("stops {least:.1} / {middle:.1} / {far:.1} m before the sign")
    });
    let seen = format!("{reach}; {stops}; at most {most:.1} m/s²");
    Line::judged(format!("stop sign, {kmh:.0} km/h"), view, (good, runs), (seen, short), reach.reachable())
}

/// In the worst case every run takes another corner.
pub fn of_run(view: View, seed: usize) -> (View, u64) {
    let seed64 = u64::try_from(seed).expect("few runs");
    match view.corner {
        None => (view, seed64),
        Some(_) => (view.corners()[seed % 4], seed64 + 1_000_000),
    }
}

/// What the lens and the measured detector can do at this speed, by the decision's own default settings.
pub fn reach(measured: &Measured, view: View, kmh: f64) -> Reach {
    let (setup, factor) = view.setup(&mut Random::of(&[0]));
    let config = &setup.decide.stop_sign;
    let speed = kmh / 3.6;
    let confirm = f64::from(config.confirm.dwell_ms + config.confirm.window_ms / 2) / 1000.0;
    let lag = setup.brakes.lag + f64::from(config.stop_before_m) / speed;
    let brake = stopping(speed, f64::from(config.limit_mps2), f64::from(config.jerk_mps3));
    let distance = speed * (setup.latency + confirm + lag) + brake + setup.eye.behind;
    let curve = &measured.detector(setup.model).curves["stop_sign"][view.light.name()];
    // Nominal plate; in the corner the smaller one counts.
    let metres = SIGN * if view.corner.is_some() { factor.min(0.8) } else { 1.0 };
    Reach::new(measured, curve, &setup, metres, distance, f64::from(config.confirm.score_on)).with_place(
        &setup.eye,
        [2.2, 2.2 + 1.2 * SIGN],
        4.2 + 0.6 * SIGN,
    )
}

/// Runs until the car has stood for two seconds, or is past `end` metres.
fn until_it_stood(
    measured: &Measured,
    setup: &Setup,
    things: Vec<Thing>,
    speed: f64,
    end: f64,
    random: Random,
) -> Outcome {
    let stood = Cell::new(None);
    let driver = |_: f64, _: &Plant| steady(speed);
    let over = |time: f64, car: &Plant| {
        stood.set(if car.stands() { stood.get().or(Some(time)) } else { None });
        car.x > end || stood.get().is_some_and(|since| time - since > 2.0)
    };
    run(measured, setup, &Story { things, speed, driver: &driver, over: &over }, random)
}

/// A steady foot.
pub fn steady(speed: f64) -> Driver {
    Driver { keeps: speed, accelerator: 0.2, ..Driver::default() }
}

/// The stories beside the approach, each with its criterion.
pub fn stories(measured: &Measured, view: View, kmh: f64, runs: usize) -> Vec<Line> {
    // Where the car must stop, the camera must be able to see the sign in time, as in the table of approaches.
    let reached = reach(measured, view, kmh).reachable();
    let told: [(&str, &Telling); 10] = [
        ("stopped, released, crept over the line: no second brake", &creep),
        ("stopped, reversed 15 m, forwards again: no brake backwards", &reverse),
        ("a lorry crosses and hides the sign for a second: stops", &crossing_lorry),
        ("a van two seconds ahead hides the sign from afar: stops", &lead_van),
        ("side-road sign, turned by 70°, 5 m to the right: no brake", &side_road),
        ("sign that faces us 9 m to the right: no brake", &far_right),
        ("sign on a bus that drives ahead: no brake", &bus_ahead),
        ("sign on an oncoming bus: no brake", &oncoming_bus),
        ("something fixed with the scores of clutter where a sign would be: no brake", &growing_false_sign),
        ("a sign after the served one, 60 m on: stops again", &next_sign),
    ];
    let mut lines = Vec::new();
    for (number, (name, story)) in told.into_iter().enumerate() {
        let key = u64::try_from(number).expect("few");
        let results: Vec<(bool, f64)> = (0..runs)
            .map(|seed| {
                let (view, seed) = of_run(view, seed);
                story(measured, view, kmh / 3.6, Random::of(&[2, key, view.fps.to_bits(), seed]))
            })
            .collect();
        let good = results.iter().filter(|(good, _)| *good).count();
        let values = results.iter().map(|(_, value)| *value).collect();
        let seen = middle_and_most(values)
            .map_or(String::new(), |(middle, most)| format!("brakes: median {middle:.0}, most {most:.0}"));
        lines.push(Line::judged(
            format!("{name}, {kmh:.0} km/h"),
            view,
            (good, runs),
            (seen, format!("{good}/{runs}")),
            reached || !must_stop(name),
        ));
    }
    lines
}

/// Whether the criterion of a story asks for a stop; the others ask that nothing brakes.
fn must_stop(name: &str) -> bool {
    !name.ends_with(": no brake")
}

/// With the view, the speed in m/s and chance: whether the criterion was met, and brakes begun.
type Telling = dyn Fn(&Measured, View, f64, Random) -> (bool, f64);

const SIGN_AT: f64 = 90.0;

#[allow(clippy::cast_precision_loss, reason = "a few brakes")]
fn brakes(outcome: &Outcome) -> f64 {
    outcome.brakes.len() as f64
}

/// Things beside the road, a steady foot, until past the end: whether nothing braked.
fn undisturbed(
    measured: &Measured,
    setup: &Setup,
    things: Vec<Thing>,
    pace: f64,
    end: f64,
    random: Random,
) -> (bool, f64) {
    let outcome = until_it_stood(measured, setup, things, pace, end, random);
    (outcome.brakes.is_empty(), brakes(&outcome))
}

fn stops_before(outcome: &Outcome, sign: f64) -> bool {
    outcome.stood_at.is_some_and(|at| (0.0..=FARTHEST).contains(&(sign - at)))
}

fn own_sign(factor: f64, random: &mut Random) -> Thing {
    Thing::sign(SIGN_AT, random.between(-4.2, -2.6), SIGN * factor)
}

/// Seconds after the stop: 2 released, then creeps on.
fn creep(measured: &Measured, view: View, pace: f64, mut random: Random) -> (bool, f64) {
    let (setup, factor) = view.setup(&mut random);
    let things = vec![own_sign(factor, &mut random)];
    let stood = Cell::new(None);
    let driver = |time: f64, car: &Plant| {
        if car.stands() && stood.get().is_none() {
            stood.set(Some(time));
        }
        match stood.get() {
            Some(since) if time > since + 2.0 => {
                Driver { release: time < since + 2.5, creeps: true, ..Driver::default() }
            }
            Some(_) => Driver::default(),
            None => steady(pace),
        }
    };
    let over = |time: f64, car: &Plant| {
        car.x > SIGN_AT + 12.0 || stood.get().is_some_and(|since| time > since + 30.0)
    };
    let outcome = run(measured, &setup, &Story { things, speed: pace, driver: &driver, over: &over }, random);
    let went_on = outcome.end > SIGN_AT + 12.0;
    (stops_before(&outcome, SIGN_AT) && went_on && outcome.brakes.len() == 1, brakes(&outcome))
}

fn reverse(measured: &Measured, view: View, pace: f64, mut random: Random) -> (bool, f64) {
    let (setup, factor) = view.setup(&mut random);
    let things = vec![own_sign(factor, &mut random)];
    let stood = Cell::new(None);
    let driver = |time: f64, car: &Plant| {
        if car.stands() && stood.get().is_none() {
            stood.set(Some((time, car.x)));
        }
        match stood.get() {
            Some((since, _)) if time < since + 2.0 => Driver::default(),
            Some((since, at)) => {
                let back = car.x > at - 15.0 && time < since + 20.0;
                Driver {
                    release: time < since + 2.5,
                    keeps: if back { -2.0 } else { 0.0 },
                    ..Driver::default()
                }
            }
            None => steady(pace),
        }
    };
    let over =
        |time: f64, _: &Plant| stood.get().is_some_and(|(since, _)| time > since + 20.0) || time > 60.0;
    let outcome = run(measured, &setup, &Story { things, speed: pace, driver: &driver, over: &over }, random);
    let went_back = outcome.stood_at.is_some_and(|at| outcome.end < at - 10.0);
    (stops_before(&outcome, SIGN_AT) && went_back && outcome.brakes.len() == 1, brakes(&outcome))
}

fn crossing_lorry(measured: &Measured, view: View, pace: f64, mut random: Random) -> (bool, f64) {
    let (setup, factor) = view.setup(&mut random);
    // It is gone again when the sign must be recognised at the latest: 1.6 s from the right to the sign, one second before it.
    let from = (SIGN_AT - reach(measured, view, pace * 3.6).distance) / pace - 1.0 - 1.6;
    let lorry = Thing {
        z: [0.0, 3.5],
        size: [2.5, 7.0],
        ..Thing::car(SIGN_AT - 7.0, -16.0, Motion::Walks { from, until: 60.0, velocity: [0.0, 8.0] })
    };
    let things = vec![own_sign(factor, &mut random), lorry];
    let outcome = until_it_stood(measured, &setup, things, pace, SIGN_AT + 15.0, random);
    (stops_before(&outcome, SIGN_AT), brakes(&outcome))
}

fn lead_van(measured: &Measured, view: View, pace: f64, mut random: Random) -> (bool, f64) {
    let (setup, factor) = view.setup(&mut random);
    let drives = Motion::Drives { speed: pace, brakes_at: 1e9, deceleration: 1.0 };
    let van = Thing { z: [0.0, 2.8], size: [5.5, 2.0], ..Thing::car(2.0 * pace + 2.75, 0.0, drives) };
    let things = vec![Thing::sign(SIGN_AT, -3.4, SIGN * factor), van];
    let outcome = until_it_stood(measured, &setup, things, pace, SIGN_AT + 15.0, random);
    (stops_before(&outcome, SIGN_AT), brakes(&outcome))
}

fn side_road(measured: &Measured, view: View, pace: f64, mut random: Random) -> (bool, f64) {
    let (setup, factor) = view.setup(&mut random);
    let height = SIGN * factor;
    let turned = [height * 0.94, height * 0.34];
    let sign = Thing { size: turned, ..Thing::sign(SIGN_AT, -1.8 - 5.0, height) };
    undisturbed(measured, &setup, vec![sign], pace, SIGN_AT + 10.0, random)
}

fn far_right(measured: &Measured, view: View, pace: f64, mut random: Random) -> (bool, f64) {
    let (setup, factor) = view.setup(&mut random);
    undisturbed(
        measured,
        &setup,
        vec![Thing::sign(SIGN_AT, -9.0, SIGN * factor)],
        pace,
        SIGN_AT + 10.0,
        random,
    )
}

fn bus_ahead(measured: &Measured, view: View, pace: f64, mut random: Random) -> (bool, f64) {
    let (setup, _) = view.setup(&mut random);
    let drives = Motion::Drives { speed: pace, brakes_at: 1e9, deceleration: 1.0 };
    let sign = Thing { z: [1.4, 1.85], motion: drives, ..Thing::sign(18.0, -0.7, 0.45) };
    undisturbed(measured, &setup, vec![sign], pace, 200.0, random)
}

fn oncoming_bus(measured: &Measured, view: View, pace: f64, mut random: Random) -> (bool, f64) {
    let (setup, _) = view.setup(&mut random);
    let comes = Motion::Walks { from: 0.0, until: 60.0, velocity: [-pace, 0.0] };
    let sign = Thing { z: [1.4, 1.85], motion: comes, ..Thing::sign(160.0, 2.6, 0.45) };
    undisturbed(measured, &setup, vec![sign], pace, 100.0, random)
}

fn growing_false_sign(measured: &Measured, view: View, pace: f64, mut random: Random) -> (bool, f64) {
    let (setup, factor) = view.setup(&mut random);
    let thing = Thing { class: Class::FalseSign, ..own_sign(factor, &mut random) };
    undisturbed(measured, &setup, vec![thing], pace, SIGN_AT + 10.0, random)
}

fn next_sign(measured: &Measured, view: View, pace: f64, mut random: Random) -> (bool, f64) {
    let (setup, factor) = view.setup(&mut random);
    let next = SIGN_AT + 80.0;
    let things = vec![own_sign(factor, &mut random), Thing::sign(next, -3.2, SIGN * factor)];
    let stood: Cell<Option<f64>> = Cell::new(None);
    let second: Cell<Option<(f64, f64)>> = Cell::new(None);
    let driver = |time: f64, car: &Plant| {
        if car.stands() && stood.get().is_none() {
            stood.set(Some(time));
        }
        if car.stands() && car.x > SIGN_AT + 5.0 && second.get().is_none() {
            second.set(Some((time, car.x)));
        }
        match stood.get() {
            Some(since) if time > since + 2.0 => {
                let accelerates = car.speed < 0.9 * pace && second.get().is_none();
                Driver {
                    release: time < since + 2.5,
                    accelerator: if accelerates { 0.3 } else { 0.15 },
                    ..steady(pace)
                }
            }
            Some(_) => Driver::default(),
            None => steady(pace),
        }
    };
    let over =
        |time: f64, car: &Plant| car.x > next + 10.0 || second.get().is_some_and(|(at, _)| time > at + 1.0);
    let outcome = run(measured, &setup, &Story { things, speed: pace, driver: &driver, over: &over }, random);
    let stopped_again = second.get().is_some_and(|(_, at)| (0.0..=FARTHEST).contains(&(next - at)));
    (stops_before(&outcome, SIGN_AT) && stopped_again, brakes(&outcome))
}

/// A paddle that a road worker holds: told, not judged. It asks for the same stop as a sign, but has half its size.
pub fn paddle(measured: &Measured, view: View, kmh: f64, runs: usize) -> Line {
    let mut stopped = 0;
    for seed in 0..runs {
        let (view, seed) = of_run(view, seed);
        let mut random = Random::of(&[3, view.fps.to_bits(), seed]);
        let (setup, _) = view.setup(&mut random);
        let paddle = Thing { z: [1.5, 1.95], ..Thing::sign(SIGN_AT, -2.0, 0.45) };
        let outcome = until_it_stood(measured, &setup, vec![paddle], kmh / 3.6, SIGN_AT + 10.0, random);
        stopped += usize::from(!outcome.brakes.is_empty());
    }
    let seen = format!("braked in {stopped} of {runs}");
    let name = format!("a 0.45 m paddle held up beside the lane, {kmh:.0} km/h");
    let short = seen.clone();
    Line { name, with: view.name(), runs, good: runs, seen, short, verdict: Verdict::Told }
}
