use std::vec::Vec;

use proptest::prelude::*;

use super::*;

const VECTORS: &str = include_str!("vectors.txt");

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn number(hex: &str) -> u16 {
    u16::from_str_radix(hex, 16).unwrap()
}

/// The protection of a line of `vectors.txt`, and its frame.
fn vector(line: &str) -> (Protection, Vec<u8>) {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        ["p01", mode, id, frame] => {
            let mode = match *mode {
                "both" => DataIdMode::Both,
                "nibble" => DataIdMode::Nibble,
                "low" => DataIdMode::Low,
                "alternating" => DataIdMode::Alternating,
                other => panic!("{other}"),
            };
            (Protection::p01(number(id), mode), bytes(frame))
        }
        ["p02", ids, frame] => (Protection::P02 { data_ids: bytes(ids).try_into().unwrap() }, bytes(frame)),
        ["p05", id, frame] => (Protection::P05 { data_id: number(id), offset: 0 }, bytes(frame)),
        ["hyundai", at, frame] => (Protection::hyundai(at.parse().unwrap(), None), bytes(frame)),
        ["nissan", at, frame] => (Protection::nissan(at.parse().unwrap(), None), bytes(frame)),
        other => panic!("{other:?}"),
    }
}

fn vectors() -> impl Iterator<Item = &'static str> {
    VECTORS.lines().filter(|line| !line.starts_with('#'))
}

#[test]
fn frames_of_independent_implementations_are_right_and_ours_are_the_same() {
    let mut kinds = std::collections::BTreeMap::<&str, usize>::new();
    for line in vectors() {
        let (protection, frame) = vector(line);
        assert_eq!(protection.fits(frame.len()), Ok(()), "{line}");
        assert!(protection.is_intact(&frame), "{line}");
        let counter = protection.counter().map_or(0, |counter| counter.read(&frame));
        let mut ours = frame.clone();
        let crc = usize::from(protection.crc_byte());
        ours[crc] ^= 0xFF;
        protection.write(&mut ours, counter);
        assert_eq!(ours, frame, "{line}");
        *kinds.entry(line.split_whitespace().next().unwrap()).or_default() += 1;
    }
    assert_eq!(
        kinds.into_iter().collect::<Vec<_>>(),
        [("hyundai", 20), ("nissan", 20), ("p01", 136), ("p02", 16), ("p05", 20)]
    );
}

#[test]
fn every_flipped_bit_of_a_protected_frame_is_seen() {
    for line in vectors() {
        let (protection, frame) = vector(line);
        for bit in 0..frame.len() * 8 {
            let mut broken = frame.clone();
            broken[bit / 8] ^= 1 << (bit % 8);
            assert!(!protection.is_intact(&broken), "{line}: bit {bit}");
        }
    }
}

#[test]
fn checksums_have_their_catalogued_check_values() {
    let nine = b"123456789";
    // From the catalogue of parametrised CRC algorithms (reveng): the check value is the sum over "123456789".
    assert_eq!(Crc8 { poly: 0x1D, init: 0xFF, xorout: 0xFF }.of(nine), 0x4B, "CRC-8/SAE-J1850");
    assert_eq!(Crc8::E2E_P02.of(nine), 0xDF, "CRC-8/AUTOSAR");
    assert_eq!(Crc8 { poly: 0x1D, init: 0xFD, xorout: 0x00 }.of(nine), 0x7E, "CRC-8/I-CODE");
    assert_eq!(crc16([&nine[..4], &nine[4..]]), 0x29B1, "CRC-16/IBM-3740");
}

fn pair(protection: Protection) -> (Sender, Checker) {
    (Sender::new(protection, 8).unwrap(), Checker::new(protection, CheckConfig::default(), 8).unwrap())
}

fn next(sender: &mut Sender) -> [u8; 8] {
    let mut frame = [0, 0x50, 3, 4, 5, 6, 7, 8];
    assert!(sender.protect(&mut frame));
    frame
}

#[test]
fn the_first_frame_is_initial_and_then_all_are_ok_over_the_counters_end() {
    let (mut sender, mut checker) = pair(Protection::default());
    assert_eq!(checker.check(&next(&mut sender)), Check::Initial);
    let mut counters = Vec::new();
    for _ in 0..31 {
        let frame = next(&mut sender);
        counters.push(frame[1] & 0x0F);
        assert_eq!(frame[1] & 0xF0, 0x50, "data beside the counter stays");
        assert_eq!(checker.check(&frame), Check::Ok);
    }
    assert_eq!(counters[..16], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0, 1], "15 is reserved");
    assert_eq!(checker.tally(), Tally { usable: 31, ..Tally::default() });
}

