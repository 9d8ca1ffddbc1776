//! Detections from a file: a COCO results file (`[{"image_id", "category_id", "bbox", "score"}]`), or what
//! `stopline detect --json` prints (`{"model", "images": {"PATH": [{"label", "score", "box"}]}}`).

use std::collections::HashMap;
use std::fmt;
use std::io::Write;
use std::path::Path;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::coco::Dataset;
use super::json::{self, Numbered};
use super::labels::Labels;
use super::{BoxXywh, EvalError, Found};

/// Detections read from a file.
#[derive(Clone, Debug, Default)]
pub struct Results {
    /// The detections, in the file's order.
    pub found: Vec<Found>,
    /// The model's name, where the file says it.
    pub model: Option<String>,
    /// Per image of the dataset: whether it was looked at. A COCO results file does not say; a picture it does not name
    /// has no detections.
    pub looked_at: Vec<bool>,
    /// Detections in pictures the dataset does not list; passed over.
    pub unknown_images: usize,
    /// Detections of categories the dataset does not have; passed over, as pycocotools does.
    pub unknown_categories: usize,
    /// How labels and categories were brought together, where the file has labels.
    pub labels: Option<Labels>,
}

const EXPECTED: &str = "a COCO results file, [{\"image_id\": …, \"category_id\": …, \"bbox\": [x, y, width, height], \
                        \"score\": …}], or what `stopline detect --json` prints";

#[derive(Deserialize)]
struct CocoResult {
    image_id: i64,
    category_id: i64,
    bbox: BoxXywh,
    score: f64,
}

#[derive(Deserialize)]
struct DetectOutput {
    #[serde(default)]
    model: serde_json::Value,
    images: Pairs,
}

#[derive(Deserialize)]
struct Labelled {
    label: String,
    score: f64,
    #[serde(rename = "box")]
    corners: [f64; 4],
}

impl Results {
    /// Reads detections; `maps` are the label=category pairs of `--map`, for a file with labels.
    ///
    /// # Errors
    /// [`EvalError`] names the file, the element, what was expected and what was found.
    pub fn read(path: &Path, dataset: &Dataset, maps: &[(String, String)]) -> Result<Self, EvalError> {
        let bytes = json::read_bounded(path)?;
        let malformed =
            |cause| EvalError::Json { path: path.display().to_string(), cause, expected: EXPECTED };
        let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
        if first == Some(&b'{') {
            let output: DetectOutput = serde_json::from_slice(&bytes).map_err(malformed)?;
            return Self::from_detect(path, output, dataset, maps);
        }
        let list: Numbered<CocoResult> = serde_json::from_slice(&bytes).map_err(malformed)?;
        Self::from_coco(path, list.0, dataset)
    }

    fn from_coco(path: &Path, list: Vec<CocoResult>, dataset: &Dataset) -> Result<Self, EvalError> {
        let (images, categories) = (dataset.image_index(), dataset.category_index());
        let mut results = Self { looked_at: vec![true; dataset.images.len()], ..Self::default() };
        let total = list.len();
        for one in list {
            let Some(&image) = images.get(&one.image_id) else {
                results.unknown_images += 1;
                continue;
            };
            let Some(&category) = categories.get(&one.category_id) else {
                results.unknown_categories += 1;
                continue;
            };
            results.found.push(Found { image, category, score: one.score, bbox: one.bbox });
        }
        results.check_any_known(path, total, dataset)?;
        Ok(results)
    }

    fn from_detect(
        path: &Path,
        output: DetectOutput,
        dataset: &Dataset,
        maps: &[(String, String)],
    ) -> Result<Self, EvalError> {
        let mut names: Vec<String> = Vec::new();
        for one in output.images.0.iter().flat_map(|(_, list)| list) {
            if !names.contains(&one.label) {
                names.push(one.label.clone());
            }
        }
        let labels = Labels::assign_seen(&names, &dataset.categories, maps)?;
        let of_name: HashMap<&str, Option<usize>> =
            names.iter().map(String::as_str).zip(labels.category_of.iter().copied()).collect();
        let places = Places::new(dataset);
        let mut results = Self {
            looked_at: vec![false; dataset.images.len()],
            model: output.model.as_str().map(ToOwned::to_owned),
            ..Self::default()
        };
        let total = output.images.0.len();
        let mut strangers = 0;
        for (file, list) in &output.images.0 {
            let Some(image) = places.find(file) else {
                strangers += 1;
                results.unknown_images += list.len();
                continue;
            };
            results.looked_at[image] = true;
            for one in list {
                let Some(category) = of_name.get(one.label.as_str()).copied().flatten() else {
                    results.unknown_categories += 1;
                    continue;
                };
                let [x1, y1, x2, y2] = one.corners;
                results.found.push(Found {
                    image,
                    category,
                    score: one.score,
                    bbox: [x1, y1, x2 - x1, y2 - y1],
                });
            }
        }
        if strangers == total {
            return Err(other_pictures(path, dataset, &format!("{total} pictures, none of them")));
        }
        results.labels = Some(labels);
        Ok(results)
    }

