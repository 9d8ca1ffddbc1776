use std::format;
use std::string::String;

use proptest::prelude::*;

use super::*;

fn full() -> Payload {
    Payload {
        valid: true,
        deceleration: 4.98,
        hold: true,
        parking_brake: false,
        disengage: true,
        warn: Some(WarnLevel::Warn),
        row: Row::Braking,
        monitoring_lost: true,
        persons_down: 3,
        cause: Some(Cause::EgoSpeed),
        object_age: Some(Nanos::from_millis(85)),
        decision_age: Some(Nanos::from_millis(10)),
    }
}

#[test]
fn every_signal_stands_where_the_layout_says() {
    let bytes = full().pack();
    // 249 steps; Valid 10, Hold 11, Disengage 13, Warn 2 at 14.
    let word = 249 | 1 << 10 | 1 << 11 | 1 << 13 | 2 << 14;
    assert_eq!(u16::from_le_bytes([bytes[2], bytes[3]]), word);
    assert_eq!(bytes[4], 2 | 1 << 3 | 3 << 4);
    assert_eq!(bytes[5..], [20, 17, 2]);
    assert_eq!(bytes[..2], [0, 0], "checksum and counter are the sender's");
    assert_eq!(Payload::unpack(&bytes), Ok(full()));
    let informed = Payload { warn: Some(WarnLevel::Inform), ..full() };
    assert_eq!(Payload::unpack(&informed.pack()), Ok(informed));
    let parked = Payload { parking_brake: true, ..Payload::default() };
    assert_eq!(parked.pack()[3], 1 << 4);
    assert_eq!(Payload::default().pack(), [0, 0, 0, 0, 0, 0, 255, 255]);
}

#[test]
fn never_more_is_sent_than_asked_and_steps_are_kept() {
    for (asked, sent) in
        [(0.0, 0), (0.02, 1), (0.06, 3), (0.0399, 1), (5.0, 250), (9.0, 450), (20.46, 1023), (99.0, 1023)]
    {
        assert_eq!(steps(asked), sent, "{asked}");
    }
    assert_eq!(
        (steps(-1.0), steps(f32::NAN), steps(f32::NEG_INFINITY), steps(f32::INFINITY)),
        (0, 0, 0, 1023)
    );
}

#[test]
fn ages_end_at_their_largest_step() {
    for (given, byte) in
        [(None, 255), (Some(0), 0), (Some(4), 0), (Some(5), 1), (Some(1_270), 254), (Some(9_000), 254)]
    {
        assert_eq!(age(given.map(Nanos::from_millis)), byte, "{given:?}");
    }
}

#[test]
fn what_is_not_armed_asks_for_nothing_on_the_bus() {
    let command = Command {
        valid: true,
        row: Row::Holding,
        deceleration: 3.0,
        hold: true,
        parking_brake: true,
        disengage: true,
        warn: Some(WarnLevel::Inform),
        persons_down: 2,
        cause: Some(Cause::Throttled),
        ..Command::default()
    };
    let shown = Payload::from(&command);
    let nothing = Payload { persons_down: 2, cause: Some(Cause::Throttled), ..Payload::default() };
    assert_eq!(shown, nothing);
    let armed = Payload::from(&Command { armed: true, ..command });
    assert!(armed.valid && armed.hold && armed.parking_brake && armed.disengage);
    assert_eq!((armed.deceleration, armed.row, armed.warn), (3.0, Row::Holding, Some(WarnLevel::Inform)));
}

#[test]
fn values_without_a_meaning_are_refused_by_name() {
    let mut warn = Payload::default().pack();
    warn[3] |= 3 << 6;
    let mut row = Payload::default().pack();
    row[4] = 5;
    let mut cause = Payload::default().pack();
    cause[5] = 200;
    for (frame, text) in [(warn, "Warn is 3"), (row, "Row is 5"), (cause, "Cause is 200")] {
        let error = Payload::unpack(&frame).expect_err(text);
        assert!(format!("{error}").contains(text), "{error}");
    }
}

/// `SG_ Name : start|bits@1+ (factor,offset)` of the DBC's only message.
fn signal(name: &str) -> (u32, u32, String) {
    let line = DBC.lines().find(|line| line.trim_start().starts_with(&format!("SG_ {name} :")));
    let rest = line.unwrap_or_else(|| panic!("{name} is not in the DBC")).split(" : ").nth(1).unwrap();
    let (place, rest) = rest.split_once("@1+ ").expect("Intel order, unsigned");
    let (start, bits) = place.split_once('|').unwrap();
    (start.parse().unwrap(), bits.parse().unwrap(), rest.split(' ').next().unwrap().into())
}

#[test]
fn the_dbc_describes_these_bytes() {
    assert!(DBC.contains(&format!("BO_ {ID} {MESSAGE}: {LENGTH} ")));
    assert!(DBC.contains(&format!("BA_ \"GenMsgCycleTime\" BO_ {ID} {PERIOD_MS};")));
    let payload = full();
    let frame = u64::from_le_bytes(payload.pack());
    let raw = |name: &str| {
        let (start, bits, _) = signal(name);
        frame >> start & ((1 << bits) - 1)
    };
    assert_eq!(raw("Deceleration"), 249);
    assert_eq!(signal("Deceleration").2, "(0.02,0)");
    assert_eq!((raw("Valid"), raw("Hold"), raw("ParkingBrake"), raw("Disengage")), (1, 1, 0, 1));
    assert_eq!((raw("Warn"), raw("Row"), raw("MonitoringLost"), raw("PersonsDown")), (2, 2, 1, 3));
    assert_eq!((raw("Cause"), raw("ObjectAge"), raw("DecisionAge")), (20, 17, 2));
    assert_eq!((signal("Crc").0, signal("Crc").1, signal("Counter").0, signal("Counter").1), (0, 8, 8, 4));
    let crate::e2e::Protection::P01 { data_id, .. } = crate::e2e::Protection::default() else { panic!() };
    assert!(DBC.contains(&format!("data id 0x{data_id:04X}")));
}

#[test]
fn the_dbc_names_every_row_and_cause() {
    for row in Row::ALL {
        assert!(DBC.contains(&format!("{} \"{}\"", row.number(), row.code())), "{row:?}");
    }
    for cause in Cause::all() {
        assert!(DBC.contains(&format!(" {} \"{cause}\"", cause.number())), "{cause}");
    }
}

proptest! {
    #[test]
    fn every_frame_reads_back_or_is_refused(frame in any::<[u8; 8]>()) {
        if let Ok(payload) = Payload::unpack(&frame) {
            let again = payload.pack();
            prop_assert_eq!(&again[2..], &frame[2..]);
        }
    }
}
