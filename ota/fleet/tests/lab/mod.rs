//! A lab: a server's store with sealed records in it, made as a device makes them, and what opens them.
#![allow(dead_code)] // every test program uses another part of it
#![allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss)]

use std::collections::BTreeSet;
use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use image::{ImageFormat, Rgb, RgbImage};
use serde_json::{Value, json};
use stopline_depot::digest::Digest;
use stopline_depot::record::{
    DecisionRecord, ModelIdentity, ModelRole, RecordedDetection, RecordedSituation, StageLatencies,
};
use stopline_depot::spool::{
    CameraSettings, CaptureRecord, Picture, Reason, Redaction, RedactionMethod, Rule, plain,
};
use stopline_fleet::dataset::captured::Source;
use stopline_fleet::dataset::export::{self, Purpose, Rules};
use stopline_fleet::dataset::folder::Folder;
use stopline_fleet::dataset::freeze::{self, Freeze};
use stopline_fleet::dataset::identity::{self, Identities};
use stopline_fleet::dataset::merge::{self, Merge};
use stopline_fleet::exit::{Result, Said};
use stopline_fleet::store::LocalStore;

/// 22 September 2026, midnight.
pub const DAY: u64 = 1_790_035_200;
/// Ids of two devices.
pub const DEVICES: [&str; 2] = ["8d0f3a1bc5e94c7f9a52d1607be3c481", "51c7e2904fd84b0c8d1aa67f3e0b92d5"];

/// A frame as a device captures it.
#[derive(Clone)]
pub struct Frame {
    pub device: &'static str,
    /// Seconds after [`DAY`].
    pub second: u64,
    /// What the picture shows behind the objects.
    pub scene: u64,
    /// Class, and corners in a source picture of 640 × 480.
    pub objects: Vec<(&'static str, [f32; 4])>,
    pub score: f32,
    /// By how much the picture is smaller than what the model saw.
    pub reduced: u32,
    /// 0 to 100.
    pub light: u32,
    /// What went on.
    pub situations: Option<Vec<RecordedSituation>>,
}

impl Frame {
    pub fn new(device: usize, second: u64, scene: u64) -> Self {
        Self {
            device: DEVICES[device],
            second,
            scene,
            objects: vec![("person", [100.0, 120.0, 180.0, 360.0])],
            score: 0.75,
            reduced: 2,
            light: 100,
            situations: None,
        }
    }

    fn jpeg(&self) -> Vec<u8> {
        let (width, height) = (640 / self.reduced, 480 / self.reduced);
        let mut picture = RgbImage::from_fn(width, height, |x, y| {
            // Patches of an own brightness and hue for each place of each scene.
            let patch = (x * 12 / width) as u64 + 100 * (y * 9 / height) as u64;
            let mut mixed = (patch + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)
                ^ self.scene.wrapping_mul(0xD1B5_4A32_D192_ED03);
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            mixed ^= mixed >> 31;
            let [r, g, b] = [mixed as u8, (mixed >> 8) as u8, (mixed >> 16) as u8];
            Rgb([r, g, b].map(|value| (u32::from(value) * self.light / 100) as u8))
        });
        for (_, bbox) in &self.objects {
            let [x1, y1, x2, y2] = bbox.map(|edge| (edge / self.reduced as f32).max(0.0) as u32);
            for y in y1..y2.min(height) {
                for x in x1..x2.min(width) {
                    picture.put_pixel(x, y, Rgb([200, 40, 40].map(|value| (value * self.light / 100) as u8)));
                }
            }
        }
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, ImageFormat::Jpeg).unwrap();
        bytes.into_inner()
    }

    pub fn decision(&self) -> DecisionRecord {
        let found = self.objects.iter().enumerate().map(|(at, (label, bbox))| RecordedDetection {
            label: (*label).into(),
            class: usize::from(*label != "person"),
            score: self.score - 0.05 * at as f32,
            bbox: *bbox,
            track: None,
            keypoints: Vec::new(),
        });
        DecisionRecord {
            schema: 1,
            frame: self.second,
            source: "front".into(),
            captured_ns: self.second * 1_000_000_000,
            captured_wall: (UNIX_EPOCH + Duration::from_secs(DAY + self.second)).into(),
            position_us: None,
            image_size: [640, 480],
            model: ModelIdentity {
                name: "street".into(),
                version: semver::Version::new(1, 2, 0),
                digest: "ab".repeat(32),
                role: ModelRole::Active,
            },
            detections: found.collect(),
            invalid: None,
            dropped: None,
            looked: None,
            faults: Vec::new(),
            ego: None,
            tracks: None,
            situations: self.situations.clone(),
            state: None,
            command: None,
            latency_us: StageLatencies::default(),
        }
    }

