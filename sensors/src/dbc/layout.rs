//! Where a signal's bits lie, and how they become a number.

/// Which byte is the more significant one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The later one (Intel, `@1`). The start bit is the least significant.
    Little,
    /// The earlier one (Motorola, `@0`). The start bit is the most significant; bits count down within a byte and go on at
    /// bit 7 of the next.
    Big,
}

/// What the bits are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Zero and above.
    Unsigned,
    /// Two's complement.
    Signed,
    /// IEEE 754, 32 bits.
    Single,
    /// IEEE 754, 64 bits.
    Double,
}

/// A signal's place in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    start: u16,
    size: u8,
    order: Order,
    form: Form,
}

impl Layout {
    /// Checked against a message of `bytes` bytes. Bit `n` is bit `n % 8` of byte `n / 8`.
    ///
    /// # Errors
    /// What is wrong: no or more than 64 bits, bits outside the message, or a number format of another size.
    pub fn new(start: u64, size: u64, order: Order, form: Form, bytes: usize) -> Result<Self, String> {
        let wanted = match form {
            Form::Single => 32..=32,
            Form::Double => 64..=64,
            Form::Signed | Form::Unsigned => 1..=64,
        };
        if !wanted.contains(&size) {
            return Err(format!("it has {size} bits; expected {} to {}", wanted.start(), wanted.end()));
        }
        let all = 8 * bytes as u64;
        let end = match order {
            Order::Little => start.checked_add(size),
            // Counted from the first byte's most significant bit.
            Order::Big => (start / 8 * 8).checked_add(7 - start % 8 + size),
        };
        match (end, u16::try_from(start), u8::try_from(size)) {
            (Some(end), Ok(start), Ok(size)) if end <= all => Ok(Self { start, size, order, form }),
            _ => Err(format!("its bits (start {start}, {size} bits) lie outside the message's {all}")),
        }
    }

    /// Its bits in `data`; `None` where `data` is too short.
    pub fn bits(&self, data: &[u8]) -> Option<u64> {
        let mut bits = 0_u64;
        self.each(|place, weight| {
            let byte = *data.get(place / 8)?;
            bits |= u64::from(byte >> (place % 8) & 1) << weight;
            Some(())
        })?;
        Some(bits)
    }

    /// Puts its bits into `data`, the others left alone. `false` where `data` is too short; then nothing is changed.
    pub fn put(&self, bits: u64, data: &mut [u8]) -> bool {
        if self.bits(data).is_none() {
            return false;
        }
        self.each(|place, weight| {
            let byte = data.get_mut(place / 8)?;
            let mask = 1 << (place % 8);
            *byte = if bits >> weight & 1 == 1 { *byte | mask } else { *byte & !mask };
            Some(())
        })
        .is_some()
    }

    /// The number that the bits are.
    #[allow(
        clippy::cast_precision_loss,
        reason = "raw values above 2^53 are rounded, as every DBC tool does"
    )]
    pub fn number(&self, bits: u64) -> f64 {
        match self.form {
            Form::Unsigned => bits as f64,
            Form::Signed => {
                let spare = 64 - u32::from(self.size);
                ((bits << spare).cast_signed() >> spare) as f64
            }
            #[allow(clippy::cast_possible_truncation, reason = "32 bits")]
            Form::Single => f64::from(f32::from_bits(bits as u32)),
            Form::Double => f64::from_bits(bits),
        }
    }

    /// The bits of the whole number next to `number` (the even one of two); `None` where they cannot hold it.
    pub fn from_number(&self, number: f64) -> Option<u64> {
        let (least, most) = self.numbers();
        let whole = number.round_ties_even();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "held to the range above")]
        match self.form {
            Form::Single => number.is_finite().then(|| u64::from((number as f32).to_bits())),
            Form::Double => number.is_finite().then(|| number.to_bits()),
            // 2^64 - 1 is no double: the cast saturates where `whole` is 2^64, which `holds` lets pass as the largest.
            Form::Unsigned => (whole >= least && whole <= most).then_some(whole as u64),
            Form::Signed => {
                (whole >= least && whole <= most).then(|| (whole as i64).cast_unsigned() & self.mask())
            }
        }
    }

    /// Whether a raw value has no more bits than this.
    pub fn holds(&self, raw: u64) -> bool {
        raw & !self.mask() == 0
    }

    /// Least and most number.
    #[allow(clippy::cast_precision_loss, reason = "as in `number`")]
    pub fn numbers(&self) -> (f64, f64) {
        match self.form {
            Form::Unsigned => (0.0, self.mask() as f64),
            Form::Signed => {
                let half = (self.mask() >> 1) as f64;
                (self.number(1 << (self.size - 1)), half)
            }
            Form::Single => (f64::from(f32::MIN), f64::from(f32::MAX)),
            Form::Double => (f64::MIN, f64::MAX),
        }
    }

    /// How many bits.
    pub fn size(&self) -> u8 {
        self.size
    }

    /// The first bit, as the file gives it.
    pub fn start(&self) -> u16 {
        self.start
    }

    /// Which byte is the more significant one.
    pub fn order(&self) -> Order {
        self.order
    }

    /// What the bits are.
    pub fn form(&self) -> Form {
        self.form
    }

    fn mask(&self) -> u64 {
        u64::MAX >> (64 - u32::from(self.size))
    }

    /// Every bit: its place in the frame, and its power of two.
    fn each(&self, mut bit: impl FnMut(usize, u32) -> Option<()>) -> Option<()> {
        let (start, size) = (usize::from(self.start), u32::from(self.size));
        match self.order {
            Order::Little => (0..size).try_for_each(|weight| bit(start + weight as usize, weight)),
            Order::Big => {
                let mut place = start;
                (0..size).rev().try_for_each(|weight| {
                    bit(place, weight)?;
                    place = if place.is_multiple_of(8) { place + 15 } else { place - 1 };
                    Some(())
                })
            }
        }
    }
}
