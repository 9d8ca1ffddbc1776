//! The world before the camera: things with a size and a path, projected into boxes.
//!
//! World axes: x along the road at the start, y to the left, z up, metres. A thing is an upright box around its middle.

use super::plant::Plant;

/// What a detector can call a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A stop sign, or what looks like one.
    StopSign,
    /// A person, upright.
    Person,
    /// A person on the ground.
    Lying,
    /// Something fixed that the detector takes for a stop sign as surely as it takes its clutter.
    FalseSign,
    /// Something fixed that it takes for a person as surely as its clutter.
    FalsePerson,
    /// Nothing the functions look for: it only hides what is behind it.
    Other,
}

/// Where a thing is at a time.
#[derive(Clone, Debug)]
pub enum Motion {
    /// It stays.
    Fixed,
    /// From `from` seconds to `until`, with this velocity in m/s (x, y); before and after it stands.
    Walks {
        /// Begin, seconds.
        from: f64,
        /// End, seconds.
        until: f64,
        /// Velocity.
        velocity: [f64; 2],
    },
    /// Moves with the ego vehicle's start speed, then brakes from a time on: a lead car. m/s, s, m/s².
    Drives {
        /// Speed.
        speed: f64,
        /// Second at which it begins to brake.
        brakes_at: f64,
        /// Deceleration.
        deceleration: f64,
    },
}

/// One thing.
#[derive(Clone, Debug)]
pub struct Thing {
    /// What it is seen as.
    pub class: Class,
    /// Middle of its foot at the time 0, metres.
    pub at: [f64; 2],
    /// Lower and upper edge above the road.
    pub z: [f64; 2],
    /// Extent along x and along y.
    pub size: [f64; 2],
    /// How it moves.
    pub motion: Motion,
    /// Whether hitting it counts.
    pub solid: bool,
    /// Widening of the box by swinging legs, as a part of its width, at two steps a second.
    pub swing: f64,
}

impl Thing {
    /// A sign of `height` metres on a pole: 2.2 m clear below, facing the road.
    pub fn sign(x: f64, y: f64, height: f64) -> Self {
        Self {
            class: Class::StopSign,
            at: [x, y],
            z: [2.2, 2.2 + height],
            size: [0.05, height],
            motion: Motion::Fixed,
            solid: false,
            swing: 0.0,
        }
    }

    /// An adult of 1.8 m (the adult target of UN R152 and Euro NCAP, to the nearest 0.1 m).
    pub fn adult(x: f64, y: f64, motion: Motion) -> Self {
        Self {
            class: Class::Person,
            at: [x, y],
            z: [0.0, 1.8],
            size: [0.5, 0.5],
            motion,
            solid: true,
            swing: 0.25,
        }
    }

    /// A child of 1.15 m (the seven-year-old's target).
    pub fn child(x: f64, y: f64, motion: Motion) -> Self {
        Self { z: [0.0, 1.15], size: [0.35, 0.35], ..Self::adult(x, y, motion) }
    }

    /// A car 4.4 m long, 1.8 m wide and 1.5 m high with its middle here. It only hides.
    pub fn car(x: f64, y: f64, motion: Motion) -> Self {
        Self {
            class: Class::Other,
            at: [x, y],
            z: [0.0, 1.5],
            size: [4.4, 1.8],
            motion,
            solid: false,
            swing: 0.0,
        }
    }

    /// Middle of its foot at `time`.
    pub fn place(&self, time: f64) -> [f64; 2] {
        match self.motion {
            Motion::Fixed => self.at,
            Motion::Walks { from, until, velocity } => {
                let walked = (time.min(until) - from).max(0.0);
                [self.at[0] + velocity[0] * walked, self.at[1] + velocity[1] * walked]
            }
            Motion::Drives { speed, brakes_at, deceleration } => {
                let braked = (time - brakes_at).clamp(0.0, speed / deceleration.max(1e-9));
                let along =
                    speed * time.min(brakes_at) + speed * braked - deceleration * braked * braked / 2.0;
                [self.at[0] + along, self.at[1]]
            }
        }
    }
}

/// Where the camera is and how it looks: the truth, which a calibration misses by its error.
#[derive(Clone, Copy, Debug)]
pub struct Eye {
    /// Picture, pixels.
    pub size: [f64; 2],
    /// Focal length, pixels; square pixels, principal point in the middle.
    pub focal: f64,
    /// Above the road, metres.
    pub height: f64,
    /// Downwards, radians, the car level.
    pub pitch: f64,
    /// Behind the front of the car, metres.
    pub behind: f64,
}

impl Eye {
    /// A 1280 × 720 camera with a horizontal field of view in degrees, 1.3 m high, 1.7 m behind the front.
    pub fn wide(degrees: f64) -> Self {
        let focal = 640.0 / libm::tan(degrees.to_radians() / 2.0);
        Self { size: [1280.0, 720.0], focal, height: 1.3, pitch: 0.0, behind: 1.7 }
    }
}

/// A thing in the picture.
#[derive(Clone, Copy, Debug)]
pub struct Sight {
    /// Its number in the scene.
    pub thing: usize,
    /// What it is seen as.
    pub class: Class,
    /// The visible part: x1, y1, x2, y2 in pixels.
    pub bbox: [f64; 4],
    /// Visible share of its whole box, which may reach beyond the picture.
    pub visible: f64,
    /// Metres from the camera along its axis.
    pub depth: f64,
}

