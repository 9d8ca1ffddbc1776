//! What a spool does when all goes well, and what it refuses.

use super::*;
use crate::disk::simulated::{Cut, Failure};

#[test]
fn a_record_goes_from_the_loop_to_the_fleet_and_leaves_two_lines() {
    let disk = SharedDisk::default();
    let mut spool = writer(&disk, limits(10_000, 10)).unwrap();
    let bytes = sealed(1, 900);
    let Put::Waiting(digest) = spool.put(&bytes, class(5), NOW + 100, NOW).unwrap() else { panic!() };
    assert_eq!(spool.put(&bytes, class(5), NOW + 100, NOW).unwrap(), Put::Known(digest));
    let name = format!("{digest}-5-{}.age", NOW + 100);
    assert_eq!(disk.list(Path::new("spool/waiting")).unwrap(), std::slice::from_ref(&name));

    let mut claims = agent(&disk).unwrap();
    let claimed = claims.claim(1 << 20).unwrap();
    let expected = Claimed { digest, length: 900, class: class(5), expires: NOW + 100 };
    assert_eq!((claimed.as_slice(), claims.held()), (&[expected][..], vec![expected]));
    assert_eq!(disk.list(Path::new("spool/sending")).unwrap(), [name]);
    assert_eq!(claims.read(&digest).unwrap(), bytes);
    // A restart takes it up again, and it is certain that it does.
    let mut claims = agent(&disk.after(Cut::Nothing)).unwrap();
    assert_eq!(claims.held(), [expected]);
    claims.end(&digest, End::Delivered, NOW + 5).unwrap();
    assert!(matches!(claims.end(&digest, End::Delivered, NOW + 5), Err(SpoolError::NotHeld(_))));
}

#[test]
fn ends_are_told_apart_and_counted_by_who_decides_them() {
    let disk = SharedDisk::default();
    let mut spool = writer(&disk, limits(10_000, 4)).unwrap();
    for number in 0..6 {
        spool.put(&sealed(number, 10), class(3), NOW + u64::from(number), NOW).unwrap();
    }
    let mut claims = agent(&disk).unwrap();
    let held = claims.claim(20).unwrap();
    assert_eq!(held.len(), 2);
    claims.end(&held[0].digest, End::Rejected(Cause::TooBig), NOW).unwrap();
    claims.end(&held[1].digest, End::Expired, NOW).unwrap();
    assert_eq!(spool.expire(NOW + 1000).unwrap(), 2);
    let found = counts(&disk, Path::new(SPOOL)).unwrap();
    let expected = Counts { captured: 6, evicted: 2, expired: 3, rejected: 1, ..Counts::default() };
    assert_eq!(found, expected);
    let lines = entries(&disk, Path::new(SPOOL)).unwrap();
    let rejected = lines.iter().find(|entry| entry.event == Event::Rejected).unwrap();
    assert_eq!((rejected.cause, rejected.digest), (Some(Cause::TooBig), held[0].digest));
    let (ended, here) = check(&disk, Path::new(SPOOL)).unwrap();
    assert_eq!((ended.len(), here.len()), (6, 0));
}

/// What is worth more stays, also where what is worth less comes later; and the newcomer may be what goes.
#[test]
fn a_full_spool_keeps_what_is_worth_more_and_lies_evenly() {
    let disk = SharedDisk::default();
    let mut spool = writer(&disk, limits(1_000, 100)).unwrap();
    for number in 0..10 {
        spool.put(&sealed(number, 100), class(8), NOW + u64::from(number), NOW).unwrap();
    }
    let put = spool.put(&sealed(99, 100), class(2), NOW, NOW).unwrap();
    assert_eq!(put, Put::Evicted(Digest::of(&sealed(99, 100))));
    assert!(matches!(spool.put(&sealed(98, 100), class(9), NOW, NOW).unwrap(), Put::Waiting(_)));
    spool.set_limits(limits(500, 100));
    assert_eq!(spool.evict(NOW).unwrap(), 5);
    let mut left: Vec<(u8, u64)> = agent(&disk)
        .unwrap()
        .waiting()
        .unwrap()
        .iter()
        .map(|one| (one.class.into(), one.expires - NOW))
        .collect();
    left.sort_unstable();
    assert_eq!(
        (left[0], left[3], left[4]),
        ((8, 0), (8, 9), (9, 0)),
        "both ends of the class stay: {left:?}"
    );
    check(&disk, Path::new(SPOOL)).unwrap();
}

