//! The safe-command table: what is asked of the actuators in every row (what the vehicle is in) for every column
//! (what is wrong), as data that the commander looks up and people can read.
//!
//! A column is a [`Cause`], the death of the process or the loss of the bus. Causes with the same effect on the
//! braking functions share their cells. For the last two columns nothing can be sent, so the cell says what the
//! receiver does ([`crate::receiver`] is the reference).

use core::fmt;

use crate::cause::Cause;
use crate::command::Row;
use crate::state::{Effect, Function};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Column {
    /// Nothing.
    Sound,
    /// A cause.
    Cause(Cause),
    /// The process ended, was stopped or killed: nothing is sent.
    ProcessDeath,
    /// The bus or the line is gone: nothing arrives.
    BusLost,
}

impl Column {
    /// Every column.
    pub fn all() -> impl Iterator<Item = Self> {
        let causes = Cause::all().map(Self::Cause);
        core::iter::once(Self::Sound).chain(causes).chain([Self::ProcessDeath, Self::BusLost])
    }

    /// Its column of cells.
    fn kind(self) -> usize {
        match self {
            Self::Sound => Effect::None as usize,
            Self::Cause(cause) => brake_effect(cause) as usize,
            Self::ProcessDeath => 5,
            Self::BusLost => 6,
        }
    }
}

impl fmt::Display for Column {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self {
            Self::Sound => "no fault",
            Self::Cause(cause) => cause.code(),
            Self::ProcessDeath => "process death",
            Self::BusLost => "bus lost",
        })
    }
}

/// What a cause does to braking: the worse of its effects on stop sign and pedestrian.
fn brake_effect(cause: Cause) -> Effect {
    cause.effect(Function::StopSign).max(cause.effect(Function::Pedestrian))
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Asked {
    /// What the decision asks for, within the limits.
    AsDecided,
    /// Warnings as decided; no brake is begun.
    WarningsOnly,
    /// Nothing.
    Nothing,
    /// The last value for `max_blind_s` at most, then nothing.
    LastValue,
    /// The vehicle is held.
    Hold,
    /// What is decided for other objects.
    OtherObjects,
    /// Nothing is sent: the receiver's time-out acts.
    NotSent,
}

/// How the deceleration gets from what it was to what is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ramp {
    /// There is none to change.
    None,
    /// Up within the request's and the configured jerk, down within the release jerk.
    Limited,
    /// Down to nothing within the release jerk.
    Out,
}

/// What stays although its reason is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Latch {
    /// Nothing.
    None,
    /// The last value, for `max_blind_s`.
    BlindTime,
    /// The hold: no fault and no timer drops it.
    Standstill,
    /// The override, for that object.
    Object,
}

/// Who ends what the cell asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClearedBy {
    /// The next decision.
    Decision,
    /// The end of the fault, recovery time included.
    Recovery,
    /// A fresh decision for the same object after the end of the fault; else the blind time.
    SightOfObject,
    /// A fresh driver action whose counter and checksum are right.
    Driver,
    /// The object's end.
    ObjectGone,
    /// Frames whose protection is right, after a new start.
    Restart,
}

/// One cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cell {
    /// What is asked for.
    pub asked: Asked,
    /// The valid bit, once nothing is ramping out any more. While something is, it stays set.
    pub valid: bool,
    /// How the deceleration moves.
    pub ramp: Ramp,
    /// What stays.
    pub latch: Latch,
    /// Who ends it.
    pub cleared_by: ClearedBy,
}

const fn cell(asked: Asked, valid: bool, ramp: Ramp, latch: Latch, cleared_by: ClearedBy) -> Cell {
    Cell { asked, valid, ramp, latch, cleared_by }
}

/// Rows as [`Row`]; columns: by [`Effect`] none, told, no new brake, blind, lost; then process death, bus lost.
const CELLS: [[Cell; 7]; 5] = {
    use Asked::{AsDecided, Hold, LastValue, NotSent, Nothing, OtherObjects, WarningsOnly};
    use ClearedBy::{Decision, Driver, ObjectGone, Recovery, Restart, SightOfObject};
    let decided = cell(AsDecided, true, Ramp::Limited, Latch::None, Decision);
    let warnings = cell(WarningsOnly, true, Ramp::None, Latch::None, Recovery);
    let nothing = cell(Nothing, false, Ramp::None, Latch::None, Recovery);
    let silent = cell(NotSent, false, Ramp::None, Latch::None, Restart);
    let unheard = cell(NotSent, false, Ramp::None, Latch::None, Recovery);
    let running_out = cell(LastValue, true, Ramp::Out, Latch::BlindTime, SightOfObject);
    let held = cell(Hold, true, Ramp::Limited, Latch::Standstill, Driver);
    let others = cell(OtherObjects, true, Ramp::Limited, Latch::Object, ObjectGone);
    let overridden_blind = cell(WarningsOnly, true, Ramp::Out, Latch::Object, ObjectGone);
    [
        [decided, decided, warnings, warnings, nothing, silent, unheard],
        [decided, decided, warnings, warnings, nothing, silent, unheard],
        [
            decided,
            decided,
            decided,
            running_out,
            running_out,
            cell(NotSent, false, Ramp::Out, Latch::None, Restart),
            cell(NotSent, false, Ramp::Out, Latch::None, Recovery),
        ],
        [
            held,
            held,
            held,
            held,
            held,
            cell(NotSent, false, Ramp::None, Latch::Standstill, Driver),
            cell(NotSent, false, Ramp::None, Latch::Standstill, Driver),
        ],
        [
            others,
            others,
            overridden_blind,
            overridden_blind,
            cell(Nothing, false, Ramp::Out, Latch::Object, ObjectGone),
            cell(NotSent, false, Ramp::Out, Latch::None, Restart),
            cell(NotSent, false, Ramp::Out, Latch::None, Recovery),
        ],
    ]
};

