//! Captured records put straight into an object store by pre-signed requests, over links that cut, to stores that fail, refuse
//! or lie. Whatever happens: each record arrives once, none is let go that the server gave no receipt for, and no byte goes to
//! a store that this device does not name itself.
#![allow(clippy::unwrap_used)] // what cannot be prepared fails the test

mod authority;
mod lab;
mod link;
mod needs;
mod operator;
mod program;
mod reporter;

use std::time::Duration;

use jiff::Timestamp;
use stopline_depot::digest::Digest;
use stopline_depot::disk::RealDisk;
use stopline_depot::spool::{Event, entries};

use lab::{Fault, State};
use needs::until;
use operator::noise;
use program::Service;
use reporter::{World, world};

const UPLOAD: &str = "[upload]\nspool = 'SPOOL'\nlook_s = 1\nfirst_back_off_ms = 10\nlongest_back_off_ms = 60000\n\
                      store_authorities_file = 'HERE/authority.pem'\n";

/// A device that names the lab's store, and a lab that gives places in it.
fn with_store(more: &str) -> World {
    let world = with_stores("STORE/bucket/", more);
    world.lab.set(|lab| {
        lab.store = Some(world.lab.url.clone());
        lab.place_headers = vec![("x-amz-checksum-sha256".into(), "AbC=".into())];
    });
    world
}

fn with_stores(stores: &str, more: &str) -> World {
    let noon: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
    let mut world = world(noon, "", &format!("{UPLOAD}stores = ['{stores}']\n{more}"));
    world.device.config = world.device.config.replace("STORE", &world.lab.url);
    world
}

/// All of `digests` are with the lab, whole; the spool's ledger says of each once that it is delivered.
fn arrived(world: &World, digests: &[Digest]) {
    let entries = entries(&RealDisk, &world.spool).unwrap();
    for digest in digests {
        let there = world.lab.look(|lab| lab.records.get(digest).cloned());
        assert_eq!(Digest::of(&there.unwrap_or_else(|| panic!("{digest} has not arrived"))), *digest);
        let ends = entries.iter().filter(|entry| entry.digest == *digest && entry.event != Event::Captured);
        assert_eq!(ends.map(|entry| entry.event).collect::<Vec<_>>(), [Event::Delivered], "{digest}");
    }
    assert!(world.counts().is_balanced(), "{:?}", world.counts());
}

/// Bytes that came by the server, and by the store.
fn ways(world: &World) -> (usize, usize) {
    world.lab.look(|lab| (lab.patch_bytes, lab.put_bytes))
}

fn asked(lab: &State, method: &str) -> usize {
    lab.asked.iter().filter(|(asked, ..)| asked == method).count()
}

#[test]
fn batches_go_to_the_store_without_a_certificate_and_end_by_the_servers_receipt() {
    let world = with_store("");
    let digests = world.capture(1, &[300_000; 30]);
    let (mut uploader, progress) = world.uploader();
    uploader.step();
    arrived(&world, &digests);
    let (by_server, by_store) = ways(&world);
    assert!(by_server == 0 && by_store > 9_000_000, "{by_server} by the server, {by_store} by the store");
    assert_eq!((progress.stats().delivered, progress.waits()), (30, None));
    let (puts, left) = world.lab.look(|lab| (lab.puts.clone(), lab.put.len()));
    assert_eq!((puts.len(), left), (3, 0), "batches of at most 4 MiB");
    for (headers, showed) in puts {
        assert!(!showed, "a store is no party to who this device is");
        assert!(headers.keys().all(|name| !name.starts_with("stopline")), "{headers:?}");
        assert_eq!(headers["x-amz-checksum-sha256"], "AbC=");
        assert!(headers["content-length"].parse::<usize>().unwrap() <= 4 << 20);
        assert!(!headers.contains_key("transfer-encoding"), "{headers:?}");
    }
}

#[test]
fn cuts_refusals_and_lost_answers_lose_and_double_nothing() {
    let world = with_store("");
    let digests = world.capture(1, &[200_000; 10]);
    // Of each batch: how much is there, a place, the bytes, a receipt. Each row is one try.
    let rows: [&[Fault]; 6] = [
        &[Fault::Nothing, Fault::NoAnswer],
        &[Fault::Nothing, Fault::Nothing, Fault::Cut(700_000)],
        // Expired: another place is asked for, at once.
        &[Fault::Nothing, Fault::Nothing, Fault::Status(403, None), Fault::Nothing, Fault::NoAnswer],
        // It lies there although nobody heard: the next question ends it, and its answer is lost.
        &[Fault::Nothing, Fault::NoAnswer],
        &[Fault::Status(503, None)],
        &[],
    ];
    world.lab.set(|lab| lab.faults = rows.concat().into());
    let (mut uploader, _) = world.uploader();
    world.drain(&mut uploader, 10);
    arrived(&world, &digests);
    let (puts, patches, faults) =
        world.lab.look(|lab| (lab.puts.len(), asked(lab, "PATCH"), lab.faults.len()));
    assert_eq!((patches, faults), (0, 0), "all by way of the store, and every fault was met");
    // Cut, refused, and lost after all of it was there: what is there is not put again.
    assert_eq!(puts, 2, "of three PUTs the lab answered one with 403 before it was looked at");
}

