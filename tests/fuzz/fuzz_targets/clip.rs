//! Recordings of the kinds that are read without any other program: demuxer and decoder.
#![no_main]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use stopline_sensors::clip::{ClipOptions, ClipSource};
use stopline_sensors::clock::HeldClock;
use stopline_sensors::source::{Event, FrameSource};

/// More than a file of the fuzzer's size can hold many of: a source that goes on beyond them never ends.
const MOST_EVENTS: usize = 20_000;

fuzz_target!(init: stopline_fuzz::seeds::clips(), |bytes: &[u8]| {
    // In memory, where there is such a folder.
    let folder = ["/dev/shm", "/tmp"].into_iter().map(Path::new).find(|folder| folder.is_dir());
    let mut file = tempfile::NamedTempFile::new_in(folder.expect("a folder")).expect("a file");
    file.write_all(bytes).expect("room for it");
    // Another format would start a program; it is not what is tested here.
    let options = ClipOptions { ffmpeg: Some(PathBuf::from("/nonexistent")), ..ClipOptions::default() };
    let Ok(mut source) = ClipSource::open(file.path(), options, Arc::new(HeldClock::default())) else { return };
    let (mut frames, mut skipped) = (0, 0);
    for _ in 0..MOST_EVENTS {
        match source.next(Duration::ZERO) {
            Ok(Event::Frame(_)) => frames += 1,
            Ok(Event::Skipped(_)) => skipped += 1,
            Ok(Event::Nothing) => {}
            Ok(Event::End) | Err(_) => {
                let counters = source.counters();
                assert_eq!((counters.delivered, counters.skipped), (frames, skipped));
                return;
            }
            Ok(other @ (Event::Lost(_) | Event::Restored)) => panic!("a recording said {other:?}"),
        }
    }
    panic!("it never ends: {frames} frames, {skipped} skipped");
});