impl Row {
    /// Every row.
    pub const ALL: [Self; 5] = [Self::Idle, Self::Warning, Self::Braking, Self::Holding, Self::Overridden];

    /// The text in records and metrics.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Warning => "warning",
            Self::Braking => "braking",
            Self::Holding => "holding",
            Self::Overridden => "overridden",
        }
    }

    /// The number on the bus.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The row of a number as [`Row::number`] gives it.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

/// The cell for a row and a column.
pub fn look_up(row: Row, column: Column) -> Cell {
    CELLS[row as usize][column.kind()]
}

/// The cell for a row and what the present faults do to the function in question.
pub(crate) const fn of_effect(row: Row, effect: Effect) -> Cell {
    CELLS[row as usize][effect as usize]
}

impl fmt::Display for Cell {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self.asked {
            Asked::AsDecided => "as decided",
            Asked::WarningsOnly => "warnings only",
            Asked::Nothing => "nothing",
            Asked::LastValue => "last value",
            Asked::Hold => "hold",
            Asked::OtherObjects => "other objects only",
            Asked::NotSent => "nothing sent",
        })?;
        to.write_str(match (self.asked, self.valid) {
            (Asked::NotSent, _) => "",
            (_, true) => "; valid",
            (_, false) => "; not valid",
        })?;
        to.write_str(match self.ramp {
            Ramp::None => "",
            Ramp::Limited => "; ramp limited",
            Ramp::Out => "; ramps out",
        })?;
        to.write_str(match self.latch {
            Latch::None => "",
            Latch::BlindTime => " after max_blind_s",
            Latch::Standstill => "; latched at standstill",
            Latch::Object => "; latched for the object",
        })?;
        to.write_str(match self.cleared_by {
            ClearedBy::Decision => "; until the next decision",
            ClearedBy::Recovery => "; until the fault is over",
            ClearedBy::SightOfObject => "; until the object is seen again",
            ClearedBy::Driver => "; until the driver acts",
            ClearedBy::ObjectGone => "; until the object is gone",
            ClearedBy::Restart => "; until a new start",
        })
    }
}

/// Writes the whole table as Markdown: one line per group of columns with the same cells. The README holds exactly
/// this text, and `stopline check` prints it.
pub fn write(to: &mut dyn fmt::Write) -> fmt::Result {
    to.write_str("| what is wrong |")?;
    for row in Row::ALL {
        write!(to, " {} |", row.code())?;
    }
    to.write_str("\n|---|---|---|---|---|---|\n")?;
    for kind in 0..CELLS[0].len() {
        to.write_str("| ")?;
        for (place, column) in Column::all().filter(|column| column.kind() == kind).enumerate() {
            write!(to, "{}{column}", if place == 0 { "" } else { ", " })?;
        }
        to.write_str(" |")?;
        for cells in &CELLS {
            write!(to, " {} |", cells[kind])?;
        }
        to.write_str("\n")?;
    }
    Ok(())
}

/// Writes what each cause does to each function as Markdown, with its recovery time.
pub fn write_policy(to: &mut dyn fmt::Write) -> fmt::Result {
    to.write_str("| code | cause |")?;
    for function in Function::ALL {
        write!(to, " {} |", function.code())?;
    }
    to.write_str(" gone after |\n|---|---|---|---|---|---|---|\n")?;
    for cause in Cause::all() {
        write!(to, "| {} | `{cause}` |", cause.number())?;
        for function in Function::ALL {
            write!(to, " {} |", cause.effect(function).code())?;
        }
        writeln!(to, " {} ms |", cause.policy().recovery_ms)?;
    }
    Ok(())
}

impl Effect {
    /// The text in tables.
    pub const fn code(self) -> &'static str {
        match self {
            Self::None => "–",
            Self::Told => "told",
            Self::NoNewBrake => "no new brake",
            Self::Blind => "blind",
            Self::Lost => "lost",
        }
    }
}

#[cfg(test)]
mod tests;
