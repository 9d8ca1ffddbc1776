//! People before a camera on the wall: a small kinematic model of bodies, and what became of its falls.
//!
//! A body is an upright box whose height and extents change from posture to posture; it stands on the floor and is seen
//! from 2.6 m. What the detector makes of it is measured as for the road: upright people by their own curve, lying ones
//! by theirs.

use stopline_decide::decider::{CameraConfig, DecideConfig, Decider, FrameInput, Function};
use stopline_decide::ego::Ego;
use stopline_decide::fall::Region;

use super::drive::nanos;
use super::measured::{Light, Measured};
use super::plant::{Brakes, Plant};
use super::random::Random;
use super::scene::{Class, Eye, Motion, Thing, look};
use super::sensor::{ClutterRate, Sensor};

/// How a body is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pose {
    /// Upright.
    Stands,
    /// On a chair or a bed's edge.
    Sits,
    /// On the knees.
    Kneels,
    /// Bent to the floor, on the feet.
    Bends,
    /// Crouching.
    Squats,
    /// On the floor, along the picture.
    LiesAcross,
    /// On the floor, towards the camera.
    LiesAlong,
    /// On a bed 0.5 m high, along the picture.
    InBed,
    /// Sits on the floor.
    SitsOnFloor,
    /// On hands and knees.
    Crawls,
}

impl Pose {
    /// Lower edge, upper edge, extent away from the camera, extent across, in metres.
    fn body(self) -> [f64; 4] {
        match self {
            Self::Stands => [0.0, 1.7, 0.4, 0.5],
            Self::Sits => [0.0, 1.3, 0.7, 0.5],
            Self::Kneels => [0.0, 1.25, 0.6, 0.5],
            Self::Bends => [0.0, 1.0, 0.8, 0.5],
            Self::Squats => [0.0, 1.0, 0.6, 0.6],
            Self::LiesAcross => [0.0, 0.3, 0.5, 1.7],
            Self::LiesAlong => [0.0, 0.3, 1.7, 0.5],
            Self::InBed => [0.5, 0.8, 0.5, 1.7],
            Self::SitsOnFloor => [0.0, 0.9, 0.9, 0.5],
            Self::Crawls => [0.0, 0.65, 0.6, 1.1],
        }
    }

    fn lies(self) -> bool {
        matches!(self, Self::LiesAcross | Self::LiesAlong | Self::InBed)
    }
}

/// From a second on: how, and where (metres before the camera, to the left). Between two entries it changes evenly.
pub type Key = (f64, Pose, [f64; 2]);

/// One sequence.
pub struct Sequence {
    /// Its story.
    pub name: &'static str,
    /// Bodies.
    pub people: Vec<Vec<Key>>,
    /// Furniture and walls in front: x, y, lower and upper edge, extents.
    pub before: Vec<[f64; 6]>,
    /// Pictures per second.
    pub fps: f64,
    /// Length, seconds.
    pub seconds: f64,
    /// When each true fall reaches the floor.
    pub falls: Vec<f64>,
    /// When somebody gets up again: alerts must be over by some seconds later.
    pub up_again: Option<f64>,
    /// The detector sees nothing of people between these seconds, once they lie: what detectors do to lying people.
    pub blind: Option<(f64, f64)>,
    /// Nobody can be judged at this frame rate: nothing may be decided, and monitoring must count as lost.
    pub too_slow: bool,
}

/// What became of one run.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Seconds at which the number of people down rose.
    pub alerts: Vec<f64>,
    /// People down at the end.
    pub down_at_end: u8,
    /// Most people down at once.
    pub most_down: u8,
    /// The frame rate was told to be too low.
    pub too_slow: bool,
}

/// An alert later than this after the body reached the floor is none: the slow dwell and some luck, seconds.
pub const LATEST: f64 = 14.0;

/// Seven metres of room before a 70° camera, 2.6 m high, 18° down.
fn eye() -> Eye {
    let focal = 640.0 / libm::tan(35.0_f64.to_radians());
    Eye { size: [1280.0, 720.0], focal, height: 2.6, pitch: 18.0_f64.to_radians(), behind: 0.0 }
}

