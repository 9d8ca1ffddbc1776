use proptest::prelude::*;

use super::*;

fn parked_at_night() -> Surroundings {
    Surroundings {
        local_minute: Some(120),
        network: Some(Network::Wifi),
        parked: Some(true),
        battery_percent: Some(80),
        mobile: MobileUse::default(),
    }
}

fn window(local: Option<(u16, u16)>, network: &[Network], parked: bool) -> Window {
    Window { local, network: network.iter().copied().collect(), parked }
}

/// Computed by a second implementation, in another language.
#[test]
fn places_in_the_night_and_pauses_are_these_numbers_on_every_machine() {
    for (id, day, night, over_midnight) in [
        ("device-1", 6_524, 4_687, 83_615),
        ("device-2", 10_656, 5_376, 84_132),
        ("0123456789abcdef0123456789abcdef", 35_672, 9_545, 859),
    ] {
        assert_eq!(poll_second(id, None), day, "{id}");
        assert_eq!(poll_second(id, Some((60, 300))), night, "{id}");
        assert_eq!(poll_second(id, Some((1380, 120))), over_midnight, "{id}");
    }
    assert_eq!([0, 1, 60, 600].map(|most| spread("device-1", "hint-7", most)), [0, 1, 53, 526]);
    assert_eq!(
        [1, 2, 3, 4, 9, 10, 100].map(|failures| back_off_ms("device-1", "x", failures, 1_000, 300_000)),
        [759, 1_151, 2_170, 5_087, 194_558, 153_280, 178_602]
    );
}

#[test]
fn a_fleet_asks_evenly_over_its_window() {
    let mut quarters = [0_u32; 16];
    for device in 0..16_000 {
        let second = poll_second(&format!("device-{device}"), Some((60, 300)));
        assert!(is_within((60, 300), u16::try_from(second / 60).unwrap()));
        quarters[usize::try_from((second - 3_600) / 900).unwrap()] += 1;
    }
    // 1000 each; five times the deviation of chance.
    assert!(quarters.iter().all(|count| (840..=1_160).contains(count)), "{quarters:?}");
}

#[test]
fn the_next_time_to_ask_is_today_or_tomorrow_and_never_now() {
    let at = poll_second("device-1", None);
    assert_eq!(seconds_to_poll("device-1", None, at), DAY_S);
    assert_eq!(seconds_to_poll("device-1", None, at - 1), 1);
    assert_eq!(seconds_to_poll("device-1", None, at + 1), DAY_S - 1);
}

#[test]
fn each_hindrance_is_named_and_waits_under_its_cause() {
    let night = window(Some((60, 300)), &[Network::Wifi, Network::Lte], true);
    let owner = Allowance {
        window: Window::default(),
        min_battery_percent: 30,
        mobile_day_bytes: Some(1_000),
        mobile_month_bytes: Some(5_000),
    };
    let may = |change: &dyn Fn(&mut Surroundings)| {
        let mut now = parked_at_night();
        change(&mut now);
        may_fetch(&night, &owner, &now, 600)
    };
    let on_lte = |now: &mut Surroundings, day_bytes, month_bytes| {
        now.network = Some(Network::Lte);
        now.mobile = MobileUse { day_bytes, month_bytes };
    };
    assert_eq!(may(&|_| ()), Ok(()));
    assert_eq!(may(&|now| now.network = None), Err(Hindrance::NoNetwork));
    assert_eq!(may(&|now| now.network = Some(Network::Ethernet)), Err(Hindrance::NetworkKind));
    assert_eq!(may(&|now| on_lte(now, 400, 4_400)), Ok(()), "to the last byte");
    assert_eq!(may(&|now| on_lte(now, 401, 401)), Err(Hindrance::DayBudget));
    assert_eq!(may(&|now| on_lte(now, 0, 4_401)), Err(Hindrance::MonthBudget));
    assert_eq!(may(&|now| now.local_minute = Some(300)), Err(Hindrance::LocalTime));
    assert_eq!(may(&|now| now.local_minute = None), Ok(()), "without a clock it may fetch");
    assert_eq!(may(&|now| now.parked = Some(false)), Err(Hindrance::NotParked));
    assert_eq!(may(&|now| now.parked = None), Err(Hindrance::NotParked), "unknown is not parked");
    assert_eq!(may(&|now| now.battery_percent = Some(29)), Err(Hindrance::Battery));
    assert_eq!(may(&|now| now.battery_percent = None), Err(Hindrance::Battery));
    assert_eq!(Hindrance::DayBudget.cause(), DeployCause::Network);
    assert_eq!(Hindrance::NotParked.cause(), DeployCause::Window);
}

#[test]
fn roaming_must_be_named_by_both() {
    let now = Surroundings { network: Some(Network::Roaming), ..parked_at_night() };
    let named = window(None, &[Network::Roaming], false);
    let owner = |window: Window| Allowance { window, ..Allowance::default() };
    assert_eq!(may_fetch(&named, &owner(named.clone()), &now, 1), Ok(()));
    assert_eq!(may_fetch(&named, &owner(Window::default()), &now, 1), Err(Hindrance::NetworkKind));
    assert_eq!(may_fetch(&Window::default(), &owner(named.clone()), &now, 1), Err(Hindrance::NetworkKind));
}

proptest! {
    #[test]
    fn what_the_owner_asks_for_never_widens(minute in 0_u16..1440, from in 0_u16..1440, to in 0_u16..1440, parked: Option<bool>) {
        let now = Surroundings { local_minute: Some(minute), parked, ..parked_at_night() };
        let rollout = window(Some((60, 300)), &[], true);
        let owner = Allowance { window: window(Some((from, to)), &[], false), ..Allowance::default() };
        if may_fetch(&rollout, &owner, &now, 1).is_ok() {
            prop_assert!(may_fetch(&rollout, &Allowance::default(), &now, 1).is_ok());
            prop_assert!(is_within((from, to), minute));
        }
    }

    #[test]
    fn a_pause_is_a_half_to_the_whole_and_never_overflows(failures: u32, first: u32, most: u32) {
        let pause = back_off_ms("d", "o", failures, first, most);
        prop_assert!(pause <= most);
        if failures > 33 && first > 0 { prop_assert!(pause >= most / 2); }
    }
}
