//! Where in the picture the road ahead lies, and which part of a frame is looked at for it.

use stopline_decide::camera::Camera;

use super::config::AttentionConfig;

/// Rays that are tried across and down.
const RAYS: [usize; 2] = [96, 54];
/// What the vehicle nods and the road rises by, in radians, on each side.
const NOD: f32 = 0.026;

/// Part of a picture: left, upper, right, lower edge in pixels.
pub type Area = [f32; 4];

/// The part of the picture in which the corridor lies: every pixel that looks through the volume before the vehicle, and a
/// margin for a nodding vehicle. `None` where no pixel does.
pub fn corridor(camera: &Camera, config: &AttentionConfig) -> Option<Area> {
    let calibration = camera.calibration();
    let size = calibration.size.map(pixels);
    let step = [size[0] / RAYS[0] as f32, size[1] / RAYS[1] as f32];
    let mut area: Option<Area> = None;
    for row in 0..=RAYS[1] {
        for column in 0..=RAYS[0] {
            let pixel = [column as f32 * step[0], row as f32 * step[1]];
            if camera.direction(pixel).is_some_and(|ray| passes(ray, camera, config)) {
                let [x1, y1, x2, y2] = area.unwrap_or([pixel[0], pixel[1], pixel[0], pixel[1]]);
                area = Some([x1.min(pixel[0]), y1.min(pixel[1]), x2.max(pixel[0]), y2.max(pixel[1])]);
            }
        }
    }
    let margin = [0, 1].map(|axis| step[axis] + NOD * calibration.focal[axis]);
    area.map(|[x1, y1, x2, y2]| {
        within([x1 - margin[0], y1 - margin[1], x2 + margin[0], y2 + margin[1]], size)
    })
}

/// Whether a ray of the camera passes through the corridor.
fn passes(ray: [f32; 3], camera: &Camera, config: &AttentionConfig) -> bool {
    let calibration = camera.calibration();
    let origin = [-calibration.front, calibration.lateral, calibration.height];
    let half = config.corridor_half_width_m;
    let walls =
        [[config.corridor_from_m, config.corridor_to_m], [-half, half], [0.0, config.corridor_height_m]];
    let mut along = [0.0_f32, f32::MAX];
    for axis in 0..3 {
        if ray[axis].abs() < 1e-6 {
            if origin[axis] < walls[axis][0] || origin[axis] > walls[axis][1] {
                return false;
            }
            continue;
        }
        let [one, other] = walls[axis].map(|wall| (wall - origin[axis]) / ray[axis]);
        along = [along[0].max(one.min(other)), along[1].min(one.max(other))];
    }
    along[0] <= along[1]
}

/// A part of `size` pixels that holds `areas` wholly: x, y, width, height. `None` where they do not fit.
pub fn part(areas: impl Iterator<Item = Area>, size: [u32; 2], picture: [u32; 2]) -> Option<[u32; 4]> {
    let bounds = picture.map(pixels);
    let all = areas
        .map(|area| within(area, bounds))
        .reduce(|a, b| [a[0].min(b[0]), a[1].min(b[1]), a[2].max(b[2]), a[3].max(b[3])])?;
    let fits = |axis: usize| size[axis] <= picture[axis] && all[axis + 2] - all[axis] <= pixels(size[axis]);
    let at = |axis: usize| {
        let middle = f32::midpoint(all[axis], all[axis + 2]) - pixels(size[axis]) / 2.0;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float cast saturates")]
        let begin = middle.round().max(0.0) as u32;
        begin.min(picture[axis] - size[axis])
    };
    (fits(0) && fits(1)).then(|| [at(0), at(1), size[0], size[1]])
}

fn within([x1, y1, x2, y2]: Area, [width, height]: [f32; 2]) -> Area {
    [x1.clamp(0.0, width), y1.clamp(0.0, height), x2.clamp(0.0, width), y2.clamp(0.0, height)]
}

#[allow(clippy::cast_precision_loss, reason = "sides are at most 32768")]
fn pixels(side: u32) -> f32 {
    side as f32
}

#[cfg(test)]
mod tests {
    use stopline_decide::camera::Calibration;

    use super::*;

    fn camera() -> Camera {
        // 60 degrees across.
        Camera::new(Calibration::level([1280, 720], 1108.5, 1.3)).unwrap()
    }

    #[test]
    fn the_corridor_lies_about_the_horizon_and_takes_a_part_of_the_picture() {
        let area = corridor(&camera(), &AttentionConfig::default()).unwrap();
        // 4 m beside at 16.5 m: 269 pixels from the middle; the road there 87 below the horizon, a sign's edge 148 above.
        let [x1, y1, x2, y2] = area;
        assert!(
            (x1 - (640.0 - 269.0 - 42.0)).abs() < 15.0 && (x2 - (640.0 + 269.0 + 42.0)).abs() < 15.0,
            "{area:?}"
        );
        assert!(
            (y1 - (360.0 - 148.0 - 42.0)).abs() < 15.0 && (y2 - (360.0 + 87.0 + 42.0)).abs() < 15.0,
            "{area:?}"
        );
    }

    #[test]
    fn a_camera_that_looks_backwards_has_no_corridor() {
        let mut calibration = Calibration::level([1280, 720], 1108.5, 1.3);
        calibration.yaw = 3.0;
        assert_eq!(
            Camera::new(calibration).ok().and_then(|of| corridor(&of, &AttentionConfig::default())),
            None
        );
    }

    #[test]
    fn a_part_holds_what_is_followed_and_stays_within_the_picture() {
        let picture = [1280, 720];
        let areas = [[300.0, 170.0, 950.0, 490.0], [280.0, 200.0, 330.0, 300.0]];
        let [x, y, w, h] = part(areas.into_iter(), [700, 340], picture).unwrap();
        assert_eq!([w, h], [700, 340]);
        assert!(x <= 280 && x + w >= 950 && y <= 170 && y + h >= 490, "{x} {y}");
        // Far to the side: both do not fit into one part.
        let far = [areas[0], [1100.0, 300.0, 1200.0, 500.0]];
        assert_eq!(part(far.into_iter(), [700, 340], picture), None);
        // At the edge.
        assert_eq!(part([[0.0, 0.0, 50.0, 50.0]].into_iter(), [700, 340], picture), Some([0, 0, 700, 340]));
        assert_eq!(part(std::iter::empty(), [700, 340], picture), None);
    }
}
