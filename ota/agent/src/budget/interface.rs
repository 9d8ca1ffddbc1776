//! Counters of this board's mobile interfaces, as the kernel keeps them since each came up.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const CLASS: &str = "/sys/class/net";

/// Bytes both ways of each mobile interface: of `named` alone, where one is named, else of those whose names say so.
pub fn mobile(named: Option<&str>) -> BTreeMap<String, u64> {
    of(Path::new(CLASS), named)
}

fn of(class: &Path, named: Option<&str>) -> BTreeMap<String, u64> {
    let names: Vec<String> = match named {
        Some(name) => vec![name.to_owned()],
        None => fs::read_dir(class)
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| is_mobile(name))
            .collect(),
    };
    let bytes = |name: &str, counter: &str| -> Option<u64> {
        let text = fs::read_to_string(class.join(name).join("statistics").join(counter)).ok()?;
        text.trim().parse().ok()
    };
    let both = |name: String| {
        let sum = bytes(&name, "rx_bytes")?.saturating_add(bytes(&name, "tx_bytes")?);
        Some((name, sum))
    };
    names.into_iter().filter_map(both).collect()
}

/// WWAN by systemd's and the kernel's names, dialled, Qualcomm's. A modem that shows itself as `usb0` or `eth1` is named in
/// the configuration.
fn is_mobile(name: &str) -> bool {
    ["ww", "ppp", "rmnet"].iter().any(|begin| name.starts_with(begin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mobile_interfaces_are_counted_both_ways_and_others_only_when_named() {
        let class = tempfile::tempdir().unwrap();
        for (name, rx, tx) in [("wwan0", "100", "20\n"), ("eth0", "5", "6"), ("ppp0", "1", "x")] {
            let folder = class.path().join(name).join("statistics");
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("rx_bytes"), rx).unwrap();
            fs::write(folder.join("tx_bytes"), tx).unwrap();
        }
        let found = |named| of(class.path(), named).into_iter().collect::<Vec<_>>();
        assert_eq!(found(None), [("wwan0".to_owned(), 120)]);
        assert_eq!(found(Some("eth0")), [("eth0".to_owned(), 11)]);
        assert!(found(Some("usb0")).is_empty());
    }
}
