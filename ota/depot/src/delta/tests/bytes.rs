//! What three kinds of new model cost: full, as patch-from and as tensor delta.
//!
//! The pairs are made from a real model's weights, for want of two real trainings of one: *fine-tuned* moves every weight by
//! up to a thousandth of its tensor's spread, as a short training at a low rate does; *int8 fine-tuned* rounds both to int8
//! with the old scales, the movement ten times as large; *retrained* shuffles every tensor, which keeps the distribution and
//! nothing else. Real trainings lie between the first and the last.

use std::io::Write as _;

use super::*;
use crate::bundle::packed::pack;

/// f32 in TensorProto.DataType, and int8.
const F32: u64 = 1;
const INT8: u64 = 3;

#[test]
fn bytes_of_full_patch_from_and_tensor_delta_for_three_pairs_of_models() {
    let full = std::env::var_os("STOPLINE_FULL").is_some_and(|value| value != "0");
    let name = if full { "yolox_nano_416.onnx" } else { "fastestdet_352.onnx" };
    let Some(model) = field_model(name) else { return };
    let (old_int8, new_int8) = (int8(&model, 0.0), int8(&model, 1e-2));
    println!("{name}; bytes of bundle.tar, .slb, patch-from, tensor");
    for (story, old, new, expected) in [
        ("fine-tuned", &model, &fine_tuned(&model, 1e-3), 0.8),
        ("int8 fine-tuned", &old_int8, &new_int8, 0.5),
        ("retrained", &model, &shuffled(&model), 1.01),
    ] {
        let (old, new) = (tar(old), tar(new));
        let mut slb = Vec::new();
        pack(&Bundle::read(&new).unwrap(), &mut slb).unwrap();
        let [patch, tensor] = [Algorithm::PatchFrom, Algorithm::Tensor].map(|way| {
            let delta = make(&old, &new, way).unwrap();
            assert!(applied(&old, &delta, &new).unwrap() == new, "{story}, {way}");
            delta.len()
        });
        let share = |bytes: usize| 100.0 * bytes as f64 / slb.len() as f64;
        println!(
            "{story}: {} {} {patch} ({:.1} % of .slb) {tensor} ({:.1} %)",
            new.len(),
            slb.len(),
            share(patch),
            share(tensor)
        );
        assert!((tensor as f64) < expected * slb.len() as f64, "{story}");
    }
}

/// A model of the field data; without it the reason goes where skipped stages are listed.
fn field_model(name: &str) -> Option<Vec<u8>> {
    let reason = match std::env::var_os("STOPLINE_FIELD_DATA") {
        None => "STOPLINE_FIELD_DATA is not set".to_owned(),
        Some(folder) => match std::fs::read(std::path::Path::new(&folder).join("models").join(name)) {
            Ok(model) => return Some(model),
            Err(error) => format!("{name}: {error}"),
        },
    };
    println!("skipped: {reason}");
    if let Some(list) = std::env::var_os("STOPLINE_SKIPS") {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(list);
        writeln!(file.unwrap(), "bytes of deltas: skipped: {reason}").unwrap();
    }
    None
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect()
}

/// Root of the mean square.
fn spread(weights: &[f32]) -> f32 {
    (weights.iter().map(|weight| weight * weight).sum::<f32>() / weights.len() as f32).sqrt()
}

/// Every f32 tensor, changed.
fn changed(model: &[u8], mut change: impl FnMut(&mut Vec<f32>)) -> Vec<u8> {
    let mut new = model.to_vec();
    let mut tensors: Vec<_> = onnx::tensors(model).into_values().collect();
    tensors.retain(|tensor| tensor.shape.last() == Some(&F32));
    assert!(tensors.iter().map(|tensor| tensor.bytes.len()).sum::<usize>() * 10 > model.len() * 8);
    for tensor in tensors {
        let mut weights = floats(&model[tensor.bytes.clone()]);
        change(&mut weights);
        let bytes: Vec<u8> = weights.into_iter().flat_map(f32::to_le_bytes).collect();
        new[tensor.bytes].copy_from_slice(&bytes);
    }
    new
}

fn fine_tuned(model: &[u8], share: f32) -> Vec<u8> {
    let mut random = noise(11);
    changed(model, |weights| {
        let step = share * spread(weights);
        weights.iter_mut().for_each(|weight| *weight += step * unit(random()));
    })
}

fn shuffled(model: &[u8]) -> Vec<u8> {
    let mut random = noise(12);
    changed(model, |weights| {
        for at in (1..weights.len()).rev() {
            weights.swap(at, random() as usize % (at + 1));
        }
    })
}

/// The weights alone, in int8 with one scale per tensor, which does not change when they move.
fn int8(model: &[u8], share: f32) -> Vec<u8> {
    let mut random = noise(13);
    let tensors = onnx::tensors(model);
    let tensors = tensors.iter().filter(|(_, tensor)| tensor.shape.last() == Some(&F32));
    let rounded = tensors.map(|(name, tensor)| {
        let weights = floats(&model[tensor.bytes.clone()]);
        let scale = weights.iter().fold(0.0_f32, |most, weight| most.max(weight.abs())) / 127.0;
        let step = share * spread(&weights);
        let round = |weight: &f32| ((weight + step * unit(random())) / scale.max(1e-20)).round() as i8 as u8;
        (std::str::from_utf8(name).unwrap(), &tensor.shape, weights.iter().map(round).collect::<Vec<u8>>())
    });
    let rounded: Vec<_> = rounded.collect();
    let tensors =
        rounded.iter().map(|(name, shape, bytes)| (*name, INT8, &shape[..shape.len() - 1], bytes.clone()));
    onnx(&tensors.collect::<Vec<_>>(), "int8")
}

/// From -1 to 1.
fn unit(bits: u64) -> f32 {
    (bits >> 40) as f32 / (1 << 23) as f32 - 1.0
}
