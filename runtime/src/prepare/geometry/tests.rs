use proptest::prelude::*;
use stopline_depot::manifest::{Fill, Filter};

use super::*;

fn any_resize() -> impl Strategy<Value = Resize> {
    let modes =
        prop_oneof![Just(ResizeMode::Letterbox), Just(ResizeMode::Stretch), Just(ResizeMode::CentreCrop)];
    let anchors = prop_oneof![Just(Anchor::Centre), Just(Anchor::TopLeft)];
    let roundings = prop_oneof![Just(Rounding::Floor), Just(Rounding::Nearest)];
    (modes, anchors, roundings, any::<bool>()).prop_map(|(mode, anchor, rounding, enlarge)| Resize {
        mode,
        anchor,
        pad: Fill::default(),
        filter: Filter::Bilinear,
        rounding,
        enlarge,
    })
}

fn any_size(most: u32) -> impl Strategy<Value = [u32; 2]> {
    [1..=most, 1..=most]
}

/// A place in a picture, as shares of its sides.
fn any_share() -> impl Strategy<Value = [f32; 2]> {
    [0.0f32..=1.0, 0.0f32..=1.0]
}

fn at(size: [u32; 2], share: [f32; 2]) -> [f32; 2] {
    [0, 1].map(|axis| size[axis] as f32 * share[axis])
}

fn apart(one: [f32; 2], other: [f32; 2]) -> f32 {
    (one[0] - other[0]).abs().max((one[1] - other[1]).abs())
}

proptest! {
    #[test]
    fn a_point_comes_back_to_half_a_pixel(
        source in any_size(8000), input in any_size(2000), resize in any_resize(), share in any_share(),
    ) {
        let geometry = Geometry::fit(source, input, &resize);
        let point = at(source, share);
        let back = geometry.to_source(geometry.to_input(point));
        prop_assert!(apart(point, back) <= 0.5, "{point:?} came back as {back:?} by {geometry:?}");
    }

    #[test]
    fn a_point_of_a_crop_comes_back_to_half_a_pixel(
        source in any_size(8000), input in any_size(512), from in any_share(), to in any_share(), share in any_share(),
        grow in 0.5f32..3.0, square in any::<bool>(),
    ) {
        let ([x1, y1], [x2, y2]) = (at(source, from), at(source, to));
        let bbox = [x1.min(x2), y1.min(y2), x1.max(x2) + 1.0, y1.max(y2) + 1.0];
        let crop = Crop { grow, square, outside: Fill::All(0) };
        let geometry = Geometry::crop(source, input, &crop, bbox);
        let point = at(input, share);
        let back = geometry.to_input(geometry.to_source(point));
        // Half a pixel of the source; of the input it is as many more as the crop is enlarged.
        let limit = 0.5 * geometry.scale[0].max(geometry.scale[1]).max(1.0);
        prop_assert!(apart(point, back) <= limit, "{point:?} came back as {back:?} by {geometry:?}");
    }

    #[test]
    fn the_placed_rectangle_lies_within_the_input(
        source in any_size(8000), input in any_size(2000), resize in any_resize(),
    ) {
        let Geometry { placed: [x, y, w, h], .. } = Geometry::fit(source, input, &resize);
        let [iw, ih] = input.map(u32::cast_signed);
        prop_assert!(w >= 1 && h >= 1);
        if resize.mode == ResizeMode::CentreCrop {
            prop_assert!(x <= 0 && y <= 0 && x + w >= iw && y + h >= ih, "the input is covered: {x} {y} {w} {h}");
        } else {
            prop_assert!(x >= 0 && y >= 0 && x + w <= iw && y + h <= ih, "{x} {y} {w} {h} in {iw} {ih}");
        }
    }

    #[test]
    fn a_letterboxed_picture_touches_two_sides_and_keeps_its_shape(
        source in any_size(4000), input in any_size(2000), resize in any_resize(),
    ) {
        let resize = Resize { mode: ResizeMode::Letterbox, enlarge: true, ..resize };
        let geometry = Geometry::fit(source, input, &resize);
        let [_, _, w, h] = geometry.placed;
        let [iw, ih] = input.map(u32::cast_signed);
        // A ratio that is no finite binary fraction may cut the last pixel off, as int(width * ratio) does elsewhere.
        prop_assert!(iw - w <= 1 || ih - h <= 1, "{w}x{h} in {iw}x{ih}");
        prop_assert_eq!(geometry.scale[0], geometry.scale[1]);
        for (axis, side) in [w, h].into_iter().enumerate() {
            let exact = f64::from(source[axis]) * f64::from(geometry.scale[axis]);
            prop_assert!(side == 1 || (f64::from(side) - exact).abs() <= 1.001, "side {axis}: {side}, exactly {exact}");
        }
    }

    #[test]
    fn the_whole_input_maps_to_a_box_within_the_picture(
        source in any_size(8000), input in any_size(2000), resize in any_resize(), corners in [-3e3f32..3e3, -3e3f32..3e3],
    ) {
        let geometry = Geometry::fit(source, input, &resize);
        let [x, y] = corners;
        let [x1, y1, x2, y2] = geometry.box_to_source([x, y, x + 500.0, y + 900.0]);
        let [w, h] = source.map(|side| side as f32);
        prop_assert!(0.0 <= x1 && x1 <= x2 && x2 <= w && 0.0 <= y1 && y1 <= y2 && y2 <= h, "{x1} {y1} {x2} {y2}");
    }
}

#[test]
fn a_wide_frame_lies_as_the_field_lays_it() {
    let resize = |anchor| Resize {
        mode: ResizeMode::Letterbox,
        anchor,
        pad: Fill::default(),
        filter: Filter::Bilinear,
        rounding: Rounding::Floor,
        enlarge: true,
    };
    let top_left = Geometry::fit([960, 540], [416, 416], &resize(Anchor::TopLeft));
    assert_eq!(top_left.placed, [0, 0, 416, 234]);
    let centred = Geometry::fit([960, 540], [416, 416], &resize(Anchor::Centre));
    assert_eq!(centred.placed, [0, 91, 416, 234]);
    assert_eq!(centred.to_source([208.0, 208.0]), [480.0, 270.0]);
}

#[test]
fn a_crop_is_square_around_its_box_and_may_leave_the_picture() {
    let crop = Crop { grow: 1.25, square: true, outside: Fill::All(0) };
    let geometry = Geometry::crop([100, 100], [192, 192], &crop, [0.0, 10.0, 40.0, 90.0]);
    assert_eq!(geometry.region, [-30, 0, 100, 100]);
    assert_eq!(geometry.to_source([0.0, 0.0]), [-30.0, 0.0]);
    assert_eq!(geometry.to_source([192.0, 192.0]), [70.0, 100.0]);
}
