//! What was found, as the list people read or the JSON programs read; and what went wrong.

use std::path::Path;

use serde_json::{Map, Value, json};
use stopline_depot::manifest::Manifest;

use crate::detection::Detection;
use crate::detector::StageTimes;
use crate::draw::label_of;
use crate::exit::{Exit, Failure};
use crate::percentiles::{micros, millis_text};

/// One thing found, and the region it was looked for in where there were boxes.
pub struct Found {
    pub detection: Detection,
    pub crop: Option<[i32; 4]>,
}

/// Results of all pictures.
pub struct Results {
    model: String,
    json: bool,
    images: Map<String, Value>,
    unreadable: usize,
    invalid: usize,
}

impl Results {
    /// None yet, of the ONNX file `model`; told as JSON at the end, or as a list at once.
    pub fn new(model: &Path, json: bool) -> Self {
        let model = model.file_name().unwrap_or(model.as_os_str()).to_string_lossy().into_owned();
        Self { model, json, images: Map::new(), unreadable: 0, invalid: 0 }
    }

    /// What was found in picture `path` of `size`, strongest first.
    pub fn found(
        &mut self,
        path: &str,
        size: [u32; 2],
        found: &[Found],
        took: StageTimes,
        manifest: &Manifest,
    ) {
        if self.json {
            let list = found.iter().map(|found| detection(found, manifest)).collect();
            self.images.insert(path.to_owned(), Value::Array(list));
        } else {
            print!("{}", list(path, size, found, took, manifest));
        }
    }

    /// Picture `path` could not be read: told now, remembered for the exit code.
    pub fn unreadable(&mut self, error: &dyn std::fmt::Display) {
        eprintln!("stopline: {error}");
        self.unreadable += 1;
    }

    /// The model gave no numbers for picture `path`: nothing can be said of it.
    pub fn invalid(&mut self, path: &str, error: &dyn std::fmt::Display) {
        eprintln!("stopline: {path}: {error}");
        self.invalid += 1;
    }

    /// All results, in the order of the command line.
    pub fn json(&self) -> String {
        // A line per detection: people look into these files too, and text tools compare them.
        let list = |list: &Value| {
            let lines = list.as_array().into_iter().flatten().map(|entry| format!("\n   {entry}"));
            lines.collect::<Vec<_>>().join(",")
        };
        let images =
            self.images.iter().map(|(path, found)| format!("\n  {}: [{}]", json!(path), list(found)));
        let images = images.collect::<Vec<_>>().join(",");
        format!("{{\n \"model\": {},\n \"images\": {{{images}\n }}\n}}\n", json!(self.model))
    }

    /// Success, or the failure that the unreadable and invalid pictures come to.
    pub fn verdict(&self) -> Result<(), Failure> {
        let pictures = |count: usize| format!("{count} picture{}", if count == 1 { "" } else { "s" });
        if self.unreadable > 0 {
            let problem = anyhow::anyhow!("{} could not be read, told above", pictures(self.unreadable));
            return Err(Failure::new(Exit::Input, problem));
        }
        if self.invalid > 0 {
            let problem =
                anyhow::anyhow!("{}: the model gave no numbers, told above", pictures(self.invalid));
            return Err(Failure::new(Exit::Model, problem));
        }
        Ok(())
    }
}

fn detection(found: &Found, manifest: &Manifest) -> Value {
    let mut entry = found.detection.as_json(manifest);
    if let Some(crop) = found.crop {
        entry["crop"] = json!(crop);
    }
    entry
}

fn list(
    path: &str,
    [width, height]: [u32; 2],
    found: &[Found],
    took: StageTimes,
    manifest: &Manifest,
) -> String {
    use std::fmt::Write;
    let time = millis_text(micros(took.total()));
    let mut out = format!("{path}  {width}×{height}, {time} ms, {} found\n", found.len());
    for Found { detection, .. } in found {
        let [x1, y1, x2, y2] = detection.bbox;
        let label = label_of(manifest, detection.class);
        let _ = write!(out, "  {label:<16} {:.2}   {x1:7.1} {y1:7.1} {x2:7.1} {y2:7.1}", detection.score);
        let sure = detection.keypoints.iter().filter(|point| point.score >= 0.3).count();
        if !detection.keypoints.is_empty() {
            let _ = write!(out, "   {sure} of {} keypoints above 0.3", detection.keypoints.len());
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detection::Keypoint;

    fn manifest() -> Manifest {
        let text = "schema = 1\nname = \"m\"\nversion = \"1.0.0\"\ntask = \"pose\"\ndecoder = \"yolo-pose\"\n\
                    labels = [\"person\"]\nkeypoints = [\"nose\"]\n[input]\nwidth = 8\nheight = 8\ncolour = \"rgb\"\n\
                    resize = { mode = \"stretch\" }";
        Manifest::from_toml(text).expect("a good manifest")
    }

    fn person(keypoints: Vec<Keypoint>, crop: Option<[i32; 4]>) -> Found {
        let detection =
            Detection { class: 0, score: 0.876_543_2, bbox: [1.0, 2.345_67, 3.3, 4.0], keypoints };
        Found { detection, crop }
    }

    #[test]
    fn the_json_has_exactly_the_promised_keys() {
        let mut results = Results::new(Path::new("models/m.onnx"), true);
        results.found("a.jpg", [8, 8], &[person(Vec::new(), None)], StageTimes::default(), &manifest());
        results.found("b.jpg", [8, 8], &[], StageTimes::default(), &manifest());
        let json: Value = serde_json::from_str(&results.json()).expect("JSON");
        let expected = json!({"model": "m.onnx", "images": {
            "a.jpg": [{"label": "person", "class": 0, "score": 0.8765, "box": [1.0, 2.35, 3.3, 4.0]}], "b.jpg": []}});
        assert_eq!(json, expected);
    }

    #[test]
    fn keypoints_have_names_and_a_crop_is_told_where_there_was_one() {
        let point = Keypoint { x: 1.0, y: -2.0, score: 0.5 };
        let entry = detection(&person(vec![point, point], Some([0, 0, 9, 9])), &manifest());
        assert_eq!(entry["crop"], json!([0, 0, 9, 9]));
        assert_eq!(entry["keypoints"][0], json!({"name": "nose", "x": 1.0, "y": -2.0, "score": 0.5}));
        assert_eq!(entry["keypoints"][1]["name"], "keypoint 1");
    }

    #[test]
    fn a_picture_that_failed_has_no_entry_and_sets_the_exit_code() {
        let mut results = Results::new(Path::new("m.onnx"), true);
        assert!(results.verdict().is_ok());
        results.invalid("a.jpg", &"NaN");
        assert_eq!(results.verdict().expect_err("failed").exit, Exit::Model);
        results.unreadable(&"b.jpg: cut");
        assert_eq!(results.verdict().expect_err("failed").exit, Exit::Input);
        assert_eq!(serde_json::from_str::<Value>(&results.json()).expect("JSON")["images"], json!({}));
    }
}