    fn record(&self) -> CaptureRecord {
        CaptureRecord {
            schema: 1,
            decision: self.decision(),
            reason: Reason {
                rule: Rule::Random,
                group: format!("random-{}", self.second),
                detail: None,
                offset_ms: 0,
                value: Some(0.01),
            },
            redaction: Redaction {
                method: RedactionMethod::Fill,
                from_score: 0.05,
                enlarged: 0.3,
                tracks_s: 1.0,
                heads: vec![[100.0, 120.0, 180.0, 170.0]],
                regions: Vec::new(),
            },
            picture: Picture { width: 640 / self.reduced, height: 480 / self.reduced, quality: 75 },
            camera: CameraSettings::default(),
        }
    }
}

/// A store, an identity, the operator's folder, and room for exports.
pub struct Lab {
    pub room: tempfile::TempDir,
    pub recipient: age::x25519::Recipient,
    pub identities: Identities,
    pub store: LocalStore,
    pub folder: Folder,
}

impl Lab {
    pub fn new() -> Self {
        let room = tempfile::tempdir().unwrap();
        let said = identity::new(&room.path().join("capture.key")).unwrap();
        Self {
            recipient: said.json["recipient"].as_str().unwrap().parse().unwrap(),
            identities: Identities::read(&[room.path().join("capture.key")]).unwrap(),
            store: LocalStore::new(room.path().join("store")),
            folder: Folder::new(room.path().join("dataset")),
            room,
        }
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.room.path().join(name)
    }

    pub fn source(&self) -> Source<'_> {
        Source { store: &self.store, identities: &self.identities }
    }

    /// A record as it leaves a device.
    pub fn sealed(&self, frame: &Frame) -> Vec<u8> {
        let plain = plain(&frame.record(), &frame.jpeg()).unwrap();
        age::encrypt(&self.recipient, &plain).unwrap()
    }

    /// A record arrives, an hour after it was taken.
    pub fn put(&self, frame: &Frame) -> Digest {
        let sealed = self.sealed(frame);
        let digest = Digest::of(&sealed);
        let records = self.at("store/records");
        std::fs::create_dir_all(&records).unwrap();
        let clear = json!({
            "digest": digest, "length": sealed.len(), "class": 5, "expires": DAY + 30 * 86_400, "signature": "00".repeat(64),
            "device": frame.device, "boot_id": "b", "seq": 1, "received": DAY + frame.second + 3600,
        });
        std::fs::write(records.join(format!("{digest}.age")), sealed).unwrap();
        std::fs::write(records.join(format!("{digest}.json")), serde_json::to_vec(&clear).unwrap()).unwrap();
        digest
    }

    /// Scenes an hour apart on two devices in turn, three frames each, ten seconds apart, which differ by where the person is.
    pub fn fill(&self, scenes: u64) -> Vec<Digest> {
        let mut digests = Vec::new();
        for scene in 0..scenes {
            for at in 0..3 {
                let mut frame = Frame::new((scene % 2) as usize, scene * 3600 + at * 10, scene);
                let x = 40.0 + 200.0 * at as f32;
                frame.objects = vec![("person", [x, 120.0, x + 80.0, 360.0])];
                if scene % 3 == 0 {
                    frame.objects.push(("stop sign", [560.0, 20.0, 650.0, 100.0]));
                }
                digests.push(self.put(&frame));
            }
        }
        digests
    }
}

pub fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
        .unwrap()
}

/// Every file below, by path, with its bytes. What goes while it is looked at, as a database's log does, is not there.
pub fn tree(folder: &Path) -> std::collections::BTreeMap<PathBuf, Vec<u8>> {
    let mut all = std::collections::BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                match std::fs::read(&path) {
                    Ok(bytes) => drop(all.insert(path.strip_prefix(folder).unwrap().to_owned(), bytes)),
                    Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{path:?}: {error}"),
                }
            }
        }
    }
    all
}

