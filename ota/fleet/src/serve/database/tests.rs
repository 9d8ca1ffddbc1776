//! One suite for both engines: SQLite, and a PostgreSQL that is started for it.

#[path = "../../../tests/cluster/mod.rs"]
mod cluster;
#[path = "../../../tests/needs/mod.rs"]
mod needs;

use super::devices::{Device, Standing, Token};
use super::people::{Invitation, Person, Role};
use super::records::Sealed;
use super::*;
use crate::serve::orders;
use stopline_depot::message::Message;
use stopline_depot::order::{Answer, Done, Forget, What};

const ID: &str = "0123456789abcdef0123456789abcdef";
const OTHER: &str = "fedcba9876543210fedcba9876543210";

fn device(id: &str, key: &str) -> Device {
    Device {
        id: id.into(),
        key: key.into(),
        name: "van 7".into(),
        standing: Standing::Active,
        reason: String::new(),
        replaces: String::new(),
        enrolled_s: 1,
        changed_s: 1,
        seen_s: 1,
        certificate_until_s: 9,
    }
}

fn message(seq: u64) -> Message {
    let body = serde_json::json!({"runtime": "ready"});
    serde_json::from_value(serde_json::json!({
        "schema": 1, "device": ID, "boot_id": "b", "seq": seq, "kind": "state", "body": body,
    }))
    .unwrap()
}

