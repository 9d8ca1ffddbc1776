mod bytes;

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::bundle::{Bundle, write_tar};

/// An ONNX file of initializers and something between them, as protobuf writes it.
fn onnx(tensors: &[(&str, u64, &[u64], Vec<u8>)], producer: &str) -> Vec<u8> {
    let mut graph = field(2, producer.as_bytes());
    for (name, kind, dims, values) in tensors {
        let mut tensor: Vec<u8> = dims.iter().flat_map(|dim| [vec![1 << 3], varint(*dim)].concat()).collect();
        tensor.extend([vec![2 << 3], varint(*kind)].concat());
        tensor.extend(field(8, name.as_bytes()));
        tensor.extend(field(9, values));
        graph.extend(field(5, &tensor));
    }
    [field(2, producer.as_bytes()), field(7, &graph)].concat()
}

fn field(number: u64, bytes: &[u8]) -> Vec<u8> {
    [varint(number << 3 | 2), varint(bytes.len() as u64), bytes.to_vec()].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn tar(model: &[u8]) -> Vec<u8> {
    let manifest = serde_json::json!({
        "schema": 1, "name": "stop-sign", "version": "1.4.0", "task": "detect", "decoder": "yolox",
        "labels": ["stop sign"],
        "input": {"width": 416, "height": 416, "colour": "bgr", "resize": {"mode": "letterbox"}},
    });
    let manifest = serde_json::to_vec(&manifest).unwrap();
    let mut tar = Vec::new();
    write_tar(&Bundle::new(&manifest, model, None, BTreeMap::new()).unwrap(), &mut tar).unwrap();
    tar
}

/// Numbers without a pattern.
fn noise(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    }
}

fn weights(seed: u64, count: usize, moved: f32) -> Vec<u8> {
    let (mut base, mut step) = (noise(seed), noise(seed + 1));
    let unit = |bits: u64| (bits >> 40) as f32 / (1 << 24) as f32 - 0.5;
    let weight = |_| unit(base()) + moved * unit(step());
    (0..count).map(weight).flat_map(f32::to_le_bytes).collect()
}

/// A model whose weights moved by so much, beside bytes that came new.
fn model(moved: f32, producer: &str) -> Vec<u8> {
    let bytes = weights(9, 4000, moved).iter().step_by(4).copied().collect::<Vec<u8>>();
    let tensors = [
        ("conv.weight", 1, &[100, 200][..], weights(3, 20_000, moved)),
        ("conv.bias", 1, &[100], weights(5, 100, moved)),
        ("scale", 1, &[2], weights(6, 2, moved)),
        ("quantised", 3, &[4000], bytes),
    ];
    onnx(&tensors, producer)
}

fn content(bytes: &[u8]) -> Content {
    Content { sha256: Digest::of(bytes), length: bytes.len() as u64 }
}

fn applied(old: &[u8], delta: &[u8], new: &[u8]) -> Result<Vec<u8>, DeltaError> {
    let mut out = Vec::new();
    apply(Cursor::new(old), delta, &Digest::of(old), &content(new), &mut out)?;
    Ok(out)
}

#[test]
fn a_delta_leads_from_the_old_bundle_to_the_new_one() {
    let cases = [
        (tar(&model(0.0, "a")), tar(&model(1e-4, "a"))),
        (tar(&model(0.0, "a")), tar(&model(1e-4, &"longer name ".repeat(300)))),
        (tar(&model(0.0, "a")), tar(&model(0.0, "a"))),
        (tar(b"no onnx"), tar(&model(0.0, "a"))),
        (tar(&model(0.0, "a")), tar(b"x")),
        (b"no bundle".to_vec(), b"nor that one".to_vec()),
        (Vec::new(), vec![7; 5_000_000]),
        (vec![7; 5_000_000], (0..5_000_000_u32).map(|at| (at >> 9) as u8).collect()),
    ];
    for (number, (old, new)) in cases.iter().enumerate() {
        for algorithm in [Algorithm::Tensor, Algorithm::PatchFrom] {
            let delta = make(old, new, algorithm).unwrap();
            assert!(applied(old, &delta, new).unwrap() == *new, "case {number}, {algorithm}");
            assert_eq!(make(old, new, algorithm).unwrap(), delta, "deterministic");
            assert_eq!(Head::read(&delta).unwrap(), Head { from: content(old), to: content(new) });
        }
    }
}

#[test]
fn weights_that_moved_a_little_cost_less_as_differences() {
    let (old, new) = (tar(&model(0.0, "a")), tar(&model(1e-4, "a")));
    let [tensor, patch] =
        [Algorithm::Tensor, Algorithm::PatchFrom].map(|way| make(&old, &new, way).unwrap().len());
    println!("{} bytes: tensor {tensor}, patch-from {patch}", new.len());
    assert!(tensor * 10 < patch * 7 && patch <= new.len());
    // And nothing is lost where the weights have nothing in common.
    let other = tar(&onnx(&[("conv.weight", 1, &[100, 200], weights(77, 20_000, 0.0))], "a"));
    let [tensor, patch] =
        [Algorithm::Tensor, Algorithm::PatchFrom].map(|way| make(&old, &other, way).unwrap().len());
    assert!(tensor <= patch + 100, "{tensor}, {patch}");
}

