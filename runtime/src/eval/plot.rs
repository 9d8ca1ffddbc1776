//! Curves and bars as SVG, to stand inside a page. Colours come from the page's style sheet.

use std::fmt::Write;

use super::metrics::{NONE, recall_value};
use super::operating::HeightBin;
use super::table::height_range;

/// One line of a plot: the class that colours it, and precision at recall 0, 0.01 … 1.
pub struct Line<'a> {
    /// CSS class.
    pub class: &'a str,
    /// 101 values; below 0 where there is nothing.
    pub precision: &'a [f64],
}

const LEFT: f64 = 40.0;
const BOTTOM: f64 = 26.0;
const MARGIN: f64 = 8.0;

/// Precision over recall. `point` marks (recall, precision) of the operating point. `large` has the axes' names.
pub fn precision_recall(
    lines: &[Line],
    point: Option<(f64, f64)>,
    (width, height): (f64, f64),
    large: bool,
) -> String {
    let x = |recall: f64| LEFT + recall * (width - LEFT - MARGIN);
    let y = |precision: f64| MARGIN + (1.0 - precision) * (height - MARGIN - BOTTOM);
    let mut svg = String::new();
    // Writing to a String cannot fail.
    let _ = write!(
        svg,
        "<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"precision over recall\">"
    );
    for step in 0..=5 {
        let value = f64::from(step) / 5.0;
        let _ = write!(
            svg,
            "<path class=\"grid\" d=\"M{:.1} {:.1}H{:.1}M{:.1} {:.1}V{:.1}\"/>",
            x(0.0),
            y(value),
            x(1.0),
            x(value),
            y(0.0),
            y(1.0)
        );
        let _ = write!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{value}</text>",
            LEFT - 5.0,
            y(value) + 3.5
        );
        let _ = write!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{value}</text>",
            x(value),
            height - BOTTOM + 13.0
        );
    }
    if large {
        let _ = write!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">recall →</text>",
            x(1.0),
            height - 2.0
        );
        let _ = write!(
            svg,
            "<text transform=\"translate(9 {:.1}) rotate(-90)\" text-anchor=\"end\">precision →</text>",
            y(1.0)
        );
    }
    for line in lines.iter().filter(|line| line.precision.iter().any(|&value| value > NONE)) {
        let _ = write!(svg, "<path class=\"line {}\" d=\"", line.class);
        for (i, &precision) in line.precision.iter().enumerate() {
            let _ = write!(
                svg,
                "{}{:.1} {:.1}",
                if i == 0 { 'M' } else { 'L' },
                x(recall_value(i)),
                y(precision.max(0.0))
            );
        }
        svg.push_str("\"/>");
    }
    if let Some((recall, precision)) = point.filter(|&(recall, precision)| recall > NONE && precision > NONE)
    {
        let _ = write!(
            svg,
            "<circle class=\"point\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\"/>",
            x(recall),
            y(precision)
        );
    }
    svg.push_str("</svg>");
    svg
}

/// Recall by height: for each bin that has boxes one light bar (found at any score) and in it a dark one (at threshold).
pub fn heights(bins: &[HeightBin]) -> String {
    let shown: Vec<&HeightBin> = bins.iter().filter(|bin| bin.truths > 0).collect();
    const ROW: f64 = 24.0;
    const NAME: f64 = 120.0;
    const BAR: f64 = 300.0;
    let height = ROW * shown.len() as f64;
    let mut svg = format!(
        "<svg class=\"bars\" viewBox=\"0 0 620 {height}\" role=\"img\" aria-label=\"recall by height\">"
    );
    for (row, bin) in shown.iter().enumerate() {
        let top = row as f64 * ROW;
        let share = |count: usize| count as f64 / bin.truths as f64;
        let middle = top + 15.0;
        let _ = write!(
            svg,
            "<text x=\"{}\" y=\"{middle}\" text-anchor=\"end\">{}</text>",
            NAME - 8.0,
            height_range(bin)
        );
        let bar = |class: &str, share: f64, top: f64, thick: f64| {
            format!(
                "<rect class=\"{class}\" x=\"{NAME}\" y=\"{top}\" width=\"{:.1}\" height=\"{thick}\" rx=\"2\"/>",
                share * BAR
            )
        };
        svg += &bar("ground", 1.0, top + 4.0, 15.0);
        svg += &bar("any", share(bin.found), top + 4.0, 15.0);
        svg += &bar("sure", share(bin.found_at_threshold), top + 7.0, 9.0);
        let _ = write!(
            svg,
            "<text x=\"{}\" y=\"{middle}\">{} of {}, any score {}</text>",
            NAME + BAR + 8.0,
            bin.found_at_threshold,
            bin.truths,
            bin.found
        );
    }
    svg.push_str("</svg>");
    svg
}
