#![allow(clippy::unwrap_used)]

use std::time::SystemTime;

use super::*;

fn message(id: &str, at: u64) -> Message {
    Message {
        schema: SCHEMA,
        id: id.into(),
        device: "ward-3".into(),
        subject: Subject::Fall,
        to: vec!["nurses".into()],
        made_wall: SystemTime::UNIX_EPOCH.into(),
        made_monotonic_ns: at,
        persons_down: 1,
        cause: None,
        situation: Some(7),
        armed: false,
    }
}

#[test]
fn messages_wait_in_the_order_they_were_made() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path()).unwrap();
    for (id, at) in [("b", 20), ("a", 1_000_000_000_000), ("c", 3)] {
        put(folder.path(), &message(id, at)).unwrap();
    }
    let waiting = waiting(folder.path()).unwrap();
    let made: Vec<u64> = waiting.iter().map(|waiting| waiting.made_monotonic_ns).collect();
    assert_eq!(made, [3, 20, 1_000_000_000_000]);
    assert_eq!(read(&waiting[1].path).unwrap(), message("b", 20));
}

#[test]
fn what_is_being_written_is_not_met() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path()).unwrap();
    fs::write(folder.path().join(".00000000000000000001-x.json"), "{").unwrap();
    assert_eq!(waiting(folder.path()).unwrap(), []);
}

#[test]
fn an_acknowledgement_is_read_once_and_a_broken_one_does_not_stay() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path()).unwrap();
    let answer = Acknowledgement {
        schema: SCHEMA,
        id: "fall-1".into(),
        by: "nurse".into(),
        at_wall: SystemTime::UNIX_EPOCH.into(),
    };
    acknowledge(folder.path(), &answer).unwrap();
    fs::write(folder.path().join(ACKNOWLEDGED).join("zz.json"), "nonsense").unwrap();
    let came = take_acknowledgements(folder.path()).unwrap();
    assert_eq!(came.len(), 2);
    assert_eq!(came[0].as_ref().unwrap(), &answer);
    assert!(matches!(came[1], Err(OutboxError::Content { .. })));
    assert!(take_acknowledgements(folder.path()).unwrap().is_empty());
}

#[test]
fn an_outbox_that_nobody_empties_is_full_one_day() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path()).unwrap();
    for at in 0..MOST_WAITING {
        fs::write(folder.path().join(format!("{at:020}-x.json")), "{}").unwrap();
    }
    assert!(matches!(
        put(folder.path(), &message("x", 1)),
        Err(OutboxError::Full { found: MOST_WAITING, .. })
    ));
}

#[test]
fn an_id_cannot_leave_the_folder_and_another_schema_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path()).unwrap();
    let path = put(folder.path(), &message("../../etc/x", 1)).unwrap();
    assert_eq!(path.parent().unwrap(), folder.path());
    fs::write(&path, fs::read_to_string(&path).unwrap().replace("\"schema\":1", "\"schema\":2")).unwrap();
    assert!(matches!(read(&path), Err(OutboxError::Content { .. })));
}
