//! Every set of instructions of this processor against a reference that is written for reading: no blocks, no tiles,
//! sums in f64.

use proptest::prelude::*;

use super::Plan;
use crate::graph::{Channel, Op};
use crate::{Activation, Both, End, Graph, Isa, Map, Placed, View, Window};

mod measured;
mod whole;

/// Channels of every layer, each a plane.
struct Reference<'a> {
    graph: &'a Graph,
    inputs: &'a [Vec<f32>],
    layers: Vec<Vec<Vec<f64>>>,
}

fn reference(graph: &Graph, inputs: &[Vec<f32>]) -> Vec<Vec<f64>> {
    let mut reference = Reference { graph, inputs, layers: Vec::new() };
    for at in 0..graph.layers.len() {
        let planes = reference.layer(at);
        reference.layers.push(planes);
    }
    let one = |output: &crate::graph::OutputLayer| {
        let mut values = vec![f64::NAN; output.length];
        for piece in &output.pieces {
            for (c, channel) in piece.map.list().iter().enumerate() {
                for y in 0..piece.map.height() {
                    for x in 0..piece.map.width() {
                        let at = piece.offset + c * piece.channel + y * piece.row + x * piece.column;
                        values[at] = reference.plane(channel)[y * piece.map.width() + x];
                    }
                }
            }
        }
        values
    };
    graph.outputs.iter().map(one).collect()
}

