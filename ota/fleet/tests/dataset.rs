//! From sealed frames to a dataset, and out of it again: exports that the field's tools open, labels that come back, test sets that
//! stay, and what is forgotten.
#![allow(clippy::unwrap_used)] // what cannot be prepared fails the test

mod lab;
mod needs;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use lab::{
    DAY, DEVICES, Frame, Lab, digests, export_as, freeze, json_of, labelled, labelled_lab, mentions, merge,
    records, training, tree,
};
use serde_json::{Value, json};
use stopline_depot::digest::Digest;
use stopline_fleet::dataset::audit;
use stopline_fleet::dataset::export::{self, Rules};
use stopline_fleet::dataset::freeze::{self, Freeze, Frozen};
use stopline_fleet::dataset::identity::{self, Identities};
use stopline_fleet::exit::Exit;

#[test]
fn the_same_store_and_seed_give_the_same_bytes_and_no_scene_lies_in_both_splits() {
    let lab = Lab::new();
    lab.fill(12);
    let (one, other) =
        (export_as(&lab, "one", &Rules::default()), export_as(&lab, "other", &Rules::default()));
    assert_eq!(tree(&one), tree(&other));
    let scenes = |split: &str| -> BTreeSet<String> {
        let of = records(&one).into_iter().filter(|record| record["split"] == split);
        of.map(|record| record["scene"].as_str().unwrap().to_owned()).collect()
    };
    let (train, val) = (scenes("train"), scenes("val"));
    assert_eq!(train.len() + val.len(), 12, "three frames, ten seconds apart, are one scene");
    assert!(train.is_disjoint(&val) && !val.is_empty());
    let third = export_as(&lab, "third", &Rules { seed: 2, ..Rules::default() });
    assert_ne!(tree(&one), tree(&third), "another seed, another split");
    assert!(
        export::run(&lab.source(), &lab.folder, &one, &Rules::default()).is_err(),
        "nothing is written over"
    );
}

#[test]
fn predictions_are_marked_and_lie_where_the_smaller_picture_shows_them() {
    let lab = Lab::new();
    let digest = lab.put(&Frame::new(0, 0, 1));
    let out = export_as(&lab, "out", &Rules::default());
    // One scene is for training or for validation, by its digest.
    let label = |split: &str| out.join(format!("labels/{split}/{digest}.txt"));
    let split =
        ["train", "val"].into_iter().find(|split| label(split).exists()).expect("it is in one of them");
    let coco = json_of(&out.join(format!("annotations/instances_{split}.json")));
    let one = &coco["annotations"][0];
    assert_eq!(one["bbox"], json!([50.0, 60.0, 40.0, 120.0]), "half of 640 × 480");
    assert_eq!((&one["score"], &one["attributes"]["prediction"]), (&json!(0.75), &json!(true)));
    assert!(one["attributes"]["model"].as_str().unwrap().starts_with("street 1.2.0 abab"));
    assert_eq!(
        (&one["attributes"]["truncated"], &one["attributes"]["size"]),
        (&json!(false), &json!("medium"))
    );
    assert_eq!(coco["info"]["annotation_schema"], 1);
    let from = &coco["images"][0]["stopline"];
    assert_eq!((&from["digest"], &from["rule"]), (&json!(digest), &json!("random")));
    assert_eq!(from["redaction"]["method"], "fill");
    let text = serde_json::to_string(&coco).unwrap();
    assert!(!text.contains(DEVICES[0]), "the device's id does not leave, its hash does");
    let line = std::fs::read_to_string(label(split)).unwrap();
    assert_eq!(line, "0 0.218750 0.500000 0.125000 0.500000 0.7500\n", "the sixth column says prediction");
}

