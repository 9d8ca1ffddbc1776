//! What is done to the sums of a convolution: activation, residual, activation, while the cache still holds them.
//!
//! A pass of its own over a row of results rather than a part of each tile: tiles come in many sizes, and the activations
//! would be compiled into every one.

use crate::act::{Activation, activate};
use crate::memory::Around;
use crate::simd::{Kernel, Simd};

/// [`crate::graph::End`] with the places of the residual's planes; no plane where there is no residual.
#[derive(Clone, Debug)]
pub(crate) struct EndStep {
    pub first: Activation,
    pub residual: Vec<usize>,
    pub second: Activation,
}

impl EndStep {
    /// Does it to the results `out` of `block` that begin at `at` in its plane of `area` pixels.
    #[inline(always)]
    pub fn apply<S: Simd<L>, const L: usize>(
        &self,
        simd: S,
        from: Around<'_, L>,
        block: usize,
        area: usize,
        at: usize,
        out: &mut [[f32; L]],
    ) {
        match self.residual.get(block) {
            Some(plane) => {
                let residual = &from.plane(*plane, area)[at..][..out.len()];
                simd.call(Added { first: self.first, residual, second: self.second, out });
            }
            None if self.first != Activation::None => simd.call(Alone { first: self.first, out }),
            None => {}
        }
    }
}

struct Alone<'a, const L: usize> {
    first: Activation,
    out: &'a mut [[f32; L]],
}

impl<const L: usize> Kernel<L> for Alone<'_, L> {
    #[inline(always)]
    fn run<S: Simd<L>>(self, simd: S) {
        activate(simd, self.first, self.out);
    }
}

struct Added<'a, const L: usize> {
    first: Activation,
    residual: &'a [[f32; L]],
    second: Activation,
    out: &'a mut [[f32; L]],
}

impl<const L: usize> Kernel<L> for Added<'_, L> {
    #[inline(always)]
    fn run<S: Simd<L>>(self, simd: S) {
        activate(simd, self.first, self.out);
        for (out, value) in self.out.iter_mut().zip(self.residual) {
            let sum = simd.add(simd.load(out), simd.load(value));
            simd.store(sum, out);
        }
        activate(simd, self.second, self.out);
    }
}
