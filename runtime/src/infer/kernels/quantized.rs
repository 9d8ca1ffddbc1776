//! Models of eight bits: QuantizeLinear and DequantizeLinear around the layers (QDQ). Between them numbers lie on grids; the
//! layers keep them as whole numbers and compute convolutions and sums without loss.
//!
//! Operators that look at each number by itself do not run at all: all that lies between two grids is a table of what each
//! whole number becomes, which the convolution before it applies. Operators that know no whole numbers get what these stand
//! for.

use stopline_kernels::{Activation, Both, Graph, Grid, Map, Table};

use super::constants::{Constants, Node, NotCovered};
use super::fuse;
use super::lower::{Lowering, said};
use super::value::{Made, Value};

/// What the whole numbers of a tensor stand for.
#[derive(Clone)]
pub(super) struct Meaning {
    values: Table<f32>,
    /// Where each stands for as many steps of this grid.
    grid: Option<Grid>,
    /// The same tensor from whole numbers that were there before: those, and what each stands for.
    earlier: Option<(Made, Table<f32>)>,
}

/// What follows a layer, up to the next grid.
struct Bounded<'a> {
    /// What QuantizeLinear makes.
    output: &'a str,
    grid: Grid,
    /// The grid's ends, or an activation's.
    ends: [i16; 2],
    nodes: Vec<usize>,
}

fn on_grid(grid: Grid, earlier: Option<(Made, Table<f32>)>) -> Meaning {
    Meaning { values: Table::of(|number| f32::from(number) * grid.step), grid: Some(grid), earlier }
}

/// The nearest number of the grid, as QuantizeLinear rounds.
#[allow(clippy::cast_possible_truncation, reason = "kept within the grid's ends")]
fn nearest(grid: Grid, value: f32) -> i16 {
    let nearest = (value / grid.step).round_ties_even();
    nearest.max(f32::from(grid.low)).min(f32::from(grid.high)) as i16
}

impl<'a> Lowering<'a> {
    /// What QuantizeLinear made is whole numbers: only DequantizeLinear may read it; and what DynamicQuantizeLinear made, only
    /// ConvInteger.
    pub(super) fn readable(&self, node: Node<'a>) -> Result<(), NotCovered> {
        let bytes = node.inputs().find(|name| self.bytes.contains(name));
        match bytes {
            Some(name) if !["DequantizeLinear", "ConvInteger"].contains(&node.0.op_type.as_str()) => {
                Err(format!("{name:?} is quantised, and it is no DequantizeLinear"))
            }
            _ => Ok(()),
        }
    }

    /// The grid of a QuantizeLinear or DequantizeLinear of eight bits.
    fn grid(&self, node: Node<'a>) -> Result<Grid, NotCovered> {
        let (_, steps) = self.constants.floats(node.needs(1)?)?;
        let [step] = steps[..] else { return Err("a scale for each channel of what a layer makes".into()) };
        let Some(zero) = node.input(2) else { return Ok(Grid { step, low: 0, high: 255 }) };
        let (least, most) = self.constants.eight_bits(zero)?;
        let [zero] = self.constants.whole(zero)?.1[..] else { return Err("more than one zero point".into()) };
        let end = |end: i32| i16::try_from(end - zero).map_err(|_| "a zero point beyond eight bits");
        Ok(Grid { step, low: end(least)?, high: end(most)? })
    }

    pub(super) fn quantize(&mut self, node: Node<'a>) -> Result<(), NotCovered> {
        let (name, grid) = (node.needs(0)?, self.grid(node)?);
        let output = node.0.output.first().ok_or("it has no output")?.as_str();
        match self.values.get(name).cloned() {
            None => return Err(super::lower::not_made()),
            Some(Value::Input(part)) => {
                if self.rounded.get(name).is_some_and(|before| *before != grid) {
                    return Err("an input quantised twice".into());
                }
                self.rounded.insert(output, grid);
                self.values.insert(output, Value::Input(part));
            }
            Some(Value::Made(made)) => {
                let (made, earlier) = self.onto(node.name(), made, self.meanings.get(name).cloned(), grid)?;
                self.values.insert(output, Value::Made(made));
                self.meanings.insert(output, on_grid(grid, earlier));
            }
        }
        self.bytes.insert(output);
        Ok(())
    }

