//! The running agent, killed in the middle of a download as a power cut would: it goes on where it was.
#![allow(clippy::unwrap_used)] // what cannot be prepared fails the test

mod link;
mod needs;
mod operator;
mod program;

use std::time::Duration;

use jiff::Timestamp;
use stopline_depot::digest::Digest;

use link::Server;
use needs::{count, until};
use operator::{Device, Operator, noise, rollout};
use program::Service;

const TAR: usize = 3 << 20;
/// As the device's configuration says.
const CHUNK: u64 = 64 << 10;

fn world() -> (Server, Device, Digest, u64) {
    // The program asks the machine's own clock.
    let mut operator = Operator::new(Timestamp::now());
    let digest = operator.release(1, &noise(1, TAR));
    operator.rollout(&rollout("r-1", 1));
    let files = operator.publish();
    let length = files.iter().find(|(path, _)| path.ends_with(".slb")).unwrap().1.len() as u64;
    let server = Server::start(files);
    // A link on which little is under way at once: 16 KiB in 5 ms.
    server.state.lock().unwrap().pace = Some((16 << 10, Duration::from_millis(5)));
    let device = Device::new(&server.url, &operator);
    let config = device.config.replace("start_within_s = 0", "start_within_s = 0\nlook_s = 1");
    std::fs::write(device.path("agent.toml"), config.replace("stall_s = 2", "stall_s = 60")).unwrap();
    (server, device, digest, length)
}

/// Bytes of the file that is coming, as they lie in the agent's folder.
fn there(device: &Device) -> u64 {
    let entries = std::fs::read_dir(device.path("home/partial")).into_iter().flatten().flatten();
    let partial = entries.filter(|entry| entry.path().extension().is_none());
    partial.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).max().unwrap_or(0)
}

#[test]
fn killed_in_mid_download_it_goes_on_and_a_kill_costs_at_most_a_chunk() {
    let kills = count("kills in mid-download", 24, 5) as u64;
    let (server, device, digest, length) = world();
    let (mut lost, mut goes_on_at) = (0, Vec::new());
    for round in 0..kills {
        let service = Service::start(&device);
        until("a part of the file", || there(&device) >= (round + 1) * length / (kills + 1));
        service.kill();
        let held = there(&device);
        let asked = server.asked().len();
        let again = Service::start(&device);
        until("a question for the rest", || server.asked().len() > asked);
        let range = server.asked()[asked].1.clone().unwrap();
        let from: u64 = range.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap();
        assert!(from <= held && held - from <= CHUNK, "{held} bytes lay there, asked for those from {from}");
        lost += held - from;
        goes_on_at.push(from);
        drop(again);
    }
    let _service = Service::start(&device);
    until("the whole of it", || device.offer().is_some());
    assert_eq!(device.staged(&digest), Some(noise(1, TAR)));
    // Each round ends two processes: the one that was killed, and the one that showed where it goes on.
    let waste = server.model_bytes() as u64 - length;
    println!("{kills} kills, gone on at {goes_on_at:?}: {lost} bytes of what lay there fetched again");
    println!("{waste} bytes beyond {length} left the server in {} cuts, those under way included", 2 * kills);
    assert!(waste <= 2 * kills * 2 * CHUNK, "one chunk that was not synced, and less than another under way");
}

#[test]
fn killed_while_a_server_without_ranges_sends_it_loses_nothing_that_was_synced() {
    let kills = count("kills before a server without ranges", 12, 3) as u64;
    let (server, device, digest, length) = world();
    server.state.lock().unwrap().no_ranges = true;
    for round in 0..kills {
        let service = Service::start(&device);
        until("a part of the file", || there(&device) >= (round + 1) * length / (kills + 1));
        let before = there(&device);
        service.kill();
        let again = Service::start(&device);
        let asked = server.asked().len();
        until("a question", || server.asked().len() > asked);
        assert!(there(&device) + CHUNK >= before, "{before} bytes lay there, {} do", there(&device));
        drop(again);
    }
    let _service = Service::start(&device);
    until("the whole of it", || device.offer().is_some());
    assert_eq!(device.staged(&digest), Some(noise(1, TAR)));
    println!("{kills} kills: {} bytes sent for {length}", server.model_bytes());
}
