//! Running the model on each picture of the dataset.

use std::path::Path;

use anyhow::anyhow;
use image::RgbImage;
use stopline_depot::manifest::{Manifest, Task, Thresholds};
use stopline_sensors::clock::{Clock as _, SystemClock};
use stopline_sensors::frame::{BufferPool, Frame, FrameMeta, Stamp};
use stopline_sensors::images;
use stopline_sensors::source::SourceError;

use super::{Args, Seen};
use crate::commands::model_args::ModelArgs;
use crate::detection::Detection;
use crate::detector::{Detector, Overrides};
use crate::draw;
use crate::eval::Found;
use crate::eval::coco::{Dataset, Image};
use crate::eval::labels::{Labels, listed};
use crate::eval::pictures::Pictures;
use crate::eval::report::{PictureCounts, Subject};
use crate::exit::{Exit, Failure, OrExit};
use crate::prepare::geometry::Geometry;

/// What the model sees in the dataset's pictures. A picture that cannot be measured is counted and told, and the next
/// one tried.
pub(super) fn with_model(args: &Args, model: &ModelArgs, dataset: &Dataset) -> Result<Seen, Failure> {
    let pictures = Pictures::locate(dataset, args.images.as_deref()).or_exit(Exit::Input)?;
    let mut own = Thresholds::default();
    let mut detector = Detector::load_with(&model.options(), |manifest| {
        own = manifest.thresholds.clone();
        Overrides { score: Some(args.score), iou: args.iou }.apply(manifest);
        manifest.thresholds.max_detections = args.max_detections;
    })
    .or_exit(Exit::Model)?;
    for warning in detector.warnings() {
        tracing::warn!("{warning}");
    }
    let manifest = detector.manifest().clone();
    check_task(&manifest)?;
    let labels = Labels::assign(&manifest.labels, &dataset.categories, &args.map).or_exit(Exit::Input)?;

    let mut seen = Seen {
        found: Vec::new(),
        images: Vec::with_capacity(dataset.images.len()),
        categories: if args.all_categories {
            vec![true; dataset.categories.len()]
        } else {
            labels.known.clone()
        },
        thresholds: Some(thresholds(&own, &manifest, &labels, dataset)),
        scales: None,
        pictures: PictureCounts::default(),
        subject: subject(args, model, &detector),
        notes: notes(&labels, &manifest, dataset, args.all_categories),
    };
    let mut scales = Vec::with_capacity(dataset.images.len());
    let (bar, pool) = (progress(dataset.images.len()), BufferPool::default());
    for (index, image) in dataset.images.iter().enumerate() {
        let measured = look_at(&mut detector, &pictures, image, &pool, &mut seen.pictures)?;
        seen.images.push(measured.is_some());
        let (size, all) = measured.unwrap_or(([0, 0], Vec::new()));
        scales.push(scale(&manifest, size));
        let strongest = all.into_iter().take(args.max_detections as usize);
        seen.found.extend(strongest.filter_map(|one| found(&one, index, &labels)));
        bar.inc(1);
    }
    bar.finish_and_clear();
    seen.scales = Some(scales);
    Ok(seen)
}

/// The picture of `image`, for the gallery.
pub(super) fn picture(pictures: &Pictures, image: &Image) -> Result<RgbImage, String> {
    let path = pictures
        .path(image)
        .ok_or_else(|| format!("{}: no such file", pictures.expected(image).display()))?;
    let frame = read(&path, &BufferPool::default()).map_err(|error| error.to_string())?;
    draw::rgb_image(&frame).map_err(|error| error.to_string())
}

/// Input pixels per pixel of a picture of `size`, down; 0 for no picture.
fn scale(manifest: &Manifest, size: [u32; 2]) -> f64 {
    let input = [manifest.input.width, manifest.input.height];
    if size[0] == 0 { 0.0 } else { f64::from(Geometry::fit(size, input, &manifest.input.resize).scale[1]) }
}

/// Size of a picture, and the detections in it.
type Looked = ([u32; 2], Vec<Detection>);

