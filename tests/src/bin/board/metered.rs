//! NetworkManager itself, with a connection that has no hardware: what it says of costs is what the agent goes by, within the
//! agent's own sandbox.

use std::path::PathBuf;
use std::process::ExitCode;

use jiff::tz::TimeZone;
use stopline_agent::budget::Meter;
use stopline_agent::clock::SystemClock;
use stopline_agent::config::{Budget, Device, Metered};
use stopline_agent::surroundings::Senses;

use crate::rig::Found;
use crate::service::{run, wait};
use crate::wall::{ANSWERS, inside};

const WIRELESS: &str = "wlan0";

/// What the agent takes the network to be, written where a probe's answers go.
pub fn probe() -> ExitCode {
    let device = Device { metered: Some(Metered::NetworkManager), ..Device::default() };
    let meter = Meter::open("/run/probe".as_ref(), TimeZone::UTC, Budget::default(), None);
    let network = Senses::new(device, TimeZone::UTC, meter).network(&SystemClock::new(PathBuf::new()));
    match std::fs::write(ANSWERS, format!("{network:?}\n")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{ANSWERS}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A WLAN that costs, the same when it does not, and nobody who could say.
pub fn told() -> Found {
    run("systemctl", &["start", "NetworkManager"])?;
    let connection = "connection add type dummy con-name car ifname wlan0 ipv4.method manual ipv4.addresses 10.2.0.2/24 \
                      ipv4.gateway 10.2.0.1 ipv6.method disabled";
    nmcli(connection)?;
    let mut found = Vec::new();
    for (costs, expected) in [("yes", "Some(Lte)"), ("no", "Some(Wifi)")] {
        nmcli(&format!("connection modify car connection.metered {costs}"))?;
        nmcli("connection up car")?;
        let answer = wait(&format!("{expected} where {WIRELESS} costs: {costs}"), || {
            inside("stopline-agent", "network").ok().filter(|answer| answer.trim() == expected)
        })?;
        found.push(format!("costs: {costs}: {}", answer.trim()));
    }
    // The route stays, and nobody can say any more.
    run("systemctl", &["stop", "NetworkManager"])?;
    run("systemctl", &["mask", "--runtime", "NetworkManager"])?;
    let nobody = inside("stopline-agent", "network")?;
    run("systemctl", &["unmask", "--runtime", "NetworkManager"])?;
    run("systemctl", &["start", "NetworkManager"])?;
    nmcli("connection delete car")?;
    run("systemctl", &["stop", "NetworkManager"])?;
    if nobody.trim() != "Some(Lte)" {
        return Err(format!(
            "without NetworkManager: {nobody}; expected Some(Lte), since what is not known costs"
        ));
    }
    found.push(format!("nobody to ask: {}", nobody.trim()));
    Ok(found.join(", "))
}

fn nmcli(words: &str) -> Result<String, String> {
    run("nmcli", &words.split_whitespace().collect::<Vec<_>>())
}
