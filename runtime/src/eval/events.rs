//! How well was decided: situations in decision records beside the events that really were.
//!
//! An *event* is what must lead to something: a stop sign on our road, a person in our path, a fall. A *report* is a
//! situation of the records that came to a warning, a brake or an alert. A report of the same kind that overlaps an event
//! finds it; every event is found once, by its first report. What finds no event is false. A further report of a found event
//! is told as repeated, and counts as false too: staff or driver were troubled twice.
//!
//! Rates are per hour of recorded time, each with the exact upper bound of a Poisson process at 95 % (one-sided; Garwood
//! 1936): none in 100 hours is at most 0.03 per hour.

mod onset;
mod poisson;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::io::BufRead;

use serde::{Deserialize, Serialize};
use stopline_depot::record::{DecisionRecord, RecordedReading};

pub use onset::brake_onset;
pub use poisson::upper_bound;

/// The schema of truth files that this code reads.
pub const SCHEMA: u32 = 1;
/// A gap between two records above which time does not count as watched, in seconds.
const LONGEST_GAP: f64 = 5.0;

/// What really was, in one recording: `stopline eval RECORDS --events TRUTH`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Truth {
    /// Version of this form; 1.
    pub schema: u32,
    /// The recording's name, for people.
    #[serde(default)]
    pub clip: String,
    /// What one must know of it: synthetic pictures, an invented signal track.
    #[serde(default)]
    pub note: String,
    /// The events, in any order.
    pub events: Vec<TrueEvent>,
}

/// One event. Times are seconds of the recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrueEvent {
    /// `stop_sign`, `pedestrian`, `fall`, or `watched:N`.
    pub kind: String,
    /// From when on a report of it is right.
    pub from_s: f64,
    /// Until when.
    pub to_s: f64,
    /// When it could first be seen, by the label; time to decision counts from here. Default: `from_s`.
    #[serde(default)]
    pub visible_from_s: Option<f64>,
}

/// A truth file or records that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EventsError {
    /// Not what [`Truth`] is.
    #[error("truth: {0}")]
    Truth(#[from] serde_json::Error),
    /// A value that cannot be.
    #[error("truth, event {event}: {problem}")]
    Event {
        /// Its place, from 0.
        event: usize,
        /// Expected and found.
        problem: String,
    },
    /// The schema is another.
    #[error("truth: schema {found}, expected {SCHEMA}")]
    Schema {
        /// What stands there.
        found: u32,
    },
    /// A record cannot be read.
    #[error("record {number}: {problem}")]
    Record {
        /// Its place, from 1.
        number: usize,
        /// What is wrong.
        problem: String,
    },
    /// The records do not say what was decided.
    #[error(
        "none of {records} records says what was decided; make them with `stopline replay --config` or `--signals`"
    )]
    Undecided {
        /// How many there are.
        records: usize,
    },
}

impl Truth {
    /// Reads and checks one.
    ///
    /// # Errors
    /// [`EventsError`] says what is wrong.
    pub fn from_json(json: &[u8]) -> Result<Self, EventsError> {
        let truth: Self = serde_json::from_slice(json)?;
        if truth.schema != SCHEMA {
            return Err(EventsError::Schema { found: truth.schema });
        }
        for (event, one) in truth.events.iter().enumerate() {
            let known = matches!(one.kind.as_str(), "stop_sign" | "pedestrian" | "fall")
                || one.kind.strip_prefix("watched:").is_some_and(|number| number.parse::<u8>().is_ok());
            let visible = one.visible_from_s.unwrap_or(one.from_s);
            let ordered =
                visible >= 0.0 && visible <= one.to_s && one.from_s <= one.to_s && one.to_s.is_finite();
            let problem = match (known, ordered) {
                (false, _) => {
                    format!("kind {:?}, expected stop_sign, pedestrian, fall or watched:N", one.kind)
                }
                (true, false) => format!(
                    "from {} s, to {} s, visible from {visible} s; expected rising times of 0 or more",
                    one.from_s, one.to_s
                ),
                (true, true) => continue,
            };
            return Err(EventsError::Event { event, problem });
        }
        Ok(truth)
    }
}

/// What the records say, as far as events need it.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// Reports, by their begin.
    pub reports: Vec<Report>,
    /// Hours watched: gaps of more than 5 s left out.
    pub hours: f64,
    /// Time and longitudinal acceleration, where the vehicle said it.
    pub acceleration: Vec<(f64, f64)>,
    /// When a deceleration was first commanded, again after each time none was.
    pub command_onsets: Vec<f64>,
}

/// A situation that came to a warning, a brake or an alert. Times are seconds of the recording.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Its number.
    pub situation: u32,
    /// What it is about.
    pub kind: String,
    /// When it first warned, braked or alerted.
    pub onset_s: f64,
    /// When it first braked, where it did.
    pub brake_s: Option<f64>,
    /// When it was last there.
    pub end_s: f64,
}

