//! A compiled graph: steps with places in one memory, weights packed for them.

use crate::conv::{Conv, ConvRun};
use crate::first::{First, FirstRun};
use crate::graph::{Graph, GraphError};
use crate::lanes::{
    Each, EachRun, Gather, GatherRun, Pack, Pair, PairRun, Resize, ResizeRun, Softmax, SoftmaxRun, Unpack,
    pack, unpack,
};
use crate::memory::{Aligned, Around};
use crate::simd::{Chosen, Isa, Simd};
use crate::whole::{
    Measure, MeasureRun, MeasuredConv, MeasuredConvRun, Narrow, NarrowRun, Quantize, QuantizeRun, Scatter,
    Translate, TranslateRun, Values, WholeConv, WholeConvRun, WholeSum, WholeSumRun, WholeWindow,
    WholeWindowRun, scatter, values,
};
use crate::window::{WindowRun, Windowed};

mod blocks;
mod compile;
mod convs;
mod dense;
mod measured;
mod needed;
mod pack;
mod place;
mod step;
mod wholes;

/// A compiled graph: immutable, to be shared between threads, each with a [`Memory`] of its own.
#[derive(Debug)]
pub struct Plan {
    isa: Isa,
    inputs: Vec<usize>,
    outputs: Vec<usize>,
    steps: Vec<Placed>,
    weights: Aligned,
    /// Numbers between the inputs and the outputs.
    memory: usize,
}

/// What a run keeps between its steps; allocated once.
#[derive(Debug)]
pub struct Memory(Aligned);

/// Inputs or outputs of other lengths than the plan's.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{what} of a run: expected {expected:?} numbers, found {found:?}")]
pub struct RunError {
    /// Inputs, outputs or memory.
    pub what: &'static str,
    /// The plan's lengths.
    pub expected: Vec<usize>,
    /// The given ones.
    pub found: Vec<usize>,
}

/// One step of a plan, for those who measure.
#[derive(Clone, Copy, Debug)]
pub struct StepInfo<'a> {
    /// The layer that it computes.
    pub layer: &'a str,
    /// What it does.
    pub kind: &'static str,
    /// Multiplications that the layer asks for.
    pub multiplications: u64,
    /// Channels, rows and columns of its result.
    pub shape: [usize; 3],
    /// What it is done to: blocks of input, rows × columns of the result, window and stride.
    pub size: StepSize,
}

/// What a step goes over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepSize {
    /// Blocks of channels that it reads and writes.
    pub blocks: [usize; 2],
    /// Rows and columns of its result; a pointwise convolution takes all pixels as one row.
    pub pixels: [usize; 2],
    /// Rows and columns of its window; 0 where it has none.
    pub window: [usize; 2],
    /// Rows and columns from one window to the next; 0 where it has none.
    pub stride: [usize; 2],
}

impl std::fmt::Display for StepSize {
    /// `3→6 blocks 52×52, 3×3/2`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { blocks: [from, to], pixels: [rows, columns], window, stride } = self;
        write!(f, "{from}→{to} blocks {rows}×{columns}")?;
        if window[0] > 0 {
            write!(f, ", {}×{}/{}", window[0], window[1], stride[0])?;
        }
        Ok(())
    }
}

#[derive(Clone, Debug)]
enum Step {
    Pack(Pack),
    First(First),
    Conv(Conv),
    Windowed(Windowed),
    Each(Each),
    Pair(Pair),
    Softmax(Softmax),
    Resize(Resize),
    Gather(Gather),
    Quantize(Quantize),
    Narrow(Narrow),
    Values(Values),
    Translate(Translate),
    WholeSum(WholeSum),
    WholeConv(WholeConv),
    WholeWindow(WholeWindow),
    Scatter(Scatter),
    Measure(Measure),
    MeasuredConv(MeasuredConv),
    Unpack(Unpack),
}

#[derive(Clone, Debug)]
struct Placed {
    step: Step,
    /// Where it writes, in blocks.
    out: usize,
    length: usize,
    layer: String,
    multiplications: u64,
    shape: [usize; 3],
}

impl Plan {
    /// Compiles `graph` for `isa`.
    ///
    /// # Errors
    /// More memory than [`crate::MOST_VALUES`] numbers.
    pub fn compile(graph: &Graph, isa: Isa) -> Result<Self, GraphError> {
        compile::plan(graph, isa)
    }

    /// The instructions it uses.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Length of each input.
    pub fn inputs(&self) -> &[usize] {
        &self.inputs
    }

    /// Length of each output.
    pub fn outputs(&self) -> &[usize] {
        &self.outputs
    }

    /// Memory for one thread.
    pub fn memory(&self) -> Memory {
        Memory(Aligned::zeros(self.memory))
    }

    /// Numbers of packed weights, and of one [`Memory`].
    pub fn sizes(&self) -> (usize, usize) {
        (self.weights.length(), self.memory)
    }

