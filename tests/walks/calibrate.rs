//! `stopline calibrate` on drawn pictures of a board, beside OpenCV on the same pictures, and the file it writes.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use stopline::calibrate::file::{CalibrationFile, Shown};
use stopline_tests::{fixtures, python, stopline};

fn calibrate(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(stopline())
        .current_dir(folder)
        .arg("calibrate")
        .args(arguments)
        .output()
        .expect("stopline starts")
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Draws pictures into `folder`; the truth and OpenCV's result.
fn boards(python: &Path, folder: &Path, kind: &str, views: usize) -> Value {
    let script = fixtures().join("boards.py");
    let output = Command::new(python)
        .args([script.as_os_str(), folder.as_os_str()])
        .args([kind, &views.to_string()])
        .output()
        .expect("Python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn pair(value: &Value) -> [f64; 2] {
    [0, 1].map(|i| value[i].as_f64().expect("a number"))
}

/// The largest distance in pixels, over a raster of the picture, between where two lenses see the same direction.
fn apart(a: &CalibrationFile, truth: &Value) -> f64 {
    let mut other = a.lens();
    (other.focal, other.centre) = (pair(&truth["focal"]), pair(&truth["centre"]));
    let coefficients = truth["distortion"].as_array().expect("a list");
    other.distortion = coefficients.iter().map(|k| k.as_f64().expect("a number")).collect();
    let [width, height] = a.picture.map(f64::from);
    let raster =
        (0..=8).flat_map(|i| (0..=8).map(move |j| [f64::from(i) / 8.0 * width, f64::from(j) / 8.0 * height]));
    let off = raster.filter_map(|pixel| {
        let back = other.project(a.lens().ray(pixel)?)?;
        Some((back[0] - pixel[0]).hypot(back[1] - pixel[1]))
    });
    off.fold(0.0, f64::max)
}

#[test]
fn a_lens_comes_out_as_from_opencv_or_nearer_to_the_truth_and_its_place_from_the_yard() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let known = boards(&python, folder.path(), "brown", 12);
    let arguments = ["lens", "--board", "9x6", "--square", "30mm", "--camera", "front", "--serial", "A-17"];
    let output = calibrate(
        folder.path(),
        &[
            &arguments[..],
            &["--out", "front.cal.toml", "--draw", "seen", "view-*.png", "no-board.png", "other-board.png"],
        ]
        .concat(),
    );
    assert!(output.status.success(), "{}", said(&output));
    let told = said(&output);
    assert!(told.contains("other-board.png: found a board of 7x8 inner corners, expected 9x6"), "{told}");
    assert!(told.contains("no-board.png: no chessboard found"), "{told}");
    let file = CalibrationFile::read(&folder.path().join("front.cal.toml")).unwrap();
    let fit = file.lens.fit.clone().unwrap();
    let (ours, theirs) = (apart(&file, &known["truth"]), opencv_apart(&file, &known));
    println!(
        "brown: {} views, RMS {:.3} px (OpenCV {:.3}), {ours:.2} px from the truth anywhere in the picture (OpenCV {theirs:.2})",
        fit.views.len(),
        fit.rms_px,
        known["opencv"]["rms"].as_f64().unwrap()
    );
    assert_eq!(fit.views.len(), 12, "{told}");
    assert!(fit.rms_px < 0.15, "{told}");
    assert!(ours < 1.5, "{ours} px from the truth");
    assert!(ours < 2.0 * theirs + 0.3, "{ours} px, OpenCV {theirs} px");
    let drawn = std::fs::read_dir(folder.path().join("seen")).unwrap().count();
    assert_eq!(drawn, 14, "twelve views with corners, two without distortion");
    placed(folder.path(), &known["yard"]);
    refused_elsewhere(&file);
}

fn opencv_apart(file: &CalibrationFile, known: &Value) -> f64 {
    let mut theirs = file.clone();
    (theirs.lens.focal, theirs.lens.centre) =
        (pair(&known["opencv"]["focal"]), pair(&known["opencv"]["centre"]));
    let coefficients = known["opencv"]["distortion"].as_array().unwrap();
    theirs.lens.distortion = coefficients.iter().map(|k| k.as_f64().unwrap()).collect();
    apart(&theirs, &known["truth"])
}

/// From marks on the ground, and from a board in a picture.
fn placed(folder: &Path, yard: &Value) {
    let number = |key: &str| yard[key].as_f64().unwrap();
    let height = number("height").to_string();
    let marks = yard["marks"].as_array().unwrap().iter().zip(yard["seen"].as_array().unwrap());
    let marks: Vec<String> = marks
        .map(|(place, seen)| {
            format!(
                "--mark={:.1},{:.1}={},{},{}",
                seen[0].as_f64().unwrap(),
                seen[1].as_f64().unwrap(),
                place[0],
                place[1],
                place[2]
            )
        })
        .collect();
    let marks: Vec<&str> = marks.iter().map(String::as_str).collect();
    let place: Vec<String> = yard["lower_left"].as_array().unwrap().iter().map(Value::to_string).collect();
    let place = format!("--board-at={}", place.join(","));
    let square = format!("{}m", number("square"));
    let board = ["--height", &height, "--picture", "yard.png", "--board", "9x6", "--square", &square, &place];
    let ways: [(&str, Vec<&str>, f64); 3] = [
        ("four marks", marks.clone(), 0.25),
        ("four marks and a tape", [&["--height", height.as_str()], &marks[..]].concat(), 0.1),
        ("a board", board.to_vec(), 0.1),
    ];
    for (what, arguments, within) in ways {
        let out = format!("{}.toml", what.replace(' ', "-"));
        let output = calibrate(
            folder,
            &[&["mount", "front.cal.toml", "--front", "1.6", "--out", &out], &arguments[..]].concat(),
        );
        assert!(output.status.success(), "{what}: {}", said(&output));
        let mount = CalibrationFile::read(&folder.join(&out)).unwrap().mount.unwrap();
        for (found, key) in [(mount.pitch_deg, "pitch"), (mount.roll_deg, "roll"), (mount.yaw_deg, "yaw")] {
            assert!((found - number(key)).abs() < within, "{what}: {key} {found}");
        }
        assert!((mount.height_m - number("height")).abs() < 0.06, "{what}: {}", mount.height_m);
        println!("{what}: pitch {:.3} (truth {})", mount.pitch_deg, number("pitch"));
    }
    let wrong = marks[0].replacen("=6.0,", "=8.0,", 1);
    assert!(wrong.contains("=8.0,"), "{wrong}");
    let output = calibrate(
        folder,
        &[&["mount", "front.cal.toml", "--front", "1.6", "--height", &height, &wrong], &marks[1..]].concat(),
    );
    assert_eq!(output.status.code(), Some(3));
    assert!(said(&output).contains("the marks contradict each other"), "{}", said(&output));
}

fn refused_elsewhere(file: &CalibrationFile) {
    let shown = Shown { picture: [1920, 1080], ..Shown::default() };
    assert!(file.fits("front", &shown).unwrap_err().to_string().contains("1920x1080"));
    let shown = Shown { picture: [960, 540], serial: Some("A-18".into()), crop: None };
    assert!(file.fits("front", &shown).unwrap_err().to_string().contains("A-18"));
}

#[test]
fn a_fisheye_comes_out_as_from_opencv() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let known = boards(&python, folder.path(), "fisheye", 14);
    let arguments =
        ["lens", "--board", "9x6", "--square", "3cm", "--lens", "kannala-brandt", "--camera", "wall"];
    let output = calibrate(
        folder.path(),
        &[&arguments[..], &["--out", "wall.cal.toml", "--accept-poor", "view-*.png"]].concat(),
    );
    assert!(output.status.success(), "{}", said(&output));
    let file = CalibrationFile::read(&folder.path().join("wall.cal.toml")).unwrap();
    let ours = file.lens.focal;
    let theirs = pair(&known["opencv"]["focal"]);
    let truth = pair(&known["truth"]["focal"]);
    println!("fisheye: focal {ours:.2?}, OpenCV {theirs:.2?}, truth {truth:?}");
    for i in 0..2 {
        assert!((ours[i] - truth[i]).abs() < 0.006 * truth[i], "{ours:?}");
        assert!((ours[i] - theirs[i]).abs() < 0.006 * truth[i], "{ours:?} and {theirs:?}");
    }
    // The rim is where fits of a fisheye part.
    let mut true_lens = file.lens();
    (true_lens.focal, true_lens.centre) = (truth, pair(&known["truth"]["centre"]));
    true_lens.distortion =
        known["truth"]["distortion"].as_array().unwrap().iter().map(|k| k.as_f64().unwrap()).collect();
    let angle = |ray: [f64; 3]| ray[0].hypot(ray[1]).atan2(ray[2]).to_degrees();
    for pixel in [[60.0, 272.0], [880.0, 272.0], [476.0, 20.0]] {
        let (found, true_ray) = (file.lens().ray(pixel).unwrap(), true_lens.ray(pixel).unwrap());
        assert!(
            (angle(found) - angle(true_ray)).abs() < 0.4,
            "{pixel:?}: {} and {}",
            angle(found),
            angle(true_ray)
        );
    }
}

