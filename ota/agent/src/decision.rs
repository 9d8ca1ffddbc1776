//! What is to be done about a model, as a pure function of what is signed and what is known here.

use semver::Version;
use stopline_depot::deployment::DeployCause;
use stopline_depot::release::Release;
use stopline_depot::rollout::{Part, Rollout, State, Unit};

/// What is known on this device.
#[derive(Debug, Clone)]
pub struct Here<'a> {
    /// Hardware variant.
    pub hardware: &'a str,
    /// The device's id.
    pub device: &'a str,
    /// Its camera's name, where it has one.
    pub camera: Option<&'a str>,
    /// Least `release_seq` of the model: the trust folder's floor, or the highest that a signed release ever named here.
    pub floor: u64,
    /// Whether the bundle is on the deny list.
    pub denied: bool,
    /// Whether its verdict here is Bad.
    pub bad: bool,
    /// The runtime's version, where it is known.
    pub runtime: Option<&'a Version>,
    /// Whether a deployment of this roll-out and bundle goes on already.
    pub begun: bool,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Nothing: the device takes no part yet, or never.
    NoPart(Part),
    /// Nothing begins while it is paused; what has begun holds.
    Hold,
    /// It is to be fetched and offered.
    Go {
        /// Whether a Bad verdict is forgiven.
        forgiven: bool,
    },
    /// Not now.
    Defer(DeployCause),
    /// Never.
    Reject(DeployCause),
    /// Whatever has begun ends, and who has it goes back.
    Abort,
}

/// Decides. A lower `release_seq` than the one that runs is no hindrance: a signed roll-out names it, and it is not below the
/// floor.
pub fn decide(rollout: &Rollout, release: &Release, here: &Here<'_>) -> Decision {
    if rollout.state == State::Aborted {
        return Decision::Abort;
    }
    let part = rollout.part(here.hardware, &unit(rollout, here));
    // Shares never fall under one roll-out, so who has begun takes part; only the exclude list ends that.
    let goes_on = here.begun && matches!(part, Part::NotYet { .. });
    if !(part.takes_part() || goes_on) {
        return Decision::NoPart(part);
    }
    if rollout.state == State::Paused {
        return Decision::Hold;
    }
    fits(release, here, rollout.forgive.contains(&release.unpacked.sha256))
}

/// Whether a release may run here, whoever asks for it: floor, deny list, verdict, hardware, runtime.
pub fn fits(release: &Release, here: &Here<'_>, forgiven: bool) -> Decision {
    if here.denied {
        return Decision::Reject(DeployCause::Denied);
    }
    if release.release_seq < here.floor {
        return Decision::Reject(DeployCause::Floor);
    }
    if here.bad && !forgiven {
        return Decision::Reject(DeployCause::KnownBad);
    }
    if !release.hardware.iter().any(|hardware| hardware == here.hardware) {
        return Decision::Defer(DeployCause::Hardware);
    }
    if here.runtime.is_some_and(|runtime| *runtime < release.min_runtime) {
        return Decision::Defer(DeployCause::MinRuntime);
    }
    Decision::Go { forgiven: forgiven && here.bad }
}

