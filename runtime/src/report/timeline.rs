//! Detections by class over time: a row of bars per class, and a table of the same for those who do not see bars.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use super::html::{Escaped, clock, counted, grouped};
use super::{ClassTally, Report, millis};
use crate::draw::class_colour;

/// Columns a timeline is cut into at most: more are finer than a screen.
const COLUMNS: usize = 240;
/// Rows; rarer classes are only in the table.
const ROWS: usize = 12;
/// Times written under the rows.
const TICKS: u32 = 5;

pub fn section(report: &Report<'_>) -> String {
    let classes = report.tally.classes();
    let mut out =
        String::from("<section aria-labelledby=\"seen\">\n<h2 id=\"seen\">What was seen, and when</h2>\n");
    if report.tally.frames.is_empty() {
        out.push_str("<p>No frame could be used.</p>\n</section>\n");
        return out;
    }
    if classes.is_empty() {
        out.push_str("<p>Nothing was found in any frame at these thresholds.</p>\n");
    }
    let columns = Columns::new(report);
    out.push_str("<div class=\"timeline\">\n");
    for class in classes.iter().take(ROWS) {
        row(&mut out, report, &columns, class);
    }
    fault_row(&mut out, report, &columns);
    pace_row(&mut out, &columns);
    axis(&mut out, &columns);
    out.push_str("</div>\n");
    if !classes.is_empty() {
        out.push_str("<p class=\"note\">Bars: most of the class at once; the paler, the weaker. Point at one for details.");
        if classes.len() > ROWS {
            let _ = write!(out, " The {} rarest classes are only in the table.", classes.len() - ROWS);
        }
        out.push_str("</p>\n");
        table(&mut out, report, &classes);
    }
    out.push_str("</section>\n");
    out
}

/// The run, cut into equal spans of time.
struct Columns {
    start: Duration,
    span: Duration,
    cells: Vec<Cell>,
    period: Duration,
}

/// What happened in one span.
#[derive(Clone, Default)]
struct Cell {
    frames: usize,
    slowest: u64,
    invalid: usize,
    skipped: usize,
    /// Class → frames with it, most at once, highest score.
    classes: BTreeMap<usize, (usize, usize, f32)>,
}

impl Columns {
    fn new(report: &Report<'_>) -> Self {
        let frames = &report.tally.frames;
        let start = frames.first().map(|frame| frame.at).unwrap_or_default();
        let last = frames.last().map(|frame| frame.at).unwrap_or_default();
        let gaps = u32::try_from(frames.len().saturating_sub(1)).unwrap_or(u32::MAX).max(1);
        let period = (last.saturating_sub(start) / gaps).max(Duration::from_millis(1));
        let count = frames.len().clamp(1, COLUMNS);
        let span = last.saturating_sub(start) + period;
        let mut columns = Self { start, span, cells: vec![Cell::default(); count], period };
        for frame in frames {
            columns.cell(frame.at).note(frame);
        }
        for at in &report.tally.skipped {
            columns.cell(*at).skipped += 1;
        }
        columns
    }

    fn cell(&mut self, at: Duration) -> &mut Cell {
        let past = at.saturating_sub(self.start).as_nanos();
        let column = past * self.cells.len() as u128 / self.span.as_nanos().max(1);
        let column = usize::try_from(column).unwrap_or(usize::MAX).min(self.cells.len() - 1);
        &mut self.cells[column]
    }

    fn time(&self, column: usize) -> String {
        let part = |column: usize| {
            let count = u32::try_from(self.cells.len()).unwrap_or(1);
            self.start + self.span * u32::try_from(column).unwrap_or(0) / count
        };
        let (from, to) = (part(column), part(column + 1));
        if to.saturating_sub(from) < self.period * 2 {
            clock(from)
        } else {
            format!("{}–{}", clock(from), clock(to))
        }
    }
}

impl Cell {
    fn note(&mut self, frame: &super::FrameNote) {
        self.frames += 1;
        self.slowest = self.slowest.max(frame.took);
        self.invalid += usize::from(frame.invalid);
        let mut here = BTreeMap::<usize, (usize, f32)>::new();
        for &(class, score) in &frame.found {
            let (count, strongest) = here.entry(class).or_default();
            (*count, *strongest) = (*count + 1, strongest.max(score));
        }
        for (class, (count, strongest)) in here {
            let seen = self.classes.entry(class).or_default();
            *seen = (seen.0 + 1, seen.1.max(count), seen.2.max(strongest));
        }
    }
}

