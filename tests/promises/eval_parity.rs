//! `stopline eval` beside pycocotools' COCOeval: the same figures on random cases, to 1e-6.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use stopline::eval::coco::Dataset;
use stopline::eval::metrics::{Curves, Part};
use stopline::eval::results::Results;
use stopline_tests::{count, python, stopline};

const CASES: usize = 200;
const TOLERANCE: f64 = 1e-6;
/// Every so many cases the program itself is run too.
const PROGRAM_EVERY: usize = 20;

#[test]
fn every_figure_of_random_cases_equals_pycocotools() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let cases = count("eval beside pycocotools, random cases", CASES, CASES);
    for number in 0..cases {
        write_case(folder.path(), number);
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("promises/eval_reference.py");
    let done = Command::new(python).arg(script).arg(folder.path()).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));

    let (mut compared, mut largest) = (0, 0.0_f64);
    let mut measurable = 0;
    for number in 0..cases {
        let (figures, difference, precision) = compare(folder.path(), number);
        compared += figures;
        largest = largest.max(difference);
        measurable += usize::from(precision > 0.0);
    }
    println!("eval beside pycocotools: {compared} figures in {cases} cases, largest difference {largest:e}");
    assert!(
        measurable > cases / 2,
        "only {measurable} of {cases} cases have a precision above 0: they show too little"
    );
}

/// How many figures were compared, the largest difference, and the case's mAP.
fn compare(folder: &Path, number: usize) -> (usize, f64, f64) {
    let name = kind(number);
    let truth_file = folder.join(format!("{number:03}.gt.json"));
    let found_file = folder.join(format!("{number:03}.dt.json"));
    let dataset = Dataset::read(&truth_file).unwrap();
    let results = Results::read(&found_file, &dataset, &[]).unwrap();
    let curves = Curves::measure(&dataset, &results.found);
    let summary = curves.summary();

    let mut ours: Vec<f64> = summary.iter().map(|(_, value)| *value).collect();
    let whole = Part { max_found: 2, ..Part::default() };
    let categories = 0..dataset.categories.len();
    ours.extend(
        categories.map(|category| curves.average_precision(Part { category: Some(category), ..whole })),
    );
    ours.extend(curves.precision.iter().chain(&curves.scores).chain(&curves.recall));

    let bytes = std::fs::read(folder.join(format!("{number:03}.bin"))).unwrap();
    let theirs: Vec<f64> =
        bytes.chunks_exact(8).map(|eight| f64::from_le_bytes(eight.try_into().unwrap())).collect();
    assert_eq!(ours.len(), theirs.len(), "case {number} ({name}): number of figures");
    let mut largest = 0.0_f64;
    for (index, (our, their)) in ours.iter().zip(&theirs).enumerate() {
        let difference = (our - their).abs();
        // Written so that NaN fails.
        assert!(
            difference <= TOLERANCE,
            "case {number} ({name}), figure {index}: ours {our}, pycocotools {their}"
        );
        largest = largest.max(difference);
    }
    if number.is_multiple_of(PROGRAM_EVERY) {
        compare_program(&truth_file, &found_file, &theirs);
    }
    (ours.len(), largest, summary[0].1)
}

fn compare_program(truth_file: &Path, found_file: &Path, theirs: &[f64]) {
    let done = Command::new(stopline())
        .arg("eval")
        .arg(truth_file)
        .arg("--detections")
        .arg(found_file)
        .arg("--json")
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let report: Value = serde_json::from_slice(&done.stdout).unwrap();
    let summary = report["summary"].as_object().unwrap();
    assert_eq!(summary.len(), 12);
    for ((name, value), their) in summary.iter().zip(theirs) {
        assert!(
            (value.as_f64().unwrap() - their).abs() <= TOLERANCE,
            "{name}: ours {value}, pycocotools {their}"
        );
    }
    for (category, their) in report["categories"].as_array().unwrap().iter().zip(&theirs[12..]) {
        assert!(
            (category["ap"].as_f64().unwrap() - their).abs() <= TOLERANCE,
            "{category}: pycocotools {their}"
        );
    }
}

/// What a case is about; kinds take turns.
fn kind(number: usize) -> &'static str {
    const KINDS: [&str; 14] = [
        "plain",
        "crowds",
        "ignored",
        "empty classes",
        "tied scores",
        "more than 100 detections",
        "tiny boxes",
        "several sizes",
        "no detections",
        "no ground truth",
        "areas on the limits",
        "ids from 0",
        "strangers",
        "everything",
    ];
    KINDS[number % KINDS.len()]
}

/// SplitMix64 (Steele, Lea and Flood, 2014): the same cases on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 to 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn between(&mut self, least: f64, most: f64) -> f64 {
        least + self.unit() * (most - least)
    }

    fn below(&mut self, count: usize) -> usize {
        (self.next() % count as u64) as usize
    }

    fn chance(&mut self, share: f64) -> bool {
        self.unit() < share
    }
}

