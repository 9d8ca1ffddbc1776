//! Operators that make no layer: they split, slice, reshape and turn what is there.

use super::constants::{Node, NotCovered, axis};
use super::lower::{Lowering, not_made};
use super::value::Value;

impl<'a> Lowering<'a> {
    pub(super) fn split(&mut self, node: Node<'a>) -> Result<(), NotCovered> {
        let value = self.lies(node.needs(0)?)?;
        let at = axis(node.int("axis", 0), value.rank())?;
        let size = value.shape()[at];
        let outputs = node.0.output.len();
        let sizes: Vec<usize> = match (node.input(1), node.ints("split")) {
            (Some(name), _) => sizes(&self.constants.ints(name)?)?,
            (None, Some(stated)) => sizes(stated)?,
            (None, None) if size % outputs.max(1) == 0 => vec![size / outputs.max(1); outputs],
            (None, None) => return Err("a split into unequal parts that are not stated".into()),
        };
        if sizes.len() != outputs || sizes.iter().sum::<usize>() != size || sizes.contains(&0) {
            return Err(format!("a split of {size} into {sizes:?}"));
        }
        let mut from = 0;
        for (output, size) in sizes.iter().enumerate() {
            let kept: Vec<usize> = (from..from + size).collect();
            let part = value.sliced(at, &kept)?;
            self.put(node, output, Value::Made(part))?;
            from += size;
        }
        Ok(())
    }

    pub(super) fn slice(&mut self, node: Node<'a>) -> Result<(), NotCovered> {
        let name = node.needs(0)?;
        let value = self.values.get(name).cloned().ok_or_else(not_made)?;
        let ints = |at: usize, attribute: &str| match (node.input(at), node.ints(attribute)) {
            (Some(name), _) => self.constants.ints(name).map(Some),
            (None, stated) => Ok(stated.map(<[i64]>::to_vec)),
        };
        let starts = ints(1, "starts")?.ok_or("no starts")?;
        let ends = ints(2, "ends")?.ok_or("no ends")?;
        let count = i64::try_from(starts.len()).unwrap_or(i64::MAX);
        let axes = ints(3, "axes")?.unwrap_or_else(|| (0..count).collect());
        let steps = ints(4, "steps")?.unwrap_or_else(|| vec![1; starts.len()]);
        if ends.len() != starts.len() || axes.len() != starts.len() || steps.len() != starts.len() {
            return Err("a slice whose starts, ends, axes and steps differ in number".into());
        }
        let mut value = value;
        for (((start, end), at), step) in starts.iter().zip(&ends).zip(&axes).zip(&steps) {
            let shape = match &value {
                Value::Input(part) => part.axes.iter().map(|(size, _)| *size).collect(),
                Value::Made(made) => made.shape(),
            };
            let at = axis(*at, shape.len())?;
            let kept = range(*start, *end, *step, shape[at])?;
            value = match value {
                Value::Input(mut part) => {
                    let (size, stride) = part.axes[at];
                    let step = usize::try_from(*step).unwrap_or(1);
                    part.offset += kept.first().map_or(0, |first| (*first).min(size)) * stride;
                    part.axes[at] = (kept.len(), stride * step);
                    Value::Input(part)
                }
                Value::Made(made) => Value::Made(made.sliced(at, &kept)?),
            };
        }
        self.put(node, 0, value)
    }

    pub(super) fn gather(&mut self, node: Node<'a>) -> Result<(), NotCovered> {
        let value = self.lies(node.needs(0)?)?;
        let indices = node.needs(1)?;
        let at = axis(node.int("axis", 0), value.rank())?;
        let size = value.shape()[at];
        let kept = self.constants.ints(indices)?;
        let kept = kept.iter().map(|index| axis(*index, size)).collect::<Result<Vec<_>, _>>()?;
        if kept.is_empty() {
            return Err("a gather of nothing".into());
        }
        let picked = value.sliced(at, &kept)?;
        let made = match self.constants.rank(indices)? {
            0 => picked.squeezed(at)?,
            1 => picked,
            rank => return Err(format!("indices of {rank} axes")),
        };
        self.set(node, made)
    }

