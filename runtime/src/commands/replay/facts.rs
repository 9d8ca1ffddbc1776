//! What was replayed with what, as the report lists it.

use stopline_sensors::source::SourceInfo;

use super::Args;
use super::eyes::Eyes;
use crate::report::{Fact, clock};

/// Facts for the report.
pub struct Facts {
    /// The recording's name.
    pub clip: String,
    /// What the recording is.
    pub recording: Vec<Fact>,
    /// What the model is.
    pub model: Vec<Fact>,
}

impl Facts {
    pub fn new(args: &Args, info: &SourceInfo, eyes: &Eyes) -> Self {
        Self { clip: info.name.to_string(), recording: recording(args, info), model: model(args, eyes) }
    }
}

fn recording(args: &Args, info: &SourceInfo) -> Vec<Fact> {
    let mut facts = vec![
        ("File", args.clip().to_owned()),
        ("Kind", info.kind.to_owned()),
        ("Size", format!("{} × {} pixels", info.size.0, info.size.1)),
    ];
    facts.extend(info.duration.map(|duration| ("Length", clock(duration))));
    facts.extend(info.frames.map(|frames| ("Frames", frames.to_string())));
    let rate =
        |period: std::time::Duration| format!("{:.2} frames a second", 1.0 / period.as_secs_f64().max(1e-6));
    facts.extend(info.period.map(|period| ("Nominal rate", rate(period))));
    facts.extend(args.from.map(|from| ("From", clock(from))));
    facts.extend(args.to.map(|to| ("To", clock(to))));
    facts.extend((args.times > 1).then(|| ("Played", format!("{} times", args.times))));
    facts.extend((args.every > 1).then(|| ("Seen", format!("one frame in {}", args.every))));
    facts
        .push(("Pace", if args.realtime { "the recording's own" } else { "as fast as possible" }.to_owned()));
    facts
}

fn model(args: &Args, eyes: &Eyes) -> Vec<Fact> {
    let detector = eyes.first();
    let manifest = detector.manifest();
    let thresholds = &manifest.thresholds;
    let mut facts = vec![
        ("Name", format!("{} {}", manifest.name, manifest.version)),
        ("SHA-256", detector.digest().to_owned()),
        ("Decoder", format!("{:?}", manifest.decoder).to_lowercase()),
        ("Input", format!("{} × {} pixels", manifest.input.width, manifest.input.height)),
        ("Classes", eyes.shown().labels.len().to_string()),
        ("Thresholds", format!("score {}, suppression at IoU {}", thresholds.score, thresholds.nms_iou)),
    ];
    if let Some(model) = &args.model {
        facts.insert(1, ("File", model.display().to_string()));
        facts.push((
            "Engine",
            format!("{:?}, threads: {}", args.engine.on.backend, args.engine.on.threads).to_lowercase(),
        ));
    }
    facts.extend(args.config.as_ref().map(|path| ("Configuration", path.display().to_string())));
    facts.extend(args.signals.as_ref().map(|path| ("Signals", path.display().to_string())));
    facts.extend(manifest.provenance.as_ref().and_then(|origin| Some(("Licence", origin.licence.clone()?))));
    facts.extend(detector.warnings().iter().map(|warning| ("Note", warning.clone())));
    facts
}
