//! The worst mistakes as pictures: a cut-out around each with the labelled and the found boxes, and the whole picture.
//!
//! Labelled boxes are dashed, found ones solid, so that they can be told apart without their colours.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use image::RgbImage;

use super::coco::{Dataset, Image};
use super::mistakes::{FalseKind, FalsePositive, Miss, MissKind, Mistakes};
use super::operating::{Verdict, Verdicts};
use super::report::Measured;
use super::{BoxXywh, Found};
use crate::draw::{self, Colour};

/// A labelled object that was found.
pub const LABELLED: Colour = Colour { red: 0, green: 214, blue: 90 };
/// A labelled object that was missed.
pub const MISSED: Colour = Colour { red: 255, green: 214, blue: 0 };
/// A right detection.
pub const RIGHT: Colour = Colour { red: 64, green: 150, blue: 255 };
/// A wrong detection.
pub const WRONG: Colour = Colour { red: 255, green: 64, blue: 84 };

/// Pixels of a cut-out on the page.
const CUT: (u32, u32) = (360, 270);
/// Least pixels of the source picture across a cut-out: smaller objects are shown with more around them.
const LEAST_VIEW: f64 = 48.0;
const CUT_QUALITY: u8 = 82;
const WHOLE_QUALITY: u8 = 85;

/// The pictures of a report.
#[derive(Debug, Default)]
pub struct Gallery {
    /// One after the other on the page.
    pub sections: Vec<Section>,
}

/// Mistakes of one sort.
#[derive(Debug)]
pub struct Section {
    /// What they have in common.
    pub title: &'static str,
    /// In which order they stand.
    pub order: &'static str,
    /// How many there are in all; `items` holds the first of them.
    pub total: usize,
    /// The first of them.
    pub items: Vec<Item>,
}

/// One mistake.
#[derive(Debug)]
pub struct Item {
    /// What happened, in words. Holds names from the dataset: escape it.
    pub what: String,
    /// Size, score and the like.
    pub details: String,
    /// The picture's file name. From the dataset: escape it.
    pub file_name: String,
    /// The cut-out, JPEG.
    pub cut: Option<Vec<u8>>,
    /// The whole picture, relative to the page.
    pub whole: Option<String>,
    /// Why there is no picture.
    pub problem: Option<String>,
    image: usize,
    view: BoxXywh,
    subject: Subject,
}

#[derive(Clone, Copy, Debug)]
enum Subject {
    Truth(usize, Option<usize>),
    Found(usize, Option<usize>),
}

/// A gallery that cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum GalleryError {
    /// A folder or file cannot be written.
    #[error("{path}: cannot write: {cause}")]
    Write {
        /// The file.
        path: String,
        /// The system's answer.
        cause: std::io::Error,
    },
    /// A picture cannot be made into a JPEG.
    #[error("{path}: cannot encode: {cause}")]
    Encode {
        /// The file.
        path: String,
        /// The encoder's answer.
        cause: jpeg_encoder::EncodingError,
    },
}

impl Gallery {
    /// Chooses the worst mistakes, at most `limit` per section, without pictures yet.
    pub fn choose(measured: &Measured, limit: usize) -> Self {
        let Mistakes { misses, false_positives } = measured.mistakes;
        let describer = Describer { dataset: measured.dataset, found: measured.found };
        let mut confused: Vec<&Miss> =
            misses.iter().filter(|miss| miss.kind == MissKind::TakenForOther).collect();
        let score = |miss: &Miss| miss.found.map_or(0.0, |one| measured.found[one].score);
        confused.sort_by(|a, b| super::matching::stronger(score(a), score(b)));
        let rest: Vec<&Miss> = misses.iter().filter(|miss| miss.kind != MissKind::TakenForOther).collect();
        let missed = |title, order, list: &[&Miss]| Section {
            title,
            order,
            total: list.len(),
            items: list.iter().take(limit).map(|miss| describer.miss(miss)).collect(),
        };
        let wrong = Section {
            title: "False positives",
            order: "highest score first",
            total: false_positives.len(),
            items: false_positives.iter().take(limit).map(|one| describer.false_positive(one)).collect(),
        };
        let sections = vec![
            missed("Missed: taken for something else", "most confident first", &confused),
            missed("Missed", "largest first", &rest),
            wrong,
        ];
        Self { sections }
    }