    pub(super) fn reshape(&mut self, node: Node<'a>) -> Result<(), NotCovered> {
        let value = self.lies(node.needs(0)?)?;
        let shape = value.shape();
        let all: usize = shape.iter().product();
        let wanted = if node.0.op_type == "Flatten" {
            let at = node.int("axis", 1);
            let at = if at == i64::try_from(shape.len()).unwrap_or(0) {
                shape.len()
            } else {
                axis(at, shape.len())?
            };
            vec![shape[..at].iter().product(), shape[at..].iter().product()]
        } else {
            let stated = self.constants.ints(node.needs(1)?)?;
            if node.int("allowzero", 0) != 0 {
                return Err("allowzero".into());
            }
            let kept = |(at, size): (usize, &i64)| {
                if *size == 0 { shape.get(at).copied() } else { usize::try_from(*size).ok() }
            };
            let known: Vec<Option<usize>> = stated.iter().enumerate().map(kept).collect();
            let product: usize = known.iter().flatten().product();
            let open = || (product > 0 && all.is_multiple_of(product)).then(|| all / product);
            let wanted: Option<Vec<usize>> = known.iter().map(|size| size.or_else(open)).collect();
            wanted.ok_or_else(|| format!("a reshape from {shape:?} to {stated:?}"))?
        };
        self.set(node, value.reshaped(&wanted)?)
    }

    pub(super) fn transpose(&mut self, node: Node<'a>) -> Result<(), NotCovered> {
        let value = self.values.get(node.needs(0)?).cloned().ok_or_else(not_made)?;
        let rank = match &value {
            Value::Input(part) => part.axes.len(),
            Value::Made(made) => made.rank(),
        };
        let order: Vec<usize> = match node.ints("perm") {
            Some(stated) => sizes(stated)?,
            None => (0..rank).rev().collect(),
        };
        let mut sorted = order.clone();
        sorted.sort_unstable();
        if !sorted.iter().copied().eq(0..rank) {
            return Err(format!("a transposition {order:?} of {rank} axes"));
        }
        let value = match value {
            Value::Input(mut part) => {
                part.axes = order.iter().map(|at| part.axes[*at]).collect();
                Value::Input(part)
            }
            Value::Made(made) => Value::Made(made.transposed(&order)?),
        };
        self.put(node, 0, value)
    }

    pub(super) fn squeeze(&mut self, node: Node<'a>) -> Result<(), NotCovered> {
        let mut value = self.lies(node.needs(0)?)?;
        let axes = match (node.input(1), node.ints("axes")) {
            (Some(name), _) => self.constants.ints(name)?,
            (None, Some(stated)) => stated.to_vec(),
            (None, None) => return Err("axes that are not stated".into()),
        };
        let adds = node.0.op_type == "Unsqueeze";
        let rank = if adds { value.rank() + axes.len() } else { value.rank() };
        let mut axes = axes.iter().map(|at| axis(*at, rank)).collect::<Result<Vec<_>, _>>()?;
        axes.sort_unstable();
        axes.dedup();
        if adds {
            for at in axes {
                value = value.unsqueezed(at);
            }
        } else {
            for at in axes.into_iter().rev() {
                value = value.squeezed(at)?;
            }
        }
        self.set(node, value)
    }
}

fn sizes(values: &[i64]) -> Result<Vec<usize>, NotCovered> {
    values.iter().map(|value| usize::try_from(*value).map_err(|_| format!("sizes {values:?}"))).collect()
}

/// Indices from `start` to before `end` of an axis of `size`, as ONNX's `Slice` counts them; steps forward only.
fn range(start: i64, end: i64, step: i64, size: usize) -> Result<Vec<usize>, NotCovered> {
    let length = i64::try_from(size).map_err(|_| "an axis that is too long")?;
    let within = |at: i64| if at < 0 { at.saturating_add(length) } else { at }.clamp(0, length);
    let step = usize::try_from(step)
        .ok()
        .filter(|step| *step > 0)
        .ok_or_else(|| format!("a slice with step {step}"))?;
    let (start, end) = (within(start), within(end));
    if start >= end {
        return Err("an empty slice".into());
    }
    let at = |at: i64| usize::try_from(at).unwrap_or_default();
    Ok((at(start)..at(end)).step_by(step).collect())
}
