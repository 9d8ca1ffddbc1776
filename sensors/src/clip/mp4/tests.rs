use std::io::Cursor;

use proptest::prelude::*;

use super::*;

fn make(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let size = u32::try_from(content.len() + 8).unwrap();
    [&size.to_be_bytes()[..], name, content].concat()
}

fn words(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_be_bytes()).collect()
}

/// A movie of one video track of the made-up codec `test`, with the given sample tables.
fn movie(tables: &[u8], edit: &[u8]) -> Vec<u8> {
    let entry = [&[0; 24][..], &[0, 64, 0, 48], &[0; 50]].concat();
    let stsd = make(b"stsd", &[words(&[0, 1]), make(b"test", &entry)].concat());
    let stbl = make(b"stbl", &[stsd, tables.to_vec()].concat());
    let mdia = [
        make(b"mdhd", &words(&[0, 0, 0, 1000, 0, 0])),
        make(b"hdlr", &[&[0; 8][..], b"vide", &[0; 12]].concat()),
        make(b"minf", &stbl),
    ];
    let tkhd =
        words(&[7, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000, 0, 0]);
    let trak = [make(b"tkhd", &tkhd), edit.to_vec(), make(b"mdia", &mdia.concat())].concat();
    make(b"moov", &[make(b"mvhd", &words(&[0, 0, 0, 100])), make(b"trak", &trak)].concat())
}

/// Two chunks (3 and 2 samples), durations 40, 40, 100, 100, 100, sizes 10 to 14, key frames 1 and 4.
fn tables() -> Vec<Vec<u8>> {
    vec![
        make(b"stts", &words(&[0, 2, 2, 40, 3, 100])),
        make(b"stsz", &words(&[0, 0, 5, 10, 11, 12, 13, 14])),
        make(b"stsc", &words(&[0, 2, 1, 3, 1, 2, 2, 1])),
        make(b"stco", &words(&[0, 2, 1000, 2000])),
        make(b"stss", &words(&[0, 2, 1, 4])),
    ]
}

fn parse(bytes: &[u8]) -> Result<Track, SourceError> {
    read("test.mp4", Cursor::new(bytes), bytes.len() as u64)
}

#[test]
fn sample_tables_are_laid_out() {
    let track = parse(&movie(&tables().concat(), &[])).unwrap();
    let found: Vec<_> = track.samples.iter().map(|s| (s.offset, s.size, s.shown, s.key)).collect();
    let expected = [
        (1000, 10, 0, true),
        (1010, 11, 40, false),
        (1021, 12, 80, false),
        (2000, 13, 180, true),
        (2013, 14, 280, false),
    ];
    assert_eq!(found, expected);
    assert_eq!((track.codec, track.size, track.timescale), (*b"test", (64, 48), 1000));
}

#[test]
fn an_edit_list_cuts_what_is_shown() {
    // From 40 ms of the media, 20 hundredths of a second long.
    let edit = make(b"edts", &make(b"elst", &words(&[0, 2, 50, u32::MAX, 0x1_0000, 20, 40, 0x1_0000])));
    let track = parse(&movie(&tables().concat(), &edit)).unwrap();
    assert_eq!(track.frames(), 3, "at 40, 80 and 180 ms");
    assert_eq!(track.position(180), Duration::from_millis(140));
}

#[test]
fn tables_that_end_early_end_the_list() {
    let mut tables = tables();
    tables[0] = make(b"stts", &words(&[0, 1, 2, 40]));
    assert_eq!(parse(&movie(&tables.concat(), &[])).unwrap().samples.len(), 2);
    tables[0] = make(b"stts", &words(&[0, u32::MAX, 2, 40]));
    assert_eq!(
        parse(&movie(&tables.concat(), &[])).unwrap().samples.len(),
        2,
        "more rows claimed than there are"
    );
}

#[test]
fn a_claimed_number_of_frames_that_the_file_cannot_hold_is_refused() {
    let mut tables = tables();
    tables[0] = make(b"stts", &words(&[0, 1, u32::MAX, 40]));
    tables[1] = make(b"stsz", &words(&[0, 1, u32::MAX]));
    tables[2] = make(b"stsc", &words(&[0, 1, 1, u32::MAX, 1]));
    let refusal = parse(&movie(&tables.concat(), &[])).unwrap_err().to_string();
    assert!(refusal.contains("cannot hold"), "{refusal}");
}

#[test]
fn an_empty_run_of_a_fragment_cannot_claim_samples() {
    let run = make(b"trun", &words(&[0, u32::MAX]));
    let traf = make(b"traf", &[make(b"tfhd", &words(&[0, 1])), run].concat());
    let bytes = [movie(&make(b"stsz", &words(&[0, 0, 0])), &[]), make(b"moof", &traf)].concat();
    assert!(parse(&bytes).unwrap_err().to_string().contains("cut or impossible"));
}

#[test]
fn boxes_of_length_zero_end_the_walk() {
    for nested in [words(&[0]), [words(&[0]), b"traf".to_vec()].concat(), words(&[1, 0, 0, 0])] {
        let bytes = [movie(&tables().concat(), &[]), make(b"moof", &nested)].concat();
        assert_eq!(parse(&bytes).unwrap().samples.len(), 5);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn mutated_headers_never_panic_and_stay_bounded(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let run = make(b"trun", &words(&[0x301, 2, 8, 40, 9, 40, 9]));
        let traf = make(b"traf", &[make(b"tfhd", &words(&[0, 1])), run].concat());
        let edit = make(b"edts", &make(b"elst", &words(&[0, 1, 20, 40, 0x1_0000])));
        let mut bytes = [movie(&tables().concat(), &edit), make(b"moof", &traf)].concat();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        for bytes in [&bytes[..], &bytes[..cut.index(bytes.len())]] {
            if let Ok(track) = parse(bytes) {
                prop_assert!(track.samples.len() <= bytes.len());
            }
        }
    }
}
