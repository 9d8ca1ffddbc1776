//! What goes in and out beside the cameras: vehicle signals, actuators, arming, the guard's limits.

use std::sync::Arc;

use stopline_decide::decider::Function;
use stopline_sensors::clock::SystemClock;
use stopline_sensors::dbc::Database;
use stopline_sensors::signals::Quantity;
use stopline_sensors::signals::config::Source;

use super::report::{Finding, Report};
use crate::act::can::pack::Packer;
use crate::act::config::{ActuatorConfig, Arming, Kind, may_arm};
use crate::config::Config;
use crate::guard::config::Coding;
use crate::signals;

/// Looks at everything but the cameras.
pub fn check(config: &Config, report: &mut Report) {
    vehicle(config, report);
    actuators(config, report);
    arming(config, report);
    freshness(config, report);
}

fn brakes(config: &Config) -> bool {
    let braking = |function: &Function| matches!(function, Function::StopSign | Function::Pedestrian);
    config.cameras.iter().any(|camera| camera.functions.iter().any(braking))
}

fn vehicle(config: &Config, report: &mut Report) {
    let Some(vehicle) = &config.vehicle else {
        if brakes(config) {
            let advice =
                "add [vehicle] with the ego speed and the driver's signals; without a speed no brake begins";
            report.findings.push(Finding::refused("[vehicle]", "missing, and a camera is to brake", advice));
        }
        return;
    };
    let found = match vehicle.source {
        // Opening a recording or constants touches no bus.
        Source::Track | Source::Constant => {
            let opened = signals::open(vehicle, Arc::new(SystemClock), || {});
            let told = if vehicle.source == Source::Track {
                "the track can be read"
            } else {
                "constants, for benches"
            };
            opened.map(|_| told.to_owned()).map_err(|error| error.to_string())
        }
        Source::Can => dbc_signals(vehicle),
    };
    report.findings.push(match found {
        Ok(text) => Finding::passed("[vehicle]", text),
        Err(problem) => Finding::refused("[vehicle]", problem, "names must be those of the DBC file"),
    });
    if vehicle.source == Source::Constant && config.arm.armed {
        let advice = "constants are for benches: read the vehicle's bus, or set arm.armed = false";
        report.findings.push(Finding::refused(
            "[vehicle]",
            "source is constant, and arm.armed is true",
            advice,
        ));
    }
    needed(config, report);
}

fn dbc_signals(vehicle: &signals::VehicleConfig) -> Result<String, String> {
    let path = vehicle.dbc.as_ref().ok_or("no dbc")?;
    let database = Database::read(path).map_err(|error| error.to_string())?;
    for (quantity, signal) in &vehicle.signals {
        let wanted = signal.signal.as_deref().unwrap_or_default();
        let named = |error| format!("signals.{}: {error}", quantity.name());
        match &signal.message {
            Some(message) => {
                let message = database.message(message).map_err(named)?;
                message.signal(wanted).map_err(named)?;
            }
            None => {
                database.message_with(wanted).map_err(named)?;
            }
        }
    }
    Ok(format!("{} signals are in {}", vehicle.signals.len(), path.display()))
}

/// Signals without which something that is asked for never happens.
fn needed(config: &Config, report: &mut Report) {
    let Some(vehicle) = config.vehicle.as_ref().filter(|_| brakes(config)) else { return };
    let track = vehicle.source == Source::Track && vehicle.signals.is_empty();
    let has = |quantity| {
        track || vehicle.signals.contains_key(&quantity) || vehicle.constant.contains_key(&quantity)
    };
    if !has(Quantity::Speed) && !config.command.brake_without_speed {
        let advice = "add [vehicle.signals.speed]";
        report.findings.push(Finding::refused(
            "[vehicle]",
            "no ego speed: no brake would ever begin",
            advice,
        ));
    }
    let driver = has(Quantity::Accelerator) && (has(Quantity::SteeringAngle) || has(Quantity::SteeringRate));
    if !driver && !config.command.brake_without_driver_signals {
        let advice = "add accelerator and steering_angle or steering_rate to [vehicle.signals]";
        let text =
            "no accelerator or steering: the driver could not take over, and no brake would ever begin";
        report.findings.push(Finding::refused("[vehicle]", text, advice));
    }
    if !has(Quantity::Release) && !config.command.release_by_accelerator {
        let advice = "add [vehicle.signals.release], or set command.release_by_accelerator = true";
        report.findings.push(Finding::refused("[vehicle]", "nothing releases a hold at standstill", advice));
    }
}

