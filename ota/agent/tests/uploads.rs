//! Captured records on their way to the fleet, over links that cut, portals that answer in its place, and refusals that mean
//! different things. Whatever happens: each record arrives once, and none is let go that the fleet does not have.
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
use stopline_agent::budget::sockets::Carried;
use stopline_depot::digest::Digest;
use stopline_depot::disk::RealDisk;
use stopline_depot::spool::{Event, entries};

use lab::Fault;
use needs::{count, until};
use operator::noise;
use program::Service;
use reporter::{World, world};

const UPLOAD: &str =
    "[upload]\nspool = 'SPOOL'\nlook_s = 1\nfirst_back_off_ms = 10\nlongest_back_off_ms = 900000\n";

fn at_noon() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

fn plain() -> World {
    world(at_noon(), "", UPLOAD)
}

/// All of `digests` are with the lab, whole; the spool's ledger says of each once that it is delivered, and is balanced.
fn arrived(world: &World, digests: &[Digest]) {
    for digest in digests {
        let there = world.lab.look(|lab| lab.records.get(digest).cloned());
        let bytes = there.unwrap_or_else(|| panic!("{digest} has not arrived"));
        assert_eq!(Digest::of(&bytes), *digest);
    }
    let entries = entries(&RealDisk, &world.spool).unwrap();
    for digest in digests {
        let ends = entries.iter().filter(|entry| entry.digest == *digest && entry.event != Event::Captured);
        let ends: Vec<Event> = ends.map(|entry| entry.event).collect();
        assert_eq!(ends, [Event::Delivered], "{digest}");
    }
    assert!(world.counts().is_balanced(), "{:?}", world.counts());
}

#[test]
fn many_small_records_go_in_one_batch_and_the_most_valuable_first() {
    let world = plain();
    let low = world.put(&noise(1, 900_000), 1, 4_000_000_000);
    let small = world.capture(10, &[20_000; 40]);
    let high = world.put(&noise(2, 3_900_000), 9, 4_000_000_000);
    let large = world.put(&noise(3, 5_000_000), 3, 4_000_000_000);
    let (mut uploader, progress) = world.uploader();
    uploader.step();
    let all: Vec<Digest> = [vec![low, high, large], small].concat();
    arrived(&world, &all);
    let asked = world.lab.look(|lab| lab.asked.clone());
    let batches = asked.iter().filter(|(method, ..)| method == "GET").count();
    assert_eq!(batches, 4, "{asked:?}");
    assert_eq!((progress.stats().delivered, progress.stats().waiting, progress.waits()), (43, 0, None));
    // The first batch that came whole holds the most valuable.
    let first =
        asked.iter().find(|(method, ..)| method == "GET").unwrap().1.rsplit_once('/').unwrap().1.to_owned();
    assert!(world.lab.look(|lab| lab.done[&first].iter().any(|receipt| receipt.digest == high)));
}

#[test]
fn a_link_that_cuts_costs_what_was_under_way_and_each_record_arrives_once() {
    let world = plain();
    let digests = world.capture(1, &[300_000; 12]);
    world.lab.set(|lab| {
        // Each try asks first, and then meets its fault.
        let cuts = (0..20).flat_map(|cut| {
            let fault = match cut % 5 {
                0 => Fault::Cut(30_000 + cut * 7_919),
                1 => Fault::NoAnswer,
                2 => Fault::Cut(0),
                3 => Fault::Forget(50_000),
                _ => Fault::Status(503, None),
            };
            [Fault::Nothing, fault]
        });
        lab.faults = cuts.collect();
    });
    let (mut uploader, _) = world.uploader();
    world.drain(&mut uploader, 60);
    arrived(&world, &digests);
    let (sent, left) = world.lab.look(|lab| (lab.patch_bytes, lab.faults.len()));
    assert_eq!(left, 0, "every fault was met");
    println!("12 records of 300000 bytes over 20 faults: {sent} bytes of pieces came");
    // Every piece that came counted: what was sent again is what the server had lost, and the piece that showed it.
    assert!(sent < 3_700_000 + 4 * 600_000, "{sent}");
}