/// Closer than this to the camera's plane nothing is projected, metres.
const NEAR: f64 = 0.5;
/// Less of a thing than this cannot be recognised.
const LEAST_VISIBLE: f64 = 0.3;
/// Cells per side of the grid that finds what is hidden.
const CELLS: usize = 12;

/// All things that can be recognised at `time`, as the camera on `car` sees them.
pub fn look(eye: &Eye, car: &Plant, things: &[Thing], time: f64) -> Vec<Sight> {
    let whole: Vec<Option<(f64, [f64; 4])>> =
        things.iter().map(|thing| project(eye, car, thing, time)).collect();
    let mut seen = Vec::new();
    for (number, thing) in things.iter().enumerate().filter(|(_, thing)| thing.class != Class::Other) {
        let Some((depth, bbox)) = whole[number] else { continue };
        let nearer: Vec<[f64; 4]> = whole
            .iter()
            .enumerate()
            .filter(|(other, found)| *other != number && found.is_some_and(|(far, _)| far < depth))
            .filter_map(|(_, found)| found.map(|(_, bbox)| bbox))
            .collect();
        if let Some((visible, bbox)) = uncovered(bbox, &nearer, eye.size)
            && visible >= LEAST_VISIBLE
        {
            seen.push(Sight { thing: number, class: thing.class, bbox, visible, depth });
        }
    }
    seen
}

/// Depth of the middle and the rectangle around all corners, picture edges ignored.
fn project(eye: &Eye, car: &Plant, thing: &Thing, time: f64) -> Option<(f64, [f64; 4])> {
    let place = thing.place(time);
    let (sine, cosine) = (libm::sin(car.heading), libm::cos(car.heading));
    let camera = [car.x - eye.behind * cosine, car.y - eye.behind * sine];
    let pitch = eye.pitch + car.pitch;
    let wider = 1.0 + thing.swing * libm::sin(core::f64::consts::TAU * 2.0 * time);
    let mut bbox = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];
    for corner in 0..8 {
        let side = |bit: usize| if corner & (1 << bit) == 0 { -0.5 } else { 0.5 };
        let dx = place[0] + side(0) * thing.size[0] * wider - camera[0];
        let dy = place[1] + side(1) * thing.size[1] * wider - camera[1];
        let (forwards, left) = (dx * cosine + dy * sine, dy * cosine - dx * sine);
        let up = if corner & 4 == 0 { thing.z[0] } else { thing.z[1] } - eye.height;
        // The camera looks down by `pitch`: what lies ahead rises in the picture.
        let depth = forwards * libm::cos(pitch) - up * libm::sin(pitch);
        let rise = up * libm::cos(pitch) + forwards * libm::sin(pitch);
        if depth < NEAR {
            return None;
        }
        let (u, v) =
            (eye.size[0] / 2.0 - eye.focal * left / depth, eye.size[1] / 2.0 - eye.focal * rise / depth);
        bbox = [bbox[0].min(u), bbox[1].min(v), bbox[2].max(u), bbox[3].max(v)];
    }
    let forwards = (place[0] - camera[0]) * cosine + (place[1] - camera[1]) * sine;
    Some((forwards, bbox))
}

/// The share of `bbox` that lies in the picture and behind nothing, and the rectangle around that part.
fn uncovered(bbox: [f64; 4], nearer: &[[f64; 4]], size: [f64; 2]) -> Option<(f64, [f64; 4])> {
    let cut = [bbox[0].max(0.0), bbox[1].max(0.0), bbox[2].min(size[0]), bbox[3].min(size[1])];
    if cut[0] >= cut[2] || cut[1] >= cut[3] {
        return None;
    }
    let inside = (cut[2] - cut[0]) * (cut[3] - cut[1]) / ((bbox[2] - bbox[0]) * (bbox[3] - bbox[1]));
    let covers = |n: &[f64; 4]| n[0] < cut[2] && n[2] > cut[0] && n[1] < cut[3] && n[3] > cut[1];
    if !nearer.iter().any(covers) {
        return Some((inside, cut));
    }
    let edge = |from: f64, to: f64, step: usize| from + (to - from) * index(step) / index(CELLS);
    let mut free = 0;
    let mut part = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];
    for (row, column) in (0..CELLS).flat_map(|row| (0..CELLS).map(move |column| (row, column))) {
        let cell = [
            edge(cut[0], cut[2], column),
            edge(cut[1], cut[3], row),
            edge(cut[0], cut[2], column + 1),
            edge(cut[1], cut[3], row + 1),
        ];
        let (x, y) = ((cell[0] + cell[2]) / 2.0, (cell[1] + cell[3]) / 2.0);
        if nearer.iter().any(|n| n[0] <= x && x <= n[2] && n[1] <= y && y <= n[3]) {
            continue;
        }
        free += 1;
        part = [part[0].min(cell[0]), part[1].min(cell[1]), part[2].max(cell[2]), part[3].max(cell[3])];
    }
    (free > 0).then(|| (inside * index(free) / index(CELLS * CELLS), part))
}

#[allow(clippy::cast_precision_loss, reason = "a grid's cells")]
fn index(value: usize) -> f64 {
    value as f64
}
