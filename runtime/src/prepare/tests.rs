use std::sync::Arc;
use std::time::SystemTime;

use proptest::prelude::*;
use stopline_depot::manifest::{Anchor, Crop, Dtype, Layout, Resize, ResizeMode, Rounding};
use stopline_sensors::clock::Monotonic;
use stopline_sensors::frame::{Buffer, Colour, FrameMeta, PixelFormat, PlaneLayout, Stamp};

use super::*;
use crate::infer::TensorData;

const FORMATS: [PixelFormat; 7] = [
    PixelFormat::Yuyv,
    PixelFormat::Uyvy,
    PixelFormat::Nv12,
    PixelFormat::I420,
    PixelFormat::Grey,
    PixelFormat::Rgb,
    PixelFormat::Bgr,
];

fn meta() -> FrameMeta {
    FrameMeta {
        source: Arc::from("test"),
        sequence: 0,
        captured: Monotonic::default(),
        stamp: Stamp::Arrival,
        wall: SystemTime::UNIX_EPOCH,
        position: None,
        path: None,
        copies: 0,
    }
}

/// A frame whose bytes are `byte(plane, row, column)`, each row `padding` bytes longer than it must be.
fn frame(
    format: PixelFormat,
    size: (u32, u32),
    padding: usize,
    byte: impl Fn(usize, usize, usize) -> u8,
) -> Frame {
    let mut bytes = Vec::new();
    let mut planes = Vec::new();
    for plane in 0..format.planes() {
        let (row, rows) = format.plane_size(plane, size.0, size.1);
        planes.push(PlaneLayout { offset: bytes.len(), stride: row + padding });
        for y in 0..rows {
            bytes.extend((0..row).map(|x| byte(plane, y, x)));
            bytes.extend(std::iter::repeat_n(0xA5, padding));
        }
    }
    Frame::new(meta(), format, Colour::default(), size, &planes, Buffer::from(bytes)).unwrap()
}

fn noise(plane: usize, y: usize, x: usize) -> u8 {
    let mut hash = (plane as u64) << 40 | (y as u64) << 20 | x as u64;
    hash = hash.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x1234_5678;
    hash ^= hash >> 29;
    (hash.wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 56) as u8
}

fn input(width: u32, height: u32, mode: ResizeMode, filter: Filter) -> Input {
    Input {
        name: None,
        width,
        height,
        layout: Layout::Nchw,
        dtype: Dtype::F32,
        colour: ColourOrder::Rgb,
        scale: 1.0,
        mean: [0.0; 3],
        std: [1.0; 3],
        resize: Resize {
            mode,
            anchor: Anchor::Centre,
            pad: Fill::All(114),
            filter,
            rounding: Rounding::Floor,
            enlarge: true,
        },
        rectangle: false,
        rectangle_stride: 32,
        crop: None,
        extra: Vec::new(),
    }
}

fn prepared(input: &Input, frame: &Frame) -> Tensor {
    let size = [input.width, input.height];
    let geometry = Geometry::fit([frame.width(), frame.height()], size, &input.resize);
    prepared_at(input, frame, &geometry)
}

fn prepared_at(input: &Input, frame: &Frame, geometry: &Geometry) -> Tensor {
    let mut preparer = Preparer::new(input, geometry.input).unwrap();
    let mut tensor = preparer.tensor();
    if let TensorData::F32(values) = &mut tensor.data {
        values.fill(f32::NAN);
    }
    preparer.prepare(frame, geometry, &mut tensor).unwrap();
    tensor
}

fn floats(tensor: &Tensor) -> &[f32] {
    match &tensor.data {
        TensorData::F32(values) => values,
        other => panic!("{:?}", other.element()),
    }
}

#[test]
fn a_picture_of_the_inputs_own_size_comes_through_unchanged() {
    let frame = frame(PixelFormat::Rgb, (7, 5), 3, noise);
    for filter in [Filter::Bilinear, Filter::BilinearAntialias, Filter::Nearest] {
        let tensor = prepared(&input(7, 5, ResizeMode::Letterbox, filter), &frame);
        for (at, &value) in floats(&tensor).iter().enumerate() {
            let (channel, y, x) = (at / 35, at / 7 % 5, at % 7);
            assert_eq!(value, f32::from(noise(0, y, 3 * x + channel)), "{filter:?} {at}");
        }
    }
}

