mod cuts;
mod deployments;
mod kills;
mod pointing;
mod world;

use std::collections::BTreeSet;
use std::io::{self, Cursor};
use std::path::Path;

use super::*;
use crate::deployment::{DeployCause, Verdict, VerdictState};
use crate::disk::simulated::{Cut, SharedDisk};
use crate::disk::{Disk, RealDisk};
use world::{bundle, depot, fill, offer_of, paths, release_of, state_paths};

#[test]
fn a_slot_is_empty_then_filling_then_staged_and_never_written_again() {
    let disk = SharedDisk::default();
    let mut depot = depot(&disk);
    let bytes = bundle(1);
    let digest = Digest::of(&bytes);
    assert_eq!(depot.slot_state(&digest).unwrap(), SlotState::Empty);
    let mut filling = depot.fill(release_of(&bytes), "models/m/1.slb", StoredEvidence::default()).unwrap();
    filling.add(&bytes[..100]).unwrap();
    assert_eq!(filling.written(), 100);
    drop(filling);
    assert_eq!(depot.slot_state(&digest).unwrap(), SlotState::Filling);
    assert!(matches!(depot.offer(&offer_of(digest)), Err(DepotError::NotStaged(_))), "half is not offered");

    let record = fill(&mut depot, &bytes).unwrap();
    assert_eq!(depot.slot_state(&digest).unwrap(), SlotState::Staged);
    assert_eq!(depot.slot_record(&digest).unwrap().unwrap(), record);
    assert_eq!(depot.staged().unwrap(), [record]);
    depot.verify(&digest).unwrap();
    let again = depot.fill(release_of(&bytes), "models/m/1.slb", StoredEvidence::default());
    assert!(matches!(again, Err(DepotError::Staged(found)) if found == digest));
    depot.offer(&offer_of(digest)).unwrap();
    assert_eq!(depot.offered("m").unwrap().unwrap().digest, digest);
    depot.withdraw("m").unwrap();
    assert!(depot.offered("m").unwrap().is_none());
}

#[test]
fn what_is_not_what_was_signed_never_becomes_staged() {
    let bytes = bundle(1);
    let digest = Digest::of(&bytes);
    let mut flipped = bytes.clone();
    flipped[500] ^= 1;
    let longer = [&bytes[..], b"x"].concat();
    for (wrong, story) in [
        (&flipped[..], "the digest"),
        (&bytes[..bytes.len() - 1], "were signed"),
        (&longer, "more than"),
        (b"", "0 bytes came"),
    ] {
        let disk = SharedDisk::default();
        let mut depot = depot(&disk);
        let mut filling =
            depot.fill(release_of(&bytes), "models/m/1.slb", StoredEvidence::default()).unwrap();
        let result = wrong.chunks(1000).try_for_each(|piece| filling.add(piece)).and_then(|()| {
            filling.finish()?;
            Ok(())
        });
        let error = result.unwrap_err();
        assert!(error.to_string().contains(story), "{error}");
        assert_eq!(error.cause(), DeployCause::Content);
        assert_ne!(depot.slot_state(&digest).unwrap(), SlotState::Staged);
        fill(&mut depot, &bytes).unwrap();
    }
}

/// RAUC #1758: what was written is not what lies there.
#[test]
fn a_medium_that_gives_back_something_else_is_noticed_before_the_slot_is_staged() {
    let disk = SharedDisk::default();
    let mut depot = depot(&disk);
    let bytes = bundle(1);
    disk.change(|disk| disk.worn = true);
    let error = fill(&mut depot, &bytes).unwrap_err();
    assert!(matches!(error, DepotError::ReadBack { .. }), "{error}");
    assert_eq!(depot.slot_state(&Digest::of(&bytes)).unwrap(), SlotState::Empty);
    disk.change(|disk| disk.worn = false);
    fill(&mut depot, &bytes).unwrap();
    // And what goes bad later is found when one looks.
    let path = paths().bundle(&Digest::of(&bytes));
    let mut hand = disk.clone();
    let mut file = hand.create(&path).unwrap();
    hand.write(&mut file, b"rot").unwrap();
    assert!(matches!(depot.verify(&Digest::of(&bytes)), Err(DepotError::ReadBack { .. })));
}

#[test]
fn what_does_not_fit_is_refused_before_a_byte_is_written() {
    let disk = SharedDisk::default();
    let mut depot = depot(&disk);
    let bytes = bundle(1);
    let needed = bytes.len() as u64 + RESERVE;
    disk.change(|disk| disk.room = needed - 1);
    let before = disk.calls();
    let error = fill(&mut depot, &bytes).unwrap_err();
    assert!(error.is_full() && error.cause() == DeployCause::Space, "{error}");
    assert_eq!(disk.calls(), before);
    disk.change(|disk| disk.room = needed);
    fill(&mut depot, &bytes).unwrap();
}