    /// Reads the pictures by `read` (one at a time), cuts out, draws, and writes the whole pictures into `folder`/pictures.
    /// A picture that cannot be read becomes the item's `problem`.
    ///
    /// # Errors
    /// [`GalleryError`] names the file that cannot be written.
    pub fn draw(
        &mut self,
        measured: &Measured,
        folder: &Path,
        read: &mut dyn FnMut(&Image) -> Result<RgbImage, String>,
    ) -> Result<(), GalleryError> {
        let pictures = folder.join("pictures");
        std::fs::create_dir_all(&pictures).map_err(|cause| write_error(&pictures, cause))?;
        let mut of_image: BTreeMap<usize, Vec<&mut Item>> = BTreeMap::new();
        for item in self.sections.iter_mut().flat_map(|section| &mut section.items) {
            of_image.entry(item.image).or_default().push(item);
        }
        let painter = Painter::new(measured);
        for (image, items) in of_image {
            let known = &measured.dataset.images[image];
            match read(known) {
                Ok(picture) => {
                    // Named by number: a name from the dataset never becomes a path that is written to.
                    let name = format!("{}.jpg", known.id);
                    write_jpeg(&pictures.join(&name), &painter.whole(&picture, image))?;
                    for item in items {
                        item.whole = Some(format!("pictures/{name}"));
                        item.cut = Some(encode(&painter.cut(&picture, item), CUT_QUALITY, Path::new(&name))?);
                    }
                }
                Err(problem) => items.into_iter().for_each(|item| item.problem = Some(problem.clone())),
            }
        }
        Ok(())
    }
}

/// Puts mistakes into words.
struct Describer<'a> {
    dataset: &'a Dataset,
    found: &'a [Found],
}

impl Describer<'_> {
    fn name(&self, category: usize) -> &str {
        &self.dataset.categories[category].name
    }

    fn seen(&self, one: Option<usize>) -> (String, f64) {
        one.map_or_else(Default::default, |one| {
            (self.name(self.found[one].category).to_owned(), self.found[one].score)
        })
    }

    fn miss(&self, miss: &Miss) -> Item {
        let truth = &self.dataset.truths[miss.truth];
        let name = self.name(truth.category);
        let (other, score) = self.seen(miss.found);
        let overlap =
            miss.found.map_or(0.0, |one| super::matching::iou(&self.found[one].bbox, &truth.bbox, false));
        let what = match miss.kind {
            MissKind::TooWeak => format!("{name}: score {score:.2} is below the threshold"),
            MissKind::TakenForOther => format!("{name} taken for {other} ({score:.2})"),
            MissKind::Misplaced => format!("{name}: found box overlaps by {overlap:.2} only"),
            MissKind::Unseen => format!("{name} not seen"),
        };
        let subject = Subject::Truth(miss.truth, miss.found);
        self.item(
            what,
            size(&truth.bbox),
            truth.image,
            subject,
            union(&truth.bbox, miss.found.map(|one| &self.found[one].bbox)),
        )
    }

    fn false_positive(&self, mistake: &FalsePositive) -> Item {
        let found = &self.found[mistake.found];
        let name = self.name(found.category);
        let truth = mistake.truth.map(|truth| &self.dataset.truths[truth]);
        let overlap = truth.map_or(0.0, |truth| super::matching::iou(&found.bbox, &truth.bbox, false));
        let what = match mistake.kind {
            FalseKind::Double => format!("{name}: second box on one object"),
            FalseKind::Misplaced => format!("{name}: overlaps the labelled box by {overlap:.2} only"),
            FalseKind::Confused => {
                format!("{name}, labelled {}", truth.map_or("", |truth| self.name(truth.category)))
            }
            FalseKind::Background => format!("{name}: nothing labelled here"),
        };
        let details = format!("score {:.2}, {}", found.score, size(&found.bbox));
        let view = union(&found.bbox, truth.map(|truth| &truth.bbox));
        self.item(what, details, found.image, Subject::Found(mistake.found, mistake.truth), view)
    }

    fn item(&self, what: String, details: String, image: usize, subject: Subject, view: BoxXywh) -> Item {
        let file_name = self.dataset.images[image].file_name.clone();
        Item { what, details, file_name, cut: None, whole: None, problem: None, image, view, subject }
    }
}

