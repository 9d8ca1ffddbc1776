//! Champion and challenger: publishing believes no record that it has not computed and run again.
#![allow(clippy::unwrap_used)] // what cannot be prepared fails the test

mod desk;
mod needs;

use std::path::{Path, PathBuf};

use desk::{Desk, day, words};
use serde_json::{Value, json};
use stopline_fleet::child::Stopline;
use stopline_fleet::evaluation::{self, TestSet};
use stopline_fleet::exit::{Exit, Result, Said};
use stopline_fleet::models::{self, NewRelease};
use stopline_fleet::publish::Rules;

struct Bench {
    desk: Desk,
    stopline: Stopline,
    test_set: TestSet,
    champion: PathBuf,
    challenger: PathBuf,
}

impl Bench {
    /// A published model that finds 70 in a hundred, and a challenger that finds `quality`, signed by two.
    fn new(quality: u32) -> Option<Self> {
        let desk = Desk::new();
        let program = needs::stand_in(desk.folder.path())?;
        let test_set = test_set(desk.folder.path(), "frozen", 200);
        let new = NewRelease { hardware: vec!["board".into()], ..NewRelease::default() };
        let add = |version: &str, quality: u32| {
            let bundle = desk.bundle("stop-sign", version, format!("quality {quality}").as_bytes());
            models::add(&desk.staging, &desk.store, &bundle, &new, day(0)).unwrap();
            desk.sign_by(&["anna", "ben"]).unwrap();
            bundle
        };
        let champion = add("1.0.0", 70);
        desk.publish(day(0)).unwrap();
        let challenger = add("1.1.0", quality);
        let bench = Self { stopline: Stopline::new(program), test_set, champion, challenger, desk };
        bench.evaluate(&bench.champion);
        bench.evaluate(&bench.challenger);
        Some(bench)
    }

    fn folder(&self) -> PathBuf {
        self.desk.staging.folder().join("evaluations")
    }

    fn evaluate(&self, bundle: &Path) -> Value {
        evaluation::run(bundle, &self.test_set, &self.folder(), &self.stopline, day(0)).unwrap().json
    }

    fn publish(&self) -> Result<Said> {
        self.publish_by(Rules::default())
    }

    fn publish_by(&self, rules: Rules) -> Result<Said> {
        let test = Some((self.test_set.clone(), self.stopline.clone()));
        self.desk.publish_by(&Rules { test, ..rules }, day(1))
    }

    /// Changes the challenger's record by hand.
    fn edit(&self, change: impl Fn(&mut Value)) {
        let record = self.evaluate(&self.challenger);
        let path = record["record"].as_str().unwrap().to_owned();
        let mut value = desk::read_json(Path::new(&path));
        change(&mut value);
        std::fs::write(path, serde_json::to_vec(&value).unwrap()).unwrap();
    }

    /// Changes the challenger's detections by hand; the record then says so truthfully.
    fn edit_detections(&self, change: impl Fn(&mut Vec<Value>)) {
        let record = self.evaluate(&self.challenger);
        let path = PathBuf::from(record["record"].as_str().unwrap());
        let detections = path.with_extension("detections.json");
        let mut all: Vec<Value> = serde_json::from_slice(&std::fs::read(&detections).unwrap()).unwrap();
        change(&mut all);
        let bytes = serde_json::to_vec(&all).unwrap();
        std::fs::write(&detections, &bytes).unwrap();
        let mut value = desk::read_json(&path);
        value["detections"] = stopline_depot::digest::Digest::of(&bytes).to_string().into();
        let share = all.len() as f64 / 400.0;
        for name in ["summary.mAP", "summary.mAP50", "operating.recall"] {
            value["figures"][name] = share.into();
        }
        std::fs::write(path, serde_json::to_vec(&value).unwrap()).unwrap();
    }

    fn refused(&self, because: &str) {
        let failure = self.publish().unwrap_err();
        println!("{failure}");
        assert!(failure.exit == Exit::Refused && failure.message.contains(because), "{failure}");
    }
}

