//! From the newest decisions to the command of this period, by the safe-command table.
//!
//! [`Commander::tick`] is called every actuator period, also when nothing was decided. It is a pure function of its
//! arguments and of what it was told before. What it never does: begin a brake because of a fault, drop a hold for a
//! fault or a timer, or let the driver's brake pedal lower what is asked for.

mod config;
mod driver;
mod sight;

use heapless::Deque;

use crate::arith::{larger, magnitude, smaller, within};
use crate::cause::Cause;
use crate::command::{Command, Row};
use crate::decision::{BrakeRequest, Decision, MAX_SITUATIONS, WarnLevel};
use crate::ego::Ego;
use crate::state::{Effect, Faults, Function};
use crate::table::{self, Asked};
use crate::time::Nanos;

use config::seconds;
pub use config::{CommandConfig, Disengage};
use driver::{Acts, Driver};
use sight::{Age, Sight};

/// Longest time one ramp step accounts for: a period that came late is no reason for a blow.
const LONGEST_STEP_S: f32 = 0.1;
/// Speed from which on a held vehicle rolls, in m/s: above what a speed signal shows at standstill.
const ROLLING: f32 = 0.5;

/// Makes the command of every period.
#[derive(Clone, Debug)]
pub struct Commander {
    config: CommandConfig,
    sight: Sight,
    driver: Driver,
    ticked: Option<Nanos>,
    armed: bool,
    /// Deceleration of the last command.
    asked: f32,
    brake: Option<Braking>,
    hold: Option<Holding>,
    /// Situations that the driver took over from or that were served: no brake and no warning for them again. Ids are
    /// never used again, so the oldest may be forgotten.
    let_go: Deque<u32, MAX_SITUATIONS>,
    overridden: Option<u32>,
    disengage: bool,
    found: Faults,
}

/// A brake in progress.
#[derive(Clone, Copy, Debug)]
struct Braking {
    /// The camera that saw its object last.
    camera: u8,
    function: Function,
    request: BrakeRequest,
    since: Nanos,
    /// Since when its object cannot be seen, and what was asked for then.
    blind: Option<(Nanos, f32)>,
}

/// A hold at standstill.
#[derive(Clone, Copy, Debug)]
struct Holding {
    situation: u32,
    since: Nanos,
    /// Nobody answered in time, or it rolled. Stays until the hold ends.
    escalated: bool,
}

impl Commander {
    /// With these limits; [`CommandConfig::check`] is the caller's to ask.
    pub fn new(config: CommandConfig) -> Self {
        Self {
            config,
            sight: Sight::default(),
            driver: Driver::default(),
            ticked: None,
            armed: false,
            asked: 0.0,
            brake: None,
            hold: None,
            let_go: Deque::new(),
            overridden: None,
            disengage: false,
            found: Faults::default(),
        }
    }

    /// Takes in a camera's newest decision. [`Commander::tick`] does it for one; with several cameras call this for
    /// each of the others first.
    pub fn take(&mut self, now: Nanos, decision: &Decision) {
        self.sight.take(now, decision);
    }

    /// The command of the period that begins at `now`.
    ///
    /// `decision`: the newest, or none yet; giving the same one again is no new decision. `ego`: the newest signals.
    /// `faults`: what the state machine holds ([`crate::state::Machine::faults`]). `armed`: whether the actuators are;
    /// disarming waits until a brake or a hold is over.
    pub fn tick(
        &mut self,
        now: Nanos,
        decision: Option<&Decision>,
        ego: &Ego,
        faults: &Faults,
        armed: bool,
    ) -> Command {
        if let Some(decision) = decision {
            self.sight.take(now, decision);
        }
        let passed = self.ticked.map_or(0.0, |then| smaller(now.since(then).seconds(), LONGEST_STEP_S));
        self.ticked = Some(now);
        let ego = &believable(ego);
        let acts = self.driver.see(now, ego, &self.config);
        self.found = self.find(now, ego, acts);
        let faults = faults.union(&self.found);
        self.arm(armed);
        self.answer(acts);
        self.choose(now, ego, acts, &faults);
        self.stand(now, ego);
        let (target, jerk) = self.target(now);
        self.asked = if target > self.asked {
            smaller(target, self.asked + jerk * passed)
        } else {
            larger(target, self.asked - self.config.release_jerk * passed)
        };
        self.command(now, acts, &faults)
    }

