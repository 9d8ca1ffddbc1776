//! The child: loads the bundle that it is given, answers frames, ends with the socket.

use std::os::fd::AsFd;

use stopline_depot::bundle::Bundle;

use super::{Answered, Shown, channel, unpack};
use crate::detector::{DetectError, Detector, DetectorOptions, StageTimes};
use crate::draw::label_of;
use crate::percentiles::micros;

/// Most detections of a frame that are told.
const MOST: usize = 256;

/// Runs until the other side of `socket` is gone.
///
/// # Errors
/// What the socket says, or that something else came than is expected.
pub fn run(socket: impl AsFd, engine: &DetectorOptions) -> std::io::Result<()> {
    let socket = socket.as_fd();
    let Some((Shown::Bundle { length }, beside)) = channel::receive::<Shown>(socket)? else {
        return Err(std::io::Error::other("a bundle is expected first"));
    };
    let bytes = channel::unsealed(beside, length)?;
    let loaded = Bundle::read(&bytes).map_err(|error| error.to_string());
    let loaded =
        loaded.and_then(|bundle| Detector::of_bundle(&bundle, engine).map_err(|error| error.to_string()));
    let mut detector = match loaded {
        Ok(detector) => detector,
        Err(problem) => return channel::send(socket, &Answered::Failed { problem }, None),
    };
    drop(bytes);
    channel::send(socket, &Answered::Ready, None)?;
    let mut found = Vec::new();
    while let Some((shown, beside)) = channel::receive::<Shown>(socket)? {
        let Shown::Frame { length, .. } = shown else { continue };
        let (number, frame) =
            unpack(&shown, channel::unsealed(beside, length)?).map_err(std::io::Error::other)?;
        found.clear();
        let result = detector.detect(&frame, &mut found);
        let told = found
            .iter()
            .take(MOST)
            .map(|one| (label_of(detector.manifest(), one.class), one.score, one.bbox));
        let answer = answer(number, result, told.collect());
        channel::send(socket, &answer, None)?;
    }
    Ok(())
}

fn answer(
    number: u64,
    result: Result<StageTimes, DetectError>,
    found: Vec<(String, f32, [f32; 4])>,
) -> Answered {
    match result {
        Ok(times) => Answered::Found { number, found, took_us: micros(times.total()) },
        Err(error) => Answered::Invalid { number, problem: error.to_string() },
    }
}
