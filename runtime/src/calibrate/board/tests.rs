use super::*;
use crate::calibrate::lens::{Lens, Model};
use crate::calibrate::plane::Pose;
use crate::calibrate::scene;

const BOARD: Board = Board { columns: 8, rows: 5, square: 0.03 };
const SIZE: [u32; 2] = [640, 400];

fn lens() -> Lens {
    Lens::plain(Model::BrownConrady, 520.0, [319.5, 199.5])
}

fn pose(rotation: [f64; 3], translation: [f64; 3]) -> Pose {
    Pose { rotation, translation }
}

/// Largest distance in pixels between where corners were found and where they are.
fn furthest(lens: &Lens, pose: &Pose, found: &[[f64; 2]]) -> f64 {
    let truth = BOARD.corners().into_iter().map(|corner| lens.project(pose.place(corner)).unwrap());
    truth.zip(found).map(|(a, b)| (a[0] - b[0]).hypot(a[1] - b[1])).fold(0.0, f64::max)
}

fn rms(lens: &Lens, pose: &Pose, found: &[[f64; 2]]) -> f64 {
    let truth = BOARD.corners().into_iter().map(|corner| lens.project(pose.place(corner)).unwrap());
    let squares: f64 = truth.zip(found).map(|(a, b)| (a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2)).sum();
    (squares / found.len() as f64).sqrt()
}

#[test]
fn a_board_is_found_to_a_tenth_of_a_pixel_however_it_leans() {
    let poses = [
        pose([0.0, 0.0, 0.0], [-0.1, -0.06, 0.45]),
        pose([0.6, 0.0, 0.1], [-0.1, -0.06, 0.5]),
        pose([0.0, 0.8, 0.0], [-0.06, -0.06, 0.5]),
        pose([-0.4, -0.7, 0.3], [-0.12, -0.05, 0.55]),
        pose([0.1, 0.1, 1.2], [0.03, -0.12, 0.6]),
    ];
    for pose in poses {
        let picture = scene::picture(&lens(), &BOARD, &pose, SIZE, 3.0);
        let found = find(&picture, &BOARD).unwrap_or_else(|why| panic!("{pose:?}: {why}"));
        let (rms, most) = (rms(&lens(), &pose, &found), furthest(&lens(), &pose, &found));
        println!("{pose:?}: RMS {rms:.3} px, at most {most:.3} px");
        // Squares at the far side of a leaning board are ten pixels wide: one corner among forty may be off by more.
        assert!(rms < 0.1 && most < 0.3, "{pose:?}: {rms} {most}");
    }
}

#[test]
fn a_board_in_perspective_at_the_edge_of_a_fisheye_is_found() {
    let lens = Lens {
        model: Model::KannalaBrandt,
        focal: [200.0; 2],
        centre: [319.5, 199.5],
        distortion: vec![0.02, -0.005, 0.0, 0.0],
    };
    let pose = pose([0.0, 0.5, 0.2], [0.14, -0.12, 0.22]);
    let picture = scene::picture(&lens, &BOARD, &pose, SIZE, 2.0);
    let found = find(&picture, &BOARD).unwrap();
    let off = furthest(&lens, &pose, &found);
    assert!(off < 0.25, "{off}");
}

#[test]
fn a_picture_without_a_board_another_board_and_half_a_board_have_a_message_each() {
    let other = Board { columns: 6, rows: 9, square: 0.02 };
    let place = pose([0.1, 0.0, 0.0], [-0.06, -0.08, 0.5]);
    let picture = scene::picture(&lens(), &other, &place, SIZE, 2.0);
    assert_eq!(
        find(&picture, &BOARD).unwrap_err(),
        NotFound::Other { found_columns: 6, found_rows: 9, columns: 8, rows: 5 }
    );
    let half = scene::picture(&lens(), &BOARD, &pose([0.0; 3], [-0.37, -0.06, 0.45]), SIZE, 2.0);
    let why = find(&half, &BOARD).unwrap_err();
    assert!(matches!(why, NotFound::Part { .. }), "{why}");
    let mut random = scene::Random(3);
    let noise = RgbImage::from_fn(320, 240, |_, _| image::Rgb([(random.next() * 255.0) as u8; 3]));
    assert_eq!(find(&noise, &BOARD).unwrap_err(), NotFound::Nothing { columns: 8, rows: 5 });
    assert!(find(&RgbImage::new(320, 240), &BOARD).is_err());
    assert!(find(&RgbImage::new(1, 1), &BOARD).is_err());
}

#[test]
fn a_soft_picture_gives_the_board_at_a_coarser_scale() {
    let place = pose([0.2, 0.3, 0.0], [-0.1, -0.06, 0.45]);
    let sharp = scene::picture(&lens(), &BOARD, &place, SIZE, 0.0);
    let soft = image::imageops::blur(&sharp, 4.0);
    let found = find(&soft, &BOARD).unwrap();
    let off = furthest(&lens(), &place, &found);
    assert!(off < 0.4, "{off}");
}

#[test]
fn the_first_corner_is_the_upper_left_one_also_where_the_board_stands_on_its_side() {
    let place = pose([0.0, 0.0, std::f64::consts::PI], [0.1, 0.06, 0.5]);
    let picture = scene::picture(&lens(), &BOARD, &place, SIZE, 0.0);
    let found = find(&picture, &BOARD).unwrap();
    assert!(found[0][0] < found[7][0] && found[0][1] < found[39][1], "{found:?}");
    let tall = Board { columns: 5, rows: 8, square: 0.03 };
    let found = find(&picture, &tall).unwrap();
    assert_eq!(found.len(), 40);
    // Rows of five along the short side; never mirrored.
    let step = |a: [f64; 2], b: [f64; 2]| [b[0] - a[0], b[1] - a[1]];
    let (u, v) = (step(found[0], found[4]), step(found[0], found[35]));
    assert!(u[0] * v[1] - u[1] * v[0] > 0.0, "{u:?} {v:?}");
}