#[test]
fn an_answer_that_is_lost_after_all_was_taken_in_doubles_nothing() {
    let world = plain();
    let digests = world.capture(1, &[10_000; 3]);
    world.lab.set(|lab| lab.faults = [Fault::Nothing, Fault::NoAnswer, Fault::NoAnswer].into());
    let (mut uploader, _) = world.uploader();
    world.drain(&mut uploader, 10);
    arrived(&world, &digests);
    // A process that starts anew while a batch is with the server and no receipt is here asks, and hears that it is there.
    let more = world.capture(50, &[10_000; 3]);
    world.lab.set(|lab| lab.faults = [Fault::Cut(0)].into());
    uploader.step();
    drop(uploader);
    let (mut uploader, _) = world.uploader();
    world.drain(&mut uploader, 10);
    arrived(&world, &more);
    let ids: std::collections::BTreeSet<String> = world.lab.look(|lab| lab.done.keys().cloned().collect());
    assert_eq!(ids.len(), 2, "the batch that was under way went on under its name: {ids:?}");
}

#[test]
fn not_wanted_too_big_not_understood_and_log_in_again_are_four_things_and_none_is_uploaded() {
    let world = plain();
    let digests = world.capture(1, &[50_000; 9]);
    let (unwanted, poison) = (digests[2], digests[6]);
    world.lab.set(|lab| {
        lab.not_wanted = [unwanted].into();
        lab.poison = [poison].into();
    });
    let (mut uploader, progress) = world.uploader();
    // Log in again: everything waits, and nothing is lost.
    for (status, word) in
        [(401, "log_in"), (403, "revoked"), (404, "server"), (429, "server"), (500, "server")]
    {
        // A 404 to the question how much is there means nothing; to a piece, that there is no such server.
        world.lab.set(|lab| lab.always = Some(Fault::Status(status, None)));
        uploader.step();
        assert_eq!(progress.waits().as_deref(), Some(word), "{status}");
        assert_eq!((world.counts().waiting, world.counts().delivered), (9, 0));
        world.device.clock.pass(Duration::from_secs(2_000));
    }
    world.lab.set(|lab| lab.always = None);
    world.drain(&mut uploader, 30);
    let others: Vec<Digest> =
        digests.iter().copied().filter(|digest| ![unwanted, poison].contains(digest)).collect();
    arrived(&world, &others);
    let rejected = entries(&RealDisk, &world.spool).unwrap();
    let rejected: Vec<String> = rejected
        .iter()
        .filter(|entry| entry.event == Event::Rejected)
        .map(|entry| format!("{} {:?}", entry.digest, entry))
        .collect();
    assert_eq!(rejected.len(), 2, "{rejected:#?}");
    assert_eq!(world.counts().rejected, 2);
    assert!(world.lab.look(|lab| !lab.records.contains_key(&unwanted) && !lab.records.contains_key(&poison)));
}

#[test]
fn a_server_that_understands_nothing_loses_no_record() {
    let world = plain();
    let digests = world.capture(1, &[5_000; 4]);
    world.lab.set(|lab| lab.always = Some(Fault::Status(422, None)));
    let (mut uploader, progress) = world.uploader();
    for _ in 0..30 {
        uploader.step();
        world.device.clock.pass(Duration::from_secs(2_000));
    }
    assert_eq!(
        (world.counts().waiting, world.counts().rejected),
        (4, 0),
        "it may be the server that is wrong"
    );
    assert_eq!(progress.waits().as_deref(), Some("not_understood"));
    world.lab.set(|lab| lab.always = None);
    world.drain(&mut uploader, 10);
    arrived(&world, &digests);
}

#[test]
fn a_batch_that_is_too_big_is_split_and_a_record_that_is_too_big_alone_is_rejected() {
    let world = plain();
    let digests = world.capture(1, &[200_000; 10]);
    let big = world.put(&noise(99, 900_000), 5, 4_000_000_000);
    world.lab.set(|lab| lab.most_bytes = Some(700_000));
    let (mut uploader, progress) = world.uploader();
    world.drain(&mut uploader, 10);
    arrived(&world, &digests);
    assert_eq!((world.counts().delivered, world.counts().rejected), (10, 1));
    assert!(world.lab.look(|lab| !lab.records.contains_key(&big)));
    assert_eq!(progress.stats().rejected, 1);
}

