//! From an ONNX graph to layers: node after node, as far as these know the operator with just these attributes. What they
//! do not know, and all that hangs on it, is left to tract.

use std::collections::{HashMap, HashSet};

use stopline_kernels::{Activation, Both, Graph, GraphError, Grid, Map, Window};

use super::constants::{Constants, Node, NotCovered, axis};
use super::dynamic::Integer;
use super::fuse::{self, Fused};
use super::quantized::Meaning;
use super::resize;
use super::value::{Made, Strided, Value};
use crate::infer::TensorSpec;
use crate::infer::graph::pb;

/// A graph of which layers are made.
pub(super) struct Lowered {
    pub graph: Graph,
    /// Tensors that the layers write, in the order of the graph's outputs.
    pub written: Vec<(String, Vec<usize>)>,
    /// Nodes that are left, in the graph's order.
    pub left: Vec<usize>,
    /// The first of them, and why.
    pub why: Option<String>,
    /// Convolutions that are layers, and all of them.
    pub convolutions: (usize, usize),
}

/// Lowers `graph`, whose inputs are `inputs`.
pub(super) fn lower(proto: &pb::ModelProto, inputs: &[TensorSpec]) -> Result<Lowered, NotCovered> {
    let graph = proto.graph.as_ref().ok_or("it holds no graph")?;
    let own = proto.opset_import.iter().find(|set| set.domain.is_empty() || set.domain == "ai.onnx");
    let mut lowering = Lowering {
        opset: own.map_or(1, |set| set.version),
        constants: Constants::of(graph),
        uses: uses(graph),
        outputs: graph.output.iter().map(|output| output.name.as_str()).collect(),
        source: graph,
        graph: Graph::new(),
        values: HashMap::new(),
        padded: HashMap::new(),
        pooled: Vec::new(),
        done: HashSet::new(),
        meanings: HashMap::new(),
        rounded: HashMap::new(),
        bytes: HashSet::new(),
        floats: Vec::new(),
        integers: HashMap::new(),
    };
    let reshapes = lowering.reshaped_constants();
    for spec in inputs {
        lowering.input(spec)?;
    }
    let mut left = Vec::new();
    let mut why = None;
    for (at, source) in graph.node.iter().enumerate() {
        let node = Node(source);
        if lowering.done.contains(&at) || source.op_type == "Constant" {
            continue;
        }
        if let Err(reason) = lowering.node(at, node) {
            left.push(at);
            let told = || format!("{} (node {:?}): {reason}", source.op_type, node.name());
            why.get_or_insert_with(told);
        }
    }
    // What tract runs needs the constants as the file has them.
    let read: Vec<&str> = left.iter().flat_map(|at| Node(&graph.node[*at]).inputs()).collect();
    let needed = |at: &usize| graph.node[*at].output.iter().any(|name| read.contains(&name.as_str()));
    left.extend(reshapes.into_iter().filter(needed));
    left.sort_unstable();
    lowering.finish(left, why)
}

fn uses(graph: &pb::GraphProto) -> HashMap<&str, Vec<usize>> {
    let mut uses: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, node) in graph.node.iter().enumerate() {
        for name in Node(node).inputs() {
            uses.entry(name).or_default().push(at);
        }
    }
    uses
}

/// A graph while it is lowered.
pub(super) struct Lowering<'a> {
    /// Version of the operators.
    opset: i64,
    pub constants: Constants<'a>,
    /// The nodes that read a tensor.
    pub uses: HashMap<&'a str, Vec<usize>>,
    pub outputs: HashSet<&'a str>,
    pub source: &'a pb::GraphProto,
    pub graph: Graph,
    pub values: HashMap<&'a str, Value>,
    /// Results of `Pad` with zeros, for the convolution or mean that reads them: rows and columns before and after.
    padded: HashMap<&'a str, (Map, [usize; 4])>,
    /// Greatest numbers of square windows that move by 1 and keep the size: their source, size, result.
    pooled: Vec<(Map, usize, Map)>,
    /// Nodes that went into another's layer.
    pub done: HashSet<usize>,
    /// Of tensors whose maps hold whole numbers.
    pub meanings: HashMap<&'a str, Meaning>,
    /// Of parts of inputs: what they are rounded to before layers read them.
    pub rounded: HashMap<&'a str, Grid>,
    /// What QuantizeLinear and DynamicQuantizeLinear made.
    pub bytes: HashSet<&'a str>,
    /// Whole numbers on a grid, and what they stand for, where a layer asked for it.
    pub floats: Vec<(Made, Option<Grid>, Made)>,
    /// ConvInteger nodes whose input is measured.
    pub integers: HashMap<usize, Integer<'a>>,
}

