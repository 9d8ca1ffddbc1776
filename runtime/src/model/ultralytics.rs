//! What Ultralytics' exporter writes into an ONNX file's metadata: values in Python's notation.

use std::collections::BTreeMap;

/// What the metadata says; each part only where it is there and can be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ultralytics {
    /// Class names in class order.
    pub names: Vec<String>,
    /// Largest stride of the network.
    pub stride: Option<u32>,
    /// Input height and width.
    pub imgsz: Option<[u32; 2]>,
    /// `detect`, `pose`, `classify`, `segment`, `obb`.
    pub task: Option<String>,
    /// Keypoints, and values for each (2 or 3).
    pub kpt_shape: Option<[u32; 2]>,
    /// Whether the graph suppresses by itself (YOLOv10, YOLO26, or `nms=True`).
    pub end2end: bool,
    /// The network's last layer (`Detect`, `v10Detect`, `RTDETRDecoder`); newer exporters only.
    pub head: Option<String>,
    /// Which model it says it is (`Ultralytics YOLOv8n model …`).
    pub description: String,
}

/// Most classes read from metadata; Objects365 and LVIS stay far below.
const MOST_NAMES: usize = 10_000;

impl Ultralytics {
    /// Reads `metadata`; `None` where no Ultralytics exporter wrote it.
    pub fn read(metadata: &BTreeMap<String, String>) -> Option<Self> {
        let value = |key: &str| metadata.get(key).map(String::as_str);
        let names = value("names").and_then(parse_names);
        if names.is_none() && (value("stride").is_none() || value("task").is_none()) {
            return None;
        }
        let [imgsz, kpt_shape] = ["imgsz", "kpt_shape"].map(|key| value(key).and_then(parse_pair));
        let truth = |text: &str| text.trim().eq_ignore_ascii_case("true");
        let nms = value("args").is_some_and(|args| args.replace(' ', "").contains("'nms':True"));
        Some(Self {
            names: names.unwrap_or_default(),
            stride: value("stride").and_then(|text| parse_numbers(text).into_iter().max()),
            imgsz,
            task: value("task").map(|task| task.trim().to_owned()),
            kpt_shape,
            end2end: value("end2end").is_some_and(truth) || nms,
            head: value("head").map(|head| head.trim().to_owned()),
            description: value("description").unwrap_or_default().to_owned(),
        })
    }
}

/// `[640, 480]` as two numbers; `640` as twice the same.
fn parse_pair(text: &str) -> Option<[u32; 2]> {
    match parse_numbers(text)[..] {
        [both] => Some([both; 2]),
        [first, second] => Some([first, second]),
        _ => None,
    }
}

fn parse_numbers(text: &str) -> Vec<u32> {
    text.split(|c: char| !c.is_ascii_digit())
        .filter(|part| !part.is_empty())
        .filter_map(|part| part.parse().ok())
        .collect()
}

/// `{0: 'person', 1: 'stop sign'}` or `['person', 'stop sign']` as names in class order. `None` for anything else,
/// for numbers that leave gaps, and for more than [`MOST_NAMES`].
fn parse_names(text: &str) -> Option<Vec<String>> {
    let text = text.trim();
    let keyed = text.starts_with('{');
    let inner =
        text.strip_prefix(if keyed { '{' } else { '[' })?.strip_suffix(if keyed { '}' } else { ']' })?;
    let mut names = BTreeMap::new();
    let mut rest = inner.trim_start();
    while !rest.is_empty() && names.len() <= MOST_NAMES {
        let key = if keyed {
            let (key, after) = rest.split_once(':')?;
            rest = after.trim_start();
            key.trim().trim_matches(['\'', '"']).parse().ok()?
        } else {
            names.len()
        };
        let (name, after) = parse_string(rest)?;
        names.insert(key, name);
        rest = after.trim_start();
        rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
    }
    let dense = names.len() <= MOST_NAMES && !names.is_empty() && names.keys().copied().eq(0..names.len());
    dense.then(|| names.into_values().collect())
}

/// A Python string literal in either quotes, and what follows it.
fn parse_string(text: &str) -> Option<(String, &str)> {
    let quote = text.chars().next().filter(|first| matches!(first, '\'' | '"'))?;
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                't' => value.push('\t'),
                other => value.push(other),
            },
            c if c == quote => return Some((value, &text[at + 1..])),
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn metadata(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_pose_export_tells_its_names_size_and_keypoints() {
        let told = Ultralytics::read(&metadata(&[
            ("description", "Ultralytics YOLOv8n-pose model trained on coco-pose.yaml"),
            ("stride", "32"),
            ("task", "pose"),
            ("imgsz", "[480, 640]"),
            ("names", "{0: 'person'}"),
            ("kpt_shape", "[17, 3]"),
        ]))
        .unwrap();
        assert_eq!(told.names, ["person"]);
        assert_eq!((told.stride, told.imgsz, told.kpt_shape), (Some(32), Some([480, 640]), Some([17, 3])));
        assert!(!told.end2end);
    }

    #[test]
    fn names_may_hold_quotes_colons_and_commas() {
        let names = parse_names(r#"{0: "driver's hat", 1: 'a, b: c', 2: 'it\'s'}"#).unwrap();
        assert_eq!(names, ["driver's hat", "a, b: c", "it's"]);
        assert_eq!(parse_names("['a', 'b']").unwrap(), ["a", "b"]);
    }

    #[test]
    fn names_with_gaps_or_half_a_list_are_not_believed() {
        for text in ["{0: 'a', 2: 'b'}", "{0: 'a'", "{0: 'a, 1: b}", "", "{}", "person"] {
            assert_eq!(parse_names(text), None, "{text}");
        }
    }

    #[test]
    fn nms_in_the_export_arguments_means_end_to_end() {
        let told =
            Ultralytics::read(&metadata(&[("names", "{0: 'a'}"), ("args", "{'batch': 1, 'nms': True}")]))
                .unwrap();
        assert!(told.end2end);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in ".{0,200}") {
            let _ = parse_names(&text);
            let _ = parse_pair(&text);
        }
    }
}
