//! Settings outside what the decision can work with.

use core::fmt;

/// A setting outside its bounds: which, what was found, what is allowed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OutOfBounds {
    /// The section of the configuration file.
    pub section: &'static str,
    /// The key in the section.
    pub key: &'static str,
    /// What it says.
    pub found: f32,
    /// The least it may say.
    pub least: f32,
    /// The most it may say.
    pub most: f32,
}

impl fmt::Display for OutOfBounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { section, key, found, least, most } = self;
        write!(f, "[{section}] {key} = {found}: expected {least} to {most}")
    }
}

impl core::error::Error for OutOfBounds {}

/// Checks the settings of one section.
pub(crate) struct Section(pub &'static str);

impl Section {
    /// `found` must be a number from `least` to `most`.
    pub(crate) fn holds(
        &self,
        key: &'static str,
        found: f32,
        least: f32,
        most: f32,
    ) -> Result<(), OutOfBounds> {
        if found >= least && found <= most {
            Ok(())
        } else {
            Err(OutOfBounds { section: self.0, key, found, least, most })
        }
    }

    /// The same for whole numbers; exact below 2²⁴, which all bounds are.
    #[allow(
        clippy::cast_precision_loss,
        reason = "the bounds lie below 2^24; beyond, only the message rounds"
    )]
    pub(crate) fn holds_whole(
        &self,
        key: &'static str,
        found: u32,
        least: u32,
        most: u32,
    ) -> Result<(), OutOfBounds> {
        self.holds(key, found as f32, least as f32, most as f32)
    }

    /// A part of the picture: left, upper, right, lower edge as shares of it, in order.
    pub(crate) fn region(
        &self,
        key: &'static str,
        [left, top, right, bottom]: [f32; 4],
    ) -> Result<(), OutOfBounds> {
        self.holds(key, left, 0.0, 1.0)?;
        self.holds(key, top, 0.0, 1.0)?;
        self.holds(key, right, left, 1.0)?;
        self.holds(key, bottom, top, 1.0)
    }
}
