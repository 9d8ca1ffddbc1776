//! What follows a convolution and goes into its layer: batch normalization into the weights, an activation, the sum with
//! another map, an activation of that.

use stopline_kernels::{Activation, End, Map};

use super::constants::{Constants, Node, NotCovered};
use super::lower::Lowering;

/// A convolution with what follows it.
pub(super) struct Fused<'a> {
    pub weights: Vec<f32>,
    pub bias: Vec<f32>,
    pub end: End,
    /// The tensor that the layer makes.
    pub output: &'a str,
    /// The nodes that went into it.
    pub nodes: Vec<usize>,
}

/// What follows a convolution and is done to its sums.
pub(super) struct Ended<'a> {
    pub end: End,
    /// The tensor that the layer makes.
    pub output: &'a str,
}

impl<'a> Lowering<'a> {
    /// What follows the convolution at `at`.
    pub(super) fn fused(
        &mut self,
        at: usize,
        mut weights: Vec<f32>,
        mut bias: Vec<f32>,
    ) -> Result<Fused<'a>, NotCovered> {
        let mut output = self.source.node[at].output.first().ok_or("it has no output")?.as_str();
        let mut nodes = Vec::new();
        if let Some((next, node)) = self.only_reader(output)
            && node.0.op_type == "BatchNormalization"
            && node.0.output.len() == 1
            && let Ok((factors, offsets)) = normalization(node, &self.constants)
            && factors.len() == bias.len()
        {
            let each = weights.len() / bias.len();
            for ((weights, factor), (bias, offset)) in
                weights.chunks_mut(each).zip(&factors).zip(bias.iter_mut().zip(&offsets))
            {
                weights.iter_mut().for_each(|weight| *weight *= factor);
                *bias = *bias * factor + offset;
            }
            nodes.push(next);
            output = made_by(node)?;
        }
        let Ended { end, output } = self.ended(output, &mut nodes)?;
        Ok(Fused { weights, bias, end, output, nodes })
    }

    /// Activations and the sum with another map that follow `name`; their nodes are added to `nodes`.
    pub(super) fn ended(&mut self, name: &'a str, nodes: &mut Vec<usize>) -> Result<Ended<'a>, NotCovered> {
        let (first, output) = self.activations(name, nodes)?;
        let Some((next, node, residual)) = self.sum(output) else {
            return Ok(Ended { end: End::from(first), output });
        };
        nodes.push(next);
        let (second, output) = self.activations(made_by(node)?, nodes)?;
        Ok(Ended { end: End { first, residual: Some(residual), second }, output })
    }

    /// The one node that reads `name`, where nothing else does.
    pub(super) fn only_reader(&self, name: &str) -> Option<(usize, Node<'a>)> {
        let [at] = self.uses.get(name)?[..] else { return None };
        (!self.outputs.contains(name)).then(|| (at, Node(&self.source.node[at])))
    }

    /// The activation that follows `name`, several limits as one; and what it makes.
    fn activations(
        &self,
        mut name: &'a str,
        nodes: &mut Vec<usize>,
    ) -> Result<(Activation, &'a str), NotCovered> {
        let mut activation = Activation::None;
        loop {
            let next = self.only_reader(name);
            let next =
                next.and_then(|(at, node)| Some((at, node, self::activation(node, &self.constants).ok()??)));
            match (activation, next) {
                (Activation::None, Some((at, node, next))) => {
                    activation = next;
                    nodes.push(at);
                    name = made_by(node)?;
                }
                (
                    Activation::Clip { low, high },
                    Some((at, node, Activation::Clip { low: least, high: most })),
                ) => {
                    activation =
                        Activation::Clip { low: low.max(least).min(most), high: high.min(most).max(least) };
                    nodes.push(at);
                    name = made_by(node)?;
                }
                (Activation::None, None) => {
                    let Some((gate, product)) = self.gated(name) else { return Ok((activation, name)) };
                    nodes.extend([gate, product]);
                    return Ok((Activation::Silu, made_by(Node(&self.source.node[product]))?));
                }
                _ => return Ok((activation, name)),
            }
        }
    }

    /// The nodes of `name · sigmoid(name)`, where nothing else reads either.
    fn gated(&self, name: &str) -> Option<(usize, usize)> {
        let [a, b] = self.uses.get(name)?[..] else { return None };
        let operator = |at: usize| self.source.node[at].op_type.as_str();
        let (gate, product) = match (operator(a), operator(b)) {
            ("Sigmoid", "Mul") => (a, b),
            ("Mul", "Sigmoid") => (b, a),
            _ => return None,
        };
        let sigmoid = self.source.node[gate].output.first()?;
        let (reader, node) = self.only_reader(sigmoid)?;
        let own = node.inputs().all(|input| input == name || input == sigmoid.as_str());
        (reader == product && own && !self.outputs.contains(name)).then_some((gate, product))
    }

    /// The sum of `name` with another map that is there already.
    fn sum(&mut self, name: &'a str) -> Option<(usize, Node<'a>, Map)> {
        let (at, node) = self.only_reader(name)?;
        if node.0.op_type != "Add" || node.0.input.len() != 2 {
            return None;
        }
        let other = node.inputs().find(|input| *input != name)?;
        if !self.known(other) {
            return None;
        }
        Some((at, node, self.map(other).ok()?))
    }
}

