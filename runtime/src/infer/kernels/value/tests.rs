use stopline_kernels::{Isa, Plan};

use super::*;

/// A graph whose input is `[1, channels, height, width]` of numbers that count up.
struct Counted {
    graph: Graph,
    made: Made,
    numbers: Vec<f32>,
}

fn counted(channels: usize, height: usize, width: usize) -> Counted {
    let mut graph = Graph::new();
    let length = channels * height * width;
    let input = graph.input(length).unwrap();
    let views = (0..channels).map(|c| View { offset: c * height * width, row: width, column: 1 }).collect();
    let map = graph.image("image", input, views, height, width).unwrap();
    let numbers = (0..length).map(|at| f32::from(u16::try_from(at).unwrap())).collect();
    Counted { graph, made: Made::of(map), numbers }
}

impl Counted {
    fn emitted(&self, made: &Made) -> Vec<f32> {
        let mut graph = self.graph.clone();
        made.emit(&mut graph).unwrap();
        let plan = Plan::compile(&graph, Isa::detect()).unwrap();
        let mut output = vec![f32::NAN; self.numbers.len()];
        let length = made.shape().iter().product();
        plan.run(&mut plan.memory(), &[&self.numbers], &mut [&mut output[..length]]).unwrap();
        output.truncate(length);
        output
    }
}

/// `numbers` of `shape` with its axes in `order`, written for reading.
fn transposed(numbers: &[f32], shape: &[usize], order: &[usize]) -> Vec<f32> {
    let stride = |axis: usize| shape[axis + 1..].iter().product::<usize>();
    let mut places = vec![0];
    for axis in order {
        places = places
            .iter()
            .flat_map(|base| (0..shape[*axis]).map(move |at| base + at * stride(*axis)))
            .collect();
    }
    places.into_iter().map(|place| numbers[place]).collect()
}

#[test]
fn a_channel_shuffle_is_a_reshape_a_transposition_and_a_reshape() {
    let own = counted(6, 2, 3);
    let apart = own.made.reshaped(&[1, 2, 3, 2, 3]).unwrap();
    let turned = apart.transposed(&[0, 2, 1, 3, 4]).unwrap();
    let shuffled = turned.reshaped(&[1, 6, 2, 3]).unwrap();
    assert!(shuffled.map().is_ok());
    assert_eq!(own.emitted(&shuffled), transposed(&own.numbers, &[2, 3, 6], &[1, 0, 2]));
    assert_eq!(own.emitted(&turned), own.emitted(&shuffled));
}

#[test]
fn every_order_of_axes_is_written_as_it_is_meant() {
    for shape in [[3, 2, 5], [1, 4, 3], [4, 1, 3], [4, 3, 1], [1, 1, 3], [9, 1, 1]] {
        let own = counted(shape[0], shape[1], shape[2]);
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let turned = own.made.transposed(&[0, order[0] + 1, order[1] + 1, order[2] + 1]).unwrap();
            assert_eq!(own.emitted(&turned), transposed(&own.numbers, &shape, &order), "{shape:?} {order:?}");
        }
    }
}

#[test]
fn pixels_of_three_maps_are_joined_and_turned() {
    let own = counted(4, 2, 3);
    let flat = own.made.reshaped(&[1, 4, 6]).unwrap();
    let joined = Made::joined(&[flat.clone(), flat.clone()], 2).unwrap();
    assert_eq!(joined.shape(), [1, 4, 12]);
    let turned = joined.transposed(&[0, 2, 1]).unwrap();
    let expected: Vec<f32> = transposed(&own.numbers, &[4, 6], &[1, 0]).repeat(2);
    let mut graph = own.graph.clone();
    turned.emit(&mut graph).unwrap();
    let plan = Plan::compile(&graph, Isa::detect()).unwrap();
    let mut output = vec![0.0; 48];
    plan.run(&mut plan.memory(), &[&own.numbers], &mut [&mut output]).unwrap();
    assert_eq!(output, expected);
}

#[test]
fn channels_are_sliced_in_any_of_their_axes() {
    let own = counted(12, 1, 2);
    let apart = own.made.reshaped(&[3, 4, 2]).unwrap();
    let outer = apart.sliced(0, &[1]).unwrap();
    assert_eq!(own.emitted(&outer), own.numbers[8..16]);
    let inner = apart.sliced(1, &[3, 0]).unwrap();
    let expected: Vec<f32> = [6, 7, 0, 1, 14, 15, 8, 9, 22, 23, 16, 17].map(|at| own.numbers[at]).to_vec();
    assert_eq!(own.emitted(&inner), expected);
    assert_eq!(inner.sliced(1, &[0]).unwrap().squeezed(1).unwrap().shape(), [3, 2]);
}

#[test]
fn what_would_mix_channels_and_pixels_is_refused() {
    let own = counted(6, 2, 3);
    assert!(own.made.reshaped(&[1, 4, 9]).is_err());
    assert!(own.made.reshaped(&[1, 6, 3, 2]).is_err());
    assert!(own.made.reshaped(&[1, 6, 7]).is_err());
    assert!(own.made.reshaped(&[1, 6]).is_err());
    assert!(own.made.sliced(2, &[0]).is_err(), "rows are not sliced");
    let turned = own.made.transposed(&[0, 2, 3, 1]).unwrap();
    assert!(turned.map().is_err(), "channels last are no map");
    assert!(turned.reshaped(&[1, 36]).is_err());
    assert!(Made::joined(&[own.made.clone(), turned], 1).is_err());
}