#[test]
fn duplicates_go_and_stay_named_but_who_fell_in_an_unchanged_room_stays() {
    let lab = Lab::new();
    let first = lab.put(&Frame::new(0, 0, 1));
    let again = lab.put(&Frame::new(0, 5, 1));
    let elsewhere = lab.put(&Frame::new(1, 50_000, 1));
    let mut fallen = Frame::new(0, 8, 1);
    fallen.objects = vec![("person", [300.0, 380.0, 540.0, 460.0])];
    let fallen = lab.put(&fallen);
    let out = export_as(&lab, "out", &Rules::default());
    let records = records(&out);
    assert_eq!(digests(&records), BTreeSet::from([first, fallen]));
    let kept = records.iter().find(|record| record["digest"] == json!(first)).unwrap();
    let mut gone = [again, elsewhere];
    gone.sort();
    assert_eq!(kept["stands_for"], json!(gone));
    assert!(records.iter().all(|record| record["scene"] == records[0]["scene"]), "one view is one scene");
}

#[test]
fn where_fewer_are_wanted_rare_classes_and_devices_and_the_night_come_first() {
    let lab = Lab::new();
    for at in 0..30 {
        lab.put(&Frame::new(0, at * 3600, at));
    }
    let mut rare = Frame::new(1, 0, 100);
    rare.objects = vec![("stop sign", [10.0, 10.0, 90.0, 90.0])];
    let rare = lab.put(&rare);
    let mut night = Frame::new(0, 500_000, 101);
    night.light = 20;
    let night = lab.put(&night);
    let out = export_as(&lab, "out", &Rules { limit: Some(6), ..Rules::default() });
    let chosen = digests(&records(&out));
    assert!(chosen.len() == 6 && chosen.contains(&rare) && chosen.contains(&night), "{chosen:?}");
    let balance = &json_of(&out.join("provenance.json"))["balance"];
    assert_eq!(balance["class"]["stop sign"], 1);
    assert_eq!(balance["condition"]["dark"], 1);
}

#[test]
fn a_selection_leaves_the_rest_out_and_tears_no_scene_apart() {
    let lab = Lab::new();
    let all = lab.fill(12);
    let only: std::collections::BTreeSet<_> = all.iter().step_by(2).copied().collect();
    let out = export_as(&lab, "out", &Rules { only: Some(only.clone()), ..Rules::default() });
    let chosen = digests(&records(&out));
    assert!(!chosen.is_empty() && chosen.is_subset(&only), "{chosen:?}");
    let provenance = json_of(&out.join("provenance.json"));
    assert_eq!(provenance["rules"]["selected"], only.len());
    let whole = export_as(&lab, "whole", &Rules::default());
    let scene_of = |folder: &std::path::Path| -> std::collections::BTreeMap<String, String> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        records(folder).iter().map(|record| (text(&record["digest"]), text(&record["scene"]))).collect()
    };
    let scenes = scene_of(&whole);
    assert!(
        scene_of(&out).iter().all(|(digest, scene)| scenes.get(digest).is_none_or(|other| other == scene))
    );
}

#[test]
fn what_people_corrected_is_kept_with_who_and_when_and_replaces_what_the_model_said() {
    let lab = Lab::new();
    let digests = lab.fill(4);
    let export = export_as(&lab, "to-label", &Rules::default());
    let moved = format!("{}.jpg", digests[0]);
    labelled(&export, &lab.at("cvat.json"), |name, boxes| {
        if name == moved {
            boxes.truncate(1);
            boxes[0]["bbox"] = json!([10.0, 20.0, 30.0, 40.5]);
        }
    });
    let said = merge(&lab, &export, &lab.at("cvat.json")).unwrap();
    assert_eq!((&said.json["pictures"], &said.json["changed"]), (&json!(12), &json!(12)));
    let labels = lab.folder.labels_of(&digests[0]).unwrap().unwrap();
    assert_eq!(
        (labels.revisions[0].by.as_str(), labels.revisions[0].at.as_str()),
        ("anna", "2026-10-01T08:00:00Z")
    );
    assert_eq!((labels.current()[0].bbox, labels.current()[0].score), ([10.0, 20.0, 30.0, 40.5], None));
    assert_eq!(
        merge(&lab, &export, &lab.at("cvat.json")).unwrap().json["changed"],
        0,
        "the same again says nothing new"
    );

    let out = export_as(&lab, "training", &training());
    let text = std::fs::read_to_string(out.join("annotations/instances_train.json")).unwrap();
    assert!(!text.contains("\"score\"") && !text.contains("\"prediction\":true"), "labels alone");
    let all: Vec<Value> = ["train", "val"]
        .iter()
        .flat_map(|split| {
            json_of(&out.join(format!("annotations/instances_{split}.json")))["annotations"]
                .as_array()
                .unwrap()
                .clone()
        })
        .collect();
    assert!(all.iter().any(|one| one["bbox"] == json!([10.0, 20.0, 30.0, 40.5])));
    assert!(all.iter().any(|one| one["attributes"]["occluded"] == json!(true)));
    let next = export_as(&lab, "nothing-left", &Rules::default());
    assert_eq!(records(&next), [] as [Value; 0], "what is labelled is not asked for again");
}