async fn suite(database: &Database) {
    let mut writing = database.write().await.unwrap();
    writing.put_device(&device(ID, "k1")).await.unwrap();
    assert_eq!(writing.holder_of("k1").await.unwrap().as_deref(), Some(ID));
    let lot =
        Token { name: "lot".into(), made_by: "cli:x".into(), made_s: 1, expires_s: 5, counted: 2, came: 0 };
    writing.add_token("h", &lot).await.unwrap();
    assert_eq!(writing.use_token("h", ID, 3).await.unwrap(), Some(1));
    assert!(writing.has_let_in("h", ID).await.unwrap() && !writing.has_let_in("h", OTHER).await.unwrap());
    assert_eq!(writing.use_token("h", OTHER, 3).await.unwrap(), Some(2));
    assert_eq!(writing.use_token("h", "a third", 3).await.unwrap(), None, "two were counted");
    assert_eq!(writing.token("h").await.unwrap().unwrap(), Token { came: 2, ..lot.clone() });
    writing.add_token("i", &Token { name: "next".into(), ..lot }).await.unwrap();
    assert_eq!(writing.end_tokens("lot", 3).await.unwrap(), 0, "used up already");
    assert_eq!(writing.end_tokens("next", 3).await.unwrap(), 1);
    assert_eq!(writing.token("i").await.unwrap().unwrap().expires_s, 2);
    assert!(writing.add_message(&message(1), 10).await.unwrap());
    assert!(!writing.add_message(&message(1), 11).await.unwrap(), "once in effect");
    assert!(writing.add_message(&message(2), 12).await.unwrap());
    writing.put_aside(ID, ("message", "no JSON", "{"), 12).await.unwrap();
    writing.commit().await.unwrap();
    assert_eq!(database.newest_of_each("state").await.unwrap().len(), 1);
    assert_eq!(database.latest(&["state", "event"], Some(ID), 10).await.unwrap()[0].seq, 2);
    assert_eq!(database.dead_letters(9).await.unwrap()[0].number, 1);

    // A copy: a boot that a later one has followed.
    let mut writing = database.write().await.unwrap();
    for (boot, is_copy) in [("a", false), ("a", false), ("b", false), ("a", true), ("b", false)] {
        assert_eq!(writing.lives_in(ID, boot, 1).await.unwrap(), is_copy, "{boot}");
    }
    writing.stand(ID, Standing::Quarantined, "two of it", 4).await.unwrap();
    drop(writing);
    assert_eq!(database.device(ID).await.unwrap().unwrap().standing, Standing::Active, "not committed");

    let sealed = Sealed {
        digest: "d1".into(),
        device: ID.into(),
        boot_id: "b".into(),
        seq: 1,
        length: 7,
        class: 9,
        expires_s: 99,
        received_s: 5,
    };
    let mut writing = database.write().await.unwrap();
    assert!(writing.add_record(&sealed).await.unwrap() && !writing.add_record(&sealed).await.unwrap());
    writing.add_batch((ID, "batch"), 100, r#"[{"digest":"d1"}]"#, 5).await.unwrap();
    writing.commit().await.unwrap();
    assert_eq!(database.records_total().await.unwrap(), (1, 7));
    assert_eq!(database.batch(ID, "batch").await.unwrap().unwrap().0, 100);
    let mut writing = database.write().await.unwrap();
    assert!(writing.forget_record("d1").await.unwrap() && !writing.forget_record("d1").await.unwrap());
    writing.commit().await.unwrap();
    assert_eq!(database.records_total().await.unwrap(), (0, 0));
    assert!(database.batch(ID, "batch").await.unwrap().is_none(), "a receipt names it too");
    orders(database).await;
    people(database).await;
}

async fn orders(database: &Database) {
    let at = |second: i64| jiff::Timestamp::from_second(second).unwrap();
    let wanted = Forget { to: Some(9), ..Forget::default() };
    let first = orders::new(ID, "request", &What::Forget(wanted), ("cli:anna", at(10))).unwrap();
    let second = orders::new(ID, "other", &What::Diagnose, ("cli:anna", at(20))).unwrap();
    let mut writing = database.write().await.unwrap();
    for order in [&first, &second] {
        writing.add_order(order).await.unwrap();
    }
    writing.commit().await.unwrap();
    let open = database.open_orders(ID, 30).await.unwrap();
    assert_eq!(open, [first.order().unwrap(), second.order().unwrap()]);
    assert_eq!(
        database.open_orders(ID, 20 + orders::DIAGNOSE_S + 1).await.unwrap().len(),
        1,
        "its day is over"
    );
    assert_eq!(database.orders_since(15, 30).await.unwrap().len(), 1);
    let answer = Answer { schema: 1, id: first.id.clone(), result: Done::Done, removed: 3, unsure: 1 };
    let mut writing = database.write().await.unwrap();
    assert!(writing.order_to("another", &first.id).await.unwrap().is_none());
    assert!(!writing.answer_order("another", &answer, 40).await.unwrap());
    assert!(writing.answer_order(ID, &answer, 40).await.unwrap());
    assert!(!writing.answer_order(ID, &answer, 41).await.unwrap(), "the first counts");
    writing.commit().await.unwrap();
    let kept = database.request("request").await.unwrap().remove(0);
    assert_eq!((kept.standing(50), kept.removed, kept.unsure, kept.answered_s), ("done", 3, 1, 40));
    assert_eq!(kept.what, "", "which records were meant is noted no longer");
    assert_eq!(database.open_orders(ID, 50).await.unwrap(), [second.order().unwrap()]);
    let mut writing = database.write().await.unwrap();
    assert_eq!(writing.forget_diagnoses(ID).await.unwrap(), 1);
    writing.thin_orders(kept.until_s + 1, kept.until_s + 1).await.unwrap();
    writing.commit().await.unwrap();
    assert!(database.request("request").await.unwrap().is_empty());
}

async fn people(database: &Database) {
    let invitation =
        Invitation { name: "anna".into(), role: Role::Publisher, totp: "T".into(), expires_s: 50 };
    let person = Person {
        name: "anna".into(),
        role: Role::Publisher,
        password: "p".into(),
        totp: "T".into(),
        last_step: 5,
        made_s: 1,
    };
    let mut writing = database.write().await.unwrap();
    writing.invite("i", &invitation, "serve").await.unwrap();
    writing.take_up("i", &person).await.unwrap();
    writing.take_up("i", &person).await.unwrap_err();
    assert!(writing.use_step("anna", 6).await.unwrap());
    assert!(!writing.use_step("anna", 6).await.unwrap(), "a code counts once");
    writing.begin_session("s", "anna", 7).await.unwrap();
    writing.approve(("r", "advance", 5_000), "anna", 8).await.unwrap();
    writing.commit().await.unwrap();
    assert_eq!(database.session("s").await.unwrap().unwrap().0.role, Role::Publisher);
    assert_eq!(database.approval("r", "advance", 5_000).await.unwrap().unwrap().0, "anna");
    let mut writing = database.write().await.unwrap();
    writing.remove_person("anna").await.unwrap();
    writing.thin_people(100, 0).await.unwrap();
    writing.commit().await.unwrap();
    assert!(database.session("s").await.unwrap().is_none());

    let mut writing = database.write().await.unwrap();
    writing.put_reader("wall", "h1", "cli:x", 9).await.unwrap();
    writing.put_reader("wall", "h2", "cli:x", 10).await.unwrap();
    let known = writing.device(ID).await.unwrap().unwrap();
    writing.seen(&known, 500).await.unwrap();
    writing.stand(ID, Standing::Revoked, "stolen", 501).await.unwrap();
    writing.commit().await.unwrap();
    assert_eq!(database.reader("wall").await.unwrap().as_deref(), Some("h2"));
    let stopped = database.let_in_no_more().await.unwrap();
    assert_eq!(stopped.iter().map(|device| device.id.as_str()).collect::<Vec<_>>(), [ID]);
    assert_eq!(database.device(ID).await.unwrap().unwrap().seen_s, 500);
    let mut writing = database.write().await.unwrap();
    assert!(writing.remove_reader("wall").await.unwrap() && !writing.remove_reader("wall").await.unwrap());
    writing.commit().await.unwrap();
    assert!(database.reader("wall").await.unwrap().is_none());
}

#[tokio::test]
async fn sqlite_keeps_what_the_server_knows() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}?mode=rwc", folder.path().join("x.db").display());
    let database = Database::open(&url).await.unwrap();
    suite(&database).await;
    database.close().await;
    // Opened again: nothing is migrated twice, and everything is there.
    let again = Database::open(&url).await.unwrap();
    assert_eq!(again.devices().await.unwrap().len(), 1);
}

