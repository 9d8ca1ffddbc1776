//! Whole numbers on a grid that each run finds: every result is the reference's, to the last bit.

use super::whole::exact;
use super::*;

/// Activations whose results are exact.
fn plain(numbers: &mut Numbers) -> Activation {
    [Activation::None, Activation::RELU, Activation::Clip { low: -0.5, high: 6.0 }][numbers.below(3)]
}

fn any_measured_layer(graph: &mut Graph, numbers: &mut Numbers, name: &str, from: &Map) -> Map {
    let measured = graph.measure(name, from).unwrap();
    let count = from.channels();
    let most = if numbers.below(3) == 0 { 255 } else { 127 };
    let drawn = numbers.window(from.height(), from.width());
    let mut last = None;
    // Several convolutions of one map, which may ask for its numbers in two ways.
    for kind in [numbers.below(5), numbers.below(5)] {
        let (window, groups, outputs) = match (kind, drawn) {
            (1 | 2, Some(window)) => (window, 1, 1 + numbers.below(40)),
            (3, Some(window)) => (window, count, count),
            (4, _) => (Window::square(1, 1, 0), 1, count),
            _ => (Window::square(1, 1, 0), 1, 1 + numbers.below(60)),
        };
        let taps = count / groups * window.size[0] * window.size[1];
        let weights = (0..outputs * taps).map(|_| numbers.whole(most)).collect();
        let (factors, bias) = (numbers.values(outputs, 0.02), numbers.values(outputs, 0.5));
        let residual = (kind == 4 && outputs == count).then(|| from.clone());
        let end = End { first: plain(numbers), residual, second: plain(numbers) };
        let conv = graph.measured_conv(name, &measured, window, groups, weights, factors, bias, end);
        let map = conv.unwrap();
        if kind == 3 {
            emit(graph, &map);
        }
        last = Some(map);
    }
    last.unwrap()
}

fn any_measured_graph(seed: u64) -> (Graph, Vec<Vec<f32>>) {
    let mut numbers = Numbers(seed);
    let (channels, height, width) = (1 + numbers.below(40), 1 + numbers.below(14), 1 + numbers.below(24));
    let (mut graph, image, length) = picture(channels, height, width, 1);
    let mut maps = vec![image];
    for layer in 0..5 {
        let from = maps[numbers.below(maps.len())].clone();
        let from = numbers.pick(&from);
        maps.push(any_measured_layer(&mut graph, &mut numbers, &format!("layer {layer}"), &from));
    }
    for map in &maps[3..] {
        emit(&mut graph, map);
    }
    let mut input = numbers.values(length, 3.0);
    match numbers.below(6) {
        0 => input.iter_mut().for_each(|value| *value = value.abs() + 1.0),
        1 => input.iter_mut().for_each(|value| *value = -value.abs() - 1.0),
        2 => input.fill(0.0),
        _ => {}
    }
    (graph, vec![input])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if std::env::var_os("STOPLINE_FULL").is_some() { 3000 } else { 150 }, ..ProptestConfig::default() })]

    #[test]
    fn every_graph_that_finds_its_grids_is_exact(seed in any::<u64>()) {
        let (graph, inputs) = any_measured_graph(seed);
        exact(&graph, &inputs, &seed.to_string());
    }
}

/// ONNX's own examples for DynamicQuantizeLinear.
#[test]
fn the_grid_is_the_standards() {
    let examples: [(&[f32], &[i16], f32); 3] = [
        (&[0.0, 2.0, -3.0, -2.5, 1.34, 0.5], &[0, 102, -153, -127, 68, 26], 0.019_607_844),
        (&[-1.0, -2.1, -1.3, -2.5, -3.34, -4.0], &[-64, -134, -83, -159, -213, -255], 0.015_686_275),
        (&[1.0, 2.1, 1.3, 2.5, 3.34, 4.0], &[64, 134, 83, 159, 213, 255], 0.015_686_275),
    ];
    for (input, expected, step) in examples {
        let (mut graph, image, _) = picture(1, 2, 3, 1);
        let measured = graph.measure("measure", &image).unwrap();
        let window = Window::square(1, 1, 0);
        let one =
            graph.measured_conv("one", &measured, window, 1, vec![1], vec![1.0], vec![0.0], Activation::None);
        emit(&mut graph, &one.unwrap());
        for isa in Isa::available() {
            let plan = Plan::compile(&graph, isa).unwrap();
            let mut output = vec![0.0; 6];
            plan.run(&mut plan.memory(), &[input], &mut [&mut output]).unwrap();
            let expected: Vec<f32> = expected.iter().map(|number| f32::from(*number) * step).collect();
            assert_eq!(output, expected, "{}", isa.name());
        }
    }
}

/// Lanes that are no channels of the map, or channels that nobody asked for, are not measured.
#[test]
fn only_what_is_asked_for_is_measured() {
    let (mut graph, image, length) = picture(20, 3, 4, 1);
    let some = image.pick([1, 4, 17]).unwrap();
    let measured = graph.measure("measure", &some).unwrap();
    let window = Window::square(1, 1, 0);
    let conv = graph.measured_conv(
        "conv",
        &measured,
        window,
        1,
        vec![100; 3],
        vec![0.01],
        vec![0.5],
        Activation::None,
    );
    emit(&mut graph, &conv.unwrap());
    let mut input: Vec<f32> = (0..length).map(|at| at as f32 * 0.01).collect();
    input[..12].fill(1e9);
    input[18 * 12..].fill(-1e9);
    exact(&graph, &[input], "three of twenty");
}

#[test]
fn layers_that_cannot_be_measured_are_refused() {
    let (mut graph, image, _) = picture(2, 4, 4, 1);
    let measured = graph.measure("measure", &image).unwrap();
    assert_eq!(measured.channels(), 2);
    let window = Window::square(3, 1, 1);
    let mut conv = |groups: usize, weights: Vec<i16>, factor: f32| {
        graph.measured_conv(
            "conv",
            &measured,
            window,
            groups,
            weights,
            vec![factor],
            vec![0.0],
            Activation::None,
        )
    };
    assert!(conv(1, vec![1; 18], 1.0).is_ok());
    assert!(conv(2, vec![1; 9], 1.0).is_err(), "one result of two groups");
    assert!(conv(1, vec![1; 17], 1.0).is_err());
    assert!(conv(1, vec![256; 18], 1.0).is_err());
    assert!(conv(1, vec![1; 18], f32::NAN).is_err());
    let whole = graph.quantize("whole", &image, crate::Grid { step: 1.0, low: 0, high: 255 }).unwrap();
    assert!(graph.measure("twice", &whole).is_err());
}
