//! Bytes of a row collected by a table of where they lie, 16 at a time.
//!
//! A processor that looks 16 bytes up at once (SSSE3, NEON) takes eight pixels with their neighbours out of a few windows of
//! 16 bytes; byte by byte, the loads are most of what preparing costs.

use crate::cpu::LookUp;

/// Bytes of a window, and of what is collected at once.
pub(super) const LANES: usize = 16;

/// Where the bytes lie.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Picks {
    /// Of each byte, its place on the row; as many as fill all windows.
    places: Vec<u32>,
    /// Windows of a group of [`LANES`] bytes, the same number for each group.
    windows: usize,
    /// Of each group's windows, the first byte on the row.
    starts: Vec<u32>,
    /// Of each group's windows, the byte for each of the group's bytes; [`NONE`] where it lies in another window.
    tables: Vec<[u8; LANES]>,
}

/// A window's first byte on the row, and its table.
type Window = (u32, [u8; LANES]);

/// Looks up zero.
const NONE: u8 = 0x80;

impl Picks {
    /// For the bytes at `places` of a row `length` bytes long. `None` where there are none, or the row is shorter than a window.
    pub(super) fn new(places: impl Iterator<Item = usize>, length: usize) -> Option<Self> {
        // Rows are held to 32 768 pixels of three bytes.
        let mut places: Vec<u32> = places.map(|place| u32::try_from(place).unwrap_or(u32::MAX)).collect();
        let last = *places.last()?;
        places.resize(places.len().next_multiple_of(LANES), last);
        let latest = u32::try_from(length.checked_sub(LANES)?).ok()?;
        let (groups, _) = places.as_chunks::<LANES>();
        let groups: Vec<Vec<Window>> = groups.iter().map(|group| cover(group, latest)).collect();
        // Seven are made eight: there is no code for them alone.
        let windows = groups.iter().map(Vec::len).max().map(|most| if most == 7 { 8 } else { most })?;
        let spare = (0, [NONE; LANES]);
        let padded = |group: Vec<Window>| group.into_iter().chain(std::iter::repeat(spare)).take(windows);
        let (starts, tables) = groups.into_iter().flat_map(padded).unzip();
        Some(Self { places, windows, starts, tables })
    }

    /// How many bytes are collected: whole groups.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Collects them from `row`, which is as long as was said, into `out`, which holds [`Self::len`].
    #[inline(always)]
    pub(crate) fn collect<L: LookUp>(&self, look_up: L, row: &[u8], out: &mut [u8]) {
        let (groups, _) = out.as_chunks_mut::<LANES>();
        // As numbers that the compiler knows, so that the inner loop is none.
        match self.windows {
            1 if L::IS_FAST => self.windowed::<L, 1>(look_up, row, groups),
            2 if L::IS_FAST => self.windowed::<L, 2>(look_up, row, groups),
            3 if L::IS_FAST => self.windowed::<L, 3>(look_up, row, groups),
            4 if L::IS_FAST => self.windowed::<L, 4>(look_up, row, groups),
            5 if L::IS_FAST => self.windowed::<L, 5>(look_up, row, groups),
            6 if L::IS_FAST => self.windowed::<L, 6>(look_up, row, groups),
            // A pixel and its neighbour share a window, so eight do for whatever lies in order.
            8 if L::IS_FAST => self.windowed::<L, 8>(look_up, row, groups),
            _ => {
                for (out, &place) in out.iter_mut().zip(&self.places) {
                    *out = row[place as usize];
                }
            }
        }
    }

    #[inline(always)]
    fn windowed<L: LookUp, const W: usize>(&self, look_up: L, row: &[u8], out: &mut [[u8; LANES]]) {
        let (starts, tables) = (self.starts.as_chunks::<W>().0, self.tables.as_chunks::<W>().0);
        for ((out, starts), tables) in out.iter_mut().zip(starts).zip(tables) {
            let mut sum = [0; LANES];
            for (&start, &table) in starts.iter().zip(tables) {
                let near = row[start as usize..].first_chunk().copied().unwrap_or_default();
                sum = either(sum, look_up.look_up(near, table));
            }
            *out = sum;
        }
    }
}

/// Windows that hold all places of a group, each as far on the row as what is missing allows. None begins behind `latest`.
fn cover(group: &[u32; LANES], latest: u32) -> Vec<Window> {
    let (mut windows, mut missing) = (Vec::new(), [true; LANES]);
    let first = |missing: &[bool; LANES]| {
        group.iter().zip(missing).filter(|(_, is)| **is).map(|(&place, _)| place).min()
    };
    while let Some(least) = first(&missing) {
        let start = least.min(latest);
        let mut table = [NONE; LANES];
        for ((place, missing), &at) in table.iter_mut().zip(&mut missing).zip(group) {
            if let Some(near) = at.checked_sub(start).and_then(|near| u8::try_from(near).ok())
                && usize::from(near) < LANES
                && *missing
            {
                (*place, *missing) = (near, false);
            }
        }
        windows.push((start, table));
    }
    windows
}

/// Of each byte, whichever is not zero.
#[inline(always)]
fn either(a: [u8; LANES], b: [u8; LANES]) -> [u8; LANES] {
    (u128::from_ne_bytes(a) | u128::from_ne_bytes(b)).to_ne_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_looks_up_finds_the_bytes_at_their_places(
            row in proptest::collection::vec(any::<u8>(), 16..600),
            shares in proptest::collection::vec(0.0f64..1.0, 1..200),
            near in 1usize..600,
        ) {
            // Rising, as pixels are, on more or less of the row; and anyhow.
            let anyhow: Vec<usize> = shares.iter().map(|share| (share * row.len() as f64) as usize).collect();
            let mut rising: Vec<usize> = anyhow.iter().map(|place| place * near.min(row.len()) / row.len()).collect();
            rising.sort_unstable();
            for places in [rising, anyhow] {
                let Some(picks) = Picks::new(places.iter().copied(), row.len()) else {
                    return Err(TestCaseError::fail("a row of 16 bytes or more has room for a window"));
                };
                let expected: Vec<u8> = places.iter().map(|&place| row[place]).collect();
                for (name, collect) in crate::cpu::collectors() {
                    let mut out = vec![0; picks.len()];
                    collect(&picks, &row, &mut out);
                    prop_assert_eq!(&out[..expected.len()], &expected[..], "{}", name);
                }
            }
        }
    }

    #[test]
    fn no_bytes_and_rows_without_room_have_no_picks() {
        assert_eq!(Picks::new(std::iter::empty(), 100), None);
        assert_eq!(Picks::new([0, 15].into_iter(), 15), None);
        assert!(Picks::new([0, 15].into_iter(), 16).is_some());
    }
}
