//! The sum: captured = delivered + evicted + expired + rejected, digest by digest, in the spool's ledger, the server's database
//! and its store.

use std::collections::{BTreeMap, BTreeSet};

use stopline_depot::digest::Digest;
use stopline_depot::disk::RealDisk;
use stopline_depot::spool::{Event, entries};
use stopline_fleet::serve::database::Database;

use super::board::Board;
use super::producer::Done;

/// Fails unless it holds; how many records were captured.
pub(super) fn same_everywhere(board: &Board, put: &Done) -> usize {
    let (captured, ends) = ledger(board);
    let of = |event: Event| -> BTreeSet<Digest> {
        ends.iter().filter(|(_, end)| **end == event).map(|(digest, _)| *digest).collect()
    };
    let (delivered, evicted, expired, rejected) =
        (of(Event::Delivered), of(Event::Evicted), of(Event::Expired), of(Event::Rejected));
    println!(
        "captured {} = delivered {} + evicted {} + expired {} + rejected {}; {} refused by a full disk",
        captured.len(),
        delivered.len(),
        evicted.len(),
        expired.len(),
        rejected.len(),
        put.refused
    );
    assert_eq!(
        captured,
        ends.keys().copied().collect(),
        "each captured record has one end, and nothing else has"
    );
    let lost: Vec<&Digest> = put.accepted.difference(&captured).collect();
    assert!(lost.is_empty(), "the spool said that it has them: {lost:?}");
    let stored = store(board);
    assert_same("the store", &stored, &delivered);
    assert_same("the database", &database(board), &delivered);
    let counts = board.counts();
    assert!(counts.is_balanced() && counts.waiting == 0, "{counts:?}");
    assert_eq!(usize::try_from(counts.captured).unwrap(), captured.len());
    assert!(!delivered.is_empty() && !rejected.is_empty(), "nothing was tried");
    opens(board, delivered.len());
    captured.len()
}

fn assert_same(what: &str, found: &BTreeSet<Digest>, delivered: &BTreeSet<Digest>) {
    let (more, less): (Vec<_>, Vec<_>) =
        (found.difference(delivered).collect(), delivered.difference(found).collect());
    assert!(
        more.is_empty() && less.is_empty(),
        "{what} has {more:?}, which were not delivered, and lacks {less:?}, which were"
    );
}

/// What began, and the one end of each that ended.
fn ledger(board: &Board) -> (BTreeSet<Digest>, BTreeMap<Digest, Event>) {
    let (mut captured, mut ends) = (BTreeSet::new(), BTreeMap::new());
    for entry in entries(&RealDisk, &board.path("board/spool")).unwrap() {
        if entry.event == Event::Captured || entry.at_once {
            assert!(captured.insert(entry.digest), "{} was captured twice", entry.digest);
        }
        if entry.event != Event::Captured {
            let earlier = ends.insert(entry.digest, entry.event);
            assert_eq!(earlier, None, "{} ended as {:?} too", entry.digest, entry.event);
        }
    }
    (captured, ends)
}

/// Records in the server's store: whole, each with its label.
fn store(board: &Board) -> BTreeSet<Digest> {
    let folder = board.path("fleet/store/records");
    let (mut sealed, mut labels) = (BTreeSet::new(), BTreeSet::new());
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        if let Some(digest) = name.strip_suffix(".age") {
            let digest: Digest = digest.parse().unwrap();
            assert_eq!(Digest::of(&std::fs::read(entry.path()).unwrap()), digest, "its bytes");
            sealed.insert(digest);
        } else if let Some(digest) = name.strip_suffix(".json") {
            labels.insert(digest.parse().unwrap());
        }
    }
    assert_same("the store's labels", &labels, &sealed);
    sealed
}

fn database(board: &Board) -> BTreeSet<Digest> {
    let url = format!("sqlite://{}", board.path("fleet/stopline.db").display());
    let rows = stopline_agent::daemon::runtime().unwrap().block_on(async {
        let database = Database::open(&url).await.unwrap();
        let rows = database.records(None, 1_000_000).await.unwrap();
        database.close().await;
        rows
    });
    let digests: BTreeSet<Digest> = rows.iter().map(|row| row.digest.parse().unwrap()).collect();
    assert_eq!(digests.len(), rows.len(), "each once");
    digests
}

/// The operator's key opens all of them.
fn opens(board: &Board, delivered: usize) {
    let said = board.fleet("dataset export fleet/store --identity capture.key --output out --duplicate 0");
    let number = |key: &str| usize::try_from(said["counts"][key].as_u64().unwrap()).unwrap();
    let coco = ["train", "val"].map(|split| {
        let text = std::fs::read(board.path(&format!("out/annotations/instances_{split}.json"))).ok();
        let coco: serde_json::Value =
            text.map(|text| serde_json::from_slice(&text).unwrap()).unwrap_or_default();
        coco["images"].as_array().map_or(0, Vec::len)
    });
    assert_eq!(coco.iter().sum::<usize>() + number("duplicates"), delivered, "{said}");
}
