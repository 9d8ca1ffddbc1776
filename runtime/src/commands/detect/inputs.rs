//! The pictures of the command line: files, folders, globs, and single frames of recordings.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use stopline_sensors::source::{Event, FrameSource, SourceError};

use super::seen::Pictures;
use crate::commands::source::{self, OpenOptions};
use crate::exit::Failure;

/// What is to be looked at, in the order of the command line.
pub struct Inputs<'a> {
    arguments: &'a [String],
}

impl<'a> Inputs<'a> {
    pub fn new(arguments: &'a [String]) -> Self {
        Self { arguments }
    }

    /// Shows every picture to `pictures`, each once; what cannot be read is told and counted there.
    pub fn each(&self, pictures: &mut Pictures<'_>) -> Result<(), Failure> {
        let mut done = HashSet::new();
        for argument in self.arguments {
            if !done.insert(argument.as_str()) {
                continue;
            }
            match split_frame(argument) {
                // A recording is read once for all its frames.
                Some((clip, _)) => {
                    let wanted = self.frames_of(clip);
                    done.extend(wanted.values().copied());
                    frames(clip, wanted, pictures)?;
                }
                None => stills(argument, pictures)?,
            }
        }
        Ok(())
    }

    /// Frames of `clip` that are asked for anywhere, with the argument that does.
    fn frames_of(&self, clip: &str) -> BTreeMap<u64, &'a str> {
        let arguments = self.arguments.iter().map(String::as_str);
        let of_clip = arguments.filter_map(|argument| Some((argument, split_frame(argument)?)));
        of_clip
            .filter(|(_, (file, _))| *file == clip)
            .map(|(argument, (_, frame))| (frame, argument))
            .collect()
    }
}

/// `CLIP` and `N` of `CLIP#frame=N`; a file of that very name is a file.
pub fn split_frame(argument: &str) -> Option<(&str, u64)> {
    let (clip, frame) = argument.rsplit_once("#frame=")?;
    let frame = frame.parse().ok()?;
    (!clip.is_empty() && !Path::new(argument).exists()).then_some((clip, frame))
}

fn stills(argument: &str, pictures: &mut Pictures<'_>) -> Result<(), Failure> {
    let mut source = match source::open_still(argument) {
        Ok(source) => source,
        Err(error) => {
            pictures.results.unreadable(&error);
            return Ok(());
        }
    };
    loop {
        match source.next(source::WAIT) {
            Ok(Event::Frame(frame)) => {
                let path = frame.meta().path.as_ref().map(|path| path.to_string_lossy().into_owned());
                pictures.see(path.as_deref().unwrap_or(argument), &frame)?;
            }
            Ok(Event::Skipped(error)) => pictures.results.unreadable(&error),
            Ok(Event::End) => return Ok(()),
            Ok(Event::Nothing | Event::Lost(_) | Event::Restored) => {}
            Err(error) => {
                pictures.results.unreadable(&error);
                return Ok(());
            }
        }
    }
}

fn frames(clip: &str, mut wanted: BTreeMap<u64, &str>, pictures: &mut Pictures<'_>) -> Result<(), Failure> {
    let mut source = match source::open_recording(clip, &OpenOptions::default()) {
        Ok(source) => source,
        Err(error) => {
            pictures.results.unreadable(&error);
            return Ok(());
        }
    };
    let mut passed = 0;
    while !wanted.is_empty() {
        match next(source.as_mut(), &mut passed) {
            Ok(Some(frame)) => {
                if let Some(argument) = wanted.remove(&frame.meta().sequence) {
                    pictures.see(argument, &frame)?;
                }
            }
            Ok(None) => break,
            Err(error) => {
                pictures.results.unreadable(&error);
                break;
            }
        }
    }
    for argument in wanted.values() {
        let problem = format!(
            "{argument}: no such frame that can be read; the recording gave {passed} frames from 0 on"
        );
        pictures.results.unreadable(&problem);
    }
    Ok(())
}

/// The next frame that can be read; `None` at the end.
fn next(
    source: &mut dyn FrameSource,
    passed: &mut u64,
) -> Result<Option<stopline_sensors::frame::Frame>, SourceError> {
    loop {
        match source.next(source::WAIT)? {
            Event::Frame(frame) => {
                *passed += 1;
                return Ok(Some(frame));
            }
            Event::Skipped(error) => eprintln!("stopline: {error}"),
            Event::End => return Ok(None),
            Event::Nothing | Event::Lost(_) | Event::Restored => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_of_a_clip_is_told_from_a_file() {
        assert_eq!(split_frame("a/clip.mp4#frame=89"), Some(("a/clip.mp4", 89)));
        for other in
            ["clip.mp4", "#frame=1", "clip.mp4#frame=", "clip.mp4#frame=-1", "clip.mp4#frame=1.5", "c#f=1"]
        {
            assert_eq!(split_frame(other), None, "{other}");
        }
        let folder = tempfile::tempdir().expect("temporary folder");
        let odd = folder.path().join("odd#frame=1");
        std::fs::write(&odd, b"").expect("writes");
        assert_eq!(split_frame(odd.to_str().expect("UTF-8")), None);
    }

    #[test]
    fn frames_of_one_clip_are_gathered_from_the_whole_command_line() {
        let arguments = ["c.mp4#frame=9", "a.jpg", "c.mp4#frame=3", "d.mp4#frame=1"].map(String::from);
        let frames = Inputs::new(&arguments).frames_of("c.mp4");
        assert_eq!(frames.into_iter().collect::<Vec<_>>(), [(3, "c.mp4#frame=3"), (9, "c.mp4#frame=9")]);
    }
}