/// Where the bed is: 4.5 to 5.5 m away, 0.2 to 2.4 m to the left, as a region of the picture.
fn bed() -> Region {
    let eye = eye();
    let corner = |x: f64, y: f64| {
        let (sine, cosine) = (libm::sin(eye.pitch), libm::cos(eye.pitch));
        let up = 0.6 - eye.height;
        let depth = x * cosine - up * sine;
        let rise = up * cosine + x * sine;
        #[allow(clippy::cast_possible_truncation, reason = "shares of the picture")]
        let share = |pixel: f64, size: f64| (pixel / size).clamp(0.0, 1.0) as f32;
        [share(640.0 - eye.focal * y / depth, 1280.0), share(360.0 - eye.focal * rise / depth, 720.0)]
    };
    let mut region = Region::default();
    for at in [corner(4.4, 2.6), corner(4.4, 0.0), corner(5.8, 0.0), corner(5.8, 2.6)] {
        region.0.push(at).expect("four corners fit");
    }
    region
}

/// Runs a sequence through detector and decision. `lying` is the measured curve that people on the ground follow:
/// "person_lying", or "person" where a detector is assumed that sees them as it sees upright ones.
pub fn run(measured: &Measured, sequence: &Sequence, lying: &'static str, mut random: Random) -> Found {
    let eye = eye();
    let mut sensor =
        Sensor::new(measured, super::setups::MODEL, Light::Day, ClutterRate::None, eye.size, random.split())
            .with_lying_curve(lying);
    let mut config = DecideConfig::default();
    config.beds[0].push(bed()).expect("one bed fits");
    let camera = CameraConfig { functions: [Function::Fall].into_iter().collect(), calibration: None };
    let _ = config.cameras.push(camera);
    let mut decider = Decider::new(config).expect("the settings lie within their bounds");
    let wall = Plant::new(Brakes::default(), 0.0);
    let mut found = Found::default();
    let mut down = 0;
    let mut time = random.between(0.0, 1.0 / sequence.fps);
    let mut frame = 0;
    while time < sequence.seconds {
        let things = things_at(sequence, time);
        let sights = look(&eye, &wall, &things, time);
        let blind = sequence.blind.is_some_and(|(from, until)| (from..until).contains(&time));
        let mut seen = sensor.see(time, 0.0, &sights);
        if blind {
            seen.clear();
        }
        let input = FrameInput {
            camera: 0,
            frame,
            captured: nanos(time),
            size: [1280, 720],
            observations: &seen,
            ego: Ego::default(),
        };
        let decision = decider.step(&input);
        let now = decision.request.persons_down;
        for _ in down..now {
            found.alerts.push(time);
        }
        down = now;
        found.most_down = found.most_down.max(now);
        found.down_at_end = now;
        found.too_slow |= decider.is_frame_rate_low(0);
        frame += 1;
        time += 1.0 / sequence.fps;
    }
    found
}

fn things_at(sequence: &Sequence, time: f64) -> Vec<Thing> {
    let mut things: Vec<Thing> = sequence.people.iter().filter_map(|keys| body_at(keys, time)).collect();
    for [x, y, low, high, deep, wide] in &sequence.before {
        things.push(Thing { z: [*low, *high], size: [*deep, *wide], ..Thing::car(*x, *y, Motion::Fixed) });
    }
    things
}

/// A body is there from its first key to its last.
fn body_at(keys: &[Key], time: f64) -> Option<Thing> {
    let next = keys.iter().position(|(at, ..)| *at > time)?;
    let before = next.checked_sub(1)?;
    let ((from, old, here), (until, new, there)) = (keys[before], keys[next]);
    let part = (time - from) / (until - from);
    let mix = |a: f64, b: f64| a + part * (b - a);
    let (a, b) = (old.body(), new.body());
    let body = [0, 1, 2, 3].map(|i| mix(a[i], b[i]));
    let lies = if part < 0.7 { old.lies() } else { new.lies() };
    Some(Thing {
        class: if lies { Class::Lying } else { Class::Person },
        z: [body[0], body[1]],
        size: [body[2], body[3]],
        swing: if here == there { 0.0 } else { 0.15 },
        ..Thing::adult(mix(here[0], there[0]), mix(here[1], there[1]), Motion::Fixed)
    })
}