impl Reference<'_> {
    fn plane(&self, channel: &Channel) -> &[f64] {
        &self.layers[channel.layer as usize][channel.index as usize]
    }

    /// DynamicQuantizeLinear's scale and zero point, as ONNX defines them.
    fn grid(&self, map: &Map) -> [f32; 2] {
        let all = || map.list().iter().flat_map(|channel| self.plane(channel)).map(|value| *value as f32);
        let (least, most) = (all().fold(0.0, f32::min), all().fold(0.0, f32::max));
        let step = if least == most { 1.0 } else { (most - least) / 255.0 };
        [step, (0.0 - least / step).clamp(0.0, 255.0).round_ties_even()]
    }

    fn layer(&self, at: usize) -> Vec<Vec<f64>> {
        let layer = &self.graph.layers[at];
        let (height, width) = (layer.height, layer.width);
        let plane = |f: &dyn Fn(usize, usize) -> f64| -> Vec<f64> {
            (0..height * width).map(|at| f(at / width, at % width)).collect()
        };
        let each = |f: &dyn Fn(usize, usize, usize) -> f64| -> Vec<Vec<f64>> {
            (0..layer.channels).map(|c| plane(&|y, x| f(c, y, x))).collect()
        };
        let value = |map: &Map, c: usize, y: usize, x: usize| self.plane(&map.list()[c])[y * map.width() + x];
        match &layer.op {
            Op::Image { input, views } => each(&|c, y, x| {
                let view = views[c];
                f64::from(self.inputs[*input][view.offset + y * view.row + x * view.column])
            }),
            Op::Conv { from, window, groups, weights, bias, end } => each(&|o, y, x| {
                let inputs = from.channels() / groups;
                let group = o / (layer.channels / groups);
                let mut sum = f64::from(bias[o]);
                for i in 0..inputs {
                    for_taps(window, from, y, x, |ky, kx, iy, ix| {
                        let weight = weights[((o * inputs + i) * window.size[0] + ky) * window.size[1] + kx];
                        sum += f64::from(weight) * value(from, group * inputs + i, iy, ix);
                    });
                }
                let mut sum = act(end.first, sum);
                if let Some(residual) = &end.residual {
                    sum = act(end.second, sum + value(residual, o, y, x));
                }
                sum
            }),
            Op::MaxPool { from, window } => each(&|c, y, x| {
                let mut greatest = f64::NEG_INFINITY;
                for_taps(window, from, y, x, |_, _, iy, ix| greatest = greatest.max(value(from, c, iy, ix)));
                greatest
            }),
            Op::AveragePool { from, window, padding_counts } => each(&|c, y, x| {
                let (mut sum, mut count) = (0.0, 0);
                for_taps(window, from, y, x, |_, _, iy, ix| {
                    sum += value(from, c, iy, ix);
                    count += 1;
                });
                if *padding_counts {
                    count = window.size[0] * window.size[1];
                }
                sum / count.max(1) as f64
            }),
            Op::Resize { from, rows, columns } => each(&|c, y, x| {
                let (row, column) = (rows[y], columns[x]);
                let mix = |a: f64, b: f64, share: f32| a + (b - a) * f64::from(share);
                let above = mix(
                    value(from, c, row.low, column.low),
                    value(from, c, row.low, column.high),
                    column.share,
                );
                let below = mix(
                    value(from, c, row.high, column.low),
                    value(from, c, row.high, column.high),
                    column.share,
                );
                mix(above, below, row.share)
            }),
            Op::Activate { from, activation } => each(&|c, y, x| act(*activation, value(from, c, y, x))),
            Op::Pair { both, a, b, activation } => each(&|c, y, x| {
                let (a, b) = (value(a, c, y, x), value(b, c, y, x));
                act(*activation, if *both == Both::Add { a + b } else { a * b })
            }),
            Op::Scale { from, factors, offsets, activation } => each(&|c, y, x| {
                act(*activation, value(from, c, y, x) * f64::from(factors[c]) + f64::from(offsets[c]))
            }),
            Op::Softmax { from } => each(&|c, y, x| {
                let all: Vec<f64> = (0..from.channels()).map(|c| value(from, c, y, x)).collect();
                let greatest = all.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let sum: f64 = all.iter().map(|value| (value - greatest).exp()).sum();
                (all[c] - greatest).exp() / sum
            }),
            Op::Quantize { from, grid } => {
                each(&|c, y, x| kept(value(from, c, y, x) as f32 / grid.step, grid.low, grid.high))
            }
            Op::Values { from, values } => each(&|c, y, x| f64::from(values.at(value(from, c, y, x) as i16))),
            Op::Translate { from, table } => {
                each(&|c, y, x| f64::from(table.at(value(from, c, y, x) as i16)))
            }
            Op::WholeSum { a, b, steps, grid } => each(&|c, y, x| {
                let [a, b] =
                    [(a, steps[0]), (b, steps[1])].map(|(map, step)| value(map, c, y, x) as f32 * step);
                kept((a + b) / grid.step, grid.low, grid.high)
            }),
            Op::WholeConv { from, window, groups, weights, bias, end } => each(&|o, y, x| {
                let inputs = from.channels() / groups;
                let group = o / (layer.channels / groups);
                let mut sum = i64::from(bias[o]);
                for i in 0..inputs {
                    for_taps(window, from, y, x, |ky, kx, iy, ix| {
                        let weight = weights[((o * inputs + i) * window.size[0] + ky) * window.size[1] + kx];
                        sum += i64::from(weight) * value(from, group * inputs + i, iy, ix) as i64;
                    });
                }
                kept(i32::try_from(sum).unwrap() as f32 * end.factors[o], end.low, end.high)
            }),
            Op::Measure { from } => {
                let [step, zero] = self.grid(from);
                each(&|c, y, x| {
                    let byte = (value(from, c, y, x) as f32 / step).round_ties_even() + zero;
                    f64::from(byte.clamp(0.0, 255.0) - zero)
                })
            }
            Op::MeasuredConv { from, window, groups, weights, factors, bias, end } => {
                let Op::Measure { from: numbers } = &self.graph.layers[from.list()[0].layer as usize].op
                else {
                    panic!("of a map that was not measured")
                };
                let [step, _] = self.grid(numbers);
                each(&|o, y, x| {
                    let inputs = from.channels() / groups;
                    let group = o / (layer.channels / groups);
                    let mut sum = 0i32;
                    for i in 0..inputs {
                        for_taps(window, from, y, x, |ky, kx, iy, ix| {
                            let at = ((o * inputs + i) * window.size[0] + ky) * window.size[1] + kx;
                            sum += i32::from(weights[at]) * value(from, group * inputs + i, iy, ix) as i32;
                        });
                    }
                    let number = f64::from(sum as f32 * (step * factors[o]) + bias[o]);
                    let number = act(end.first, number);
                    let residual = end.residual.as_ref().map(|map| value(map, o, y, x));
                    residual.map_or(number, |other| act(end.second, f64::from(number as f32 + other as f32)))
                })
            }
        }
    }
}

/// The nearest whole number, of two the even one, within the ends.
fn kept(number: f32, low: i16, high: i16) -> f64 {
    f64::from(number.round_ties_even().clamp(f32::from(low), f32::from(high)))
}