#[test]
fn a_captive_portal_takes_nothing_and_is_named() {
    let world = plain();
    let digests = world.capture(1, &[30_000; 5]);
    let (mut uploader, progress) = world.uploader();
    for portal in [Fault::Portal, Fault::PortalRedirect] {
        world.lab.set(|lab| lab.always = Some(portal));
        uploader.step();
        assert_eq!(progress.waits().as_deref(), Some("captive_portal"));
        assert_eq!((world.counts().waiting, world.counts().delivered), (5, 0));
        world.device.clock.pass(Duration::from_secs(2_000));
    }
    // Half of a batch is there when the portal comes up again: it goes on from there.
    world.lab.set(|lab| {
        lab.always = None;
        lab.faults = [Fault::Nothing, Fault::Cut(70_000), Fault::Portal].into();
    });
    world.drain(&mut uploader, 5);
    arrived(&world, &digests);
    let offsets: Vec<usize> =
        world.lab.look(|lab| lab.asked.iter().filter_map(|(.., offset)| *offset).collect());
    assert_eq!(offsets[..2], [0, 70_000], "{offsets:?}");
}

#[test]
fn the_server_may_ask_for_patience_and_gets_it() {
    let world = plain();
    let digests = world.capture(1, &[10_000; 2]);
    world.lab.set(|lab| lab.faults = [Fault::Status(429, Some(600))].into());
    let (mut uploader, _) = world.uploader();
    uploader.step();
    let asked = world.lab.look(|lab| lab.asked.len());
    world.device.clock.pass(Duration::from_secs(590));
    uploader.step();
    assert_eq!(world.lab.look(|lab| lab.asked.len()), asked, "ten seconds too early");
    world.device.clock.pass(Duration::from_secs(10));
    uploader.step();
    arrived(&world, &digests);
}

#[test]
fn what_expires_or_rots_while_it_is_held_ends_so_and_the_rest_arrives() {
    let world = plain();
    let digests = world.capture(1, &[10_000; 4]);
    let soon = u64::try_from(at_noon().as_second()).unwrap() + 60;
    world.put(&noise(70, 10_000), 9, soon);
    world.lab.set(|lab| lab.faults = [Fault::Cut(0), Fault::Cut(0)].into());
    let (mut uploader, progress) = world.uploader();
    uploader.step();
    assert_eq!(world.counts().waiting, 5, "claimed, and the link is gone");
    // Worn flash: a bit of a record that is held is another.
    let sending = world.spool.join("sending");
    let held = std::fs::read_dir(&sending).unwrap().flatten();
    let rotten =
        held.map(|entry| entry.path()).find(|path| path.to_str().unwrap().contains(&digests[0].to_string()));
    let rotten = rotten.unwrap();
    let mut bytes = std::fs::read(&rotten).unwrap();
    bytes[5_000] ^= 4;
    std::fs::write(&rotten, bytes).unwrap();
    world.device.clock.pass(Duration::from_secs(2_000));
    world.drain(&mut uploader, 10);
    arrived(&world, &digests[1..]);
    let counts = world.counts();
    assert_eq!((counts.delivered, counts.expired, counts.rejected), (3, 1, 1), "{counts:?}");
    assert_eq!((progress.stats().expired, progress.stats().rejected), (1, 1));
}

#[test]
fn what_the_server_has_is_delivered_although_its_time_ran_out_before_the_answer_came() {
    let world = plain();
    let soon = |from: Timestamp| u64::try_from(from.as_second()).unwrap() + 60;
    let digest = world.put(&noise(1, 10_000), 5, soon(at_noon()));
    world.lab.set(|lab| lab.faults = [Fault::Nothing, Fault::NoAnswer].into());
    let (mut uploader, _) = world.uploader();
    uploader.step();
    assert_eq!(world.counts().waiting, 1, "it is there, and nobody heard");
    world.device.clock.pass(Duration::from_secs(2_000));
    world.drain(&mut uploader, 5);
    arrived(&world, &[digest]);
    // Of one that the server lacks a part of it has kept nothing: it is not sent any more.
    let later = at_noon().checked_add(Duration::from_secs(10_000)).unwrap();
    world.device.clock.set(stopline_tuf::time::Reading::Synchronised(later));
    let late = world.put(&noise(2, 300_000), 5, soon(later));
    world.lab.set(|lab| lab.faults = [Fault::Nothing, Fault::Cut(50_000)].into());
    uploader.step();
    assert_eq!(world.counts().waiting, 1);
    world.device.clock.pass(Duration::from_secs(2_000));
    world.drain(&mut uploader, 5);
    assert_eq!((world.counts().expired, world.counts().delivered), (1, 1));
    assert!(world.lab.look(|lab| !lab.records.contains_key(&late)));
}

