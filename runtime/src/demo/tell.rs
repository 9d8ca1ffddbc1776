//! What of records and frames is worth a line: what changes, never what goes on.

use std::collections::BTreeMap;
use std::time::Duration;

use stopline_decide::frame::Payload;
use stopline_depot::record::{DecisionRecord, RecordedSituation};
use stopline_sensors::clock::Monotonic;

use super::bus::{Frame, request, spaced};
use crate::percentiles::millis_text;
use crate::report::story::words_of_state;

/// A label that was not seen for so long is news when it is seen again.
const FORGOTTEN: Duration = Duration::from_secs(3);
/// A brake is told again when it has changed by this, in m/s², and not oftener than this.
const STEP: (f32, Duration) = (1.0, Duration::from_millis(300));

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// The state of the runtime.
    State,
    /// What the model sees.
    Seen,
    /// A situation, and its phase.
    Decision,
    /// What would be on the bus.
    Bus,
    /// A message to the staff.
    Alert,
}

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// In passing.
    Quiet,
    /// As it should be.
    Plain,
    /// Something is asked for.
    Strong,
    /// Something is wrong.
    Bad,
}

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// What it is about.
    pub about: About,
    /// How much it matters.
    pub weight: Weight,
    /// In words.
    pub text: String,
}

/// Remembers what was told.
#[derive(Debug, Default)]
pub struct Teller {
    state: String,
    seen: BTreeMap<String, Duration>,
    phases: BTreeMap<u32, String>,
    /// What was asked for when it was last told, and when.
    asked: Option<(Payload, Monotonic)>,
    unusable: bool,
}

impl Teller {
    /// Of a record at `at` of the clip.
    pub fn record(&mut self, at: Duration, record: &DecisionRecord) -> Vec<Line> {
        let mut lines = Vec::new();
        if let Some(state) = &record.state {
            let words = words_of_state(state);
            if words != self.state {
                let bad = state.cause.is_some();
                let weight = if bad { Weight::Bad } else { Weight::Quiet };
                lines.push(Line { about: About::State, weight, text: words.clone() });
                self.state = words;
            }
        }
        for found in &record.detections {
            let before = self.seen.insert(found.label.clone(), at);
            if before.is_none_or(|before| at.saturating_sub(before) > FORGOTTEN) {
                let [x1, y1, x2, y2] = found.bbox;
                let label = found.label.replace('_', " ");
                let text = format!("{label}, score {:.2}, {:.0}×{:.0} px", found.score, x2 - x1, y2 - y1);
                lines.push(Line { about: About::Seen, weight: Weight::Plain, text });
            }
        }
        for situation in record.situations.iter().flatten() {
            if self.phases.get(&situation.id) != Some(&situation.phase) {
                self.phases.insert(situation.id, situation.phase.clone());
                lines.push(decision(situation, record.latency_us.total()));
            }
        }
        lines
    }

    /// Of a frame that would be on the bus, where what it asks for has changed.
    pub fn frame(&mut self, frame: &Frame) -> Option<Line> {
        let text = |said: &str| format!("{}  {said}", spaced(&frame.text));
        let Some(payload) = &frame.payload else {
            // The first frames of a sender only bring the receiver into step.
            let early = self.asked.is_none();
            let again = std::mem::replace(&mut self.unusable, true);
            return (!early && !again).then(|| Line {
                about: About::Bus,
                weight: Weight::Bad,
                text: text(&format!("not usable: {}", frame.check.code())),
            });
        };
        self.unusable = false;
        if self.asked.as_ref().is_some_and(|(asked, at)| !is_news(asked, payload, frame.at.since(*at))) {
            return None;
        }
        self.asked = Some((*payload, frame.at));
        let age = payload.object_age.map(|age| format!(" · {} ms old", age.0 / 1_000_000));
        let words = request(payload);
        let asks = payload.deceleration > 0.0 || payload.hold || payload.warn.is_some();
        let strong = asks || payload.persons_down > 0;
        let text = text(&format!("{words}{}", age.filter(|_| strong).unwrap_or_default()));
        let weight = if strong { Weight::Strong } else { Weight::Quiet };
        Some(Line { about: About::Bus, weight, text })
    }
}

fn decision(situation: &RecordedSituation, took_us: u64) -> Line {
    let mut text = format!("{} {}: {}", situation.kind.replace('_', " "), situation.id, situation.phase);
    let ended = situation.phase == "ended";
    if !ended {
        if let Some(distance) = situation.distance_m {
            text.push_str(&format!(", {distance:.1} m"));
        }
        if let Some(left) = situation.ttc_s {
            text.push_str(&format!(", {left:.1} s left"));
        }
        text.push_str(&format!(" · {} ms after the picture", millis_text(took_us)));
    }
    let strong = matches!(situation.phase.as_str(), "warning" | "braking" | "holding");
    let weight = match (strong, ended) {
        (true, _) => Weight::Strong,
        (_, true) => Weight::Quiet,
        _ => Weight::Plain,
    };
    Line { about: About::Decision, weight, text }
}

