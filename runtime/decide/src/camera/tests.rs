use proptest::prelude::*;

use super::*;
use crate::bench::project;
use crate::ego::{Ego, Reading};

/// OpenCV's forward model, in double precision.
fn distort(lens: &Lens, point: [f64; 2]) -> [f64; 2] {
    let [x, y] = point;
    let s = x * x + y * y;
    match *lens {
        Lens::Pinhole => point,
        Lens::BrownConrady { k1, k2, p1, p2, k3 } => {
            let [k1, k2, p1, p2, k3] = [k1, k2, p1, p2, k3].map(f64::from);
            let radial = 1.0 + k1 * s + k2 * s * s + k3 * s * s * s;
            [
                x * radial + 2.0 * p1 * x * y + p2 * (s + 2.0 * x * x),
                y * radial + p1 * (s + 2.0 * y * y) + 2.0 * p2 * x * y,
            ]
        }
        Lens::KannalaBrandt { k1, k2, k3, k4 } => {
            let [k1, k2, k3, k4] = [k1, k2, k3, k4].map(f64::from);
            let r = s.sqrt();
            let t = r.atan();
            let d = t * (1.0 + k1 * t.powi(2) + k2 * t.powi(4) + k3 * t.powi(6) + k4 * t.powi(8));
            if r < 1e-9 { [0.0, 0.0] } else { [x * d / r, y * d / r] }
        }
    }
}

fn any_lens() -> impl Strategy<Value = Lens> {
    let brown = (-0.35_f32..0.1, -0.02_f32..0.15, -0.002_f32..0.002, -0.002_f32..0.002, -0.01_f32..0.01);
    let fish = (-0.05_f32..0.1, -0.02_f32..0.02, -0.005_f32..0.005, -0.001_f32..0.001);
    prop_oneof![
        Just(Lens::Pinhole),
        brown.prop_map(|(k1, k2, p1, p2, k3)| Lens::BrownConrady { k1, k2, p1, p2, k3 }),
        fish.prop_map(|(k1, k2, k3, k4)| Lens::KannalaBrandt { k1, k2, k3, k4 }),
    ]
}

proptest! {
    #[test]
    fn undistorting_undoes_opencvs_forward_model(lens in any_lens(), x in -0.8_f64..0.8, y in -0.5_f64..0.5) {
        let [a, b] = distort(&lens, [x, y]);
        #[allow(clippy::cast_possible_truncation, reason = "the lens takes single precision")]
        let direction = lens.direction([a as f32, b as f32]).unwrap();
        let back = [direction[0] / direction[2], direction[1] / direction[2]].map(f64::from);
        prop_assert!((back[0] - x).abs() < 5e-4 && (back[1] - y).abs() < 5e-4, "{back:?} for {x} {y}");
        let length: f32 = direction.iter().map(|part| part * part).sum();
        prop_assert!((length - 1.0).abs() < 1e-4);
    }

    #[test]
    fn no_pixel_gives_anything_but_numbers(
        lens in any_lens(), x in -1e6_f32..1e6, y in -1e6_f32..1e6, height in 0.0_f32..1e5,
        pitch in -1.5_f32..1.5, roll in -0.5_f32..0.5, yaw in -3.0_f32..3.0,
    ) {
        let level = Calibration::level([1280, 720], 900.0, 1.3);
        let camera = Camera::new(Calibration { lens, pitch, roll, yaw, ..level }).unwrap();
        if let Some(ground) = camera.ground([x, y], 0.01) {
            prop_assert!(ground.forwards.is_finite() && ground.left.is_finite() && ground.sigma > 0.0);
        }
        if let Some(sight) = camera.sight([x, y, x + 10.0, y + height], 1.0, 0.0) {
            prop_assert!(sight.heights.is_finite() && sight.heights > 0.0 && sight.heights_sigma.is_finite());
            prop_assert!(sight.bearing.is_finite() && sight.elevation.is_finite());
        }
    }

    #[test]
    fn a_point_on_the_road_is_found_again(
        forwards in 3.0_f32..60.0, left in -3.0_f32..3.0,
        pitch in -0.1_f32..0.3, roll in -0.05_f32..0.05, yaw in -0.1_f32..0.1,
    ) {
        let level = Calibration::level([1280, 720], 900.0, 1.3);
        let camera = Camera::new(Calibration { pitch, roll, yaw, lateral: 0.3, ..level }).unwrap();
        let ground = camera.ground(project(&camera, [forwards, left + 0.3, 0.0]), 0.0).unwrap();
        prop_assert!((ground.forwards - forwards).abs() < 0.01 * forwards);
        prop_assert!((ground.left - left).abs() < 0.01 * forwards);
    }

    #[test]
    fn distance_in_heights_hardly_feels_the_pitch(forwards in 5.0_f32..60.0, pitch in -0.06_f32..0.06) {
        let level = Calibration::level([1280, 720], 900.0, 1.3);
        let (camera, tilted) = (Camera::new(level).unwrap(), Camera::new(Calibration { pitch, ..level }).unwrap());
        let (top, foot) = (project(&tilted, [forwards, 0.5, 1.7]), project(&tilted, [forwards, 0.5, 0.0]));
        let sight = camera.sight([top[0] - 20.0, top[1], top[0] + 20.0, foot[1]], 1.0, 0.0).unwrap();
        prop_assert!((1.7 * sight.heights / forwards - 1.0).abs() < 0.03, "{}", 1.7 * sight.heights);
    }
}

