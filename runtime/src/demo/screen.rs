//! The terminal: lines on standard output, and where that is a terminal two live lines below them.

use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use stopline_sensors::source::SourceInfo;

use super::kit::Clip;
use super::play::Played;
use super::tell::{About, Line, Weight};
use crate::percentiles::millis_text;

/// SGR parameters (ECMA-48, 8.3.117); `NO_COLOR` turns them off.
const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "1;31";
const GREEN: &str = "32";
const YELLOW: &str = "1;33";
const CYAN: &str = "36";

/// The terminal, or what is in its place.
pub struct Screen {
    colours: bool,
    terminal: bool,
    live: Option<ProgressBar>,
}

impl Screen {
    /// As standard output is.
    pub fn new() -> Self {
        let terminal = std::io::stdout().is_terminal();
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { colours: terminal && !plain && !dumb, terminal: terminal && !dumb, live: None }
    }

    /// What this is, and where to look.
    pub fn head(&self, directory: &Path, page: Option<SocketAddr>) {
        self.say(&self.paint(BOLD, "Stopline demo"));
        self.say("Recorded clips, played through the daemon at their own pace. Nothing is actuated: what");
        self.say("would be sent is shown. Stopline is not a certified safety system.");
        self.say("");
        if let Some(page) = page {
            self.say(&format!("  live page   {}", self.paint(CYAN, &format!("http://{page}/"))));
        }
        self.say(&format!("  directory   {}", directory.display()));
    }

    /// A clip begins.
    pub fn title(&self, round: u64, (at, of): (usize, usize), clip: &Clip) {
        let again = if round > 1 { format!("  (round {round})") } else { String::new() };
        self.say("");
        self.say(&format!("{}{again}", self.paint(BOLD, &format!("{at} of {of}  {}", clip.title))));
    }

    /// What it is; and its live lines appear.
    pub fn begins(&mut self, info: &SourceInfo, note: &str) {
        let (width, height) = info.size;
        let length = info.duration.unwrap_or_default();
        let rate = info.period.map_or(0.0, |period| 1.0 / period.as_secs_f64().max(1e-6));
        let facts = format!("{width}×{height}, {rate:.0} frames a second, {:.1} s", length.as_secs_f64());
        self.say(&self.paint(DIM, &format!("        {facts}")));
        if !note.is_empty() {
            self.say(&self.paint(DIM, &format!("        {note}")));
        }
        if !self.terminal {
            return;
        }
        let bar = ProgressBar::with_draw_target(Some(millis(length)), ProgressDrawTarget::stdout_with_hz(10));
        let style = ProgressStyle::with_template("  {prefix:>6} {bar:24.cyan/blue} {msg}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        self.live = Some(bar.with_style(style.progress_chars("━╸─")));
    }

    /// How far the clip is and what is going on.
    pub fn now(&self, at: Duration, what: &str, bus: &str) {
        if let Some(live) = &self.live {
            live.set_position(millis(at));
            live.set_prefix(format!("{:.1} s", at.as_secs_f64()));
            live.set_message(format!("{what}\n          {bus}"));
        }
    }

    /// A line at `at` of the clip.
    pub fn line(&self, at: Duration, line: &Line) {
        let (word, colour) = match line.about {
            About::State => ("state", DIM),
            About::Seen => ("seen", CYAN),
            About::Decision => ("decided", BOLD),
            About::Bus => ("bus", DIM),
            About::Alert => ("alert", YELLOW),
        };
        let text = match line.weight {
            Weight::Quiet => self.paint(DIM, &line.text),
            Weight::Plain => line.text.clone(),
            Weight::Strong => self.paint(YELLOW, &line.text),
            Weight::Bad => self.paint(RED, &line.text),
        };
        let time = self.paint(DIM, &format!("{:>7.2} s", at.as_secs_f64()));
        self.say(&format!("{time}  {}  {text}", self.paint(colour, &format!("{word:<7}"))));
    }

    /// The clip is over: what came of it, in two lines.
    pub fn ended(&mut self, played: &Played) {
        self.live_ends();
        for found in &played.verdict.events {
            let kind = found.event.kind.replace('_', " ");
            let text = match found.time_to_decision_s {
                Some(after) => {
                    self.paint(GREEN, &format!("{kind} found {after:.2} s after it could be seen"))
                }
                None => self.paint(RED, &format!("{kind} NOT found")),
            };
            self.say(&format!("{:>9}  {text}", "→"));
        }
        let wrong = played.verdict.false_reports.len() + played.verdict.repeated.len();
        if wrong > 0 {
            self.say(&format!(
                "{:>9}  {}",
                "",
                self.paint(RED, &format!("reports that were wrong: {wrong}"))
            ));
        }
        let p = played.latency.percentiles();
        self.say(&format!(
            "{:>9}  {} frames decided, {} dropped; picture to decision {} ms median, {} ms 99 %",
            "",
            played.frames,
            played.dropped,
            millis_text(p.p50),
            millis_text(p.p99)
        ));
    }

    /// The live lines go.
    pub fn live_ends(&mut self) {
        if let Some(live) = self.live.take() {
            live.finish_and_clear();
        }
    }

    /// A line, above the live ones. A reader that is gone (`| head`) is no reason to end.
    pub fn say(&self, text: &str) {
        let say = || {
            let _ = writeln!(std::io::stdout(), "{text}");
        };
        match &self.live {
            Some(live) => live.suspend(say),
            None => say(),
        }
    }

    /// Green, for what is as it should be; red for what is not.
    pub fn good(&self, good: bool, text: &str) -> String {
        self.paint(if good { GREEN } else { RED }, text)
    }

    /// For headings.
    pub fn bold(&self, text: &str) -> String {
        self.paint(BOLD, text)
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.colours { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.live_ends();
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
