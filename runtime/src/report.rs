//! The report of a replay: one HTML file that needs nothing else, for people.
//!
//! It loads nothing from anywhere (its own content policy forbids it), reads in light and dark, on a phone and on paper,
//! and without its few lines of script. Every string from outside (file names, labels, errors) is escaped.

mod gallery;
mod html;
mod latency;
pub mod story;
mod summary;
mod tally;
mod timeline;

use crate::percentiles::millis_text;

pub use gallery::{Candidate, Gallery, Picture};
pub use html::{Escaped, base64, clock};
pub use story::Story;
pub use tally::{ClassTally, FrameNote, Stages, Tally};

/// A named fact, for the lists of what was replayed with what.
pub type Fact = (&'static str, String);

/// What a report is made from.
pub struct Report<'a> {
    /// The recording's name.
    pub clip: &'a str,
    /// When it was made, for people.
    pub made: String,
    /// What the recording is.
    pub clip_facts: &'a [Fact],
    /// What the model is.
    pub model_facts: &'a [Fact],
    /// Class names.
    pub labels: &'a [String],
    /// What was counted.
    pub tally: &'a Tally,
    /// Frames worth a look.
    pub pictures: &'a [Picture],
}

impl Report<'_> {
    /// The whole file.
    pub fn html(&self) -> String {
        let mut out = String::with_capacity(64 << 10);
        out.push_str(HEAD);
        out.push_str(&format!("<title>Replay of {}</title>\n<style>\n{STYLE}</style>\n", Escaped(self.clip)));
        out.push_str("</head>\n<body>\n<main>\n");
        out.push_str(&summary::section(self));
        out.push_str(&self.tally.story.section());
        out.push_str(&timeline::section(self));
        out.push_str(&gallery::section(self));
        out.push_str(&latency::section(self));
        out.push_str(&summary::facts(self));
        out.push_str("</main>\n");
        out.push_str(&summary::footer(self));
        out.push_str(&format!("<script>\n{SCRIPT}</script>\n</body>\n</html>\n"));
        out
    }

    fn label(&self, class: usize) -> String {
        self.labels.get(class).cloned().unwrap_or_else(|| format!("class {class}"))
    }
}

fn millis(micros: u64) -> String {
    format!("{} ms", millis_text(micros))
}

const STYLE: &str = include_str!("report/style.css");
const SCRIPT: &str = include_str!("report/script.js");
const HEAD: &str = concat!(
    "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n",
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n",
    "<meta name=\"color-scheme\" content=\"light dark\">\n",
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; ",
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n",
    // Without it browsers ask the file's folder for a favicon.
    "<link rel=\"icon\" href=\"data:,\">\n",
);

#[cfg(test)]
mod tests;
