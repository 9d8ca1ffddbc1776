//! Every decoder family on arbitrary tensors: plausible shapes, bent ones, and any values.
#![no_main]

use arbitrary::{Arbitrary, Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use serde_json::json;
use stopline::decode::decoder;
use stopline::detection::Detection;
use stopline::infer::{Element, Output, TensorSpec};
use stopline::prepare::geometry::Geometry;
use stopline_depot::manifest::Manifest;

/// Family and task.
const FAMILIES: [(&str, &str); 12] = [
    ("yolox", "detect"),
    ("yolov5", "detect"),
    ("yolov8", "detect"),
    ("yolo-end2end", "detect"),
    ("nanodet", "detect"),
    ("fastestdet", "detect"),
    ("ssd", "detect"),
    ("detr", "detect"),
    ("yolo-pose", "pose"),
    ("movenet", "keypoints"),
    ("heatmap", "keypoints"),
    ("classifier", "classify"),
];

/// Values of one tensor at most.
const MOST_VALUES: usize = 1 << 14;

fuzz_target!(init: stopline_fuzz::seeds::bytes(), |case: Case| {
    let Ok(manifest) = Manifest::from_json(case.manifest.as_bytes()) else { return };
    let Ok(mut decoder) = decoder(&manifest, &case.specs) else { return };
    let resize = &manifest.input.resize;
    let geometry = Geometry::fit(case.source, [manifest.input.width, manifest.input.height], resize);
    for _ in 0..2 {
        let mut found = Vec::new();
        match decoder.decode(&case.outputs, &geometry, &mut found) {
            Ok(()) => check(&found, &manifest, case.source),
            Err(_) => assert!(found.is_empty(), "an invalid frame has detections: {found:?}"),
        }
    }
});

fn check(found: &[Detection], manifest: &Manifest, source: [u32; 2]) {
    let [width, height] = source.map(|side| side as f32);
    for detection in found {
        let [x1, y1, x2, y2] = detection.bbox;
        assert!(detection.class < manifest.labels.len(), "{detection:?} of {} labels", manifest.labels.len());
        assert!((0.0..=1.0).contains(&detection.score), "{detection:?}");
        assert!(0.0 <= x1 && x1 <= x2 && x2 <= width, "{detection:?} in {width}x{height}");
        assert!(0.0 <= y1 && y1 <= y2 && y2 <= height, "{detection:?} in {width}x{height}");
        for point in &detection.keypoints {
            assert!(
                point.x.is_finite() && point.y.is_finite() && (0.0..=1.0).contains(&point.score),
                "{point:?}"
            );
        }
    }
    assert!(found.windows(2).all(|pair| pair[0].score >= pair[1].score), "not strongest first: {found:?}");
}

#[derive(Debug)]
struct Case {
    manifest: String,
    specs: Vec<TensorSpec>,
    outputs: Vec<Output>,
    source: [u32; 2],
}

impl<'a> Arbitrary<'a> for Case {
    fn arbitrary(data: &mut Unstructured<'a>) -> Result<Self> {
        let (family, task) = *data.choose(&FAMILIES)?;
        let labels = data.int_in_range(1..=5)?;
        let keypoints = if matches!(task, "pose" | "keypoints") { data.int_in_range(1..=4)? } else { 0 };
        let input = [data.int_in_range(1..=4)? * 32_usize, data.int_in_range(1..=4)? * 32];
        let mut shapes = plausible(family, labels, keypoints, input, data)?;
        if data.ratio(1, 4)? {
            bend(&mut shapes, data)?;
        }
        let mut specs = Vec::new();
        let mut outputs = Vec::new();
        for (at, (name, shape)) in shapes.into_iter().enumerate() {
            let name = if name.is_empty() { format!("output{at}") } else { name.to_owned() };
            let known = |side| if data.ratio(1, 16)? { Ok(None) } else { Ok(Some(side)) };
            let spec = shape.iter().copied().map(known).collect::<Result<_>>()?;
            specs.push(TensorSpec { name: name.clone(), element: Element::F32, shape: spec });
            let count = shape.iter().product();
            outputs.push(Output { name, shape, data: values(count, data)? });
        }
        let source = [data.int_in_range(1..=2000)?, data.int_in_range(1..=2000)?];
        let manifest = manifest(family, task, labels, keypoints, input, data)?;
        Ok(Self { manifest, specs, outputs, source })
    }
}

fn manifest(
    family: &str,
    task: &str,
    labels: usize,
    keypoints: usize,
    [width, height]: [usize; 2],
    data: &mut Unstructured<'_>,
) -> Result<String> {
    let names = |what: &str, count: usize| (0..count).map(|n| format!("{what}{n}")).collect::<Vec<_>>();
    let mut decode = serde_json::Map::new();
    if data.ratio(1, 3)? {
        decode
            .insert("scores".into(), (*data.choose(&["sigmoid", "softmax", "probability", "none"])?).into());
    }
    if data.ratio(1, 4)? {
        decode.insert("box_format".into(), (*data.choose(&["xyxy", "cxcywh", "xywh", "yxyx"])?).into());
    }
    if data.ratio(1, 4)? {
        decode.insert("box_range".into(), (*data.choose(&["unit", "input", "source"])?).into());
    }
    if data.ratio(1, 4)? {
        decode.insert("first_class".into(), data.int_in_range(0..=2)?.into());
    }
    let stretched = data.ratio(1, 2)?;
    let manifest = json!({
        "schema": 1, "name": "fuzz", "version": "1.0.0", "task": task, "decoder": family,
        "labels": names("label", labels), "keypoints": names("point", keypoints),
        "input": {
            "width": width, "height": height, "colour": "rgb",
            "resize": {"mode": if stretched { "stretch" } else { "letterbox" }},
        },
        "decode": decode,
        "thresholds": {"score": f64::from(data.int_in_range(1..=99_u8)?) / 100.0},
    });
    Ok(manifest.to_string())
}

type Shapes = Vec<(&'static str, Vec<usize>)>;

/// Outputs such a model may have.
fn plausible(
    family: &str,
    labels: usize,
    keypoints: usize,
    [width, height]: [usize; 2],
    data: &mut Unstructured<'_>,
) -> Result<Shapes> {
    let cells = |stride: usize| width.div_ceil(stride) * height.div_ceil(stride);
    let all: usize = [8, 16, 32].into_iter().map(cells).sum();
    let rows = data.int_in_range(0..=60)?;
    let other = data.arbitrary()?;
    Ok(match (family, other) {
        ("yolox", _) => vec![("", vec![1, all, 5 + labels])],
        ("yolov5", false) => vec![("", vec![1, all * 3, 5 + labels])],
        ("yolov5", true) => [8, 16, 32]
            .map(|stride| ("", vec![1, 3, height.div_ceil(stride), width.div_ceil(stride), 5 + labels]))
            .to_vec(),
        ("yolov8", false) => vec![("", vec![1, 4 + labels, all])],
        ("yolov8", true) => vec![("", vec![1, rows, 4 + labels])],
        ("yolo-end2end", false) => vec![("", vec![1, rows, 6])],
        ("yolo-end2end", true) => vec![("", vec![rows, 7])],
        ("nanodet", false) => {
            let scores = [8, 16, 32].map(|stride| ("", vec![1, cells(stride), labels]));
            let boxes = [8, 16, 32].map(|stride| ("", vec![1, cells(stride), 32]));
            [scores, boxes].concat()
        }
        ("nanodet", true) => vec![("", vec![1, all + cells(64), labels + 32])],
        ("fastestdet", _) => vec![("", vec![1, 5 + labels, height / 16, width / 16])],
        ("ssd", false) => vec![
            ("detection_boxes", vec![1, rows, 4]),
            ("detection_scores", vec![1, rows]),
            ("detection_classes", vec![1, rows]),
            ("num_detections", vec![1]),
        ],
        ("ssd", true) => vec![("boxes", vec![1, rows, 4]), ("scores", vec![1, rows, labels + 1])],
        ("detr", false) => vec![("logits", vec![1, rows, labels + 1]), ("pred_boxes", vec![1, rows, 4])],
        ("detr", true) => {
            vec![("labels", vec![1, rows]), ("boxes", vec![1, rows, 4]), ("scores", vec![1, rows])]
        }
        ("yolo-pose", false) => vec![("", vec![1, 4 + labels + 3 * keypoints, all])],
        ("yolo-pose", true) => vec![("", vec![1, rows, 6 + 3 * keypoints])],
        ("movenet", false) => vec![("", vec![1, 1, keypoints, 3])],
        ("movenet", true) => vec![("", vec![1, rows, 3 * keypoints + 5])],
        ("heatmap", false) => vec![("", vec![1, height / 8, width / 8, keypoints])],
        ("heatmap", true) => vec![("", vec![1, keypoints, height / 8, width / 8])],
        _ => vec![("", vec![1, labels])],
    })
}

/// Makes one shape wrong.
fn bend(shapes: &mut Shapes, data: &mut Unstructured<'_>) -> Result<()> {
    let at = data.choose_index(shapes.len())?;
    match data.int_in_range(0..=3)? {
        0 => drop(shapes.remove(at)),
        1 => {
            shapes[at].1 =
                (0..data.int_in_range(0..=5)?).map(|_| data.int_in_range(0..=20)).collect::<Result<_>>()?
        }
        2 => shapes.push(("extra", vec![1, data.int_in_range(0..=9)?])),
        _ => {
            let shape = &mut shapes[at].1;
            if let Some(axis) = shape.len().checked_sub(1) {
                let axis = data.int_in_range(0..=axis)?;
                shape[axis] = data.int_in_range(0..=90)?;
            }
        }
    }
    Ok(())
}

/// Values as models give them, with some that they must not.
fn values(count: usize, data: &mut Unstructured<'_>) -> Result<Vec<f32>> {
    if count > MOST_VALUES {
        return Err(arbitrary::Error::IncorrectFormat);
    }
    const STRANGE: [f32; 8] =
        [0.0, -0.0, 1.0, f32::MAX, f32::MIN, f32::MIN_POSITIVE, f32::NAN, f32::NEG_INFINITY];
    let scale = *data.choose(&[1.0_f32, 10.0, 500.0, 1e30])?;
    let base: u8 = data.arbitrary()?;
    let strange = data.ratio(1, 4)?;
    (0..count)
        .map(|at| {
            // Where the fuzzer's bytes end, a pattern goes on.
            let byte: u8 =
                if data.is_empty() { base.wrapping_add((at * 37 % 251) as u8) } else { data.arbitrary()? };
            Ok(match byte {
                0..8 if strange => STRANGE[usize::from(byte)],
                _ => (f32::from(byte) - 64.0) / 191.0 * scale,
            })
        })
        .collect()
}
