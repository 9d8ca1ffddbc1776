//! Every decoder family beside a decode with numpy: `fixtures/decoders/make.py` writes a tiny model for each family and
//! variant, and what must be found in it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use serde::Deserialize;
use stopline::decode::decoder;
use stopline::detection::Detection;
use stopline::infer::{
    BackendKind, Element, ModelFile, Output, PlanOptions, Tensor, TensorData, TensorSpec, backend,
};
use stopline::prepare::geometry::Geometry;
use stopline_depot::manifest::Manifest;

/// Fewest cases: every family with its variants.
const CASES: usize = 40;

#[derive(Deserialize)]
struct Expected {
    source: [u32; 2],
    detections: Vec<Wanted>,
}

#[derive(Deserialize)]
struct Wanted {
    class: usize,
    score: f32,
    #[serde(rename = "box")]
    bbox: [f32; 4],
    keypoints: Vec<[f32; 3]>,
}

#[derive(Deserialize)]
struct Stored {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    shape: Vec<usize>,
    data: Vec<f32>,
}

/// One folder that the script wrote.
struct Case {
    folder: PathBuf,
    manifest: Manifest,
    expected: Expected,
}

impl Case {
    fn read(folder: PathBuf) -> Self {
        let text = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
        let manifest = Manifest::from_toml(&text("model.toml"));
        let manifest = manifest.unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let expected = serde_json::from_str(&text("expected.json")).unwrap();
        Self { folder, manifest, expected }
    }

    fn name(&self) -> &str {
        &self.manifest.name
    }

    /// The stored tensors, without an engine.
    fn outputs(&self) -> (Vec<TensorSpec>, Vec<Output>) {
        let file = std::fs::File::open(self.folder.join("outputs.json")).unwrap();
        let stored: Vec<Stored> = serde_json::from_reader(std::io::BufReader::new(file)).unwrap();
        let split = |tensor: Stored| {
            let element = if tensor.kind == "int64" { Element::I64 } else { Element::F32 };
            let shape = tensor.shape.iter().copied().map(Some).collect();
            let spec = TensorSpec { name: tensor.name.clone(), element, shape };
            (spec, Output { name: tensor.name, shape: tensor.shape, data: tensor.data })
        };
        stored.into_iter().map(split).unzip()
    }

    /// What `engine` gives, beside the plan's outputs.
    fn run(&self, engine: BackendKind, library: Option<&Path>) -> (Vec<TensorSpec>, Vec<Output>) {
        let path = self.folder.join("model.onnx");
        let bytes = std::fs::read(&path).unwrap();
        let model = ModelFile { path: &path, bytes: &bytes };
        let plan = backend(engine, library).unwrap().plan(&model, &PlanOptions::default());
        let plan = plan.unwrap_or_else(|error| panic!("{}: {error}", self.name()));
        let input = |spec: &TensorSpec| {
            let shape: Vec<usize> = spec.shape.iter().map(|axis| axis.unwrap()).collect();
            let data = match spec.element {
                Element::F32 => TensorData::F32(vec![0.25; shape.iter().product()]),
                Element::I64 => TensorData::I64(self.expected.source.map(i64::from).to_vec()),
                other => panic!("the fixtures have no inputs of {other:?}"),
            };
            Tensor { shape, data }
        };
        let inputs: Vec<Tensor> = plan.inputs().iter().map(input).collect();
        let mut session = Arc::clone(&plan).session().unwrap();
        let outputs = session.run(&inputs).unwrap().to_vec();
        (plan.outputs().to_vec(), outputs)
    }

    fn geometry(&self) -> Geometry {
        let input = &self.manifest.input;
        Geometry::fit(self.expected.source, [input.width, input.height], &input.resize)
    }

    /// Decodes twice, since buffers are kept, and compares.
    fn check(&self, (specs, outputs): (Vec<TensorSpec>, Vec<Output>)) {
        let name = self.name();
        let mut decoder = decoder(&self.manifest, &specs).unwrap_or_else(|error| panic!("{name}: {error}"));
        for _ in 0..2 {
            let mut found = Vec::new();
            let decoded = decoder.decode(&outputs, &self.geometry(), &mut found);
            decoded.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(found.len(), self.expected.detections.len(), "{name}: number of detections");
            for (at, (found, wanted)) in found.iter().zip(&self.expected.detections).enumerate() {
                compare(&format!("{name}, detection {at}"), found, wanted);
            }
        }
    }
}

fn compare(what: &str, found: &Detection, wanted: &Wanted) {
    assert_eq!(found.class, wanted.class, "{what}: class");
    near(&format!("{what}: score"), found.score, wanted.score, 1e-4);
    for (side, wanted) in found.bbox.into_iter().zip(wanted.bbox) {
        near(&format!("{what}: box"), side, wanted, 0.01);
    }
    assert_eq!(found.keypoints.len(), wanted.keypoints.len(), "{what}: keypoints");
    for (point, wanted) in found.keypoints.iter().zip(&wanted.keypoints) {
        near(&format!("{what}: keypoint's x"), point.x, wanted[0], 0.01);
        near(&format!("{what}: keypoint's y"), point.y, wanted[1], 0.01);
        near(&format!("{what}: keypoint's score"), point.score, wanted[2], 1e-4);
    }
}

fn near(what: &str, found: f32, wanted: f32, slack: f32) {
    assert!((found - wanted).abs() <= slack, "{what}: found {found}, expected {wanted} to {slack}");
}

/// The cases, made once; `None` without Python.
fn cases() -> Option<Vec<Case>> {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    let python = stopline_tests::python()?;
    let folder = MADE.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("decoders");
        // Cases that the script no longer makes must not be tested.
        let _ = std::fs::remove_dir_all(&folder);
        let script = stopline_tests::fixtures().join("decoders/make.py");
        let status = Command::new(python).arg(script).arg(&folder).status().unwrap();
        assert!(status.success(), "make.py: {status}");
        folder
    });
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    assert!(folders.len() >= CASES, "make.py made {} cases, expected at least {CASES}", folders.len());
    Some(folders.into_iter().map(Case::read).collect())
}

#[test]
fn every_family_finds_what_numpy_finds_in_the_same_tensors() {
    let Some(cases) = cases() else { return };
    for case in &cases {
        case.check(case.outputs());
    }
    println!("{} decoder cases", cases.len());
}

#[cfg(feature = "tract")]
#[test]
fn every_family_finds_what_numpy_finds_through_tract() {
    let Some(cases) = cases() else { return };
    for case in &cases {
        case.check(case.run(BackendKind::Tract, None));
    }
}

#[cfg(feature = "ort")]
#[test]
fn every_family_finds_what_numpy_finds_through_onnx_runtime() {
    let (Some(cases), Some(library)) = (cases(), stopline_tests::ort_library()) else { return };
    for case in &cases {
        case.check(case.run(BackendKind::Ort, Some(&library)));
    }
}
