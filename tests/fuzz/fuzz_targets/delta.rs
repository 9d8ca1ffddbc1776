//! Deltas: whatever comes, what is written has the promised length at most, and a slot takes what was signed and nothing
//! else; a delta that is made leads where it should.
#![no_main]

use std::io::Cursor;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use stopline_depot::delta::{self, Algorithm, Head};
use stopline_depot::digest::Digest;
use stopline_depot::disk::simulated::SharedDisk;
use stopline_depot::release::Content;
use stopline_depot::slots::{Depot, DepotPaths, SlotState, StoredEvidence};
use stopline_fuzz::seeds;

static OLD: LazyLock<Vec<u8>> = LazyLock::new(|| seeds::tar(1));

fuzz_target!(init: seeds::deltas(), |bytes: &[u8]| {
    if let Ok(head) = Head::read(bytes) {
        let mut out = Vec::new();
        if delta::apply(Cursor::new(&*OLD), bytes, &head.from.sha256, &head.to, &mut out).is_ok() {
            assert_eq!(out.len() as u64, head.to.length);
            assert!(out.len() <= bytes.len().saturating_mul(100_000));
        }
    }
    check_slot(bytes);
    // Any two files, and an ONNX file that says anything.
    if bytes.len() < 4096 {
        check_made(bytes);
    }
});

fn check_slot(bytes: &[u8]) {
    let new = seeds::tar(2);
    let disk = SharedDisk::default();
    let mut depot = Depot::without_lock(disk, DepotPaths::new("depot")).expect("an empty disk is good");
    for (tar, way) in [(&*OLD, None), (&new, Some(bytes))] {
        let mut filling = depot
            .fill(seeds::release_of(tar), "models/m/1.slb", StoredEvidence::default())
            .expect("there is room");
        let filled = match way {
            None => filling.add(tar),
            Some(bytes) => filling.apply(&Digest::of(&OLD), bytes),
        };
        let done = filled.and_then(|()| filling.finish().map(drop));
        assert!(done.is_ok() || way.is_some(), "{done:?}");
        if done.is_ok() {
            let state = depot.slot_state(&Digest::of(tar)).expect("nothing unreadable was written");
            assert_eq!(state, SlotState::Staged);
        }
    }
}

fn check_made(bytes: &[u8]) {
    let new = seeds::tar_of(bytes).unwrap_or_else(|| bytes.to_vec());
    let made = delta::make(&OLD, &new, Algorithm::Tensor).expect("there is memory");
    let to = Content { sha256: Digest::of(&new), length: new.len() as u64 };
    let mut out = Vec::new();
    delta::apply(Cursor::new(&*OLD), &made[..], &Digest::of(&OLD), &to, &mut out).expect("it was made");
    assert_eq!(out, new);
}
