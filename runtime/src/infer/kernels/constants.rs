//! What a graph holds as numbers: initializers and `Constant` nodes; and the attributes of a node.

use std::collections::HashMap;

use super::quantized::QuantizedConstant;
use crate::infer::graph::pb;
use pb::tensor_proto::DataType;

/// Why a node is left to tract.
pub(super) type NotCovered = String;

/// The graph's constants by name.
pub(super) struct Constants<'a> {
    tensors: HashMap<&'a str, &'a pb::TensorProto>,
    /// What DequantizeLinear makes of constants: shape and values, and the whole numbers.
    dequantized: HashMap<&'a str, (Floats, QuantizedConstant)>,
    /// What Reshape makes of constants.
    reshaped: HashMap<&'a str, Floats>,
}

/// Shape and values.
pub(super) type Floats = (Vec<usize>, Vec<f32>);

impl<'a> Constants<'a> {
    pub fn of(graph: &'a pb::GraphProto) -> Self {
        let mut found: HashMap<&str, &pb::TensorProto> =
            graph.initializer.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
        for node in graph.node.iter().filter(|node| node.op_type == "Constant") {
            let value = node.attribute.iter().find(|attribute| attribute.name == "value");
            if let (Some(tensor), Some(name)) =
                (value.and_then(|value| value.t.as_ref()), node.output.first())
            {
                found.insert(name, tensor);
            }
        }
        Self { tensors: found, dequantized: HashMap::new(), reshaped: HashMap::new() }
    }

    pub fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
            || self.dequantized.contains_key(name)
            || self.reshaped.contains_key(name)
    }

    /// What Reshape makes of a constant.
    pub fn put_reshaped(&mut self, name: &'a str, floats: Floats) {
        self.reshaped.insert(name, floats);
    }

    /// What DequantizeLinear makes of a constant.
    pub fn put(&mut self, name: &'a str, floats: Floats, quantized: QuantizedConstant) {
        self.dequantized.insert(name, (floats, quantized));
    }

    /// The whole numbers of a constant that DequantizeLinear makes.
    pub fn quantized(&self, name: &str) -> Option<&QuantizedConstant> {
        self.dequantized.get(name).map(|(_, quantized)| quantized)
    }

    /// Least and greatest number of an eight-bit constant's type.
    pub fn eight_bits(&self, name: &str) -> Result<(i32, i32), NotCovered> {
        match DataType::try_from(self.tensor(name)?.data_type) {
            Ok(DataType::Uint8) => Ok((0, 255)),
            Ok(DataType::Int8) => Ok((-128, 127)),
            _ => Err(format!("constant {name:?} has not eight bits")),
        }
    }

    /// Shape and values of a constant of whole numbers with 8 or 32 bits.
    pub fn whole(&self, name: &str) -> Result<(Vec<usize>, Vec<i32>), NotCovered> {
        let tensor = self.tensor(name)?;
        let shape = shape(tensor)?;
        let raw = &tensor.raw_data;
        let values: Vec<i32> = match DataType::try_from(tensor.data_type) {
            Ok(DataType::Uint8 | DataType::Int8 | DataType::Int32) if raw.is_empty() => {
                tensor.int32_data.clone()
            }
            Ok(DataType::Uint8) => raw.iter().map(|byte| i32::from(*byte)).collect(),
            Ok(DataType::Int8) => raw.iter().map(|byte| i32::from(byte.cast_signed())).collect(),
            Ok(DataType::Int32) => {
                raw.as_chunks::<4>().0.iter().map(|bytes| i32::from_le_bytes(*bytes)).collect()
            }
            _ => return Err(format!("constant {name:?} is not of whole numbers with 8 or 32 bits")),
        };
        counted(name, &shape, values.len())?;
        Ok((shape, values))
    }

    /// Shape and values of an f32 constant.
    pub fn floats(&self, name: &str) -> Result<(Vec<usize>, Vec<f32>), NotCovered> {
        if let Some((floats, _)) = self.dequantized.get(name) {
            return Ok(floats.clone());
        }
        if let Some(floats) = self.reshaped.get(name) {
            return Ok(floats.clone());
        }
        let tensor = self.tensor(name)?;
        let shape = shape(tensor)?;
        if tensor.data_type != DataType::Float as i32 {
            return Err(format!("constant {name:?} is not f32"));
        }
        let values = if tensor.raw_data.is_empty() {
            tensor.float_data.clone()
        } else {
            let (values, rest) = tensor.raw_data.as_chunks::<4>();
            if !rest.is_empty() {
                return Err(format!("constant {name:?} ends within a number"));
            }
            values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
        };
        counted(name, &shape, values.len())?;
        Ok((shape, values))
    }

    /// Values of an i64 constant.
    pub fn ints(&self, name: &str) -> Result<Vec<i64>, NotCovered> {
        let tensor = self.tensor(name)?;
        let shape = shape(tensor)?;
        if tensor.data_type != DataType::Int64 as i32 {
            return Err(format!("constant {name:?} is not i64"));
        }
        let values: Vec<i64> = if tensor.raw_data.is_empty() {
            tensor.int64_data.clone()
        } else {
            tensor.raw_data.as_chunks::<8>().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect()
        };
        counted(name, &shape, values.len())?;
        Ok(values)
    }

    /// Rank of a constant of any type.
    pub fn rank(&self, name: &str) -> Result<usize, NotCovered> {
        self.tensor(name).map(|tensor| tensor.dims.len())
    }

    fn tensor(&self, name: &str) -> Result<&'a pb::TensorProto, NotCovered> {
        let tensor = self.tensors.get(name).copied().ok_or_else(|| format!("{name:?} is no constant"))?;
        if tensor.data_location.is_some_and(|place| place != 0) || !tensor.external_data.is_empty() {
            return Err(format!("constant {name:?} lies outside the file"));
        }
        Ok(tensor)
    }
}