#[test]
fn a_process_that_ends_between_store_and_receipt_puts_nothing_twice() {
    let world = with_store("");
    let digests = world.capture(1, &[100_000; 5]);
    world.lab.set(|lab| {
        lab.faults = [Fault::Nothing, Fault::Nothing, Fault::Nothing, Fault::Status(503, None)].into();
    });
    let (mut uploader, progress) = world.uploader();
    uploader.step();
    assert_eq!((progress.stats().delivered, world.counts().waiting), (0, 5), "the store's word ends nothing");
    drop(uploader);
    let (mut uploader, _) = world.uploader();
    world.drain(&mut uploader, 3);
    arrived(&world, &digests);
    assert_eq!(world.lab.look(|lab| (lab.puts.len(), lab.done.len())), (1, 1));
}

#[test]
fn a_store_that_this_device_does_not_name_gets_no_byte() {
    for (stores, offered) in [
        ("https://store.example/bucket", None),
        ("STORE/other", None),
        ("STORE/bucket", Some("https://evil.example")),
        ("STORE/bucket", Some("http://127.0.0.1:1")),
    ] {
        let world = with_stores(stores, "");
        world.lab.set(|lab| lab.store = Some(offered.map_or(world.lab.url.clone(), str::to_owned)));
        let digests = world.capture(1, &[100_000; 50]);
        let (mut uploader, progress) = world.uploader();
        uploader.step();
        arrived(&world, &digests);
        assert_eq!(ways(&world).1, 0, "{stores} {offered:?}");
        assert_eq!(progress.waits(), None);
        // Nor is the server asked for a place with every batch.
        assert_eq!(world.lab.look(|lab| asked(lab, "POST")), 1, "{stores} {offered:?}");
    }
    // Nor does a place set headers of its own liking.
    let world = with_store("");
    world.lab.set(|lab| lab.place_headers = vec![("host".into(), "evil.example".into())]);
    let digests = world.capture(1, &[100_000; 3]);
    let (mut uploader, _) = world.uploader();
    uploader.step();
    arrived(&world, &digests);
    assert_eq!(ways(&world).1, 0);
}

#[test]
fn without_a_named_store_or_with_a_server_that_gives_none_everything_goes_by_the_server() {
    let plain = with_stores("STORE/bucket", "");
    plain.lab.set(|lab| lab.store = None);
    let digests = plain.capture(1, &[2_000_000; 5]);
    let (mut uploader, _) = plain.uploader();
    uploader.step();
    arrived(&plain, &digests);
    assert_eq!((ways(&plain).1, plain.lab.look(|lab| asked(lab, "POST"))), (0, 1));

    // A record that is longer than a batch goes alone, and by the server.
    let world = with_store("");
    let long = world.put(&noise(1, 5_000_000), 5, 4_000_000_000);
    let (mut uploader, _) = world.uploader();
    uploader.step();
    arrived(&world, &[long]);
    assert_eq!(ways(&world).1, 0);
}

#[test]
fn a_yes_that_is_not_the_stores_is_no_success_and_batches_then_go_by_the_server() {
    let world = with_store("");
    let digests = world.capture(1, &[100_000; 5]);
    world.lab.set(|lab| lab.store_lies = true);
    let (mut uploader, progress) = world.uploader();
    for _ in 0..2 {
        uploader.step();
        assert_eq!(progress.waits().as_deref(), Some("captive_portal"));
        assert_eq!((world.counts().waiting, world.counts().delivered), (5, 0));
        world.device.clock.pass(Duration::from_secs(100));
    }
    uploader.step();
    arrived(&world, &digests);
    assert!(ways(&world).0 > 500_000, "by the server");
    // A quarter of an hour later the store is tried again.
    world.lab.set(|lab| lab.store_lies = false);
    let before = ways(&world);
    let more = world.capture(50, &[100_000; 2]);
    uploader.step();
    arrived(&world, &more);
    assert_eq!(ways(&world).1, before.1, "not yet");
    world.device.clock.pass(Duration::from_secs(1_000));
    let more = world.capture(60, &[100_000; 2]);
    uploader.step();
    arrived(&world, &more);
    assert!(ways(&world).1 > before.1, "tried again");
}

