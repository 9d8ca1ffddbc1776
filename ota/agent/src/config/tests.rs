use super::*;

const EXAMPLE: &str = include_str!("../../agent.example.toml");
const LEAST: &str = "repository = 'https://u.example'\nhardware = 'orin'\nmodels = ['stop-sign']\n";

#[test]
fn the_example_as_it_is_installed_sets_what_has_no_default_and_where_the_runtime_writes() {
    let few = "repository = 'https://updates.example.org/fleet'\nhardware = 'orin-nx'\nmodels = ['stop-sign']\n\
        [device]\nhealth_file = '/run/stopline/health.json'\n[telemetry]\noutbox = '/var/lib/stopline/outbox'\n";
    assert_eq!(
        format!("{:?}", Config::parse(EXAMPLE).unwrap()),
        format!("{:?}", Config::parse(few).unwrap()),
        "a board without tokens, brokers and proxies must be able to start with it"
    );
}

#[test]
fn the_example_holds_every_key_and_what_is_commented_out_is_the_default() {
    let examples = EXAMPLE.replace("#e.g. ", "");
    let plain = Config::parse(&examples).unwrap();
    let uncommented: String = examples
        .lines()
        .map(|line| line.strip_prefix("# ").filter(|line| line.contains(" = ")).unwrap_or(line))
        .fold(String::new(), |text, line| text + line + "\n");
    let all = Config::parse(&uncommented).unwrap();
    assert_eq!(format!("{plain:?}"), format!("{all:?}"), "a default in the example is not the default");
    // Every key of the types appears: Debug prints them.
    let shown = format!("{all:?}");
    let keys = shown.split([' ', '{', ',']).filter_map(|word| word.strip_suffix(':'));
    // Where it was read from, and what is set from afar, is no key of it.
    let keys = keys.filter(|key| !["source", "file", "settings"].contains(key));
    for key in keys.filter(|key| key.chars().all(|c| c.is_ascii_lowercase() || c == '_')) {
        let there = uncommented.lines().any(|line| {
            line.starts_with(&format!("{key} ="))
                || line.starts_with('[') && line.contains(&format!("{key}]"))
        });
        assert!(there, "{key} is not in agent.example.toml");
    }
}

#[test]
fn few_keys_are_enough() {
    let config = Config::parse(LEAST).unwrap();
    assert_eq!(config.poll.local, Some((60, 300)));
    assert!(config.mqtt.is_none() && config.outcomes_url.is_none());
}

#[test]
fn a_file_names_its_schema_or_is_of_the_first_and_a_newer_one_is_refused_with_what_to_do() {
    for text in [LEAST.to_owned(), format!("schema = 1\n{LEAST}")] {
        assert_eq!(Config::parse(&text).unwrap().schema, 1);
        assert!(CHAIN.bring(&text).unwrap().is_none(), "there is nothing to migrate");
    }
    let newer = Config::parse(&format!("schema = 2\nof_tomorrow = 1\n{LEAST}")).unwrap_err();
    for words in ["schema: found 2", "install the newer stopline-agent", ".schema-1"] {
        assert!(newer.contains(words), "{words}: {newer}");
    }
    assert!(Config::parse(&format!("schema = 0\n{LEAST}")).unwrap_err().contains("expected 1 to 1"));
}

#[test]
fn what_is_wrong_is_refused_by_its_key() {
    for (line, key) in [
        ("colour = 'red'", "colour"),
        ("[download]\nspeed = 1", "speed"),
        ("[poll]\nlocal = [60, 60]", "poll.local"),
        ("[poll]\ntime_zone = 'Mars/Base'", "poll.time_zone"),
        ("[download]\nstall_s = 0", "download.stall_s"),
        ("[download]\nchunk_bytes = 1", "download.chunk_bytes"),
        ("[window]\nmin_battery_percent = 101", "window.min_battery_percent"),
        ("[mqtt]\nhost = 'b'\nfleet = '../x'", "mqtt.fleet"),
        ("outcomes_url = 'ftp://x'", "outcomes_url"),
        ("[enrolment]\nurl = 'http://fleet.example'", "enrolment.url"),
        ("[download]\nrate_bytes_per_s = 10", "download.rate_bytes_per_s"),
        ("fleet_url = 'http://f.example'", "fleet_url"),
        ("[upload]\nspool = '/s'", "fleet_url"),
        ("[upload]\nbatch_bytes = 8000000", "upload.batch_bytes"),
        ("[upload]\nchunk_bytes = 1", "upload.chunk_bytes"),
        ("[upload]\nstores = ['http://s.example/b']", "upload.stores"),
        ("[upload]\nstores = ['https://me@s.example/b']", "upload.stores"),
        ("[upload]\nstores = ['s.example']", "upload.stores"),
        ("[power]\nfloor_percent = 20", "power.battery"),
        ("[power]\nbattery = 'BAT0'\nfloor_percent = 101", "power.floor_percent"),
        ("[power]\nbattery = 'BAT0'\nfloor_v = -1.0", "power.floor_v"),
        ("[power]\nbattery = 'BAT0'\nfloor_v = nan", "power.floor_v"),
        ("[power]\nbattery = '..'", "power.battery"),
        ("[power]\nbattery = 'a/b'", "power.battery"),
        ("[power]\nhold_up_s = 86401", "power.hold_up_s"),
        ("[power]\nwake_hook = ['wake']", "power.wake_hook"),
        ("[budget]\nbilling_day = 32", "budget.billing_day"),
        ("[budget]\nreserve_percent = 91", "budget.reserve_percent"),
        ("[budget]\ninterface = '../lo'", "budget.interface"),
        ("[remote]\nleast_stats_s = 0", "remote.least_stats_s"),
        ("[remote]\nhosts = ['https://a']", "remote.hosts"),
        ("[remote]\nmost_day_bytes = 1", "remote.most_day_bytes"),
        ("[telemetry]\nescalate_s = 0", "telemetry.escalate_s"),
        ("[telemetry]\nacknowledge = ['wish']", "wish"),
        ("[[notify]]\nname = 'a b'\nurl = 'https://h.example'", "notify.name"),
        ("[[notify]]\nname = 'a'\nurl = 'mailto:x'", "notify.url"),
        ("[mqtt]\nhost = 'b'\nfleet = 'f'\nversion = 3", "mqtt.version"),
        ("[mqtt]\nhost = 'b'\nfleet = 'f'\nkeep_alive_s = 1", "mqtt.keep_alive_s"),
        ("[mqtt]\nhost = 'b'\nfleet = 'f'\nhome_assistant = { prefix = 'a/b' }", "home_assistant.prefix"),
    ] {
        let problem = Config::parse(&format!("{LEAST}{line}\n")).unwrap_err();
        assert!(problem.contains(key), "{line}: {problem}");
    }
    let problem = Config::parse(&LEAST.replace("stop-sign", "../up")).unwrap_err();
    assert!(problem.contains("models"), "{problem}");
}
