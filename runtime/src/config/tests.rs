use std::path::Path;

use super::reload::{HOT, InForce, ReloadError};
use super::*;

const LEAST: &str = "schema = 1
[run]
name = \"car\"
[[camera]]
name = \"front\"
source = \"drive.mp4\"
functions = [\"stop_sign\"]
[[camera]]
name = \"rear\"
source = \"/dev/video1\"
[[model]]
name = \"nano\"
onnx = \"models/nano.onnx\"
cameras = [\"front\"]
";

fn read(text: &str) -> Result<Config, ConfigError> {
    Config::from_toml(text, Path::new("/etc/stopline/stopline.toml"))
}

/// The least configuration with one text in place of another.
fn changed(from: &str, to: &str) -> String {
    assert!(LEAST.contains(from), "{from:?}");
    LEAST.replacen(from, to, 1)
}

fn refused(text: &str) -> String {
    read(text).expect_err("must be refused").to_string()
}

#[test]
fn relative_paths_are_seen_from_the_files_folder() {
    let config = read(LEAST).expect("reads");
    assert_eq!(config.cameras[0].source, "/etc/stopline/drive.mp4");
    assert_eq!(config.cameras[1].source, "/dev/video1");
    assert_eq!(config.models[0].onnx, Path::new("/etc/stopline/models/nano.onnx"));
    let network = read(&changed("drive.mp4", "rtsp://host/a")).expect("reads");
    assert_eq!(network.cameras[0].source, "rtsp://host/a");
}

#[test]
fn what_takes_effect_reads_back_as_the_same() {
    let config = read(LEAST).expect("reads");
    assert_eq!(read(&config.effective()).expect("reads"), config);
}

#[test]
fn an_unknown_key_is_named_with_file_line_and_page() {
    let said = refused(&changed("name = \"rear\"", "name = \"rear\"\ncolour = 3"));
    for words in ["stopline.toml:10:1", "unknown field `colour`", "CONFIGURATION.md#camera"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let said = refused(&format!("{LEAST}[brake]\nforce = 1\n"));
    assert!(said.contains("unknown field `brake`") && said.contains("stopline.toml:15:2"), "{said}");
}

#[test]
fn a_value_that_cannot_work_says_key_found_expected_and_its_line() {
    let cases = [
        (
            changed("name = \"car\"", "name = \"a car\""),
            "stopline.toml:3: run.name: found \"a car\", expected 1 to 64",
        ),
        (changed("\"rear\"", "\"front\""), "stopline.toml:9: camera[1].name: found \"front\" a second time"),
        (
            changed("cameras = [\"front\"]", "cameras = [\"side\"]"),
            "stopline.toml:14: model[0].cameras: found \"side\"",
        ),
        (
            changed("cameras = [\"front\"]", "cameras = [\"rear\"]"),
            "stopline.toml:7: camera[0].functions: found [StopSign]",
        ),
        (changed("schema = 1", "schema = 2"), "stopline.toml:1: schema: found 2, expected 1"),
        (format!("{LEAST}[arm]\narmed = true\n"), "stopline.toml:16: arm.armed: found true, and the model"),
        (
            format!("{LEAST}[arm]\narmed = true\nwith_unsigned_models_that_may_do_anything = true\n"),
            "stopline.toml:16: arm.armed: found true alone",
        ),
        (changed("[run]", "[run]\nnight_below = 90"), "stopline.toml:3: run.night_below: found 90"),
        (
            changed("source = \"/dev/video1\"", "source = \"/dev/video1\"\nthread = 8"),
            "camera[1].thread: found 8, expected 0 to 7",
        ),
        (changed("source = \"/dev/video1\"", "source = \"/dev/video1\"\nloop = true"), "camera[1].loop"),
        (
            format!("{LEAST}when = {{ min_speed_kmh = 50, max_speed_kmh = 50 }}\n"),
            "model[0].when.max_speed_kmh: found 50",
        ),
        ("schema = 1\n".to_owned(), "stopline.toml:1: camera: found 0 [[camera]] sections"),
    ];
    for (text, words) in cases {
        let said = refused(&text);
        assert!(said.contains(words), "{words}\n{said}");
        assert!(said.contains("see runtime/CONFIGURATION.md"), "{said}");
    }
}

#[test]
fn text_that_is_no_toml_says_where() {
    let said = refused("schema = 1\n[[camera]\n");
    assert!(said.contains("stopline.toml:2:"), "{said}");
    assert!(matches!(Config::load(Path::new("/nowhere/x.toml")), Err(ConfigError::Read { .. })));
}

/// The least configuration as it was without a schema, with a comment.
fn old() -> String {
    changed("schema = 1\n", "# Our car.\n")
}

#[test]
fn a_file_without_a_schema_is_read_as_one_of_the_newest() {
    assert_eq!(read(&old()).expect("reads"), read(LEAST).expect("reads"));
    let said = refused(&old().replacen("name = \"car\"", "name = \"a car\"", 1));
    assert!(said.contains("stopline.toml (as schema 1):4: run.name"), "{said}");
    let said = refused(&changed("schema = 1", "schema = 2\nof_tomorrow = true"));
    for words in ["stopline.toml:1: schema: found 2", "install the newer stopline", ".schema-1"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    for schema in ["'1'", "-1", "1.0"] {
        assert!(refused(&changed("schema = 1", &format!("schema = {schema}"))).contains("stopline.toml:1"));
    }
}

#[test]
fn a_file_that_was_migrated_while_it_ran_has_not_changed() {
    let before = InForce::from_toml(&old(), Path::new("stopline.toml")).expect("reads");
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("stopline.toml");
    std::fs::write(&path, old()).expect("writes");
    assert!(before.reload(&path).expect("reloads").1.is_empty());
    let taken = |text: &str| Config::from_toml(text, &path).map(drop).map_err(|error| error.to_string());
    CHAIN.rewrite(&path, false, taken).expect("migrates");
    assert_eq!(std::fs::read_to_string(&path).expect("reads"), format!("schema = 1\n{}", old()));
    // Its paths are seen from another folder, which is no key of it.
    assert!(before.reload(&path).expect("reloads").1.is_empty());
    assert!(CHAIN.bring(EXAMPLE).expect("the example is read").is_none(), "the example is of the newest");
}

#[test]
fn a_model_serves_by_light_and_speed_and_unknown_counts_as_fulfilled() {
    let night = When { light: Some(Light::Night), min_speed_kmh: Some(30.0), max_speed_kmh: Some(60.0) };
    let kmh = |speed: f32| Some(speed / 3.6);
    assert!(night.holds(Some(Light::Night), kmh(45.0)) && night.holds(None, None));
    assert!(!night.holds(Some(Light::Day), kmh(45.0)) && !night.holds(Some(Light::Night), kmh(29.0)));
    assert!(!night.holds(Some(Light::Night), kmh(61.0)) && night.holds(Some(Light::Night), kmh(-45.0)));
    assert!(When::default().holds(Some(Light::Day), kmh(200.0)));
}

fn reloaded(text: &str) -> Result<(InForce, Vec<String>), ReloadError> {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("stopline.toml");
    std::fs::write(&path, LEAST).expect("writes");
    let before = InForce::load(&path).expect("reads");
    std::fs::write(&path, text).expect("writes");
    before.reload(&path)
}

#[test]
fn only_the_listed_keys_change_while_it_runs() {
    let hot = changed("[run]", "[run]\nlog = \"debug\"\nstream_picture_width = 320").replacen(
        "source = \"/dev/video1\"",
        "source = \"/dev/video1\"\npriority = 3",
        1,
    );
    let (new, keys) = reloaded(&hot).expect("reloads");
    assert_eq!(keys, ["camera[1].priority", "run.log", "run.stream_picture_width"]);
    assert_eq!((new.config.run.log, new.config.cameras[1].priority), (LogLevel::Debug, 3));
    assert!(reloaded(LEAST).expect("reloads").1.is_empty());
}

#[test]
fn any_other_key_is_refused_by_name_and_nothing_changes() {
    let mixed = changed("drive.mp4", "other.mp4").replacen("[run]", "[run]\nlog = \"debug\"", 1);
    let said = reloaded(&mixed).expect_err("must be refused").to_string();
    assert!(said.ends_with("restart needed for camera[0].source"), "{said}");
    let armed = "[arm]\narmed = true\ncommand = true\nwith_unsigned_models_that_may_do_anything = true\n";
    let said = reloaded(&format!("{LEAST}{armed}")).expect_err("must be refused").to_string();
    let keys = "arm.armed, arm.command, arm.with_unsigned_models_that_may_do_anything";
    assert!(said.ends_with(&format!("restart needed for {keys}")), "{said}");
    let fewer = changed("[[camera]]\nname = \"rear\"\nsource = \"/dev/video1\"\n", "");
    assert!(
        reloaded(&fewer).expect_err("must be refused").to_string().ends_with("restart needed for camera")
    );
    assert!(matches!(reloaded("schema = 7"), Err(ReloadError::Config(_))));
}

#[test]
fn nothing_that_arms_decides_or_limits_is_hot() {
    const NEVER: [&str; 9] =
        ["arm", "command", "actuator", "stop_sign", "pedestrian", "fall", "watch", "vehicle", "track"];
    for key in HOT {
        let section = key.split('.').next().expect("a section");
        assert!(!NEVER.contains(&section), "{key}");
    }
}

const EXAMPLE: &str = include_str!("../../stopline.example.toml");

/// The example with every key put into force that is commented out under a section that is in force.
fn uncommented() -> String {
    let mut active = true;
    let line = |line: &str| {
        let header = line.trim_start_matches('#').starts_with('[');
        active = if header { line.starts_with('[') } else { active };
        let key = line
            .strip_prefix('#')
            .filter(|rest| active && rest.starts_with(|c: char| c.is_ascii_lowercase()));
        format!("{}\n", key.unwrap_or(line))
    };
    EXAMPLE.lines().map(line).collect()
}

#[test]
fn the_example_reads_and_what_is_commented_out_in_it_is_the_default() {
    let as_is = read(EXAMPLE).expect("the example reads");
    let all = read(&uncommented()).expect("the example reads with every key in force");
    assert_eq!(all.run, as_is.run);
    assert_eq!((all.track, all.path, all.command), (as_is.track, as_is.path, as_is.command));
    assert_eq!((all.stop_sign, all.pedestrian), (as_is.stop_sign, as_is.pedestrian));
    assert_eq!((all.watch, all.fall), (as_is.watch, as_is.fall));
    assert_eq!((all.guard, all.arm, all.actuators), (as_is.guard, as_is.arm, as_is.actuators));
    assert_eq!(all.capture, as_is.capture);
    assert_ne!(all.cameras, as_is.cameras, "nothing was put into force");
}

#[test]
fn every_key_that_takes_effect_stands_in_the_example() {
    let effective = read(&uncommented()).expect("reads").effective();
    let keys = effective.lines().filter_map(|line| line.split_once(" = ")).map(|(key, _)| key);
    let missing: Vec<&str> = keys
        .filter(|key| !EXAMPLE.contains(&format!("\n#{key} = ")) && !EXAMPLE.contains(&format!("\n{key} = ")))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// A public key of age, from its own documentation.
#[cfg(feature = "capture")]
const KEY: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

#[test]
#[cfg(feature = "capture")]
fn capture_without_a_key_or_with_a_wrong_one_is_refused_with_the_way_to_make_one() {
    let with = |keys: &str| format!("{LEAST}[capture]\nenabled = true\nrecipients = [{keys}]\n");
    for keys in ["", "\"age1nonsense\""] {
        let said = refused(&with(keys));
        assert!(said.contains("capture.recipients") && said.contains("age-keygen -o operator.key"), "{said}");
        assert!(said.contains("CONFIGURATION.md#capture"), "{said}");
    }
    // The secret half must not lie on a device.
    assert!(refused(&with("\"AGE-SECRET-KEY-1QQQQ\"")).contains("public key of age"));
    assert!(read(&with(&format!("\"{KEY}\""))).expect("reads").capture.enabled);
}

#[test]
fn capture_is_off_by_default_and_a_camera_in_a_room_must_be_named() {
    let config = read(LEAST).expect("reads");
    assert!(!config.capture.enabled && !config.cameras.iter().any(|camera| config.capture.takes(camera)));
    let on = Capture { enabled: true, ..Capture::default() };
    let room = Camera { functions: vec![Function::Fall], ..config.cameras[0].clone() };
    assert!(on.takes(&config.cameras[0]) && !on.takes(&room));
    let named = Capture { cameras: vec![room.name.clone()], ..on.clone() };
    assert!(named.takes(&room) && !named.takes(&config.cameras[1]));
    assert!(!Capture { enabled: false, ..named }.takes(&room));
}

#[test]
fn capture_rules_out_of_bounds_are_named_with_their_place() {
    for (text, words) in [
        ("[[capture.rule]]\nrule = \"random\"\n", "capture.rule[0].rate: found 0"),
        ("[[capture.rule]]\nrule = \"event\"\npre_s = 9.0\n", "capture.rule[0].pre_s: found 9"),
        (
            "[[capture.rule]]\nrule = \"campaign\"\n",
            "capture.rule[0].rule: found \"campaign\" without [depot]",
        ),
        (
            "[depot]\nhardware = \"board\"\n[[capture.rule]]\nrule = \"campaign\"\nhours_utc = [7, 7]\n",
            "capture.rule[0].hours_utc: found [7, 7]",
        ),
        (
            "[depot]\nhardware = \"board\"\n[[capture.rule]]\nrule = \"campaign\"\nlongest_days = 0\n",
            "capture.rule[0].longest_days: found 0",
        ),
        ("[[capture.rule]]\nrule = \"flicker\"\nclass = 10\n", "expected 0 to 9"),
        ("[[capture.rule]]\nrule = \"sometimes\"\n", "unknown variant"),
        ("[[capture.regions]]\ncamera = \"front\"\nbox = [0.5, 0.0, 0.4, 1.0]\n", "capture.regions[0].box"),
        ("[capture]\ncameras = [\"side\"]\n", "capture.cameras: found \"side\""),
    ] {
        let said = refused(&format!("{LEAST}{text}"));
        assert!(said.contains(words), "{words}: {said}");
    }
}
