//! The layers of a convolutional network as they are meant, without a layout: what a front end builds and a plan is
//! compiled from.
//!
//! A value is a [`Map`]: a list of channels of one height and width, each a channel of some layer's result. Splitting,
//! joining and shuffling channels is therefore no layer: it only makes another list. Every constructor checks what it is
//! given, so that a [`Graph`] holds nothing but layers that can be computed.

use crate::act::Activation;

mod measured;
mod op;
mod whole;
mod window;

pub use measured::Measured;
pub(crate) use op::Op;
pub(crate) use whole::WholeEnd;
pub use whole::{Grid, Table};
pub use window::Window;

/// Numbers that one value may have: bounds memory before it is allocated.
pub const MOST_VALUES: usize = 1 << 27;
/// Layers that one graph may have.
pub const MOST_LAYERS: usize = 4096;

/// What is wrong with a layer.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum GraphError {
    /// A size, a stride or a list does not fit the others.
    #[error("{what}: expected {expected}, found {found}")]
    Mismatch {
        /// What was looked at.
        what: &'static str,
        /// What would fit.
        expected: String,
        /// What was given.
        found: String,
    },
    /// Larger than this crate computes.
    #[error("{what}: {found} is more than {limit}")]
    TooLarge {
        /// What was looked at.
        what: &'static str,
        /// What was given.
        found: usize,
        /// The limit.
        limit: usize,
    },
}

pub(crate) fn mismatch<T>(
    what: &'static str,
    expected: impl ToString,
    found: impl ToString,
) -> Result<T, GraphError> {
    Err(GraphError::Mismatch { what, expected: expected.to_string(), found: found.to_string() })
}

/// One channel of a layer's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Channel {
    pub(crate) layer: u32,
    pub(crate) index: u32,
}

/// Channels of one size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Map {
    channels: Vec<Channel>,
    height: usize,
    width: usize,
    /// Whether they hold whole numbers of 16 bits.
    whole: bool,
}

impl Map {
    /// The same plane size with other channels; they must come from maps of this size, which [`Map::pick`] and
    /// [`Map::join`] guarantee.
    fn with(&self, channels: Vec<Channel>) -> Self {
        Self { channels, height: self.height, width: self.width, whole: self.whole }
    }

    /// Number of channels.
    pub fn channels(&self) -> usize {
        self.channels.len()
    }

    pub(crate) fn list(&self) -> &[Channel] {
        &self.channels
    }

    /// Rows of each channel.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Columns of each channel.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Whether its numbers are whole ones of 16 bits, as [`Graph::quantize`] makes them.
    pub fn whole(&self) -> bool {
        self.whole
    }

    /// The channels at `indices`, in that order, some perhaps more than once.
    ///
    /// # Errors
    /// An index past the last channel; no index at all.
    pub fn pick(&self, indices: impl IntoIterator<Item = usize>) -> Result<Self, GraphError> {
        let one = |at: usize| match self.channels.get(at) {
            Some(channel) => Ok(*channel),
            None => mismatch("channel", format!("below {}", self.channels.len()), at),
        };
        let channels = indices.into_iter().map(one).collect::<Result<Vec<_>, _>>()?;
        if channels.is_empty() {
            return mismatch("channels picked", "at least one", 0);
        }
        Ok(self.with(channels))
    }

    /// The channels of all `maps`, one after the other.
    ///
    /// # Errors
    /// No map, or maps of different sizes.
    pub fn join(maps: &[Self]) -> Result<Self, GraphError> {
        let Some(first) = maps.first() else { return mismatch("maps joined", "at least one", 0) };
        for map in maps {
            same_size("map joined", first, map)?;
        }
        Ok(first.with(maps.iter().flat_map(|map| &map.channels).copied().collect()))
    }
}

fn same_size(what: &'static str, a: &Map, b: &Map) -> Result<(), GraphError> {
    if a.whole != b.whole {
        return mismatch(what, kind(a.whole), kind(b.whole));
    }
    if (a.height, a.width) == (b.height, b.width) {
        return Ok(());
    }
    mismatch(what, format!("{}×{}", a.height, a.width), format!("{}×{}", b.height, b.width))
}

