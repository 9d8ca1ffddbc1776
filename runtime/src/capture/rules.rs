//! Which frames are worth keeping, and why.

use std::collections::BTreeMap;

use stopline_depot::spool::Rule;
use stopline_sensors::clock::Monotonic;

use crate::config::CaptureRule;
use crate::daemon::report::{Found, FrameReport};
use crate::draw::label_of;
use stopline_decide::decision::{Phase, SituationKind};

/// Tracks remembered of a camera, at most; a decision has fewer.
const MOST_TRACKS: usize = 256;

/// Whether a frame is drawn: a share `rate` of all, by camera and number alone (FNV-1a, then SplitMix64's finish, so that
/// neighbours are not drawn together).
pub fn draws(seed: u64, camera: usize, sequence: u64, rate: f64) -> bool {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ seed;
    for byte in (camera as u64).to_le_bytes().into_iter().chain(sequence.to_le_bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^= hash >> 31;
    // 53 bits are what an f64 holds exactly.
    #[allow(clippy::cast_precision_loss, reason = "53 bits")]
    let share = (hash >> 11) as f64 / (1_u64 << 53) as f64;
    share < rate
}

/// The score closest to its threshold, where it is close enough for the rule.
pub fn is_near(rule: &CaptureRule, found: &[Found]) -> Option<f32> {
    let mut nearest: Option<(f32, f32)> = None;
    for of in found.iter().filter(|of| of.invalid.is_none()) {
        let thresholds = &of.model.manifest.thresholds;
        let highest = thresholds.per_class.values().copied().fold(thresholds.score, f32::max);
        // Most frames have nothing near: names are looked up only where some threshold is.
        for detection in of.detections.iter().filter(|one| one.score <= highest + rule.within) {
            let label = label_of(&of.model.manifest, detection.class);
            let above =
                detection.score - thresholds.per_class.get(&label).copied().unwrap_or(thresholds.score);
            let wanted = if rule.labels.is_empty() {
                of.model.manifest.roles.values().any(|labels| labels.contains(&label))
            } else {
                rule.labels.contains(&label)
            };
            let closer = nearest.is_none_or(|(than, _)| above < than);
            if wanted && (0.0..=rule.within).contains(&above) && closer {
                nearest = Some((above, detection.score));
            }
        }
    }
    nearest.map(|(_, score)| score)
}

/// Something of a moment, for which pictures are wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct Moment {
    /// When.
    pub at: Monotonic,
    /// What it is called; the same for all its pictures.
    pub group: String,
    /// The number that made it so.
    pub value: Option<f32>,
}

/// What happened in one camera's frames so far, as far as rules look at it.
#[derive(Debug, Default)]
pub struct Story {
    /// When each situation that is told of was first seen.
    open: BTreeMap<u32, Moment>,
    /// First and last sight of each track, and its highest score.
    tracks: BTreeMap<u32, (Monotonic, Monotonic, f32)>,
}

/// What one frame added to the story.
#[derive(Debug, Default)]
pub struct News {
    /// Situations that are told of since this frame.
    pub events: Vec<Moment>,
    /// Tracks that ended: when they were last seen, and how many seconds they lived.
    pub vanished: Vec<(Moment, f32)>,
}

impl Story {
    /// Takes a frame's decision in.
    pub fn see(&mut self, report: &FrameReport) -> News {
        let Some(decided) = &report.decision else { return News::default() };
        let (now, decision) = (report.meta.captured, &decided.decision);
        let name = |kind: &str, id: u32| format!("{}-{kind}-{}-{id}", report.meta.source, wall(report));
        let mut news = News::default();
        for situation in &decision.situations {
            let told = match situation.kind {
                SituationKind::Fall => situation.phase != Phase::Suspected,
                _ => matches!(situation.phase, Phase::Warning | Phase::Braking | Phase::Holding),
            };
            if told && situation.phase != Phase::Ended && !self.open.contains_key(&situation.id) {
                let moment =
                    Moment { at: now, group: name("event", situation.id), value: Some(situation.score) };
                news.events.push(moment.clone());
                self.open.insert(situation.id, moment);
            }
        }
        self.open.retain(|id, _| decision.situations.iter().any(|situation| situation.id == *id));
        for track in &decision.tracks {
            let seen = self.tracks.entry(track.id).or_insert((now, now, track.score));
            if track.observation.is_some() {
                *seen = (seen.0, now, seen.2.max(track.score));
            }
        }
        let mut gone = Vec::new();
        self.tracks.retain(|id, seen| {
            let alive = decision.tracks.iter().any(|track| track.id == *id);
            if !alive {
                gone.push((*id, *seen));
            }
            alive
        });
        for (id, (first, last, score)) in gone {
            let moment = Moment { at: last, group: name("track", id), value: Some(score) };
            news.vanished.push((moment, last.since(first).as_secs_f32()));
        }
        while self.tracks.len() > MOST_TRACKS {
            self.tracks.pop_first();
        }
        news
    }
}

/// Seconds since 1970, for names that no later boot gives again.
pub fn wall(report: &FrameReport) -> u64 {
    report.meta.wall.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Whether a rule is one that others ask for by name.
pub fn is_asked_for(rule: Rule) -> bool {
    matches!(rule, Rule::Bookmark | Rule::ShadowDisagreement | Rule::Drift)
}
