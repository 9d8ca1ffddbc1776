//! From the file to the database.

use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use can_dbc::{
    AttributeValue, ByteOrder, Dbc, MultiplexIndicator, NumericValue, SignalExtendedValueType, ValueType,
};

use super::layout::{Form, Layout, Order};
use super::{Database, DbcError, LARGEST, Message, Signal, Switched};
use crate::can::frame::{BusId, MOST_BYTES};

pub(super) fn file(path: &Path) -> Result<Database, DbcError> {
    let wrong = |source| DbcError::Read { path: path.into(), source };
    let opened = std::fs::File::open(path).map_err(wrong)?;
    let mut bytes = Vec::new();
    // Bounded by what is read, not by what the file system says: it may be a pipe.
    opened.take(LARGEST + 1).read_to_end(&mut bytes).map_err(wrong)?;
    if bytes.len() as u64 > LARGEST {
        return Err(DbcError::TooLarge { path: path.into(), found: bytes.len() as u64 });
    }
    let decoded = match String::from_utf8(bytes) {
        Ok(decoded) => decoded,
        Err(error) => error.as_bytes().iter().map(|byte| char::from(*byte)).collect(),
    };
    text(&decoded, &path.display().to_string())
}

pub(super) fn text(text: &str, file: &str) -> Result<Database, DbcError> {
    let grammar = |what: String| DbcError::Grammar { file: file.into(), what };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let odd = odd_identifier(text);
    let dbc = Dbc::try_from(text).map_err(|error| grammar(in_one_line(&error.to_string())))?;
    if let Some(what) = odd {
        return Err(grammar(what));
    }
    if dbc.messages.is_empty() {
        return Err(grammar("it has no messages (lines that begin with BO_)".into()));
    }
    // The place of signals that belong to no message.
    let real = dbc.messages.iter().filter(|message| message.name != "VECTOR__INDEPENDENT_SIG_MSG");
    Ok(Database { messages: real.filter_map(|from| message(&dbc, from)).collect() })
}

/// `can-dbc` cuts an 11-bit identifier that has more bits, which would make it another message's: the line of one.
fn odd_identifier(text: &str) -> Option<String> {
    text.lines().enumerate().find_map(|(line, text)| {
        let word = text.strip_prefix("BO_ ")?.split_whitespace().next()?;
        let number: u64 = word.parse().ok()?;
        let fits = u32::try_from(number).is_ok_and(|number| number & 0x8000_0000 != 0 || number <= 0x7FF);
        let what = "expected up to 2047, or 2147483648 and above for identifiers of 29 bits";
        (!fits).then(|| format!("line {}: identifier {number}; {what}", line + 1))
    })
}

/// The parser's message draws the place over several lines.
fn in_one_line(message: &str) -> String {
    let place = message.lines().find_map(|line| line.trim().strip_prefix("--> "));
    let wanted = message.lines().find_map(|line| line.trim().strip_prefix("= "));
    match (place, wanted) {
        (Some(place), Some(wanted)) => {
            let (line, column) = place.split_once(':').unwrap_or((place, "1"));
            format!("line {line}, column {column}: {wanted}")
        }
        _ => message.split_whitespace().collect::<Vec<_>>().join(" "),
    }
}

/// `None` for one without an identifier that can be on a bus.
fn message(dbc: &Dbc, from: &can_dbc::Message) -> Option<Message> {
    let id = match from.id {
        can_dbc::MessageId::Standard(id) => BusId::Standard(id),
        can_dbc::MessageId::Extended(id) => BusId::Extended(id),
    };
    let size = usize::try_from(from.size).ok().filter(|size| *size <= MOST_BYTES);
    let mut signals: Vec<Signal> = from
        .signals
        .iter()
        .map(|signal| self::signal(dbc, from.id, signal, size.unwrap_or_default()))
        .collect();
    for (at, signal) in signals.iter_mut().enumerate() {
        match switched(dbc, from, at) {
            Ok(switched) => signal.switched = switched,
            Err(what) => signal.layout = Err(what),
        }
    }
    refuse_circles(&mut signals);
    let cycle = match dbc.resolved_message_attribute(from.id, "GenMsgCycleTime") {
        Some(AttributeValue::Uint(millis)) => Some(*millis),
        Some(AttributeValue::Int(millis)) => u64::try_from(*millis).ok(),
        _ => None,
    };
    let cycle = cycle.filter(|millis| *millis > 0 && *millis < 3_600_000).map(Duration::from_millis);
    Some(Message { id, name: from.name.clone(), size: size.unwrap_or_default(), cycle, signals })
}

