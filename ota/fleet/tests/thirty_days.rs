//! Thirty faked days with `refresh`, then the alarm without.
#![allow(clippy::unwrap_used)] // what cannot be prepared fails the test

mod desk;

use desk::{Desk, day, hours, words};
use stopline_fleet::exit::Exit;
use stopline_fleet::{expiry, models};

const PATH: &str = "models/stop-sign/stop-sign-1.0.0.slb";

#[test]
fn thirty_days_with_refresh_then_the_alarm_without() {
    let desk = Desk::new();
    desk.release("stop-sign", "1.0.0", day(0)).unwrap();
    desk.start("stop-sign", "one", day(0)).unwrap();
    let mut vehicle = desk.vehicle();
    let mut signed = 0;
    // A timer every six hours; most times nothing is due.
    for six in 1..=120 {
        let now = hours(6 * six);
        let said = desk.refresh(now).unwrap();
        signed += u32::from(!said.json["published"].is_null());
        let status = expiry::status(&desk.store, &desk.root(), now).unwrap();
        assert_eq!(status.exit, Exit::Done, "after {six} times six hours: {}", words(&status));
        vehicle.find(&desk.store, PATH, now).unwrap();
        vehicle.find(&desk.store, "rollout/stop-sign.json", now).unwrap();
    }
    println!("signed anew {signed} times in 30 days");
    assert!((25..=40).contains(&signed), "{signed}: about once a day, at half of two days");
    // Then nobody refreshes.
    let mut seen = Vec::new();
    for hour in 0..=54 {
        let now = hours(30 * 24 + hour);
        let status = expiry::status(&desk.store, &desk.root(), now).unwrap();
        if seen.last().is_none_or(|(_, exit)| *exit != status.exit) {
            println!("{hour} h after the last timer: {:?}\n{}", status.exit, words(&status));
            seen.push((hour, status.exit));
        }
    }
    let order: Vec<Exit> = seen.iter().map(|(_, exit)| *exit).collect();
    assert_eq!(order, [Exit::Done, Exit::Warning, Exit::Alarm]);
    let refused = vehicle.find(&desk.store, PATH, hours(30 * 24 + 54)).unwrap_err();
    assert_eq!(refused.code(), "expired");
    // And it recovers as soon as somebody does.
    desk.refresh(hours(30 * 24 + 55)).unwrap();
    vehicle.find(&desk.store, PATH, hours(30 * 24 + 55)).unwrap();
}

#[test]
fn a_year_of_nightly_releases_keeps_the_metadata_small() {
    let nights = if desk::full() { 365 } else { 60 };
    let desk = Desk::new();
    let role = stopline_fleet::roles::models();
    let mut largest = 0;
    for night in 1..=nights {
        if night % 150 == 0 {
            desk.renew("root", day(night));
            desk.renew("targets", day(night));
        }
        desk.release("stop-sign", &format!("1.{night}.0"), day(night)).unwrap();
        desk.start("stop-sign", &format!("night-{night}"), day(night)).unwrap();
        largest = largest.max(desk.published().targets[&role].to_bytes().len());
    }
    println!("models metadata: at most {largest} bytes over {nights} nightly releases");
    assert!(largest <= 64 << 10);
    let records = models::read_records(&desk.store, "stop-sign").unwrap();
    assert_eq!(records.len(), usize::try_from(nights).unwrap(), "each release is remembered in its record");
}