impl Run {
    /// Reads records, one JSON object per line.
    ///
    /// # Errors
    /// [`EventsError::Record`] names the line; [`EventsError::Undecided`] where nothing was decided.
    pub fn read(lines: impl BufRead) -> Result<Self, EventsError> {
        let mut run = Self::default();
        let (mut last, mut decided, mut records, mut braked) = (None::<f64>, 0, 0, false);
        let mut begun: Option<u64> = None;
        for (at, line) in lines.lines().enumerate() {
            let wrong = |problem: String| EventsError::Record { number: at + 1, problem };
            let line = line.map_err(|error| wrong(error.to_string()))?;
            if line.trim().is_empty() {
                continue;
            }
            let record: DecisionRecord =
                serde_json::from_str(&line).map_err(|error| wrong(error.to_string()))?;
            let begin = *begun.get_or_insert(record.captured_ns);
            let time = time_of(&record, begin);
            records += 1;
            decided += usize::from(record.command.is_some());
            let gap = last.map_or(0.0, |last| time - last);
            run.hours += if (0.0..=LONGEST_GAP).contains(&gap) { gap / 3600.0 } else { 0.0 };
            last = Some(time);
            run.note(&record, time, &mut braked);
        }
        if decided == 0 {
            return Err(EventsError::Undecided { records });
        }
        run.reports.sort_by(|a, b| a.onset_s.total_cmp(&b.onset_s));
        Ok(run)
    }

    fn note(&mut self, record: &DecisionRecord, time: f64, braked: &mut bool) {
        for situation in record.situations.iter().flatten() {
            if let Some(known) = self.reports.iter_mut().find(|report| report.situation == situation.id) {
                known.end_s = time;
                if situation.phase == "braking" {
                    known.brake_s.get_or_insert(time);
                }
            } else if matches!(situation.phase.as_str(), "warning" | "braking" | "holding") {
                self.reports.push(Report {
                    situation: situation.id,
                    kind: situation.kind.clone(),
                    onset_s: time,
                    brake_s: (situation.phase == "braking").then_some(time),
                    end_s: time,
                });
            }
        }
        if let Some(RecordedReading::Fresh(value)) = record.ego.map(|ego| ego.acceleration) {
            self.acceleration.push((time, f64::from(value)));
        }
        let brakes = record.command.as_ref().is_some_and(|command| command.deceleration > 0.0);
        if brakes && !*braked {
            self.command_onsets.push(time);
        }
        *braked = brakes;
    }
}

/// Seconds on the recording's timeline; of live records since the first.
#[allow(clippy::cast_precision_loss, reason = "seconds to the microsecond for some hundred years")]
fn time_of(record: &DecisionRecord, begin: u64) -> f64 {
    match record.position_us {
        Some(position) => position as f64 * 1e-6,
        None => record.captured_ns.saturating_sub(begin) as f64 * 1e-9,
    }
}

/// How records and truth fit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// Hours watched.
    pub hours: f64,
    /// Of each kind that occurs, and of all together under `all`.
    pub kinds: Vec<Kind>,
    /// Each event and how it was found.
    pub events: Vec<Found>,
    /// Reports that found no event.
    pub false_reports: Vec<Report>,
    /// Further reports of events that were found already.
    pub repeated: Vec<Report>,
    /// Brake onsets, and whether they stand on the vehicle's acceleration or on the command.
    pub brake_onsets: Onsets,
}

/// Figures of one kind of event.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Kind {
    /// `stop_sign`, …, or `all`.
    pub kind: String,
    /// True events.
    pub events: usize,
    /// Of them found.
    pub found: usize,
    /// Reports.
    pub reports: usize,
    /// Of them false or repeated.
    pub wrong: usize,
    /// found ÷ reports; `None` without reports.
    pub precision: Option<f64>,
    /// found ÷ events; `None` without events.
    pub recall: Option<f64>,
    /// wrong ÷ hours; `None` without recorded time.
    pub wrong_per_hour: Option<f64>,
    /// Upper bound of it at 95 %.
    pub wrong_per_hour_at_most: Option<f64>,
    /// Median seconds from first visibility to the report.
    pub median_time_to_decision_s: Option<f64>,
}

/// One event and how it was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Found {
    /// The event.
    pub event: TrueEvent,
    /// Its first report.
    pub report: Option<Report>,
    /// Seconds from first visibility to the report's onset.
    pub time_to_decision_s: Option<f64>,
}

/// Brake onsets.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "by", content = "times_s")]
pub enum Onsets {
    /// By the vehicle's acceleration: `T_AEB` of Euro NCAP.
    Acceleration(Vec<f64>),
    /// No acceleration in the records: when a deceleration was commanded.
    Command(Vec<f64>),
}

