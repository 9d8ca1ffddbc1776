//! Where nothing may brake: scenes after UN R152's scenarios of false reaction, and hours of clutter.
//!
//! The scenes are built after the list of annex 3, appendix 2 (parked cars and people beside the path, bends, things in
//! and over the road, people walking along it); its drawings' distances were not at hand, so those here are ours.

use std::cell::Cell;

use super::drive::{Setup, Story, run};
use super::measured::{Light, Measured};
use super::plant::{Driver, Plant};
use super::random::Random;
use super::report::{Line, upper_95};
use super::scene::{Class, Motion, Thing};
use super::sensor::ClutterRate;
use super::setups::{PLAIN, View};
use super::signs::{of_run, steady};

struct Scene {
    name: &'static str,
    kmh: f64,
    things: fn(f64) -> Vec<Thing>,
    /// Yaw rate at a time, by speed.
    yaw: fn(f64, f64) -> f64,
    end: f64,
}

fn straight(_: f64, _: f64) -> f64 {
    0.0
}

/// From 2 s on a bend to the left of 60 m radius.
fn bend(time: f64, speed: f64) -> f64 {
    if time < 2.0 { 0.0 } else { speed / 60.0 * ((time - 2.0) / 0.5).min(1.0) }
}

/// From 4 s on a turn to the right of 9 m radius, a quarter circle.
fn turn(time: f64, speed: f64) -> f64 {
    let quarter = core::f64::consts::FRAC_PI_2 * 9.0 / speed;
    if (4.0..4.0 + quarter).contains(&time) { -speed / 9.0 } else { 0.0 }
}

const SCENES: [Scene; 12] = [
    Scene {
        name: "parked cars on both sides, people standing between them",
        kmh: 50.0,
        things: parked,
        yaw: straight,
        end: 9.0,
    },
    Scene { name: "parked cars, people between them", kmh: 30.0, things: parked, yaw: straight, end: 14.0 },
    Scene {
        name: "a person walks along the road 1.3 m beside our side, our way",
        kmh: 50.0,
        things: walks_along,
        yaw: straight,
        end: 9.0,
    },
    Scene {
        name: "a person walks along the road 1.3 m beside our side, towards us",
        kmh: 50.0,
        things: walks_towards,
        yaw: straight,
        end: 9.0,
    },
    Scene {
        name: "bend of 60 m, a person straight ahead beside it",
        kmh: 40.0,
        things: outside_bend,
        yaw: bend,
        end: 9.0,
    },
    Scene {
        name: "turn to the right, people wait at both corners",
        kmh: 15.0,
        things: corners,
        yaw: turn,
        end: 9.0,
    },
    Scene {
        name: "a person walks to the kerb and stops 1.2 m beside our side, 3 s before us",
        kmh: 40.0,
        things: stops_at_kerb,
        yaw: straight,
        end: 9.0,
    },
    Scene {
        name: "a person crosses and is across 3 s before us",
        kmh: 40.0,
        things: crosses_early,
        yaw: straight,
        end: 9.0,
    },
    Scene {
        name: "a person begins to cross behind us",
        kmh: 40.0,
        things: crosses_late,
        yaw: straight,
        end: 9.0,
    },
    Scene {
        name: "manhole cover on the path, a false person by clutter's scores",
        kmh: 50.0,
        things: manhole,
        yaw: straight,
        end: 9.0,
    },
    Scene {
        name: "gantry over the road, false signs and persons on it by clutter's scores",
        kmh: 60.0,
        things: gantry,
        yaw: straight,
        end: 9.0,
    },
    Scene {
        name: "people at a bus stop 1.1 m beside our side",
        kmh: 50.0,
        things: bus_stop,
        yaw: straight,
        end: 9.0,
    },
];

fn parked(speed: f64) -> Vec<Thing> {
    let mut things = Vec::new();
    for place in 0..6 {
        let x = 4.0 * speed + f64::from(place) * 6.5;
        things.push(Thing::car(x, -2.9, Motion::Fixed));
        things.push(Thing::car(x + 1.0, 2.9, Motion::Fixed));
        things.push(Thing::adult(x + 3.2, -2.5, Motion::Fixed));
    }
    things
}

