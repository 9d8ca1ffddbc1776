//! ONNX's `Resize`, versions 10 to 19, and `Upsample`: where each row and column of the result comes from.

use stopline_kernels::Map;

use super::constants::{Constants, Node, NotCovered};

/// Source coordinates.
pub(super) struct Wanted {
    pub rows: Vec<f32>,
    pub columns: Vec<f32>,
    pub linear: bool,
}

pub(super) fn wanted(node: Node<'_>, constants: &Constants<'_>, from: &Map) -> Result<Wanted, NotCovered> {
    let linear = match node.text("mode", "nearest")? {
        "nearest" => false,
        "linear" => true,
        other => return Err(format!("mode {other}")),
    };
    if node.int("antialias", 0) != 0 || node.int("exclude_outside", 0) != 0 || node.ints("axes").is_some() {
        return Err("antialias, exclude_outside or axes".into());
    }
    // Resize 10 and Upsample know no modes: they are asymmetric, and take the nearest below.
    let old = node.0.op_type == "Upsample" || node.0.input.len() == 2;
    let (transformation, nearest) = if old {
        ("asymmetric", "floor")
    } else {
        let transformation = node.text("coordinate_transformation_mode", "half_pixel")?;
        (transformation, node.text("nearest_mode", "round_prefer_floor")?)
    };
    let scales = match (old, node.input(if old { 1 } else { 2 })) {
        (_, Some(name)) => constants.floats(name)?.1,
        (_, None) => Vec::new(),
    };
    let sizes = match node.input(3) {
        Some(name) if !old => constants.ints(name)?,
        _ => Vec::new(),
    };
    let source = [1, from.channels(), from.height(), from.width()];
    let mut axes = Vec::new();
    for (at, length) in source.into_iter().enumerate() {
        let (count, scale) = target(&scales, &sizes, at, length)?;
        if at < 2 {
            if count != length {
                return Err("another number of channels".into());
            }
            continue;
        }
        axes.push(coordinates(transformation, (!linear).then_some(nearest), count, scale, length)?);
    }
    let (Some(columns), Some(rows)) = (axes.pop(), axes.pop()) else { return Err("no axes".into()) };
    Ok(Wanted { rows, columns, linear })
}

/// Length of the result, and its relation to the source's.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "checked to be within 1 to 65536"
)]
fn target(scales: &[f32], sizes: &[i64], at: usize, length: usize) -> Result<(usize, f32), NotCovered> {
    let (count, scale) = match (scales, sizes) {
        ([_, _, _, _], []) => {
            let scale = scales[at];
            let count = (length as f32 * scale).floor();
            if !(1.0..=65_536.0).contains(&count) {
                return Err(format!("a scale of {scale}"));
            }
            (count as usize, scale)
        }
        ([], [_, _, _, _]) => {
            let count = usize::try_from(sizes[at]).ok().filter(|count| (1..=65_536).contains(count));
            let count = count.ok_or_else(|| format!("a size of {}", sizes[at]))?;
            (count, count as f32 / length as f32)
        }
        _ => return Err("scales or sizes that are not four constants".into()),
    };
    Ok((count, scale))
}

#[allow(clippy::cast_precision_loss, reason = "lengths up to 65536")]
fn coordinates(
    transformation: &str,
    nearest: Option<&str>,
    count: usize,
    scale: f32,
    length: usize,
) -> Result<Vec<f32>, NotCovered> {
    let one = |at: usize| {
        let at = at as f32;
        let source = match transformation {
            "asymmetric" => at / scale,
            "half_pixel" => (at + 0.5) / scale - 0.5,
            "pytorch_half_pixel" if count == 1 => 0.0,
            "pytorch_half_pixel" => (at + 0.5) / scale - 0.5,
            "align_corners" if count == 1 => 0.0,
            "align_corners" => at * (length - 1) as f32 / (count - 1) as f32,
            other => return Err(format!("coordinate_transformation_mode {other}")),
        };
        Ok(match nearest {
            None => source,
            Some("floor") => source.floor(),
            Some("ceil") => source.ceil(),
            Some("round_prefer_floor") => (source - 0.5).ceil(),
            Some("round_prefer_ceil") => (source + 0.5).floor(),
            Some(other) => return Err(format!("nearest_mode {other}")),
        })
    };
    (0..count).map(one).collect()
}
