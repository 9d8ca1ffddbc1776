//! Drift: whether what a camera and its model give is still what it was, and what the model was trained on.
//!
//! Pure: no I/O, no clock; time comes with the records. Memory is fixed from the first record on (about 220 KiB).
//!
//! Each signal is a histogram of at most 16 bins per hour of wall time. An hour is compared with the hours of the same time
//! of day (one more to each side) of the last two weeks, a day with the days of the last two weeks, and a day with the
//! manifest's training reference. What is compared is the population stability index (PSI), divided by what chance alone
//! gives for so many entries. Frames of one scene are alike, so chance is not the multinomial's: how far hours differ when
//! nothing is wrong is taken from the past hours themselves, each against the others. An alarm needs a PSI above the upper
//! prediction bound (Student's t on the cube root) at a level that follows from [`Settings::false_alarms_per_month`] divided
//! by the number of comparisons, and a PSI of at least [`Settings::least_psi`]; an hour needs its follower to agree.
//! Picture sizes are no statistics: another one that stays is named at once.
//!
//! - [`Signal`]: what is watched, and the bins. - `window`: hours, and the ring of the past. - `compare`: PSI with confidence.
//! - `memory`: over a restart. - `size`: picture sizes. - `training`: the manifest's reference. - `frame`: from record to bins.
//!
//! Limits: a drift slower than two weeks is absorbed by the past and only the training reference can see it. Wall time
//! places hours in the day; a clock that jumps costs the hour it jumps in. After a change of model the past of what depends
//! on the model begins anew.

mod compare;
mod frame;
mod memory;
mod signal;
mod size;
#[cfg(test)]
mod tests;
mod training;
mod window;

use std::collections::VecDeque;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::manifest::Training;
use crate::record::{DecisionRecord, WallTime};
pub use frame::FrameStatistics;
use frame::Reader;
pub use memory::{Memory, MemoryError};
use signal::COUNT;
pub use signal::{SIGNALS, Signal};
use window::{DAY, HOUR, Past, Window};

/// Hours without a deviation after which a signal that was told may be told again.
const QUIET: u8 = 24;
/// Comparisons with the past in 30 days: every signal each hour and each day.
const COMPARISONS: f64 = COUNT as f64 * (30.0 * 24.0 + 30.0);
/// Comparisons with the training reference in 30 days: scores, classes, brightness, each day.
const TRAINING_COMPARISONS: f64 = 3.0 * 30.0;

/// How readily it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// False alarms in 30 days of a camera that runs day and night, all signals together, at most; 0.001 to 100.
    pub false_alarms_per_month: f64,
    /// A PSI below this is of no interest, however certain it is.
    pub least_psi: f64,
    /// Likewise against the training reference, from which every place differs somewhat.
    pub least_psi_training: f64,
    /// Milliseconds of capture time from one frame that is counted to the next, at least.
    pub every_ms: u64,
    /// Entries that an hour must have to be compared.
    pub least_entries: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            false_alarms_per_month: 1.0,
            least_psi: 0.1,
            least_psi_training: 0.5,
            every_ms: 1000,
            least_entries: 50,
        }
    }
}

impl Settings {
    /// The one-sided level of a single comparison.
    fn level(&self) -> f64 {
        self.false_alarms_per_month.clamp(1e-3, 100.0) / (COMPARISONS + TRAINING_COMPARISONS)
    }
}

/// What was compared with what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Against {
    /// The manifest's training reference.
    Training,
    /// The device's own past.
    Past,
}

/// Over how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Span {
    /// A few frames: picture sizes.
    Frames,
    /// An hour that the next one confirmed.
    Hour,
    /// A day.
    Day,
}

/// Something is no longer as it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alarm {
    /// What.
    pub signal: Signal,
    /// Compared with what.
    pub against: Against,
    /// Over how long.
    pub span: Span,
    /// The frame at which it was known.
    pub at: WallTime,
    /// What was expected, in words: `1280x720`, `0.72 mean score`.
    pub expected: String,
    /// What was found, in the same words.
    pub found: String,
    /// PSI; 0 for picture sizes, standard deviations for brightness against training.
    pub statistic: f64,
    /// What it had to exceed.
    pub threshold: f64,
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let against = match self.against {
            Against::Training => "the training reference",
            Against::Past => "its own past",
        };
        let Self { signal, expected, found, at, .. } = self;
        write!(f, "{at} {signal} drifted from {against}: {expected} became {found}")?;
        match self.span {
            Span::Frames => Ok(()),
            span => {
                let span = if span == Span::Hour { "hour" } else { "day" };
                write!(f, " (over an {span}, {:.2} > {:.2})", self.statistic, self.threshold)
            }
        }
    }
}

/// Watches one camera with one model.
pub struct Drift {
    settings: Settings,
    training: Option<Training>,
    labels: Vec<String>,
    reader: Reader,
    size: size::Sizes,
    hour: Window,
    past: Past,
    suspects: [bool; COUNT],
    told: [[Option<u8>; COUNT]; 2],
    waiting: VecDeque<Alarm>,
}

impl Drift {
    /// Begins; `training` and `labels` are the manifest's.
    pub fn new(settings: Settings, training: Option<&Training>, labels: &[String]) -> Self {
        Self {
            settings,
            training: training.cloned(),
            labels: labels.to_vec(),
            reader: Reader::default(),
            size: size::Sizes::default(),
            hour: Window::default(),
            past: Past::new(),
            suspects: [false; COUNT],
            told: [[None; COUNT]; 2],
            waiting: VecDeque::with_capacity(3 * COUNT),
        }
    }

