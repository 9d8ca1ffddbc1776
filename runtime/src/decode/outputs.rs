//! Finding output tensors by name or shape, and looking at one as a matrix of rows (cells, queries) and columns
//! (values of each).

use std::fmt;

use super::DecodeError;
use crate::infer::{Output, TensorSpec};
use stopline_depot::manifest::Manifest;

/// What a decoder is made from.
pub(super) struct Setup<'a> {
    pub manifest: &'a Manifest,
    pub outputs: &'a [TensorSpec],
}

/// One output that a decoder reads.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// Its place among the outputs.
    pub index: usize,
    /// Its name in the graph.
    pub name: String,
}

impl Setup<'_> {
    /// Number of classes: the manifest has one label for each.
    pub fn classes(&self) -> usize {
        self.manifest.labels.len()
    }

    /// The output that the manifest names for `part`, if it names one.
    pub fn named(&self, part: &str) -> Result<Option<Part>, DecodeError> {
        let Some(name) = self.manifest.decode.outputs.get(part) else { return Ok(None) };
        let at = self.outputs.iter().position(|spec| spec.name == *name);
        let missing = || DecodeError::Shape {
            tensor: name.clone(),
            expected: format!("an output of that name, as decode.outputs.{part} says"),
            found: self.listing(),
            advice: format!("set decode.outputs.{part} to one of these names"),
        };
        at.map(|index| Some(self.part(index))).ok_or_else(missing)
    }

    /// The output for `part`: the one the manifest names, else the only one there is, else the only one that `fits`.
    ///
    /// `expected` describes the shape for the message.
    pub fn only(
        &self,
        part: &str,
        expected: &str,
        fits: impl Fn(&TensorSpec) -> bool,
    ) -> Result<Part, DecodeError> {
        if self.outputs.len() == 1 && !self.manifest.decode.outputs.contains_key(part) {
            return Ok(self.part(0));
        }
        self.search(&Search { part, hints: &[], except: &[] }, expected, fits)
    }

    /// The output for a part: the one the manifest names, else the only one that `fits`; of several that fit, the only
    /// one whose name has the first hint in it, else the second, and so on.
    pub fn search(
        &self,
        search: &Search<'_>,
        expected: &str,
        fits: impl Fn(&TensorSpec) -> bool,
    ) -> Result<Part, DecodeError> {
        if let Some(part) = self.named(search.part)? {
            return Ok(part);
        }
        let free = |at: &usize| !search.except.contains(at) && fits(&self.outputs[*at]);
        let fitting: Vec<usize> = (0..self.outputs.len()).filter(free).collect();
        let sounding = |hint: &&str| {
            let mut sounding = fitting.iter().filter(|&&at| sounds(&self.outputs[at].name, &[*hint]));
            sounding.next().copied().filter(|_| sounding.next().is_none())
        };
        let alone = fitting.first().copied().filter(|_| fitting.len() == 1);
        match alone.or_else(|| search.hints.iter().find_map(sounding)) {
            Some(at) => Ok(self.part(at)),
            None => Err(self.unclear(search.part, expected, !fitting.is_empty())),
        }
    }

    /// That no output, or `several`, fit what was looked for.
    pub fn unclear(&self, part: &str, expected: &str, several: bool) -> DecodeError {
        DecodeError::Shape {
            tensor: part.into(),
            expected: format!("one output of shape {expected}"),
            found: format!(
                "{} of that shape among {}",
                if several { "several" } else { "none" },
                self.listing()
            ),
            advice: format!(
                "name the output in decode.outputs.{part}, or check decoder and labels ({} now)",
                self.classes()
            ),
        }
    }

    /// The output at `index`.
    pub fn part(&self, index: usize) -> Part {
        Part { index, name: self.outputs[index].name.clone() }
    }

    /// The outputs' axes at `part`.
    pub fn dims(&self, part: &Part) -> Dims {
        Dims::of_spec(&self.outputs[part.index])
    }

    /// Names and shapes of all outputs.
    pub fn listing(&self) -> String {
        let each = self.outputs.iter().map(|spec| format!("{:?} {}", spec.name, Dims::of_spec(spec)));
        each.collect::<Vec<_>>().join(", ")
    }
}

/// What is looked for among the outputs.
pub(super) struct Search<'a> {
    /// Its key in `decode.outputs`.
    pub part: &'a str,
    /// What names of such outputs usually have in them, in lower case.
    pub hints: &'a [&'a str],
    /// Outputs that are already taken.
    pub except: &'a [usize],
}