fn for_taps(window: &Window, from: &Map, y: usize, x: usize, mut f: impl FnMut(usize, usize, usize, usize)) {
    for ky in 0..window.size[0] {
        for kx in 0..window.size[1] {
            let at = |position: usize, k: usize, axis: usize| {
                (position * window.stride[axis] + k * window.dilation[axis]).checked_sub(window.pads[axis])
            };
            let (Some(iy), Some(ix)) = (at(y, ky, 0), at(x, kx, 1)) else { continue };
            if iy < from.height() && ix < from.width() {
                f(ky, kx, iy, ix);
            }
        }
    }
}

fn act(activation: Activation, x: f64) -> f64 {
    let gate = |slope: f32, offset: f32| (f64::from(slope) * x + f64::from(offset)).clamp(0.0, 1.0);
    match activation {
        Activation::None => x,
        Activation::Clip { low, high } => x.max(f64::from(low)).min(f64::from(high)),
        Activation::LeakyRelu(slope) => {
            if x < 0.0 {
                x * f64::from(slope)
            } else {
                x
            }
        }
        Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Activation::Silu => x / (1.0 + (-x).exp()),
        Activation::HardSwish { slope, offset } => x * gate(slope, offset),
        Activation::HardSigmoid { slope, offset } => gate(slope, offset),
    }
}

/// Numbers that look random and are the same on every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next()).unwrap() % limit
    }

    fn values(&mut self, count: usize, size: f32) -> Vec<f32> {
        (0..count).map(|_| (self.next() % 20_001) as f32 / 10_000.0 - 1.0).map(|value| value * size).collect()
    }

    fn activation(&mut self) -> Activation {
        match self.below(9) {
            0 => Activation::RELU,
            1 => Activation::Clip { low: 0.0, high: 6.0 },
            2 => Activation::LeakyRelu(0.1),
            3 => Activation::Sigmoid,
            4 => Activation::Silu,
            5 => Activation::HardSwish { slope: 1.0 / 6.0, offset: 0.5 },
            6 => Activation::HardSigmoid { slope: 0.2, offset: 0.5 },
            _ => Activation::None,
        }
    }

    fn window(&mut self, height: usize, width: usize) -> Option<Window> {
        let mut one = |length: usize| {
            let (size, stride, dilation) =
                ([1, 2, 3, 3, 5, 7][self.below(6)], 1 + self.below(3), 1 + self.below(2));
            let spread = (size - 1) * dilation + 1;
            let pads = (self.below(spread), self.below(spread));
            (length + pads.0 + pads.1 >= spread).then_some((size, stride, dilation, pads))
        };
        let (rows, columns) = (one(height)?, one(width)?);
        Some(Window {
            size: [rows.0, columns.0],
            stride: [rows.1, columns.1],
            dilation: [rows.2, columns.2],
            pads: [rows.3.0, columns.3.0, rows.3.1, columns.3.1],
        })
    }

    /// Some of the channels, in any order, perhaps one twice.
    fn pick(&mut self, map: &Map) -> Map {
        let count = 1 + self.below(map.channels());
        match self.below(4) {
            0 => map.pick((0..count).map(|_| self.below(map.channels())).collect::<Vec<_>>()).unwrap(),
            1 => map.pick(map.channels() - count..map.channels()).unwrap(),
            _ => map.clone(),
        }
    }
}

fn emit(graph: &mut Graph, map: &Map) {
    let area = map.height() * map.width();
    let piece = Placed { map: map.clone(), offset: 0, channel: area, row: map.width(), column: 1 };
    graph.output(map.channels() * area, vec![piece]).unwrap();
}

/// A graph of every kind of layer, with channels split, joined and shuffled in between.
fn any_graph(seed: u64) -> (Graph, Vec<Vec<f32>>) {
    let mut numbers = Numbers(seed);
    let mut graph = Graph::new();
    let (channels, height, width) = (1 + numbers.below(6), 1 + numbers.below(20), 1 + numbers.below(30));
    let length = channels * height * width;
    let input = graph.input(length).unwrap();
    let views = if numbers.below(2) == 0 {
        (0..channels).map(|c| View { offset: c * height * width, row: width, column: 1 }).collect()
    } else {
        (0..channels).map(|c| View { offset: c, row: width * channels, column: channels }).collect()
    };
    let mut maps: Vec<Map> = vec![graph.image("image", input, views, height, width).unwrap()];
    for layer in 0..12 {
        let name = format!("layer {layer}");
        let mut from = maps[numbers.below(maps.len())].clone();
        if numbers.below(2) == 0 {
            let alike: Vec<Map> = maps
                .iter()
                .filter(|map| (map.height(), map.width()) == (from.height(), from.width()))
                .cloned()
                .collect();
            from = Map::join(&[from, alike[numbers.below(alike.len())].clone()]).unwrap();
        }
        let from = numbers.pick(&from);
        if from.channels() > 80 {
            continue;
        }
        maps.push(any_layer(&mut graph, &mut numbers, &name, &from));
    }
    for map in &maps[maps.len().saturating_sub(4)..] {
        let map = numbers.pick(map);
        emit(&mut graph, &map);
    }
    (graph, vec![numbers.values(length, 2.0)])
}

