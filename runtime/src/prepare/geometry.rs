//! How a picture lies on the model's input, and the way back.

use stopline_depot::manifest::{Anchor, Crop, Resize, ResizeMode, Rounding};

/// How source pixels map to input pixels: `input = source × scale + offset`, pixel edges, not centres.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Geometry {
    /// Part of the source that is used: x, y, width, height in source pixels; may reach beyond the picture (crops).
    pub region: [i32; 4],
    /// Where the region lies on the input: x, y, width, height in input pixels. Within the input, except for
    /// [`ResizeMode::CentreCrop`].
    pub placed: [i32; 4],
    /// Input pixels per source pixel, across and down, as boxes are mapped back.
    pub scale: [f32; 2],
    /// Input pixel of the source's origin.
    pub offset: [f32; 2],
    /// Pixels of the source picture, across and down.
    pub source: [u32; 2],
    /// Pixels of the input, across and down.
    pub input: [u32; 2],
}

impl Geometry {
    /// How a whole picture of `source` pixels lies on an input of `input` pixels.
    pub fn fit(source: [u32; 2], input: [u32; 2], resize: &Resize) -> Self {
        let [sw, sh] = source.map(f64::from);
        let [iw, ih] = input.map(f64::from);
        let region = [0, 0, int(sw), int(sh)];
        let (scale, size) = match resize.mode {
            ResizeMode::Stretch => ([iw / sw, ih / sh], [int(iw), int(ih)]),
            ResizeMode::Letterbox => {
                let fitting = (ih / sh).min(iw / sw);
                let ratio = if resize.enlarge { fitting } else { fitting.min(1.0) };
                ([ratio; 2], [whole(sw * ratio, resize.rounding), whole(sh * ratio, resize.rounding)])
            }
            ResizeMode::CentreCrop => {
                let ratio = (ih / sh).max(iw / sw);
                ([ratio; 2], [whole(sw * ratio, Rounding::Nearest), whole(sh * ratio, Rounding::Nearest)])
            }
        };
        let centred = [(int(iw) - size[0]).div_euclid(2), (int(ih) - size[1]).div_euclid(2)];
        let at = match (resize.mode, resize.anchor) {
            (ResizeMode::Letterbox, Anchor::TopLeft) => [0, 0],
            _ => centred,
        };
        Self {
            region,
            placed: [at[0], at[1], size[0], size[1]],
            scale: scale.map(narrow),
            offset: at.map(|v| narrow(f64::from(v))),
            source,
            input,
        }
    }

    /// How the part of a picture around `bbox` (x1, y1, x2, y2) lies on the input of a top-down model: the crop is
    /// stretched over the whole input.
    pub fn crop(source: [u32; 2], input: [u32; 2], crop: &Crop, bbox: [f32; 4]) -> Self {
        let [x1, y1, x2, y2] = bbox.map(f64::from);
        let (bw, bh) = (x2 - x1, y2 - y1);
        let grow = f64::from(crop.grow);
        let (w, h) = if crop.square {
            let side = bw.max(bh) * grow;
            (side, side)
        } else {
            let aspect = f64::from(input[0]) / f64::from(input[1]);
            (bw.max(bh * aspect) * grow, bh.max(bw / aspect) * grow)
        };
        let (cx, cy) = (f64::midpoint(x1, x2), f64::midpoint(y1, y2));
        let x = int((cx - w / 2.0).round_ties_even());
        let y = int((cy - h / 2.0).round_ties_even());
        Self::region(source, input, [x, y, int(w.round_ties_even()).max(1), int(h.round_ties_even()).max(1)])
    }

    /// How the part `region` (x, y, width, height) of a picture lies on the input when stretched over all of it.
    pub fn region(source: [u32; 2], input: [u32; 2], region: [i32; 4]) -> Self {
        let scale = [
            f64::from(input[0]) / f64::from(region[2].max(1)),
            f64::from(input[1]) / f64::from(region[3].max(1)),
        ];
        Self {
            region,
            placed: [0, 0, int(f64::from(input[0])), int(f64::from(input[1]))],
            scale: scale.map(narrow),
            offset: [narrow(-f64::from(region[0]) * scale[0]), narrow(-f64::from(region[1]) * scale[1])],
            source,
            input,
        }
    }

    /// A point of the input, in source pixels; not clipped.
    pub fn to_source(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        [(x - self.offset[0]) / self.scale[0], (y - self.offset[1]) / self.scale[1]]
    }

    /// A point of the source, in input pixels.
    pub fn to_input(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        [x * self.scale[0] + self.offset[0], y * self.scale[1] + self.offset[1]]
    }

    /// Corners x1, y1, x2, y2 on the input, in source pixels, clipped to the picture.
    pub fn box_to_source(&self, [x1, y1, x2, y2]: [f32; 4]) -> [f32; 4] {
        let [w, h] = self.source.map(|side| narrow(f64::from(side)));
        let [x1, y1] = self.to_source([x1, y1]);
        let [x2, y2] = self.to_source([x2, y2]);
        [x1.clamp(0.0, w), y1.clamp(0.0, h), x2.clamp(0.0, w), y2.clamp(0.0, h)]
    }
}

fn whole(size: f64, rounding: Rounding) -> i32 {
    match rounding {
        Rounding::Floor => int(size.floor()).max(1),
        Rounding::Nearest => int(size.round_ties_even()).max(1),
    }
}

/// Sides are at most 32 768 and crops are held to picture and manifest limits, so nothing is cut; a float cast saturates.
#[allow(clippy::cast_possible_truncation)]
fn int(value: f64) -> i32 {
    value as i32
}

#[allow(clippy::cast_possible_truncation)]
fn narrow(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests;
