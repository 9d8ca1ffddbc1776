//! A labelled dataset in COCO's instances format: `images`, `annotations`, `categories` (cocodataset.org, "Data format").
//!
//! What pycocotools passes over in silence (annotations of pictures or categories the file does not list) is passed
//! over here too, and counted. What makes it fail or miscount (an id twice) is refused.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::json::{self, Numbered};
use super::{BoxXywh, EvalError};

/// Most categories a dataset may have: the table of precision takes 100 kB for each.
pub const MAX_CATEGORIES: usize = 2000;
/// Longest file or category name.
const MAX_NAME: usize = 4096;

/// A dataset, its references checked.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// The file it was read from.
    pub path: PathBuf,
    /// By rising id.
    pub images: Vec<Image>,
    /// By rising id.
    pub categories: Vec<Category>,
    /// In the file's order.
    pub truths: Vec<Truth>,
    /// What in the file was passed over or filled in.
    pub oddities: Oddities,
}

/// A picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// Its number in the file.
    pub id: i64,
    /// Its file, relative to the folder of pictures.
    pub file_name: String,
    /// Width and height in pixels, where the file says.
    pub size: Option<(u32, u32)>,
}

/// A category.
#[derive(Clone, Debug, PartialEq)]
pub struct Category {
    /// Its number in the file.
    pub id: i64,
    /// What it is called.
    pub name: String,
}

/// A labelled box ("ground truth").
#[derive(Clone, Debug, PartialEq)]
pub struct Truth {
    /// Its number in the file.
    pub id: i64,
    /// Index into [`Dataset::images`].
    pub image: usize,
    /// Index into [`Dataset::categories`].
    pub category: usize,
    /// Left, top, width, height in pixels.
    pub bbox: BoxXywh,
    /// Square pixels of the object (of its outline, where the dataset has outlines): what "small", "medium" and "large"
    /// are told by.
    pub area: f64,
    /// A group of objects in one box: finding it or not counts neither way.
    pub crowd: bool,
}

/// What in a dataset was passed over or filled in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Oddities {
    /// Annotations of pictures that `images` does not list; passed over.
    pub unknown_images: usize,
    /// Annotations of categories that `categories` does not list; passed over.
    pub unknown_categories: usize,
    /// Annotations without `area`; width × height of the box was taken.
    pub without_area: usize,
    /// Boxes without width or height; nothing can match them.
    pub empty_boxes: usize,
    /// Annotations with id 0. To pycocotools a detection that matches one is unmatched; it is counted so here as well.
    pub id_zero: usize,
}

const EXPECTED: &str = "a COCO instances file: {\"images\": […], \"annotations\": […], \"categories\": […]}";

#[derive(Deserialize)]
struct RawDataset {
    images: Numbered<RawImage>,
    annotations: Numbered<RawTruth>,
    categories: Numbered<RawCategory>,
}

#[derive(Deserialize)]
struct RawImage {
    id: i64,
    #[serde(default)]
    file_name: String,
    #[serde(default)]
    width: Option<f64>,
    #[serde(default)]
    height: Option<f64>,
}

#[derive(Deserialize)]
struct RawTruth {
    id: i64,
    image_id: i64,
    category_id: i64,
    bbox: BoxXywh,
    #[serde(default)]
    area: Option<f64>,
    #[serde(default, deserialize_with = "json::flag")]
    iscrowd: bool,
}

#[derive(Deserialize)]
struct RawCategory {
    id: i64,
    name: String,
}

impl Dataset {
    /// Reads a COCO instances file.
    ///
    /// # Errors
    /// [`EvalError`] names the file, the list and the element, what was expected and what was found.
    pub fn read(path: &Path) -> Result<Self, EvalError> {
        let raw: RawDataset = json::read(path, EXPECTED)?;
        let images = images(path, raw.images.0)?;
        let categories = categories(path, raw.categories.0)?;
        let mut dataset = Self {
            path: path.to_owned(),
            images,
            categories,
            truths: Vec::new(),
            oddities: Oddities::default(),
        };
        dataset.add_truths(raw.annotations.0)?;
        Ok(dataset)
    }

    /// Image id → index into [`Dataset::images`].
    pub fn image_index(&self) -> HashMap<i64, usize> {
        self.images.iter().enumerate().map(|(index, image)| (image.id, index)).collect()
    }

    /// Category id → index into [`Dataset::categories`].
    pub fn category_index(&self) -> HashMap<i64, usize> {
        self.categories.iter().enumerate().map(|(index, category)| (category.id, index)).collect()
    }

    /// The dataset reduced to the images and categories for which `keep_image` and `keep_category` hold (by index), and
    /// `found` brought along. What is left out counts in no figure.
    pub fn reduced(
        &self,
        keep_image: &[bool],
        keep_category: &[bool],
        found: &[super::Found],
    ) -> (Self, Vec<super::Found>) {
        let image = renumbering(keep_image);
        let category = renumbering(keep_category);
        let place = |i: usize, c: usize| Some((image[i]?, category[c]?));
        let truths = self.truths.iter().filter_map(|truth| {
            let (image, category) = place(truth.image, truth.category)?;
            Some(Truth { image, category, ..truth.clone() })
        });
        let kept = found.iter().filter_map(|found| {
            let (image, category) = place(found.image, found.category)?;
            Some(super::Found { image, category, ..found.clone() })
        });
        let dataset = Self {
            path: self.path.clone(),
            images: chosen(&self.images, keep_image),
            categories: chosen(&self.categories, keep_category),
            truths: truths.collect(),
            oddities: self.oddities,
        };
        (dataset, kept.collect())
    }

