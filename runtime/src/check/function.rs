//! Per function of a camera: the highest speed it is proven for, and what to change where that is not enough.

use stopline_decide::confirm::ConfirmConfig;
use stopline_decide::decider::Function;

use super::measured::{self, Recall};
use super::reach::{self, Approach, Brake, Latency, kmh, mps};
use super::recall::{Confirming, Heights, recognised_from};
use super::report::{CameraReport, FunctionReport, Proof, Verdict};
use super::sight::{self, Seer, Sight};
use crate::calibrate::file::{CalibrationFile, MountSection};
use crate::config::{Config, Light};

/// Camera number `at` with all of its functions.
pub fn camera(config: &Config, at: usize) -> CameraReport {
    let camera = &config.cameras[at];
    let mut sight = sight::of(config, at);
    let timed = sight::latency(config, at, &sight);
    let functions = camera
        .functions
        .iter()
        .map(|function| match function {
            Function::StopSign | Function::Pedestrian => braking(config, &sight, timed, *function),
            Function::Fall => {
                // A motion too small to be seen as one waits for the next look.
                let unseen = camera.attention.unseen_for(timed.map_or(0.0, |(_, rate)| 1.0 / rate));
                fall(config, &sight, timed.map(|(_, rate)| rate), unseen)
            }
            Function::Watch => watch(config, &sight),
        })
        .collect();
    let findings = std::mem::take(&mut sight.findings);
    CameraReport {
        name: camera.name.clone(),
        findings,
        latency: timed.map(|(latency, _)| latency),
        functions,
    }
}

/// What a function that brakes asks for.
struct Asked {
    name: &'static str,
    /// The speed, and the key that says it.
    speed: Option<(f64, &'static str)>,
    confirm: ConfirmConfig,
    /// Key of the score that confirms.
    score_key: &'static str,
    object: &'static str,
    height: f64,
    /// Least height of a box in picture pixels.
    least_px: f64,
    brake: Brake,
    appears: Option<f64>,
}

impl Asked {
    fn of(config: &Config, function: Function) -> Self {
        let command = &config.command;
        if function == Function::StopSign {
            let sign = &config.stop_sign;
            return Self {
                name: "stop_sign",
                speed: config.check.stop_sign_kmh.map(|speed| (speed, "check.stop_sign_kmh")),
                confirm: sign.confirm,
                score_key: "stop_sign.confirm.score_on",
                object: "sign",
                height: config.check.sign_height_m.unwrap_or(f64::from(sign.height_m)),
                least_px: f64::from(sign.min_height_px),
                brake: Brake {
                    lag: f64::from(sign.brake_lag_s),
                    deceleration: f64::from(sign.limit_mps2.min(command.max_deceleration)),
                    ramp: f64::from(sign.jerk_mps3.min(command.max_jerk)),
                    gap: f64::from(sign.stop_before_m),
                },
                appears: None,
            };
        }
        let person = &config.pedestrian;
        let speed = match config.check.pedestrian_kmh {
            Some(speed) => (speed, "check.pedestrian_kmh"),
            None => (f64::from(person.max_speed_kmh), "pedestrian.max_speed_kmh"),
        };
        Self {
            name: "pedestrian",
            speed: Some(speed),
            confirm: person.confirm,
            score_key: "pedestrian.confirm.score_on",
            object: "person",
            height: config.check.person_height_m.unwrap_or(f64::from(person.height_m)),
            least_px: f64::from(person.min_height_px),
            brake: Brake {
                lag: f64::from(person.brake_lag_s),
                deceleration: f64::from(person.plan_mps2.min(command.max_emergency_deceleration)),
                ramp: f64::from(person.brake_ramp_mps3.min(person.jerk_mps3).min(command.max_emergency_jerk)),
                gap: f64::from(person.stop_before_m),
            },
            appears: config.check.appears_s,
        }
    }