fn any_layer(graph: &mut Graph, numbers: &mut Numbers, name: &str, from: &Map) -> Map {
    let count = from.channels();
    let kind = numbers.below(12);
    let window = numbers.window(from.height(), from.width());
    let activation = numbers.activation();
    match (kind, window) {
        (0..=2, Some(window)) => {
            let outputs = 1 + numbers.below(40);
            let taps = count * window.size[0] * window.size[1];
            let weights = numbers.values(outputs * taps, 1.0 / (taps as f32).sqrt());
            let bias = numbers.values(outputs, 0.5);
            graph.conv(name, from, window, 1, weights, bias, activation).unwrap()
        }
        (3..=5, _) => {
            let outputs = 1 + numbers.below(60);
            let weights = numbers.values(outputs * count, 1.0 / (count as f32).sqrt());
            let bias = numbers.values(outputs, 0.5);
            let residual = (outputs == count || numbers.below(2) == 0)
                .then(|| from.pick((0..outputs).map(|_| numbers.below(count))).unwrap());
            let second = if residual.is_some() { numbers.activation() } else { Activation::None };
            let end = End { first: activation, residual, second };
            graph.conv(name, from, Window::square(1, 1, 0), 1, weights, bias, end).unwrap()
        }
        (6 | 7, Some(window)) => {
            let per_group = if numbers.below(3) == 0 { 2 } else { 1 };
            let taps = window.size[0] * window.size[1];
            let weights = numbers.values(count * per_group * taps, 0.5);
            let bias = numbers.values(count * per_group, 0.5);
            graph.conv(name, from, window, count, weights, bias, activation).unwrap()
        }
        (8 | 9, Some(window)) if window.dilation != [1, 1] => from.clone(),
        (8, Some(window)) => graph.max_pool(name, from, window).unwrap(),
        (9, Some(window)) => graph.average_pool(name, from, window, numbers.below(2) == 0).unwrap(),
        (10, _) => {
            let coordinates = |numbers: &mut Numbers, length: usize| {
                let count = 1 + numbers.below(24);
                (0..count).map(|at| at as f32 * length as f32 / count as f32 - 0.3).collect::<Vec<_>>()
            };
            let (rows, columns) = (coordinates(numbers, from.height()), coordinates(numbers, from.width()));
            graph.resize(name, from, &rows, &columns, numbers.below(2) == 0).unwrap()
        }
        (11, Some(_)) => graph.softmax(name, from).unwrap(),
        (_, Some(_)) => {
            let other = from.pick((0..count).map(|_| numbers.below(count))).unwrap();
            let both = if numbers.below(2) == 0 { Both::Add } else { Both::Mul };
            graph.pair(name, both, from, &other, activation).unwrap()
        }
        (_, None) => {
            let factors = numbers.values(count, 1.0);
            let offsets = numbers.values(count, 1.0);
            let scaled = graph.scale(name, from, factors, offsets, Activation::None).unwrap();
            graph.activate(name, &scaled, activation).unwrap()
        }
    }
}

