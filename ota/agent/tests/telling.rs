//! What the device says of itself, over HTTPS and with a real broker; alerts that somebody must hear, and answers that count
//! only from their begin to their end.
#![allow(clippy::unwrap_used)] // what cannot be prepared fails the test

mod authority;
mod lab;
mod link;
mod needs;
mod operator;
mod program;
mod reporter;

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use stopline_agent::clock::Clock as _;
use stopline_agent::identity::Identity;
use stopline_agent::telemetry::outbox::{MOST_WAITING, Outbox};
use stopline_agent::telemetry::{Heard, Telemetry};
use stopline_depot::message::{Acknowledge, Body, Change, Event, Kind, Message, State};
use stopline_depot::outbox::{self, Subject};

use lab::Fault;
use needs::until;
use program::Service;
use reporter::{World, world};

const SAYS: &str = "[telemetry]\noutbox = 'HERE/outbox'\nstats_s = 60\nescalate_s = 30\nhook_authorities_file = 'HERE/authority.pem'\n";

fn at_noon() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

fn plain(more: &str) -> World {
    let world = world(at_noon(), "", &format!("{SAYS}{more}"));
    outbox::prepare(&world.device.path("outbox")).unwrap();
    world
}

fn kept(world: &World) -> Outbox {
    world.kept()
}

fn telemetry(world: &World) -> Telemetry {
    world.telemetry()
}

/// As the loop says it.
fn say(world: &World, number: u64, subject: Subject) -> PathBuf {
    let name = serde_json::to_value(subject).unwrap().as_str().unwrap().replace('_', "-");
    let message = outbox::Message {
        schema: 1,
        id: format!("{name}-1-{number}"),
        device: "room 12".into(),
        subject,
        to: Vec::new(),
        made_wall: "2026-11-22T12:00:00.000000Z".parse().unwrap(),
        made_monotonic_ns: number,
        persons_down: 1,
        cause: None,
        situation: None,
        armed: false,
    };
    outbox::put(&world.device.path("outbox"), &message).unwrap()
}

fn answer(id: &str) -> Acknowledge {
    Acknowledge { schema: 1, id: id.into(), by: "n.mueller".into() }
}

fn pass(world: &World, seconds: u64) {
    world.device.clock.pass(Duration::from_secs(seconds));
}

fn of(world: &World, kind: Kind) -> Vec<Message> {
    world.lab.look(|lab| lab.messages.iter().filter(|message| message.kind == kind).cloned().collect())
}

fn events(world: &World) -> Vec<Event> {
    let event = |message: Message| match message.content() {
        Ok(Body::Event(event)) => *event,
        other => panic!("{other:?}"),
    };
    of(world, Kind::Event).into_iter().map(event).collect()
}

fn changes(world: &World, id: &str) -> Vec<Change> {
    events(world).into_iter().filter(|event| event.id == id).map(|event| event.change).collect()
}

fn state(world: &World) -> State {
    match of(world, Kind::State).pop().unwrap().content() {
        Ok(Body::State(state)) => *state,
        other => panic!("{other:?}"),
    }
}

/// The loop's acknowledgements, as it takes them.
fn silenced(world: &World) -> Vec<(String, String)> {
    let taken = outbox::take_acknowledgements(&world.device.path("outbox")).unwrap();
    taken.into_iter().map(|taken| taken.unwrap()).map(|taken| (taken.id, taken.by)).collect()
}

#[test]
fn birth_state_and_figures_are_said_once_each_and_kept_until_the_receipt() {
    let world = plain("");
    let mut telemetry = telemetry(&world);
    world.lab.set(|lab| lab.always = Some(Fault::NoAnswer));
    telemetry.step();
    pass(&world, 100);
    telemetry.step();
    let waiting = kept(&world).stats().waiting;
    assert_eq!(waiting, 3, "birth, state, figures: on disk until a receipt is here");
    // All of it was taken in, and no answer came: it comes again and is one.
    world.lab.set(|lab| lab.always = None);
    pass(&world, 400);
    telemetry.step();
    telemetry.step();
    assert_eq!(kept(&world).stats().waiting, 0);
    let kinds: Vec<Kind> = world.lab.look(|lab| lab.messages.iter().map(|message| message.kind).collect());
    assert_eq!(kinds.iter().filter(|kind| **kind == Kind::Birth).count(), 1, "{kinds:?}");
    assert_eq!(kinds.iter().filter(|kind| **kind == Kind::State).count(), 1, "{kinds:?}");
    assert!(kinds.iter().filter(|kind| **kind == Kind::Stats).count() >= 1, "{kinds:?}");
    let Ok(Body::Birth(birth)) = of(&world, Kind::Birth)[0].content() else { panic!() };
    assert_eq!(
        (birth.hardware.as_str(), birth.agent.as_str()),
        (operator::HARDWARE, env!("CARGO_PKG_VERSION"))
    );
    let Ok(Body::Stats(stats)) = of(&world, Kind::Stats)[0].content() else { panic!() };
    println!("{}", serde_json::to_string(&stats).unwrap());
    assert!(stats.memory_total_bytes > stats.memory_available_bytes && stats.agent_resident_bytes.is_some());
    assert!(stats.disks["home"].free_bytes > 0);
    assert_eq!(state(&world).runtime, "unknown");
    let seqs = world.lab.look(|lab| lab.seqs.len());
    assert_eq!(seqs, kinds.len(), "no number twice");
}

