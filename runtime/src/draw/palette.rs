//! One colour per class: neighbours in class number are far apart in hue, and every colour reads on white and on black.

/// An sRGB colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour {
    /// 0–255.
    pub red: u8,
    /// 0–255.
    pub green: u8,
    /// 0–255.
    pub blue: u8,
}

impl Colour {
    /// Black or white, whichever reads better on this colour (relative luminance of WCAG 2, threshold 0.18).
    pub fn ink(self) -> Self {
        let linear = |value: u8| (f32::from(value) / 255.0).powf(2.2);
        let luminance = 0.2126 * linear(self.red) + 0.7152 * linear(self.green) + 0.0722 * linear(self.blue);
        let level = if luminance > 0.18 { 0 } else { 255 };
        Self { red: level, green: level, blue: level }
    }

    /// `#rrggbb`.
    pub fn css(self) -> String {
        format!("#{:02x}{:02x}{:02x}", self.red, self.green, self.blue)
    }
}

/// The colour of class number `class`, the same in pictures, videos and reports.
pub fn class_colour(class: usize) -> Colour {
    // Steps of the golden angle never come close to a hue used shortly before.
    const GOLDEN: f32 = 0.618_034;
    let step = u16::try_from(class % 4096).unwrap_or_default();
    let hue = (0.02 + f32::from(step) * GOLDEN).fract() * 6.0;
    // Every third class is pale, every third dark: hues that come close again after a few classes still differ.
    let (low, high) = [(0.22, 0.95), (0.05, 0.72), (0.48, 0.95)][class % 3];
    let ramp = |shift: f32| {
        let at = (hue + shift).rem_euclid(6.0);
        let level = (2.0 - (at - 3.0).abs()).clamp(0.0, 1.0);
        byte(low + (high - low) * (1.0 - level))
    };
    Colour { red: ramp(0.0), green: ramp(4.0), blue: ramp(2.0) }
}

/// The value is between 0 and 1.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn byte(value: f32) -> u8 {
    (value * 255.0).round() as u8
}