    /// What the commander itself found wrong in the last period: decisions or pictures too old, speed or driver
    /// signals missing. For the state machine.
    pub const fn found(&self) -> &Faults {
        &self.found
    }

    fn find(&self, now: Nanos, ego: &Ego, acts: Acts) -> Faults {
        let mut found = Faults::default();
        for (camera, seen) in self.sight.all() {
            found = match seen.age(now, &self.config) {
                Age::Fresh => found,
                Age::DecisionOld => found.with_camera(camera, Cause::InferenceStalled),
                Age::PictureOld => found.with_camera(camera, Cause::CameraLost),
                Age::FromTheFuture => found.with_camera(camera, Cause::ClockAnomaly),
            };
        }
        if ego.speed.fresh().is_none() {
            found = found.with(Cause::EgoSpeed);
        }
        if acts.unseen { found.with(Cause::DriverSignals) } else { found }
    }

    /// What the present faults do to a brake for `function` seen by `camera`, as far as the configuration does not say
    /// that it may be done without.
    fn effect(&self, faults: &Faults, camera: u8, function: Function) -> Effect {
        let mut present = faults.at(camera);
        if self.config.brake_without_speed {
            present = present.without(Cause::EgoSpeed);
        }
        if self.config.brake_without_driver_signals {
            present = present.without(Cause::DriverSignals);
        }
        crate::state::worst_of(present, function).0
    }

    fn arm(&mut self, armed: bool) {
        let acting = self.brake.is_some() || self.hold.is_some() || self.asked > 0.0;
        if armed && !self.armed && acting {
            // Nothing of it was real, and arming must not make it so.
            self.drop_all();
        }
        self.armed = armed || self.armed && acting;
    }

    fn drop_all(&mut self) {
        let of_brake = self.brake.map(|brake| brake.request.situation);
        let of_hold = self.hold.map(|hold| hold.situation);
        of_brake.into_iter().chain(of_hold).for_each(|situation| self.let_go_of(situation));
        self.brake = None;
        self.hold = None;
        self.asked = 0.0;
    }

    fn let_go_of(&mut self, situation: u32) {
        if self.is_let_go(situation) {
            return;
        }
        if self.let_go.is_full() {
            self.let_go.pop_front();
        }
        // There is room: one was taken out.
        let _ = self.let_go.push_back(situation);
    }

    fn is_let_go(&self, situation: u32) -> bool {
        self.let_go.iter().any(|known| *known == situation)
    }

    /// Override and release. Neither the off switch nor the wheel ends a hold: the vehicle could roll.
    fn answer(&mut self, acts: Acts) {
        if let Some(hold) = self.hold {
            if acts.releases || self.config.release_by_accelerator && acts.kick_down {
                self.hold = None;
                self.let_go_of(hold.situation);
            }
        } else if let Some(brake) = self.brake.filter(|_| acts.overrides()) {
            self.brake = None;
            self.overridden = Some(brake.request.situation);
            self.let_go_of(brake.request.situation);
        }
    }

    /// Goes on with the brake in progress, ends it, or begins one.
    fn choose(&mut self, now: Nanos, ego: &Ego, acts: Acts, faults: &Faults) {
        if self.hold.is_some() {
            return;
        }
        self.go_on(now, faults);
        let Some(wanted) = self.most_urgent(now, ego, acts, faults) else { return };
        let stronger = |brake: Braking| urgency(&wanted.request) > urgency(&brake.request);
        if self.brake.is_none_or(stronger) {
            self.brake = Some(wanted);
            self.driver.watch_from_here(ego);
        }
    }

    fn go_on(&mut self, now: Nanos, faults: &Faults) {
        let Some(mut brake) = self.brake else { return };
        let situation = brake.request.situation;
        if now.since(brake.since) > seconds(self.config.max_duration_s) {
            self.let_go_of(situation);
            self.brake = None;
        } else if let Some((camera, request)) = self.asked_again(situation, faults) {
            self.brake = Some(Braking { camera, request, blind: None, ..brake });
        } else if self.sees(brake.camera, brake.function, faults) {
            self.brake = None;
        } else {
            let (since, _) = *brake.blind.get_or_insert((now, self.asked));
            let over = now.since(since) > seconds(self.config.max_blind_s);
            self.brake = (!over || self.asked > 0.0).then_some(brake);
        }
    }

    /// Whether a brake in progress may go on by what `camera` says.
    fn sees(&self, camera: u8, function: Function, faults: &Faults) -> bool {
        table::of_effect(Row::Braking, self.effect(faults, camera, function)).asked == Asked::AsDecided
    }

