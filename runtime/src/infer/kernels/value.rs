//! A tensor of the graph while it is lowered: its axes, and where each number comes from. Reshaping, transposing,
//! slicing and joining channels make no layer: they change only what is noted here.

use stopline_kernels::{Graph, Map, Placed, View};

use super::constants::NotCovered;

/// A tensor.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// An input of the model, or a part of it: strides over its numbers.
    Input(Strided),
    /// What layers made.
    Made(Made),
}

/// A part of an input tensor.
#[derive(Clone, Debug)]
pub(super) struct Strided {
    pub input: usize,
    pub offset: usize,
    /// Size and stride of each axis.
    pub axes: Vec<(usize, usize)>,
}

/// Channels of maps as a tensor. Maps lie side by side on the axis of pixels where there are several.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Made {
    axes: Vec<Axis>,
    parts: Vec<Map>,
}

/// An axis; no other than [`Axis::One`] has size 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Axis {
    One,
    /// Channels. Where there are several such axes, the list of channels is in their row-major order.
    C(usize),
    Y,
    X,
    /// All pixels of all parts.
    Pixels,
}

impl Strided {
    /// Its channels as views, and its height and width, where it is a batch of one picture.
    pub fn views(&self) -> Result<(Vec<View>, usize, usize), NotCovered> {
        let [(1, _), (channels, channel), (height, row), (width, column)] = self.axes[..] else {
            return Err(format!("an input of axes {:?} is no single picture", self.axes));
        };
        let view = |at| View { offset: self.offset + at * channel, row, column };
        Ok(((0..channels).map(view).collect(), height, width))
    }
}

impl Made {
    /// `[1, C, H, W]`
    pub fn of(map: Map) -> Self {
        let one = |size: usize, axis: Axis| if size == 1 { Axis::One } else { axis };
        let channels = map.channels();
        let axes = vec![
            Axis::One,
            one(channels, Axis::C(channels)),
            one(map.height(), Axis::Y),
            one(map.width(), Axis::X),
        ];
        Self { axes, parts: vec![map] }
    }

    fn size(&self, axis: Axis) -> usize {
        let first = &self.parts[0];
        match axis {
            Axis::One => 1,
            Axis::C(size) => size,
            Axis::Y => first.height(),
            Axis::X => first.width(),
            Axis::Pixels => self.parts.iter().map(|map| map.height() * map.width()).sum(),
        }
    }

    pub fn shape(&self) -> Vec<usize> {
        self.axes.iter().map(|axis| self.size(*axis)).collect()
    }

    pub fn rank(&self) -> usize {
        self.axes.len()
    }

    /// The one map that it is, `[1, C, H, W]`.
    pub fn map(&self) -> Result<&Map, NotCovered> {
        let map = &self.parts[0];
        let order = |axis: &Axis| match axis {
            Axis::One => None,
            Axis::C(_) => Some(0),
            Axis::Y | Axis::Pixels => Some(1),
            Axis::X => Some(2),
        };
        let order: Vec<i32> = self.axes.iter().filter_map(order).collect();
        if self.parts.len() == 1
            && order.is_sorted()
            && self.shape() == [1, map.channels(), map.height(), map.width()]
        {
            return Ok(map);
        }
        Err(format!("a tensor of shape {:?} is no map", self.shape()))
    }

    /// Each part put through `f`, which keeps channels and size.
    pub fn each(&self, mut f: impl FnMut(&Map) -> Result<Map, NotCovered>) -> Result<Self, NotCovered> {
        let parts = self.parts.iter().map(&mut f).collect::<Result<_, _>>()?;
        Ok(Self { axes: self.axes.clone(), parts })
    }

    /// The parts of both put through `f` in pairs.
    pub fn pairs(
        &self,
        other: &Self,
        mut f: impl FnMut(&Map, &Map) -> Result<Map, NotCovered>,
    ) -> Result<Self, NotCovered> {
        let size = |map: &Map| (map.channels(), map.height(), map.width());
        if self.axes != other.axes || !self.parts.iter().map(size).eq(other.parts.iter().map(size)) {
            return Err(format!("operands of shapes {:?} and {:?}", self.shape(), other.shape()));
        }
        let parts = self.parts.iter().zip(&other.parts).map(|(a, b)| f(a, b)).collect::<Result<_, _>>()?;
        Ok(Self { axes: self.axes.clone(), parts })
    }

    /// Whether `axis` is the only one of channels.
    pub fn is_all_channels(&self, axis: usize) -> bool {
        let channels = self.axes.iter().filter(|axis| matches!(axis, Axis::C(_))).count();
        matches!(self.axes[axis], Axis::C(_)) && channels == 1
    }

