use proptest::prelude::*;
use stopline_decide::cause::Cause;
use stopline_decide::command::Row;
use stopline_decide::e2e::{Check, CheckConfig, Checker, DataIdMode, Protection};

use super::*;

fn own() -> FrameConfig {
    FrameConfig::default()
}

fn of(dbc: &str, rest: &str) -> Result<Packer, ActError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bus.dbc");
    std::fs::write(&path, dbc).unwrap();
    let text = format!("dbc = {path:?}\nmessage = \"ACC\"\n{rest}");
    Packer::new("brake", &toml::from_str(&text).unwrap())
}

/// As a maker's bus may have it: acceleration instead of deceleration, Motorola order, a selector, a constant, CRC at the end.
const ACC: &str = "BO_ 419 ACC: 8 ECU\n SG_ Mux M : 3|2@0+ (1,0) [0|3] \"\" X\n SG_ Accel m1 : 15|12@0- (0.01,-2) [-12|5] \"m/s2\" X\n \
                   SG_ Active : 31|1@0+ (1,0) [0|1] \"\" X\n SG_ Kind : 30|3@0+ (1,0) [0|7] \"\" X\n SG_ Count : 48|4@1+ (1,0) [0|15] \"\" X\n \
                   SG_ Sum : 56|8@1+ (1,0) [0|255] \"\" X\n";
const PARTS: &str = "[signals]\ndeceleration = { signal = \"Accel\", factor = -1.0 }\nvalid = \"Active\"\n[constants]\nKind = 5\n";
const CRC: &str = "[e2e]\nprofile = \"custom\"\npoly = 29\ninit = 255\nxorout = 255\ncrc_byte = 7\ncounter = { bit = 48, width = 4, highest = 15 }\n";

fn braking() -> Command {
    Command { armed: true, valid: true, row: Row::Braking, deceleration: 2.5, ..Command::default() }
}

#[test]
fn our_own_frame_passes_the_reference_check_and_counts() {
    let mut packer = Packer::new("brake", &own()).unwrap();
    let mut checker = Checker::new(Protection::default(), CheckConfig::default(), 8).unwrap();
    let found: Vec<Check> =
        (0..20).map(|_| checker.check(packer.frame(&braking()).unwrap().data())).collect();
    assert_eq!(found[0], Check::Initial);
    assert!(found[1..].iter().all(|check| *check == Check::Ok), "{found:?}");
    assert_eq!(packer.cycle(), Some(std::time::Duration::from_millis(20)));
}

#[test]
fn the_counter_of_a_frame_that_was_not_sent_is_used_again_and_showing_counts_nothing() {
    let mut packer = Packer::new("brake", &own()).unwrap();
    let shown = packer.shown(&braking()).unwrap();
    let before = packer.counter();
    assert_eq!(packer.frame(&braking()).unwrap(), shown);
    packer.take_back(before);
    assert_eq!(packer.frame(&braking()).unwrap(), shown);
    assert_ne!(packer.frame(&braking()).unwrap(), shown);
}

#[test]
fn what_is_not_armed_or_not_valid_asks_for_nothing_on_the_bus() {
    let mut packer = Packer::new("brake", &own()).unwrap();
    let everything = Command { hold: true, parking_brake: true, disengage: true, ..braking() };
    let unarmed = packer.frame(&Command { armed: false, ..everything }).unwrap();
    let payload = Payload::unpack(unarmed.data().try_into().unwrap()).unwrap();
    assert_eq!(payload, Payload { row: Row::Idle, ..Payload::default() });
    let armed = packer.frame(&everything).unwrap();
    let payload = Payload::unpack(armed.data().try_into().unwrap()).unwrap();
    assert!(payload.valid && payload.hold && payload.parking_brake && payload.disengage);
}

