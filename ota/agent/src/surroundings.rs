//! What the device knows of itself and its surroundings now: network, battery, whether it is parked, bytes used. What cannot
//! be read is unknown.

mod metered;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::Path;

use jiff::tz::TimeZone;
use stopline_depot::eligible::Surroundings;
use stopline_depot::rollout::Network;

use metered::NetworkManager;

use crate::budget::{Caps, Meter, Purpose};
use crate::clock::{self, Clock};
use crate::config::{Device, Metered};

/// Looks around.
#[derive(Debug, Clone)]
pub struct Senses {
    device: Device,
    zone: TimeZone,
    meter: Meter,
    manager: Option<NetworkManager>,
}

impl Senses {
    /// By the configuration; bytes over mobile networks are `meter`'s to count.
    pub fn new(device: Device, zone: TimeZone, meter: Meter) -> Self {
        let asks = |Metered::NetworkManager| NetworkManager::new(Path::new("busctl"));
        let manager = device.metered.map(asks);
        Self { device, zone, meter, manager }
    }

    /// Now.
    pub fn look(&self, clock: &dyn Clock) -> Surroundings {
        let local = clock::local(clock, &self.zone);
        let network = self.network(clock);
        Surroundings {
            local_minute: local.and_then(|(_, second)| u16::try_from(second / 60).ok()),
            network,
            parked: self.device.parked_file.as_deref().and_then(first_line).map(|line| line.starts_with('1')),
            battery_percent: self
                .device
                .battery_file
                .as_deref()
                .and_then(first_line)
                .and_then(|line| line.parse().ok()),
            mobile: self.meter.look(clock, network),
        }
    }

    /// Counts what went until now; `bytes` of it the caller knows of.
    pub fn spend(&self, clock: &dyn Clock, bytes: u64) {
        self.meter.tell(bytes);
        self.meter.look(clock, self.network(clock));
    }

    /// Bytes that may go for `purpose` now: all there are where the network is none that costs.
    pub fn left(&self, clock: &dyn Clock, caps: &Caps, purpose: Purpose) -> u64 {
        let network = self.network(clock);
        let used = self.meter.look(clock, network);
        if matches!(network, Some(Network::Lte | Network::Roaming)) {
            caps.left(purpose, used)
        } else {
            u64::MAX
        }
    }

    /// Writes the counts as they are: before an orderly end.
    pub fn close(&self) {
        self.meter.close();
    }

    /// By the interface that the default route goes over, and whether that connection costs.
    pub fn network(&self, clock: &dyn Clock) -> Option<Network> {
        let network = self.device.network.or_else(|| {
            let routes = |path| fs::read_to_string(path).unwrap_or_default();
            let interface = default_interface_v4(&routes("/proc/net/route"))
                .or_else(|| default_interface_v6(&routes("/proc/net/ipv6_route")))?;
            let named = named(&self.device.interfaces, &interface);
            Some(named.unwrap_or_else(|| kind_of(&interface)))
        });
        let costs = || self.manager.as_ref().is_some_and(|manager| manager.costs(clock) != Some(false));
        let network = match network {
            Some(Network::Ethernet | Network::Wifi) if costs() => Some(Network::Lte),
            other => other,
        };
        let roams = || {
            self.device.roaming_file.as_deref().and_then(first_line).is_some_and(|line| line.starts_with('1'))
        };
        if network == Some(Network::Lte) && roams() { Some(Network::Roaming) } else { network }
    }
}

/// `Iface Destination Gateway Flags RefCnt Use Metric …`: the route of least metric to 0.0.0.0.
fn default_interface_v4(table: &str) -> Option<String> {
    let routes = table.lines().skip(1).filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let is_default = words.get(1) == Some(&"00000000") && words.get(7) == Some(&"00000000");
        let metric: u32 = words.get(6)?.parse().ok()?;
        is_default.then(|| (metric, words[0].to_owned()))
    });
    routes.min().map(|(_, interface)| interface)
}

/// `destination prefix source prefix next-hop metric … interface`, without the loopback's unreachable default.
fn default_interface_v6(table: &str) -> Option<String> {
    let routes = table.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let is_default = words.first()?.bytes().all(|digit| digit == b'0') && words.get(1) == Some(&"00");
        let metric = u32::from_str_radix(words.get(5)?, 16).ok()?;
        let interface = words.last()?;
        (is_default && *interface != "lo").then(|| (metric, (*interface).to_owned()))
    });
    routes.min().map(|(_, interface)| interface)
}

