//! The physical arming input: a switch on a GPIO line, read twenty times a second. Two readings in a row that agree count;
//! a line that cannot be read any more is a switch that is off.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gpiocdev::Request;
use gpiocdev::line::Value;
use stopline_sensors::clock::Clock;

use super::arming::Arming;
use super::notes::Notes;
use crate::config::ArmInput;

/// From one reading to the next.
const PERIOD: Duration = Duration::from_millis(50);

/// Why the input cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("arm.input: line {line} of {}: {cause}; `gpioinfo` lists chips and lines, and who uses them", chip.display())]
pub struct SwitchError {
    chip: PathBuf,
    line: u32,
    cause: gpiocdev::Error,
}

/// Reads the switch.
pub struct Switch {
    request: Request,
    line: u32,
    arming: Arc<Arming>,
    clock: Arc<dyn Clock>,
    notes: Notes,
    stop: Arc<AtomicBool>,
}

impl Switch {
    /// Takes the line.
    ///
    /// # Errors
    /// [`SwitchError`]: no such chip or line, no permission, or in use.
    pub fn open(
        input: &ArmInput,
        arming: Arc<Arming>,
        clock: Arc<dyn Clock>,
        notes: Notes,
        stop: Arc<AtomicBool>,
    ) -> Result<Self, SwitchError> {
        let mut builder = Request::builder();
        builder.on_chip(&input.chip).with_consumer("stopline-arm").with_line(input.line).as_input();
        if input.active_low {
            builder.as_active_low();
        }
        let refused = |cause| SwitchError { chip: input.chip.clone(), line: input.line, cause };
        let request = builder.request().map_err(refused)?;
        Ok(Self { request, line: input.line, arming, clock, notes, stop })
    }

    /// Runs until the process ends.
    pub fn run(self) {
        let mut settled = Settled::default();
        while !self.stop.load(Ordering::Relaxed) {
            let active = matches!(self.request.value(self.line), Ok(Value::Active));
            if let Some(active) = settled.read(active)
                && self.arming.input(active)
            {
                let (id, text) = if active {
                    ("armed", "armed by the physical input")
                } else {
                    ("disarmed", "disarmed by the physical input")
                };
                self.notes.event(id, text);
            }
            self.clock.sleep(PERIOD);
        }
    }
}

/// What the switch says, once two readings in a row agree. Off counts at once.
#[derive(Clone, Copy, Debug, Default)]
struct Settled {
    last: bool,
    /// What counts; nothing before the first off: a switch that is on when the process starts does not arm.
    counts: Option<bool>,
}

impl Settled {
    /// The new position, where it changed.
    fn read(&mut self, active: bool) -> Option<bool> {
        let agrees = active == self.last;
        self.last = active;
        let was = self.counts;
        match (active, was) {
            (false, _) => self.counts = Some(false),
            (true, Some(_)) if agrees => self.counts = Some(true),
            _ => {}
        }
        self.counts.filter(|now| was != Some(*now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn positions(readings: &[bool]) -> Vec<Option<bool>> {
        let mut settled = Settled::default();
        readings.iter().map(|active| settled.read(*active)).collect()
    }

    #[test]
    fn on_must_be_read_twice_and_off_counts_at_once() {
        let seen = positions(&[false, true, false, true, true, true, false]);
        assert_eq!(seen, [Some(false), None, None, None, Some(true), None, Some(false)]);
    }

    #[test]
    fn a_switch_that_is_on_at_the_start_does_not_arm_before_it_was_off() {
        assert_eq!(positions(&[true, true, true]), [None, None, None]);
        assert_eq!(positions(&[true, true, false, true, true]), [None, None, Some(false), None, Some(true)]);
    }
}
