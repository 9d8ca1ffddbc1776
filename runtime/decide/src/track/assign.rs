//! The assignment of detections to tracks: optimal, whole numbers, fixed capacity.
//!
//! Shortest augmenting paths with potentials (Kuhn–Munkres in the form of Jonker and Volgenant, 1987): O(r² (r + c)) for
//! r tracks and c detections. Costs are whole numbers, so that ties fall alike on every target. Leaving a track without
//! a detection costs [`UNMATCHED`], as `cost_limit` does in `lapjv`: a bad pair is not taken only because one is left.

/// What a track without a detection costs; pairs that may not be have [`FORBIDDEN`].
pub(super) const UNMATCHED: u16 = 20_000;
/// A pair that may not be.
pub(super) const FORBIDDEN: u16 = u16::MAX;

const INFINITE: i32 = i32::MAX / 4;

/// Costs and working memory for `SIZE` tracks and `SIZE` detections.
#[derive(Clone, Debug)]
pub(super) struct Assignment<const SIZE: usize> {
    cost: [[u16; SIZE]; SIZE],
}

impl<const SIZE: usize> Assignment<SIZE> {
    pub const fn new() -> Self {
        Self { cost: [[FORBIDDEN; SIZE]; SIZE] }
    }

    /// Sets what it costs to give `column` to `row`.
    pub fn set(&mut self, row: usize, column: usize, cost: u16) {
        self.cost[row][column] = cost;
    }

    /// The column of each of the first `rows` rows, or none, such that the sum of costs is least.
    pub fn solve(&self, rows: usize, columns: usize) -> [Option<u16>; SIZE] {
        // Columns 1..=columns are detections, after them one "no detection" per row; 0 is the root of the search.
        let mut search = Search::<SIZE>::new();
        for row in 1..=rows {
            self.augment(&mut search, row, rows, columns);
        }
        let mut found = [None; SIZE];
        for column in 1..=columns {
            if let Some(row) = usize::from(search.row_of(column)).checked_sub(1) {
                found[row] = u16::try_from(column - 1).ok();
            }
        }
        found
    }

    fn augment(&self, search: &mut Search<SIZE>, row: usize, rows: usize, columns: usize) {
        let all = columns + rows;
        search.begin(row);
        let mut column = 0;
        loop {
            search.close(column);
            let at = usize::from(search.row_of(column));
            let mut delta = INFINITE;
            let mut nearest = 0;
            for next in 1..=all {
                if search.is_closed(next) {
                    continue;
                }
                let reduced =
                    self.cost_of(at, next, columns) - search.row_price(at) - search.column_price(next);
                if let Some(distance) = search.reach(next, column, reduced, delta) {
                    delta = distance;
                    nearest = next;
                }
            }
            search.shift(delta, all);
            column = nearest;
            if search.row_of(column) == 0 {
                break;
            }
        }
        search.flip(column);
    }

    fn cost_of(&self, row: usize, column: usize, columns: usize) -> i32 {
        if column > columns {
            return i32::from(UNMATCHED);
        }
        match self.cost[row - 1][column - 1] {
            // Larger than any way around it, small enough that potentials do not overflow.
            FORBIDDEN => 10_000_000,
            cost => i32::from(cost),
        }
    }
}

/// One search's state. Columns are counted over two parts (detections, then "none"), with the root apart.
struct Search<const SIZE: usize> {
    root: Column,
    columns: [[Column; SIZE]; 2],
    row_price: [i32; SIZE],
}

#[derive(Clone, Copy)]
struct Column {
    row: u16,
    from: u16,
    price: i32,
    distance: i32,
    closed: bool,
}

impl<const SIZE: usize> Search<SIZE> {
    fn new() -> Self {
        let column = Column { row: 0, from: 0, price: 0, distance: INFINITE, closed: false };
        Self { root: column, columns: [[column; SIZE]; 2], row_price: [0; SIZE] }
    }

    fn column(&mut self, column: usize) -> &mut Column {
        match column.checked_sub(1) {
            None => &mut self.root,
            Some(index) => &mut self.columns[index / SIZE][index % SIZE],
        }
    }