/// What a sequence's runs came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// True falls.
    pub falls: usize,
    /// Of them, alerted not before the body was down and not later than [`LATEST`] after.
    pub found: usize,
    /// Alerts that belong to no fall.
    pub false_alerts: usize,
    /// Runs that were right in everything.
    pub right: usize,
    /// Runs.
    pub runs: usize,
    /// Sum of seconds from the floor to the alert, of those found.
    pub seconds: f64,
    /// The longest of them.
    pub longest: f64,
}

impl Tally {
    /// Both together.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self {
            falls: self.falls + other.falls,
            found: self.found + other.found,
            false_alerts: self.false_alerts + other.false_alerts,
            right: self.right + other.right,
            runs: self.runs + other.runs,
            seconds: self.seconds + other.seconds,
            longest: self.longest.max(other.longest),
        }
    }

    fn of(sequence: &Sequence, found: &Found) -> Self {
        let mut alerts = found.alerts.clone();
        let mut tally = Self { falls: sequence.falls.len(), runs: 1, ..Self::default() };
        for fall in &sequence.falls {
            let fits = |at: &f64| (*fall - 0.5..=*fall + LATEST).contains(at);
            if let Some(which) = alerts.iter().position(fits) {
                let late = (alerts.remove(which) - fall).max(0.0);
                tally.found += 1;
                tally.seconds += late;
                tally.longest = tally.longest.max(late);
            }
        }
        tally.false_alerts = alerts.len();
        let over = sequence.up_again.is_none() || found.down_at_end == 0;
        let told = !sequence.too_slow || found.too_slow;
        // Where nothing can be judged, what is decided is not judged either: monitoring is told to be lost.
        let decided = tally.found == tally.falls && tally.false_alerts == 0 || sequence.too_slow;
        tally.right = usize::from(decided && over && told);
        if sequence.too_slow {
            (tally.falls, tally.found, tally.false_alerts) = (0, 0, 0);
        }
        tally
    }
}

/// `runs` runs of a sequence.
pub fn tally(
    measured: &Measured,
    sequence: &Sequence,
    number: usize,
    lying: &'static str,
    runs: usize,
) -> Tally {
    let key = |value: usize| u64::try_from(value).expect("few");
    (0..runs)
        .map(|seed| {
            Tally::of(sequence, &run(measured, sequence, lying, Random::of(&[9, key(number), key(seed)])))
        })
        .fold(Tally::default(), Tally::with)
}

/// All sequences as a table, and the sums.
pub fn table(measured: &Measured, lying: &'static str, runs: usize) -> (String, Tally, Vec<&'static str>) {
    let mut text = String::from(
        "| sequence | right | falls found | false alerts | seconds to alert, mean / longest |\n|---|---|---|---|---|\n",
    );
    let (mut all, mut wrong) = (Tally::default(), Vec::new());
    for (number, sequence) in sequences().iter().enumerate() {
        let of = tally(measured, sequence, number, lying, runs);
        let Tally { falls, found, false_alerts, right, runs, longest, .. } = of;
        text += &format!(
            "| {} | {right} of {runs} | {found} of {falls} | {false_alerts} | {:.1} / {longest:.1} |\n",
            sequence.name,
            of.mean_seconds()
        );
        if right < runs {
            wrong.push(sequence.name);
        }
        all = all.with(of);
    }
    let Tally { falls, found, false_alerts, .. } = all;
    text += &format!(
        "\nRecall {found} of {falls}, precision {found} of {}, {:.1} s to the alert on average, {:.1} s at most.\n\n",
        found + false_alerts,
        all.mean_seconds(),
        all.longest
    );
    (text, all, wrong)
}

impl Tally {
    #[allow(clippy::cast_precision_loss, reason = "few")]
    fn mean_seconds(&self) -> f64 {
        if self.found == 0 { 0.0 } else { self.seconds / self.found as f64 }
    }
}

