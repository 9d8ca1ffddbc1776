use super::*;

/// A record at `at` seconds with one situation in `phase`, or none, and `deceleration` commanded.
fn record(at: f64, situations: &[(u32, &str, &str)], deceleration: f32) -> String {
    let situations: Vec<_> = situations
        .iter()
        .map(|(id, kind, phase)| {
            serde_json::json!({"id": id, "kind": kind, "phase": phase, "since_ns": 0, "score": 0.9, "reachable": true})
        })
        .collect();
    let command = serde_json::json!({
        "row": "idle", "valid": true, "armed": false, "deceleration": deceleration, "hold": false,
        "parking_brake": false, "disengage": false, "escalate": false, "persons_down": 0, "monitoring_lost": false,
    });
    serde_json::json!({
        "schema": 1, "frame": (at * 10.0) as u64, "source": "clip", "captured_ns": 0,
        "captured_wall": "1970-01-01T00:00:00.000000Z", "position_us": (at * 1e6) as u64, "image_size": [640, 360],
        "model": {"name": "m", "version": "1.0.0", "digest": "", "role": "active"}, "detections": [],
        "situations": situations, "command": command,
        "latency_us": {"capture": 0, "prepare": 0, "infer": 0, "decode": 0},
    })
    .to_string()
}

/// Twenty seconds at 10 frames a second: a sign found, a sign found twice, a person who is none; a fall is missed.
fn run() -> Run {
    let lines: Vec<String> = (0..200)
        .map(|at| {
            let at = f64::from(at) / 10.0;
            let mut here = Vec::new();
            match at {
                2.0..3.0 => here.push((1, "stop_sign", "confirmed")),
                3.0..4.0 => here.push((1, "stop_sign", "warning")),
                4.0..5.0 => here.push((1, "stop_sign", "braking")),
                8.0..9.0 => here.push((2, "stop_sign", "warning")),
                9.5..10.0 => here.push((3, "stop_sign", "warning")),
                15.0..15.5 => here.push((4, "pedestrian", "braking")),
                16.0..18.0 => here.push((5, "pedestrian", "suspected")),
                _ => {}
            }
            let brakes = (4.0..5.0).contains(&at) || (15.0..15.5).contains(&at);
            record(at, &here, if brakes { 3.0 } else { 0.0 })
        })
        .collect();
    Run::read(lines.join("\n").as_bytes()).expect("reads")
}

fn truth() -> Truth {
    Truth::from_json(
        br#"{"schema": 1, "clip": "c", "events": [
            {"kind": "fall", "from_s": 12, "to_s": 14},
            {"kind": "stop_sign", "from_s": 2.5, "to_s": 5, "visible_from_s": 1.5},
            {"kind": "stop_sign", "from_s": 8, "to_s": 10}]}"#,
    )
    .expect("reads")
}

#[test]
fn events_are_found_once_and_what_finds_none_is_false() {
    let verdict = judge(&run(), &truth());
    let all = verdict.kinds.last().expect("all together");
    assert_eq!((all.kind.as_str(), all.events, all.found, all.reports, all.wrong), ("all", 3, 2, 4, 2));
    assert_eq!((all.precision, all.recall), (Some(0.5), Some(2.0 / 3.0)));
    assert_eq!(verdict.false_reports.iter().map(|report| report.situation).collect::<Vec<_>>(), [4]);
    assert_eq!(verdict.repeated.iter().map(|report| report.situation).collect::<Vec<_>>(), [3]);
    let times: Vec<_> = verdict.events.iter().map(|found| found.time_to_decision_s).collect();
    assert_eq!(times, [Some(1.5), Some(0.0), None]);
    assert_eq!(verdict.events[0].report.as_ref().and_then(|report| report.brake_s), Some(4.0));
    assert_eq!(verdict.brake_onsets, Onsets::Command(vec![4.0, 15.0]));
    let per_hour = all.wrong_per_hour.expect("hours");
    assert!((per_hour - 2.0 / (19.9 / 3600.0)).abs() < 1e-6, "{per_hour}");
    let text = verdict.text();
    assert!(
        text.contains("missed: fall 12.00 s to 14.00 s") && text.contains("false: pedestrian 4"),
        "{text}"
    );
}

#[test]
fn bounds_are_garwoods() {
    // Chi-square quantiles ÷ 2, as tables give them.
    for (count, bound) in [(0, 2.995_732), (1, 4.743_865), (2, 6.295_794), (10, 16.962_22), (100, 118.079)] {
        assert!((upper_bound(count) - bound).abs() < 2e-3, "{count}: {}", upper_bound(count));
    }
}

#[test]
fn none_in_a_hundred_hours_is_at_most_three_hundredths_per_hour() {
    let run = Run { hours: 100.0, ..Run::default() };
    let truth = Truth { schema: 1, clip: String::new(), note: String::new(), events: Vec::new() };
    let all = &judge(&run, &truth).kinds[0];
    assert_eq!((all.wrong_per_hour, all.precision), (Some(0.0), None));
    assert!((all.wrong_per_hour_at_most.expect("hours") - 0.03).abs() < 1e-4);
}

#[test]
fn truth_that_cannot_be_is_refused_by_event() {
    let told = |events: &str| {
        let text = format!("{{\"schema\": 1, \"events\": [{events}]}}");
        Truth::from_json(text.as_bytes()).expect_err("refused").to_string()
    };
    assert!(told(r#"{"kind": "cat", "from_s": 0, "to_s": 1}"#).contains("event 0: kind \"cat\""));
    assert!(told(r#"{"kind": "fall", "from_s": 3, "to_s": 1}"#).contains("rising times"));
    assert!(told(r#"{"kind": "fall", "from_s": 0, "to_s": 1, "x": 1}"#).contains("unknown field"));
    assert!(Truth::from_json(br#"{"schema": 2, "events": []}"#).is_err());
}

#[test]
fn records_that_say_nothing_of_decisions_are_refused() {
    let mut plain: serde_json::Value = serde_json::from_str(&record(0.0, &[], 0.0)).expect("JSON");
    plain.as_object_mut().expect("object").remove("command");
    let told = Run::read(plain.to_string().as_bytes()).expect_err("refused").to_string();
    assert!(told.contains("none of 1 records says what was decided"), "{told}");
    assert!(Run::read(&b"{}"[..]).expect_err("refused").to_string().contains("record 1"));
}
