use std::path::Path;

use stopline_sensors::clock::SystemClock;

use super::*;

fn config(text: &str) -> Config {
    Config::from_toml(text, Path::new("/tmp/stopline.toml")).expect("a good configuration")
}

fn looked(text: &str) -> Findings {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    look(&config(text), Duration::from_millis(200), &clock)
}

fn about<'a>(findings: &'a Findings, about: &str) -> Vec<&'a Finding> {
    findings.all().iter().filter(|finding| finding.about == about).collect()
}

#[test]
fn a_camera_that_gives_frames_is_well_and_what_is_missing_around_it_is_told() {
    let findings = looked(
        "schema = 1\n[run]\ndirectory = \"/tmp\"\n[[camera]]\nname = \"front\"\nsource = \"pattern:320x240@30\"\n",
    );
    let camera = about(&findings, "camera front");
    assert!(
        camera.iter().any(|found| found.level == Level::Ok && found.found.contains("320x240")),
        "{camera:?}"
    );
    assert_eq!(about(&findings, "run directory")[0].level, Level::Ok);
    assert_eq!(about(&findings, "vehicle signals")[0].level, Level::Warning);
    assert_eq!(about(&findings, "models")[0].level, Level::Warning);
    for told in findings.all() {
        assert_eq!(told.advice.is_none(), told.level == Level::Ok, "advice where it helps: {told:?}");
    }
}

#[test]
fn what_is_not_there_is_a_fault_with_advice() {
    let findings = looked(
        "schema = 1\n[run]\ndirectory = \"/nowhere/at/all\"\n\
         [[camera]]\nname = \"front\"\nsource = \"/dev/video-nowhere\"\n\
         [[model]]\nname = \"signs\"\nonnx = \"nowhere.onnx\"\n\
         [[actuator]]\nkind = \"can\"\nname = \"brake\"\ninterface = \"can-nowhere\"\n\
         [[actuator]]\nkind = \"gpio\"\nname = \"lamp\"\nchip = \"/dev/gpiochip-nowhere\"\nline = 3\nmode = \"toggle\"\nwhen = \"brake\"\n",
    );
    for thing in ["camera front", "model signs", "can can-nowhere", "gpio lamp", "run directory"] {
        let told = about(&findings, thing);
        assert!(told.iter().any(|found| found.level == Level::Fault), "{thing}: {told:?}");
    }
    assert_eq!(findings.worst(), Level::Fault);
}

#[test]
fn heat_and_supply_are_read_where_the_system_tells_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let zone = folder.path().join("class/thermal/thermal_zone1");
    std::fs::create_dir_all(&zone).expect("writes");
    std::fs::write(zone.join("temp"), "84500\n").expect("writes");
    std::fs::write(zone.join("type"), "cpu-thermal\n").expect("writes");
    let supply = folder.path().join("class/hwmon/hwmon0");
    std::fs::create_dir_all(&supply).expect("writes");
    std::fs::write(supply.join("in0_lcrit_alarm"), "1\n").expect("writes");
    let roots = Roots { sys: folder.path().into(), dev: folder.path().into(), run: folder.path().into() };
    let mut findings = Findings::default();
    machine::look(&roots, &mut findings);
    assert!(
        about(&findings, "heat")[0].found.starts_with("84 °C (cpu-thermal)")
            || about(&findings, "heat")[0].found.starts_with("85 °C")
    );
    assert_eq!(about(&findings, "heat")[0].level, Level::Warning);
    assert_eq!(about(&findings, "supply")[0].level, Level::Fault);
}