#[test]
fn too_few_pictures_and_pictures_of_two_sizes_are_refused_with_what_to_do() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    boards(&python, folder.path(), "brown", 4);
    let arguments =
        ["lens", "--board", "9x6", "--square", "30mm", "--camera", "front", "--out", "front.cal.toml"];
    let few = calibrate(folder.path(), &[&arguments[..], &["view-*.png"]].concat());
    assert_eq!(few.status.code(), Some(3), "{}", said(&few));
    for words in ["4 views, expected 8 or more", "take more pictures", "nothing was written"] {
        assert!(said(&few).contains(words), "{words}: {}", said(&few));
    }
    assert!(!folder.path().join("front.cal.toml").exists());
    let none = calibrate(folder.path(), &[&arguments[..], &["no-board.png"]].concat());
    assert_eq!(none.status.code(), Some(3));
    assert!(said(&none).contains("found in 0 of 1 pictures"), "{}", said(&none));
    let small = image::open(folder.path().join("view-00.png")).unwrap().thumbnail(480, 270);
    small.save(folder.path().join("view-99.png")).unwrap();
    let mixed = calibrate(folder.path(), &[&arguments[..], &["view-*.png"]].concat());
    assert_eq!(mixed.status.code(), Some(3));
    assert!(said(&mixed).contains("480x270 pixels, the pictures before have 960x540"), "{}", said(&mixed));
    let unit = calibrate(
        folder.path(),
        &["lens", "--board", "9x6", "--square", "30", "--camera", "x", "--out", "x", "view-00.png"],
    );
    assert_eq!(unit.status.code(), Some(2));
    assert!(said(&unit).contains("has no unit"), "{}", said(&unit));
}

