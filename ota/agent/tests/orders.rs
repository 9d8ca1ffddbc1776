//! What the server asks a device to do once: a diagnostic bundle, records that are to be forgotten. Each order is answered once,
//! however often it comes.
#![allow(clippy::unwrap_used)] // what cannot be prepared fails the test

mod authority;
mod lab;
mod link;
mod needs;
mod operator;
mod program;
mod reporter;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use jiff::Timestamp;
use stopline_agent::config::Config;
use stopline_agent::diagnose::LARGEST;
use stopline_agent::orders::{Asked, Forgetting, Orders, Parts};
use stopline_agent::upload::Uploader;
use stopline_depot::digest::Digest;
use stopline_depot::disk::RealDisk;
use stopline_depot::order::{Done, Forget, Order, What};
use stopline_depot::spool::{Cause, Class, Event, Limits, Put, Spool, entries};

use lab::Fault;
use needs::until;
use operator::noise;
use program::Service;
use reporter::{World, world};

const UPLOAD: &str =
    "[upload]\nspool = 'SPOOL'\nlook_s = 1\nfirst_back_off_ms = 10\nlongest_back_off_ms = 900000\n";
const ALLOWED: &str = "[remote]\ndiagnose = true\ndiagnose_logs = ['HERE/agent.log']\n";

fn noon() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

fn id(number: u32) -> String {
    format!("{number:032x}")
}

fn order(number: u32, what: What) -> Order {
    let until = u64::try_from(noon().as_second()).unwrap() + 90 * 86_400;
    Order { schema: 1, id: id(number), until, what }
}

fn diagnose(number: u32) -> Asked {
    Asked::Order(order(number, What::Diagnose))
}

fn forget(number: u32, wanted: &Forget) -> Asked {
    Asked::Order(order(number, What::Forget(wanted.clone())))
}

/// The thread's work as a start of the program finds it, step by step, and what lets records go.
fn orders(world: &World, with_spool: bool) -> (Orders, Forgetting, Receiver<Asked>) {
    let (send, done) = channel();
    let forgetting = Forgetting::new(send);
    let parts = Parts {
        config: Config::read(&world.device.path("agent.toml")).unwrap(),
        clock: world.device.clock.clone(),
        identity: world.identity.clone(),
        senses: world.senses(),
        line: world.line(),
        forgetting: with_spool.then(|| forgetting.clone()),
    };
    (Orders::open(parts), forgetting, done)
}

#[test]
fn a_bundle_is_brought_once_for_each_order_and_once_an_hour_at_most() {
    let world = world(noon(), "", ALLOWED);
    std::fs::write(world.device.path("agent.log"), "token=S3CR3T\nall is well\n").unwrap();
    let brought = || world.lab.look(|lab| lab.diagnoses.clone());
    let (mut orders, ..) = self::orders(&world, false);
    world.lab.set(|lab| lab.always = Some(Fault::Status(503, None)));
    orders.take(diagnose(1));
    orders.step();
    assert!(brought().is_empty(), "the server is away");
    world.lab.set(|lab| lab.always = None);
    world.device.clock.pass(Duration::from_secs(60));
    orders.step();
    let first = brought();
    assert_eq!((first.len(), first[0].0.as_str()), (1, id(1).as_str()));
    let text = String::from_utf8(first[0].1.clone()).unwrap();
    assert!(text.len() <= LARGEST && text.contains("all is well") && !text.contains("S3CR3T"), "{text}");
    assert!(text.contains(world.identity.id()));
    // It comes again, by another way, and after a restart.
    orders.take(diagnose(1));
    orders.step();
    let (mut orders, ..) = self::orders(&world, false);
    orders.take(diagnose(1));
    orders.take(diagnose(2));
    orders.step();
    assert_eq!(brought().len(), 1, "the first is answered, the second waits for its hour");
    world.device.clock.pass(Duration::from_secs(3_000));
    orders.step();
    assert_eq!(brought().len(), 1);
    world.device.clock.pass(Duration::from_secs(600));
    orders.step();
    assert_eq!(brought().iter().map(|(of, _)| of.clone()).collect::<Vec<_>>(), [id(1), id(2)]);
    // One that is over is passed over.
    let over = Order { until: 5, ..order(3, What::Diagnose) };
    world.device.clock.pass(Duration::from_secs(7_200));
    orders.take(Asked::Order(over));
    orders.step();
    assert_eq!((brought().len(), world.lab.look(|lab| lab.answers.len())), (2, 0));
}