fn kind(whole: bool) -> &'static str {
    if whole { "whole numbers" } else { "f32" }
}

/// Refuses a map of other numbers than a layer takes.
fn needs(whole: bool, map: &Map) -> Result<(), GraphError> {
    if map.whole == whole { Ok(()) } else { mismatch("numbers of a map", kind(whole), kind(map.whole)) }
}

/// A channel within an input tensor: the number at row y and column x lies at `offset + y · row + x · column`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// Of the number at row 0, column 0.
    pub offset: usize,
    /// From a row to the next.
    pub row: usize,
    /// From a column to the next.
    pub column: usize,
}

/// What is done to a sum before it is stored: `second(first(x) + residual)`.
#[derive(Clone, Debug, PartialEq)]
pub struct End {
    /// Of the sum itself.
    pub first: Activation,
    /// Added to it, channel by channel.
    pub residual: Option<Map>,
    /// Of what was added up; [`Activation::None`] without a residual.
    pub second: Activation,
}

impl From<Activation> for End {
    fn from(first: Activation) -> Self {
        Self { first, residual: None, second: Activation::None }
    }
}

/// Which of two numbers, or what of both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Both {
    /// a + b
    Add,
    /// a · b
    Mul,
}

/// Where on the source axis a result of resizing comes from: `low` and `low + 1` (or `low` again), the second with
/// `share` of the weight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Between {
    pub low: usize,
    pub high: usize,
    pub share: f32,
}

#[derive(Clone, Debug)]
pub(crate) struct Layer {
    pub op: Op,
    pub name: String,
    pub channels: usize,
    pub height: usize,
    pub width: usize,
}

/// A piece of an output: the number of channel c at row y and column x is written to
/// `offset + c · channel + y · row + x · column`.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed {
    /// What is written.
    pub map: Map,
    /// Place of the first number.
    pub offset: usize,
    /// From a channel to the next.
    pub channel: usize,
    /// From a row to the next.
    pub row: usize,
    /// From a column to the next.
    pub column: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct OutputLayer {
    pub length: usize,
    pub pieces: Vec<Placed>,
}

/// Layers in an order in which they can be computed.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    pub(crate) inputs: Vec<usize>,
    pub(crate) layers: Vec<Layer>,
    pub(crate) outputs: Vec<OutputLayer>,
}

impl Graph {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// An input tensor of `length` numbers; what comes back names it in [`Graph::image`].
    ///
    /// # Errors
    /// Longer than [`MOST_VALUES`], or empty.
    pub fn input(&mut self, length: usize) -> Result<usize, GraphError> {
        if length == 0 {
            return mismatch("length of an input", "at least 1", 0);
        }
        bounded("numbers of an input", length, MOST_VALUES)?;
        self.inputs.push(length);
        Ok(self.inputs.len() - 1)
    }

    /// Channels within input tensor `input`.
    ///
    /// # Errors
    /// A channel that reaches past the tensor's end; no channel; an empty size.
    pub fn image(
        &mut self,
        name: &str,
        input: usize,
        views: Vec<View>,
        height: usize,
        width: usize,
    ) -> Result<Map, GraphError> {
        let Some(length) = self.inputs.get(input).copied() else {
            return mismatch("input", format!("below {}", self.inputs.len()), input);
        };
        for view in &views {
            if view.row == 0 || view.column == 0 {
                return mismatch("steps of an input's channel", "at least 1", format!("{view:?}"));
            }
            let last = (height.saturating_sub(1))
                .checked_mul(view.row)
                .zip((width.saturating_sub(1)).checked_mul(view.column))
                .and_then(|(row, column)| row.checked_add(column)?.checked_add(view.offset));
            if last.is_none_or(|last| last >= length) {
                return mismatch(
                    "channel of an input",
                    format!("within {length} numbers"),
                    format!("{view:?}"),
                );
            }
        }
        let channels = views.len();
        self.push(name, Op::Image { input, views }, channels, height, width)
    }