#[test]
fn what_is_being_sent_is_never_evicted_and_counts_as_room_taken() {
    let disk = SharedDisk::default();
    let mut spool = writer(&disk, limits(300, 100)).unwrap();
    for number in 0..3 {
        spool.put(&sealed(number, 100), class(1), NOW + u64::from(number), NOW).unwrap();
    }
    let mut claims = agent(&disk).unwrap();
    let held = claims.claim(300).unwrap();
    assert_eq!(held.len(), 3);
    let error = spool.put(&sealed(3, 100), class(9), NOW, NOW).unwrap_err();
    assert!(matches!(error, SpoolError::Full { .. }) && error.is_full(), "{error}");
    assert_eq!((spool.expire(NOW + 99).unwrap(), spool.evict(NOW).unwrap()), (0, 0));
    claims.release(&[held[1].digest]).unwrap();
    assert!(matches!(spool.put(&sealed(3, 100), class(9), NOW, NOW).unwrap(), Put::Waiting(_)));
    check(&disk, Path::new(SPOOL)).unwrap();
}

#[test]
fn the_agent_takes_the_most_valuable_first_and_one_alone_may_be_long() {
    let disk = SharedDisk::default();
    let mut spool = writer(&disk, limits(1 << 20, 100)).unwrap();
    for (number, worth, later, length) in [(0, 1, 1, 50), (1, 9, 2, 500), (2, 5, 9, 60), (3, 5, 3, 60)] {
        spool.put(&sealed(number, length), class(worth), NOW + later, NOW).unwrap();
    }
    let mut claims = agent(&disk).unwrap();
    let mut batch = |limit| {
        claims
            .claim(limit)
            .unwrap()
            .iter()
            .map(|one| (u8::from(one.class), one.expires - NOW))
            .collect::<Vec<_>>()
    };
    assert_eq!(batch(100), [(9, 2)]);
    assert_eq!(batch(130), [(5, 3), (5, 9)]);
    assert_eq!((batch(1000), batch(1000)), (vec![(1, 1)], vec![]));
    let wanted = Digest::of(&sealed(2, 60));
    assert_eq!(claims.claim_one(&wanted).unwrap().unwrap().digest, wanted);
    assert_eq!(claims.claim_one(&Digest::of(b"never")).unwrap(), None);
}

#[test]
fn a_record_too_long_and_a_disk_too_full_are_refused_in_words() {
    let disk = SharedDisk::default();
    let mut spool = writer(&disk, limits(1_000, 10)).unwrap();
    let error = spool.put(&sealed(0, 1_001), class(1), NOW, NOW).unwrap_err();
    assert!(error.to_string().contains("1001 bytes; at most 1000"), "{error}");
    disk.change(|disk| disk.room = 5_000);
    spool.set_limits(Limits { keep_free: 4_990, ..limits(1_000, 10) });
    let error = spool.put(&sealed(0, 11), class(1), NOW, NOW).unwrap_err();
    assert!(error.is_full() && error.to_string().contains("4990 must stay so"), "{error}");
    assert!(spool.put(&sealed(0, 10), class(1), NOW, NOW).is_ok());
}

#[test]
fn worn_flash_shows_when_the_record_is_read() {
    let disk = SharedDisk::default();
    let mut spool = writer(&disk, limits(1_000, 10)).unwrap();
    spool.put(&sealed(0, 100), class(1), NOW, NOW).unwrap();
    disk.change(|disk| disk.worn = true);
    spool.put(&sealed(1, 100), class(1), NOW, NOW).unwrap();
    let mut claims = agent(&disk.after(Cut::Nothing)).unwrap();
    claims.claim(1_000).unwrap();
    assert!(claims.read(&Digest::of(&sealed(0, 100))).is_ok());
    let worn = claims.read(&Digest::of(&sealed(1, 100))).unwrap_err();
    assert!(matches!(worn, SpoolError::Corrupt { .. }), "{worn}");
}

