//! Where every picture comes from, and what is told of an export.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};
use stopline_depot::digest::Digest;

use super::super::captured::{Captured, Survey};
use super::super::coco::Picture;
use super::{Chosen, Rules, SCHEMA, SPLITS};
use crate::exit::Said;

/// `provenance.json`.
pub(super) fn of(
    chosen: &Chosen<'_>,
    survey: &Survey,
    rules: &Rules,
    written: &BTreeMap<String, Digest>,
) -> Value {
    let records = SPLITS.iter().zip(&chosen.splits).flat_map(|(split, pictures)| {
        pictures.iter().map(move |picture| {
            let mut value = picture.provenance();
            value["split"] = (*split).into();
            value
        })
    });
    let scenes = |pictures: &[Picture<'_>]| {
        pictures.iter().map(|picture| picture.scene).collect::<BTreeSet<_>>().len()
    };
    let boxes =
        |pictures: &[Picture<'_>]| pictures.iter().map(|picture| picture.annotations.len()).sum::<usize>();
    let counted = SPLITS.iter().zip(&chosen.splits).map(|(split, pictures)| {
        (
            (*split).to_owned(),
            json!({"pictures": pictures.len(), "boxes": boxes(pictures), "scenes": scenes(pictures)}),
        )
    });
    json!({
        "schema": SCHEMA,
        "rules": rules.json(),
        "labels": chosen.labels,
        "counts": {
            "opened": survey.records.len(), "unreadable": survey.unreadable.len(), "forgotten": survey.forgotten,
            "held_back_for_tests": chosen.held_back, "duplicates": chosen.duplicates, "over_limit": chosen.over_limit,
            "splits": counted.collect::<serde_json::Map<_, _>>(),
        },
        "balance": balance(chosen),
        "files": written,
        "records": records.collect::<Vec<_>>(),
    })
}

/// Pictures by class, condition and device.
fn balance(chosen: &Chosen<'_>) -> Value {
    let mut counts: [BTreeMap<String, u64>; 3] = Default::default();
    for picture in chosen.splits.iter().flatten() {
        let Captured { condition, anchor, .. } = picture.record;
        let classes: BTreeSet<&String> =
            picture.annotations.iter().map(|annotation| &annotation.label).collect();
        classes.into_iter().for_each(|class| *counts[0].entry(class.clone()).or_default() += 1);
        let condition =
            serde_json::to_value(condition).ok().and_then(|word| word.as_str().map(str::to_owned));
        *counts[1].entry(condition.unwrap_or_default()).or_default() += 1;
        *counts[2].entry(anchor.device.to_string()).or_default() += 1;
    }
    let [class, condition, device] = counts;
    json!({"class": class, "condition": condition, "device": device})
}

/// What is told of an export.
pub(super) fn said(out: &Path, provenance: &Value, survey: &Survey) -> Said {
    let counts = &provenance["counts"];
    let mut words = vec![format!("{}:", out.display())];
    for split in SPLITS {
        let of = &counts["splits"][split];
        words.push(format!(
            "  {split}: {} pictures, {} boxes, {} scenes",
            of["pictures"], of["boxes"], of["scenes"]
        ));
    }
    words.push(format!(
        "  left out: {} duplicates, {} held back for tests, {} over the limit, {} forgotten",
        counts["duplicates"], counts["held_back_for_tests"], counts["over_limit"], counts["forgotten"]
    ));
    for kind in ["class", "condition", "device"] {
        let parts = provenance["balance"][kind].as_object().into_iter().flatten();
        let parts: Vec<String> =
            parts.map(|(key, count)| format!("{} {count}", key.get(..12).unwrap_or(key))).collect();
        words.push(format!("  by {kind}: {}", parts.join(", ")));
    }
    let unreadable: Vec<Value> = survey
        .unreadable
        .iter()
        .map(|(digest, problem)| json!({"digest": digest, "problem": problem}))
        .collect();
    words.extend(
        survey.unreadable.iter().map(|(digest, problem)| format!("  not opened: {digest}: {problem}")),
    );
    Said::new(
        words,
        json!({
            "export": out, "counts": counts, "balance": provenance["balance"], "labels": provenance["labels"],
            "unreadable": unreadable,
        }),
    )
}
