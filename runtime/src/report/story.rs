//! What was decided in a replay: situations with their phases, changes of state and of the command. Told on one screen, in
//! the report, and as the truth file's counterpart in `stopline eval --events`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use stopline_depot::record::{RecordedCommand, RecordedSituation, RecordedState};

use super::html::{Escaped, clock};

/// Most changes of state and of the command that are told; their count goes on.
const MOST_CHANGES: usize = 200;

/// What was decided, frame by frame.
#[derive(Clone, Debug, Default)]
pub struct Story {
    /// Frames decided on.
    pub decided: u64,
    /// Frames that nothing was decided on, by the code of the cause.
    pub dropped: BTreeMap<String, u64>,
    /// Situations by number.
    pub situations: BTreeMap<u32, Told>,
    /// Changes of state: when, and the new state.
    pub states: Vec<(Duration, String)>,
    /// Changes of the command's row: when, and the new command in words.
    pub commands: Vec<(Duration, String)>,
    /// Strongest deceleration asked for, in m/s².
    pub strongest: f32,
    row: String,
}

/// One situation, from first to last.
#[derive(Clone, Debug)]
pub struct Told {
    /// What it is about.
    pub kind: String,
    /// Its phases and when each began.
    pub phases: Vec<(Duration, String)>,
    /// When it was last there.
    pub last: Duration,
    /// Least distance, in metres.
    pub nearest: Option<f32>,
    /// Least time to collision or to the line, in seconds.
    pub soonest: Option<f32>,
    /// Highest score.
    pub strongest: f32,
}

impl Told {
    /// Whether it ever came to a warning, a brake or an alert.
    pub fn acted(&self) -> bool {
        self.phases.iter().any(|(_, phase)| matches!(phase.as_str(), "warning" | "braking" | "holding"))
    }
}

impl Story {
    /// A frame at `at` and what became of it.
    pub fn frame(
        &mut self,
        at: Duration,
        situations: &[RecordedSituation],
        state: &RecordedState,
        command: &RecordedCommand,
    ) {
        self.decided += 1;
        for situation in situations {
            self.situation(at, situation);
        }
        let now = words_of_state(state);
        if self.states.last().is_none_or(|(_, before)| *before != now) && self.states.len() < MOST_CHANGES {
            self.states.push((at, now));
        }
        self.strongest = self.strongest.max(command.deceleration);
        if command.row != self.row {
            self.row.clone_from(&command.row);
            if self.commands.len() < MOST_CHANGES {
                self.commands.push((at, words_of_command(command)));
            }
        }
    }

    /// A frame that nothing was decided on.
    pub fn dropped(&mut self, cause: &str) {
        *self.dropped.entry(cause.to_owned()).or_default() += 1;
    }

    fn situation(&mut self, at: Duration, situation: &RecordedSituation) {
        let told = self.situations.entry(situation.id).or_insert_with(|| Told {
            kind: situation.kind.clone(),
            phases: Vec::new(),
            last: at,
            nearest: None,
            soonest: None,
            strongest: 0.0,
        });
        let least = |known: Option<f32>, new: Option<f32>| match (known, new) {
            (Some(known), Some(new)) => Some(known.min(new)),
            (known, new) => known.or(new),
        };
        told.last = at;
        told.nearest = least(told.nearest, situation.distance_m);
        told.soonest = least(told.soonest, situation.ttc_s);
        told.strongest = told.strongest.max(situation.score);
        if told.phases.last().is_none_or(|(_, phase)| *phase != situation.phase) {
            told.phases.push((at, situation.phase.clone()));
        }
    }

    /// For a terminal: what led to something, and how many did not.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let acted = || self.situations.iter().filter(|(_, told)| told.acted());
        let _ = writeln!(
            out,
            "decided on {} frames: {} situations, {} with a warning or more; strongest brake {:.1} m/s²",
            self.decided,
            self.situations.len(),
            acted().count(),
            self.strongest,
        );
        for (cause, count) in &self.dropped {
            let _ = writeln!(out, "nothing decided on {count} frames: {cause}");
        }
        for (id, told) in acted() {
            let _ = writeln!(out, "  {} {id}: {}", told.kind, phases(told));
        }
        for (at, state) in &self.states {
            let _ = writeln!(out, "  {} state {state}", clock(*at));
        }
        out.push('\n');
        out
    }

    /// The section of the report; nothing where nothing was decided.
    pub fn section(&self) -> String {
        if self.decided == 0 && self.dropped.is_empty() {
            return String::new();
        }
        let mut out = String::from(
            "<section aria-labelledby=\"decided\">\n<h2 id=\"decided\">What was decided</h2>\n\
             <p class=\"note\">A replay commands nothing: this is what would have been sent.</p>\n",
        );
        self.table(&mut out);
        list(&mut out, "Command", &self.commands);
        list(&mut out, "State", &self.states);
        for (cause, count) in &self.dropped {
            let _ = writeln!(out, "<p>Nothing decided on {count} frames: {}.</p>", Escaped(cause));
        }
        out.push_str("</section>\n");
        out
    }

    fn table(&self, out: &mut String) {
        if self.situations.is_empty() {
            out.push_str("<p>No situation.</p>\n");
            return;
        }
        out.push_str(
            "<div class=\"scroll\"><table id=\"situations\">\n<thead><tr><th scope=\"col\">Situation</th><th scope=\"col\">Phases</th>\
             <th scope=\"col\">Last</th><th scope=\"col\">Nearest</th><th scope=\"col\">Least time</th>\
             <th scope=\"col\">Strongest</th></tr></thead>\n<tbody>\n",
        );
        let shown =
            |value: Option<f32>, unit: &str| value.map_or("–".into(), |value| format!("{value:.1} {unit}"));
        for (id, told) in &self.situations {
            let _ = writeln!(
                out,
                "<tr><th scope=\"row\">{} {id}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{:.2}</td></tr>",
                Escaped(&told.kind),
                Escaped(&phases(told)),
                clock(told.last),
                shown(told.nearest, "m"),
                shown(told.soonest, "s"),
                told.strongest,
            );
        }
        out.push_str("</tbody>\n</table></div>\n");
    }
}

fn phases(told: &Told) -> String {
    told.phases.iter().map(|(at, phase)| format!("{phase} {}", clock(*at))).collect::<Vec<_>>().join(", ")
}

fn list(out: &mut String, title: &str, changes: &[(Duration, String)]) {
    if changes.is_empty() {
        return;
    }
    let _ = writeln!(out, "<h3>{title}</h3>\n<ul class=\"changes\">");
    for (at, change) in changes {
        let _ = writeln!(out, "<li><time>{}</time> {}</li>", clock(*at), Escaped(change));
    }
    out.push_str("</ul>\n");
}

/// `degraded: camera_backlit`.
pub fn words_of_state(state: &RecordedState) -> String {
    match &state.cause {
        Some(cause) => format!("{}: {cause}", state.name),
        None => state.name.clone(),
    }
}

/// `braking, 3.2 m/s²`.
pub fn words_of_command(command: &RecordedCommand) -> String {
    let mut words = command.row.clone();
    if command.deceleration > 0.0 {
        let _ = write!(words, ", {:.1} m/s²", command.deceleration);
    }
    if let Some(level) = &command.warn {
        let _ = write!(words, ", {level}");
    }
    if command.persons_down > 0 {
        let _ = write!(words, ", {} down", command.persons_down);
    }
    if command.monitoring_lost {
        words.push_str(", monitoring lost");
    }
    words
}
