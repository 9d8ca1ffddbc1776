//! The battery, as the kernel's class `power_supply` shows it: a folder with `capacity` (percent), `voltage_now`
//! (microvolts) and `status`, and beside it those of chargers, with `type` and `online`.

use std::fs;
use std::path::Path;

use serde::Serialize;

use crate::surroundings::first_line;

/// Microvolts of a volt.
const MICRO: f64 = 1e6;

/// What a battery says of itself now. What cannot be read is unknown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Charge {
    /// Percent.
    pub percent: Option<u8>,
    /// Volts.
    pub volts: Option<f64>,
    /// It is charged, is full, or a charger beside it is on.
    pub fed: bool,
}

impl Charge {
    /// Of the battery whose folder this is.
    pub fn look(folder: &Path) -> Self {
        let said = |name: &str| first_line(&folder.join(name));
        let micro = said("voltage_now").and_then(|text| text.parse::<u32>().ok());
        Self {
            percent: said("capacity").and_then(|text| text.parse().ok()),
            volts: micro.map(|micro| f64::from(micro) / MICRO),
            fed: said("status").is_some_and(|status| ["Charging", "Full"].contains(&status.as_str()))
                || folder.parent().is_some_and(a_charger_is_on),
        }
    }

    /// Why this is too low, in words; 0 is no floor. While it is fed no floor counts; what is not known is too low.
    pub fn below(&self, floor_percent: u8, floor_v: f64) -> Option<String> {
        if self.fed {
            return None;
        }
        let percent = match self.percent {
            _ if floor_percent == 0 => None,
            None => Some("its charge is not known".to_owned()),
            Some(percent) if percent < floor_percent => {
                Some(format!("{percent} %, below power.floor_percent = {floor_percent}"))
            }
            Some(_) => None,
        };
        let volts = || match self.volts {
            _ if floor_v <= 0.0 => None,
            None => Some("its voltage is not known".to_owned()),
            Some(volts) if volts < floor_v => Some(format!("{volts:.2} V, below power.floor_v = {floor_v}")),
            Some(_) => None,
        };
        percent.or_else(volts).map(|why| format!("the battery: {why}"))
    }
}

/// Whether a charger among these folders feeds the board.
fn a_charger_is_on(folder: &Path) -> bool {
    let is_on = |folder: &Path| {
        let said = |name: &str| first_line(&folder.join(name)).unwrap_or_default();
        // 2: by a voltage that was agreed on.
        ["Mains", "USB", "Wireless"].contains(&said("type").as_str())
            && ["1", "2"].contains(&said("online").as_str())
    };
    fs::read_dir(folder).is_ok_and(|entries| entries.flatten().any(|entry| is_on(&entry.path())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Folders as `/sys/class/power_supply` has them.
    fn supplies(files: &[(&str, &str)]) -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = home.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("{text}\n")).unwrap();
        }
        home
    }

    const LOW: [(&str, &str); 4] = [
        ("BAT0/type", "Battery"),
        ("BAT0/capacity", "18"),
        ("BAT0/voltage_now", "11420000"),
        ("BAT0/status", "Discharging"),
    ];

    fn look(more: &[(&str, &str)]) -> Charge {
        let home = supplies(&[&LOW, more].concat());
        Charge::look(&home.path().join("BAT0"))
    }

    #[test]
    fn each_floor_counts_alone_and_none_while_it_is_fed() {
        let low = look(&[]);
        assert_eq!(low, Charge { percent: Some(18), volts: Some(11.42), fed: false });
        assert_eq!(low.below(0, 0.0), None);
        assert_eq!(low.below(18, 11.42), None, "a floor is reached, not missed");
        assert!(low.below(19, 0.0).unwrap().contains("18 %, below power.floor_percent = 19"));
        assert!(low.below(0, 11.8).unwrap().contains("11.42 V, below power.floor_v = 11.8"));
        assert!(low.below(10, 11.8).is_some() && low.below(20, 11.0).is_some());
        for fed in [("BAT0/status", "Charging"), ("BAT0/status", "Full")] {
            assert_eq!(look(&[fed]).below(100, 100.0), None, "{fed:?}");
        }
        let mains = |kind, online| look(&[("AC/type", kind), ("AC/online", online)]).below(100, 100.0);
        assert!(mains("Mains", "1").is_none() && mains("USB", "2").is_none());
        assert!(mains("Mains", "0").is_some() && mains("Battery", "1").is_some());
        assert!(look(&[("BAT0/status", "Not charging")]).below(19, 0.0).is_some());
    }

    #[test]
    fn what_a_floor_asks_for_and_nobody_tells_is_too_low() {
        let silent = Charge::look(Path::new("/nowhere/BAT0"));
        assert_eq!(silent, Charge::default());
        assert!(silent.below(1, 0.0).unwrap().contains("charge is not known"));
        assert!(silent.below(0, 1.0).unwrap().contains("voltage is not known"));
        assert_eq!(silent.below(0, 0.0), None);
        assert!(look(&[("BAT0/capacity", "high")]).below(1, 0.0).is_some());
    }
}