/// Whether a receiver is asked for something else: what changes in every frame is left out.
fn is_news(before: &Payload, now: &Payload, passed: Duration) -> bool {
    let constant =
        |payload: &Payload| Payload { deceleration: 0.0, object_age: None, decision_age: None, ..*payload };
    let brakes = |payload: &Payload| payload.deceleration > 0.0;
    constant(before) != constant(now)
        || brakes(before) != brakes(now)
        || passed >= STEP.1 && (before.deceleration - now.deceleration).abs() >= STEP.0
}

#[cfg(test)]
mod tests {
    use stopline_decide::command::Row;
    use stopline_decide::e2e::Check;
    use stopline_decide::time::Nanos;

    use super::*;

    fn record(state: &str, score: f32, phase: &str) -> DecisionRecord {
        let json = serde_json::json!({
            "schema": 1, "frame": 3, "source": "front", "captured_ns": 0, "image_size": [1280, 720],
            "captured_wall": "2026-02-28T23:59:59.000250Z",
            "model": {"name": "m", "version": "1.0.0", "digest": "00", "role": "active"},
            "detections": [{"label": "stop_sign", "class": 0, "score": score, "box": [10.0, 10.0, 50.0, 52.0]}],
            "situations": [{"id": 1, "kind": "stop_sign", "phase": phase, "since_ns": 0, "distance_m": 31.25,
                "ttc_s": 2.5, "score": 0.5, "reachable": true}],
            "state": {"name": state},
            "latency_us": {"capture": 1000, "prepare": 2000, "infer": 20000, "decode": 1000}});
        serde_json::from_value(json).expect("a record")
    }

    fn frame(payload: Option<Payload>) -> Frame {
        let check = if payload.is_some() { Check::Ok } else { Check::WrongCrc };
        Frame { at: Monotonic::from_nanos(0), text: "2A0#7C0300".into(), check, payload }
    }

    #[test]
    fn a_label_a_phase_and_a_state_are_told_once_and_again_when_they_change() {
        let mut teller = Teller::default();
        let texts = |lines: Vec<Line>| lines.into_iter().map(|line| line.text).collect::<Vec<_>>();
        let first = texts(teller.record(Duration::ZERO, &record("active", 0.5, "suspected")));
        assert_eq!(first[0], "active");
        assert_eq!(first[1], "stop sign, score 0.50, 40×42 px");
        assert_eq!(first[2], "stop sign 1: suspected, 31.2 m, 2.5 s left · 24.0 ms after the picture");
        let second = Duration::from_secs(1);
        assert!(teller.record(second, &record("active", 0.9, "suspected")).is_empty());
        let braking = teller.record(second, &record("active", 0.9, "braking"));
        assert_eq!((braking.len(), braking[0].weight), (1, Weight::Strong));
        let again = teller.record(Duration::from_secs(9), &record("active", 0.9, "ended"));
        assert_eq!(texts(again), ["stop sign, score 0.90, 40×42 px", "stop sign 1: ended"]);
    }

    #[test]
    fn a_frame_is_told_when_it_asks_for_something_else_and_not_for_its_counter_or_ages() {
        let mut teller = Teller::default();
        assert_eq!(teller.frame(&frame(None)), None, "not in step yet");
        let idle = Payload { valid: true, ..Payload::default() };
        assert_eq!(teller.frame(&frame(Some(idle))).expect("told").weight, Weight::Quiet);
        let aged = Payload { object_age: Some(Nanos::from_millis(35)), ..idle };
        assert_eq!(teller.frame(&frame(Some(aged))), None);
        let braking = Payload { row: Row::Braking, deceleration: 2.0, ..aged };
        let told = teller.frame(&frame(Some(braking))).expect("told");
        assert_eq!(told.text, "2A0  7C 03 00  brake 2.00 m/s² · 35 ms old");
        let little_more = Payload { deceleration: 2.9, ..braking };
        assert_eq!(teller.frame(&frame(Some(little_more))), None);
        let more = Payload { deceleration: 3.1, ..braking };
        assert_eq!(teller.frame(&frame(Some(more))), None, "too soon");
        let later = Frame { at: Monotonic::from_nanos(300_000_000), ..frame(Some(more)) };
        assert!(teller.frame(&later).is_some());
        assert_eq!(teller.frame(&frame(None)).expect("told").weight, Weight::Bad);
        assert_eq!(teller.frame(&frame(None)), None, "once");
    }
}
