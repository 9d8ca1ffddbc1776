//! Bad links, through a server that is one: the update completes, and a cut costs at most one chunk.
#![allow(clippy::unwrap_used)] // what cannot be prepared fails the test

mod authority;
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

/// Where a proxy answers 200 to a range now and then, the range is asked for once more, and costs nothing that had come.
#[test]
fn the_whole_file_instead_of_a_part_is_not_taken_twice() {
    let cut = Fault::Cut(400_000);
    for (name, faults) in [
        ("200 to a range, once", vec![cut.clone(), Fault::Whole]),
        ("another entity tag", vec![cut.clone(), Fault::OtherTag]),
        ("again and again", vec![cut.clone(), Fault::Whole, cut.clone(), Fault::OtherTag]),
    ] {
        let (server, device, digest, length) = world();
        // A link on which a body is under way for a while: what the agent does not want is not sent at memory speed.
        server.state.lock().unwrap().pace = Some((16 << 10, std::time::Duration::from_millis(20)));
        server.fail(faults.clone());
        let mut agent = device.agent();
        agent.poll().unwrap();
        assert_eq!(device.staged(&digest), Some(noise(1, TAR)), "{name}");
        let waste = server.model_bytes().saturating_sub(length);
        println!("{name}: {} requests, {waste} bytes beyond {length}", server.asked().len());
        assert!(waste <= CHUNK * faults.len(), "{name}: {waste} bytes wasted");
        assert!(server.asked().iter().any(|(_, range, _)| range.is_some()), "{name}");
    }
}

/// A server that never knows ranges sends all that is here again after each cut: nothing can be done about that. What is here
/// is passed over and stays, so that each connection brings the file on, although none lasts for the whole of it at first.
#[test]
fn a_server_that_knows_no_ranges_serves_too_and_what_is_here_is_not_thrown_away() {
    let (server, device, digest, length) = world();
    server.state.lock().unwrap().pace = Some((16 << 10, std::time::Duration::from_millis(5)));
    // After the first cut two answers are dropped; from then on what comes is taken.
    let [first, second, third, fourth] = [300_000, 500_000, 200_000, 800_000].map(Fault::Cut);
    let faults = [first, Fault::Whole, Fault::Whole, second, third, fourth];
    server.fail(faults);
    server.state.lock().unwrap().no_ranges = true;
    let mut agent = device.agent();
    agent.poll().unwrap();
    assert_eq!(device.staged(&digest), Some(noise(1, TAR)));
    // The third connection ended before it came to anything new, and took nothing away.
    let again: usize = 300_000 + 200_000 + 500_000 + 800_000;
    let (sent, requests) = (server.model_bytes(), server.asked().len());
    println!("no ranges, 4 cuts: {requests} requests, {sent} bytes for {length}");
    assert_eq!(requests, 7, "{:?}", server.asked());
    let dropped = CHUNK * 2;
    assert!(sent <= length + again + dropped, "{sent} bytes; {again} must come again, {dropped} may");
}

#[test]
fn a_rate_is_kept_to_over_seconds() {
    const RATE: u64 = 100_000;
    let (server, device, digest, length) = world();
    let config = device.config.replace("[download]\n", &format!("[download]\nrate_bytes_per_s = {RATE}\n"));
    let device = Device { config, ..device };
    let mut agent = device.agent();
    let began = (stopline_agent::clock::Clock::since_boot_ms(&*device.clock), jiff::Timestamp::now());
    agent.poll().unwrap();
    assert!(device.staged(&digest).is_some());
    // The clock that the agent goes by is held: pauses pass on it at once, and real time passes on it too.
    let held = stopline_agent::clock::Clock::since_boot_ms(&*device.clock) - began.0;
    let real = u64::try_from(jiff::Timestamp::now().duration_since(began.1).as_millis()).unwrap();
    let least = length as u64 * 1_000 / RATE;
    println!(
        "{length} bytes at {RATE} bytes/s: {held} ms on the agent's clock, {least} expected; {real} ms here"
    );
    assert!(held >= least && held <= least + real + 500, "{held} ms for {length} bytes");
    assert_eq!(server.asked().len(), 1, "a cap is no stall");
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

/// A proxy that asks who one is, and opens tunnels (RFC 9110 §9.3.6).
fn tunnel() -> (String, std::sync::Arc<std::sync::Mutex<Vec<String>>>) {
    use std::io::{BufRead as _, BufReader, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let asked = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let list = asked.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let first = lines.next().unwrap_or_default();
            // All of the head is read, or the rest of it would be taken for the tunnel's first bytes.
            let mut known = false;
            for line in lines.take_while(|line| !line.is_empty()) {
                // "board:secret"
                known |= line.eq_ignore_ascii_case("proxy-authorization: basic ym9hcmq6c2vjcmv0");
            }
            list.lock().unwrap().push(first.clone());
            let to = first.split_whitespace().nth(1).unwrap_or_default().to_owned();
            if !known {
                let _ = stream.write_all(b"HTTP/1.1 407 x\r\nContent-Length: 0\r\n\r\n");
                continue;
            }
            let mut far = std::net::TcpStream::connect(to).unwrap();
            stream.write_all(b"HTTP/1.1 200 x\r\n\r\n").unwrap();
            let (mut back, mut from) = (stream.try_clone().unwrap(), far.try_clone().unwrap());
            std::thread::spawn(move || drop(std::io::copy(&mut from, &mut back)));
            std::thread::spawn(move || drop(std::io::copy(&mut stream, &mut far)));
        }
    });
    (address, asked)
}

#[test]
fn through_a_proxy_with_a_password_https_comes_too() {
    use authority::{Authority, Strangers, tls};
    let (plain, device, digest, _) = world();
    let authority = Authority::new("fleet");
    let files = plain.state.lock().unwrap().files.clone();
    let server =
        Server::start_tls(files, tls(&authority, &[&authority], Strangers::In, device.clock.clone()));
    std::fs::write(device.path("authority.pem"), &authority.pem).unwrap();
    let (address, asked) = tunnel();
    for (user, staged) in [("", false), ("board:secret@", true)] {
        let config = device.config.replace(&plain.url, &server.url);
        let config =
            config.replace("[download]\n", &format!("[download]\nproxy = 'http://{user}{address}'\n"));
        let config =
            format!("{config}[tls]\nauthorities_file = '{}'\n", device.path("authority.pem").display());
        let config = stopline_agent::config::Config::parse(&config).unwrap();
        let agent =
            stopline_agent::agent::Agent::open(config, device.clock.clone(), device.runtime.handle().clone());
        let polled = agent.unwrap().poll();
        println!("{user:?}: {polled:?}");
        assert_eq!((polled.is_ok(), device.staged(&digest).is_some()), (staged, staged));
    }
    let asked = asked.lock().unwrap();
    let host = server.url.trim_start_matches("https://");
    assert!(asked.iter().all(|line| line.starts_with(&format!("CONNECT {host} "))), "{asked:?}");
    assert_eq!(plain.state.lock().unwrap().requests, 0);
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