    /// A convolution: `weights` in the order output channel, input channel of the group, row, column; `bias` one per
    /// output channel.
    ///
    /// # Errors
    /// Sizes that do not fit each other.
    #[allow(clippy::too_many_arguments, reason = "the parts of ONNX's Conv")]
    pub fn conv(
        &mut self,
        name: &str,
        from: &Map,
        window: Window,
        groups: usize,
        weights: Vec<f32>,
        bias: Vec<f32>,
        end: impl Into<End>,
    ) -> Result<Map, GraphError> {
        needs(false, from)?;
        let (height, width) = window.over(from.height, from.width)?;
        let end = end.into();
        let outputs = bias.len();
        if groups == 0
            || !from.channels().is_multiple_of(groups)
            || outputs == 0
            || !outputs.is_multiple_of(groups)
        {
            let channels = format!("{} and {outputs}", from.channels());
            return mismatch("groups", format!("a divisor of the {channels} channels"), groups);
        }
        let expected = outputs * (from.channels() / groups) * window.size[0] * window.size[1];
        if weights.len() != expected {
            return mismatch("weights of a convolution", expected, weights.len());
        }
        if let Some(residual) = &end.residual {
            needs(false, residual)?;
            let found = (residual.channels(), residual.height, residual.width);
            if found != (outputs, height, width) {
                return mismatch("residual", format!("{:?}", (outputs, height, width)), format!("{found:?}"));
            }
        }
        let op = Op::Conv { from: from.clone(), window, groups, weights, bias, end };
        self.push(name, op, outputs, height, width)
    }

    /// The greatest number of each window; padding is no number.
    ///
    /// # Errors
    /// A window that does not fit, or with taps apart.
    pub fn max_pool(&mut self, name: &str, from: &Map, window: Window) -> Result<Map, GraphError> {
        needs(false, from)?;
        let (height, width) = window.pooling(from.height, from.width)?;
        self.push(name, Op::MaxPool { from: from.clone(), window }, from.channels(), height, width)
    }

    /// The mean of each window; `padding_counts` as ONNX's `count_include_pad`.
    ///
    /// # Errors
    /// A window that does not fit, or with taps apart.
    pub fn average_pool(
        &mut self,
        name: &str,
        from: &Map,
        window: Window,
        padding_counts: bool,
    ) -> Result<Map, GraphError> {
        needs(false, from)?;
        let (height, width) = window.pooling(from.height, from.width)?;
        let op = Op::AveragePool { from: from.clone(), window, padding_counts };
        self.push(name, op, from.channels(), height, width)
    }

    /// Another size: each row and column of the result comes from `rows` and `columns`, source coordinates that may lie
    /// between two. With `linear` both neighbours have their share, else the nearest below is taken. Coordinates are
    /// kept within the source.
    ///
    /// # Errors
    /// No rows or columns, or a coordinate that is no number.
    pub fn resize(
        &mut self,
        name: &str,
        from: &Map,
        rows: &[f32],
        columns: &[f32],
        linear: bool,
    ) -> Result<Map, GraphError> {
        if linear {
            needs(false, from)?;
        }
        let rows = between(rows, from.height, linear)?;
        let columns = between(columns, from.width, linear)?;
        let (height, width) = (rows.len(), columns.len());
        self.push(name, Op::Resize { from: from.clone(), rows, columns }, from.channels(), height, width)
    }

    /// An activation by itself.
    ///
    /// # Errors
    /// Too many layers.
    pub fn activate(&mut self, name: &str, from: &Map, activation: Activation) -> Result<Map, GraphError> {
        needs(false, from)?;
        let op = Op::Activate { from: from.clone(), activation };
        self.push(name, op, from.channels(), from.height, from.width)
    }

    /// Sum or product of two maps of one size, then an activation.
    ///
    /// # Errors
    /// Different sizes or numbers of channels.
    pub fn pair(
        &mut self,
        name: &str,
        both: Both,
        a: &Map,
        b: &Map,
        activation: Activation,
    ) -> Result<Map, GraphError> {
        needs(false, a)?;
        same_size("second operand", a, b)?;
        if a.channels() != b.channels() {
            return mismatch("channels of the second operand", a.channels(), b.channels());
        }
        let op = Op::Pair { both, a: a.clone(), b: b.clone(), activation };
        self.push(name, op, a.channels(), a.height, a.width)
    }