impl Search<'_> {
    /// Whether `name` sounds like this part.
    pub fn sounds(&self, name: &str) -> bool {
        sounds(name, self.hints)
    }
}

/// Whether one of `hints` is in `name`. TensorFlow's `raw_detection_boxes` and the like, which stand beside the results,
/// never count.
fn sounds(name: &str, hints: &[&str]) -> bool {
    let name = name.to_ascii_lowercase();
    hints.iter().any(|hint| name.contains(hint)) && !name.contains("raw_") && !name.contains("multiclass")
}

impl Part {
    /// This part in a run's outputs, its values all finite and as many as its shape says.
    pub fn read<'a>(&self, outputs: &'a [Output]) -> Result<&'a Output, DecodeError> {
        let output = self.find(outputs)?;
        finite(output, output.data.len())?;
        Ok(output)
    }

    /// As [`Part::read`], without looking at the values.
    pub fn find<'a>(&self, outputs: &'a [Output]) -> Result<&'a Output, DecodeError> {
        let output = outputs.get(self.index).ok_or_else(|| {
            self.misfit(
                format!("output number {}", self.index),
                format!("{} outputs", outputs.len()),
                "run the plan this decoder was made for".into(),
            )
        })?;
        let size = output.shape.iter().try_fold(1usize, |size, &axis| size.checked_mul(axis));
        if size != Some(output.data.len()) || output.shape.len() > MAX_RANK {
            let found = format!("{} values in shape {:?}", output.data.len(), output.shape);
            return Err(self.misfit("as many values as the shape says".into(), found, "report this".into()));
        }
        Ok(output)
    }

    /// That this output has not the expected shape.
    pub fn misfit(&self, expected: String, found: impl fmt::Display, advice: String) -> DecodeError {
        DecodeError::Shape { tensor: self.name.clone(), expected, found: found.to_string(), advice }
    }
}

/// Refuses the first `count` values of `output` if one of them is NaN or infinite.
pub(super) fn finite(output: &Output, count: usize) -> Result<(), DecodeError> {
    const EXPONENT: u32 = 0x7f80_0000;
    let values = &output.data[..count.min(output.data.len())];
    // Branchless over the bits, so that it is vectorised: all exponent bits set means NaN or infinity.
    let odd = values.iter().fold(0u32, |odd, value| odd | u32::from(value.to_bits() & EXPONENT == EXPONENT));
    if odd == 0 {
        return Ok(());
    }
    let at = values.iter().position(|value| !value.is_finite()).unwrap_or_default();
    Err(DecodeError::NotFinite { tensor: output.name.clone(), value: values[at], at })
}

/// No output of any family has more axes than this.
const MAX_RANK: usize = 8;

/// Sizes of a tensor's axes; unknown ones fit anything.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Dims {
    axes: [Option<usize>; MAX_RANK],
    rank: usize,
}

impl Dims {
    /// Of the plan's output; axes beyond the eighth are left out and no family expects so many.
    pub fn of_spec(spec: &TensorSpec) -> Self {
        Self::of(spec.shape.iter().copied())
    }

    /// Of a run's output.
    pub fn of_output(output: &Output) -> Self {
        Self::of(output.shape.iter().copied().map(Some))
    }

    fn of(shape: impl Iterator<Item = Option<usize>>) -> Self {
        let (mut axes, mut rank) = ([None; MAX_RANK], 0);
        for size in shape.take(MAX_RANK) {
            axes[rank] = size;
            rank += 1;
        }
        Self { axes, rank }
    }

    /// Sizes of the axes.
    pub fn axes(&self) -> &[Option<usize>] {
        &self.axes[..self.rank]
    }

    /// Without the batch axis, which must be 1: the last `count` axes, the ones before being 1 or unknown.
    pub fn last(&self, count: usize) -> Option<&[Option<usize>]> {
        let (batch, rest) = self.axes().split_at_checked(self.rank.checked_sub(count)?)?;
        batch.iter().all(|axis| axis.is_none_or(|size| size == 1)).then_some(rest)
    }

