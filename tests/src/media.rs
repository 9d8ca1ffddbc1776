//! Small recordings made by code, for tests: H.264 in MP4 with every header a test wants to turn, MJPEG in AVI, Y4M.
//!
//! Frame n of every recording has the luma [`level`]`(n)` in its left half and 40 more in its right half, so that a
//! test sees which frame it got and which side is up.

use openh264::OpenH264API;
use openh264::encoder::{Encoder, EncoderConfig, FrameRate, IntraFramePeriod, RateControlMode};
use openh264::formats::YUVBuffer;

/// Luma of the left half of frame `number`.
pub fn level(number: usize) -> u8 {
    30 + (number as u8 % 24) * 6
}

/// The planes of frame `number`: Y, U, V.
fn planes(number: usize, (width, height): (usize, usize)) -> Vec<u8> {
    let row = |_| (0..width).map(|x| if x < width / 2 { level(number) } else { level(number) + 40 });
    let mut planes: Vec<u8> = (0..height).flat_map(row).collect();
    planes.resize(width * height * 3 / 2, 128);
    planes
}

/// Access units of `frames` pictures, Annex B, one key frame every ten.
pub fn h264(frames: usize, size: (usize, usize)) -> Vec<Vec<u8>> {
    let config = EncoderConfig::new()
        .max_frame_rate(FrameRate::from_hz(30.0))
        .rate_control_mode(RateControlMode::Off)
        .scene_change_detect(false)
        .intra_frame_period(IntraFramePeriod::from_num_frames(10));
    let mut encoder =
        Encoder::with_api_config(OpenH264API::from_source(), config).expect("an encoder starts");
    (0..frames)
        .map(|number| {
            let picture = YUVBuffer::from_vec(planes(number, size), size.0, size.1);
            encoder.encode(&picture).expect("a picture is encoded").to_vec()
        })
        .collect()
}

/// JPEGs of `frames` grey pictures.
pub fn jpegs(frames: usize, (width, height): (usize, usize)) -> Vec<Vec<u8>> {
    (0..frames)
        .map(|number| {
            let mut bytes = Vec::new();
            let luma = &planes(number, (width, height))[..width * height];
            jpeg_encoder::Encoder::new(&mut bytes, 90)
                .encode(luma, width as u16, height as u16, jpeg_encoder::ColorType::Luma)
                .expect("a picture is encoded");
            bytes
        })
        .collect()
}

/// YUV4MPEG2 4:2:0 at 25 frames per second.
pub fn y4m(frames: usize, size: (usize, usize)) -> Vec<u8> {
    let mut bytes = format!("YUV4MPEG2 W{} H{} F25:1 Ip A1:1 C420jpeg\n", size.0, size.1).into_bytes();
    for number in 0..frames {
        bytes.extend_from_slice(b"FRAME\n");
        bytes.extend(planes(number, size));
    }
    bytes
}

