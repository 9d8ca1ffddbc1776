use proptest::prelude::*;
use stopline_sensors::frame::{Buffer, Colour as YuvColour, FrameMeta, PlaneLayout};
use stopline_sensors::frame::{Frame, Matrix, PixelFormat, Range, Stamp};

use super::*;
use crate::detection::Keypoint;

fn manifest() -> Manifest {
    let text = r#"
        schema = 1
        name = "m"
        version = "1.0.0"
        task = "pose"
        decoder = "yolo-pose"
        labels = ["person"]
        keypoints = ["left_shoulder", "left_elbow"]
        [input]
        width = 64
        height = 64
        colour = "rgb"
        resize = { mode = "stretch" }
    "#;
    Manifest::from_toml(text).expect("a good manifest")
}

fn person(bbox: [f32; 4], at: [f32; 2]) -> Detection {
    let point = Keypoint { x: at[0], y: at[1], score: 0.9 };
    Detection { class: 0, score: 0.5, bbox, keypoints: vec![point, Keypoint { x: 0.0, y: 0.0, score: 0.9 }] }
}

#[test]
fn a_box_is_drawn_where_it_is_and_leaves_its_middle_alone() {
    let mut picture = RgbImage::new(400, 300);
    let mut found = person([100.0, 100.0, 300.0, 250.0], [0.0; 2]);
    found.keypoints.clear();
    annotate(&mut picture, &[found], &manifest());
    let Colour { red, green, blue } = class_colour(0);
    assert_eq!(picture.get_pixel(100, 180).0, [red, green, blue]);
    assert_eq!(picture.get_pixel(299, 180).0, [red, green, blue]);
    assert_eq!(picture.get_pixel(200, 180).0, [0, 0, 0]);
    assert_ne!(picture.get_pixel(101, 95).0, [0, 0, 0], "the label stands above");
}

#[test]
fn letters_are_about_as_large_a_part_of_a_4k_picture_as_of_a_thumbnail() {
    let label_rows = |width, height| {
        let mut picture = RgbImage::new(width, height);
        banner(&mut picture, "x");
        let filled = (0..height).take_while(|&y| picture.get_pixel(0, y).0 != [0, 0, 0]).count();
        f64::from(u32::try_from(filled).expect("small")) / f64::from(height)
    };
    for size in [(640, 360), (960, 540), (1280, 720), (1920, 1080), (3840, 2160), (7680, 4320)] {
        let part = label_rows(size.0, size.1);
        assert!((0.018..0.045).contains(&part), "{size:?}: {part}");
    }
}

#[test]
fn colours_of_the_first_twenty_classes_differ() {
    for a in 0..20 {
        for b in 0..a {
            let (a, b) = (class_colour(a), class_colour(b));
            let far = a.red.abs_diff(b.red).max(a.green.abs_diff(b.green)).max(a.blue.abs_diff(b.blue));
            assert!(far > 8, "{a:?} {b:?}");
        }
    }
}

fn frame(format: PixelFormat, colour: YuvColour, fill: [&[u8]; 3], size: (u32, u32), pad: usize) -> Frame {
    let mut bytes = Vec::new();
    let mut planes = Vec::new();
    for (plane, pattern) in fill.iter().enumerate().take(format.planes()) {
        let (row, rows) = format.plane_size(plane, size.0, size.1);
        planes.push(PlaneLayout { offset: bytes.len(), stride: row + pad });
        for y in 0..rows {
            bytes.extend(pattern.iter().cycle().take(row));
            // Only the last plane's last row may end without its padding.
            let last = plane + 1 == format.planes() && y + 1 == rows;
            bytes.extend(std::iter::repeat_n(255, if last { 0 } else { pad }));
        }
    }
    let meta = FrameMeta {
        source: "test".into(),
        sequence: 0,
        captured: stopline_sensors::clock::Monotonic::default(),
        stamp: Stamp::Recording,
        wall: std::time::UNIX_EPOCH,
        position: None,
        path: None,
        copies: 0,
    };
    Frame::new(meta, format, colour, size, &planes, Buffer::from(bytes)).expect("a good frame")
}

#[test]
fn one_red_comes_out_of_every_pixel_format_also_with_padded_rows_and_odd_sizes() {
    // BT.601 limited range: red is Y 81, U 90, V 240.
    let colour = YuvColour { matrix: Matrix::Bt601, range: Range::Limited };
    let cases: [(PixelFormat, [&[u8]; 3]); 6] = [
        (PixelFormat::Rgb, [&[254, 0, 0], &[], &[]]),
        (PixelFormat::Bgr, [&[0, 0, 254], &[], &[]]),
        (PixelFormat::Yuyv, [&[81, 90, 81, 240], &[], &[]]),
        (PixelFormat::Uyvy, [&[90, 81, 240, 81], &[], &[]]),
        (PixelFormat::Nv12, [&[81], &[90, 240], &[]]),
        (PixelFormat::I420, [&[81], &[90], &[240]]),
    ];
    for (format, fill) in cases {
        for (size, pad) in [((6, 4), 0), ((6, 4), 10), ((5, 3), 0), ((5, 3), 8)] {
            let picture = rgb_image(&frame(format, colour, fill, size, pad)).expect("converts");
            for pixel in picture.pixels() {
                let [r, g, b] = pixel.0;
                assert!(r >= 252 && g <= 3 && b <= 3, "{format:?} {size:?} pad {pad}: {pixel:?}");
            }
        }
    }
    let grey = rgb_image(&frame(PixelFormat::Grey, colour, [&[77], &[], &[]], (5, 3), 3)).expect("converts");
    assert!(grey.pixels().all(|pixel| pixel.0 == [77, 77, 77]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_box_keypoint_or_size_breaks_the_drawing(
        width in 1u32..400, height in 1u32..300,
        x in proptest::num::f32::ANY, y in proptest::num::f32::ANY, far in -1e9f32..1e9,
    ) {
        let mut picture = RgbImage::new(width, height);
        annotate(&mut picture, &[person([x, y, far, far], [0.0; 2])], &manifest());
        prop_assert_eq!(picture.dimensions(), (width, height));
    }
}
