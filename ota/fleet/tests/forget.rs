//! What is forgotten: in no store, no label, no export, no test set and no database any more.
#![allow(clippy::unwrap_used)] // what cannot be prepared fails the test

mod lab;

use std::path::PathBuf;

use lab::{
    DAY, DEVICES, Frame, Lab, digests, export_as, freeze, labelled_lab, mentions, merge, now, records,
    training,
};
use serde_json::json;
use stopline_fleet::dataset::export::Rules;
use stopline_fleet::dataset::freeze::Frozen;
use stopline_fleet::exit::{Exit, Said};
use stopline_fleet::forget::{self, Places, Selection};

fn forget(lab: &Lab, selection: &Selection) -> Said {
    let places = Places {
        store: &lab.store,
        folder: Some(&lab.folder),
        exports: &[],
        register: None,
        identities: Some(&lab.identities),
    };
    forget::run(places, selection, now()).unwrap()
}

#[test]
fn what_is_forgotten_is_in_no_place_any_more_and_does_not_come_back() {
    let (lab, _) = labelled_lab(20);
    // A duplicate is named in what stands for it.
    let twin = lab.put(&Frame { second: 12_345_600, ..Frame::new(0, 0, 500) });
    let twin_of = lab.put(&Frame { second: 12_345_605, ..Frame::new(0, 0, 500) });
    let export = export_as(&lab, "second", &Rules::default());
    assert_eq!(records(&export).len(), 1);
    freeze(&lab, "autumn").unwrap();
    let out = export_as(&lab, "training", &training());
    let tested = Frozen::open(&lab.folder.frozen_set("autumn")).unwrap();
    let trained = digests(&records(&out));
    let gone = [tested.records[0].digest, *trained.first().unwrap(), twin_of, twin];
    for digest in &gone {
        assert!(!mentions(&lab, digest).is_empty());
        let said = forget(&lab, &Selection { records: vec![*digest], ..Selection::default() });
        assert_eq!(said.json["records"], json!([digest]));
        assert_eq!(mentions(&lab, digest), [] as [PathBuf; 0], "{digest} is still there");
        assert!(lab.at(&format!("store/tombstones/{digest}")).is_file(), "ingest answers not_wanted by it");
    }
    let after = Frozen::open(&lab.folder.frozen_set("autumn")).unwrap();
    assert_eq!((after.before, after.records.len()), (Some(tested.test_set), tested.records.len() - 1));
    assert_ne!(after.test_set, tested.test_set);

    // Labels that come back late bring nothing back, and neither does a vehicle that sends it again.
    let said = merge(&lab, &lab.at("to-label"), &lab.at("cvat.json")).unwrap();
    assert_eq!(said.json["forgotten"], 2);
    assert!(gone.iter().all(|digest| lab.folder.labels_of(digest).unwrap().is_none()));
    let again = forget(&lab, &Selection { records: gone.to_vec(), ..Selection::default() });
    assert_eq!(again.json["sealed"], 0, "once more does no harm");
}

#[cfg(feature = "serve")]
#[test]
fn the_servers_database_and_its_free_pages_forget_too() {
    use stopline_fleet::serve::database::Database;
    use stopline_fleet::serve::database::records::Sealed;
    let lab = Lab::new();
    let digests = [lab.put(&Frame::new(0, 0, 1)), lab.put(&Frame::new(0, 3600, 2))];
    stopline_fleet::serve::data::Data::prepare(&lab.at("server"), 1_800_000_000).unwrap();
    let url = format!("sqlite://{}?mode=rwc", lab.at("server/stopline.db").display());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let database = Database::open(&url).await.unwrap();
        let mut writing = database.write().await.unwrap();
        for digest in &digests {
            let record = Sealed {
                digest: digest.to_string(),
                device: DEVICES[0].into(),
                boot_id: "b".into(),
                seq: 1,
                length: 1,
                class: 5,
                expires_s: 2,
                received_s: 1,
            };
            assert!(writing.add_record(&record).await.unwrap());
        }
        writing.commit().await.unwrap();
        database.close().await;
    });
    let mentioned = |at: usize| mentions(&lab, &digests[at]).iter().any(|path| path.starts_with("server"));
    assert!(mentioned(0) && mentioned(1));
    let mut rows = forget::Rows::new(&lab.at("server"), Some(&url), "test");
    let places =
        Places { store: &lab.store, folder: None, exports: &[], register: Some(&mut rows), identities: None };
    let selection = Selection { records: vec![digests[0]], ..Selection::default() };
    let said = forget::run(places, &selection, now()).unwrap();
    assert_eq!((&said.json["database_rows"], &said.json["sealed"]), (&json!(1), &json!(1)));
    assert_eq!(mentions(&lab, &digests[0]), [] as [PathBuf; 0]);
    assert!(mentioned(1), "the other one stays");
}

#[test]
fn a_device_or_a_time_is_forgotten_and_nothing_else() {
    let lab = Lab::new();
    let all = lab.fill(6);
    let said = forget(&lab, &Selection { device: Some(DEVICES[0].into()), ..Selection::default() });
    assert_eq!(said.json["sealed"], 9);
    for (at, digest) in all.iter().enumerate() {
        assert_eq!(mentions(&lab, digest).is_empty(), (at / 3) % 2 == 0);
    }
    // Scene 3 was taken from 3:00:00 to 3:00:20, and arrived an hour later.
    let time = |second: u64| jiff::Timestamp::from_second(i64::try_from(DAY + second).unwrap()).ok();
    let range = Selection { from: time(3 * 3600), to: time(3 * 3600 + 20), ..Selection::default() };
    let said = forget(&lab, &range);
    assert_eq!(said.json["sealed"], 2, "the end of the range is not in it");
    let without_identity =
        Places { store: &lab.store, folder: None, exports: &[], register: None, identities: None };
    let arrived = Selection { from: time(4 * 3600), to: time(5 * 3600), ..Selection::default() };
    let said = forget::run(without_identity, &arrived, now()).unwrap();
    assert_eq!(said.json["sealed"], 1, "without the identity it goes by arrival");
    assert!(
        forget::run(
            Places { store: &lab.store, folder: None, exports: &[], register: None, identities: None },
            &Selection::default(),
            now()
        )
        .is_err_and(|failure| failure.exit == Exit::Usage)
    );
}
