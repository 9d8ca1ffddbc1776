//! A camera's controls by name: exposure, gain, white balance, focus, power line, HDR, IR, and whatever else the driver
//! offers. Set, read back, and reported where the camera took another value.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use v4l::v4l_sys as sys;

use super::node::ControlEntry;
use super::queue::Node;
use crate::source::SourceError;

/// What a control is set to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ControlValue {
    /// A switch; of `exposure_auto`, automatic or manual; of a button, `true` presses it.
    Switch(bool),
    /// A number in the control's unit, or the index of a menu entry; of `power_line`, 50 or 60.
    Number(i64),
    /// A menu entry by its name, or a clear beginning of it; case and punctuation do not matter.
    Choice(String),
}

/// What became of one configured control.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlReport {
    /// The name in the configuration.
    pub name: String,
    /// The value sent to the camera.
    pub set: i64,
    /// The value read back; `None` for buttons and write-only controls.
    pub found: Option<i64>,
}

impl ControlReport {
    /// Whether the camera took the value as it was sent.
    pub fn taken(&self) -> bool {
        self.found.is_none_or(|found| found == self.set)
    }
}

/// Our names for the controls that matter to a detector, and the kernel's for each; the first a camera has is used.
const NAMES: [(&str, &[u32]); 11] = [
    ("exposure_auto", &[sys::V4L2_CID_EXPOSURE_AUTO]),
    ("exposure", &[sys::V4L2_CID_EXPOSURE_ABSOLUTE, sys::V4L2_CID_EXPOSURE]),
    ("gain_auto", &[sys::V4L2_CID_AUTOGAIN]),
    ("gain", &[sys::V4L2_CID_GAIN, sys::V4L2_CID_ANALOGUE_GAIN]),
    ("white_balance_auto", &[sys::V4L2_CID_AUTO_WHITE_BALANCE]),
    ("white_balance", &[sys::V4L2_CID_WHITE_BALANCE_TEMPERATURE]),
    ("focus_auto", &[sys::V4L2_CID_FOCUS_AUTO]),
    ("focus", &[sys::V4L2_CID_FOCUS_ABSOLUTE]),
    ("power_line", &[sys::V4L2_CID_POWER_LINE_FREQUENCY]),
    ("hdr", &[HDR_SENSOR_MODE, sys::V4L2_CID_WIDE_DYNAMIC_RANGE]),
    ("ir", &[sys::V4L2_CID_FLASH_LED_MODE]),
];

/// `V4L2_CID_HDR_SENSOR_MODE` of Linux 6.3, newer than the checked-in bindings.
const HDR_SENSOR_MODE: u32 = sys::V4L2_CID_CAMERA_CLASS_BASE + 36;

/// The controls of one camera, apart from any stream: for set-up and diagnosis, and beside a running source.
pub struct ControlPanel {
    what: String,
    node: Node,
    entries: Vec<ControlEntry>,
}

impl ControlPanel {
    /// Opens a node for its controls only; a stream of another process is not disturbed.
    ///
    /// # Errors
    /// [`SourceError::Io`] where the node cannot be opened or does not list its controls.
    pub fn open(path: &Path) -> Result<Self, SourceError> {
        let what = path.display().to_string();
        let node = Node::open(path).map_err(|cause| io(&what, "open", cause))?;
        Self::of(what, &node)
    }

    pub(super) fn of(what: String, node: &Node) -> Result<Self, SourceError> {
        let entries = node.controls().map_err(|cause| io(&what, "list controls", cause))?;
        Ok(Self { what, node: node.clone(), entries })
    }

    /// The camera's own names of its controls, as [`Self::set`] takes them.
    pub fn names(&self) -> Vec<String> {
        let usable = self.entries.iter().filter(|entry| is_usable(entry));
        usable.map(|entry| plain(&entry.name)).collect()
    }

