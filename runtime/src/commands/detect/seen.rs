//! One picture through the model, onto the list and into the folder of drawings.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context;
use stopline_sensors::frame::Frame;

use super::boxes::{Boxes, Place};
use super::results::{Found, Results};
use crate::detection::Detection;
use crate::detector::{DetectError, Detector, StageTimes};
use crate::draw;
use crate::exit::{Exit, Failure, OrExit};

/// JPEG quality of drawings.
const QUALITY: u8 = 90;

/// What happens to each picture.
pub struct Pictures<'a> {
    pub detector: &'a mut Detector,
    pub boxes: Option<&'a Boxes>,
    pub drawings: Option<Drawings>,
    pub results: Results,
}

impl Pictures<'_> {
    /// Picture `name` through the model. A model that cannot run at all ends the command; one picture without numbers
    /// does not.
    pub fn see(&mut self, name: &str, frame: &Frame) -> Result<(), Failure> {
        let mut found = Vec::new();
        let took = match self.look(name, frame, &mut found) {
            Ok(took) => took,
            Err(error) if error.invalid_frame() => {
                self.results.invalid(name, &error);
                return Ok(());
            }
            Err(error @ DetectError::BadBox { .. }) => {
                self.results.unreadable(&format!("{name}: {error}"));
                return Ok(());
            }
            Err(error) => {
                return Err(Failure::new(Exit::Model, anyhow::Error::new(error).context(name.to_owned())));
            }
        };
        let manifest = self.detector.manifest();
        self.results.found(name, [frame.width(), frame.height()], &found, took, manifest);
        if let Some(drawings) = &mut self.drawings {
            let found: Vec<Detection> = found.into_iter().map(|found| found.detection).collect();
            let mut picture = draw::rgb_image(frame).or_exit(Exit::Input)?;
            draw::annotate(&mut picture, &found, manifest);
            drawings.write(name, &picture)?;
        }
        Ok(())
    }

    fn look(&mut self, name: &str, frame: &Frame, found: &mut Vec<Found>) -> Result<StageTimes, DetectError> {
        let mut here = Vec::new();
        let Some(boxes) = self.boxes else {
            let took = self.detector.detect(frame, &mut here)?;
            found.extend(here.into_iter().map(|detection| Found { detection, crop: None }));
            return Ok(took);
        };
        let places = boxes.of(name).unwrap_or_else(|| {
            eprintln!("stopline: {name}: not in the file of --boxes: nothing to look at");
            &[]
        });
        let mut all = StageTimes::default();
        for place in places {
            here.clear();
            let (took, crop) = match *place {
                Place::Crop([x1, y1, x2, y2]) => {
                    let region = [x1, y1, x2.saturating_sub(x1), y2.saturating_sub(y1)];
                    (self.detector.detect_region(frame, region, &mut here)?, [x1, y1, x2, y2])
                }
                Place::Box(bbox) => {
                    let took = self.detector.detect_in(frame, bbox, &mut here)?;
                    (took, self.grown(frame, bbox))
                }
            };
            all.prepare += took.prepare;
            all.infer += took.infer;
            all.decode += took.decode;
            found.extend(here.drain(..).map(|detection| Found { detection, crop: Some(crop) }));
        }
        Ok(all)
    }

    /// The region that the manifest makes of a box: x1, y1, x2, y2.
    fn grown(&self, frame: &Frame, bbox: [f32; 4]) -> [i32; 4] {
        use crate::prepare::geometry::Geometry;
        let input = &self.detector.manifest().input;
        let Some(crop) = &input.crop else { return [0; 4] };
        let size = [frame.width(), frame.height()];
        let [x, y, w, h] = Geometry::crop(size, [input.width, input.height], crop, bbox).region;
        [x, y, x.saturating_add(w), y.saturating_add(h)]
    }
}

/// The folder of `--draw`.
pub struct Drawings {
    folder: PathBuf,
    names: BTreeSet<String>,
}

impl Drawings {
    /// Makes the folder where it is not there.
    pub fn into(folder: &Path) -> Result<Self, Failure> {
        let named = || format!("{}: cannot make the folder for --draw", folder.display());
        std::fs::create_dir_all(folder).with_context(named).or_exit(Exit::Output)?;
        Ok(Self { folder: folder.to_owned(), names: BTreeSet::new() })
    }

    fn write(&mut self, name: &str, picture: &image::RgbImage) -> Result<(), Failure> {
        let free = self.free_name(name);
        let path = self.folder.join(free);
        let refuse = |problem| anyhow::anyhow!("{}: cannot encode: {problem}", path.display());
        let bytes = crate::video::jpeg(picture, QUALITY).map_err(refuse).or_exit(Exit::Output)?;
        crate::output::write(&path, &bytes).or_exit(Exit::Output)
    }

    /// `street.jpg` for `a/street.png`, `street-2.jpg` for `b/street.jpg` after it, `drive-frame-89.jpg` for a frame.
    fn free_name(&mut self, name: &str) -> String {
        let (file, frame) =
            super::inputs::split_frame(name).map_or((name, None), |(file, frame)| (file, Some(frame)));
        let stem = Path::new(file).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let stem = frame.map_or(stem.clone(), |frame| format!("{stem}-frame-{frame}"));
        let mut free = format!("{stem}.jpg");
        let mut number = 2;
        while !self.names.insert(free.clone()) {
            free = format!("{stem}-{number}.jpg");
            number += 1;
        }
        free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawings_of_pictures_with_the_same_name_do_not_overwrite_each_other() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let mut drawings = Drawings::into(folder.path()).expect("made");
        let names = ["a/street.png", "b/street.jpg", "street.jpg", "drive.mp4#frame=89", "x"];
        let free = names.map(|name| drawings.free_name(name));
        assert_eq!(free, ["street.jpg", "street-2.jpg", "street-3.jpg", "drive-frame-89.jpg", "x.jpg"]);
    }
}
