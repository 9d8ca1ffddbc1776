//! `stopline eval`: a model, or a file of detections, against a labelled dataset.

mod events;
mod look;

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};

use super::model_args::EngineArgs;
use crate::eval::coco::{Dataset, Oddities};
use crate::eval::gallery::Gallery;
use crate::eval::mistakes::Mistakes;
use crate::eval::operating::Verdicts;
use crate::eval::pictures::Pictures;
use crate::eval::report::{Measured, PictureCounts, Report, Subject};
use crate::eval::results::{self, Results};
use crate::eval::{Found, labels, page, table};
use crate::exit::{Exit, Failure, OrExit};
use crate::output::OutputFile;

/// Threshold of a category that neither the manifest nor `--at` gives one and of which nothing labelled was found.
const USUAL_THRESHOLD: f64 = 0.5;

/// Arguments of `stopline eval`.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Exit code 3 also when pictures could not be measured (missing, unreadable, of another size than the \
                        dataset says): the figures then hold for the others; --skip-missing makes that 0."
)]
pub struct Args {
    /// COCO annotations (an instances file: images, annotations, categories); with --events the decision records of a
    /// replay that decides.
    dataset: PathBuf,
    /// What really was in the recording (JSON): precision and recall of events, wrong ones per hour, time to decision,
    /// brake onset.
    #[arg(long, value_name = "JSON", conflicts_with_all = ["model", "detections", "images", "html", "results"])]
    events: Option<PathBuf>,
    /// The folder of the pictures; default: beside the annotations, or as COCO lays it out.
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// Score these detections and run no model: a COCO results file, or what `stopline detect --json` prints.
    #[arg(long, value_name = "JSON", conflicts_with = "model")]
    detections: Option<PathBuf>,
    /// The ONNX file to run on each picture.
    #[arg(long, value_name = "ONNX", required_unless_present_any = ["detections", "events"])]
    model: Option<PathBuf>,
    #[command(flatten)]
    engine: EngineArgs,
    /// A label of the model and the category of the dataset it is; repeat for more. Others go by name.
    #[arg(long, value_name = "LABEL=CATEGORY", value_parser = labels::parse_map)]
    map: Vec<(String, String)>,
    /// Count categories the model has no label for as never found, instead of leaving them out.
    #[arg(long, requires = "model")]
    all_categories: bool,
    /// Least score of a detection, in place of the manifest's: average precision needs the weak ones too.
    #[arg(long, default_value_t = 0.001, value_parser = share)]
    score: f32,
    /// Overlap (IoU) above which the weaker of two boxes is suppressed; default: the manifest's.
    #[arg(long, value_name = "IOU", value_parser = share)]
    iou: Option<f32>,
    /// Most detections kept per picture, in place of the manifest's.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    max_detections: u32,
    /// Tell precision, recall and mistakes at this score; default: the manifest's thresholds, or each category's best F1.
    #[arg(long, value_name = "SCORE", value_parser = share)]
    at: Option<f32>,
    /// End with 0 although pictures could not be measured.
    #[arg(long)]
    skip_missing: bool,
    /// Everything measured as JSON, into a file, or to stdout in place of the table.
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    json: Option<PathBuf>,
    /// Write index.html with curves, tables and pictures of the worst mistakes into this folder.
    #[arg(long, value_name = "DIR")]
    html: Option<PathBuf>,
    /// Most pictures per kind of mistake in the HTML page.
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u16).range(0..=500))]
    gallery: u16,
    /// Write the detections as a COCO results file.
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
}

/// What was seen in the dataset's pictures, and what to say about it.
struct Seen {
    found: Vec<Found>,
    /// Per image of the dataset: measured.
    images: Vec<bool>,
    /// Per category: measured.
    categories: Vec<bool>,
    /// Per category, where the model says; before any is left out.
    thresholds: Option<Vec<f64>>,
    /// Per image of the dataset, where the model was run: input pixels per picture pixel, down; 0 where not measured.
    scales: Option<Vec<f64>>,
    pictures: PictureCounts,
    subject: Subject,
    notes: Vec<String>,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    if let Some(truth) = &args.events {
        return events::run(&args.dataset, truth, args.json.as_deref());
    }
    let whole = Dataset::read(&args.dataset).or_exit(Exit::Input)?;
    let mut seen = match (&args.detections, args.engine.of(args.model.as_ref())) {
        (Some(file), _) => read_detections(args, file, &whole)?,
        (None, Some(model)) => look::with_model(args, &model, &whole)?,
        (None, None) => {
            return Err(Failure::new(Exit::Usage, anyhow!("give --model ONNX, or --detections JSON")));
        }
    };
    for note in oddities(&whole.oddities) {
        seen.notes.push(note);
    }
    if !seen.images.contains(&true) {
        return Err(Failure::new(
            Exit::Input,
            anyhow!(
                "none of {} pictures could be measured{}",
                whole.images.len(),
                first_problem(&seen.pictures)
            ),
        ));
    }
    let (dataset, found) = whole.reduced(&seen.images, &seen.categories, &seen.found);
    let verdicts = Verdicts::judge(&dataset, &found);
    let (thresholds, from) = thresholds(args, &seen, &verdicts, &dataset, &found);
    let mistakes = Mistakes::find(&dataset, &found, &verdicts, &thresholds);
    let scales = seen.scales.as_ref().map(|all| {
        let kept = all.iter().zip(&seen.images).filter(|(_, measured)| **measured);
        kept.map(|(scale, _)| *scale).collect::<Vec<f64>>()
    });
    let measured = Measured {
        dataset: &dataset,
        found: &found,
        verdicts: &verdicts,
        thresholds: &thresholds,
        mistakes: &mistakes,
        scales: scales.as_deref(),
    };
    let subject = Subject { thresholds_from: from, ..seen.subject };
    let report = Report::new(&measured, subject, seen.pictures, seen.notes);
    write_out(args, &measured, &report)?;
    if report.pictures.total() > 0 && !args.skip_missing {
        let told = anyhow!(
            "{} of {} pictures were not measured{}; put them right, or accept it with --skip-missing",
            report.pictures.total(),
            whole.images.len(),
            first_problem(&report.pictures)
        );
        return Err(Failure::new(Exit::Input, told));
    }
    Ok(())
}