/// What somebody else left in the folders is neither counted nor touched.
#[test]
fn foreign_files_are_left_alone() {
    let disk = SharedDisk::default();
    let mut spool = writer(&disk, limits(100, 2)).unwrap();
    for folder in ["waiting", "sending", "ledger"] {
        crate::disk::replace(&mut disk.clone(), &Path::new(SPOOL).join(folder).join("notes.txt"), b"x")
            .unwrap();
    }
    for number in 0..5 {
        spool.put(&sealed(number, 30), class(1), NOW + 1, NOW).unwrap();
    }
    spool.expire(NOW + 1).unwrap();
    agent(&disk).unwrap();
    check(&disk, Path::new(SPOOL)).unwrap();
    assert_eq!(disk.list(Path::new("spool/waiting")).unwrap(), ["notes.txt"]);
}

#[test]
fn a_disk_that_stays_full_costs_captures_and_nothing_else() {
    let disk = SharedDisk::default();
    let mut spool = writer(&disk, limits(10_000, 100)).unwrap();
    spool.put(&sealed(0, 100), class(1), NOW, NOW).unwrap();
    disk.change(|disk| *disk = std::mem::take(disk).failing_at(0, Failure::StaysFull));
    for number in 1..20 {
        assert!(spool.put(&sealed(number, 100), class(1), NOW, NOW).unwrap_err().is_full());
        check(&disk, Path::new(SPOOL)).unwrap();
    }
    disk.change(|disk| *disk = std::mem::take(disk).failing_at(usize::MAX, Failure::Full));
    spool.put(&sealed(50, 100), class(1), NOW, NOW).unwrap();
    let (ended, here) = check(&disk.after(Cut::Nothing), Path::new(SPOOL)).unwrap();
    assert_eq!((ended.len(), here.len()), (0, 2), "and what was half written is gone");
    assert_eq!(disk.list(Path::new("spool/waiting")).unwrap().len(), 2);
}

fn side_car() -> CaptureRecord {
    serde_json::from_value(serde_json::json!({
        "schema": 1,
        "decision": {
            "schema": 1, "frame": 7, "source": "front", "captured_ns": 5, "captured_wall": "2027-01-15T08:00:00.000000Z",
            "image_size": [1280, 720],
            "model": {"name": "yolox-nano", "version": "1.0.0", "digest": "ab".repeat(32), "role": "active"},
            "detections": [], "latency_us": {"capture": 1, "prepare": 2, "infer": 3, "decode": 4}},
        "reason": {"rule": "random", "group": "f7", "value": 0.001},
        "redaction": {"method": "fill", "from_score": 0.05, "enlarged": 0.3, "tracks_s": 1.0,
            "heads": [[1.0, 2.0, 3.0, 4.0]], "regions": []},
        "picture": {"width": 640, "height": 360, "quality": 80},
        "camera": {"pixel_format": "yuyv"}
    }))
    .unwrap()
}

#[test]
fn a_side_car_and_its_picture_come_out_as_they_went_in_and_nothing_else_does() {
    let (record, jpeg) = (side_car(), [0xff, 0xd8, 0xff, 0xe0, 1, 2, 3]);
    let bytes = plain(&record, &jpeg).unwrap();
    assert_eq!(open_plain(&bytes).unwrap(), (record.clone(), &jpeg[..]));
    // Any tar reads it too.
    let mut archive = tar::Archive::new(&bytes[..]);
    let names = archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string());
    assert_eq!(names.collect::<Vec<_>>(), ["record.json", "picture.jpg"]);
    assert!(matches!(plain(&record, b"GIF89a"), Err(PlainError::NoJpeg)));
    assert!(matches!(plain(&record, &vec![0xff; MAX_PLAIN][..]), Err(PlainError::NoJpeg)));
    let mut long = vec![0; MAX_PLAIN];
    long[..3].copy_from_slice(&jpeg[..3]);
    assert!(matches!(plain(&record, &long), Err(PlainError::TooBig { .. })));
    let newer = plain(&CaptureRecord { schema: 2, ..record }, &jpeg).unwrap();
    assert!(matches!(open_plain(&newer), Err(PlainError::Schema { found: 2 })));
    for at in 0..bytes.len() {
        assert!(open_plain(&bytes[..at]).is_err(), "the first {at} bytes");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(matches!(open_plain(&longer), Err(PlainError::Form { .. })));
}
