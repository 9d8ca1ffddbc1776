//! End-to-end protection of frames: AUTOSAR E2E Profiles 1, 2 and 5, and a checksum of one's own for what vehicle
//! makers do instead.
//!
//! Facts from AUTOSAR's *Specification of SW-C End-to-End Communication Protection Library* (SWS_E2E): Profile 1 is
//! CRC-8 with polynomial 0x1D, start and final value 0x00 (SWS_E2E_00083), over the data id's bytes first and then all
//! bytes but the CRC (SWS_E2E_00082), with a counter 0 to 14 (SWS_E2E_00075). Profile 2 is CRC-8 with polynomial 0x2F
//! and a list of data ids indexed by the counter. Profile 5 is CRC-16 with polynomial 0x1021, a counter of one byte,
//! and the data id last.

mod check;
mod crc;

pub use check::{Check, CheckConfig, Checker, Tally};
pub use crc::{Crc8, crc16};

/// Most bytes of a protected frame: CAN FD's 64.
pub const MAX_LENGTH: usize = 64;

/// How a frame is protected: checksum, counter, and who it is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(tag = "profile", rename_all = "snake_case", deny_unknown_fields))]
pub enum Protection {
    /// AUTOSAR E2E Profile 1.
    P01 {
        /// Who the frame is from; the same number on both sides.
        data_id: u16,
        /// How the data id goes into the checksum.
        #[cfg_attr(feature = "serde", serde(default))]
        mode: DataIdMode,
        /// The byte of the checksum.
        #[cfg_attr(feature = "serde", serde(default))]
        crc_byte: u8,
        /// First bit of the counter, counted from bit 0 of byte 0 upwards: 8 is the low nibble of byte 1.
        #[cfg_attr(feature = "serde", serde(default = "eight"))]
        counter_bit: u8,
        /// First bit of the data id's nibble, for [`DataIdMode::Nibble`] only.
        #[cfg_attr(feature = "serde", serde(default = "twelve"))]
        nibble_bit: u8,
    },
    /// AUTOSAR E2E Profile 2: checksum in byte 0, counter 0 to 15 in the low nibble of byte 1.
    P02 {
        /// One id per counter value.
        data_ids: [u8; 16],
    },
    /// AUTOSAR E2E Profile 5: checksum in two bytes, low byte first, then the counter in one.
    P05 {
        /// Who the frame is from.
        data_id: u16,
        /// The byte where the header of three bytes begins.
        #[cfg_attr(feature = "serde", serde(default))]
        offset: u8,
    },
    /// A CRC-8 and a counter of the maker's own.
    Custom(Custom),
}

/// How Profile 1's data id goes into the checksum (SWS_E2E_00200).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum DataIdMode {
    /// Both bytes, low first (variant 1A).
    #[default]
    Both,
    /// Low byte for even counters, high byte for odd ones (variant 1B).
    Alternating,
    /// The low byte.
    Low,
    /// Low byte, then a zero byte; the low nibble of the high byte is sent in the frame (variant 1C).
    Nibble,
}

/// A CRC-8 and a counter of the maker's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Custom {
    /// The polynomial without its top bit: 0x1D for x⁸+x⁴+x³+x²+1.
    pub poly: u8,
    /// The register's first value. (Where a source says crcmod's `initCrc`: that, XOR `xorout`.)
    pub init: u8,
    /// Added by XOR at the end.
    pub xorout: u8,
    /// Bytes that go into the checksum besides the frame's.
    #[cfg_attr(feature = "serde", serde(default))]
    pub data_id: ExtraBytes,
    /// The byte of the checksum; it is left out of the sum.
    pub crc_byte: u8,
    /// The counter; without one only corruption is found, not repetition or loss.
    #[cfg_attr(feature = "serde", serde(default))]
    pub counter: Option<Counter>,
}

