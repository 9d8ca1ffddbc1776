//! Identifiers, frames, and what error frames say (`linux/can.h`, `linux/can/error.h`).

use std::fmt;

use socketcan::id::FdFlags;
use socketcan::{
    CanAnyFrame, CanDataFrame, CanErrorFrame, CanFdFrame, EmbeddedFrame as _, ExtendedId, Id, StandardId,
};

/// Most bytes of a classic frame.
pub const CLASSIC_BYTES: usize = 8;
/// Most bytes of a CAN FD frame.
pub const MOST_BYTES: usize = 64;

const EXTENDED: u32 = 0x8000_0000;
const REMOTE: u32 = 0x4000_0000;

/// A frame's identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BusId {
    /// 11 bits.
    Standard(u16),
    /// 29 bits.
    Extended(u32),
}

impl BusId {
    /// What of the kernel's identifier word a filter compares: identifier, width, and that it is a data frame.
    pub(crate) const MASK: u32 = EXTENDED | REMOTE | 0x1FFF_FFFF;

    /// The kernel's identifier word: the identifier, bit 31 set where it has 29 bits. DBC files number messages so too.
    pub const fn word(self) -> u32 {
        match self {
            Self::Standard(id) => id as u32,
            Self::Extended(id) => id | EXTENDED,
        }
    }

    /// From an identifier word; `None` where the identifier has more bits than it may.
    pub const fn from_word(word: u32) -> Option<Self> {
        let id = word & !EXTENDED;
        match word & EXTENDED != 0 {
            true if id <= 0x1FFF_FFFF => Some(Self::Extended(id)),
            #[allow(clippy::cast_possible_truncation, reason = "11 bits")]
            false if id <= 0x7FF => Some(Self::Standard(id as u16)),
            _ => None,
        }
    }
}

impl fmt::Display for BusId {
    /// As `candump` writes it: three digits, or eight.
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Standard(id) => write!(to, "{id:03X}"),
            Self::Extended(id) => write!(to, "{id:08X}"),
        }
    }
}

/// A data frame: classic (up to 8 bytes) or CAN FD (up to 64).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BusFrame {
    /// Its identifier.
    pub id: BusId,
    /// Whether it is a CAN FD frame.
    pub fd: bool,
    /// CAN FD: the data are sent at the second, faster bit rate.
    pub rate_switch: bool,
    length: u8,
    data: [u8; MOST_BYTES],
}

impl BusFrame {
    /// A frame with `data`: classic up to 8 bytes, else CAN FD with bit rate switch. `None`: longer than 64 bytes, or not
    /// a length that CAN FD has (8, 12, 16, 20, 24, 32, 48, 64).
    pub fn new(id: BusId, data: &[u8]) -> Option<Self> {
        let fd = data.len() > CLASSIC_BYTES;
        (!fd || CanFdFrame::is_valid_data_len(data.len())).then(|| Self::with(id, data, fd, fd)).flatten()
    }

    /// Its data.
    pub fn data(&self) -> &[u8] {
        &self.data[..usize::from(self.length).min(MOST_BYTES)]
    }

    pub(super) fn classic(word: u32, data: &[u8]) -> Option<Self> {
        Self::with(BusId::from_word(word)?, data, false, false)
    }

    pub(super) fn flexible(word: u32, data: &[u8], rate_switch: bool) -> Option<Self> {
        Self::with(BusId::from_word(word)?, data, true, rate_switch)
    }

    /// A CAN FD frame of a log, of any length it has.
    pub(crate) fn flexible_logged(id: BusId, data: &[u8]) -> Option<Self> {
        Self::with(id, data, true, false)
    }

    fn with(id: BusId, from: &[u8], fd: bool, rate_switch: bool) -> Option<Self> {
        let mut data = [0; MOST_BYTES];
        data.get_mut(..from.len())?.copy_from_slice(from);
        Some(Self { id, fd, rate_switch, length: u8::try_from(from.len()).ok()?, data })
    }

    /// `None` only for an identifier out of range, which the public fields of [`BusId`] allow.
    pub(super) fn to_socket(self) -> Option<CanAnyFrame> {
        let id: Id = match self.id {
            BusId::Standard(id) => StandardId::new(id)?.into(),
            BusId::Extended(id) => ExtendedId::new(id)?.into(),
        };
        if self.fd {
            let flags = if self.rate_switch { FdFlags::BRS } else { FdFlags::empty() };
            return CanFdFrame::with_flags(id, self.data(), flags).map(CanAnyFrame::Fd);
        }
        CanDataFrame::new(id, self.data()).map(CanAnyFrame::Normal)
    }
}

impl fmt::Debug for BusFrame {
    /// As `candump -L` writes it: `123#DEADBEEF`.
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}#{}", self.id, if self.fd { "#1" } else { "" })?;
        self.data().iter().try_for_each(|byte| write!(to, "{byte:02X}"))
    }
}

/// What an error frame says. Kernel drivers make them of the controller's registers; a bus in order has none.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct BusTrouble {
    class: u32,
    controller: u8,
}