#[test]
fn a_device_whose_owner_does_not_allow_it_says_so_and_says_it_again() {
    for tables in ["", "[remote]\n"] {
        let world = world(noon(), "", tables);
        let (mut orders, ..) = self::orders(&world, false);
        orders.take(diagnose(7));
        orders.step();
        let answered = || world.lab.look(|lab| (lab.diagnoses.len(), lab.answers.clone()));
        let (bundles, answers) = answered();
        assert_eq!((bundles, answers.len(), answers[0].result), (0, 1, Done::Refused));
        // The answer was lost: the order comes again, after a restart too, and with a configuration that allows it now.
        let allowed = world.device.config.replace("[remote]\n", "") + "[remote]\ndiagnose = true\n";
        std::fs::write(world.device.path("agent.toml"), allowed).unwrap();
        let (mut orders, ..) = self::orders(&world, false);
        orders.take(diagnose(7));
        orders.step();
        let (bundles, again) = answered();
        assert_eq!((bundles, again.len(), &again[1]), (0, 2, &answers[0]), "{tables:?}");
    }
}

#[test]
fn a_budget_that_is_used_up_and_what_the_server_refuses_cost_no_second_bundle() {
    let caps = "[window]\nmobile_day_bytes = 1048576\n[remote]\ndiagnose = true\n\
                diagnose_logs = ['HERE/1.log', 'HERE/2.log', 'HERE/3.log', 'HERE/4.log']\n";
    let world = world(noon(), "", caps);
    for name in ["1.log", "2.log", "3.log", "4.log"] {
        std::fs::write(world.device.path(name), "a line of a log, one of very many, of which none says more than the others or anything else at all\n".repeat(6_000)).unwrap();
    }
    let lte = world.device.config.replace("network = 'wifi'", "network = 'lte'");
    std::fs::write(world.device.path("agent.toml"), &lte).unwrap();
    let world = World { device: operator::Device { config: lte, ..world.device }, ..world };
    let (mut orders, ..) = self::orders(&world, false);
    orders.take(diagnose(1));
    orders.step();
    assert_eq!(world.lab.look(|lab| lab.asked.len()), 0, "more than figures may use is left for");
    let wifi = world.device.config.replace("network = 'lte'", "network = 'wifi'");
    std::fs::write(world.device.path("agent.toml"), &wifi).unwrap();
    let world = World { device: operator::Device { config: wifi, ..world.device }, ..world };
    world.device.clock.pass(Duration::from_secs(3_700));
    world.lab.set(|lab| lab.always = Some(Fault::Status(413, None)));
    let (mut orders, ..) = self::orders(&world, false);
    for _ in 0..3 {
        orders.take(diagnose(1));
        orders.step();
        world.device.clock.pass(Duration::from_secs(3_700));
    }
    let puts = world.lab.look(|lab| lab.asked.iter().filter(|(method, ..)| method == "PUT").count());
    assert_eq!(puts, 1, "what is refused for good is done with");
}

/// Puts a record that was captured at a second.
fn capture(world: &World, seed: u64, at: u64) -> Digest {
    let limits = Limits { bytes: 1 << 30, files: 10_000, keep_free: 0 };
    let mut spool = Spool::open(RealDisk, &world.spool, limits, at).unwrap();
    let put = spool.put(&noise(seed, 20_000), Class::new(5).unwrap(), 4_000_000_000, at).unwrap();
    let Put::Waiting(digest) = put else { panic!("{put:?}") };
    digest
}

/// The upload and the orders take turns until nothing changes any more.
fn turns(orders: &mut Orders, uploader: &mut Uploader, done: &Receiver<Asked>) {
    for _ in 0..3 {
        uploader.step();
        done.try_iter().for_each(|asked| orders.take(asked));
        orders.step();
    }
}

/// Files below these folders in whose name or content a digest stands.
fn mentions(folders: &[&Path], digest: &Digest) -> Vec<PathBuf> {
    let text = digest.to_string();
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = folders.iter().map(|folder| folder.to_path_buf()).collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = std::fs::read(&path).unwrap_or_default();
                if path.to_string_lossy().contains(&text)
                    || bytes.windows(64).any(|part| part == text.as_bytes())
                {
                    found.push(path);
                }
            }
        }
    }
    found
}

