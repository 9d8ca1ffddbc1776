//! Bad links, through a server that is one: the update completes, and a cut costs at most one chunk.
#![allow(clippy::unwrap_used)] // what cannot be prepared fails the test

mod link;
mod operator;

use stopline_depot::deployment::{DeployCause, Phase};
use stopline_depot::digest::Digest;

use link::{Fault, Server};
use operator::{Device, Operator, noise, phase, rollout};

const TAR: usize = 1 << 20;
/// As the device's configuration says.
const CHUNK: usize = 64 << 10;

fn world() -> (Server, Device, Digest, usize) {
    let mut operator = Operator::new("2026-11-21T12:00:00Z".parse().unwrap());
    let digest = operator.release(1, &noise(1, TAR));
    operator.rollout(&rollout("r-1", 1));
    let files = operator.publish();
    let length = files.iter().find(|(path, _)| path.ends_with(".slb")).unwrap().1.len();
    let server = Server::start(files);
    let device = Device::new(&server.url, &operator);
    (server, device, digest, length)
}

/// Runs an update through `faults`: it must complete. Tells the bytes that came beyond the file's own.
fn through(name: &str, faults: &[Fault]) -> usize {
    let (server, device, digest, length) = world();
    server.fail(faults.iter().cloned());
    let mut agent = device.agent();
    agent.poll().unwrap();
    assert_eq!(phase(&agent), Some((Phase::Staged, None)), "{name}: {:?}", server.asked());
    assert_eq!(device.staged(&digest), Some(noise(1, TAR)), "{name}");
    assert!(server.state.lock().unwrap().faults.is_empty(), "{name}: a fault was not met");
    let waste = server.model_bytes().saturating_sub(length);
    println!("{name}: {} requests, {waste} bytes beyond {length}", server.asked().len());
    waste
}

#[test]
fn cuts_stalls_and_short_parts_cost_at_most_a_chunk_each() {
    let cut = Fault::Cut(100_000);
    for (name, faults) in [
        ("one cut", vec![cut.clone()]),
        ("cut before the first byte", vec![Fault::Cut(0), cut.clone(), Fault::Cut(0)]),
        ("a cut every 100 kB", vec![cut.clone(); 9]),
        ("stalled", vec![Fault::Stall(300_000)]),
        ("one byte now and then", vec![cut.clone(), Fault::Dribble]),
        (
            "parts shorter than asked for",
            vec![cut.clone(), Fault::Short(50_000), Fault::Short(1), Fault::Short(200_000)],
        ),
    ] {
        let waste = through(name, &faults);
        assert!(waste <= CHUNK * faults.len(), "{name}: {waste} bytes wasted in {} cuts", faults.len());
    }
}

#[test]
fn the_whole_file_instead_of_a_part_is_not_taken_twice() {
    let cut = Fault::Cut(400_000);
    for (name, faults) in [
        ("200 to a range, once", vec![cut.clone(), Fault::Whole]),
        ("another entity tag", vec![cut.clone(), Fault::OtherTag]),
        ("again and again", vec![cut.clone(), Fault::Whole, cut.clone(), Fault::OtherTag]),
    ] {
        let (server, device, digest, length) = world();
        server.fail(faults.clone());
        let mut agent = device.agent();
        agent.poll().unwrap();
        assert!(device.staged(&digest).is_some(), "{name}");
        // What lay in buffers on this machine when the answer was passed over never crossed a link: the server counts it.
        let sent = server.model_bytes().saturating_sub(length);
        println!("{name}: {} requests, {sent} bytes sent in vain", server.asked().len());
        assert!(server.asked().iter().any(|(_, range, _)| range.is_some()), "{name}");
    }
}

#[test]
fn a_server_that_knows_no_ranges_serves_too() {
    let (server, device, digest, _) = world();
    server.fail([Fault::Cut(400_000), Fault::Whole, Fault::Whole, Fault::Whole]);
    device.agent().poll().unwrap();
    assert!(device.staged(&digest).is_some());
}

