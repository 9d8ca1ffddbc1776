//! Which decoder family reads a model: told from the names and shapes of its outputs, as the field's exporters write
//! them, and from Ultralytics' metadata where there is some.

use stopline_depot::manifest::{BoxFormat, Decode, Family, Head, ValueRange};

use super::{ModelInfo, Note};

mod named;

/// How the family is usually fed; one family's members differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Yolox,
    Yolov5,
    Yolov8,
    Nanodet,
    NanodetPlus,
    Paddle,
    PaddleUnit,
    Fastestdet,
    SsdTensorflow,
    SsdCentred,
    SsdTorchvision,
    SsdImagenet,
    SsdMmdetection,
    Rtdetr,
    Detr,
    Movenet,
    HeatmapTensorflow,
    HeatmapImagenet,
    Classifier,
    ClassifierTensorflow,
    ClassifierUltralytics,
}

/// What the outputs tell.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub family: Family,
    pub style: Style,
    /// Number of classes, where a shape says it.
    pub classes: Option<usize>,
    /// Number of keypoints; 0 without.
    pub keypoints: usize,
    pub decode: Decode,
    pub notes: Vec<Note>,
}

impl Told {
    fn new(family: Family, style: Style, classes: Option<usize>) -> Self {
        Self { family, style, classes, keypoints: 0, decode: Decode::default(), notes: Vec::new() }
    }

    fn note(mut self, key: &'static str, text: &str) -> Self {
        self.notes.push(Note { key, text: text.to_owned() });
        self
    }

    fn output(mut self, part: &str, name: &str) -> Self {
        self.decode.outputs.insert(part.to_owned(), name.to_owned());
        self
    }
}

/// The model as the rules below look at it.
pub(super) struct View<'a> {
    pub info: &'a ModelInfo,
    /// Width and height of the input, where known.
    pub size: Option<[u32; 2]>,
}

type Axes = [Option<usize>];

impl<'a> View<'a> {
    /// The first rule that knows the outputs. Order matters: what is named or rare comes before what is only a shape.
    pub fn tell(&self) -> Option<Told> {
        let rules: [fn(&Self) -> Option<Told>; 15] = [
            Self::ultralytics,
            Self::detr,
            Self::tensorflow_ssd,
            Self::ready_boxes,
            Self::paddle,
            Self::nanodet_heads,
            Self::raw_heads,
            Self::raw_ssd,
            Self::movenet,
            Self::map,
            Self::picodet_or_nanodet_plus,
            Self::dense_rows,
            Self::dense_columns,
            Self::end_to_end,
            Self::classifier,
        ];
        rules.iter().find_map(|rule| rule(self))
    }