    /// The channel of each index of the list, by axes of channels in `order` (positions among these axes).
    fn reordered(&self, order: &[usize]) -> Vec<usize> {
        let sizes = self.channel_sizes();
        let mut strides = vec![1; sizes.len()];
        for at in (1..sizes.len()).rev() {
            strides[at - 1] = strides[at] * sizes[at];
        }
        let mut list = vec![0];
        for at in order {
            list = list
                .iter()
                .flat_map(|base| (0..sizes[*at]).map(move |index| (base, index)))
                .map(|(base, index)| base + index * strides[*at])
                .collect();
        }
        list
    }

    fn channel_sizes(&self) -> Vec<usize> {
        let size = |axis: &Axis| if let Axis::C(size) = axis { Some(*size) } else { None };
        self.axes.iter().filter_map(size).collect()
    }

    /// Which axis of channels the axis at `axis` is.
    fn channel_axis(&self, axis: usize) -> usize {
        self.axes[..axis].iter().filter(|axis| matches!(axis, Axis::C(_))).count()
    }

    fn picked(&self, axes: Vec<Axis>, list: &[usize]) -> Result<Self, NotCovered> {
        let pick = |map: &Map| map.pick(list.iter().copied()).map_err(|error| error.to_string());
        Ok(Self { axes, parts: self.parts.iter().map(pick).collect::<Result<_, _>>()? })
    }

    pub fn transposed(&self, order: &[usize]) -> Result<Self, NotCovered> {
        let axes: Vec<Axis> = order.iter().map(|at| self.axes[*at]).collect();
        let channels: Vec<usize> = order
            .iter()
            .filter(|at| matches!(self.axes[**at], Axis::C(_)))
            .map(|at| self.channel_axis(*at))
            .collect();
        if channels.is_sorted() {
            return Ok(Self { axes, parts: self.parts.clone() });
        }
        self.picked(axes, &self.reordered(&channels))
    }

    /// The indices `kept` of `axis`.
    pub fn sliced(&self, axis: usize, kept: &[usize]) -> Result<Self, NotCovered> {
        let size = self.size(self.axes[axis]);
        if kept.len() == size && kept.iter().copied().eq(0..size) {
            return Ok(self.clone());
        }
        let Axis::C(_) = self.axes[axis] else {
            return Err("a slice of rows or columns".into());
        };
        let sizes = self.channel_sizes();
        let own = self.channel_axis(axis);
        let inner: usize = sizes[own + 1..].iter().product();
        let outer: usize = sizes[..own].iter().product();
        let list: Vec<usize> = (0..outer)
            .flat_map(|outer| kept.iter().map(move |index| outer * size + index))
            .flat_map(|at| (0..inner).map(move |rest| at * inner + rest))
            .collect();
        let mut axes = self.axes.clone();
        axes[axis] = if kept.len() == 1 { Axis::One } else { Axis::C(kept.len()) };
        self.picked(axes, &list)
    }

    /// Without `axis`, which has size 1.
    pub fn squeezed(&self, axis: usize) -> Result<Self, NotCovered> {
        if self.axes[axis] != Axis::One {
            return Err(format!("axis {axis} of {:?} is not 1", self.shape()));
        }
        let mut axes = self.axes.clone();
        axes.remove(axis);
        Ok(Self { axes, parts: self.parts.clone() })
    }

    /// With an axis of size 1 before `axis`.
    pub fn unsqueezed(&self, axis: usize) -> Self {
        let mut axes = self.axes.clone();
        axes.insert(axis, Axis::One);
        Self { axes, parts: self.parts.clone() }
    }

    /// Another shape with the numbers in the same order: axes of channels may be split and merged, rows and columns
    /// merged.
    pub fn reshaped(&self, shape: &[usize]) -> Result<Self, NotCovered> {
        let refused = || format!("a reshape from {:?} to {shape:?}", self.shape());
        let mut left = self.runs().into_iter().peekable();
        let mut axes = Vec::with_capacity(shape.len());
        for size in shape {
            if *size == 1 {
                axes.push(Axis::One);
                continue;
            }
            match left.peek_mut() {
                Some(Run::Channels(rest)) if *rest % size == 0 => {
                    axes.push(Axis::C(*size));
                    *rest /= size;
                    if *rest == 1 {
                        left.next();
                    }
                }
                Some(Run::Pixels) if *size == self.size(Axis::Pixels) => {
                    axes.push(Axis::Pixels);
                    left.next();
                }
                Some(run @ Run::Pixels) if self.parts.len() == 1 && *size == self.size(Axis::Y) => {
                    axes.push(Axis::Y);
                    *run = Run::Single(Axis::X);
                }
                Some(Run::Single(axis)) if *size == self.size(*axis) => {
                    axes.push(*axis);
                    left.next();
                }
                _ => return Err(refused()),
            }
        }
        if left.next().is_some() { Err(refused()) } else { Ok(Self { axes, parts: self.parts.clone() }) }
    }

