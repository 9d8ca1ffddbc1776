use super::*;
use crate::calibrate::scene::Random;

const SIZE: [u32; 2] = [1280, 720];

fn board() -> Vec<[f64; 2]> {
    (0..54).map(|i| [f64::from(i % 9) * 0.03, f64::from(i / 9) * 0.03]).collect()
}

/// Views all over the picture, corners off by `noise` pixels.
fn views(lens: &Lens, count: usize, noise: f64) -> Vec<View> {
    let mut random = Random(11);
    let mut all = Vec::new();
    while all.len() < count {
        let mut spread = |half: f64| (random.next() * 2.0 - 1.0) * half;
        let far = 0.35 + 0.15 * (1.0 + spread(1.0));
        let rotation = [spread(0.6), spread(0.6), spread(0.5)];
        let translation = [spread(0.5) * far - 0.12, spread(0.35) * far - 0.08, far];
        let pose = Pose { rotation, translation };
        let seen: Option<Vec<[f64; 2]>> =
            board().iter().map(|corner| lens.project(pose.place(*corner))).collect();
        let inside = |p: &[f64; 2]| p[0] > 0.0 && p[1] > 0.0 && p[0] < 1279.0 && p[1] < 719.0;
        if let Some(seen) = seen.filter(|seen| seen.iter().all(inside)) {
            let seen = seen
                .iter()
                .map(|p| [p[0] + noise * random.normal(), p[1] + noise * random.normal()])
                .collect();
            all.push(View { name: format!("view {}", all.len()), seen });
        }
    }
    all
}

#[test]
fn exact_corners_give_the_lens_back() {
    let lens = Lens {
        model: Model::BrownConrady,
        focal: [912.0, 915.0],
        centre: [652.0, 349.0],
        distortion: vec![-0.31, 0.13, 0.0011, -0.0007, -0.03],
    };
    let found = calibrate(lens.model, &board(), &views(&lens, 10, 0.0), SIZE).unwrap();
    assert!(found.rms < 1e-6, "{}", found.rms);
    for (a, b) in found.lens.parameters().iter().zip(lens.parameters()) {
        assert!((a - b).abs() < 1e-4 * b.abs().max(1.0), "{:?}", found.lens);
    }
}

#[test]
fn exact_corners_give_a_fisheye_back() {
    let lens = Lens {
        model: Model::KannalaBrandt,
        focal: [395.0, 396.0],
        centre: [641.0, 363.0],
        distortion: vec![0.03, -0.012, 0.004, -0.0008],
    };
    let found = calibrate(lens.model, &board(), &views(&lens, 12, 0.0), SIZE).unwrap();
    assert!(found.rms < 1e-5, "{}", found.rms);
    for (a, b) in found.lens.parameters().iter().zip(lens.parameters()) {
        assert!((a - b).abs() < 2e-3 * b.abs().max(1.0), "{:?}", found.lens);
    }
}

#[test]
fn what_it_says_of_its_own_error_is_about_right() {
    let lens = Lens {
        model: Model::BrownConrady,
        focal: [912.0, 915.0],
        centre: [652.0, 349.0],
        distortion: vec![-0.31, 0.13, 0.0011, -0.0007, -0.03],
    };
    let found = calibrate(lens.model, &board(), &views(&lens, 15, 0.3), SIZE).unwrap();
    // Two coordinates of 0.3 px each.
    assert!((found.rms - 0.3 * 2f64.sqrt()).abs() < 0.05, "{}", found.rms);
    for (at, truth) in lens.parameters().iter().enumerate() {
        let off = (found.lens.parameters()[at] - truth).abs() / found.deviations[at];
        assert!(off < 4.0, "parameter {at} is off by {off} of its deviation");
    }
    assert!(found.deviations[0] > 0.05 && found.deviations[0] < 5.0, "{:?}", found.deviations);
}

#[test]
fn views_that_are_all_square_to_the_camera_leave_the_focal_length_open() {
    let lens = Lens::plain(Model::BrownConrady, 900.0, [639.5, 359.5]);
    let mut random = Random(5);
    let views: Vec<View> = (0..8)
        .map(|i| {
            let pose = Pose { rotation: [0.0; 3], translation: [-0.12, -0.08, 0.4 + 0.01 * f64::from(i)] };
            let seen = board().into_iter().map(|corner| lens.project(pose.place(corner)).unwrap());
            let seen = seen.map(|p| [p[0] + 0.3 * random.normal(), p[1] + 0.3 * random.normal()]).collect();
            View { name: i.to_string(), seen }
        })
        .collect();
    if let Ok(found) = calibrate(Model::BrownConrady, &board(), &views, SIZE) {
        let problems = crate::calibrate::quality::problems(
            &found,
            &views,
            SIZE,
            &crate::calibrate::quality::Limits::default(),
        );
        assert!(problems.iter().any(|problem| problem.contains("leans")), "{problems:?}");
        assert!(problems.iter().any(|problem| problem.contains("focal length")), "{problems:?}");
    }
}