    /// What it knows, to go on from after a restart.
    pub fn memory(&self) -> Memory {
        let (model, classes) = self.reader.memory();
        Memory {
            schema: Memory::SCHEMA,
            model,
            classes,
            size: self.size.usual(),
            hour: self.hour.clone(),
            past: self.past.hours().cloned().collect(),
            suspects: self.suspects,
            told: self.told,
        }
    }

    /// Goes on from there.
    pub fn restore(&mut self, memory: Memory) {
        let Memory { schema: _, model, classes, size, hour, past, suspects, told } = memory;
        self.reader.restore(model, classes);
        self.size = size::Sizes::from_usual(size);
        self.past = Past::new();
        past.into_iter().for_each(|window| self.past.push(window));
        (self.hour, self.suspects, self.told) = (hour, suspects, told);
    }

    /// The hour that frames are counted in, hours since 1970.
    pub fn hour(&self) -> u64 {
        self.hour.hour
    }

    /// Takes in a processed frame, in the order of capture. What it gives is an alarm that the frame, or one before, gave
    /// cause for; several come one at a time with the frames after. Records of shadow models are passed over.
    pub fn observe(&mut self, record: &DecisionRecord, frame: Option<&FrameStatistics>) -> Option<Alarm> {
        if record.model.role == crate::record::ModelRole::Active {
            self.take(record, frame);
        }
        self.waiting.pop_front()
    }

    /// Judges the hour that has begun, as at the end of a recording; call it until it gives nothing.
    pub fn finish(&mut self) -> Option<Alarm> {
        if self.waiting.is_empty() && self.hour.frames > 0 {
            let at = self.reader.at();
            self.close_hour(at);
            self.close_day(at);
        }
        self.waiting.pop_front()
    }

    /// Signals that were told and have not been quiet for a day since.
    pub fn told(&self) -> impl Iterator<Item = (Signal, Against)> + '_ {
        let of = move |against: Against| {
            let told = &self.told[against as usize];
            SIGNALS
                .iter()
                .zip(told)
                .filter(|(_, told)| told.is_some())
                .map(move |(signal, _)| (*signal, against))
        };
        of(Against::Training).chain(of(Against::Past))
    }

    fn take(&mut self, record: &DecisionRecord, frame: Option<&FrameStatistics>) {
        let at = record.captured_wall;
        let resolutions = self.training.as_ref().map_or(&[][..], |training| &training.resolutions);
        self.waiting.extend(self.size.see(record.image_size, record.captured_ns, at, resolutions));
        let hour = at.unix_seconds() / HOUR;
        if self.hour.frames > 0 && hour != self.hour.hour {
            let day = self.hour.hour / (DAY / HOUR);
            self.close_hour(at);
            if day != hour / (DAY / HOUR) {
                self.close_day(at);
            }
        }
        self.hour.hour = hour;
        if self.reader.model_changed(record) {
            let models: Vec<Signal> =
                SIGNALS.into_iter().filter(|signal| signal.depends_on_model()).collect();
            self.past.forget(&models);
            models.iter().for_each(|signal| self.hour.clear(*signal));
        }
        self.reader.read(record, frame, self.settings.every_ms, &mut self.hour);
    }

    /// Compares the hour with its like, and lets it become the past.
    fn close_hour(&mut self, at: WallTime) {
        let window = std::mem::take(&mut self.hour);
        for signal in SIGNALS {
            let Some(found) = compare::hour(&self.past, &window, signal, &self.settings) else { continue };
            let deviates = found.deviates(&self.settings);
            let before = std::mem::replace(&mut self.suspects[signal as usize], deviates);
            if self.tell(signal, Against::Past, deviates, before) {
                self.waiting.push_back(found.alarm(signal, Span::Hour, at));
            }
        }
        self.past.push(window);
    }

    /// Compares the day that ended with the days before, and with training.
    fn close_day(&mut self, at: WallTime) {
        let Some(day) = self.past.newest_day() else { return };
        for signal in SIGNALS {
            let found = compare::day(&self.past, day, signal, &self.settings);
            let Some(found) = found.filter(|found| found.deviates(&self.settings)) else { continue };
            if self.tell(signal, Against::Past, true, true) {
                self.waiting.push_back(found.alarm(signal, Span::Day, at));
            }
        }
        let Some(training) = self.training.take() else { return };
        let reference =
            training::Reference { training: &training, labels: &self.labels, reader: &self.reader };
        for (signal, alarm) in reference.compare(&self.past, day, &self.settings, at) {
            if self.tell(signal, Against::Training, alarm.is_some(), true) {
                self.waiting.extend(alarm);
            }
        }
        self.training = Some(training);
    }

    /// Whether to tell of a deviation: once, and again only after it was quiet. An hour must be `confirmed` by the one before.
    fn tell(&mut self, signal: Signal, against: Against, deviates: bool, confirmed: bool) -> bool {
        let told = &mut self.told[against as usize][signal as usize];
        match told {
            Some(quiet) if deviates => *quiet = 0,
            Some(quiet) if *quiet + 1 >= QUIET => *told = None,
            Some(quiet) => *quiet += 1,
            None if deviates && confirmed => {
                *told = Some(0);
                return true;
            }
            None => {}
        }
        false
    }
}