/// Largest difference of a run on `isa`, relative to the size of the numbers.
fn difference(graph: &Graph, inputs: &[Vec<f32>], expected: &[Vec<f64>], isa: Isa) -> f64 {
    let plan = Plan::compile(graph, isa).unwrap();
    let mut memory = plan.memory();
    // What an earlier run left must not matter.
    memory.0.poison();
    let mut outputs: Vec<Vec<f32>> = plan.outputs().iter().map(|length| vec![f32::NAN; *length]).collect();
    let inputs: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
    {
        let mut outputs: Vec<&mut [f32]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
        plan.run(&mut memory, &inputs, &mut outputs).unwrap();
    }
    let mut worst: f64 = 0.0;
    for (found, expected) in outputs.iter().zip(expected) {
        for (found, expected) in found.iter().zip(expected) {
            let off = (f64::from(*found) - expected).abs() / (1.0 + expected.abs());
            worst = if off.is_nan() { f64::INFINITY } else { worst.max(off) };
        }
    }
    worst
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if std::env::var_os("STOPLINE_FULL").is_some() { 3000 } else { 150 }, ..ProptestConfig::default() })]

    #[test]
    fn every_graph_computes_what_the_reference_does(seed in any::<u64>()) {
        let (graph, inputs) = any_graph(seed);
        let expected = reference(&graph, &inputs);
        for isa in Isa::available() {
            let worst = difference(&graph, &inputs, &expected, isa);
            prop_assert!(worst < 2e-5, "{} differs by {worst:e}", isa.name());
        }
    }
}

#[test]
fn a_number_that_is_none_reaches_the_output() {
    let mut graph = Graph::new();
    let input = graph.input(9).unwrap();
    let view = View { offset: 0, row: 3, column: 1 };
    let image = graph.image("image", input, vec![view], 3, 3).unwrap();
    let activations = [
        Activation::RELU,
        Activation::Clip { low: 0.0, high: 6.0 },
        Activation::LeakyRelu(0.1),
        Activation::Sigmoid,
        Activation::Silu,
        Activation::HardSwish { slope: 0.2, offset: 0.5 },
    ];
    for activation in activations {
        let map = graph.activate("activation", &image, activation).unwrap();
        emit(&mut graph, &map);
    }
    for isa in Isa::available() {
        let plan = Plan::compile(&graph, isa).unwrap();
        let mut outputs = vec![vec![0.0; 9]; activations.len()];
        let mut places: Vec<&mut [f32]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
        plan.run(&mut plan.memory(), &[&[f32::NAN; 9]], &mut places).unwrap();
        assert!(outputs.iter().flatten().all(|value| value.is_nan()), "{}: {outputs:?}", isa.name());
    }
}

#[test]
fn a_run_with_other_lengths_is_refused() {
    let mut graph = Graph::new();
    let input = graph.input(4).unwrap();
    let image = graph.image("image", input, vec![View { offset: 0, row: 2, column: 1 }], 2, 2).unwrap();
    emit(&mut graph, &image);
    let plan = Plan::compile(&graph, Isa::detect()).unwrap();
    let mut output = [0.0; 4];
    let error = plan.run(&mut plan.memory(), &[&[1.0; 3]], &mut [&mut output]).unwrap_err();
    assert_eq!(error.to_string(), "inputs of a run: expected [4] numbers, found [3]");
    let error = plan.run(&mut plan.memory(), &[&[1.0; 4]], &mut [&mut output[..3]]).unwrap_err();
    assert_eq!(error.to_string(), "outputs of a run: expected [4] numbers, found [3]");
    plan.run(&mut plan.memory(), &[&[1.0, 2.0, 3.0, 4.0]], &mut [&mut output]).unwrap();
    assert_eq!(output, [1.0, 2.0, 3.0, 4.0]);
}

#[test]
fn layers_that_do_not_fit_are_refused() {
    let mut graph = Graph::new();
    let input = graph.input(12).unwrap();
    let view = View { offset: 0, row: 4, column: 1 };
    assert!(graph.image("past the end", input, vec![View { offset: 1, ..view }], 3, 4).is_err());
    assert!(graph.image("steps of nothing", input, vec![View { row: 0, ..view }], 3, 4).is_err());
    let map = graph.image("image", input, vec![view], 3, 4).unwrap();
    let window = Window::square(3, 1, 1);
    assert!(graph.conv("weights", &map, window, 1, vec![0.0; 8], vec![0.0], Activation::None).is_err());
    assert!(graph.conv("groups", &map, window, 2, vec![0.0; 9], vec![0.0], Activation::None).is_err());
    let wide = Window::square(6, 1, 0);
    assert!(graph.conv("too wide", &map, wide, 1, vec![0.0; 36], vec![0.0], Activation::None).is_err());
    assert!(graph.max_pool("padding only", &map, Window::square(3, 1, 3)).is_err());
    assert!(graph.resize("nowhere", &map, &[f32::NAN], &[0.0], true).is_err());
    assert!(map.pick([1]).is_err() && map.pick([]).is_err() && Map::join(&[]).is_err());
}