/// What is seen in one picture; `None` where it could not be measured.
fn look_at(
    detector: &mut Detector,
    pictures: &Pictures,
    image: &Image,
    pool: &BufferPool,
    counts: &mut PictureCounts,
) -> Result<Option<Looked>, Failure> {
    let Some(path) = pictures.path(image) else {
        counts.missing += 1;
        counts.tell(format!("{}: no such file", pictures.expected(image).display()));
        return Ok(None);
    };
    let frame = match read(&path, pool) {
        Ok(frame) => frame,
        Err(error) => {
            counts.unreadable += 1;
            counts.tell(error.to_string());
            return Ok(None);
        }
    };
    let size = (frame.width(), frame.height());
    if let Some((width, height)) = image.size.filter(|&told| told != size) {
        counts.other_size += 1;
        counts.tell(format!(
            "{}: {}x{} pixels, the dataset says {width}x{height}",
            path.display(),
            size.0,
            size.1
        ));
        return Ok(None);
    }
    let mut found = Vec::new();
    match detector.detect(&frame, &mut found) {
        Ok(_) => Ok(Some(([size.0, size.1], found))),
        Err(error) if error.invalid_frame() => {
            counts.invalid += 1;
            counts.tell(format!("{}: {error}", path.display()));
            Ok(None)
        }
        Err(error) => Err(Failure::new(Exit::Model, anyhow!(error).context(path.display().to_string()))),
    }
}

fn found(one: &Detection, image: usize, labels: &Labels) -> Option<Found> {
    let category = labels.category_of.get(one.class).copied().flatten()?;
    let [x1, y1, x2, y2] = one.bbox.map(f64::from);
    Some(Found { image, category, score: f64::from(one.score), bbox: [x1, y1, x2 - x1, y2 - y1] })
}

fn check_task(manifest: &Manifest) -> Result<(), Failure> {
    match manifest.task {
        Task::Detect | Task::Pose => Ok(()),
        task => Err(Failure::new(
            Exit::Model,
            anyhow!(
                "{}: task {task:?} gives no boxes; eval measures models that find boxes (detect, pose)",
                manifest.name
            ),
        )),
    }
}

/// The manifest's threshold of each category; the lowest where several labels are one category.
fn thresholds(own: &Thresholds, manifest: &Manifest, labels: &Labels, dataset: &Dataset) -> Vec<f64> {
    let of_label = |label: &String| f64::from(own.per_class.get(label).copied().unwrap_or(own.score));
    (0..dataset.categories.len())
        .map(|category| {
            let here =
                manifest.labels.iter().zip(&labels.category_of).filter(|(_, of)| **of == Some(category));
            here.map(|(label, _)| of_label(label)).reduce(f64::min).unwrap_or(f64::from(own.score))
        })
        .collect()
}

fn subject(args: &Args, model: &ModelArgs, detector: &Detector) -> Subject {
    let manifest = detector.manifest();
    Subject {
        model: Some(format!("{} {}", manifest.name, manifest.version)),
        sha256: Some(detector.digest().to_owned()),
        backend: Some(format!("{:?}", model.engine.on.backend).to_lowercase()),
        least_score: Some(f64::from(args.score)),
        max_detections: Some(args.max_detections as usize),
        ..Subject::default()
    }
}

fn notes(labels: &Labels, manifest: &Manifest, dataset: &Dataset, all_categories: bool) -> Vec<String> {
    let mut notes = labels.told.clone();
    let lacking: Vec<usize> =
        (0..dataset.categories.len()).filter(|&category| !labels.known[category]).collect();
    if !lacking.is_empty() {
        let boxes = dataset.truths.iter().filter(|truth| !labels.known[truth.category]).count();
        let names = listed(lacking.iter().map(|&category| dataset.categories[category].name.as_str()));
        let what = if all_categories {
            "counted as never found"
        } else {
            "left out of every figure (--all-categories counts them)"
        };
        notes.push(format!(
            "the model has no label for {} categories with {boxes} boxes, {what}: {names}",
            lacking.len()
        ));
    }
    let idle = manifest
        .labels
        .iter()
        .zip(&labels.category_of)
        .filter(|(_, of)| of.is_none())
        .map(|(label, _)| label.as_str());
    let idle: Vec<&str> = idle.collect();
    if !idle.is_empty() {
        notes.push(format!(
            "{} labels of the model are no category here, their detections are passed over: {}",
            idle.len(),
            listed(idle.into_iter())
        ));
    }
    notes
}

fn progress(pictures: usize) -> indicatif::ProgressBar {
    let style = indicatif::ProgressStyle::with_template("{bar:40} {pos}/{len} pictures, {eta} left");
    let bar = indicatif::ProgressBar::new(pictures as u64);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// The picture in `path`, without a place in any recording.
fn read(path: &Path, pool: &BufferPool) -> Result<Frame, SourceError> {
    let picture = images::read(path, pool)?;
    let meta = FrameMeta {
        source: "dataset".into(),
        sequence: 0,
        captured: SystemClock.monotonic(),
        stamp: Stamp::Recording,
        wall: SystemClock.wall(),
        position: None,
        path: Some(path.into()),
        copies: picture.copies,
    };
    Frame::packed(meta, picture.format, picture.colour, picture.size, picture.buffer)
        .map_err(|cause| SourceError::Frame { what: path.display().to_string(), cause })
}
