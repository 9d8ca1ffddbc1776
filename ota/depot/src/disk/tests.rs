use super::simulated::{CUTS, Cut, Failure, SimulatedDisk};
use super::*;

const PLACE: &str = "depot/pointers.json";

fn with_old() -> SimulatedDisk {
    let mut disk = SimulatedDisk::default();
    replace(&mut disk, Path::new(PLACE), b"the old content").unwrap();
    disk
}

fn content(disk: &SimulatedDisk) -> Option<Vec<u8>> {
    disk.read(Path::new(PLACE), 100).unwrap()
}

#[test]
fn a_replacement_cut_at_any_call_leaves_the_old_or_the_new() {
    let new = b"the new content, longer than the old";
    let mut done = with_old();
    let before = done.calls();
    replace(&mut done, Path::new(PLACE), new).unwrap();
    let calls = done.calls() - before;
    let mut seen = [0, 0];
    for call in 0..=calls {
        for cut in CUTS {
            let mut disk = with_old().failing_at(call, Failure::Power);
            let result = replace(&mut disk, Path::new(PLACE), new);
            assert_eq!(result.is_ok(), call == calls);
            let mut disk = disk.after(cut);
            let found = content(&disk).unwrap_or_else(|| panic!("nothing after call {call}, {cut:?}"));
            assert!(found == b"the old content" || found == new, "{call}, {cut:?}: {found:?}");
            assert!(result.is_err() || found == new, "what was said to be written is");
            seen[usize::from(found == new)] += 1;
            // And the next start can write again.
            replace(&mut disk, Path::new(PLACE), b"third").unwrap();
            assert_eq!(content(&disk.after(Cut::Nothing)).unwrap(), b"third");
        }
    }
    println!("{} cuts: {} old, {} new", seen[0] + seen[1], seen[0], seen[1]);
    assert!(seen[0] > 0 && seen[1] > 0);
}

#[test]
fn a_full_disk_at_any_call_leaves_the_old_and_one_may_try_again() {
    for call in 0..5 {
        let mut disk = with_old().failing_at(call, Failure::Full);
        let error = replace(&mut disk, Path::new(PLACE), b"new").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        // Only the last call, the folder's sync, comes after the rename.
        let expected: &[u8] = if call == 4 { b"new" } else { b"the old content" };
        assert_eq!(content(&disk).unwrap(), expected, "{call}");
        replace(&mut disk, Path::new(PLACE), b"new").unwrap();
        assert_eq!(content(&disk.after(Cut::Nothing)).unwrap(), b"new");
    }
}

/// The control: a test of cuts that passes without syncs proves nothing.
#[test]
fn without_syncs_a_cut_does_harm_and_the_test_sees_it() {
    let harmed = CUTS.into_iter().any(|cut| {
        let mut disk = with_old();
        disk.without_sync = true;
        replace(&mut disk, Path::new(PLACE), b"new").unwrap();
        content(&disk.after(cut)).as_deref() != Some(b"new")
    });
    assert!(harmed);
}

#[test]
fn the_real_disk_does_what_the_simulated_one_does() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("a").join("b.json");
    let mut disk = RealDisk;
    assert_eq!(disk.read(&place, 10).unwrap(), None);
    assert_eq!(disk.list(folder_of(&place)).unwrap(), Vec::<String>::new());
    disk.create_folder(folder_of(&place)).unwrap();
    for content in [&b"one"[..], b"two and more", b""] {
        replace(&mut disk, &place, content).unwrap();
        assert_eq!(disk.read(&place, 12).unwrap().as_deref(), Some(content));
    }
    replace(&mut disk, &place, b"0123456789").unwrap();
    assert_eq!(disk.read(&place, 9).unwrap_err().kind(), ErrorKind::FileTooLarge);
    assert_eq!(disk.list(folder_of(&place)).unwrap(), ["b.json"]);
    disk.remove(&place).unwrap();
    disk.remove(&place).unwrap();
    assert_eq!(disk.read(&place, 10).unwrap(), None);
}