fn actuators(config: &Config, report: &mut Report) {
    for (at, actuator) in config.actuators.iter().enumerate() {
        let about = format!("actuator {}", actuator.name());
        let finding = match actuator {
            ActuatorConfig::Can(can) => match Packer::new(&can.name, &can.frame()) {
                Ok(_) => Finding::passed(about, format!("its frame fits on {}", can.interface)),
                Err(error) => {
                    Finding::refused(about, error.to_string(), "names must be those of the DBC file")
                }
            },
            ActuatorConfig::Log(log) if log.frame.is_some() => {
                match log.frame.as_ref().map(|frame| Packer::new(&log.name, frame)) {
                    Some(Err(error)) => {
                        Finding::refused(about, error.to_string(), "names must be those of the DBC file")
                    }
                    _ => Finding::passed(about, "its frame can be made".to_owned()),
                }
            }
            ActuatorConfig::Run(run) if !run.program.exists() => Finding::refused(
                about,
                format!("{}: no such program", run.program.display()),
                "name one that is there",
            ),
            ActuatorConfig::Outbox(outbox) if !outbox.folder.is_dir() => {
                let text = format!("{}: no such folder", outbox.folder.display());
                Finding::refused(about, text, "make it, owned by the user that runs stopline")
            }
            ActuatorConfig::Gpio(_) if actuator.arming() == Arming::Never => Finding::refused(
                about,
                "a level line that may stay on when this process is dead",
                "mode = \"toggle\", or the `pull` resistor that makes it inactive when nobody drives it",
            ),
            _ => Finding::passed(about, format!("actuator[{at}], {}", actuator.kind().code())),
        };
        report.findings.push(finding);
    }
    let asks = |kind| config.actuators.iter().any(|actuator| actuator.kind() == kind);
    if brakes(config) && !asks(Kind::Can) && !asks(Kind::Gpio) {
        let advice = "add an [[actuator]] of kind can or gpio; without one decisions are only recorded";
        report.findings.push(Finding::warning(
            "[[actuator]]",
            "none that a vehicle could be braked by",
            advice,
        ));
    }
    let falls = config.cameras.iter().any(|camera| camera.functions.contains(&Function::Fall));
    if falls && !asks(Kind::Outbox) && !asks(Kind::Run) && !asks(Kind::Gpio) {
        let advice = "add an [[actuator]] of kind outbox, run or gpio";
        report.findings.push(Finding::refused("[[actuator]]", "nobody would be told of a fall", advice));
    }
}

fn arming(config: &Config, report: &mut Report) {
    if !config.arm.armed {
        report.findings.push(Finding::passed("[arm]", "not armed: commands show what would have been sent"));
        return;
    }
    report.findings.push(match may_arm(&config.actuators) {
        Ok(()) if !config.actuators.iter().any(|actuator| actuator.arming() == Arming::Alone) => {
            Finding::refused("[arm]", "armed, and no actuator may arm", "add a CAN frame or a toggling line")
        }
        Ok(()) => Finding::passed("[arm]", "may be armed by its input or command, at standstill"),
        Err(misfit) => Finding::refused(
            "[arm]",
            format!("{}: {}", misfit.key, misfit.found),
            format!("expected {}", misfit.expected),
        ),
    });
    for camera in
        config.cameras.iter().filter(|camera| camera.is_network() && camera.declared_latency_ms.is_none())
    {
        let braking = |function: &Function| matches!(function, Function::StopSign | Function::Pedestrian);
        if camera.functions.iter().any(braking) {
            let advice = "measure it and set declared_latency_ms, or take its braking functions away";
            let text = "armed, and its pictures are stamped at arrival: it may alert, never brake";
            report.findings.push(Finding::refused(format!("camera {}", camera.name), text, advice));
        }
    }
}

/// Limits that must go with the kind of pictures and the frame rate.
fn freshness(config: &Config, report: &mut Report) {
    for camera in &config.cameras {
        let about = format!("camera {}", camera.name);
        if camera.is_network() && camera.guard.coding == Coding::Raw {
            let advice = "leave guard.coding out: repeats are normal in a compressed stream, and a static scene would fail safe";
            report.findings.push(Finding::refused(
                &about,
                "guard.coding = \"raw\" for a network camera",
                advice,
            ));
        }
        let rate = config.check.frame_rate.get(&camera.name).copied();
        let rate = rate.or_else(|| camera.v4l2.as_ref().and_then(|v4l2| v4l2.fps));
        let Some(rate) = rate else { continue };
        let least = 2500.0 / rate;
        let found = f64::from(config.command.max_decision_age_ms);
        if found < least {
            let advice =
                format!("set command.max_decision_age_ms = {:.0} or more: 2.5 periods", least.ceil());
            let text = format!(
                "at {rate} frames per second every late frame is older than command.max_decision_age_ms = {found}"
            );
            report.findings.push(Finding::refused(about, text, advice));
        }
    }
}