/// Bytes that go into a checksum and not onto the bus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum ExtraBytes {
    /// None.
    #[default]
    None,
    /// One byte before the frame's.
    BeforeOne(u8),
    /// Two bytes before the frame's, low byte first.
    BeforeTwo(u16),
    /// One byte after the frame's.
    AfterOne(u8),
    /// Two bytes after the frame's, low byte first.
    AfterTwo(u16),
}

/// Where a counter stands and how far it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Counter {
    /// Lowest bit, counted from bit 0 of byte 0 upwards (Intel order within the byte).
    pub bit: u8,
    /// Bits, 1 to 8; all within one byte.
    pub width: u8,
    /// The highest value; after it comes 0.
    pub highest: u8,
}

#[cfg(feature = "serde")]
const fn eight() -> u8 {
    8
}

#[cfg(feature = "serde")]
const fn twelve() -> u8 {
    12
}

/// Why a protection does not fit a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// The frame has more bytes than [`MAX_LENGTH`].
    TooLong {
        /// Bytes of the frame.
        length: usize,
    },
    /// Checksum, counter or nibble lie outside the frame.
    Outside {
        /// Which of them.
        what: &'static str,
        /// The byte it needs.
        byte: usize,
        /// Bytes of the frame.
        length: usize,
    },
    /// A counter's bits do not lie within one byte, or its highest value does not fit into them.
    BadCounter {
        /// Bits.
        width: u8,
        /// Highest value.
        highest: u8,
    },
    /// Two of checksum, counter and nibble lie on the same bits.
    Overlap {
        /// The byte both are in.
        byte: usize,
    },
}

impl core::fmt::Display for Misfit {
    fn fmt(&self, to: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::TooLong { length } => {
                write!(to, "a frame of {length} bytes; expected at most {MAX_LENGTH}")
            }
            Self::Outside { what, byte, length } => {
                write!(
                    to,
                    "the {what} is in byte {byte} of a frame of {length} bytes; expected one within it"
                )
            }
            Self::BadCounter { width, highest } => {
                write!(
                    to,
                    "a counter of {width} bits up to {highest}; expected 1 to 8 bits within one byte that hold it"
                )
            }
            Self::Overlap { byte } => {
                write!(to, "checksum and counter overlap in byte {byte}; expected bits of their own for each")
            }
        }
    }
}

impl core::error::Error for Misfit {}

impl Default for Protection {
    /// Profile 1, both bytes of the data id, checksum in byte 0, counter in the low nibble of byte 1.
    fn default() -> Self {
        Self::P01 { data_id: 0x0518, mode: DataIdMode::Both, crc_byte: 0, counter_bit: 8, nibble_bit: 12 }
    }
}

impl Protection {
    /// Profile 1 with the standard places (variant 1A).
    pub const fn p01(data_id: u16, mode: DataIdMode) -> Self {
        Self::P01 { data_id, mode, crc_byte: 0, counter_bit: 8, nibble_bit: 12 }
    }

    /// Hyundai's and Kia's variant: SAE J1850's polynomial with another start and end. opendbc's `hyundaican.py` makes
    /// it with crcmod's `initCrc=0xFD, xorOut=0xDF`; crcmod's `initCrc` is the sum over nothing, so the register begins
    /// with 0xFD ^ 0xDF.
    pub const fn hyundai(crc_byte: u8, counter: Option<Counter>) -> Self {
        let (init, xorout) = (0xFD ^ 0xDF, 0xDF);
        Self::Custom(Custom { poly: 0x1D, init, xorout, data_id: ExtraBytes::None, crc_byte, counter })
    }

    /// Nissan's variant, which is plain SAE J1850: opendbc's `nissancan.py` makes it with crcmod's
    /// `initCrc=0x00, xorOut=0xFF`, so the register begins with 0x00 ^ 0xFF.
    pub const fn nissan(crc_byte: u8, counter: Option<Counter>) -> Self {
        let (init, xorout) = (0xFF, 0xFF);
        Self::Custom(Custom { poly: 0x1D, init, xorout, data_id: ExtraBytes::None, crc_byte, counter })
    }

