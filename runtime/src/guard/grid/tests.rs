use stopline_decide::time::Nanos;
use stopline_sensors::frame::{Colour, PixelFormat};

use super::*;
use crate::guard::scene::{FULL, SIZE, Scene, frame_of};

fn look(frame: &Frame) -> Look {
    let mut look = Look::default();
    assert!(look.at(frame));
    look
}

#[test]
fn every_format_gives_the_same_look() {
    let scene = Scene::street(1);
    let grey = scene.frame(0, Nanos(0), 2.0);
    let luma = grey.plane(0).bytes.to_vec();
    let expected = look(&grey);
    let [w, h] = SIZE;
    let chroma = vec![128; w * h / 2];
    let planar = [luma.clone(), chroma].concat();
    let formats = [
        (PixelFormat::Yuyv, luma.iter().flat_map(|y| [*y, 128]).collect::<Vec<u8>>()),
        (PixelFormat::Uyvy, luma.iter().flat_map(|y| [128, *y]).collect()),
        (PixelFormat::Nv12, planar.clone()),
        (PixelFormat::I420, planar),
        (PixelFormat::Rgb, luma.iter().flat_map(|y| [*y; 3]).collect()),
        (PixelFormat::Bgr, luma.iter().flat_map(|y| [*y; 3]).collect()),
    ];
    for (format, bytes) in formats {
        let seen = look(&frame_of(bytes, format, FULL, 0, Nanos(0), SIZE));
        assert_eq!((seen.signature, seen.sharpness), (expected.signature, expected.sharpness), "{format:?}");
        assert_eq!(seen.histogram, expected.histogram, "{format:?}");
    }
}

#[test]
fn limited_range_is_spread_so_that_black_is_black_and_white_is_white() {
    let [w, h] = SIZE;
    for (byte, luma) in [(16, 0), (235, 255), (0, 0), (255, 255)] {
        let bytes = [vec![byte; w * h], vec![128; w * h / 2]].concat();
        let seen = look(&frame_of(bytes, PixelFormat::I420, Colour::default(), 0, Nanos(0), SIZE));
        assert_eq!(seen.histogram[luma], 57_600, "{byte}");
    }
}

#[test]
fn a_grain_of_noise_is_another_picture_and_the_same_bytes_are_the_same() {
    let scene = Scene::street(1);
    let (one, two) = (scene.frame(0, Nanos(0), 1.0), scene.frame(1, Nanos(0), 1.0));
    assert_ne!(look(&one).signature, look(&two).signature);
    assert_ne!(whole_signature(&one), whole_signature(&two));
    let again = scene.frame(0, Nanos(9), 1.0);
    assert_eq!(look(&one).signature, look(&again).signature);
    assert_eq!(whole_signature(&one), whole_signature(&again));
}

#[test]
fn one_changed_pixel_between_the_samples_changes_the_whole_signature() {
    let scene = Scene::street(1);
    let bytes = scene.frame(0, Nanos(0), 0.0).plane(0).bytes.to_vec();
    let of = |bytes: Vec<u8>| frame_of(bytes, PixelFormat::Grey, FULL, 0, Nanos(0), SIZE);
    let mut changed = bytes.clone();
    let at = (0..changed.len())
        .find(|at| {
            let mut touched = bytes.clone();
            touched[*at] ^= 1;
            look(&of(touched)).signature == look(&of(bytes.clone())).signature
        })
        .expect("not every pixel is sampled");
    changed[at] ^= 1;
    assert_ne!(whole_signature(&of(changed)), whole_signature(&of(bytes)));
}

#[test]
fn sharpness_falls_with_the_blur_and_not_with_the_contrast() {
    let scene = Scene::street(2);
    let sharpness = |scene: &Scene| look(&scene.frame(0, Nanos(0), 1.0)).sharpness;
    let sharp = sharpness(&scene).expect("contrast");
    let dim = sharpness(&scene.mapped(|level| 20.0 + level * 0.3)).expect("contrast");
    assert!((sharp - dim).abs() < 0.25 * sharp, "{sharp} {dim}");
    let blurred: Vec<f32> =
        [1, 2, 4].iter().map(|reach| sharpness(&scene.blurred(*reach)).expect("contrast")).collect();
    assert!(
        sharp > 1.5 * blurred[0] && blurred[0] > blurred[1] && blurred[2] < 0.3 * sharp,
        "{sharp} {blurred:?}"
    );
    assert_eq!(sharpness(&Scene::plain(100.0)), None, "a wall has nothing to be sharp");
}

#[test]
fn tiny_pictures_are_not_judged_and_odd_sizes_are() {
    let of =
        |size: [usize; 2]| frame_of(vec![7; size[0] * size[1]], PixelFormat::Grey, FULL, 0, Nanos(0), size);
    assert!(!Look::default().at(&of([63, 400])));
    for size in [[64, 64], [65, 67], [321, 179], [1001, 77]] {
        assert_eq!(look(&of(size)).histogram[7], 57_600, "{size:?}");
    }
}

/// What the guard costs: printed, not held, since it is this machine's.
#[test]
#[ignore = "a measurement"]
fn a_look_at_720p() {
    use stopline_sensors::clock::{Clock, SystemClock};

    let (w, h) = (1280, 720);
    let mut random = crate::guard::scene::Random(1);
    for (name, format, bytes) in
        [("I420", PixelFormat::I420, w * h * 3 / 2), ("YUYV", PixelFormat::Yuyv, w * h * 2)]
    {
        let picture = (0..bytes).map(|_| (random.next() & 0xff) as u8).collect();
        let frame = frame_of(picture, format, Colour::default(), 0, Nanos(0), [w, h]);
        let mut look = Look::default();
        let mut times: Vec<(u128, u128)> = (0..200)
            .map(|_| {
                let begun = SystemClock.monotonic();
                assert!(look.at(&frame));
                let looked = SystemClock.monotonic();
                std::hint::black_box(whole_signature(&frame));
                (looked.since(begun).as_micros(), SystemClock.monotonic().since(looked).as_micros())
            })
            .collect();
        times.sort_unstable();
        println!("{name} 1280x720: a look {} µs (median of 200)", times[100].0);
        times.sort_unstable_by_key(|(_, whole)| *whole);
        println!("{name} 1280x720: the whole signature, where pictures look the same, {} µs", times[100].1);
    }
}
