use std::time::Duration;

use super::super::history::KEPT;
use super::super::{Reading, Readings};
use super::*;

const CAR: &str = r#"VERSION "1"
BS_:
BU_: ABS ECU
BO_ 256 WHEELS: 8 ABS
 SG_ Speed : 0|16@1+ (0.01,0) [0|300] "km/h" ECU
 SG_ Direction : 16|2@1+ (1,0) [0|3] "" ECU
BO_ 257 PEDALS: 4 ECU
 SG_ Accelerator : 0|8@1+ (0.4,0) [0|100] "%" ECU
 SG_ Gear : 8|4@1+ (1,0) [0|15] "" ECU
"#;

struct LastByte;

impl FrameCheck for LastByte {
    fn check(&mut self, data: &[u8], _at: Monotonic) -> Verdict {
        match data.last() {
            Some(0) => Verdict::Accepted,
            Some(1) => Verdict::Repeated,
            _ => Verdict::Refused,
        }
    }
}

fn config(text: serde_json::Value) -> VehicleConfig<()> {
    let mut whole = serde_json::json!({ "source": "can", "interface": "can0", "dbc": "car.dbc" });
    whole.as_object_mut().unwrap().extend(text.as_object().unwrap().clone());
    let config: VehicleConfig<()> = serde_json::from_value(whole).unwrap();
    config.check().unwrap();
    config
}

fn router(text: serde_json::Value) -> Result<Router, SignalError> {
    let database = Database::parse(CAR).unwrap();
    Router::new(&config(text), &database, &|(), _| Ok(Box::new(LastByte)))
}

fn sound() -> serde_json::Value {
    serde_json::json!({
        "signals": {
            "speed": { "signal": "Speed", "factor": 0.277_777_78, "not_available": [65_535] },
            "accelerator": { "message": "PEDALS", "signal": "Accelerator", "factor": 0.01, "not_available": [255] },
            "ignition": { "message": "PEDALS", "signal": "Gear", "on": [3, 4] },
        },
        "e2e": { "WHEELS": null },
    })
}

fn after(frames: &[(u16, &[u8])]) -> (Readings, super::super::Refused) {
    let mut router = router(sound()).unwrap();
    let mut histories = router.histories(KEPT);
    let mut at = Monotonic::from_nanos(0);
    for (id, data) in frames {
        at = at.plus(Duration::from_millis(10));
        let frame = BusFrame::new(BusId::Standard(*id), data).unwrap();
        router.take(&frame, at, &mut histories);
    }
    (histories.newest(at), histories.refused)
}

#[test]
fn frames_become_quantities_in_their_units() {
    let (now, refused) =
        after(&[(256, &[0x88, 0x13, 0, 0, 0, 0, 0, 0]), (257, &[50, 3, 0, 0]), (999, &[1, 2, 3])]);
    let Reading::Fresh(speed) = now.of(Quantity::Speed) else { panic!("{now:?}") };
    assert!((speed - 50.0 / 3.6).abs() < 1e-4, "{speed}");
    assert_eq!(now.of(Quantity::Accelerator), Reading::Fresh(0.2));
    assert_eq!(now.of(Quantity::Ignition), Reading::Fresh(1.0));
    assert_eq!(now.of(Quantity::YawRate), Reading::Missing);
    assert_eq!(refused, super::super::Refused::default());
}

#[test]
fn a_wrong_checksum_makes_what_the_frame_carries_invalid_and_a_repeated_one_says_nothing() {
    let good: &[u8] = &[0x88, 0x13, 0, 0, 0, 0, 0, 0];
    let repeated: &[u8] = &[0x00, 0x20, 0, 0, 0, 0, 0, 1];
    let forged: &[u8] = &[0x00, 0x20, 0, 0, 0, 0, 0, 9];
    let (now, refused) = after(&[(256, good), (256, repeated)]);
    assert!(matches!(now.of(Quantity::Speed), Reading::Fresh(speed) if speed < 14.0));
    assert_eq!(refused.repeated, 1);
    let (now, refused) = after(&[(256, good), (257, &[50, 3, 0, 0]), (256, forged)]);
    assert_eq!(now.of(Quantity::Speed), Reading::Invalid);
    assert_eq!(now.of(Quantity::Accelerator), Reading::Fresh(0.2), "of another message");
    assert_eq!(refused.checks, 1);
}

#[test]
fn short_frames_and_the_senders_own_no_value_are_invalid() {
    assert_eq!(after(&[(257, &[50, 3, 0])]).0.of(Quantity::Accelerator), Reading::Invalid);
    assert_eq!(after(&[(257, &[255, 3, 0, 0])]).0.of(Quantity::Accelerator), Reading::Invalid);
    // 254 × 0.4 is beyond the file's 100 %.
    assert_eq!(after(&[(257, &[254, 3, 0, 0])]).0.of(Quantity::Accelerator), Reading::Invalid);
    assert_eq!(after(&[(257, &[50, 2, 0, 0])]).0.of(Quantity::Ignition), Reading::Fresh(0.0));
}

#[test]
fn what_the_file_does_not_have_is_told_with_the_key() {
    let wrong = |text: serde_json::Value| router(text).err().unwrap().to_string();
    let said =
        wrong(serde_json::json!({ "signals": { "speed": { "message": "WHEEL", "signal": "Speed" } } }));
    assert_eq!(said, "[vehicle] signals.speed: there is no message WHEEL; did you mean WHEELS?");
    let said = wrong(serde_json::json!({ "signals": { "speed": { "signal": "Sped" } } }));
    assert!(said.contains("no message has a signal Sped; did you mean Speed?"), "{said}");
    let said = wrong(serde_json::json!({
        "signals": { "speed": { "signal": "Speed" } }, "e2e": { "WHELS": null },
    }));
    assert_eq!(said, "[vehicle.e2e.WHELS]: no signal is read from it; did you mean WHEELS?");
}