#[test]
fn a_repeated_frame_is_not_new() {
    let (mut sender, mut checker) = pair(Protection::default());
    checker.check(&next(&mut sender));
    let frame = next(&mut sender);
    assert_eq!(checker.check(&frame), Check::Ok);
    assert_eq!(checker.check(&frame), Check::Repeated);
    assert_eq!(checker.check(&next(&mut sender)), Check::Ok);
    assert_eq!(checker.tally().repeated, 1);
}

#[test]
fn one_lost_frame_is_borne_and_two_are_not() {
    let (mut sender, mut checker) = pair(Protection::default());
    checker.check(&next(&mut sender));
    next(&mut sender);
    assert_eq!(checker.check(&next(&mut sender)), Check::SomeLost(1));
    next(&mut sender);
    next(&mut sender);
    assert_eq!(checker.check(&next(&mut sender)), Check::WrongSequence);
    // It must prove itself again: two frames in order.
    assert_eq!(checker.check(&next(&mut sender)), Check::Sync);
    assert_eq!(checker.check(&next(&mut sender)), Check::Sync);
    assert_eq!(checker.check(&next(&mut sender)), Check::Ok);
    let tally = checker.tally();
    assert_eq!((tally.usable, tally.lost, tally.wrong_sequence), (2, 1, 1));
}

#[test]
fn silence_that_was_noticed_lets_the_counter_move_on() {
    let (mut sender, mut checker) = pair(Protection::default());
    checker.check(&next(&mut sender));
    for _ in 0..4 {
        next(&mut sender);
        assert_eq!(checker.nothing(), Check::NoNewData);
    }
    assert_eq!(checker.check(&next(&mut sender)), Check::SomeLost(4));
}

#[test]
fn after_long_silence_a_sender_proves_itself_again() {
    let config = CheckConfig { max_no_new: 3, ..CheckConfig::default() };
    let mut sender = Sender::new(Protection::default(), 8).unwrap();
    let mut checker = Checker::new(Protection::default(), config, 8).unwrap();
    checker.check(&next(&mut sender));
    for _ in 0..3 {
        checker.nothing();
    }
    assert_eq!(checker.check(&next(&mut sender)), Check::Ok, "three were allowed");
    for _ in 0..4 {
        checker.nothing();
    }
    assert_eq!(checker.check(&next(&mut sender)), Check::Sync);
    assert_eq!(checker.check(&next(&mut sender)), Check::Sync);
    assert_eq!(checker.check(&next(&mut sender)), Check::Ok);
}

#[test]
fn frames_of_another_sender_are_corrupt_here() {
    for mode in [DataIdMode::Both, DataIdMode::Alternating, DataIdMode::Low, DataIdMode::Nibble] {
        let mut masquerade = Sender::new(Protection::p01(0x0A18, mode), 8).unwrap();
        let mut checker = Checker::new(Protection::p01(0x0B17, mode), CheckConfig::default(), 8).unwrap();
        for _ in 0..20 {
            assert_eq!(checker.check(&next(&mut masquerade)), Check::WrongCrc, "{mode:?}");
        }
        assert_eq!(checker.tally().wrong_crc, 20);
    }
}

#[test]
fn a_sender_that_differs_in_the_nibble_only_is_another_sender() {
    let mut other = Sender::new(Protection::p01(0x0A17, DataIdMode::Nibble), 8).unwrap();
    let mut checker =
        Checker::new(Protection::p01(0x0B17, DataIdMode::Nibble), CheckConfig::default(), 8).unwrap();
    assert_eq!(checker.check(&next(&mut other)), Check::WrongCrc);
}