fn read_detections(args: &Args, file: &Path, dataset: &Dataset) -> Result<Seen, Failure> {
    let results = Results::read(file, dataset, &args.map).or_exit(Exit::Input)?;
    let mut notes = results.labels.map_or_else(Vec::new, |labels| labels.told);
    if results.unknown_images > 0 {
        notes.push(format!(
            "{} detections in pictures the dataset does not list were passed over",
            results.unknown_images
        ));
    }
    if results.unknown_categories > 0 {
        notes.push(format!(
            "{} detections of categories the dataset does not have were passed over",
            results.unknown_categories
        ));
    }
    let mut pictures = PictureCounts::default();
    for (image, _) in dataset.images.iter().zip(&results.looked_at).filter(|(_, looked_at)| !**looked_at) {
        pictures.missing += 1;
        pictures.tell(format!("{}: not in {}", image.file_name, file.display()));
    }
    Ok(Seen {
        found: results.found,
        images: results.looked_at,
        categories: vec![true; dataset.categories.len()],
        thresholds: None,
        scales: None,
        pictures,
        subject: Subject {
            model: results.model,
            detections_file: Some(file.display().to_string()),
            ..Subject::default()
        },
        notes,
    })
}

/// The threshold of each category of the reduced dataset, and where it comes from.
fn thresholds(
    args: &Args,
    seen: &Seen,
    verdicts: &Verdicts,
    dataset: &Dataset,
    found: &[Found],
) -> (Vec<f64>, &'static str) {
    if let Some(score) = args.at {
        return (vec![f64::from(score); dataset.categories.len()], "--at");
    }
    if let Some(all) = &seen.thresholds {
        let kept =
            all.iter().zip(&seen.categories).filter(|(_, kept)| **kept).map(|(threshold, _)| *threshold);
        return (kept.collect(), "manifest");
    }
    let best = verdicts.best_f1(dataset, found);
    (best.into_iter().map(|best| best.map_or(USUAL_THRESHOLD, |best| best.score)).collect(), "best F1")
}

fn write_out(args: &Args, measured: &Measured, report: &Report) -> Result<(), Failure> {
    if let Some(path) = &args.results {
        let mut file = OutputFile::create(path).or_exit(Exit::Output)?;
        let done = results::write_coco(&mut file, measured.dataset, measured.found);
        file.named(done).or_exit(Exit::Output)?;
        file.commit().or_exit(Exit::Output)?;
    }
    if let Some(folder) = &args.html {
        write_page(args, folder, measured, report)?;
    }
    let to_stdout = args.json.as_deref() == Some(Path::new("-"));
    if let Some(path) = args.json.as_deref().filter(|_| !to_stdout) {
        let mut file = OutputFile::create(path).or_exit(Exit::Output)?;
        let done = write_json(&mut file, report);
        file.named(done).or_exit(Exit::Output)?;
        file.commit().or_exit(Exit::Output)?;
    }
    let mut out = std::io::stdout().lock();
    let done = if to_stdout {
        write_json(&mut out, report)
    } else {
        out.write_all(table::render(report).as_bytes())
    };
    done.and_then(|()| out.flush()).context("stdout").or_exit(Exit::Output)?;
    for note in &report.notes {
        eprintln!("note: {}", table::plain(note));
    }
    Ok(())
}

fn write_json(out: &mut dyn Write, report: &Report) -> std::io::Result<()> {
    serde_json::to_writer(&mut *out, report)?;
    writeln!(out)
}

fn write_page(args: &Args, folder: &Path, measured: &Measured, report: &Report) -> Result<(), Failure> {
    let mut gallery = Gallery::choose(measured, usize::from(args.gallery));
    let pictures = Pictures::locate(measured.dataset, args.images.as_deref());
    let mut read = |image: &_| match &pictures {
        Ok(pictures) => look::picture(pictures, image),
        Err(error) => Err(error.to_string()),
    };
    gallery.draw(measured, folder, &mut read).or_exit(Exit::Output)?;
    let mut file = OutputFile::create(&folder.join("index.html")).or_exit(Exit::Output)?;
    let done = file.write_all(page::render(report, &gallery).as_bytes());
    file.named(done).or_exit(Exit::Output)?;
    file.commit().or_exit(Exit::Output)
}

fn first_problem(pictures: &PictureCounts) -> String {
    pictures
        .problems
        .first()
        .map_or_else(String::new, |problem| format!(", the first: {}", table::plain(problem)))
}

fn oddities(oddities: &Oddities) -> Vec<String> {
    let told = [
        (oddities.unknown_images, "annotations of pictures that `images` does not list were passed over"),
        (
            oddities.unknown_categories,
            "annotations of categories that `categories` does not list were passed over",
        ),
        (oddities.without_area, "annotations have no `area`: width × height of the box was taken"),
        (oddities.empty_boxes, "labelled boxes have no width or height: nothing can match them"),
        (
            oddities.id_zero,
            "annotation has id 0, which pycocotools takes for \"not matched\": a detection on it counts as wrong, here as \
             there; number annotations from 1",
        ),
    ];
    told.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect()
}

fn share(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("expected a number from 0 to 1".into()),
    }
}
