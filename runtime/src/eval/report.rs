//! Everything measured, as one value. `--json` prints it as it is; the table and the page show parts of it.

use serde::Serialize;

use super::Found;
use super::coco::Dataset;
use super::metrics::{self, Curves, Part};
use super::mistakes::{FalseKind, MissKind, Mistakes};
use super::operating::{HeightBin, OperatingPoint, Verdicts};

/// Schema of the JSON.
pub const SCHEMA: u32 = 1;

/// What was measured, on what, and how it came out. Figures with nothing to measure are −1, as in COCOeval.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Version of this schema.
    pub schema: u32,
    /// Version of stopline.
    pub stopline: &'static str,
    /// Where the detections come from.
    pub subject: Subject,
    /// What they were measured against.
    pub dataset: DatasetCounts,
    /// Pictures that could not be measured.
    pub pictures: PictureCounts,
    /// What was passed over, filled in or matched loosely; sentences.
    pub notes: Vec<String>,
    /// COCO's twelve figures by name.
    pub summary: Figures,
    /// Precision and recall over all categories, each at its threshold, at an overlap of 0.5.
    pub operating: OperatingPoint,
    /// By rising category id.
    pub categories: Vec<CategoryReport>,
    /// Mean over categories.
    pub curves: PrecisionCurves,
    /// Recall by height of the labelled box, overlap 0.5.
    pub by_height: Vec<HeightBin>,
    /// How many mistakes of each kind there are at the thresholds.
    pub mistakes: MistakeCounts,
}

/// Where the detections come from.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Subject {
    /// The model's name and version, where known.
    pub model: Option<String>,
    /// SHA-256 of the ONNX file, hexadecimal, where it was run.
    pub sha256: Option<String>,
    /// The engine, where the model was run.
    pub backend: Option<String>,
    /// The file the detections were read from, where it was not.
    pub detections_file: Option<String>,
    /// Least score of the detections, where the model was run.
    pub least_score: Option<f64>,
    /// Most detections kept per picture, where the model was run.
    pub max_detections: Option<usize>,
    /// Where the thresholds come from: `manifest`, `--at`, `best F1`.
    pub thresholds_from: &'static str,
}

/// What the detections were measured against.
#[derive(Clone, Debug, Serialize)]
pub struct DatasetCounts {
    /// The annotations file.
    pub path: String,
    /// Pictures measured.
    pub images: usize,
    /// Labelled boxes that count.
    pub truths: usize,
    /// Crowds, which count neither way.
    pub crowds: usize,
    /// Detections measured.
    pub detections: usize,
}

/// Pictures that could not be measured; their labelled boxes count in no figure.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PictureCounts {
    /// No such file, or not in the file of detections.
    pub missing: usize,
    /// Not readable as a picture.
    pub unreadable: usize,
    /// Of another size than the dataset says, so that its boxes do not fit.
    pub other_size: usize,
    /// The model gave no finite numbers.
    pub invalid: usize,
    /// The first of them, each a sentence.
    pub problems: Vec<String>,
}

impl PictureCounts {
    /// How many pictures were not measured.
    pub fn total(&self) -> usize {
        self.missing + self.unreadable + self.other_size + self.invalid
    }

    /// Keeps a sentence about one of them, up to a bound.
    pub fn tell(&mut self, problem: String) {
        const KEPT: usize = 100;
        if self.problems.len() < KEPT {
            self.problems.push(problem);
        }
    }
}

/// The twelve figures, by name in COCO's order.
#[derive(Clone, Debug)]
pub struct Figures(pub metrics::Summary);

impl Serialize for Figures {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0)
    }
}

impl Figures {
    /// The figure called `name`; panics if there is none.
    pub fn value(&self, name: &str) -> f64 {
        let figure = self.0.iter().find(|(known, _)| *known == name);
        figure.expect("names of figures are written in this crate only").1
    }
}

/// One category.
#[derive(Clone, Debug, Serialize)]
pub struct CategoryReport {
    /// Its number in the dataset.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Labelled boxes that count.
    pub truths: usize,
    /// Crowds.
    pub crowds: usize,
    /// Detections.
    pub detections: usize,
    /// Average precision over overlaps 0.50 to 0.95.
    pub ap: f64,
    /// At overlap 0.50.
    pub ap50: f64,
    /// At overlap 0.75.
    pub ap75: f64,
    /// For small, medium and large objects.
    pub ap_by_size: [f64; 3],
    /// Average recall with at most 1, 10 and 100 detections.
    pub ar: [f64; 3],
    /// For small, medium and large objects.
    pub ar_by_size: [f64; 3],
    /// At the category's threshold.
    pub operating: OperatingPoint,
    /// At the threshold where F1 is highest.
    pub best_f1: Option<OperatingPoint>,
    /// Recall by height of the labelled box.
    pub by_height: Vec<HeightBin>,
    /// Recall by height on the model's input, where the model was run: what `stopline check` reckons with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by_input_height: Option<Vec<HeightBin>>,
    /// Precision over recall.
    pub curves: PrecisionCurves,
}

/// Precision at recall 0, 0.01 … 1.
#[derive(Clone, Debug, Serialize)]
pub struct PrecisionCurves {
    /// At overlap 0.50.
    pub iou50: Vec<f64>,
    /// At overlap 0.75.
    pub iou75: Vec<f64>,
    /// Mean over overlaps 0.50 to 0.95.
    pub iou50_95: Vec<f64>,
}