pub(super) fn said(error: GraphError) -> NotCovered {
    error.to_string()
}

impl<'a> Lowering<'a> {
    /// Makes constants of what Reshape makes of constants; those nodes.
    fn reshaped_constants(&mut self) -> Vec<usize> {
        let source = self.source;
        let nodes = source.node.iter().enumerate().filter(|(_, node)| node.op_type == "Reshape");
        let constant = nodes.filter(|(_, node)| self.constants.reshape(Node(node)));
        let found: Vec<usize> = constant.map(|(at, _)| at).collect();
        self.done.extend(&found);
        found
    }

    fn input(&mut self, spec: &TensorSpec) -> Result<(), NotCovered> {
        let known = self.source.input.iter().find(|input| input.name == spec.name);
        let name =
            known.map(|input| input.name.as_str()).ok_or("an input of the plan is none of the graph")?;
        let shape: Option<Vec<usize>> = spec.shape.iter().copied().collect();
        let shape = shape.ok_or_else(|| format!("input {name:?} has an open size"))?;
        let length = shape.iter().try_fold(1usize, |product, size| product.checked_mul(*size));
        let length = length.ok_or_else(|| format!("input {name:?} is too large"))?;
        let input = self.graph.input(length).map_err(said)?;
        if spec.element != crate::infer::Element::F32 {
            return Err(format!("input {name:?} is {}, not f32", spec.element));
        }
        let mut axes = Vec::new();
        let mut stride = length;
        for size in shape {
            stride /= size.max(1);
            axes.push((size, stride));
        }
        self.values.insert(name, Value::Input(Strided { input, offset: 0, axes }));
        Ok(())
    }

    fn node(&mut self, at: usize, node: Node<'a>) -> Result<(), NotCovered> {
        if !node.0.domain.is_empty() && node.0.domain != "ai.onnx" {
            return Err(format!("an operator of {:?}", node.0.domain));
        }
        self.readable(node)?;
        if let Some(activation) = fuse::activation(node, &self.constants)? {
            if self.stands_for(node, activation)? {
                return Ok(());
            }
            let value = self.made(node.needs(0)?)?;
            let graph = &mut self.graph;
            let made = value.each(|map| graph.activate(node.name(), map, activation).map_err(said))?;
            return self.set(node, made);
        }
        match node.0.op_type.as_str() {
            "Conv" => self.convolution(at, node),
            "MaxPool" => self.max_pool(node),
            "AveragePool" | "GlobalAveragePool" => self.average_pool(node),
            "Pad" => self.pad(node),
            "Resize" | "Upsample" => self.resize(node),
            "Add" => self.both(node, Both::Add),
            "Mul" => self.both(node, Both::Mul),
            "Sub" | "Div" => self.with_constant(node),
            "BatchNormalization" => self.normalization(node),
            "Softmax" => self.softmax(node),
            "Concat" => self.concat(node),
            "QuantizeLinear" => self.quantize(node),
            "DequantizeLinear" => self.dequantize(node),
            "DynamicQuantizeLinear" => self.measure(node),
            "ConvInteger" => self.integer_convolution(at, node),
            _ => {
                self.moved(node)?;
                self.inherit(node)
            }
        }
    }