    fn refused(&self, summary: impl Into<String>, advice: Vec<String>) -> FunctionReport {
        let (verdict, summary) = (Verdict::Refused, summary.into());
        FunctionReport { function: self.name, verdict, summary, advice, proof: None }
    }
}

/// A model's part of the proof.
struct Seen {
    model: String,
    scale: f64,
    recognised: Option<Heights>,
    best: f64,
    /// Metres from the lens.
    distance: f64,
}

fn braking(
    config: &Config,
    sight: &Sight,
    timed: Option<(Latency, f64)>,
    function: Function,
) -> FunctionReport {
    let asked = Asked::of(config, function);
    let Some((speed, _)) = asked.speed else {
        let advice = "set check.stop_sign_kmh to the speed up to which the vehicle must stop before a sign";
        return asked.refused("no speed is asked for, so none can be proven", vec![advice.into()]);
    };
    let Some(calibration) = &sight.calibration else {
        let advice = "give the camera a calibration: `stopline calibrate lens`, then `mount`";
        return asked.refused("not proven: distances need a calibrated camera", vec![advice.into()]);
    };
    let Some(mount) = &calibration.mount else {
        let advice = "add the camera's place: `stopline calibrate mount`";
        return asked.refused("not proven: the calibration has no [mount]", vec![advice.into()]);
    };
    let Some((latency, rate)) = timed else {
        let mut advice = vec!["see the lines above".to_owned()];
        // What else is missing is told at once, not after the next run.
        if let Err((_, more)) = worst_light(config, sight, calibration, function, &asked, 0.0) {
            advice.extend(more);
        }
        return asked.refused("not proven: the time from light to command is not known", advice);
    };
    let confirming = Confirming::new(&asked.confirm, rate);
    let needed = confirming.needed_recall(config.check.confidence());
    let seen = match worst_light(config, sight, calibration, function, &asked, needed) {
        Ok(seen) => seen,
        Err((summary, advice)) => return asked.refused(summary, advice),
    };
    let approach =
        Approach { latency: latency.total(), confirmation: confirming.seconds, brake: asked.brake };
    let room = (seen.distance - mount.front_m).max(0.0);
    let highest = approach.highest(room).map(kmh).filter(|v| *v >= 1.0);
    let appears = asked.appears.map(|seconds| (seconds, approach.highest_within(seconds).map(kmh)));
    let proof = Proof {
        asked_kmh: speed,
        highest_kmh: highest,
        model: seen.model.clone(),
        confirming,
        confidence: config.check.confidence(),
        needed_recall: needed,
        recognised: seen.recognised,
        best_recall: seen.best,
        focal_on_input: reach::focal_on_input(calibration.lens.focal[1], seen.scale),
        scale: seen.scale,
        object_height: asked.height,
        front: mount.front_m,
        seen: room,
        needed: approach.needed(mps(speed)),
        approach,
        appears,
        facts: facts(config, function, calibration, mount),
    };
    judged(asked, proof)
}

/// The model that sees the object farthest by day, and by night; of these the one that sees less far. Without a model for
/// either, or without its measurements: why, and what to do.
fn worst_light(
    config: &Config,
    sight: &Sight,
    calibration: &CalibrationFile,
    function: Function,
    asked: &Asked,
    needed: f64,
) -> Result<Seen, (String, Vec<String>)> {
    let mut worst: Option<Seen> = None;
    for light in [Light::Day, Light::Night] {
        let looking: Vec<&Seer> = sight
            .models
            .iter()
            .filter(|seer| seer.looks_by(light) && !sight::labels(&seer.manifest, function).is_empty())
            .collect();
        if looking.is_empty() {
            let when = if light == Light::Day { "day" } else { "night" };
            let advice = format!(
                "name its labels in the manifest's [roles] ({} = [\"…\"]), or add a [[model]] that has them",
                asked.name
            );
            return Err((format!("no model looks for a {} by {when}", asked.object), vec![advice]));
        }
        let mut best: Option<Seen> = None;
        let mut problems = Vec::new();
        for seer in looking {
            match seen(config, calibration, seer, function, asked, needed) {
                Ok(seen) if best.as_ref().is_none_or(|best| seen.distance > best.distance) => {
                    best = Some(seen)
                }
                Ok(_) => {}
                Err(problem) => problems.push(problem),
            }
        }
        let Some(best) = best else {
            return Err(("not proven: no measured recall".into(), problems));
        };
        if worst.as_ref().is_none_or(|worst| best.distance < worst.distance) {
            worst = Some(best);
        }
    }
    worst.ok_or_else(|| ("no model looks at this camera".into(), Vec::new()))
}

fn seen(
    config: &Config,
    calibration: &CalibrationFile,
    seer: &Seer,
    function: Function,
    asked: &Asked,
    needed: f64,
) -> Result<Seen, String> {
    let score = f64::from(asked.confirm.score_on);
    let Some(path) = config.check.recall.get(&seer.name) else {
        return Err(format!(
            "measure model {name} with labelled pictures of this camera: stopline eval LABELS.json --model … --at {score:.2} \
             --json {name}.eval.json, and set check.recall.{name} = \"{name}.eval.json\"",
            name = seer.name
        ));
    };
    let labels = sight::labels(&seer.manifest, function);
    let recall =
        measured::recall(path, &labels, &seer.sha256, (asked.score_key, score)).map_err(|e| e.to_string())?;
    let Recall { heights, .. } = recall;
    let scale = seer.scale(calibration.picture);
    let focal = reach::focal_on_input(calibration.lens.focal[1], scale);
    let recognised = recognised_from(&heights, needed);
    let far = recognised.map_or(0.0, |bin| reach::distance_at(focal, asked.height, bin.height()));
    // The decision takes no smaller boxes, however sure the model is.
    let gate = reach::distance_at(calibration.lens.focal[1], asked.height, asked.least_px);
    let best = heights.iter().filter(|bin| bin.labelled > 0).map(Heights::at_least).fold(0.0, f64::max);
    Ok(Seen { model: seer.name.clone(), scale, recognised, best, distance: far.min(gate) })
}

fn judged(asked: Asked, proof: Proof) -> FunctionReport {
    let speed = proof.asked_kmh;
    let late = proof.appears.is_some_and(|(_, highest)| highest.is_none_or(|highest| highest < speed));
    let near = proof.highest_kmh.is_none_or(|highest| highest < speed);
    let summary = match proof.highest_kmh {
        None => "not reachable with this camera at any speed".to_owned(),
        Some(highest) if near => {
            format!("{speed:.0} km/h is not reachable with this camera; the highest is {highest:.0} km/h")
        }
        Some(highest) if late => format!(
            "{highest:.0} km/h in plain sight; who appears late is not stopped for at {speed:.0} km/h"
        ),
        Some(highest) => format!("{speed:.0} km/h is reached; the highest is {highest:.0} km/h"),
    };
    let mut advice = if near {
        nearer(&asked, &proof)
    } else if late {
        sooner(&proof)
    } else {
        Vec::new()
    };
    // What leaves the picture and is not carried on to the line is not stopped for.
    let lost = proof.facts.iter().any(|(_, fact)| fact.ends_with(TOO_SHORT));
    if lost {
        advice.push("raise stop_sign.carry_m".into());
    }
    let verdict = if near || late || lost { Verdict::Refused } else { Verdict::Passed };
    FunctionReport { function: asked.name, verdict, summary, advice, proof: Some(proof) }
}

/// What would let the camera see far enough.
fn nearer(asked: &Asked, proof: &Proof) -> Vec<String> {
    let mut all = Vec::new();
    if let (Some((_, key)), Some(highest)) = (asked.speed, proof.highest_kmh) {
        all.push(format!("ask for less: {key} = {}", highest.floor()));
    }
    let from_lens = proof.needed + proof.front;
    match &proof.recognised {
        None => all.push(format!(
            "a model that finds at least {:.0} % of {}s of some height, 95 % sure; the best measured is {:.0} %. Where few were \
             labelled, more of them make it surer",
            proof.needed_recall * 100.0,
            asked.object,
            proof.best_recall * 100.0,
        )),
        Some(bin) => {
            let factor = from_lens / (proof.seen + proof.front);
            all.push(format!(
                "a longer lens, or a larger input of the model: {factor:.1} times as many input pixels per degree"
            ));
            all.push(format!(
                "or a model that recognises {}s from {:.0} px instead of {:.0}",
                asked.object,
                reach::height_on_input(proof.focal_on_input, proof.object_height, from_lens),
                bin.height()
            ));
        }
    }
    let before = proof.approach.latency + proof.approach.confirmation;
    if before > 0.7 {
        all.push(format!("or less time before the brake: now {before:.2} s of latency and confirmation"));
    }
    all
}

/// What would let the vehicle brake soon enough.
fn sooner(proof: &Proof) -> Vec<String> {
    let seconds = proof.appears.map_or(0.0, |(seconds, _)| seconds);
    let approach = &proof.approach;
    let spent = approach.latency + approach.confirmation + approach.brake.delay();
    vec![format!(
        "of {seconds:.2} s until the collision {spent:.2} s pass before the brake acts: latency {:.2}, confirmation {:.2}, lag \
         and half of the ramp {:.2}; shorten these, or ask for less with check.pedestrian_kmh",
        approach.latency,
        approach.confirmation,
        approach.brake.delay()
    )]
}

/// At the end of a fact that a stop fails by.
const TOO_SHORT: &str = ": TOO SHORT";

/// Facts of the geometry that nobody asked for and everybody should know.
fn facts(
    config: &Config,
    function: Function,
    calibration: &CalibrationFile,
    mount: &MountSection,
) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let Some([across, _]) = calibration.lens().field_of_view(calibration.picture) else { return all };
    let half = (across / 2.0).to_radians() - mount.yaw_deg.to_radians().abs();
    if half <= 0.02 {
        return all;
    }
    if function == Function::StopSign {
        let side = f64::from(config.stop_sign.max_right_m.max(config.stop_sign.max_left_m));
        let leaves = if half < 1.55 { side / half.tan() - mount.front_m } else { 0.0 };
        let carried = f64::from(config.stop_sign.carry_m);
        let verdict = if leaves <= carried { "" } else { TOO_SHORT };
        all.push((
            "leaves the picture".into(),
            format!("{leaves:.1} m before the front when it stands {side:.0} m beside; carried on for up to {carried:.0} m{verdict}"),
        ));
    } else {
        const WALKING: f64 = 5.0;
        let slowest = if half < 1.55 { kmh(mps(WALKING) / half.tan()) } else { 0.0 };
        all.push((
            "crossing".into(),
            format!("a person who walks into our path at {WALKING:.0} km/h is in the picture above {slowest:.0} km/h of our own"),
        ));
    }
    all
}

