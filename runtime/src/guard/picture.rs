//! What is wrong with what a picture shows: black, saturated, back-lit, covered, out of focus.
//!
//! Each is judged on one [`Look`]; two stand on what the camera showed before, which is learned while all is well:
//! how much detail each cell usually has, and how sharp the picture is.

use stopline_decide::cause::{Cause, FaultSet};
use stopline_decide::time::Nanos;

use super::config::{GuardConfig, ms};
use super::confirm::Confirmed;
use super::grid::{CELLS, Look};

/// Share of samples that must be black, or saturated.
const NEARLY_ALL: f32 = 0.985;
/// Grey levels that a block without detail may span: what is left of a coded flat patch. Above it, noise.
const BLANK_SPAN: f32 = 4.0;
/// Grey levels that a block with detail spans at least.
const TEXTURED: f32 = 16.0;
/// How many times the noise a block without detail spans at most, in a wholly covered picture, in a part of it, and a
/// block with detail at least. Spans of pure noise lie within a factor of two of each other.
const OF_NOISE: (f32, f32, f32) = (2.0, 1.5, 2.5);
/// Grey levels that blocks of a covered picture span at most, however noisy it is.
const MOST_BLANK: f32 = 24.0;
/// Grey levels of noise that are believed.
const MOST_NOISE: f32 = 16.0;
/// Contrast that a picture usually has, from which on its loss is a loss of focus.
const CONTRASTY: f32 = 30.0;
/// Cells with detail below which a loss of detail says nothing.
const LEAST_TEXTURED: usize = 80;
/// A low sun: so much of the picture saturated, so much lost in the dark, and so little between.
const SUN: (f32, f32, f32) = (0.12, 0.4, 0.75);
/// Luma of what is lost in the dark beside a low sun.
const DARK: u8 = 32;
/// Time constants of what is learned, in seconds, where it rises and where it falls: what is usual is what is always there.
/// A car that stands before a plain yard for ten seconds is not missed when it drives away.
const RISING: f32 = 30.0;
const FALLING: f32 = 4.0;
/// A frame may move what is learned by at most so much, so that a gap does not.
const MOST_STEP: f32 = 0.25;

/// Judges what pictures show.
pub struct PictureGuard {
    black: Confirmed,
    saturated: Confirmed,
    backlit: Confirmed,
    covered: Confirmed,
    partly_covered: Confirmed,
    defocused: Confirmed,
    limits: Limits,
    learned: Learned,
}

struct Limits {
    black: u8,
    saturated: u8,
    covered_share: f32,
    ratio: f32,
    floor: f32,
}

/// What the camera usually shows.
struct Learned {
    detail: [f32; CELLS],
    sharpness: Option<f32>,
    contrast: f32,
    declared: bool,
    /// When learning began, and when something was last learned.
    times: Option<(Nanos, Nanos)>,
}

impl PictureGuard {
    /// By `config`; `sharpness` as a reference or the configuration says it, `None` to learn it.
    pub fn new(config: &GuardConfig, sharpness: Option<f32>) -> Self {
        let recover = ms(config.picture_recover_ms);
        let soon = Confirmed::new(ms(config.picture_confirm_ms), recover);
        let late = Confirmed::new(ms(config.partial_confirm_ms), recover);
        Self {
            black: soon,
            saturated: soon,
            backlit: late,
            covered: soon,
            partly_covered: late,
            defocused: soon,
            limits: Limits {
                black: config.black_luma,
                saturated: config.saturated_luma,
                covered_share: config.covered_share,
                ratio: config.defocused_ratio,
                floor: config.defocused_floor,
            },
            learned: Learned {
                detail: [0.0; CELLS],
                sharpness,
                contrast: 0.0,
                declared: sharpness.is_some(),
                times: None,
            },
        }
    }

