use super::super::coco::{Category, Image, Truth};
use super::*;

fn dataset(truths: &[(usize, [f64; 4])]) -> Dataset {
    let truth = |(id, &(category, bbox)): (i64, &(usize, [f64; 4]))| Truth {
        id,
        image: 0,
        category,
        bbox,
        area: bbox[2] * bbox[3],
        crowd: false,
    };
    let category = |(id, name): (i64, &str)| Category { id, name: name.into() };
    Dataset {
        path: "labels.json".into(),
        images: vec![Image { id: 1, file_name: "a.jpg".into(), size: None }],
        categories: [(1, "person"), (2, "bicycle")].map(category).into(),
        truths: (1..).zip(truths).map(truth).collect(),
        oddities: Default::default(),
    }
}

fn found(category: usize, score: f64, bbox: [f64; 4]) -> Found {
    Found { image: 0, category, score, bbox }
}

fn mistakes(truths: &[(usize, [f64; 4])], found: &[Found]) -> (Vec<MissKind>, Vec<FalseKind>) {
    let dataset = dataset(truths);
    let verdicts = Verdicts::judge(&dataset, found);
    let mistakes = Mistakes::find(&dataset, found, &verdicts, &[0.3, 0.3]);
    (
        mistakes.misses.iter().map(|miss| miss.kind).collect(),
        mistakes.false_positives.iter().map(|one| one.kind).collect(),
    )
}

const HERE: [f64; 4] = [0.0, 0.0, 100.0, 100.0];
const BESIDE: [f64; 4] = [60.0, 0.0, 100.0, 100.0];
const FAR: [f64; 4] = [500.0, 0.0, 20.0, 20.0];

#[test]
fn a_right_detection_is_no_mistake() {
    assert_eq!(mistakes(&[(0, HERE)], &[found(0, 0.9, HERE)]), (vec![], vec![]));
}

#[test]
fn each_miss_has_its_kind_and_the_largest_comes_first() {
    assert_eq!(
        mistakes(&[(0, FAR), (0, HERE)], &[found(0, 0.2, HERE)]).0,
        [MissKind::TooWeak, MissKind::Unseen]
    );
    assert_eq!(
        mistakes(&[(0, HERE)], &[found(0, 0.9, BESIDE)]),
        (vec![MissKind::Misplaced], vec![FalseKind::Misplaced])
    );
    assert_eq!(
        mistakes(&[(0, HERE)], &[found(1, 0.9, HERE)]),
        (vec![MissKind::TakenForOther], vec![FalseKind::Confused])
    );
}

#[test]
fn something_else_in_the_same_place_is_no_explanation_if_it_is_right() {
    let truths = [(0, HERE), (1, HERE)];
    assert_eq!(mistakes(&truths, &[found(1, 0.9, HERE)]), (vec![MissKind::Unseen], vec![]));
}

#[test]
fn a_second_box_is_a_double_and_one_on_nothing_is_background() {
    let list = [found(0, 0.9, HERE), found(0, 0.4, HERE), found(0, 0.8, FAR), found(0, 0.2, FAR)];
    assert_eq!(mistakes(&[(0, HERE)], &list).1, [FalseKind::Background, FalseKind::Double]);
}

#[test]
fn one_box_on_two_neighbours_finds_one_and_does_not_misplace_the_other() {
    let truths = [(0, HERE), (0, BESIDE)];
    assert_eq!(mistakes(&truths, &[found(0, 0.9, HERE)]), (vec![MissKind::Unseen], vec![]));
}