    /// Whether it fits a frame of `length` bytes. A [`Sender`] and a [`Checker`] ask this once, at the start.
    pub fn fits(&self, length: usize) -> Result<(), Misfit> {
        if length > MAX_LENGTH {
            return Err(Misfit::TooLong { length });
        }
        let crc = usize::from(self.crc_byte());
        let crc_bytes = if matches!(self, Self::P05 { .. }) { 2 } else { 1 };
        inside("checksum", crc + crc_bytes - 1, length)?;
        let mut taken = [0u8; MAX_LENGTH];
        (crc..crc + crc_bytes).for_each(|byte| taken[byte] = 0xFF);
        if let Some(counter) = self.counter() {
            counter.fits(length)?;
            take("counter", &mut taken, counter.bit, counter.mask(), length)?;
        }
        if let Self::P01 { mode: DataIdMode::Nibble, nibble_bit, .. } = *self {
            let nibble = Counter { bit: nibble_bit, width: 4, highest: 15 };
            nibble.fits(length)?;
            take("nibble", &mut taken, nibble_bit, nibble.mask(), length)?;
        }
        Ok(())
    }

    /// Where the counter is, where there is one.
    pub const fn counter(&self) -> Option<Counter> {
        match *self {
            Self::P01 { counter_bit, .. } => Some(Counter { bit: counter_bit, width: 4, highest: 14 }),
            Self::P02 { .. } => Some(Counter { bit: 8, width: 4, highest: 15 }),
            Self::P05 { offset, .. } => {
                Some(Counter { bit: offset.saturating_add(2).saturating_mul(8), width: 8, highest: 255 })
            }
            Self::Custom(custom) => custom.counter,
        }
    }

    /// The checksum's byte, for two bytes the first.
    const fn crc_byte(&self) -> u8 {
        match *self {
            Self::P01 { crc_byte, .. } => crc_byte,
            Self::P02 { .. } => 0,
            Self::P05 { offset, .. } => offset,
            Self::Custom(custom) => custom.crc_byte,
        }
    }

    /// The checksum that a frame with this content must have. One byte unless Profile 5.
    fn checksum(&self, frame: &[u8], counter: u8) -> u16 {
        match *self {
            Self::P01 { data_id, mode, crc_byte, .. } => {
                let [low, high] = data_id.to_le_bytes();
                let crc = Crc8::E2E_P01.begin();
                let crc = match mode {
                    DataIdMode::Both => crc.over(&[low, high]),
                    DataIdMode::Alternating => {
                        crc.over(&[if counter.is_multiple_of(2) { low } else { high }])
                    }
                    DataIdMode::Low => crc.over(&[low]),
                    DataIdMode::Nibble => crc.over(&[low, 0]),
                };
                u16::from(crc.over_all_but(frame, crc_byte).end())
            }
            Self::P02 { data_ids } => {
                let id = data_ids[usize::from(counter & 0x0F)];
                u16::from(Crc8::E2E_P02.begin().over_all_but(frame, 0).over(&[id]).end())
            }
            Self::P05 { data_id, offset } => {
                let offset = usize::from(offset).min(frame.len());
                let after = frame.get(offset + 2..).unwrap_or_default();
                crc16([&frame[..offset], after, &data_id.to_le_bytes()])
            }
            Self::Custom(custom) => u16::from(custom.checksum(frame)),
        }
    }

    /// Whether the frame's checksum, and Profile 1's nibble, are right.
    fn is_intact(&self, frame: &[u8]) -> bool {
        let counter = self.counter().map_or(0, |counter| counter.read(frame));
        let at = usize::from(self.crc_byte());
        let sent = match self {
            Self::P05 { .. } => u16::from_le_bytes([frame[at], frame[at + 1]]),
            _ => u16::from(frame[at]),
        };
        let nibble_right = match *self {
            Self::P01 { mode: DataIdMode::Nibble, data_id, nibble_bit, .. } => {
                nibble(nibble_bit).read(frame) == (data_id >> 8) as u8 & 0x0F
            }
            _ => true,
        };
        nibble_right && sent == self.checksum(frame, counter)
    }

