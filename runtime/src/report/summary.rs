//! Head of the report, the lists of facts, and its foot.

use std::fmt::Write;

use super::html::{Escaped, clock, counted, grouped};
use super::{Fact, Report, millis};

pub fn section(report: &Report<'_>) -> String {
    let tally = report.tally;
    let mut out =
        format!("<header>\n<p class=\"kind\">Stopline replay</p>\n<h1>{}</h1>\n", Escaped(report.clip));
    out.push_str("<ul class=\"tiles\">\n");
    tile(&mut out, &grouped(tally.frames.len() as u64), "frames seen", false);
    tile(&mut out, &grouped(tally.detections()), "detections", false);
    tile(&mut out, &grouped(tally.classes().len() as u64), "classes", false);
    tile(&mut out, &millis(tally.stages.total.percentiles().p50), "a frame, median", false);
    tile(&mut out, &millis(tally.stages.total.percentiles().p99), "a frame, 99 %", false);
    tile(&mut out, &grouped(tally.skipped.len() as u64), "skipped: unreadable", !tally.skipped.is_empty());
    tile(&mut out, &grouped(tally.invalid), "invalid: no numbers", tally.invalid > 0);
    tile(&mut out, &grouped(tally.dropped), "dropped before us", tally.dropped > 0);
    out.push_str("</ul>\n</header>\n");
    out.push_str(&faults(report));
    out
}

fn tile(out: &mut String, value: &str, name: &str, bad: bool) {
    let class = if bad { " class=\"bad\"" } else { "" };
    let _ = writeln!(out, "<li{class}><b>{value}</b> <span>{name}</span></li>");
}

fn faults(report: &Report<'_>) -> String {
    let tally = report.tally;
    if tally.faults.is_empty() {
        return String::new();
    }
    let all = tally.skipped.len() as u64 + tally.invalid;
    let mut out = format!(
        "<section aria-labelledby=\"faults\">\n<h2 id=\"faults\">Frames that could not be used</h2>\n<p>{} skipped \
         because they could not be read, {} invalid because the model gave no numbers.</p>\n<ul class=\"faults\">\n",
        counted(tally.skipped.len(), "frame"),
        counted(tally.invalid, "frame"),
    );
    for (at, reason) in &tally.faults {
        let _ = writeln!(out, "<li><time>{}</time> {}</li>", clock(*at), Escaped(reason));
    }
    let more = all.saturating_sub(tally.faults.len() as u64);
    if more > 0 {
        let _ = writeln!(out, "<li>and {} more</li>", grouped(more));
    }
    out.push_str("</ul>\n</section>\n");
    out
}

pub fn facts(report: &Report<'_>) -> String {
    let mut out = String::from(
        "<section aria-labelledby=\"facts\">\n<h2 id=\"facts\">What was run</h2>\n<div class=\"facts\">\n",
    );
    list(&mut out, "Recording", report.clip_facts);
    list(&mut out, "Model", report.model_facts);
    out.push_str("</div>\n</section>\n");
    out
}

fn list(out: &mut String, title: &str, facts: &[Fact]) {
    let _ = writeln!(out, "<div>\n<h3>{title}</h3>\n<dl>");
    for (name, value) in facts {
        let _ = writeln!(out, "<dt>{name}</dt><dd>{}</dd>", Escaped(value));
    }
    out.push_str("</dl>\n</div>\n");
}

pub fn footer(report: &Report<'_>) -> String {
    format!(
        "<footer>Made by stopline {} on {}. Stopline is not a certified safety system.</footer>\n",
        env!("CARGO_PKG_VERSION"),
        Escaped(&report.made),
    )
}