/// What its bucket is computed of: the device, or the device and its camera.
fn unit(rollout: &Rollout, here: &Here<'_>) -> String {
    match (rollout.unit, here.camera) {
        (Unit::Camera, Some(camera)) => format!("{}/{camera}", here.device),
        _ => here.device.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use stopline_depot::digest::Digest;
    use stopline_depot::release::Content;
    use stopline_depot::rollout::{Gates, Variant, Window, member};

    use super::*;

    fn rollout(percent_bp: u16) -> Rollout {
        let variant = Variant {
            target: "models/stop-sign/2.slb".into(),
            abort_to: None,
            percent_bp,
            stages: Vec::new(),
            gates: Gates::default(),
        };
        Rollout {
            schema: 1,
            rollout_id: "r-1".into(),
            model: "stop-sign".into(),
            targets: BTreeMap::from([("orin".into(), variant)]),
            salt: "s".into(),
            state: State::Active,
            unit: Unit::Device,
            cohorts: BTreeMap::new(),
            exclude: BTreeSet::new(),
            forgive: BTreeSet::new(),
            window: Window::default(),
            report_within_s: 1,
        }
    }

    fn release() -> Release {
        Release {
            schema: 1,
            model: "stop-sign".into(),
            version: Version::new(2, 0, 0),
            release_seq: 20,
            security_floor: 10,
            hardware: vec!["orin".into()],
            min_runtime: Version::new(0, 1, 0),
            unpacked: Content { sha256: Digest::of(b"2"), length: 10 },
            deltas: Vec::new(),
        }
    }

    static V1: Version = Version::new(1, 0, 0);

    fn here() -> Here<'static> {
        Here {
            hardware: "orin",
            device: "d",
            camera: None,
            floor: 0,
            denied: false,
            bad: false,
            runtime: Some(&V1),
            begun: false,
        }
    }

    #[test]
    fn a_device_takes_part_holds_or_goes_back_as_the_roll_out_says() {
        let go = Decision::Go { forgiven: false };
        assert_eq!(decide(&rollout(10_000), &release(), &here()), go);
        assert!(matches!(decide(&rollout(0), &release(), &here()), Decision::NoPart(Part::NotYet { .. })));
        assert_eq!(
            decide(&rollout(0), &release(), &Here { begun: true, ..here() }),
            go,
            "who has begun goes on"
        );
        let state = |state| Rollout { state, ..rollout(10_000) };
        assert_eq!(decide(&state(State::Paused), &release(), &here()), Decision::Hold);
        assert_eq!(decide(&state(State::Aborted), &release(), &here()), Decision::Abort);
        let excluded = Rollout { exclude: BTreeSet::from([member("s", "d")]), ..rollout(10_000) };
        let begun = Here { begun: true, ..here() };
        assert_eq!(decide(&excluded, &release(), &begun), Decision::NoPart(Part::Excluded));
        let other = Here { hardware: "pi", ..here() };
        assert_eq!(decide(&rollout(10_000), &release(), &other), Decision::NoPart(Part::NoVariant));
    }

    #[test]
    fn what_is_unsafe_denied_or_known_bad_is_rejected_and_what_may_fit_later_waits() {
        let all = rollout(10_000);
        let rejected = Decision::Reject;
        assert_eq!(decide(&all, &release(), &Here { denied: true, ..here() }), rejected(DeployCause::Denied));
        assert_eq!(decide(&all, &release(), &Here { floor: 21, ..here() }), rejected(DeployCause::Floor));
        assert_eq!(decide(&all, &release(), &Here { floor: 20, ..here() }), Decision::Go { forgiven: false });
        assert_eq!(decide(&all, &release(), &Here { bad: true, ..here() }), rejected(DeployCause::KnownBad));
        let forgiving = Rollout { forgive: BTreeSet::from([Digest::of(b"2")]), ..rollout(10_000) };
        assert_eq!(
            decide(&forgiving, &release(), &Here { bad: true, ..here() }),
            Decision::Go { forgiven: true }
        );
        let denied = Here { denied: true, bad: true, ..here() };
        assert_eq!(
            decide(&forgiving, &release(), &denied),
            rejected(DeployCause::Denied),
            "denied is not forgiven"
        );
        let foreign = Release { hardware: vec!["pi".into()], ..release() };
        assert_eq!(decide(&all, &foreign, &here()), Decision::Defer(DeployCause::Hardware));
        let newer = Release { min_runtime: Version::new(2, 0, 0), ..release() };
        assert_eq!(decide(&all, &newer, &here()), Decision::Defer(DeployCause::MinRuntime));
        assert_eq!(decide(&all, &newer, &Here { runtime: None, ..here() }), Decision::Go { forgiven: false });
    }

    #[test]
    fn the_unit_camera_sorts_by_camera() {
        let rollout = Rollout { unit: Unit::Camera, ..rollout(5_000) };
        let part = |camera| match decide(&rollout, &release(), &Here { camera, ..here() }) {
            Decision::NoPart(part) => part.takes_part(),
            _ => true,
        };
        let parts: Vec<bool> =
            ["a", "b", "c", "d", "e", "f", "g", "h"].map(|camera| part(Some(camera))).into();
        assert!(parts.contains(&true) && parts.contains(&false), "{parts:?}");
        assert_eq!(part(None), rollout.part("orin", "d").takes_part());
    }
}