    /// Writes counter, nibble and checksum into a frame that fits.
    fn write(&self, frame: &mut [u8], value: u8) {
        if let Some(counter) = self.counter() {
            counter.write(frame, value);
        }
        if let Self::P01 { mode: DataIdMode::Nibble, data_id, nibble_bit, .. } = *self {
            nibble(nibble_bit).write(frame, (data_id >> 8) as u8 & 0x0F);
        }
        let [low, high] = self.checksum(frame, value).to_le_bytes();
        let at = usize::from(self.crc_byte());
        frame[at] = low;
        if matches!(self, Self::P05 { .. }) {
            frame[at + 1] = high;
        }
    }
}

const fn nibble(bit: u8) -> Counter {
    Counter { bit, width: 4, highest: 15 }
}

fn inside(what: &'static str, byte: usize, length: usize) -> Result<(), Misfit> {
    if byte < length { Ok(()) } else { Err(Misfit::Outside { what, byte, length }) }
}

fn take(what: &'static str, taken: &mut [u8], bit: u8, mask: u8, length: usize) -> Result<(), Misfit> {
    let byte = usize::from(bit / 8);
    inside(what, byte, length)?;
    if taken[byte] & mask != 0 {
        return Err(Misfit::Overlap { byte });
    }
    taken[byte] |= mask;
    Ok(())
}

impl Custom {
    fn checksum(&self, frame: &[u8]) -> u8 {
        let crc = Crc8 { poly: self.poly, init: self.init, xorout: self.xorout }.begin();
        let before = match self.data_id {
            ExtraBytes::BeforeOne(id) => crc.over(&[id]),
            ExtraBytes::BeforeTwo(id) => crc.over(&id.to_le_bytes()),
            _ => crc,
        };
        let over = before.over_all_but(frame, self.crc_byte);
        match self.data_id {
            ExtraBytes::AfterOne(id) => over.over(&[id]),
            ExtraBytes::AfterTwo(id) => over.over(&id.to_le_bytes()),
            _ => over,
        }
        .end()
    }
}

impl Counter {
    fn fits(self, length: usize) -> Result<(), Misfit> {
        let Self { bit, width, highest } = self;
        let one_byte = (1..=8).contains(&width) && bit % 8 + width <= 8;
        if !one_byte || highest == 0 || u16::from(highest) >= 1 << width {
            return Err(Misfit::BadCounter { width, highest });
        }
        inside("counter", usize::from(bit / 8), length)
    }

    /// Its bits within its byte.
    const fn mask(self) -> u8 {
        ((0xFFu16 >> (8 - self.width)) << (self.bit % 8)) as u8
    }

    fn read(self, frame: &[u8]) -> u8 {
        (frame[usize::from(self.bit / 8)] & self.mask()) >> (self.bit % 8)
    }

    fn write(self, frame: &mut [u8], value: u8) {
        let byte = &mut frame[usize::from(self.bit / 8)];
        *byte = *byte & !self.mask() | (value << (self.bit % 8)) & self.mask();
    }
}

/// Protects the frames of one sender: counter and checksum.
#[derive(Clone, Debug)]
pub struct Sender {
    protection: Protection,
    length: usize,
    next: u8,
}

impl Sender {
    /// For frames of `length` bytes; the first carries counter 0.
    pub fn new(protection: Protection, length: usize) -> Result<Self, Misfit> {
        protection.fits(length)?;
        Ok(Self { protection, length, next: 0 })
    }

    /// Writes counter and checksum into `frame`, and counts on. `false`, and nothing written, when the frame has not
    /// the length that was agreed at the start.
    #[must_use]
    pub fn protect(&mut self, frame: &mut [u8]) -> bool {
        if frame.len() != self.length {
            return false;
        }
        self.protection.write(frame, self.next);
        let highest = self.protection.counter().map_or(0, |counter| counter.highest);
        self.next = if self.next >= highest { 0 } else { self.next + 1 };
        true
    }
}

#[cfg(test)]
mod tests;