    /// What is asked for now for the situation that is braked for: both the camera that saw its object and the camera
    /// whose decision speaks of it must be able to. Mostly they are one.
    fn asked_again(&self, situation: u32, faults: &Faults) -> Option<(u8, BrakeRequest)> {
        self.sight.asks().find_map(|(by, asked)| {
            let brake = asked.brake.filter(|_| asked.situation == situation)?;
            let goes_on = |camera: u8| self.sees(camera, asked.function, faults);
            (goes_on(asked.camera) && goes_on(by)).then_some((asked.camera, brake))
        })
    }

    /// The most urgent brake that may begin now.
    fn most_urgent(&self, now: Nanos, ego: &Ego, acts: Acts, faults: &Faults) -> Option<Braking> {
        let moves = ego.speed.fresh().is_none_or(|speed| magnitude(speed) > self.config.standstill_speed);
        if !moves || acts.off || acts.steers {
            return None;
        }
        let current = self.brake.map(|brake| brake.request.situation);
        let mut best: Option<Braking> = None;
        for (by, asked) in self.sight.asks() {
            let Some(request) = asked.brake else { continue };
            let begins = |camera: u8| {
                table::of_effect(Row::Idle, self.effect(faults, camera, asked.function)).asked
                    == Asked::AsDecided
            };
            let known = Some(asked.situation) == current || self.is_let_go(asked.situation);
            if known || !begins(asked.camera) || !begins(by) {
                continue;
            }
            if best.is_none_or(|best| urgency(&request) > urgency(&best.request)) {
                let (camera, function) = (asked.camera, asked.function);
                best = Some(Braking { camera, function, request, since: now, blind: None });
            }
        }
        best
    }

    /// Begins a hold where a brake has brought the vehicle to stand; watches over one that lasts.
    fn stand(&mut self, now: Nanos, ego: &Ego) {
        let speed = ego.speed.fresh().map(magnitude);
        let rolls = speed.is_some_and(|speed| speed > ROLLING);
        if let Some(hold) = &mut self.hold {
            if rolls && !self.armed {
                // It was never held, it only would have been.
                self.drop_all();
            } else {
                hold.escalated |= rolls || now.since(hold.since) > seconds(self.config.hold_unanswered_s);
            }
            return;
        }
        let stands = speed.is_some_and(|speed| speed <= self.config.standstill_speed);
        if let Some(brake) = self.brake.filter(|_| stands) {
            self.brake = None;
            if brake.request.hold {
                let situation = brake.request.situation;
                self.hold = Some(Holding { situation, since: now, escalated: false });
                self.driver.watch_from_here(ego);
            }
        }
    }

    /// What is to be asked for, and how fast it may rise.
    fn target(&self, now: Nanos) -> (f32, f32) {
        let config = &self.config;
        if self.hold.is_some() {
            return (config.hold_deceleration, config.max_jerk);
        }
        let Some(brake) = self.brake else { return (0.0, config.max_jerk) };
        if let Some((since, value)) = brake.blind {
            let over = now.since(since) > seconds(config.max_blind_s);
            return (if over { 0.0 } else { value }, config.max_jerk);
        }
        let (most, jerk) = if brake.request.emergency {
            (config.max_emergency_deceleration, config.max_emergency_jerk)
        } else {
            (config.max_deceleration, config.max_jerk)
        };
        let asked_jerk = brake.request.jerk;
        let jerk = if asked_jerk > 0.0 { smaller(jerk, asked_jerk) } else { jerk };
        (within(brake.request.deceleration, 0.0, most), jerk)
    }

    fn command(&mut self, now: Nanos, acts: Acts, faults: &Faults) -> Command {
        let warn = self.warning(faults);
        self.forget_override();
        let row = self.row(warn.is_some());
        let escalate = self.hold.is_some_and(|hold| hold.escalated);
        self.disengage = self.hands_over(row, acts);
        let camera = self.brake.map(|brake| brake.camera).or_else(|| self.newest());
        let stands_on = camera.and_then(|camera| self.sight.of(camera));
        Command {
            made: now,
            valid: self.asked > 0.0 || table::of_effect(row, least_effect(faults)).valid,
            armed: self.armed,
            row,
            deceleration: self.asked,
            hold: self.hold.is_some(),
            parking_brake: escalate,
            warn: if escalate { Some(WarnLevel::Warn) } else { warn.map(|(_, level)| level) },
            disengage: self.disengage,
            escalate,
            persons_down: self.sight.all().map(|(_, seen)| seen.persons_down).max().unwrap_or(0),
            monitoring_lost: faults.monitoring_lost(),
            object_age: stands_on.map(|seen| now.since(seen.captured)),
            decision_age: stands_on.map(|seen| now.since(seen.received)),
            cause: reported(faults),
            situation: self.situation().or(warn.map(|(situation, _)| situation)),
        }
    }