fn walks_along(speed: f64) -> Vec<Thing> {
    let walks = Motion::Walks { from: 0.0, until: 60.0, velocity: [5.0 / 3.6, 0.0] };
    vec![Thing::adult(5.0 * speed, -2.45, walks.clone()), Thing::adult(6.0 * speed, -3.0, walks)]
}

fn walks_towards(speed: f64) -> Vec<Thing> {
    let walks = Motion::Walks { from: 0.0, until: 60.0, velocity: [-5.0 / 3.6, 0.0] };
    vec![Thing::adult(6.0 * speed, -2.45, walks)]
}

fn outside_bend(speed: f64) -> Vec<Thing> {
    let begins = 2.0 * speed;
    vec![Thing::adult(begins + 36.0, -0.5, Motion::Fixed), Thing::car(begins + 33.0, -3.0, Motion::Fixed)]
}

fn corners(speed: f64) -> Vec<Thing> {
    let begins = 4.0 * speed;
    let waits = |x, y| Thing::adult(begins + x, y, Motion::Fixed);
    // The inner corner, and the far side straight on.
    vec![waits(4.5, -5.0), waits(3.5, -6.0), waits(15.0, -3.0), waits(15.0, 0.5)]
}

fn stops_at_kerb(speed: f64) -> Vec<Thing> {
    let stops = 5.0 - 3.0;
    let walks = Motion::Walks { from: stops - 2.0, until: stops, velocity: [0.0, 5.0 / 3.6] };
    vec![Thing::adult(5.0 * speed, -2.35 - 2.0 * 5.0 / 3.6, walks)]
}

fn crosses_early(speed: f64) -> Vec<Thing> {
    // On the far side of the lane (1.8 m left of the middle) at second 3, we come at 6.
    let pace = 5.0 / 3.6;
    let walks = Motion::Walks { from: 0.0, until: 5.0, velocity: [0.0, pace] };
    vec![Thing::adult(6.0 * speed, 1.8 - 3.0 * pace, walks)]
}

fn crosses_late(speed: f64) -> Vec<Thing> {
    // Stands 1.5 m beside our side and goes when our front is past.
    let walks = Motion::Walks { from: 5.3, until: 9.0, velocity: [0.0, 5.0 / 3.6] };
    vec![Thing::adult(5.0 * speed, -2.65, walks)]
}

fn manhole(speed: f64) -> Vec<Thing> {
    let cover = |x| Thing {
        class: Class::FalsePerson,
        z: [0.0, 0.25],
        size: [0.7, 0.5],
        solid: false,
        ..Thing::adult(x, 0.0, Motion::Fixed)
    };
    (3..9).map(|second| cover(f64::from(second) * speed)).collect()
}

fn gantry(speed: f64) -> Vec<Thing> {
    let hung = |class, x, y| Thing { class, z: [5.2, 6.2], solid: false, ..Thing::sign(x, y, 1.0) };
    let x = 6.0 * speed;
    vec![
        hung(Class::FalseSign, x, -2.5),
        hung(Class::FalsePerson, x, 0.0),
        hung(Class::FalseSign, x + 50.0, 0.0),
    ]
}

fn bus_stop(speed: f64) -> Vec<Thing> {
    (0..4)
        .map(|i| {
            Thing::adult(5.0 * speed + f64::from(i) * 0.8, -2.25 - 0.3 * f64::from(i % 2), Motion::Fixed)
        })
        .collect()
}

/// A row per scene.
pub fn scenes(measured: &Measured, view: View, runs: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    for (number, scene) in SCENES.iter().enumerate() {
        let speed = scene.kmh / 3.6;
        let (mut good, mut warned) = (0, 0);
        for seed in 0..runs {
            let (view, seed) = of_run(view, seed);
            let mut random = Random::of(&[5, u64::try_from(number).expect("few"), view.fps.to_bits(), seed]);
            let (setup, _) = view.setup(&mut random);
            let driver = |time: f64, car: &Plant| Driver {
                yaw_rate: (scene.yaw)(time, car.speed.max(1.0)),
                ..steady(speed)
            };
            let over = |time: f64, car: &Plant| time > scene.end || car.stands();
            let story = Story { things: (scene.things)(speed), speed, driver: &driver, over: &over };
            let outcome = run(measured, &setup, &story, random);
            good += usize::from(outcome.brakes.is_empty());
            warned += usize::from(outcome.warned.is_some());
        }
        let seen = format!("brakes in {}, warnings in {warned}", runs - good);
        let short = format!("{good}/{runs}");
        let name = format!("{}, {:.0} km/h", scene.name, scene.kmh);
        lines.push(Line::judged(name, view, (good, runs), (seen, short), true));
    }
    lines
}

