//! Inputs besides the picture: their shapes, and what they are filled with for each frame.

use stopline_depot::manifest::{ColourOrder, ExtraValue, Layout, Manifest};

use crate::infer::{Element, Tensor, TensorData, TensorSpec};
use crate::prepare::geometry::Geometry;

/// Shapes of all inputs for a picture of `size` (across, down). What the file leaves open: the batch is 1, and an extra
/// input with further open axes (a mask) gets rows and columns of the picture.
pub(super) fn shapes(
    inputs: &[TensorSpec],
    picture: &str,
    manifest: &Manifest,
    size: [u32; 2],
) -> Vec<(String, Vec<usize>)> {
    let [width, height] = size.map(|side| side as usize);
    let shape = |input: &TensorSpec| -> Vec<usize> {
        if input.name == picture {
            return picture_shape(manifest, input.shape.len(), [width, height]);
        }
        let mut open = [1, height, width].into_iter();
        if input.shape.is_empty() {
            return if matches!(value(manifest, &input.name), Some(ExtraValue::Constant(_)) | None) {
                vec![]
            } else {
                vec![1, 2]
            };
        }
        // Axis 0 is the batch whether it is stated or not.
        let first = input.shape.first().copied().flatten();
        if first.is_some() {
            open.next();
        }
        input.shape.iter().map(|axis| axis.unwrap_or_else(|| open.next().unwrap_or(1))).collect()
    };
    inputs.iter().map(|input| (input.name.clone(), shape(input))).collect()
}

fn picture_shape(manifest: &Manifest, rank: usize, [width, height]: [usize; 2]) -> Vec<usize> {
    let channels = if manifest.input.colour == ColourOrder::Grey { 1 } else { 3 };
    let whole = match manifest.input.layout {
        Layout::Nchw => [1, channels, height, width],
        Layout::Nhwc => [1, height, width, channels],
    };
    if rank == 3 { whole[1..].to_vec() } else { whole.to_vec() }
}

fn value<'a>(manifest: &'a Manifest, name: &str) -> Option<&'a ExtraValue> {
    manifest.input.extra.iter().find(|extra| extra.name == name).map(|extra| &extra.value)
}

/// An input besides the picture, and its place among the inputs.
pub(super) struct Extra {
    pub at: usize,
    value: ExtraValue,
}

impl Extra {
    /// The input for `spec` at place `at`, with its tensor.
    ///
    /// # Errors
    /// Expected and found, where it cannot be filled so.
    pub(super) fn new(manifest: &Manifest, at: usize, spec: &TensorSpec) -> Result<(Self, Tensor), String> {
        let value = value(manifest, &spec.name).ok_or("the manifest does not say what it is given")?.clone();
        let shape: Vec<usize> = spec.shape.iter().map(|size| size.unwrap_or(1)).collect();
        let count = shape.iter().try_fold(1usize, |product, size| product.checked_mul(*size));
        let count =
            count.filter(|count| *count <= MOST_VALUES).ok_or_else(|| format!("{spec} is too large"))?;
        let given = match &value {
            ExtraValue::Constant(numbers) => numbers.len(),
            _ => 2,
        };
        if given != count && !(given == 1 && count > 0) {
            return Err(format!("{spec} takes {count} numbers, {given} given"));
        }
        let data = match spec.element {
            Element::F32 => TensorData::F32(vec![0.0; count]),
            Element::F16 => TensorData::F16(vec![half::f16::ZERO; count]),
            Element::U8 => TensorData::U8(vec![0; count]),
            Element::I32 => TensorData::I32(vec![0; count]),
            Element::I64 => TensorData::I64(vec![0; count]),
            other => return Err(format!("type {other}; expected f32, f16, u8, i32 or i64")),
        };
        let mut tensor = Tensor { shape, data };
        if let ExtraValue::Constant(numbers) = &value {
            write(&mut tensor.data, numbers);
        }
        Ok((Self { at, value }, tensor))
    }

    /// Fills `tensor` for a frame that lies on the input as `geometry` says.
    pub(super) fn fill(&self, geometry: &Geometry, tensor: &mut Tensor) {
        #[allow(clippy::cast_precision_loss, reason = "sides are at most 32768")]
        let pair = |[w, h]: [u32; 2]| [w as f32, h as f32];
        let [w, h] = pair(geometry.source);
        let [iw, ih] = pair(geometry.input);
        match self.value {
            ExtraValue::SourceWh => write(&mut tensor.data, &[w, h]),
            ExtraValue::SourceHw => write(&mut tensor.data, &[h, w]),
            ExtraValue::InputWh => write(&mut tensor.data, &[iw, ih]),
            ExtraValue::InputHw => write(&mut tensor.data, &[ih, iw]),
            ExtraValue::ScaleHw => write(&mut tensor.data, &[geometry.scale[1], geometry.scale[0]]),
            ExtraValue::Constant(_) => {}
        }
    }
}

/// Most values of an extra input: a mask over the largest picture input.
const MOST_VALUES: usize = 8192 * 8192;

/// One number fills the whole tensor.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast saturates; sizes and flags fit"
)]
fn write(data: &mut TensorData, numbers: &[f32]) {
    let numbers = numbers.iter().copied().cycle();
    match data {
        TensorData::F32(values) => values.iter_mut().zip(numbers).for_each(|(value, number)| *value = number),
        TensorData::F16(values) => {
            values.iter_mut().zip(numbers).for_each(|(value, number)| *value = half::f16::from_f32(number));
        }
        TensorData::U8(values) => {
            values.iter_mut().zip(numbers).for_each(|(value, number)| *value = number.round() as u8)
        }
        TensorData::I32(values) => {
            values.iter_mut().zip(numbers).for_each(|(value, number)| *value = number.round() as i32)
        }
        TensorData::I64(values) => {
            values.iter_mut().zip(numbers).for_each(|(value, number)| *value = number.round() as i64)
        }
    }
}