    /// The value of a control now.
    ///
    /// # Errors
    /// [`SourceError::Unsupported`] where the camera has no such control, [`SourceError::Io`] where it does not answer.
    pub fn value(&self, name: &str) -> Result<i64, SourceError> {
        let entry = self.find(name)?;
        self.node.control(entry.id, is_wide(entry)).map_err(|cause| io(&self.what, "read control", cause))
    }

    /// Sets a control and reads it back.
    ///
    /// # Errors
    /// [`SourceError::Unsupported`] for a name or a value the camera does not have, with those it has;
    /// [`SourceError::Io`] where the camera refuses it.
    pub fn set(&self, name: &str, value: &ControlValue) -> Result<ControlReport, SourceError> {
        let entry = self.find(name)?;
        let menu = self.menu(entry);
        let set = number(entry, &menu, value).map_err(|(problem, advice)| SourceError::Unsupported {
            what: format!("{}: control `{name}`", self.what),
            problem,
            advice,
        })?;
        let wide = is_wide(entry);
        self.node
            .set_control(entry.id, set, wide)
            .map_err(|cause| io(&format!("{}: control `{name}`", self.what), "set", cause))?;
        let readable = entry.kind != sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_BUTTON
            && entry.flags & sys::V4L2_CTRL_FLAG_WRITE_ONLY == 0;
        let found = readable.then(|| self.node.control(entry.id, wide)).transpose();
        let found =
            found.map_err(|cause| io(&format!("{}: control `{name}`", self.what), "read back", cause))?;
        Ok(ControlReport { name: name.to_owned(), set, found })
    }

    /// Sets all of them, the automatic ones first: a manual value is ignored while its automatic is on.
    ///
    /// # Errors
    /// As [`Self::set`], at the first that fails.
    pub fn apply(&self, wanted: &BTreeMap<String, ControlValue>) -> Result<Vec<ControlReport>, SourceError> {
        let mut order: Vec<_> = wanted.iter().collect();
        order.sort_by_key(|(name, _)| !name.contains("auto"));
        let reports: Vec<ControlReport> =
            order.into_iter().map(|(name, value)| self.set(name, value)).collect::<Result<_, _>>()?;
        for report in reports.iter().filter(|report| !report.taken()) {
            tracing::warn!(camera = self.what, control = report.name, set = report.set, found = ?report.found,
                "the camera took another value");
        }
        Ok(reports)
    }

    fn find(&self, name: &str) -> Result<&ControlEntry, SourceError> {
        let usable = || self.entries.iter().filter(|entry| is_usable(entry));
        let ids = NAMES.iter().find(|(known, _)| *known == name).map_or(&[][..], |(_, ids)| ids);
        let by_id = ids.iter().find_map(|&id| usable().find(|entry| entry.id == id));
        let found = by_id.or_else(|| usable().find(|entry| plain(&entry.name) == plain(name)));
        found.ok_or_else(|| SourceError::Unsupported {
            what: self.what.clone(),
            problem: format!("it has no control `{name}`"),
            advice: format!("it has: {}", self.names().join(", ")),
        })
    }

    fn menu(&self, entry: &ControlEntry) -> Vec<(i64, String)> {
        let integer = entry.kind == sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_INTEGER_MENU;
        if !integer && entry.kind != sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_MENU {
            return Vec::new();
        }
        // A menu is a 64-bit mask of entries at most; a driver that states more is not asked for them.
        let (first, last) = (entry.range.0.clamp(0, 63), entry.range.1.clamp(0, 63));
        let numbered = (first..=last).filter_map(|index| Some((index, u32::try_from(index).ok()?)));
        numbered
            .filter_map(|(index, raw)| Some((index, self.node.menu_entry(entry.id, raw, integer)?)))
            .collect()
    }
}