/// Holds a graph of one layer over one input to the reference.
fn holds(numbers: &mut Numbers, graph: &Graph, length: usize, what: &str) {
    let inputs = vec![numbers.values(length, 2.0)];
    let expected = reference(graph, &inputs);
    for isa in Isa::available() {
        let worst = difference(graph, &inputs, &expected, isa);
        assert!(worst < 2e-5, "{what}: {} differs by {worst:e}", isa.name());
    }
}

/// `channels` planes, their numbers `column` apart, as an image of a graph of its own.
fn picture(channels: usize, height: usize, width: usize, column: usize) -> (Graph, Map, usize) {
    let mut graph = Graph::new();
    let length = channels * height * width * column;
    let input = graph.input(length).unwrap();
    let view = |c: usize| View { offset: c * height * width * column, row: width * column, column };
    let map = graph.image("image", input, (0..channels).map(view).collect(), height, width).unwrap();
    (graph, map, length)
}

#[test]
fn a_convolution_reads_the_picture_where_it_lies() {
    let mut numbers = Numbers(7);
    for (column, stride) in [(1, 1), (1, 2), (2, 1), (3, 2)] {
        for (width, size, outputs) in [(25, 3, 24), (31, 3, 5), (40, 5, 17), (24, 1, 8)] {
            let channels = 1 + numbers.below(12);
            let (mut graph, map, length) = picture(channels, 9, width, column);
            let window = Window { pads: [1, 2, 0, 1], ..Window::square(size.max(3), stride, 0) };
            let taps = channels * window.size[0] * window.size[1];
            let weights = numbers.values(outputs * taps, 1.0 / (taps as f32).sqrt());
            let bias = numbers.values(outputs, 0.5);
            let result = graph.conv("first", &map, window, 1, weights, bias, Activation::Silu).unwrap();
            emit(&mut graph, &result);
            let plan = Plan::compile(&graph, Isa::detect()).unwrap();
            let kinds: Vec<_> = plan.steps().map(|step| step.kind).collect();
            let expected = if result.width() >= 12 { "first conv" } else { "pack" };
            assert_eq!(kinds[0], expected, "{kinds:?}");
            holds(&mut numbers, &graph, length, &format!("{column} {stride} {width} {size} {outputs}"));
        }
    }
}

#[test]
fn wide_windows_of_each_channel_go_by_bands() {
    let mut numbers = Numbers(8);
    for size in [3, 5, 7] {
        for width in (1..16).chain([30, 60, 130]) {
            let (channels, height) = (1 + numbers.below(18), 1 + numbers.below(24));
            let (mut graph, map, length) = picture(channels, height, width, 1);
            let pads = if width % 2 == 0 { [size / 2; 4] } else { [size - 1, 1, size - 2, size - 1] };
            let window = Window { pads, ..Window::square(size, 1, 0) };
            let weights = numbers.values(channels * size * size, 0.3);
            let bias = numbers.values(channels, 0.5);
            let Ok(result) = graph.conv("depthwise", &map, window, channels, weights, bias, Activation::RELU)
            else {
                continue;
            };
            emit(&mut graph, &result);
            holds(&mut numbers, &graph, length, &format!("{size} over {height}×{width}"));
        }
    }
}

#[test]
fn many_input_channels_are_summed_in_passes() {
    let mut numbers = Numbers(9);
    for (channels, outputs, width, stride) in
        [(70, 20, 13, 1), (33, 9, 7, 2), (96, 24, 5, 1), (300, 16, 3, 1), (41, 8, 26, 2)]
    {
        let (mut graph, map, length) = picture(channels, 6, width, 1);
        // A layer between, so that the convolution does not read the picture itself.
        let map = graph.activate("between", &map, Activation::RELU).unwrap();
        let taps = channels * 9;
        let weights = numbers.values(outputs * taps, 1.0 / (taps as f32).sqrt());
        let bias = numbers.values(outputs, 0.5);
        let window = Window::square(3, stride, 1);
        let result = graph.conv("dense", &map, window, 1, weights, bias, Activation::Silu).unwrap();
        emit(&mut graph, &result);
        holds(&mut numbers, &graph, length, &format!("{channels} to {outputs}, {width} wide"));
    }
}
