//! The wall, from inside: a process with the sandbox of one of our units tries what it may and what it may not, and says how
//! each went.

use std::fs::{File, OpenOptions};
use std::io;
use std::net::UdpSocket;
use std::process::ExitCode;

use crate::peer::Peer;
use crate::rig::{CAMERA, Found};
use crate::service::{run, wait};

/// Where a probe puts its answers: a folder that systemd makes for it.
pub const ANSWERS: &str = "/run/probe/answers";

/// Tries everything and writes `name=ok` or `name=error`, a line each.
pub fn probe() -> ExitCode {
    let tried: Vec<(&str, io::Result<()>)> = vec![
        ("inet", UdpSocket::bind("0.0.0.0:0").map(drop)),
        ("inet6", UdpSocket::bind("[::]:0").map(drop)),
        ("can", Peer::new().map(drop).map_err(io::Error::other)),
        ("camera", OpenOptions::new().read(true).write(true).open(CAMERA).map(drop)),
        ("key", File::open("/var/lib/stopline-agent/device.key").map(drop)),
        ("read_depot", std::fs::read_dir("/var/lib/stopline-agent/depot").map(drop)),
        ("read_state", std::fs::read_dir("/var/lib/stopline/state").map(drop)),
        ("write_depot", write("/var/lib/stopline-agent/depot/probe")),
        ("write_state", write("/var/lib/stopline/state/probe")),
        ("write_outbox", write("/var/lib/stopline/outbox/probe")),
        ("write_spool", write("/var/lib/stopline/spool/probe")),
        ("write_waiting", write("/var/lib/stopline/spool/waiting/probe")),
        ("write_trust", write("/etc/stopline/trust/probe")),
        ("write_programs", write("/usr/bin/probe")),
        ("home", std::fs::read_dir("/root").map(drop)),
    ];
    let answers: String = tried
        .into_iter()
        .map(|(name, result)| match result {
            Ok(()) => format!("{name}=ok\n"),
            Err(error) => format!("{name}={error}\n"),
        })
        .collect();
    match std::fs::write(ANSWERS, answers) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{ANSWERS}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Makes a file and takes it away again.
fn write(path: &str) -> io::Result<()> {
    std::fs::write(path, b"probe")?;
    std::fs::remove_file(path)
}

/// Runs the probe with the sandbox of `unit`: exactly what is in `may` must have worked.
pub fn holds(unit: &str, may: &[&str]) -> Found {
    let answers = inside(unit, "probe")?;
    let mut denied = Vec::new();
    for line in answers.lines() {
        let (name, result) = line.split_once('=').ok_or_else(|| format!("not an answer: {line}"))?;
        match (result == "ok", may.contains(&name)) {
            (true, true) => {}
            (false, false) => denied.push(format!("{name}: {result}")),
            (true, false) => return Err(format!("{unit} may {name}, which it must not; {answers:?}")),
            (false, true) => {
                return Err(format!("{unit} may not {name}, which it must: {result}; {answers:?}"));
            }
        }
    }
    if denied.len() + may.len() != answers.lines().count() {
        return Err(format!("{may:?} are not all among the answers {answers:?}"));
    }
    Ok(format!("may {}; denied {}", may.join(" "), denied.join("; ")))
}

/// The answers of this program as `part`, in the unit as it is installed.
pub fn inside(unit: &str, part: &str) -> Result<String, String> {
    let path = format!("/usr/lib/systemd/system/{unit}.service");
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let other = [
        "ExecStart=",
        "ExecReload=",
        "Type=",
        "NotifyAccess=",
        "Restart=",
        "WatchdogSec=",
        "RuntimeDirectory",
    ];
    let mut probe: String = text
        .lines()
        .filter(|line| !other.iter().any(|begin| line.starts_with(begin)))
        .map(|line| match line {
            "[Service]" => format!(
                "[Service]\nType=oneshot\nRuntimeDirectory=probe\nRuntimeDirectoryPreserve=yes\nExecStart=/checks {part}\n"
            ),
            line => format!("{line}\n"),
        })
        .collect();
    probe.push('\n');
    std::fs::write("/run/systemd/system/probe.service", probe).map_err(|error| error.to_string())?;
    let _ = std::fs::remove_dir_all("/run/probe");
    run("systemctl", &["daemon-reload"])?;
    run("systemctl", &["start", "probe.service"])?;
    wait("the probe's answers", || std::fs::read_to_string(ANSWERS).ok())
}
