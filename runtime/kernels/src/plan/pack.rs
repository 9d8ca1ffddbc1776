//! The order in which a convolution reads its weights.

use super::blocks::Blocks;
use crate::conv::groups;

/// How a convolution's weights are laid out.
pub(super) struct Packing<'a> {
    pub lanes: usize,
    pub inputs: &'a Blocks,
    /// Of each output channel.
    pub positions: &'a [usize],
    /// Of output.
    pub blocks: usize,
    pub taps: usize,
    /// Of input, as the layer counts them.
    pub channels: usize,
}

impl Packing<'_> {
    /// Lanes of each input block up to the last that is asked for.
    pub fn used(&self) -> Vec<usize> {
        let mut used = vec![0; self.inputs.planes.len()];
        for position in &self.inputs.positions {
            let lanes = &mut used[position / self.lanes];
            *lanes = (*lanes).max(position % self.lanes + 1);
        }
        used
    }

    pub fn packed(&self, weights: &[f32], bias: &[f32], used: &[usize]) -> Vec<f32> {
        // Input lanes before each block, in the packed order.
        let before: Vec<usize> = used
            .iter()
            .scan(0, |sum, lanes| {
                let before = *sum;
                *sum += lanes;
                Some(before)
            })
            .collect();
        let all: usize = used.iter().sum::<usize>() * self.taps;
        let mut packed = vec![0.0; self.blocks * (all + 1) * self.lanes];
        let mut first = 0;
        let mut start = 0;
        for size in groups(self.blocks) {
            let row = |row: usize, block: usize| start + (row * size + block) * self.lanes;
            for (output, position) in self.positions.iter().enumerate() {
                let (block, lane) = (position / self.lanes, position % self.lanes);
                if !(first..first + size).contains(&block) {
                    continue;
                }
                packed[row(0, block - first) + lane] = bias[output];
                let own = &weights[output * self.channels * self.taps..][..self.channels * self.taps];
                for (position, kernel) in self.inputs.positions.iter().zip(own.chunks_exact(self.taps)) {
                    let (input, input_lane) = (position / self.lanes, position % self.lanes);
                    for (tap, weight) in kernel.iter().enumerate() {
                        let at = 1 + before[input] * self.taps + tap * used[input] + input_lane;
                        // A channel that is read twice has the sum of both weights.
                        packed[row(at, block - first) + lane] += weight;
                    }
                }
            }
            first += size;
            start += size * (all + 1) * self.lanes;
        }
        packed
    }
}
