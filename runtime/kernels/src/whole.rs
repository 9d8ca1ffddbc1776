//! Kernels of whole numbers.
//!
//! A block holds 2 L channels of 16 bits where one of f32 holds L, and a register of products' sums L of 32 bits. Products
//! are of 16 bits and their sums of 32, which `Graph::whole_conv` proves wide enough: nothing saturates, unlike with the
//! instructions for bytes.

mod conv;
mod depthwise;
mod lanes;
mod measured;

pub(crate) use conv::{WholeConv, WholeConvRun};
pub(crate) use depthwise::{WholeWindow, WholeWindowRun, WindowEnd};
pub(crate) use lanes::{
    Narrow, NarrowRun, Quantize, QuantizeRun, Scatter, Translate, TranslateRun, Values, WholeSum,
    WholeSumRun, scatter, values,
};
pub(crate) use measured::{Measure, MeasureRun, MeasuredConv, MeasuredConvRun, Numbers, Scaled};

use crate::graph::Table;
use crate::portable::{of_pair, pair_of};
use crate::simd::{Bytes, Kernel, Simd};

/// What numbers become.
#[derive(Clone, Debug)]
pub(crate) struct Lookup {
    table: Table<i16>,
    /// The same as bytes, from the least number and of the least result on; where both have no more than 256.
    bytes: Option<(Box<Bytes>, [i16; 2])>,
}

impl Lookup {
    /// Of numbers between `ends`; and the ends of what they become.
    pub fn of(table: Table<i16>, ends: [i16; 2]) -> (Self, [i16; 2]) {
        let results = || (ends[0]..=ends[1]).map(|number| table.at(number));
        let (least, most) = (results().min().unwrap_or(0), results().max().unwrap_or(0));
        let fits = |ends: [i16; 2]| i32::from(ends[1]) - i32::from(ends[0]) < 256;
        let bytes = (fits(ends) && fits([least, most])).then(|| {
            let mut bytes = Box::new([[0; 16]; 16]);
            for (byte, result) in bytes.as_flattened_mut().iter_mut().zip(results()) {
                *byte = u8::try_from(i32::from(result) - i32::from(least)).unwrap_or(0);
            }
            (bytes, [ends[0], least])
        });
        (Self { table, bytes }, [least, most])
    }
}

/// What `0` makes of `1`, in place.
struct Translated<'a, const L: usize>(&'a Lookup, &'a mut [[f32; L]]);

impl<const L: usize> Kernel<L> for Translated<'_, L> {
    #[inline(always)]
    fn run<S: Simd<L>>(self, simd: S) {
        let Self(lookup, numbers) = self;
        let Some((bytes, low)) = &lookup.bytes else {
            for lane in numbers.as_flattened_mut() {
                let [first, second] = pair_of(*lane);
                *lane = of_pair([lookup.table.at(first), lookup.table.at(second)]);
            }
            return;
        };
        let (pairs, rest) = numbers.as_chunks_mut::<2>();
        for [first, second] in pairs {
            let found = simd.look_up([simd.load(first), simd.load(second)], bytes, *low);
            simd.store(found[0], first);
            simd.store(found[1], second);
        }
        for block in rest {
            let number = simd.load(block);
            simd.store(simd.look_up([number, number], bytes, *low)[0], block);
        }
    }
}

/// What becomes of sums.
#[derive(Clone, Debug)]
pub(crate) struct End {
    /// Where, for each block of the result, the factors of its two registers lie.
    pub factors: usize,
    /// The ends between which results are kept.
    pub low: f32,
    pub high: f32,
    /// What the results become.
    pub table: Option<Lookup>,
}

impl End {
    /// Sums in the order of [`crate::simd::halves`] to one block; of sums in the order of their channels, what
    /// [`in_order`] makes of it is the block.
    #[inline(always)]
    fn block<S: Simd<L>, const L: usize>(&self, simd: S, sums: [S::V; 2], factors: [S::V; 2]) -> S::V {
        let (low, high) = (simd.splat(self.low), simd.splat(self.high));
        let mut whole = sums;
        for (whole, factor) in whole.iter_mut().zip(factors) {
            let number = simd.mul(simd.to_float(*whole), factor);
            *whole = simd.to_whole(simd.min(simd.max(number, low), high));
        }
        simd.narrow(whole)
    }

    /// The table's part, on results while the cache holds them.
    #[inline(always)]
    fn translate<S: Simd<L>, const L: usize>(&self, simd: S, out: &mut [[f32; L]]) {
        if let Some(table) = &self.table {
            simd.call(Translated(table, out));
        }
    }
}