/// As the configuration says.
fn named(interfaces: &BTreeMap<String, Network>, interface: &str) -> Option<Network> {
    let fits = |name: &str| match name.strip_suffix('*') {
        Some(begin) => interface.starts_with(begin),
        None => interface == name,
    };
    let fitting = interfaces.iter().filter(|(name, _)| fits(name));
    fitting.max_by_key(|(name, _)| name.len()).map(|(_, kind)| *kind)
}

/// By systemd's and the kernel's names. What is not known costs money: it counts as LTE.
fn kind_of(interface: &str) -> Network {
    if interface.starts_with("eth") || interface.starts_with("en") {
        Network::Ethernet
    } else if interface.starts_with("wl") {
        Network::Wifi
    } else {
        Network::Lte
    }
}

/// The first line of a small file, where it can be read.
pub(crate) fn first_line(path: &Path) -> Option<String> {
    let mut text = String::new();
    fs::File::open(path).ok()?.take(64).read_to_string(&mut text).ok()?;
    text.lines().next().map(|line| line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::HeldClock;

    const V4: &str = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
        wwan0\t00000000\t0100A8C0\t0003\t0\t0\t700\t00000000\t0\t0\t0\n\
        wlan0\t00000000\t0100A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n\
        eth0\t0000A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n";

    #[test]
    fn the_network_is_the_one_that_the_default_route_goes_over() {
        assert_eq!(default_interface_v4(V4).as_deref(), Some("wlan0"));
        assert_eq!(default_interface_v4(""), None);
        let v6 = "00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003 enp3s0\n\
                  00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200 lo\n";
        assert_eq!(default_interface_v6(v6).as_deref(), Some("enp3s0"));
        assert_eq!(
            ["eth0", "enp3s0", "wlp2s0", "wwan0", "usb0"].map(kind_of),
            [Network::Ethernet, Network::Ethernet, Network::Wifi, Network::Lte, Network::Lte]
        );
    }

    #[test]
    fn the_configuration_names_interfaces_before_their_names_do() {
        let kinds = [
            ("en*", Network::Wifi),
            ("enx*", Network::Lte),
            ("eth1", Network::Lte),
            ("wlan-car", Network::Ethernet),
        ];
        let kinds: BTreeMap<String, Network> =
            kinds.into_iter().map(|(name, kind)| (name.to_owned(), kind)).collect();
        let of = |interface| named(&kinds, interface);
        assert_eq!(
            ["enx0011", "eth1", "wlan-car"].map(of),
            [Some(Network::Lte), Some(Network::Lte), Some(Network::Ethernet)]
        );
        assert_eq!(["eth10", "e0", "wlan-cars"].map(of), [None; 3]);
        assert_eq!(of("enp3s0"), Some(Network::Wifi), "the longest name that fits");
    }

    #[test]
    fn what_is_not_told_is_unknown() {
        let home = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            fs::write(home.path().join(name), text).unwrap();
            Some(home.path().join(name))
        };
        let clock = HeldClock::at("2026-11-29T12:34:00Z");
        let meter = || Meter::open(home.path(), TimeZone::UTC, crate::config::Budget::default(), None);
        let look = |device: Device| Senses::new(device, TimeZone::UTC, meter()).look(&clock);
        let told = look(Device {
            parked_file: file("p", "1\n"),
            battery_file: file("b", "55\n"),
            ..Device::default()
        });
        assert_eq!((told.parked, told.battery_percent, told.local_minute), (Some(true), Some(55), Some(754)));
        let other = look(Device {
            parked_file: file("p", "0"),
            battery_file: file("b", "full"),
            ..Device::default()
        });
        assert_eq!((other.parked, other.battery_percent), (Some(false), None));
        assert_eq!(look(Device::default()).parked, None);
        let abroad = |text: &str| {
            look(Device { network: Some(Network::Lte), roaming_file: file("r", text), ..Device::default() })
        };
        assert_eq!((abroad("1").network, abroad("0").network), (Some(Network::Roaming), Some(Network::Lte)));
    }
}