    /// A file of detections none of which belongs to the dataset is the wrong file.
    fn check_any_known(&self, path: &Path, total: usize, dataset: &Dataset) -> Result<(), EvalError> {
        if total > 0 && self.unknown_images == total {
            return Err(other_pictures(path, dataset, &format!("{total} detections, all in other pictures")));
        }
        if total > 0 && self.unknown_images + self.unknown_categories == total {
            return Err(EvalError::Value {
                path: path.display().to_string(),
                place: "category_id".into(),
                expected: format!("category ids of {}", dataset.path.display()),
                found: format!("{total} detections, none with such an id"),
            });
        }
        Ok(())
    }
}

fn other_pictures(path: &Path, dataset: &Dataset, found: &str) -> EvalError {
    let example = dataset
        .images
        .first()
        .map_or_else(String::new, |image| format!(" (such as {:?}, id {})", image.file_name, image.id));
    EvalError::Value {
        path: path.display().to_string(),
        place: "pictures".into(),
        expected: format!("pictures of {}{example}", dataset.path.display()),
        found: found.into(),
    }
}

/// Finds an image of the dataset by the path a picture was read from.
struct Places<'a> {
    by_tail: HashMap<&'a str, Option<usize>>,
}

impl<'a> Places<'a> {
    /// Images are found by `file_name` and, where only one image has it, by its last part.
    fn new(dataset: &'a Dataset) -> Self {
        let mut by_tail = HashMap::new();
        for (index, image) in dataset.images.iter().enumerate() {
            by_tail
                .entry(last_part(&image.file_name))
                .and_modify(|known| *known = None)
                .or_insert(Some(index));
        }
        for (index, image) in dataset.images.iter().enumerate() {
            by_tail.insert(image.file_name.as_str(), Some(index));
        }
        Self { by_tail }
    }

    /// The image whose `file_name` is the longest tail of `file`, by whole path parts.
    fn find(&self, file: &str) -> Option<usize> {
        let starts = std::iter::once(0).chain(file.match_indices(['/', '\\']).map(|(at, _)| at + 1));
        starts.filter_map(|start| self.by_tail.get(&file[start..])).find_map(|index| *index)
    }
}

fn last_part(file: &str) -> &str {
    file.rsplit(['/', '\\']).next().unwrap_or(file)
}

/// The `images` object in its order, with the picture and element named in errors.
struct Pairs(Vec<(String, Vec<Labelled>)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Pairs;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with a list of detections per picture")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(file) = map.next_key::<String>()? {
                    let list: Numbered<Labelled> = map
                        .next_value()
                        .map_err(|cause| serde::de::Error::custom(format_args!("{file:?}: {cause}")))?;
                    pairs.push((file, list.0));
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

#[derive(Serialize)]
struct Written {
    image_id: i64,
    category_id: i64,
    bbox: BoxXywh,
    score: f64,
}

/// Writes detections as a COCO results file, so that any other tool can score the same detections.
///
/// # Errors
/// The system's answer to writing.
pub fn write_coco(out: &mut dyn Write, dataset: &Dataset, found: &[Found]) -> std::io::Result<()> {
    let list: Vec<Written> = found
        .iter()
        .map(|one| Written {
            image_id: dataset.images[one.image].id,
            category_id: dataset.categories[one.category].id,
            bbox: one.bbox,
            score: one.score,
        })
        .collect();
    serde_json::to_writer(&mut *out, &list)?;
    writeln!(out)
}

#[cfg(test)]
mod tests;