    /// Rows and columns when read in `order`; `None` where the tensor cannot be read so.
    pub fn table(&self, order: Order) -> Option<[Option<usize>; 2]> {
        let product = |a: Option<usize>, b: Option<usize>| a.zip(b).and_then(|(a, b)| a.checked_mul(b));
        let matrix = match self.rank {
            2 | 3 => self.last(2)?,
            4 => self.last(3)?,
            _ => return None,
        };
        match (matrix, order) {
            (&[rows, columns], Order::Rows) | (&[columns, rows], Order::Columns) => Some([rows, columns]),
            (&[height, width, columns], Order::Rows) => Some([product(height, width), columns]),
            (&[columns, height, width], Order::Columns) => Some([product(height, width), columns]),
            _ => None,
        }
    }

    /// The order of the axes in which the columns satisfy `fits`, `first` being tried first.
    pub fn order(&self, first: Order, fits: impl Fn(usize) -> bool) -> Option<Order> {
        let suits = |order| self.table(order).is_some_and(|[_, columns]| columns.is_none_or(&fits));
        let known = |order| self.table(order).is_some_and(|[_, columns]| columns.is_some_and(&fits));
        let both = [first, first.other()];
        both.into_iter().find(|&order| known(order)).or_else(|| both.into_iter().find(|&order| suits(order)))
    }
}

impl fmt::Display for Dims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each = self.axes().iter().map(|axis| axis.map_or_else(|| "?".into(), |size| size.to_string()));
        write!(f, "[{}]", each.collect::<Vec<_>>().join(", "))
    }
}

/// In which order the axes of a matrix lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// `[1, rows, columns]`, `[rows, columns]` or `[1, h, w, columns]`.
    Rows,
    /// `[1, columns, rows]`, `[columns, rows]` or `[1, columns, h, w]`.
    Columns,
}

impl Order {
    fn other(self) -> Self {
        match self {
            Self::Rows => Self::Columns,
            Self::Columns => Self::Rows,
        }
    }
}

/// A tensor seen as rows and columns.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    pub data: &'a [f32],
    pub rows: usize,
    pub columns: usize,
    pub order: Order,
}

impl<'a> Matrix<'a> {
    /// `output` read in the order in which its columns satisfy `fits`; `None` where there is none.
    pub fn of(output: &'a Output, first: Order, fits: impl Fn(usize) -> bool) -> Option<Self> {
        let dims = Dims::of_output(output);
        let order = dims.order(first, fits)?;
        let [rows, columns] = dims.table(order)?;
        Some(Self { data: &output.data, rows: rows?, columns: columns?, order })
    }

    /// Where the value at `row` and `column` lies in the tensor.
    pub fn index(&self, row: usize, column: usize) -> usize {
        match self.order {
            Order::Rows => row * self.columns + column,
            Order::Columns => column * self.rows + row,
        }
    }

    /// The value at `row` and `column`.
    pub fn at(&self, row: usize, column: usize) -> f32 {
        self.data[self.index(row, column)]
    }

    /// Four values from `column` on: a box.
    pub fn four(&self, row: usize, column: usize) -> [f32; 4] {
        [0, 1, 2, 3].map(|side| self.at(row, column + side))
    }
}

/// What to change when a model has other classes than the manifest labels.
pub(super) fn label_advice(labels: usize, columns: Option<usize>, besides: usize) -> String {
    match columns.and_then(|columns| columns.checked_sub(besides)) {
        Some(classes) if classes != labels && classes > 0 => format!(
            "the manifest has {labels} labels, the model by its shape {classes} classes: give one label per class, or \
             check decoder"
        ),
        _ => format!("check decoder and the number of labels ({labels} now)"),
    }
}

/// The class that the graph's `number` means; `None` for the background, below `first`.
///
/// # Errors
/// A number for which there is no label.
pub(super) fn class_number(
    part: &Part,
    number: f32,
    first: u32,
    labels: usize,
) -> Result<Option<usize>, DecodeError> {
    // Class numbers are small whole numbers; a cast saturates, and what is out of range is refused below.
    #[allow(clippy::cast_possible_truncation)]
    let class = (number.round() as i64).saturating_sub(i64::from(first));
    let Ok(class) = usize::try_from(class) else { return Ok(None) };
    if class < labels {
        return Ok(Some(class));
    }
    Err(part.misfit(
        format!(
            "class numbers {first} to {}: {labels} labels, the first for class {first}",
            labels as u64 + u64::from(first) - 1
        ),
        number,
        "give one label per class, or set decode.first_class".into(),
    ))
}