impl BusTrouble {
    /// The controller has left the bus.
    pub const BUS_OFF: Self = Self { class: 0x40, controller: 0 };
    /// The controller was started again.
    pub const RESTARTED: Self = Self { class: 0x100, controller: 0 };
    /// Nobody acknowledged a frame.
    pub const NO_ACK: Self = Self { class: 0x20, controller: 0 };
    /// Error passive on sending.
    pub const PASSIVE: Self = Self { class: 0x04, controller: 0x20 };
    /// Error active again.
    pub const ACTIVE: Self = Self { class: 0x04, controller: 0x40 };

    const CONTROLLER: u32 = 0x04;
    const NAMES: [(u32, &'static str); 8] = [
        (0x01, "send time-out"),
        (0x08, "protocol violation"),
        (0x10, "transceiver"),
        (0x20, "no acknowledgement"),
        (0x40, "bus off"),
        (0x80, "bus error"),
        (0x100, "restarted"),
        (0x02, "lost arbitration"),
    ];

    /// From the class bits and the data of an error frame.
    pub(super) fn read(class: u32, data: &[u8]) -> Self {
        Self { class, controller: data.get(1).copied().unwrap_or_default() }
    }

    /// The controller has left the bus: nothing is sent or received until it is started again.
    pub const fn is_bus_off(self) -> bool {
        self.class & Self::BUS_OFF.class != 0
    }

    /// The controller was started again after it had left the bus.
    pub const fn is_restarted(self) -> bool {
        self.class & Self::RESTARTED.class != 0
    }

    /// So many errors that the controller may no longer destroy faulty frames (error passive).
    pub const fn is_passive(self) -> bool {
        self.class & Self::CONTROLLER != 0 && self.controller & 0x30 != 0
    }

    /// Few errors again.
    pub const fn is_active(self) -> bool {
        self.class & Self::CONTROLLER != 0 && self.controller & 0x40 != 0
    }

    /// Nobody acknowledged a frame: alone on the bus, or the line is cut.
    pub const fn is_without_ack(self) -> bool {
        self.class & Self::NO_ACK.class != 0
    }

    pub(super) fn to_socket(self) -> Option<CanErrorFrame> {
        CanErrorFrame::new_error(self.class, &[0, self.controller, 0, 0, 0, 0, 0, 0]).ok()
    }
}

impl fmt::Display for BusTrouble {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let controller = [(self.is_passive(), "error passive"), (self.is_active(), "error active again")];
        let classes = Self::NAMES.iter().map(|(bit, name)| (self.class & bit != 0, *name));
        let mut first = true;
        for (_, name) in controller.into_iter().chain(classes).filter(|(present, _)| *present) {
            write!(to, "{}{name}", if first { "" } else { ", " })?;
            first = false;
        }
        if first { write!(to, "controller problem {:#x}/{:#x}", self.class, self.controller) } else { Ok(()) }
    }
}

impl fmt::Debug for BusTrouble {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_keep_their_width() {
        assert_eq!(BusId::from_word(0x123), Some(BusId::Standard(0x123)));
        assert_eq!(BusId::from_word(0x8000_0123), Some(BusId::Extended(0x123)));
        assert_eq!(BusId::from_word(0x800), None);
        assert_eq!(BusId::Extended(0x18FF_1234).word(), 0x98FF_1234);
        assert_eq!(format!("{} {}", BusId::Standard(0x12), BusId::Extended(0x12)), "012 00000012");
    }

    #[test]
    fn a_frame_is_classic_up_to_eight_bytes() {
        let id = BusId::Standard(0x123);
        let frame = BusFrame::new(id, &[0xDE, 0xAD]).unwrap();
        assert_eq!((frame.fd, frame.data()), (false, &[0xDE, 0xAD][..]));
        assert_eq!(format!("{frame:?}"), "123#DEAD");
        assert!(BusFrame::new(id, &[0; 12]).unwrap().fd);
        assert!(BusFrame::new(id, &[0; 9]).is_none() && BusFrame::new(id, &[0; 65]).is_none());
    }

    #[test]
    fn frames_and_error_frames_survive_the_kernels_form() {
        for frame in
            [BusFrame::new(BusId::Extended(7), &[1, 2, 3]), BusFrame::new(BusId::Standard(7), &[9; 16])]
        {
            let frame = frame.unwrap();
            assert_eq!(
                super::super::heard(&frame.to_socket().unwrap()),
                Some(super::super::Heard::Frame(frame))
            );
        }
        let trouble = CanAnyFrame::Error(BusTrouble::BUS_OFF.to_socket().unwrap());
        let Some(super::super::Heard::Trouble(read)) = super::super::heard(&trouble) else {
            panic!("{trouble:?}")
        };
        assert!(read.is_bus_off() && !read.is_passive());
        assert_eq!(read.to_string(), "bus off");
        assert_eq!(BusTrouble::PASSIVE.to_string(), "error passive");
        assert!(
            BusTrouble::ACTIVE.is_active()
                && BusTrouble::RESTARTED.is_restarted()
                && BusTrouble::NO_ACK.is_without_ack()
        );
    }
}
