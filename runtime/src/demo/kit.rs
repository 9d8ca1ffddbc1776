//! What is played: a model, and clips with what belongs to them.
//!
//! ```text
//! model.onnx  model.toml
//! clips/NAME.mp4            H.264
//! clips/CAMERA.cal.toml     lens and mount of its camera; may be missing where only falls are looked for
//! clips/NAME.track.csv      the vehicle's signals; none for a camera on a wall
//! clips/NAME.truth.json     the events that are in it (`stopline eval RECORDS --events`)
//! ```

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use stopline_depot::manifest::Manifest;

use super::bundled;
use crate::eval::events::Truth;

/// A clip, and what is decided on it.
#[derive(Debug, PartialEq, Eq)]
pub struct Clip {
    /// Its files' name.
    pub name: &'static str,
    /// For people.
    pub title: &'static str,
    /// The camera that it stands for.
    pub camera: &'static str,
    /// The function, as it is written in the configuration.
    pub function: &'static str,
}

/// The clips, in the order in which they are played.
pub const CLIPS: [Clip; 3] = [
    Clip { name: "stop_sign", title: "Stop sign approach", camera: "front", function: "stop_sign" },
    Clip { name: "pedestrian", title: "Pedestrian crossing", camera: "front", function: "pedestrian" },
    Clip { name: "fall", title: "Fall in a corridor", camera: "corridor", function: "fall" },
];

impl Clip {
    /// The clip of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        CLIPS.iter().find(|clip| clip.name == name)
    }
}

/// A folder of this form.
#[derive(Debug)]
pub struct Kit {
    folder: PathBuf,
}

impl Kit {
    /// Writes the bundled files into `folder`, which is made.
    pub fn unpack(folder: &Path) -> anyhow::Result<Self> {
        for (name, bytes) in bundled::FILES {
            let path = folder.join(name);
            let written = path.parent().map_or(Ok(()), std::fs::create_dir_all);
            let written = written.and_then(|()| std::fs::write(&path, bytes));
            written.with_context(|| format!("{}: cannot be written", path.display()))?;
        }
        Ok(Self { folder: folder.to_owned() })
    }

    /// A folder that is there.
    pub fn at(folder: &Path) -> anyhow::Result<Self> {
        let folder =
            folder.canonicalize().with_context(|| format!("{}: no such folder", folder.display()))?;
        let kit = Self { folder };
        if !kit.model().is_file() {
            bail!("{}: no such file; a kit has model.onnx, model.toml and clips/", kit.model().display());
        }
        Ok(kit)
    }

    /// The ONNX file.
    pub fn model(&self) -> PathBuf {
        self.folder.join("model.onnx")
    }

    /// The model's manifest.
    pub fn manifest(&self) -> anyhow::Result<Manifest> {
        let path = self.folder.join("model.toml");
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Manifest::from_toml(&text).with_context(|| path.display().to_string())
    }

    /// The recording.
    pub fn recording(&self, clip: &Clip) -> PathBuf {
        self.of(clip, "mp4")
    }

    /// Lens and mount, where there are any.
    pub fn calibration(&self, clip: &Clip) -> Option<PathBuf> {
        Some(self.folder.join("clips").join(format!("{}.cal.toml", clip.camera)))
            .filter(|path| path.is_file())
    }

    /// The signal track, where there is one.
    pub fn signals(&self, clip: &Clip) -> Option<PathBuf> {
        Some(self.of(clip, "track.csv")).filter(|path| path.is_file())
    }

    /// What is in the clip.
    pub fn truth(&self, clip: &Clip) -> anyhow::Result<Truth> {
        let path = self.of(clip, "truth.json");
        let json = std::fs::read(&path).with_context(|| path.display().to_string())?;
        Truth::from_json(&json).with_context(|| path.display().to_string())
    }

    fn of(&self, clip: &Clip, kind: &str) -> PathBuf {
        self.folder.join("clips").join(format!("{}.{kind}", clip.name))
    }
}
