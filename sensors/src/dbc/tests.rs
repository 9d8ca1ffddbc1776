use proptest::prelude::*;

use super::layout::{Form, Order};
use super::*;

/// Both byte orders, signs, floats, 29 bits, simple and nested multiplexing, names given twice, bits outside.
const CAR: &str = r#"VERSION "1"

NS_ :
	CM_

BS_:

BU_: ABS ECU

BO_ 256 WHEELS: 8 ABS
 SG_ VehicleSpeed : 0|16@1+ (0.01,0) [0|300] "km/h" ECU
 SG_ YawRate : 23|12@0- (0.05,0) [-100|100] "deg/s" ECU
 SG_ Counter : 48|4@1+ (1,0) [0|15] "" ECU
 SG_ Checksum : 56|8@1+ (1,0) [0|255] "" ECU

BO_ 2566844673 TRUCK: 8 ABS
 SG_ Torque : 7|16@0- (1,-125) [-125|125] "%" ECU
 SG_ VehicleSpeed : 16|8@1+ (1,0) [0|0] "km/h" ECU

BO_ 300 MODES: 8 ABS
 SG_ Mode M : 0|4@1+ (1,0) [0|15] "" ECU
 SG_ Low m0 : 8|8@1+ (1,0) [0|255] "" ECU
 SG_ High m1 : 15|16@0- (0.5,10) [0|0] "" ECU

BO_ 301 NESTED: 8 ABS
 SG_ Outer M : 0|8@1+ (1,0) [0|255] "" ECU
 SG_ Inner m1M : 8|8@1+ (1,0) [0|255] "" ECU
 SG_ Deep m3 : 16|8@1+ (1,0) [0|255] "" ECU

BO_ 302 FLOATS: 12 ABS
 SG_ Single : 0|32@1- (1,0) [0|0] "" ECU
 SG_ Double : 32|64@1- (2,1) [0|0] "" ECU

BO_ 303 NONSENSE: 2 ABS
 SG_ Outside : 12|8@1+ (1,0) [0|255] "" ECU
 SG_ Unscaled : 0|4@1+ (0,0) [0|255] "" ECU
 SG_ Twice : 0|1@1+ (1,0) [0|1] "" ECU
 SG_ Twice : 1|1@1+ (1,0) [0|1] "" ECU

BO_ 304 SAME: 1 ABS
 SG_ A : 0|8@1+ (1,0) [0|255] "" ECU

BO_ 305 SAME: 1 ABS
 SG_ A : 0|8@1+ (1,0) [0|255] "" ECU

CM_ SG_ 256 VehicleSpeed "of the wheels";
BA_DEF_ BO_ "GenMsgCycleTime" INT 0 65535;
BA_DEF_DEF_ "GenMsgCycleTime" 0;
BA_ "GenMsgCycleTime" BO_ 256 10;
SIG_VALTYPE_ 302 Single : 1;
SIG_VALTYPE_ 302 Double : 2;
SG_MUL_VAL_ 301 Inner Outer 1-1;
SG_MUL_VAL_ 301 Deep Inner 3-3, 7-9;
"#;

fn car() -> Database {
    Database::parse(CAR).unwrap()
}

