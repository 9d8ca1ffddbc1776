//! Models that quantise while they run: DynamicQuantizeLinear, ConvInteger, and the Cast, Mul and Add that bring its sums
//! back to f32, as onnxruntime.quantization.quantize_dynamic writes them. All of a convolution is one layer, which computes
//! what the operators define to the last bit.

use stopline_kernels::Measured;

use super::constants::{Constants, Node, NotCovered};
use super::fuse::Ended;
use super::lower::{Lowering, said};
use super::value::{Made, Value};

/// ONNX's number for f32.
const FLOAT: i64 = 1;

/// A ConvInteger that a layer can compute.
pub(super) struct Integer<'a> {
    measured: Measured,
    weights: Weights,
    /// What brings the sums back to f32 makes it.
    output: &'a str,
}

#[derive(Clone)]
struct Weights {
    /// Outputs, inputs of a group, rows, columns.
    shape: [usize; 4],
    numbers: Vec<i16>,
    /// Of each output.
    factors: Vec<f32>,
}

impl<'a> Lowering<'a> {
    /// DynamicQuantizeLinear, where all that reads it are convolutions that a layer can compute.
    pub(super) fn measure(&mut self, node: Node<'a>) -> Result<(), NotCovered> {
        let output = |at: usize| node.0.output.get(at).map(String::as_str).filter(|name| !name.is_empty());
        let (Some(numbers), Some(step), Some(zero)) = (output(0), output(1), output(2)) else {
            return Err("one of its three outputs is left out".into());
        };
        let from = self.map(node.needs(0)?)?;
        let readers = self.readers(numbers);
        let (mut found, mut scales, mut brought) = (Vec::new(), Vec::new(), Vec::new());
        for at in &readers {
            let reader = Node(&self.source.node[*at]);
            let own = reader.input(0) == Some(numbers) && reader.input(2) == Some(zero);
            if reader.0.op_type != "ConvInteger" || !own {
                return Err(format!("{} reads its numbers, not ConvInteger alone", reader.0.op_type));
            }
            let (output, [cast, product, scale]) = self.brought_back(reader, step)?;
            let weights = self.integer_weights(reader, scale)?;
            let groups = reader.int("group", 1);
            let each = i64::try_from(from.channels()).is_ok_and(|channels| groups == channels)
                && weights.shape[0] == from.channels();
            if groups != 1 && !each {
                return Err(format!("ConvInteger of {groups} groups"));
            }
            scales.push(scale);
            brought.extend([cast, product, scale]);
            found.push((*at, weights, output));
        }
        if self.readers(step) != sorted(scales) || self.readers(zero) != readers || readers.is_empty() {
            return Err("its scale or zero point is read elsewhere".into());
        }
        if [numbers, step, zero].into_iter().any(|name| self.outputs.contains(name)) {
            return Err("an output of the model".into());
        }
        let measured = self.graph.measure(node.name(), &from).map_err(said)?;
        self.bytes.extend([numbers, step, zero]);
        self.done.extend(brought);
        for (at, weights, output) in found {
            self.integers.insert(at, Integer { measured: measured.clone(), weights, output });
        }
        Ok(())
    }

    /// ConvInteger and what follows it.
    pub(super) fn integer_convolution(&mut self, at: usize, node: Node<'a>) -> Result<(), NotCovered> {
        let Some(Integer { measured, weights, output }) = self.integers.remove(&at) else {
            return Err("no DynamicQuantizeLinear before it that has a layer".into());
        };
        let Weights { shape: [outputs, _, height, width], numbers, factors } = weights;
        let window = self.window(node, Some([height, width]))?;
        let groups = usize::try_from(node.int("group", 1)).map_err(|_| "a negative number of groups")?;
        let mut nodes = Vec::new();
        let (bias, output) = match self.bias(output, outputs) {
            Some((at, bias, output)) => {
                nodes.push(at);
                (bias, output)
            }
            None => (vec![0.0; outputs], output),
        };
        let Ended { end, output } = self.ended(output, &mut nodes)?;
        let graph = &mut self.graph;
        let map = graph.measured_conv(node.name(), &measured, window, groups, numbers, factors, bias, end);
        self.values.insert(output, Value::Made(Made::of(map.map_err(said)?)));
        self.done.extend(nodes);
        Ok(())
    }