const A: [f64; 2] = [4.0, 0.8];
const B: [f64; 2] = [4.5, -1.0];
const FAR: [f64; 2] = [7.0, -0.5];

/// Walks in from the right to `to` by second 3, then stands.
fn enters(to: [f64; 2]) -> Vec<Key> {
    vec![(0.0, Pose::Stands, [to[0] + 0.5, to[1] - 2.0]), (3.0, Pose::Stands, to)]
}

fn then(mut keys: Vec<Key>, more: &[Key]) -> Vec<Key> {
    keys.extend_from_slice(more);
    keys
}

fn sequence(name: &'static str, keys: Vec<Key>, falls: &[f64]) -> Sequence {
    let seconds = keys.last().map_or(0.0, |key| key.0);
    Sequence {
        name,
        people: vec![keys],
        before: Vec::new(),
        fps: 10.0,
        seconds,
        falls: falls.to_vec(),
        up_again: None,
        blind: None,
        too_slow: false,
    }
}

/// Falls to the floor between the two seconds and stays until the end.
fn fall(at: [f64; 2], from: f64, until: f64, pose: Pose, end: f64) -> Vec<Key> {
    then(enters(at), &[(from, Pose::Stands, at), (until, pose, at), (end, pose, at)])
}

/// All sequences: falls and what looks like one.
pub fn sequences() -> Vec<Sequence> {
    let mut all = falls();
    all.extend(hard_falls());
    all.extend(not_falls());
    all.extend(hard_not_falls());
    all
}

fn falls() -> Vec<Sequence> {
    use Pose::{Crawls, Kneels, LiesAcross, LiesAlong, Sits, SitsOnFloor, Stands};
    vec![
        sequence("falls sideways", fall(A, 5.0, 5.7, LiesAcross, 22.0), &[5.7]),
        sequence("falls towards the camera", fall(A, 5.0, 5.7, LiesAlong, 22.0), &[5.7]),
        sequence("falls fast", fall(B, 5.0, 5.4, LiesAcross, 22.0), &[5.4]),
        sequence("falls far away", fall(FAR, 5.0, 5.7, LiesAcross, 22.0), &[5.7]),
        Sequence { fps: 30.0, ..sequence("falls, 30 fps", fall(A, 5.0, 5.7, LiesAcross, 22.0), &[5.7]) },
        Sequence { fps: 6.0, ..sequence("falls, 6 fps", fall(A, 5.0, 5.7, LiesAcross, 22.0), &[5.7]) },
        sequence(
            "falls from a chair",
            then(
                enters(B),
                &[
                    (4.0, Stands, B),
                    (5.0, Sits, B),
                    (9.0, Sits, B),
                    (9.6, LiesAcross, B),
                    (26.0, LiesAcross, B),
                ],
            ),
            &[9.6],
        ),
        sequence(
            "falls while walking",
            vec![
                (0.0, Stands, [5.0, -2.5]),
                (4.0, Stands, [4.5, 0.0]),
                (4.7, LiesAcross, [4.4, 0.5]),
                (21.0, LiesAcross, [4.4, 0.5]),
            ],
            &[4.7],
        ),
        Sequence {
            up_again: Some(14.0),
            ..sequence(
                "falls and gets up after 8 s",
                then(
                    enters(A),
                    &[
                        (5.0, Stands, A),
                        (5.7, LiesAcross, A),
                        (13.0, LiesAcross, A),
                        (14.5, Stands, A),
                        (22.0, Stands, A),
                    ],
                ),
                &[5.7],
            )
        },
        sequence(
            "collapses to the knees, then to the floor",
            then(
                enters(A),
                &[
                    (5.0, Stands, A),
                    (5.4, Kneels, A),
                    (6.2, Kneels, A),
                    (6.8, LiesAcross, A),
                    (24.0, LiesAcross, A),
                ],
            ),
            &[6.8],
        ),
        sequence(
            "slides down a wall slowly and stays on the floor",
            then(
                enters(B),
                &[(5.0, Stands, B), (8.0, SitsOnFloor, B), (11.0, LiesAcross, B), (32.0, LiesAcross, B)],
            ),
            &[11.0],
        ),
        sequence(
            "falls and crawls half a metre",
            then(
                enters(A),
                &[
                    (5.0, Stands, A),
                    (5.7, LiesAcross, A),
                    (10.0, LiesAcross, A),
                    (12.0, Crawls, [4.2, 0.3]),
                    (13.0, LiesAcross, [4.2, 0.2]),
                    (30.0, LiesAcross, [4.2, 0.2]),
                ],
            ),
            &[5.7],
        ),
    ]
}