/// The runtime's health file with its first `drifts` drifts, of the process `pid`.
fn drifted(world: &World, pid: u32, drifts: u64) {
    let drift = |number: u64| {
        serde_json::json!({"number": number, "camera": "front", "model": "signs",
            "identity": {"name": "signs", "version": "1.0.0", "digest": "ab".repeat(32), "role": "active"},
            "alarm": {"signal": "resolution", "against": "past", "span": "frames", "at": "2026-11-22T11:59:00.000000Z",
                "expected": "1280x720", "found": "3840x2160", "statistic": 0.0, "threshold": 0.0}})
    };
    let health = serde_json::json!({"schema": 1, "name": "car", "version": "0.1.0", "pid": pid,
        "written_wall": "2026-11-22T12:00:00.000000Z", "uptime_ms": 5, "state": {"name": "active", "for_ms": 3}, "faults": [],
        "arming": {"armed": false, "because": "arm.armed is false"}, "cameras": [], "models": [],
        "command": {"row": "idle", "valid": false, "deceleration": 0.0, "hold": false, "made": 3, "longest_gap_us": 20100},
        "actuators": [], "stages": [], "machine": {"memory": "off", "scheduling": "off", "resident_kib": 4000},
        "transitions": [], "transitions_total": 0, "stream": {"readers": 0, "dropped": 0},
        "drift": (1..=drifts).map(drift).collect::<Vec<_>>()});
    std::fs::write(world.device.path("health.json"), health.to_string()).unwrap();
}

#[test]
fn a_drift_is_said_once_whoever_starts_anew() {
    let mut world = plain("");
    let health = format!("[device]\nhealth_file = {:?}", world.device.path("health.json"));
    world.device.config = world.device.config.replacen("[device]", &health, 1);
    let said = |world: &World| of(world, Kind::Drift).len();
    drifted(&world, 7, 1);
    let mut first = telemetry(&world);
    first.step();
    first.step();
    assert_eq!(said(&world), 1);
    let words = of(&world, Kind::Drift)[0].body.to_string();
    assert!(words.contains("1280x720") && words.contains("3840x2160"), "{words}");
    drop(first);
    let mut second = telemetry(&world);
    second.step();
    assert_eq!(said(&world), 1, "the agent began anew, and has said it");
    drifted(&world, 7, 2);
    second.step();
    assert_eq!(said(&world), 2);
    drifted(&world, 8, 1);
    second.step();
    assert_eq!(said(&world), 3, "the runtime began anew, and this is another one");
}

#[test]
fn an_alert_is_escalated_until_somebody_answers_and_an_answer_counts_only_while_it_is_open() {
    let world = plain("");
    let mut telemetry = telemetry(&world);
    let file = say(&world, 1, Subject::Fall);
    // Before the fleet has it the loop's file stays: the loop must know that nobody has heard.
    world.lab.set(|lab| lab.away = true);
    telemetry.step();
    assert!(file.exists());
    // An answer before the event is none.
    telemetry.hear(Heard::Acknowledge(answer("fall-1-2")));
    world.lab.set(|lab| lab.away = false);
    pass(&world, 20);
    telemetry.step();
    telemetry.step();
    assert!(!file.exists(), "the fleet has it");
    assert_eq!(changes(&world, "fall-1-1"), [Change::New]);
    assert_eq!(state(&world).alerts, ["fall-1-1"]);
    for _ in 0..3 {
        pass(&world, 31);
        telemetry.step();
    }
    let escalated = changes(&world, "fall-1-1").iter().filter(|change| **change == Change::Escalated).count();
    assert_eq!(escalated, 3);
    assert!(silenced(&world).is_empty(), "nobody answered");
    // A restart forgets no alert.
    drop(telemetry);
    let mut telemetry = self::telemetry(&world);
    telemetry.hear(Heard::Acknowledge(answer("fall-1-1")));
    telemetry.hear(Heard::Acknowledge(Acknowledge { by: "another".into(), ..answer("fall-1-1") }));
    telemetry.step();
    assert_eq!(silenced(&world), [("fall-1-1".to_owned(), "n.mueller".to_owned())]);
    let acknowledged: Vec<Event> =
        events(&world).into_iter().filter(|event| event.change == Change::Acknowledged).collect();
    assert_eq!((acknowledged.len(), acknowledged[0].by.as_deref()), (1, Some("n.mueller")));
    pass(&world, 100);
    telemetry.step();
    assert_eq!(changes(&world, "fall-1-1").iter().filter(|change| **change == Change::Escalated).count(), 3);
    assert_eq!(state(&world).alerts, Vec::<String>::new());
    // A second fall, and its end: an answer after that is none.
    say(&world, 5, Subject::Fall);
    telemetry.step();
    say(&world, 6, Subject::FallOver);
    telemetry.step();
    telemetry.hear(Heard::Acknowledge(answer("fall-1-5")));
    telemetry.hear(Heard::Acknowledge(answer("fall-over-1-6")));
    telemetry.step();
    assert_eq!(changes(&world, "fall-1-5"), [Change::New, Change::Over]);
    assert!(silenced(&world).is_empty());
    assert!(outbox::waiting(&world.device.path("outbox")).unwrap().is_empty());
}

