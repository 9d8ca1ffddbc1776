//! What signed settings make of this device's own configuration: never more than it allows. A window narrows, a condition is
//! added, a cap keeps below its limit, an address moves to a named host or stays. Pure, so that it can be tried on anything.

use std::collections::BTreeSet;

use stopline_depot::rollout::Network;
use stopline_depot::settings::{Home, Settings, UploadSettings, WindowSettings};

use crate::config::{Config, Remote};

/// Minutes of a day.
const DAY: u16 = 1_440;
/// What an empty list of networks stands for.
const ANY_AT_HOME: [Network; 3] = [Network::Ethernet, Network::Wifi, Network::Lte];

/// The configuration under `wanted`, and the keys that this device's limits kept from being as wanted.
pub fn clamped(own: &Config, limits: &Remote, wanted: &Settings) -> (Config, Vec<&'static str>) {
    let (mut config, mut held) = (own.clone(), Vec::new());
    if let Some(window) = &wanted.window {
        take_window(&mut config, limits, window, &mut held);
    }
    if let Some(upload) = &wanted.upload {
        take_upload(&mut config, limits, upload, &mut held);
    }
    if let Some(seconds) = wanted.stats_s {
        // 0 is none at all, and so no more than any.
        let least = if seconds == 0 { 0 } else { seconds.max(limits.least_stats_s) };
        note(&mut held, "stats_s", least != seconds);
        config.telemetry.stats_s = least;
    }
    if let Some(home) = &wanted.home {
        take_home(&mut config, limits, home, &mut held);
    }
    (config, held)
}

fn note(held: &mut Vec<&'static str>, key: &'static str, is_held: bool) {
    if is_held {
        held.push(key);
    }
}

fn take_window(config: &mut Config, limits: &Remote, wanted: &WindowSettings, held: &mut Vec<&'static str>) {
    let window = &mut config.window;
    (window.local, window.network) = narrowed(
        (window.local, &window.network),
        (wanted.local, &wanted.network),
        ["window.local", "window.network"],
        held,
    );
    note(held, "window.parked", window.parked && wanted.parked == Some(false));
    window.parked |= wanted.parked.unwrap_or(false);
    let percent = wanted.min_battery_percent.unwrap_or(0);
    note(
        held,
        "window.min_battery_percent",
        wanted.min_battery_percent.is_some() && percent < window.min_battery_percent,
    );
    window.min_battery_percent = window.min_battery_percent.max(percent);
    let day = (window.mobile_day_bytes, limits.most_day_bytes, wanted.mobile_day_bytes);
    window.mobile_day_bytes = cap(day, "window.mobile_day_bytes", held);
    let month = (window.mobile_month_bytes, limits.most_month_bytes, wanted.mobile_month_bytes);
    window.mobile_month_bytes = cap(month, "window.mobile_month_bytes", held);
}

fn take_upload(config: &mut Config, limits: &Remote, wanted: &UploadSettings, held: &mut Vec<&'static str>) {
    let upload = &mut config.upload;
    (upload.local, upload.network) = narrowed(
        (upload.local, &upload.network),
        (wanted.local, &wanted.network),
        ["upload.local", "upload.network"],
        held,
    );
    note(held, "upload.parked", upload.parked && wanted.parked == Some(false));
    upload.parked |= wanted.parked.unwrap_or(false);
    // 0 stands for no limit.
    let some = |rate: u64| (rate > 0).then_some(rate);
    let most = limits.most_rate_bytes_per_s.unwrap_or(upload.rate_bytes_per_s);
    if let Some(rate) = wanted.rate_bytes_per_s {
        let taken = match (some(rate), some(most)) {
            (Some(rate), Some(most)) => rate.min(most),
            (one, other) => one.or(other).unwrap_or(0),
        };
        note(held, "upload.rate_bytes_per_s", taken != rate);
        upload.rate_bytes_per_s = taken;
    }
}

/// The cap that counts: the wanted one, up to the limit; the limit is the device's own cap where no other is named.
fn cap(
    (own, most, wanted): (Option<u64>, Option<u64>, Option<u64>),
    key: &'static str,
    held: &mut Vec<&'static str>,
) -> Option<u64> {
    let Some(wanted) = wanted else { return own };
    let taken = most.or(own).map_or(wanted, |most| wanted.min(most));
    note(held, key, taken != wanted);
    Some(taken)
}

type Times<'a> = (Option<(u16, u16)>, &'a BTreeSet<Network>);

