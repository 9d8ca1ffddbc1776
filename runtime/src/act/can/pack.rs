//! A command as the bytes of a frame, by DBC file and signal names.

use stopline_decide::command::Command;
use stopline_decide::decision::WarnLevel;
use stopline_decide::e2e;
use stopline_decide::frame::{self, Payload};
use stopline_decide::time::Nanos;
use stopline_sensors::can::frame::{BusFrame, BusId, MOST_BYTES};
use stopline_sensors::dbc::{Database, DbcError, Message};

use super::super::ActError;
use super::super::config::{FrameConfig, Part};

/// Makes frames. Nothing is allocated after it is made.
pub struct Packer {
    message: Message,
    /// Constants and selectors, everything else 0.
    blank: [u8; MOST_BYTES],
    carried: Vec<Carried>,
    sender: e2e::Sender,
}

struct Carried {
    part: Part,
    signal: usize,
    factor: f64,
    offset: f64,
}

/// The signals of `stopline-decide`'s own message.
const OWN: [(Part, &str); 12] = [
    (Part::Valid, "Valid"),
    (Part::Deceleration, "Deceleration"),
    (Part::Hold, "Hold"),
    (Part::ParkingBrake, "ParkingBrake"),
    (Part::Disengage, "Disengage"),
    (Part::Warn, "Warn"),
    (Part::Row, "Row"),
    (Part::MonitoringLost, "MonitoringLost"),
    (Part::PersonsDown, "PersonsDown"),
    (Part::Cause, "Cause"),
    (Part::ObjectAgeMs, "ObjectAge"),
    (Part::DecisionAgeMs, "DecisionAge"),
];

impl Packer {
    /// As configured for the actuator `name`.
    ///
    /// # Errors
    /// The file cannot be read, a message or signal is not there or overlaps another or the checksum, or a constant is out
    /// of range.
    pub fn new(name: &str, config: &FrameConfig) -> Result<Self, ActError> {
        let dbc = |key: &str, source| ActError::Dbc { name: name.into(), key: key.into(), source };
        let database = match &config.dbc {
            Some(path) => Database::read(path),
            None => Database::parse(frame::DBC),
        };
        let database = database.map_err(|source| dbc("dbc", source))?;
        let message = database.message(config.message.as_deref().unwrap_or(frame::MESSAGE));
        let message = message.map_err(|source| dbc("message", source))?.clone();
        let named = |part: Part, signal: &str, factor, offset| {
            let key = format!("signals.{}", part.name());
            let number = message.signal(signal).map_err(|source| dbc(&key, source))?;
            Ok(Carried { part, signal: number, factor, offset })
        };
        let carried: Result<Vec<Carried>, ActError> = if config.signals.is_empty() {
            OWN.iter().map(|(part, signal)| named(*part, signal, 1.0, 0.0)).collect()
        } else {
            let parts = config.signals.iter().map(|(part, carrier)| (*part, carrier.parts()));
            parts.map(|(part, (signal, factor, offset))| named(part, signal, factor, offset)).collect()
        };
        let carried = carried?;
        let sender = e2e::Sender::new(config.e2e, message.size)
            .map_err(|error| wrong(name, format!("e2e: {error} (message {})", message.name)))?;
        let mut packer = Self { message, blank: [0; MOST_BYTES], carried, sender };
        packer.fill_blank(config).map_err(|source| dbc("constants", source))?;
        packer.refuse_overlaps(name)?;
        BusFrame::new(packer.message.id, packer.bytes()).ok_or_else(|| {
            wrong(name, format!("message {} has a length that no frame has", packer.message.name))
        })?;
        Ok(packer)
    }

    /// The identifier of its frames.
    pub fn id(&self) -> BusId {
        self.message.id
    }

    /// The period that the DBC file states.
    pub fn cycle(&self) -> Option<std::time::Duration> {
        self.message.cycle
    }

    /// The frame of `command`: next counter, checksum. What is not armed or not valid asks for nothing in it.
    /// [`Self::take_back`] if it was not sent.
    pub fn frame(&mut self, command: &Command) -> Option<BusFrame> {
        let mut data = self.blank;
        self.write(command, &mut data);
        let data = data.get_mut(..self.message.size)?;
        if !self.sender.protect(data) {
            return None;
        }
        BusFrame::new(self.message.id, data)
    }

    /// What [`Self::frame`] gives, without counting on.
    pub fn shown(&self, command: &Command) -> Option<BusFrame> {
        let mut data = self.blank;
        self.write(command, &mut data);
        let data = data.get_mut(..self.message.size)?;
        let protected = self.sender.clone().protect(data);
        BusFrame::new(self.message.id, data).filter(|_| protected)
    }

    /// The counter as it is, to be given back where the next frame is not sent.
    pub fn counter(&self) -> e2e::Sender {
        self.sender.clone()
    }

    /// The counter of a frame that was not sent is used again: a receiver has not seen it.
    pub fn take_back(&mut self, counter: e2e::Sender) {
        self.sender = counter;
    }

    fn write(&self, command: &Command, data: &mut [u8]) {
        let payload = Payload::from(command);
        for carried in &self.carried {
            carried.write(&payload, command, &self.message, data);
        }
    }