#[cfg(feature = "serde")]
#[test]
fn a_configuration_names_what_differs_from_the_profile() {
    let read = |text: &str| toml::from_str::<Protection>(text);
    assert_eq!(read("profile = 'p01'\ndata_id = 0x0518").unwrap(), Protection::default());
    let nibble = read("profile = 'p01'\ndata_id = 0x0518\nmode = 'nibble'").unwrap();
    assert_eq!(nibble, Protection::p01(0x0518, DataIdMode::Nibble));
    assert_eq!(read("profile = 'p05'\ndata_id = 7").unwrap(), Protection::P05 { data_id: 7, offset: 0 });
    let custom = "profile = 'custom'\npoly = 0x1D\ninit = 0x22\nxorout = 0xDF\ncrc_byte = 6\n\
                  counter = { bit = 52, width = 4, highest = 15 }";
    let counter = Some(Counter { bit: 52, width: 4, highest: 15 });
    assert_eq!(read(custom).unwrap(), Protection::hyundai(6, counter));
    for (text, reason) in [
        ("profile = 'p03'\ndata_id = 1", "p03"),
        ("profile = 'p01'\ndata_id = 1\nmodus = 'low'", "modus"),
        ("profile = 'p01'", "data_id"),
        ("profile = 'p01'\ndata_id = 70000", "70000"),
    ] {
        let error = read(text).expect_err(reason);
        assert!(std::format!("{error}").contains(reason), "{error}");
    }
}

#[test]
fn a_frame_of_another_length_is_corrupt_and_is_not_protected() {
    let (mut sender, mut checker) = pair(Protection::default());
    let mut short = [1, 2, 3];
    assert!(!sender.protect(&mut short));
    assert_eq!(short, [1, 2, 3]);
    assert_eq!(checker.check(&short), Check::WrongCrc);
    assert_eq!(checker.check(&[]), Check::WrongCrc);
}

#[test]
fn the_reserved_counter_is_corrupt() {
    let protection = Protection::default();
    let mut frame = [0u8; 8];
    protection.write(&mut frame, 15);
    assert!(protection.is_intact(&frame));
    let mut checker = Checker::new(protection, CheckConfig::default(), 8).unwrap();
    assert_eq!(checker.check(&frame), Check::WrongCrc);
}

#[test]
fn endless_silence_overflows_nothing() {
    for protection in
        [Protection::default(), Protection::P05 { data_id: 1, offset: 0 }, Protection::nissan(7, None)]
    {
        let (mut sender, mut checker) = pair(protection);
        checker.check(&next(&mut sender));
        for _ in 0..1_000 {
            assert_eq!(checker.nothing(), Check::NoNewData);
        }
        assert_ne!(checker.check(&next(&mut sender)), Check::WrongCrc);
    }
}

#[test]
fn without_a_counter_every_whole_frame_is_usable() {
    let (mut sender, mut checker) = pair(Protection::nissan(7, None));
    for _ in 0..3 {
        let frame = next(&mut sender);
        assert_eq!(checker.check(&frame), Check::Ok);
        assert_eq!(checker.check(&frame), Check::Ok);
    }
}

#[test]
fn a_makers_own_counter_wraps_where_it_says() {
    let counter = Counter { bit: 52, width: 2, highest: 3 };
    let (mut sender, mut checker) = pair(Protection::hyundai(7, Some(counter)));
    assert_eq!(checker.check(&next(&mut sender)), Check::Initial);
    for turn in 1..10u8 {
        let frame = next(&mut sender);
        assert_eq!(frame[6] >> 4 & 0b11, turn % 4);
        assert_eq!(frame[6] & 0b1100_1111, 7 & 0b1100_1111, "the bits around it stay");
        assert_eq!(checker.check(&frame), Check::Ok);
    }
}

#[test]
fn extra_bytes_go_into_the_sum_where_they_should() {
    let sum = |extra: ExtraBytes| {
        let custom = Custom { poly: 0x1D, init: 0, xorout: 0, data_id: extra, crc_byte: 0, counter: None };
        custom.checksum(&[0xEE, 1, 2])
    };
    let of = |bytes: &[u8]| Crc8::E2E_P01.of(bytes);
    assert_eq!(sum(ExtraBytes::None), of(&[1, 2]));
    assert_eq!(sum(ExtraBytes::BeforeOne(9)), of(&[9, 1, 2]));
    assert_eq!(sum(ExtraBytes::BeforeTwo(0x0908)), of(&[8, 9, 1, 2]));
    assert_eq!(sum(ExtraBytes::AfterOne(9)), of(&[1, 2, 9]));
    assert_eq!(sum(ExtraBytes::AfterTwo(0x0908)), of(&[1, 2, 8, 9]));
}

#[test]
fn profile_5_with_an_offset_leaves_what_is_before_it_to_data() {
    let protection = Protection::P05 { data_id: 0x1234, offset: 8 };
    let mut sender = Sender::new(protection, 16).unwrap();
    // The crate autosar-e2e 1.0.0 gives these for a frame of zeros.
    let mut frame = [0u8; 16];
    assert!(sender.protect(&mut frame));
    assert_eq!(frame[8..11], [0x28, 0x91, 0]);
    assert!(sender.protect(&mut frame));
    assert_eq!(frame[10], 1);
    assert!(protection.is_intact(&frame));
}

