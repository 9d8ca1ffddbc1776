//! YOLO: `data.yaml`, and for each picture a line per box: class from 0, centre, width and height as shares of the picture. A
//! prediction has its score as a sixth column, which trainers refuse and labelling tools read.

use std::fmt::Write as _;

use super::annotation::Annotation;

/// `data.yaml` for these splits.
pub fn data(splits: &[&str], labels: &[String]) -> String {
    let mut text = String::new();
    for split in splits {
        let _ = writeln!(text, "{split}: images/{split}");
    }
    let _ = writeln!(text, "nc: {}\nnames:", labels.len());
    for (class, label) in labels.iter().enumerate() {
        // JSON's quotes are YAML's too.
        let _ = writeln!(text, "  {class}: {}", serde_json::Value::from(label.as_str()));
    }
    text
}

/// The label file of a picture of this size.
pub fn lines(annotations: &[Annotation], size: [u32; 2], labels: &[String]) -> String {
    let mut text = String::new();
    let [width, height] = size.map(f64::from);
    for annotation in annotations {
        let Some(class) = labels.iter().position(|label| *label == annotation.label) else { continue };
        let [x, y, w, h] = annotation.bbox;
        let centre = [(x + w / 2.0) / width, (y + h / 2.0) / height, w / width, h / height];
        let [x, y, w, h] = centre.map(|share| share.clamp(0.0, 1.0));
        let _ = write!(text, "{class} {x:.6} {y:.6} {w:.6} {h:.6}");
        if let Some(score) = annotation.score {
            let _ = write!(text, " {score:.4}");
        }
        text.push('\n');
    }
    text
}