#[test]
fn a_record_that_is_forgotten_leaves_spool_and_batch_and_is_counted_once() {
    let world = world(noon(), "", UPLOAD);
    let second = u64::try_from(noon().as_second()).unwrap() - 1_000;
    let all = [1, 2, 3].map(|seed| capture(&world, seed, second));
    // A batch of all three is under way and does not get through.
    world.lab.set(|lab| lab.always = Some(Fault::Status(503, None)));
    let (mut uploader, progress) = world.uploader();
    uploader.step();
    assert!(!mentions(&[&world.device.path("home")], &all[1]).is_empty(), "the batch that is under way");
    let (mut orders, forgetting, done) = self::orders(&world, true);
    uploader.forgets(forgetting);
    let wanted = Forget { records: BTreeSet::from([all[1], Digest::of(b"of another")]), ..Forget::default() };
    orders.take(forget(1, &wanted));
    turns(&mut orders, &mut uploader, &done);
    assert_eq!(
        (world.counts().waiting, world.counts().rejected),
        (2, 1),
        "the server need not answer for it"
    );
    assert!(world.counts().is_balanced(), "{:?}", world.counts());
    // Nothing names it any more but the ledger's own line of its begin and end, in which nothing but its digest stands.
    let left = mentions(&[world.device.folder.path()], &all[1]);
    assert!(left.iter().all(|path| path.starts_with(world.spool.join("ledger"))), "{left:?}");
    let ends: Vec<_> = entries(&RealDisk, &world.spool).unwrap();
    let end = ends.iter().find(|line| line.digest == all[1] && line.event == Event::Rejected).unwrap();
    assert_eq!(end.cause, Some(Cause::Forgotten));
    // The server is there again: it hears of one, and the others arrive.
    world.lab.set(|lab| lab.always = None);
    world.device.clock.pass(Duration::from_secs(2_000));
    turns(&mut orders, &mut uploader, &done);
    let answers = || {
        world.lab.look(|lab| lab.answers.iter().map(|one| (one.id.clone(), one.removed)).collect::<Vec<_>>())
    };
    assert_eq!(answers(), [(id(1), 1)]);
    assert!(world.lab.look(|lab| lab.records.contains_key(&all[0]) && lab.records.contains_key(&all[2])));
    assert!(world.lab.look(|lab| !lab.records.contains_key(&all[1])));
    assert_eq!((progress.stats().delivered, progress.stats().rejected), (2, 1));
    // The order comes again, after a restart: the same answer, and nothing else is touched.
    let more = capture(&world, 4, second);
    let (mut orders, forgetting, done) = self::orders(&world, true);
    uploader.forgets(forgetting);
    orders.take(forget(1, &Forget::default()));
    orders.step();
    assert_eq!(answers(), [(id(1), 1), (id(1), 1)]);
    assert!(done.try_recv().is_err());
    uploader.step();
    assert!(world.lab.look(|lab| lab.records.contains_key(&more)));
}

#[test]
fn a_time_is_forgotten_and_what_nobody_knows_the_time_of_stays_unless_all_is_meant() {
    let world = world(noon(), "", UPLOAD);
    let second = u64::try_from(noon().as_second()).unwrap();
    let [old, meant, undated] =
        [(1, second - 90_000), (2, second - 500), (3, 0)].map(|(seed, at)| capture(&world, seed, at));
    world.lab.set(|lab| lab.always = Some(Fault::Status(503, None)));
    let (mut uploader, _) = world.uploader();
    let (mut orders, forgetting, done) = self::orders(&world, true);
    uploader.forgets(forgetting);
    let here = |digest: &Digest| {
        let found = mentions(&[&world.spool.join("waiting"), &world.spool.join("sending")], digest);
        !found.is_empty()
    };
    let last_hour = Forget { from: Some(second - 3_600), to: Some(second), ..Forget::default() };
    orders.take(forget(1, &last_hour));
    turns(&mut orders, &mut uploader, &done);
    assert_eq!((here(&old), here(&meant), here(&undated)), (true, false, true));
    // All of the device, up to the moment of the question: what is captured later stays.
    let later = capture(&world, 4, second + 50);
    orders.take(forget(2, &Forget { to: Some(second), undated: true, ..Forget::default() }));
    turns(&mut orders, &mut uploader, &done);
    assert_eq!((here(&old), here(&undated), here(&later)), (false, false, true));
    world.lab.set(|lab| lab.always = None);
    world.device.clock.pass(Duration::from_secs(2_000));
    turns(&mut orders, &mut uploader, &done);
    let answers = world.lab.look(|lab| lab.answers.clone());
    let said: Vec<(u64, u64)> = answers.iter().map(|one| (one.removed, one.unsure)).collect();
    assert_eq!(said, [(1, 1), (2, 0)]);
    assert!(world.counts().is_balanced());
}

#[test]
fn the_running_program_hears_of_orders_with_its_messages_and_answers_them() {
    let tables = format!("{UPLOAD}parked = true\n[telemetry]\nlook_s = 1\nstats_s = 1\n{ALLOWED}");
    let world = world(Timestamp::now(), "", &tables);
    std::fs::write(world.device.path("agent.log"), "all is well\n").unwrap();
    let second = u64::try_from(Timestamp::now().as_second()).unwrap();
    let digest = capture(&world, 1, second - 100);
    let asked = [
        Order { until: second + 1_000, ..order(1, What::Diagnose) },
        Order { until: second + 1_000, ..order(2, What::Forget(Forget::default())) },
    ];
    world.lab.set(|lab| lab.orders = asked.to_vec());
    let service = Service::start(&world.device);
    until("both answers", || world.lab.look(|lab| !lab.diagnoses.is_empty() && !lab.answers.is_empty()));
    until("the spool is empty", || world.counts().waiting == 0);
    let said = world
        .lab
        .look(|lab| (lab.diagnoses.len(), lab.answers[0].clone(), lab.records.contains_key(&digest)));
    assert_eq!((said.0, said.1.removed, said.2), (1, 1, false), "{}", service.log());
    assert_eq!(said.1.id, id(2));
}
