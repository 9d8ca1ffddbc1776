//! CAN buses: there, up, their bit rate, state, error counters and queue; and whether the DBC files have what is named.

use std::collections::BTreeSet;

use socketcan::nl::{CanInterface, CanState};
use stopline_sensors::dbc::Database;

use super::Findings;
use super::places::Roots;
use crate::act::config::ActuatorConfig;
use crate::config::Config;

/// Frames that may wait in the kernel: each is a command that is getting old.
const LONGEST_QUEUE: u32 = 2;

/// Looks at every bus that is named, and at the DBC files.
pub fn look(config: &Config, roots: &Roots, to: &mut Findings) {
    let vehicle = config.vehicle.iter().filter_map(|vehicle| vehicle.interface.as_deref());
    let sent = config.actuators.iter().filter_map(|actuator| match actuator {
        ActuatorConfig::Can(can) => Some(can.interface.as_str()),
        _ => None,
    });
    let sends: BTreeSet<&str> = sent.collect();
    for interface in vehicle.chain(sends.iter().copied()).collect::<BTreeSet<&str>>() {
        one(interface, sends.contains(interface), roots, to);
    }
    if config.vehicle.is_none() {
        let advice = "add [vehicle]; without ego speed no brake begins";
        to.warning("vehicle signals", "none are configured", advice);
    }
    let files = config.vehicle.iter().filter_map(|vehicle| vehicle.dbc.as_ref());
    let files = files.chain(config.actuators.iter().filter_map(|actuator| match actuator {
        ActuatorConfig::Can(can) => can.dbc.as_ref(),
        _ => None,
    }));
    for file in files.collect::<BTreeSet<_>>() {
        match Database::read(file) {
            Ok(dbc) => to.ok("dbc", format!("{}: {} messages", file.display(), dbc.messages().len())),
            Err(error) => to.fault("dbc", error.to_string(), "see the message"),
        }
    }
}

fn one(interface: &str, sends: bool, roots: &Roots, to: &mut Findings) {
    let about = format!("can {interface}");
    let details = CanInterface::open(interface).and_then(|bus| bus.details());
    let details = match details {
        Ok(details) => details,
        Err(error) => {
            let advice = format!("is its driver loaded? ip link set {interface} up type can bitrate 500000");
            return to.fault(&about, error.to_string(), advice);
        }
    };
    let rate = details.can.bit_timing.map(|timing| timing.bitrate);
    let mut found = if details.is_up { "up" } else { "down" }.to_owned();
    found += &rate.map_or(", no bit rate (virtual)".to_owned(), |rate| format!(", {rate} bit/s"));
    if let Some(state) = details.can.state {
        found += &format!(", {state:?}");
    }
    if let Some(counter) = details.can.berr_counter {
        found += &format!(", errors tx {} rx {}", counter.txerr, counter.rxerr);
    }
    let broken = matches!(details.can.state, Some(CanState::BusOff | CanState::Stopped | CanState::Sleeping));
    if !details.is_up {
        to.fault(&about, found, format!("ip link set {interface} up"));
    } else if broken {
        to.fault(
            &about,
            found,
            "check bit rate, termination and wiring; set restart-ms so that it comes back",
        );
    } else if details.can.state.is_some_and(|state| state > CanState::ErrorActive) {
        to.warning(&about, found, "errors on the bus: check bit rate, termination and wiring");
    } else {
        to.ok(&about, found);
    }
    if sends {
        queue(interface, &about, roots, to);
    }
    if rate.is_some() && details.can.restart_ms.unwrap_or(0) == 0 {
        let advice = format!("ip link set {interface} type can restart-ms 100");
        to.warning(&about, "it does not come back by itself from bus-off", advice);
    }
}

fn queue(interface: &str, about: &str, roots: &Roots, to: &mut Findings) {
    match roots.number(&roots.sys.join("class/net").join(interface).join("tx_queue_len")) {
        Some(length) if length <= u64::from(LONGEST_QUEUE) => {
            to.ok(about, format!("queue of {length} frames"))
        }
        Some(length) => {
            let advice = format!(
                "ip link set {interface} txqueuelen {LONGEST_QUEUE}: what waits there is an old command"
            );
            to.warning(about, format!("queue of {length} frames"), advice);
        }
        None => to.warning(about, "its queue length cannot be read", "look at `ip -details link`"),
    }
}