    /// Its steps in order.
    pub fn steps(&self) -> impl Iterator<Item = StepInfo<'_>> {
        self.steps.iter().map(|placed| StepInfo {
            layer: &placed.layer,
            kind: placed.step.kind(),
            multiplications: placed.multiplications,
            shape: placed.shape,
            size: placed.step.size(),
        })
    }

    /// Runs the plan. Nothing is allocated.
    ///
    /// # Errors
    /// Inputs, outputs or memory of other lengths than the plan's.
    pub fn run(
        &self,
        memory: &mut Memory,
        inputs: &[&[f32]],
        outputs: &mut [&mut [f32]],
    ) -> Result<(), RunError> {
        self.run_observed(memory, inputs, outputs, &mut |_| {})
    }

    /// Runs the plan and calls `done` after each step with its number.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn run_observed(
        &self,
        memory: &mut Memory,
        inputs: &[&[f32]],
        outputs: &mut [&mut [f32]],
        done: &mut dyn FnMut(usize),
    ) -> Result<(), RunError> {
        let check = |what, expected: &[usize], found: Vec<usize>| {
            if expected == found {
                Ok(())
            } else {
                Err(RunError { what, expected: expected.to_vec(), found })
            }
        };
        if !inputs.iter().map(|input| input.len()).eq(self.inputs.iter().copied()) {
            check("inputs", &self.inputs, inputs.iter().map(|input| input.len()).collect())?;
        }
        if !outputs.iter().map(|output| output.len()).eq(self.outputs.iter().copied()) {
            check("outputs", &self.outputs, outputs.iter().map(|output| output.len()).collect())?;
        }
        if memory.0.length() != self.memory {
            check("memory", &[self.memory], vec![memory.0.length()])?;
        }
        match self.isa.0 {
            Chosen::Portable(simd) => self.each_step::<_, _, 8>(simd, simd, memory, inputs, outputs, done),
            #[cfg(target_arch = "x86_64")]
            Chosen::Avx2(simd) => self.each_step::<_, _, 8>(simd, simd, memory, inputs, outputs, done),
            #[cfg(target_arch = "x86_64")]
            Chosen::Avx512(simd) => self.each_step::<_, _, 16>(simd, simd, memory, inputs, outputs, done),
            #[cfg(target_arch = "x86_64")]
            Chosen::Avx512Vnni(whole) => {
                self.each_step::<_, _, 16>(whole.plain(), whole, memory, inputs, outputs, done);
            }
            #[cfg(target_arch = "aarch64")]
            Chosen::Neon(simd) => self.each_step::<_, _, 8>(simd, simd, memory, inputs, outputs, done),
        }
        Ok(())
    }

    /// `whole`: for steps of whole numbers.
    fn each_step<S: Simd<L>, W: Simd<L>, const L: usize>(
        &self,
        simd: S,
        whole: W,
        memory: &mut Memory,
        inputs: &[&[f32]],
        outputs: &mut [&mut [f32]],
        done: &mut dyn FnMut(usize),
    ) {
        let weights = self.weights.blocks::<L>();
        let memory = memory.0.blocks_mut::<L>();
        for (at, placed) in self.steps.iter().enumerate() {
            if let Step::Unpack(step) = &placed.step {
                unpack(step, memory, outputs[step.output]);
                done(at);
                continue;
            }
            let (out, from) = Around::split(memory, placed.out, placed.length);
            match &placed.step {
                Step::Unpack(_) => {}
                Step::Pack(step) => pack(step, inputs[step.input], out),
                Step::First(step) => {
                    simd.call(FirstRun { step, input: inputs[step.input], from, weights, out });
                }
                Step::Conv(step) => simd.call(ConvRun::<L, 1> { step, scaled: None, from, weights, out }),
                Step::Windowed(step) => simd.call(WindowRun { step, from, weights, out }),
                Step::Each(step) => simd.call(EachRun { step, from, weights, out }),
                Step::Pair(step) => simd.call(PairRun { step, from, out }),
                Step::Softmax(step) => simd.call(SoftmaxRun { step, from, weights, out }),
                Step::Resize(step) => simd.call(ResizeRun { step, from, out }),
                Step::Gather(step) => simd.call(GatherRun { step, from, weights, out }),
                Step::Quantize(step) => whole.call(QuantizeRun { step, from, out }),
                Step::Narrow(step) => whole.call(NarrowRun { step, from, out }),
                Step::Values(step) => values(step, from, out),
                Step::Translate(step) => whole.call(TranslateRun { step, from, out }),
                Step::WholeSum(step) => whole.call(WholeSumRun { step, from, out }),
                Step::WholeConv(step) => whole.call(WholeConvRun { step, from, weights, out }),
                Step::WholeWindow(step) => whole.call(WholeWindowRun { step, from, weights, out }),
                Step::Scatter(step) => scatter(step, from, out),
                Step::Measure(step) => whole.call(MeasureRun { step, from, weights, out }),
                Step::MeasuredConv(step) => whole.call(MeasuredConvRun { step, from, weights, out }),
            }
            done(at);
        }
    }
}

#[cfg(test)]
mod tests;
