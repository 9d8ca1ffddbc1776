//! Whole numbers: every result is the reference's, to the last bit.

use super::*;
use crate::{Grid, Table};

impl Numbers {
    fn grid(&mut self) -> Grid {
        // Eight bits with and without sign, the zero point anywhere.
        let zero = i16::try_from(self.below(256)).unwrap();
        let step = [1.0, 0.25, 0.013, 3.7e-3][self.below(4)];
        Grid { step, low: -zero, high: 255 - zero }
    }

    pub(super) fn whole(&mut self, most: usize) -> i16 {
        i16::try_from(self.below(2 * most + 1)).unwrap() - i16::try_from(most).unwrap()
    }

    fn table(&mut self) -> Table<i16> {
        let (factor, low) = (self.values(1, 1.5)[0], self.whole(255).min(0));
        Table::of(|number| (f32::from(number) * factor) as i16 % 256 + low / 256)
    }
}

/// A layer over whole numbers.
fn any_whole_layer(graph: &mut Graph, numbers: &mut Numbers, name: &str, from: &Map) -> Map {
    let count = from.channels();
    let most = if numbers.below(3) == 0 { 255 } else { 127 };
    let window = numbers.window(from.height(), from.width());
    match (numbers.below(9), window) {
        (kind @ 0..=5, Some(window)) => {
            let (window, groups, outputs) = match kind {
                0 | 1 => (Window::square(1, 1, 0), 1, 1 + numbers.below(60)),
                2 | 3 => (window, 1, 1 + numbers.below(40)),
                _ => (window, count, count),
            };
            let taps = count / groups * window.size[0] * window.size[1];
            let weights = (0..outputs * taps).map(|_| numbers.whole(most)).collect();
            let bias = (0..outputs).map(|_| i32::from(numbers.whole(10_000))).collect();
            let size = 0.05 / (taps as f32).sqrt();
            let factors = numbers.values(outputs, size);
            let ends =
                [-i16::try_from(numbers.below(256)).unwrap(), i16::try_from(numbers.below(256)).unwrap()];
            let map = graph.whole_conv(name, from, window, groups, weights, bias, factors, ends).unwrap();
            match numbers.below(2) {
                0 => graph.translate(name, &map, numbers.table()).unwrap(),
                _ => map,
            }
        }
        (6, _) => {
            let other = from.pick((0..count).map(|_| numbers.below(count))).unwrap();
            let (steps, grid) = ([0.02, 0.3], numbers.grid());
            graph.whole_sum(name, from, &other, steps, grid).unwrap()
        }
        (7, _) => {
            let near = |length: usize, count: usize| -> Vec<f32> {
                (0..count).map(|at| (at * length / count) as f32).collect()
            };
            let (rows, columns) = (1 + numbers.below(20), 1 + numbers.below(20));
            let (rows, columns) = (near(from.height(), rows), near(from.width(), columns));
            graph.resize(name, from, &rows, &columns, false).unwrap()
        }
        _ => graph.translate(name, from, numbers.table()).unwrap(),
    }
}

fn any_whole_graph(seed: u64) -> (Graph, Vec<Vec<f32>>) {
    let mut numbers = Numbers(seed);
    let (channels, height, width) = (1 + numbers.below(40), 1 + numbers.below(14), 1 + numbers.below(24));
    let (mut graph, image, length) = picture(channels, height, width, 1);
    let grid = numbers.grid();
    let mut maps = vec![graph.quantize("quantize", &image, grid).unwrap()];
    for layer in 0..8 {
        let mut from = maps[numbers.below(maps.len())].clone();
        if numbers.below(2) == 0 {
            let size = |map: &&Map| (map.height(), map.width()) == (from.height(), from.width());
            let alike: Vec<Map> = maps.iter().filter(size).cloned().collect();
            from = Map::join(&[from, alike[numbers.below(alike.len())].clone()]).unwrap();
        }
        let from = numbers.pick(&from);
        if from.channels() > 120 {
            continue;
        }
        maps.push(any_whole_layer(&mut graph, &mut numbers, &format!("layer {layer}"), &from));
    }
    for map in &maps[maps.len().saturating_sub(3)..] {
        let values = graph.values("values", &numbers.pick(map), Table::of(f32::from)).unwrap();
        emit(&mut graph, &values);
    }
    (graph, vec![numbers.values(length, 300.0)])
}

/// Holds a graph to the reference: every number is the same.
pub(super) fn exact(graph: &Graph, inputs: &[Vec<f32>], what: &str) {
    let expected = reference(graph, inputs);
    for isa in Isa::available() {
        let worst = difference(graph, inputs, &expected, isa);
        assert!(worst == 0.0, "{what}: {} differs by {worst:e}", isa.name());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if std::env::var_os("STOPLINE_FULL").is_some() { 3000 } else { 150 }, ..ProptestConfig::default() })]

    #[test]
    fn every_graph_of_whole_numbers_is_exact(seed in any::<u64>()) {
        let (graph, inputs) = any_whole_graph(seed);
        exact(&graph, &inputs, &seed.to_string());
    }
}

/// Where instructions for bytes saturate: all numbers and weights at their ends.
#[test]
fn the_largest_products_are_summed_without_loss() {
    for (low, weight) in [(0, 255), (0, -255), (-255, 255), (-255, -255)] {
        let (mut graph, image, length) = picture(64, 6, 17, 1);
        let grid = Grid { step: 1.0, low, high: 255 + low };
        let map = graph.quantize("quantize", &image, grid).unwrap();
        for (groups, taps) in [(1, 64 * 9), (64, 9)] {
            let (weights, bias) = (vec![weight; 64 * taps], vec![12_345; 64]);
            // So small that the sums lie within the ends, with all their figures.
            let factors = vec![250.0 / (taps as f32 * 255.0 * 255.0 + 12_345.0); 64];
            let window = Window::square(3, 1, 1);
            let sums =
                graph.whole_conv("sums", &map, window, groups, weights, bias, factors, [-255, 255]).unwrap();
            let values = graph.values("values", &sums, Table::of(f32::from)).unwrap();
            emit(&mut graph, &values);
        }
        let far = if low == 0 { 1e9 } else { -1e9 };
        exact(&graph, &[vec![far; length]], &format!("{low} {weight}"));
    }
}