    fn bytes(&self) -> &[u8] {
        self.blank.get(..self.message.size).unwrap_or_default()
    }

    fn fill_blank(&mut self, config: &FrameConfig) -> Result<(), DbcError> {
        let mut blank = self.blank;
        let data = blank.get_mut(..self.message.size).unwrap_or_default();
        for carried in &self.carried {
            self.message.select(carried.signal, data)?;
        }
        for (signal, value) in &config.constants {
            let number = self.message.signal(signal)?;
            self.message.select(number, data)?;
            self.message.write(number, *value, data)?;
        }
        self.blank = blank;
        Ok(())
    }

    /// Every carried signal, at its least and its most, must be read back as written, with all the others at the opposite
    /// end and the checksum in place.
    fn refuse_overlaps(&self, name: &str) -> Result<(), ActError> {
        let layout = |number: usize| self.message.signals()[number].layout();
        for one in &self.carried {
            for high in [false, true] {
                let mut data = self.blank;
                let ends = |number: usize, high: bool| {
                    let size = layout(number).map_or(1, |layout| u32::from(layout.size()));
                    if high { u64::MAX >> (64 - size.clamp(1, 64)) } else { 0 }
                };
                self.message.write_raw(one.signal, ends(one.signal, high), &mut data);
                for other in self.carried.iter().filter(|other| other.signal != one.signal) {
                    self.message.write_raw(other.signal, ends(other.signal, !high), &mut data);
                }
                let whole = data.get_mut(..self.message.size).unwrap_or_default();
                let protected = self.sender.clone().protect(whole);
                let read = self.message.raw(one.signal, whole);
                if !protected || read != Some(ends(one.signal, high)) {
                    let signal = &self.message.signals()[one.signal].name;
                    let what = format!(
                        "signal {signal} of message {} shares bits with another carried signal, a selector, the checksum or \
                         the counter; check `signals` and `e2e`",
                        self.message.name
                    );
                    return Err(wrong(name, what));
                }
            }
            let twice = self.carried.iter().filter(|other| other.signal == one.signal).count();
            if twice > 1 {
                let signal = &self.message.signals()[one.signal].name;
                return Err(wrong(
                    name,
                    format!("signal {signal} carries two parts; one signal carries one"),
                ));
            }
        }
        Ok(())
    }
}

impl Carried {
    fn write(&self, payload: &Payload, command: &Command, message: &Message, data: &mut [u8]) {
        let bit = |on: bool| f64::from(u8::from(on));
        let value = match self.part {
            Part::Valid => bit(payload.valid),
            Part::Deceleration => self.rounded_down(payload.deceleration.into(), message),
            Part::Hold => bit(payload.hold),
            Part::ParkingBrake => bit(payload.parking_brake),
            Part::Disengage => bit(payload.disengage),
            Part::Warn => match payload.warn {
                None => 0.0,
                Some(WarnLevel::Inform) => 1.0,
                Some(WarnLevel::Warn) => 2.0,
            },
            Part::Escalate => bit(command.escalate && command.armed),
            Part::Row => payload.row.number().into(),
            Part::MonitoringLost => bit(payload.monitoring_lost),
            Part::PersonsDown => payload.persons_down.into(),
            Part::Cause => payload.cause.map_or(0, |cause| cause.number()).into(),
            Part::ObjectAgeMs => self.age(payload.object_age, message),
            Part::DecisionAgeMs => self.age(payload.decision_age, message),
        };
        // Bent to what the signal can carry: less is asked for than wanted, never something else.
        message.write_clamped(self.signal, value * self.factor + self.offset, data);
    }

    /// Deceleration in whole steps of the signal, rounded down: never more is sent than asked. The small sum undoes the
    /// rounding of products. In f32, as the decision's own frame counts it (`stopline_decide::frame`): just below a whole step
    /// the last bit decides.
    #[allow(clippy::cast_possible_truncation, reason = "a deceleration is f32 to begin with")]
    fn rounded_down(&self, deceleration: f64, message: &Message) -> f64 {
        let step = (message.signals()[self.signal].factor / self.factor).abs();
        // An offset that is no multiple of the step shifts the grid.
        let shift = (self.offset - message.signals()[self.signal].offset) / self.factor;
        let steps = f64::from((((deceleration + shift) / step) as f32 + 1e-3).floor());
        let rounded = steps * step - shift;
        if rounded.is_finite() { rounded.max(0.0) } else { 0.0 }
    }

    /// Milliseconds in whole steps of the signal, rounded down, the step below the largest for that and more; the largest
    /// for none.
    #[allow(clippy::cast_precision_loss, reason = "milliseconds")]
    fn age(&self, age: Option<Nanos>, message: &Message) -> f64 {
        let signal = &message.signals()[self.signal];
        let (least, most) = signal.bounds();
        let ends = [(least - self.offset) / self.factor, (most - self.offset) / self.factor];
        let most = ends[0].max(ends[1]);
        let step = (signal.factor / self.factor).abs();
        match age {
            None => most,
            Some(age) => (((age.0 / 1_000_000) as f64 / step).floor() * step).min(most - step),
        }
    }
}

fn wrong(name: &str, what: String) -> ActError {
    ActError::Frame { name: name.to_owned(), what }
}

#[cfg(test)]
mod tests;
