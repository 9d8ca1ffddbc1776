//! A real process that updates a real folder is killed at random moments; what it left must serve and go on.
//!
//! SIGKILL alone loses nothing that the kernel has been given. So every second round runs on [`Volatile`], a disk that keeps
//! what was not synced in the memory of the process that is killed: what a power cut takes of the page cache, the kill
//! takes. The control is the same disk without syncs, and it must come to harm.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::io::{self, BufRead as _, BufReader, Cursor};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use super::world::{self, End, STEPS, drive};
use crate::disk::{Disk, RealDisk};
use crate::slots::*;

/// Says to the child which disk it writes to, and where.
const CHILD: &str = "STOPLINE_KILLED_UPDATER";
const NAME: &str = "slots::tests::kills::the_updater_that_is_killed";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Real,
    Volatile,
    WithoutSync,
}

#[test]
fn an_updater_killed_at_random_moments_leaves_a_bundle_that_decides() {
    let full = std::env::var_os("STOPLINE_FULL").is_some_and(|value| value != "0");
    let rounds = if full { 200 } else { 48 };
    let folder = tempfile::tempdir().unwrap();
    let mut hit: BTreeMap<&str, usize> = STEPS.map(|step| (step, 0)).into();
    let mut random = Random(20_261_121);
    for round in 0..rounds {
        let kind = if round % 2 == 0 { Kind::Real } else { Kind::Volatile };
        let step = kill(folder.path(), kind, STEPS[round % STEPS.len()], &mut random);
        *hit.get_mut(step.as_str()).unwrap() += 1;
        if let Err(harm) = look(folder.path()) {
            panic!("round {round}, {kind:?}, killed while {step}: {harm}");
        }
    }
    println!("{rounds} kills, counted by what the updater was doing: {hit:?}");
    let least = if full { 5 } else { 1 };
    assert!(hit.values().all(|count| *count >= least), "each at least {least} times: {hit:?}");
}

#[test]
fn without_syncs_the_same_kills_do_harm() {
    let mut random = Random(7);
    let harms: Vec<String> = (0..8)
        .filter_map(|round| {
            let folder = tempfile::tempdir().unwrap();
            kill(folder.path(), Kind::WithoutSync, STEPS[round % STEPS.len()], &mut random);
            look(folder.path()).err()
        })
        .collect();
    println!("without syncs: harm after {} of 8 kills, such as: {:?}", harms.len(), harms.first());
    assert!(harms.len() >= 4);
}

