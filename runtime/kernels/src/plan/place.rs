//! Where each result lies in the one memory: two results may lie in one place if they are never needed together.

use crate::graph::{GraphError, MOST_VALUES};

/// A result: from the step that writes it to the last that reads it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Life {
    /// In blocks.
    pub length: usize,
    pub first: usize,
    pub last: usize,
}

/// A place for each of `lives`, and how long the memory is, in blocks of `lanes`.
///
/// The largest results are placed first, each at the lowest place that is free as long as it lives. Places are multiples
/// of a cache line.
///
/// # Errors
/// More than [`MOST_VALUES`] numbers.
pub(super) fn places(lives: &[Life], lanes: usize) -> Result<(Vec<usize>, usize), GraphError> {
    let line = (16 / lanes).max(1);
    let mut order: Vec<usize> = (0..lives.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse(lives[*at].length));
    let mut places = vec![0; lives.len()];
    let mut placed: Vec<usize> = Vec::new();
    let mut end = 0;
    for at in order {
        let life = lives[at];
        let length = life.length.next_multiple_of(line);
        let mut taken: Vec<(usize, usize)> = placed
            .iter()
            .filter(|other| lives[**other].first <= life.last && life.first <= lives[**other].last)
            .map(|other| (places[*other], places[*other] + lives[*other].length.next_multiple_of(line)))
            .collect();
        taken.sort_unstable();
        let mut place = 0;
        for (from, to) in taken {
            if place + length <= from {
                break;
            }
            place = place.max(to);
        }
        places[at] = place;
        placed.push(at);
        end = end.max(place + length);
    }
    let found = end.saturating_mul(lanes);
    if found > MOST_VALUES {
        return Err(GraphError::TooLarge { what: "numbers of a plan's memory", found, limit: MOST_VALUES });
    }
    Ok((places, end))
}