#[test]
fn labels_that_do_not_fit_are_refused_whole() {
    let lab = Lab::new();
    let digests = lab.fill(2);
    let export = export_as(&lab, "to-label", &Rules::default());
    let file = lab.at("cvat.json");
    let refused = |change: &dyn Fn(&mut Value), words: &str| {
        labelled(&export, &file, |_, _| {});
        let mut coco = json_of(&file);
        change(&mut coco);
        std::fs::write(&file, serde_json::to_vec(&coco).unwrap()).unwrap();
        let failure = merge(&lab, &export, &file).unwrap_err();
        assert!(failure.exit == Exit::Refused && failure.message.contains(words), "{failure}");
        assert_eq!(lab.folder.labels().unwrap().len(), 0, "nothing is merged");
    };
    refused(&|coco| coco["images"][0]["width"] = 640.into(), "640x240 pixels, expected 320x240");
    refused(&|coco| coco["annotations"][0]["bbox"] = json!([300.0, 0.0, 60.0, 10.0]), "within 320x240");
    refused(&|coco| coco["annotations"][0]["bbox"] = json!([3.0, 0.0, -6.0, 10.0]), "within 320x240");
    refused(&|coco| coco["categories"][0]["name"] = "preson".into(), "--new-label preson");
    refused(&|coco| coco["images"][0]["file_name"] = "../../etc/passwd".into(), "DIGEST.jpg is expected");
    let stranger = format!("{}.jpg", Digest::of(b"x"));
    refused(&|coco| coco["images"][0]["file_name"] = stranger.clone().into(), "has no such picture");
    refused(&|coco| coco["annotations"][0]["image_id"] = 7.into(), "not among the images");
    refused(&|coco| coco["images"][1] = coco["images"][0].clone(), "there twice");
    assert_eq!(digests.len(), 6);
}

#[test]
fn an_audit_tells_the_planted_mistake_first() {
    let lab = Lab::new();
    let digests = lab.fill(3);
    let export = export_as(&lab, "to-label", &Rules::default());
    let (wrong, forgotten) = (format!("{}.jpg", digests[4]), format!("{}.jpg", digests[1]));
    labelled(&export, &lab.at("cvat.json"), |name, boxes| {
        if name == wrong {
            boxes[0]["category_id"] = 2.into();
        }
        if name == forgotten {
            // The sign, whose score is the lower one.
            boxes.pop();
        }
    });
    merge(&lab, &export, &lab.at("cvat.json")).unwrap();
    let said = audit::run(&lab.source(), &lab.folder, 10).unwrap();
    assert_eq!((&said.json["pictures"], &said.json["total"]), (&json!(9), &json!(2)), "{}", said.json);
    let told = |at: usize| {
        (said.json["disagreements"][at]["kind"].clone(), said.json["disagreements"][at]["record"].clone())
    };
    assert_eq!(told(0), (json!("other_class"), json!(digests[4])));
    assert_eq!(told(1), (json!("not_labelled"), json!(digests[1])));
}

