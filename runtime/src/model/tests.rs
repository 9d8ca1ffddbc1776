use stopline_depot::manifest::{
    Anchor, BoxFormat, ColourOrder, Dtype, ExtraValue, Family, Head, Layout, Manifest, ResizeMode, Rounding, Task, ValueRange,
};

use super::*;
use crate::infer::Element;

/// An export of the field: file name, inputs and outputs as `name type shape` (0: open).
struct Export {
    stem: &'static str,
    inputs: &'static [(&'static str, Element, &'static [usize])],
    outputs: &'static [(&'static str, &'static [usize])],
    metadata: &'static [(&'static str, &'static str)],
    operators: &'static [&'static str],
}

const PLAIN: Export = Export { stem: "model", inputs: &[], outputs: &[], metadata: &[], operators: &[] };
const F32: Element = Element::F32;

impl Export {
    fn info(&self) -> ModelInfo {
        let shape = |axes: &[usize]| axes.iter().map(|size| Some(*size).filter(|size| *size > 0)).collect();
        let metadata: BTreeMap<String, String> =
            self.metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        ModelInfo {
            stem: self.stem.into(),
            inputs: self
                .inputs
                .iter()
                .map(|(name, element, axes)| TensorSpec { name: (*name).into(), element: *element, shape: shape(axes) })
                .collect(),
            outputs: self
                .outputs
                .iter()
                .map(|(name, axes)| TensorSpec { name: (*name).into(), element: F32, shape: shape(axes) })
                .collect(),
            made_by: self.outputs.iter().map(|_| String::new()).collect(),
            ultralytics: Ultralytics::read(&metadata),
            metadata,
            operators: self.operators.iter().map(|name| ((*name).to_owned(), 1)).collect(),
            ..ModelInfo::default()
        }
    }

    /// The manifest, which must survive being written and read.
    fn manifest(&self) -> Manifest {
        let info = self.info();
        let draft = draft(&info).unwrap_or_else(|error| panic!("{}: {error}", self.stem));
        let text = draft.to_toml(&info).unwrap();
        let read = Manifest::from_toml(&text).unwrap_or_else(|error| panic!("{}: {error}\n{text}", self.stem));
        assert_eq!(read, draft.manifest);
        check(&read, &info).unwrap_or_else(|error| panic!("{}: {error}", self.stem));
        read
    }
}

const NAMES_2: &str = "{0: 'stop sign', 1: 'person'}";

#[test]
fn yolox_is_fed_blue_first_raw_and_top_left() {
    for (stem, side, cells) in [("yolox_s", 640, 8400), ("yolox_tiny", 416, 3549)] {
        let inputs: &'static [_] = if side == 640 { &[("images", F32, &[1, 3, 640, 640])] } else { &[("images", F32, &[1, 3, 416, 416])] };
        let outputs: &'static [_] = if cells == 8400 { &[("output", &[1, 8400, 85])] } else { &[("output", &[1, 3549, 85])] };
        let manifest = Export { stem, inputs, outputs, ..PLAIN }.manifest();
        assert_eq!((manifest.decoder, manifest.labels.len(), manifest.input.width), (Family::Yolox, 80, side));
        assert_eq!((manifest.input.colour, manifest.input.scale), (ColourOrder::Bgr, 1.0));
        assert_eq!((manifest.input.resize.anchor, manifest.input.resize.rounding), (Anchor::TopLeft, Rounding::Floor));
        assert_eq!(manifest.decode.box_range, None);
        assert_eq!(manifest.roles["stop_sign"], ["stop sign"]);
    }
}

#[test]
fn yolox_decoded_in_the_graph_is_told_by_its_exponential() {
    let export = Export {
        stem: "yolox_s_decoded",
        inputs: &[("images", F32, &[1, 3, 640, 640])],
        outputs: &[("output", &[1, 8400, 85])],
        operators: &["Exp", "Conv"],
        ..PLAIN
    };
    assert_eq!(export.manifest().decode.box_range, Some(ValueRange::Input));
}