fn shape(tensor: &pb::TensorProto) -> Result<Vec<usize>, NotCovered> {
    let size = |size: &i64| {
        usize::try_from(*size).map_err(|_| format!("constant {:?} has a negative size", tensor.name))
    };
    tensor.dims.iter().map(size).collect()
}

fn counted(name: &str, shape: &[usize], found: usize) -> Result<(), NotCovered> {
    let expected = shape.iter().try_fold(1usize, |product, size| product.checked_mul(*size));
    if expected == Some(found) {
        return Ok(());
    }
    Err(format!("constant {name:?} of shape {shape:?} holds {found} values"))
}

/// A node with its attributes by name.
#[derive(Clone, Copy)]
pub(super) struct Node<'a>(pub &'a pb::NodeProto);

impl<'a> Node<'a> {
    fn attribute(&self, name: &str) -> Option<&'a pb::AttributeProto> {
        self.0.attribute.iter().find(|attribute| attribute.name == name)
    }

    pub fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).map_or(default, |attribute| attribute.i)
    }

    pub fn float(&self, name: &str, default: f32) -> f32 {
        self.attribute(name).map_or(default, |attribute| attribute.f)
    }

    pub fn text(&self, name: &str, default: &'static str) -> Result<&'a str, NotCovered> {
        match self.attribute(name) {
            None => Ok(default),
            Some(attribute) => {
                std::str::from_utf8(&attribute.s).map_err(|_| format!("attribute {name} is no text"))
            }
        }
    }

    /// `None` where the attribute is not there.
    pub fn ints(&self, name: &str) -> Option<&'a [i64]> {
        self.attribute(name).map(|attribute| attribute.ints.as_slice())
    }

    /// `N` sizes, each `default` where the attribute is not there.
    pub fn sizes<const N: usize>(&self, name: &str, default: usize) -> Result<[usize; N], NotCovered> {
        let Some(values) = self.ints(name) else { return Ok([default; N]) };
        let wrong = || format!("attribute {name} is {values:?}, not {N} sizes");
        let values: [i64; N] = values.try_into().map_err(|_| wrong())?;
        let mut sizes = [0; N];
        for (size, value) in sizes.iter_mut().zip(values) {
            *size = usize::try_from(value).map_err(|_| wrong())?;
        }
        Ok(sizes)
    }

    /// The input at `at`; `None` where it is left out.
    pub fn input(&self, at: usize) -> Option<&'a str> {
        self.0.input.get(at).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// The input at `at`.
    pub fn needs(&self, at: usize) -> Result<&'a str, NotCovered> {
        self.input(at).ok_or_else(|| format!("it has no input {at}"))
    }

    /// Its name, else that of what it makes.
    pub fn name(&self) -> &'a str {
        let output = || self.0.output.first().map(String::as_str).unwrap_or_default();
        if self.0.name.is_empty() { output() } else { &self.0.name }
    }

    /// Inputs that are there.
    pub fn inputs(self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.0.input.iter().map(String::as_str).filter(|name| !name.is_empty())
    }
}

/// `axis`, counted from the end where it is negative.
pub(super) fn axis(axis: i64, rank: usize) -> Result<usize, NotCovered> {
    let signed = i64::try_from(rank).unwrap_or(i64::MAX);
    let counted = if axis < 0 { axis.saturating_add(signed) } else { axis };
    usize::try_from(counted).ok().filter(|axis| *axis < rank).ok_or_else(|| format!("axis {axis} of {rank}"))
}
