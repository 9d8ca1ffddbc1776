//! Streams made by openh264's own encoder; Main and High profile with re-ordering come from GStreamer (tests/walks).

use openh264::encoder::{Encoder, EncoderConfig, FrameRate};
use openh264::formats::YUVBuffer;
use proptest::prelude::*;

use super::*;
use crate::frame::{Matrix, Range};

const SIZE: (usize, usize) = (64, 48);

/// Access units of a grey square that grows brighter by 5 a picture; each is Annex B, key frames with parameter sets.
fn stream(pictures: u8) -> Vec<Vec<u8>> {
    let config = EncoderConfig::new().max_frame_rate(FrameRate::from_hz(30.0));
    let mut encoder = Encoder::with_api_config(OpenH264API::from_source(), config).unwrap();
    (0..pictures)
        .map(|n| {
            let mut planes = vec![40 + n * 5; SIZE.0 * SIZE.1];
            planes.resize(SIZE.0 * SIZE.1 * 3 / 2, 128);
            encoder.encode(&YUVBuffer::from_vec(planes, SIZE.0, SIZE.1)).unwrap().to_vec()
        })
        .collect()
}

fn brightness(picture: &Picture) -> f64 {
    let luma = &picture.buffer[..SIZE.0 * SIZE.1];
    luma.iter().map(|&y| f64::from(y)).sum::<f64>() / luma.len() as f64
}

#[test]
fn a_stream_in_order_gives_each_picture_at_once() {
    let pool = BufferPool::default();
    let mut decoder = H264Decoder::new(Delay::Least).unwrap();
    for (n, unit) in stream(20).iter().enumerate() {
        let picture = decoder.decode(unit, &pool).unwrap().expect("no picture is held back");
        assert_eq!(picture.size, (64, 48));
        assert!(
            (brightness(&picture) - (40.0 + n as f64 * 5.0)).abs() < 3.0,
            "picture {n}: {}",
            brightness(&picture)
        );
    }
    assert!(decoder.parameters().keeps_order);
}

#[test]
fn a_recording_gives_every_picture_in_the_end() {
    let pool = BufferPool::default();
    let mut decoder = H264Decoder::new(Delay::Ordered).unwrap();
    let mut pictures = Vec::new();
    for unit in stream(20) {
        pictures.extend(decoder.decode(&unit, &pool).unwrap());
    }
    pictures.extend(decoder.finish(&pool).unwrap());
    assert_eq!(pictures.len(), 20);
    assert!(pictures.windows(2).all(|pair| brightness(&pair[0]) < brightness(&pair[1])));
}

#[test]
fn a_lost_picture_is_an_error_and_not_a_smeared_picture() {
    let pool = BufferPool::default();
    let mut decoder = H264Decoder::new(Delay::Least).unwrap();
    let units = stream(10);
    for unit in &units[..4] {
        decoder.decode(unit, &pool).unwrap();
    }
    assert!(decoder.decode(&units[5], &pool).is_err(), "unit 4 never came");
    let mut again = H264Decoder::new(Delay::Least).unwrap();
    assert!(again.decode(&units[1], &pool).is_err(), "a stream joined after its key frame");
}

#[test]
fn decoding_goes_on_at_the_next_key_frame() {
    let pool = BufferPool::default();
    let mut decoder = H264Decoder::new(Delay::Least).unwrap();
    let units = stream(6);
    decoder.decode(&units[0], &pool).unwrap();
    assert!(decoder.decode(&units[3], &pool).is_err());
    assert!(decoder.decode(&units[0], &pool).unwrap().is_some());
    assert!(decoder.decode(&units[1], &pool).unwrap().is_some());
}

/// Parameter set of an x264 stream, 640×360 High, whose video signal type says BT.709, full range.
#[test]
fn colours_come_from_the_stream() {
    let mut bits = Bits::default();
    for (value, count) in [(0x67, 8), (100, 8), (0, 8), (30, 8)] {
        bits.push(value, count);
    }
    // id 0, 4:2:0, 8 bit twice, no bypass, no scaling lists, frame_num 4 bits, order count type 2, 1 reference, no gaps
    bits.push_all(&[
        (1, 1),
        (0b010, 3),
        (1, 1),
        (1, 1),
        (0, 1),
        (0, 1),
        (1, 1),
        (0b011, 3),
        (0b010, 3),
        (0, 1),
    ]);
    // 40 × 23 macroblocks, progressive, 8×8 inference, no cropping
    bits.push_all(&[(40, 11), (23, 9), (1, 1), (1, 1), (0, 1)]);
    // usability: aspect, overscan absent; signal: format 5, full range, colours BT.709 thrice; the rest absent
    bits.push_all(&[(1, 1), (0, 1), (0, 1), (1, 1), (5, 3), (1, 1), (1, 1), (1, 8), (1, 8), (1, 8)]);
    bits.push_all(&[(0, 1), (0, 1), (0, 1), (0, 1), (0, 1), (0, 1)]);
    let found = Parameters::of_unit(&bits.end()).unwrap();
    assert_eq!(found.colour, Colour { matrix: Matrix::Bt709, range: Range::Full });
    assert!(found.keeps_order, "order count type 2 means output in decoding order");
    assert_eq!(found.unsupported, None);
}

#[test]
fn a_stream_that_says_nothing_of_colour_is_bt601_limited() {
    let pool = BufferPool::default();
    let mut decoder = H264Decoder::new(Delay::Least).unwrap();
    let picture = decoder.decode(&stream(1)[0], &pool).unwrap().unwrap();
    assert_eq!(picture.colour, Colour { matrix: Matrix::Bt601, range: Range::Limited });
}

#[test]
fn garbage_is_an_error_or_nothing() {
    let pool = BufferPool::default();
    let mut decoder = H264Decoder::new(Delay::Least).unwrap();
    for bytes in [&b""[..], b"\0\0\0\x01", b"\0\0\x01\x67", b"\0\0\x01\x65garbage", b"no start code at all"] {
        assert!(!matches!(decoder.decode(bytes, &pool), Ok(Some(_))), "{bytes:?}");
    }
}

#[derive(Default)]
struct Bits(Vec<bool>);

impl Bits {
    fn push(&mut self, value: u32, count: u32) {
        self.0.extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
    }
    fn push_all(&mut self, fields: &[(u32, u32)]) {
        fields.iter().for_each(|&(value, count)| self.push(value, count));
    }
    fn end(mut self) -> Vec<u8> {
        self.0.push(true);
        self.0.resize(self.0.len().next_multiple_of(8), false);
        self.0.chunks(8).map(|byte| byte.iter().fold(0, |sum, &bit| sum << 1 | u8::from(bit))).collect()
    }
}

proptest! {
    #[test]
    fn nal_units_cover_what_lies_between_start_codes(units in prop::collection::vec(prop::collection::vec(2u8.., 1..20), 0..6)) {
        let stream: Vec<u8> = units.iter().flat_map(|unit| [&[0, 0, 0, 1], unit.as_slice()].concat()).collect();
        // The zero before a start code belongs to the unit before it as far as the scan goes.
        let found: Vec<Vec<u8>> = nal_units(&stream).map(|unit| {
            let end = unit.iter().rposition(|&byte| byte != 0).map_or(0, |at| at + 1);
            unit[..end].to_vec()
        }).collect();
        prop_assert_eq!(found, units);
    }

    #[test]
    fn any_parameter_set_is_read_without_a_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        bytes.insert(0, 0x67);
        let _ = Parameters::of_unit(&bytes);
    }
}
