//! What each operator of the model takes.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::Frames;
use crate::detector::Detector;
use crate::exit::{Exit, Failure, OrExit};
use crate::infer::OperatorTime;

/// Operators by their share of the time, the greatest first.
pub(super) struct Operators {
    rows: Vec<Row>,
    all: Duration,
}

/// One operator: its median time.
struct Row {
    operator: OperatorTime,
    share: f64,
}

/// Most runs: medians need no more.
const MOST_RUNS: u32 = 200;

/// Runs the model on one frame as often as `frames` says, at most 200 times.
pub(super) fn measure(
    detector: &mut Detector,
    source: &mut Frames<'_>,
    frames: u32,
) -> Result<Operators, Failure> {
    let (frame, _) = source.next(&mut 0)?;
    let mut runs = Vec::new();
    for _ in 0..frames.min(MOST_RUNS) {
        runs.push(detector.operators(&frame).or_exit(Exit::Model)?);
    }
    Ok(Operators::of(runs))
}

impl Operators {
    /// Runs of one model, which all have the same operators.
    fn of(runs: Vec<Vec<OperatorTime>>) -> Self {
        let mut operators = runs.first().cloned().unwrap_or_default();
        for (at, operator) in operators.iter_mut().enumerate() {
            let mut times: Vec<Duration> = runs.iter().filter_map(|run| Some(run.get(at)?.time)).collect();
            times.sort_unstable();
            operator.time = times.get(times.len() / 2).copied().unwrap_or_default();
        }
        let all: Duration = operators.iter().map(|operator| operator.time).sum();
        let share =
            |operator: &OperatorTime| operator.time.as_secs_f64() / all.as_secs_f64().max(f64::MIN_POSITIVE);
        let mut rows: Vec<Row> =
            operators.into_iter().map(|operator| Row { share: share(&operator), operator }).collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.operator.time));
        Self { rows, all }
    }

    /// For a person: each operator, then the kinds of them together.
    pub(super) fn text(&self) -> String {
        let mut text =
            format!("\n{:<18}{:>9}{:>8}{:>9}  {:<20}name\n", "operator", "ms", "share", "GFLOP/s", "shape");
        for Row { operator, share } in &self.rows {
            let shape: Vec<String> = operator.shape.iter().map(ToString::to_string).collect();
            let _ = writeln!(
                text,
                "{:<18}{:>9.3}{:>7.1}%{:>9}  {:<20}{}",
                operator.operator,
                operator.time.as_secs_f64() * 1e3,
                share * 100.0,
                speed(operator).map_or_else(String::new, |speed| format!("{speed:.1}")),
                shape.join("x"),
                operator.name
            );
        }
        let _ = writeln!(text, "\n{:<18}{:>9}{:>8}{:>9}", "kind", "ms", "share", "count");
        for (kind, time, count) in self.kinds() {
            let share = time.as_secs_f64() / self.all.as_secs_f64().max(f64::MIN_POSITIVE) * 100.0;
            let _ = writeln!(text, "{kind:<18}{:>9.3}{share:>7.1}%{count:>9}", time.as_secs_f64() * 1e3);
        }
        let _ = writeln!(text, "{:<18}{:>9.3}", "all", self.all.as_secs_f64() * 1e3);
        text
    }

    /// Kinds of operators, the most time first.
    fn kinds(&self) -> Vec<(&str, Duration, usize)> {
        let mut kinds: Vec<(&str, Duration, usize)> = Vec::new();
        for Row { operator, .. } in &self.rows {
            match kinds.iter_mut().find(|(kind, ..)| *kind == operator.operator) {
                Some((_, time, count)) => (*time, *count) = (*time + operator.time, *count + 1),
                None => kinds.push((&operator.operator, operator.time, 1)),
            }
        }
        kinds.sort_by_key(|(_, time, _)| std::cmp::Reverse(*time));
        kinds
    }

    /// For a program.
    pub(super) fn json(&self) -> Value {
        let one = |Row { operator, share }: &Row| {
            json!({
                "operator": operator.operator,
                "name": operator.name,
                "shape": operator.shape,
                "median_ns": u64::try_from(operator.time.as_nanos()).unwrap_or(u64::MAX),
                "share": share,
                "multiplications": operator.multiplications,
                "gflop_per_s": speed(operator),
            })
        };
        self.rows.iter().map(one).collect()
    }
}

/// Billions of operations in a second; `None` where multiplications are no measure.
#[allow(clippy::cast_precision_loss, reason = "for people")]
fn speed(operator: &OperatorTime) -> Option<f64> {
    let known = operator.multiplications > 0 && !operator.time.is_zero();
    known.then(|| 2.0 * operator.multiplications as f64 / operator.time.as_secs_f64() / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(operator: &str, name: &str, micros: u64, multiplications: u64) -> OperatorTime {
        let time = Duration::from_micros(micros);
        OperatorTime {
            operator: operator.into(),
            name: name.into(),
            shape: vec![1, 8, 4, 4],
            multiplications,
            time,
        }
    }

    #[test]
    fn operators_are_told_by_their_median_share() {
        let run = |first: u64| vec![ran("pointwise", "a", first, 1_000_000), ran("resize", "b", 300, 0)];
        let operators = Operators::of(vec![run(100), run(90), run(5000)]);
        let names: Vec<&str> = operators.rows.iter().map(|row| row.operator.name.as_str()).collect();
        assert_eq!(names, ["b", "a"], "by the median, not by the one slow run");
        let json = operators.json();
        assert_eq!(json[1]["median_ns"], 100_000);
        assert_eq!(json[1]["share"], 0.25);
        assert_eq!(json[1]["gflop_per_s"], 20.0);
        assert_eq!(json[0]["gflop_per_s"], Value::Null);
        let text = operators.text();
        assert!(
            text.contains("pointwise             0.100   25.0%     20.0  1x8x4x4             a"),
            "{text}"
        );
    }

    #[test]
    fn kinds_are_summed() {
        let run = vec![ran("conv", "a", 10, 1), ran("resize", "b", 15, 0), ran("conv", "c", 10, 1)];
        let operators = Operators::of(vec![run]);
        let kinds: Vec<_> = operators.kinds().into_iter().map(|(kind, _, count)| (kind, count)).collect();
        assert_eq!(kinds, [("conv", 2), ("resize", 1)]);
    }
}
