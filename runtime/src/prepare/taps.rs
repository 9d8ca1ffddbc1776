//! Which source pixels each input pixel is made of, per axis.

use stopline_depot::manifest::Filter;

/// Antialiased weights sum to this: 14 bits, so that a product with a value of 15 bits and its neighbour's fit 32.
pub(super) const ONE: i16 = 1 << 14;

/// Weight of a pixel that stands alone in a two-tap filter: 11 bits, OpenCV's `INTER_RESIZE_COEF_SCALE`.
const ALONE: i16 = 1 << 11;

/// The taps of one axis, for each input pixel that shows a part of the region.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Taps {
    /// First input pixel that shows a part of the region.
    pub(super) start: usize,
    /// One per input pixel from `start` on.
    pub(super) taps: Vec<Tap>,
    /// Weights of all taps (antialiased only), [`Tap::first`] on, as shares of [`ONE`]; indexed by [`Tap::weights`].
    pub(super) weights: Vec<i16>,
}

/// What one input pixel is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Tap {
    /// First source pixel. Crops may reach outside the picture: −1 then stands for all before it, its number of pixels
    /// for all behind it.
    pub(super) first: i32,
    /// The pixel that the second weight is for: the one behind the first, or the first again at the region's edge.
    pub(super) next: i32,
    /// Weights of both, as shares of 2048; rounded each by itself, as OpenCV does, so they may sum to one more or less.
    /// Not used by antialiased taps.
    pub(super) pair: [i16; 2],
    /// Where the weights lie in [`Taps::weights`], and how many there are; 0 for the two-tap filters.
    pub(super) weights: (usize, usize),
}

/// One axis of a [`super::geometry::Geometry`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Axis {
    /// First source pixel of the region, and how many there are.
    pub(super) region: (i32, i32),
    /// First input pixel of the region, and how many there are.
    pub(super) placed: (i32, i32),
    /// Input pixels.
    pub(super) input: usize,
    /// Source pixels.
    pub(super) picture: i32,
    /// Rows rather than columns: at the region's edge OpenCV blends a row with itself but takes a column alone.
    pub(super) rows: bool,
}

impl Taps {
    /// Works the taps out anew, in the memory there is.
    pub(super) fn set(&mut self, axis: Axis, filter: Filter) {
        let Axis { region: (from, len), placed: (at, size), input, picture, rows } = axis;
        let start = usize::try_from(at).unwrap_or(0).min(input);
        let end = usize::try_from(at.saturating_add(size)).unwrap_or(0).min(input);
        self.start = start;
        self.taps.clear();
        self.weights.clear();
        // The inverse of a ratio, as OpenCV takes it: where a place falls between two pixels, the last bit decides.
        let scale = 1.0 / (f64::from(size) / f64::from(len));
        // Below 2¹⁵ by Preparer's limits, hence exact.
        let offsets = (start..end.max(start)).map(|pixel| pixel as f64 - f64::from(at));
        match filter {
            Filter::Bilinear => self
                .taps
                .extend(offsets.map(|at| bilinear(at, scale, (from, len), rows).within(picture, rows))),
            Filter::Nearest => {
                self.taps.extend(offsets.map(|at| nearest(at, scale, from, len).within(picture, rows)))
            }
            Filter::BilinearAntialias => {
                for at in offsets {
                    self.antialias(at, scale, (from, len), picture);
                }
            }
        }
    }

    /// The antialiased weights of `tap`.
    pub(super) fn weights_of(&self, tap: &Tap) -> &[i16] {
        &self.weights[tap.weights.0..][..tap.weights.1]
    }

    /// A triangle over max(1, `scale`) pixels to each side, cut at the region's edges and normalised (Pillow's and
    /// torchvision's `antialias=True`).
    fn antialias(&mut self, at: f64, scale: f64, (from, len): (i32, i32), picture: i32) {
        let support = scale.max(1.0);
        let centre = (at + 0.5) * scale;
        let first = whole((centre - support + 0.5).floor()).max(0);
        let end = whole((centre + support + 0.5).floor()).min(len).max(first + 1);
        let share = |pixel: i32| (1.0 - ((f64::from(pixel) - centre + 0.5) / support).abs()).max(0.0);
        let sum: f64 = (first..end).map(share).sum();
        let begin = self.weights.len();
        let mut reached = None;
        // The rounded weights must sum to ONE, or a white picture turns grey: the running sum is rounded, not the weight.
        let (mut total, mut given) = (0.0, 0);
        for pixel in first..end {
            total += share(pixel) / sum;
            let upto = whole((total * f64::from(ONE)).round());
            // What lies outside the picture is all of one value, so its weights are added up.
            let place = from.saturating_add(pixel).clamp(-1, picture);
            match self.weights.last_mut().filter(|_| reached == Some(place)) {
                Some(weight) => *weight = short(i32::from(*weight) + upto - given),
                None => self.weights.push(short(upto - given)),
            }
            reached = Some(place);
            given = upto;
        }
        let first = from.saturating_add(first).clamp(-1, picture);
        self.taps.push(Tap {
            first,
            next: first,
            pair: [0; 2],
            weights: (begin, self.weights.len() - begin),
        });
    }
}

impl Tap {
    /// Source pixels it is made of, from [`Tap::first`] on.
    pub(super) fn count(&self) -> i32 {
        match self.weights.1 {
            0 => 1 + (self.next - self.first),
            weights => i32::try_from(weights).unwrap_or(i32::MAX),
        }
    }

    /// The same, with one number for all pixels before a picture of `picture` pixels and one for all behind it.
    fn within(self, picture: i32, rows: bool) -> Self {
        let (first, next) = (self.first.clamp(-1, picture), self.next.clamp(-1, picture));
        // A column's neighbour is always the one behind it, so one that is its own neighbour stands alone.
        let pair = if first == next && !rows { [ALONE, 0] } else { self.pair };
        Self { first, next, pair, ..self }
    }
}

/// OpenCV's `INTER_LINEAR`: pixel centres at halves, the edge pixel repeated.
#[allow(clippy::cast_possible_truncation, reason = "OpenCV reckons places in single precision")]
fn bilinear(at: f64, scale: f64, (from, len): (i32, i32), rows: bool) -> Tap {
    let place = ((at + 0.5) * scale - 0.5) as f32;
    let floor = place.floor();
    let weight = |share: f32| short(whole(f64::from((share * f32::from(ALONE)).round_ties_even())));
    let share = place - floor;
    let pair = [weight(1.0 - share), weight(share)];
    let first = whole(f64::from(floor));
    let inside = |pixel: i32| from.saturating_add(pixel.clamp(0, len - 1));
    if !rows && (first < 0 || first >= len - 1) {
        return Tap { first: inside(first), next: inside(first), pair: [ALONE, 0], weights: (0, 0) };
    }
    Tap { first: inside(first), next: inside(first.saturating_add(1)), pair, weights: (0, 0) }
}

/// OpenCV's `INTER_NEAREST`: the pixel below the left edge, not the centre.
fn nearest(at: f64, scale: f64, from: i32, len: i32) -> Tap {
    let first = from.saturating_add(whole((at * scale).floor()).clamp(0, len - 1));
    Tap { first, next: first, pair: [ALONE, 0], weights: (0, 0) }
}

#[allow(clippy::cast_possible_truncation, reason = "a float cast saturates, and regions are held to i32")]
fn whole(value: f64) -> i32 {
    value as i32
}

fn short(value: i32) -> i16 {
    i16::try_from(value).unwrap_or(if value < 0 { 0 } else { ONE })
}