    /// The situation the command is about, warnings apart.
    fn situation(&self) -> Option<u32> {
        let hold = self.hold.map(|hold| hold.situation);
        hold.or(self.brake.map(|brake| brake.request.situation)).or(self.overridden)
    }

    fn newest(&self) -> Option<u8> {
        let newest = self.sight.all().max_by_key(|(_, seen)| seen.captured);
        newest.map(|(camera, _)| camera)
    }

    /// The most urgent warning that may be given.
    fn warning(&self, faults: &Faults) -> Option<(u32, WarnLevel)> {
        let warnings = self.sight.asks().filter_map(|(by, asked)| {
            let level = asked.warn?;
            let may = |camera: u8| {
                let effect = faults.worst(camera, asked.function).0;
                table::of_effect(Row::Warning, effect).asked != Asked::Nothing
            };
            (may(by) && may(asked.camera) && !self.is_let_go(asked.situation))
                .then_some((asked.situation, level))
        });
        warnings.reduce(|most, one| if one.1 > most.1 { one } else { most })
    }

    /// An override is over when its object is asked for no more and the brake has run out.
    fn forget_override(&mut self) {
        let Some(situation) = self.overridden else { return };
        let asks = self.sight.asks().any(|(_, asked)| asked.situation == situation);
        if !asks && self.asked <= 0.0 {
            self.overridden = None;
        }
    }

    fn row(&self, warns: bool) -> Row {
        if self.hold.is_some() {
            Row::Holding
        } else if self.brake.is_some() {
            Row::Braking
        } else if self.overridden.is_some() {
            Row::Overridden
        } else if self.asked > 0.0 {
            Row::Braking
        } else if warns {
            Row::Warning
        } else {
            Row::Idle
        }
    }

    fn hands_over(&self, row: Row, acts: Acts) -> bool {
        let takes_over = acts.overrides() || acts.brakes || row == Row::Overridden;
        match self.config.disengage {
            Disengage::Never => false,
            _ if row == Row::Idle => false,
            Disengage::TakeoverOrStandstill => self.disengage || row == Row::Holding || takes_over,
            Disengage::BrakeOnset => {
                self.disengage || matches!(row, Row::Braking | Row::Holding | Row::Overridden)
            }
        }
    }
}

/// Which of two brakes is more urgent: emergency first, then the stronger.
fn urgency(request: &BrakeRequest) -> (bool, f32) {
    (request.emergency, request.deceleration)
}

/// A speed that is no number is no speed.
fn believable(ego: &Ego) -> Ego {
    let mut ego = *ego;
    if ego.speed.fresh().is_some_and(|speed| !speed.is_finite()) {
        ego.speed = crate::ego::Reading::Invalid;
    }
    ego
}

/// The effect on the braking function that is touched least (without one, on any): only when all of them are lost is a
/// command without a brake not valid.
fn least_effect(faults: &Faults) -> Effect {
    let of = |brakes_only: bool| {
        let some = carried(faults).filter(move |(_, function)| function.brakes() || !brakes_only);
        some.map(|(camera, function)| faults.worst(camera, function).0).min()
    };
    of(true).or(of(false)).unwrap_or(Effect::None)
}

fn carried(faults: &Faults) -> impl Iterator<Item = (u8, Function)> + '_ {
    faults.carried().flat_map(|(camera, functions)| functions.iter().map(move |function| (camera, function)))
}

/// What takes most from anything that is carried; of the same weight the lowest number.
fn reported(faults: &Faults) -> Option<Cause> {
    let worst = carried(faults).map(|(camera, function)| faults.worst(camera, function));
    let worst = worst.filter_map(|(effect, cause)| Some((effect, cause?)));
    worst
        .reduce(|most, one| if one.0 > most.0 || one.0 == most.0 && one.1 < most.1 { one } else { most })
        .map(|(_, cause)| cause)
}

#[cfg(test)]
mod tests;
