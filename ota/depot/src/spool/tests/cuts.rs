//! Every call of a spool's life is the last one, or meets a full disk.

use super::*;
use crate::disk::simulated::{CUTS, Cut, Failure};

/// What was said to be so while it lived.
#[derive(Default)]
struct Said {
    waits: Vec<Digest>,
    ended: Vec<Digest>,
}

/// Records come, are evicted, expire, are claimed, released, sent and rejected.
fn life(disk: &SharedDisk, said: &mut Said) -> Result<(), SpoolError> {
    let mut spool = writer(disk, limits(10_000, 4))?;
    for number in 0..7 {
        let worth = if number % 3 == 0 { 7 } else { 2 };
        if let Put::Waiting(digest) =
            spool.put(&sealed(number, 50), class(worth), NOW + u64::from(number), NOW)?
        {
            said.waits.push(digest);
        }
    }
    let mut claims = agent(disk)?;
    let held = claims.claim(150)?;
    claims.release(&[held[0].digest])?;
    claims.end_all(
        &[(held[1].digest, End::Delivered), (held[2].digest, End::Rejected(Cause::NotWanted))],
        NOW,
    )?;
    said.ended.extend([held[1].digest, held[2].digest]);
    spool.put(&sealed(8, 50), class(1), NOW + 8, NOW)?;
    let again = claims.claim(1)?;
    claims.end(&again[0].digest, End::Delivered, NOW)?;
    said.ended.push(again[0].digest);
    spool.expire(NOW + 50)?;
    Ok(())
}

/// The next start: both open it, all that is left is sent, and the sums are right.
fn afterlife(disk: &SharedDisk, said: &Said) -> Result<(), String> {
    let text = |error: SpoolError| error.to_string();
    let mut spool = writer(disk, limits(10_000, 4)).map_err(text)?;
    let mut claims = agent(disk).map_err(text)?;
    let (ended, here) = check(disk, Path::new(SPOOL))?;
    let lost = said.waits.iter().find(|digest| !ended.contains_key(digest) && !here.contains(digest));
    if let Some(lost) = lost {
        return Err(format!("{lost} was said to wait and is lost"));
    }
    if let Some(back) = said.ended.iter().find(|digest| !ended.contains_key(digest)) {
        return Err(format!("{back} was said to have ended and has not"));
    }
    spool.put(&sealed(100, 50), class(9), NOW + 500, NOW).map_err(text)?;
    claims.claim(u64::MAX).map_err(text)?;
    let ends: Vec<_> = claims.held().iter().map(|one| (one.digest, End::Delivered)).collect();
    claims.end_all(&ends, NOW).map_err(text)?;
    let disk = disk.after(Cut::Nothing);
    let (_, here) = check(&disk, Path::new(SPOOL))?;
    let files: usize = ["waiting", "sending"]
        .map(|folder| disk.list(&Path::new(SPOOL).join(folder)).unwrap().len())
        .iter()
        .sum();
    if here.is_empty() && files == 0 { Ok(()) } else { Err(format!("{files} files are left")) }
}

fn calls() -> usize {
    let disk = SharedDisk::default();
    life(&disk, &mut Said::default()).unwrap();
    disk.calls()
}

#[test]
fn a_spool_cut_at_every_call_loses_and_doubles_nothing() {
    let calls = calls();
    for call in 0..=calls {
        let (disk, mut said) = (SharedDisk::default().failing_at(call, Failure::Power), Said::default());
        let done = life(&disk, &mut said);
        assert_eq!(done.is_ok(), call == calls, "call {call}");
        for cut in CUTS {
            afterlife(&disk.after(cut), &said).unwrap_or_else(|harm| panic!("call {call}, {cut:?}: {harm}"));
        }
    }
    println!("{calls} calls, {} cuts", (calls + 1) * CUTS.len());
    assert!(calls > 100);
}

#[test]
fn a_recovery_cut_at_every_call_recovers_at_the_next_start() {
    let mut cuts = 0;
    let step = if std::env::var_os("STOPLINE_FULL").is_some() { 1 } else { 9 };
    for call in (0..calls()).step_by(step) {
        let (disk, mut said) = (SharedDisk::default().failing_at(call, Failure::Power), Said::default());
        life(&disk, &mut said).unwrap_err();
        let left = disk.after(Cut::HalfTheContent);
        for again in 0.. {
            let disk = left.failing_at(again, Failure::Power);
            let done = writer(&disk, limits(10_000, 4)).is_ok() && agent(&disk).is_ok();
            for cut in [Cut::Nothing, Cut::NamesWithoutContent, Cut::ContentWithoutNames] {
                afterlife(&disk.after(cut), &said)
                    .unwrap_or_else(|harm| panic!("call {call}, {again}, {cut:?}: {harm}"));
                cuts += 1;
            }
            if done {
                break;
            }
        }
    }
    println!("{cuts} cuts while recovering, from every {step}. call");
    assert!(cuts > 100);
}

#[test]
fn a_full_disk_at_every_call_is_told_and_loses_and_doubles_nothing() {
    for failure in [Failure::Full, Failure::StaysFull] {
        let mut refused = 0;
        for call in 0..calls() {
            let (disk, mut said) = (SharedDisk::default().failing_at(call, failure), Said::default());
            if let Err(error) = life(&disk, &mut said) {
                assert!(error.is_full(), "call {call}: {error}");
                refused += 1;
            }
            if disk.list(Path::new(SPOOL)).unwrap().len() == 3 {
                check(&disk, Path::new(SPOOL)).unwrap_or_else(|harm| panic!("call {call}: {harm}"));
            }
            for disk in
                [SharedDisk::new(disk.copy()), disk.after(Cut::Nothing), disk.after(Cut::HalfTheContent)]
            {
                let disk = disk.failing_at(usize::MAX, Failure::Full);
                afterlife(&disk, &said).unwrap_or_else(|harm| panic!("{failure:?}, call {call}: {harm}"));
            }
        }
        println!("{failure:?}: {refused} calls refused");
        assert!(refused > 20);
    }
}

/// The control: the same without syncs must come to harm, or these tests see nothing.
#[test]
fn without_syncs_records_are_lost() {
    let harmed = CUTS.into_iter().any(|cut| {
        let (disk, mut said) = (SharedDisk::default(), Said::default());
        disk.change(|disk| disk.without_sync = true);
        life(&disk, &mut said).unwrap();
        afterlife(&disk.after(cut), &said).is_err()
    });
    assert!(harmed);
}
