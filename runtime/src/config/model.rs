//! `[[model]]`: what looks at frames, of which cameras, and under which conditions.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use stopline_depot::versioned::check_name;

use super::{Misfit, seen_from};
use crate::detector::DetectorOptions;
use crate::infer::BackendKind;

/// A model, the cameras it serves, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Its name in messages; the manifest has the model's own name and version.
    pub name: String,
    /// The ONNX file; loaded as it lies, without a signature.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub onnx: PathBuf,
    /// In place of `onnx`: a model over the air, by the name that its manifest and its releases have. `[depot]` says where
    /// it lies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<String>,
    /// Its manifest; by default the ONNX file's name with `.toml`.
    #[serde(default)]
    pub manifest: Option<PathBuf>,
    /// The engine.
    #[serde(default)]
    pub backend: Engine,
    /// libonnxruntime.so for `backend = "ort"`.
    #[serde(default)]
    pub library: Option<PathBuf>,
    /// Threads one inference may use; 1 to 64.
    #[serde(default = "one")]
    pub threads: u16,
    /// Execution providers of ONNX Runtime to try before the CPU.
    #[serde(default)]
    pub providers: Vec<String>,
    /// The cameras it serves; empty: all.
    #[serde(default)]
    pub cameras: Vec<String>,
    /// When it serves them.
    #[serde(default)]
    pub when: When,
}

/// The engines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// Built in, pure Rust: convolutions by kernels of our own, what these do not know by tract.
    #[default]
    Kernels,
    /// Built in, pure Rust: all by tract.
    Tract,
    /// ONNX Runtime, loaded from a library.
    Ort,
}

/// Under which conditions a model serves. What is left out does not matter; what is not known (no fresh ego speed, no
/// picture yet) counts as fulfilled: seeing too much is slow, seeing too little is blind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct When {
    /// By the picture's mean luma (`run.night_below`, `run.day_above`).
    pub light: Option<Light>,
    /// From this ego speed on.
    pub min_speed_kmh: Option<f32>,
    /// Up to this ego speed, which is not within.
    pub max_speed_kmh: Option<f32>,
}

/// Day or night, by the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Light {
    /// Bright enough.
    Day,
    /// Dark.
    Night,
}

fn is_nothing(path: &Path) -> bool {
    path.as_os_str().is_empty()
}

fn one() -> u16 {
    1
}

impl When {
    /// Whether the model serves at this light and ego speed (m/s), where known.
    pub fn holds(&self, light: Option<Light>, speed: Option<f32>) -> bool {
        let light = self.light.is_none_or(|wanted| light.is_none_or(|light| light == wanted));
        let kmh = speed.map(|speed| speed.abs() * 3.6);
        let above = self.min_speed_kmh.is_none_or(|least| kmh.is_none_or(|kmh| kmh >= least));
        let below = self.max_speed_kmh.is_none_or(|most| kmh.is_none_or(|kmh| kmh < most));
        light && above && below
    }

    fn check(&self) -> Result<(), Misfit> {
        for (key, value) in
            [("when.min_speed_kmh", self.min_speed_kmh), ("when.max_speed_kmh", self.max_speed_kmh)]
        {
            if value.is_some_and(|value| !(0.0..=500.0).contains(&value)) {
                return Err(Misfit::new(key, value.unwrap_or_default(), "0 to 500 km/h"));
            }
        }
        if let (Some(least), Some(most)) = (self.min_speed_kmh, self.max_speed_kmh)
            && least >= most
        {
            return Err(Misfit::new("when.max_speed_kmh", most, format!("more than min_speed_kmh {least}")));
        }
        Ok(())
    }
}

impl Model {
    /// Whether it serves the camera called `camera`.
    pub fn serves(&self, camera: &str) -> bool {
        self.cameras.is_empty() || self.cameras.iter().any(|served| served == camera)
    }

    /// The same for [`Detector::load`](crate::detector::Detector::load). A manifest is never guessed: what drives needs one
    /// that a person has checked.
    pub fn options(&self) -> DetectorOptions {
        DetectorOptions {
            model: self.bundle.as_ref().map_or_else(|| self.onnx.clone(), PathBuf::from),
            manifest: self.manifest.clone(),
            backend: match self.backend {
                Engine::Kernels => BackendKind::Kernels,
                Engine::Tract => BackendKind::Tract,
                Engine::Ort => BackendKind::Ort,
            },
            library: self.library.clone(),
            threads: usize::from(self.threads),
            draft: false,
            providers: self.providers.clone(),
        }
    }

    pub(super) fn resolve(&mut self, folder: &Path) {
        if self.bundle.is_none() {
            seen_from(folder, &mut self.onnx);
        }
        if let Some(manifest) = &mut self.manifest {
            seen_from(folder, manifest);
        }
        if let Some(library) = &mut self.library {
            seen_from(folder, library);
        }
    }

    /// Keys without the section's own.
    pub(super) fn check(&self, cameras: &BTreeSet<&str>) -> Result<(), Misfit> {
        self.check_source()?;
        if let Some(unknown) = self.cameras.iter().find(|name| !cameras.contains(name.as_str())) {
            return Err(Misfit::new(
                "cameras",
                format!("{unknown:?}"),
                format!("names of [[camera]]: {cameras:?}"),
            ));
        }
        if !(1..=64).contains(&self.threads) {
            return Err(Misfit::new("threads", self.threads, "1 to 64"));
        }
        let ort_only = [("library", self.library.is_some()), ("providers", !self.providers.is_empty())];
        if let Some((key, _)) = ort_only.into_iter().find(|(_, given)| *given && self.backend != Engine::Ort)
        {
            return Err(Misfit::new(key, "a value, without backend ort", "none, or backend = \"ort\""));
        }
        self.when.check()
    }

    fn check_source(&self) -> Result<(), Misfit> {
        let expected = "one of onnx = \"FILE\" and bundle = \"MODEL\"";
        match &self.bundle {
            None if is_nothing(&self.onnx) => Err(Misfit::new("onnx", "neither onnx nor bundle", expected)),
            Some(_) if !is_nothing(&self.onnx) => Err(Misfit::new("bundle", "onnx and bundle", expected)),
            Some(_) if self.manifest.is_some() => {
                Err(Misfit::new("manifest", "a value, with bundle", "none: a bundle has its own"))
            }
            Some(name) => check_name("bundle", name)
                .map_err(|problem| Misfit::new("bundle", format!("{name:?}"), problem)),
            None => Ok(()),
        }
    }
}