#[test]
fn a_store_that_is_away_or_refuses_lets_records_wait_and_then_go_by_the_server() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = format!("https://{}", gone.local_addr().unwrap());
    for (away, word) in [(true, "store_network"), (false, "store")] {
        let world = with_stores(if away { &gone } else { "STORE/bucket" }, "");
        world.lab.set(|lab| {
            lab.store = Some(if away { gone.clone() } else { world.lab.url.clone() });
            if !away {
                // It refuses whatever is signed; then it has no time, for longer than anything else.
                let refused = [Fault::Nothing, Fault::Status(403, None)];
                let rows = [vec![Fault::Nothing], [refused.clone(), refused.clone(), refused].concat()];
                let busy = [Fault::Nothing, Fault::Nothing, Fault::Status(503, Some(600))];
                lab.faults = rows.concat().into_iter().chain(busy).collect();
            }
        });
        let digests = world.capture(1, &[50_000; 3]);
        let (mut uploader, progress) = world.uploader();
        uploader.step();
        assert_eq!(progress.waits().as_deref(), Some(word));
        world.device.clock.pass(Duration::from_secs(100));
        uploader.step();
        assert_eq!(progress.waits().as_deref(), Some(word));
        assert_eq!((world.counts().waiting, world.counts().delivered), (3, 0));
        world.device.clock.pass(Duration::from_secs(100));
        if !away {
            uploader.step();
            assert_eq!(world.counts().waiting, 3, "its Retry-After is kept");
            world.device.clock.pass(Duration::from_secs(600));
        }
        uploader.step();
        arrived(&world, &digests);
        assert!(ways(&world).0 > 150_000, "by the server");
    }
}

#[test]
fn a_server_that_does_not_understand_what_lies_there_halves_as_by_itself() {
    let world = with_store("");
    let digests = world.capture(1, &[50_000; 9]);
    let poison = digests[6];
    world.lab.set(|lab| lab.poison = [poison].into());
    let (mut uploader, _) = world.uploader();
    world.drain(&mut uploader, 30);
    let others: Vec<Digest> = digests.iter().copied().filter(|digest| *digest != poison).collect();
    arrived(&world, &others);
    assert_eq!((world.counts().delivered, world.counts().rejected), (8, 1));
    assert_eq!(world.lab.look(|lab| (asked(lab, "PATCH"), lab.put.len())), (0, 0));
}

#[test]
fn rate_windows_and_caps_hold_for_the_store_too() {
    let world = with_store("rate_bytes_per_s = 50000\n");
    let digests = world.capture(1, &[250_000; 4]);
    let (mut uploader, _) = world.uploader();
    let began = stopline_agent::clock::Clock::since_boot_ms(&*world.device.clock);
    uploader.step();
    let took = stopline_agent::clock::Clock::since_boot_ms(&*world.device.clock) - began;
    arrived(&world, &digests);
    assert_eq!(ways(&world).0, 0);
    assert!((19_000..25_000).contains(&took), "1 MB at 50 kB/s took {took} ms by the held clock");

    // Driven off in the middle of it: nothing more goes, and what went is not there.
    let world = with_store("rate_bytes_per_s = 50000\nparked = true\n");
    let parked = world.device.path("parked");
    std::fs::write(&parked, "1").unwrap();
    let digests = world.capture(1, &[250_000; 4]);
    let (clock, file) = (world.device.clock.clone(), parked.clone());
    let begun = stopline_agent::clock::Clock::since_boot_ms(&*clock);
    let watch = std::thread::spawn(move || {
        while stopline_agent::clock::Clock::since_boot_ms(&*clock) < begun + 5_000 {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::fs::write(file, "0").unwrap();
    });
    let (mut uploader, progress) = world.uploader();
    uploader.step();
    watch.join().unwrap();
    assert_eq!(progress.waits().as_deref(), Some("not_parked"));
    assert_eq!((world.counts().waiting, world.lab.look(|lab| lab.put.len())), (4, 0));
    std::fs::write(&parked, "1").unwrap();
    uploader.step();
    arrived(&world, &digests);
}

#[test]
fn a_cap_holds_for_the_store_too_and_what_a_cut_has_cost_counts() {
    let cap = 3_000_000_u64;
    let tables = format!(
        "{UPLOAD}stores = ['STORE/bucket']\nbatch_bytes = 500000\n[window]\nmobile_day_bytes = {cap}\n[budget]\nreserve_percent = 20\n"
    );
    let world = world(Timestamp::now(), "", &tables);
    let config = world.device.config.replace("network = 'wifi'", "network = 'lte'");
    std::fs::write(world.device.path("agent.toml"), config.replace("STORE", &world.lab.url)).unwrap();
    world.lab.set(|lab| {
        lab.store = Some(world.lab.url.clone());
        lab.faults = [Fault::Nothing, Fault::Nothing, Fault::Cut(300_000)].into();
    });
    world.capture(1, &[90_000; 60]);
    // A process of its own: the connections that it counts are the device's.
    let service = Service::start(&world.device);
    until("the cap", || service.said("day_budget") > 0);
    service.kill();
    until("the connections' end", || world.lab.look(|lab| lab.carried.len() >= 2));
    let carried = world.lab.look(|lab| lab.carried.iter().map(|one| one.received + one.sent).sum::<u64>());
    let (by_server, by_store) = ways(&world);
    println!(
        "cap {cap}, 80 % for records: {by_store} bytes put, {by_server} by the server, {carried} over TCP"
    );
    assert_eq!(by_server, 0);
    assert!(carried <= cap * 8 / 10, "a PUT that does not fit is not begun");
    assert!(by_store >= 1_500_000, "and not much less than the share: {by_store}");
}
