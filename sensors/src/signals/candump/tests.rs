use proptest::prelude::*;

use super::super::config::VehicleConfig;
use super::super::{Quantity, Reading};
use super::*;
use crate::clock::Monotonic;
use crate::dbc::Database;

const CAR: &str = "BO_ 256 WHEELS: 8 ABS\n SG_ Speed : 0|16@1+ (0.01,0) [0|300] \"m/s\" ECU\n\
                   BO_ 2566844673 TRUCK: 12 ABS\n SG_ Yaw : 88|8@1- (0.01,0) [0|0] \"\" ECU\n";

fn router() -> Router {
    let config: VehicleConfig<()> = serde_json::from_value(serde_json::json!({
        "source": "track", "file": "x", "dbc": "y",
        "signals": { "speed": { "signal": "Speed" }, "yaw_rate": { "signal": "Yaw" } },
    }))
    .unwrap();
    Router::new(&config, &Database::parse(CAR).unwrap(), &|(), _| Err("none".into())).unwrap()
}

const LOG: &str = "(1609459200.000000) can0 123#\n\
                   (1609459200.100000) can0 100#E803000000000000\n\
                   (1609459200.150000) can1 100#0000000000000000\n\
                   (1609459200.150000) can0 100#R\n\
                   (1609459200.160000) can0 20000040#0000000000000000\n\
                   (1609459200.200000) can0 100#B0.04.00.00.00.00.00.00\n\
                   (1609459200.210000) can0 18FEF101##1000000000000000000000064\n";

#[test]
fn a_log_is_read_by_dbc_from_its_first_frame_on() {
    let log = parse(LOG.as_bytes(), router(), 0).unwrap();
    let at = |millis: u64, quantity| log.at(Monotonic::from_nanos(millis * 1_000_000)).of(quantity);
    assert_eq!(at(99, Quantity::Speed), Reading::Missing);
    assert_eq!(at(100, Quantity::Speed), Reading::Fresh(10.0));
    assert_eq!(at(150, Quantity::Speed), Reading::Fresh(11.0));
    assert_eq!(at(210, Quantity::YawRate), Reading::Fresh(1.0));
    let moved = parse(LOG.as_bytes(), router(), -50_000).unwrap();
    assert_eq!(moved.at(Monotonic::from_nanos(50_000_000)).of(Quantity::Speed), Reading::Fresh(10.0));
}

#[test]
fn what_is_no_log_is_told_by_line() {
    let wrong = |text: &str| parse(text.as_bytes(), router(), 0).err().unwrap();
    for bad in [
        "hello",
        "(1.0) can0 1#",
        "(1.000000) can0 100#0",
        "(1.000000) can0 800#00",
        "(1.000000) can0 1#000000000000000000",
    ] {
        let (line, said) = wrong(&format!("{LOG}{bad}\n"));
        assert_eq!(line, Some(8), "{bad}");
        assert!(said.contains("expected \"(SECONDS.MICROSECONDS) INTERFACE ID#DATA\""), "{said}");
    }
    assert!(wrong("(1.000000) can0 1#00\n").1.contains("none of its frames"));
}

proptest! {
    #[test]
    fn no_bytes_are_more_than_refused(bytes in "[(0-9.) can#R\nA-F]{0,120}") {
        let _ = parse(bytes.as_bytes(), router(), 0);
    }
}
