//! What a replay writes: records, video, and the pictures of the report.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use image::RgbImage;
use stopline_depot::manifest::Manifest;
use stopline_depot::record::{ModelIdentity, StageLatencies, WallTime};
use stopline_sensors::frame::Frame;
use stopline_sensors::source::SourceInfo;

use super::Args;
use super::bar::Bar;
use super::diff::Comparison;
use super::eyes::{Eyes, Looked};
use super::facts::Facts;
use super::records::{self, Records, Verdict};
use crate::detection::Detection;
use crate::exit::{Exit, Failure, OrExit};
use crate::guard::grid::Look;
use crate::guard::placed::ReferenceBuilder;
use crate::report::story::{words_of_command, words_of_state};
use crate::report::{Candidate, Gallery, Report, Tally};
use crate::video::{self, VideoError, VideoWriter};
use crate::{draw, output};

/// One processed frame.
pub struct Seen<'a> {
    pub frame: &'a Frame,
    /// Its place on the timeline.
    pub at: Duration,
    pub looked: &'a Looked,
    pub latency: StageLatencies,
    /// What became of it, where the replay decides.
    pub verdict: Option<&'a Verdict>,
}

/// The results being written.
pub struct Sinks {
    records: Option<Records>,
    comparison: Option<Comparison>,
    reference: Option<View>,
    model: ModelIdentity,
    /// Whether records hold the stages' times.
    timed: bool,
    video: Option<Video>,
    report: Option<Pages>,
    /// The video that ended before the replay did.
    full: Option<VideoError>,
}

struct Video {
    writer: Box<dyn VideoWriter>,
    start: Option<Duration>,
}

/// The view of a camera, for the guard to hold it to.
struct View {
    path: PathBuf,
    builder: ReferenceBuilder,
    look: Box<Look>,
    size: [u32; 2],
}

struct Pages {
    path: PathBuf,
    gallery: Gallery,
    /// The frame before, to be shown if the next one cannot be read.
    before: Option<(RgbImage, Vec<Detection>, u64, Duration)>,
    /// Whether the frame before this one could not be read.
    after_skip: bool,
}

impl Sinks {
    /// Begins every file that is asked for, so that one that cannot be written is told before the work.
    pub fn create(args: &Args, info: &SourceInfo, eyes: &Eyes, decides: bool) -> Result<Self, Failure> {
        let comparison = args.diff.open()?;
        let records = args.records.as_deref().map(Records::create).transpose()?;
        let period = info.period.unwrap_or(Duration::from_millis(40)) * args.every;
        let video = args.video.as_deref().map(|path| video::create(path, period)).transpose();
        let video = video.map_err(|error| {
            let usage = matches!(error, VideoError::Format { .. } | VideoError::NoH264 { .. });
            Failure::new(if usage { Exit::Usage } else { Exit::Output }, error)
        })?;
        let video = video.map(|writer| Video { writer, start: None });
        if let Some(path) = &args.report {
            // Made and given up at once: only to learn whether it can be written.
            drop(output::OutputFile::create(path).or_exit(Exit::Output)?);
        }
        let pages = |path: &PathBuf| Pages {
            path: path.clone(),
            gallery: Gallery::default(),
            before: None,
            after_skip: false,
        };
        let report = args.report.as_ref().map(pages);
        let reference = args.reference.as_ref().map(|path| View {
            path: path.clone(),
            builder: ReferenceBuilder::default(),
            look: Box::default(),
            size: info.size.into(),
        });
        let timed = !decides || args.realtime;
        let model = eyes.identity();
        Ok(Self { records, comparison, reference, model, timed, video, report, full: None })
    }

    /// One processed frame.
    pub fn frame(&mut self, seen: &Seen<'_>, eyes: &Eyes, bar: &Bar) -> Result<(), Failure> {
        let manifest = eyes.shown();
        if self.records.is_some() || self.comparison.is_some() {
            let line = serde_json::to_vec(&records::record(seen, &self.model, eyes, self.timed));
            let line = line.or_exit(Exit::Internal)?;
            self.records.as_mut().map_or(Ok(()), |records| records.write(&line))?;
            self.comparison.as_mut().map_or(Ok(()), |comparison| comparison.line(&line))?;
        }
        if let Some(view) = &mut self.reference
            && view.look.at(seen.frame)
        {
            view.builder.add(&view.look);
        }
        if self.video.is_none() && self.report.is_none() {
            return Ok(());
        }
        let picture = draw::rgb_image(seen.frame).or_exit(Exit::Internal)?;
        if let Some(report) = &mut self.report {
            report.frame(seen, &picture, manifest);
        }
        self.video_frame(seen, &picture, manifest, bar)?;
        if let Some(report) = &mut self.report {
            report.before = Some((picture, seen.looked.found.clone(), seen.frame.meta().sequence, seen.at));
        }
        Ok(())
    }

