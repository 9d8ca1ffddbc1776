//! What `ffmpeg` says on its standard error: the time base and each frame's time from its filter `showinfo`, the
//! recording's length, and its last words before it failed.

use std::io::{BufRead, BufReader, Read};
use std::process::ChildStderr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::clip::reader::duration as units;
use crate::frame::Matrix;

/// The longest line that is listened to.
const MAX_LINE: u64 = 4096;
/// How much of what it said last is kept for an error message.
const MAX_WORDS: usize = 300;

/// What is said of one frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Said {
    /// Since the start of what is read; `None` where the recording does not say.
    pub(super) time: Option<Duration>,
    pub(super) matrix: Option<Matrix>,
}

/// What was said of the whole.
#[derive(Debug, Default)]
pub(super) struct Talk {
    length: Option<Duration>,
    words: String,
}

/// Listens on a thread of its own, which ends with the child. Unread frame times cannot pile up: the child waits until
/// its frames are read.
pub(super) fn listen(stderr: ChildStderr) -> (Receiver<Said>, Arc<Mutex<Talk>>) {
    let (sender, said) = channel();
    let talk = Arc::new(Mutex::new(Talk::default()));
    let kept = Arc::clone(&talk);
    std::thread::spawn(move || hear(BufReader::new(stderr), &sender, &kept));
    (said, talk)
}

pub(super) fn duration(talk: &Mutex<Talk>) -> Option<Duration> {
    talk.lock().unwrap_or_else(PoisonError::into_inner).length
}

pub(super) fn last_words(talk: &Mutex<Talk>) -> String {
    let talk = talk.lock().unwrap_or_else(PoisonError::into_inner);
    if talk.words.is_empty() { "it said nothing".to_owned() } else { format!("it said: {}", talk.words) }
}

fn hear(mut input: impl BufRead, sender: &Sender<Said>, talk: &Mutex<Talk>) {
    let mut time_base = (1, 1);
    let mut frame: Option<Said> = None;
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut input).take(MAX_LINE).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim();
        if text.contains("showinfo") {
            if let Some(base) = after(text, "config in time_base: ").and_then(fraction) {
                time_base = base;
            } else if text.contains("] n:") {
                let pts = after(text, " pts:").and_then(|word| word.parse::<i64>().ok());
                let time = pts.map(|pts| units(i128::from(pts) * i128::from(time_base.0), time_base.1));
                frame = Some(Said { time, matrix: None });
            } else if let Some(space) = after(text, "color_space:") {
                // The last line about a frame.
                let Some(said) = frame.take() else { continue };
                if sender.send(Said { matrix: matrix(space), ..said }).is_err() {
                    break;
                }
            }
            continue;
        }
        let mut talk = talk.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(length) = after(text, "Duration: ") {
            talk.length = clock_time(length.trim_end_matches(','));
        }
        talk.words = text.chars().take(MAX_WORDS).collect();
    }
}

/// The word that follows `label`.
fn after<'a>(text: &'a str, label: &str) -> Option<&'a str> {
    text.split_once(label)?.1.split_whitespace().next()
}

fn fraction(word: &str) -> Option<(u64, u64)> {
    let (top, bottom) = word.trim_end_matches(',').split_once('/')?;
    let (top, bottom) = (top.parse::<u32>().ok()?, bottom.parse::<u32>().ok()?);
    (bottom > 0).then_some((u64::from(top), u64::from(bottom)))
}

/// `HH:MM:SS.ss`.
fn clock_time(word: &str) -> Option<Duration> {
    let mut parts = word.splitn(3, ':');
    let (hours, minutes) = (parts.next()?.parse::<u32>().ok()?, parts.next()?.parse::<u32>().ok()?);
    let seconds = parts.next()?.parse::<f64>().ok().filter(|seconds| (0.0..61.0).contains(seconds))?;
    Some(
        Duration::from_secs(u64::from(hours) * 3600 + u64::from(minutes) * 60)
            + Duration::from_secs_f64(seconds),
    )
}

/// By the names of libavutil's colour spaces.
fn matrix(space: &str) -> Option<Matrix> {
    match space {
        "bt709" => Some(Matrix::Bt709),
        "bt2020nc" | "bt2020c" => Some(Matrix::Bt2020),
        "bt470bg" | "smpte170m" => Some(Matrix::Bt601),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(text: &str) -> (Vec<Said>, Talk) {
        let (sender, said) = channel();
        let talk = Mutex::new(Talk::default());
        hear(text.as_bytes(), &sender, &talk);
        drop(sender);
        (said.iter().collect(), talk.into_inner().unwrap())
    }

    #[test]
    fn frame_times_length_and_last_words_are_heard() {
        let text = "  Duration: 01:02:03.50, start: 0.000000, bitrate: 164 kb/s\n\
            [Parsed_showinfo_0 @ 0x55] config in time_base: 1/12800, frame_rate: 25/1\n\
            [Parsed_showinfo_0 @ 0x55] n:   0 pts:      0 pts_time:0       pos: 1 fmt:yuv420p\n\
            [Parsed_showinfo_0 @ 0x55] color_range:tv color_space:bt709 color_primaries:bt709\n\
            [Parsed_showinfo_0 @ 0x55] n:   1 pts: 163840 pts_time:12.8    pos: 1 fmt:yuv420p\n\
            [Parsed_showinfo_0 @ 0x55] color_range:tv color_space:unknown color_primaries:unknown\n\
            [mov @ 0x1] moov atom not found\n";
        let (said, talk) = heard(text);
        let at = |millis| Some(Duration::from_millis(millis));
        assert_eq!(
            said,
            [Said { time: at(0), matrix: Some(Matrix::Bt709) }, Said { time: at(12_800), matrix: None }]
        );
        assert_eq!(talk.length, at(3_723_500));
        assert!(last_words(&Mutex::new(talk)).contains("moov atom not found"));
    }

    #[test]
    fn chatter_without_line_ends_is_bounded() {
        let (said, talk) = heard(&"x".repeat(1 << 20));
        assert!(said.is_empty());
        assert!(talk.words.len() <= MAX_WORDS);
    }
}
