//! Arithmetic that has one answer on every target: comparisons written out (the order of `-0` and `+0` under
//! `f32::max` is not fixed, and NaN is swallowed), everything else through `libm`.

/// The larger of two numbers; `a` where one is no number.
pub(crate) fn larger(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

/// The smaller of two numbers; `a` where one is no number.
pub(crate) fn smaller(a: f32, b: f32) -> f32 {
    if b < a { b } else { a }
}

/// `value` kept between `least` and `most`; no number becomes `least`.
pub(crate) fn within(value: f32, least: f32, most: f32) -> f32 {
    if value > most {
        most
    } else if value >= least {
        value
    } else {
        least
    }
}

/// Magnitude.
pub(crate) fn magnitude(value: f32) -> f32 {
    if value < 0.0 { -value } else { value }
}

/// Square root of a number that rounding may have made slightly negative.
pub(crate) fn root(value: f32) -> f32 {
    libm::sqrtf(larger(0.0, value))
}

/// Kilometres per hour in metres per second.
pub(crate) fn from_kmh(kmh: f32) -> f32 {
    kmh / 3.6
}

/// Degrees in radians.
pub(crate) fn from_degrees(degrees: f32) -> f32 {
    degrees * (core::f32::consts::PI / 180.0)
}
