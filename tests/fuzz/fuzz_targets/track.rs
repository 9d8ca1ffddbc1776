//! Signal tracks and candump logs: what is accepted has values that are possible, or none.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stopline_sensors::clock::Monotonic;
use stopline_sensors::dbc::Database;
use stopline_sensors::signals::config::VehicleConfig;
use stopline_sensors::signals::route::Router;
use stopline_sensors::signals::{Quantity, Reading, candump, track};

const DBC: &str = "BO_ 256 WHEELS: 8 ABS\n SG_ Speed : 0|16@1+ (0.01,0) [0|300] \"m/s\" X\n";
const CONFIG: &str = r#"{ "source": "track", "file": "x", "dbc": "y", "signals": { "speed": { "signal": "Speed" } } }"#;

fuzz_target!(init: stopline_fuzz::seeds::tracks(), |bytes: &[u8]| {
    let config: VehicleConfig<()> = serde_json::from_str(CONFIG).expect("a sound section");
    let database = Database::parse(DBC).expect("a sound file");
    let router = Router::new(&config, &database, &|(), _| Err("none".into())).expect("it has the signal");
    let read = [track::parse(bytes, &config).ok(), candump::parse(bytes, router, 0).ok()];
    for histories in read.into_iter().flatten() {
        for millis in [0, 1, 50, 1_000, 100_000] {
            let time = Monotonic::from_nanos(millis * 1_000_000);
            let (at, newest) = (histories.at(time), histories.newest(time));
            for quantity in Quantity::ALL {
                let (least, most) = quantity.possible();
                for reading in [at.of(quantity), newest.of(quantity)] {
                    assert!(!matches!(reading, Reading::Fresh(value) if !(least..=most).contains(&value)));
                }
            }
        }
    }
});