fn row(out: &mut String, report: &Report<'_>, columns: &Columns, class: &ClassTally) {
    let label = report.label(class.class);
    let colour = class_colour(class.class).css();
    begin(
        out,
        columns,
        &label,
        &format!("{} in {}", grouped(class.detections), counted(class.frames, "frame")),
        &colour,
    );
    for (at, cell) in columns.cells.iter().enumerate() {
        let Some(&(frames, most, strongest)) = cell.classes.get(&class.class) else { continue };
        let time = columns.time(at);
        let seen =
            if cell.frames > 1 { format!(", in {frames} of {} frames", cell.frames) } else { String::new() };
        let many = if most > 1 { format!("{most} × ") } else { String::new() };
        let tip = format!("{time}: {many}{label}, strongest {strongest:.2}{seen}");
        bar(out, at, share(most as u64, class.most), strongest, &tip);
    }
    out.push_str("</svg></div>\n");
}

fn fault_row(out: &mut String, report: &Report<'_>, columns: &Columns) {
    let all = report.tally.skipped.len() as u64 + report.tally.invalid;
    if all == 0 {
        return;
    }
    begin(out, columns, "not usable", &counted(all, "frame"), "var(--bad)");
    for (at, cell) in columns.cells.iter().enumerate().filter(|(_, cell)| cell.skipped + cell.invalid > 0) {
        let tip =
            format!("{}: {} not usable", columns.time(at), counted(cell.skipped + cell.invalid, "frame"));
        bar(out, at, 1.0, 1.0, &tip);
    }
    out.push_str("</svg></div>\n");
}

fn pace_row(out: &mut String, columns: &Columns) {
    let slowest = columns.cells.iter().map(|cell| cell.slowest).max().unwrap_or(0);
    begin(out, columns, "time per frame", &format!("up to {}", millis(slowest)), "var(--quiet)");
    for (at, cell) in columns.cells.iter().enumerate().filter(|(_, cell)| cell.frames > 0) {
        let tip = format!("{}: slowest frame {}", columns.time(at), millis(cell.slowest));
        bar(out, at, share(cell.slowest, slowest), 1.0, &tip);
    }
    out.push_str("</svg></div>\n");
}

fn begin(out: &mut String, columns: &Columns, label: &str, count: &str, colour: &str) {
    let _ = write!(
        out,
        "<div class=\"row\"><span class=\"name\" style=\"--c:{colour}\">{}</span><span class=\"count\">{count}</span>\
         <svg viewBox=\"0 0 {} 100\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}: {count}\" \
         fill=\"{colour}\">",
        Escaped(label),
        columns.cells.len(),
        Escaped(label),
    );
}

/// A bar of `height` (0 to 1), and over the whole column the place to point at.
fn bar(out: &mut String, column: usize, height: f64, strength: f32, tip: &str) {
    let tall = (height * 96.0).max(12.0);
    let _ = write!(
        out,
        "<g><rect x=\"{column}\" y=\"{:.0}\" width=\"1.02\" height=\"{tall:.0}\" opacity=\"{:.2}\"/>\
         <rect class=\"hit\" x=\"{column}\" width=\"1\" height=\"100\"><title>{}</title></rect></g>",
        100.0 - tall,
        0.25 + 0.75 * strength.clamp(0.0, 1.0),
        Escaped(tip),
    );
}

#[allow(clippy::cast_precision_loss, reason = "a height on the screen")]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

fn axis(out: &mut String, columns: &Columns) {
    out.push_str(
        "<div class=\"row axis\" aria-hidden=\"true\"><span></span><span></span><span class=\"ticks\">",
    );
    for tick in 0..=TICKS {
        let _ = write!(out, "<span>{}</span>", clock(columns.start + columns.span * tick / TICKS));
    }
    out.push_str("</span></div>\n");
}

fn table(out: &mut String, report: &Report<'_>, classes: &[ClassTally]) {
    out.push_str(
        "<details>\n<summary>As a table</summary>\n<div class=\"scroll\"><table id=\"classes\">\n<thead><tr><th scope=\"col\">Class</th>\
         <th scope=\"col\">Detections</th><th scope=\"col\">Frames</th><th scope=\"col\">Most at once</th>\
         <th scope=\"col\">Strongest</th><th scope=\"col\">First</th><th scope=\"col\">Last</th></tr></thead>\n<tbody>\n",
    );
    for class in classes {
        let _ = writeln!(
            out,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td>{:.2}</td><td>{}</td><td>{}</td></tr>",
            Escaped(&report.label(class.class)),
            grouped(class.detections),
            grouped(class.frames),
            grouped(class.most),
            class.strongest,
            clock(class.first),
            clock(class.last),
        );
    }
    out.push_str("</tbody>\n</table></div>\n</details>\n");
}
