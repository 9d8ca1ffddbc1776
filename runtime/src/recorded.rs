//! What was decided, as the decision record holds it: for the daemon's stream and for replays.

use stopline_decide::cause::{FaultSet, State};
use stopline_decide::command::{Command, Row};
use stopline_decide::decision::{Decision, Phase, Situation, SituationKind, TrackView, WarnLevel};
use stopline_decide::ego::{Ego, Reading};
use stopline_decide::observe::Role;
use stopline_decide::time::Nanos;
use stopline_depot::record::{
    NoReading, RecordedCommand, RecordedEgo, RecordedReading, RecordedSituation, RecordedState, RecordedTrack,
};

/// The tracks of a decision; `detection` says which of the record's detections an observation was.
pub fn tracks(decision: &Decision, detection: impl Fn(u16) -> Option<u16>) -> Vec<RecordedTrack> {
    let recorded = |track: &TrackView| RecordedTrack {
        id: track.id,
        role: role(track.role),
        score: track.score,
        bbox: track.bbox,
        detection: track.observation.and_then(&detection),
    };
    decision.tracks.iter().map(recorded).collect()
}

/// The situations of a decision.
pub fn situations(decision: &Decision) -> Vec<RecordedSituation> {
    let recorded = |situation: &Situation| RecordedSituation {
        id: situation.id,
        kind: kind(situation.kind),
        phase: phase(situation.phase).to_owned(),
        track: situation.track,
        since_ns: situation.since.0,
        distance_m: situation.distance,
        ttc_s: situation.ttc,
        score: situation.score,
        reachable: situation.reachable,
    };
    decision.situations.iter().map(recorded).collect()
}

/// A state.
pub fn state(state: State) -> RecordedState {
    RecordedState { name: state.code().to_owned(), cause: state.cause().map(|cause| cause.code().to_owned()) }
}

/// A command.
pub fn command(command: &Command) -> RecordedCommand {
    let micros = |age: Nanos| age.0 / 1000;
    RecordedCommand {
        row: row(command.row).to_owned(),
        valid: command.valid,
        armed: command.armed,
        deceleration: command.deceleration,
        hold: command.hold,
        parking_brake: command.parking_brake,
        warn: command.warn.map(|level| warn(level).to_owned()),
        disengage: command.disengage,
        escalate: command.escalate,
        persons_down: command.persons_down,
        monitoring_lost: command.monitoring_lost,
        object_age_us: command.object_age.map(micros),
        decision_age_us: command.decision_age.map(micros),
        cause: command.cause.map(|cause| cause.code().to_owned()),
        situation: command.situation,
    }
}

/// Signals; `None` where none is configured.
pub fn ego(ego: &Ego) -> Option<RecordedEgo> {
    (*ego != Ego::default()).then(|| RecordedEgo {
        speed: reading(ego.speed),
        yaw_rate: reading(ego.yaw_rate),
        steering_angle: reading(ego.steering_angle),
        steering_rate: reading(ego.steering_rate),
        accelerator: reading(ego.accelerator),
        brake_pedal: reading(ego.brake_pedal),
        acceleration: reading(ego.acceleration),
        ignition: reading(ego.ignition),
        autopilot: reading(ego.autopilot),
        off_switch: reading(ego.off_switch),
        release: reading(ego.release),
    })
}

/// Codes of faults, by rising number.
pub fn faults(faults: FaultSet) -> Vec<String> {
    faults.iter().map(|cause| cause.code().to_owned()).collect()
}

/// The word for a row of the table.
pub const fn row(row: Row) -> &'static str {
    match row {
        Row::Idle => "idle",
        Row::Warning => "warning",
        Row::Braking => "braking",
        Row::Holding => "holding",
        Row::Overridden => "overridden",
    }
}

/// The word for a phase.
pub const fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Suspected => "suspected",
        Phase::Confirmed => "confirmed",
        Phase::Warning => "warning",
        Phase::Braking => "braking",
        Phase::Holding => "holding",
        Phase::Ended => "ended",
    }
}

/// The word for what a situation is about.
pub fn kind(kind: SituationKind) -> String {
    match kind {
        SituationKind::StopSign => "stop_sign".into(),
        SituationKind::Pedestrian => "pedestrian".into(),
        SituationKind::Fall => "fall".into(),
        SituationKind::Watched(number) => format!("watched:{number}"),
    }
}

/// The word for a part that a class plays.
pub fn role(role: Role) -> String {
    match role {
        Role::StopSign => "stop_sign".into(),
        Role::Person => "person".into(),
        Role::PersonDown => "person_down".into(),
        Role::Watched(number) => format!("watched:{number}"),
    }
}

const fn warn(level: WarnLevel) -> &'static str {
    match level {
        WarnLevel::Inform => "inform",
        WarnLevel::Warn => "warn",
    }
}

fn reading<T: Copy>(reading: Reading<T>) -> RecordedReading<T> {
    match reading {
        Reading::Fresh(value) => RecordedReading::Fresh(value),
        Reading::Stale => RecordedReading::None(NoReading::Stale),
        Reading::Invalid => RecordedReading::None(NoReading::Invalid),
        Reading::Missing => RecordedReading::None(NoReading::Missing),
    }
}