#[test]
fn pointwise_convolutions_of_one_map_share_its_bytes() {
    let bytes = |graph: &Graph, isa| {
        let plan = Plan::compile(graph, isa).unwrap();
        plan.steps().filter(|step| step.kind == "bytes").count()
    };
    for (low, weight) in [(0, 127), (0, -128), (-255, 127), (-100, -128), (-100, 128)] {
        let (mut graph, image, length) = picture(70, 3, 17, 1);
        let map = graph.quantize("quantize", &image, Grid { step: 1.0, low, high: 255 + low }).unwrap();
        for outputs in [9, 40] {
            let (weights, bias) = (vec![weight; outputs * 70], vec![12_345; outputs]);
            let factors = vec![250.0 / (70.0 * 255.0 * 128.0 + 12_345.0); outputs];
            let window = Window::square(1, 1, 0);
            let sums =
                graph.whole_conv("sums", &map, window, 1, weights, bias, factors, [-255, 255]).unwrap();
            let values = graph.values("values", &sums, Table::of(f32::from)).unwrap();
            emit(&mut graph, &values);
        }
        for far in [-1e9, 1e9] {
            exact(&graph, &[vec![far; length]], &format!("{low} {weight} {far}"));
        }
        for isa in Isa::available() {
            let expected = usize::from(isa.bytes() && weight < 128);
            assert_eq!(bytes(&graph, isa), expected, "{}, weights of {weight}", isa.name());
        }
    }
}

#[test]
fn what_is_no_number_becomes_the_least_on_every_processor() {
    let (mut graph, image, length) = picture(3, 2, 5, 1);
    let map = graph.quantize("quantize", &image, Grid { step: 0.5, low: -7, high: 9 }).unwrap();
    let values = graph.values("values", &map, Table::of(f32::from)).unwrap();
    emit(&mut graph, &values);
    for isa in Isa::available() {
        let plan = Plan::compile(&graph, isa).unwrap();
        let mut output = vec![0.0; length];
        plan.run(&mut plan.memory(), &[&vec![f32::NAN; length]], &mut [&mut output]).unwrap();
        assert!(output.iter().all(|value| *value == -7.0), "{}: {output:?}", isa.name());
    }
}

#[test]
fn a_convolution_translates_its_own_results() {
    let (mut graph, image, _) = picture(4, 8, 8, 1);
    let map = graph.quantize("quantize", &image, Grid { step: 1.0, low: -128, high: 127 }).unwrap();
    let convolved = |graph: &mut Graph| {
        let window = Window::square(1, 1, 0);
        graph.whole_conv("conv", &map, window, 1, vec![1; 16], vec![0; 4], vec![1.0; 4], [-128, 127]).unwrap()
    };
    let sums = convolved(&mut graph);
    let table = graph.translate("table", &sums, Table::of(|number| -number)).unwrap();
    let values = graph.values("values", &table, Table::of(f32::from)).unwrap();
    emit(&mut graph, &values);
    let kinds = |graph: &Graph| -> Vec<&str> {
        Plan::compile(graph, Isa::portable()).unwrap().steps().map(|step| step.kind).collect()
    };
    assert_eq!(kinds(&graph), ["pack", "quantize", "int8 pointwise", "dequantize", "unpack"]);
    // Not where another layer reads them as they are.
    let values = graph.values("values", &sums, Table::of(f32::from)).unwrap();
    emit(&mut graph, &values);
    assert!(kinds(&graph).contains(&"table"), "{:?}", kinds(&graph));
}

#[test]
fn layers_of_other_numbers_are_refused() {
    let (mut graph, image, _) = picture(2, 4, 4, 1);
    let grid = Grid { step: 1.0, low: -128, high: 127 };
    let whole = graph.quantize("quantize", &image, grid).unwrap();
    let window = Window::square(3, 1, 1);
    assert!(graph.quantize("twice", &whole, grid).is_err());
    assert!(graph.quantize("no step", &image, Grid { step: 0.0, ..grid }).is_err());
    assert!(graph.quantize("too wide", &image, Grid { low: -256, ..grid }).is_err());
    assert!(graph.values("f32", &image, Table::of(f32::from)).is_err());
    assert!(graph.conv("whole", &whole, window, 1, vec![0.0; 18], vec![0.0], Activation::None).is_err());
    assert!(graph.resize("between", &whole, &[0.5], &[0.5], true).is_err());
    assert!(Map::join(&[image.clone(), whole.clone()]).is_err());
    let mut conv = |weights: Vec<i16>, bias: i32, factor: f32| {
        graph.whole_conv("conv", &whole, window, 1, weights, vec![bias], vec![factor], [-1, 1])
    };
    assert!(conv(vec![1; 18], 0, 1.0).is_ok());
    assert!(conv(vec![256; 18], 0, 1.0).is_err());
    assert!(conv(vec![1; 18], i32::MAX, 1.0).is_err());
    assert!(conv(vec![1; 18], 0, f32::NAN).is_err());
    assert!(conv(vec![1; 17], 0, 1.0).is_err());
    let piece = Placed { map: whole.clone(), offset: 0, channel: 16, row: 4, column: 1 };
    assert!(graph.output(32, vec![piece]).is_err());
}
