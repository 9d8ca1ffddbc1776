//! Persons in the way: the crossings and the walks ahead of Euro NCAP's AEB VRU tests, judged by UN R152's table.
//!
//! The names, speeds of the car and places of impact are those of Euro NCAP AEB/LSS VRU 4.5.1. Walking speeds 5 km/h
//! (adult from the near side, child, along the road) and 8 km/h (from the far side) and the starts 4 m and 6 m beside
//! the car's middle are ours to answer for: the protocol's drawings were not at hand. Traffic keeps right, so the near
//! side is the right.

use super::drive::{CAR, Outcome, Story, run};
use super::measured::Measured;
use super::plant::{Brakes, Plant};
use super::random::Random;
use super::report::{Line, middle_and_most};
use super::scene::{Eye, Motion, Thing, look};
use super::setups::{Reach, View, stopping};
use super::signs::{of_run, steady};

/// One of the tests.
#[derive(Clone, Copy, Debug)]
pub struct Test {
    /// Euro NCAP's name.
    pub name: &'static str,
    /// Speeds of the car, km/h.
    pub speeds: &'static [f64],
    kind: Kind,
    /// Where along the car's width it is hit, in parts from the near side.
    part: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    FarSide,
    NearSide,
    ChildBehindCars,
    Ahead,
}

const FROM_10: [f64; 11] = [10.0, 15.0, 20.0, 25.0, 30.0, 35.0, 40.0, 45.0, 50.0, 55.0, 60.0];
const FROM_20: [f64; 9] = [20.0, 25.0, 30.0, 35.0, 40.0, 45.0, 50.0, 55.0, 60.0];

/// All of the issue.
pub const TESTS: [Test; 6] = [
    Test { name: "CPFA-50", speeds: &FROM_10, kind: Kind::FarSide, part: 0.5 },
    Test { name: "CPNA-25", speeds: &FROM_10, kind: Kind::NearSide, part: 0.25 },
    Test { name: "CPNA-75", speeds: &FROM_10, kind: Kind::NearSide, part: 0.75 },
    Test { name: "CPNCO-50", speeds: &FROM_10, kind: Kind::ChildBehindCars, part: 0.5 },
    Test { name: "CPLA-25", speeds: &FROM_20, kind: Kind::Ahead, part: 0.25 },
    Test { name: "CPLA-50", speeds: &FROM_20, kind: Kind::Ahead, part: 0.5 },
];

/// Largest impact speed in km/h that UN R152 allows a laden or unladen M1 car against a person who crosses at 5 km/h
/// (00 series, amendment 1, 6.6: 20 to 60 km/h). Below 20 km/h it says nothing; 0 is asked for here.
pub fn r152_limit(kmh: f64) -> f64 {
    const TABLE: [(f64, f64); 9] = [
        (20.0, 0.0),
        (25.0, 0.0),
        (30.0, 0.0),
        (35.0, 20.0),
        (40.0, 25.0),
        (45.0, 30.0),
        (50.0, 35.0),
        (55.0, 40.0),
        (60.0, 45.0),
    ];
    TABLE.iter().find(|(speed, _)| *speed >= kmh).map_or(0.0, |(_, limit)| *limit)
}

/// Seconds from the start to where both would meet.
const MEET: f64 = 6.0;
const WALK: f64 = 5.0 / 3.6;
const HURRY: f64 = 8.0 / 3.6;

impl Test {
    /// One run at `kmh` with the chance of `random`.
    pub fn run(&self, measured: &Measured, view: View, kmh: f64, mut random: Random) -> Outcome {
        let (setup, _) = view.setup(&mut random);
        let speed = kmh / 3.6;
        let things = self.things(speed);
        let driver = |_: f64, _: &Plant| steady(speed);
        let end = things[0].place(MEET)[0];
        let over = |time: f64, car: &Plant| {
            let passed = self.kind != Kind::Ahead && car.x > end + CAR[0] + 3.0;
            passed || time > 14.0 || car.stands() && time > MEET + 3.0
        };
        run(measured, &setup, &Story { things, speed, driver: &driver, over: &over }, random)
    }

    /// The person first, then what hides the person.
    fn things(&self, speed: f64) -> Vec<Thing> {
        let meet = speed * MEET;
        // From the right edge of the car to the left.
        let y = CAR[1] * (self.part - 0.5);
        let crossing = |from: f64, pace: f64| {
            let velocity = [0.0, if from < 0.0 { pace } else { -pace }];
            Motion::Walks { from: MEET - (from - y).abs() / pace, until: MEET + 60.0, velocity }
        };
        // The front reaches the near face of the person at `MEET`.
        match self.kind {
            Kind::FarSide => vec![Thing::adult(meet + 0.25, 6.0, crossing(6.0, HURRY))],
            Kind::NearSide => vec![Thing::adult(meet + 0.25, -4.0, crossing(-4.0, WALK))],
            Kind::ChildBehindCars => {
                let lane = -CAR[1] / 2.0 - 1.0 - CAR[1] / 2.0;
                let front = meet - 1.0;
                vec![
                    Thing::child(meet + 0.2, -4.0, crossing(-4.0, WALK)),
                    Thing::car(front - CAR[0] / 2.0, lane, Motion::Fixed),
                    Thing::car(front - CAR[0] * 1.5 - 1.0, lane, Motion::Fixed),
                ]
            }
            Kind::Ahead => {
                let away = Motion::Walks { from: 0.0, until: 60.0, velocity: [WALK, 0.0] };
                vec![Thing::adult((speed - WALK) * MEET + 0.25, y, away)]
            }
        }
    }