    /// Its axes, merged as far as they may be.
    fn runs(&self) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        for axis in &self.axes {
            match (axis, runs.last_mut()) {
                (Axis::One, _) => {}
                (Axis::C(size), Some(Run::Channels(all))) => *all *= size,
                (Axis::C(size), _) => runs.push(Run::Channels(*size)),
                (Axis::X, Some(run @ Run::Single(Axis::Y))) => *run = Run::Pixels,
                (Axis::Pixels, _) => runs.push(Run::Pixels),
                (axis, _) => runs.push(Run::Single(*axis)),
            }
        }
        runs
    }

    /// All `values`, one after the other on `axis`: channels, or pixels.
    pub fn joined(values: &[Self], axis: usize) -> Result<Self, NotCovered> {
        let first = &values[0];
        let rest = |value: &Self| {
            let mut axes = value.axes.clone();
            axes.remove(axis);
            axes
        };
        if values.iter().any(|value| value.rank() != first.rank() || rest(value) != rest(first)) {
            return Err("tensors joined whose other axes differ".into());
        }
        if values.iter().all(|value| value.axes[axis] == Axis::Pixels) {
            let channels = first.parts[0].channels();
            if values.iter().flat_map(|value| &value.parts).any(|map| map.channels() != channels) {
                return Err("pixels joined whose channels differ".into());
            }
            let parts = values.iter().flat_map(|value| value.parts.clone()).collect();
            return Ok(Self { axes: first.axes.clone(), parts });
        }
        let channels = |value: &Self| matches!(value.axes[axis], Axis::C(_) | Axis::One);
        if !values.iter().all(channels) || rest(first).iter().any(|axis| matches!(axis, Axis::C(_))) {
            return Err(format!("tensors of shape {:?} joined on axis {axis}", first.shape()));
        }
        if values.iter().any(|value| value.parts.len() != first.parts.len()) {
            return Err("tensors joined whose pixels differ".into());
        }
        let join = |at: usize| {
            let maps: Vec<Map> = values.iter().map(|value| value.parts[at].clone()).collect();
            Map::join(&maps).map_err(|error| error.to_string())
        };
        let parts = (0..first.parts.len()).map(join).collect::<Result<Vec<_>, _>>()?;
        let mut axes = first.axes.clone();
        axes[axis] = match parts[0].channels() {
            1 => Axis::One,
            channels => Axis::C(channels),
        };
        Ok(Self { axes, parts })
    }

    /// Writes it as output tensor of `graph`, in row-major order.
    pub fn emit(&self, graph: &mut Graph) -> Result<(), NotCovered> {
        let shape = self.shape();
        let mut strides = vec![1; shape.len()];
        for at in (1..shape.len()).rev() {
            strides[at - 1] = strides[at] * shape[at];
        }
        let stride = |wanted: Axis| self.axes.iter().position(|axis| *axis == wanted).map(|at| strides[at]);
        // Axes of channels that lie side by side are one.
        let mut channels: Vec<(usize, usize)> = Vec::new();
        for (axis, stride) in self.axes.iter().zip(&strides) {
            if let Axis::C(size) = axis {
                match channels.last_mut() {
                    Some((all, last)) if *last == size * stride => (*all, *last) = (*all * size, *stride),
                    _ => channels.push((*size, *stride)),
                }
            }
        }
        let (inner, channel) = channels.pop().unwrap_or((1, 1));
        let mut offsets = vec![0];
        for (size, stride) in channels {
            offsets =
                offsets.iter().flat_map(|base| (0..size).map(move |index| base + index * stride)).collect();
        }
        let mut pieces = Vec::new();
        let mut before = 0;
        for map in &self.parts {
            let pixel = stride(Axis::Pixels);
            let column = stride(Axis::X).or(pixel).unwrap_or(1);
            let row = stride(Axis::Y).or(pixel.map(|pixel| pixel * map.width())).unwrap_or(1);
            for (at, offset) in offsets.iter().enumerate() {
                let list = at * inner..(at + 1) * inner;
                let map = map.pick(list).map_err(|error| error.to_string())?;
                let offset = offset + before * pixel.unwrap_or(0);
                pieces.push(Placed { map, offset, channel, row, column });
            }
            before += map.height() * map.width();
        }
        graph.output(shape.iter().product(), pieces).map_err(|error| error.to_string())
    }
}

/// Axes that may be merged and split.
enum Run {
    Channels(usize),
    Pixels,
    Single(Axis),
}

#[cfg(test)]
mod tests;