fn size(bbox: &BoxXywh) -> String {
    format!("{:.0}×{:.0} px", bbox[2], bbox[3])
}

fn union(a: &BoxXywh, b: Option<&BoxXywh>) -> BoxXywh {
    let Some(b) = b else { return *a };
    let (left, top) = (a[0].min(b[0]), a[1].min(b[1]));
    let (right, bottom) = ((a[0] + a[2]).max(b[0] + b[2]), (a[1] + a[3]).max(b[1] + b[3]));
    [left, top, right - left, bottom - top]
}

/// Draws boxes on pictures.
struct Painter<'a> {
    measured: &'a Measured<'a>,
    marks_in: Vec<Vec<Mark>>,
}

#[derive(Clone, Copy)]
enum Mark {
    Truth(usize),
    Found(usize),
}

impl<'a> Painter<'a> {
    /// Crowds and detections below the threshold are left out.
    fn new(measured: &'a Measured<'a>) -> Self {
        let Measured { dataset, found, verdicts, thresholds, .. } = *measured;
        let mut marks_in: Vec<Vec<Mark>> = vec![Vec::new(); dataset.images.len()];
        for (index, one) in found.iter().enumerate() {
            if one.score >= thresholds[one.category] && verdicts.found[index] != Verdict::Ignored {
                marks_in[one.image].push(Mark::Found(index));
            }
        }
        for (index, truth) in dataset.truths.iter().enumerate().filter(|(_, truth)| !truth.crowd) {
            marks_in[truth.image].push(Mark::Truth(index));
        }
        Self { measured, marks_in }
    }

    fn whole(&self, picture: &RgbImage, image: usize) -> RgbImage {
        let mut drawn = picture.clone();
        for &mark in &self.marks_in[image] {
            self.mark(&mut drawn, mark, [0.0, 0.0], 1.0, true);
        }
        drawn
    }

    /// The part of the picture around an item's boxes, with what is labelled and found there; only the item's own boxes
    /// have captions, and are drawn last.
    fn cut(&self, picture: &RgbImage, item: &Item) -> RgbImage {
        let [left, top, width, height] = view(&item.view, picture.dimensions());
        let part = image::imageops::crop_imm(picture, left, top, width, height).to_image();
        let factor = (f64::from(CUT.0) / f64::from(width)).min(f64::from(2 * CUT.1) / f64::from(height));
        let side = |length: u32| ((f64::from(length) * factor).round() as u32).max(1);
        let mut cut =
            image::imageops::resize(&part, side(width), side(height), image::imageops::FilterType::Triangle);
        let origin = [f64::from(left), f64::from(top)];
        for &mark in self.marks_in[item.image].iter().filter(|mark| !item.is_about(**mark)) {
            self.mark(&mut cut, mark, origin, factor, false);
        }
        for mark in item.marks() {
            self.mark(&mut cut, mark, origin, factor, true);
        }
        cut
    }