    fn add_truths(&mut self, raw: Vec<RawTruth>) -> Result<(), EvalError> {
        let (image_index, category_index) = (self.image_index(), self.category_index());
        let mut seen = HashMap::with_capacity(raw.len());
        self.truths.reserve(raw.len());
        for (place, truth) in raw.into_iter().enumerate() {
            if let Some(earlier) = seen.insert(truth.id, place) {
                return Err(twice(&self.path, "annotations", place, truth.id, earlier));
            }
            let Some(&image) = image_index.get(&truth.image_id) else {
                self.oddities.unknown_images += 1;
                continue;
            };
            let Some(&category) = category_index.get(&truth.category_id) else {
                self.oddities.unknown_categories += 1;
                continue;
            };
            let [_, _, width, height] = truth.bbox;
            self.oddities.without_area += usize::from(truth.area.is_none());
            self.oddities.empty_boxes += usize::from(width <= 0.0 || height <= 0.0);
            self.oddities.id_zero += usize::from(truth.id == 0);
            let area = truth.area.unwrap_or(width * height);
            self.truths.push(Truth {
                id: truth.id,
                image,
                category,
                bbox: truth.bbox,
                area,
                crowd: truth.iscrowd,
            });
        }
        Ok(())
    }
}

fn images(path: &Path, raw: Vec<RawImage>) -> Result<Vec<Image>, EvalError> {
    let mut seen = HashMap::with_capacity(raw.len());
    let mut images = Vec::with_capacity(raw.len());
    for (place, image) in raw.into_iter().enumerate() {
        if let Some(earlier) = seen.insert(image.id, place) {
            return Err(twice(path, "images", place, image.id, earlier));
        }
        check_name(path, "images", place, &image.file_name)?;
        let size = side(image.width).zip(side(image.height));
        images.push(Image { id: image.id, file_name: image.file_name, size });
    }
    if images.is_empty() {
        return Err(empty(path, "images"));
    }
    images.sort_by_key(|image| image.id);
    Ok(images)
}

fn categories(path: &Path, raw: Vec<RawCategory>) -> Result<Vec<Category>, EvalError> {
    if raw.len() > MAX_CATEGORIES {
        return Err(EvalError::Value {
            path: path.display().to_string(),
            place: "categories".into(),
            expected: format!("at most {MAX_CATEGORIES}"),
            found: raw.len().to_string(),
        });
    }
    let mut seen = HashMap::with_capacity(raw.len());
    let mut categories = Vec::with_capacity(raw.len());
    for (place, category) in raw.into_iter().enumerate() {
        if let Some(earlier) = seen.insert(category.id, place) {
            return Err(twice(path, "categories", place, category.id, earlier));
        }
        check_name(path, "categories", place, &category.name)?;
        categories.push(Category { id: category.id, name: category.name });
    }
    if categories.is_empty() {
        return Err(empty(path, "categories"));
    }
    categories.sort_by_key(|category| category.id);
    Ok(categories)
}

/// A side in pixels, where it is one; some writers put 0 or −1 where they do not know.
fn side(value: Option<f64>) -> Option<u32> {
    let value = value?;
    (value >= 1.0 && value <= f64::from(u32::MAX)).then_some(value as u32)
}

fn check_name(path: &Path, list: &str, place: usize, name: &str) -> Result<(), EvalError> {
    if name.len() <= MAX_NAME {
        return Ok(());
    }
    Err(EvalError::Value {
        path: path.display().to_string(),
        place: format!("{list}: element {place}: name"),
        expected: format!("at most {MAX_NAME} bytes"),
        found: format!("{} bytes", name.len()),
    })
}

fn twice(path: &Path, list: &str, place: usize, id: i64, earlier: usize) -> EvalError {
    EvalError::Value {
        path: path.display().to_string(),
        place: format!("{list}: element {place}"),
        expected: "an id of its own".into(),
        found: format!("id {id}, which element {earlier} has"),
    }
}

fn empty(path: &Path, list: &str) -> EvalError {
    EvalError::Value {
        path: path.display().to_string(),
        place: list.into(),
        expected: "at least one".into(),
        found: "an empty list".into(),
    }
}

/// Old index → new index for what is kept.
fn renumbering(keep: &[bool]) -> Vec<Option<usize>> {
    let mut next = 0;
    keep.iter()
        .map(|&kept| {
            kept.then(|| {
                next += 1;
                next - 1
            })
        })
        .collect()
}

fn chosen<T: Clone>(all: &[T], keep: &[bool]) -> Vec<T> {
    all.iter().zip(keep).filter(|(_, kept)| **kept).map(|(one, _)| one.clone()).collect()
}

#[cfg(test)]
mod tests;
