//! `[[watch]]`: other classes that are told of, without code of their own.

use serde::{Deserialize, Serialize};
use stopline_decide::confirm::ConfirmConfig;
use stopline_decide::decision::WarnLevel;
use stopline_decide::watch::WatchConfig;

/// A watched class. The keys besides `name` are those of [`WatchConfig`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watch {
    /// The role that labels play in the manifests' `roles`.
    pub name: String,
    /// When it is believed.
    #[serde(default = "confirm")]
    pub confirm: ConfirmConfig,
    /// Part of the picture that its middle must lie in: left, upper, right, lower edge as shares.
    #[serde(default = "region")]
    pub region: [f32; 4],
    /// Least height of the box in pixels.
    #[serde(default = "min_height")]
    pub min_height_px: f32,
    /// How the driver is told.
    #[serde(default = "level")]
    pub level: WarnLevel,
}

impl Watch {
    /// The same for the decision, which knows it by its number.
    pub fn decide(&self) -> WatchConfig {
        let Self { confirm, region, min_height_px, level, .. } = *self;
        WatchConfig { confirm, region, min_height_px, level }
    }
}

fn confirm() -> ConfirmConfig {
    WatchConfig::default().confirm
}

fn region() -> [f32; 4] {
    WatchConfig::default().region
}

fn min_height() -> f32 {
    WatchConfig::default().min_height_px
}

fn level() -> WarnLevel {
    WatchConfig::default().level
}
