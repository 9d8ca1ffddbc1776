use super::*;

fn label(label: &str, bbox: [f64; 4]) -> Annotation {
    Annotation { label: label.into(), bbox, score: None, occluded: None, truncated: None }
}

fn predicted(name: &str, bbox: [f64; 4], score: f64) -> Annotation {
    Annotation { score: Some(score), ..label(name, bbox) }
}

#[test]
fn each_kind_is_told_once_and_what_agrees_not_at_all() {
    let labelled = [
        label("person", [0.0, 0.0, 100.0, 100.0]),
        label("person", [200.0, 0.0, 100.0, 100.0]),
        label("person", [400.0, 0.0, 16.0, 40.0]),
        label("person", [600.0, 0.0, 100.0, 100.0]),
    ];
    let predictions = [
        predicted("person", [2.0, 0.0, 100.0, 100.0], 0.9),
        predicted("stop sign", [200.0, 0.0, 100.0, 100.0], 0.7),
        predicted("person", [625.0, 0.0, 100.0, 100.0], 0.8),
        predicted("person", [900.0, 0.0, 50.0, 50.0], 0.6),
    ];
    let mut found = compare(&labelled, &predictions);
    found.sort_by_key(|one| one.1);
    let kinds: Vec<(Kind, f64)> = found.iter().map(|one| (one.1, (one.0 * 100.0).round() / 100.0)).collect();
    // A quarter aside: three quarters overlap, of five.
    assert_eq!(
        kinds,
        [(Kind::OtherClass, 0.7), (Kind::NotLabelled, 0.6), (Kind::NotSeen, 0.5), (Kind::OtherBox, 0.4)]
    );
}

#[test]
fn one_prediction_answers_one_label() {
    let labelled = [label("person", [0.0, 0.0, 100.0, 100.0]), label("person", [5.0, 0.0, 100.0, 100.0])];
    let predictions = [predicted("person", [0.0, 0.0, 100.0, 100.0], 0.9)];
    let found = compare(&labelled, &predictions);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].1, Kind::NotSeen);
    assert_eq!(found[0].2, Some(&labelled[1]));
}