fn test_set(folder: &Path, name: &str, pictures: u32) -> TestSet {
    let images = folder.join(name);
    std::fs::create_dir_all(&images).unwrap();
    let mut annotations = Vec::new();
    let listed: Vec<Value> = (1..=pictures)
        .map(|id| {
            std::fs::write(images.join(format!("{id}.png")), format!("{name} {id}")).unwrap();
            for n in 0..2 {
                let bbox = [f64::from(10 * n), 0.0, 8.0, 8.0];
                annotations.push(json!({"id": 2 * id + n, "image_id": id, "category_id": 1, "bbox": bbox}));
            }
            json!({"id": id, "file_name": format!("{id}.png"), "width": 64, "height": 64})
        })
        .collect();
    let coco =
        json!({"images": listed, "annotations": annotations, "categories": [{"id": 1, "name": "stop sign"}]});
    let path = folder.join(format!("{name}.json"));
    std::fs::write(&path, serde_json::to_vec(&coco).unwrap()).unwrap();
    TestSet { annotations: path, images }
}

#[test]
fn a_better_challenger_is_published_with_its_record() {
    let Some(bench) = Bench::new(80) else { return };
    let said = bench.publish().unwrap();
    println!("{}", words(&said));
    assert!(words(&said).contains("20 of 200 pictures run again"), "{}", words(&said));
    let shown =
        models::show(&bench.desk.store, &bench.desk.published(), &Default::default(), "stop-sign").unwrap();
    assert!(shown.json["record"]["evaluation"].is_string() && shown.json["record"]["champion"].is_string());
}

#[test]
fn a_worse_challenger_is_refused_unless_told_so_with_a_frightening_flag() {
    let Some(bench) = Bench::new(60) else { return };
    bench.refused("the challenger is worse");
    bench.publish_by(Rules { worse_is_wanted: true, ..Rules::default() }).unwrap();
}

#[test]
fn a_challenger_that_nobody_compared_is_refused() {
    let Some(bench) = Bench::new(80) else { return };
    let failure = bench.desk.publish_by(&Rules::default(), day(1)).unwrap_err();
    assert!(failure.message.contains("--test-set"), "{failure}");
    std::fs::remove_dir_all(bench.folder()).unwrap();
    assert!(bench.publish().unwrap_err().message.contains("evaluate"));
}

#[test]
fn an_edited_figure_is_refused() {
    let Some(bench) = Bench::new(60) else { return };
    bench.edit(|record| record["figures"]["summary.mAP"] = 0.99.into());
    bench.refused("edited: summary.mAP");
}

#[test]
fn edited_detections_are_refused_although_digest_and_figures_fit() {
    let Some(bench) = Bench::new(60) else { return };
    // All boxes found, as if by a perfect model: any tenth of the pictures tells.
    let truth = desk::read_json(&bench.test_set.annotations)["annotations"].as_array().unwrap().clone();
    bench.edit_detections(|all| {
        *all = truth
            .iter()
            .map(|a| json!({"image_id": a["image_id"], "category_id": 1, "bbox": a["bbox"], "score": 0.9}))
            .collect();
    });
    bench.refused("edited: picture");
}

#[test]
fn a_record_of_another_model_test_set_or_runtime_is_foreign_or_stale() {
    let Some(bench) = Bench::new(80) else { return };
    bench.edit(|record| record["bundle"] = "00".repeat(32).into());
    bench.refused("foreign: its bundle");
    bench.edit(|record| record["model"] = "pedestrian".into());
    bench.refused("foreign: its model");
    bench.edit(|record| record["runtime"] = "9.9.9".into());
    bench.refused("stale: made with runtime 9.9.9");
    bench.edit(|record| record["made_at"] = day(-40).as_second().into());
    bench.refused("stale: made at");
    bench.edit(|_| {});
    std::fs::write(bench.test_set.images.join("7.png"), "another picture").unwrap();
    bench.refused("foreign: its test set");
}
