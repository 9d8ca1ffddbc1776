//! `[arm]`: whether, and by whom, commands may be armed.
//!
//! Arming needs `armed = true` here *and* a physical input or a command at standstill (`stopline arm`). Neither a hot
//! reload nor anything from outside the machine can arm.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Misfit;

/// Whether, and by whom, commands may be armed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Arm {
    /// `false`: commands show what would have been sent and are never valid for a receiver.
    pub armed: bool,
    /// A switch on a GPIO line that arms while it is active, and disarms at once when it is not.
    pub input: Option<ArmInput>,
    /// Whether `stopline arm` may arm, at standstill. It lasts until `stopline arm --off` or the end of the process.
    pub command: bool,
    /// A `[[model]] onnx` is whatever lies there: nobody signed it. Armed, it may brake only where this says so; a
    /// `[[model]] bundle` is judged and needs it not.
    pub with_unsigned_models_that_may_do_anything: bool,
}

/// A GPIO line that is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArmInput {
    /// The chip's device, `/dev/gpiochip0`.
    pub chip: PathBuf,
    /// The line's number on it.
    pub line: u32,
    /// The switch pulls the line low.
    #[serde(default)]
    pub active_low: bool,
}

impl Arm {
    /// `unsigned`: the first model that nobody signed.
    pub(super) fn check(&self, unsigned: Option<&str>) -> Result<(), Misfit> {
        if let Some(model) =
            unsigned.filter(|_| self.armed && !self.with_unsigned_models_that_may_do_anything)
        {
            let expected = "[[model]] bundle, which is judged; or, on a bench, arm.with_unsigned_models_that_may_do_anything = true";
            return Err(Misfit::new(
                "arm.armed",
                format!("true, and the model {model:?} is unsigned"),
                expected,
            ));
        }
        if self.armed && self.input.is_none() && !self.command {
            let expected =
                "with `input` (a switch on a GPIO line) or `command = true` (`stopline arm` at standstill)";
            return Err(Misfit::new("arm.armed", "true alone", expected));
        }
        Ok(())
    }
}