fn write_case(folder: &Path, number: usize) {
    let mut random = Random(0x0005_1000 + number as u64);
    let kind = kind(number);
    let is = |name: &str| kind == name || kind == "everything";
    let images: Vec<i64> = (0..3 + random.below(10)).map(|i| [7, 1000, 3][i % 3] + 13 * i as i64).collect();
    let categories: Vec<i64> = (0..1 + random.below(5)).map(|i| [5, 90, 1][i % 3] + 7 * i as i64).collect();
    let used = if is("empty classes") { categories.len().div_ceil(2) } else { categories.len() };

    let (mut truths, mut found) = (Vec::new(), Vec::new());
    let first_id = if is("ids from 0") { 0 } else { 1 };
    for &image in &images {
        let crowded = is("more than 100 detections") && random.chance(0.4);
        let labelled =
            if kind == "no ground truth" { 0 } else { random.below(if crowded { 130 } else { 12 }) };
        let mut boxes = Vec::new();
        for _ in 0..labelled {
            let category = categories[random.below(used)];
            let bbox = a_box(&mut random, kind);
            boxes.push((category, bbox));
            truths.push(truth(&mut random, first_id + truths.len(), image, category, bbox, &is));
        }
        if kind != "no detections" {
            add_found(&mut random, &mut found, image, &categories, &boxes, crowded, &is);
        }
    }
    if is("strangers") {
        // A picture and a category that nobody lists; pycocotools passes over them.
        truths.push(json!({"id": 90_001, "image_id": 424_242, "category_id": categories[0], "bbox": [1, 2, 30, 40], "area": 1200, "iscrowd": 0}));
        truths.push(json!({"id": 90_002, "image_id": images[0], "category_id": 424_242, "bbox": [1, 2, 30, 40], "area": 1200, "iscrowd": 0}));
        found.push(
            json!({"image_id": images[0], "category_id": 424_242, "bbox": [1, 2, 30, 40], "score": 0.9}),
        );
    }
    let images: Vec<Value> = images
        .iter()
        .map(|id| json!({"id": id, "file_name": format!("{id}.jpg"), "width": 640, "height": 480}))
        .collect();
    let categories: Vec<Value> =
        categories.iter().map(|id| json!({"id": id, "name": format!("category {id}")})).collect();
    let truth_file = json!({"images": images, "annotations": truths, "categories": categories});
    std::fs::write(folder.join(format!("{number:03}.gt.json")), truth_file.to_string()).unwrap();
    std::fs::write(folder.join(format!("{number:03}.dt.json")), Value::Array(found).to_string()).unwrap();
}

fn a_box(random: &mut Random, kind: &str) -> [f64; 4] {
    let side = |random: &mut Random| match kind {
        "tiny boxes" => random.between(0.2, 6.0),
        // 32² and 96² square pixels are the limits of small, medium and large; both belong to two ranges.
        "areas on the limits" => [32.0, 96.0, 16.0, 64.0, 9.0, 288.0][random.below(6)],
        "several sizes" | "everything" => 2.0_f64.powf(random.between(1.0, 8.5)),
        _ => random.between(8.0, 200.0),
    };
    let (width, height) = (side(random), side(random));
    let bbox = [random.between(-5.0, 600.0), random.between(-5.0, 440.0), width, height];
    // Whole numbers, halves and tenths as well, as people and programs write them.
    match random.below(4) {
        0 => bbox.map(f64::round),
        1 => bbox.map(|value| (value * 2.0).round() / 2.0),
        2 => bbox.map(|value| (value * 10.0).round() / 10.0),
        _ => bbox,
    }
}

fn truth(
    random: &mut Random,
    id: usize,
    image: i64,
    category: i64,
    bbox: [f64; 4],
    is: &dyn Fn(&str) -> bool,
) -> Value {
    let crowd = is("crowds") && random.chance(0.25);
    // The area of an outline is smaller than its box's.
    let area =
        if random.chance(0.5) { bbox[2] * bbox[3] } else { bbox[2] * bbox[3] * random.between(0.3, 1.0) };
    let mut truth = json!({"id": id, "image_id": image, "category_id": category, "bbox": bbox, "area": area, "iscrowd": i32::from(crowd)});
    if is("ignored") && random.chance(0.3) {
        truth["ignore"] = json!(1);
    }
    truth
}

fn add_found(
    random: &mut Random,
    found: &mut Vec<Value>,
    image: i64,
    categories: &[i64],
    boxes: &[(i64, [f64; 4])],
    crowded: bool,
    is: &dyn Fn(&str) -> bool,
) {
    let score = |random: &mut Random| {
        let score = random.unit();
        if is("tied scores") || random.chance(0.1) { (score * 5.0).round() / 5.0 } else { score }
    };
    for &(category, bbox) in boxes {
        for _ in 0..random.below(4) {
            let shake = random.between(0.0, 0.25);
            let near: Vec<f64> = bbox
                .iter()
                .enumerate()
                .map(|(i, value)| value + random.between(-shake, shake) * bbox[2 + i % 2])
                .collect();
            let category =
                if random.chance(0.1) { categories[random.below(categories.len())] } else { category };
            let score = score(random);
            let exact = random.chance(0.15);
            let near = if exact { bbox.to_vec() } else { near };
            found.push(json!({"image_id": image, "category_id": category, "bbox": near, "score": score}));
        }
    }
    let strays = if crowded { 150 } else { random.below(6) };
    for _ in 0..strays {
        let category = if crowded { categories[0] } else { categories[random.below(categories.len())] };
        let bbox = a_box(random, "several sizes");
        let score = score(random);
        found.push(json!({"image_id": image, "category_id": category, "bbox": bbox, "score": score}));
    }
}
