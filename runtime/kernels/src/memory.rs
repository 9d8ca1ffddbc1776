//! Numbers in blocks of `L`, aligned to the cache's lines, and a way to write one part while reading the others.

/// Bytes of a cache line.
const LINE: usize = 64;

/// Numbers whose first one lies at the start of a cache line. Never grows, so it never moves.
#[derive(Debug)]
pub(crate) struct Aligned {
    numbers: Vec<f32>,
    skip: usize,
    length: usize,
}

impl Aligned {
    /// `length` zeros.
    pub fn zeros(length: usize) -> Self {
        let room = LINE / size_of::<f32>();
        let numbers = vec![0.0; length + room];
        // Where the allocator's address cannot be told, the start will do: alignment is for speed alone.
        let skip = numbers.as_ptr().align_offset(LINE).min(room);
        Self { numbers, skip, length }
    }

    pub fn length(&self) -> usize {
        self.length
    }

    /// Puts `numbers` at the start.
    pub fn fill(&mut self, numbers: &[f32]) {
        self.numbers[self.skip..][..numbers.len()].copy_from_slice(numbers);
    }

    /// Fills everything with NaN.
    #[cfg(test)]
    pub fn poison(&mut self) {
        self.numbers.fill(f32::NAN);
    }

    pub fn blocks<const L: usize>(&self) -> &[[f32; L]] {
        self.numbers[self.skip..self.skip + self.length].as_chunks().0
    }

    pub fn blocks_mut<const L: usize>(&mut self) -> &mut [[f32; L]] {
        self.numbers[self.skip..self.skip + self.length].as_chunks_mut().0
    }
}

/// What lies around the part of the memory that a step writes.
#[derive(Clone, Copy)]
pub(crate) struct Around<'a, const L: usize> {
    low: &'a [[f32; L]],
    high: &'a [[f32; L]],
    end: usize,
}

impl<'a, const L: usize> Around<'a, L> {
    /// The part `at..at + length` to write, and the rest.
    pub fn split(memory: &'a mut [[f32; L]], at: usize, length: usize) -> (&'a mut [[f32; L]], Self) {
        let (low, rest) = memory.split_at_mut(at);
        let (part, high) = rest.split_at_mut(length);
        (part, Self { low, high, end: at + length })
    }

    /// `length` blocks at `at`. The planner never lets a step read what it writes; were it otherwise, this panics.
    #[inline(always)]
    pub fn plane(&self, at: usize, length: usize) -> &'a [[f32; L]] {
        if at < self.low.len() {
            &self.low[at..][..length]
        } else {
            &self.high[at.wrapping_sub(self.end)..][..length]
        }
    }
}