#[test]
fn yolov5_and_yolov7_have_three_rows_for_each_cell() {
    let v5 = Export {
        stem: "yolov5n",
        inputs: &[("images", F32, &[1, 3, 640, 640])],
        outputs: &[("output0", &[1, 25200, 85])],
        metadata: &[("stride", "32"), ("names", NAMES_2)],
        ..PLAIN
    };
    // Two names in the metadata, 80 classes in the shape: not YOLOv5 with these names, and no other family either.
    assert!(draft(&v5.info()).is_err() || v5.manifest().labels.len() == 2);
    let plain = Export { metadata: &[], ..v5 }.manifest();
    assert_eq!((plain.decoder, plain.labels.len()), (Family::Yolov5, 80));
    assert_eq!((plain.input.colour, plain.input.resize.rounding), (ColourOrder::Rgb, Rounding::Nearest));
    let v7 = Export { stem: "yolov7-tiny", outputs: &[("output", &[1, 25200, 85])], ..PLAIN };
    let v7 = Export { inputs: &[("images", F32, &[1, 3, 640, 640])], ..v7 }.manifest();
    assert_eq!(v7.decoder, Family::Yolov5);
    let raw = Export {
        stem: "yolov5s-raw",
        inputs: &[("images", F32, &[1, 3, 640, 640])],
        outputs: &[("a", &[1, 3, 80, 80, 85]), ("b", &[1, 3, 40, 40, 85]), ("c", &[1, 3, 20, 20, 85])],
        ..PLAIN
    };
    assert_eq!((raw.manifest().decoder, raw.manifest().labels.len()), (Family::Yolov5, 80));
}

#[test]
fn yolov8_is_told_with_and_without_metadata() {
    let export = Export {
        stem: "best",
        inputs: &[("images", F32, &[1, 3, 480, 640])],
        outputs: &[("output0", &[1, 6, 6300])],
        metadata: &[("task", "detect"), ("stride", "32"), ("names", NAMES_2), ("imgsz", "[480, 640]")],
        ..PLAIN
    };
    let manifest = export.manifest();
    assert_eq!((manifest.decoder, &manifest.labels[..]), (Family::Yolov8, &["stop sign".to_owned(), "person".to_owned()][..]));
    assert_eq!((manifest.input.width, manifest.input.height), (640, 480));
    assert_eq!(manifest.input.resize.mode, ResizeMode::Letterbox);
    let bare = Export {
        stem: "yolo11n",
        inputs: &[("images", F32, &[1, 3, 640, 640])],
        outputs: &[("output0", &[1, 84, 8400])],
        ..PLAIN
    };
    assert_eq!((bare.manifest().decoder, bare.manifest().labels.len()), (Family::Yolov8, 80));
    let open = Export {
        inputs: &[("images", F32, &[0, 3, 0, 0])],
        outputs: &[("output0", &[0, 84, 0])],
        metadata: &[],
        ..bare
    };
    assert_eq!((open.manifest().decoder, open.manifest().input.width), (Family::Yolov8, 640));
}

#[test]
fn end_to_end_yolos_need_no_suppression() {
    let v10 = Export {
        stem: "yolov10n",
        inputs: &[("images", F32, &[1, 3, 640, 640])],
        outputs: &[("output0", &[1, 300, 6])],
        metadata: &[("task", "detect"), ("names", NAMES_2), ("end2end", "True")],
        ..PLAIN
    };
    assert_eq!((v10.manifest().decoder, v10.manifest().labels.len()), (Family::YoloEnd2end, 2));
    let bare = Export { metadata: &[], stem: "yolo26n", ..v10 };
    assert_eq!((bare.manifest().decoder, bare.manifest().labels.len()), (Family::YoloEnd2end, 80));
    let v7 = Export { outputs: &[("output", &[0, 7])], stem: "yolov7-e2e", ..bare };
    assert_eq!(v7.manifest().decoder, Family::YoloEnd2end);
}

#[test]
fn pose_models_get_their_keypoints() {
    let pose = Export {
        stem: "yolov8n-pose",
        inputs: &[("images", F32, &[1, 3, 640, 640])],
        outputs: &[("output0", &[1, 56, 8400])],
        metadata: &[("task", "pose"), ("names", "{0: 'person'}"), ("kpt_shape", "[17, 3]"), ("stride", "32")],
        ..PLAIN
    };
    let manifest = pose.manifest();
    assert_eq!((manifest.task, manifest.decoder, manifest.keypoints.len()), (Task::Pose, Family::YoloPose, 17));
    assert_eq!((manifest.keypoints[0].as_str(), manifest.keypoints[16].as_str()), ("nose", "right_ankle"));
    let bare = Export { metadata: &[], ..pose };
    assert_eq!((bare.manifest().decoder, bare.manifest().keypoints.len()), (Family::YoloPose, 17));
}

