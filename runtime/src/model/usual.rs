//! How each family is usually fed, as its own repository does it.

use stopline_depot::manifest::{
    Anchor, ColourOrder, Crop, Fill, Filter, Resize, ResizeMode, Rounding, Thresholds,
};

use super::family::Style;

/// Pre-processing and thresholds of a family.
pub(super) struct Usual {
    pub colour: ColourOrder,
    pub scale: f32,
    pub mean: [f32; 3],
    pub std: [f32; 3],
    pub resize: Resize,
    pub crop: Option<Crop>,
    pub thresholds: Thresholds,
    /// Input size where neither file nor name says one.
    pub size: [u32; 2],
}

const UNIT: f32 = 1.0 / 255.0;
/// ImageNet's mean and deviation of pixels 0 to 1, red first.
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const STD: [f32; 3] = [0.229, 0.224, 0.225];

/// What `style` is fed.
pub(super) fn usual(style: Style) -> Usual {
    use ColourOrder::{Bgr, Rgb};
    let plain = |colour, scale, resize| fed(colour, (scale, [0.0; 3], [1.0; 3]), resize);
    let imagenet = |resize| fed(Rgb, (UNIT, MEAN, STD), resize);
    match style {
        Style::Yolox => plain(Bgr, 1.0, letterbox(Anchor::TopLeft, 114, Rounding::Floor)).limits(0.3, 0.45).sized(640),
        Style::Yolov5 => plain(Rgb, UNIT, letterbox(Anchor::Centre, 114, Rounding::Nearest)).limits(0.25, 0.45).sized(640),
        Style::Yolov8 => plain(Rgb, UNIT, letterbox(Anchor::Centre, 114, Rounding::Nearest)).limits(0.25, 0.7).sized(640),
        Style::Nanodet => nanodet(letterbox(Anchor::Centre, 0, Rounding::Floor)),
        Style::NanodetPlus => nanodet(stretch()).sized(416),
        Style::Paddle => imagenet(stretch()).limits(0.4, 0.6).sized(416),
        Style::PaddleUnit => plain(Rgb, UNIT, stretch()).limits(0.5, 0.6).sized(640),
        Style::Fastestdet => plain(Bgr, UNIT, stretch()).limits(0.5, 0.45).sized(352),
        Style::SsdTensorflow => plain(Rgb, 1.0, stretch()).limits(0.5, 0.5).sized(300),
        Style::SsdCentred => fed(Rgb, (1.0, [127.0; 3], [128.0; 3]), stretch()).limits(0.5, 0.45).sized(300),
        Style::SsdTorchvision => plain(Rgb, UNIT, stretch()).limits(0.5, 0.5).sized(320),
        Style::SsdImagenet => imagenet(stretch()).limits(0.5, 0.5).sized(1200),
        Style::SsdMmdetection => {
            fed(Bgr, (1.0, [103.53, 116.28, 123.675], [57.375, 57.12, 58.395]), letterbox(Anchor::TopLeft, 114, Rounding::Nearest))
                .limits(0.3, 0.6)
                .sized(640)
        }
        Style::Rtdetr => plain(Rgb, UNIT, stretch()).limits(0.5, 0.7).sized(640),
        Style::Detr => imagenet(stretch()).limits(0.7, 0.7).sized(800),
        Style::Movenet => plain(Rgb, 1.0, letterbox(Anchor::Centre, 0, Rounding::Nearest)).limits(0.0, 0.45).sized(192),
        Style::HeatmapTensorflow => plain(Bgr, 1.0, stretch()).cropped(true).limits(0.0, 0.45).sized(192),
        Style::HeatmapImagenet => {
            let mut usual = imagenet(stretch()).cropped(false).limits(0.0, 0.45);
            usual.size = [192, 256];
            usual
        }
        Style::Classifier => imagenet(centre_crop()).limits(0.1, 0.45).most(5).sized(224),
        Style::ClassifierTensorflow => {
            fed(Rgb, (1.0, [127.5; 3], [127.5; 3]), centre_crop()).limits(0.1, 0.45).most(5).sized(224)
        }
        Style::ClassifierUltralytics => plain(Rgb, UNIT, centre_crop()).limits(0.1, 0.45).most(5).sized(224),
    }
}

fn fed(colour: ColourOrder, (scale, mean, std): (f32, [f32; 3], [f32; 3]), resize: Resize) -> Usual {
    Usual { colour, scale, mean, std, resize, crop: None, thresholds: Thresholds::default(), size: [640; 2] }
}

/// NanoDet's own numbers: ImageNet's in 0 to 255, blue first.
fn nanodet(resize: Resize) -> Usual {
    fed(ColourOrder::Bgr, (1.0, [103.53, 116.28, 123.675], [57.375, 57.12, 58.395]), resize).limits(0.4, 0.5).sized(320)
}

impl Usual {
    fn limits(mut self, score: f32, nms_iou: f32) -> Self {
        self.thresholds.score = score;
        self.thresholds.nms_iou = nms_iou;
        self
    }

    fn most(mut self, detections: u32) -> Self {
        self.thresholds.max_detections = detections;
        self
    }

    fn sized(mut self, side: u32) -> Self {
        self.size = [side; 2];
        self
    }

    fn cropped(mut self, square: bool) -> Self {
        self.crop = Some(Crop { grow: 1.25, square, outside: Fill::All(0) });
        self
    }
}

fn letterbox(anchor: Anchor, pad: u8, rounding: Rounding) -> Resize {
    Resize { mode: ResizeMode::Letterbox, anchor, pad: Fill::All(pad), filter: Filter::Bilinear, rounding, enlarge: true }
}

fn stretch() -> Resize {
    Resize { mode: ResizeMode::Stretch, ..letterbox(Anchor::Centre, 0, Rounding::Floor) }
}

fn centre_crop() -> Resize {
    Resize { mode: ResizeMode::CentreCrop, filter: Filter::BilinearAntialias, ..stretch() }
}