/// The times and networks that both allow; what would leave none stays as the device's own.
fn narrowed(
    own: Times<'_>,
    wanted: Times<'_>,
    keys: [&'static str; 2],
    held: &mut Vec<&'static str>,
) -> (Option<(u16, u16)>, BTreeSet<Network>) {
    let local = match (own.0, wanted.0) {
        (own, None) => own,
        (None, wanted) => wanted,
        (Some(own), Some(wanted)) => Some(overlap(own, wanted).unwrap_or(own)),
    };
    note(held, keys[0], wanted.0.is_some() && local != wanted.0);
    if wanted.1.is_empty() {
        return (local, own.1.clone());
    }
    let any = BTreeSet::from(ANY_AT_HOME);
    let allowed = if own.1.is_empty() { &any } else { own.1 };
    let both: BTreeSet<Network> = allowed.intersection(wanted.1).copied().collect();
    let network = if both.is_empty() { own.1.clone() } else { both };
    note(held, keys[1], network != *wanted.1);
    (local, network)
}

/// The minutes in both, where they are one span.
fn overlap(own: (u16, u16), wanted: (u16, u16)) -> Option<(u16, u16)> {
    let in_both: Vec<bool> = (0..DAY).map(|minute| is_in(own, minute) && is_in(wanted, minute)).collect();
    let is_in = |minute: u16| in_both.get(usize::from(minute)).copied().unwrap_or(false);
    let begins = |minute: &u16| is_in(*minute) && !is_in((*minute + DAY - 1) % DAY);
    let mut starts = (0..DAY).filter(begins);
    let from = starts.next()?;
    if starts.next().is_some() {
        return None;
    }
    let length = (1..DAY).find(|length| !is_in((from + length) % DAY))?;
    let to = from + length;
    // Midnight is written as the day's last minute and one.
    Some((from, if to > DAY { to - DAY } else { to }))
}

fn is_in((from, to): (u16, u16), minute: u16) -> bool {
    if from < to { (from..to).contains(&minute) } else { minute >= from || minute < to }
}

fn take_home(config: &mut Config, limits: &Remote, wanted: &Home, held: &mut Vec<&'static str>) {
    let mut moved = |key, own: Option<&String>, wanted: Option<&String>| {
        let own = own?;
        let wanted = wanted?;
        let taken = may_move(limits, own, wanted);
        note(held, key, !taken && own != wanted);
        taken.then(|| wanted.clone())
    };
    if let Some(url) = moved("home.repository", Some(&config.repository), wanted.repository.as_ref()) {
        config.repository = url;
    }
    // What this device does not use is not begun from afar.
    if let Some(url) = moved("home.fleet_url", config.fleet_url.as_ref(), wanted.fleet_url.as_ref()) {
        config.fleet_url = Some(url);
    }
    if let Some(url) = moved("home.outcomes_url", config.outcomes_url.as_ref(), wanted.outcomes_url.as_ref())
    {
        config.outcomes_url = Some(url);
    }
    if let (Some(mqtt), Some(host)) = (&mut config.mqtt, &wanted.broker) {
        // Without TLS nobody would know who is there.
        let taken = mqtt.tls && limits.allows(host);
        note(held, "home.broker", !taken && mqtt.host != *host);
        if taken {
            mqtt.host.clone_from(host);
        }
    }
}

/// Whether one address may be put in place of another: to a host that is named, and never from https:// to http://.
fn may_move(limits: &Remote, own: &str, wanted: &str) -> bool {
    let (Ok(own), Ok(wanted)) = (reqwest::Url::parse(own), reqwest::Url::parse(wanted)) else { return false };
    let named = wanted.host_str().is_some_and(|host| limits.allows(host));
    let secret = wanted.username().is_empty() && wanted.password().is_none();
    let plain = wanted.query().is_none() && wanted.fragment().is_none();
    let as_safe = wanted.scheme() == "https" || (wanted.scheme() == "http" && own.scheme() == "http");
    named && secret && plain && as_safe
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use stopline_depot::capture::CaptureLimit;
    use stopline_depot::spool::Rule;

    use super::*;

    fn config(text: &str) -> Config {
        let least = "repository = 'https://a.example/r'\nhardware = 'h'\nmodels = ['m']\nfleet_url = 'https://a.example'\n";
        Config::parse(&format!("{least}{text}")).unwrap()
    }

    fn minutes(window: Option<(u16, u16)>) -> BTreeSet<u16> {
        (0..DAY).filter(|minute| window.is_none_or(|window| is_in(window, *minute))).collect()
    }

    fn networks(of: &BTreeSet<Network>) -> BTreeSet<Network> {
        if of.is_empty() { BTreeSet::from(ANY_AT_HOME) } else { of.clone() }
    }

    fn local() -> impl Strategy<Value = Option<(u16, u16)>> {
        let minutes = (0..DAY, 0..=DAY).prop_filter("two minutes", |(from, to)| from != to);
        proptest::option::of(minutes)
    }

    fn network() -> impl Strategy<Value = BTreeSet<Network>> {
        let one = prop_oneof![
            Just(Network::Ethernet),
            Just(Network::Wifi),
            Just(Network::Lte),
            Just(Network::Roaming)
        ];
        proptest::collection::btree_set(one, 0..4)
    }

    fn bytes() -> impl Strategy<Value = Option<u64>> {
        proptest::option::of((1_u64 << 20)..(1 << 40))
    }

    fn wanted() -> impl Strategy<Value = Settings> {
        let window =
            (local(), network(), any::<Option<bool>>(), proptest::option::of(0_u8..=100), bytes(), bytes());
        let upload = (local(), network(), any::<Option<bool>>(), any::<Option<u64>>());
        let url = prop_oneof![
            Just("https://b.example/x".to_owned()),
            Just("https://eu.b.example".to_owned()),
            Just("https://notb.example".to_owned()),
            Just("https://b.example@evil.example".to_owned()),
            Just("http://b.example".to_owned()),
        ];
        let home = (proptest::option::of(url.clone()), proptest::option::of(url), any::<bool>());
        (window, upload, proptest::option::of(0_u32..=86_400), home).prop_map(
            |(window, upload, stats_s, home)| {
                let (local, network, parked, min_battery_percent, mobile_day_bytes, mobile_month_bytes) =
                    window;
                let window = WindowSettings {
                    local,
                    network,
                    parked,
                    min_battery_percent,
                    mobile_day_bytes,
                    mobile_month_bytes,
                };
                let (local, network, parked, rate_bytes_per_s) = upload;
                let upload = UploadSettings { local, network, parked, rate_bytes_per_s };
                let broker = home.2.then(|| "mqtt.b.example".to_owned());
                let home = Home { repository: home.0, fleet_url: home.1, outcomes_url: None, broker };
                let capture = BTreeMap::from([(
                    Rule::Random,
                    CaptureLimit { per_day: stats_s, ..CaptureLimit::default() },
                )]);
                Settings { window: Some(window), upload: Some(upload), stats_s, home: Some(home), capture }
            },
        )
    }

    /// This device's own configuration and limits.
    fn own() -> impl Strategy<Value = (Config, Remote)> {
        let window = (local(), network(), any::<bool>(), 0_u8..=100, bytes(), bytes());
        let upload = (local(), network(), any::<bool>(), prop_oneof![Just(0_u64), 1_u64..1_000_000]);
        let limits = (bytes(), bytes(), proptest::option::of(0_u64..1_000_000), 1_u32..4_000, any::<bool>());
        (window, upload, limits).prop_map(|(window, upload, limits)| {
            let mut own = config("[mqtt]\nhost = 'mqtt.a.example'\nfleet = 'f'\n");
            (own.window.local, own.window.network, own.window.parked) = (window.0, window.1, window.2);
            own.window.min_battery_percent = window.3;
            (own.window.mobile_day_bytes, own.window.mobile_month_bytes) = (window.4, window.5);
            (own.upload.local, own.upload.network) = (upload.0, upload.1);
            (own.upload.parked, own.upload.rate_bytes_per_s) = (upload.2, upload.3);
            let hosts = if limits.4 { vec!["b.example".into()] } else { Vec::new() };
            let remote = Remote {
                most_day_bytes: limits.0,
                most_month_bytes: limits.1,
                most_rate_bytes_per_s: limits.2,
                least_stats_s: limits.3,
                hosts,
                ..Remote::default()
            };
            (own, remote)
        })
    }

    /// The same with all that may be set taken from `other`.
    fn with_settable_of(config: &Config, other: &Config) -> Config {
        let mut same = config.clone();
        same.window = other.window.clone();
        (same.upload.local, same.upload.network) = (other.upload.local, other.upload.network.clone());
        (same.upload.parked, same.upload.rate_bytes_per_s) =
            (other.upload.parked, other.upload.rate_bytes_per_s);
        same.telemetry.stats_s = other.telemetry.stats_s;
        (same.repository, same.fleet_url) = (other.repository.clone(), other.fleet_url.clone());
        if let (Some(mqtt), Some(other)) = (&mut same.mqtt, &other.mqtt) {
            mqtt.host = other.host.clone();
        }
        same
    }

    proptest! {
        #[test]
        fn whatever_is_wanted_this_devices_limits_hold_and_nothing_else_is_touched(
            (own, limits) in own(), wanted in wanted()
        ) {
            let (config, held) = clamped(&own, &limits, &wanted);
            prop_assert!(minutes(config.window.local).is_subset(&minutes(own.window.local)));
            prop_assert!(minutes(config.upload.local).is_subset(&minutes(own.upload.local)));
            prop_assert!(!minutes(config.window.local).is_empty() && !minutes(config.upload.local).is_empty());
            prop_assert!(networks(&config.window.network).is_subset(&networks(&own.window.network)));
            prop_assert!(networks(&config.upload.network).is_subset(&networks(&own.upload.network)));
            prop_assert!(config.window.parked >= own.window.parked && config.upload.parked >= own.upload.parked);
            prop_assert!(config.window.min_battery_percent >= own.window.min_battery_percent);
            let below = |cap: Option<u64>, own: Option<u64>, most: Option<u64>| {
                cap == own || most.or(own).is_none_or(|most| cap.is_some_and(|cap| cap <= most))
            };
            prop_assert!(below(config.window.mobile_day_bytes, own.window.mobile_day_bytes, limits.most_day_bytes));
            prop_assert!(below(config.window.mobile_month_bytes, own.window.mobile_month_bytes, limits.most_month_bytes));
            let most = limits.most_rate_bytes_per_s.unwrap_or(own.upload.rate_bytes_per_s);
            let rate = config.upload.rate_bytes_per_s;
            prop_assert!(rate == own.upload.rate_bytes_per_s || most == 0 || (1..=most).contains(&rate));
            let seconds = config.telemetry.stats_s;
            prop_assert!(seconds == 0 || seconds >= limits.least_stats_s || seconds == own.telemetry.stats_s);
            for (new, old) in [(&config.repository, &own.repository), (config.fleet_url.as_ref().unwrap(), own.fleet_url.as_ref().unwrap())] {
                let host = reqwest::Url::parse(new).unwrap().host_str().unwrap().to_owned();
                prop_assert!(new == old || (limits.hosts.len() == 1 && ["b.example", "eu.b.example"].contains(&host.as_str())));
                prop_assert!(new.starts_with("https://"));
            }
            config.check().map_err(TestCaseError::fail)?;
            prop_assert_eq!(format!("{:?}", with_settable_of(&config, &own)), format!("{own:?}"));
            // What was not held is as wanted.
            if !held.contains(&"window.local") {
                prop_assert!(wanted.window.as_ref().unwrap().local.is_none_or(|local| config.window.local == Some(local)));
            }
            if !held.contains(&"upload.rate_bytes_per_s") {
                prop_assert!(wanted.upload.as_ref().unwrap().rate_bytes_per_s.is_none_or(|rate| rate == config.upload.rate_bytes_per_s));
            }
            // Taken again, it is the same.
            prop_assert_eq!(format!("{:?}", clamped(&own, &limits, &wanted).0), format!("{config:?}"));
        }
    }

    #[test]
    fn spans_that_overlap_in_one_piece_are_cut_and_others_leave_the_devices_own() {
        assert_eq!(overlap((60, 300), (120, 240)), Some((120, 240)));
        assert_eq!(overlap((60, 300), (240, 400)), Some((240, 300)));
        assert_eq!(overlap((1_380, 60), (0, 30)), Some((0, 30)), "over midnight");
        assert_eq!(overlap((1_380, 60), (1_400, 20)), Some((1_400, 20)));
        assert_eq!(overlap((1_200, 1_440), (1_300, 100)), Some((1_300, 1_440)));
        assert_eq!(overlap((60, 120), (180, 240)), None);
        assert_eq!(overlap((60, 300), (290, 70)), None, "two pieces");
    }

    #[test]
    fn an_address_moves_to_named_hosts_alone() {
        let limits = Remote { hosts: vec!["Example.org".into()], ..Remote::default() };
        let own = "https://a.example.org/x";
        for good in ["https://example.org", "https://b.EXAMPLE.org:8443/y", "https://c.d.example.org"] {
            assert!(may_move(&limits, own, good), "{good}");
        }
        for bad in [
            "http://example.org",
            "https://example.org.evil.net",
            "https://badexample.org",
            "https://example.org@evil.net",
            "https://u:p@example.org",
            "https://example.org/?q",
            "ftp://example.org",
            "nothing",
        ] {
            assert!(!may_move(&limits, own, bad), "{bad}");
        }
        assert!(!may_move(&Remote::default(), own, own), "without hosts nothing moves");
    }
}
