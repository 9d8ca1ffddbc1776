//! From what the graph gives to a class and its probability.

use std::ops::Range;

use super::outputs::{Matrix, Order};
use stopline_depot::manifest::Head;

/// 1 ÷ (1 + e⁻ˣ); finite for every finite `x`.
pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// The probability in `value`; a softmax needs its whole row and is none here.
pub(super) fn single(head: Head, value: f32) -> f32 {
    match head {
        Head::Sigmoid => sigmoid(value),
        Head::Probability | Head::Softmax => value,
    }
}

/// Place and value of the largest of `values`; of equals the first. `(0, -inf)` for none.
pub(super) fn largest(values: &[f32]) -> (usize, f32) {
    let mut best = (0, f32::NEG_INFINITY);
    for (at, &value) in values.iter().enumerate() {
        if value > best.1 {
            best = (at, value);
        }
    }
    best
}

/// The best class of each row of a matrix. Its buffers are kept from frame to frame.
#[derive(Default)]
pub(super) struct Best {
    value: Vec<f32>,
    class: Vec<u32>,
}

impl Best {
    /// Looks at `columns` of every row.
    pub fn scan(&mut self, matrix: &Matrix<'_>, columns: Range<usize>) {
        self.value.clear();
        self.class.clear();
        match matrix.order {
            Order::Rows => {
                for row in matrix.data.chunks_exact(matrix.columns.max(1)) {
                    let (class, value) = largest(&row[columns.clone()]);
                    self.value.push(value);
                    self.class.push(u32::try_from(class).unwrap_or(u32::MAX));
                }
            }
            Order::Columns => self.scan_columns(matrix, columns),
        }
    }

    /// Column by column, as they lie in memory; branchless, so that it is vectorised.
    fn scan_columns(&mut self, matrix: &Matrix<'_>, columns: Range<usize>) {
        self.value.resize(matrix.rows, f32::NEG_INFINITY);
        self.class.resize(matrix.rows, 0);
        for (class, column) in (0u32..).zip(columns) {
            let values = &matrix.data[column * matrix.rows..][..matrix.rows];
            for ((best, known), &value) in self.value.iter_mut().zip(&mut self.class).zip(values) {
                let better = value > *best;
                *best = if better { value } else { *best };
                *known = if better { class } else { *known };
            }
        }
    }

    /// Class, counted from the first column scanned, and value of a row.
    pub fn row(&self, row: usize) -> (usize, f32) {
        (self.class[row] as usize, self.value[row])
    }

    /// As [`Self::row`], of each row in turn.
    pub fn rows(&self) -> impl Iterator<Item = (usize, f32)> + '_ {
        self.class.iter().map(|&class| class as usize).zip(self.value.iter().copied())
    }
}

/// The softmax probability of `value` in `row`, or 0 where it is surely below `floor`.
pub(super) fn softmax(matrix: &Matrix<'_>, row: usize, columns: Range<usize>, value: f32, floor: f32) -> f32 {
    let values = || columns.clone().map(|column| matrix.at(row, column));
    let top = values().fold(f32::NEG_INFINITY, f32::max);
    let share = (value - top).exp();
    // The sum is at least 1, so the probability is at most this: most rows are background and end here.
    if share < floor {
        return 0.0;
    }
    share / values().map(|other| (other - top).exp()).sum::<f32>()
}