#[test]
fn what_a_lens_cannot_see_has_no_direction() {
    // Folds: no undistorted radius gives 2.
    let folding = Lens::BrownConrady { k1: -0.3, k2: 0.0, p1: 0.0, p2: 0.0, k3: 0.0 };
    assert_eq!(folding.direction([2.0, 0.0]), None);
    let fish = Lens::KannalaBrandt { k1: 0.0, k2: 0.0, k3: 0.0, k4: 0.0 };
    assert_eq!(fish.direction([2.0, 0.0]), None);
    assert_eq!(fish.direction([0.0, 0.0]), Some([0.0, 0.0, 1.0]));
    let folding = Lens::KannalaBrandt { k1: -0.5, k2: 0.0, k3: 0.0, k4: 0.0 };
    assert_eq!(folding.direction([1.2, 0.0]), None);
}

#[test]
fn the_sky_has_no_ground() {
    let camera = Camera::new(Calibration::level([1280, 720], 900.0, 1.3)).unwrap();
    assert_eq!(camera.ground([640.0, 300.0], 0.0), None);
    let backwards = Calibration { yaw: 3.1, ..*camera.calibration() };
    let camera = Camera::new(backwards).unwrap();
    assert_eq!(camera.ground([640.0, 600.0], 0.0), None);
    assert_eq!(camera.sight([600.0, 300.0, 680.0, 500.0], 1.0, 0.0), None);
}

#[test]
fn the_signs_of_the_angles_are_those_of_iso_8855() {
    let level = Calibration::level([1280, 720], 900.0, 1.3);
    let middle = |calibration| Camera::new(calibration).unwrap().direction([640.0, 360.0]).unwrap();
    assert!(middle(Calibration { pitch: 0.1, ..level })[2] < -0.09, "pitch looks down");
    assert!(middle(Calibration { yaw: 0.1, ..level })[1] > 0.09, "yaw looks left");
    let right = Camera::new(Calibration { roll: 0.1, ..level }).unwrap().direction([1240.0, 360.0]).unwrap();
    assert!(right[2] < -0.05, "roll lowers the right side");
}

#[test]
fn settings_out_of_bounds_are_named() {
    let level = Calibration::level([1280, 720], 900.0, 1.3);
    assert_eq!(Camera::new(Calibration { height: 0.0, ..level }).unwrap_err().key, "height");
    assert_eq!(Camera::new(Calibration { focal: [900.0, f32::NAN], ..level }).unwrap_err().key, "focal");
    assert!(!Camera::new(level).unwrap().matches([640, 360]));
    assert_eq!(
        PathConfig { wheelbase_m: 0.0, ..PathConfig::default() }.check().unwrap_err().key,
        "wheelbase_m"
    );
}

