//! Cyclic redundancy checks, bit by bit: frames are short, and a table would have to be trusted.

/// A CRC-8, most significant bit first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crc8 {
    /// The polynomial without its top bit.
    pub poly: u8,
    /// The register's first value.
    pub init: u8,
    /// Added by XOR at the end.
    pub xorout: u8,
}

/// A running sum.
#[derive(Clone, Copy, Debug)]
pub struct Running {
    crc: Crc8,
    register: u8,
}

impl Crc8 {
    /// AUTOSAR E2E Profile 1 (SWS_E2E_00083).
    pub const E2E_P01: Self = Self { poly: 0x1D, init: 0x00, xorout: 0x00 };
    /// AUTOSAR E2E Profile 2: CRC-8H2F.
    pub const E2E_P02: Self = Self { poly: 0x2F, init: 0xFF, xorout: 0xFF };

    /// The sum over no bytes yet.
    pub const fn begin(self) -> Running {
        Running { crc: self, register: self.init }
    }

    /// The sum over `bytes`.
    pub fn of(self, bytes: &[u8]) -> u8 {
        self.begin().over(bytes).end()
    }
}

impl Running {
    /// With `bytes` in it too.
    #[must_use]
    pub fn over(mut self, bytes: &[u8]) -> Self {
        for byte in bytes {
            self.register ^= byte;
            for _ in 0..8 {
                let carry = self.register & 0x80 != 0;
                self.register = (self.register << 1) ^ if carry { self.crc.poly } else { 0 };
            }
        }
        self
    }

    /// With `frame` in it too, but for the byte at `at`.
    #[must_use]
    pub fn over_all_but(self, frame: &[u8], at: u8) -> Self {
        let at = usize::from(at).min(frame.len());
        self.over(&frame[..at]).over(frame.get(at + 1..).unwrap_or_default())
    }

    /// The sum.
    pub const fn end(self) -> u8 {
        self.register ^ self.crc.xorout
    }
}

/// CRC-16 of AUTOSAR E2E Profile 5: polynomial 0x1021, start 0xFFFF, final 0x0000, over `parts` one after the other.
pub fn crc16<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u16 {
    let mut register = 0xFFFFu16;
    for byte in parts.into_iter().flatten() {
        register ^= u16::from(*byte) << 8;
        for _ in 0..8 {
            let carry = register & 0x8000 != 0;
            register = (register << 1) ^ if carry { 0x1021 } else { 0 };
        }
    }
    register
}
