//! `--boxes`: where a top-down model shall look, picture by picture.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, anyhow};
use serde::Deserialize;
use stopline_depot::manifest::Manifest;

use crate::exit::{Exit, Failure, OrExit};

/// Largest file read: a million boxes.
const LARGEST: u64 = 256 << 20;
/// Largest coordinate of a crop, in pixels: beyond the largest picture.
const FARTHEST: f32 = 65_536.0;

/// One place to look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Place {
    /// Exactly this region (x1, y1, x2, y2 in source pixels; may reach beyond the picture).
    Crop([i32; 4]),
    /// Around this box (x1, y1, x2, y2 in source pixels), as the manifest says.
    Box([f32; 4]),
}

/// The places of every picture.
pub struct Boxes {
    images: BTreeMap<String, Vec<Place>>,
}

#[derive(Deserialize)]
struct File {
    images: BTreeMap<String, Vec<Entry>>,
}

/// Keys besides these (score, keypoints) are other programs' and mean nothing here.
#[derive(Deserialize)]
struct Entry {
    crop: Option<[f32; 4]>,
    #[serde(rename = "box")]
    bbox: Option<[f32; 4]>,
    label: Option<String>,
}

impl Boxes {
    /// Reads `path`; boxes with a label that `manifest` does not have are left out.
    pub fn read(path: &Path, manifest: &Manifest) -> Result<Self, Failure> {
        let named = || format!("{}: boxes", path.display());
        let length = std::fs::metadata(path).with_context(named).or_exit(Exit::Input)?.len();
        if length > LARGEST {
            let problem = anyhow!("{}: {length} bytes; at most {LARGEST} are read", named());
            return Err(Failure::new(Exit::Input, problem));
        }
        let text = std::fs::read(path).with_context(named).or_exit(Exit::Input)?;
        Self::parse(&text, manifest).with_context(named).or_exit(Exit::Input)
    }

    fn parse(text: &[u8], manifest: &Manifest) -> Result<Self, anyhow::Error> {
        let shape = r#"expected {"images": {PATH: [{"box": [x1, y1, x2, y2]}, …]}}, as `stopline detect --json` prints"#;
        let file: File = serde_json::from_slice(text).context(shape)?;
        let mut images = BTreeMap::new();
        for (image, entries) in file.images {
            let known =
                |entry: &&Entry| entry.label.as_ref().is_none_or(|label| manifest.class_of(label).is_some());
            let places = entries.iter().filter(known).enumerate();
            let places =
                places.map(|(at, entry)| place(entry).with_context(|| format!("images[{image:?}][{at}]")));
            let places = places.collect::<Result<_, _>>()?;
            images.insert(image, places);
        }
        Ok(Self { images })
    }

    /// The places in picture `path`: those under this very name, or under the only name that `path` ends with (a list made
    /// elsewhere has other folders in front). `None` where the file does not know the picture.
    pub fn of(&self, path: &str) -> Option<&[Place]> {
        if let Some(places) = self.images.get(path) {
            return Some(places);
        }
        let ends_with =
            |name: &String| path.strip_suffix(name.as_str()).is_some_and(|before| before.ends_with('/'));
        let mut matching = self.images.iter().filter(|(name, _)| ends_with(name));
        let (_, places) = matching.next()?;
        matching.next().is_none().then_some(places)
    }
}

fn place(entry: &Entry) -> Result<Place, anyhow::Error> {
    let sound = |[x1, y1, x2, y2]: &[f32; 4]| {
        [x1, y1, x2, y2].iter().all(|v| v.abs() <= FARTHEST) && x1 < x2 && y1 < y2
    };
    let found = entry.crop.or(entry.bbox).ok_or_else(|| anyhow!(r#"neither "crop" nor "box""#))?;
    if !sound(&found) {
        return Err(anyhow!("found {found:?}, expected x1 < x2 and y1 < y2, at most {FARTHEST} from 0"));
    }
    #[allow(clippy::cast_possible_truncation, reason = "held to FARTHEST just above")]
    Ok(if entry.crop.is_some() { Place::Crop(found.map(|v| v.round() as i32)) } else { Place::Box(found) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let text = "schema = 1\nname = \"m\"\nversion = \"1.0.0\"\ntask = \"keypoints\"\ndecoder = \"heatmap\"\n\
                    labels = [\"person\"]\nkeypoints = [\"a\"]\n[input]\nwidth = 8\nheight = 8\ncolour = \"rgb\"\n\
                    resize = { mode = \"stretch\" }\ncrop = { grow = 1.25 }";
        Manifest::from_toml(text).expect("a good manifest")
    }

    fn parse(text: &str) -> Result<Boxes, String> {
        Boxes::parse(text.as_bytes(), &manifest()).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn crops_are_exact_boxes_are_grown_and_other_labels_are_left_out() {
        let text = r#"{"model": "x", "images": {"a.jpg": [
            {"crop": [-3, 0, 10, 13], "keypoints": []},
            {"label": "person", "class": 0, "score": 0.9, "box": [1.5, 2, 3, 4]},
            {"label": "car", "box": [0, 0, 1, 1]}]}}"#;
        let boxes = parse(text).expect("good");
        let expected = [Place::Crop([-3, 0, 10, 13]), Place::Box([1.5, 2.0, 3.0, 4.0])];
        assert_eq!(boxes.of("a.jpg"), Some(&expected[..]));
    }

    #[test]
    fn a_picture_is_known_by_its_name_or_by_the_end_of_its_path() {
        let boxes = parse(r#"{"images": {"d/a.jpg": [{"box": [0, 0, 1, 1]}], "b.jpg": [], "x/b.jpg": []}}"#)
            .expect("good");
        assert_eq!(boxes.of("/data/d/a.jpg").map(<[_]>::len), Some(1));
        assert!(boxes.of("/data/dd/a.jpg").is_none() && boxes.of("a.jpg").is_none());
        assert!(boxes.of("/data/x/b.jpg").is_none(), "two names fit");
        assert!(boxes.of("b.jpg").is_some());
    }

    #[test]
    fn a_bad_file_says_which_picture_and_box() {
        assert!(parse("[]").err().expect("refused").contains("stopline detect --json"));
        for bad in [r#"[{"box": [3, 0, 1, 1]}]"#, r#"[{"box": [0, 0, 1e9, 1]}]"#, r#"[{"label": "person"}]"#]
        {
            let error = parse(&format!(r#"{{"images": {{"a.jpg": {bad}}}}}"#)).err().expect(bad);
            assert!(error.contains(r#"images["a.jpg"][0]"#), "{error}");
        }
    }
}
