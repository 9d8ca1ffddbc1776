//! What the detector says of a picture: misses, scores and box errors as measured, and clutter as measured.

use stopline_decide::observe::{Observation, Role};

use super::measured::{Detector, Height, Light, Measured, Spread, box_error};
use super::random::{Random, normal_below};
use super::scene::{Class, Sight};

/// How much of the measured clutter there is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ClutterRate {
    /// None.
    None,
    /// As fitted: the rate that was counted.
    Fitted,
    /// The upper 95 % bound of the rate: what the clips cannot exclude.
    Upper,
    /// The upper bound, and every false box grows as a fixed thing does that is approached.
    Growing,
}

/// One simulated detector behind one lens.
pub struct Sensor<'a> {
    measured: &'a Measured,
    detector: &'a Detector,
    light: Light,
    rate: ClutterRate,
    /// Rows of the model's input per row of this camera's picture.
    scale: f64,
    person_curve: &'static str,
    lying_curve: &'static str,
    size: [f64; 2],
    luck: Vec<Luck>,
    clutter: [Births; 2],
    alive: Vec<Tracklet>,
    random: Random,
    last: f64,
}

/// Luck of one thing: a share for good, a share that decays, a share of the frame. All standard normal.
#[derive(Clone, Debug)]
struct Luck {
    for_good: [f64; CHANNELS],
    lasting: [f64; CHANNELS],
}

/// Score, height, width, middle, lower edge.
const CHANNELS: usize = 5;

struct Births {
    role: Role,
    label: &'static str,
    next: f64,
}

struct Tracklet {
    role: Role,
    until: f64,
    luck: Luck,
    /// Middle x, lower edge y, height, width in pixels at its birth.
    shape: [f64; 4],
    born: f64,
    growth: f64,
}

impl<'a> Sensor<'a> {
    /// For pictures of `size`. A picture of other than 720 rows is brought to the model's input in the same proportion.
    pub fn new(
        measured: &'a Measured,
        model: &str,
        light: Light,
        rate: ClutterRate,
        size: [f64; 2],
        mut random: Random,
    ) -> Self {
        let detector = measured.detector(model);
        let births = |role, label| Births { role, label, next: -1.0 };
        Self {
            measured,
            detector,
            light,
            rate,
            scale: detector.rows_per_source_row * measured.source_size[1] / size[1],
            person_curve: "person",
            lying_curve: "person_lying",
            size,
            luck: Vec::new(),
            clutter: [births(Role::StopSign, "stop sign"), births(Role::Person, "person")],
            alive: Vec::new(),
            random: random.split(),
            last: 0.0,
        }
    }

    /// A detector that sees as well with `factor` times fewer rows.
    #[must_use]
    pub fn sharpened(self, factor: f64) -> Self {
        Self { scale: self.scale * factor, ..self }
    }

    /// With another of the measured curves for upright persons.
    #[must_use]
    pub fn with_person_curve(self, person_curve: &'static str) -> Self {
        Self { person_curve, ..self }
    }

    /// With another of the measured curves for people on the ground.
    #[must_use]
    pub fn with_lying_curve(self, lying_curve: &'static str) -> Self {
        Self { lying_curve, ..self }
    }

    /// Detections of the picture taken at `time` seconds; `speed` of the car in m/s is what growing clutter grows by.
    pub fn see(&mut self, time: f64, speed: f64, sights: &[Sight]) -> Vec<Observation> {
        let passed = time - self.last;
        self.last = time;
        let mut found = Vec::new();
        for sight in sights {
            let (label, role) = match sight.class {
                Class::StopSign => ("stop_sign", Role::StopSign),
                Class::Person => (self.person_curve, Role::Person),
                Class::Lying => (self.lying_curve, Role::Person),
                Class::FalseSign => ("clutter", Role::StopSign),
                Class::FalsePerson => ("clutter", Role::Person),
                Class::Other => continue,
            };
            while self.luck.len() <= sight.thing {
                let luck = Luck::new(&mut self.random);
                self.luck.push(luck);
            }
            let share = self.object_share(role);
            let drawn =
                self.luck[sight.thing].draw(passed, share, &self.detector.persistence, &mut self.random);
            found.extend(match label {
                "clutter" => self.mistake(role, sight, drawn),
                _ => self.detect(self.curve(label), role, sight, drawn),
            });
        }
        self.clutter(time, passed, speed, &mut found);
        found
    }

