use super::*;
use crate::guard::scene::{SIZE, Scene};

/// Shows `scene` for `ms` milliseconds at 30 frames per second from `at` on; what was wrong at the last frame, and when
/// anything first was.
struct Camera {
    guard: PictureGuard,
    look: Look,
    frame: u64,
}

impl Camera {
    fn new() -> Self {
        let mut camera =
            Self { guard: PictureGuard::new(&GuardConfig::default(), None), look: Look::default(), frame: 0 };
        assert_eq!(camera.shows(&Scene::street(3), 3000), (FaultSet::default(), None));
        camera
    }

    fn shows(&mut self, scene: &Scene, millis: u64) -> (FaultSet, Option<u64>) {
        let begun = self.frame;
        let mut first = None;
        let mut faults = FaultSet::default();
        while (self.frame - begun) * 1000 < millis * 30 {
            let now = Nanos(self.frame * 33_333_333);
            assert!(self.look.at(&scene.frame(self.frame, now, 2.0)));
            faults = self.guard.look(&self.look, now);
            if !faults.is_empty() && first.is_none() {
                first = Some((self.frame - begun) * 1000 / 30);
            }
            self.frame += 1;
        }
        (faults, first)
    }
}

fn only(cause: Cause) -> FaultSet {
    FaultSet::default().with(cause)
}

#[test]
fn black_white_and_a_hand_before_the_lens_are_told_within_a_hundred_milliseconds() {
    let hand = Scene::plain(60.0);
    for (scene, cause) in [
        (Scene::plain(6.0), Cause::CameraBlack),
        (Scene::plain(255.0), Cause::CameraSaturated),
        (hand, Cause::CameraCovered),
        (Scene::street(3).blurred(5), Cause::CameraDefocused),
    ] {
        let mut camera = Camera::new();
        assert_eq!(camera.shows(&scene, 400), (only(cause), Some(100)), "{cause:?}");
        assert_eq!(camera.shows(&Scene::street(3), 600).0, FaultSet::default(), "{cause:?} is over");
    }
}

#[test]
fn a_sticker_over_much_of_the_lens_is_told_after_its_time_and_a_passing_lorry_is_not() {
    let mut sticker = Scene::street(3);
    sticker.patch([0, 60, SIZE[0] * 3 / 4, SIZE[1]], 70.0);
    let mut camera = Camera::new();
    assert_eq!(camera.shows(&sticker, 1000), (FaultSet::default(), None), "a lorry's side, for a second");
    assert_eq!(camera.shows(&Scene::street(3), 1000).1, None);
    let (faults, first) = camera.shows(&sticker, 2000);
    assert!(
        faults == only(Cause::CameraCovered) && matches!(first, Some(1500..=1540)),
        "{faults:?} {first:?}"
    );
    assert_eq!(camera.shows(&sticker, 20_000).0, only(Cause::CameraCovered), "it does not become usual");
    assert_eq!(camera.shows(&Scene::street(3), 600).0, FaultSet::default());
}

#[test]
fn a_low_sun_is_told_and_a_bright_sky_is_not() {
    let mut camera = Camera::new();
    let sky = Scene::street(3).mapped(|level| if level > 160.0 { 255.0 } else { level });
    assert_eq!(camera.shows(&sky, 3000).1, None);
    let mut sun = Scene::street(3).mapped(|level| level * 0.12);
    sun.patch([200, 40, 460, 200], 255.0);
    assert_eq!(camera.shows(&sun, 2000).0, only(Cause::CameraBacklit));
}

#[test]
fn a_night_street_with_its_lamps_is_no_black_picture() {
    let mut camera = Camera::new();
    let mut night = Scene::street(3).mapped(|level| level * 0.12);
    for lamp in 0..12 {
        night.patch([lamp * 50, 100, lamp * 50 + 12, 112], 200.0);
    }
    assert_eq!(camera.shows(&night, 2000).1, None);
}

#[test]
fn another_street_is_no_fault() {
    let mut camera = Camera::new();
    for seed in 4..14 {
        assert_eq!(camera.shows(&Scene::street(seed), 500).1, None, "street {seed}");
    }
}

#[test]
fn a_motion_blur_along_one_direction_is_not_out_of_focus() {
    let [w, _] = SIZE;
    let mut camera = Camera::new();
    let street = Scene::street(3);
    let mut turned = street.clone();
    for (at, level) in turned.0.iter_mut().enumerate() {
        let reach = 12.min(at % w);
        *level = street.0[at - reach..=at].iter().sum::<f32>() / (reach + 1) as f32;
    }
    assert_eq!(camera.shows(&turned, 1000).1, None);
}

#[test]
fn a_lens_that_was_never_in_focus_is_held_to_the_declared_sharpness() {
    let mut learned = PictureGuard::new(&GuardConfig::default(), None);
    let mut declared = PictureGuard::new(&GuardConfig::default(), Some(0.6));
    let soft = Scene::street(5).blurred(1);
    let mut look = Look::default();
    for frame in 0..30_u64 {
        let now = Nanos(frame * 33_333_333);
        look.at(&soft.frame(frame, now, 1.0));
        assert!(learned.look(&look, now).is_empty(), "{:?}", look.sharpness);
        let told = declared.look(&look, now).has(Cause::CameraDefocused);
        assert_eq!(told, frame >= 3, "{frame} {:?}", look.sharpness);
    }
}

#[test]
fn a_noisy_sensor_in_the_dark_behind_a_cap_or_a_hand_is_covered_and_a_noisy_street_is_not() {
    let mut look = Look::default();
    for (scene, covered) in [(Scene::plain(45.0), true), (Scene::street(3), false)] {
        let mut guard = PictureGuard::new(&GuardConfig::default(), None);
        for frame in 0..10_u64 {
            look.at(&scene.frame(frame, Nanos(frame * 33_333_333), 9.0));
            let faults = guard.look(&look, Nanos(frame * 33_333_333));
            assert_eq!(
                faults.has(Cause::CameraCovered),
                covered && frame >= 3,
                "{frame} {:?}",
                look.least_and_most_detail()
            );
        }
    }
}
