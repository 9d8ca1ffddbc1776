//! Duplicates go, and where fewer are wanted than there are, rare classes, conditions and devices come first.

use std::collections::{BTreeMap, BTreeSet};

use stopline_depot::digest::Digest;

use super::annotation::Annotation;
use super::captured::Captured;
use super::scenes::draw;

/// Boxes of duplicates overlap by this much at least.
const SAME_BOX: f64 = 0.5;

/// A record and what counts as its content: labels or predictions.
#[derive(Clone, Debug)]
pub struct Candidate<'a> {
    /// The record.
    pub record: &'a Captured,
    /// What is in it.
    pub annotations: &'a [Annotation],
}

impl Candidate<'_> {
    fn digest(&self) -> Digest {
        self.record.anchor.digest
    }
}

/// Without duplicates, and for each that is kept the digests of those that it stands for. Duplicates look alike within `bits` and
/// show the same: a person who fell in an unchanged room changes few bits of a hash. The earliest is kept.
pub fn without_duplicates<'a>(
    mut candidates: Vec<Candidate<'a>>,
    bits: u32,
) -> (Vec<Candidate<'a>>, BTreeMap<Digest, Vec<Digest>>) {
    candidates.sort_by_key(|candidate| (candidate.record.anchor.captured, candidate.digest()));
    let mut kept: Vec<Candidate<'a>> = Vec::new();
    let mut gone: BTreeMap<Digest, Vec<Digest>> = BTreeMap::new();
    for candidate in candidates {
        let near = |other: &&Candidate<'_>| {
            let (mine, theirs) = (&candidate.record.anchor.look, &other.record.anchor.look);
            mine.distance(theirs) <= bits && same(candidate.annotations, other.annotations)
        };
        match kept.iter().find(near) {
            Some(other) => gone.entry(other.digest()).or_default().push(candidate.digest()),
            None => kept.push(candidate),
        }
    }
    gone.values_mut().for_each(|digests| digests.sort());
    (kept, gone)
}

/// Whether each box of one has its like in the other.
fn same(one: &[Annotation], other: &[Annotation]) -> bool {
    let mut free: Vec<&Annotation> = other.iter().collect();
    one.len() == other.len()
        && one.iter().all(|mine| {
            let like = |theirs: &&Annotation| theirs.label == mine.label && theirs.iou(mine) >= SAME_BOX;
            free.iter().position(like).map(|at| free.swap_remove(at)).is_some()
        })
}

/// At most `limit`, as evenly over classes, conditions and devices as the candidates allow: one after another, each time the one
/// whose class, condition and device have the fewest so far.
pub fn balanced<'a>(candidates: Vec<Candidate<'a>>, limit: usize, seed: u64) -> Vec<Candidate<'a>> {
    if candidates.len() <= limit {
        return candidates;
    }
    let mut cells: BTreeMap<Vec<Key>, Vec<Candidate<'a>>> = BTreeMap::new();
    for candidate in candidates {
        cells.entry(keys(&candidate)).or_default().push(candidate);
    }
    // The order within a cell is drawn; the last is taken first.
    for cell in cells.values_mut() {
        cell.sort_by_cached_key(|candidate| {
            std::cmp::Reverse((draw(seed, "choose", &candidate.digest()), candidate.digest()))
        });
    }
    let mut counts: BTreeMap<Key, u64> = BTreeMap::new();
    let mut kinds: BTreeMap<u8, BTreeSet<Key>> = BTreeMap::new();
    for key in cells.keys().flatten() {
        kinds.entry(key.kind()).or_default().insert(key.clone());
    }
    let mut chosen = Vec::with_capacity(limit);
    while chosen.len() < limit {
        // A key's count weighs by how many keys of its kind share the pictures; classes of one picture count by their mean.
        let cost = |cell: &Vec<Key>| -> u64 {
            let of_kind = |kind: u8| {
                let counts = cell
                    .iter()
                    .filter(|key| key.kind() == kind)
                    .map(|key| counts.get(key).copied().unwrap_or(0));
                let (sum, number) = counts.fold((0, 0), |(sum, number), count| (sum + count, number + 1));
                let share = kinds.get(&kind).map_or(0, |keys| u64::try_from(keys.len()).unwrap_or(u64::MAX));
                1000 * sum * share / u64::max(number, 1)
            };
            (0..3).map(of_kind).sum()
        };
        let open = cells.iter().filter(|(_, cell)| !cell.is_empty());
        let Some((_, keys)) = open.map(|(keys, _)| (cost(keys), keys)).min() else { break };
        let keys = keys.clone();
        let Some(candidate) = cells.get_mut(&keys).and_then(Vec::pop) else { break };
        keys.into_iter().for_each(|key| *counts.entry(key).or_default() += 1);
        chosen.push(candidate);
    }
    chosen.sort_by_key(Candidate::digest);
    chosen
}

/// What is counted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Class(String),
    Condition(super::picture::Condition),
    Device(Digest),
}

impl Key {
    fn kind(&self) -> u8 {
        match self {
            Self::Class(_) => 0,
            Self::Condition(_) => 1,
            Self::Device(_) => 2,
        }
    }
}

fn keys(candidate: &Candidate<'_>) -> Vec<Key> {
    let mut classes: BTreeSet<Key> =
        candidate.annotations.iter().map(|annotation| Key::Class(annotation.label.clone())).collect();
    if classes.is_empty() {
        // Pictures with nothing in them are a class of their own.
        classes.insert(Key::Class(String::new()));
    }
    let record = candidate.record;
    classes.into_iter().chain([Key::Condition(record.condition), Key::Device(record.anchor.device)]).collect()
}