#[test]
fn garbage_goes_and_what_is_pointed_at_offered_waited_for_or_asked_for_stays() {
    let disk = SharedDisk::default();
    let mut depot = depot(&disk);
    let mut state = RuntimeState::without_lock(disk.clone(), state_paths()).unwrap();
    let slots: Vec<Digest> = (0..9).map(|number| fill(&mut depot, &bundle(number)).unwrap().digest).collect();
    let [previous, current, candidate, offered, back, waited, asked, idle, other] = slots[..] else {
        panic!()
    };
    for digest in [previous, current] {
        state.point("m", |model| model.take_up(digest)).unwrap();
        state.point("m", |model| model.begin_trial("r", "b")).unwrap();
        state.point("m", |model| model.end_good()).unwrap();
    }
    state.point("m", |model| model.take_up(candidate)).unwrap();
    depot.offer(&Offer { abort_to: Some(back), ..offer_of(offered) }).unwrap();
    let begin = |journal: &mut Journal| Ok(journal.begin("other", "r", waited, "models/m/1.slb"));
    depot.record(begin).unwrap();
    let mut gone = depot.collect_garbage(&state_paths(), &BTreeSet::from([asked])).unwrap();
    gone.sort();
    let mut expected = [idle, other];
    expected.sort();
    assert_eq!(gone, expected);
    for digest in [previous, current, candidate, offered, back, waited, asked] {
        assert_eq!(depot.slot_state(&digest).unwrap(), SlotState::Staged);
        depot.verify(&digest).unwrap();
    }
    assert_eq!(depot.slot_state(&idle).unwrap(), SlotState::Empty);
    assert!(depot.collect_garbage(&state_paths(), &BTreeSet::from([asked])).unwrap().is_empty());
}

#[test]
fn nothing_goes_while_the_pointers_cannot_be_read() {
    for (pointers, cause) in
        [(&b"{\"schema\": 2, \"later\": []}"[..], DeployCause::Schema), (b"{", DeployCause::Content)]
    {
        let disk = SharedDisk::default();
        let mut depot = depot(&disk);
        let digest = fill(&mut depot, &bundle(1)).unwrap().digest;
        let mut hand = disk.clone();
        hand.create_folder(state_paths().folder()).unwrap();
        let mut file = hand.create(&state_paths().pointers()).unwrap();
        hand.write(&mut file, pointers).unwrap();
        let error = depot.collect_garbage(&state_paths(), &BTreeSet::new()).unwrap_err();
        assert_eq!(error.cause(), cause, "{error}");
        assert_eq!(depot.slot_state(&digest).unwrap(), SlotState::Staged);
        // Nor does the runtime write over what it cannot read.
        let mut state = RuntimeState::without_lock(disk.clone(), state_paths()).unwrap();
        state.point("m", |model| model.take_up(digest)).unwrap_err();
        assert_eq!(disk.read(&state_paths().pointers(), 100).unwrap().unwrap(), pointers);
    }
}

/// A slot that a newer agent staged waits for a newer program; it is no error of the slot and nothing takes it away.
#[test]
fn a_record_of_a_newer_program_waits_and_a_broken_one_is_refused() {
    for (text, cause) in [("{\"schema\": 7}", DeployCause::Schema), ("rot", DeployCause::Content)] {
        let disk = SharedDisk::default();
        let digest = fill(&mut depot(&disk), &bundle(1)).unwrap().digest;
        let mut hand = disk.clone();
        let mut file = hand.create(&paths().slot_record(&digest)).unwrap();
        hand.write(&mut file, text.as_bytes()).unwrap();
        let mut depot = depot(&disk);
        assert_eq!(depot.slot_state(&digest).unwrap_err().cause(), cause);
        assert_eq!(fill(&mut depot, &bundle(1)).unwrap_err().cause(), cause);
        assert!(depot.staged().unwrap().is_empty());
        assert!(disk.open(&paths().bundle(&digest)).unwrap().is_some(), "left alone");
    }
    // A journal that says what this program does not know is left alone too.
    let disk = SharedDisk::default();
    drop(depot(&disk));
    let mut hand = disk.clone();
    let mut file = hand.create(&paths().journal()).unwrap();
    hand.write(&mut file, b"{\"schema\": 9}").unwrap();
    let error = Depot::without_lock(disk, paths()).unwrap_err();
    assert_eq!(error.cause(), DeployCause::Schema);
}