/// The number that means `value` to a control, or what is wrong with it and what to do.
fn number(
    entry: &ControlEntry,
    menu: &[(i64, String)],
    value: &ControlValue,
) -> Result<i64, (String, String)> {
    if !menu.is_empty() {
        return menu_index(entry, menu, value);
    }
    let (least, most) = entry.range;
    let button = entry.kind == sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_BUTTON;
    match *value {
        ControlValue::Switch(on) => Ok(i64::from(on)),
        ControlValue::Number(number) if button || (least..=most).contains(&number) => Ok(number),
        ControlValue::Number(number) => Err((
            format!("{number} is out of range"),
            format!("it takes {least} to {most} in steps of {}", entry.step),
        )),
        ControlValue::Choice(ref text) => {
            Err((format!("`{text}` is not a number"), format!("it takes {least} to {most}")))
        }
    }
}

fn menu_index(
    entry: &ControlEntry,
    menu: &[(i64, String)],
    value: &ControlValue,
) -> Result<i64, (String, String)> {
    let has = |index: i64| menu.iter().any(|(known, _)| *known == index).then_some(index);
    let found = match value {
        // `enum v4l2_exposure_auto_type`: 0 automatic, 1 manual, 2 shutter priority, 3 aperture priority. USB cameras
        // have 1 and 3.
        ControlValue::Switch(on) if entry.id == sys::V4L2_CID_EXPOSURE_AUTO => {
            if *on {
                has(0).or_else(|| has(3))
            } else {
                has(1)
            }
        }
        ControlValue::Switch(on) => has(i64::from(*on)),
        ControlValue::Number(hertz @ (50 | 60)) if entry.id == sys::V4L2_CID_POWER_LINE_FREQUENCY => {
            by_text(menu, &format!("{hertz} Hz"))
        }
        ControlValue::Number(index) => has(*index),
        ControlValue::Choice(text) => by_text(menu, text),
    };
    found.ok_or_else(|| {
        let entries: Vec<String> = menu.iter().map(|(index, name)| format!("{index} = {name}")).collect();
        (format!("no entry {value:?}"), format!("it takes: {}", entries.join(", ")))
    })
}

/// The entry with that name, or the only one that begins with it. `off` also means `Disabled` and `None`.
fn by_text(menu: &[(i64, String)], text: &str) -> Option<i64> {
    let bare = |name: &str| plain(name).replace('_', "");
    let asked = bare(text);
    let same = |asked: &str| menu.iter().find(|(_, name)| bare(name) == asked).map(|(index, _)| *index);
    if let Some(index) = same(&asked) {
        return Some(index);
    }
    if asked == "off" {
        return same("disabled").or_else(|| same("none"));
    }
    let mut begins = menu.iter().filter(|(_, name)| !asked.is_empty() && bare(name).starts_with(&asked));
    let only = begins.next()?;
    begins.next().is_none().then_some(only.0)
}

/// Lower case, with one `_` for each run of other signs, as `v4l2-ctl` writes names.
fn plain(name: &str) -> String {
    let mut plain = String::with_capacity(name.len());
    for letter in name.chars() {
        if letter.is_alphanumeric() {
            plain.extend(letter.to_lowercase());
        } else if !plain.is_empty() && !plain.ends_with('_') {
            plain.push('_');
        }
    }
    plain.trim_end_matches('_').to_owned()
}

fn is_usable(entry: &ControlEntry) -> bool {
    let off = sys::V4L2_CTRL_FLAG_DISABLED | sys::V4L2_CTRL_FLAG_READ_ONLY;
    let single = [
        sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_INTEGER,
        sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_BOOLEAN,
        sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_MENU,
        sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_BUTTON,
        sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_INTEGER64,
        sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_BITMASK,
        sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_INTEGER_MENU,
    ];
    entry.flags & off == 0 && single.contains(&entry.kind)
}

fn is_wide(entry: &ControlEntry) -> bool {
    entry.kind == sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_INTEGER64
}