#[test]
fn the_path_follows_yaw_rate_then_steering_then_nothing() {
    let config = PathConfig::default();
    let ego = Ego {
        speed: Reading::Fresh(10.0),
        yaw_rate: Reading::Fresh(0.2),
        steering_angle: Reading::Fresh(-1.5),
        ..Ego::default()
    };
    assert!((Path::ahead(&config, &ego).curvature - 0.02).abs() < 1e-6);
    let steered = Path::ahead(&config, &Ego { yaw_rate: Reading::Stale, ..ego });
    assert!((steered.curvature + 0.1_f32.tan() / 2.7).abs() < 1e-5);
    assert_eq!(Path::ahead(&config, &Ego::default()), Path::default());
    assert!((steered.offset(20.0, 1.0) - (1.0 - 200.0 * steered.curvature)).abs() < 1e-4);
    let parked = Ego { speed: Reading::Fresh(0.5), steering_angle: Reading::Stale, ..ego };
    assert_eq!(Path::ahead(&config, &parked).curvature, 0.0);
}

fn sight(distance: f32, height: f32) -> Sight {
    let camera = Camera::new(Calibration::level([1280, 720], 1000.0, 1.3)).unwrap();
    let (top, foot) = (project(&camera, [distance, 0.0, height]), project(&camera, [distance, 0.0, 0.0]));
    camera.sight([600.0, top[1], 640.0, foot[1]], 0.7 + 0.02 * (foot[1] - top[1]), 0.0).unwrap()
}

#[test]
fn a_childs_height_is_learned_from_its_foot_and_kept_through_a_nose_dive() {
    let prior = Prior { height: 1.6, sigma: 0.25, stands: true, own_speed: 1.5 };
    let mut ranger = Ranger::new(prior, &sight(20.0, 1.15), None);
    let mut distance = 20.0;
    for _ in 0..30 {
        distance -= 10.0 / 30.0;
        let motion = Motion { dt: 1.0 / 30.0, speed: Some(10.0), change: 0.0 };
        ranger.step(&motion, Some(&sight(distance, 1.15)));
    }
    assert!((ranger.distance() - distance).abs() < 1.0, "{} of {distance}", ranger.distance());
    assert!((ranger.closing().0 - 10.0).abs() < 2.0 && ranger.height().0 < 1.3);
    let (rate, _) = ranger.looming(0.0);
    assert!((rate - 10.0 / distance).abs() < 0.1 * rate, "{rate}");
}

#[test]
fn an_approach_finds_the_height_and_the_distance() {
    for height in [0.6, 0.75, 0.9] {
        let mut approach = Approach::new(&sight(50.0, height), 0.75, 0.09);
        let mut distance = 50.0;
        while distance > 20.0 {
            distance -= 0.4;
            approach.travel(0.4, 0.0);
            approach.update(&sight(distance, height));
        }
        assert!(
            (approach.distance() - distance).abs() < 1.0,
            "{height}: {} of {distance}",
            approach.distance()
        );
        assert!((approach.height() - height).abs() < 0.05 && approach.comes_nearer());
        assert_eq!(approach.growth(3.0), Growth::Agrees);
        assert!(approach.distance_sigma() < 2.0);
    }
}

#[test]
fn something_that_keeps_its_distance_contradicts() {
    let mut approach = Approach::new(&sight(30.0, 0.75), 0.75, 0.09);
    assert_eq!(approach.growth(3.0), Growth::Unknown);
    for _ in 0..60 {
        approach.travel(0.4, 0.0);
        approach.update(&sight(30.0, 0.75));
    }
    assert_eq!(approach.growth(3.0), Growth::Contradicts);
    assert!(!approach.comes_nearer());
}