#[test]
fn movenet_is_fed_whole_numbers_in_a_black_letterbox() {
    let manifest = Export {
        stem: "movenet_singlepose_lightning",
        inputs: &[("input", Element::I32, &[1, 192, 192, 3])],
        outputs: &[("output_0", &[1, 1, 17, 3])],
        ..PLAIN
    }
    .manifest();
    assert_eq!((manifest.task, manifest.decoder), (Task::Keypoints, Family::Movenet));
    assert_eq!((manifest.input.layout, manifest.input.dtype, manifest.input.scale), (Layout::Nhwc, Dtype::I32, 1.0));
    assert_eq!(manifest.input.resize.mode, ResizeMode::Letterbox);
    assert!(manifest.input.crop.is_none());
}

#[test]
fn heat_maps_are_cropped_around_a_box() {
    let cpm = Export {
        stem: "cpm",
        inputs: &[("image:0", F32, &[1, 192, 192, 3])],
        outputs: &[("stage_5_out:0", &[1, 96, 96, 14])],
        ..PLAIN
    }
    .manifest();
    assert_eq!((cpm.decoder, cpm.keypoints.len(), cpm.input.colour), (Family::Heatmap, 14, ColourOrder::Bgr));
    assert!(cpm.input.crop.is_some_and(|crop| crop.square && crop.grow == 1.25));
    let hrnet = Export {
        stem: "pose_hrnet_w32_256x192",
        inputs: &[("input", F32, &[1, 3, 256, 192])],
        outputs: &[("output", &[1, 17, 64, 48])],
        ..PLAIN
    }
    .manifest();
    assert_eq!((hrnet.decoder, hrnet.keypoints.len(), hrnet.input.colour), (Family::Heatmap, 17, ColourOrder::Rgb));
    assert_eq!((hrnet.input.width, hrnet.input.height), (192, 256));
    assert!(hrnet.input.crop.is_some_and(|crop| !crop.square));
    let openpose = Export { stem: "openpose", inputs: &[("input", F32, &[1, 3, 368, 368])], outputs: &[("heat", &[1, 19, 46, 46])], ..PLAIN };
    assert_eq!(openpose.manifest().keypoints.len(), 18);
}

#[test]
fn nanodet_plus_and_picodet_differ_in_centres_and_colours() {
    let plus = Export {
        stem: "nanodet-plus-m_416",
        inputs: &[("data", F32, &[1, 3, 416, 416])],
        outputs: &[("output", &[1, 3598, 112])],
        ..PLAIN
    }
    .manifest();
    assert_eq!((plus.decoder, plus.labels.len(), plus.input.colour), (Family::Nanodet, 80, ColourOrder::Bgr));
    assert_eq!((plus.decode.cell_centre, plus.decode.strides.len()), (Some(0.0), 4));
    let pico = Export {
        stem: "picodet_s_320_lcnet",
        inputs: &[("image", F32, &[1, 3, 320, 320])],
        outputs: &[
            ("transpose_0.tmp_0", &[1, 1600, 80]),
            ("transpose_2.tmp_0", &[1, 400, 80]),
            ("transpose_4.tmp_0", &[1, 100, 80]),
            ("transpose_6.tmp_0", &[1, 25, 80]),
            ("transpose_1.tmp_0", &[1, 1600, 32]),
            ("transpose_3.tmp_0", &[1, 400, 32]),
            ("transpose_5.tmp_0", &[1, 100, 32]),
            ("transpose_7.tmp_0", &[1, 25, 32]),
        ],
        ..PLAIN
    }
    .manifest();
    assert_eq!((pico.decoder, pico.labels.len(), pico.input.colour), (Family::Nanodet, 80, ColourOrder::Rgb));
    assert_eq!((pico.decode.cell_centre, pico.decode.centre_shift), (Some(0.5), Some(0.0)));
}

#[test]
fn paddle_exports_with_suppression_take_the_scale_and_give_source_pixels() {
    let manifest = Export {
        stem: "picodet_l_416",
        inputs: &[("image", F32, &[0, 3, 416, 416]), ("scale_factor", F32, &[0, 2]), ("im_shape", F32, &[0, 2])],
        outputs: &[("multiclass_nms3_0.tmp_0", &[0, 6]), ("multiclass_nms3_0.tmp_2", &[0])],
        ..PLAIN
    }
    .manifest();
    assert_eq!((manifest.decoder, manifest.labels.len()), (Family::Nanodet, 80));
    assert_eq!((manifest.decode.box_range, manifest.input.resize.mode), (Some(ValueRange::Source), ResizeMode::Stretch));
    let values: Vec<&ExtraValue> = manifest.input.extra.iter().map(|extra| &extra.value).collect();
    assert_eq!(values, [&ExtraValue::ScaleHw, &ExtraValue::InputHw]);
    assert_eq!(manifest.input.name.as_deref(), Some("image"));
}

