//! The configuration of a clip, as a user would write it: nothing in it is the demo's own.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::kit::{Clip, Kit};

/// What lies where, for one clip.
#[derive(Debug)]
pub struct Place {
    /// The configuration.
    pub config: PathBuf,
    /// What would be on the bus, and the commands: the `log` actuator's file.
    pub bus: PathBuf,
    /// Messages to the staff.
    pub outbox: PathBuf,
    /// What the daemon said.
    pub log: PathBuf,
    /// Decision records.
    pub records: PathBuf,
    /// The report, to look at in a browser.
    pub report: PathBuf,
}

impl Place {
    /// Of `clip` below `directory`. What an earlier round left is taken away.
    pub fn new(directory: &Path, clip: &Clip) -> anyhow::Result<Self> {
        let folder = directory.join(clip.name);
        let made = match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => std::fs::create_dir_all(&folder),
        };
        made.with_context(|| format!("{}: cannot be made anew", folder.display()))?;
        Ok(Self {
            config: folder.join("stopline.toml"),
            bus: folder.join("bus.jsonl"),
            outbox: folder.join("outbox"),
            log: folder.join("daemon.log"),
            records: folder.join("records.jsonl"),
            report: folder.join("report.html"),
        })
    }
}

/// The stream's socket: the same for every clip, so that the live page stays where it is.
pub fn socket(directory: &Path) -> PathBuf {
    run_directory(directory).join("stream.sock")
}

fn run_directory(directory: &Path) -> PathBuf {
    directory.join("run")
}

/// Writes the configuration of `clip`.
pub fn write(place: &Place, directory: &Path, kit: &Kit, clip: &Clip) -> anyhow::Result<()> {
    let text = text(directory, kit, clip);
    std::fs::write(&place.config, text)
        .with_context(|| format!("{}: cannot be written", place.config.display()))
}

fn text(directory: &Path, kit: &Kit, clip: &Clip) -> String {
    let mut out = format!(
        "# Made by `stopline demo`; `stopline run --config` plays it again.\nschema = 1\n\n[run]\nname = {}\n\
         directory = {}\n# For a demo nothing is kept from the rest of the machine.\nlock_memory = false\n\
         stream_pictures_per_s = 8.0\nstream_picture_width = 960\n\n[[camera]]\nname = {}\nsource = {}\n",
        quoted(&format!("stopline-demo-{}", clip.name)),
        path(&run_directory(directory)),
        quoted(clip.camera),
        path(&kit.recording(clip)),
    );
    if let Some(calibration) = kit.calibration(clip) {
        let _ = writeln!(out, "calibration = {}", path(&calibration));
    }
    let _ = writeln!(out, "functions = [{}]\n", quoted(clip.function));
    let _ = writeln!(out, "[[model]]\nname = \"detector\"\nonnx = {}\n", path(&kit.model()));
    if let Some(signals) = kit.signals(clip) {
        let _ = writeln!(out, "[vehicle]\nsource = \"track\"\nfile = {}\n", path(&signals));
    }
    out.push_str(
        "# Nothing is armed, and there is no bus here: each period's line holds the frame that an armed command\n\
         # would have been.\n[[actuator]]\nkind = \"log\"\nname = \"bus\"\nfile = \"bus.jsonl\"\nevery_period = true\n\
         frame = {}\n\n[[actuator]]\nkind = \"outbox\"\nname = \"staff\"\nfolder = \"outbox\"\nunread_s = 3600\n",
    );
    out
}

fn path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

/// As a TOML string.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
