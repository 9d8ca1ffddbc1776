//! From boxes in the picture to metres on the road.
//!
//! **Vehicle axes** (ISO 8855): x forwards, y to the left, z up; the origin lies on the road below the camera.
//! Distances along x are handed out from the *front* of the vehicle, since that is what hits.

mod approach;
mod lens;
mod path;
mod range;
#[cfg(test)]
mod tests;

use crate::arith::{from_degrees, larger, magnitude};
use crate::bounds::{OutOfBounds, Section};

pub use approach::{Approach, Growth};
pub use lens::Lens;
pub use path::{Path, PathConfig};
pub use range::{Motion, Prior, Ranger};

/// How one camera sees and where it sits: what `stopline calibrate` finds. Valid for pictures of `size` only.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Calibration {
    /// Width and height of the source picture in pixels.
    pub size: [u32; 2],
    /// Focal lengths in pixels, horizontal and vertical.
    pub focal: [f32; 2],
    /// Principal point in pixels from the left and the top edge.
    pub centre: [f32; 2],
    /// The distortion.
    pub lens: Lens,
    /// Height of the camera above the road, in metres.
    pub height: f32,
    /// Pitch in radians, positive where the camera looks down.
    pub pitch: f32,
    /// Roll in radians, positive where its right side hangs lower.
    pub roll: f32,
    /// Yaw in radians, positive where it looks to the left.
    pub yaw: f32,
    /// From the camera forwards to the front of the vehicle, in metres.
    pub front: f32,
    /// From the vehicle's middle to the camera, in metres, positive to the left.
    pub lateral: f32,
    /// Standard deviation of the pitch, in radians: calibration and load.
    pub pitch_sigma: f32,
}

impl Calibration {
    /// A camera without distortion, level and looking straight ahead, 0.5° sure of its pitch, 1.5 m behind the front.
    pub fn level(size: [u32; 2], focal: f32, height: f32) -> Self {
        Self {
            size,
            focal: [focal; 2],
            centre: size.map(half),
            lens: Lens::Pinhole,
            height,
            pitch: 0.0,
            roll: 0.0,
            yaw: 0.0,
            front: 1.5,
            lateral: 0.0,
            pitch_sigma: from_degrees(0.5),
        }
    }

    /// Whether all settings lie within their bounds.
    ///
    /// # Errors
    /// The first that does not.
    pub fn check(&self) -> Result<(), OutOfBounds> {
        let section = Section("calibration");
        let right = from_degrees(90.0);
        for size in self.size {
            section.holds_whole("size", size, 16, 16_384)?;
        }
        for focal in self.focal {
            section.holds("focal", focal, 10.0, 100_000.0)?;
        }
        for centre in self.centre {
            section.holds("centre", centre, -16_384.0, 32_768.0)?;
        }
        section.holds("height", self.height, 0.1, 20.0)?;
        section.holds("pitch", self.pitch, -right, right)?;
        section.holds("roll", self.roll, -right, right)?;
        section.holds("yaw", self.yaw, -2.0 * right, 2.0 * right)?;
        section.holds("front", self.front, -30.0, 30.0)?;
        section.holds("lateral", self.lateral, -5.0, 5.0)?;
        section.holds("pitch_sigma", self.pitch_sigma, from_degrees(0.01), from_degrees(10.0))
    }
}

#[allow(clippy::cast_precision_loss, reason = "pictures are smaller than 2^24 pixels")]
fn half(size: u32) -> f32 {
    0.5 * size as f32
}

/// A point on the road.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ground {
    /// Metres from the camera, forwards.
    pub forwards: f32,
    /// Metres from the camera, to the left.
    pub left: f32,
    /// Standard deviation of `forwards`, from the pitch and one pixel.
    pub sigma: f32,
}

/// What a box says of an object that stands upright.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sight {
    /// Distance from the camera along x, in heights of the object: 1 / (slope of the top ray − slope of the bottom ray).
    /// Linear in the distance, and hardly touched by pitch: both rays turn together.
    pub heights: f32,
    /// Standard deviation of `heights`.
    pub heights_sigma: f32,
    /// Metres to the left per metre forwards, of the box's middle.
    pub bearing: f32,
    /// Standard deviation of `bearing`.
    pub bearing_sigma: f32,
    /// Metres up per metre forwards, of the box's middle, from the camera.
    pub elevation: f32,
    /// Where it stands, if the lower edge is a foot on the road.
    pub foot: Option<Ground>,
}

impl Sight {
    /// As a further sight of the same object, `dt` seconds after the one before. What is wrong with a detector's boxes
    /// lasts: part of it as long as the object is seen, the rest for about 0.2 s. Frames that follow faster than that
    /// say little new, and a rate taken from them would be believed too early.
    #[must_use]
    pub fn after(self, dt: f32) -> Self {
        let dt = larger(dt, 1e-3);
        let factor = crate::arith::root(larger(1.0, VARYING * (1.0 + 2.0 * CORRELATION / dt)));
        Self {
            heights_sigma: self.heights_sigma * factor,
            bearing_sigma: self.bearing_sigma * factor,
            ..self
        }
    }
}

