use super::*;

fn one(text: &str) -> Result<ActuatorConfig, String> {
    let config: ActuatorConfig = toml::from_str(text).map_err(|error| error.to_string())?;
    let again: ActuatorConfig = toml::from_str(&toml::to_string(&config).unwrap()).unwrap();
    assert_eq!(again, config, "what is written is read again");
    config
        .check()
        .map_err(|misfit| format!("{} is {}; expected {}", misfit.key, misfit.found, misfit.expected))?;
    Ok(config)
}

fn wrong(text: &str) -> String {
    one(text).unwrap_err()
}

const LINE: &str =
    "kind = \"gpio\"\nname = \"brake\"\nchip = \"/dev/gpiochip0\"\nline = 4\nwhen = \"brake\"\n";

#[test]
fn the_least_of_each_kind_is_enough() {
    let kinds = [
        ("kind = \"can\"\nname = \"a\"\ninterface = \"can0\"\n", Kind::Can),
        (&format!("{LINE}mode = \"toggle\"\n"), Kind::Gpio),
        ("kind = \"run\"\nname = \"a\"\nprogram = \"/bin/true\"\nwhen = \"warn\"\n", Kind::Run),
        ("kind = \"outbox\"\nname = \"a\"\nfolder = \"outbox\"\n", Kind::Outbox),
        ("kind = \"log\"\nname = \"a\"\nfile = \"commands.jsonl\"\n", Kind::Log),
    ];
    for (text, kind) in kinds {
        let mut config = one(text).unwrap();
        assert_eq!((config.kind(), config.kind().code()), (kind, kind.code()));
        config.resolve(Path::new("/etc/stopline"));
    }
    let mut log = one(kinds[4].0).unwrap();
    log.resolve(Path::new("/etc/stopline"));
    assert!(matches!(log, ActuatorConfig::Log(log) if log.file == Path::new("/etc/stopline/commands.jsonl")));
}

#[test]
fn wrong_keys_and_values_are_named() {
    assert!(
        wrong("kind = \"can\"\nname = \"a\"\ninterface = \"can0\"\nperiod = 20\n")
            .contains("unknown field `period`")
    );
    assert!(wrong("kind = \"siren\"\nname = \"a\"\n").contains("unknown variant `siren`"));
    assert!(wrong("kind = \"can\"\nname = \"a\"\ninterface = \"\"\n").starts_with("interface is \"\""));
    assert!(
        wrong("kind = \"can\"\nname = \"a\"\ninterface = \"can0\"\nmessage = \"X\"\n")
            .starts_with("message is given without dbc")
    );
    let can = "kind = \"can\"\nname = \"a\"\ninterface = \"can0\"\ndbc = \"x\"\n";
    assert!(wrong(can).starts_with("message is missing"));
    assert!(wrong(&format!("{can}message = \"X\"\n")).starts_with("signals is missing"));
    let asks = format!("{can}message = \"X\"\nsignals = {{ hold = \"H\" }}\n");
    assert!(wrong(&asks).starts_with("signals.valid is missing beside hold"));
    assert!(
        wrong(&format!("{can}message = \"X\"\nsignals = {{ warn = {{ signal = \"W\", factor = 0.0 }} }}\n"))
            .contains("signals.warn.factor")
    );
    let run = "kind = \"run\"\nname = \"a\"\nprogram = \"/bin/true\"\n";
    assert!(wrong(&format!("{run}when = \"brake\"\n")).starts_with("when is Brake"));
    assert!(wrong(&format!("{run}when = \"warn\"\ntimeout_ms = 5\n")).contains("50 to 60000"));
    assert!(wrong(&format!("{run}when = \"warn\"\nrepeat_ms = 5\n")).contains("100 to 3600000"));
    assert!(
        wrong(&format!("{LINE}mode = \"level\"\nwhile_unarmed = true\n"))
            .starts_with("while_unarmed is true")
    );
    assert!(wrong(&format!("{LINE}mode = \"toggle\"\ntoggle_periods = 0\n")).contains("1 to 50"));
    let outbox = "kind = \"outbox\"\nname = \"a\"\nfolder = \"o\"\n";
    assert!(wrong(&format!("{outbox}when = [\"hold\"]\n")).starts_with("when is Hold"));
    assert!(wrong(&format!("{outbox}when = []\n")).contains("1 to 12"));
    assert!(wrong(&format!("{outbox}unread_s = 0\n")).contains("1 to 3600"));
    assert!(wrong("kind = \"log\"\nname = \"a\"\nfile = \"f\"\nmost_mib = 0\n").contains("1 to 4096"));
}

#[test]
fn a_level_line_needs_its_pull_and_another_to_arm_with() {
    let line = |rest: &str| one(&format!("{LINE}{rest}")).unwrap();
    let can = one("kind = \"can\"\nname = \"a\"\ninterface = \"can0\"\n").unwrap();
    let lamp = one(&format!(
        "{}mode = \"level\"\n",
        LINE.replace("\"brake\"\n", "\"warn\"\n").replace("when = \"brake\"", "when = \"warn\"")
    ))
    .unwrap();
    assert_eq!(lamp.arming(), Arming::Apart, "a lamp asks nothing of the vehicle");
    let pulled = line("mode = \"level\"\npull = \"down\"\n");
    let wrongly = [
        line("mode = \"level\"\n"),
        line("mode = \"level\"\npull = \"up\"\n"),
        line("mode = \"level\"\npull = \"down\"\nactive_low = true\n"),
    ];
    for config in wrongly {
        assert_eq!(config.arming(), Arming::Never);
        assert_eq!(may_arm(&[can.clone(), config]).unwrap_err().key, "actuator[1].pull");
    }
    assert_eq!(pulled.arming(), Arming::BesideAnother);
    assert_eq!(line("mode = \"level\"\npull = \"up\"\nactive_low = true\n").arming(), Arming::BesideAnother);
    assert_eq!(may_arm(std::slice::from_ref(&pulled)).unwrap_err().key, "actuator[0].mode");
    assert_eq!(may_arm(&[pulled.clone(), can.clone()]), Ok(()));
    assert_eq!(may_arm(&[pulled, line("mode = \"toggle\"\n")]), Ok(()));
    assert_eq!(may_arm(&[lamp, can]), Ok(()));
    assert_eq!(may_arm(&[]), Ok(()));
}
