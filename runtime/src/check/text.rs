//! A report for people: each line of the arithmetic, and what to change.

use std::fmt::Write as _;

use super::reach::{Latency, mps};
use super::report::{CameraReport, Finding, FunctionReport, Proof, Report, Verdict};

/// Width of what a line is about.
const LABEL: usize = 24;
/// Columns of a line.
const COLUMNS: usize = 110;

/// The report as text.
pub fn text(report: &Report) -> String {
    let mut out = format!("{}\n", report.config);
    report.findings.iter().for_each(|finding| line_of(&mut out, 0, finding));
    report.cameras.iter().for_each(|camera| camera_text(&mut out, camera));
    let refused = report.refusals();
    let verdict = match report.verdict {
        Verdict::Refused => {
            format!("REFUSED: {refused} {} above", if refused == 1 { "reason" } else { "reasons" })
        }
        Verdict::Warning => "passed, with warnings above".to_owned(),
        Verdict::Passed => "passed".to_owned(),
    };
    let _ = writeln!(out, "\n{verdict}");
    out
}

fn camera_text(out: &mut String, camera: &CameraReport) {
    let _ = writeln!(out, "\ncamera {}", camera.name);
    camera.findings.iter().for_each(|finding| line_of(out, 2, finding));
    if let Some(latency) = &camera.latency {
        entry(out, 2, "     light to command", &latency_text(latency));
    }
    camera.functions.iter().for_each(|function| function_text(out, function));
}

fn latency_text(latency: &Latency) -> String {
    let ms = |seconds: f64| format!("{:.0}", seconds * 1e3);
    let wait = if latency.wait > 0.0 {
        format!(" + {} for the frame before", ms(latency.wait))
    } else {
        String::new()
    };
    format!(
        "{} frame period + {} capture{wait} + {} prepare, infer, decode + {} actuator = {} ms",
        ms(latency.period),
        ms(latency.capture),
        ms(latency.see),
        ms(latency.act),
        ms(latency.total())
    )
}

fn function_text(out: &mut String, function: &FunctionReport) {
    let name = match function.function {
        "stop_sign" => "stop sign",
        other => other,
    };
    let _ = writeln!(out, "\n  {name}");
    if let Some(proof) = &function.proof {
        arithmetic(out, proof);
    }
    entry(out, 4, mark(function.verdict), &function.summary);
    for advice in &function.advice {
        entry(out, 4, "     change", advice);
    }
}

fn arithmetic(out: &mut String, proof: &Proof) {
    let Proof { confirming, approach, .. } = proof;
    let brake = &approach.brake;
    let mut say = |label: &str, text: String| entry(out, 4, label, &text);
    say(
        "believed when",
        format!(
            "{} of {} frames in every window find it, {} windows long: {:.2} s at most",
            confirming.needed, confirming.window, confirming.dwell, confirming.seconds
        ),
    );
    say(
        "recall needed",
        format!(
            "{:.2} per frame, so that {:.0} of 100 approaches are believed in time",
            proof.needed_recall,
            proof.confidence * 100.0
        ),
    );
    say("recognised", recognised(proof));
    if proof.recognised.is_some() {
        let pixels = proof.recognised.map_or(0.0, |bin| bin.height());
        say(
            "distance",
            format!(
                "{:.0} px focal length on the input ({:.3} of the picture's) x {:.2} m / {pixels:.0} px - {:.1} m to the front \
                 = {:.1} m",
                proof.focal_on_input, proof.scale, proof.object_height, proof.front, proof.seen
            ),
        );
    }
    let time = approach.latency + approach.confirmation + brake.delay();
    say(
        "time lost",
        format!(
            "{:.2} s latency + {:.2} s confirmation + {:.2} s brake lag + {:.2} s half of the ramp to {:.1} m/s2 at {:.1} m/s3 = \
             {time:.2} s",
            approach.latency,
            approach.confirmation,
            brake.lag,
            brake.delay() - brake.lag,
            brake.deceleration,
            brake.ramp
        ),
    );
    say(
        "needed at speed v",
        format!("v x {time:.2} s + v2 / (2 x {:.1} m/s2) + {:.1} m", brake.deceleration, brake.gap),
    );
    let v = mps(proof.asked_kmh);
    say(
        &format!("at {:.0} km/h", proof.asked_kmh),
        format!(
            "{:.1} m + {:.1} m + {:.1} m = {:.1} m, {} the {:.1} m it is seen from; time to collision {:.2} s, needed {:.2} s",
            v * time,
            v * v / (2.0 * brake.deceleration),
            brake.gap,
            proof.needed,
            if proof.needed <= proof.seen { "within" } else { "more than" },
            proof.seen,
            proof.seen / v,
            proof.needed / v
        ),
    );
    let highest = proof.highest_kmh.map_or_else(|| "none".to_owned(), |highest| format!("{highest:.1} km/h"));
    say("highest speed", highest);
    if let Some((seconds, highest)) = proof.appears {
        let highest = highest.map_or_else(|| "none".to_owned(), |highest| format!("{highest:.1} km/h"));
        say("appears late", format!("{seconds:.2} s before the collision: highest speed {highest}"));
    }
    for (label, fact) in &proof.facts {
        say(label, fact.clone());
    }
}

fn recognised(proof: &Proof) -> String {
    match &proof.recognised {
        None => format!(
            "at no measured height: the best recall is at least {:.2} (95 % sure), model {}",
            proof.best_recall, proof.model
        ),
        Some(bin) => {
            let heights = bin
                .to
                .map_or_else(|| format!("{} px and more", bin.from), |to| format!("{} to {to} px", bin.from));
            format!(
                "from {:.0} px on the input: {} of {} found at {heights}, at least {:.2} (95 % sure), model {}",
                bin.height(),
                bin.found,
                bin.labelled,
                bin.at_least(),
                proof.model
            )
        }
    }
}

fn line_of(out: &mut String, indent: usize, finding: &Finding) {
    entry(out, indent, &format!("{} {}", mark(finding.verdict), finding.about), &finding.text);
    if finding.verdict != Verdict::Passed && !finding.advice.is_empty() {
        entry(out, indent, "     change", &finding.advice);
    }
}

fn mark(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "ok  ",
        Verdict::Warning => "WARN",
        Verdict::Refused => "NO  ",
    }
}

/// A label and its text, wrapped to the right of the label.
fn entry(out: &mut String, indent: usize, label: &str, text: &str) {
    let label = format!("{:indent$}{label}", "");
    let column = (indent + LABEL).max(label.chars().count() + 2);
    let mut line = format!("{label:<column$}");
    let mut width = column;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if width + length > COLUMNS && width > column {
            let _ = writeln!(out, "{}", line.trim_end());
            line = " ".repeat(indent + LABEL);
            width = indent + LABEL;
        }
        line.push_str(word);
        line.push(' ');
        width += length + 1;
    }
    let _ = writeln!(out, "{}", line.trim_end());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_wrapped_beside_their_label() {
        let mut out = String::new();
        entry(&mut out, 2, "what", &"word ".repeat(40));
        let lines: Vec<&str> = out.lines().collect();
        assert!(lines.len() > 1 && lines.iter().all(|line| line.len() <= COLUMNS), "{out}");
        assert!(lines[0].starts_with("  what  ") && lines[1].starts_with(&" ".repeat(2 + LABEL)), "{out}");
    }
}
