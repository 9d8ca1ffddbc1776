//! Random operations, cuts, full disks and restarts: captured = delivered + evicted + expired + rejected + waiting.

use proptest::prelude::*;

use super::*;
use crate::disk::simulated::{CUTS, Cut, Failure};

#[derive(Clone, Debug)]
enum Step {
    Put {
        length: usize,
        worth: u8,
        later: u64,
    },
    Expire,
    Bounds {
        bytes: u64,
        files: u32,
    },
    Claim {
        bytes: u64,
    },
    End {
        which: prop::sample::Index,
        end: usize,
    },
    Release {
        which: prop::sample::Index,
    },
    /// The process ends and begins again.
    Restart {
        agent: bool,
    },
    /// The power goes at a call from now on.
    Power {
        calls: usize,
        cut: usize,
    },
    /// The disk is full at a call from now on.
    Full {
        calls: usize,
        stays: bool,
    },
    /// Somebody made room.
    Emptied,
}

const ENDS: [End; 4] =
    [End::Delivered, End::Expired, End::Rejected(Cause::TooBig), End::Rejected(Cause::Forgotten)];

fn step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        8 => (4_usize..400, 0_u8..10, 0_u64..100)
            .prop_map(|(length, worth, later)| Step::Put { length, worth, later }),
        1 => Just(Step::Expire),
        1 => (0_u64..3_000, 0_u32..20).prop_map(|(bytes, files)| Step::Bounds { bytes, files }),
        3 => (0_u64..1_500).prop_map(|bytes| Step::Claim { bytes }),
        4 => (index(), 0_usize..4).prop_map(|(which, end)| Step::End { which, end }),
        1 => index().prop_map(|which| Step::Release { which }),
        1 => any::<bool>().prop_map(|agent| Step::Restart { agent }),
        2 => (0_usize..25, 0_usize..5).prop_map(|(calls, cut)| Step::Power { calls, cut }),
        1 => (0_usize..25, any::<bool>()).prop_map(|(calls, stays)| Step::Full { calls, stays }),
        1 => Just(Step::Emptied),
    ]
}

struct World {
    disk: SharedDisk,
    spool: Spool<SharedDisk>,
    claims: Claims<SharedDisk>,
    bounds: Limits,
    now: u64,
    number: u32,
    cut: Cut,
    power_goes: bool,
    failures: usize,
}

impl World {
    fn new() -> Self {
        let (disk, bounds) = (SharedDisk::default(), limits(2_000, 12));
        let (spool, claims) = (writer(&disk, bounds).unwrap(), agent(&disk).unwrap());
        Self {
            disk,
            spool,
            claims,
            bounds,
            now: NOW,
            number: 0,
            cut: Cut::Nothing,
            power_goes: false,
            failures: 0,
        }
    }

    fn take(&mut self, step: &Step) -> Result<(), SpoolError> {
        self.now += 1;
        let held = self.claims.held();
        let chosen = |which: &prop::sample::Index| (!held.is_empty()).then(|| which.get(&held).digest);
        match step {
            Step::Put { length, worth, later } => {
                self.number += 1;
                let bytes = sealed(self.number, *length);
                match self.spool.put(&bytes, class(*worth), self.now + later, self.now) {
                    Err(SpoolError::TooBig { .. } | SpoolError::Full { .. }) => Ok(()),
                    put => put.map(drop),
                }
            }
            Step::Expire => self.spool.expire(self.now).map(drop),
            Step::Bounds { bytes, files } => {
                self.bounds = limits(*bytes, *files);
                self.spool.set_limits(self.bounds);
                self.spool.evict(self.now).map(drop)
            }
            Step::Claim { bytes } => self.claims.claim(*bytes).map(drop),
            Step::End { which, end } => {
                chosen(which).map_or(Ok(()), |digest| self.claims.end(&digest, ENDS[*end], self.now))
            }
            Step::Release { which } => chosen(which).map_or(Ok(()), |digest| self.claims.release(&[digest])),
            Step::Restart { agent: true } => {
                self.claims = Claims::open(self.disk.clone(), Path::new(SPOOL), self.now)?;
                Ok(())
            }
            Step::Restart { agent: false } => {
                self.spool = Spool::open(self.disk.clone(), Path::new(SPOOL), self.bounds, self.now)?;
                Ok(())
            }
            Step::Power { calls, cut } => {
                (self.cut, self.power_goes) = (CUTS[*cut], true);
                self.fail(*calls, Failure::Power);
                Ok(())
            }
            Step::Full { calls, stays } if !self.power_goes => {
                self.fail(*calls, if *stays { Failure::StaysFull } else { Failure::Full });
                Ok(())
            }
            Step::Full { .. } => Ok(()),
            Step::Emptied => {
                if !self.power_goes {
                    self.fail(usize::MAX, Failure::Full);
                }
                Ok(())
            }
        }
    }

    fn fail(&self, calls: usize, failure: Failure) {
        self.disk.change(|disk| *disk = std::mem::take(disk).failing_at(calls, failure));
    }

    /// After an error: the power is back, or nothing but the error happened.
    fn go_on(&mut self, error: &SpoolError) {
        self.failures += 1;
        if self.power_goes {
            self.disk = self.disk.after(self.cut);
            self.power_goes = false;
            self.spool = Spool::open(self.disk.clone(), Path::new(SPOOL), self.bounds, self.now).unwrap();
            self.claims = Claims::open(self.disk.clone(), Path::new(SPOOL), self.now).unwrap();
        } else {
            assert!(error.is_full(), "{error}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if std::env::var_os("STOPLINE_FULL").is_some() { 5_000 } else { 200 }))]

    #[test]
    fn whatever_happens_each_record_ends_once_and_the_sum_holds(steps in prop::collection::vec(step(), 1..80)) {
        let mut world = World::new();
        for step in &steps {
            if let Err(error) = world.take(step) {
                world.go_on(&error);
            }
            if !world.power_goes {
                let found = check(&world.disk, Path::new(SPOOL));
                prop_assert!(found.is_ok(), "after {:?}: {}", step, found.unwrap_err());
            }
            let found = counts(&world.disk, Path::new(SPOOL)).unwrap();
            prop_assert!(found.waiting <= 20 && found.waiting_bytes <= 3_000, "{found:?}");
        }
    }
}