/// AVI of the given compressed pictures at 25 frames per second, with an index.
pub fn avi(codec: &[u8; 4], pictures: &[Vec<u8>], (width, height): (usize, usize)) -> Vec<u8> {
    let words = |values: &[u32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let count = pictures.len() as u32;
    let avih = words(&[40_000, 0, 0, 0x10, count, 0, 1, 0, width as u32, height as u32, 0, 0, 0, 0]);
    let strh = [b"vids", &codec[..], &words(&[0, 0, 0, 1, 25, 0, count, 0, u32::MAX, 0, 0, 0])].concat();
    let strf =
        [&words(&[40, width as u32, height as u32, 24 << 16 | 1])[..], codec, &words(&[0; 5])].concat();
    let strl = list(b"strl", &[chunk(b"strh", &strh), chunk(b"strf", &strf)].concat());
    let hdrl = list(b"hdrl", &[chunk(b"avih", &avih), strl].concat());
    let movi: Vec<u8> = pictures.iter().flat_map(|picture| chunk(b"00dc", picture)).collect();
    let mut at = 4;
    let index: Vec<u8> = pictures
        .iter()
        .flat_map(|picture| {
            let entry = [b"00dc".to_vec(), words(&[0x10, at, picture.len() as u32])].concat();
            at += (8 + picture.len() + picture.len() % 2) as u32;
            entry
        })
        .collect();
    let content = [b"AVI ".to_vec(), hdrl, list(b"movi", &movi), chunk(b"idx1", &index)].concat();
    chunk(b"RIFF", &content)
}

fn list(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    chunk(b"LIST", &[&kind[..], content].concat())
}

fn chunk(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let padding = &[0][..content.len() % 2];
    [&name[..], &(content.len() as u32).to_le_bytes(), content, padding].concat()
}

/// What an MP4's headers say.
#[derive(Clone, Debug)]
pub struct Mp4 {
    /// How long each frame is shown, in milliseconds.
    pub durations: Vec<u32>,
    /// The track header's a, b, c, d, each 1, 0 or -1.
    pub matrix: [i32; 4],
    /// Start and length of the part shown, in milliseconds.
    pub edit: Option<(u32, u32)>,
    /// One fragment for every so many frames.
    pub fragments: Option<usize>,
    /// `vide` or something else.
    pub handler: [u8; 4],
    /// The headers come before the pictures.
    pub headers_first: bool,
}

impl Default for Mp4 {
    fn default() -> Self {
        Self {
            durations: Vec::new(),
            matrix: [1, 0, 0, 1],
            edit: None,
            fragments: None,
            handler: *b"vide",
            headers_first: true,
        }
    }
}

impl Mp4 {
    /// A file of the given access units; frames are 40 ms long where nothing else is said.
    pub fn file(&self, units: &[Vec<u8>], size: (usize, usize)) -> Vec<u8> {
        let ftyp = boxed(b"ftyp", b"isom\0\0\x02\0isomavc1");
        let samples: Vec<Sample> = units.iter().map(|unit| Sample::of(unit)).collect();
        if let Some(each) = self.fragments {
            let mut file = [ftyp, self.moov(&[], size, 0)].concat();
            for (index, part) in samples.chunks(each).enumerate() {
                file.extend(self.fragment(part, index * each));
            }
            return file;
        }
        let media =
            boxed(b"mdat", &samples.iter().flat_map(|sample| sample.bytes.clone()).collect::<Vec<_>>());
        if !self.headers_first {
            let moov = self.moov(&samples, size, ftyp.len() + 8);
            return [ftyp, media, moov].concat();
        }
        let length = self.moov(&samples, size, 0).len();
        let moov = self.moov(&samples, size, ftyp.len() + length + 8);
        [ftyp, moov, media].concat()
    }

    fn duration(&self, index: usize) -> u32 {
        self.durations.get(index).copied().unwrap_or(40)
    }

    fn moov(&self, samples: &[Sample], size: (usize, usize), media: usize) -> Vec<u8> {
        let matrix = self.matrix.map(|value| (value * 0x1_0000).cast_unsigned());
        let [a, b, c, d] = matrix;
        let mut tkhd = words(&[7, 0, 0, 1, 0, 0, 0, 0, 0, 0, a, b, 0, c, d, 0, 0, 0, 0x4000_0000]);
        tkhd.extend(words(&[(size.0 as u32) << 16, (size.1 as u32) << 16]));
        let edit = self.edit.map_or(Vec::new(), |(start, length)| {
            boxed(b"edts", &boxed(b"elst", &words(&[0, 1, length, start, 0x1_0000])))
        });
        let hdlr = [&[0; 8][..], &self.handler, &[0; 13]].concat();
        let mdia = [
            boxed(b"mdhd", &words(&[0, 0, 0, 1000, 0, 0x55c4_0000])),
            boxed(b"hdlr", &hdlr),
            boxed(b"minf", &boxed(b"stbl", &self.tables(samples, size, media))),
        ];
        let trak = [boxed(b"tkhd", &tkhd), edit, boxed(b"mdia", &mdia.concat())].concat();
        let mvhd = [words(&[0, 0, 0, 1000, 0, 0x1_0000, 0x100_0000, 0, 0]), words(&[0; 16])].concat();
        let mvex = boxed(b"mvex", &boxed(b"trex", &words(&[0, 1, 1, 0, 0, 0])));
        let mvex = if self.fragments.is_some() { mvex } else { Vec::new() };
        boxed(b"moov", &[boxed(b"mvhd", &mvhd), boxed(b"trak", &trak), mvex].concat())
    }

    fn tables(&self, samples: &[Sample], (width, height): (usize, usize), media: usize) -> Vec<u8> {
        let count = samples.len() as u32;
        let times: Vec<u32> = (0..samples.len()).flat_map(|index| [1, self.duration(index)]).collect();
        let sizes: Vec<u32> = samples.iter().map(|sample| sample.bytes.len() as u32).collect();
        let keys: Vec<u32> =
            (1..).zip(samples).filter(|(_, sample)| sample.key).map(|(number, _)| number).collect();
        let runs: &[u32] = if samples.is_empty() { &[0, 0] } else { &[0, 1, 1, count, 1] };
        let chunks: &[u32] = if samples.is_empty() { &[0, 0] } else { &[0, 1, media as u32] };
        [
            boxed(b"stsd", &[words(&[0, 1]), entry((width, height))].concat()),
            boxed(b"stts", &[words(&[0, count]), words(&times)].concat()),
            boxed(b"stss", &[words(&[0, keys.len() as u32]), words(&keys)].concat()),
            boxed(b"stsc", &words(runs)),
            boxed(b"stsz", &[words(&[0, 0, count]), words(&sizes)].concat()),
            boxed(b"stco", &words(chunks)),
        ]
        .concat()
    }

    fn fragment(&self, samples: &[Sample], first: usize) -> Vec<u8> {
        let decode_time: u32 = (0..first).map(|index| self.duration(index)).sum();
        let make = |offset: u32| {
            let mut run = words(&[0x701, samples.len() as u32, offset]);
            for (index, sample) in (first..).zip(samples) {
                let flags = if sample.key { 0 } else { 0x1_0000 };
                run.extend(words(&[self.duration(index), sample.bytes.len() as u32, flags]));
            }
            let traf = [
                boxed(b"tfhd", &words(&[0x2_0000, 1])),
                boxed(b"tfdt", &words(&[0, decode_time])),
                boxed(b"trun", &run),
            ];
            boxed(b"moof", &[boxed(b"mfhd", &words(&[0, 1])), boxed(b"traf", &traf.concat())].concat())
        };
        let moof = make(make(0).len() as u32 + 8);
        let media: Vec<u8> = samples.iter().flat_map(|sample| sample.bytes.clone()).collect();
        [moof, boxed(b"mdat", &media)].concat()
    }
}

/// A picture with lengths instead of start codes.
struct Sample {
    bytes: Vec<u8>,
    key: bool,
}

impl Sample {
    fn of(unit: &[u8]) -> Self {
        let nals =
            || stopline_sensors::h264::nal_units(unit).map(|nal| nal.strip_suffix(&[0]).unwrap_or(nal));
        let bytes = nals().flat_map(|nal| [&(nal.len() as u32).to_be_bytes()[..], nal].concat()).collect();
        Self { bytes, key: nals().any(|nal| nal[0] & 0x1f == 5) }
    }
}

/// The sample entry: `avc1` with the parameter sets of our encoder for this size.
fn entry(size: (usize, usize)) -> Vec<u8> {
    let first = h264(1, size).remove(0);
    let set = |kind: u8| {
        let mut nals = stopline_sensors::h264::nal_units(&first);
        let nal = nals.find(|nal| nal[0] & 0x1f == kind).expect("parameter sets come first");
        let nal = nal.strip_suffix(&[0]).unwrap_or(nal);
        [&(nal.len() as u16).to_be_bytes()[..], nal].concat()
    };
    let avcc = [&[1, 66, 0, 30, 0xff, 0xe1][..], &set(7), &[1], &set(8)].concat();
    let mut fields = vec![0; 78];
    fields[7] = 1;
    fields[24..26].copy_from_slice(&(size.0 as u16).to_be_bytes());
    fields[26..28].copy_from_slice(&(size.1 as u16).to_be_bytes());
    boxed(b"avc1", &[fields, boxed(b"avcC", &avcc)].concat())
}

fn boxed(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    [&(content.len() as u32 + 8).to_be_bytes()[..], name, content].concat()
}

fn words(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_be_bytes()).collect()
}
