//! What is given away to whoever helps: bounded, and without keys, passwords and places.
#![allow(clippy::unwrap_used)] // what cannot be prepared fails the test

mod operator;
mod program;

use std::os::unix::fs::PermissionsExt as _;

use jiff::Timestamp;
use stopline_agent::diagnose::LARGEST;
use stopline_agent::identity::Identity;

use operator::{Device, Operator};

#[test]
fn a_bundle_holds_no_key_no_password_and_no_place_and_is_bounded() {
    let operator = Operator::new(Timestamp::now());
    let device = Device::new("http://127.0.0.1:1", &operator);
    let home = device.path("home");
    std::fs::create_dir_all(&home).unwrap();
    let identity = Identity::open(&home).unwrap();
    let log = device.path("agent.log");
    let line = "2026-11-22T12:00:00Z INFO upload.batch: records=7 delivered=7\n";
    let secrets = "GET https://hook:hunter2@hooks.example/x?sig=S3CR3T\nfix 52.520008,13.404954\nlat=52.5200\n\
                   AGE-SECRET-KEY-1ABCDEF\n-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA\n-----END PRIVATE KEY-----\n";
    std::fs::write(&log, line.repeat(100_000) + secrets + "the last line\n").unwrap();
    let runtime = device.path("stopline.toml");
    std::fs::write(
        &runtime,
        "[[camera]]\nsource = 'rtsp://admin:hunter2@10.0.0.4/live'\ncredential = 'hunter2'\n",
    )
    .unwrap();
    std::fs::write(device.path("health.json"), r#"{"version":"9.9.9","position":{"latitude":52.520008}}"#)
        .unwrap();
    let config = device
        .config
        .replace("[download]", "[download]\nproxy = 'http://me:hunter2@proxy.example:3128'")
        .replace("[device]", &format!("[device]\nhealth_file = '{}'", device.path("health.json").display()));
    std::fs::write(device.path("agent.toml"), config).unwrap();

    let out = device.path("bundle.json");
    let path = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let words = ["diagnose", "--out", &path(&out), "--log", &path(&log), "--runtime-config", &path(&runtime)];
    let (code, _, problem) = program::run(&device, &words);
    assert_eq!(code, 0, "{problem}");
    let bytes = std::fs::read(&out).unwrap();
    assert!(bytes.len() <= LARGEST && bytes.len() > LARGEST / 8, "{} bytes", bytes.len());
    assert_eq!(std::fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600);
    let text = String::from_utf8(bytes).unwrap();
    for word in ["hunter2", "S3CR3T", "AGE-SECRET", "MC4CAQ", "PRIVATE KEY", "52.52", "13.40"] {
        assert!(!text.contains(word), "{word}");
    }
    // The device's key in any of its forms, wherever it lies.
    let is_key = |name: &std::ffi::OsString| name.to_string_lossy().contains("key");
    let entries: Vec<_> = std::fs::read_dir(&home).unwrap().flatten().collect();
    let keys: Vec<_> = entries.iter().filter(|entry| is_key(&entry.file_name())).collect();
    assert!(!keys.is_empty(), "{entries:?}");
    for entry in keys {
        let content = std::fs::read(entry.path()).unwrap();
        let hexadecimal: String = content.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(!text.contains(&hexadecimal), "{:?}", entry.path());
        let lines = String::from_utf8_lossy(&content).into_owned();
        for line in lines.lines().filter(|line| line.len() >= 8 && !line.starts_with("-----")) {
            assert!(!text.contains(line), "{:?}", entry.path());
        }
    }
    let bundle: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(bundle["status"]["device"], identity.id());
    assert_eq!(bundle["versions"]["runtime"], "9.9.9");
    assert_eq!(bundle["configuration"]["hardware"], operator::HARDWARE);
    assert!(bundle["runtime_configuration"]["camera"][0]["source"].as_str().unwrap().contains("10.0.0.4"));
    let logs = bundle["logs"][path(&log)].as_str().unwrap();
    assert!(logs.ends_with("the last line") && logs.contains("upload.batch"), "its end");
    // What is there already is not written over.
    let (code, _, problem) = program::run(&device, &words);
    assert!(code == 1 && problem.contains("bundle.json"), "{code} {problem}");
}
