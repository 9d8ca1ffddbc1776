use proptest::prelude::*;

use super::*;

fn file() -> CalibrationFile {
    CalibrationFile {
        schema: SCHEMA,
        camera: "front".into(),
        serial: Some("A-17".into()),
        made: "2026-11-21".into(),
        from: Origin::Board,
        picture: [1280, 720],
        crop: None,
        poor: Vec::new(),
        lens: LensSection {
            model: Model::BrownConrady,
            focal: [912.25, 915.5],
            centre: [652.0, 349.0],
            distortion: vec![-0.31, 0.13, 0.0011, -0.0007, -0.03],
            fit: Some(LensFit {
                rms_px: 0.21,
                deviations_px: [0.4, 0.4, 0.7, 0.6],
                covered: 0.85,
                board: (9, 6, 0.03),
                views: vec![("a.jpg".into(), 0.2), ("b.jpg".into(), 0.25)],
            }),
        },
        mount: Some(MountSection {
            height_m: 1.31,
            pitch_deg: 3.2,
            roll_deg: -0.4,
            yaw_deg: 0.9,
            pitch_sigma_deg: 0.5,
            front_m: 1.6,
            lateral_m: 0.0,
            fit: None,
        }),
    }
}

#[test]
fn what_is_written_is_read_again() {
    let text = file().text();
    let back = CalibrationFile::parse(&text, Path::new("front.cal.toml")).unwrap();
    assert_eq!(back, file(), "{text}");
}

#[test]
fn another_size_crop_or_serial_is_refused_with_both_values() {
    let shown = Shown { picture: [1920, 1080], ..Shown::default() };
    let why = file().fits("front", &shown).unwrap_err().to_string();
    assert!(why.contains("1920x1080") && why.contains("1280x720"), "{why}");
    let shown = Shown { picture: [1280, 720], crop: Some([0, 180, 1920, 1080]), serial: None };
    let why = file().fits("front", &shown).unwrap_err().to_string();
    assert!(why.contains("1920x1080 at 0,180") && why.contains("is for all"), "{why}");
    let shown = Shown { picture: [1280, 720], crop: None, serial: Some("A-18".into()) };
    let why = file().fits("front", &shown).unwrap_err().to_string();
    assert!(why.contains("A-18") && why.contains("A-17"), "{why}");
    let shown = Shown { picture: [1280, 720], crop: None, serial: Some("A-17".into()) };
    assert_eq!(file().fits("front", &shown), Ok(()));
}

#[test]
fn a_value_that_cannot_be_is_named() {
    let parse = |from: &str, to: &str| {
        let text = file().text();
        assert!(text.contains(from), "{text}");
        CalibrationFile::parse(&text.replace(from, to), Path::new("front.cal.toml")).unwrap_err().to_string()
    };
    assert!(
        parse("height_m = 1.31", "height_m = 131.0")
            .contains("mount.height_m = 131: expected 0.1 to 20 metres")
    );
    assert!(parse("schema = 1", "schema = 2").contains("schema 2, expected 1"));
    assert!(parse("camera = ", "kamera = ").contains("kamera"));
    assert!(parse("-0.31, 0.13", "-0.31").contains("lens.distortion"));
    assert!(parse("912.25", "nan").contains("lens.focal"));
    assert!(parse("[1280, 720]", "[1280, 7]").contains("picture"));
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,400}") {
        let _ = CalibrationFile::parse(&text, Path::new("x"));
    }
}