    fn read(&self, column: usize) -> &Column {
        match column.checked_sub(1) {
            None => &self.root,
            Some(index) => &self.columns[index / SIZE][index % SIZE],
        }
    }

    fn begin(&mut self, row: usize) {
        self.root.row = u16::try_from(row).unwrap_or(u16::MAX);
        for column in core::iter::once(&mut self.root).chain(self.columns.as_flattened_mut()) {
            column.distance = INFINITE;
            column.closed = false;
        }
    }

    fn row_of(&self, column: usize) -> u16 {
        self.read(column).row
    }

    fn row_price(&self, row: usize) -> i32 {
        self.row_price[row - 1]
    }

    fn column_price(&self, column: usize) -> i32 {
        self.read(column).price
    }

    fn is_closed(&self, column: usize) -> bool {
        self.read(column).closed
    }

    fn close(&mut self, column: usize) {
        self.column(column).closed = true;
    }

    /// Notes a way to `next` of length `reduced`; its distance where it is below `nearest`.
    fn reach(&mut self, next: usize, from: usize, reduced: i32, nearest: i32) -> Option<i32> {
        let column = self.column(next);
        if reduced < column.distance {
            column.distance = reduced;
            column.from = u16::try_from(from).unwrap_or(u16::MAX);
        }
        (column.distance < nearest).then_some(column.distance)
    }

    fn shift(&mut self, delta: i32, all: usize) {
        for at in 0..=all {
            let column = *self.read(at);
            if column.closed {
                self.row_price[usize::from(column.row) - 1] += delta;
                self.column(at).price -= delta;
            } else {
                self.column(at).distance -= delta;
            }
        }
    }

    fn flip(&mut self, mut column: usize) {
        while column != 0 {
            let from = usize::from(self.read(column).from);
            self.column(column).row = self.row_of(from);
            column = from;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    /// The least sum over all ways to pair, by trying them all.
    fn least(cost: &[Vec<u16>], row: usize, free: u32) -> u32 {
        if row == cost.len() {
            return 0;
        }
        let without = u32::from(UNMATCHED) + least(cost, row + 1, free);
        let with = (0..cost[row].len()).filter(|column| free & (1 << column) != 0);
        let with = with
            .filter(|&column| cost[row][column] != FORBIDDEN)
            .map(|column| u32::from(cost[row][column]) + least(cost, row + 1, free & !(1 << column)));
        with.fold(without, u32::min)
    }

    proptest! {
        #[test]
        fn no_other_assignment_is_cheaper(
            (rows, columns) in (0_usize..6, 0_usize..6),
            costs in proptest::collection::vec(prop_oneof![3 => 0_u16..15_000, 1 => Just(FORBIDDEN)], 36),
        ) {
            let cost: Vec<Vec<u16>> = (0..rows).map(|r| costs[r * 6..r * 6 + columns].to_vec()).collect();
            let mut assignment = Assignment::<6>::new();
            for (r, row) in cost.iter().enumerate() {
                for (c, &cost) in row.iter().enumerate() {
                    assignment.set(r, c, cost);
                }
            }
            let found = assignment.solve(rows, columns);
            let mut sum = 0;
            let mut taken = 0_u32;
            for row in 0..rows {
                match found[row] {
                    None => sum += u32::from(UNMATCHED),
                    Some(column) => {
                        prop_assert!(taken & (1 << column) == 0, "column {column} twice");
                        taken |= 1 << column;
                        prop_assert!(cost[row][usize::from(column)] != FORBIDDEN);
                        sum += u32::from(cost[row][usize::from(column)]);
                    }
                }
            }
            prop_assert_eq!(sum, least(&cost, 0, u32::MAX));
        }
    }

    #[test]
    fn a_full_matrix_is_solved() {
        let mut assignment = Assignment::<64>::new();
        for row in 0_usize..64 {
            for column in 0_usize..64 {
                let away = u16::try_from(row.abs_diff(63 - column)).unwrap();
                assignment.set(row, column, (100 * away).min(15_000));
            }
        }
        let found = assignment.solve(64, 64);
        for (row, column) in found.iter().enumerate() {
            assert_eq!(*column, u16::try_from(63 - row).ok());
        }
    }
}