    fn shape(&self, at: usize) -> &'a Axes {
        &self.info.outputs[at].shape
    }

    fn count(&self) -> usize {
        self.info.outputs.len()
    }

    fn name(&self, at: usize) -> &'a str {
        &self.info.outputs[at].name
    }

    /// The output whose name, without TensorFlow's `:0` and any scope, is or ends with one of `names`.
    fn called(&self, names: &[&str]) -> Option<usize> {
        let bare = |name: &str| {
            let name = name.split(':').next().unwrap_or_default();
            name.rsplit('/').next().unwrap_or_default().to_ascii_lowercase()
        };
        (0..self.count()).find(|&at| names.contains(&bare(self.name(at)).as_str()))
    }

    fn takes(&self, part: &str) -> bool {
        self.info.inputs.iter().any(|input| input.name.to_ascii_lowercase().contains(part))
    }

    /// Whether the file's name says `word`.
    fn file(&self, word: &str) -> bool {
        self.info.stem.to_ascii_lowercase().replace(['-', '.'], "_").contains(word)
    }

    /// Cells of all `strides` together on this input.
    fn cells(&self, strides: &[usize]) -> Option<usize> {
        let [w, h] = self.size?.map(|side| side as usize);
        Some(strides.iter().map(|stride| w.div_ceil(*stride) * h.div_ceil(*stride)).sum())
    }

    /// Whether `rows` are `per_cell` times the cells of strides 8 to 32, or to 64.
    fn is_grid(&self, rows: usize, per_cell: usize) -> bool {
        [&STRIDES[..3], &STRIDES]
            .iter()
            .any(|strides| self.cells(strides).is_some_and(|cells| rows == per_cell * cells))
    }

    /// One pair of outputs per stride: class scores and distributions of the four sides (NanoDet, PicoDet without its
    /// suppression).
    fn nanodet_heads(&self) -> Option<Told> {
        let columns: Vec<usize> = (0..self.count())
            .map(|at| {
                matches!(self.shape(at).len(), 2 | 3)
                    .then(|| self.shape(at).last().copied().flatten())
                    .flatten()
            })
            .collect::<Option<_>>()?;
        if columns.len() < 4 || columns.len() % 2 == 1 {
            return None;
        }
        let rows = |at: usize| self.shape(at)[self.shape(at).len() - 2];
        let pairs = columns.len() / 2;
        // Scores first, or score and distances in turn.
        let split =
            |at: usize| if columns[0] == columns[1] { (at, pairs + at) } else { (2 * at, 2 * at + 1) };
        let paired = (0..pairs).map(split).all(|(a, b)| rows(a) == rows(b) && columns[a] == columns[0]);
        let (_, first) = split(0);
        let bins = [columns[0], columns[first]];
        let distances = |width: usize| width >= 16 && width.is_multiple_of(4);
        if !paired {
            return None;
        }
        let classes = match bins {
            [classes, USUAL_SIDES] | [USUAL_SIDES, classes] => classes,
            [classes, sides] if distances(sides) => classes,
            [sides, classes] if distances(sides) => classes,
            _ => return None,
        };
        Some(self.nanodet_told(pairs, Some(classes)))
    }

    fn nanodet_told(&self, strides: usize, classes: Option<usize>) -> Told {
        let paddle = self.file("picodet")
            || self.info.producer.to_ascii_lowercase().contains("paddle")
            || strides == 4;
        let style = if paddle { Style::Paddle } else { Style::Nanodet };
        let mut told = Told::new(Family::Nanodet, style, classes);
        told.decode.strides =
            STRIDES[..strides.min(4)].iter().map(|stride| u32::try_from(*stride).unwrap_or(8)).collect();
        told.decode.cell_centre = Some(0.5);
        told.decode.centre_shift = Some(if paddle { 0.0 } else { -0.5 });
        told.note("cell_centre", "NanoDet: 0.5 and shift -0.5; NanoDet-Plus: 0 and 0; PicoDet: 0.5 and 0")
    }

    /// Three maps `[1, 3 × (5 + classes), h, w]` or `[1, 3, h, w, 5 + classes]`: YOLOv5's heads before its decoding.
    fn raw_heads(&self) -> Option<Told> {
        let heads: Vec<usize> =
            (0..self.count()).filter(|&at| matches!(self.shape(at).len(), 4 | 5)).collect();
        if heads.len() != 3 || self.count() != 3 {
            return None;
        }
        let classes = match self.shape(heads[0]) {
            [_, anchors, _, _, Some(values)] if anchors.is_none_or(|count| count == 3) => {
                values.checked_sub(5)?
            }
            [_, Some(channels), _, _] if channels % 3 == 0 => (channels / 3).checked_sub(5)?,
            _ => return None,
        };
        let told = Told::new(Family::Yolov5, Style::Yolov5, Some(classes));
        Some(told.note(
            "anchors",
            "raw heads: YOLOv5's own anchors are taken unless decode.anchors says others (YOLOv7 has others)",
        ))
    }

    /// `[1, n, classes]` and `[1, n, 4]`: SSD with its boxes decoded in the graph and no suppression.
    fn raw_ssd(&self) -> Option<Told> {
        if self.count() != 2 {
            return None;
        }
        let is_boxes = |at: usize| matches!(self.shape(at), [_, _, Some(4)]);
        let named = self.called(&["boxes", "box", "bboxes", "loc"]);
        let boxes = named.filter(|&at| is_boxes(at)).or_else(|| (0..2).find(|&at| is_boxes(at)))?;
        let scores = 1 - boxes;
        let &[_, _, columns] = self.shape(scores) else { return None };
        let mut told =
            Told::new(Family::Ssd, Style::SsdCentred, columns.map(|columns| columns.saturating_sub(1)))
                .output("boxes", self.name(boxes))
                .output("scores", self.name(scores));
        told.decode.box_format = Some(BoxFormat::Xyxy);
        told.decode.box_range = Some(ValueRange::Unit);
        told.decode.first_class = Some(1);
        let soft = matches!(self.info.made_by.get(scores).map(String::as_str), Some("Softmax" | "Sigmoid"))
            || self.info.operators.contains_key("Softmax");
        told.decode.scores = Some(if soft { Head::Probability } else { Head::Softmax });
        Some(told.note("first_class", "class 0 is the background"))
    }

    fn movenet(&self) -> Option<Told> {
        let (&[_, Some(1), Some(points), Some(3)], 1) = (self.shape(0), self.count()) else { return None };
        let mut told = Told::new(Family::Movenet, Style::Movenet, Some(1));
        told.keypoints = points;
        Some(told)
    }

    /// One or more maps with rows and columns: FastestDet (stride 16), or heat maps.
    fn map(&self) -> Option<Told> {
        let maps: Vec<usize> = (0..self.count()).filter(|&at| self.shape(at).len() == 4).collect();
        if maps.len() != self.count() {
            return None;
        }
        let at = *maps.last()?;
        let picture = self.info.picture()?;
        let nhwc = picture.shape.len() == 4 && picture.shape[3] == Some(3) && picture.shape[1] != Some(3);
        let &[_, a, b, c] = self.shape(at) else { return None };
        let (channels, across) = if nhwc { (c?, b) } else { (a?, c) };
        let stride = self.size.zip(across).map(|([w, _], across)| w as usize / across.max(1));
        if maps.len() == 1 && (stride == Some(16) || self.file("fastestdet")) && channels > 5 {
            return Some(Told::new(Family::Fastestdet, Style::Fastestdet, Some(channels - 5)));
        }
        let style = if nhwc || self.file("cpm") { Style::HeatmapTensorflow } else { Style::HeatmapImagenet };
        let mut told = Told::new(Family::Heatmap, style, Some(1));
        // OpenPose adds a map of the background to its 18 keypoints.
        told.keypoints = if channels == 19 { 18 } else { channels };
        if maps.len() > 1 {
            told =
                told.output("heatmaps", self.name(at)).note("heatmaps", "of several maps the last was taken");
        }
        Some(told)
    }

    /// `[1, n, classes + 32]` over strides 8 to 64: NanoDet-Plus, or PicoDet with its heads joined.
    fn picodet_or_nanodet_plus(&self) -> Option<Told> {
        let (&[_, rows, Some(columns)], 1) = (self.shape(0), self.count()) else { return None };
        let grid = rows.is_some() && rows == self.cells(&STRIDES) && columns > 32;
        let named = (self.file("nanodet") || self.file("picodet")) && columns > 32;
        if !(named || grid && columns != 85) {
            return None;
        }
        let mut told = self.nanodet_told(4, Some(columns - 32));
        if !self.file("picodet") {
            told.style = Style::NanodetPlus;
            told.decode.cell_centre = Some(0.0);
            told.decode.centre_shift = Some(0.0);
        }
        Some(told)
    }

    /// `[1, n, 5 + classes]`: YOLOX (one row per cell), YOLOv5 and v7 (three), YOLOv6 (one, decoded).
    fn dense_rows(&self) -> Option<Told> {
        let at = (0..self.count()).find(|&at| self.shape(at).len() == 3)?;
        let &[_, rows, Some(columns)] = self.shape(at) else { return None };
        if columns < 6 || rows.is_some_and(|rows| rows < columns) {
            return None;
        }
        let classes = Some(columns - 5);
        let single = rows.is_some_and(|rows| self.is_grid(rows, 1));
        let triple = rows.is_some_and(|rows| self.is_grid(rows, 3));
        let named = ["yolov5", "yolov6", "yolov7"].iter().any(|name| self.file(name));
        // YOLOv6's one row per cell is called "outputs" and decoded, YOLOX's "output" and raw.
        let yolov6 = single && self.name(at) == "outputs" && !self.file("yolox");
        let mut told = if triple || named || yolov6 {
            Told::new(Family::Yolov5, Style::Yolov5, classes)
        } else if single || self.file("yolox") {
            self.yolox(classes)
        } else {
            return None;
        };
        if self.count() > 1 {
            told = told.output("output", self.name(at));
        }
        Some(told)
    }

    /// YOLOX leaves its boxes raw unless it was exported with `--decode_in_inference`, whose exponential stays in the
    /// graph.
    fn yolox(&self, classes: Option<usize>) -> Told {
        let mut told = Told::new(Family::Yolox, Style::Yolox, classes);
        if self.info.operators.contains_key("Exp") {
            told.decode.box_range = Some(ValueRange::Input);
            told = told.note("box_range", "the graph decodes the boxes itself (--decode_in_inference)");
        }
        told.note(
            "colour",
            "YOLOX before version 0.2 wants RGB, scale 1/255, mean 0.485 0.456 0.406, std 0.229 0.224 0.225",
        )
    }

    /// `[1, 4 + classes, n]`: YOLOv8, v9, v11, v12.
    fn dense_columns(&self) -> Option<Told> {
        let at = (0..self.count()).find(|&at| self.shape(at).len() == 3)?;
        let &[_, Some(columns), rows] = self.shape(at) else { return None };
        if columns < 5 || rows.is_some_and(|rows| rows <= columns) {
            return None;
        }
        if self.file("pose") && columns > 5 && (columns - 5).is_multiple_of(3) {
            let mut told = Told::new(Family::YoloPose, Style::Yolov8, Some(1));
            told.keypoints = (columns - 5) / 3;
            return Some(told);
        }
        let mut told = Told::new(Family::Yolov8, Style::Yolov8, Some(columns - 4));
        if self.count() > 1 {
            told = told.output("output", self.name(at));
        }
        Some(told)
    }

    /// `[1, n, 6]` (YOLOv10, YOLO26), `[n, 7]` (YOLOv7's), `[1, n, 6 + 3 × keypoints]`, and Ultralytics' RT-DETR
    /// `[1, n, 4 + classes]`.
    fn end_to_end(&self) -> Option<Told> {
        if self.count() != 1 {
            return None;
        }
        match *self.shape(0) {
            [_, Some(7)] if !(self.file("yolo") || self.info.operators.contains_key("NonMaxSuppression")) => {
                None
            }
            [_, _, Some(6)] | [_, Some(7)] => Some(Told::new(Family::YoloEnd2end, Style::Yolov8, None)),
            [_, Some(rows), Some(columns)]
                if rows <= 1000 && columns > 6 && self.file("pose") && columns % 3 == 0 =>
            {
                let mut told = Told::new(Family::YoloPose, Style::Yolov8, Some(1));
                told.keypoints = (columns - 6) / 3;
                Some(told)
            }
            [_, Some(rows), Some(columns)] if rows <= 1000 && columns > 4 => {
                Some(Told::new(Family::Detr, Style::Rtdetr, Some(columns - 4)))
            }
            _ => None,
        }
    }

    fn classifier(&self) -> Option<Told> {
        let (axes, 1) = (self.shape(0), self.count()) else { return None };
        let (&[_, Some(classes)] | &[_, Some(classes), Some(1), Some(1)]) = axes else { return None };
        if classes < 2 {
            return None;
        }
        let nhwc =
            self.info.picture().is_some_and(|picture| picture.shape.last().copied().flatten() == Some(3));
        let style = if nhwc { Style::ClassifierTensorflow } else { Style::Classifier };
        let mut told = Told::new(Family::Classifier, style, Some(classes));
        let soft = self.info.made_by.first().is_some_and(|op| op == "Softmax");
        told.decode.scores = Some(if soft { Head::Probability } else { Head::Softmax });
        Some(told)
    }
}

/// Values of the four distributions of 8 bins that all published NanoDet and PicoDet models have.
const USUAL_SIDES: usize = 32;

const STRIDES: [usize; 4] = [8, 16, 32, 64];
