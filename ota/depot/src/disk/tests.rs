use super::simulated::{CUTS, Cut, Failure, SimulatedDisk};
use super::*;

const PLACE: &str = "depot/pointers.json";

fn with_old() -> SimulatedDisk {
    let mut disk = SimulatedDisk::default();
    disk.create_folder(Path::new("depot")).unwrap();
    disk.sync_folder(Path::new(".")).unwrap();
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
    for (call, failure) in (0..5).flat_map(|call| [(call, Failure::Full), (call, Failure::StaysFull)]) {
        let mut disk = with_old().failing_at(call, failure);
        if failure == Failure::StaysFull && (call == 2 || call == 4) {
            // What needs no room goes on.
            continue;
        }
        let error = replace(&mut disk, Path::new(PLACE), b"new").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        // Only the last call, the folder's sync, comes after the rename.
        let expected: &[u8] = if call == 4 { b"new" } else { b"the old content" };
        assert_eq!(content(&disk).unwrap(), expected, "{call}");
        let mut disk = disk.failing_at(usize::MAX, Failure::Full);
        replace(&mut disk, Path::new(PLACE), b"new").unwrap();
        assert_eq!(content(&disk.after(Cut::Nothing)).unwrap(), b"new");
    }
}

#[test]
fn a_folder_lasts_when_the_one_above_it_is_synced_and_a_worn_medium_shows() {
    let (folder, file) = (Path::new("a/b"), Path::new("a/b/c"));
    let mut disk = SimulatedDisk::default();
    disk.create_folder(folder).unwrap();
    disk.worn = true;
    let mut open = disk.create(file).unwrap();
    disk.write(&mut open, b"0123").unwrap();
    disk.sync(&mut open).unwrap();
    disk.sync_folder(folder).unwrap();
    assert_eq!(disk.read(file, 9).unwrap().unwrap(), b"0123");
    assert_eq!(disk.after(Cut::Nothing).list(Path::new(".")).unwrap(), Vec::<String>::new());
    disk.forget(&mut open).unwrap();
    assert_eq!(disk.read(file, 9).unwrap().unwrap(), b"0163");
    disk.sync_folder(Path::new("a")).unwrap();
    disk.sync_folder(Path::new(".")).unwrap();
    let mut after = disk.after(Cut::Nothing);
    assert_eq!(after.list(folder).unwrap(), ["c"]);
    assert_eq!(after.remove_folder(folder).unwrap_err().kind(), ErrorKind::DirectoryNotEmpty);
    after.remove(file).unwrap();
    after.remove_folder(folder).unwrap();
    after.remove_folder(folder).unwrap();
    // The removal was not synced: the folder is back, and what it held too.
    assert_eq!(after.after(Cut::Nothing).list(folder).unwrap(), ["c"]);
    assert!(after.read(file, 9).unwrap().is_none());
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
    let mut text = String::new();
    disk.open(&place).unwrap().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "0123456789");
    assert!(disk.available(folder_of(&place)).unwrap() > 0);
    assert_eq!(disk.remove_folder(folder_of(&place)).unwrap_err().kind(), ErrorKind::DirectoryNotEmpty);
    disk.remove(&place).unwrap();
    disk.remove(&place).unwrap();
    assert_eq!(disk.read(&place, 10).unwrap(), None);
    disk.remove_folder(folder_of(&place)).unwrap();
    disk.remove_folder(folder_of(&place)).unwrap();
    let mut file = disk.create(&folder.path().join("c")).unwrap();
    disk.write(&mut file, b"c").unwrap();
    disk.sync(&mut file).unwrap();
    disk.forget(&mut file).unwrap();
}