#[test]
fn weights_are_found_by_name_shape_and_type_and_what_is_strange_is_none() {
    let file = model(0.0, "a");
    let found = onnx::tensors(&file);
    assert_eq!(found.len(), 3, "one is too small to be worth it");
    let conv = &found[&b"conv.weight"[..]];
    assert_eq!((conv.shape.as_slice(), conv.width), (&[100, 200, 1][..], 4));
    assert_eq!(file[conv.bytes.clone()], weights(3, 20_000, 0.0));
    let twice = onnx(&[("a", 1, &[25], vec![1; 100]), ("a", 1, &[25], vec![2; 100])], "");
    assert!(onnx::tensors(&twice).is_empty(), "of two with one name none is taken");
    let odd = onnx(&[("a", 1, &[25], vec![1; 99])], "");
    assert!(onnx::tensors(&odd).is_empty(), "99 bytes are no floats");
    for cut in 0..file.len().min(3000) {
        onnx::tensors(&file[..cut]);
    }
}

#[test]
fn a_delta_for_another_bundle_a_newer_or_a_longer_one_is_refused() {
    let (old, new) = (tar(&model(0.0, "a")), tar(&model(1e-4, "a")));
    let delta = make(&old, &new, Algorithm::Tensor).unwrap();
    assert!(matches!(applied(&new, &delta, &old), Err(DeltaError::Other { .. })));
    let mut longer = content(&new);
    longer.length += 1;
    let result = apply(Cursor::new(&old), &delta[..], &Digest::of(&old), &longer, &mut Vec::new());
    assert!(matches!(result, Err(DeltaError::Other { .. })));
    let mut newer = delta.clone();
    newer[15] = 2;
    assert!(matches!(applied(&old, &newer, &new), Err(DeltaError::Newer(2))));
    let more = [&delta[..], b"x"].concat();
    assert!(matches!(applied(&old, &more, &new), Err(DeltaError::Form { .. })));
    for cut in (0..delta.len()).step_by(97) {
        assert!(applied(&old, &delta[..cut], &new).is_err(), "cut at {cut}");
    }
    assert!("tensor".parse::<Algorithm>().is_ok() && "patch-from".parse::<Algorithm>().is_ok());
    assert!("bsdiff".parse::<Algorithm>().is_err());
}

/// Sizes at the limits of numbers, in every field of a block.
#[test]
fn a_block_that_promises_too_much_is_refused_before_memory_is_taken() {
    let (old, new) = (tar(&model(0.0, "a")), tar(&model(1e-4, "a")));
    let delta = make(&old, &new, Algorithm::Tensor).unwrap();
    for (at, width) in [(0, 4), (4, 4), (8, 8), (16, 4), (20, 4)] {
        for value in [u64::MAX, 1 << 31, (1 << 31) - 1, (8 << 20) + 1, 1 << 63] {
            let mut bad = delta.clone();
            let place = HEAD + at;
            bad[place..place + width].copy_from_slice(&value.to_le_bytes()[..width]);
            if bad != delta {
                // A place of no prefix is read by nobody.
                let harmless = at == 8 && applied(&old, &bad, &new).is_ok_and(|out| out == new);
                assert!(harmless || applied(&old, &bad, &new).is_err(), "{at}: {value}");
            }
        }
    }
}

static HONEST: LazyLock<(Vec<u8>, Vec<u8>, Vec<u8>)> = LazyLock::new(|| {
    let (old, new) = (tar(&model(0.0, "a")), tar(&model(1e-3, "b")));
    let delta = make(&old, &new, Algorithm::Tensor).unwrap();
    (old, new, delta)
});

proptest! {
    #[test]
    fn a_damaged_delta_is_an_error_or_shows_in_the_digest_and_never_panics(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)
    ) {
        let (old, new, delta) = &*HONEST;
        let mut delta = delta.clone();
        for (at, byte) in changes {
            let at = at.index(delta.len());
            delta[at] ^= byte;
        }
        if let Ok(out) = applied(old, &delta, new) {
            prop_assert_eq!(out.len(), new.len());
        }
    }

    #[test]
    fn any_bytes_lead_to_any_others(
        old in prop::collection::vec(any::<u8>(), 0..3000),
        new in prop::collection::vec(any::<u8>(), 0..3000),
    ) {
        let delta = make(&old, &new, Algorithm::Tensor).unwrap();
        prop_assert_eq!(applied(&old, &delta, &new).unwrap(), new);
    }

    #[test]
    fn a_delta_from_anywhere_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let (old, new) = (vec![1; 100], vec![2; 100]);
        let head = Head { from: content(&old), to: content(&new) }.write();
        let _ = applied(&old, &[&head[..], &bytes].concat(), &new);
        let _ = applied(&old, &bytes, &new);
        onnx::tensors(&bytes);
    }

    #[test]
    fn what_is_subtracted_is_added_again(
        pairs in prop::collection::vec(any::<(u64, u64)>(), 1..20), width in prop::sample::select(vec![1, 2, 4, 8_usize])
    ) {
        let (new, old): (Vec<u8>, Vec<u8>) =
            pairs.iter().flat_map(|(new, old)| new.to_le_bytes().into_iter().zip(old.to_le_bytes())).unzip();
        let mut changed = new.clone();
        block::subtract(&mut changed, &old, width);
        block::add(&mut changed, &old, width);
        prop_assert_eq!(changed, new);
    }
}
