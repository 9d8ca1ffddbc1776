use std::time::Duration;

use stopline_decide::e2e::{DataIdMode, Sender};
use stopline_sensors::clock::SystemClock;
use stopline_sensors::signals::Reading as Sensed;

use super::*;

#[test]
fn every_reading_arrives_under_its_own_name() {
    let mut readings = Readings::default();
    for (number, quantity) in Quantity::ALL.into_iter().enumerate() {
        #[allow(clippy::cast_precision_loss)]
        let value = if quantity.is_switch() { 1.0 } else { number as f32 };
        readings = readings.with(quantity, Sensed::Fresh(value));
    }
    let ego = ego(&readings);
    let numbers = [
        ego.speed,
        ego.yaw_rate,
        ego.steering_angle,
        ego.steering_rate,
        ego.accelerator,
        ego.brake_pedal,
        ego.acceleration,
    ];
    for (number, reading) in numbers.into_iter().enumerate() {
        #[allow(clippy::cast_precision_loss)]
        let expected = number as f32;
        assert_eq!(reading, Reading::Fresh(expected));
    }
    assert_eq!([ego.ignition, ego.autopilot, ego.off_switch, ego.release], [Reading::Fresh(true); 4]);
    let judged = Readings::default()
        .with(Quantity::Speed, Sensed::Stale)
        .with(Quantity::Accelerator, Sensed::Invalid)
        .with(Quantity::Ignition, Sensed::Fresh(0.0));
    let judged = super::ego(&judged);
    assert_eq!((judged.speed, judged.accelerator), (Reading::Stale, Reading::Invalid));
    assert_eq!((judged.yaw_rate, judged.ignition), (Reading::Missing, Reading::Fresh(false)));
}

#[test]
fn the_section_is_read_from_toml_and_written_back() {
    let text = r#"
        source = "can"
        interface = "can0"
        dbc = "car.dbc"
        [signals.speed]
        message = "WHEELS"
        signal = "Speed"
        factor = 0.2777778
        [e2e.WHEELS]
        protection = { profile = "p01", data_id = 256 }
    "#;
    let config: VehicleConfig = toml::from_str(text).unwrap();
    check(&config).unwrap();
    let received = &config.e2e["WHEELS"];
    assert_eq!(received.protection, Protection::p01(256, DataIdMode::Both));
    let again: VehicleConfig = toml::from_str(&toml::to_string(&config).unwrap()).unwrap();
    assert_eq!(again, config);
    let wrong = toml::from_str::<VehicleConfig>(&text.replace("factor", "faktor")).unwrap_err().to_string();
    assert!(wrong.contains("unknown field `faktor`"), "{wrong}");
}

#[test]
fn counters_and_checksums_are_checked_and_a_gap_in_time_explains_a_gap_in_the_counter() {
    let protection = Protection::p01(0x123, DataIdMode::Both);
    let mut sender = Sender::new(protection, 8).unwrap();
    let checker = Checker::new(protection, CheckConfig::default(), 8).unwrap();
    let mut check = E2eCheck::new(checker, Some(Duration::from_millis(10)));
    let mut at = Monotonic::from_nanos(1_000_000_000);
    let frame = |sender: &mut Sender| {
        let mut frame = [0, 0, 7, 0, 0, 0, 0, 0];
        assert!(sender.protect(&mut frame));
        frame
    };
    let mut verdicts = Vec::new();
    for _ in 0..3 {
        at = at.plus(Duration::from_millis(10));
        verdicts.push(check.check(&frame(&mut sender), at));
    }
    assert_eq!(
        verdicts,
        [Verdict::Repeated, Verdict::Accepted, Verdict::Accepted],
        "the first one proves nothing"
    );
    let same = frame(&mut sender);
    at = at.plus(Duration::from_millis(10));
    assert_eq!(check.check(&same, at), Verdict::Accepted);
    assert_eq!(check.check(&same, at.plus(Duration::from_millis(10))), Verdict::Repeated);
    let mut forged = frame(&mut sender);
    forged[4] ^= 1;
    assert_eq!(check.check(&forged, at.plus(Duration::from_millis(20))), Verdict::Refused);
    // Five frames are lost, and so is the time they would have taken.
    for _ in 0..5 {
        frame(&mut sender);
    }
    at = at.plus(Duration::from_millis(80));
    assert_eq!(check.check(&frame(&mut sender), at), Verdict::Accepted);
    // Five frames are left out in no time.
    for _ in 0..5 {
        frame(&mut sender);
    }
    at = at.plus(Duration::from_millis(10));
    assert_eq!(check.check(&frame(&mut sender), at), Verdict::Refused);
}

#[test]
fn a_constant_vehicle_opens_without_a_bus() {
    let config: VehicleConfig =
        toml::from_str("source = \"constant\"\n[constant]\nspeed = 13.9\nignition = true\n").unwrap();
    let vehicle = open(&config, Arc::new(SystemClock), || {}).unwrap();
    let ego = ego(&vehicle.signals().newest(SystemClock.monotonic()));
    assert_eq!(
        (ego.speed, ego.ignition, ego.release),
        (Reading::Fresh(13.9), Reading::Fresh(true), Reading::Missing)
    );
    let none: VehicleConfig = toml::from_str(
        "source = \"can\"\ninterface = \"nocan9\"\ndbc = \"/nowhere.dbc\"\n[signals.speed]\nsignal = \"x\"\n",
    )
    .unwrap();
    let said = open(&none, Arc::new(SystemClock), || {}).err().unwrap().to_string();
    assert!(said.contains("/nowhere.dbc"), "{said}");
}
