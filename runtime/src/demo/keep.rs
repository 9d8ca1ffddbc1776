//! What is kept of a clip: every decision record as it comes, and the report at the end.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write as _};
use std::time::Duration;

use anyhow::Context as _;
use stopline_depot::manifest::Manifest;
use stopline_depot::record::{DecisionRecord, ModelIdentity, RecordedDetection, WallTime};
use stopline_depot::stream::Picture;
use stopline_sensors::clock::Clock;
use stopline_sensors::source::SourceInfo;

use super::kit::Clip;
use super::setup::Place;
use crate::detection::{Detection, Keypoint};
use crate::draw;
use crate::eval::events::{Run, Truth, Verdict, judge};
use crate::output;
use crate::report::{Candidate, Fact, Gallery, Report, Tally, clock};

/// Records and report of one clip.
pub struct Keep {
    records: BufWriter<File>,
    tally: Tally,
    gallery: Gallery,
    manifest: Manifest,
    model: Option<ModelIdentity>,
    /// The newest frame: a picture that comes is of this one.
    newest: Option<(u64, Duration, Vec<Detection>)>,
}

impl Keep {
    /// Begins the records of `place`.
    pub fn new(place: &Place, manifest: Manifest) -> anyhow::Result<Self> {
        let file = File::create(&place.records)
            .with_context(|| format!("{}: cannot be written", place.records.display()))?;
        Ok(Self {
            records: BufWriter::new(file),
            tally: Tally::default(),
            gallery: Gallery::default(),
            manifest,
            model: None,
            newest: None,
        })
    }

    /// A record at `at` of the clip.
    pub fn record(&mut self, at: Duration, record: &DecisionRecord) -> anyhow::Result<()> {
        serde_json::to_writer(&mut self.records, record)?;
        self.records.write_all(b"\n")?;
        let found: Vec<Detection> = record.detections.iter().map(detection).collect();
        self.tally.frame(at, &found, record.invalid.as_deref(), &record.latency_us);
        if let (Some(state), Some(command)) = (&record.state, &record.command) {
            self.tally.story.frame(at, record.situations.as_deref().unwrap_or_default(), state, command);
        }
        self.model.get_or_insert_with(|| record.model.clone());
        self.newest = Some((record.frame, at, found));
        Ok(())
    }

    /// A picture of the stream; kept where it shows something new.
    pub fn picture(&mut self, picture: &Picture, jpeg: &[u8]) {
        let Some((frame, at, found)) = &self.newest else { return };
        if *frame != picture.frame || !self.gallery.wants(found) {
            return;
        }
        let Ok(shown) = image::load_from_memory_with_format(jpeg, image::ImageFormat::Jpeg) else { return };
        let shown = shown.into_rgb8();
        #[allow(clippy::cast_precision_loss, reason = "sides of pictures")]
        let factor = shown.width() as f32 / picture.image_size[0].max(1) as f32;
        let found = draw::scaled(found, factor);
        let candidate = Candidate { at: *at, frame: *frame, picture: &shown, found: &found };
        self.gallery.consider(&candidate, &self.manifest);
    }

    /// Ends the records, writes the report, and holds what was decided against what really was.
    pub fn finish(
        self,
        place: &Place,
        (clip, info): (&Clip, &SourceInfo),
        (dropped, took): (u64, Duration),
        truth: &Truth,
        now: &dyn Clock,
    ) -> anyhow::Result<Verdict> {
        let Self { records, mut tally, gallery, manifest, model, .. } = self;
        let written =
            records.into_inner().map_err(|error| error.into_error()).and_then(|file| file.sync_all());
        let name = || format!("{}: cannot be written", place.records.display());
        written.with_context(name)?;
        (tally.dropped, tally.took) = (dropped, took);
        let pictures = gallery.pictures(&manifest);
        let report = Report {
            clip: clip.title,
            made: WallTime::from(now.wall()).to_string(),
            clip_facts: &recording(info, &truth.note),
            model_facts: &facts(&manifest, model.as_ref()),
            labels: &manifest.labels,
            tally: &tally,
            pictures: &pictures,
        };
        output::write(&place.report, report.html().as_bytes())?;
        let lines = BufReader::new(File::open(&place.records).with_context(name)?);
        Ok(judge(&Run::read(lines)?, truth))
    }
}

fn detection(recorded: &RecordedDetection) -> Detection {
    let point = |point: &stopline_depot::record::RecordedKeypoint| Keypoint {
        x: point.x,
        y: point.y,
        score: point.score,
    };
    Detection {
        class: recorded.class,
        score: recorded.score,
        bbox: recorded.bbox,
        keypoints: recorded.keypoints.iter().map(point).collect(),
    }
}

fn recording(info: &SourceInfo, note: &str) -> Vec<Fact> {
    let mut facts = vec![("Size", format!("{} × {} pixels", info.size.0, info.size.1))];
    facts.extend(info.duration.map(|duration| ("Length", clock(duration))));
    facts.extend(info.frames.map(|frames| ("Frames", frames.to_string())));
    facts.push(("Pace", "the recording's own, through the daemon".to_owned()));
    facts.extend((!note.is_empty()).then(|| ("Note", note.to_owned())));
    facts
}

fn facts(manifest: &Manifest, model: Option<&ModelIdentity>) -> Vec<Fact> {
    let mut facts = vec![("Name", format!("{} {}", manifest.name, manifest.version))];
    facts.extend(model.map(|model| ("SHA-256", model.digest.clone())));
    facts.push(("Input", format!("{} × {} pixels", manifest.input.width, manifest.input.height)));
    facts.extend(manifest.provenance.as_ref().and_then(|origin| Some(("Licence", origin.licence.clone()?))));
    facts
}
