//! Other classes by configuration: an animal on the road, a red light. No code per class: a size, a region, a dwell, and
//! how the driver is told. Never a brake.

use heapless::Vec;

use crate::bounds::{OutOfBounds, Section};
use crate::confirm::{ConfirmConfig, Confirmation};
use crate::decider::MAX_CAMERAS;
use crate::decision::{Phase, Situation, SituationKind, WarnLevel};
use crate::observe::Role;
use crate::scene::{Outcome, Scene};
use crate::time::Nanos;
use crate::track::{Ids, Track};

/// Most watched classes.
pub const MAX_WATCHES: usize = 8;
/// A camera that gave no frame for this long no longer bears a situation.
const FORGOTTEN: Nanos = Nanos::from_millis(2_000);

/// One watched class: `[[watch]]`. Its place in the list is the number in [`Role::Watched`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(deny_unknown_fields, default)
)]
pub struct WatchConfig {
    /// When it is believed. Default: [`ConfirmConfig::default`] with a dwell of 500 ms.
    pub confirm: ConfirmConfig,
    /// Part of the picture that its middle must lie in: left, upper, right, lower edge as shares. Default all of it.
    pub region: [f32; 4],
    /// Least height of the box in pixels. Default 12.
    pub min_height_px: f32,
    /// How the driver is told: `inform` or `warn`. Default `inform`.
    pub level: WarnLevel,
}

impl Default for WatchConfig {
    fn default() -> Self {
        Self {
            confirm: ConfirmConfig { dwell_ms: 500, ..ConfirmConfig::default() },
            region: [0.0, 0.0, 1.0, 1.0],
            min_height_px: 12.0,
            level: WarnLevel::Inform,
        }
    }
}

impl WatchConfig {
    /// Whether all settings lie within their bounds.
    ///
    /// # Errors
    /// The first that does not.
    pub fn check(&self) -> Result<(), OutOfBounds> {
        self.confirm.check("watch.confirm")?;
        let section = Section("watch");
        section.region("region", self.region)?;
        section.holds("min_height_px", self.min_height_px, 1.0, 10_000.0)
    }
}

/// The watched classes. One situation per class, whatever the number of objects and of cameras that see them.
#[derive(Clone, Debug)]
pub(crate) struct Watches {
    watches: Vec<Watch, MAX_WATCHES>,
}

#[derive(Clone, Debug)]
struct Watch {
    config: WatchConfig,
    /// Per camera: when it gave a frame, the surest object's score and track.
    best: [Option<(Nanos, f32, u32)>; MAX_CAMERAS],
    confirmation: Confirmation,
    event: Option<Event>,
}

#[derive(Clone, Copy, Debug)]
struct Event {
    id: u32,
    since: Nanos,
    track: u32,
    score: f32,
    ended: bool,
}

impl Watches {
    pub fn new(configs: &[WatchConfig]) -> Self {
        let watch = |config: &WatchConfig| Watch {
            config: *config,
            best: [None; MAX_CAMERAS],
            confirmation: Confirmation::default(),
            event: None,
        };
        Self { watches: configs.iter().map(watch).collect() }
    }

    /// One frame of a camera that watches.
    pub fn see(&mut self, scene: &Scene<'_>, ids: &mut Ids) {
        for (number, watch) in (0_u8..).zip(&mut self.watches) {
            watch.see(number, scene, ids);
        }
    }

    pub fn outcomes(&self) -> impl Iterator<Item = Outcome> + '_ {
        (0_u8..).zip(&self.watches).filter_map(|(number, watch)| watch.outcome(number))
    }
}

impl Watch {
    fn see(&mut self, number: u8, scene: &Scene<'_>, ids: &mut Ids) {
        if self.event.is_some_and(|event| event.ended) {
            self.event = None;
        }
        let window = self.config.confirm.window();
        let ours = scene
            .tracks
            .iter()
            .filter(|track| track.role() == Role::Watched(number) && self.counts(track, scene.size));
        let scored = ours.map(|track| (scene.now, track.median(scene.now, window), track.id()));
        let surest = scored.max_by(|a, b| a.1.total_cmp(&b.1));
        if let Some(place) = self.best.get_mut(usize::from(scene.camera)) {
            *place = surest;
        }
        let fresh = self.best.iter().flatten().filter(|(at, ..)| scene.now.since(*at) <= FORGOTTEN);
        let best = fresh.max_by(|a, b| a.1.total_cmp(&b.1)).copied();
        let believed = self.confirmation.update(
            &self.config.confirm,
            scene.now,
            best.map_or(0.0, |(_, score, _)| score),
        );
        self.tell(best, believed, scene.now, ids);
    }

    fn tell(&mut self, best: Option<(Nanos, f32, u32)>, believed: bool, now: Nanos, ids: &mut Ids) {
        match (&mut self.event, best) {
            (Some(event), Some((_, score, track))) => {
                event.score = score;
                event.track = track;
            }
            (Some(event), None) => {
                event.score = 0.0;
                event.ended = !believed;
            }
            (None, Some((_, score, track))) => {
                self.event = ids.fresh().map(|id| Event { id, since: now, track, score, ended: false });
            }
            (None, None) => {}
        }
    }

    fn counts(&self, track: &Track, size: [f32; 2]) -> bool {
        let bbox = track.raw();
        let [left, top, right, bottom] = self.config.region;
        let [x, y] = [0.5 * (bbox[0] + bbox[2]) / size[0], 0.5 * (bbox[1] + bbox[3]) / size[1]];
        bbox[3] - bbox[1] >= self.config.min_height_px
            && (left..=right).contains(&x)
            && (top..=bottom).contains(&y)
    }

    fn outcome(&self, number: u8) -> Option<Outcome> {
        let event = self.event.as_ref()?;
        let believed = self.confirmation.is_believed() && !event.ended;
        let phase = match self.config.level {
            _ if event.ended => Phase::Ended,
            _ if !believed => Phase::Suspected,
            WarnLevel::Inform => Phase::Confirmed,
            WarnLevel::Warn => Phase::Warning,
        };
        let situation = Situation {
            id: event.id,
            kind: SituationKind::Watched(number),
            phase,
            track: (event.score > 0.0).then_some(event.track),
            since: event.since,
            distance: None,
            ttc: None,
            score: event.score,
            reachable: true,
        };
        Some(Outcome { situation, brake: None, warn: believed.then_some(self.config.level) })
    }
}