fn made_by(node: Node<'_>) -> Result<&str, NotCovered> {
    node.0.output.first().map(String::as_str).ok_or_else(|| "a node without an output".into())
}

/// The activation that `node` is; `None` where it is another operator.
pub(super) fn activation(
    node: Node<'_>,
    constants: &Constants<'_>,
) -> Result<Option<Activation>, NotCovered> {
    let limit = |at: usize, attribute: &str, default: f32| match node.input(at) {
        Some(name) => match constants.floats(name)?.1[..] {
            [limit] => Ok(limit),
            _ => Err(format!("a limit {name:?} that is not one number")),
        },
        None => Ok(node.float(attribute, default)),
    };
    Ok(Some(match node.0.op_type.as_str() {
        "Relu" => Activation::RELU,
        "LeakyRelu" => Activation::LeakyRelu(node.float("alpha", 0.01)),
        "Sigmoid" => Activation::Sigmoid,
        "HardSwish" => Activation::HardSwish { slope: 1.0 / 6.0, offset: 0.5 },
        "HardSigmoid" => {
            Activation::HardSigmoid { slope: node.float("alpha", 0.2), offset: node.float("beta", 0.5) }
        }
        "Clip" => {
            let (low, high) = (limit(1, "min", f32::NEG_INFINITY)?, limit(2, "max", f32::INFINITY)?);
            if low > high {
                return Err(format!("limits {low} and {high}"));
            }
            Activation::Clip { low, high }
        }
        _ => return Ok(None),
    }))
}

/// Factor and offset of each channel.
pub(super) fn normalization(
    node: Node<'_>,
    constants: &Constants<'_>,
) -> Result<(Vec<f32>, Vec<f32>), NotCovered> {
    if node.int("training_mode", 0) != 0 {
        return Err("training_mode".into());
    }
    let of = |at: usize| constants.floats(node.needs(at)?).map(|(_, values)| values);
    let (scale, shift, mean, variance) = (of(1)?, of(2)?, of(3)?, of(4)?);
    let channels = scale.len();
    if [shift.len(), mean.len(), variance.len()] != [channels; 3] {
        return Err("scale, shift, mean and variance that differ in number".into());
    }
    let epsilon = node.float("epsilon", 1e-5);
    let factors: Vec<f32> =
        scale.iter().zip(&variance).map(|(scale, variance)| scale / (variance + epsilon).sqrt()).collect();
    let offsets = factors.iter().zip(&mean).zip(&shift).map(|((factor, mean), shift)| shift - mean * factor);
    Ok((factors.clone(), offsets.collect()))
}