    /// A tensor on `grid`; and from which whole numbers it came, where it did.
    fn onto(
        &mut self,
        name: &str,
        made: Made,
        meaning: Option<Meaning>,
        grid: Grid,
    ) -> Result<(Made, Option<(Made, Table<f32>)>), NotCovered> {
        let graph = &mut self.graph;
        let Some(meaning) = meaning else {
            return Ok((made.each(|map| graph.quantize(name, map, grid).map_err(said))?, None));
        };
        if meaning.grid == Some(grid) {
            return Ok((made, meaning.earlier));
        }
        let table = |values: &Table<f32>| Table::of(|number| nearest(grid, values.at(number)));
        let translated = made.each(|map| graph.translate(name, map, table(&meaning.values)).map_err(said))?;
        let (before, values) = meaning.earlier.unwrap_or((made, meaning.values));
        let values = Table::of(|number| f32::from(nearest(grid, values.at(number))) * grid.step);
        Ok((translated, Some((before, values))))
    }

    pub(super) fn dequantize(&mut self, node: Node<'a>) -> Result<(), NotCovered> {
        let name = node.needs(0)?;
        let output = node.0.output.first().ok_or("it has no output")?.as_str();
        if self.constants.has(name) {
            return self.constants.dequantize(node, output);
        }
        let grid = self.grid(node)?;
        let value = self.values.get(name).cloned().ok_or_else(super::lower::not_made)?;
        let own =
            self.meanings.get(name).and_then(|meaning| meaning.grid).or(self.rounded.get(name).copied());
        if !self.bytes.contains(name) || own != Some(grid) {
            return Err("another scale or zero point than its QuantizeLinear has".into());
        }
        if let Some(meaning) = self.meanings.get(name).cloned() {
            self.meanings.insert(output, meaning);
        }
        if let Some(grid) = self.rounded.get(name).copied() {
            self.rounded.insert(output, grid);
        }
        self.values.insert(output, value);
        Ok(())
    }

    /// What `names`, parts of inputs joined to `map`, were rounded to.
    pub(super) fn rounded_together(
        &mut self,
        name: &str,
        names: &[&str],
        map: &Map,
    ) -> Result<Option<(Made, Meaning)>, NotCovered> {
        let grids: Vec<_> = names.iter().map(|name| self.rounded.get(name).copied()).collect();
        match grids[..] {
            [] | [None, ..] if grids.iter().all(Option::is_none) => Ok(None),
            [Some(grid), ..] if grids.iter().all(|other| *other == Some(grid)) => {
                let map = self.graph.quantize(name, map, grid).map_err(said)?;
                Ok(Some((Made::of(map), on_grid(grid, None))))
            }
            _ => Err("parts of an input that are quantised differently".into()),
        }
    }

    /// What `name`'s whole numbers, `made`, stand for, as f32.
    pub(super) fn in_floats(&mut self, name: &'a str, made: &Made) -> Result<Made, NotCovered> {
        let Some(meaning) = self.meanings.get(name) else { return Ok(made.clone()) };
        let known =
            self.floats.iter().find(|(of, grid, _)| grid.is_some() && *grid == meaning.grid && of == made);
        if let Some((.., known)) = known {
            return Ok(known.clone());
        }
        let grid = meaning.grid;
        let graph: &mut Graph = &mut self.graph;
        let found = made.each(|map| graph.values(name, map, meaning.values.clone()).map_err(said))?;
        self.floats.push((made.clone(), grid, found.clone()));
        Ok(found)
    }

    /// What `node` made of whole numbers only by moving them stands for what these did.
    pub(super) fn inherit(&mut self, node: Node<'a>) -> Result<(), NotCovered> {
        let name = node.needs(0)?;
        let outputs = node.0.output.iter().map(String::as_str);
        for output in outputs.filter(|output| !output.is_empty()) {
            if let Some(meaning) = self.meanings.get(name).cloned() {
                self.meanings.insert(output, Meaning { earlier: None, ..meaning });
            }
            if let Some(grid) = self.rounded.get(name).copied() {
                self.rounded.insert(output, grid);
            }
        }
        Ok(())
    }

    /// An activation of whole numbers makes none of them anew: they only stand for something else. Whether it is one.
    pub(super) fn stands_for(&mut self, node: Node<'a>, activation: Activation) -> Result<bool, NotCovered> {
        let name = node.needs(0)?;
        let (Some(meaning), Some(Value::Made(made))) = (self.meanings.get(name), self.values.get(name))
        else {
            return Ok(false);
        };
        let (made, values) =
            meaning.earlier.as_ref().map_or((made, &meaning.values), |(made, values)| (made, values));
        let values = Table::of(|number| activation.of(values.at(number)));
        self.mean(node, made.clone(), values)?;
        Ok(true)
    }