/// What came back from people: the export's own COCO, as a labelling tool writes it, after `change` of each picture's boxes.
pub fn labelled(export: &Path, to: &Path, change: impl Fn(&str, &mut Vec<Value>)) {
    let mut images = Vec::new();
    let mut annotations = Vec::new();
    for split in ["train", "val"] {
        let coco = json_of(&export.join(format!("annotations/instances_{split}.json")));
        for image in coco["images"].as_array().unwrap() {
            // Tools count anew, and put the folder in front.
            let id = 1000 + images.len();
            let name = image["file_name"].as_str().unwrap();
            let of_image = |one: &&Value| one["image_id"] == image["id"];
            let mut boxes: Vec<Value> =
                coco["annotations"].as_array().unwrap().iter().filter(of_image).cloned().collect();
            change(name, &mut boxes);
            for (at, one) in boxes.iter_mut().enumerate() {
                one["id"] = (annotations.len() + at + 1).into();
                one["image_id"] = id.into();
                one["attributes"] = json!({"occluded": at == 1, "rotation": 0.0});
                one.as_object_mut().unwrap().remove("score");
            }
            annotations.extend(boxes);
            images.push(json!({
                "id": id, "file_name": format!("images/{split}/{name}"), "width": image["width"], "height": image["height"],
            }));
        }
    }
    let categories = json_of(&export.join("annotations/instances_train.json"))["categories"].clone();
    let coco = json!({"images": images, "annotations": annotations, "categories": categories});
    let mut file = std::fs::File::create(to).unwrap();
    file.write_all(&serde_json::to_vec(&coco).unwrap()).unwrap();
}

pub fn export_as(lab: &Lab, name: &str, rules: &Rules) -> PathBuf {
    let out = lab.at(name);
    export::run(&lab.source(), &lab.folder, &out, rules).unwrap();
    out
}

pub fn training() -> Rules {
    Rules { purpose: Purpose::Training, ..Rules::default() }
}

pub fn now() -> jiff::Timestamp {
    "2026-10-01T08:00:00Z".parse().unwrap()
}

pub fn merge(lab: &Lab, export: &Path, file: &Path) -> Result<Said> {
    merge::run(&lab.folder, &Merge { file, export, by: "anna", new_labels: &[] }, now())
}

/// A lab whose pictures people have labelled as the model found them.
pub fn labelled_lab(scenes: u64) -> (Lab, Vec<Digest>) {
    let lab = Lab::new();
    let digests = lab.fill(scenes);
    let export = export_as(&lab, "to-label", &Rules::default());
    labelled(&export, &lab.at("cvat.json"), |_, _| {});
    merge(&lab, &export, &lab.at("cvat.json")).unwrap();
    (lab, digests)
}

pub fn freeze(lab: &Lab, name: &str) -> Result<Said> {
    let Rules { seed, together, .. } = Rules::default();
    freeze::run(&lab.source(), &lab.folder, &Freeze { name, percent: 40, records: &[], seed, together })
}

/// Records of an export by split, from its provenance.
pub fn records(export: &Path) -> Vec<Value> {
    json_of(&export.join("provenance.json"))["records"].as_array().unwrap().clone()
}

pub fn digests(records: &[Value]) -> BTreeSet<Digest> {
    records.iter().map(|record| record["digest"].as_str().unwrap().parse().unwrap()).collect()
}

/// Every place that still names a digest, besides the marks that it is forgotten.
pub fn mentions(lab: &Lab, digest: &Digest) -> Vec<PathBuf> {
    let text = digest.to_string();
    // Marks that keep it out, and the log of who asked for it; receipts are kept elsewhere.
    let marks = [
        PathBuf::from(format!("store/tombstones/{text}")),
        PathBuf::from("dataset/forgotten.txt"),
        PathBuf::from("audit.jsonl"),
    ];
    let names = |path: &Path, bytes: &[u8]| {
        path.to_string_lossy().contains(&text) || bytes.windows(64).any(|window| window == text.as_bytes())
    };
    let all = tree(lab.room.path());
    let labelled_file = PathBuf::from("cvat.json");
    let found = all.into_iter().filter(|(path, bytes)| *path != labelled_file && names(path, bytes));
    found.map(|(path, _)| path).filter(|path| !marks.contains(path)).collect()
}
