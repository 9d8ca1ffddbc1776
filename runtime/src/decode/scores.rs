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

/// Values looked at side by side, so that the compiler can use vector registers.
const LANES: usize = 8;

/// The largest of `values`; −∞ for none.
pub(super) fn largest(values: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let mut chunks = values.chunks_exact(LANES);
    for chunk in &mut chunks {
        for (best, &value) in lanes.iter_mut().zip(chunk) {
            *best = if value > *best { value } else { *best };
        }
    }
    lanes.iter().chain(chunks.remainder()).copied().fold(f32::NEG_INFINITY, f32::max)
}

/// Place and value of the largest of `values`, of equals the first; `(0, -inf)` for none.
pub(super) fn peak(values: &[f32]) -> (usize, f32) {
    let top = largest(values);
    (values.iter().position(|&value| value == top).unwrap_or_default(), top)
}

/// The best class score of each row of a matrix. Its buffer is kept from frame to frame.
#[derive(Default)]
pub(super) struct Best {
    values: Vec<f32>,
    columns: Range<usize>,
}

impl Best {
    /// Looks at `columns` of every row.
    pub fn scan(&mut self, matrix: &Matrix<'_>, columns: Range<usize>) {
        self.values.clear();
        match matrix.order {
            Order::Rows => {
                let rows = matrix.data.chunks_exact(matrix.columns.max(1));
                self.values.extend(rows.take(matrix.rows).map(|row| largest(&row[columns.clone()])));
            }
            // Column by column, as they lie in memory.
            Order::Columns => {
                self.values.resize(matrix.rows, f32::NEG_INFINITY);
                for column in columns.clone() {
                    let values = &matrix.data[column * matrix.rows..][..matrix.rows];
                    for (best, &value) in self.values.iter_mut().zip(values) {
                        *best = if value > *best { value } else { *best };
                    }
                }
            }
        }
        self.columns = columns;
    }

    /// The best value of each row in turn.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Which of the columns, counted from the first scanned, has a row's best value; of equals the first.
    pub fn class(&self, matrix: &Matrix<'_>, row: usize) -> usize {
        self.columns.clone().position(|column| matrix.at(row, column) == self.values[row]).unwrap_or_default()
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
