//! The end of the demo: what was found, how fast, and where everything lies.

use std::path::Path;
use std::time::Duration;

use super::play::Played;
use super::screen::Screen;
use crate::percentiles::millis_text;

/// More dropped frames than one in so many are told.
const MUCH: u64 = 20;

/// Prints it.
pub fn print(screen: &Screen, played: &[Played], directory: &Path) {
    if played.is_empty() {
        screen.say("");
        screen.say(&format!("Ended before a clip was over. What there is lies in {}/", directory.display()));
        return;
    }
    screen.say("");
    screen.say(&screen.bold("Summary"));
    screen.say(&format!(
        "  {:<21}{:<7}{:>8}{:>9}{:>9}{:>8}{:>9}{:>7}",
        "clip", "found", "after", "median", "99 %", "frames", "dropped", "wrong"
    ));
    for played in played {
        clip(screen, played);
    }
    screen.say(
        "  after: since it could be seen; median and 99 %: from the picture to the decision; wrong: reports",
    );
    screen.say("");
    let first = played.iter().find_map(|played| played.first_decision);
    if let Some(first) = first {
        screen.say(&format!("  first decision {} after the start", seconds(first)));
    }
    let before: u64 = played.iter().map(|played| played.before).sum();
    screen.say(&format!(
        "  {before} frames came while the model was being loaded; they are not counted as dropped"
    ));
    bus(screen, played);
    let (frames, dropped) =
        played.iter().fold((0, 0), |(frames, dropped), one| (frames + one.frames, dropped + one.dropped));
    if dropped * MUCH > frames + dropped {
        let text = format!(
            "{dropped} of {} frames were dropped: this machine is too slow or too busy for the model",
            frames + dropped
        );
        screen.say(&format!("  {}", screen.good(false, &text)));
    }
    screen.say("");
    screen.say(&screen.bold("Where it lies"));
    screen.say(&format!("  {}/", directory.display()));
    for played in played {
        screen.say(&format!("    {}/report.html", played.clip.name));
    }
    screen.say(
        "  Beside each: records.jsonl (a decision record per frame), bus.jsonl (a command and its frame per",
    );
    screen.say("  period), stopline.toml (the configuration), daemon.log.");
}

fn clip(screen: &Screen, played: &Played) {
    let p = played.latency.percentiles();
    let wrong = played.verdict.false_reports.len() + played.verdict.repeated.len();
    for found in &played.verdict.events {
        let yes = found.report.is_some();
        let after = found.time_to_decision_s.map_or("–".to_owned(), |after| format!("{after:.2} s"));
        screen.say(&format!(
            "  {:<21}{}{after:>8}{:>9}{:>9}{:>8}{:>9}{wrong:>7}",
            played.clip.title,
            screen.good(yes, &format!("{:<7}", if yes { "yes" } else { "NO" })),
            format!("{} ms", millis_text(p.p50)),
            format!("{} ms", millis_text(p.p99)),
            played.frames,
            played.dropped,
        ));
    }
}

/// What would have been on the bus.
fn bus(screen: &Screen, played: &[Played]) {
    let frames: u64 = played.iter().map(|played| played.bus.0).sum();
    let bad: u32 = played.iter().map(|played| played.bus.1.wrong_crc + played.bus.1.wrong_sequence).sum();
    let strongest = played.iter().fold(0.0_f32, |most, played| most.max(played.strongest));
    let alerts: u64 = played.iter().map(|played| played.alerts).sum();
    let judged = screen.good(bad == 0, &format!("{bad} with a wrong checksum or counter"));
    screen.say(&format!(
        "  {frames} frames for the bus, {judged}; strongest brake asked for {strongest:.2} m/s²"
    ));
    screen.say(&format!("  {alerts} messages to the staff"));
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}
