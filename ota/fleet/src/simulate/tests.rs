use super::*;
use crate::rollouts::USUAL_STAGES;

fn plan(devices: u32) -> Plan {
    Plan {
        ids: Plan::numbered(devices),
        nights: 30,
        parked_percent: 85,
        away_percent: 2,
        hours_a_day: 1.5,
        alerts_an_hour: 0.2,
        bundle_bytes: 4 << 20,
        stages: USUAL_STAGES.to_vec(),
        cohort: Vec::new(),
        exclude: Vec::new(),
        gates: Gates::default(),
        window: Window { local: Some((60, 300)), parked: true, ..Window::default() },
        salt: "a salt".into(),
        sample: 20_000,
        name_them: false,
    }
}

#[test]
fn a_good_model_reaches_all_a_crashing_and_a_silently_worse_one_reach_a_hundredth() {
    let said = run(&plan(30_000)).unwrap();
    println!("{}", said.words.join("\n"));
    assert_eq!(said.exit, Exit::Done);
    let courses = said.json["courses"].as_array().unwrap();
    let [good, crashing, worse] = &courses[..] else { panic!("three courses") };
    assert!(good["paused"].is_null() && good["nights_to_all"].as_u64().is_some(), "{good}");
    assert!(good["abort_latency_s"][0].as_u64() < good["abort_latency_s"][1].as_u64());
    for bad in [crashing, worse] {
        assert!(bad["paused"].is_string() && bad["reached_bp"].as_u64().unwrap() < 200, "{bad}");
    }
    assert!(said.json["spread"]["chi_squared"].as_f64().unwrap() < 149.0, "99 degrees, one in a thousand");
}

#[test]
fn who_gets_it_is_who_the_rollout_names() {
    let plan = Plan { parked_percent: 100, away_percent: 0, nights: 1, name_them: true, ..plan(2000) };
    let said = run(&plan).unwrap();
    let who = said.json["courses"][0]["nights"][0]["who"].as_array().unwrap();
    let named = plan.ids.iter().filter(|id| bucket(&plan.salt, id) < 100);
    assert_eq!(who.iter().map(|id| id.as_str().unwrap()).collect::<Vec<_>>(), named.collect::<Vec<_>>());
    assert!(!who.is_empty());
}

#[test]
fn the_cohort_gets_it_in_the_first_night_and_the_excluded_never() {
    let everywhere = Plan { parked_percent: 100, away_percent: 0, name_them: true, ..plan(400) };
    let (first, never) = (everywhere.ids[..9].to_vec(), everywhere.ids[300..].to_vec());
    let plan = Plan { cohort: first.clone(), exclude: never.clone(), nights: 1, ..everywhere };
    let who = |plan: &Plan| {
        let said = run(plan).unwrap();
        let who = said.json["courses"][0]["nights"][0]["who"].as_array().unwrap().clone();
        who.iter().map(|id| id.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let early = who(&plan);
    assert!(first.iter().all(|id| early.contains(id)), "{early:?}");
    let all = who(&Plan { stages: vec![Stage { bp: ALL_BP, min_dwell_s: 0 }], ..plan });
    assert_eq!(all.len(), 300);
    assert!(!never.iter().any(|id| all.contains(id)));
}