fn hard_falls() -> Vec<Sequence> {
    use Pose::{LiesAcross, Stands};
    let simple = |name| sequence(name, fall(A, 5.0, 5.7, LiesAcross, 26.0), &[5.7]);
    let walks_by = vec![(8.0, Stands, [3.2, -2.5]), (13.0, Stands, [3.2, 2.5]), (14.0, Stands, [3.2, 3.0])];
    vec![
        Sequence {
            blind: Some((6.2, 26.0)),
            ..simple("falls, and the detector loses the lying person for good")
        },
        Sequence { blind: Some((6.0, 11.0)), ..simple("falls, lost for 5 s, found again") },
        Sequence { before: vec![[3.2, 0.6, 0.0, 0.5, 0.4, 0.8]], ..simple("falls behind a low table") },
        Sequence {
            people: vec![fall(A, 5.0, 5.7, LiesAcross, 26.0), walks_by],
            ..simple("falls, and another walks past in front")
        },
        Sequence {
            people: vec![fall(A, 5.0, 5.7, LiesAcross, 26.0), fall(B, 8.0, 8.6, LiesAcross, 26.0)],
            falls: vec![5.7, 8.6],
            ..simple("two fall, three seconds apart")
        },
        Sequence {
            people: vec![fall(A, 5.0, 5.7, LiesAcross, 26.0), then(enters(B), &[(26.0, Stands, B)])],
            ..simple("one falls, one stands by")
        },
        Sequence {
            people: vec![
                fall([4.0, 0.8], 5.0, 5.7, LiesAcross, 26.0),
                vec![
                    (7.0, Stands, [4.0, -2.5]),
                    (9.0, Stands, [4.0, -0.6]),
                    (10.0, Pose::Kneels, [4.0, -0.6]),
                    (26.0, Pose::Kneels, [4.0, -0.6]),
                ],
            ],
            ..simple("falls, a helper kneels beside")
        },
    ]
}