/// Starts an updater, waits until it is at `step` for the second time or later, a little longer, and kills it. Tells what it
/// was doing.
fn kill(folder: &Path, kind: Kind, step: &str, random: &mut Random) -> String {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", NAME, "--ignored", "--nocapture", "--test-threads=1"])
        .env(CHILD, format!("{kind:?} {}", folder.display()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut child = Killed(child);
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines().map(|line| line.unwrap());
    let steps = |line: &String| STEPS.iter().find(|step| **step == line).copied();
    let mut doing = "";
    let (mut times, wanted) = (0, 1 + random.next() % 2);
    while times < wanted {
        let line = lines.next().expect("the updater goes on until it is killed");
        let Some(now) = steps(&line) else { continue };
        doing = now;
        times += u64::from(now == step);
    }
    std::thread::sleep(Duration::from_micros(random.next() % 3000));
    child.0.kill().unwrap();
    child.0.wait().unwrap();
    lines.filter_map(|line| steps(&line)).last().unwrap_or(doing).to_owned()
}

/// What the next start finds, before and after it has brought order.
fn look(folder: &Path) -> Result<(), String> {
    let (paths, state) = places(folder);
    let before = world::serving(&RealDisk, &paths, &state)?;
    // The lock went with its holder.
    let depot = Depot::open(paths.clone()).map_err(|error| error.to_string())?;
    drop(RuntimeState::open(state.clone()).map_err(|error| error.to_string())?);
    for name in RealDisk.list(&paths.slots()).unwrap() {
        let digest = name.parse().unwrap();
        let found = depot.slot_state(&digest).map_err(|error| error.to_string())?;
        if found != SlotState::Staged {
            return Err(format!("{digest} is {found:?} after a start"));
        }
        depot.verify(&digest).map_err(|error| error.to_string())?;
    }
    match world::serving(&RealDisk, &paths, &state)? {
        after if after != before => Err(format!("{before:?} decided before the start, {after:?} after")),
        // The first updates begin from the factory's; a process is killed in its second cycle or later.
        None if depot.journal().of(world::MODEL).is_some_and(|found| found.rollout_id != "r0") => {
            Err("nothing decides any more".into())
        }
        _ => Ok(()),
    }
}

fn places(folder: &Path) -> (DepotPaths, StatePaths) {
    (DepotPaths::new(folder.join("depot")), StatePaths::new(folder.join("state")))
}

/// Runs in the child alone: update after update, until it is killed.
#[test]
#[ignore = "the process that the tests above kill"]
fn the_updater_that_is_killed() {
    let Ok(told) = std::env::var(CHILD) else { return };
    let (kind, folder) = told.split_once(' ').unwrap();
    let (paths, state) = places(Path::new(folder));
    match kind {
        "Real" => updates(Depot::open(paths).unwrap(), RuntimeState::open(state).unwrap()),
        kind => {
            let disk = Volatile { syncs: kind == "Volatile", memory: Rc::default() };
            let state = RuntimeState::without_lock(disk.clone(), state).unwrap();
            updates(Depot::without_lock(disk, paths).unwrap(), state);
        }
    }
}

fn updates<D: Disk + Clone>(mut depot: Depot<D>, mut state: RuntimeState<D>) {
    let number = |depot: &Depot<D>| {
        let found = depot.journal().of(world::MODEL)?;
        let number: u64 = found.rollout_id.trim_start_matches('r').parse().ok()?;
        Some(if found.has_ended() { number + 1 } else { number })
    };
    loop {
        let number = number(&depot).unwrap_or(0);
        let mut random = Random(number + 1);
        let bytes: Vec<u8> = (0..20_000).flat_map(|_| random.next().to_le_bytes()).collect();
        // The first is good, so that there is something to go back to.
        let end = if number % 3 == 2 { End::Reverted } else { End::Good };
        drive(&mut depot, &mut state, (&format!("r{number}"), &bytes, end), &mut |step| println!("{step}"))
            .unwrap();
    }
}

/// Ends with the test, whatever becomes of that.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Numbers without a pattern, the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }
}

/// Names lie on the real disk at once; what was written lies in this process until it is synced.
#[derive(Clone)]
struct Volatile {
    memory: Rc<RefCell<HashMap<PathBuf, Vec<u8>>>>,
    syncs: bool,
}

impl Disk for Volatile {
    type File = PathBuf;
    type Reader = Cursor<Vec<u8>>;

    fn read(&self, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
        match self.memory.borrow().get(path) {
            Some(bytes) => Ok(Some(bytes.clone())),
            None => RealDisk.read(path, limit),
        }
    }

    fn open(&self, path: &Path) -> io::Result<Option<Cursor<Vec<u8>>>> {
        Ok(self.read(path, u64::MAX)?.map(Cursor::new))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        RealDisk.list(folder)
    }

    fn available(&self, folder: &Path) -> io::Result<u64> {
        RealDisk.available(folder)
    }

    fn create_folder(&mut self, folder: &Path) -> io::Result<()> {
        RealDisk.create_folder(folder)
    }

    fn create(&mut self, path: &Path) -> io::Result<PathBuf> {
        RealDisk.create(path)?;
        self.memory.borrow_mut().insert(path.to_owned(), Vec::new());
        Ok(path.to_owned())
    }

    fn write(&mut self, file: &mut PathBuf, bytes: &[u8]) -> io::Result<()> {
        self.memory.borrow_mut().get_mut(file).unwrap().extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self, file: &mut PathBuf) -> io::Result<()> {
        if self.syncs {
            std::fs::write(&file, &self.memory.borrow()[file])?;
        }
        Ok(())
    }

    fn forget(&mut self, file: &mut PathBuf) -> io::Result<()> {
        if self.syncs {
            self.memory.borrow_mut().remove(file);
        }
        Ok(())
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)?;
        let mut memory = self.memory.borrow_mut();
        match memory.remove(from) {
            Some(bytes) => memory.insert(to.to_owned(), bytes),
            None => memory.remove(to),
        };
        Ok(())
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.memory.borrow_mut().remove(path);
        RealDisk.remove(path)
    }

    fn remove_folder(&mut self, folder: &Path) -> io::Result<()> {
        RealDisk.remove_folder(folder)
    }

    fn sync_folder(&mut self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}