#[test]
fn without_a_broker_answers_come_with_the_receipts() {
    let world = plain("");
    let mut telemetry = telemetry(&world);
    say(&world, 1, Subject::Fall);
    telemetry.step();
    world.lab.set(|lab| lab.acknowledge = vec![answer("fall-1-1"), answer("fall-9-9")]);
    pass(&world, 11);
    telemetry.step();
    assert_eq!(silenced(&world), [("fall-1-1".to_owned(), "n.mueller".to_owned())]);
    let asked = world.lab.look(|lab| lab.asked.len());
    world.lab.set(|lab| lab.acknowledge.clear());
    for _ in 0..3 {
        pass(&world, 11);
        telemetry.step();
    }
    assert!(world.lab.look(|lab| lab.asked.len()) <= asked + 2, "no alert is open: nobody asks any more");
}

#[test]
fn a_web_hook_hears_an_alert_until_it_says_so_signed_and_the_next_one_after_an_escalation() {
    let hooks = "[[notify]]\nname = 'ward'\nurl = 'LAB/hook/ward'\n[[notify]]\nname = 'head'\nurl = 'LAB/hook/head'\nfrom_step = 1\n";
    let world = plain(hooks);
    let config = world.device.config.replace("LAB", &world.lab.url);
    let world = World { device: operator::Device { config, ..world.device }, ..world };
    let mut telemetry = telemetry(&world);
    world.lab.set(|lab| lab.hook_status = Some(500));
    say(&world, 1, Subject::Fall);
    telemetry.step();
    pass(&world, 16);
    telemetry.step();
    let told = || world.lab.look(|lab| lab.hooks.len());
    assert_eq!(told(), 2, "tried again");
    world.lab.set(|lab| lab.hook_status = None);
    pass(&world, 10);
    telemetry.step();
    assert_eq!(told(), 3);
    telemetry.step();
    assert_eq!(told(), 3, "it knows");
    pass(&world, 31);
    telemetry.step();
    let last: Vec<_> = world.lab.look(|lab| lab.hooks[3..].iter().map(|(_, body)| body.clone()).collect());
    assert_eq!(last.len(), 2, "the ward again, and the head nurse: {last:?}");
    assert_eq!(
        (last[0]["event"]["change"].as_str(), last[0]["event"]["step"].as_u64()),
        (Some("escalated"), Some(1))
    );
    assert_eq!(last[0]["device"], world.identity.id());
    telemetry.hear(Heard::Acknowledge(answer("fall-1-1")));
    telemetry.step();
    let ends = world.lab.look(|lab| {
        lab.hooks[5..].iter().map(|(_, body)| body["event"]["change"].clone()).collect::<Vec<_>>()
    });
    assert_eq!(ends, ["acknowledged", "acknowledged"]);
    let (headers, body) = world.lab.look(|lab| lab.hooks[0].clone());
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(headers["stopline-key"], hex(&world.identity.public_key()));
    assert_eq!((headers["stopline-signature"].len(), body["schema"].as_u64()), (128, Some(1)));
}

