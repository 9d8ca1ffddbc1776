//! Frames worth a look: the strongest and the first of every class, and those around a frame that could not be used.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use image::RgbImage;
use stopline_depot::manifest::Manifest;

use super::Report;
use super::html::{Escaped, base64, clock};
use crate::detection::Detection;
use crate::draw;

/// Size a thumbnail fits into: sharp on dense screens at half of it.
const WIDTH: u32 = 560;
const HEIGHT: u32 = 420;
const QUALITY: u8 = 78;
/// Classes that get pictures.
const CLASSES: usize = 12;
/// Pictures around frames that could not be used.
const FAULTS: usize = 8;
/// A class's strongest picture is made again only when the score rises by this: scores creep up while a car comes closer.
const STEP: f32 = 0.02;

/// A frame worth a look.
#[derive(Clone, Debug)]
pub struct Picture {
    /// Its place on the timeline.
    pub at: Duration,
    /// Number of the frame.
    pub frame: u64,
    /// Why it is shown.
    pub reasons: Vec<String>,
    /// What is in it, for those who do not see it.
    pub content: String,
    jpeg: Vec<u8>,
    size: (u32, u32),
}

/// Chooses frames while a replay runs and keeps small pictures of them.
#[derive(Default)]
pub struct Gallery {
    strongest: BTreeMap<usize, (f32, Picture)>,
    first: BTreeMap<usize, Picture>,
    faults: Vec<Picture>,
}

/// A frame that might be worth a look.
pub struct Candidate<'a> {
    /// Its place on the timeline.
    pub at: Duration,
    /// Number of the frame.
    pub frame: u64,
    /// The whole picture, nothing drawn on it.
    pub picture: &'a RgbImage,
    /// What was found in it, strongest first.
    pub found: &'a [Detection],
}

impl Gallery {
    /// Whether [`Gallery::consider`] would keep a picture of a frame with `found`: asked first, because a picture costs
    /// more than a look.
    pub fn wants(&self, found: &[Detection]) -> bool {
        found.iter().any(|detection| self.wants_first(detection) || self.wants_strongest(detection))
    }

    /// Keeps a picture where the frame is the first of a class or its strongest yet.
    pub fn consider(&mut self, candidate: &Candidate<'_>, manifest: &Manifest) {
        if !self.wants(candidate.found) {
            return;
        }
        let Some(picture) = Picture::of(candidate, manifest) else { return };
        for detection in candidate.found {
            if self.wants_first(detection) {
                self.first.insert(detection.class, picture.clone());
            }
            if self.wants_strongest(detection) {
                self.strongest.insert(detection.class, (detection.score, picture.clone()));
            }
        }
    }

    /// Keeps a picture of a frame beside one that could not be used, or of the invalid frame itself.
    pub fn fault(&mut self, candidate: &Candidate<'_>, reason: &str, manifest: &Manifest) {
        if self.faults.len() < FAULTS
            && let Some(mut picture) = Picture::of(candidate, manifest)
        {
            picture.reasons.push(reason.to_owned());
            self.faults.push(picture);
        }
    }

    /// Whether there is room for another [`Gallery::fault`].
    pub fn wants_fault(&self) -> bool {
        self.faults.len() < FAULTS
    }

    /// The pictures in order of time, each frame once with all its reasons.
    pub fn pictures(self, manifest: &Manifest) -> Vec<Picture> {
        let mut frames = BTreeMap::<u64, Picture>::new();
        let mut add = |picture: Picture, reason: Option<String>| {
            let shown =
                frames.entry(picture.frame).or_insert(Picture { reasons: Vec::new(), ..picture.clone() });
            shown.reasons.extend(picture.reasons);
            shown.reasons.extend(reason);
        };
        for (class, picture) in self.first {
            add(picture, Some(format!("first {}", draw::label_of(manifest, class))));
        }
        for (class, (score, picture)) in self.strongest {
            add(picture, Some(format!("strongest {} {score:.2}", draw::label_of(manifest, class))));
        }
        for picture in self.faults {
            add(picture, None);
        }
        frames.into_values().collect()
    }

    fn wants_first(&self, detection: &Detection) -> bool {
        self.first.len() < CLASSES && !self.first.contains_key(&detection.class)
    }

    fn wants_strongest(&self, detection: &Detection) -> bool {
        match self.strongest.get(&detection.class) {
            Some((best, _)) => detection.score >= best + STEP,
            None => self.strongest.len() < CLASSES,
        }
    }
}

impl Picture {
    fn of(candidate: &Candidate<'_>, manifest: &Manifest) -> Option<Self> {
        let (mut small, factor) = draw::shrink(candidate.picture, WIDTH, HEIGHT);
        draw::annotate(&mut small, &draw::scaled(candidate.found, factor), manifest);
        let jpeg = crate::video::jpeg(&small, QUALITY).ok()?;
        let content = content(candidate.found, manifest);
        let Candidate { at, frame, .. } = *candidate;
        Some(Self { at, frame, reasons: Vec::new(), content, jpeg, size: small.dimensions() })
    }
}

fn content(found: &[Detection], manifest: &Manifest) -> String {
    let mut counts = BTreeMap::<usize, usize>::new();
    for detection in found {
        *counts.entry(detection.class).or_default() += 1;
    }
    let named = |(class, count): (&usize, &usize)| format!("{count} × {}", draw::label_of(manifest, *class));
    if counts.is_empty() {
        "nothing found".into()
    } else {
        counts.iter().map(named).collect::<Vec<_>>().join(", ")
    }
}

pub fn section(report: &Report<'_>) -> String {
    if report.pictures.is_empty() {
        return String::new();
    }
    let mut out = String::from(
        "<section aria-labelledby=\"frames\">\n<h2 id=\"frames\">Frames worth a look</h2>\n<div class=\"gallery\">\n",
    );
    for picture in report.pictures {
        let (width, height) = picture.size;
        let _ = write!(
            out,
            "<figure>\n<img src=\"data:image/jpeg;base64,{}\" width=\"{width}\" height=\"{height}\" loading=\"lazy\" \
             alt=\"Frame {} at {}: {}\">\n<figcaption><time>{}</time> <span class=\"frame\">frame {}</span> ",
            base64(&picture.jpeg),
            picture.frame,
            clock(picture.at),
            Escaped(&picture.content),
            clock(picture.at),
            picture.frame,
        );
        for reason in &picture.reasons {
            let _ = write!(out, "<span class=\"reason\">{}</span> ", Escaped(reason));
        }
        out.push_str("</figcaption>\n</figure>\n");
    }
    out.push_str("</div>\n</section>\n");
    out
}