    /// A frame that could not be read, after the one before.
    pub fn skipped(&mut self, manifest: &Manifest) {
        if let Some(report) = &mut self.report {
            report.skipped(manifest);
        }
    }

    fn video_frame(
        &mut self,
        seen: &Seen<'_>,
        picture: &RgbImage,
        manifest: &Manifest,
        bar: &Bar,
    ) -> Result<(), Failure> {
        let Some(video) = &mut self.video else { return Ok(()) };
        let mut picture = picture.clone();
        draw::annotate(&mut picture, &seen.looked.found, manifest);
        if let Some(verdict) = seen.verdict {
            let tracks = verdict.tracks.iter().map(|track| (track.id, track.bbox));
            draw::tracks(&mut picture, tracks);
            draw::status(&mut picture, &status(verdict), verdict.command.row != "idle");
        }
        if let Some(reason) = &seen.looked.invalid {
            draw::banner(&mut picture, &format!("invalid: {reason}"));
        }
        let start = *video.start.get_or_insert(seen.at);
        match video.writer.write(&picture, seen.at.saturating_sub(start)) {
            Err(full @ VideoError::Full { .. }) => {
                bar.say(&format!("{full}; the video ends here, the replay goes on"));
                self.full = Some(full);
                self.video.take().map_or(Ok(()), |video| video.writer.finish()).or_exit(Exit::Output)
            }
            done => done.or_exit(Exit::Output),
        }
    }

    /// Ends every file.
    pub fn finish(
        self,
        tally: &Tally,
        facts: &Facts,
        manifest: &Manifest,
        now: SystemTime,
    ) -> Result<Option<Comparison>, Failure> {
        // Each is tried, so that one full disk does not cost the others; the first failure is told.
        let records = self.records.map_or(Ok(()), Records::finish);
        let video = self.video.map_or(Ok(()), |video| video.writer.finish()).or_exit(Exit::Output);
        let report = self.report.map_or(Ok(()), |report| report.finish(tally, facts, manifest, now));
        let reference = self.reference.map_or(Ok(()), View::finish);
        records.and(video).and(report).and(reference)?;
        self.full.map_or(Ok(()), Err).or_exit(Exit::Output)?;
        Ok(self.comparison)
    }
}

/// State, command and situations of a frame in a line.
fn status(verdict: &Verdict) -> String {
    let mut words = format!("{} | {}", words_of_state(&verdict.state), words_of_command(&verdict.command));
    for situation in verdict.situations.iter().filter(|situation| situation.phase != "suspected") {
        words.push_str(&format!(" | {} {} {}", situation.kind, situation.id, situation.phase));
        if let Some(distance) = situation.distance_m {
            words.push_str(&format!(" {distance:.0} m"));
        }
    }
    words
}

impl View {
    fn finish(self) -> Result<(), Failure> {
        let Some(reference) = self.builder.build(self.size) else { return Ok(()) };
        let json = serde_json::to_vec_pretty(&reference).or_exit(Exit::Internal)?;
        output::write(&self.path, &json).or_exit(Exit::Output)
    }
}

impl Pages {
    fn frame(&mut self, seen: &Seen<'_>, picture: &RgbImage, manifest: &Manifest) {
        let frame = seen.frame.meta().sequence;
        let candidate = Candidate { at: seen.at, frame, picture, found: &seen.looked.found };
        self.gallery.consider(&candidate, manifest);
        if seen.looked.invalid.is_some() {
            self.gallery.fault(&candidate, "invalid: no numbers", manifest);
        }
        if std::mem::take(&mut self.after_skip) {
            self.gallery.fault(&candidate, "after a skipped frame", manifest);
        }
    }

    fn skipped(&mut self, manifest: &Manifest) {
        self.after_skip = true;
        if let Some((picture, found, frame, at)) = self.before.take() {
            let candidate = Candidate { at, frame, picture: &picture, found: &found };
            self.gallery.fault(&candidate, "before a skipped frame", manifest);
        }
    }

    fn finish(
        self,
        tally: &Tally,
        facts: &Facts,
        manifest: &Manifest,
        now: SystemTime,
    ) -> Result<(), Failure> {
        let pictures = self.gallery.pictures(manifest);
        // To the minute: 2026-02-28T23:59.
        let made = WallTime::from(now).to_string().replace('T', " ");
        let made = format!("{} UTC", made.get(..16).unwrap_or(&made));
        let report = Report {
            clip: &facts.clip,
            made,
            clip_facts: &facts.recording,
            model_facts: &facts.model,
            labels: &manifest.labels,
            tally,
            pictures: &pictures,
        };
        output::write(&self.path, report.html().as_bytes()).or_exit(Exit::Output)
    }
}