#[test]
fn fastestdet_is_one_map_of_stride_sixteen() {
    let manifest = Export {
        stem: "model",
        inputs: &[("input.1", F32, &[1, 3, 352, 352])],
        outputs: &[("758", &[1, 85, 22, 22])],
        ..PLAIN
    }
    .manifest();
    assert_eq!((manifest.decoder, manifest.labels.len()), (Family::Fastestdet, 80));
    assert_eq!(manifest.input.resize.mode, ResizeMode::Stretch);
}

#[test]
fn the_kinds_of_ssd_are_told_apart() {
    let tensorflow = Export {
        stem: "ssd_mobilenet_v1_10",
        inputs: &[("image_tensor:0", Element::U8, &[0, 0, 0, 3])],
        outputs: &[("detection_boxes:0", &[0, 0, 0]), ("detection_classes:0", &[0, 0]), ("detection_scores:0", &[0, 0]), ("num_detections:0", &[0])],
        ..PLAIN
    }
    .manifest();
    assert_eq!((tensorflow.decoder, tensorflow.labels.len()), (Family::Ssd, 90));
    assert_eq!((tensorflow.input.dtype, tensorflow.input.layout, tensorflow.input.width), (Dtype::U8, Layout::Nhwc, 300));
    assert_eq!((tensorflow.decode.box_format, tensorflow.decode.first_class), (Some(BoxFormat::Yxyx), Some(1)));
    assert_eq!((tensorflow.labels[0].as_str(), tensorflow.labels[12].as_str()), ("person", "stop sign"));
    let pytorch = Export {
        stem: "mb1-ssd",
        inputs: &[("input.1", F32, &[1, 3, 300, 300])],
        outputs: &[("scores", &[1, 3000, 21]), ("boxes", &[1, 3000, 4])],
        operators: &["Softmax"],
        ..PLAIN
    }
    .manifest();
    assert_eq!((pytorch.decoder, pytorch.labels.len(), pytorch.labels[14].as_str()), (Family::Ssd, 20, "person"));
    assert_eq!((pytorch.input.mean, pytorch.input.std), ([127.0; 3], [128.0; 3]));
    assert_eq!((pytorch.decode.scores, pytorch.decode.first_class), (Some(Head::Probability), Some(1)));
    let torchvision = Export {
        stem: "ssdlite320_mobilenet_v3_large",
        inputs: &[("images", F32, &[3, 320, 320])],
        outputs: &[("boxes", &[0, 4]), ("scores", &[0]), ("labels", &[0])],
        ..PLAIN
    }
    .manifest();
    assert_eq!((torchvision.decoder, torchvision.decode.box_range), (Family::Ssd, Some(ValueRange::Input)));
    let zoo = Export {
        stem: "ssd-10",
        inputs: &[("image", F32, &[1, 3, 1200, 1200])],
        outputs: &[("bboxes", &[1, 0, 4]), ("labels", &[1, 0]), ("scores", &[1, 0])],
        ..PLAIN
    }
    .manifest();
    assert_eq!((zoo.decode.box_range, zoo.labels.len(), zoo.input.width), (Some(ValueRange::Unit), 80, 1200));
}

#[test]
fn the_kinds_of_detr_are_told_apart() {
    let rtdetr = Export {
        stem: "rtdetr_r18vd",
        inputs: &[("images", F32, &[0, 3, 640, 640]), ("orig_target_sizes", Element::I64, &[0, 2])],
        outputs: &[("labels", &[0, 300]), ("boxes", &[0, 300, 4]), ("scores", &[0, 300])],
        ..PLAIN
    }
    .manifest();
    assert_eq!((rtdetr.decoder, rtdetr.labels.len(), rtdetr.input.resize.mode), (Family::Detr, 80, ResizeMode::Stretch));
    assert_eq!(rtdetr.input.extra[0].value, ExtraValue::SourceWh);
    let facebook = Export {
        stem: "detr-resnet-50",
        inputs: &[("pixel_values", F32, &[0, 3, 0, 0]), ("pixel_mask", Element::I64, &[0, 0, 0])],
        outputs: &[("logits", &[0, 100, 92]), ("pred_boxes", &[0, 100, 4])],
        ..PLAIN
    }
    .manifest();
    assert_eq!((facebook.decoder, facebook.decode.scores, facebook.labels.len()), (Family::Detr, Some(Head::Softmax), 91));
    assert_eq!((facebook.labels[1].as_str(), facebook.labels[13].as_str()), ("person", "stop sign"));
    assert_eq!(facebook.input.mean, [0.485, 0.456, 0.406]);
    assert_eq!(facebook.input.extra[0].value, ExtraValue::Constant(vec![1.0]));
    let hugging = Export {
        stem: "rtdetr_r50vd_coco_o365",
        inputs: &[("pixel_values", F32, &[1, 3, 640, 640])],
        outputs: &[("logits", &[1, 300, 80]), ("pred_boxes", &[1, 300, 4])],
        ..PLAIN
    }
    .manifest();
    assert_eq!((hugging.decode.scores, hugging.labels.len(), hugging.input.mean), (Some(Head::Sigmoid), 80, [0.0; 3]));
    let ultralytics = Export {
        stem: "rtdetr-l",
        inputs: &[("images", F32, &[1, 3, 640, 640])],
        outputs: &[("output0", &[1, 300, 84])],
        ..PLAIN
    }
    .manifest();
    assert_eq!((ultralytics.decoder, ultralytics.labels.len()), (Family::Detr, 80));
    assert_eq!(ultralytics.input.resize.mode, ResizeMode::Stretch);
}