fn fall(config: &Config, sight: &Sight, rate: Option<f64>, unseen: f64) -> FunctionReport {
    let report = |verdict, summary: String, advice: Vec<String>| FunctionReport {
        function: "fall",
        verdict,
        summary,
        advice,
        proof: None,
    };
    let sees = |seer: &Seer| !sight::labels(&seer.manifest, Function::Fall).is_empty();
    if !sight.models.iter().any(sees) {
        let advice = "name its labels in the manifest's [roles]: pedestrian, and fallen where it tells";
        return report(Verdict::Refused, "no model looks for persons".into(), vec![advice.into()]);
    }
    let least = f64::from(config.fall.min_frame_rate);
    match rate {
        None => report(
            Verdict::Refused,
            "not proven: the frame rate is not known".into(),
            vec!["see the lines above".into()],
        ),
        Some(rate) if rate + 1e-6 < least => {
            let advice = format!(
                "a faster model or camera, or fall.min_frame_rate = {} where that is meant",
                rate.floor()
            );
            report(
                Verdict::Refused,
                format!("{rate:.1} frames per second are looked at, fall.min_frame_rate asks for {least}"),
                vec![advice],
            )
        }
        Some(rate) => {
            let told = format!(
                "{rate:.1} frames per second are looked at, {least} are needed; told {:.1} s after a fall at the \
                earliest",
                f64::from(config.fall.dwell_s) + unseen
            );
            report(Verdict::Passed, told, Vec::new())
        }
    }
}

fn watch(config: &Config, sight: &Sight) -> FunctionReport {
    let has = |name: &str| sight.models.iter().any(|seer| seer.manifest.roles.contains_key(name));
    let lacking: Vec<&str> =
        config.watch.iter().map(|watch| watch.name.as_str()).filter(|name| !has(name)).collect();
    let (verdict, summary, advice) = if lacking.is_empty() {
        (Verdict::Passed, format!("{} classes are watched", config.watch.len()), Vec::new())
    } else {
        let advice = "name their labels in a manifest's [roles] under these names".to_owned();
        (Verdict::Refused, format!("no model of this camera has the roles {lacking:?}"), vec![advice])
    };
    FunctionReport { function: "watch", verdict, summary, advice, proof: None }
}