    fn mean(&mut self, node: Node<'a>, made: Made, values: Table<f32>) -> Result<(), NotCovered> {
        let output = node.0.output.first().ok_or("it has no output")?.as_str();
        self.meanings.insert(output, Meaning { values, grid: None, earlier: None });
        self.set(node, made)
    }

    /// Sum or product of two tensors of whole numbers: of the same ones, these stand for something else; else the sum on the
    /// grid that follows. Whether it is one.
    pub(super) fn whole_both(&mut self, node: Node<'a>, both: Both) -> Result<bool, NotCovered> {
        let names = [node.needs(0)?, node.needs(1)?];
        let [Some(a), Some(b)] = names.map(|name| self.meanings.get(name).cloned()) else { return Ok(false) };
        let [Some(Value::Made(first)), Some(Value::Made(second))] =
            names.map(|name| self.values.get(name).cloned())
        else {
            return Ok(false);
        };
        let ways = |made: &Made, meaning: &Meaning| -> Vec<(Made, Table<f32>)> {
            meaning.earlier.iter().cloned().chain([(made.clone(), meaning.values.clone())]).collect()
        };
        let others = ways(&second, &b);
        let common = ways(&first, &a).into_iter().find_map(|(made, one)| {
            others.iter().find(|(other, _)| *other == made).map(|(_, two)| (made, one, two))
        });
        if let Some((made, one, two)) = common {
            let values = Table::of(|number| match both {
                Both::Add => one.at(number) + two.at(number),
                Both::Mul => one.at(number) * two.at(number),
            });
            self.mean(node, made, values)?;
            return Ok(true);
        }
        let output = node.0.output.first().ok_or("it has no output")?.as_str();
        let (Both::Add, Some(one), Some(two), Some(after)) = (both, a.grid, b.grid, self.bounded(output))
        else {
            return Ok(false);
        };
        let [low, high] = after.ends;
        let (steps, grid) = ([one.step, two.step], Grid { low, high, ..after.grid });
        let graph = &mut self.graph;
        let made =
            first.pairs(&second, |a, b| graph.whole_sum(node.name(), a, b, steps, grid).map_err(said))?;
        self.finished(after, made);
        Ok(true)
    }

    /// What QuantizeLinear would have made is there.
    fn finished(&mut self, after: Bounded<'a>, made: Made) {
        self.done.extend(after.nodes);
        self.values.insert(after.output, Value::Made(made));
        self.meanings.insert(after.output, on_grid(after.grid, None));
        self.bytes.insert(after.output);
    }

    /// The grid that alone follows `name`, perhaps behind limits.
    fn bounded(&self, mut name: &'a str) -> Option<Bounded<'a>> {
        let (mut least, mut most) = (f32::NEG_INFINITY, f32::INFINITY);
        let mut nodes = Vec::new();
        loop {
            let (at, node) = self.only_reader(name)?;
            nodes.push(at);
            let output = node.0.output.first()?.as_str();
            if node.0.op_type == "QuantizeLinear" {
                let grid = self.grid(node).ok()?;
                // Rounding keeps the order, so limits may come after it.
                let ends = [nearest(grid, least), nearest(grid, most)];
                return Some(Bounded { output, grid, ends, nodes });
            }
            let Activation::Clip { low, high } = fuse::activation(node, &self.constants).ok()?? else {
                return None;
            };
            (least, most) = (least.max(low).min(high), most.min(high).max(low));
            name = output;
        }
    }

    /// Several tensors of whole numbers joined, on the grid that follows. Whether they are.
    pub(super) fn whole_concat(&mut self, node: Node<'a>, names: &[&'a str]) -> Result<bool, NotCovered> {
        let meanings: Option<Vec<Meaning>> =
            names.iter().map(|name| self.meanings.get(name).cloned()).collect();
        let output = node.0.output.first().ok_or("it has no output")?.as_str();
        let (Some(meanings), Some(after)) = (meanings, self.bounded(output)) else { return Ok(false) };
        if after.ends != [after.grid.low, after.grid.high] {
            return Ok(false);
        }
        let mut parts = Vec::new();
        for (name, meaning) in names.iter().zip(meanings) {
            let made = self.lies(name)?;
            parts.push(self.onto(node.name(), made, Some(meaning), after.grid)?.0);
        }
        let rank = parts.first().map_or(0, Made::rank);
        let made = Made::joined(&parts, super::constants::axis(node.int("axis", 0), rank)?)?;
        self.finished(after, made);
        Ok(true)
    }