#[test]
fn a_record_that_speaks_of_another_slot_is_refused() {
    let disk = SharedDisk::default();
    let mut depot = depot(&disk);
    let [a, b] = [1, 2].map(|number| fill(&mut depot, &bundle(number)).unwrap().digest);
    let record = disk.read(&paths().slot_record(&a), 1 << 20).unwrap().unwrap();
    let mut hand = disk.clone();
    let mut file = hand.create(&paths().slot_record(&b)).unwrap();
    hand.write(&mut file, &record).unwrap();
    assert!(depot.slot_state(&b).unwrap_err().to_string().contains("speaks of"));
}

#[test]
fn the_second_updater_is_refused_and_told_who_works() {
    let folder = tempfile::tempdir().unwrap();
    let paths = DepotPaths::new(folder.path().join("depot"));
    let first = Depot::open(paths.clone()).unwrap();
    let error = Depot::open(paths.clone()).unwrap_err();
    let told = error.to_string();
    assert!(matches!(error, DepotError::Held { .. }));
    assert!(told.contains(&format!("process {}", std::process::id())), "{told}");
    drop(first);
    let second = Depot::open(paths.clone()).unwrap();
    assert!(Depot::open(paths).is_err());
    drop(second);

    let state = StatePaths::new(folder.path().join("state"));
    let runtime = RuntimeState::open(state.clone()).unwrap();
    assert!(matches!(RuntimeState::open(state.clone()), Err(DepotError::Held { .. })));
    // Who only reads needs no lock.
    assert_eq!(StateReader::new(state).pointers().unwrap(), Pointers::empty());
    drop(runtime);
}

#[test]
fn on_a_real_disk_a_bundle_is_staged_read_and_taken_away() {
    let folder = tempfile::tempdir().unwrap();
    let paths = DepotPaths::new(folder.path().join("a/depot"));
    let bytes = bundle(1);
    let digest = Digest::of(&bytes);
    let mut depot = Depot::open(paths.clone()).unwrap();
    fill(&mut depot, &bytes).unwrap();
    assert_eq!(read_bundle(&RealDisk, &paths.bundle(&digest), &digest, 1 << 20).unwrap(), bytes);
    std::fs::write(paths.journal().with_extension("json.new"), "half").unwrap();
    drop(depot);
    let mut depot = Depot::open(paths.clone()).unwrap();
    assert!(!paths.journal().with_extension("json.new").exists());
    depot.verify(&digest).unwrap();
    let gone =
        depot.collect_garbage(&StatePaths::new(folder.path().join("state")), &BTreeSet::new()).unwrap();
    assert_eq!(gone, [digest]);
    assert!(!paths.slot(&digest).exists());
}

/// CVE-2020-25860: between every two reads the agent's user puts something else in place.
#[test]
fn a_bundle_that_is_rewritten_between_every_two_reads_is_never_taken_for_another() {
    let disk = SharedDisk::default();
    let mut depot = depot(&disk);
    let (good, bad) = (bundle(1), bundle(2));
    let digest = fill(&mut depot, &good).unwrap().digest;
    let path = paths().bundle(&digest);
    let swapping = Swapping { disk, turns: [good.clone(), bad, good[..700].to_vec()].into(), at: 0.into() };
    let mut taken = 0;
    for turn in 0..30 {
        match read_bundle(&swapping, &path, &digest, 1 << 20) {
            Ok(bytes) => {
                assert_eq!(bytes, good, "what was hashed is what is handed out");
                taken += 1;
            }
            Err(DepotError::Content { .. }) => {}
            Err(error) => panic!("turn {turn}: {error}"),
        }
    }
    assert_eq!(taken, 10);
    let limited = read_bundle(&swapping.disk, &path, &digest, good.len() as u64 - 1);
    assert!(matches!(limited, Err(DepotError::Content { .. })));
    let elsewhere = paths().bundle(&Digest::of(b"x"));
    assert!(matches!(
        read_bundle(&swapping.disk, &elsewhere, &digest, 1 << 20),
        Err(DepotError::Missing { .. })
    ));
}

/// Shows another file at every opening.
struct Swapping {
    disk: SharedDisk,
    turns: Vec<Vec<u8>>,
    at: std::cell::Cell<usize>,
}

impl Disk for Swapping {
    type File = usize;
    type Reader = Cursor<Vec<u8>>;

