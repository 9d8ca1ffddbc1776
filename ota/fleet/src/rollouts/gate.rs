//! The publisher's gates: what devices reported, judged, and what follows from it.

use jiff::Timestamp;
use serde_json::json;
use stopline_depot::gates::{Decision, Evaluation, Finding, judge, tally};
use stopline_depot::rollout::{Rollout, State, Variant};

use super::{SINCE, Signers, Step, in_words, path_of, read, step};
use crate::exit::{Exit, Failure, Result, Said};
use crate::outcomes::Heard;
use crate::published::Published;
use crate::roles;
use crate::store::Store;

/// Since when the stage of a model's roll-out lasts, seconds since 1970.
pub fn stage_since(published: &Published, model: &str) -> Result<Option<i64>> {
    let path = path_of(model)?;
    let file = published.role(&roles::rollout()).and_then(|targets| targets.targets.get(path.as_str()));
    Ok(file.and_then(|file| file.custom.as_ref()?.get(SINCE)?.as_i64()))
}

/// Judges each variant of a model's roll-out by its gates. With `signers` it acts: it pauses what must be paused, and takes
/// on to the next stage what nothing speaks against.
pub fn gate(
    store: &dyn Store,
    trusted_root: &[u8],
    heard: &Heard,
    model: &str,
    signers: Option<&Signers<'_>>,
    now: Timestamp,
) -> Result<Said> {
    let published = Published::read(store, trusted_root)?;
    let published = published.ok_or_else(|| Failure::usage("nothing is published yet"))?;
    let rollout = read(store, &published, model)?;
    let rollout = rollout.ok_or_else(|| Failure::usage(format!("{model}: there is no roll-out")))?;
    let since = stage_since(&published, model)?.unwrap_or_else(|| now.as_second());
    let dwelt_s = u64::try_from(now.as_second() - since).unwrap_or(0);
    let mut words = in_words(&rollout);
    let mut evaluations = Vec::new();
    for (hardware, variant) in &rollout.targets {
        let evaluation = evaluate(&rollout, hardware, variant, heard, dwelt_s, now);
        words.extend(explain(hardware, &evaluation));
        evaluations.push((hardware.clone(), evaluation));
    }
    let wanted = wanted(&rollout, &evaluations);
    let exit = match wanted {
        Some(Step::Pause) => Exit::Alarm,
        Some(_) => Exit::Done,
        None if rollout.state == State::Active && !is_complete(&rollout) => Exit::Warning,
        None => Exit::Done,
    };
    let mut done = None;
    if let (Some(wanted), Some(signers)) = (wanted, signers) {
        let said = step(store, trusted_root, signers, model, wanted, now)?;
        words.extend(said.words);
        done = Some(said.json);
    }
    let wanted = wanted.map(|wanted| format!("{wanted:?}").to_lowercase());
    let told: Vec<_> =
        evaluations.iter().map(|(hardware, e)| json!({"hardware": hardware, "evaluation": e})).collect();
    let json = json!({"rollout_id": rollout.rollout_id, "variants": told, "step": wanted, "done": done});
    Ok(Said { words, json, exit })
}

fn evaluate(
    rollout: &Rollout,
    hardware: &str,
    variant: &Variant,
    heard: &Heard,
    dwelt_s: u64,
    now: Timestamp,
) -> Evaluation {
    let (counts, canary, control) = tally(
        &heard.received,
        (&rollout.model, &rollout.rollout_id),
        hardware,
        now.as_second(),
        rollout.report_within_s,
    );
    let stage = variant.stages.iter().find(|stage| stage.bp == variant.percent_bp);
    let dwell_s = stage.map_or(0, |stage| stage.min_dwell_s);
    judge(&variant.gates, &counts, (&canary, &control), (dwelt_s, dwell_s))
}

/// One variant that must be paused pauses all; all must be ready before any goes on.
fn wanted(rollout: &Rollout, evaluations: &[(String, Evaluation)]) -> Option<Step> {
    if rollout.state != State::Active {
        return None;
    }
    if evaluations.iter().any(|(_, evaluation)| matches!(evaluation.decision, Decision::Pause { .. })) {
        return Some(Step::Pause);
    }
    let ready = evaluations.iter().all(|(_, evaluation)| evaluation.decision == Decision::Advance);
    (ready && !is_complete(rollout)).then_some(Step::Advance)
}

fn is_complete(rollout: &Rollout) -> bool {
    let last = |variant: &Variant| !variant.stages.iter().any(|stage| stage.bp > variant.percent_bp);
    rollout.targets.values().all(last)
}

fn explain(hardware: &str, evaluation: &Evaluation) -> Vec<String> {
    let counts = &evaluation.counts;
    let mut words = vec![format!(
        "  {hardware}: {} on trial or past it, {} good, {} reverted, {} silent, {} rejected; {:.0} active hours, control {:.0}",
        counts.trials,
        counts.good,
        counts.reverted,
        counts.silent,
        counts.rejected,
        evaluation.canary_hours,
        evaluation.control_hours
    )];
    for one in &evaluation.compared {
        words.push(format!(
            "    {}: {:.4} against {:.4}, {:.2} times ({:.2} to {:.2})",
            one.what, one.canary, one.control, one.ratio.ratio, one.ratio.low, one.ratio.high
        ));
    }
    match &evaluation.decision {
        Decision::Advance => words.push("    nothing speaks against the next stage".into()),
        Decision::Hold { waits_for } => words.push(format!("    holds; waits for {}", waits_for.join("; "))),
        Decision::Pause { findings } => {
            words.extend(findings.iter().map(|finding| format!("    PAUSE: {}", in_a_sentence(finding))));
        }
    }
    words
}

/// A finding as a sentence.
pub fn in_a_sentence(finding: &Finding) -> String {
    match finding {
        Finding::Failed { found_bp, allowed_bp } => {
            format!("{found_bp} of 10000 were taken back or failed their tests, {allowed_bp} are allowed")
        }
        Finding::Silent { found_bp, allowed_bp } => {
            format!("{found_bp} of 10000 are silent since Trial, {allowed_bp} are allowed")
        }
        Finding::Rate { comparison, allowed } => format!(
            "{} at {:.2} times the old model's ({:.2} to {:.2}), {allowed:.2} is allowed",
            comparison.what, comparison.ratio.ratio, comparison.ratio.low, comparison.ratio.high
        ),
    }
}
