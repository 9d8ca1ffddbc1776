use super::*;
use crate::config::Depot;

const NOON: u64 = 1_800_000_000;

struct Device(tempfile::TempDir);

impl Device {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["depot", "state"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn place(&self) -> Place {
        let text = format!(
            "directory = {:?}\nstate = {:?}\nhardware = 'board'\n",
            self.path("depot"),
            self.path("state")
        );
        Place::of(&toml::from_str::<Depot>(&text).unwrap())
    }

    fn open(&self, wall: u64) -> (Shares, Option<String>) {
        Shares::open(Some(&self.place()), &rules(), at(0), wall)
    }

    fn set(&self, text: &str) {
        std::fs::write(self.path("depot/capture-limits.json"), text).unwrap();
    }
}

fn rules() -> Vec<CaptureRule> {
    let rule = |name: &str| {
        serde_json::from_value(serde_json::json!({
            "rule": name, "per_minute": 1000, "per_hour": 64, "per_day": 96
        }))
        .unwrap()
    };
    vec![rule("event"), rule("random"), rule("event")]
}

fn at(seconds: u64) -> Monotonic {
    Monotonic::from_nanos(seconds * 1_000_000_000)
}

fn taken(shares: &mut Shares, rule: usize, now: u64, wall: u64) -> usize {
    (0..200).filter(|_| shares.take(rule, at(now), wall).is_ok()).count()
}

#[test]
fn what_is_set_narrows_is_taken_back_and_what_was_used_stays_used() {
    let device = Device::new();
    let (mut shares, problem) = device.open(NOON);
    assert_eq!((problem, shares.look(at(0), NOON)), (None, Ok(None)), "nothing is set");
    assert!((0..5).all(|_| shares.take(1, at(1), NOON).is_ok()));
    device
        .set(r#"{"schema":1,"set_by":"north 3","rules":{"random":{"per_hour":7},"event":{"per_day":900}}}"#);
    let said = shares.look(at(2), NOON).unwrap().unwrap();
    assert!(said.contains("north 3") && said.contains("random 1000 a minute, 7 an hour, 96 a day"), "{said}");
    assert_eq!(taken(&mut shares, 1, 3, NOON), 2, "five of seven were used");
    assert_eq!(taken(&mut shares, 0, 3, NOON), 64, "no limit is raised");
    device.set(r#"{"schema":1,"set_by":"north 4","rules":{"random":{"per_minute":0}}}"#);
    shares.look(at(4), NOON).unwrap().unwrap();
    assert_eq!(taken(&mut shares, 1, 100_000, NOON + 100_000), 0, "none at all");
    std::fs::remove_file(device.path("depot/capture-limits.json")).unwrap();
    let said = shares.look(at(100_001), NOON).unwrap().unwrap();
    assert!(said.contains("own limits hold"), "{said}");
    assert_eq!(taken(&mut shares, 1, 100_002, NOON + 100_002), 64);
}

#[test]
fn what_is_not_understood_leaves_the_configurations_own_and_is_told_once() {
    let device = Device::new();
    let (mut shares, _) = device.open(NOON);
    for (second, text) in
        ["{", r#"{"schema":2,"all":"other"}"#, r#"{"schema":1,"set_by":"a","rules":{"random":{"redact":0}}}"#]
            .iter()
            .enumerate()
    {
        device.set(r#"{"schema":1,"set_by":"north 3","rules":{"random":{"per_day":0}}}"#);
        let second = second as u64 * 100_000;
        shares.look(at(second), NOON + second).unwrap().unwrap();
        assert_eq!(taken(&mut shares, 1, second, NOON + second), 0);
        device.set(text);
        let said = shares.look(at(second), NOON + second).unwrap_err();
        assert!(said.contains("the configuration's own hold"), "{said}");
        assert_eq!(shares.look(at(second), NOON + second), Ok(None), "once");
        assert_eq!(taken(&mut shares, 1, second, NOON + second), 64);
    }
}

#[test]
fn a_vehicle_that_starts_ten_times_a_day_has_one_days_share_of_each_rule() {
    let device = Device::new();
    let (mut orderly, mut killed) = (0, 0);
    for start in 0..10 {
        let wall = NOON + start * 4_000;
        let (mut shares, problem) = device.open(wall);
        assert_eq!(problem, None);
        orderly += (0..20).filter(|_| shares.take(0, at(9), wall).is_ok()).count();
        shares.close(at(10), wall);
        // A rule of the same kind has its own share.
        let (mut shares, _) = device.open(wall);
        killed += (0..20).filter(|_| shares.take(2, at(9), wall).is_ok()).count();
    }
    assert_eq!(orderly, 96);
    // Each cut counts up to a step of three too many.
    assert!((84..96).contains(&killed), "{killed}");
    let (mut shares, _) = device.open(NOON + 86_401);
    assert_eq!(taken(&mut shares, 0, 9, NOON + 86_401), 64, "the next day");
}

#[test]
fn it_is_written_in_steps_and_what_cannot_be_written_is_not_taken() {
    let device = Device::new();
    let (mut shares, _) = device.open(NOON);
    let state = device.path("state/capture.json");
    let mut written = std::collections::BTreeSet::new();
    for number in 1..=64 {
        shares.take(1, at(5), NOON).unwrap();
        let used = read(&state).unwrap().unwrap().rules[1].day.used;
        assert!((number..number + 3).contains(&used), "{used} for {number}");
        written.insert(used);
    }
    assert_eq!(written.len(), 22, "96 a day in steps of three");
    // A folder in its place cannot be replaced.
    std::fs::remove_file(&state).unwrap();
    std::fs::create_dir_all(state.join("x")).unwrap();
    let refused = shares.take(0, at(6), NOON).unwrap_err();
    assert!(
        matches!(&refused, Unpaid::Unwritten(problem) if problem.contains("capture.json")),
        "{refused:?}"
    );
    let (mut shares, problem) = device.open(NOON);
    assert!(problem.unwrap().contains("no rule takes a frame for a day"));
    assert_eq!(taken(&mut shares, 0, 7, NOON), 0);
}

#[test]
fn a_file_that_is_broken_counts_as_all_used_for_one_day_and_no_longer() {
    let device = Device::new();
    std::fs::write(device.path("state/capture.json"), "{").unwrap();
    let (mut shares, problem) = device.open(NOON);
    assert!(problem.is_some());
    assert_eq!(taken(&mut shares, 0, 1, NOON), 0);
    for hour in 1..24 {
        let (mut shares, problem) = device.open(NOON + hour * 3_600);
        assert_eq!((problem, taken(&mut shares, 0, 1, NOON + hour * 3_600)), (None, 0), "{hour}");
    }
    let (mut shares, _) = device.open(NOON + 86_400);
    assert_eq!(taken(&mut shares, 0, 1, NOON + 86_400), 64);
}
