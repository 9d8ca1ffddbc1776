//! All tables in one text: what the command `scenarios` prints.

use super::falls;
use super::measured::{Light, Measured};
use super::persons::TESTS;
use super::quiet;
use super::report::{Line, matrix};
use super::setups::{Corner, PLAIN, View};
use super::signs;

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub struct Counts {
    /// Runs per cell.
    pub runs: usize,
    /// Simulated minutes per row of clutter of the tables' detector.
    pub minutes: usize,
    /// Runs per fall sequence.
    pub falls: usize,
}

/// Both lenses, both frame rates, day and night.
pub fn views() -> Vec<View> {
    let mut views = Vec::new();
    for degrees in [60.0, 30.0] {
        for light in [Light::Day, Light::Night] {
            for fps in [30.0, 10.0] {
                views.push(View { degrees, fps, light, ..PLAIN });
            }
        }
    }
    views
}

/// The same, everything at its worst.
pub fn worst(views: &[View]) -> Vec<View> {
    let corner = Some(Corner { pitch: -1.0, height: -1.0 });
    views.iter().map(|view| View { corner, ..*view }).collect()
}

/// Logic only: a detector that is assumed to need an eighth of the rows.
pub fn assumed() -> Vec<View> {
    [30.0, 10.0].map(|fps| View { degrees: 30.0, fps, assumed_sharper: 8.0, ..PLAIN }).to_vec()
}

/// Approaches to a stop sign, a row per speed and a column per view.
pub fn approaches(measured: &Measured, title: &str, views: &[View], runs: usize) -> (String, Vec<Line>) {
    let rows = signs::SPEEDS.map(|kmh| {
        let cells = views.iter().map(|view| signs::row(measured, *view, kmh, runs)).collect();
        (format!("{kmh:.0} km/h"), cells)
    });
    shown(title, "stop sign", views, rows.to_vec())
}

/// One of Euro NCAP's tests, a row per speed and a column per view.
pub fn persons(measured: &Measured, which: usize, views: &[View], runs: usize) -> (String, Vec<Line>) {
    let test = TESTS[which];
    let row = |kmh: &f64| {
        let cells = views.iter().map(|view| test.row(measured, *view, *kmh, runs)).collect();
        (format!("{kmh:.0} km/h, at most {:.0}", super::persons::r152_limit(*kmh)), cells)
    };
    let worst = if views[0].corner.is_some() { ", worst corner" } else { "" };
    shown(&format!("{}{worst}", test.name), test.name, views, test.speeds.iter().map(row).collect())
}

/// Scenes in which nothing may brake, a row per scene and a column per view.
pub fn quiet_scenes(measured: &Measured, title: &str, views: &[View], runs: usize) -> (String, Vec<Line>) {
    columns(title, "scene", views, |view| quiet::scenes(measured, view, runs))
}

/// Stories around a sign at a speed, a row per story and a column per view.
pub fn stories(
    measured: &Measured,
    title: &str,
    views: &[View],
    kmh: f64,
    runs: usize,
) -> (String, Vec<Line>) {
    columns(title, "story", views, |view| {
        let mut lines = signs::stories(measured, view, kmh, runs);
        lines.push(signs::paddle(measured, view, kmh, runs));
        lines
    })
}

fn columns(title: &str, first: &str, views: &[View], of: impl Fn(View) -> Vec<Line>) -> (String, Vec<Line>) {
    let by_view: Vec<Vec<Line>> = views.iter().map(|view| of(*view)).collect();
    let rows = (0..by_view[0].len())
        .map(|row| (by_view[0][row].name.clone(), by_view.iter().map(|lines| lines[row].clone()).collect()));
    shown(title, first, views, rows.collect())
}

fn shown(title: &str, first: &str, views: &[View], rows: Vec<(String, Vec<Line>)>) -> (String, Vec<Line>) {
    let names: Vec<String> = views.iter().map(|view| view.name()).collect();
    let text = matrix(title, first, &names, &rows);
    (text, rows.into_iter().flat_map(|(_, cells)| cells).collect())
}

/// Everything, told to `say` piece by piece; the lines that failed.
pub fn all(measured: &Measured, counts: Counts, say: &mut dyn FnMut(&str)) -> Vec<Line> {
    let Counts { runs, minutes, falls } = counts;
    let mut lines = Vec::new();
    let mut take = |(text, of): (String, Vec<Line>), say: &mut dyn FnMut(&str)| {
        say(&text);
        lines.extend(of);
    };
    let (views, assumed) = (views(), assumed());
    let worst = worst(&views);
    take(approaches(measured, "Stop signs: met of runs, least metres before the sign", &views, runs), say);
    take(approaches(measured, "Stop signs, worst corner", &worst, runs), say);
    take(approaches(measured, "Stop signs, logic only: the detector is assumed", &assumed, runs), say);
    // The fastest at which the measured detector reaches a sign through the longer lens.
    take(stories(measured, "Stories around a stop sign", &views[4..], 15.0, runs), say);
    take(stories(measured, "Stories around a stop sign, logic only", &assumed, 40.0, runs), say);
    for which in 0..TESTS.len() {
        take(persons(measured, which, &views, runs), say);
    }
    for which in 0..TESTS.len() {
        take(persons(measured, which, &worst, runs), say);
    }
    for which in 0..TESTS.len() {
        take(persons(measured, which, &assumed, runs), say);
    }
    take(quiet_scenes(measured, "Where nothing may brake", &views, runs), say);
    take(quiet_scenes(measured, "Where nothing may brake, worst corner", &worst, runs), say);
    say(&quiet::hours_table(measured, 30.0, minutes));
    say(&quiet::hours_table(measured, 10.0, minutes));
    say("### Falls, the measured detector, which loses people on the ground\n\n");
    say(&falls::table(measured, "person_lying", falls).0);
    say(
        "### Falls, logic only: a detector is assumed that sees people on the ground as it sees upright ones\n\n",
    );
    say(&falls::table(measured, "person", falls).0);
    lines.retain(|line| line.verdict == super::report::Verdict::Failed);
    lines
}
