use super::super::Manifest;

/// What is said of a manifest with `decoder` and the lines `decode` under `[decode]`; empty where it is taken.
fn said(decoder: &str, decode: &str) -> String {
    let text = format!(
        "schema = 1\nname = \"m\"\nversion = \"1.0.0\"\ntask = \"detect\"\ndecoder = \"{decoder}\"\nlabels = [\"a\"]\n\
         [input]\nwidth = 64\nheight = 64\ncolour = \"rgb\"\nresize = {{ mode = \"letterbox\" }}\n[decode]\n{decode}\n"
    );
    Manifest::from_toml(&text).map_or_else(|error| error.to_string(), |_| String::new())
}

#[track_caller]
fn refused(decoder: &str, decode: &str, parts: &[&str]) {
    let message = said(decoder, decode);
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
}

#[test]
fn a_key_that_the_family_does_not_read_is_refused() {
    refused("yolov8", "strides = [8]", &["decode.strides", "Yolov8", "box_format"]);
    refused("yolox", "anchors = [[[1, 2]]]", &["decode.anchors", "Yolox"]);
    refused("fastestdet", "first_class = 1", &["decode.first_class", "Fastestdet"]);
    assert_eq!(
        said("nanodet", "strides = [8, 16]\ncell_centre = 0.5\ncentre_shift = -0.5\nscores = \"sigmoid\""),
        ""
    );
    assert_eq!(said("yolox", "box_range = \"input\""), "");
}

#[test]
fn a_part_that_no_family_has_is_refused() {
    refused("ssd", "outputs = { box = \"b\" }", &["decode.outputs.box", "\"boxes\""]);
    assert_eq!(said("ssd", "outputs = { boxes = \"b\", scores = \"s\" }"), "");
}

#[test]
fn cells_and_anchors_that_cannot_work_are_refused() {
    refused("yolox", "strides = [8, 0]", &["decode.strides[1]", "found 0"]);
    refused("yolox", "strides = [8, 8]", &["decode.strides[1]", "second time"]);
    refused("yolox", "strides = [1, 2, 3, 4, 5, 6, 7, 8, 9]", &["decode.strides", "at most 8"]);
    refused("yolov5", "anchors = [[[1, 2]], [[1, 2]]]", &["decode.anchors", "2 lists", "3 strides"]);
    refused(
        "yolov5",
        "strides = [8, 16]\nanchors = [[[1, 2]], [[1, 2], [3, 4]]]",
        &["decode.anchors[1]", "2 anchors"],
    );
    refused("yolov5", "strides = [8]\nanchors = [[[0, 2]]]", &["decode.anchors[0]"]);
    refused("yolov5", "strides = [8]\nanchors = [[]]", &["decode.anchors[0]", "0 anchors"]);
    refused("nanodet", "cell_centre = nan", &["decode.cell_centre", "NaN"]);
    assert_eq!(said("yolov5", "strides = [8]\nanchors = [[[1, 2], [3, 4]]]"), "");
}

#[test]
fn a_softmax_is_for_classes_that_exclude_each_other() {
    refused("yolov8", "scores = \"softmax\"", &["decode.scores", "sigmoid"]);
    assert_eq!(said("detr", "scores = \"softmax\""), "");
}

#[test]
fn source_pixels_and_a_letterbox_contradict_each_other() {
    refused("detr", "box_range = \"source\"", &["decode.box_range", "Letterbox", "stretch"]);
}
