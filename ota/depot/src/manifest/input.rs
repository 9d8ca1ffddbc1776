//! What a model is fed: size, layout, colour, normalisation, and how a picture of another shape is fitted.

use serde::{Deserialize, Serialize};

/// The picture input of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Name of the input tensor; may be left out where the model has only one picture input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// Order of the tensor's axes.
    #[serde(default)]
    pub layout: Layout,
    /// Type of a value.
    #[serde(default)]
    pub dtype: Dtype,
    /// Order of the channels.
    pub colour: ColourOrder,
    /// A value is (pixel × `scale` − `mean`) ÷ `std`, the pixel being 0–255.
    #[serde(default = "one")]
    pub scale: f32,
    /// Per channel, in the model's channel order.
    #[serde(default)]
    pub mean: [f32; 3],
    /// Per channel, in the model's channel order.
    #[serde(default = "ones")]
    pub std: [f32; 3],
    /// How a picture of another shape is fitted.
    pub resize: Resize,
    /// Whether a fully convolutional model may be run at a rectangle that fits the frames' shape, for example 416×256
    /// instead of 416×416. The sides are then multiples of `rectangle_stride`.
    #[serde(default)]
    pub rectangle: bool,
    /// What the sides of a rectangle must be multiples of.
    #[serde(default = "thirty_two")]
    pub rectangle_stride: u32,
    /// For top-down models: how a box becomes the picture that the model sees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crop: Option<Crop>,
    /// Further inputs the graph asks for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extra: Vec<ExtraInput>,
}

fn one() -> f32 {
    1.0
}

fn ones() -> [f32; 3] {
    [1.0; 3]
}

fn thirty_two() -> u32 {
    32
}

/// Order of a picture tensor's axes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Batch, channel, row, column.
    #[default]
    Nchw,
    /// Batch, row, column, channel.
    Nhwc,
}

/// Type of a tensor's values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// IEEE 754 single precision.
    #[default]
    F32,
    /// IEEE 754 half precision.
    F16,
    /// Unsigned byte; the value is rounded and clamped.
    U8,
    /// Signed 32-bit integer; the value is rounded.
    I32,
}

/// Order of the channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColourOrder {
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red.
    Bgr,
    /// One channel: luma by BT.601 (`mean[0]` and `std[0]` apply).
    Grey,
}

/// How a picture of another shape is fitted to the input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resize {
    /// Whether the aspect ratio is kept.
    pub mode: ResizeMode,
    /// Where the picture lies in what is left over; letterbox only.
    #[serde(default)]
    pub anchor: Anchor,
    /// Pixel value (0–255, before normalisation) of what is left over; one for all channels, or one per channel in the
    /// model's channel order.
    #[serde(default)]
    pub pad: Fill,
    /// Interpolation.
    #[serde(default)]
    pub filter: Filter,
    /// How the letterboxed size becomes whole pixels.
    #[serde(default)]
    pub rounding: Rounding,
    /// Whether a picture smaller than the input may be enlarged; letterbox only.
    #[serde(default = "yes")]
    pub enlarge: bool,
}

fn yes() -> bool {
    true
}

/// Whether the aspect ratio is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResizeMode {
    /// Scaled to fit, the rest filled.
    Letterbox,
    /// Scaled to fill, each axis on its own.
    Stretch,
    /// Scaled so that the input is covered, the middle cut out (classifiers).
    CentreCrop,
}

/// Where a letterboxed picture lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Anchor {
    /// In the middle; an odd pixel goes to the right and bottom.
    #[default]
    Centre,
    /// In the top left corner.
    TopLeft,
}

/// Pad value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Fill {
    /// The same for all channels.
    All(u8),
    /// One per channel, in the model's channel order.
    Each([u8; 3]),
}

impl Default for Fill {
    fn default() -> Self {
        Self::All(114)
    }
}

/// Interpolation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// Two by two neighbours, half-pixel centres, no antialiasing: OpenCV's `INTER_LINEAR`.
    #[default]
    Bilinear,
    /// Bilinear whose support grows with the reduction: Pillow's and `torchvision`'s.
    BilinearAntialias,
    /// Nearest neighbour, OpenCV's `INTER_NEAREST`.
    Nearest,
}

/// How a scaled size becomes whole pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rounding {
    /// Down, as YOLOX and NanoDet do.
    #[default]
    Floor,
    /// To the nearest, as Ultralytics does.
    Nearest,
}

/// How a box becomes the picture a top-down model sees.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crop {
    /// The crop's longer side is the box's longer side times this.
    pub grow: f32,
    /// Whether the crop is square; else it has the input's aspect ratio.
    #[serde(default = "yes")]
    pub square: bool,
    /// Pixel value outside the picture.
    #[serde(default = "black")]
    pub outside: Fill,
}

fn black() -> Fill {
    Fill::All(0)
}

/// An input besides the picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtraInput {
    /// Name of the tensor.
    pub name: String,
    /// What it is given.
    pub value: ExtraValue,
}

/// What an extra input is given; its type is the graph's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExtraValue {
    /// Width and height of the source picture, `[1, 2]` (RT-DETR's and D-FINE's `orig_target_sizes`).
    SourceWh,
    /// Height and width of the source picture, `[1, 2]`.
    SourceHw,
    /// Width and height of the model's input, `[1, 2]`.
    InputWh,
    /// Height and width of the model's input, `[1, 2]` (PaddleDetection's `im_shape`).
    InputHw,
    /// Input height ÷ source height and width likewise, `[1, 2]` (PaddleDetection's `scale_factor`).
    ScaleHw,
    /// These numbers, in the shape the graph states.
    Constant(Vec<f32>),
}