#[test]
fn no_captured_digest_enters_both_training_and_test() {
    let (lab, all) = labelled_lab(20);
    let said = freeze(&lab, "autumn").unwrap();
    let set = Frozen::open(&lab.folder.frozen_set("autumn")).unwrap();
    let test_set = Frozen::test_set(&lab.folder.frozen_set("autumn"));
    assert_eq!(said.json["test_set"], json!(test_set.digest().unwrap()), "what evaluation records name");
    assert_eq!(test_set.pictures().unwrap().len(), set.records.len());
    let tested: BTreeSet<Digest> = set.records.iter().map(|anchor| anchor.digest).collect();
    assert!(!tested.is_empty() && tested.len() < all.len());

    // A copy of a tested picture, sealed anew and taken elsewhere: another digest, the same picture.
    let copy = lab.put(&Frame { device: DEVICES[1], second: 900_000, ..tested_frame(&lab, &tested) });
    let export = export_as(&lab, "again", &Rules::default());
    assert_eq!(records(&export), [] as [Value; 0], "it is of the test set's scene: {copy}");

    let out = export_as(&lab, "training", &training());
    let trained = digests(&records(&out));
    assert!(trained.is_disjoint(&tested) && trained.len() + tested.len() == all.len());
    let failure = freeze(&lab, "winter").unwrap_err();
    assert!(failure.exit == Exit::Refused && failure.message.contains("given to training"), "{failure}");
    let Rules { seed, together, .. } = Rules::default();
    let one = [*trained.first().unwrap()];
    let by_name = Freeze { name: "winter", percent: 40, records: &one, seed, together };
    let failure = freeze::run(&lab.source(), &lab.folder, &by_name).unwrap_err();
    assert!(failure.message.contains("training was given it"), "{failure}");
}

/// The frame of the first tested record: those of `Lab::fill` are known by time and device.
fn tested_frame(lab: &Lab, tested: &BTreeSet<Digest>) -> Frame {
    let survey = lab.source().survey(&BTreeSet::new()).unwrap();
    let record = survey.records.iter().find(|record| tested.contains(&record.anchor.digest)).unwrap();
    let second = record.anchor.captured.unix_seconds() - DAY;
    let (scene, at) = (second / 3600, second % 3600 / 10);
    let mut frame = Frame::new(usize::from(scene % 2 == 1), second, scene);
    #[allow(clippy::cast_precision_loss)]
    let x = 40.0 + 200.0 * at as f32;
    frame.objects = vec![("person", [x, 120.0, x + 80.0, 360.0])];
    if scene % 3 == 0 {
        frame.objects.push(("stop sign", [560.0, 20.0, 650.0, 100.0]));
    }
    frame
}

#[test]
fn a_frozen_set_is_not_changed_unnoticed() {
    let (lab, _) = labelled_lab(10);
    freeze(&lab, "autumn").unwrap();
    assert!(freeze(&lab, "autumn").unwrap_err().message.contains("there already"));
    let set = lab.folder.frozen_set("autumn");
    let picture = Frozen::open(&set).unwrap().records[0].digest;
    let path = set.join(format!("images/test/{picture}.jpg"));
    assert!(std::fs::metadata(&path).unwrap().permissions().readonly());
    let bytes = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, [&bytes[..], b"x"].concat()).unwrap();
    let failure = export::run(&lab.source(), &lab.folder, &lab.at("out"), &training()).unwrap_err();
    assert!(failure.exit == Exit::Refused && failure.message.contains("somebody changed it"), "{failure}");
}

#[test]
fn what_cannot_be_opened_is_named_and_nothing_of_it_is_taken() {
    let lab = Lab::new();
    let good = lab.put(&Frame::new(0, 0, 1));
    let damaged = lab.put(&Frame::new(0, 3600, 2));
    std::fs::write(lab.at(&format!("store/records/{damaged}.age")), b"age-encryption.org/v1\n").unwrap();
    let nobodys = lab.put(&Frame::new(0, 7200, 3));
    std::fs::remove_file(lab.at(&format!("store/records/{nobodys}.json"))).unwrap();
    let said = export::run(&lab.source(), &lab.folder, &lab.at("out"), &Rules::default()).unwrap();
    let told = said.json["unreadable"].to_string();
    assert!(told.contains("damaged") && told.contains("nobody can say whose"), "{told}");
    assert_eq!(digests(&records(&lab.at("out"))), BTreeSet::from([good]));

    identity::new(&lab.at("other.key")).unwrap();
    let other = Identities::read(&[lab.at("other.key")]).unwrap();
    let source = stopline_fleet::dataset::captured::Source { store: &lab.store, identities: &other };
    let said = export::run(&source, &lab.folder, &lab.at("sealed"), &Rules::default()).unwrap();
    assert!(said.json["unreadable"].to_string().contains("is it the right identity?"));
    assert_eq!(records(&lab.at("sealed")), [] as [Value; 0]);
}

