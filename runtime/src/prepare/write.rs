//! Bytes → normalised values, in the tensor's order and type.

use half::f16;
use stopline_depot::manifest::{ColourOrder, Dtype, Fill, Input, Layout};

use crate::infer::{Tensor, TensorData};

/// How a byte of each channel becomes a value, and where it goes.
#[derive(Clone)]
pub(super) struct Writer {
    layout: Layout,
    /// Pixels across and down.
    size: [usize; 2],
    channels: usize,
    /// A value is byte × `gain` + `shift`: (byte × scale − mean) ÷ std with one operation less. Per channel.
    gain: [f32; 3],
    shift: [f32; 3],
    table: Table,
}

/// The value of each byte of each channel, for the types that arithmetic on whole vectors does not reach.
#[derive(Clone)]
enum Table {
    F32([[f32; 256]; 3]),
    F16([[f16; 256]; 3]),
    U8([[u8; 256]; 3]),
    I32([[i32; 256]; 3]),
}

/// Part of the input: x, y, width, height.
pub(super) type Area = [usize; 4];

impl Writer {
    pub(super) fn new(input: &Input, size: [usize; 2]) -> Self {
        let gain = input.std.map(|std| input.scale / std);
        let shift = [0, 1, 2].map(|channel| -input.mean[channel] / input.std[channel]);
        let value = |channel: usize, byte: usize| byte as f32 * gain[channel] + shift[channel];
        let table = match input.dtype {
            Dtype::F32 => Table::F32(tabulate(value)),
            Dtype::F16 => Table::F16(tabulate(|channel, byte| f16::from_f32(value(channel, byte)))),
            Dtype::U8 => Table::U8(tabulate(|channel, byte| saturated(value(channel, byte)))),
            Dtype::I32 => Table::I32(tabulate(|channel, byte| rounded(value(channel, byte)))),
        };
        let channels = if input.colour == ColourOrder::Grey { 1 } else { 3 };
        Self { layout: input.layout, size, channels, gain, shift, table }
    }

    /// The tensor's shape.
    pub(super) fn shape(&self) -> [usize; 4] {
        let [width, height] = self.size;
        match self.layout {
            Layout::Nchw => [1, self.channels, height, width],
            Layout::Nhwc => [1, height, width, self.channels],
        }
    }

    /// A tensor of zeros.
    pub(super) fn tensor(&self) -> Tensor {
        let len = self.size[0] * self.size[1] * self.channels;
        let data = match self.table {
            Table::F32(_) => TensorData::F32(vec![0.0; len]),
            Table::F16(_) => TensorData::F16(vec![f16::ZERO; len]),
            Table::U8(_) => TensorData::U8(vec![0; len]),
            Table::I32(_) => TensorData::I32(vec![0; len]),
        };
        Tensor { shape: self.shape().to_vec(), data }
    }

    /// Whether `tensor` is of the shape and type this writes.
    pub(super) fn fits(&self, tensor: &Tensor) -> bool {
        let typed = matches!(
            (&self.table, &tensor.data),
            (Table::F32(_), TensorData::F32(_))
                | (Table::F16(_), TensorData::F16(_))
                | (Table::U8(_), TensorData::U8(_))
                | (Table::I32(_), TensorData::I32(_))
        );
        typed && tensor.shape == self.shape() && tensor.data.len() == self.shape().iter().product::<usize>()
    }

    /// Writes pixels of one row from column `x` on; `bytes` has a row of bytes per channel, in the model's order.
    #[inline(always)]
    pub(super) fn row(&self, tensor: &mut Tensor, [x, y]: [usize; 2], bytes: [&[u8]; 3]) {
        match (&self.table, &mut tensor.data) {
            (Table::F32(_), TensorData::F32(out)) if self.layout == Layout::Nchw => {
                self.planes(out, [x, y, bytes[0].len()], |channel, out| {
                    let (gain, shift) = (self.gain[channel], self.shift[channel]);
                    for (out, &byte) in out.iter_mut().zip(bytes[channel]) {
                        *out = f32::from(byte) * gain + shift;
                    }
                });
            }
            (Table::F32(table), TensorData::F32(out)) => self.look_up(table, out, [x, y], bytes),
            (Table::F16(table), TensorData::F16(out)) => self.look_up(table, out, [x, y], bytes),
            (Table::U8(table), TensorData::U8(out)) => self.look_up(table, out, [x, y], bytes),
            (Table::I32(table), TensorData::I32(out)) => self.look_up(table, out, [x, y], bytes),
            _ => {}
        }
    }

