use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::digest::Digest;
use crate::outbox::Subject;

const DEVICE: &str = "0123456789abcdef0123456789abcdef";

fn bodies() -> Vec<Body> {
    let wall = "2026-11-22T06:00:00.000000Z".parse().unwrap();
    vec![
        Body::Birth(Box::new(Birth {
            settings: Some("north 3".into()),
            agent: "0.1.0".into(),
            runtime: None,
            name: None,
            hardware: "orin".into(),
            system: None,
            kernel: None,
            configuration: Digest::of(b"c"),
            cameras: vec!["front".into()],
            models: Vec::new(),
            at_wall: Some(wall),
        })),
        Body::State(Box::default()),
        Body::Stats(Box::default()),
        Body::Event(Box::new(Event {
            id: "fall-1-1".into(),
            change: Change::New,
            subject: Subject::Fall,
            name: "room 12".into(),
            made_wall: wall,
            persons_down: 1,
            cause: None,
            situation: Some(3),
            armed: false,
            asks: true,
            step: 0,
            by: None,
        })),
        Body::Drift(json!({"alarm": "resolution"})),
    ]
}

fn messages() -> Vec<Message> {
    let of = |(seq, body): (u64, &Body)| Message::new((DEVICE, "boot", seq), body).unwrap();
    (1..).zip(&bodies()).map(of).collect()
}

#[test]
fn each_kind_comes_back_as_it_went_in_alone_and_as_a_line() {
    let messages = messages();
    for (message, body) in messages.iter().zip(bodies()) {
        let bytes = versioned::write(message).unwrap();
        let read: Message = versioned::read(&bytes).unwrap();
        assert_eq!((&read, read.content().unwrap()), (message, body));
    }
    let lines = lines(&messages).unwrap();
    let read: Vec<Message> = read_lines(&lines).unwrap().into_iter().map(Result::unwrap).collect();
    assert_eq!(read, messages);
}

#[test]
fn a_line_that_is_refused_costs_the_others_nothing_and_one_of_tomorrow_is_told_apart() {
    let good = serde_json::to_string(&messages()[1]).unwrap();
    let newer = good.replace("\"schema\":1", "\"schema\":2");
    let text = format!("{good}\n\n{{\"schema\":1}}\n\u{0}\n{newer}\n{good}");
    let read = read_lines(text.as_bytes()).unwrap();
    assert_eq!(read.len(), 5);
    assert!(read[0].is_ok() && read[4].is_ok());
    assert!(matches!(read[1], Err(VersionedError::Refused { .. })));
    assert!(matches!(read[3], Err(VersionedError::Newer { found: 2, .. })));
}

#[test]
fn more_than_one_request_takes_is_refused_before_it_is_read() {
    assert!(read_lines(&vec![b'x'; MAX_LINES_BYTES + 1]).is_err());
    assert!(read_lines("x\n".repeat(MAX_LINES + 1).as_bytes()).is_err());
    assert_eq!(read_lines("x\n".repeat(MAX_LINES).as_bytes()).unwrap().len(), MAX_LINES);
    let messages = vec![messages()[1].clone(); MAX_LINES + 1];
    assert!(lines(&messages).is_err() && lines(&messages[1..]).is_ok());
}

#[test]
fn a_body_of_another_kind_a_foreign_name_or_a_strange_answer_is_refused() {
    let stats = messages()[2].clone();
    for wrong in [
        Message { kind: Kind::Event, ..stats.clone() },
        Message { device: "+".into(), ..stats.clone() },
        Message { boot_id: "a/b".into(), ..stats.clone() },
        Message { kind: Kind::Drift, body: json!("x"), ..stats.clone() },
    ] {
        assert!(versioned::write(&wrong).is_err(), "{wrong:?}");
    }
    let answer = Acknowledge { schema: 1, id: "fall-1".into(), by: "n.mueller".into() };
    versioned::write(&answer).unwrap();
    for by in [String::new(), "  ".into(), "a\nb".into(), "x".repeat(129)] {
        assert!(versioned::write(&Acknowledge { by, ..answer.clone() }).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn foreign_bytes_are_refusals_and_nothing_else(bytes in prop::collection::vec(any::<u8>(), 0..2_048)) {
        for line in read_lines(&bytes).unwrap() {
            prop_assert!(line.is_err());
        }
        prop_assert!(versioned::read::<Acknowledge>(&bytes).is_err());
        prop_assert!(versioned::read::<Receipts>(&bytes).is_err());
    }
}