/// What a reader of the field counts in an export.
fn read_with(python: &Path, export: &Path, reader: &str) -> Value {
    let script = needs::fixture("lab/load.py");
    let output = Command::new(python).arg(script).arg(export).arg(reader).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{reader}: {error}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{reader}: {error}"))
}

fn has(python: &Path, module: &str) -> bool {
    Command::new(python)
        .args(["-c", &format!("import {module}")])
        .output()
        .is_ok_and(|output| output.status.success())
}

#[test]
fn pycocotools_counts_what_we_counted() {
    let python = needs::python();
    if !has(&python, "pycocotools") {
        return needs::skip("no pycocotools in the Python of the test environment").unwrap_or_default();
    }
    let (lab, _) = labelled_lab(6);
    let out = export_as(&lab, "training", &training());
    for (export, predictions) in [(lab.at("to-label"), true), (out.clone(), false)] {
        let ours = json_of(&export.join("provenance.json"));
        let theirs = read_with(&python, &export, "coco");
        for split in ["train", "val"] {
            let (ours, theirs) = (&ours["counts"]["splits"][split], &theirs[split]);
            assert_eq!(
                (&ours["pictures"], &ours["boxes"]),
                (&theirs["pictures"], &theirs["boxes"]),
                "{split}"
            );
            assert_eq!(theirs["scores"], if predictions { theirs["boxes"].clone() } else { json!(0) });
            assert_eq!(theirs["names"], json!(["person", "stop sign"]));
        }
    }
    let results = read_with(&python, &out, "results");
    let ours = json_of(&out.join("provenance.json"));
    assert_eq!(results["train"]["boxes"], ours["counts"]["splits"]["train"]["boxes"]);
}

#[test]
fn datumaro_counts_what_we_counted() {
    // It wants other versions of libraries than the peers do, so it has a Python of its own.
    let python = std::env::var_os("STOPLINE_DATASET_PYTHON").map_or_else(needs::python, PathBuf::from);
    if !has(&python, "datumaro") {
        return needs::skip("no datumaro: STOPLINE_DATASET_PYTHON names a Python that has it")
            .unwrap_or_default();
    }
    let (lab, _) = labelled_lab(6);
    let out = export_as(&lab, "training", &training());
    for (export, reader) in [
        (lab.at("to-label"), "datumaro-coco"),
        (out.clone(), "datumaro-coco"),
        (out.clone(), "datumaro-yolo"),
    ] {
        let ours = json_of(&export.join("provenance.json"));
        let theirs = read_with(&python, &export, reader);
        println!("{reader}: {theirs}");
        for split in ["train", "val"] {
            let ours = &ours["counts"]["splits"][split];
            let pictures = ours["pictures"].as_u64().unwrap();
            let found = &theirs[split];
            assert_eq!(
                (found["pictures"].as_u64(), &found["boxes"]),
                (Some(pictures), &ours["boxes"]),
                "{reader} {split}"
            );
            assert_eq!(
                found["pixels"].as_u64(),
                Some(pictures * 320 * 240),
                "each picture is found and decoded"
            );
        }
    }
}

#[test]
fn fiftyone_s_importers_count_what_we_counted() {
    let Some(python) = std::env::var_os("STOPLINE_FIFTYONE_PYTHON").map(PathBuf::from) else {
        return needs::skip("no FiftyOne: a gigabyte, which tests/run --full installs from PyPI")
            .unwrap_or_default();
    };
    let (lab, _) = labelled_lab(6);
    let export = export_as(&lab, "training", &training());
    let ours = json_of(&export.join("provenance.json"));
    for reader in ["fiftyone-coco", "fiftyone-yolo"] {
        let theirs = read_with(&python, &export, reader);
        println!("{reader}: {theirs}");
        for split in ["train", "val"] {
            let ours = &ours["counts"]["splits"][split];
            assert_eq!(theirs[split]["pictures"], ours["pictures"], "{reader} {split}");
            assert_eq!(theirs[split]["boxes"], ours["boxes"], "{reader} {split}");
        }
    }
}