#[test]
fn a_makers_own_frame_is_filled_by_names() {
    let mut packer = of(ACC, &format!("{PARTS}{CRC}")).unwrap();
    let frame = packer.frame(&braking()).unwrap();
    let database = Database::parse(ACC).unwrap();
    let acc = database.message("ACC").unwrap();
    let value = |name: &str| acc.value(acc.signal(name).unwrap(), frame.data()).unwrap();
    assert!((value("Accel") + 2.5).abs() < 1e-9);
    assert_eq!((value("Mux"), value("Active"), value("Kind"), value("Count")), (1.0, 1.0, 5.0, 0.0));
    // 2.005 lies between two steps: never more than asked.
    let between = packer.frame(&Command { deceleration: 2.005, ..braking() }).unwrap();
    assert!((acc.value(acc.signal("Accel").unwrap(), between.data()).unwrap() + 2.0).abs() < 1e-9);
    // Beyond what the signal carries.
    let most = packer.frame(&Command { deceleration: 50.0, ..braking() }).unwrap();
    assert!((acc.value(acc.signal("Accel").unwrap(), most.data()).unwrap() + 12.0).abs() < 1e-9);
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let wrong = |dbc: &str, rest: &str| of(dbc, rest).err().unwrap().to_string();
    let said = wrong(ACC, &format!("{}{CRC}", PARTS.replace("Accel", "Acel")));
    assert!(
        said.contains("signals.deceleration: message ACC has no signal Acel; did you mean Accel?"),
        "{said}"
    );
    let said = wrong(ACC, PARTS);
    assert!(said.contains("shares bits with"), "Profile 1 has its checksum in byte 0: {said}");
    let said = wrong(ACC, &format!("{}{CRC}", PARTS.replace("Active", "Sum")));
    assert!(said.contains("signal Sum of message ACC shares bits"), "{said}");
    let said = wrong(ACC, &format!("{}{CRC}", PARTS.replace("Kind = 5", "Kind = 9")));
    assert!(said.contains("constants") && said.contains("cannot carry 9"), "{said}");
    let said = wrong(ACC, &format!("{PARTS}{}", CRC.replace("crc_byte = 7", "crc_byte = 9")));
    assert!(said.contains("e2e:"), "{said}");
    let two = PARTS.replace("valid = \"Active\"", "valid = \"Active\"\nhold = \"Active\"");
    assert!(wrong(ACC, &format!("{two}{CRC}")).contains("carries two parts"));
    let odd = ACC.replace("ACC: 8", "ACC: 9");
    assert!(wrong(&odd, &format!("{PARTS}{CRC}")).contains("a length that no frame has"));
}

fn a_command() -> impl Strategy<Value = Command> {
    let ages = || proptest::option::of((0_u64..3_000_000_000).prop_map(Nanos));
    let warn = prop_oneof![Just(None), Just(Some(WarnLevel::Inform)), Just(Some(WarnLevel::Warn))];
    let cause = proptest::option::of((1_u8..=23).prop_map(|number| Cause::from_number(number).unwrap()));
    let row = (0_u8..5).prop_map(|number| Row::from_number(number).unwrap());
    let bits = proptest::array::uniform6(any::<bool>());
    (0.0_f32..25.0, bits, warn, cause, row, ages(), ages(), 0_u8..40).prop_map(
        |(
            deceleration,
            [armed, valid, hold, parking_brake, disengage, monitoring_lost],
            warn,
            cause,
            row,
            object_age,
            decision_age,
            persons_down,
        )| Command {
            deceleration,
            armed,
            valid,
            hold,
            parking_brake,
            disengage,
            monitoring_lost,
            warn,
            cause,
            row,
            object_age,
            decision_age,
            persons_down,
            ..Command::default()
        },
    )
}

proptest! {
    #[test]
    fn by_names_or_by_the_decisions_own_hand_the_bytes_are_the_same(command in a_command()) {
        let packer = Packer::new("brake", &own()).unwrap();
        let shown = packer.shown(&command).unwrap();
        let mut by_hand = Payload::from(&command).pack();
        prop_assert!(e2e::Sender::new(Protection::p01(0x0518, DataIdMode::Both), 8).unwrap().protect(&mut by_hand));
        prop_assert_eq!(shown.data(), by_hand);
    }
}
