//! Rows of the tables, and the bounds that go with counts.

use std::fmt;

use super::setups::View;

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every run met the criterion.
    Passed,
    /// At least one did not, though the camera could.
    Failed,
    /// The measured detector does not see the object in time through this lens. Never a pass.
    NotReachable,
    /// Every run met the criterion, on the assumption that the second column names. Never a pass.
    Assumed,
    /// Told, without a criterion.
    Told,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Passed => "passed",
            Self::Failed => "missed",
            Self::NotReachable => "not reachable with this camera",
            Self::Assumed => "logic holds if so",
            Self::Told => "-",
        })
    }
}

/// One row.
#[derive(Clone, Debug)]
pub struct Line {
    /// Scenario and speed.
    pub name: String,
    /// Camera, frame rate, light.
    pub with: String,
    /// Runs.
    pub runs: usize,
    /// Runs that met the criterion.
    pub good: usize,
    /// What was seen, in full.
    pub seen: String,
    /// What was seen, for a cell.
    pub short: String,
    /// What became of it.
    pub verdict: Verdict,
}

impl Line {
    /// A row whose criterion every run must meet where the camera can.
    pub fn judged(
        name: String,
        view: View,
        (good, runs): (usize, usize),
        (seen, short): (String, String),
        reachable: bool,
    ) -> Self {
        let verdict = match (reachable, good == runs) {
            (false, _) => Verdict::NotReachable,
            (true, true) if view.assumed_sharper > 1.0 => Verdict::Assumed,
            (true, true) => Verdict::Passed,
            (true, false) => Verdict::Failed,
        };
        Self { name, with: view.name(), runs, good, seen, short, verdict }
    }
}

/// A table with one column per view, as Markdown; the cells hold the short form. Below it, every row that failed in full.
pub fn matrix(title: &str, first: &str, columns: &[String], rows: &[(String, Vec<Line>)]) -> String {
    let mut text = format!(
        "### {title}\n\n| {first} | {} |\n|---|{}\n",
        columns.join(" | "),
        "---|".repeat(columns.len())
    );
    for (name, cells) in rows {
        let cells: Vec<String> =
            cells.iter().map(|cell| format!("{} {}", cell.short, mark(cell.verdict))).collect();
        text += &format!("| {name} | {} |\n", cells.join(" | "));
    }
    text += "\n";
    let all: Vec<&Line> = rows.iter().flat_map(|(_, cells)| cells).collect();
    for line in all.iter().filter(|line| line.verdict == Verdict::Failed) {
        let Line { name, with, runs, good, seen, .. } = line;
        text += &format!("- missed: {name}; {with}: {good} of {runs}; {seen}\n");
    }
    text + &sum(&all) + "\n"
}

fn mark(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "passed",
        Verdict::Failed => "**missed**",
        Verdict::NotReachable => "n/r",
        Verdict::Assumed => "(holds)",
        Verdict::Told => "",
    }
}

/// How many rows came to what.
pub fn sum(lines: &[&Line]) -> String {
    let count = |verdict| lines.iter().filter(|line| line.verdict == verdict).count();
    format!(
        "\n{} cells: {} passed, {} missed, {} not reachable with this camera (n/r), {} hold by assumption.\n",
        lines.len(),
        count(Verdict::Passed),
        count(Verdict::Failed),
        count(Verdict::NotReachable),
        count(Verdict::Assumed)
    )
}

/// Rows that failed.
pub fn failed(lines: &[Line]) -> Vec<&Line> {
    lines.iter().filter(|line| line.verdict == Verdict::Failed).collect()
}

/// The exact upper 95 % bound (Garwood 1936, one-sided) of a Poisson rate: the largest mean under which as few events as
/// these still come with 5 %. For none it is 3.0.
pub fn upper_95(events: usize) -> f64 {
    let as_few = |mean: f64| {
        let mut term = libm::exp(-mean);
        let mut sum = term;
        for k in 1..=events {
            term *= mean / f64::from(u32::try_from(k).expect("few events"));
            sum += term;
        }
        sum
    };
    let (mut low, mut high) = (0.0, 20.0 + 3.0 * f64::from(u32::try_from(events).expect("few events")));
    for _ in 0..100 {
        let middle = f64::midpoint(low, high);
        if as_few(middle) > 0.05 { low = middle } else { high = middle }
    }
    high
}

/// The least of a share of which `good` of `runs` were seen: lower 95 % bound of a binomial (Clopper–Pearson, one-sided),
/// for the case that matters, all of them: 0.05^(1/n).
pub fn all_of_lower_95(runs: usize) -> f64 {
    libm::pow(0.05, 1.0 / f64::from(u32::try_from(runs.max(1)).expect("few runs")))
}

/// Median and largest of some numbers.
pub fn middle_and_most(mut values: Vec<f64>) -> Option<(f64, f64)> {
    values.sort_by(f64::total_cmp);
    let most = *values.last()?;
    Some((values[values.len() / 2], most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_those_of_the_tables() {
        // chi² tables: half of the 95 % quantile with 2 (n + 1) degrees of freedom.
        for (events, bound) in [(0, 2.9957), (1, 4.7439), (3, 7.7537), (10, 16.9622)] {
            assert!((upper_95(events) - bound).abs() < 1e-3, "{events}: {}", upper_95(events));
        }
        assert!((all_of_lower_95(59) - 0.95).abs() < 1e-3);
    }
}