fn signal(dbc: &Dbc, message: can_dbc::MessageId, from: &can_dbc::Signal, bytes: usize) -> Signal {
    let order = match from.byte_order {
        ByteOrder::LittleEndian => Order::Little,
        ByteOrder::BigEndian => Order::Big,
    };
    let form = match (dbc.extended_value_type_for_signal(message, &from.name), from.value_type) {
        (Some(SignalExtendedValueType::IEEEfloat32Bit), _) => Form::Single,
        (Some(SignalExtendedValueType::IEEEdouble64bit), _) => Form::Double,
        (_, ValueType::Signed) => Form::Signed,
        (_, ValueType::Unsigned) => Form::Unsigned,
    };
    let scaled = from.factor.is_finite() && from.factor != 0.0 && from.offset.is_finite();
    let layout = if scaled {
        Layout::new(from.start_bit, from.size, order, form, bytes)
    } else {
        Err(format!("its scale ({}, {}) cannot be", from.factor, from.offset))
    };
    let (least, most) = (number(from.min), number(from.max));
    Signal {
        name: from.name.clone(),
        layout,
        factor: from.factor,
        offset: from.offset,
        range: (least < most).then_some((least, most)),
        unit: from.unit.clone(),
        switched: None,
    }
}

#[allow(clippy::cast_precision_loss, reason = "bounds of physical values")]
fn number(value: NumericValue) -> f64 {
    match value {
        NumericValue::Uint(value) => value as f64,
        NumericValue::Int(value) => value as f64,
        NumericValue::Double(value) => value,
    }
}

/// By whom a signal is selected: as `SG_MUL_VAL_` says, else by the message's one selector.
fn switched(dbc: &Dbc, message: &can_dbc::Message, at: usize) -> Result<Option<Switched>, String> {
    let signal = &message.signals[at];
    let extended = dbc
        .extended_multiplex
        .iter()
        .find(|extended| extended.message_id == message.id && extended.signal_name == signal.name);
    if let Some(extended) = extended {
        let by = message.signals.iter().position(|other| other.name == extended.multiplexor_signal_name);
        let by =
            by.ok_or_else(|| format!("its selector {} is not there", extended.multiplexor_signal_name))?;
        let values = extended.mappings.iter().map(|mapping| (mapping.min_value, mapping.max_value)).collect();
        return Ok(Some(Switched { by, values }));
    }
    let (MultiplexIndicator::MultiplexedSignal(value)
    | MultiplexIndicator::MultiplexorAndMultiplexedSignal(value)) = signal.multiplexer_indicator
    else {
        return Ok(None);
    };
    let selects = |other: &&can_dbc::Signal| other.multiplexer_indicator == MultiplexIndicator::Multiplexor;
    let mut selectors = message.signals.iter().enumerate().filter(|(_, other)| selects(other));
    match (selectors.next(), selectors.next()) {
        (Some((by, _)), None) => Ok(Some(Switched { by, values: vec![(value, value)] })),
        _ => Err("it is multiplexed, and the message has not exactly one selector (M)".into()),
    }
}

/// A signal whose chain of selectors never ends cannot be read.
fn refuse_circles(signals: &mut [Signal]) {
    for at in 0..signals.len() {
        let (mut place, mut steps) = (at, 0);
        while let Some(switched) = &signals[place].switched {
            place = switched.by;
            steps += 1;
            if steps > signals.len() {
                break;
            }
        }
        if steps > signals.len() {
            signals[at].switched = None;
            signals[at].layout = Err("its selectors select each other".into());
        }
    }
}