#[test]
fn what_does_not_fit_is_refused_with_the_reason() {
    let custom = |crc_byte, counter| Protection::nissan(crc_byte, counter);
    let counter = |bit, width, highest| Some(Counter { bit, width, highest });
    let nibble_at = |nibble_bit| Protection::P01 {
        data_id: 1,
        mode: DataIdMode::Nibble,
        crc_byte: 0,
        counter_bit: 8,
        nibble_bit,
    };
    let cases: [(Protection, usize, &str); 13] = [
        (custom(8, None), 8, "the checksum is in byte 8 of a frame of 8 bytes"),
        (custom(0, None), 0, "the checksum is in byte 0 of a frame of 0 bytes"),
        (custom(0, None), 65, "a frame of 65 bytes; expected at most 64"),
        (custom(0, counter(64, 4, 14)), 8, "the counter is in byte 8"),
        (custom(0, counter(8, 9, 14)), 8, "a counter of 9 bits up to 14"),
        (custom(0, counter(8, 0, 0)), 8, "a counter of 0 bits"),
        (custom(0, counter(14, 4, 14)), 8, "a counter of 4 bits up to 14"),
        (custom(0, counter(8, 4, 16)), 8, "a counter of 4 bits up to 16"),
        (custom(0, counter(8, 4, 0)), 8, "a counter of 4 bits up to 0"),
        (custom(0, counter(4, 4, 14)), 8, "overlap in byte 0"),
        (nibble_at(8), 8, "overlap in byte 1"),
        (nibble_at(64), 8, "in byte 8"),
        (Protection::P05 { data_id: 0, offset: 6 }, 8, "the counter is in byte 8"),
    ];
    for (protection, length, reason) in cases {
        let error = protection.fits(length).expect_err(reason);
        let text = std::format!("{error}");
        assert!(text.contains(reason), "{text}; expected {reason}");
        assert!(Sender::new(protection, length).is_err());
        assert!(Checker::new(protection, CheckConfig::default(), length).is_err());
    }
    assert_eq!(Protection::P05 { data_id: 0, offset: 6 }.fits(9), Ok(()));
    assert_eq!(custom(7, counter(8, 8, 255)).fits(8), Ok(()));
    assert_eq!(custom(7, None).fits(64), Ok(()), "the longest");
    assert!(Protection::P05 { data_id: 0, offset: 254 }.fits(64).is_err());
}

#[test]
fn the_words_of_a_check_differ_and_only_two_are_usable() {
    let all = [
        Check::Ok,
        Check::SomeLost(1),
        Check::Repeated,
        Check::WrongSequence,
        Check::WrongCrc,
        Check::Initial,
        Check::Sync,
        Check::NoNewData,
    ];
    let codes: std::collections::BTreeSet<&str> = all.iter().map(|check| check.code()).collect();
    assert_eq!(codes.len(), all.len());
    assert_eq!(all.iter().filter(|check| check.is_usable()).count(), 2);
}

proptest! {
    #[test]
    fn whatever_arrives_is_judged(frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..70), 0..30)) {
        let mut checkers = [
            Checker::new(Protection::default(), CheckConfig::default(), 8).unwrap(),
            Checker::new(Protection::P05 { data_id: 7, offset: 0 }, CheckConfig::default(), 8).unwrap(),
            Checker::new(Protection::P02 { data_ids: [3; 16] }, CheckConfig::default(), 8).unwrap(),
        ];
        for frame in &frames {
            for checker in &mut checkers {
                let found = checker.check(frame);
                prop_assert!(frame.len() == 8 || found == Check::WrongCrc);
            }
        }
    }

    #[test]
    fn a_frame_is_usable_only_after_a_loss_that_is_borne(losses in prop::collection::vec(0u8..14, 1..60)) {
        // Below a whole turn of the counter: beyond it four bits cannot tell.
        let (mut sender, mut checker) = pair(Protection::default());
        checker.check(&next(&mut sender));
        let mut proving = 0;
        for lost in losses {
            for _ in 0..lost {
                next(&mut sender);
            }
            let found = checker.check(&next(&mut sender));
            let borne = lost <= 1;
            prop_assert_eq!(found.is_usable(), borne && proving == 0, "{} lost, {:?}", lost, found);
            proving = if borne { proving.max(1) - 1 } else { 2 };
        }
    }
}