#[test]
fn padding_between_rows_is_never_read() {
    for format in FORMATS {
        for size in [(1, 1), (2, 3), (31, 17), (64, 48)] {
            let input = input(24, 20, ResizeMode::Letterbox, Filter::Bilinear);
            let packed = prepared(&input, &frame(format, size, 0, noise));
            assert_eq!(packed, prepared(&input, &frame(format, size, 13, noise)), "{format:?} {size:?}");
        }
    }
}

#[test]
fn single_pixels_become_what_whole_rows_become() {
    let mut compared = 0;
    for format in FORMATS.into_iter().filter(|&format| format != PixelFormat::Grey) {
        for size in [(4, 2), (6, 7), (31, 17), (64, 48), (100, 30), (641, 360), (1280, 721)] {
            for filter in [Filter::Bilinear, Filter::Nearest] {
                for wide in [3, 24, 200] {
                    let input = input(wide, 20, ResizeMode::Letterbox, filter);
                    let frame = frame(format, size, 5, noise);
                    let geometry = Geometry::fit([size.0, size.1], [wide, 20], &input.resize);
                    let mut preparer = Preparer::new(&input, geometry.input).unwrap();
                    let (mut sparse, mut whole) = (preparer.tensor(), preparer.tensor());
                    preparer.prepare(&frame, &geometry, &mut sparse).unwrap();
                    compared += usize::from(preparer.plan.sparse.is_some());
                    preparer.plan.sparse = None;
                    preparer.prepare(&frame, &geometry, &mut whole).unwrap();
                    assert_eq!(sparse, whole, "{format:?} {size:?} {filter:?} {wide}");
                }
            }
        }
    }
    let least = if crate::cpu::looks_up() { 190 } else { 90 };
    assert!(compared > least, "only {compared} pictures were made of single pixels");
}

#[test]
fn a_white_picture_stays_white_whatever_the_filter() {
    for format in FORMATS {
        for filter in [Filter::Bilinear, Filter::BilinearAntialias, Filter::Nearest] {
            for size in [(1, 1), (3, 200), (77, 33), (500, 2)] {
                let white = |plane: usize, _: usize, x: usize| match format {
                    PixelFormat::Yuyv => [235, 128][x % 2],
                    PixelFormat::Uyvy => [128, 235][x % 2],
                    PixelFormat::Nv12 | PixelFormat::I420 => [235, 128, 128][plane],
                    _ => 255,
                };
                let tensor =
                    prepared(&input(40, 30, ResizeMode::Stretch, filter), &frame(format, size, 0, white));
                assert!(
                    floats(&tensor).iter().all(|&value| value == 255.0),
                    "{format:?} {filter:?} {size:?}"
                );
            }
        }
    }
}

#[test]
fn the_pad_value_is_normalised_like_a_pixel_in_the_models_channel_order() {
    let mut input = input(8, 8, ResizeMode::Letterbox, Filter::Bilinear);
    input.colour = ColourOrder::Bgr;
    input.resize.pad = Fill::Each([10, 20, 30]);
    (input.scale, input.mean, input.std) = (0.5, [1.0, 2.0, 3.0], [2.0, 4.0, 8.0]);
    let tensor = prepared(&input, &frame(PixelFormat::Rgb, (8, 2), 0, noise));
    for (channel, expected) in
        [(10.0 * 0.5 - 1.0) / 2.0, (20.0 * 0.5 - 2.0) / 4.0, (30.0 * 0.5 - 3.0) / 8.0].into_iter().enumerate()
    {
        for row in [0, 2, 5, 7] {
            assert_eq!(floats(&tensor)[channel * 64 + row * 8], expected, "channel {channel}, row {row}");
        }
        assert!((floats(&tensor)[channel * 64 + 3 * 8] - expected).abs() > 0.0);
    }
}