fn not_falls() -> Vec<Sequence> {
    use Pose::{Bends, Crawls, InBed, Kneels, LiesAcross, Sits, SitsOnFloor, Squats, Stands};
    const BED: [f64; 2] = [5.0, 1.3];
    let beside = [4.0, 1.3];
    vec![
        sequence(
            "sits down on a chair",
            then(enters(B), &[(5.0, Stands, B), (6.0, Sits, B), (25.0, Sits, B)]),
            &[],
        ),
        sequence(
            "drops onto a chair",
            then(enters(B), &[(5.0, Stands, B), (5.4, Sits, B), (25.0, Sits, B)]),
            &[],
        ),
        sequence(
            "bends to pick something up",
            then(
                enters(A),
                &[(5.0, Stands, A), (5.8, Bends, A), (7.5, Bends, A), (8.3, Stands, A), (20.0, Stands, A)],
            ),
            &[],
        ),
        sequence(
            "bends five times",
            then(
                enters(A),
                &(0..5)
                    .flat_map(|i| {
                        let at = 5.0 + 3.0 * f64::from(i);
                        [(at, Stands, A), (at + 0.7, Bends, A), (at + 1.7, Bends, A), (at + 2.4, Stands, A)]
                    })
                    .chain([(24.0, Stands, A)])
                    .collect::<Vec<_>>(),
            ),
            &[],
        ),
        sequence(
            "kneels for ten seconds",
            then(
                enters(A),
                &[
                    (5.0, Stands, A),
                    (6.2, Kneels, A),
                    (16.0, Kneels, A),
                    (17.5, Stands, A),
                    (24.0, Stands, A),
                ],
            ),
            &[],
        ),
        sequence(
            "squats for eight seconds",
            then(
                enters(A),
                &[
                    (5.0, Stands, A),
                    (5.8, Squats, A),
                    (13.8, Squats, A),
                    (14.8, Stands, A),
                    (22.0, Stands, A),
                ],
            ),
            &[],
        ),
        sequence(
            "lies down slowly in bed",
            then(
                enters(beside),
                &[(5.0, Stands, BED), (6.5, Sits, BED), (10.0, InBed, BED), (40.0, InBed, BED)],
            ),
            &[],
        ),
        sequence(
            "drops into bed",
            then(enters(beside), &[(5.0, Stands, BED), (5.8, InBed, BED), (40.0, InBed, BED)]),
            &[],
        ),
        sequence(
            "gets up from bed and leaves",
            vec![
                (0.0, InBed, BED),
                (12.0, InBed, BED),
                (14.0, Sits, BED),
                (16.0, Stands, [4.2, 1.3]),
                (20.0, Stands, [4.2, -2.8]),
            ],
            &[],
        ),
        sequence(
            "sits on the floor to play, gets up",
            then(
                enters(A),
                &[
                    (5.0, Stands, A),
                    (7.0, SitsOnFloor, A),
                    (20.0, SitsOnFloor, A),
                    (22.0, Stands, A),
                    (26.0, Stands, A),
                ],
            ),
            &[],
        ),
        sequence(
            "does a press-up exercise and is up within 5 s",
            then(
                enters(A),
                &[
                    (5.0, Stands, A),
                    (7.0, LiesAcross, A),
                    (11.0, LiesAcross, A),
                    (13.0, Stands, A),
                    (22.0, Stands, A),
                ],
            ),
            &[],
        ),
        sequence(
            "crawls after a ball for four seconds",
            then(
                enters(A),
                &[
                    (5.0, Stands, A),
                    (6.5, Crawls, A),
                    (10.5, Crawls, [4.3, 0.0]),
                    (12.0, Stands, [4.3, 0.0]),
                    (20.0, Stands, [4.3, 0.0]),
                ],
            ),
            &[],
        ),
    ]
}

fn hard_not_falls() -> Vec<Sequence> {
    use Pose::{LiesAcross, Sits, Stands};
    let passes =
        |y: f64, x: f64| vec![(0.0, Stands, [x, -y]), (6.0, Stands, [x, y]), (7.0, Stands, [x, y * 1.2])];
    let stands = || then(enters(B), &[(20.0, Stands, B)]);
    vec![
        Sequence {
            people: vec![passes(2.5, 4.0), passes(-2.5, 5.0)],
            ..sequence("two people cross paths", passes(2.5, 4.0), &[])
        },
        Sequence {
            before: vec![[3.5, -1.0, 0.0, 1.0, 0.3, 1.5]],
            ..sequence("legs hidden by a counter", stands(), &[])
        },
        Sequence {
            before: vec![[3.5, 0.0, 0.0, 2.2, 0.3, 1.2]],
            ..sequence(
                "walks behind a pillar and out again",
                vec![(0.0, Stands, [5.0, -2.5]), (8.0, Stands, [5.0, 2.5]), (16.0, Stands, [5.0, 2.0])],
                &[],
            )
        },
        sequence(
            "walks out of the picture at its lower edge",
            vec![(0.0, Stands, [6.0, 0.0]), (6.0, Stands, [0.8, 0.0]), (7.0, Stands, [0.6, 0.0])],
            &[],
        ),
        Sequence {
            blind: Some((8.0, 14.0)),
            ..sequence("the detector loses a standing person", stands(), &[])
        },
        Sequence {
            fps: 1.0,
            too_slow: true,
            ..sequence(
                "a fall at one picture a second: not decided",
                fall(A, 5.0, 5.7, LiesAcross, 26.0),
                &[],
            )
        },
        Sequence {
            fps: 30.0,
            ..sequence(
                "sits down quickly, 30 fps",
                then(enters(B), &[(5.0, Stands, B), (5.5, Sits, B), (20.0, Sits, B)]),
                &[],
            )
        },
    ]
}
