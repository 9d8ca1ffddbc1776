//! The report as text, for a terminal.

use std::fmt::Write;

use super::metrics::NONE;
use super::operating::HeightBin;
use super::report::Report;

/// The report as text: figures, sizes, heights, categories, mistakes. Names are cut and cleaned of control characters.
pub fn render(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = head(&mut text, report);
    let _ = figures(&mut text, report);
    let _ = heights(&mut text, &report.by_height);
    let _ = categories(&mut text, report);
    let _ = mistakes(&mut text, report);
    text
}

/// A figure with three decimals, or `–` where there is nothing to measure.
pub fn figure(value: f64) -> String {
    if value <= NONE { "–".into() } else { format!("{value:.3}") }
}

/// Text with names from foreign files, safe for a terminal: no control characters.
pub fn plain(foreign: &str) -> String {
    foreign.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// A name from a foreign file, safe for a terminal and at most `width` characters long.
fn name(foreign: &str, width: usize) -> String {
    let clean = plain(foreign);
    if clean.chars().count() <= width {
        return clean;
    }
    clean.chars().take(width - 1).chain(['…']).collect()
}

fn head(text: &mut String, report: &Report) -> std::fmt::Result {
    let dataset = &report.dataset;
    if let Some(model) = &report.subject.model {
        writeln!(text, "model    {}", name(model, 100))?;
    }
    if let Some(file) = &report.subject.detections_file {
        writeln!(text, "found    {}", name(file, 100))?;
    }
    writeln!(text, "dataset  {}", name(&dataset.path, 100))?;
    write!(text, "         {} pictures, {} boxes", dataset.images, dataset.truths)?;
    if dataset.crowds > 0 {
        write!(text, ", {} crowds", dataset.crowds)?;
    }
    writeln!(text, "; {} detections", dataset.detections)?;
    if report.pictures.total() > 0 {
        writeln!(text, "         {} pictures NOT measured", report.pictures.total())?;
    }
    writeln!(text)
}

fn figures(text: &mut String, report: &Report) -> std::fmt::Result {
    let value = |name: &str| figure(report.summary.value(name));
    writeln!(text, "mAP 50–95  {}    mAP50  {}    mAP75  {}", value("mAP"), value("mAP50"), value("mAP75"))?;
    writeln!(text, "AR  1  {}    AR 10  {}    AR 100  {}", value("AR1"), value("AR10"), value("AR100"))?;
    writeln!(text)?;
    writeln!(text, "{:<28}{:>8}{:>8}", "size", "mAP", "AR100")?;
    for (size, ap, ar) in [
        ("small   (area ≤ 32² px)", "mAP_small", "AR_small"),
        ("medium  (32² to 96² px)", "mAP_medium", "AR_medium"),
        ("large   (area ≥ 96² px)", "mAP_large", "AR_large"),
    ] {
        writeln!(text, "{size:<28}{:>8}{:>8}", value(ap), value(ar))?;
    }
    writeln!(text)
}

fn heights(text: &mut String, bins: &[HeightBin]) -> std::fmt::Result {
    writeln!(text, "{:<20}{:>8}{:>18}{:>18}", "height of box", "boxes", "found, any score", "at threshold")?;
    for bin in bins.iter().filter(|bin| bin.truths > 0) {
        let share = |count: usize| figure(count as f64 / bin.truths as f64);
        let range = height_range(bin);
        writeln!(
            text,
            "{range:<20}{:>8}{:>18}{:>18}",
            bin.truths,
            share(bin.found),
            share(bin.found_at_threshold)
        )?;
    }
    writeln!(text)
}

/// A bin's heights: `16–24 px`, `256 px and more`.
pub fn height_range(bin: &HeightBin) -> String {
    bin.to.map_or_else(|| format!("{} px and more", bin.from), |to| format!("{}–{to} px", bin.from))
}

fn categories(text: &mut String, report: &Report) -> std::fmt::Result {
    let columns = [
        "boxes", "found", "AP", "AP50", "AP75", "AR100", "at score", "prec.", "recall", "best F1", "at score",
    ];
    write!(text, "{:<18}", "category")?;
    for column in columns {
        write!(text, "{column:>9}")?;
    }
    writeln!(text)?;
    for one in report.categories.iter().filter(|one| one.truths + one.crowds + one.detections > 0) {
        write!(text, "{:<18}{:>9}{:>9}", name(&one.name, 17), one.truths, one.detections)?;
        for value in [
            one.ap,
            one.ap50,
            one.ap75,
            one.ar[2],
            one.operating.score,
            one.operating.precision,
            one.operating.recall,
        ] {
            write!(text, "{:>9}", figure(value))?;
        }
        let best = one.best_f1.map_or((NONE, NONE), |best| (best.f1, best.score));
        writeln!(text, "{:>9}{:>9}", figure(best.0), figure(best.1))?;
    }
    let silent = report.categories.iter().filter(|one| one.truths + one.crowds + one.detections == 0).count();
    if silent > 0 {
        writeln!(text, "{silent} more categories: nothing labelled, nothing found")?;
    }
    writeln!(text)
}

fn mistakes(text: &mut String, report: &Report) -> std::fmt::Result {
    let (at, counts) = (&report.operating, &report.mistakes);
    writeln!(
        text,
        "at the thresholds ({}), overlap 0.5: precision {}, recall {}",
        report.subject.thresholds_from,
        figure(at.precision),
        figure(at.recall)
    )?;
    writeln!(
        text,
        "missed {}: {} unseen, {} below the threshold, {} misplaced, {} taken for something else",
        at.missed,
        counts.missed_unseen,
        counts.missed_too_weak,
        counts.missed_misplaced,
        counts.missed_taken_for_other
    )?;
    writeln!(
        text,
        "false positives {}: {} on nothing labelled, {} on another category, {} misplaced, {} double",
        at.wrong, counts.false_background, counts.false_confused, counts.false_misplaced, counts.false_double
    )
}
