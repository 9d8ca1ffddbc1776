//! The receiving side: is this frame new, next, whole, and from whom it should be?

use super::{Misfit, Protection};

/// What one cycle's check found, as AUTOSAR's E2E_P01CheckStatusType tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Check {
    /// New, next in order, right.
    Ok,
    /// New and right, but so many before it were lost: no more than allowed.
    SomeLost(u8),
    /// Right, but the same counter as before.
    Repeated,
    /// Right, but more were lost than allowed, or it is out of order.
    WrongSequence,
    /// The checksum, the data id or the length is wrong.
    WrongCrc,
    /// Right, and the first one: there is nothing to compare its counter with.
    Initial,
    /// Right and in order, but not yet for long enough after a wrong sequence or a long silence.
    Sync,
    /// Nothing came.
    NoNewData,
}

impl Check {
    /// Whether the frame's content may be used.
    pub const fn is_usable(self) -> bool {
        matches!(self, Self::Ok | Self::SomeLost(_))
    }

    /// The text in logs and metrics.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::SomeLost(_) => "some_lost",
            Self::Repeated => "repeated",
            Self::WrongSequence => "wrong_sequence",
            Self::WrongCrc => "wrong_crc",
            Self::Initial => "initial",
            Self::Sync => "sync",
            Self::NoNewData => "no_new_data",
        }
    }
}

/// How much loss and silence a receiver bears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct CheckConfig {
    /// Most that the counter may move on from one good frame to the next, when nothing was missed in between. One more
    /// for each cycle in which nothing came.
    pub max_delta: u8,
    /// Cycles without a new frame after which it must prove itself again.
    pub max_no_new: u8,
    /// Good frames in order until it has.
    pub sync: u8,
}

impl Default for CheckConfig {
    /// One lost frame is borne; after 14 silent cycles, or a wrong sequence, two good frames are asked for.
    fn default() -> Self {
        Self { max_delta: 2, max_no_new: 14, sync: 2 }
    }
}

/// How often what was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Frames whose content could be used.
    pub usable: u32,
    /// Frames that were missing between usable ones.
    pub lost: u32,
    /// The same counter again.
    pub repeated: u32,
    /// Out of order, or more lost than allowed.
    pub wrong_sequence: u32,
    /// Checksum, data id or length.
    pub wrong_crc: u32,
}

/// Checks the frames of one sender: the state machine of E2E_P01Check, for every protection.
#[derive(Clone, Debug)]
pub struct Checker {
    protection: Protection,
    config: CheckConfig,
    length: usize,
    /// The last good counter; `None` before the first frame.
    last: Option<u8>,
    max_delta: u8,
    no_new: u8,
    sync: u8,
    tally: Tally,
}

impl Checker {
    /// For frames of `length` bytes.
    pub fn new(protection: Protection, config: CheckConfig, length: usize) -> Result<Self, Misfit> {
        protection.fits(length)?;
        let max_delta = config.max_delta.max(1);
        Ok(Self {
            protection,
            config,
            length,
            last: None,
            max_delta,
            no_new: 0,
            sync: 0,
            tally: Tally::default(),
        })
    }

    /// How often what was found since the start.
    pub const fn tally(&self) -> Tally {
        self.tally
    }

    /// One frame that came.
    pub fn check(&mut self, frame: &[u8]) -> Check {
        let found = self.judge(frame);
        let count = match found {
            Check::Ok | Check::SomeLost(_) => &mut self.tally.usable,
            Check::Repeated => &mut self.tally.repeated,
            Check::WrongSequence => &mut self.tally.wrong_sequence,
            Check::WrongCrc => &mut self.tally.wrong_crc,
            Check::Initial | Check::Sync | Check::NoNewData => return found,
        };
        *count = count.saturating_add(1);
        if let Check::SomeLost(lost) = found {
            self.tally.lost = self.tally.lost.saturating_add(u32::from(lost));
        }
        found
    }

    /// A cycle in which nothing came. Call it once per missed period.
    pub fn nothing(&mut self) -> Check {
        self.silent();
        Check::NoNewData
    }

    fn silent(&mut self) {
        self.no_new = self.no_new.saturating_add(1);
        let highest = self.protection.counter().map_or(0, |counter| counter.highest);
        if self.max_delta < highest {
            self.max_delta += 1;
        }
    }

    fn judge(&mut self, frame: &[u8]) -> Check {
        if frame.len() != self.length || !self.protection.is_intact(frame) {
            return Check::WrongCrc;
        }
        let Some(counter) = self.protection.counter() else { return Check::Ok };
        let received = counter.read(frame);
        if received > counter.highest {
            return Check::WrongCrc;
        }
        let Some(last) = self.last else {
            self.accept(received);
            return Check::Initial;
        };
        let delta = if received >= last { received - last } else { counter.highest - last + received + 1 };
        if delta == 0 {
            self.silent();
            Check::Repeated
        } else if delta <= self.max_delta {
            self.in_order(received, delta)
        } else {
            self.no_new = 0;
            self.sync = self.config.sync;
            self.accept(received);
            Check::WrongSequence
        }
    }

    fn in_order(&mut self, received: u8, delta: u8) -> Check {
        self.accept(received);
        let silent_for_long = self.no_new > self.config.max_no_new;
        self.no_new = 0;
        if silent_for_long {
            self.sync = self.config.sync;
        }
        if self.sync > 0 {
            self.sync -= 1;
            Check::Sync
        } else if delta == 1 {
            Check::Ok
        } else {
            Check::SomeLost(delta - 1)
        }
    }

    fn accept(&mut self, received: u8) {
        self.last = Some(received);
        self.max_delta = self.config.max_delta.max(1);
    }
}
