//! The operator's package under a real systemd: its server in its sandbox, and the board's agent, in its own, let in by a token.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use crate::rig::{Found, ensure};
use crate::service::{exposed, journal, property, run, wait};

const UNIT: &str = "stopline-fleet";
const DATA: &str = "/var/lib/stopline-fleet";
/// Where the agent's unit reads its token; it takes the file away once it is in.
const TOKEN: &str = "/var/lib/stopline-agent/enrolment.token";
const AUTHORITIES: &str = "/etc/stopline/authorities.pem";

const AGENT: &str = r#"repository = "https://127.0.0.1:8443/repository"
hardware = "board"
models = ["bright"]
fleet_url = "https://127.0.0.1:8443"
[device]
network = "ethernet"
synchronised_file = "/etc/stopline/trust/root.json"
[poll]
start_within_s = 0
[tls]
authorities_file = "/etc/stopline/authorities.pem"
[enrolment]
url = "https://127.0.0.1:8443"
token_file = "/var/lib/stopline-agent/enrolment.token"
"#;

/// The server's package, installed and started; its first page; a device that is let in; a server that is killed comes back and
/// knows it; a purge.
pub fn serves() -> Found {
    run("dpkg", &["--install", "/packages/stopline-fleet.deb"])?;
    let begun = property(UNIT, "ActiveState")?;
    ensure(begun == "inactive", || format!("the package started it: {begun}"))?;
    let exposure = exposed(UNIT, "15")?;
    run("systemctl", &["start", UNIT])?;
    let page = wait("the log-in page", || first_page().ok()).map_err(with_journal)?;
    ensure(page.contains("Stopline") && page.contains("password"), || format!("the first page is {page}"))?;
    let name = let_in().map_err(with_journal)?;
    run("systemctl", &["kill", "--signal=KILL", UNIT])?;
    let back = wait("the server again, with its device", || {
        first_page().ok()?;
        device().filter(|device| device["name"] == name.as_str())
    });
    back.map_err(with_journal)?;
    run("dpkg", &["--purge", "stopline-fleet"])?;
    let (ended, kept) = (property(UNIT, "ActiveState")?, std::path::Path::new(DATA).exists());
    ensure(ended != "active" && !kept, || format!("after the purge it is {ended}, its data there: {kept}"))?;
    Ok(format!("{exposure}, {name} is in by its token, and known after kill -9"))
}

fn with_journal(error: String) -> String {
    format!("{error}; {}; {}", journal(UNIT, "12"), journal("stopline-agent", "8"))
}

/// What somebody sees who comes without a session.
fn first_page() -> Result<String, String> {
    get("/login")
}

fn get(path: &str) -> Result<String, String> {
    let mut stream = TcpStream::connect("127.0.0.1:8080").map_err(|error| error.to_string())?;
    let mut page = String::new();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .and_then(|()| {
            write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nConnection: close\r\n\r\n")
        })
        .and_then(|()| stream.read_to_string(&mut page))
        .map_err(|error| error.to_string())?;
    if page.starts_with("HTTP/1.1 200") { Ok(page) } else { Err(page) }
}

/// As the server's own user, in its folder, as the operators' page says.
fn fleet(words: &[&str]) -> Result<Value, String> {
    let mut line = vec!["-u", UNIT, "--", "/usr/bin/stopline-fleet"];
    line.extend(words);
    line.extend(["--data", DATA, "--json"]);
    let said = run("runuser", &line)?;
    serde_json::from_str(&said).map_err(|error| format!("{words:?}: {error}: {said}"))
}

/// Carries token and authority to the board, as a factory does, and waits until the agent is in.
fn let_in() -> Result<String, String> {
    let token = fleet(&["devices", "token", "--name", "board-1"])?["token"].clone();
    let token = token.as_str().ok_or("no token")?;
    let put = std::fs::write(TOKEN, format!("{token}\n"))
        .and_then(|()| std::fs::copy(format!("{DATA}/authorities.pem"), AUTHORITIES))
        .and_then(|_| std::fs::write("/etc/stopline/agent.toml", AGENT));
    put.map_err(|error| error.to_string())?;
    run("chown", &["stopline-agent:stopline-agent", TOKEN])?;
    run("chmod", &["0600", TOKEN])?;
    run("chmod", &["0644", AUTHORITIES])?;
    run("systemctl", &["restart", "stopline-agent"])?;
    let device = wait("a device that was let in", || {
        device().filter(|device| device["standing"] == "active" && device["seen_s"] != 0)
    })?;
    wait("a token that is gone", || (!std::path::Path::new(TOKEN).exists()).then_some(()))?;
    device["name"].as_str().map(str::to_owned).ok_or(format!("no name: {device}"))
}

/// The one device that the server has.
fn device() -> Option<Value> {
    let listed = fleet(&["devices", "list"]).ok()?;
    listed.as_array().or(listed["devices"].as_array())?.first().cloned()
}