#[test]
fn every_type_and_layout_holds_the_same_values() {
    let frame = frame(PixelFormat::Bgr, (50, 40), 0, noise);
    let mut input = input(16, 12, ResizeMode::Letterbox, Filter::Bilinear);
    let plain = prepared(&input, &frame);
    for layout in [Layout::Nchw, Layout::Nhwc] {
        for dtype in [Dtype::F32, Dtype::F16, Dtype::U8, Dtype::I32] {
            (input.layout, input.dtype) = (layout, dtype);
            let tensor = prepared(&input, &frame);
            for (at, &expected) in floats(&plain).iter().enumerate() {
                let at = if layout == Layout::Nhwc { at % 192 * 3 + at / 192 } else { at };
                let found = match &tensor.data {
                    TensorData::F32(values) => values[at],
                    TensorData::F16(values) => values[at].to_f32(),
                    TensorData::U8(values) => f32::from(values[at]),
                    TensorData::I32(values) => values[at] as f32,
                    TensorData::I64(_) => unreachable!("no manifest asks for it"),
                };
                assert_eq!(found, expected, "{layout:?} {dtype:?} {at}");
            }
        }
    }
}

#[test]
fn a_crop_beyond_the_picture_shows_the_outside_value_there() {
    for format in FORMATS {
        for filter in [Filter::Bilinear, Filter::BilinearAntialias, Filter::Nearest] {
            let frame = frame(format, (21, 15), 0, noise);
            let mut input = input(64, 64, ResizeMode::Stretch, filter);
            input.crop = Some(Crop { grow: 1.0, square: true, outside: Fill::Each([9, 99, 199]) });
            // Four input pixels to one of the source; the picture begins at input pixel 20 and ends at 20 + 84.
            let geometry = Geometry::region([21, 15], [64, 64], [-5, -9, 16, 16]);
            let tensor = prepared_at(&input, &frame, &geometry);
            for (channel, outside) in [9.0, 99.0, 199.0].into_iter().enumerate() {
                for (x, y) in [(0, 0), (17, 50), (50, 33), (63, 0), (0, 63)] {
                    assert_eq!(
                        floats(&tensor)[channel * 4096 + y * 64 + x],
                        outside,
                        "{format:?} {filter:?} {x} {y}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_crop_wholly_beside_the_picture_is_all_outside() {
    let frame = frame(PixelFormat::Nv12, (20, 10), 0, noise);
    let mut input = input(8, 8, ResizeMode::Stretch, Filter::Bilinear);
    input.crop = Some(Crop { grow: 1.0, square: true, outside: Fill::All(7) });
    for region in [[-50, 0, 10, 10], [40, 0, 10, 10], [0, -50, 10, 10], [5, 40, 10, 10], [-900, -900, 20, 20]]
    {
        for filter in [Filter::Bilinear, Filter::BilinearAntialias, Filter::Nearest] {
            input.resize.filter = filter;
            let tensor = prepared_at(&input, &frame, &Geometry::region([20, 10], [8, 8], region));
            assert!(floats(&tensor).iter().all(|&value| value == 7.0), "{region:?} {filter:?}");
        }
    }
}

#[test]
fn a_tensor_or_geometry_of_another_model_is_refused_and_nothing_is_written() {
    let frame = frame(PixelFormat::Rgb, (8, 8), 0, noise);
    let input = input(4, 4, ResizeMode::Stretch, Filter::Bilinear);
    let mut preparer = Preparer::new(&input, [4, 4]).unwrap();
    let fitting = Geometry::fit([8, 8], [4, 4], &input.resize);
    let mut other = Tensor { shape: vec![1, 3, 4, 4], data: TensorData::U8(vec![0; 48]) };
    let refusal = preparer.prepare(&frame, &fitting, &mut other).unwrap_err().to_string();
    assert!(refusal.contains("F32 [1, 3, 4, 4]") && refusal.contains("U8 [1, 3, 4, 4]"), "{refusal}");
    let mut tensor = preparer.tensor();
    let geometry = Geometry::fit([9, 8], [4, 4], &input.resize);
    let refusal = preparer.prepare(&frame, &geometry, &mut tensor).unwrap_err().to_string();
    assert!(refusal.contains("source picture") && refusal.contains("[9, 8]"), "{refusal}");
    let endless = Geometry { region: [0, 0, i32::MAX, 1], ..fitting };
    assert!(matches!(preparer.prepare(&frame, &endless, &mut tensor), Err(PrepareError::Region { .. })));
    assert!(floats(&tensor).iter().all(|&value| value == 0.0));
    assert!(matches!(Preparer::new(&input, [0, 4]), Err(PrepareError::Size { .. })));
    assert!(matches!(Preparer::new(&input, [4, MAX_INPUT + 1]), Err(PrepareError::Size { .. })));
}

#[test]
fn frames_of_changing_size_and_format_do_not_disturb_each_other() {
    let input = input(32, 32, ResizeMode::Letterbox, Filter::Bilinear);
    let mut preparer = Preparer::new(&input, [32, 32]).unwrap();
    let mut tensor = preparer.tensor();
    for size in [(64, 48), (15, 33), (64, 48), (100, 4)] {
        for format in FORMATS {
            let frame = frame(format, size, 1, noise);
            let geometry = Geometry::fit([size.0, size.1], [32, 32], &input.resize);
            preparer.prepare(&frame, &geometry, &mut tensor).unwrap();
            assert_eq!(tensor, prepared(&input, &frame), "{format:?} {size:?}");
        }
    }
}

fn any_case() -> impl Strategy<Value = (PixelFormat, (u32, u32), [u32; 2], Input, [i32; 4], bool)> {
    let filters = [Filter::Bilinear, Filter::BilinearAntialias, Filter::Nearest];
    let modes = [ResizeMode::Letterbox, ResizeMode::Stretch, ResizeMode::CentreCrop];
    let orders = [ColourOrder::Rgb, ColourOrder::Bgr, ColourOrder::Grey];
    let choice = (0..7usize, 0..3usize, 0..3usize, 0..3usize, any::<bool>(), any::<bool>());
    let sizes = (1u32..90, 1u32..90, 1u32..70, 1u32..70);
    let region = (-120i32..120, -120i32..120, 1i32..200, 1i32..200);
    (choice, sizes, region).prop_map(
        move |((format, mode, filter, order, layout, crop), (w, h, iw, ih), region)| {
            let mut input = input(iw, ih, modes[mode], filters[filter]);
            input.colour = orders[order];
            input.layout = if layout { Layout::Nhwc } else { Layout::Nchw };
            input.resize.pad = Fill::Each([1, 2, 3]);
            let region = [region.0, region.1, region.2, region.3];
            (FORMATS[format], (w, h), [iw, ih], input, region, crop)
        },
    )
}

proptest! {
    /// Whatever the sizes, no loop runs out of its row and every value is written.
    #[test]
    fn every_value_is_written_and_lies_between_black_and_white((format, size, inner, input, region, crop) in any_case()) {
        let frame = frame(format, size, 0, noise);
        let source = [size.0, size.1];
        let geometry = if crop { Geometry::region(source, inner, region) } else { Geometry::fit(source, inner, &input.resize) };
        let tensor = prepared_at(&input, &frame, &geometry);
        prop_assert!(floats(&tensor).iter().all(|value| (0.0..=255.0).contains(value)));
    }

    /// The vectorised path against the definition in real numbers, for RGB.
    #[test]
    fn bilinear_is_the_definition_within_one(w in 1u32..60, h in 1u32..60, iw in 1u32..60, ih in 1u32..60) {
        let frame = frame(PixelFormat::Rgb, (w, h), 0, noise);
        let tensor = prepared(&input(iw, ih, ResizeMode::Stretch, Filter::Bilinear), &frame);
        for (at, &found) in floats(&tensor).iter().enumerate() {
            let plane = (iw * ih) as usize;
            let (channel, y, x) = (at / plane, at % plane / iw as usize, at % iw as usize);
            let tap = |at: usize, from: u32, to: u32| {
                let place = ((at as f64 + 0.5) * f64::from(from) / f64::from(to) - 0.5).clamp(0.0, f64::from(from - 1));
                (place as usize, (place as usize + 1).min(from as usize - 1), place.fract())
            };
            let ((x0, x1, fx), (y0, y1, fy)) = (tap(x, w, iw), tap(y, h, ih));
            let pixel = |y: usize, x: usize| f64::from(noise(0, y, 3 * x + channel));
            let row = |y: usize| pixel(y, x0) * (1.0 - fx) + pixel(y, x1) * fx;
            let exact = row(y0) * (1.0 - fy) + row(y1) * fy;
            // Three products are cut off, by up to a quarter or a sixteenth each, and the sum is rounded.
            prop_assert!((f64::from(found) - exact).abs() < 1.1, "{at}: {found}, exactly {exact}");
        }
    }
}
