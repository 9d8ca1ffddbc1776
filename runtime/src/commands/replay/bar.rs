//! Progress on stderr; none where stderr is no terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use stopline_sensors::source::SourceInfo;

use super::Args;

/// The progress bar.
pub struct Bar {
    bar: ProgressBar,
    start: Duration,
}

impl Bar {
    /// A bar over the recording's time, or a counter where its length is not known.
    pub fn new(info: &SourceInfo, args: &Args) -> Self {
        let start = args.from.unwrap_or_default();
        // A looped source has no end of its own and says no length.
        let length = info.duration;
        let (bar, template) = match length {
            Some(length) => (ProgressBar::new(millis(length)), "{bar:32} {percent:>3} %  {msg}  {eta} left"),
            None => (ProgressBar::no_length(), "{spinner} {msg}  {elapsed}"),
        };
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        Self { bar: bar.with_style(style), start }
    }

    /// Frame number `count` from the start, at `at` of the timeline.
    pub fn at(&self, at: Duration, count: u64) {
        self.bar.set_position(millis(at.saturating_sub(self.start)));
        if count.is_multiple_of(8) {
            self.bar.set_message(format!("frame {count}"));
        }
    }

    /// A line on stderr, above the bar where there is one.
    pub fn say(&self, line: &str) {
        self.bar.suspend(|| eprintln!("stopline: {line}"));
    }

    /// Takes the bar away.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
