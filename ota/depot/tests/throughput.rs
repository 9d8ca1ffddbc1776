//! What it costs to verify and install a bundle of 100 MB, beside the field's own tools over the same file, in one run and
//! alternating. Nothing is said of seconds, only of the ratio: another machine or a busy one changes both.
#![allow(clippy::unwrap_used)] // what cannot be prepared fails the test
#![cfg(feature = "packed")]

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::Command;

use rustix::time::{ClockId, clock_gettime};
use sha2::{Digest as _, Sha256};
use stopline_depot::digest::Digest;
use stopline_depot::release::{Content, Release};
use stopline_depot::slots::{Depot, DepotPaths, SlotState, StoredEvidence};
use stopline_tuf::TargetPath;
use stopline_tuf::metadata::{TargetCheck, TargetFile};

/// Bytes of the packed bundle, at least.
const PACKED: usize = 100_000_000;
const TARGET: &str = "models/stop-sign/1.0.0.slb";

/// Seconds that `work` takes.
fn seconds(work: impl FnOnce()) -> f64 {
    let now = || {
        let time = clock_gettime(ClockId::Monotonic);
        time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
    };
    let begun = now();
    work();
    now() - begun
}

/// What packs to about nine tenths, as weights do.
fn weights(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&(state & 0x7fff_ffff_3fff_ffff).to_le_bytes());
        if state.is_multiple_of(10) {
            bytes.extend_from_slice(&[0; 8]);
        }
    }
    bytes.truncate(length);
    bytes
}

fn pack(tar: &[u8], to: &Path) {
    let mut encoder = zstd::Encoder::new(File::create(to).unwrap(), 3).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.include_contentsize(true).unwrap();
    encoder.window_log(23).unwrap();
    encoder.set_pledged_src_size(Some(tar.len() as u64)).unwrap();
    encoder.write_all(tar).unwrap();
    encoder.finish().unwrap().sync_all().unwrap();
}

/// As the agent does it: the packed file hashed as it comes, then unpacked into a slot, synced, read back and hashed there.
fn install(
    slb: &Path,
    listed: &TargetFile,
    depot: &mut Depot<stopline_depot::disk::RealDisk>,
    release: &Release,
) {
    let path = TargetPath::new(TARGET).unwrap();
    let mut check = TargetCheck::new(&path, listed).unwrap();
    let (mut file, mut piece) = (File::open(slb).unwrap(), vec![0; 64 << 10]);
    loop {
        let read = file.read(&mut piece).unwrap();
        if read == 0 {
            break;
        }
        check.update(&piece[..read]).unwrap();
    }
    check.finish().unwrap();
    let mut filling = depot.fill(release.clone(), TARGET, StoredEvidence::default()).unwrap();
    filling.unpack(File::open(slb).unwrap(), listed.length).unwrap();
    filling.finish().unwrap();
}

fn run(folder: &Path, line: &str) {
    let status = Command::new("sh").arg("-c").arg(line).current_dir(folder).status().unwrap();
    assert!(status.success(), "{line}");
}

/// Median, least and most.
fn spread(mut values: Vec<f64>) -> String {
    values.sort_by(f64::total_cmp);
    let last = values.len() - 1;
    format!("{:.2} ({:.2} to {:.2})", values[last / 2], values[0], values[last])
}

#[test]
fn verify_and_install_cost_no_more_than_a_few_times_what_the_fields_tools_take() {
    let tools = ["sha256sum", "zstd"].map(|tool| Command::new(tool).arg("--version").output());
    if tools.iter().any(|there| there.is_err()) {
        return skip("no sha256sum or zstd to compare with");
    }
    let rounds = if std::env::var_os("STOPLINE_FULL").is_some() { 9 } else { 3 };
    let folder = tempfile::tempdir().unwrap();
    let (at, slb) = (folder.path(), folder.path().join("bundle.slb"));
    let tar = weights(PACKED / 10 * 11);
    pack(&tar, &slb);
    let unpacked = Content { sha256: Digest::of(&tar), length: tar.len() as u64 };
    let packed = std::fs::read(&slb).unwrap();
    let listed = TargetFile::of(&packed);
    let packed_digest: String = Sha256::digest(&packed).iter().map(|byte| format!("{byte:02x}")).collect();
    let tar_digest = unpacked.sha256;
    drop((tar, packed));
    println!("packed {} bytes, unpacked {}; rounds: {rounds} (full: 9)", listed.length, unpacked.length);

    let release = Release {
        schema: 1,
        model: "stop-sign".into(),
        version: "1.0.0".parse().unwrap(),
        release_seq: 1,
        security_floor: 0,
        hardware: vec!["board".into()],
        min_runtime: "0.1.0".parse().unwrap(),
        unpacked,
        deltas: Vec::new(),
    };
    let checked = |digest: &str, file: &str| format!("echo '{digest}  {file}' | sha256sum --check --quiet");
    let tools = format!("{} && zstd -q -d -f bundle.slb -o out.tar", checked(&packed_digest, "bundle.slb"));
    let same = format!("{tools} && sync out.tar && {}", checked(&tar_digest.to_string(), "out.tar"));
    let (mut beside_tools, mut beside_same) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        let paths = DepotPaths::new(at.join(format!("depot{round}")));
        let mut depot = Depot::open(paths.clone()).unwrap();
        let ours = seconds(|| install(&slb, &listed, &mut depot, &release));
        assert_eq!(depot.slot_state(&tar_digest).unwrap(), SlotState::Staged);
        let theirs = seconds(|| run(at, &tools));
        let theirs_synced = seconds(|| run(at, &same));
        println!(
            "round {round}: {ours:.2} s; sha256sum + zstd -d {theirs:.2} s; synced and read back too {theirs_synced:.2} s"
        );
        beside_tools.push(ours / theirs);
        beside_same.push(ours / theirs_synced);
        std::fs::remove_dir_all(paths.folder()).unwrap();
    }
    let least = beside_same.iter().copied().fold(f64::INFINITY, f64::min);
    println!("verify + install / (sha256sum + zstd -d): {}", spread(beside_tools));
    println!("verify + install / the same synced, read back and hashed: {}", spread(beside_same));
    assert!(least < 3.0, "{least:.2} times what the tools take for the same work, in the best round");
}

fn skip(reason: &str) {
    println!("skipped: {reason}");
    if let Some(list) = std::env::var_os("STOPLINE_SKIPS").filter(|path| !path.is_empty()) {
        let mut file = File::options().append(true).create(true).open(list).unwrap();
        writeln!(file, "throughput: skipped: {reason}").unwrap();
    }
}
