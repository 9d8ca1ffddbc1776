//! Which kind of network the agent takes it to be, by the kernel's own routes: mobile and wireless interfaces without hardware.

use std::path::PathBuf;
use std::process::Command;

use jiff::tz::TimeZone;
use stopline_agent::budget::Meter;
use stopline_agent::clock::SystemClock;
use stopline_agent::config::{Budget, Device};
use stopline_agent::surroundings::Senses;
use stopline_depot::rollout::Network;

use crate::peer::tc;
use crate::rig::{Board, Found, ensure};

const MODEM: &str = "wwan0";
const WIRELESS: &str = "wlan0";
const ABROAD: &str = "/tmp/roaming";

pub fn checks(board: &mut Board) {
    board.check("the kind of network follows the default route", follows);
    for interface in [MODEM, WIRELESS] {
        let _ = ip(&format!("link del {interface}"));
    }
}

fn ip(words: &str) -> Result<(), String> {
    let done = Command::new("/bin/ip").args(words.split_whitespace()).output();
    let done = done.map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    if done.status.success() { Ok(()) } else { Err(format!("ip {words}: {said}")) }
}

/// An interface with an address and a default route.
fn connect(interface: &str, network: &str, metric: u32) -> Result<(), String> {
    ip(&format!("link add {interface} type dummy"))?;
    ip(&format!("addr add {network}.2/24 dev {interface}"))?;
    ip(&format!("link set {interface} up"))?;
    ip(&format!("route add default via {network}.1 dev {interface} metric {metric}"))
}

/// What the agent takes it to be, looking anew.
fn seen() -> Option<Network> {
    let device = Device { roaming_file: Some(ABROAD.into()), ..Device::default() };
    let meter = Meter::open("/tmp".as_ref(), TimeZone::UTC, Budget::default(), None);
    Senses::new(device, TimeZone::UTC, meter).network(&SystemClock::new(PathBuf::new()))
}

fn follows() -> Found {
    let mut told = vec![("no interface", seen(), None)];
    connect(MODEM, "10.1.0", 700)?;
    told.push(("a modem", seen(), Some(Network::Lte)));
    std::fs::write(ABROAD, "1\n").map_err(|error| error.to_string())?;
    told.push(("abroad", seen(), Some(Network::Roaming)));
    connect(WIRELESS, "10.2.0", 600)?;
    told.push(("a WLAN of less metric beside it", seen(), Some(Network::Wifi)));
    // A link that loses everything is still the one that costs nothing: the kernel's choice is the agent's.
    tc(&format!("qdisc add dev {WIRELESS} root netem loss 100%"))?;
    told.push(("the WLAN lossy", seen(), Some(Network::Wifi)));
    ip(&format!("link set {WIRELESS} down"))?;
    told.push(("the WLAN gone, abroad", seen(), Some(Network::Roaming)));
    std::fs::write(ABROAD, "0\n").map_err(|error| error.to_string())?;
    told.push(("at home", seen(), Some(Network::Lte)));
    for (what, found, expected) in &told {
        ensure(found == expected, || format!("{what}: {found:?}, expected {expected:?}"))?;
    }
    Ok(told.iter().map(|(what, found, _)| format!("{what}: {found:?}")).collect::<Vec<_>>().join(", "))
}