#[test]
fn a_question_for_the_rest_names_the_tag_of_what_is_there() {
    let (server, device, _, _) = world();
    server.fail([Fault::Cut(200_000)]);
    device.agent().poll().unwrap();
    let asked = server.asked();
    assert_eq!(asked.len(), 2);
    assert_eq!((&asked[0].1, &asked[0].2), (&None, &None));
    assert_eq!(asked[1].1.as_deref(), Some("bytes=200000-"));
    assert!(asked[1].2.as_deref().is_some_and(|tag| tag.starts_with('"')));
}

#[test]
fn changed_bytes_are_found_and_fetched_anew() {
    let (_, _, _, length) = world();
    let waste = through("one byte changed", &[Fault::Corrupt(500_000)]);
    assert!(waste <= length, "the whole file once more, and no more");
    let (server, device, digest, _) = world();
    server.fail(vec![Fault::Corrupt(500_000); 2]);
    let mut agent = device.agent();
    agent.poll().unwrap();
    assert_eq!(phase(&agent), Some((Phase::Deferred, Some(DeployCause::Network))), "not for ever");
    assert!(device.staged(&digest).is_none() && device.offer().is_none());
}

#[test]
fn errors_and_pauses_of_the_server_are_waited_out() {
    for (name, faults) in [
        ("500, 502, 503", vec![Fault::Status(500, None), Fault::Status(502, None), Fault::Status(503, None)]),
        ("429 with a pause", vec![Fault::Status(429, Some(1))]),
        ("503 with a pause in the middle", vec![Fault::Cut(100_000), Fault::Status(503, Some(2))]),
        ("404 for a moment", vec![Fault::Status(404, None)]),
    ] {
        assert_eq!(through(name, &faults), 0, "{name}");
    }
    let (server, device, _, _) = world();
    server.fail(vec![Fault::Status(500, None); 30]);
    let mut agent = device.agent();
    agent.poll().unwrap();
    assert_eq!(phase(&agent), Some((Phase::Deferred, Some(DeployCause::Network))));
    assert_eq!(server.asked().len(), 8, "as many attempts as configured");
}

#[test]
fn redirects_are_followed_and_not_for_ever() {
    let (server, device, digest, _) = world();
    let (other, path) = {
        let files = server.state.lock().unwrap().files.clone();
        let path = files.keys().find(|path| path.ends_with(".slb")).unwrap().clone();
        (Server::start(files), path)
    };
    server.fail([Fault::Redirect(format!("{}{path}", other.url))]);
    device.agent().poll().unwrap();
    assert!(device.staged(&digest).is_some());

    let (server, device, _, _) = world();
    server.fail(vec![Fault::Redirect(path.clone()); 60]);
    let mut agent = device.agent();
    agent.poll().unwrap();
    assert_eq!(phase(&agent), Some((Phase::Deferred, Some(DeployCause::Network))));
}

#[test]
fn what_came_before_a_start_is_not_fetched_again() {
    let (server, device, digest, length) = world();
    server.fail([Fault::Cut(600_000)].into_iter().chain(vec![Fault::Status(500, None); 30]));
    let mut agent = device.agent();
    agent.poll().unwrap();
    assert_eq!(phase(&agent), Some((Phase::Deferred, Some(DeployCause::Network))));
    drop(agent);
    let before = server.model_bytes();
    server.state.lock().unwrap().faults.clear();
    device.clock.pass(std::time::Duration::from_secs(86_400));
    device.agent().poll().unwrap();
    assert!(device.staged(&digest).is_some());
    let waste = server.model_bytes().saturating_sub(length);
    assert!(waste <= CHUNK, "{waste} bytes wasted; {before} had come");
}

#[test]
fn through_a_proxy_it_comes_too() {
    let (server, device, digest, _) = world();
    let proxy = Server::start(server.state.lock().unwrap().files.clone());
    let config = device.config.replace("[download]\n", &format!("[download]\nproxy = '{}'\n", proxy.url));
    let config = config
        .replace(&server.url, "http://updates.invalid")
        .replace("outcomes_url = 'http://updates.invalid/outcomes'\n", "");
    let device = Device { config, ..device };
    device.agent().poll().unwrap();
    assert!(device.staged(&digest).is_some());
    assert_eq!(server.state.lock().unwrap().requests, 0, "nothing went past the proxy");
}
