//! A tiny writer of ONNX files, for models made at test time: the protobuf messages by hand, field by field (onnx.proto).

/// An ONNX file being written.
#[derive(Clone, Default)]
pub struct Onnx {
    graph: Vec<u8>,
    nodes: usize,
}

/// A size in a stated shape.
#[derive(Clone, Copy)]
pub enum Dim {
    /// This one.
    Is(usize),
    /// Any, under this name.
    Open(&'static str),
}

/// Shape of which every size is stated.
pub fn fixed(sizes: &[usize]) -> Vec<Dim> {
    sizes.iter().copied().map(Dim::Is).collect()
}

/// Type of a tensor's values, by ONNX's numbers.
#[derive(Clone, Copy)]
#[repr(u8)]
pub enum Kind {
    /// f32.
    F32 = 1,
    /// u8.
    U8 = 2,
    /// i32.
    I32 = 6,
    /// i64.
    I64 = 7,
    /// Truth value.
    Bool = 9,
    /// f16.
    F16 = 10,
    /// f64.
    F64 = 11,
}

/// An attribute of a node.
pub enum Attribute {
    /// A whole number.
    Int(&'static str, u64),
    /// Whole numbers.
    Ints(&'static str, Vec<u64>),
}

impl Onnx {
    /// Adds an input.
    pub fn input(self, name: &str, kind: Kind, shape: &[Dim]) -> Self {
        self.value(11, name, kind, shape)
    }

    /// Adds an output.
    pub fn output(self, name: &str, kind: Kind, shape: &[Dim]) -> Self {
        self.value(12, name, kind, shape)
    }

    /// States the shape of a value inside the graph.
    pub fn stated(self, name: &str, kind: Kind, shape: &[Dim]) -> Self {
        self.value(13, name, kind, shape)
    }

    /// Adds a node called `node_0`, `node_1`, …
    pub fn node(mut self, op: &str, inputs: &[&str], outputs: &[&str], attributes: &[Attribute]) -> Self {
        let mut node = Vec::new();
        inputs.iter().for_each(|name| bytes(&mut node, 1, name.as_bytes()));
        outputs.iter().for_each(|name| bytes(&mut node, 2, name.as_bytes()));
        bytes(&mut node, 3, format!("node_{}", self.nodes).as_bytes());
        bytes(&mut node, 4, op.as_bytes());
        for attribute in attributes {
            let mut message = Vec::new();
            match attribute {
                Attribute::Int(name, value) => {
                    bytes(&mut message, 1, name.as_bytes());
                    number(&mut message, 3, *value);
                    number(&mut message, 20, 2);
                }
                Attribute::Ints(name, values) => {
                    bytes(&mut message, 1, name.as_bytes());
                    values.iter().for_each(|value| number(&mut message, 8, *value));
                    number(&mut message, 20, 7);
                }
            }
            bytes(&mut node, 5, &message);
        }
        bytes(&mut self.graph, 1, &node);
        self.nodes += 1;
        self
    }

    /// Adds weights.
    pub fn weights(self, name: &str, sizes: &[usize], values: &[f32]) -> Self {
        let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.tensor(name, Kind::F32, sizes, |tensor| bytes(tensor, 9, &raw))
    }

    /// Adds whole numbers, such as a shape.
    pub fn numbers(self, name: &str, values: &[i64]) -> Self {
        let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.tensor(name, Kind::I64, &[values.len()], |tensor| bytes(tensor, 9, &raw))
    }

    /// Adds weights that lie in `file` beside the model.
    pub fn weights_in(self, name: &str, sizes: &[usize], file: &str) -> Self {
        self.tensor(name, Kind::F32, sizes, |tensor| {
            let mut entry = Vec::new();
            bytes(&mut entry, 1, b"location");
            bytes(&mut entry, 2, file.as_bytes());
            bytes(tensor, 13, &entry);
            number(tensor, 14, 1);
        })
    }

    fn tensor(mut self, name: &str, kind: Kind, sizes: &[usize], data: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut tensor = Vec::new();
        sizes.iter().for_each(|size| number(&mut tensor, 1, *size as u64));
        number(&mut tensor, 2, kind as u64);
        bytes(&mut tensor, 8, name.as_bytes());
        data(&mut tensor);
        bytes(&mut self.graph, 5, &tensor);
        self
    }

    fn value(mut self, field: u8, name: &str, kind: Kind, shape: &[Dim]) -> Self {
        let mut axes = Vec::new();
        for dim in shape {
            let mut axis = Vec::new();
            match dim {
                Dim::Is(size) => number(&mut axis, 1, *size as u64),
                Dim::Open(name) => bytes(&mut axis, 2, name.as_bytes()),
            }
            bytes(&mut axes, 1, &axis);
        }
        let (mut tensor, mut typed, mut value) = (Vec::new(), Vec::new(), Vec::new());
        number(&mut tensor, 1, kind as u64);
        bytes(&mut tensor, 2, &axes);
        bytes(&mut typed, 1, &tensor);
        bytes(&mut value, 1, name.as_bytes());
        bytes(&mut value, 2, &typed);
        bytes(&mut self.graph, field, &value);
        self
    }

    /// The file, for operator set 13, with this metadata.
    pub fn file(&self, metadata: &[(&str, &str)]) -> Vec<u8> {
        let (mut file, mut set, mut graph) = (Vec::new(), Vec::new(), self.graph.clone());
        bytes(&mut graph, 2, b"made for a test");
        number(&mut file, 1, 8);
        bytes(&mut file, 2, b"stopline-tests");
        bytes(&mut file, 7, &graph);
        number(&mut set, 2, 13);
        bytes(&mut file, 8, &set);
        for (key, value) in metadata {
            let mut entry = Vec::new();
            bytes(&mut entry, 1, key.as_bytes());
            bytes(&mut entry, 2, value.as_bytes());
            bytes(&mut file, 14, &entry);
        }
        file
    }
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn number(out: &mut Vec<u8>, field: u8, value: u64) {
    varint(out, u64::from(field) << 3);
    varint(out, value);
}

fn bytes(out: &mut Vec<u8>, field: u8, value: &[u8]) {
    varint(out, u64::from(field) << 3 | 2);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}