fn wrong<T: std::fmt::Debug>(result: Result<T, DbcError>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn a_message_is_found_by_name_or_number_with_all_the_file_says_of_it() {
    let car = car();
    let wheels = car.message("WHEELS").unwrap();
    assert_eq!((wheels.id, wheels.size), (BusId::Standard(0x100), 8));
    assert_eq!(wheels.cycle, Some(Duration::from_millis(10)));
    assert_eq!(car.message("0x100").unwrap().name, "WHEELS");
    let truck = car.message("0x18FEF101").unwrap();
    assert_eq!((truck.name.as_str(), truck.id, truck.cycle), ("TRUCK", BusId::Extended(0x18FE_F101), None));
    let speed = &wheels.signals()[wheels.signal("VehicleSpeed").unwrap()];
    assert_eq!((speed.unit.as_str(), speed.range), ("km/h", Some((0.0, 300.0))));
}

#[test]
fn values_come_out_in_both_byte_orders_signed_and_scaled() {
    let car = car();
    let wheels = car.message("WHEELS").unwrap();
    let data = [0x10, 0x27, 0xFF, 0x60, 0, 0, 0x05, 0xAB];
    let value = |name: &str| wheels.value(wheels.signal(name).unwrap(), &data).unwrap();
    assert!((value("VehicleSpeed") - 100.0).abs() < 1e-9);
    // 0xFF6 of 12 bits is -10.
    assert!((value("YawRate") + 0.5).abs() < 1e-9);
    assert!((value("Counter") - 5.0).abs() < 1e-9 && (value("Checksum") - 171.0).abs() < 1e-9);
    let truck = car.message("TRUCK").unwrap();
    let torque = truck.signal("Torque").unwrap();
    assert!((truck.value(torque, &[0, 200, 0]).unwrap() - 75.0).abs() < 1e-9);
    assert_eq!(truck.value(torque, &[0]), None, "the frame is too short");
}

#[test]
fn a_multiplexed_signal_is_there_only_when_it_is_selected() {
    let car = car();
    let modes = car.message("MODES").unwrap();
    let (low, high) = (modes.signal("Low").unwrap(), modes.signal("High").unwrap());
    assert_eq!((modes.value(low, &[0, 7, 0]), modes.value(high, &[0, 7, 0])), (Some(7.0), None));
    assert_eq!((modes.value(low, &[1, 0, 4]), modes.value(high, &[1, 0, 4])), (None, Some(12.0)));
    let mut data = [0; 8];
    modes.select(high, &mut data).unwrap();
    assert_eq!(data[0], 1);

    let nested = car.message("NESTED").unwrap();
    let deep = nested.signal("Deep").unwrap();
    assert_eq!(nested.value(deep, &[1, 8, 42]), Some(42.0));
    assert_eq!(nested.value(deep, &[1, 4, 42]), None, "the inner selector says another");
    assert_eq!(nested.value(deep, &[0, 3, 42]), None, "the inner selector itself is not there");
    let mut data = [0; 8];
    nested.select(deep, &mut data).unwrap();
    assert_eq!(data[..2], [1, 3]);
}

#[test]
fn floats_are_floats() {
    let car = car();
    let floats = car.message("FLOATS").unwrap();
    let mut data = [0; 12];
    let (single, double) = (floats.signal("Single").unwrap(), floats.signal("Double").unwrap());
    floats.write(single, -1.5, &mut data).unwrap();
    floats.write(double, 0.1, &mut data).unwrap();
    assert_eq!(f32::from_le_bytes(data[..4].try_into().unwrap()), -1.5);
    assert!((floats.value(double, &data).unwrap() - 0.1).abs() < 1e-12);
    assert!(floats.write(single, f64::NAN, &mut data).is_err());
}

#[test]
fn what_cannot_be_carried_is_refused_or_bent_as_asked() {
    let car = car();
    let wheels = car.message("WHEELS").unwrap();
    let speed = wheels.signal("VehicleSpeed").unwrap();
    let mut data = [0xFF; 8];
    let said = wrong(wheels.write(speed, 300.5, &mut data));
    assert_eq!(said, "signal VehicleSpeed of message WHEELS cannot carry 300.5; it carries 0 to 300");
    assert_eq!(data, [0xFF; 8], "unchanged");
    assert!(wheels.write_clamped(speed, 1e9, &mut data));
    assert!((wheels.value(speed, &data).unwrap() - 300.0).abs() < 1e-9);
    assert!(wheels.write_clamped(speed, f64::NAN, &mut data));
    assert_eq!(wheels.raw(speed, &data), Some(0));
    assert!(!wheels.write_clamped(speed, 12.0, &mut data));
    assert_eq!(data[2..], [0xFF; 6], "the others are left alone");
}

#[test]
fn a_wrong_name_is_told_with_the_nearest_ones() {
    let car = car();
    assert_eq!(wrong(car.message("WHEEL")), "there is no message WHEEL; did you mean WHEELS?");
    let wheels = car.message("WHEELS").unwrap();
    let said = wrong(wheels.signal("VehicelSpeed"));
    assert_eq!(said, "message WHEELS has no signal VehicelSpeed; did you mean VehicleSpeed?");
    assert_eq!(wrong(car.message_with("YawRat")), "no message has a signal YawRat; did you mean YawRate?");
    assert_eq!(
        wrong(car.message_with("VehicleSpeed")),
        "signal VehicleSpeed is in WHEELS, TRUCK; name the message"
    );
    let said = wrong(car.message("SAME"));
    assert!(said.contains("2 times (identifiers 0x130, 0x131)"), "{said}");
    assert_eq!(car.message_with("Torque").unwrap().0.name, "TRUCK");
}

#[test]
fn nonsense_is_refused_where_it_is_used_and_nowhere_else() {
    let car = car();
    let nonsense = car.message("NONSENSE").unwrap();
    assert!(wrong(nonsense.signal("Outside")).contains("lie outside the message's 16"));
    assert!(wrong(nonsense.signal("Unscaled")).contains("scale (0, 0) cannot be"));
    assert!(wrong(nonsense.signal("Twice")).contains("there twice"));
}

#[test]
fn what_is_no_dbc_file_is_told_by_line() {
    let said = wrong(Database::parse("VERSION \"1\"\nBO_ 1 A: 8 X\n SG_ B 0|8@1+ (1,0) [0|1] \"\" X\n"));
    assert!(said.starts_with("DBC text: not a DBC file: line 3"), "{said}");
    assert!(wrong(Database::parse("")).contains("has no messages"));
    let cut = "BO_ 70000 A: 8 X\n SG_ B : 0|8@1+ (1,0) [0|1] \"\" X\n";
    assert!(wrong(Database::parse(cut)).contains("identifier 70000; expected up to 2047"));
    let folder = tempfile::tempdir().unwrap();
    assert!(wrong(Database::read(&folder.path().join("none.dbc"))).contains("none.dbc"));
    // Not UTF-8: a degree sign in Latin-1.
    let path = folder.path().join("latin.dbc");
    let mut bytes = b"BO_ 1 A: 8 X\n SG_ B : 0|8@1+ (1,0) [0|1] \"".to_vec();
    bytes.extend_from_slice(&[0xB0, b'"', b' ', b'X', b'\n']);
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(Database::read(&path).unwrap().messages()[0].signals()[0].unit, "°");
}

fn a_layout() -> impl Strategy<Value = Layout> {
    let order = prop_oneof![Just(Order::Little), Just(Order::Big)];
    let form = prop_oneof![Just(Form::Unsigned), Just(Form::Signed)];
    (0..512_u64, 1..=64_u64, order, form).prop_filter_map("within 64 bytes", |(start, size, order, form)| {
        Layout::new(start, size, order, form, 64).ok()
    })
}

proptest! {
    #[test]
    fn what_is_put_in_comes_out_and_nothing_else_changes(
        layout in a_layout(), bits: u64, data in proptest::collection::vec(any::<u8>(), 64)
    ) {
        let mask = u64::MAX >> (64 - u32::from(layout.size()));
        let mut written = data.clone();
        prop_assert!(layout.put(bits & mask, &mut written));
        prop_assert_eq!(layout.bits(&written), Some(bits & mask));
        let changed: u32 = written.iter().zip(&data).map(|(a, b)| (a ^ b).count_ones()).sum();
        prop_assert!(changed <= u32::from(layout.size()));
        layout.put(layout.bits(&data).unwrap(), &mut written);
        prop_assert_eq!(written, data);
    }

    #[test]
    fn every_number_in_range_survives_to_the_nearest_step(layout in a_layout(), share in 0.0..=1.0_f64) {
        let (least, most) = layout.numbers();
        let number = (least + (most - least) * share).clamp(least, most).round();
        let bits = layout.from_number(number);
        prop_assert!(bits.is_some_and(|bits| layout.holds(bits)));
        let back = layout.number(bits.unwrap());
        prop_assert!((back - number).abs() <= number.abs() * 1e-15);
        prop_assert_eq!(layout.from_number(most * 2.0 + 10.0), None);
        prop_assert_eq!(layout.from_number(f64::NAN), None);
    }

    #[test]
    fn no_text_is_more_than_refused(text in "(BO_ [0-9]{1,12} [A-Z]{1,3}: [0-9]{1,3} X\n( SG_ [A-Z]{1,2} (m[0-9]{1,3}M?|M)? ?: [0-9]{1,20}\\|[0-9]{1,20}@[01][+-] \\([0-9.]{1,5},[0-9.-]{1,5}\\) \\[[0-9.]{1,4}\\|[0-9.]{1,4}\\] \"\" X\n){0,4}){0,4}") {
        if let Ok(database) = Database::parse(&text) {
            for message in database.messages() {
                let mut data = vec![0xA5; message.size];
                for number in 0..message.signals().len() {
                    let _ = message.value(number, &data);
                    let _ = message.select(number, &mut data);
                    message.write_clamped(number, 1.0, &mut data);
                }
            }
        }
    }
}