    fn object_share(&self, role: Role) -> f64 {
        let label = if role == Role::StopSign { "stop sign" } else { "person" };
        self.detector.persistence.object_share[label]
    }

    /// Lying people were measured by day only; by night no more is known of them than of upright ones.
    fn curve(&self, label: &str) -> &'a [Height] {
        let lights = &self.detector.curves[label];
        lights.get(self.light.name()).unwrap_or_else(|| &lights["day"])
    }

    /// A fixed thing with the scores of clutter, and the box errors of what it is taken for.
    fn mistake(&self, role: Role, sight: &Sight, drawn: [f64; CHANNELS]) -> Option<Observation> {
        let scores = self.shape_of(role).score.as_ref()?;
        let score = self.measured.at(&scores.quantiles, normal_below(drawn[0]));
        let label = if role == Role::StopSign { "stop_sign" } else { "person" };
        self.boxed(self.curve(label), role, score, sight, drawn)
    }

    fn detect(
        &self,
        curve: &[Height],
        role: Role,
        sight: &Sight,
        drawn: [f64; CHANNELS],
    ) -> Option<Observation> {
        // A lying person was measured by the body's length.
        let (wide, tall) = (sight.bbox[2] - sight.bbox[0], sight.bbox[3] - sight.bbox[1]);
        let rows = self.scale * if sight.class == Class::Lying { tall.max(wide) } else { tall };
        let score = self.measured.score(curve, rows, normal_below(drawn[0]));
        (score > 0.0).then(|| self.boxed(curve, role, score, sight, drawn)).flatten()
    }

    fn boxed(
        &self,
        curve: &[Height],
        role: Role,
        score: f64,
        sight: &Sight,
        drawn: [f64; CHANNELS],
    ) -> Option<Observation> {
        let height = sight.bbox[3] - sight.bbox[1];
        let error = box_error(curve, height * self.scale);
        let off = |pair: [f64; 2], z: f64| pair[0] + pair[1] * z;
        let tall = height * libm::exp(off(error.log_height, drawn[1]));
        let wide = (sight.bbox[2] - sight.bbox[0]) * libm::exp(off(error.log_width, drawn[2]));
        let middle = f64::midpoint(sight.bbox[0], sight.bbox[2]) + height * off(error.x, drawn[3]);
        let bottom = sight.bbox[3] + height * off(error.bottom, drawn[4]);
        Some(self.observation(role, score, [middle, bottom, tall, wide]))
    }

    #[allow(clippy::cast_possible_truncation, reason = "pixels and scores fit single precision")]
    fn observation(&self, role: Role, score: f64, [middle, bottom, tall, wide]: [f64; 4]) -> Observation {
        let corners = [middle - wide / 2.0, bottom - tall, middle + wide / 2.0, bottom];
        let bbox = [0, 1, 2, 3].map(|i| corners[i].clamp(0.0, self.size[i % 2]) as f32);
        Observation { role, score: score as f32, bbox, keypoints: None }
    }

    fn clutter(&mut self, time: f64, passed: f64, speed: f64, found: &mut Vec<Observation>) {
        if self.rate == ClutterRate::None {
            return;
        }
        self.alive.retain(|tracklet| tracklet.until >= time);
        for which in 0..self.clutter.len() {
            self.bear(which, time, speed);
        }
        let mut alive = std::mem::take(&mut self.alive);
        for tracklet in &mut alive {
            let drawn = tracklet.luck.draw(passed, 0.5, &self.detector.persistence, &mut self.random);
            let scores = self.shape_of(tracklet.role).score.as_ref().expect("clutter has scores");
            let score = self.measured.at(&scores.quantiles, normal_below(drawn[0]));
            let grown = libm::exp(tracklet.growth * (time - tracklet.born));
            let [middle, bottom, tall, wide] = tracklet.shape;
            let away = (middle - self.size[0] / 2.0) * grown + self.size[0] / 2.0;
            let down = (bottom - self.size[1] / 2.0) * grown + self.size[1] / 2.0;
            if score >= self.measured.floor && away > 0.0 && away < self.size[0] {
                let jitter = 1.0 + 0.08 * drawn[1];
                found.push(self.observation(
                    tracklet.role,
                    score,
                    [away, down, tall * grown * jitter, wide * grown],
                ));
            }
        }
        self.alive = alive;
    }

    /// Births since the last picture.
    fn bear(&mut self, which: usize, time: f64, speed: f64) {
        let label = self.clutter[which].label;
        let counted = &self.detector.clutter[self.light.name()][label];
        let per_hour = match self.rate {
            ClutterRate::None => 0.0,
            ClutterRate::Fitted => counted.per_hour,
            ClutterRate::Upper | ClutterRate::Growing => counted.per_hour_upper_95,
        };
        let rate = per_hour / 3600.0;
        if self.clutter[which].next < 0.0 {
            self.clutter[which].next = time + self.random.wait(rate);
        }
        while self.clutter[which].next <= time {
            self.clutter[which].next += self.random.wait(rate);
            let tracklet = self.newborn(self.clutter[which].role, time, speed);
            self.alive.push(tracklet);
        }
    }

    /// The class's own measured tracklets where there are ten or more, else those of false persons: of false stop signs
    /// there are too few to fit anything to.
    fn shape_of(&self, role: Role) -> &'a super::measured::Clutter {
        let of = &self.detector.clutter[self.light.name()];
        let label =
            if role == Role::StopSign && of["stop sign"].tracklets >= 10 { "stop sign" } else { "person" };
        &of[label]
    }

    fn newborn(&mut self, role: Role, time: f64, speed: f64) -> Tracklet {
        let like = self.shape_of(role);
        let measured = self.measured;
        let mut draw = |spread: &Option<Spread>, empty: f64| match spread {
            Some(spread) if spread.n > 0 => measured.at(&spread.quantiles, self.random.unit()),
            _ => empty,
        };
        let tall = draw(&like.height_of_picture, 0.1) * self.size[1];
        let width = if role == Role::StopSign { 1.0 } else { draw(&like.width_of_height, 0.5) };
        let middle = draw(&like.x_of_picture, 0.5) * self.size[0];
        let bottom = draw(&like.bottom_of_picture, 0.6) * self.size[1];
        let life = draw(&like.life_s, 0.1);
        let measured_growth = draw(&like.log_growth_per_s, 0.0);
        let (growth, life) = if self.rate == ClutterRate::Growing {
            // As a fixed thing of a sign's or a person's true size at that height in the picture.
            let metres = if role == Role::StopSign { 0.75 } else { 1.7 };
            let focal = self.size[0] / 2.0 / libm::tan(30.0_f64.to_radians());
            (speed / (metres * focal / tall).max(3.0), life.max(0.2))
        } else {
            (measured_growth, life)
        };
        Tracklet {
            role,
            until: time + life,
            luck: Luck::new(&mut self.random),
            shape: [middle, bottom, tall, tall * width],
            born: time,
            growth,
        }
    }
}

impl Luck {
    fn new(random: &mut Random) -> Self {
        let draw = |random: &mut Random| std::array::from_fn(|_| random.normal());
        Self { for_good: draw(random), lasting: draw(random) }
    }

    /// `passed` seconds on. The squares of the three weights add up to 1, so each draw is standard normal.
    fn draw(
        &mut self,
        passed: f64,
        object: f64,
        persistence: &super::measured::Persistence,
        random: &mut Random,
    ) -> [f64; CHANNELS] {
        let kept = libm::exp(-passed.max(0.0) / persistence.seconds);
        let (good, rest) = (object.sqrt(), (1.0 - object).sqrt());
        let (frame, lasting) =
            (persistence.single_frame_share.sqrt(), (1.0 - persistence.single_frame_share).sqrt());
        std::array::from_fn(|channel| {
            let last = &mut self.lasting[channel];
            *last = kept * *last + (1.0 - kept * kept).sqrt() * random.normal();
            good * self.for_good[channel] + rest * (lasting * *last + frame * random.normal())
        })
    }
}