    /// Each channel times its factor plus its offset, then an activation.
    ///
    /// # Errors
    /// Another number of factors or offsets than channels.
    pub fn scale(
        &mut self,
        name: &str,
        from: &Map,
        factors: Vec<f32>,
        offsets: Vec<f32>,
        activation: Activation,
    ) -> Result<Map, GraphError> {
        needs(false, from)?;
        if factors.len() != from.channels() || offsets.len() != from.channels() {
            let found = format!("{} and {}", factors.len(), offsets.len());
            return mismatch("factors and offsets", from.channels(), found);
        }
        let op = Op::Scale { from: from.clone(), factors, offsets, activation };
        self.push(name, op, from.channels(), from.height, from.width)
    }

    /// Softmax over the channels of each pixel.
    ///
    /// # Errors
    /// Too many layers.
    pub fn softmax(&mut self, name: &str, from: &Map) -> Result<Map, GraphError> {
        needs(false, from)?;
        self.push(name, Op::Softmax { from: from.clone() }, from.channels(), from.height, from.width)
    }

    /// An output tensor of `length` numbers, put together from `pieces`.
    ///
    /// # Errors
    /// A piece that reaches past the end; numbers of pieces that do not add up to the length.
    pub fn output(&mut self, length: usize, pieces: Vec<Placed>) -> Result<(), GraphError> {
        bounded("numbers of an output", length, MOST_VALUES)?;
        let mut written = 0;
        for piece in &pieces {
            if piece.channel == 0 || piece.row == 0 || piece.column == 0 {
                return mismatch("steps of an output's piece", "at least 1", 0);
            }
            needs(false, &piece.map)?;
            let Map { height, width, .. } = piece.map;
            let reach = |count: usize, step: usize| (count - 1).checked_mul(step);
            let last = reach(piece.map.channels(), piece.channel)
                .and_then(|at| at.checked_add(reach(height, piece.row)?))
                .and_then(|at| at.checked_add(reach(width, piece.column)?)?.checked_add(piece.offset));
            if last.is_none_or(|last| last >= length) {
                return mismatch(
                    "piece of an output",
                    format!("within {length} numbers"),
                    format!("{last:?}"),
                );
            }
            written += piece.map.channels() * height * width;
        }
        if written != length {
            return mismatch("numbers of an output's pieces", length, written);
        }
        self.outputs.push(OutputLayer { length, pieces });
        Ok(())
    }

    fn push(
        &mut self,
        name: &str,
        op: Op,
        channels: usize,
        height: usize,
        width: usize,
    ) -> Result<Map, GraphError> {
        if channels == 0 || height == 0 || width == 0 {
            return mismatch("a layer's result", "numbers", format!("{channels}×{height}×{width}"));
        }
        let values = channels.checked_mul(height).and_then(|values| values.checked_mul(width));
        bounded("numbers of a layer's result", values.unwrap_or(usize::MAX), MOST_VALUES)?;
        bounded("layers", self.layers.len() + 1, MOST_LAYERS)?;
        let layer = u32::try_from(self.layers.len()).unwrap_or(u32::MAX);
        let whole = op.whole();
        self.layers.push(Layer { op, name: name.to_owned(), channels, height, width });
        let channels = (0..u32::try_from(channels).unwrap_or(u32::MAX)).map(|index| Channel { layer, index });
        Ok(Map { channels: channels.collect(), height, width, whole })
    }
}

fn bounded(what: &'static str, found: usize, limit: usize) -> Result<(), GraphError> {
    if found > limit { Err(GraphError::TooLarge { what, found, limit }) } else { Ok(()) }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "kept within the source"
)]
fn between(coordinates: &[f32], length: usize, linear: bool) -> Result<Vec<Between>, GraphError> {
    let one = |at: &f32| {
        if !at.is_finite() {
            return mismatch("source coordinate", "a number", at);
        }
        let at = at.clamp(0.0, (length - 1) as f32);
        let low = (at.floor() as usize).min(length - 1);
        let share = if linear { at - low as f32 } else { 0.0 };
        let high = if share > 0.0 { (low + 1).min(length - 1) } else { low };
        Ok(Between { low, high, share })
    };
    bounded("rows or columns of a resized map", coordinates.len(), 1 << 16)?;
    coordinates.iter().map(one).collect()
}
