//! Bundles, plain and packed: what is accepted is byte for byte what would be written; a slot takes what was signed and
//! nothing else.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use stopline_depot::bundle::packed::unpack;
use stopline_depot::bundle::{Bundle, write_tar};
use stopline_depot::digest::Digest;
use stopline_depot::disk::Disk;
use stopline_depot::disk::simulated::SharedDisk;
use stopline_depot::slots::{Depot, DepotPaths, SlotState, StoredEvidence};

fuzz_target!(init: stopline_fuzz::seeds::bundles(), |bytes: &[u8]| {
    check_tar(bytes);
    let mut tar = Vec::new();
    if unpack(bytes, bytes.len() as u64, &mut tar).is_ok() {
        check_tar(&tar);
        check_slot(bytes, &tar);
    }
    check_slot(bytes, b"what was signed");
});

fn check_tar(tar: &[u8]) {
    let Ok(bundle) = Bundle::read(tar) else { return };
    let mut again = Vec::new();
    write_tar(&bundle, &mut again).expect("what was read can be written");
    assert_eq!(again, tar);
}

/// Fills a slot for `signed` with what `packed` unpacks to.
fn check_slot(packed: &[u8], signed: &[u8]) {
    let disk = SharedDisk::default();
    let paths = DepotPaths::new("depot");
    let mut depot = Depot::without_lock(disk.clone(), paths.clone()).expect("an empty disk is good");
    let digest = Digest::of(signed);
    let release = stopline_fuzz::seeds::release_of(signed);
    if let Ok(mut filling) = depot.fill(release, "models/m/1.slb", StoredEvidence::default())
        && filling.unpack(packed, packed.len() as u64).is_ok()
    {
        let _ = filling.finish();
    }
    if depot.slot_state(&digest).expect("nothing unreadable was written") == SlotState::Staged {
        let path: &Path = &paths.bundle(&digest);
        let staged = disk.read(path, signed.len() as u64).expect("it is there");
        assert_eq!(staged.as_deref(), Some(signed));
    }
}