/// What hours of nothing but clutter gave.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hours {
    /// Driven.
    pub hours: f64,
    /// Brakes begun.
    pub brakes: usize,
    /// Minutes in which the driver was warned or informed.
    pub warned: usize,
}

impl Hours {
    /// Brakes per hour with the exact upper 95 % bound.
    pub fn brake_rate(&self) -> (f64, f64) {
        rate(self.brakes, self.hours)
    }

    /// Warnings per hour with the exact upper 95 % bound.
    pub fn warning_rate(&self) -> (f64, f64) {
        rate(self.warned, self.hours)
    }
}

#[allow(clippy::cast_precision_loss, reason = "few events")]
fn rate(events: usize, hours: f64) -> (f64, f64) {
    (events as f64 / hours, upper_95(events) / hours)
}

/// Minute after minute without any object, at 30, 50, 80 and 100 km/h in turn, one state from start to stop of each.
pub fn hours(
    measured: &Measured,
    view: View,
    model: &'static str,
    clutter: ClutterRate,
    minutes: usize,
) -> Hours {
    let mut total = Hours::default();
    for minute in 0..minutes {
        let mut random = Random::of(&[
            6,
            view.fps.to_bits(),
            u64::try_from(minute).expect("few"),
            clutter as u64,
            view.light as u64,
        ]);
        let (setup, _) = view.setup(&mut random);
        let setup = Setup { model, clutter, ..setup };
        let speed = [30.0, 50.0, 80.0, 100.0][minute % 4] / 3.6;
        let driver = |_: f64, _: &Plant| steady(speed);
        let driven = Cell::new(0.0);
        let over = |time: f64, car: &Plant| {
            driven.set(time);
            time > 60.0 || car.stands()
        };
        let outcome =
            run(measured, &setup, &Story { things: Vec::new(), speed, driver: &driver, over: &over }, random);
        total.hours += driven.get() / 3600.0;
        total.brakes += outcome.brakes.len();
        total.warned += usize::from(outcome.warned.is_some());
    }
    total
}

/// Hours per detector and kind of clutter, as rows without a criterion but for the fitted rate of the tables' detector.
pub fn hours_table(measured: &Measured, fps: f64, minutes: usize) -> String {
    let mut text = String::from(
        "### Hours of pure clutter\n\n| detector | clutter | light | fps | hours | false brakes | per hour | ≤ at 95 % | minutes with a warning | per hour | ≤ at 95 % |\n|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for model in measured.detectors() {
        let model: &'static str = NAMES.iter().find(|name| **name == model).expect("a known detector");
        for (clutter, name) in [
            (ClutterRate::Fitted, "as counted"),
            (ClutterRate::Upper, "upper bound of the count"),
            (ClutterRate::Growing, "upper bound, growing as fixed things"),
        ] {
            for light in [Light::Day, Light::Night] {
                let view = View { fps, light, ..PLAIN };
                let Hours { hours: time, brakes, warned } = hours(measured, view, model, clutter, minutes);
                let found = Hours { hours: time, brakes, warned };
                let ((brake, brake_upper), (warning, warning_upper)) =
                    (found.brake_rate(), found.warning_rate());
                text += &format!(
                    "| {model} | {name} | {} | {fps:.0} | {time:.2} | {brakes} | {brake:.2} | {brake_upper:.2} | {warned} | {warning:.2} | {warning_upper:.2} |\n",
                    light.name()
                );
            }
        }
    }
    text + "\n"
}

const NAMES: [&str; 3] = ["yolox_nano_416", "nanodet_m_320", "fastestdet_352"];
