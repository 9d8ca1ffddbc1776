//! Two processes in one spool, on a real disk.

use std::os::unix::fs::{MetadataExt as _, symlink};

use super::*;

#[test]
fn both_sides_at_once_on_a_real_disk_end_each_record_once() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("spool");
    prepare(&root).unwrap();
    let mut spool = Spool::open(RealDisk, &root, limits(4_000, 12), NOW).unwrap();
    let [full, done] = [false, false].map(std::sync::atomic::AtomicBool::new);
    let captured = std::thread::scope(|scope| {
        let (root, full, done) = (&root, &full, &done);
        let agent = scope.spawn(move || {
            let mut claims = Claims::open(RealDisk, root, NOW).unwrap();
            let mut round = 0;
            while !full.load(std::sync::atomic::Ordering::SeqCst) {
                std::thread::yield_now();
            }
            loop {
                let last = done.load(std::sync::atomic::Ordering::SeqCst);
                let claimed = claims.claim(700).unwrap();
                round += 1;
                if round % 5 == 0 {
                    claims.release(&claims.held().iter().map(|one| one.digest).collect::<Vec<_>>()).unwrap();
                    claims = Claims::open(RealDisk, root, NOW).unwrap();
                }
                let end = if round % 3 == 0 { End::Rejected(Cause::Bad) } else { End::Delivered };
                let ends: Vec<_> = claims.held().iter().map(|one| (one.digest, end)).collect();
                claims.end_all(&ends, NOW).unwrap();
                if last && claimed.is_empty() {
                    break;
                }
            }
        });
        let mut captured = 0;
        for number in 0..250_u32 {
            let worth = u8::try_from(number % 10).unwrap();
            let put = spool.put(&sealed(number, 200), class(worth), NOW + u64::from(number % 17), NOW);
            captured += u64::from(put.is_ok());
            // Before anybody takes something away there is more than fits, however fast the other side is.
            full.store(number >= 40, std::sync::atomic::Ordering::SeqCst);
            if number % 50 == 49 {
                spool.expire(NOW + 3).unwrap();
            }
        }
        done.store(true, std::sync::atomic::Ordering::SeqCst);
        agent.join().unwrap();
        captured
    });
    check(&RealDisk, &root).unwrap();
    let found = counts(&RealDisk, &root).unwrap();
    println!("{found:?}");
    assert_eq!((found.captured, found.waiting), (captured, 0));
    assert!(found.delivered > 0 && found.evicted > 0 && found.rejected > 0);
}

#[test]
fn both_may_work_in_the_folders_and_neither_is_led_astray_by_a_link() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("spool");
    prepare(&root).unwrap();
    prepare(&root).unwrap();
    for shared in ["waiting", "sending", "ledger"] {
        assert_eq!(fs::metadata(root.join(shared)).unwrap().mode() & 0o070, 0o070);
    }
    let treasure = folder.path().join("pointers.json");
    fs::write(&treasure, b"the runtime's own").unwrap();
    // Whoever may write in the folder puts links where the next files will be.
    symlink(&treasure, root.join("ledger/runtime-1.jsonl")).unwrap();
    symlink(&treasure, root.join("ledger/runtime-1.jsonl.new")).unwrap();
    let opened = Spool::open(RealDisk, &root, limits(4_000, 12), NOW);
    let put = opened.and_then(|mut spool| spool.put(&sealed(1, 50), class(1), NOW, NOW));
    println!("{put:?}");
    assert_eq!(fs::read(&treasure).unwrap(), b"the runtime's own");
}

#[test]
fn a_folder_that_cannot_be_made_is_an_error_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("file");
    fs::write(&root, b"").unwrap();
    let error = Spool::open(RealDisk, &root.join("spool"), limits(1, 1), NOW).unwrap_err().to_string();
    assert!(error.starts_with("spool: cannot ") && error.contains("/file/spool"), "{error}");
    assert!(prepare(&root.join("spool")).is_err());
}
