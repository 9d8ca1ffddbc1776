//! `dataset audit`: where model and people disagree, the worst first. A model that is sure of something that nobody labelled, or
//! of another class than the label's, is often right: these are the labels to look at again.

use std::cmp::Ordering;

use serde::Serialize;
use serde_json::json;
use stopline_depot::digest::Digest;

use super::annotation::Annotation;
use super::captured::Source;
use super::export::Holdings;
use super::folder::Folder;
use crate::exit::{Result, Said};

/// Boxes that overlap by this much are of one object.
const SAME: f64 = 0.5;
/// And by this much they fit.
const FITS: f64 = 0.75;
/// Sides of a box in pixels, below which an object that the model missed weighs less: it is at the limit of what can be seen.
const SMALL: f64 = 32.0;

/// What kind of disagreement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The model says another class.
    OtherClass,
    /// The model sees something that is not labelled.
    NotLabelled,
    /// Something is labelled that the model does not see.
    NotSeen,
    /// Both see it, in different boxes.
    OtherBox,
}

/// A disagreement.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Disagreement {
    /// 0 to 1, 1 the strongest.
    pub rank: f64,
    /// What kind.
    pub kind: Kind,
    /// The record.
    pub record: Digest,
    /// Which model.
    pub model: String,
    /// What is labelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labelled: Option<Annotation>,
    /// What the model says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predicted: Option<Annotation>,
}

/// Compares all that people labelled with what the model said on the device; tells the first `top`.
///
/// # Errors
/// Store or folder cannot be read.
pub fn run(source: &Source<'_>, folder: &Folder, top: usize) -> Result<Said> {
    let holdings = Holdings::read(source, folder)?;
    let (mut all, mut pictures) = (Vec::new(), 0_u64);
    for record in &holdings.survey.records {
        let Some(labels) = holdings.labels.get(&record.anchor.digest) else { continue };
        pictures += 1;
        let model = format!("{} {}", record.model.name, record.model.version);
        let found = compare(labels.current(), &record.predictions).into_iter();
        all.extend(found.map(|(rank, kind, labelled, predicted)| Disagreement {
            rank,
            kind,
            record: record.anchor.digest,
            model: model.clone(),
            labelled: labelled.cloned(),
            predicted: predicted.cloned(),
        }));
    }
    all.sort_by(order);
    let mut words = vec![format!("{} disagreements in {pictures} labelled pictures", all.len())];
    words.extend(all.iter().take(top).map(line));
    let total = all.len();
    all.truncate(top);
    Ok(Said::new(words, json!({"pictures": pictures, "total": total, "disagreements": all})))
}

/// What two sets of boxes of one picture disagree on.
pub fn compare<'a>(
    labelled: &'a [Annotation],
    predicted: &'a [Annotation],
) -> Vec<(f64, Kind, Option<&'a Annotation>, Option<&'a Annotation>)> {
    let score = |annotation: &Annotation| annotation.score.unwrap_or_default();
    let mut pairs: Vec<(bool, f64, usize, usize)> = Vec::new();
    for (at, label) in labelled.iter().enumerate() {
        for (beside, prediction) in predicted.iter().enumerate() {
            let iou = label.iou(prediction);
            if iou >= SAME {
                pairs.push((label.label == prediction.label, iou, at, beside));
            }
        }
    }
    // Pairs of one class first, then the best overlap; each box has one partner.
    pairs.sort_by(|a, b| b.0.cmp(&a.0).then(b.1.total_cmp(&a.1)).then((a.2, a.3).cmp(&(b.2, b.3))));
    let (mut met, mut seen) = (vec![false; labelled.len()], vec![false; predicted.len()]);
    let mut found = Vec::new();
    for (same_class, iou, at, beside) in pairs {
        if met[at] || seen[beside] {
            continue;
        }
        (met[at], seen[beside]) = (true, true);
        let (label, prediction) = (&labelled[at], &predicted[beside]);
        if !same_class {
            found.push((score(prediction), Kind::OtherClass, Some(label), Some(prediction)));
        } else if iou < FITS {
            found.push((1.0 - iou, Kind::OtherBox, Some(label), Some(prediction)));
        }
    }
    let alone = predicted.iter().zip(&seen).filter(|(_, seen)| !**seen);
    found.extend(alone.map(|(prediction, _)| (score(prediction), Kind::NotLabelled, None, Some(prediction))));
    let missed = labelled.iter().zip(&met).filter(|(_, met)| !**met);
    found.extend(missed.map(|(label, _)| {
        let rank = (label.bbox[2].min(label.bbox[3]) / SMALL).min(1.0);
        (rank, Kind::NotSeen, Some(label), None)
    }));
    found
}

fn order(one: &Disagreement, other: &Disagreement) -> Ordering {
    let boxes =
        |of: &Disagreement| of.labelled.as_ref().or(of.predicted.as_ref()).map_or([0.0; 4], |one| one.bbox);
    let by_box = || boxes(one).partial_cmp(&boxes(other)).unwrap_or(Ordering::Equal);
    let by_name = || (one.kind, one.record).cmp(&(other.kind, other.record));
    other.rank.total_cmp(&one.rank).then_with(by_name).then_with(by_box)
}

fn line(one: &Disagreement) -> String {
    let words = |annotation: &Option<Annotation>| {
        annotation
            .as_ref()
            .map_or_else(String::new, |annotation| format!("{} {:?}", annotation.label, annotation.bbox))
    };
    let (labelled, predicted) = (words(&one.labelled), words(&one.predicted));
    let what = match one.kind {
        Kind::OtherClass => format!("labelled {labelled}, the model says {predicted}"),
        Kind::NotLabelled => format!("the model says {predicted}, nobody labelled it"),
        Kind::NotSeen => format!("labelled {labelled}, the model does not see it"),
        Kind::OtherBox => format!("labelled {labelled}, the model has {predicted}"),
    };
    format!("{:.2}  {}  {what}", one.rank, one.record)
}

#[cfg(test)]
mod tests;