    fn read(&self, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
        self.disk.read(path, limit)
    }
    fn open(&self, _: &Path) -> io::Result<Option<Cursor<Vec<u8>>>> {
        let at = self.at.replace(self.at.get() + 1);
        Ok(Some(Cursor::new(self.turns[at % self.turns.len()].clone())))
    }
    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.disk.list(folder)
    }
    fn available(&self, folder: &Path) -> io::Result<u64> {
        self.disk.available(folder)
    }
    fn create_folder(&mut self, _: &Path) -> io::Result<()> {
        unreachable!("it is only read")
    }
    fn create(&mut self, _: &Path) -> io::Result<usize> {
        unreachable!("it is only read")
    }
    fn write(&mut self, _: &mut usize, _: &[u8]) -> io::Result<()> {
        unreachable!("it is only read")
    }
    fn sync(&mut self, _: &mut usize) -> io::Result<()> {
        unreachable!("it is only read")
    }
    fn forget(&mut self, _: &mut usize) -> io::Result<()> {
        unreachable!("it is only read")
    }
    fn rename(&mut self, _: &Path, _: &Path) -> io::Result<()> {
        unreachable!("it is only read")
    }
    fn remove(&mut self, _: &Path) -> io::Result<()> {
        unreachable!("it is only read")
    }
    fn remove_folder(&mut self, _: &Path) -> io::Result<()> {
        unreachable!("it is only read")
    }
    fn sync_folder(&mut self, _: &Path) -> io::Result<()> {
        unreachable!("it is only read")
    }
}

/// hub.mender.io 6495: no readable key, so everything was installed.
#[test]
fn a_trust_file_that_is_missing_empty_or_broken_fails_closed() {
    let folder = tempfile::tempdir().unwrap();
    let paths = TrustPaths::new(folder.path());
    let digest = Digest::of(b"never");
    let good = [
        (paths.root(), "{\"signed\": {}}".to_owned()),
        (paths.floor(), "{\"schema\": 1, \"models\": {\"m\": 7}}".into()),
        (paths.deny(), format!("{{\"schema\": 1, \"digests\": [\"{digest}\"]}}")),
    ];
    let reset = || good.iter().for_each(|(path, text)| std::fs::write(path, text).unwrap());
    reset();
    let trust = Trust::read(&RealDisk, &paths).unwrap();
    assert_eq!((trust.floor_of("m"), trust.floor_of("other")), (7, 0));
    assert!(trust.denies(&digest) && !trust.denies(&Digest::of(b"good")));
    for (path, _) in &good {
        for broken in [None, Some(""), Some("{\"schema\": 2}"), Some("{\"schema\": 1}")] {
            if path == &paths.root() && broken.is_some_and(|text| !text.is_empty()) {
                continue; // What a root says is the judge's to check.
            }
            reset();
            match broken {
                None => std::fs::remove_file(path).unwrap(),
                Some(text) => std::fs::write(path, text).unwrap(),
            }
            let error = Trust::read(&RealDisk, &paths).unwrap_err().to_string();
            assert!(error.contains(path.to_str().unwrap()), "{error}");
        }
        reset();
        std::fs::remove_file(path).unwrap();
        std::fs::create_dir(path).unwrap();
        Trust::read(&RealDisk, &paths).unwrap_err();
        std::fs::remove_dir(path).unwrap();
    }
    reset();
    std::fs::write(paths.root(), vec![b'x'; MAX_ROOT as usize + 1]).unwrap();
    Trust::read(&RealDisk, &paths).unwrap_err();
}

#[test]
fn verdicts_approvals_and_progress_are_read_as_they_were_written() {
    let disk = SharedDisk::default();
    let mut state = RuntimeState::without_lock(disk.clone(), state_paths()).unwrap();
    let [a, b] = [b"a", b"b"].map(|name| Digest::of(name));
    assert!(state.reader().verdict(&a).unwrap().is_none() && !state.reader().is_bad(&a).unwrap());
    let verdict = |digest, verdict| Verdict {
        schema: 1,
        digest,
        verdict,
        runtime: semver::Version::new(1, 0, 0),
        deferred: 0,
    };
    state.write_verdict(&verdict(a, VerdictState::Bad { cause: DeployCause::Crash })).unwrap();
    state.write_verdict(&verdict(b, VerdictState::Good)).unwrap();
    assert!(state.reader().is_bad(&a).unwrap() && !state.reader().is_bad(&b).unwrap());
    // It lasts.
    let state = RuntimeState::without_lock(disk.after(Cut::Nothing), state_paths()).unwrap();
    assert!(state.reader().is_bad(&a).unwrap());
    // A file under another's name says nothing of it.
    let mut hand = disk.clone();
    hand.rename(&state_paths().verdict(&b), &state_paths().verdict(&a)).unwrap();
    let state = RuntimeState::without_lock(hand, state_paths()).unwrap();
    assert!(state.reader().is_bad(&a).is_err());
}
