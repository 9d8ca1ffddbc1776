//! The operators' page: every command of "First push in ten commands", run as written.
#![allow(clippy::unwrap_used)] // what cannot be prepared fails the test

mod desk;
mod needs;

use serde_json::json;

use desk::program::{Room, first_push, model};

fn room() -> Option<Room> {
    let mut room = Room::new();
    let program = needs::stand_in(room.folder.path())?;
    room.environment.push(("STOPLINE_PROGRAM", program.into()));
    Some(room)
}

#[test]
fn the_first_push_takes_ten_commands_as_written() {
    let Some(desk) = room() else { return };
    let commands = first_push();
    assert_eq!(commands.len(), 10, "{commands:#?}");
    commands.iter().for_each(|line| drop(desk.well(line)));
    desk.well("stopline-fleet verify repository");
    desk.well("stopline-fleet status");
    assert!(desk.well("stopline-fleet rollout status").contains("100 of 10000"));
    assert!(desk.well("stopline-fleet models list").contains("active at 100 bp on board"));
    desk.well("stopline-fleet models show stop-sign");
    assert!(desk.well("stopline-fleet refresh --online online").contains("nothing is due"));
    desk.well("stopline-fleet refresh --online online --now");
    desk.well("stopline-fleet rollout pause stop-sign --online online");
    let json: serde_json::Value =
        serde_json::from_str(&desk.well("stopline-fleet rollout status --json")).unwrap();
    assert_eq!(json["rollouts"][0]["state"], json!("paused"));
    // The gate waits for vehicles.
    desk.well("stopline-fleet rollout advance stop-sign --online online");
    let (code, out, _) = desk.run("stopline-fleet rollout gate stop-sign");
    assert!(code == 5 && out.contains("waits for"), "{code} {out}");
}

#[test]
fn the_same_input_packs_to_the_same_bytes_and_a_broken_model_is_refused() {
    let Some(desk) = room() else { return };
    let pack = |name: &str| {
        desk.well(&format!("stopline-fleet pack stop-sign.onnx stop-sign.toml -o {name}"));
        std::fs::read(desk.folder.path().join(name)).unwrap()
    };
    assert_eq!(pack("a.slb"), pack("b.slb"));
    model(desk.folder.path(), "broken weights");
    let (code, _, error) = desk.run("stopline-fleet pack stop-sign.onnx stop-sign.toml -o c.slb");
    assert!(code == 3 && error.contains("expected one stop sign"), "{code} {error}");
    assert!(!desk.folder.path().join("c.slb").exists());
    let left: Vec<_> =
        std::fs::read_dir(desk.folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().ends_with(".tar")), "{left:?}");
    desk.well(
        "stopline-fleet pack stop-sign.onnx stop-sign.toml -o d.slb --pack-a-model-that-may-not-work-at-all",
    );
}

#[test]
fn what_is_refused_says_so_by_its_exit_code() {
    let Some(desk) = room() else { return };
    assert_eq!(desk.run("stopline-fleet nonsense").0, 2);
    assert_eq!(desk.run("stopline-fleet status").0, 2);
    let (code, help, _) = desk.run("stopline-fleet --help");
    assert!(code == 0 && help.contains("Exit codes"), "{help}");
    desk.well("stopline-fleet key new anna/anna");
    let (code, _, error) = desk.run("stopline-fleet key new anna/second");
    assert!(code == 3 && error.contains("Each holder's key lies alone"), "{error}");
}
