//! Where the weights of an ONNX file lie. Reads just enough of protobuf's wire format (protobuf.dev/programming-guides/
//! encoding) to find initializers; what it does not understand is no weight.
//!
//! onnx.proto: ModelProto.graph = 7, GraphProto.initializer = 5, TensorProto.dims = 1, .data_type = 2, .float_data = 4,
//! .name = 8, .raw_data = 9.

use std::collections::BTreeMap;
use std::ops::Range;

/// Initializers, at most; the others are no weights to it.
const MAX_TENSORS: usize = 1 << 16;
/// Dimensions, at most.
const MAX_DIMENSIONS: usize = 16;
/// Bytes below which a tensor is not worth a segment.
const SMALLEST: usize = 64;

/// A tensor's weights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    /// Shape and type: only tensors that agree in it are compared.
    pub shape: Vec<u64>,
    /// Bytes of an element.
    pub width: usize,
    /// Where its values lie in the file, little-endian (TensorProto.raw_data).
    pub bytes: Range<usize>,
}

/// Initializers with raw values by name. Of a name that comes twice none is taken.
pub fn tensors(model: &[u8]) -> BTreeMap<&[u8], Tensor> {
    let mut found: BTreeMap<&[u8], Option<Tensor>> = BTreeMap::new();
    let graphs = Fields { message: model, at: 0 }.filter_map(|(number, value)| value.bytes_of(number, 7));
    for graph in graphs {
        let fields = Fields { message: &model[..graph.end], at: graph.start };
        for place in fields.filter_map(|(number, value)| value.bytes_of(number, 5)).take(MAX_TENSORS) {
            let Some((name, tensor)) = tensor(model, place) else { continue };
            found.entry(name).and_modify(|twice| *twice = None).or_insert(Some(tensor));
        }
    }
    found.into_iter().filter_map(|(name, tensor)| Some((name, tensor?))).collect()
}

fn tensor(model: &[u8], place: Range<usize>) -> Option<(&[u8], Tensor)> {
    let (mut name, mut shape, mut kind, mut values) = (None, Vec::new(), 0, None);
    for (number, value) in (Fields { message: &model[..place.end], at: place.start }) {
        match (number, value) {
            (1, Value::Number(dimension)) => shape.push(dimension),
            (1, Value::Bytes(packed)) => {
                let mut reader = Fields { message: &model[..packed.end], at: packed.start };
                while shape.len() <= MAX_DIMENSIONS {
                    let Some(dimension) = reader.varint() else { break };
                    shape.push(dimension);
                }
            }
            (2, Value::Number(number)) => kind = number,
            (8, Value::Bytes(place)) => name = Some(place),
            // Values that come in two pieces are none.
            (4 | 9, Value::Bytes(_)) if values.is_some() => return None,
            (4 | 9, Value::Bytes(place)) => values = Some(place),
            _ => {}
        }
    }
    let bytes = values.filter(|place| place.len() >= SMALLEST)?;
    let width = width(kind);
    if shape.len() > MAX_DIMENSIONS || !bytes.len().is_multiple_of(width) {
        return None;
    }
    shape.push(kind);
    Some((&model[name?], Tensor { shape, width, bytes }))
}

/// Bytes of an element, by TensorProto.DataType; 1 for what is packed or not known.
fn width(kind: u64) -> usize {
    match kind {
        4 | 5 | 10 | 16 => 2,
        1 | 6 | 12 => 4,
        7 | 11 | 13 => 8,
        _ => 1,
    }
}

/// A field's value.
enum Value {
    Number(u64),
    Bytes(Range<usize>),
}

impl Value {
    fn bytes_of(self, number: u64, wanted: u64) -> Option<Range<usize>> {
        match self {
            Self::Bytes(place) if number == wanted => Some(place),
            _ => None,
        }
    }
}

/// The fields of one message; it ends at what it does not understand.
struct Fields<'a> {
    message: &'a [u8],
    at: usize,
}

impl Iterator for Fields<'_> {
    type Item = (u64, Value);

    fn next(&mut self) -> Option<(u64, Value)> {
        let key = self.varint()?;
        let (number, wire) = (key >> 3, key & 7);
        let skip = match wire {
            0 => return Some((number, Value::Number(self.varint()?))),
            1 => 8,
            2 => usize::try_from(self.varint()?).ok()?,
            5 => 4,
            _ => return None,
        };
        let begin = self.at;
        let end = begin.checked_add(skip).filter(|end| *end <= self.message.len())?;
        self.at = end;
        Some((number, Value::Bytes(begin..end)))
    }
}

impl Fields<'_> {
    /// At most ten bytes of seven bits.
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = *self.message.get(self.at)?;
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}
