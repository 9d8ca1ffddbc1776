//! The files that the program carries, from `runtime/demo`.

/// Name within the kit, and content.
pub const FILES: [(&str, &[u8]); 11] = [
    ("model.onnx", include_bytes!("../../demo/stopline-small.onnx")),
    ("model.toml", include_bytes!("../../demo/model.toml")),
    ("clips/front.cal.toml", include_bytes!("../../demo/clips/front.cal.toml")),
    ("clips/stop_sign.mp4", include_bytes!("../../demo/clips/stop_sign.mp4")),
    ("clips/stop_sign.track.csv", include_bytes!("../../demo/clips/stop_sign.track.csv")),
    ("clips/stop_sign.truth.json", include_bytes!("../../demo/clips/stop_sign.truth.json")),
    ("clips/pedestrian.mp4", include_bytes!("../../demo/clips/pedestrian.mp4")),
    ("clips/pedestrian.track.csv", include_bytes!("../../demo/clips/pedestrian.track.csv")),
    ("clips/pedestrian.truth.json", include_bytes!("../../demo/clips/pedestrian.truth.json")),
    ("clips/fall.mp4", include_bytes!("../../demo/clips/fall.mp4")),
    ("clips/fall.truth.json", include_bytes!("../../demo/clips/fall.truth.json")),
];
