//! Which records must go: those of the lowest class first, and within a class so that what stays is spread evenly over time.
//!
//! Dropping the oldest loses the drive of this morning, dropping the newest loses all of this afternoon. Here the one goes
//! whose neighbours in time are closest together: where most was captured, most is dropped, and the first and the last of
//! a class stay.

use super::Class;

/// A record as far as eviction is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) class: Class,
    /// Where it lies in time, in seconds: its expiry, which is its capture and the same retention for all.
    pub(super) time: u64,
    pub(super) length: u64,
}

/// What must be left, at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) bytes: u64,
    pub(super) files: usize,
}

/// The places of those that must go, in the order in which they were chosen; all of them, where even that is not enough.
pub(super) fn victims(candidates: &[Candidate], room: Room) -> Vec<usize> {
    let mut bytes = candidates.iter().fold(0_u64, |sum, one| sum.saturating_add(one.length));
    let mut files = candidates.len();
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by_key(|at| (candidates[*at].class, candidates[*at].time, *at));
    let mut victims = Vec::new();
    while (bytes > room.bytes || files > room.files) && !order.is_empty() {
        let lowest = candidates[order[0]].class;
        let end = order.partition_point(|at| candidates[*at].class == lowest);
        let victim = order.remove(least_missed(&order[..end], candidates));
        bytes = bytes.saturating_sub(candidates[victim].length);
        files -= 1;
        victims.push(victim);
    }
    victims
}

/// Of records of one class in order of time: the one between the closest neighbours; the older of two that are alone.
fn least_missed(order: &[usize], candidates: &[Candidate]) -> usize {
    let time = |at: usize| candidates[order[at]].time;
    let inner = 1..order.len().saturating_sub(1);
    inner.min_by_key(|at| time(at + 1).saturating_sub(time(at - 1))).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(time: u64, class: u8) -> Candidate {
        Candidate { class: Class::new(class).unwrap(), time, length: 10 }
    }

    /// What stays of a stream in which each new one is put and the bound is held.
    fn kept(times: impl Iterator<Item = u64>, files: usize) -> Vec<u64> {
        let mut held: Vec<Candidate> = Vec::new();
        for time in times {
            held.push(at(time, 3));
            let mut gone = victims(&held, Room { bytes: u64::MAX, files });
            gone.sort_unstable();
            gone.into_iter().rev().for_each(|victim| {
                held.remove(victim);
            });
        }
        held.iter().map(|one| one.time).collect()
    }

    fn gaps(times: &[u64]) -> (u64, f64) {
        let gaps: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let mean = gaps.iter().sum::<u64>() as f64 / gaps.len() as f64;
        (gaps.into_iter().max().unwrap(), mean)
    }

    #[test]
    fn a_long_day_is_thinned_evenly_and_neither_its_begin_nor_its_end_is_lost() {
        for files in [10, 64, 200] {
            let kept = kept((0..5000).map(|second| second * 7), files);
            let (longest, mean) = gaps(&kept);
            println!("{files} of 5000: longest gap {longest}, mean {mean:.1}");
            assert_eq!((kept.len(), kept[0], kept[files - 1]), (files, 0, 4999 * 7));
            assert!(longest as f64 <= 3.0 * mean, "{kept:?}");
        }
        // A minute with very many of them does not push the rest of the day out.
        let day = (0..100).map(|minute| minute * 60);
        let times = day.clone().take(50).chain((0..1000).map(|n| 49 * 60 + n / 20)).chain(day.skip(50));
        let left = kept(times, 60);
        let in_that_minute = left.iter().filter(|time| (49 * 60..50 * 60).contains(*time)).count();
        println!("of a minute with 1,000 of them stay {in_that_minute} of 60");
        assert!(in_that_minute <= 6 && gaps(&left).0 <= 360, "{left:?}");
    }

    #[test]
    fn the_lowest_class_goes_first_and_the_highest_only_for_its_own() {
        let held = [at(1, 9), at(2, 2), at(3, 5), at(4, 2), at(5, 9)];
        assert_eq!(victims(&held, Room { bytes: 100, files: 5 }), Vec::<usize>::new());
        assert_eq!(victims(&held, Room { bytes: 100, files: 3 }), [1, 3]);
        assert_eq!(victims(&held, Room { bytes: 29, files: 5 }), [1, 3, 2]);
        assert_eq!(victims(&held, Room { bytes: 0, files: 5 }).len(), 5);
    }
}