    /// One look at `now`. What is wrong.
    pub fn look(&mut self, look: &Look, now: Nanos) -> FaultSet {
        let limits = &self.limits;
        let black = look.share_up_to(limits.black) >= NEARLY_ALL;
        let saturated = look.share_from(limits.saturated) >= NEARLY_ALL;
        let dull = black || saturated;
        let blank = !dull && blank(look);
        let partly = !dull && !blank && self.learned.lost(look, limits.covered_share);
        let blurred = !dull && !blank && !partly && self.learned.blurred(look, limits);
        let sun = !dull && backlit(look, limits.saturated);
        let mut faults = FaultSet::default();
        let judged = [
            (&mut self.black, black, Cause::CameraBlack),
            (&mut self.saturated, saturated, Cause::CameraSaturated),
            (&mut self.covered, blank, Cause::CameraCovered),
            (&mut self.partly_covered, partly, Cause::CameraCovered),
            (&mut self.defocused, blurred, Cause::CameraDefocused),
            (&mut self.backlit, sun, Cause::CameraBacklit),
        ];
        let mut well = true;
        for (condition, holds, cause) in judged {
            well &= !holds;
            if condition.update(now, holds) {
                faults = faults.with(cause);
            }
        }
        // Nothing is learned from a picture that may be wrong: a fault must not become what is usual.
        if well && faults == FaultSet::default() {
            self.learned.learn(look, now);
        }
        faults
    }

    /// Sharpness that counts as usual, once known.
    pub fn usual_sharpness(&self) -> Option<f32> {
        self.learned.sharpness
    }
}

/// Whether no part of the picture shows anything but noise.
fn blank(look: &Look) -> bool {
    let (least, most) = look.least_and_most_detail();
    let (least, most) = (f32::from(least), f32::from(most));
    most <= BLANK_SPAN.max(OF_NOISE.0 * least) && most <= MOST_BLANK
}

fn backlit(look: &Look, saturated: u8) -> bool {
    let (bright, dark) = (look.share_from(saturated), look.share_up_to(DARK));
    bright >= SUN.0 && dark >= SUN.1 && bright + dark >= SUN.2
}

impl Learned {
    fn learn(&mut self, look: &Look, now: Nanos) {
        let (rise, fall) = self.steps(now);
        let follow = |usual: &mut f32, new: f32| {
            *usual += (new - *usual) * if new > *usual { rise } else { fall };
        };
        for (usual, detail) in self.detail.iter_mut().zip(look.detail) {
            follow(usual, f32::from(detail));
        }
        if let Some(sharpness) = look.sharpness.filter(|_| !self.declared) {
            follow(self.sharpness.get_or_insert(sharpness), sharpness);
        }
        follow(&mut self.contrast, look.contrast);
    }

    /// How far to go towards what is higher and what is lower: at first all the way, then as a mean over what was seen so
    /// far, in the end by the time constants.
    fn steps(&mut self, now: Nanos) -> (f32, f32) {
        let Some((begun, last)) = self.times else {
            self.times = Some((now, now));
            return (1.0, 1.0);
        };
        self.times = Some((begun, now));
        let (passed, age) = (now.since(last).seconds(), now.since(begun).seconds().max(1e-3));
        let step = |constant: f32| (passed / constant.min(age)).min(MOST_STEP);
        (step(RISING), step(FALLING))
    }

    /// Whether so much of the cells that usually have detail have none that something lies before the lens, and detail
    /// has not only moved elsewhere.
    #[allow(clippy::cast_precision_loss, reason = "at most 576")]
    fn lost(&self, look: &Look, share: f32) -> bool {
        let noise = f32::from(look.least_and_most_detail().0).min(MOST_NOISE);
        let textured_from = TEXTURED.max(OF_NOISE.2 * noise);
        let blank_to = BLANK_SPAN.max(OF_NOISE.1 * noise);
        let cells = || self.detail.iter().zip(look.detail.iter().map(|detail| f32::from(*detail)));
        let textured = cells().filter(|(usual, _)| **usual >= textured_from).count();
        let blank = cells().filter(|(usual, now)| **usual >= textured_from && *now <= blank_to).count();
        let still = cells().filter(|(_, now)| *now >= textured_from).count();
        textured >= LEAST_TEXTURED
            && blank as f32 >= share * textured as f32
            && still as f32 <= (1.0 - 0.8 * share) * textured as f32
    }

    fn blurred(&self, look: &Look, limits: &Limits) -> bool {
        let Some(sharpness) = look.sharpness else { return self.contrast >= CONTRASTY };
        let usual = self.sharpness.map_or(0.0, |usual| usual * limits.ratio);
        sharpness < usual.max(limits.floor)
    }
}

#[cfg(test)]
mod tests;