#[test]
fn the_program_does_it_from_key_to_receipt() {
    let lab = Lab::new();
    // So many scenes that half of them are some in any shuffle.
    let digests = lab.fill(24);
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stopline-fleet"));
        let output = command.current_dir(lab.room.path()).args(arguments).arg("--json").output().unwrap();
        let said: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (output.status.code(), said, String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said, error) = run(&["key", "capture", "another.key"]);
    assert!(
        code == Some(0) && said["recipient"].as_str().is_some_and(|text| text.starts_with("age1")),
        "{error}"
    );
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(lab.at("another.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(run(&["key", "capture", "another.key"]).0, Some(3), "never over another");

    let keys = ["--identity", "another.key", "--identity", "capture.key"];
    let (code, said, error) = run(&[&["dataset", "export", "store", "-o", "out"], &keys[..]].concat());
    assert!(code == Some(0) && said["counts"]["opened"] == 72, "{said} {error}");
    labelled(&lab.at("out"), &lab.at("cvat.json"), |_, _| {});
    let (code, said, error) = run(&["dataset", "merge", "cvat.json", "--export", "out", "--by", "anna"]);
    assert!(code == Some(0) && said["changed"] == 72, "{said} {error}");
    let (code, said, _) = run(&[&["dataset", "audit", "store"], &keys[..]].concat());
    assert!(code == Some(0) && said["total"] == 0, "{said}");
    let freeze = ["dataset", "freeze", "store", "--name", "autumn", "--percent", "50"];
    let (code, said, error) = run(&[&freeze, &keys[..]].concat());
    assert!(code == Some(0) && said["test_set"].is_string(), "{said} {error}");
    let training = ["dataset", "export", "store", "-o", "train", "--for", "training"];
    let (code, said, _) = run(&[&training, &keys[..]].concat());
    assert!(code == Some(0) && said["counts"]["held_back_for_tests"].as_u64() > Some(0), "{said}");
    let digest = digests[0].to_string();
    let forget =
        ["forget", "store", "--record", &digest, "--dataset", "dataset", "--receipt", "receipt.json"];
    let (code, said, error) = run(&forget);
    assert!(code == Some(0) && said["sealed"] == 1, "{said} {error}");
    assert_eq!(json_of(&lab.at("receipt.json")), said);
    std::fs::remove_file(lab.at("receipt.json")).unwrap();
    assert_eq!(mentions(&lab, &digests[0]), [] as [PathBuf; 0]);
    assert_eq!(run(&["forget", "store"]).0, Some(2));
}

#[test]
fn the_program_names_drift_in_decision_records() {
    let lab = Lab::new();
    let lines = |size: [u32; 2], from: u64| -> String {
        let of = |second: u64| {
            let mut record = Frame::new(0, second, 1).decision();
            record.image_size = size;
            serde_json::to_string(&record).unwrap() + "\n"
        };
        (from..from + 100).map(of).collect()
    };
    std::fs::create_dir(lab.at("records")).unwrap();
    std::fs::write(lab.at("records/1.jsonl"), lines([1280, 720], 0)).unwrap();
    let run = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stopline-fleet"));
        let output = command.current_dir(lab.room.path()).args(["drift", "records"]).output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr),
        )
    };
    assert_eq!(run(), (Some(0), "front: 100 frames, 0 alarms\n".into()));
    std::fs::write(lab.at("records/2.jsonl"), lines([3840, 2160], 100)).unwrap();
    let (code, out) = run();
    assert!(
        code == Some(5) && out.contains("resolution drifted from its own past: 1280x720 became 3840x2160"),
        "{out}"
    );
    std::fs::write(lab.at("records/3.jsonl"), "{\"schema\": 1}\n").unwrap();
    let (code, out) = run();
    assert!(code == Some(3) && out.contains("3.jsonl, line 1") && out.contains("stopline replay"), "{out}");
}
