//! Where each vehicle is in each night: made up, and the same every time.

use stopline_depot::eligible::{MobileUse, Surroundings};
use stopline_depot::rollout::Network;

use super::Plan;
use super::random::{happens, mix};

/// A vehicle in a night.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weather {
    /// Whether it reaches the server at the second at which it asks.
    pub reachable: bool,
    /// Whether it is parked. A parked one has WLAN, one on the road LTE.
    pub parked: bool,
}

impl Weather {
    /// What it knows of itself at `second` of the local day.
    pub fn surroundings(self, second: u32) -> Surroundings {
        Surroundings {
            local_minute: u16::try_from(second / 60).ok(),
            network: Some(if self.parked { Network::Wifi } else { Network::Lte }),
            parked: Some(self.parked),
            battery_percent: None,
            mobile: MobileUse::default(),
        }
    }
}

/// Of the device of this number in a night.
pub(super) fn weather(plan: &Plan, device: u64, night: u32) -> Weather {
    let parked = happens(device, u64::from(night) << 8, plan.parked_percent);
    // One that is on the road at night reaches the server over LTE half of the time.
    let online = parked || mix(device, u64::from(night) << 8 | 1) & 1 == 0;
    Weather { reachable: online && !is_away(plan, device), parked }
}

/// Whether it is out of reach throughout.
pub(super) fn is_away(plan: &Plan, device: u64) -> bool {
    happens(device, 77, plan.away_percent)
}
