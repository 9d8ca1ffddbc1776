//! Whether now is a moment to change what decides. Pure; by this process's own fresh signals, and what is not known counts
//! against it: unknown is not parked.
//!
//! A vehicle: it stands, the ignition is on, no situation is active. A camera on a wall (no `[vehicle]`): nobody is
//! followed and no alert is open.

use stopline_decide::decision::{Decision, Phase};
use stopline_decide::ego::Ego;

use crate::daemon::arming::STANDSTILL;

/// What is known of a camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scene {
    /// A decision was made within the last second.
    pub fresh: bool,
    /// Somebody or something is followed.
    pub followed: bool,
    /// A situation is suspected or believed.
    pub situation: bool,
    /// A brake, warning or alert is asked for.
    pub asked: bool,
}

impl Scene {
    /// Of a camera's newest decision.
    pub fn of(decision: &Decision, fresh: bool) -> Self {
        let request = &decision.request;
        Self {
            fresh,
            followed: !decision.tracks.is_empty(),
            situation: decision.situations.iter().any(|situation| situation.phase != Phase::Ended),
            asked: request.brake.is_some() || request.warn.is_some() || request.persons_down > 0,
        }
    }
}

/// Whether what decides may be changed now. `ego`: of a vehicle, its newest signals; of a camera on a wall, none.
///
/// # Errors
/// What it waits for, in words.
pub fn parked(ego: Option<&Ego>, scenes: &[Scene]) -> Result<(), &'static str> {
    if scenes.is_empty() || scenes.iter().any(|scene| !scene.fresh) {
        return Err("no fresh decision: what goes on is not known");
    }
    if scenes.iter().any(|scene| scene.situation || scene.asked) {
        return Err("a situation is active");
    }
    let Some(ego) = ego else {
        let followed = scenes.iter().any(|scene| scene.followed);
        return if followed { Err("somebody is followed") } else { Ok(()) };
    };
    match ego.speed.fresh() {
        None => return Err("ego speed is not known"),
        // Written so that what is no number counts as moving.
        Some(speed) if speed.is_nan() || speed.abs() > STANDSTILL => return Err("the vehicle moves"),
        Some(_) => {}
    }
    match ego.ignition.fresh() {
        Some(true) => Ok(()),
        Some(false) => Err("the ignition is off"),
        None => Err("the ignition is not known"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stopline_decide::ego::Reading;

    const QUIET: Scene = Scene { fresh: true, followed: false, situation: false, asked: false };

    fn ego(speed: Reading<f32>, ignition: Reading<bool>) -> Ego {
        Ego { speed, ignition, ..Ego::default() }
    }

    #[test]
    fn a_vehicle_is_parked_when_it_is_known_to_stand_with_the_ignition_on_and_nothing_happens() {
        let stands = ego(Reading::Fresh(0.0), Reading::Fresh(true));
        assert_eq!(parked(Some(&stands), &[QUIET]), Ok(()));
        let followed = Scene { followed: true, ..QUIET };
        assert_eq!(parked(Some(&stands), &[followed]), Ok(()), "people walk past a parked car");
        for scene in [
            Scene { fresh: false, ..QUIET },
            Scene { situation: true, ..QUIET },
            Scene { asked: true, ..QUIET },
        ] {
            parked(Some(&stands), &[QUIET, scene]).expect_err("not now");
        }
        parked(Some(&stands), &[]).expect_err("no camera");
    }

    #[test]
    fn what_is_not_known_is_not_parked() {
        let on = Reading::Fresh(true);
        for ego in [
            ego(Reading::Stale, on),
            ego(Reading::Invalid, on),
            ego(Reading::Missing, on),
            ego(Reading::Fresh(f32::NAN), on),
            ego(Reading::Fresh(0.2), on),
            ego(Reading::Fresh(-3.0), on),
            ego(Reading::Fresh(0.0), Reading::Missing),
            ego(Reading::Fresh(0.0), Reading::Stale),
            ego(Reading::Fresh(0.0), Reading::Fresh(false)),
        ] {
            parked(Some(&ego), &[QUIET]).expect_err("unknown or moving");
        }
    }

    #[test]
    fn a_camera_on_a_wall_waits_until_nobody_is_followed_and_no_alert_is_open() {
        assert_eq!(parked(None, &[QUIET]), Ok(()));
        for scene in [Scene { followed: true, ..QUIET }, Scene { asked: true, ..QUIET }] {
            parked(None, &[scene]).expect_err("somebody is there");
        }
    }
}