#[test]
fn classifiers_of_either_layout_are_told() {
    let torch = Export { stem: "mobilenetv2-12", inputs: &[("input", F32, &[0, 3, 224, 224])], outputs: &[("output", &[0, 1000])], ..PLAIN }.manifest();
    assert_eq!((torch.decoder, torch.labels.len(), torch.decode.scores), (Family::Classifier, 1000, Some(Head::Softmax)));
    assert_eq!(torch.input.resize.mode, ResizeMode::CentreCrop);
    let keras = Export { stem: "mobilenet", inputs: &[("input_1", F32, &[0, 224, 224, 3])], outputs: &[("probs", &[0, 7])], ..PLAIN }.manifest();
    assert_eq!((keras.input.layout, keras.input.mean, keras.labels.len()), (Layout::Nhwc, [127.5; 3], 7));
}

#[test]
fn what_nobody_reads_is_refused_with_its_outputs() {
    let segmentation = Export {
        stem: "yolov8n-seg",
        inputs: &[("images", F32, &[1, 3, 640, 640])],
        outputs: &[("output0", &[1, 38, 8400]), ("output1", &[1, 32, 160, 160])],
        metadata: &[("task", "segment"), ("names", NAMES_2)],
        ..PLAIN
    };
    let told = draft(&segmentation.info()).err().unwrap().to_string();
    assert!(told.contains("segment") && told.contains("output0"), "{told}");
    let text = Export { stem: "bert", inputs: &[("ids", Element::I64, &[1, 128])], outputs: &[("x", &[1, 128, 768])], ..PLAIN };
    assert!(draft(&text.info()).is_err());
}

#[test]
fn file_and_manifest_that_contradict_each_other_are_both_quoted() {
    let export = Export {
        stem: "best",
        inputs: &[("images", F32, &[1, 3, 640, 640])],
        outputs: &[("output0", &[1, 6, 8400])],
        metadata: &[("task", "detect"), ("names", NAMES_2), ("stride", "32")],
        ..PLAIN
    };
    let (info, manifest) = (export.info(), export.manifest());
    let told = |change: &dyn Fn(&mut Manifest)| {
        let mut other = manifest.clone();
        change(&mut other);
        check(&other, &info).err().unwrap().to_string()
    };
    let count = told(&|manifest| manifest.labels.push("car".into()));
    assert!(count.contains("2 class names") && count.contains("3 labels"), "{count}");
    let name = told(&|manifest| manifest.labels[1] = "pedestrian".into());
    assert!(name.contains("\"person\"") && name.contains("\"pedestrian\""), "{name}");
    let size = told(&|manifest| manifest.input.width = 416);
    assert!(size.contains("[1, 3, 640, 640]") && size.contains("416x640"), "{size}");
    let kind = told(&|manifest| manifest.input.dtype = Dtype::U8);
    assert!(kind.contains("f32") && kind.contains("u8"), "{kind}");
    let layout = told(&|manifest| manifest.input.layout = Layout::Nhwc);
    assert!(layout.contains("input.layout"), "{layout}");
    let task = told(&|manifest| manifest.decoder = Family::YoloPose);
    assert!(task.contains("detect") && task.contains("YoloPose"), "{task}");
    let input = told(&|manifest| manifest.input.name = Some("data".into()));
    assert!(input.contains("images") && input.contains("data"), "{input}");
    let mut rectangle = manifest.clone();
    (rectangle.input.height, rectangle.input.rectangle) = (384, true);
    check(&rectangle, &info).unwrap();
}