/// Seconds over which the errors of a detector's boxes are alike, and the share of their variance that changes at all
/// while an object is seen. Measured on YOLOX-Nano at 416 pixels: 0.19 s, and 0.25 (persons) to 0.54 (signs).
const CORRELATION: f32 = 0.2;
const VARYING: f32 = 0.35;

/// A calibrated camera.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Camera {
    calibration: Calibration,
    /// From camera axes (right, down, forward) to vehicle axes.
    rotation: [[f32; 3]; 3],
}

impl Camera {
    /// Checks the calibration and prepares it.
    ///
    /// # Errors
    /// The first setting out of its bounds.
    pub fn new(calibration: Calibration) -> Result<Self, OutOfBounds> {
        calibration.check()?;
        Ok(Self { calibration, rotation: rotation(calibration.pitch, calibration.roll, calibration.yaw) })
    }

    /// What it was made from.
    pub fn calibration(&self) -> &Calibration {
        &self.calibration
    }

    /// Whether pictures of this size are those it was calibrated with.
    pub fn matches(&self, size: [u32; 2]) -> bool {
        self.calibration.size == size
    }

    /// Rows of the rotation from camera axes (right, down, forward) to vehicle axes.
    #[cfg(test)]
    pub(crate) fn axes(&self) -> &[[f32; 3]; 3] {
        &self.rotation
    }

    /// The unit vector in vehicle axes that a pixel looks along.
    pub fn direction(&self, pixel: [f32; 2]) -> Option<[f32; 3]> {
        let Calibration { focal, centre, lens, .. } = &self.calibration;
        let normalised = [(pixel[0] - centre[0]) / focal[0], (pixel[1] - centre[1]) / focal[1]];
        let seen = lens.direction(normalised)?;
        Some(self.rotation.map(|row| row[0] * seen[0] + row[1] * seen[1] + row[2] * seen[2]))
    }

    /// Where a pixel meets a flat road; none at and above the horizon and behind the camera. `pitch_sigma` is added to
    /// the calibration's (braking, bumps).
    pub fn ground(&self, pixel: [f32; 2], pitch_sigma: f32) -> Option<Ground> {
        let [x, y, z] = self.direction(pixel)?;
        if z > -1e-4 || x <= 1e-3 {
            return None;
        }
        let height = self.calibration.height;
        let (forwards, left) = (height * x / -z, height * y / -z);
        // d(forwards)/d(pitch) = (forwards² + height²) / height; a pixel is an angle of 1 / focal.
        let lever = (forwards * forwards + height * height) / height;
        let own = self.calibration.pitch_sigma;
        let pixel = 1.5 / self.calibration.focal[1];
        let angle = crate::arith::root(own * own + pitch_sigma * pitch_sigma + pixel * pixel);
        Some(Ground { forwards, left, sigma: lever * angle })
    }

    /// What a box says; none where it looks backwards or has no height. `box_sigma` is the standard deviation of one
    /// edge of the box in pixels, `pitch_sigma` is added to the calibration's.
    pub fn sight(&self, bbox: [f32; 4], box_sigma: f32, pitch_sigma: f32) -> Option<Sight> {
        let [x1, y1, x2, y2] = bbox;
        let middle = 0.5 * (x1 + x2);
        let (top, bottom) = (self.direction([middle, y1])?, self.direction([middle, y2])?);
        if top[0] <= 0.05 || bottom[0] <= 0.05 {
            return None;
        }
        let [rise, fall] = [top[2] / top[0], bottom[2] / bottom[0]];
        let height = rise - fall;
        if height <= 1e-4 {
            return None;
        }
        let share = 1.5 * box_sigma / larger(1.0, magnitude(y2 - y1));
        Some(Sight {
            heights: 1.0 / height,
            heights_sigma: share / height,
            bearing: 0.5 * (top[1] / top[0] + bottom[1] / bottom[0]),
            bearing_sigma: box_sigma * height / larger(1.0, magnitude(y2 - y1)),
            elevation: 0.5 * (rise + fall),
            foot: self.ground([middle, y2], pitch_sigma),
        })
    }
}

/// Rz(yaw) · Ry(pitch) · Rx(roll), after camera axes (right, down, forward) were named (forward, left, up).
fn rotation(pitch: f32, roll: f32, yaw: f32) -> [[f32; 3]; 3] {
    let (sp, cp) = (libm::sinf(pitch), libm::cosf(pitch));
    let (sr, cr) = (libm::sinf(roll), libm::cosf(roll));
    let (sy, cy) = (libm::sinf(yaw), libm::cosf(yaw));
    let turned = [
        [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
        [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
        [-sp, cp * sr, cp * cr],
    ];
    // forward = z, left = −x, up = −y.
    turned.map(|[forward, left, up]| [-left, -up, forward])
}