#[test]
fn where_too_many_wait_figures_go_first_and_events_never_for_others() {
    let world = plain("");
    let kept = kept(&world);
    let event = |number: usize| {
        Body::Event(Box::new(Event {
            id: format!("fall-1-{number}"),
            change: Change::New,
            subject: Subject::Fall,
            name: "x".into(),
            made_wall: "2026-11-22T12:00:00.000000Z".parse().unwrap(),
            persons_down: 1,
            cause: None,
            situation: None,
            armed: false,
            asks: true,
            step: 0,
            by: None,
        }))
    };
    let queue = world.device.path("home/messages");
    // As an outbox that is full but for a few lies on disk.
    let seed = |from: usize, kind: &str, body: &Body| {
        let message = Message::new((world.identity.id(), "old", from as u64), body).unwrap();
        let name = format!("{from:012}-{kind}-old-{from}.json");
        std::fs::write(queue.join(name), stopline_depot::versioned::write(&message).unwrap()).unwrap();
    };
    seed(1, "state", &Body::State(Box::default()));
    seed(2, "stats", &Body::Stats(Box::default()));
    (3..MOST_WAITING + 1).for_each(|number| seed(number, "event", &event(number)));
    kept.put(&event(2_000), 0).unwrap();
    assert!(
        !queue.join("000000000002-stats-old-2.json").exists()
            && queue.join("000000000001-state-old-1.json").exists()
    );
    kept.put(&event(2_001), 0).unwrap();
    assert_eq!(kept.stats().dropped, 2);
    let full = kept.put(&event(2_002), 0).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::QuotaExceeded, "{full}");
    assert!(kept.put(&Body::Stats(Box::default()), 0).is_err());
    assert_eq!(kept.stats().waiting, MOST_WAITING as u64);
}

#[test]
fn a_message_that_the_server_does_not_understand_holds_up_no_other() {
    let world = plain("");
    let mut telemetry = telemetry(&world);
    let mut go_on = |steps: usize| {
        for _ in 0..steps {
            telemetry.step();
            pass(&world, 301);
        }
    };
    world.lab.set(|lab| lab.not_understood = vec![Kind::Birth]);
    say(&world, 1, Subject::Warning);
    go_on(10);
    assert_eq!(changes(&world, "warning-1-1"), [Change::New]);
    assert!(!of(&world, Kind::State).is_empty() && of(&world, Kind::Birth).is_empty());
    assert_eq!(
        kept(&world).paths().iter().filter(|path| path.to_str().unwrap().contains("birth")).count(),
        0
    );
    // An event stays and holds up nothing: it may be the server that is wrong.
    world.lab.set(|lab| lab.not_understood = vec![Kind::Event]);
    let file = say(&world, 2, Subject::Warning);
    let figures = of(&world, Kind::Stats).len();
    go_on(10);
    assert!(of(&world, Kind::Stats).len() > figures && changes(&world, "warning-1-2").is_empty());
    assert!(file.exists(), "the loop knows that nobody has heard");
    world.lab.set(|lab| lab.not_understood.clear());
    go_on(10);
    assert_eq!(changes(&world, "warning-1-2"), [Change::New]);
    assert!(!file.exists());
}

#[test]
fn a_budget_that_is_used_up_still_lets_an_alert_through() {
    let world = plain("[window]\nmobile_day_bytes = 2000000\n");
    let config = world.device.config.replace("network = 'wifi'", "network = 'lte'");
    let world = World { device: operator::Device { config, ..world.device }, ..world };
    let senses = world.senses();
    senses.spend(&*world.device.clock, 1_900_000);
    senses.close();
    let mut telemetry = telemetry(&world);
    telemetry.step();
    assert!(world.lab.look(|lab| lab.asked.is_empty()), "birth and state wait for tomorrow");
    say(&world, 1, Subject::Fall);
    telemetry.step();
    assert_eq!(changes(&world, "fall-1-1"), [Change::New]);
}

#[test]
fn the_running_agent_says_who_it_is_and_is_silent_in_a_portal() {
    let world = world(Timestamp::now(), "", "[telemetry]\noutbox = 'HERE/outbox'\nlook_s = 1\n");
    outbox::prepare(&world.device.path("outbox")).unwrap();
    world.lab.set(|lab| lab.always = Some(Fault::Portal));
    let service = Service::start(&world.device);
    until("the portal", || service.said("captive portal") > 0);
    world.lab.set(|lab| lab.always = None);
    until("birth", || of(&world, Kind::Birth).len() == 1);
    let file = say(&world, 1, Subject::Fall);
    until("the alert", || changes(&world, "fall-1-1") == [Change::New]);
    until("the loop's file is gone", || !file.exists());
    service.kill();
    let _again = Service::start(&world.device);
    world.lab.set(|lab| lab.acknowledge = vec![answer("fall-1-1")]);
    until("the answer", || !silenced(&world).is_empty());
    assert_eq!(Identity::open(&world.device.path("home")).unwrap().id(), world.identity.id());
    assert!(world.device.clock.since_boot_ms() > 0);
}