    /// A convolution of whole numbers to the grid that follows. Whether it is one.
    pub(super) fn whole_convolution(&mut self, node: Node<'a>) -> Result<bool, NotCovered> {
        let name = node.needs(0)?;
        let output = node.0.output.first().ok_or("it has no output")?.as_str();
        let (Some(grid), Some(after)) =
            (self.meanings.get(name).and_then(|meaning| meaning.grid), self.bounded(output))
        else {
            return Ok(false);
        };
        let Some(weights) = self.constants.quantized(node.needs(1)?).cloned() else { return Ok(false) };
        let from = self.lies(name)?.map()?.clone();
        let [outputs, _, height, width] = weights.shape[..] else { return Ok(false) };
        let groups = usize::try_from(node.int("group", 1)).unwrap_or(0);
        let for_each = weights.steps.len() == outputs && weights.axis == 0 || weights.steps.len() == 1;
        let known = groups == 1 || (groups == from.channels() && groups == outputs);
        let numbers: Result<Vec<i16>, _> =
            weights.numbers.iter().map(|number| i16::try_from(*number)).collect();
        let (true, true, Ok(numbers)) = (for_each, known, numbers) else { return Ok(false) };
        let window = self.window(node, Some([height, width]))?;
        let steps: Vec<f32> =
            (0..outputs).map(|at| grid.step * weights.steps[at % weights.steps.len()]).collect();
        let Some(bias) = self.whole_bias(node, &steps)? else { return Ok(false) };
        let factors = steps.iter().map(|step| step / after.grid.step).collect();
        let made =
            self.graph.whole_conv(node.name(), &from, window, groups, numbers, bias, factors, after.ends);
        let Ok(map) = made else { return Ok(false) };
        self.finished(after, Made::of(map));
        Ok(true)
    }

    /// The bias in `steps`; `None` where 32 bits do not hold it.
    fn whole_bias(&self, node: Node<'a>, steps: &[f32]) -> Result<Option<Vec<i32>>, NotCovered> {
        let Some(name) = node.input(2) else { return Ok(Some(vec![0; steps.len()])) };
        if let Some(known) = self.constants.quantized(name) {
            let close =
                |(at, step): (usize, &f32)| (known.steps[at % known.steps.len()] - step).abs() <= step * 1e-5;
            if known.numbers.len() == steps.len() && steps.iter().enumerate().all(close) {
                return Ok(Some(known.numbers.clone()));
            }
        }
        let values = self.constants.floats(name)?.1;
        if values.len() != steps.len() {
            return Err(format!("{} biases for {} channels", values.len(), steps.len()));
        }
        #[allow(clippy::cast_possible_truncation, reason = "whether it fits is asked")]
        let one = |(value, step): (&f32, &f32)| {
            let number = (f64::from(*value) / f64::from(*step)).round_ties_even();
            (number.abs() < f64::from(i32::MAX)).then_some(number as i32)
        };
        Ok(values.iter().zip(steps).map(one).collect())
    }
}

/// A constant of whole numbers, its zero points taken off.
#[derive(Clone)]
pub(super) struct QuantizedConstant {
    pub shape: Vec<usize>,
    pub numbers: Vec<i32>,
    /// One, or one for each index of `axis`.
    pub steps: Vec<f32>,
    pub axis: usize,
}

impl<'a> Constants<'a> {
    /// DequantizeLinear of a constant: `output` is a constant from here on.
    fn dequantize(&mut self, node: Node<'a>, output: &'a str) -> Result<(), NotCovered> {
        let (shape, mut numbers) = self.whole(node.needs(0)?)?;
        let steps = self.floats(node.needs(1)?)?.1;
        let zeros = match node.input(2) {
            Some(name) => self.whole(name)?.1,
            None => vec![0; steps.len()],
        };
        let axis =
            if steps.len() == 1 { 0 } else { super::constants::axis(node.int("axis", 1), shape.len())? };
        let fits = steps.len() == 1 || shape.get(axis) == Some(&steps.len());
        if zeros.len() != steps.len() || !fits || numbers.is_empty() {
            return Err(format!("{} scales for a constant of shape {shape:?}", steps.len()));
        }
        let inner: usize = shape.iter().skip(axis + 1).product();
        let mut values = Vec::with_capacity(numbers.len());
        for (at, number) in numbers.iter_mut().enumerate() {
            let channel = at / inner.max(1) % steps.len();
            *number = number.checked_sub(zeros[channel]).ok_or("a zero point beyond 32 bits")?;
            #[allow(clippy::cast_precision_loss, reason = "as ONNX defines it")]
            values.push(*number as f32 * steps[channel]);
        }
        self.put(output, (shape.clone(), values), QuantizedConstant { shape, numbers, steps, axis });
        Ok(())
    }
}