#[tokio::test]
async fn postgresql_keeps_the_same() {
    let Some(cluster) = cluster::Cluster::start() else {
        return needs::skip::<()>("no PostgreSQL; tests/run installs it from Debian").unwrap_or_default();
    };
    let database = Database::open(&cluster.url).await.unwrap();
    suite(&database).await;
    database.close().await;
    // Opened again: nothing is migrated twice, and everything is there.
    let again = Database::open(&cluster.url).await.unwrap();
    assert_eq!(again.devices().await.unwrap().len(), 1);
    again.close().await;
}

#[tokio::test]
async fn many_writers_at_once_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}?mode=rwc", folder.path().join("x.db").display());
    // Two programs: the server and the command line.
    let (one, other) = (Database::open(&url).await.unwrap(), Database::open(&url).await.unwrap());
    let tasks: Vec<_> = (0..40)
        .map(|n| {
            let database = if n % 2 == 0 { one.clone() } else { other.clone() };
            tokio::spawn(async move {
                let mut writing = database.write().await.unwrap();
                writing.add_message(&message(n), 1).await.unwrap();
                writing.commit().await.unwrap();
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(one.latest(&["state"], None, 100).await.unwrap().len(), 40);
}

#[tokio::test]
async fn a_place_that_is_no_database_is_refused_in_words() {
    let refused = Database::open("mysql://x").await.err().unwrap();
    assert!(refused.message.contains("postgres://"), "{refused}");
    let refused = Database::open("sqlite:///nowhere/x.db").await.err().unwrap();
    assert!(refused.message.contains("/nowhere/x.db"), "{refused}");
}