    /// Operators that make no new numbers.
    fn moved(&mut self, node: Node<'a>) -> Result<(), NotCovered> {
        match node.0.op_type.as_str() {
            "Split" => self.split(node),
            "Slice" => self.slice(node),
            "Gather" => self.gather(node),
            "Reshape" | "Flatten" => self.reshape(node),
            "Transpose" => self.transpose(node),
            "Squeeze" | "Unsqueeze" => self.squeeze(node),
            "Identity" | "Dropout" => {
                let value = self.values.get(node.needs(0)?).cloned().ok_or_else(not_made)?;
                self.put(node, 0, value)
            }
            _ => Err("an operator that has no layer".into()),
        }
    }

    /// The tensor `name` in f32.
    pub fn made(&mut self, name: &'a str) -> Result<Made, NotCovered> {
        let made = self.lies(name)?;
        self.in_floats(name, &made)
    }

    /// The tensor `name` as layers made it, of whole numbers too; a picture is brought into blocks when it is first asked
    /// for.
    pub fn lies(&mut self, name: &'a str) -> Result<Made, NotCovered> {
        match self.values.get(name) {
            Some(Value::Made(made)) => Ok(made.clone()),
            Some(Value::Input(part)) => {
                let (views, height, width) = part.views()?;
                let map = self.graph.image(name, part.input, views, height, width).map_err(said)?;
                let made = match self.rounded_together(name, &[name], &map)? {
                    Some((made, meaning)) => {
                        self.meanings.insert(name, meaning);
                        made
                    }
                    None => Made::of(map),
                };
                self.values.insert(name, Value::Made(made.clone()));
                Ok(made)
            }
            None => Err(not_made()),
        }
    }

    pub fn map(&mut self, name: &'a str) -> Result<Map, NotCovered> {
        self.made(name)?.map().cloned()
    }