#[test]
fn known_lens_data_and_opencvs_file_become_a_calibration() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = [
        "parameters",
        "--picture",
        "1280x720",
        "--hfov",
        "60",
        "--camera",
        "front",
        "--out",
        "front.cal.toml",
    ];
    let output = calibrate(
        folder.path(),
        &[&arguments[..], &["--height", "1.3", "--pitch", "3", "--front", "1.6"]].concat(),
    );
    assert!(output.status.success(), "{}", said(&output));
    let file = CalibrationFile::read(&folder.path().join("front.cal.toml")).unwrap();
    assert!((file.lens.focal[0] - 1108.5).abs() < 0.1, "{:?}", file.lens);
    assert_eq!(file.mount.as_ref().map(|mount| mount.pitch_deg), Some(3.0));
    let lens_only = calibrate(
        folder.path(),
        &["parameters", "--picture", "1280x720", "--camera", "front", "--out", "x.toml"],
    );
    assert_eq!(lens_only.status.code(), Some(2));
    let yaml = "%YAML:1.0\n---\nimage_width: 960\nimage_height: 540\ncamera_matrix: !!opencv-matrix\n   rows: 3\n   cols: 3\n   \
                dt: d\n   data: [ 702., 0., 488., 0., 705., 262., 0., 0., 1. ]\ndistortion_coefficients: !!opencv-matrix\n   \
                rows: 1\n   cols: 5\n   dt: d\n   data: [ -0.29, 0.11, 0.0009, -0.0006, -0.02 ]\n";
    std::fs::write(folder.path().join("camera.yaml"), yaml).unwrap();
    let output = calibrate(
        folder.path(),
        &["parameters", "--opencv", "camera.yaml", "--camera", "front", "--out", "cv.toml"],
    );
    assert!(output.status.success(), "{}", said(&output));
    let file = CalibrationFile::read(&folder.path().join("cv.toml")).unwrap();
    assert_eq!((file.picture, file.lens.focal, file.lens.distortion.len()), ([960, 540], [702.0, 705.0], 5));
}
