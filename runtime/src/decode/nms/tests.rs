use super::*;
use proptest::prelude::*;

/// Greedy suppression as the textbook has it, with lists and without the shortcuts of [`Suppression::apply`].
fn naive(list: &[Candidate], by: Suppression) -> Vec<Candidate> {
    let mut rest = list.to_vec();
    rest.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.row.cmp(&b.row)));
    if by.among != Nms::Off {
        rest.truncate(MOST_CANDIDATES);
    }
    let mut kept: Vec<Candidate> = Vec::new();
    while !rest.is_empty() {
        let best = rest.remove(0);
        rest.retain(|other| {
            let rival = by.among == Nms::Agnostic || other.class == best.class;
            by.among == Nms::Off || !rival || iou(best.bbox, other.bbox) <= by.iou
        });
        kept.push(best);
    }
    kept.truncate(by.most);
    kept
}

fn applied(list: &[Candidate], by: Suppression) -> Vec<Candidate> {
    let mut list = list.to_vec();
    by.apply(&mut list);
    list
}

prop_compose! {
    fn candidate()(
        score in 0.0f32..1.0, class in 0usize..3,
        x in 0.0f32..80.0, y in 0.0f32..80.0, w in 0.5f32..40.0, h in 0.5f32..40.0,
    ) -> Candidate {
        Candidate { score, class, bbox: [x, y, x + w, y + h], row: 0 }
    }
}

/// Candidates in rows of their own; about every fourth shares its score with another.
fn candidates(most: usize) -> impl Strategy<Value = Vec<Candidate>> {
    prop::collection::vec((candidate(), 0u8..4), 0..most).prop_map(|list| {
        let number = |(row, (candidate, tie)): (usize, (Candidate, u8))| Candidate {
            row,
            score: if tie == 0 { 0.5 } else { candidate.score },
            ..candidate
        };
        list.into_iter().enumerate().map(number).collect()
    })
}

fn suppression() -> impl Strategy<Value = Suppression> {
    let among = prop::sample::select(vec![Nms::ClassWise, Nms::Agnostic, Nms::Off, Nms::Auto]);
    (among, 0.0f32..=1.0, 1usize..60).prop_map(|(among, iou, most)| Suppression { among, iou, most })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_equals_the_textbook(list in candidates(80), by in suppression()) {
        prop_assert_eq!(applied(&list, by), naive(&list, by));
    }

    #[test]
    fn survivors_do_not_overlap_above_the_limit(list in candidates(80), by in suppression()) {
        let kept = applied(&list, by);
        prop_assert!(kept.len() <= by.most);
        for (at, a) in kept.iter().enumerate() {
            for b in &kept[at + 1..] {
                let rivals = by.among != Nms::Off && (by.among == Nms::Agnostic || a.class == b.class);
                prop_assert!(!rivals || iou(a.bbox, b.bbox) <= by.iou);
                prop_assert!(a.score >= b.score);
            }
        }
    }

    #[test]
    fn the_best_of_all_survives(list in candidates(80), by in suppression()) {
        let best = list.iter().map(|candidate| candidate.score).fold(f32::NEG_INFINITY, f32::max);
        let kept = applied(&list, by);
        prop_assert_eq!(kept.first().map(|first| first.score), (!list.is_empty()).then_some(best));
    }

    #[test]
    fn what_survived_survives_again(list in candidates(80), by in suppression()) {
        let once = applied(&list, by);
        prop_assert_eq!(applied(&once, by), once);
    }

    #[test]
    fn the_order_of_the_rows_does_not_matter(
        (list, mixed) in candidates(60).prop_flat_map(|list| (Just(list.clone()), Just(list).prop_shuffle())),
        by in suppression(),
    ) {
        prop_assert_eq!(applied(&mixed, by), applied(&list, by));
    }

    #[test]
    fn iou_is_a_symmetric_share(a in candidate(), b in candidate()) {
        let both = iou(a.bbox, b.bbox);
        prop_assert!((0.0..=1.0).contains(&both));
        prop_assert_eq!(both, iou(b.bbox, a.bbox));
        prop_assert!((iou(a.bbox, a.bbox) - 1.0).abs() < 1e-4);
    }
}

#[test]
fn of_more_candidates_than_are_looked_at_the_strongest_stay() {
    let alone = |row: usize| {
        let x = row as f32 * 10.0;
        let score = ((row * 7919) % 10_007) as f32 / 10_007.0;
        Candidate { score, class: 0, bbox: [x, 0.0, x + 5.0, 5.0], row }
    };
    let list: Vec<Candidate> = (0..10_000).map(alone).collect();
    let by = Suppression { among: Nms::ClassWise, iou: 0.5, most: 100_000 };
    let kept = applied(&list, by);
    assert_eq!(kept.len(), MOST_CANDIDATES);
    assert_eq!(kept, naive(&list, by));
}

#[test]
fn touching_boxes_do_not_overlap() {
    assert_eq!(iou([0.0, 0.0, 2.0, 2.0], [2.0, 0.0, 4.0, 2.0]), 0.0);
    assert_eq!(iou([0.0; 4], [0.0; 4]), 0.0);
}
