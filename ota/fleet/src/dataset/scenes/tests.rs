use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::picture::Look;
use super::*;

const TOGETHER: Together = Together { gap_s: 600, alike: 20 };

fn anchor(at: u64, device: u8, second: u64, bits: u64) -> Anchor {
    let captured = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_790_000_000 + second);
    Anchor {
        digest: Digest::of(&at.to_be_bytes()),
        picture: Digest::of(&[device]),
        look: Look([bits, bits.rotate_left(7), bits.wrapping_mul(0x9E37_79B9_7F4A_7C15), !bits]),
        device: Digest::of(&[device]),
        captured: captured.into(),
    }
}

fn store() -> impl Strategy<Value = Vec<Anchor>> {
    // Few devices, times and looks, so that they meet often.
    let one = (0..4_u8, 0..20_000_u64, prop_oneof![0..6_u64, any::<u64>()]);
    prop::collection::vec(one, 1..60).prop_map(|all| {
        let with = all.into_iter().zip(0..);
        with.map(|((device, second, bits), at)| anchor(at, device, second, bits)).collect()
    })
}

proptest! {
    /// The promise: whatever a split does with scenes, nothing close in time or alike lies on both sides.
    #[test]
    fn no_split_by_scenes_leaks(store in store(), seed: u64, percent in 0..=100_u8) {
        let scenes = scenes(&store, TOGETHER);
        let side = |anchor: &Anchor| falls(draw(seed, "split", &scenes[&anchor.digest]), percent);
        for one in &store {
            for other in store.iter().filter(|other| side(one) != side(other)) {
                let apart = one.captured.unix_seconds().abs_diff(other.captured.unix_seconds());
                prop_assert!(one.device != other.device || apart >= TOGETHER.gap_s);
                prop_assert!(one.look.distance(&other.look) > TOGETHER.alike);
            }
        }
    }

    #[test]
    fn order_and_repetition_do_not_matter(store in store(), turn in 0..60_usize) {
        let mut turned = store.clone();
        turned.rotate_left(turn % store.len());
        turned.push(store[0].clone());
        turned.reverse();
        prop_assert_eq!(scenes(&store, TOGETHER), scenes(&turned, TOGETHER));
    }

    /// Scenes are no larger than they must be: each is held together by records that are close or alike.
    #[test]
    fn a_scene_holds_together(store in store()) {
        let scenes = scenes(&store, TOGETHER);
        for name in scenes.values().collect::<BTreeSet<_>>() {
            let members: Vec<&Anchor> = store.iter().filter(|anchor| scenes[&anchor.digest] == *name).collect();
            let mut met = vec![members[0]];
            let mut rest = members[1..].to_vec();
            loop {
                let (near, far): (Vec<&Anchor>, Vec<&Anchor>) = rest.iter().partition(|one| met.iter().any(|other| {
                    let apart = one.captured.unix_seconds().abs_diff(other.captured.unix_seconds());
                    one.device == other.device && apart < TOGETHER.gap_s
                        || one.look.distance(&other.look) <= TOGETHER.alike
                }));
                if near.is_empty() {
                    prop_assert!(far.is_empty(), "{} records of a scene have nothing to do with the others", far.len());
                    break;
                }
                met.extend(near);
                rest = far;
            }
        }
    }
}

#[test]
fn a_draw_falls_as_often_as_it_should() {
    let falling =
        (0..2000_u64).filter(|at| falls(draw(1, "split", &Digest::of(&at.to_be_bytes())), 20)).count();
    assert!((320..480).contains(&falling), "{falling} of 2000");
    assert!(!falls(u64::MAX, 99) && falls(u64::MAX, 100) && !falls(0, 0));
}
