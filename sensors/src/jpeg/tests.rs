use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use proptest::prelude::*;

use super::*;

/// A picture with detail everywhere, so that each part of it takes bytes.
fn noise(width: u16, height: u16, channels: usize) -> Vec<u8> {
    let mut state = 1u32;
    (0..usize::from(width) * usize::from(height) * channels)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect()
}

fn encode(width: u16, height: u16, colour: ColorType, tune: impl Fn(&mut Encoder<&mut Vec<u8>>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, 90);
    tune(&mut encoder);
    let channels = if colour == ColorType::Luma { 1 } else { 3 };
    encoder.encode(&noise(width, height, channels), width, height, colour).unwrap();
    bytes
}

fn rgb(width: u16, height: u16) -> Vec<u8> {
    encode(width, height, ColorType::Rgb, |_| {})
}

/// The picture as a camera that leaves the Huffman tables out sends it.
fn without_huffman_tables(jpeg: &[u8]) -> Vec<u8> {
    let mut at = 2;
    let mut out = jpeg[..2].to_vec();
    while jpeg[at + 1] != 0xda {
        let length = 2 + usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
        if jpeg[at + 1] != 0xc4 {
            out.extend_from_slice(&jpeg[at..at + length]);
        }
        at += length;
    }
    out.extend_from_slice(&jpeg[at..]);
    out
}

fn refusal(bytes: &[u8]) -> String {
    match decode("camera", bytes, &BufferPool::default()) {
        Ok(picture) => panic!("decoded to {:?}", picture.size),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_picture_is_decoded_whole_in_every_sampling() {
    for sampling in
        [SamplingFactor::R_4_4_4, SamplingFactor::R_4_2_2, SamplingFactor::R_4_2_0, SamplingFactor::R_4_1_1]
    {
        for restart in [0, 3] {
            for (width, height) in [(64, 48), (33, 17), (1, 1), (640, 8)] {
                let bytes = encode(width, height, ColorType::Rgb, |encoder| {
                    encoder.set_sampling_factor(sampling);
                    encoder.set_restart_interval(restart);
                });
                let picture = decode("test", &bytes, &BufferPool::default()).unwrap();
                assert_eq!(picture.size, (u32::from(width), u32::from(height)));
                assert_eq!(picture.format, PixelFormat::Rgb);
                assert_eq!(picture.buffer.len(), usize::from(width) * usize::from(height) * 3);
            }
        }
    }
}

#[test]
fn a_flat_picture_whose_last_rows_take_almost_no_bytes_is_decoded() {
    for (width, height) in [(16, 16), (320, 240), (8, 2000)] {
        for optimised in [false, true] {
            let mut bytes = Vec::new();
            let mut encoder = Encoder::new(&mut bytes, 50);
            encoder.set_optimized_huffman_tables(optimised);
            let pixels = vec![77; usize::from(width) * usize::from(height)];
            encoder.encode(&pixels, width, height, ColorType::Luma).unwrap();
            let picture = decode("test", &bytes, &BufferPool::default()).unwrap();
            assert!(picture.buffer.iter().all(|value| value.abs_diff(77) <= 1));
        }
    }
}

#[test]
fn a_grey_picture_stays_grey() {
    let picture = decode("test", &encode(40, 30, ColorType::Luma, |_| {}), &BufferPool::default()).unwrap();
    assert_eq!((picture.format, picture.buffer.len()), (PixelFormat::Grey, 40 * 30));
}

#[test]
fn a_progressive_picture_is_decoded() {
    let bytes = encode(70, 50, ColorType::Rgb, |encoder| encoder.set_progressive(true));
    assert_eq!(decode("test", &bytes, &BufferPool::default()).unwrap().size, (70, 50));
}

#[test]
fn a_camera_frame_without_huffman_tables_is_decoded_with_the_standard_ones() {
    let whole = rgb(64, 48);
    let bare = without_huffman_tables(&whole);
    assert!(bare.len() < whole.len());
    let expected = decode("test", &whole, &BufferPool::default()).unwrap();
    let found = decode("test", &bare, &BufferPool::default()).unwrap();
    assert_eq!(&expected.buffer[..], &found.buffer[..]);
}

#[test]
fn a_picture_cut_anywhere_is_an_error_and_never_half_a_picture() {
    for progressive in [false, true] {
        let bytes = encode(160, 96, ColorType::Rgb, |encoder| encoder.set_progressive(progressive));
        for length in (0..bytes.len() - 1).step_by(97).chain([bytes.len() - 2, bytes.len() - 1]) {
            assert!(decode("camera", &bytes[..length], &BufferPool::default()).is_err(), "cut at {length}");
        }
        assert!(refusal(&bytes[..bytes.len() / 2]).contains("ends in mid-picture"));
    }
}

#[test]
fn a_picture_cut_and_closed_with_an_end_marker_is_an_error_too() {
    for restart in [0, 5] {
        let bytes = encode(160, 96, ColorType::Rgb, |encoder| encoder.set_restart_interval(restart));
        for part in [40, 50, 75, 90, 98] {
            let mut cut = bytes[..bytes.len() * part / 100].to_vec();
            if cut.last() == Some(&0xff) {
                cut.pop();
            }
            cut.extend_from_slice(&[0xff, 0xd9]);
            assert!(refusal(&cut).contains("damaged JPEG"), "{part} % with restart interval {restart}");
        }
    }
}

#[test]
fn bytes_after_the_picture_do_not_matter() {
    let mut bytes = rgb(32, 32);
    let expected = decode("test", &bytes, &BufferPool::default()).unwrap();
    bytes.extend_from_slice(&[0; 100]);
    assert_eq!(&decode("test", &bytes, &BufferPool::default()).unwrap().buffer[..], &expected.buffer[..]);
}

#[test]
fn a_picture_that_lies_about_its_size_is_refused_before_memory_is_taken() {
    let mut bytes = rgb(16, 16);
    let frame = bytes.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    bytes[frame + 5..frame + 9].copy_from_slice(&[0x70, 0, 0x70, 0]);
    assert!(refusal(&bytes).contains("at most"));
    bytes[frame + 5..frame + 9].copy_from_slice(&[0x20, 0, 0x20, 0]);
    assert!(refusal(&bytes).contains("cannot hold"));
}

#[test]
fn what_is_no_jpeg_is_refused_by_what_was_found() {
    assert!(refusal(b"").contains("begins with the bytes ffd8"));
    assert!(refusal(b"\x89PNG\r\n").contains("found `8950`"));
    assert!(refusal(&[0xff, 0xd8, 0xff, 0xd9]).contains("without picture data"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn arbitrary_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = decode("test", &bytes, &BufferPool::default());
        bytes.splice(0..0, [0xff, 0xd8]);
        let _ = decode("test", &bytes, &BufferPool::default());
    }

    #[test]
    fn mutated_pictures_never_panic(
        progressive: bool,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = encode(48, 40, ColorType::Rgb, |encoder| encoder.set_progressive(progressive));
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(picture) = decode("test", &bytes, &BufferPool::default()) {
            let pixels = picture.size.0 as usize * picture.size.1 as usize;
            prop_assert!(picture.buffer.len() == pixels || picture.buffer.len() == 3 * pixels);
        }
    }
}