    /// Whether `name` was made or given.
    pub fn known(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    pub fn set(&mut self, node: Node<'a>, made: Made) -> Result<(), NotCovered> {
        self.put(node, 0, Value::Made(made))
    }

    pub fn put(&mut self, node: Node<'a>, at: usize, value: Value) -> Result<(), NotCovered> {
        let extra = node
            .0
            .output
            .iter()
            .enumerate()
            .find(|(at, name)| *at > 0 && self.uses.contains_key(name.as_str()));
        if let (Some((_, extra)), false) = (extra, node.0.op_type == "Split") {
            return Err(format!("its output {extra:?} is used"));
        }
        let name = node.0.output.get(at).ok_or("it has no output")?;
        self.values.insert(name, value);
        Ok(())
    }

    fn convolution(&mut self, at: usize, node: Node<'a>) -> Result<(), NotCovered> {
        let name = node.needs(0)?;
        if self.rounded.contains_key(name) {
            self.lies(name)?;
        }
        if self.whole_convolution(node)? {
            return Ok(());
        }
        let (from, before) = match self.padded.get(name) {
            Some((map, pads)) => (map.clone(), *pads),
            None => (self.map(name)?, [0; 4]),
        };
        let (shape, weights) = self.constants.floats(node.needs(1)?)?;
        let [outputs, _, height, width] = shape[..] else {
            return Err(format!("weights of shape {shape:?}"));
        };
        let mut window = self.window(node, Some([height, width]))?;
        for (pad, before) in window.pads.iter_mut().zip(before) {
            *pad += before;
        }
        let bias = match node.input(2) {
            Some(bias) => self.constants.floats(bias)?.1,
            None => vec![0.0; outputs],
        };
        if bias.len() != outputs {
            return Err(format!("{} biases for {outputs} channels", bias.len()));
        }
        let groups = usize::try_from(node.int("group", 1)).map_err(|_| "a negative number of groups")?;
        if groups > 32 && groups != from.channels() {
            return Err(format!("{groups} groups"));
        }
        let Fused { weights, bias, end, output, nodes } = self.fused(at, weights, bias)?;
        let map = self.graph.conv(node.name(), &from, window, groups, weights, bias, end).map_err(said)?;
        self.done.extend(nodes);
        self.values.insert(output, Value::Made(Made::of(map)));
        Ok(())
    }

    /// Kernel, strides, dilations and pads of a node.
    pub(super) fn window(&self, node: Node<'a>, size: Option<[usize; 2]>) -> Result<Window, NotCovered> {
        let pads = match node.text("auto_pad", "NOTSET")? {
            "NOTSET" => node.sizes("pads", 0)?,
            "VALID" => [0; 4],
            other => return Err(format!("auto_pad {other}")),
        };
        let stated = node.sizes("kernel_shape", 0)?;
        let size = match size {
            Some(size) if stated != [0; 2] && stated != size => {
                return Err(format!("kernel_shape {stated:?} for weights of {size:?}"));
            }
            Some(size) => size,
            None => stated,
        };
        Ok(Window { size, stride: node.sizes("strides", 1)?, dilation: node.sizes("dilations", 1)?, pads })
    }

    fn max_pool(&mut self, node: Node<'a>) -> Result<(), NotCovered> {
        let from = self.map(node.needs(0)?)?;
        if node.int("ceil_mode", 0) != 0 || node.int("storage_order", 0) != 0 {
            return Err("ceil_mode or storage_order".into());
        }
        let window = self.window(node, None)?;
        let [size, other] = window.size;
        let keeps = size == other && size % 2 == 1 && window == Window::square(size, 1, size / 2);
        // A window of 9 over the source is one of 5 over the result of another of 5.
        let smaller = self.pooled.iter().filter(|(source, done, _)| keeps && *source == from && *done < size);
        let step = match smaller.max_by_key(|(_, done, _)| *done).cloned() {
            Some((_, done, result)) => {
                let rest = size - done + 1;
                self.graph.max_pool(node.name(), &result, Window::square(rest, 1, rest / 2))
            }
            None => self.graph.max_pool(node.name(), &from, window),
        };
        let map = step.map_err(said)?;
        if keeps {
            self.pooled.push((from, size, map.clone()));
        }
        self.set(node, Made::of(map))
    }

    fn average_pool(&mut self, node: Node<'a>) -> Result<(), NotCovered> {
        if node.int("ceil_mode", 0) != 0 {
            return Err("ceil_mode".into());
        }
        let name = node.needs(0)?;
        let (from, before) = match self.padded.get(name) {
            Some((map, pads)) => (map.clone(), *pads),
            None => (self.map(name)?, [0; 4]),
        };
        let mut window = if node.0.op_type == "GlobalAveragePool" {
            Window { size: [from.height(), from.width()], ..Window::square(1, 1, 0) }
        } else {
            self.window(node, None)?
        };
        let mut counts = node.int("count_include_pad", 0) != 0;
        if before != [0; 4] {
            // Zeros that a node put there are numbers; padding of the pool's own beside them may be none.
            if window.pads != [0; 4] && !counts {
                return Err("padding that counts beside padding that does not".into());
            }
            counts = true;
            for (pad, before) in window.pads.iter_mut().zip(before) {
                *pad += before;
            }
        }
        let map = self.graph.average_pool(node.name(), &from, window, counts).map_err(said)?;
        self.set(node, Made::of(map))
    }

    fn pad(&mut self, node: Node<'a>) -> Result<(), NotCovered> {
        let from = self.map(node.needs(0)?)?;
        let pads = match node.input(1) {
            Some(pads) => self.constants.ints(pads)?,
            None => node.ints("pads").ok_or("no pads")?.to_vec(),
        };
        let value = match node.input(2) {
            Some(value) => self.constants.floats(value)?.1.first().copied().unwrap_or_default(),
            None => node.float("value", 0.0),
        };
        if node.text("mode", "constant")? != "constant" || value != 0.0 || node.input(3).is_some() {
            return Err("padding with anything but zeros".into());
        }
        let [0, 0, top, left, 0, 0, bottom, right] = pads[..] else { return Err(format!("pads {pads:?}")) };
        let mut sizes = [0; 4];
        for (size, pad) in sizes.iter_mut().zip([top, left, bottom, right]) {
            *size = usize::try_from(pad).map_err(|_| format!("pads {pads:?}"))?;
        }
        let output = node.0.output.first().ok_or("it has no output")?.as_str();
        let readers = self.uses.get(output).map(Vec::as_slice).unwrap_or_default();
        let readers = readers.iter().map(|at| self.source.node[*at].op_type.as_str());
        let knows = |reader| ["Conv", "AveragePool"].contains(&reader);
        if self.outputs.contains(output) || !readers.into_iter().all(knows) {
            return Err("padding that no convolution or mean reads".into());
        }
        self.padded.insert(output, (from, sizes));
        Ok(())
    }

    fn resize(&mut self, node: Node<'a>) -> Result<(), NotCovered> {
        let name = node.needs(0)?;
        let mut from = self.lies(name)?.map()?.clone();
        let wanted = resize::wanted(node, &self.constants, &from)?;
        if wanted.linear {
            from = self.map(name)?;
        }
        let step = self.graph.resize(node.name(), &from, &wanted.rows, &wanted.columns, wanted.linear);
        self.set(node, Made::of(step.map_err(said)?))?;
        // Whole numbers are moved only.
        if wanted.linear { Ok(()) } else { self.inherit(node) }
    }

    fn both(&mut self, node: Node<'a>, both: Both) -> Result<(), NotCovered> {
        let (a, b) = (node.needs(0)?, node.needs(1)?);
        if self.constants.has(a) || self.constants.has(b) {
            return self.with_constant(node);
        }
        if self.whole_both(node, both)? {
            return Ok(());
        }
        let (a, b) = (self.made(a)?, self.made(b)?);
        let graph = &mut self.graph;
        let made = a.pairs(&b, |a, b| graph.pair(node.name(), both, a, b, Activation::None).map_err(said))?;
        self.set(node, made)
    }

    /// Add, Sub, Mul or Div with one number, or one for each channel.
    fn with_constant(&mut self, node: Node<'a>) -> Result<(), NotCovered> {
        let (first, second) = (node.needs(0)?, node.needs(1)?);
        let operator = node.0.op_type.as_str();
        let (name, constant) = match (self.constants.has(first), self.constants.has(second)) {
            (false, true) => (first, second),
            (true, false) if ["Add", "Mul"].contains(&operator) => (second, first),
            _ => return Err("operands of this kind".into()),
        };
        let (shape, values) = self.constants.floats(constant)?;
        let map = self.map(name)?;
        let channels = map.channels();
        let each = match shape.iter().rev().take(3).rev().collect::<Vec<_>>()[..] {
            _ if values.len() == 1 && shape.len() <= 4 => vec![values[0]; channels],
            [c, 1, 1] if *c == channels && values.len() == channels && shape.len() <= 4 => values,
            _ => return Err(format!("a constant of shape {shape:?} for {channels} channels")),
        };
        let (factors, offsets) = match operator {
            "Add" => (vec![1.0; channels], each),
            "Sub" => (vec![1.0; channels], each.iter().map(|value| -value).collect()),
            "Mul" => (each, vec![0.0; channels]),
            _ => (each.iter().map(|value| 1.0 / value).collect(), vec![0.0; channels]),
        };
        let step = self.graph.scale(node.name(), &map, factors, offsets, Activation::None);
        self.set(node, Made::of(step.map_err(said)?))
    }

    fn normalization(&mut self, node: Node<'a>) -> Result<(), NotCovered> {
        let map = self.map(node.needs(0)?)?;
        let (factors, offsets) = fuse::normalization(node, &self.constants)?;
        let step = self.graph.scale(node.name(), &map, factors, offsets, Activation::None);
        self.set(node, Made::of(step.map_err(said)?))
    }

    fn softmax(&mut self, node: Node<'a>) -> Result<(), NotCovered> {
        let value = self.made(node.needs(0)?)?;
        // Before version 13 all axes from this one on are taken together.
        let together = self.opset < 13;
        let at = axis(node.int("axis", if together { 1 } else { -1 }), value.rank())?;
        let alone = value.shape()[at + 1..].iter().all(|size| *size == 1);
        if !value.is_all_channels(at) || (together && !alone) {
            return Err(format!("softmax over axis {at} of {:?}", value.shape()));
        }
        let graph = &mut self.graph;
        let made = value.each(|map| graph.softmax(node.name(), map).map_err(said))?;
        self.set(node, made)
    }

    fn concat(&mut self, node: Node<'a>) -> Result<(), NotCovered> {
        let names: Vec<&str> = node.inputs().collect();
        let stated = node.int("axis", 0);
        let views: Option<Vec<Strided>> = names
            .iter()
            .map(|name| match self.values.get(name) {
                Some(Value::Input(part)) => Some(part.clone()),
                _ => None,
            })
            .collect();
        if let Some(parts) = views.filter(|parts| !parts.is_empty()) {
            let map = self.joined_views(node, &parts, stated)?;
            let Some((made, meaning)) = self.rounded_together(node.name(), &names, &map)? else {
                return self.set(node, Made::of(map));
            };
            self.meanings.insert(node.0.output.first().ok_or("it has no output")?, meaning);
            return self.set(node, made);
        }
        if self.whole_concat(node, &names)? {
            return Ok(());
        }
        let values = names.iter().map(|name| self.made(name)).collect::<Result<Vec<_>, _>>()?;
        let rank = values.first().map_or(0, Made::rank);
        self.set(node, Made::joined(&values, axis(stated, rank)?)?)
    }

    /// Parts of inputs joined by channels: one picture of them all.
    fn joined_views(&mut self, node: Node<'a>, parts: &[Strided], stated: i64) -> Result<Map, NotCovered> {
        let first = &parts[0];
        let (mut all, height, width) = first.views()?;
        for part in &parts[1..] {
            let (views, other_height, other_width) = part.views()?;
            if (part.input, other_height, other_width) != (first.input, height, width) {
                return Err("parts of different inputs or sizes joined".into());
            }
            all.extend(views);
        }
        if axis(stated, 4)? != 1 {
            return Err("parts of an input joined by another axis than channels".into());
        }
        self.graph.image(node.name(), first.input, all, height, width).map_err(said)
    }

    /// Writes what tract or the caller needs.
    fn finish(mut self, left: Vec<usize>, why: Option<String>) -> Result<Lowered, NotCovered> {
        let mut wanted: Vec<&'a str> = Vec::new();
        let read = left.iter().flat_map(|at| Node(&self.source.node[*at]).inputs());
        let outputs = self.source.output.iter().map(|output| output.name.as_str());
        for name in outputs.chain(read) {
            if self.values.contains_key(name) && !wanted.contains(&name) {
                wanted.push(name);
            }
            if self.padded.contains_key(name) || self.bytes.contains(name) {
                return Err("padding or quantised numbers that tract would have to read".into());
            }
        }
        let mut written = Vec::new();
        for name in wanted {
            if matches!(self.values.get(name), Some(Value::Input(_))) && !self.outputs.contains(name) {
                if !self.source.input.iter().any(|input| input.name == name) {
                    return Err(format!("tract would have to read {name:?}, a part of an input"));
                }
                continue;
            }
            let made = self.made(name)?;
            made.emit(&mut self.graph)?;
            written.push((name.to_owned(), made.shape()));
        }
        let kinds = ["Conv", "ConvInteger"];
        let convolutions = self.source.node.iter().enumerate();
        let convolutions = convolutions.filter(|(_, node)| kinds.contains(&node.op_type.as_str()));
        let all = convolutions.clone().count();
        let covered = convolutions.filter(|(at, _)| !left.contains(at)).count();
        Ok(Lowered { graph: self.graph, written, left, why, convolutions: (covered, all) })
    }
}

pub(super) fn not_made() -> NotCovered {
    "what it reads is left to tract".into()
}
