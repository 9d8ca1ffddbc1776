use proptest::prelude::*;

use super::super::Reading;
use super::*;

fn config(offset_us: i64) -> VehicleConfig<()> {
    serde_json::from_value(serde_json::json!({ "source": "track", "file": "x", "offset_us": offset_us }))
        .unwrap()
}

fn read(text: &str) -> Result<Histories, Wrong> {
    parse(text.as_bytes(), &config(0))
}

fn us(micros: u64) -> Monotonic {
    Monotonic::from_nanos(micros * 1_000)
}

const SOUND: &str = "# stopline signal track, schema 1\n# invented\ntime_us,speed,ignition\n-5000,9,1\n0,10,1\n\
                     100000,11,\n200000,!,0\n";

#[test]
fn a_track_is_read_on_the_clips_timeline() {
    let track = read(SOUND).unwrap();
    assert_eq!(track.at(us(50_000)).of(Quantity::Speed), Reading::Fresh(10.5));
    assert_eq!(track.at(us(200_000)).of(Quantity::Speed), Reading::Invalid);
    assert_eq!(track.at(us(150_000)).of(Quantity::Ignition), Reading::Fresh(1.0));
    assert_eq!(track.at(us(200_000)).of(Quantity::Ignition), Reading::Fresh(0.0));
    let moved = parse(SOUND.as_bytes(), &config(5_000)).unwrap();
    assert_eq!(moved.at(us(0)).of(Quantity::Speed), Reading::Fresh(9.0));
}

#[test]
fn what_is_wrong_in_a_track_is_told_by_line() {
    let head = "# stopline signal track, schema 1\n";
    let cases = [
        ("time_us,speed\n", 1, "begins with"),
        ("# stopline signal track, schema 2\n", 1, "schema 1"),
        (&format!("{head}time,speed\n"), 2, "expected \"time_us\""),
        (&format!("{head}time_us,sped\n"), 2, "did you mean speed?"),
        (&format!("{head}time_us,speed,speed\n"), 2, "twice"),
        (&format!("{head}time_us,speed\n0,1\n0,1\n"), 4, "more than the line before (0)"),
        (&format!("{head}time_us,speed\n0,1,2\n"), 3, "2 values; expected 1"),
        (&format!("{head}time_us,speed\n0,fast\n"), 3, "expected a number"),
        (&format!("{head}time_us,speed\n0,NaN\n"), 3, "expected a number"),
        (&format!("{head}time_us,ignition\n0,2\n"), 3, "expected 0, 1"),
        (&format!("{head}time_us,speed\n1.5,2\n"), 3, "whole microseconds"),
    ];
    for (text, line, what) in cases {
        let (found, said) = read(text).err().unwrap();
        assert_eq!(found, Some(line), "{text}: {said}");
        assert!(said.contains(what), "{text}: {said}");
    }
    assert!(read(&format!("{head}time_us,speed\n")).err().unwrap().1.contains("no samples"));
    assert!(read(head).err().unwrap().1.contains("ends before"));
    let long = format!("{head}# {}\n", "x".repeat(5_000));
    assert!(read(&long).err().unwrap().1.contains("longer than 4096 bytes"));
    assert!(
        parse::<()>(b"# stopline signal track, schema 1\n\xFF\n", &config(0))
            .err()
            .unwrap()
            .1
            .contains("UTF-8")
    );
}

#[test]
fn a_written_track_is_read_again() {
    let mut text = Vec::new();
    write_head(&mut text, &["by a test"], &[Quantity::Speed, Quantity::Release]).unwrap();
    write_line(&mut text, 0, &[Some(0.1), Some(1.0)]).unwrap();
    write_line(&mut text, 10, &[None, Some(0.0)]).unwrap();
    let track = parse(&text, &config(0)).unwrap();
    assert_eq!(track.at(us(0)).of(Quantity::Speed), Reading::Fresh(0.1));
    assert_eq!(track.at(us(10)).of(Quantity::Speed), Reading::Invalid);
    assert_eq!(track.at(us(10)).of(Quantity::Release), Reading::Fresh(0.0));
}

proptest! {
    #[test]
    fn no_bytes_are_more_than_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200), sound in 0..SOUND.len()) {
        let mut whole = SOUND.as_bytes()[..sound].to_vec();
        whole.extend(bytes);
        if let Ok(track) = parse(&whole, &config(0)) {
            let _ = track.at(us(1));
        }
    }
}