/// Holds `run` against `truth`.
pub fn judge(run: &Run, truth: &Truth) -> Verdict {
    let mut events: Vec<Found> = truth
        .events
        .iter()
        .map(|event| Found { event: event.clone(), report: None, time_to_decision_s: None })
        .collect();
    events.sort_by(|a, b| a.event.from_s.total_cmp(&b.event.from_s));
    let (mut wrong, mut repeated) = (Vec::new(), Vec::new());
    for report in &run.reports {
        let fits = |event: &TrueEvent| {
            event.kind == report.kind && report.onset_s <= event.to_s && report.end_s >= event.from_s
        };
        let free = events.iter_mut().find(|found| found.report.is_none() && fits(&found.event));
        if let Some(found) = free {
            let visible = found.event.visible_from_s.unwrap_or(found.event.from_s);
            found.time_to_decision_s = Some(report.onset_s - visible);
            found.report = Some(report.clone());
        } else if events.iter().any(|found| fits(&found.event)) {
            repeated.push(report.clone());
        } else {
            wrong.push(report.clone());
        }
    }
    let brake_onsets = match brake_onset(&run.acceleration) {
        Some(onsets) => Onsets::Acceleration(onsets),
        None => Onsets::Command(run.command_onsets.clone()),
    };
    let mut names: Vec<&str> = events.iter().map(|found| found.event.kind.as_str()).collect();
    names.extend(run.reports.iter().map(|report| report.kind.as_str()));
    names.sort_unstable();
    names.dedup();
    let of = |kind: Option<&str>| figures(kind, run, &events, &wrong, &repeated);
    let kinds = names.into_iter().map(Some).chain([None]).map(of).collect();
    Verdict { hours: run.hours, kinds, events, false_reports: wrong, repeated, brake_onsets }
}

#[allow(clippy::cast_precision_loss, reason = "counts of events")]
fn figures(kind: Option<&str>, run: &Run, events: &[Found], wrong: &[Report], repeated: &[Report]) -> Kind {
    let is = |one: &str| kind.is_none_or(|kind| kind == one);
    let of_kind: Vec<&Found> = events.iter().filter(|found| is(&found.event.kind)).collect();
    let found = of_kind.iter().filter(|found| found.report.is_some()).count();
    let reports = run.reports.iter().filter(|report| is(&report.kind)).count();
    let wrong = wrong.iter().chain(repeated).filter(|report| is(&report.kind)).count();
    let mut times: Vec<f64> = of_kind.iter().filter_map(|found| found.time_to_decision_s).collect();
    times.sort_by(f64::total_cmp);
    let share = |part: usize, whole: usize| (whole > 0).then(|| part as f64 / whole as f64);
    let hourly = |count: f64| (run.hours > 0.0).then(|| count / run.hours);
    Kind {
        kind: kind.unwrap_or("all").to_owned(),
        events: of_kind.len(),
        found,
        reports,
        wrong,
        precision: share(found, reports),
        recall: share(found, of_kind.len()),
        wrong_per_hour: hourly(wrong as f64),
        wrong_per_hour_at_most: hourly(upper_bound(wrong as u64)),
        median_time_to_decision_s: times.get(times.len() / 2).copied(),
    }
}

impl Verdict {
    /// For a terminal.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let shown = |value: Option<f64>| value.map_or("–".into(), |value| format!("{value:.2}"));
        let _ = writeln!(
            out,
            "{:<14}{:>7}{:>7}{:>9}{:>7}{:>11}{:>8}{:>14}{:>16}{:>13}",
            "kind",
            "events",
            "found",
            "reports",
            "wrong",
            "precision",
            "recall",
            "wrong/hour",
            "at most (95 %)",
            "decided in s"
        );
        for kind in &self.kinds {
            let _ = writeln!(
                out,
                "{:<14}{:>7}{:>7}{:>9}{:>7}{:>11}{:>8}{:>14}{:>16}{:>13}",
                kind.kind,
                kind.events,
                kind.found,
                kind.reports,
                kind.wrong,
                shown(kind.precision),
                shown(kind.recall),
                shown(kind.wrong_per_hour),
                shown(kind.wrong_per_hour_at_most),
                shown(kind.median_time_to_decision_s),
            );
        }
        let _ = writeln!(out, "{:.4} hours of records", self.hours);
        for found in self.events.iter().filter(|found| found.report.is_none()) {
            let event = &found.event;
            let _ = writeln!(out, "missed: {} {:.2} s to {:.2} s", event.kind, event.from_s, event.to_s);
        }
        for (word, reports) in [("false", &self.false_reports), ("repeated", &self.repeated)] {
            for report in reports {
                let _ =
                    writeln!(out, "{word}: {} {} at {:.2} s", report.kind, report.situation, report.onset_s);
            }
        }
        let (by, onsets) = match &self.brake_onsets {
            Onsets::Acceleration(onsets) => ("the vehicle's acceleration (T_AEB)", onsets),
            Onsets::Command(onsets) => ("the command, for want of an acceleration", onsets),
        };
        for onset in onsets {
            let _ = writeln!(out, "brake onset at {onset:.3} s, by {by}");
        }
        out
    }
}