#[test]
fn a_disk_that_takes_nothing_lets_records_wait_and_loses_none() {
    let world = plain();
    let digests = world.capture(1, &[10_000; 3]);
    // What is written beside its place cannot be: as on a disk that is full or read-only.
    let beside = world.device.path("home/upload.json.new");
    std::fs::create_dir_all(beside.join("x")).unwrap();
    let (mut uploader, progress) = world.uploader();
    uploader.step();
    assert_eq!(progress.waits().as_deref(), Some("io"));
    assert!(world.lab.look(|lab| lab.asked.is_empty()) && world.counts().waiting == 3);
    std::fs::remove_dir_all(&beside).unwrap();
    world.device.clock.pass(Duration::from_secs(2_000));
    world.drain(&mut uploader, 3);
    arrived(&world, &digests);
}

#[test]
fn windows_networks_and_roaming_hold() {
    for (tables, word) in [
        ("local = [0, 60]\n", "local_time"),
        ("network = ['ethernet']\n", "network_kind"),
        ("parked = true\n", "not_parked"),
    ] {
        let world = world(at_noon(), "", &format!("{UPLOAD}{tables}"));
        world.capture(1, &[1_000]);
        let (mut uploader, progress) = world.uploader();
        uploader.step();
        assert_eq!(progress.waits().as_deref(), Some(word));
        assert!(world.lab.look(|lab| lab.asked.is_empty()));
        assert_eq!(
            std::fs::read_dir(world.spool.join("waiting")).unwrap().count(),
            1,
            "it can still be evicted"
        );
    }
    let abroad = plain();
    let abroad = World {
        device: operator::Device {
            config: abroad
                .device
                .config
                .replace("network = 'wifi'", "network = 'lte'\nroaming_file = '/dev/null'"),
            ..abroad.device
        },
        ..abroad
    };
    let foreign = abroad.device.path("foreign");
    std::fs::write(&foreign, "1").unwrap();
    let config = abroad.device.config.replace("/dev/null", &foreign.display().to_string());
    let abroad = World { device: operator::Device { config, ..abroad.device }, ..abroad };
    let digests = abroad.capture(1, &[1_000]);
    let (mut uploader, progress) = abroad.uploader();
    uploader.step();
    assert_eq!(progress.waits().as_deref(), Some("network_kind"), "roaming is off unless it is named");
    std::fs::write(&foreign, "0").unwrap();
    uploader.step();
    arrived(&abroad, &digests);
}

#[test]
fn a_rate_is_kept_within_two_seconds_of_it() {
    let world = world(at_noon(), "", &format!("{UPLOAD}rate_bytes_per_s = 50000\n"));
    let digests = world.capture(1, &[250_000; 4]);
    let (mut uploader, _) = world.uploader();
    let began = stopline_agent::clock::Clock::since_boot_ms(&*world.device.clock);
    uploader.step();
    let took = stopline_agent::clock::Clock::since_boot_ms(&*world.device.clock) - began;
    arrived(&world, &digests);
    assert!((19_000..25_000).contains(&took), "1 MB at 50 kB/s took {took} ms by the held clock");
    let pieces = world.lab.look(|lab| lab.asked.iter().filter(|(method, ..)| method == "PATCH").count());
    assert!(pieces >= 10, "{pieces} pieces of at most two seconds");
}

