//! The end of a replay, on one screen.

use std::fmt::Write;
use std::path::PathBuf;

use stopline_depot::manifest::Manifest;

use crate::draw::label_of;
use crate::exit::{Exit, Failure};
use crate::percentiles::millis_text;
use crate::report::{Tally, clock};

/// Classes listed; the report and the records have them all.
const CLASSES: usize = 10;

/// The summary.
pub fn text<'a>(
    clip: &str,
    tally: &Tally,
    manifest: &Manifest,
    outputs: impl Iterator<Item = (&'static str, &'a PathBuf)>,
) -> String {
    let mut out = String::new();
    let seconds = tally.took.as_secs_f64();
    let _ = writeln!(
        out,
        "{clip}: {} frames seen in {seconds:.1} s, {:.1} a second",
        tally.frames.len(),
        tally.rate()
    );
    let left_out = if tally.left_out > 0 { format!(", left out {}", tally.left_out) } else { String::new() };
    let _ = writeln!(
        out,
        "skipped {} (unreadable), invalid {} (no numbers), dropped {}{left_out}\n",
        tally.skipped.len(),
        tally.invalid,
        tally.dropped,
    );
    if tally.story.decided > 0 || !tally.story.dropped.is_empty() {
        out.push_str(&tally.story.text());
    }
    classes(&mut out, tally, manifest);
    stages(&mut out, tally);
    for (name, path) in outputs {
        let _ = writeln!(out, "{name}: {}", path.display());
    }
    out
}

fn classes(out: &mut String, tally: &Tally, manifest: &Manifest) {
    let classes = tally.classes();
    let _ = writeln!(
        out,
        "{:<18}{:>10}{:>9}{:>11}{:>10}{:>10}",
        "class", "detections", "frames", "strongest", "first", "last"
    );
    for class in classes.iter().take(CLASSES) {
        let _ = writeln!(
            out,
            "{:<18}{:>10}{:>9}{:>11.2}{:>10}{:>10}",
            label_of(manifest, class.class),
            class.detections,
            class.frames,
            class.strongest,
            clock(class.first),
            clock(class.last),
        );
    }
    if classes.is_empty() {
        out.push_str("nothing found at these thresholds\n");
    }
    if classes.len() > CLASSES {
        let _ = writeln!(out, "and {} more classes", classes.len() - CLASSES);
    }
    out.push('\n');
}

fn stages(out: &mut String, tally: &Tally) {
    let _ = writeln!(
        out,
        "{:<18}{:>10}{:>9}{:>11}{:>10}{:>10}",
        "ms per frame", "min", "median", "90 %", "99 %", "max"
    );
    for (name, _, samples) in tally.stages.named() {
        let p = samples.percentiles();
        let [min, p50, p90, p99, max] = [p.min, p.p50, p.p90, p.p99, p.max].map(millis_text);
        let _ = writeln!(out, "{name:<18}{min:>10}{p50:>9}{p90:>11}{p99:>10}{max:>10}");
    }
}

/// Success, unless the model gave numbers for no frame at all.
pub fn verdict(clip: &str, tally: &Tally) -> Result<(), Failure> {
    if tally.invalid == tally.frames.len() as u64 {
        let problem =
            anyhow::anyhow!("{clip}: the model gave no numbers for any of {} frames", tally.invalid);
        return Err(Failure::new(Exit::Model, problem));
    }
    Ok(())
}
