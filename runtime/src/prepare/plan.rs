//! What stays the same from frame to frame: taps, the columns read, where values lie. Made anew when the picture's size,
//! format or place on the input changes.

use stopline_depot::manifest::{ColourOrder, Filter};
use stopline_sensors::frame::PixelFormat;

use super::geometry::Geometry;
use super::lines::{Columns, Samples};
use super::sparse::Places;
use super::taps::{Axis, Taps};

/// What the tables depend on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Key {
    pub(super) geometry: Geometry,
    pub(super) format: PixelFormat,
    pub(super) filter: Filter,
    pub(super) order: ColourOrder,
    /// Pixel value outside the picture, per channel in the model's order.
    pub(super) outside: [u8; 3],
}

/// Tables for one geometry and format.
#[derive(Clone, Default)]
pub(super) struct Plan {
    key: Option<Key>,
    pub(super) across: Taps,
    pub(super) down: Taps,
    pub(super) columns: Columns,
    /// Values from one pixel of a blended row to the next.
    pub(super) step: usize,
    /// Channels of a blended row: those of the line, or 3 where a grey picture has a coloured surround.
    pub(super) channels: usize,
    /// The line's channel that each of the model's channels is taken from.
    pub(super) order: [usize; 3],
    /// Of each tap, the first value in a blended row, without the channel's own offset.
    pub(super) places: Vec<u32>,
    /// Of each tap, both weights.
    pub(super) weights: Vec<[i16; 2]>,
    /// Where luma and chroma of each tap's two pixels lie; none where whole rows are converted.
    pub(super) sparse: Option<Places>,
    /// Of each tap, both weights for those.
    pub(super) sparse_weights: Vec<[i16; 2]>,
    /// A line of the pixels outside the picture.
    pub(super) outside: Vec<u8>,
    /// Values outside the picture, per channel of the blended row.
    pub(super) fill: [u8; 3],
}

/// Pixels of a blended row before and behind the columns read: what lies outside the picture, and a spare that a tap at
/// the end may touch with weight 0.
pub(super) const BEFORE: usize = 1;
pub(super) const AROUND: usize = 3;

impl Plan {
    /// Makes the tables for `key` unless they are there. Returns whether they changed.
    pub(super) fn set(&mut self, key: Key) -> bool {
        if self.key == Some(key) {
            return false;
        }
        self.key = Some(key);
        let Geometry { region, placed, source, input, .. } = key.geometry;
        let axis = |at: usize| Axis {
            region: (region[at], region[at + 2]),
            placed: (placed[at], placed[at + 2]),
            input: input[at] as usize,
            picture: i32::try_from(source[at]).unwrap_or(i32::MAX),
            rows: at == 1,
        };
        self.across.set(axis(0), key.filter);
        self.down.set(axis(1), key.filter);
        self.columns = columns(&self.across, i64::from(source[0]));
        self.set_channels(key);
        self.set_places(source[0] as usize);
        self.set_outside(Samples::of(key.format));
        self.set_sparse(key);
        true
    }

    fn set_channels(&mut self, key: Key) {
        let line = Samples::of(key.format);
        let coloured = key.outside.iter().any(|&value| value != key.outside[0]);
        self.channels = if line.channels() == 1 && coloured { 3 } else { line.channels() };
        self.step = match line {
            Samples::Packed(channels) => channels,
            Samples::Planar => 1,
        };
        let blue_first = key.format == PixelFormat::Bgr;
        let forwards = blue_first == (key.order == ColourOrder::Bgr);
        self.order = match (self.channels, line.channels()) {
            (1, _) => [0; 3],
            (_, 1) => [0, 1, 2],
            _ if forwards => [0, 1, 2],
            _ => [2, 1, 0],
        };
        for (channel, &place) in self.order.iter().enumerate() {
            self.fill[place] = key.outside[channel];
        }
        if self.channels == 1 {
            self.fill = [key.outside[0]; 3];
        }
    }

    fn set_places(&mut self, width: usize) {
        let Columns { first, count } = self.columns;
        let step = self.step;
        self.places.clear();
        self.weights.clear();
        for tap in &self.across.taps {
            let pixel = match usize::try_from(tap.first) {
                Err(_) => 0,
                Ok(column) if column >= width => BEFORE + count,
                Ok(column) => BEFORE + column - first,
            };
            // Rows are held to 4 × 32 768 pixels of 3 values.
            self.places.push(u32::try_from(pixel * step).unwrap_or(u32::MAX));
            self.weights.push(tap.pair);
        }
    }

    /// Where single samples lie, for pictures that are shown wholly within their edges, where that is less work than converting
    /// whole rows.
    fn set_sparse(&mut self, key: Key) {
        self.sparse = None;
        self.sparse_weights.clear();
        let [width, height] = key.geometry.source;
        let inside = |taps: &Taps, side: u32| {
            let side = i32::try_from(side).unwrap_or(i32::MAX);
            taps.taps.iter().all(|tap| tap.first >= 0 && tap.next < side)
        };
        // One by one, collecting pays only where much is left out.
        let pays = crate::cpu::looks_up() || 3 * self.across.taps.len() <= 2 * self.columns.count;
        let fits = inside(&self.across, width) && inside(&self.down, height);
        if key.filter == Filter::BilinearAntialias || width < 4 || !pays || !fits {
            return;
        }
        let mut firsts = Vec::with_capacity(self.across.taps.len());
        for tap in &self.across.taps {
            let last = width as usize - 1;
            let first = usize::try_from(tap.first).unwrap_or(0);
            // The last pixel has no neighbour behind it: it is then the neighbour.
            let (first, weights) =
                if first == last { (last - 1, [tap.pair[1], tap.pair[0]]) } else { (first, tap.pair) };
            firsts.push(first);
            self.sparse_weights.push(weights);
        }
        self.sparse = Places::new(key.format, &firsts, width as usize);
    }

    fn set_outside(&mut self, line: Samples) {
        let count = self.columns.count;
        self.outside.clear();
        match line {
            Samples::Packed(channels) => {
                for _ in 0..count {
                    self.outside.extend_from_slice(&self.fill[..channels]);
                }
            }
            Samples::Planar => {
                for value in self.fill {
                    self.outside.resize(self.outside.len() + count, value);
                }
            }
        }
        if line.channels() < self.channels {
            // A grey picture in a coloured surround: one line per channel, of its colour.
            self.outside.clear();
            for value in self.fill {
                self.outside.resize(self.outside.len() + count, value);
            }
        }
    }
}

/// The columns of the picture that `across` touches.
fn columns(across: &Taps, width: i64) -> Columns {
    let touched =
        across.taps.iter().map(|tap| (i64::from(tap.first), i64::from(tap.first) + i64::from(tap.count())));
    let inside =
        touched.map(|(first, end)| (first.max(0), end.min(width))).filter(|(first, end)| first < end);
    let (first, end) = inside.fold((i64::MAX, 0), |all, one| (all.0.min(one.0), all.1.max(one.1)));
    let first = if first < end { first & !1 } else { end };
    let whole = |value: i64| usize::try_from(value).unwrap_or(0);
    Columns { first: whole(first), count: whole(end - first) }
}
