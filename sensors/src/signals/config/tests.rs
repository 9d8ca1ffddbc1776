use super::*;

fn config(change: impl FnOnce(&mut VehicleConfig<()>)) -> VehicleConfig<()> {
    let mut config: VehicleConfig<()> = serde_json::from_value(serde_json::json!({
        "source": "can", "interface": "can0", "dbc": "car.dbc",
        "signals": { "speed": { "message": "WHEELS", "signal": "VehicleSpeed", "factor": 0.277_777_8 } },
    }))
    .unwrap();
    change(&mut config);
    config
}

fn refused(change: impl FnOnce(&mut VehicleConfig<()>)) -> String {
    config(change).check().unwrap_err().to_string()
}

#[test]
fn a_sound_section_passes_and_paths_are_taken_from_the_files_folder() {
    let mut sound = config(|_| {});
    assert_eq!(sound.check(), Ok(()));
    sound.resolve(Path::new("/etc/stopline"));
    assert_eq!(sound.dbc.as_deref(), Some(Path::new("/etc/stopline/car.dbc")));
    assert_eq!(sound.max_age(Quantity::Speed), MAX_AGE);
}

#[test]
fn each_wrong_key_is_named_with_what_is_expected() {
    let speed = |config: &mut VehicleConfig<()>| config.signals.remove(&Quantity::Speed).unwrap();
    assert_eq!(
        refused(|config| config.interface = None),
        "[vehicle] interface is missing; expected the bus, for example \"can0\""
    );
    assert!(refused(|config| config.dbc = None).starts_with("[vehicle] dbc is missing"));
    assert!(refused(|config| drop(speed(config))).starts_with("[vehicle] signals is missing"));
    assert!(refused(|config| config.file = Some("x".into())).starts_with("[vehicle] file is given"));
    let with = |change: fn(&mut SignalConfig)| {
        refused(|config| change(config.signals.get_mut(&Quantity::Speed).unwrap()))
    };
    assert_eq!(
        with(|signal| signal.max_age_ms = Some(9)),
        "[vehicle] signals.speed.max_age_ms is 9; expected 10 to 2000"
    );
    assert!(with(|signal| signal.factor = Some(0.0)).contains("signals.speed.factor is 0;"));
    assert!(
        with(|signal| signal.max = Some(1_000.0)).contains("signals.speed.max is 1000; expected -20 to 100")
    );
    assert!(with(|signal| signal.on = vec![1]).contains("signals.speed.on is given"));
    assert!(with(|signal| signal.signal = None).contains("signals.speed.signal is missing"));
    assert!(refused(|config| config.source = Source::Constant).contains("none beside source = \"constant\""));
}

#[test]
fn constants_are_numbers_or_switches() {
    let constant = |value: serde_json::Value| -> Result<Vec<(Quantity, f32)>, String> {
        let config: VehicleConfig<()> =
            serde_json::from_value(serde_json::json!({ "source": "constant", "constant": value }))
                .map_err(|error| error.to_string())?;
        config.check().map_err(|error| error.to_string())?;
        Ok(config.constants())
    };
    let sound = constant(serde_json::json!({ "speed": 13.9, "ignition": true })).unwrap();
    assert_eq!(sound, [(Quantity::Speed, 13.9), (Quantity::Ignition, 1.0)]);
    assert!(constant(serde_json::json!({ "ignition": 1.0 })).unwrap_err().contains("expected true or false"));
    assert!(constant(serde_json::json!({ "speed": true })).unwrap_err().contains("expected a number"));
    assert!(constant(serde_json::json!({ "speed": 900.0 })).unwrap_err().contains("expected -20 to 100"));
    assert!(constant(serde_json::json!({ "sped": 1.0 })).unwrap_err().contains("unknown variant `sped`"));
}
