//! The cameras that watch for falls, within the decider: tracks in, situations out.

use heapless::Vec;

use super::config::{DecideConfig, MAX_CAMERAS};
use crate::decision::{MAX_TRACKS, Phase, Situation, SituationKind};
use crate::fall::{Fall, FallChange, FallReport, FallWatch, Person, Stage};
use crate::observe::Role;
use crate::time::Nanos;
use crate::track::{Ids, Track};

/// One watch per camera that has the function.
#[derive(Clone, Debug)]
pub(super) struct Falls {
    watches: [Option<FallWatch>; MAX_CAMERAS],
}

impl Falls {
    /// `[fall]` for every camera with the function, with the beds that this camera sees.
    pub fn new(config: &DecideConfig) -> Self {
        let watch = |camera: usize| {
            let own = config.cameras.get(camera)?;
            own.functions.has(super::Function::Fall).then(|| {
                let mut fall = config.fall.clone();
                for bed in &config.beds[camera] {
                    // The check has counted them.
                    let _ = fall.beds.push(bed.clone());
                }
                FallWatch::new(fall)
            })
        };
        Self { watches: core::array::from_fn(watch) }
    }

    /// One frame of a camera; nothing where it does not watch for falls.
    pub fn see(&mut self, camera: u8, now: Nanos, size: [f32; 2], tracks: &[Track], ids: &mut Ids) {
        let Some(Some(watch)) = self.watches.get_mut(usize::from(camera)) else { return };
        let persons = tracks.iter().filter(|track| matches!(track.role(), Role::Person | Role::PersonDown));
        let persons: Vec<Person, MAX_TRACKS> = persons.map(|track| person(track, now)).collect();
        ids.lend(|next| {
            watch.step(now, size, &persons, next);
        });
    }

    /// Open falls that nobody has acknowledged, of all cameras.
    pub fn persons_down(&self) -> u8 {
        self.reports().fold(0, |sum, (_, report)| sum.saturating_add(report.persons_down))
    }

    /// Whether the camera's frames come too slowly to judge motion.
    pub fn is_frame_rate_low(&self, camera: u8) -> bool {
        let watch = self.watches.get(usize::from(camera)).and_then(Option::as_ref);
        watch.is_some_and(|watch| watch.report().frame_rate_low)
    }

    /// See [`FallWatch::acknowledge`].
    pub fn acknowledge(&mut self, now: Nanos, id: u32) -> bool {
        self.watches.iter_mut().flatten().any(|watch| watch.acknowledge(now, id))
    }

    /// See [`FallWatch::close`].
    pub fn close(&mut self, id: u32) -> bool {
        self.watches.iter_mut().flatten().any(|watch| watch.close(id))
    }

    /// Falls of all cameras, open ones first, and those that ended in this frame of `camera`. `tracks` are the camera's.
    pub fn situations(&self, camera: u8, tracks: &[Track], now: Nanos) -> impl Iterator<Item = Situation> {
        let score = move |fall: &Fall| {
            let track = tracks.iter().find(|track| fall.track == Some(track.id()));
            track.map_or(0.0, |track| track.median(now, Nanos::from_millis(500)))
        };
        let all = self.reports().flat_map(|(_, report)| &report.falls);
        let open = all.clone().filter(|fall| fall.stage == Stage::Open);
        let others = all.filter(|fall| fall.stage != Stage::Open);
        let shown = open.chain(others).map(move |fall| situation(fall, score(fall)));
        let own = self.reports().filter(move |(at, _)| *at == usize::from(camera));
        let ended = own.flat_map(|(_, report)| &report.changes).filter_map(move |(id, change)| {
            let over = matches!(change, FallChange::Cancelled | FallChange::Over | FallChange::Closed);
            over.then(|| ended(*id, now))
        });
        shown.chain(ended)
    }

    fn reports(&self) -> impl Iterator<Item = (usize, &FallReport)> + Clone {
        let watches = self.watches.iter().enumerate();
        watches.filter_map(|(camera, watch)| Some((camera, watch.as_ref()?.report())))
    }
}

fn person(track: &Track, now: Nanos) -> Person {
    let seen = track.observation().is_some();
    Person {
        id: track.id(),
        bbox: if seen { track.raw() } else { track.bbox() },
        // An old posture says nothing of this picture.
        keypoints: track.keypoints().filter(|(at, _)| *at == now).map(|(_, points)| *points),
        score: track.median(now, Nanos::from_millis(500)),
        observed: seen,
        down: track.role() == Role::PersonDown,
    }
}

fn situation(fall: &Fall, score: f32) -> Situation {
    let phase = match fall.stage {
        Stage::Watching | Stage::Suspected => Phase::Suspected,
        Stage::Open => Phase::Warning,
        Stage::Silenced => Phase::Confirmed,
    };
    Situation { track: fall.track, since: fall.since, phase, score, ..ended(fall.id, fall.since) }
}

fn ended(id: u32, since: Nanos) -> Situation {
    Situation {
        id,
        kind: SituationKind::Fall,
        phase: Phase::Ended,
        track: None,
        since,
        distance: None,
        ttc: None,
        score: 0.0,
        reachable: true,
    }
}
