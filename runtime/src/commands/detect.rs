//! `stopline detect`.

mod boxes;
mod inputs;
mod results;
mod seen;

use std::io::Write;
use std::path::PathBuf;

use anyhow::anyhow;

use super::model_args::ModelArgs;
use super::thresholds::ThresholdArgs;
use crate::detector::Detector;
use crate::exit::{Exit, Failure, OrExit};
use boxes::Boxes;
use inputs::Inputs;
use results::Results;
use seen::Pictures;

/// Arguments of `stopline detect`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  stopline detect --model yolox_nano.onnx street.jpg
  stopline detect --model yolox_nano.onnx --json 'frames/*.jpg' > found.json
  stopline detect --model yolox_nano.onnx --draw seen drive.mp4#frame=89
  stopline detect --model pose.onnx --boxes found.json --draw seen 'frames/*.jpg'

The model is an ONNX file of your own (YOLOX, YOLOv5/v8/v10, NanoDet, SSD, DETR, …); its manifest says how it is fed
and read. `stopline model manifest yolox_nano.onnx` writes a first one.

Exit code 3 when a picture could not be read, 4 when the model gave no numbers for one; the others are still done.")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Picture, folder or glob pattern (JPEG, PNG, BMP), or one frame of a recording: CLIP#frame=N, counted from 0.
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<String>,
    /// Print JSON: {"model": …, "images": {PATH: [{"label", "class", "score", "box": [x1, y1, x2, y2]}]}}, in source pixels.
    #[arg(long)]
    json: bool,
    /// Write each picture with boxes, labels, scores and keypoints into this folder, as JPEG.
    #[arg(long, value_name = "DIR")]
    draw: Option<PathBuf>,
    /// Boxes for a model that looks at one object at a time (top-down pose): what `detect --json` printed. A "crop" is
    /// taken as it is, a "box" is grown as the manifest says; boxes with a label the model does not have are left out.
    #[arg(long, value_name = "JSON")]
    boxes: Option<PathBuf>,
    #[command(flatten)]
    thresholds: ThresholdArgs,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let mut detector = super::load(&args.model, args.thresholds)?;
    let boxes = args.boxes.as_deref().map(|path| Boxes::read(path, detector.manifest())).transpose()?;
    check_boxes(&detector, boxes.as_ref())?;
    let mut pictures = Pictures {
        detector: &mut detector,
        boxes: boxes.as_ref(),
        drawings: args.draw.as_deref().map(seen::Drawings::into).transpose()?,
        results: Results::new(&args.model.model, args.json),
    };
    Inputs::new(&args.images).each(&mut pictures)?;
    let results = pictures.results;
    if args.json {
        let text = results.json();
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).or_exit(Exit::Output)?;
    }
    results.verdict()
}

fn check_boxes(detector: &Detector, boxes: Option<&Boxes>) -> Result<(), Failure> {
    let manifest = detector.manifest();
    match (manifest.input.crop.is_some(), boxes.is_some()) {
        (true, false) => eprintln!(
            "stopline: {} looks at one object at a time and now sees whole pictures; --boxes F says where to look, for \
             example what `stopline detect --json` of a person detector printed",
            manifest.name
        ),
        (false, true) => {
            let name = &manifest.name;
            let problem = anyhow!(
                "{name} sees whole pictures; --boxes is for models whose manifest has an [input.crop]"
            );
            return Err(Failure::new(Exit::Usage, problem));
        }
        _ => {}
    }
    Ok(())
}
