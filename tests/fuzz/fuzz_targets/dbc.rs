//! DBC files: whatever is accepted packs and unpacks without going outside the frame; what is written is read back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stopline_sensors::dbc::Database;

fuzz_target!(init: stopline_fuzz::seeds::dbcs(), |text: &str| {
    let Ok(database) = Database::parse(text) else { return };
    for message in database.messages() {
        let mut data = vec![0xA5; message.size];
        for number in 0..message.signals().len() {
            let name = &message.signals()[number].name;
            let Ok(number) = message.signal(name) else { continue };
            let _ = message.select(number, &mut data);
            if let Some(raw) = message.raw(number, &data) {
                assert!(message.write_raw(number, raw, &mut data));
                assert_eq!(message.raw(number, &data), Some(raw));
            }
            message.write_clamped(number, 1.5, &mut data);
            let (least, most) = message.signals()[number].bounds();
            assert!(least <= most);
            if let Some(value) = message.value(number, &data) {
                let _ = message.write(number, value, &mut data);
            }
        }
        assert_eq!(data.len(), message.size);
    }
});
