use super::super::coco::{Category, Image, Truth};
use super::*;

fn dataset(truths: &[([f64; 4], bool)]) -> Dataset {
    let truth = |(id, (bbox, crowd)): (i64, &([f64; 4], bool))| Truth {
        id,
        image: 0,
        category: 0,
        bbox: *bbox,
        area: bbox[2] * bbox[3],
        crowd: *crowd,
    };
    Dataset {
        path: "labels.json".into(),
        images: vec![Image { id: 1, file_name: "a.jpg".into(), size: None }],
        categories: vec![Category { id: 1, name: "person".into() }],
        truths: (1..).zip(truths).map(truth).collect(),
        oddities: Default::default(),
    }
}

fn found(score: f64, bbox: [f64; 4]) -> Found {
    Found { image: 0, category: 0, score, bbox }
}

const HERE: [f64; 4] = [0.0, 0.0, 10.0, 20.0];
const THERE: [f64; 4] = [100.0, 0.0, 10.0, 300.0];
const NOWHERE: [f64; 4] = [200.0, 200.0, 10.0, 20.0];

#[test]
fn the_stronger_of_two_boxes_is_right_and_the_other_wrong() {
    let dataset = dataset(&[(HERE, false)]);
    let verdicts = Verdicts::judge(&dataset, &[found(0.5, HERE), found(0.9, HERE)]);
    assert_eq!(verdicts.found, [Verdict::Wrong, Verdict::Right(0)]);
    assert_eq!(verdicts.finder, [Some(1)]);
}

#[test]
fn a_crowd_takes_any_number_and_counts_neither_way() {
    let dataset = dataset(&[(HERE, true)]);
    let verdicts = Verdicts::judge(&dataset, &[found(0.5, HERE), found(0.9, HERE)]);
    assert_eq!(verdicts.found, [Verdict::Ignored; 2]);
    assert_eq!(verdicts.best_f1(&dataset, &[found(0.5, HERE), found(0.9, HERE)]), [None]);
}

#[test]
fn the_best_threshold_takes_what_is_right_and_stops_before_what_is_wrong() {
    let dataset = dataset(&[(HERE, false), (THERE, false)]);
    let list = [found(0.9, HERE), found(0.6, THERE), found(0.3, NOWHERE)];
    let best = Verdicts::judge(&dataset, &list).best_f1(&dataset, &list)[0].unwrap();
    assert_eq!((best.score, best.precision, best.recall, best.f1), (0.6, 1.0, 1.0, 1.0));
}

#[test]
fn detections_of_one_score_stand_or_fall_together() {
    let dataset = dataset(&[(HERE, false)]);
    let list = [found(0.5, HERE), found(0.5, NOWHERE)];
    let best = Verdicts::judge(&dataset, &list).best_f1(&dataset, &list)[0].unwrap();
    assert_eq!((best.precision, best.found, best.wrong), (0.5, 1, 1));
}

#[test]
fn recall_by_height_tells_small_from_large_and_sure_from_unsure() {
    let dataset = dataset(&[(HERE, false), (THERE, false)]);
    let list = [found(0.2, HERE)];
    let verdicts = Verdicts::judge(&dataset, &list);
    let bins = verdicts.by_height(&dataset, &list, &[0.3], None);
    let told: Vec<_> = bins
        .iter()
        .filter(|bin| bin.truths > 0)
        .map(|bin| (bin.from, bin.to, bin.truths, bin.found, bin.found_at_threshold))
        .collect();
    assert_eq!(told, [(16.0, Some(24.0), 1, 1, 0), (256.0, None, 1, 0, 0)]);
    assert_eq!(verdicts.overall(&dataset, &list, &[0.2]).recall, 0.5);
    assert_eq!(verdicts.points(&dataset, &list, &[0.3])[0].missed, 2);
}
