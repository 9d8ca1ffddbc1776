//! Scenes: what belongs together.
//!
//! Two records belong to one scene if they are of one device and less than `gap` seconds apart, or if their pictures differ in at
//! most `alike` of 256 bits; and so on from record to record. So two records of different scenes are neither close in time on one
//! device nor alike, and a split by scenes leaks none.

use std::collections::BTreeMap;

use stopline_depot::digest::Digest;

use super::captured::Anchor;

/// What makes a scene.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Together {
    /// Seconds between two records of a device, below which they belong together.
    pub gap_s: u64,
    /// Bits of the hash by which pictures may differ and still look alike.
    pub alike: u32,
}

/// Scenes: digest → the scene's name, a hash over its first record: no name of a record, which may have to be forgotten. Order and repetition of `anchors` do not matter.
pub fn scenes<'a>(
    anchors: impl IntoIterator<Item = &'a Anchor>,
    together: Together,
) -> BTreeMap<Digest, Digest> {
    let mut all: Vec<&Anchor> = anchors.into_iter().collect();
    all.sort_by_key(|anchor| (anchor.device, anchor.captured, anchor.digest));
    all.dedup_by_key(|anchor| anchor.digest);
    let mut groups = Groups((0..all.len()).collect());
    for (at, pair) in all.windows(2).enumerate() {
        let apart = pair[1].captured.unix_seconds().abs_diff(pair[0].captured.unix_seconds());
        if pair[0].device == pair[1].device && apart < together.gap_s {
            groups.join(at, at + 1);
        }
    }
    for (at, one) in all.iter().enumerate() {
        for (beside, other) in all.iter().enumerate().skip(at + 1) {
            if one.look.distance(&other.look) <= together.alike {
                groups.join(at, beside);
            }
        }
    }
    let mut names: BTreeMap<usize, &Anchor> = BTreeMap::new();
    for (at, one) in all.iter().enumerate() {
        let name = names.entry(groups.of(at)).or_insert(one);
        if (one.captured, one.digest) < (name.captured, name.digest) {
            *name = one;
        }
    }
    all.iter().enumerate().map(|(at, one)| (one.digest, name(names[&groups.of(at)]))).collect()
}

fn name(first: &Anchor) -> Digest {
    Digest::of(format!("stopline/scene/v1\n{}", first.digest).as_bytes())
}

/// A number from 0 to 2⁶⁴ − 1 for a scene, by seed: the same tomorrow, whatever else is in the store by then.
pub fn draw(seed: u64, purpose: &str, scene: &Digest) -> u64 {
    let drawn = Digest::of(format!("stopline/{purpose}/v1\n{seed}\n{scene}").as_bytes());
    drawn.as_bytes().iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// Whether a draw falls into the first `percent`.
pub fn falls(drawn: u64, percent: u8) -> bool {
    u128::from(drawn) * 100 < u128::from(percent) << 64
}

/// Disjoint sets.
struct Groups(Vec<usize>);

impl Groups {
    fn of(&mut self, mut at: usize) -> usize {
        while self.0[at] != at {
            self.0[at] = self.0[self.0[at]];
            at = self.0[at];
        }
        at
    }

    fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.of(one), self.of(other));
        self.0[one.max(other)] = one.min(other);
    }
}

#[cfg(test)]
mod tests;
