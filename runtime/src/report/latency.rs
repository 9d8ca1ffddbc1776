//! What the stages took: percentiles and histograms.

use std::fmt::Write;

use super::html::{counted, grouped};
use super::{Report, millis};
use crate::percentiles::{Samples, millis_text};

const BINS: usize = 40;

pub fn section(report: &Report<'_>) -> String {
    let stages = report.tally.stages.named();
    let mut out =
        String::from("<section aria-labelledby=\"latency\">\n<h2 id=\"latency\">What it took</h2>\n");
    if stages.iter().all(|(_, _, samples)| samples.is_empty()) {
        out.push_str("<p>No frame was measured.</p>\n</section>\n");
        return out;
    }
    let _ = writeln!(
        out,
        "<p>{:.1} frames a second on this machine, everything included. Milliseconds per frame:</p>",
        report.tally.rate()
    );
    out.push_str(
        "<div class=\"scroll\"><table id=\"stages\">\n<thead><tr><th scope=\"col\">Stage</th><th scope=\"col\">min</th>\
         <th scope=\"col\">median</th><th scope=\"col\">90 %</th><th scope=\"col\">99 %</th><th scope=\"col\">max</th>\
         <th scope=\"col\">frames</th></tr></thead>\n<tbody>\n",
    );
    for (name, meaning, samples) in stages {
        let p = samples.percentiles();
        let [min, p50, p90, p99, max] = [p.min, p.p50, p.p90, p.p99, p.max].map(millis_text);
        let _ = writeln!(
            out,
            "<tr class=\"{name}\"><th scope=\"row\">{name} <span>{meaning}</span></th><td>{min}</td><td>{p50}</td>\
             <td>{p90}</td><td>{p99}</td><td>{max}</td><td>{}</td></tr>",
            grouped(samples.len() as u64)
        );
    }
    out.push_str("</tbody>\n</table></div>\n<div class=\"histograms\">\n");
    for (name, _, samples) in stages {
        histogram(&mut out, name, samples);
    }
    out.push_str("</div>\n</section>\n");
    out
}

fn histogram(out: &mut String, name: &str, samples: &Samples) {
    let p = samples.percentiles();
    // From nothing to a little beyond the 99th percentile; a single outlier would flatten all the rest.
    let end = round_up(p.p99.saturating_add(p.p99 / 8).max(1));
    let (counts, beyond) = samples.histogram(end, BINS);
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    let _ = write!(
        out,
        "<figure>\n<figcaption>{name}</figcaption>\n<svg viewBox=\"0 0 {BINS} 100\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-label=\"{name}: median {}, 99 % {}\" class=\"{name}\">",
        millis(p.p50),
        millis(p.p99)
    );
    let limit = |bin: usize| millis_text(end * bin as u64 / BINS as u64);
    for (bin, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let tall = (count * 100).div_ceil(most);
        let tip = format!("{}–{} ms: {}", limit(bin), limit(bin + 1), counted(count, "frame"));
        let _ = write!(
            out,
            "<g><rect x=\"{bin}.05\" y=\"{}\" width=\".9\" height=\"{tall}\"/>\
             <rect class=\"hit\" x=\"{bin}\" width=\"1\" height=\"100\"><title>{tip}</title></rect></g>",
            100 - tall
        );
    }
    let over = if beyond > 0 { format!("{} beyond", counted(beyond, "frame")) } else { String::new() };
    let _ = writeln!(
        out,
        "</svg>\n<div class=\"ticks\" aria-hidden=\"true\"><span>0</span><span>{over}</span><span>{}</span></div>\n</figure>",
        millis(end)
    );
}

/// The next number of the form 1, 1.5, 2, 3, 4, 5, 6, 8 × 10ⁿ.
fn round_up(value: u64) -> u64 {
    let mut unit = 1_u64;
    while unit.saturating_mul(10) < value {
        unit *= 10;
    }
    [10, 15, 20, 30, 40, 50, 60, 80, 100]
        .into_iter()
        .map(|tenths| unit.saturating_mul(tenths) / 10)
        .find(|&rounded| rounded >= value)
        .unwrap_or(value)
}