    fn mark(&self, picture: &mut RgbImage, mark: Mark, origin: [f64; 2], factor: f64, caption: bool) {
        let Measured { dataset, found, verdicts, thresholds, .. } = *self.measured;
        let (bbox, category, score) = match mark {
            Mark::Truth(index) => (&dataset.truths[index].bbox, dataset.truths[index].category, None),
            Mark::Found(index) => (&found[index].bbox, found[index].category, Some(found[index].score)),
        };
        let colour = match mark {
            Mark::Truth(index) if is_found(verdicts, found, thresholds, index, category) => LABELLED,
            Mark::Truth(_) => MISSED,
            Mark::Found(index) if matches!(verdicts.found[index], Verdict::Right(_)) => RIGHT,
            Mark::Found(_) => WRONG,
        };
        let name = &dataset.categories[category].name;
        // A truth that was found carries no caption: the detection on it has the same name.
        let caption = match (caption, score) {
            (false, _) => None,
            (true, Some(score)) => Some(format!("{name} {score:.2}")),
            (true, None) => (colour == MISSED).then(|| name.clone()),
        };
        let at = |value: f64, from: f64| ((value - from) * factor) as f32;
        let corners = [
            at(bbox[0], origin[0]),
            at(bbox[1], origin[1]),
            at(bbox[0] + bbox[2], origin[0]),
            at(bbox[1] + bbox[3], origin[1]),
        ];
        draw::mark(picture, corners, colour, score.is_none(), caption.as_deref());
    }
}

fn is_found(verdicts: &Verdicts, found: &[Found], thresholds: &[f64], truth: usize, category: usize) -> bool {
    verdicts.finder[truth].is_some_and(|one| found[one].score >= thresholds[category])
}

impl Item {
    /// The boxes it is about, the one to be seen best last.
    fn marks(&self) -> impl Iterator<Item = Mark> {
        let (first, second) = match self.subject {
            Subject::Truth(truth, found) => (found.map(Mark::Found), Mark::Truth(truth)),
            Subject::Found(found, truth) => (truth.map(Mark::Truth), Mark::Found(found)),
        };
        first.into_iter().chain([second])
    }

    fn is_about(&self, mark: Mark) -> bool {
        self.marks().any(|own| match (own, mark) {
            (Mark::Truth(a), Mark::Truth(b)) | (Mark::Found(a), Mark::Found(b)) => a == b,
            _ => false,
        })
    }
}

/// Left, top, width, height of the cut-out around `bbox`: about twice its size, in the proportion of [`CUT`] as far as
/// the picture allows, inside the picture.
fn view(bbox: &BoxXywh, (width, height): (u32, u32)) -> [u32; 4] {
    let proportion = f64::from(CUT.0) / f64::from(CUT.1);
    let wanted = (bbox[2] * 1.8).max(bbox[3] * 1.8 * proportion).max(LEAST_VIEW);
    let wide = wanted.min(f64::from(width)).max(1.0);
    let tall = (wanted / proportion).min(f64::from(height)).max(1.0);
    let start = |centre: f64, length: f64, side: u32| {
        (centre - length / 2.0).clamp(0.0, (f64::from(side) - length).max(0.0))
    };
    let left = start(bbox[0] + bbox[2] / 2.0, wide, width);
    let top = start(bbox[1] + bbox[3] / 2.0, tall, height);
    let whole = |value: f64| value as u32;
    [whole(left), whole(top), whole(wide).clamp(1, width), whole(tall).clamp(1, height)]
}

fn encode(picture: &RgbImage, quality: u8, path: &Path) -> Result<Vec<u8>, GalleryError> {
    let mut bytes = Vec::new();
    // JPEG ends at 65535 pixels a side; pictures are held to half of that where they are read.
    let side = |length: u32| u16::try_from(length).unwrap_or(u16::MAX);
    jpeg_encoder::Encoder::new(&mut bytes, quality)
        .encode(picture.as_raw(), side(picture.width()), side(picture.height()), jpeg_encoder::ColorType::Rgb)
        .map_err(|cause| GalleryError::Encode { path: path.display().to_string(), cause })?;
    Ok(bytes)
}

fn write_jpeg(path: &PathBuf, picture: &RgbImage) -> Result<(), GalleryError> {
    let bytes = encode(picture, WHOLE_QUALITY, path)?;
    std::fs::write(path, bytes).map_err(|cause| write_error(path, cause))
}

fn write_error(path: &Path, cause: std::io::Error) -> GalleryError {
    GalleryError::Write { path: path.display().to_string(), cause }
}