/// Mistakes by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MistakeCounts {
    /// Missed: nothing near.
    pub missed_unseen: usize,
    /// Missed: found with a score below the threshold.
    pub missed_too_weak: usize,
    /// Missed: something else seen there.
    pub missed_taken_for_other: usize,
    /// Missed: box does not fit.
    pub missed_misplaced: usize,
    /// False positive: nothing labelled there.
    pub false_background: usize,
    /// False positive: an object of another category.
    pub false_confused: usize,
    /// False positive: box does not fit.
    pub false_misplaced: usize,
    /// False positive: second box on one object.
    pub false_double: usize,
}

impl MistakeCounts {
    /// Counts `mistakes` by kind.
    pub fn of(mistakes: &Mistakes) -> Self {
        let missed = |kind: MissKind| mistakes.misses.iter().filter(|miss| miss.kind == kind).count();
        let wrong = |kind: FalseKind| mistakes.false_positives.iter().filter(|one| one.kind == kind).count();
        Self {
            missed_unseen: missed(MissKind::Unseen),
            missed_too_weak: missed(MissKind::TooWeak),
            missed_taken_for_other: missed(MissKind::TakenForOther),
            missed_misplaced: missed(MissKind::Misplaced),
            false_background: wrong(FalseKind::Background),
            false_confused: wrong(FalseKind::Confused),
            false_misplaced: wrong(FalseKind::Misplaced),
            false_double: wrong(FalseKind::Double),
        }
    }
}

/// What a report is made from.
pub struct Measured<'a> {
    /// Reduced to what was looked at.
    pub dataset: &'a Dataset,
    /// The detections.
    pub found: &'a [Found],
    /// Who found whom.
    pub verdicts: &'a Verdicts,
    /// The score from which a detection counts, per category.
    pub thresholds: &'a [f64],
    /// The mistakes at these thresholds.
    pub mistakes: &'a Mistakes,
    /// Input pixels per picture pixel, down, for each image of the dataset; where the model was run.
    pub scales: Option<&'a [f64]>,
}

impl Report {
    /// Measures, and puts it all together.
    pub fn new(measured: &Measured, subject: Subject, pictures: PictureCounts, notes: Vec<String>) -> Self {
        let Measured { dataset, found, verdicts, thresholds, mistakes, .. } = *measured;
        let curves = Curves::measure(dataset, found);
        let crowds = dataset.truths.iter().filter(|truth| truth.crowd).count();
        let counts = DatasetCounts {
            path: dataset.path.display().to_string(),
            images: dataset.images.len(),
            truths: dataset.truths.len() - crowds,
            crowds,
            detections: found.len(),
        };
        Self {
            schema: SCHEMA,
            stopline: env!("CARGO_PKG_VERSION"),
            subject,
            dataset: counts,
            pictures,
            notes,
            summary: Figures(curves.summary()),
            operating: verdicts.overall(dataset, found, thresholds),
            categories: category_reports(measured, &curves),
            curves: precision_curves(&curves, None),
            by_height: verdicts.by_height(dataset, found, thresholds, None),
            mistakes: MistakeCounts::of(mistakes),
        }
    }
}

fn category_reports(measured: &Measured, curves: &Curves) -> Vec<CategoryReport> {
    let Measured { dataset, found, verdicts, thresholds, scales, .. } = *measured;
    let points = verdicts.points(dataset, found, thresholds);
    let best = verdicts.best_f1(dataset, found);
    let all = dataset.categories.iter().zip(points).zip(best).enumerate();
    all.map(|(category, ((known, operating), best_f1))| {
        let whole = Part { category: Some(category), max_found: 2, ..Part::default() };
        let precision = |iou, area| curves.average_precision(Part { iou, area, ..whole });
        let recall = |area, max_found| curves.average_recall(Part { area, max_found, ..whole });
        let labelled = || dataset.truths.iter().filter(|truth| truth.category == category);
        CategoryReport {
            id: known.id,
            name: known.name.clone(),
            truths: labelled().filter(|truth| !truth.crowd).count(),
            crowds: labelled().filter(|truth| truth.crowd).count(),
            detections: found.iter().filter(|one| one.category == category).count(),
            ap: precision(None, 0),
            ap50: precision(Some(0), 0),
            ap75: precision(Some(5), 0),
            ap_by_size: [1, 2, 3].map(|area| precision(None, area)),
            ar: [0, 1, 2].map(|max_found| recall(0, max_found)),
            ar_by_size: [1, 2, 3].map(|area| recall(area, 2)),
            operating,
            best_f1,
            by_height: verdicts.by_height(dataset, found, thresholds, Some(category)),
            by_input_height: scales
                .map(|scales| verdicts.by_input_height(dataset, found, thresholds, category, scales)),
            curves: precision_curves(curves, Some(category)),
        }
    })
    .collect()
}

fn precision_curves(curves: &Curves, category: Option<usize>) -> PrecisionCurves {
    let curve = |iou| curves.precision_curve(Part { iou, category, area: 0, max_found: 2 });
    PrecisionCurves { iou50: curve(Some(0)), iou75: curve(Some(5)), iou50_95: curve(None) }
}