    /// Metres at which the person must be recognised so that the limit can be met at all, and what was measured there.
    pub fn reach(&self, measured: &Measured, view: View, kmh: f64) -> Reach {
        let (setup, _) = view.setup(&mut Random::of(&[0]));
        let config = &setup.decide.pedestrian;
        let gone = if self.kind == Kind::Ahead { WALK } else { 0.0 };
        let speed = kmh / 3.6 - gone;
        let allowed = r152_limit(kmh) / 3.6;
        let (deceleration, ramp) = (setup.brakes.most, setup.brakes.ramp);
        let confirm = f64::from(config.confirm.dwell_ms + config.confirm.window_ms / 2) / 1000.0;
        let brake = stopping(speed, deceleration, ramp) - stopping(allowed.min(speed), deceleration, ramp);
        let distance = speed * (setup.latency + confirm + setup.brakes.lag) + brake + setup.eye.behind;
        let curve = &measured.detector(setup.model).curves[setup.person_curve][view.light.name()];
        let metres = if self.kind == Kind::ChildBehindCars { 1.15 } else { 1.8 };
        let beside = match self.kind {
            Kind::FarSide => HURRY * distance / speed + 0.25,
            Kind::NearSide | Kind::ChildBehindCars => WALK * distance / speed + 0.25,
            Kind::Ahead => CAR[1] * (0.5 - self.part) + 0.25,
        };
        let reach = Reach::new(measured, curve, &setup, metres, distance, f64::from(config.confirm.score_on))
            .with_place(&setup.eye, [0.0, metres], beside);
        Reach { appears: self.appears(&setup.eye, kmh / 3.6), ..reach }
    }

    /// Metres from the camera at which the person can first be recognised, if nothing brakes.
    fn appears(&self, eye: &Eye, speed: f64) -> f64 {
        if self.kind != Kind::ChildBehindCars {
            return f64::INFINITY;
        }
        let things = self.things(speed);
        let sees = |step: u32| {
            let time = 0.01 * f64::from(step);
            let mut car = Plant::new(Brakes::default(), speed);
            car.x = speed * time;
            look(eye, &car, &things, time).iter().any(|sight| sight.thing == 0)
        };
        // The last stretch counts: far away the child stands free beside the cars for a moment.
        let hidden = (0..600).rev().find(|step| !sees(*step)).map_or(0.0, |step| 0.01 * f64::from(step));
        (MEET - hidden) * speed + eye.behind
    }

    /// A row of the table.
    pub fn row(&self, measured: &Measured, view: View, kmh: f64, runs: usize) -> Line {
        let reach = self.reach(measured, view, kmh);
        let limit = r152_limit(kmh);
        let (mut good, mut avoided) = (0, 0);
        let (mut impacts, mut warnings) = (Vec::new(), Vec::new());
        for seed in 0..runs {
            let (view, seed) = of_run(view, seed);
            let keys = [4, hash(self.name), view.fps.to_bits(), view.degrees.to_bits(), kmh.to_bits(), seed];
            let outcome = self.run(measured, view, kmh, Random::of(&keys));
            let impact = outcome.impact.unwrap_or(0.0) * 3.6;
            good += usize::from(impact <= limit + 0.5);
            avoided += usize::from(outcome.impact.is_none());
            impacts.push(impact);
            warnings.extend(outcome.warned.map(|warned| MEET - warned));
        }
        let (middle, most) = middle_and_most(impacts).unwrap_or_default();
        let warned = middle_and_most(warnings)
            .map_or("no warning".into(), |(middle, _)| format!("warns {middle:.1} s before"));
        let seen = format!(
            "{reach}; avoided {avoided}; impact {middle:.0} / {most:.0} km/h, allowed {limit:.0}; {warned}"
        );
        let short = format!("{good}/{runs}, {middle:.0} / {most:.0}");
        Line::judged(
            format!("{}, {kmh:.0} km/h", self.name),
            view,
            (good, runs),
            (seen, short),
            reach.reachable(),
        )
    }
}

fn hash(name: &str) -> u64 {
    name.bytes().fold(0, |sum, byte| sum * 31 + u64::from(byte))
}
