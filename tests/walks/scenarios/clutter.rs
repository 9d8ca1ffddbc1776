//! The simulated camera gives what was measured: recall by height, and clutter by the hour.

use stopline_decide::observe::Role;
use stopline_tests::scenario::measured::{Light, Measured};
use stopline_tests::scenario::random::Random;
use stopline_tests::scenario::scene::{Class, Sight};
use stopline_tests::scenario::sensor::{ClutterRate, Sensor};

const SIZE: [f64; 2] = [1280.0, 720.0];

#[test]
fn simulated_clutter_has_the_rate_and_the_scores_that_were_counted() {
    let measured = Measured::load();
    for model in measured.detectors() {
        let counted = &measured.detector(model).clutter["day"]["person"];
        let random = Random::of(&[7]);
        let mut sensor = Sensor::new(&measured, model, Light::Day, ClutterRate::Fitted, SIZE, random);
        let (fps, seconds) = (25.0, 1200.0);
        let (mut boxes, mut strong, mut frame) = (0.0, 0.0, 0.0);
        while frame / fps < seconds {
            for seen in sensor.see(frame / fps, 15.0, &[]) {
                if seen.role == Role::Person {
                    boxes += 1.0;
                    strong += if seen.score >= 0.3 { 1.0 } else { 0.0 };
                }
            }
            frame += 1.0;
        }
        let per_second =
            [f64::from(counted.boxes), f64::from(counted.strong_boxes)].map(|n| n / counted.seconds);
        let got = [boxes / seconds, strong / seconds];
        println!(
            "{model}: boxes per second {:.2} (counted {:.2}), with 0.3 {:.3} ({:.3})",
            got[0], per_second[0], got[1], per_second[1]
        );
        // Lives are drawn between the quantiles that were counted, so boxes per tracklet are right within a third.
        assert!((0.6..1.6).contains(&(got[0] / per_second[0])), "{model}: {got:?} {per_second:?}");
        assert!(
            got[1] <= 2.0 * per_second[1] + 0.05 && got[1] >= 0.4 * per_second[1] - 0.05,
            "{model}: {got:?} {per_second:?}"
        );
    }
}

#[test]
fn simulated_objects_are_seen_as_often_as_real_ones_of_their_height() {
    let measured = Measured::load();
    for (model, class, name) in [
        ("yolox_nano_416", Class::StopSign, "stop_sign"),
        ("yolox_nano_416", Class::Person, "person"),
        ("nanodet_m_320", Class::Person, "person"),
        ("fastestdet_352", Class::StopSign, "stop_sign"),
    ] {
        let detector = measured.detector(model);
        for height in &detector.curves[name]["day"] {
            let pixels = height.rows / detector.rows_per_source_row;
            let mut seen = 0.0;
            for thing in 0..1500 {
                let mut sensor = Sensor::new(
                    &measured,
                    model,
                    Light::Day,
                    ClutterRate::None,
                    SIZE,
                    Random::of(&[8, thing]),
                );
                let bbox = [600.0, 100.0, 600.0 + pixels, 100.0 + pixels];
                let sight = Sight { thing: 0, class, bbox, visible: 1.0, depth: 20.0 };
                let found = sensor.see(0.0, 10.0, &[sight]);
                seen += if found.first().is_some_and(|one| one.score >= 0.3) { 1.0 } else { 0.0 };
            }
            let share = seen / 1500.0;
            // Between two of the grid's quantiles the share is interpolated: ten hundredths at most, where it jumps.
            assert!(
                (share - height.recall).abs() < 0.11,
                "{model} {name} {}: {share} {}",
                height.rows,
                height.recall
            );
        }
    }
}