fn io(what: &str, action: &'static str, cause: std::io::Error) -> SourceError {
    SourceError::Io { what: what.to_owned(), action, cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: u32, kind: u32, range: (i64, i64)) -> ControlEntry {
        ControlEntry { id, kind, name: "Test".into(), range, step: 1, flags: 0 }
    }

    fn menu(entries: &[(i64, &str)]) -> Vec<(i64, String)> {
        entries.iter().map(|(index, name)| (*index, (*name).to_owned())).collect()
    }

    fn choice(text: &str) -> ControlValue {
        ControlValue::Choice(text.into())
    }

    #[test]
    fn the_power_line_is_named_by_its_hertz() {
        let control =
            entry(sys::V4L2_CID_POWER_LINE_FREQUENCY, sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_MENU, (0, 3));
        let menu = menu(&[(0, "Disabled"), (1, "50 Hz"), (2, "60 Hz"), (3, "Auto")]);
        let asked = [
            (ControlValue::Number(50), 1),
            (ControlValue::Number(60), 2),
            (choice("60hz"), 2),
            (choice("60 Hz"), 2),
            (choice("off"), 0),
            (choice("auto"), 3),
            (ControlValue::Number(1), 1),
        ];
        for (asked, expected) in asked {
            assert_eq!(number(&control, &menu, &asked), Ok(expected), "{asked:?}");
        }
    }

    #[test]
    fn exposure_auto_off_means_manual_and_on_means_what_the_camera_has() {
        let control = entry(sys::V4L2_CID_EXPOSURE_AUTO, sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_MENU, (0, 3));
        let usb = menu(&[(1, "Manual Mode"), (3, "Aperture Priority Mode")]);
        assert_eq!(number(&control, &usb, &ControlValue::Switch(false)), Ok(1));
        assert_eq!(number(&control, &usb, &ControlValue::Switch(true)), Ok(3));
        let all = menu(&[(0, "Auto Mode"), (1, "Manual Mode")]);
        assert_eq!(number(&control, &all, &ControlValue::Switch(true)), Ok(0));
        assert_eq!(number(&control, &all, &choice("manual")), Ok(1));
    }

    #[test]
    fn an_entry_the_menu_lacks_is_refused_with_those_it_has() {
        let control = entry(1, sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_MENU, (0, 1));
        let menu = menu(&[(0, "Mode A"), (1, "Mode B")]);
        for wrong in [choice("mode"), choice("x"), choice(""), ControlValue::Number(2)] {
            let (_, advice) = number(&control, &menu, &wrong).unwrap_err();
            assert_eq!(advice, "it takes: 0 = Mode A, 1 = Mode B");
        }
    }

    #[test]
    fn a_number_out_of_range_is_refused_with_the_range() {
        let control = entry(1, sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_INTEGER, (-10, 255));
        assert_eq!(number(&control, &[], &ControlValue::Number(-10)), Ok(-10));
        let (problem, advice) = number(&control, &[], &ControlValue::Number(256)).unwrap_err();
        assert_eq!(problem, "256 is out of range");
        assert_eq!(advice, "it takes -10 to 255 in steps of 1");
        assert!(number(&control, &[], &choice("bright")).is_err());
    }

    #[test]
    fn names_are_written_as_v4l2_ctl_writes_them() {
        assert_eq!(plain("White Balance, Automatic"), "white_balance_automatic");
        assert_eq!(plain("Inject V4L2_BUF_FLAG_ERROR"), "inject_v4l2_buf_flag_error");
        assert_eq!(plain("  "), "");
    }

    #[test]
    fn a_value_read_back_differently_is_not_taken() {
        let report = |found| ControlReport { name: "gain".into(), set: 7, found };
        assert!(report(Some(7)).taken() && report(None).taken());
        assert!(!report(Some(8)).taken());
    }

    #[test]
    fn values_are_read_from_configuration_as_switch_number_or_choice() {
        let read = |text: &str| serde_json::from_str::<ControlValue>(text).unwrap();
        assert_eq!(read("true"), ControlValue::Switch(true));
        assert_eq!(read("-3"), ControlValue::Number(-3));
        assert_eq!(read("\"50 Hz\""), choice("50 Hz"));
    }
}
