use super::*;
use crate::guard::scene::Scene;

const PERIOD: u64 = 33_333_333;

struct Camera {
    guard: FrozenGuard,
    look: Look,
    frame: u64,
}

impl Camera {
    fn new(raw: bool) -> Self {
        let guard = FrozenGuard::new(&GuardConfig::default(), raw, Some(Nanos(PERIOD)));
        Self { guard, look: Look::default(), frame: 0 }
    }

    /// Shows `scene` so long, each frame with the noise of number `noise(frame)`. Milliseconds from the first of these
    /// frames to the first that was told frozen.
    fn shows(&mut self, scene: &Scene, millis: u64, noise: impl Fn(u64) -> u64) -> Option<u64> {
        let begun = self.frame;
        let mut told = None;
        while (self.frame - begun) * 1000 < millis * 30 {
            let now = Nanos(self.frame * PERIOD);
            let frame = scene.frame(noise(self.frame), now, 2.0);
            assert!(self.look.at(&frame));
            if self.guard.look(&self.look, &frame, now) && told.is_none() {
                told = Some((self.frame - begun) * 1000 / 30);
            }
            self.frame += 1;
        }
        told
    }
}

#[test]
fn a_raw_sensor_that_repeats_itself_is_told_within_150_ms_of_the_first_repeat() {
    let mut camera = Camera::new(true);
    let street = Scene::street(1);
    assert_eq!(
        camera.shows(&street, 5000, |frame| frame),
        None,
        "a still scene with noise is never identical"
    );
    // The first of these frames repeats the one before.
    assert_eq!(camera.shows(&street, 1000, |_| 149), Some(100));
    assert_eq!(camera.shows(&street, 1000, |frame| frame), None, "alive again");
}

#[test]
fn a_compressed_stream_whose_scene_moved_is_told_after_two_seconds() {
    let mut camera = Camera::new(false);
    for seed in 0..10 {
        assert_eq!(camera.shows(&Scene::street(seed), 200, |frame| frame), None);
    }
    let told = camera.shows(&Scene::street(9), 4000, |_| 59);
    assert!(told.is_some_and(|at| (1900..=2000).contains(&at)), "{told:?}");
}

#[test]
fn a_still_compressed_scene_that_repeats_from_key_frame_to_key_frame_is_never_told() {
    let mut camera = Camera::new(false);
    let room = Scene::street(2);
    // An encoder with a key frame each 10 s and nothing in between.
    assert_eq!(camera.shows(&room, 120_000, |frame| frame / 300), None);
}

#[test]
fn a_still_compressed_scene_before_a_driving_car_is_told_after_two_seconds() {
    let mut camera = Camera::new(false);
    let room = Scene::street(2);
    assert_eq!(camera.shows(&room, 8000, |_| 7), None);
    camera.guard.drives(true);
    assert_eq!(camera.shows(&room, 200, |_| 7), Some(0));
}

#[test]
fn an_encoder_that_hangs_over_an_empty_room_is_told_after_a_minute() {
    let mut camera = Camera::new(false);
    let told = camera.shows(&Scene::street(2), 70_000, |_| 7);
    assert!(told.is_some_and(|at| (59_900..=60_000).contains(&at)), "{told:?}");
}

#[test]
fn a_source_that_was_opened_again_begins_anew() {
    let mut camera = Camera::new(true);
    let room = Scene::street(2);
    assert!(camera.shows(&room, 1000, |_| 7).is_some());
    camera.guard.restart();
    assert_eq!(camera.shows(&room, 100, |_| 7), None);
}
