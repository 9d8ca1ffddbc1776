//! GPIO lines: there, free, and which level means what. Nothing is driven: a free line is read as an input.

use gpiocdev::Request;
use gpiocdev::chip::Chip;
use gpiocdev::line::Value;

use super::Findings;
use crate::act::config::{ActuatorConfig, GpioConfig, LineMode, Pull};
use crate::config::Config;

/// Looks at every line that is named.
pub fn look(config: &Config, to: &mut Findings) {
    for actuator in &config.actuators {
        if let ActuatorConfig::Gpio(gpio) = actuator {
            one(gpio, to);
        }
    }
}

fn one(config: &GpioConfig, to: &mut Findings) {
    let about = format!("gpio {}", config.name);
    let chip = match Chip::from_path(&config.chip) {
        Ok(chip) => chip,
        Err(error) => {
            let advice = "is the chip there (gpiodetect), and this user in the group `gpio`?";
            return to.fault(&about, format!("{}: {error}", config.chip.display()), advice);
        }
    };
    let line = match chip.line_info(config.line) {
        Ok(line) => line,
        Err(error) => {
            return to.fault(
                &about,
                format!("line {}: {error}", config.line),
                "gpioinfo lists the lines there are",
            );
        }
    };
    if line.used {
        let found = format!("line {} is used by {:?}", config.line, line.consumer);
        return to.warning(&about, found, "the daemon itself, if it runs; else end the other user");
    }
    polarity(config, &about, to);
}

/// What the line shows while nobody drives it, beside what the configuration takes that to mean.
fn polarity(config: &GpioConfig, about: &str, to: &mut Findings) {
    let (on, off) = if config.active_low { ("low", "high") } else { ("high", "low") };
    let means = match config.mode {
        LineMode::Toggle => "toggling means on, standing still means off".to_owned(),
        LineMode::Level => format!("{on} means on, {off} means off"),
    };
    let request = Request::builder()
        .on_chip(&config.chip)
        .with_consumer("stopline doctor")
        .with_line(config.line)
        .as_input()
        .request();
    let shown = match request.and_then(|line| line.lone_value()) {
        Ok(value) => {
            if value == Value::Active {
                "high"
            } else {
                "low"
            }
        }
        Err(error) => {
            let advice = "a line that can only be an output cannot be looked at beforehand";
            return to.warning(about, format!("{means}; it cannot be read: {error}"), advice);
        }
    };
    let found = format!("{means}; undriven it is {shown}");
    let pulled = match config.pull {
        Pull::None => None,
        Pull::Up => Some("high"),
        Pull::Down => Some("low"),
    };
    match (config.mode, pulled) {
        (_, Some(pulled)) if pulled != shown => {
            let advice = format!(
                "the configuration says it is pulled {pulled}: measure the resistor, or correct `pull`"
            );
            to.fault(about, found, advice);
        }
        (LineMode::Level, _) if shown == on => {
            to.fault(
                about,
                found,
                "a dead process would ask for the brake: turn active_low, or the resistor, round",
            );
        }
        (LineMode::Level, None) => {
            to.warning(
                about,
                found,
                "no resistor is documented (`pull`): what a dead process leaves is chance",
            );
        }
        _ => to.ok(about, found),
    }
}