    /// What `Cast(sums) · (step · scale)` makes; and the nodes: Cast, the product, and that of the scales.
    fn brought_back(&self, node: Node<'a>, step: &str) -> Result<(&'a str, [usize; 3]), NotCovered> {
        let other =
            || NotCovered::from("what follows ConvInteger is not Cast to f32 and Mul with both scales");
        let next = |node: Node<'a>| self.only_reader(node.0.output.first()?);
        let (cast, casting) = next(node).ok_or_else(other)?;
        if casting.0.op_type != "Cast" || casting.int("to", 0) != FLOAT {
            return Err(other());
        }
        let (product, multiplying) = next(casting).ok_or_else(other)?;
        let sums = casting.0.output[0].as_str();
        let scale = multiplying.inputs().find(|name| *name != sums).ok_or_else(other)?;
        let makes = |node: &crate::infer::graph::pb::NodeProto| node.output.iter().any(|name| name == scale);
        let scaling = self.source.node.iter().position(makes).ok_or_else(other)?;
        let both = Node(&self.source.node[scaling]);
        let alone = self.only_reader(scale).is_some_and(|(at, _)| at == product);
        let products = [multiplying, both].iter().all(|node| node.0.op_type == "Mul");
        if !products || !alone || both.inputs().filter(|name| *name == step).count() != 1 {
            return Err(other());
        }
        let output = multiplying.0.output.first().ok_or_else(other)?;
        Ok((output, [cast, product, scaling]))
    }

    /// The weights of a ConvInteger, whose scale the node `scaling` has beside the picture's.
    fn integer_weights(&self, node: Node<'a>, scaling: usize) -> Result<Weights, NotCovered> {
        let name = node.needs(1)?;
        self.constants.eight_bits(name)?;
        let (shape, numbers) = self.constants.whole(name)?;
        let shape: [usize; 4] = shape.try_into().map_err(|shape| format!("weights of shape {shape:?}"))?;
        let zeros = match node.input(3) {
            Some(zero) => self.constants.whole(zero)?.1,
            None => vec![0],
        };
        let scales = Node(&self.source.node[scaling]).inputs();
        let scale =
            scales.filter(|name| self.constants.has(name)).last().ok_or("a weights' scale that is made")?;
        let (form, scales) = self.constants.floats(scale)?;
        let outputs = shape[0];
        let each = |count: usize| count == 1 || count == outputs;
        // Of several, the channels' axis must be the one they lie on.
        let lies = scales.len() == 1 || form.iter().rev().nth(2) == Some(&outputs);
        if !each(zeros.len()) || !each(scales.len()) || !lies || outputs == 0 {
            return Err(format!("{} zero points and {} scales of weights", zeros.len(), scales.len()));
        }
        let own = numbers.len() / outputs;
        let number = |(at, number): (usize, &i32)| i16::try_from(number - zeros[at / own % zeros.len()]);
        let numbers: Result<Vec<i16>, _> = numbers.iter().enumerate().map(number).collect();
        let numbers = numbers.map_err(|_| "a zero point beyond eight bits")?;
        let factors = (0..outputs).map(|at| scales[at % scales.len()]).collect();
        Ok(Weights { shape, numbers, factors })
    }

    /// The Add of a constant for each channel that alone follows `name`, and what it makes.
    fn bias(&self, name: &str, channels: usize) -> Option<(usize, Vec<f32>, &'a str)> {
        let (at, node) = self.only_reader(name)?;
        if node.0.op_type != "Add" {
            return None;
        }
        let other = node.inputs().find(|input| *input != name && self.constants.has(input))?;
        let (shape, values) = self.constants.floats(other).ok()?;
        let [.., own, 1, 1] = shape[..] else { return None };
        (own == channels && values.len() == channels).then_some((at, values, node.0.output.first()?.as_str()))
    }

    fn readers(&self, name: &str) -> Vec<usize> {
        sorted(self.uses.get(name).cloned().unwrap_or_default())
    }
}

fn sorted(mut nodes: Vec<usize>) -> Vec<usize> {
    nodes.sort_unstable();
    nodes.dedup();
    nodes
}

impl<'a> Constants<'a> {
    /// Reshape of an f32 constant: what it makes is a constant from here on. Whether it is one.
    pub(super) fn reshape(&mut self, node: Node<'a>) -> bool {
        let made = || {
            let (name, to) = (node.input(0)?, node.input(1)?);
            let (from, values) = self.floats(name).ok()?;
            let mut shape = Vec::new();
            for (at, size) in self.ints(to).ok()?.into_iter().enumerate() {
                shape.push(match size {
                    0 if node.int("allowzero", 0) == 0 => *from.get(at)?,
                    -1 => usize::MAX,
                    size => usize::try_from(size).ok()?,
                });
            }
            let known: usize = shape.iter().filter(|size| **size != usize::MAX).product();
            let open = shape.iter_mut().filter(|size| **size == usize::MAX);
            for size in open {
                *size = values.len().checked_div(known)?;
            }
            (shape.iter().product::<usize>() == values.len()).then_some((shape, values))
        };
        match (made(), node.0.output.first()) {
            (Some(made), Some(output)) => {
                self.put_reshaped(output, made);
                true
            }
            _ => false,
        }
    }
}