#[test]
fn a_cap_is_never_exceeded_by_more_than_one_batch_and_a_restart_forgets_nothing() {
    let cap = 3_000_000_u64;
    let tables = format!(
        "{UPLOAD}batch_bytes = 500000\n[window]\nmobile_day_bytes = {cap}\n[budget]\nreserve_percent = 20\n"
    );
    let world = world(Timestamp::now(), "", &tables);
    let config = world.device.config.replace("network = 'wifi'", "network = 'lte'");
    std::fs::write(world.device.path("agent.toml"), &config).unwrap();
    world.capture(1, &[90_000; 60]);
    let records = || world.lab.look(|lab| lab.records.values().map(Vec::len).sum::<usize>());
    // A process of its own: the connections that it counts are the device's.
    let service = Service::start(&world.device);
    until("the cap", || service.said("day_budget") > 0);
    service.kill();
    let sent = records();
    let (_, status, _) = program::run(&world.device, &["status", "--json"]);
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let used = status["network"]["mobile_day_bytes"].as_u64().unwrap();
    until("the connection's end", || world.lab.look(|lab| !lab.carried.is_empty()));
    let carried = world.lab.look(|lab| lab.carried.iter().map(|one| one.received + one.sent).sum::<u64>());
    println!(
        "cap {cap}, 80 % for records: {sent} bytes of records, {carried} bytes over TCP, {used} counted"
    );
    assert!(carried <= cap * 8 / 10 + 500_000, "not more than a batch beyond");
    assert!(sent >= 1_500_000, "and not much less than the share");
    assert!(used + 64_000 >= carried, "{used} counted of {carried}");
    let service = Service::start(&world.device);
    until("the cap again", || service.said("day_budget") > 0);
    assert_eq!(records(), sent);
}

/// Bytes on the wire in segments of 1,360 bytes, each with headers of IPv4 and TCP; `options` bytes of each are TCP's.
fn as_segments(bytes: u64, options: u64) -> u64 {
    bytes + bytes.div_ceil(1_360 - options) * (40 + options)
}

#[test]
fn wire_bytes_per_payload_byte_from_tcp_info() {
    for (name, length, records, packs) in [
        ("records of 120 kB", 120_000, 33, false),
        ("records of 20 kB", 20_000, 190, false),
        ("records of 40 kB, server takes zstd", 40_000, 96, true),
        ("records of 20 kB, server takes zstd", 20_000, 190, true),
    ] {
        let world = plain();
        world.lab.set(|lab| lab.packs = packs);
        let digests = world.capture(1, &vec![length; records]);
        let (mut uploader, _) = world.uploader();
        uploader.step();
        arrived(&world, &digests);
        drop(uploader);
        let payload = (length * records) as u64;
        let sum = |of: fn(&Carried) -> u64| world.lab.look(|lab| lab.carried.iter().map(of).sum::<u64>());
        // All of them: there may have been more than one.
        until("the connections' end", || sum(|one| one.received) >= payload);
        let (received, sent) = (sum(|one| one.received), sum(|one| one.sent));
        let connections = world.lab.look(|lab| lab.carried.len());
        let wire = as_segments(received, 0) + as_segments(sent, 0);
        let stamped = as_segments(received, 12) + as_segments(sent, 12);
        let acknowledgements = received.div_ceil(2 * 1_348) * 52;
        let per = |bytes: u64| bytes as f64 / payload as f64;
        println!(
            "{name}: {payload} bytes of records, {received} bytes up and {sent} down with TLS and HTTP, {connections} connections; {:.4} on the wire in \
             segments of 1360 bytes; {:.4} with time stamps in each, {:.4} with an empty acknowledgement for every second too",
            per(wire),
            per(stamped),
            per(stamped + acknowledgements)
        );
        if length > 100_000 || packs {
            assert!(per(wire) <= 1.05, "{name}: {}", per(wire));
        }
    }
}

#[test]
fn killed_in_mid_upload_each_record_arrives_once() {
    let kills = count("kills in mid-upload", 20, 4);
    let world =
        world(Timestamp::now(), "", &format!("{UPLOAD}chunk_bytes = 65536\nrate_bytes_per_s = 400000\n"));
    let digests = world.capture(1, &vec![100_000; 6 * kills]);
    for round in 1..=kills {
        let service = Service::start(&world.device);
        let at = round * 500_000;
        until("a part of it", || world.lab.look(|lab| lab.patch_bytes) >= at.min(550_000 * kills));
        service.kill();
    }
    let service = Service::start(&world.device);
    until("all of it", || world.counts().waiting == 0);
    arrived(&world, &digests);
    let sent = world.lab.look(|lab| lab.patch_bytes);
    println!("{kills} kills: {sent} bytes of pieces for {} of records", 600_000 * kills);
    drop(service);
}
