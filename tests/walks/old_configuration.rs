//! A configuration of an older schema: the daemon runs by it and says so; `config migrate` rewrites it, and the loop that runs
//! has nothing new to read.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use rustix::process::Signal;
use stopline_tests::daemon::Bench;
use stopline_tests::stopline;

const PATIENCE: Duration = Duration::from_secs(60);

fn migrate(config: &Path, more: &[&str]) -> Output {
    Command::new(stopline()).args(["config", "migrate", "--config"]).arg(config).args(more).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_daemon_runs_by_an_old_file_and_is_told_of_no_change_by_its_migration() {
    let bench = Bench::new();
    let mut daemon = bench.start(&[("schema = 1\n", "# Our car, before schemas were.\n")]);
    daemon
        .wait("a decision", PATIENCE, |daemon| (daemon.health()?.cameras.first()?.decided > 0).then_some(()));
    let warned = "an old configuration of schema 0 is read as one of schema 1 (schema = 1); for good: stopline config \
                  migrate --config";
    assert_eq!(daemon.said().matches(warned).count(), 1, "{}", daemon.said());

    let config = bench.path("stopline.toml");
    let old = std::fs::read_to_string(&config).unwrap();
    let done = migrate(&config, &["--dry-run"]);
    assert!(done.status.success() && text(&done.stdout).ends_with("nothing was written\n"));
    assert_eq!(std::fs::read_to_string(&config).unwrap(), old);
    let done = migrate(&config, &[]);
    let said = text(&done.stdout);
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert!(said.contains("from schema 0 to 1\n  schema = 1\nthe old one is kept: "), "{said}");
    assert_eq!(std::fs::read_to_string(&config).unwrap(), format!("schema = 1\n{old}"));
    assert_eq!(std::fs::read_to_string(bench.path("stopline.toml.schema-0")).unwrap(), old);
    let again = migrate(&config, &[]);
    assert!(text(&again.stdout).ends_with("schema 1 is the newest; nothing to change\n"));

    daemon.signal(Signal::HUP);
    daemon.wait("the reload", PATIENCE, |daemon| {
        daemon.said().contains("reloaded: nothing has changed").then_some(())
    });
    daemon.signal(Signal::TERM);
    assert!(daemon.ended(PATIENCE).success());
}

#[test]
fn what_cannot_be_migrated_stays_byte_for_byte_and_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("stopline.toml");
    let cases: [(&str, &[&str]); 4] = [
        (
            "schema = 2\nof_tomorrow = 1\n",
            &["found 2, expected at most 1", "install the newer stopline", ".schema-1"],
        ),
        (
            "[run]\ncolour = 1\n",
            &["it stays as it is", "brought to schema 1", ":3:1", "unknown field `colour`"],
        ),
        ("schema = 1\n[run\n", &["stopline.toml"]),
        ("schema = 'one'\n", &["found \"one\", expected 0 to 1"]),
    ];
    for (written, words) in cases {
        std::fs::write(&config, written).unwrap();
        let done = migrate(&config, &[]);
        let said = text(&done.stderr);
        assert_eq!(done.status.code(), Some(7), "{written}: {said}");
        words.iter().for_each(|word| assert!(said.contains(word), "{word}: {said}"));
        assert_eq!(std::fs::read_to_string(&config).unwrap(), written);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "{written}: something was left");
    }
    let absent = migrate(&folder.path().join("other.toml"), &[]);
    assert_eq!(absent.status.code(), Some(7), "{}", text(&absent.stderr));
}

#[test]
fn check_takes_an_old_file_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("stopline.toml");
    std::fs::write(&config, "[[camera]]\nname = \"front\"\nsource = \"pattern:64x48@30\"\n").unwrap();
    let done = Command::new(stopline()).args(["check", "--config"]).arg(&config).output().unwrap();
    let said = text(&done.stderr);
    assert!(said.contains("an old configuration of schema 0"), "{said}");
    assert_ne!(done.status.code(), Some(7), "{said}");
}