    /// Fills everything but `shown` with `fill`.
    pub(super) fn surround(&self, tensor: &mut Tensor, shown: Area, fill: Fill) {
        let fill = each(fill);
        match (&self.table, &mut tensor.data) {
            (Table::F32(table), TensorData::F32(out)) => self.fill(table, out, shown, fill),
            (Table::F16(table), TensorData::F16(out)) => self.fill(table, out, shown, fill),
            (Table::U8(table), TensorData::U8(out)) => self.fill(table, out, shown, fill),
            (Table::I32(table), TensorData::I32(out)) => self.fill(table, out, shown, fill),
            _ => {}
        }
    }

    /// Hands `write` the part of each channel's plane that begins at `x`, `y` and is `count` long.
    #[inline(always)]
    fn planes<T>(&self, out: &mut [T], [x, y, count]: [usize; 3], write: impl Fn(usize, &mut [T])) {
        let [width, height] = self.size;
        for (channel, plane) in out.chunks_exact_mut(width * height).enumerate() {
            write(channel, &mut plane[y * width + x..][..count]);
        }
    }

    #[inline(always)]
    fn look_up<T: Copy>(&self, table: &[[T; 256]; 3], out: &mut [T], [x, y]: [usize; 2], bytes: [&[u8]; 3]) {
        let count = bytes[0].len();
        match self.layout {
            Layout::Nchw => self.planes(out, [x, y, count], |channel, out| {
                for (out, &byte) in out.iter_mut().zip(bytes[channel]) {
                    *out = table[channel][usize::from(byte)];
                }
            }),
            Layout::Nhwc => {
                let out = &mut out[(y * self.size[0] + x) * self.channels..][..count * self.channels];
                for channel in 0..self.channels {
                    let out = out[channel..].iter_mut().step_by(self.channels);
                    for (out, &byte) in out.zip(bytes[channel]) {
                        *out = table[channel][usize::from(byte)];
                    }
                }
            }
        }
    }

    fn fill<T: Copy>(&self, table: &[[T; 256]; 3], out: &mut [T], shown: Area, fill: [u8; 3]) {
        let [width, height] = self.size;
        let values = [0, 1, 2].map(|channel| table[channel][usize::from(fill[channel])]);
        match self.layout {
            Layout::Nchw => {
                for (plane, value) in out.chunks_exact_mut(width * height).zip(values) {
                    around(plane, 1, width, shown, |out| out.fill(value));
                }
            }
            Layout::Nhwc => around(out, self.channels, width, shown, |out| {
                for pixel in out.chunks_exact_mut(self.channels) {
                    pixel.copy_from_slice(&values[..pixel.len()]);
                }
            }),
        }
    }
}

/// Hands `write` the runs of a plane of `width` pixels of `step` values that lie outside `shown`.
fn around<T>(plane: &mut [T], step: usize, width: usize, [x, y, w, h]: Area, write: impl Fn(&mut [T])) {
    let line = width * step;
    let (above, rest) = plane.split_at_mut(y * line);
    let (middle, below) = rest.split_at_mut(h * line);
    write(above);
    write(below);
    if w < width {
        for row in middle.chunks_exact_mut(line) {
            let (left, rest) = row.split_at_mut(x * step);
            write(left);
            write(&mut rest[w * step..]);
        }
    }
}

/// A pad value per channel.
pub(super) fn each(fill: Fill) -> [u8; 3] {
    match fill {
        Fill::All(value) => [value; 3],
        Fill::Each(values) => values,
    }
}

fn tabulate<T: Copy + Default>(value: impl Fn(usize, usize) -> T) -> [[T; 256]; 3] {
    let mut table = [[T::default(); 256]; 3];
    for (channel, row) in table.iter_mut().enumerate() {
        for (byte, entry) in row.iter_mut().enumerate() {
            *entry = value(channel, byte);
        }
    }
    table
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float cast saturates, as is wanted"
)]
fn saturated(value: f32) -> u8 {
    value.round_ties_even() as u8
}

#[allow(clippy::cast_possible_truncation, reason = "a float cast saturates, as is wanted")]
fn rounded(value: f32) -> i32 {
    value.round_ties_even() as i32
}
