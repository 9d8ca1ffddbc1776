//! Holders whose keys are no files: in a token (SoftHSM2, Debian: softhsm2) through PKCS#11, and behind a program
//! (`--sign-command`) as a key management service is. From `init` to a repository that a vehicle accepts.
#![allow(clippy::unwrap_used)] // what cannot be prepared fails the test
#![cfg(feature = "pkcs11")]

mod desk;
mod needs;

use std::path::Path;
use std::process::Command;

use desk::program::Room;

const LIBRARIES: [&str; 2] = ["/usr/lib/softhsm/libsofthsm2.so", "/usr/local/lib/softhsm/libsofthsm2.so"];

fn tool(room: &Room, name: &str, arguments: &str) -> String {
    let environment = room.environment.iter().map(|(name, value)| (name, value));
    let mut command = Command::new(name);
    command.args(arguments.split_whitespace()).current_dir(room.folder.path()).envs(environment);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{name} {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn has(name: &str, argument: &str) -> bool {
    Command::new(name).arg(argument).output().is_ok_and(|output| output.status.success())
}

/// A room with a token of two keys (ECDSA P-256 and ed25519) and a program that signs; the library of the token.
fn room() -> Option<(Room, &'static str)> {
    let library = LIBRARIES.into_iter().find(|path| Path::new(path).exists());
    let Some(library) = library.filter(|_| has("softhsm2-util", "--version")) else {
        return needs::skip("no SoftHSM2");
    };
    if !has("openssl", "version") {
        return needs::skip("no openssl, which makes and holds keys here");
    }
    let mut room = Room::new();
    let program = needs::stand_in(room.folder.path())?;
    room.environment.push(("STOPLINE_PROGRAM", program.into()));
    room.environment.push(("SOFTHSM2_CONF", room.path("softhsm2.conf").into()));
    std::fs::create_dir(room.path("tokens")).unwrap();
    let config = format!("directories.tokendir = {}\nlog.level = ERROR\n", room.path("tokens").display());
    std::fs::write(room.path("softhsm2.conf"), config).unwrap();
    std::fs::write(room.path("pin"), "1234\n").unwrap();
    tool(&room, "softhsm2-util", "--init-token --free --label anna --so-pin 0000 --pin 1234");
    let kinds =
        [("p256", "-algorithm EC -pkeyopt ec_paramgen_curve:P-256"), ("ed25519", "-algorithm ED25519")];
    for (index, (label, kind)) in kinds.into_iter().enumerate() {
        tool(&room, "openssl", &format!("genpkey {kind} -out {label}.pem"));
        let id = format!("a{index}");
        let import = format!("--import {label}.pem --token anna --label {label} --id {id} --pin 1234");
        tool(&room, "softhsm2-util", &import);
        // From here on only the token has it.
        std::fs::remove_file(room.path(&format!("{label}.pem"))).unwrap();
    }
    std::fs::create_dir(room.path("service")).unwrap();
    tool(&room, "openssl", "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out service/secret");
    tool(&room, "openssl", "pkey -in service/secret -pubout -out service/ben.pub");
    let script =
        format!("#!/bin/sh\nexec openssl dgst -sha256 -sign '{}'\n", room.path("service/secret").display());
    needs::program(&room.path("service/sign"), &script);
    Some((room, library))
}

fn token(library: &str, label: &str) -> String {
    format!("pkcs11:{library}?token=anna&label={label}&pin-file=pin")
}

#[test]
fn holders_with_a_token_and_a_signing_program_release_a_model() {
    let Some((room, library)) = room() else { return };
    let (p256, ed25519) = (token(library, "p256"), token(library, "ed25519"));
    room.well(&format!("stopline-fleet key show {p256} --write anna.pub"));
    room.well(&format!("stopline-fleet key show {ed25519} --write cleo.pub"));
    let read = room.well("stopline-fleet key show service/ben.pub");
    assert!(read.contains("ecdsa-sha2-nistp256"), "{read}");
    room.well("stopline-fleet key online online");
    let holders = "--holder anna.pub --holder service/ben.pub --holder cleo.pub";
    room.well(&format!("stopline-fleet init {holders} --online online"));
    room.well("stopline-fleet pack stop-sign.onnx stop-sign.toml --hardware board");

    let (code, _, error) = room.run(&format!("stopline-fleet sign --key {}", token(library, "nobody")));
    assert!(code == 3 && error.contains("labelled"), "{code} {error}");
    std::fs::write(room.path("pin"), "9999\n").unwrap();
    let (code, _, error) = room.run(&format!("stopline-fleet sign --key {p256}"));
    assert!(code == 3 && error.to_lowercase().contains("pin"), "{code} {error}");
    std::fs::write(room.path("pin"), "1234\n").unwrap();

    let anna = room.well(&format!("stopline-fleet sign --key {p256}"));
    assert!(anna.contains("1 of 2 signatures"), "{anna}");
    needs::program(&room.path("service/forge"), "#!/bin/sh\nhead -c 70 /dev/zero\n");
    let forged = "stopline-fleet sign --sign-command service/forge --public-key service/ben.pub";
    let (code, out, error) = room.run(forged);
    assert!(code == 3, "a signature is checked, whoever made it: {code} {out} {error}");
    let ben = room.well("stopline-fleet sign --sign-command service/sign --public-key service/ben.pub");
    assert!(ben.contains("complete"), "{ben}");
    room.well("stopline-fleet publish repository --online online");
    accepted_where_ecdsa_is_verified(&room, "models: 1 of the 2 keys");

    // The third holder signs what comes next; the online keys may be behind a program or in a token too.
    room.well("stopline-fleet models renew");
    room.well(&format!("stopline-fleet sign --key {ed25519}"));
    room.well("stopline-fleet sign --key command:service/sign,service/ben.pub");
    room.well("stopline-fleet publish repository --online online");
    accepted_where_ecdsa_is_verified(&room, "models: 1 of the 2 keys");
}

#[test]
fn the_online_keys_may_lie_in_a_token_and_behind_a_program() {
    let Some((room, library)) = room() else { return };
    let (snapshot, timestamp) = (token(library, "p256"), token(library, "ed25519"));
    room.well(&format!("stopline-fleet key show {snapshot} --write snapshot.pub"));
    room.well(&format!("stopline-fleet key show {timestamp} --write timestamp.pub"));
    for name in ["anna", "ben", "cleo"] {
        room.well(&format!("stopline-fleet key new {name}/{name}"));
    }
    let holders = "--holder anna/anna.pub --holder ben/ben.pub --holder cleo/cleo.pub";
    let online = "--snapshot snapshot.pub --timestamp timestamp.pub --rollout service/ben.pub";
    room.well(&format!("stopline-fleet init {holders} {online}"));
    room.well("stopline-fleet pack stop-sign.onnx stop-sign.toml --hardware board");
    for name in ["anna", "ben"] {
        room.well(&format!("stopline-fleet sign --key {name}/{name}.pem"));
    }
    let rollout = "--rollout-key command:service/sign,service/ben.pub";
    let keys = format!("--snapshot-key {snapshot} --timestamp-key {timestamp} {rollout}");
    room.well(&format!("stopline-fleet publish repository {keys}"));
    room.well(&format!("stopline-fleet rollout start stop-sign {keys}"));
    room.well(&format!("stopline-fleet refresh --now {keys}"));
    accepted_where_ecdsa_is_verified(&room, "snapshot: 0 of the 1 keys");
}

/// Every step holds, and it is told that not every device can follow.
fn accepted_where_ecdsa_is_verified(room: &Room, which: &str) {
    let (code, out, error) = room.run("stopline-fleet verify repository");
    assert!(code == 5 && out.contains("stop-sign") && !out.contains("REFUSED"), "{code} {out} {error}");
    assert!(out.contains("WARNING") && out.contains(which), "{out}");
}
