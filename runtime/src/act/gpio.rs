//! A line of a GPIO chip: a dead-man line that toggles while something is on, or a level.

use gpiocdev::Request;
use gpiocdev::line::Value;
use stopline_decide::command::Command;
use stopline_sensors::clock::Monotonic;

use super::config::{GpioConfig, Kind, LineMode};
use super::trigger::Trigger;
use super::{ActError, Actuator, Fault, Outcome, Shown};

/// A line of a GPIO chip.
pub struct GpioActuator {
    name: String,
    line: Request,
    mode: LineMode,
    when: Trigger,
    while_unarmed: bool,
    readback: bool,
    toggle_periods: u32,
    on: bool,
    active: bool,
    /// Periods since the last edge of a toggling line.
    since_edge: u32,
}

impl GpioActuator {
    /// Takes the line and makes it inactive.
    ///
    /// # Errors
    /// No such chip or line, somebody else has it, or it cannot be read back.
    pub fn open(config: &GpioConfig) -> Result<Self, ActError> {
        let wrong = |what: String| ActError::Line {
            name: config.name.clone(),
            chip: config.chip.display().to_string(),
            line: config.line,
            what,
        };
        let mut builder = Request::builder();
        builder
            .on_chip(&config.chip)
            .with_consumer("stopline")
            .with_line(config.line)
            .as_output(Value::Inactive);
        if config.active_low {
            builder.as_active_low();
        }
        let line = builder.request().map_err(|error| {
            wrong(format!("{error}; does it exist, is it free (gpioinfo), may this user open the chip?"))
        })?;
        if config.readback && line.lone_value().is_err() {
            return Err(wrong("it cannot be read back; set readback = false for a chip that cannot".into()));
        }
        Ok(Self {
            name: config.name.clone(),
            line,
            mode: config.mode,
            when: config.when,
            while_unarmed: config.while_unarmed,
            readback: config.readback,
            toggle_periods: config.toggle_periods.max(1),
            on: false,
            active: false,
            since_edge: 0,
        })
    }

    /// Whether the line is to be active in this period. A toggling line has its first edge when it begins, and stays
    /// inactive when it ends.
    fn wanted(&mut self, on: bool) -> bool {
        let begins = on && !self.on;
        self.on = on;
        if !on || self.mode == LineMode::Level {
            return on;
        }
        self.since_edge += 1;
        if begins || self.since_edge >= self.toggle_periods {
            self.since_edge = 0;
            return !self.active;
        }
        self.active
    }

    fn set(&mut self, active: bool) -> Option<Fault> {
        let value = if active { Value::Active } else { Value::Inactive };
        if let Err(error) = self.line.set_lone_value(value) {
            return Some(system(&error));
        }
        self.active = active;
        if !self.readback {
            return None;
        }
        match self.line.lone_value() {
            Ok(read) if read == value => None,
            Ok(_) => Some(Fault::Stuck),
            Err(error) => Some(system(&error)),
        }
    }
}

impl Actuator for GpioActuator {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> Kind {
        Kind::Gpio
    }

    fn send(&mut self, _now: Monotonic, command: &Command) -> Outcome {
        let on = self.when.is_on(command, self.while_unarmed);
        let wanted = self.wanted(on);
        let fault = self.set(wanted);
        Outcome { sent: on, fault, shown: Shown::Line(self.when.would(command)) }
    }

    fn close(&mut self) {}
}

/// A chip that was unplugged says no more than that the call failed.
fn system(error: &gpiocdev::Error) -> Fault {
    match error {
        gpiocdev::Error::Os(errno) => Fault::System(errno.0),
        _ => Fault::Down,
    }
}
