//! Reads the lens from a file that OpenCV's `FileStorage` or ROS's `camera_calibration` wrote: YAML with
//! `camera_matrix` and `distortion_coefficients`.
//!
//! Not a YAML reader: it finds the two matrices by name and takes the numbers of their `data`. Everything else in the
//! file is left alone.

use std::path::Path;

use super::lens::{Lens, Model};

/// A file that tells no lens.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct OpencvError {
    path: String,
    problem: String,
}

/// What the file tells.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    /// The lens.
    pub lens: Lens,
    /// Picture size, where it says.
    pub size: Option<[u32; 2]>,
}

/// Longest file that is read.
const LONGEST: u64 = 1024 * 1024;

/// Reads the lens of file `path`; `fisheye` where it was made by `cv2.fisheye` and does not say so.
///
/// # Errors
/// [`OpencvError`].
pub fn read(path: &Path, fisheye: bool) -> Result<Imported, OpencvError> {
    let refuse = |problem: String| OpencvError { path: path.display().to_string(), problem };
    let length = std::fs::metadata(path).map_err(|cause| refuse(format!("cannot read: {cause}")))?.len();
    if length > LONGEST {
        return Err(refuse(format!("{length} bytes, expected a calibration of at most {LONGEST}")));
    }
    let text = std::fs::read_to_string(path).map_err(|cause| refuse(format!("cannot read: {cause}")))?;
    parse(&text, fisheye).map_err(refuse)
}

fn parse(text: &str, fisheye: bool) -> Result<Imported, String> {
    let matrix = numbers(text, &["camera_matrix", "cameraMatrix", "K"])?;
    let [fx, _, cx, _, fy, cy, ..] = matrix[..] else {
        return Err(format!("camera_matrix has {} numbers, expected 9", matrix.len()));
    };
    let mut distortion = numbers(text, &["distortion_coefficients", "dist_coeffs", "distCoeffs", "D"])?;
    let model = model_of(text, fisheye)?;
    let wanted = model.coefficients();
    if model == Model::BrownConrady && distortion.len() == 4 {
        distortion.push(0.0);
    }
    if distortion.len() > wanted && distortion[wanted..].iter().all(|k| *k == 0.0) {
        distortion.truncate(wanted);
    }
    if distortion.len() != wanted {
        return Err(format!(
            "distortion_coefficients has {} numbers, {} has {wanted}; calibrate anew with `stopline calibrate lens`, or with \
             OpenCV's default of five",
            distortion.len(),
            model.name()
        ));
    }
    let size =
        side(text, "image_width").zip(side(text, "image_height")).map(|(width, height)| [width, height]);
    Ok(Imported { lens: Lens { model, focal: [fx, fy], centre: [cx, cy], distortion }, size })
}

fn model_of(text: &str, fisheye: bool) -> Result<Model, String> {
    match value(text, "distortion_model").map(|name| name.trim_matches(['"', '\'']).to_owned()).as_deref() {
        None | Some("plumb_bob") if !fisheye => Ok(Model::BrownConrady),
        None | Some("equidistant" | "fisheye") => Ok(Model::KannalaBrandt),
        Some("plumb_bob") => Err("distortion_model is plumb_bob, but --lens says kannala-brandt".into()),
        Some(other) => Err(format!("distortion_model is {other}, expected plumb_bob or equidistant")),
    }
}

/// The text after `KEY:` at the beginning of a line.
fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines()
        .find_map(|line| Some(line.trim_start().strip_prefix(key)?.trim_start().strip_prefix(':')?.trim()))
}

fn side(text: &str, key: &str) -> Option<u32> {
    value(text, key)?.parse().ok()
}

/// The numbers of `data: [ … ]` of the first of `keys` that is there, or of `KEY: [ … ]`.
fn numbers(text: &str, keys: &[&str]) -> Result<Vec<f64>, String> {
    let start = keys.iter().find_map(|key| {
        let mut at = 0;
        text.split_inclusive('\n').find_map(|line| {
            at += line.len();
            let rest = line.trim_start().strip_prefix(key)?.trim_start().strip_prefix(':')?;
            Some(at - rest.len())
        })
    });
    let start = start.ok_or_else(|| format!("there is no {}", keys[0]))?;
    let rest = &text[start..];
    let list = rest.split_once('[').and_then(|(before, after)| {
        // The list must be this matrix's own: nothing but its rows, cols, dt and data before it.
        (before.lines().count() < 6).then(|| after.split_once(']').map(|(list, _)| list))?
    });
    let list = list.ok_or_else(|| format!("{} has no data: [ … ]", keys[0]))?;
    list.split(',')
        .map(|number| {
            let number = number.trim();
            let parsed: f64 = number.parse().map_err(|_| format!("{}: {number:?} is no number", keys[0]))?;
            if parsed.is_finite() { Ok(parsed) } else { Err(format!("{}: {number} is not finite", keys[0])) }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPENCV: &str = "%YAML:1.0\n---\nimage_width: 1280\nimage_height: 720\ncamera_matrix: !!opencv-matrix\n   rows: 3\n   \
        cols: 3\n   dt: d\n   data: [ 900.5, 0., 641.25, 0., 901., 355.5, 0., 0., 1. ]\ndistortion_coefficients: \
        !!opencv-matrix\n   rows: 1\n   cols: 5\n   dt: d\n   data: [ -3.1e-01, 0.12, 1.0e-03,\n       -7.0e-04, -0.02 ]\n";

    #[test]
    fn opencvs_own_file_is_read() {
        let found = parse(OPENCV, false).unwrap();
        assert_eq!(found.size, Some([1280, 720]));
        assert_eq!(found.lens.focal, [900.5, 901.0]);
        assert_eq!(found.lens.centre, [641.25, 355.5]);
        assert_eq!(found.lens.distortion, [-0.31, 0.12, 0.001, -0.0007, -0.02]);
    }

    #[test]
    fn the_robots_file_says_its_model() {
        let ros = "image_width: 640\nimage_height: 480\ncamera_name: wall\ncamera_matrix:\n  rows: 3\n  cols: 3\n  data: [300, \
            0, 320, 0, 300, 240, 0, 0, 1]\ndistortion_model: equidistant\ndistortion_coefficients:\n  rows: 1\n  cols: 4\n  \
            data: [0.01, 0.02, 0.0, 0.0]\n";
        assert_eq!(parse(ros, false).unwrap().lens.model, Model::KannalaBrandt);
    }

    #[test]
    fn what_is_no_lens_is_told() {
        let error = |text: &str| parse(text, false).unwrap_err();
        assert_eq!(error("a: 1\n"), "there is no camera_matrix");
        assert!(error(&OPENCV.replace("-3.1e-01", "left")).contains("\"left\" is no number"));
        assert!(
            error(&OPENCV.replace("-0.02 ]", "-0.02, 1, 2, 3 ]"))
                .contains("has 8 numbers, brown-conrady has 5")
        );
        assert!(error(&OPENCV.replace("901.", ".inf")).contains("no number"));
    }
}
