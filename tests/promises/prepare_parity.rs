//! Prepare beside OpenCV: the same frame through `Preparer` and through cvtColor + resize, value by value.
//!
//! Units are those of a pixel, 0–255, before scale, mean and std: at most 1 off for RGB, BGR and grey, at most 2 for luma
//! and chroma.

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::SystemTime;

use serde_json::{Value, json};
use stopline::infer::TensorData;
use stopline::prepare::Preparer;
use stopline::prepare::geometry::Geometry;
use stopline_depot::manifest::Input;
use stopline_sensors::clock::Monotonic;
use stopline_sensors::frame::{Buffer, Colour, Frame, FrameMeta, PixelFormat, PlaneLayout, Stamp};
use stopline_tests::{count, field_data, python};

const FORMATS: [(PixelFormat, &str, f64); 7] = [
    (PixelFormat::Rgb, "rgb", 1.0),
    (PixelFormat::Bgr, "bgr", 1.0),
    (PixelFormat::Grey, "grey", 1.0),
    (PixelFormat::Yuyv, "yuyv", 2.0),
    (PixelFormat::Uyvy, "uyvy", 2.0),
    (PixelFormat::Nv12, "nv12", 2.0),
    (PixelFormat::I420, "i420", 2.0),
];

/// Width and height of a source that cameras and models really have, beside the random ones.
const USUAL: [(u32, u32); 6] = [(1280, 720), (960, 540), (640, 480), (1920, 1080), (720, 1280), (352, 288)];

#[test]
fn random_pictures_are_prepared_as_opencv_does() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut cases = Vec::new();
    for number in 0..count("prepare beside OpenCV, random cases", 4000, 400) {
        let mut random = Random(number as u64 + 1);
        let case = Case::random(&mut random);
        cases.push(case.write(folder.path(), number, &Pixels::Random(number as u64)));
    }
    judge(&python, folder.path(), cases);
}

#[test]
fn photographs_are_prepared_as_opencv_does() {
    let (Some(python), Some(data)) = (python(), field_data()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut cases = Vec::new();
    let pictures =
        ["stop-sign/coco_000000000724.jpg", "pedestrian/peds_0.jpg", "drive/bdd_0ace96c3-48481887.jpg"];
    for (at, picture) in pictures.iter().enumerate() {
        let picture = image::open(data.join("media").join(picture)).unwrap().to_rgb8();
        for number in 0..count("prepare beside OpenCV, cases of a photograph", 300, 35) {
            let mut random = Random((at * 10_000 + number) as u64 + 77);
            let mut case = Case::random(&mut random);
            case.size = picture.dimensions();
            cases.push(case.write(folder.path(), at * 10_000 + number, &Pixels::Photograph(&picture)));
        }
    }
    judge(&python, folder.path(), cases);
}

/// Lets OpenCV do the same, and holds the differences to their limits.
fn judge(python: &Path, folder: &Path, cases: Vec<Value>) {
    let total = cases.len();
    std::fs::write(folder.join("cases.json"), serde_json::to_vec(&cases).unwrap()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("promises/prepare_reference.py");
    let done = Command::new(python).arg(script).arg(folder).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let differences: Vec<Value> = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(differences.len(), total);
    let mut failures = Vec::new();
    for (format, name, limit) in FORMATS {
        let own = differences.iter().zip(&cases).filter(|(_, case)| case["format"] == name);
        let (mut largest, mut values, mut off, mut seen) = (0.0_f64, 0, 0, 0);
        for (difference, case) in own {
            let worst = difference["largest"].as_f64().unwrap();
            // Written so that NaN fails.
            let within = worst <= limit;
            if !within {
                failures.push(format!("{case}: {difference}"));
            }
            largest = largest.max(worst);
            values += difference["values"].as_u64().unwrap();
            off += difference["off"].as_u64().unwrap();
            seen += 1;
        }
        #[allow(clippy::cast_precision_loss)]
        let share = 100.0 * off as f64 / values.max(1) as f64;
        println!(
            "{format:?}: {seen} cases, {values} values, largest difference {largest}/255, {share:.2} % off at all"
        );
        assert!(seen > 0, "{format:?}: no case, so nothing is shown");
    }
    assert!(
        failures.is_empty(),
        "{} of {total} cases differ too much:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

struct Case {
    format: (PixelFormat, &'static str),
    size: (u32, u32),
    padding: usize,
    input: Value,
    /// For crops.
    region: Option<[i32; 4]>,
}

enum Pixels<'a> {
    Random(u64),
    Photograph(&'a image::RgbImage),
}

impl Case {
    fn random(random: &mut Random) -> Self {
        let (format, name, _) = random.pick(&FORMATS);
        let usual = random.below(10) == 0;
        let side = |random: &mut Random| match random.below(4) {
            0 => 1 + random.below(12),
            1 => 300 + random.below(500),
            _ => 1 + random.below(260),
        };
        let size = if usual { random.pick(&USUAL) } else { (side(random), side(random)) };
        let (width, height) = match random.below(5) {
            0 => (416, 416),
            1 => (416, 256),
            2 => (1 + random.below(20), 1 + random.below(20)),
            _ => (1 + random.below(300), 1 + random.below(300)),
        };
        let mode = random.pick(&["letterbox", "letterbox", "stretch", "centre_crop"]);
        let colour = random.pick(&["rgb", "bgr", "bgr", "grey"]);
        let whole = random.below(2) == 0;
        let channels = |random: &mut Random, least: f64, span: f64| {
            [0; 3].map(|_| least + span * f64::from(random.below(1000)) / 1000.0)
        };
        let pad = if random.below(2) == 0 { json!(random.below(256)) } else { json!([3, 114, 250]) };
        let layout = random.pick(&["nchw", "nhwc"]);
        let dtype = random.pick(&["f32", "f32", "f32", "f16", "u8", "i32"]);
        let anchor = random.pick(&["centre", "top_left"]);
        let filter = random.pick(&["bilinear", "bilinear", "bilinear", "nearest"]);
        let rounding = random.pick(&["floor", "nearest"]);
        let enlarge = random.below(4) > 0;
        let mut input = json!({
            "width": width, "height": height, "colour": colour, "layout": layout, "dtype": dtype,
            "resize": {
                "mode": mode, "pad": pad, "anchor": anchor, "filter": filter, "rounding": rounding, "enlarge": enlarge,
            },
        });
        // Types of whole numbers hold pixels as they are.
        if input["dtype"] == "f32" && !whole {
            input["scale"] = json!(1.0 / 255.0);
            input["mean"] = json!(channels(random, 0.0, 0.6));
            input["std"] = json!(channels(random, 0.2, 0.3));
        }
        let region = (random.below(4) == 0).then(|| {
            input["crop"] = json!({ "grow": 1.25, "outside": [0, 128, 255] });
            let at = |random: &mut Random, side: u32| {
                random.below(2 * side).cast_signed() - side.cast_signed() / 2
            };
            let (x, y) = (at(random, size.0), at(random, size.1));
            [x, y, 1 + random.below(size.0 * 2).cast_signed(), 1 + random.below(size.1 * 2).cast_signed()]
        });
        Self { format: (format, name), size, padding: random.below(3) as usize * 7, input, region }
    }

    /// Prepares it, and writes frame and tensor for OpenCV to compare.
    fn write(&self, folder: &Path, number: usize, pixels: &Pixels<'_>) -> Value {
        let packed = pixels.bytes(self.format.0, self.size);
        let frame = self.frame(&packed);
        let input: Input = serde_json::from_value(self.input.clone()).unwrap();
        let size = [input.width, input.height];
        let source = [self.size.0, self.size.1];
        let geometry = match self.region {
            Some(region) => Geometry::region(source, size, region),
            None => Geometry::fit(source, size, &input.resize),
        };
        let mut preparer = Preparer::new(&input, size).unwrap();
        let mut tensor = preparer.tensor();
        preparer.prepare(&frame, &geometry, &mut tensor).unwrap();
        let values: Vec<f32> = match tensor.data {
            TensorData::F32(values) => values,
            TensorData::F16(values) => values.into_iter().map(|value| value.to_f32()).collect(),
            TensorData::U8(values) => values.into_iter().map(f32::from).collect(),
            TensorData::I32(values) => values.into_iter().map(|value| value as f32).collect(),
            TensorData::I64(_) => unreachable!("no manifest asks for it"),
        };
        std::fs::write(folder.join(format!("{number}.frame")), &packed).unwrap();
        let mut file = std::fs::File::create(folder.join(format!("{number}.tensor"))).unwrap();
        file.write_all(&values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>()).unwrap();
        json!({
            "number": number, "format": self.format.1, "width": self.size.0, "height": self.size.1,
            "input": self.input, "region": self.region, "shape": tensor.shape,
        })
    }

    /// The packed bytes as a frame whose rows are longer than they need to be.
    fn frame(&self, packed: &[u8]) -> Frame {
        let (format, (width, height)) = (self.format.0, self.size);
        let (mut bytes, mut planes, mut rest) = (Vec::new(), Vec::new(), packed);
        for plane in 0..format.planes() {
            let (row, rows) = format.plane_size(plane, width, height);
            planes.push(PlaneLayout { offset: bytes.len(), stride: row + self.padding });
            for _ in 0..rows {
                let (line, after) = rest.split_at(row);
                bytes.extend_from_slice(line);
                bytes.extend(std::iter::repeat_n(0x5A, self.padding));
                rest = after;
            }
        }
        let meta = FrameMeta {
            source: Arc::from("parity"),
            sequence: 0,
            captured: Monotonic::default(),
            stamp: Stamp::Arrival,
            wall: SystemTime::UNIX_EPOCH,
            position: None,
            path: None,
            copies: 0,
        };
        Frame::new(meta, format, Colour::default(), self.size, &planes, Buffer::from(bytes)).unwrap()
    }
}

/// A frame of packed bytes, as a camera would give it.
pub(crate) fn camera_frame(format: PixelFormat, size: (u32, u32), bytes: Vec<u8>) -> Frame {
    let meta = FrameMeta {
        source: Arc::from("camera"),
        sequence: 0,
        captured: Monotonic::default(),
        stamp: Stamp::Arrival,
        wall: SystemTime::UNIX_EPOCH,
        position: None,
        path: None,
        copies: 0,
    };
    Frame::packed(meta, format, Colour::default(), size, Buffer::from(bytes)).unwrap()
}

impl Pixels<'_> {
    /// A picture of `size`, packed.
    fn bytes(&self, format: PixelFormat, size: (u32, u32)) -> Vec<u8> {
        let (_, len) = Frame::packed_layout(format, size.0, size.1);
        match self {
            Self::Random(seed) => {
                let mut random = Random(seed.wrapping_mul(31) + 5);
                (0..len).map(|_| random.byte()).collect()
            }
            Self::Photograph(picture) => photograph(picture, format, size),
        }
    }
}

/// A photograph in `format`. How well luma and chroma are made does not matter: both sides get the same bytes.
pub(crate) fn photograph(
    picture: &image::RgbImage,
    format: PixelFormat,
    (width, height): (u32, u32),
) -> Vec<u8> {
    let yuv = |x: u32, y: u32| {
        let [r, g, b] = picture.get_pixel(x.min(width - 1), y.min(height - 1)).0.map(f32::from);
        let luma = 16.0 + 0.257 * r + 0.504 * g + 0.098 * b;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let bytes =
            [luma, 128.0 - 0.148 * r - 0.291 * g + 0.439 * b, 128.0 + 0.439 * r - 0.368 * g - 0.071 * b]
                .map(|value| value.round() as u8);
        bytes
    };
    let (halves, rows) = (width.div_ceil(2), height.div_ceil(2));
    let grid = |w: u32, h: u32| (0..h).flat_map(move |y| (0..w).map(move |x| (x, y)));
    let luma = || grid(width, height).map(|(x, y)| yuv(x, y)[0]);
    let chroma = |of: usize| grid(halves, rows).map(move |(x, y)| yuv(2 * x, 2 * y)[of]);
    match format {
        PixelFormat::Rgb => picture.as_raw().clone(),
        PixelFormat::Bgr => picture.pixels().flat_map(|pixel| [pixel[2], pixel[1], pixel[0]]).collect(),
        PixelFormat::Grey => luma().collect(),
        PixelFormat::Yuyv | PixelFormat::Uyvy => grid(halves, height)
            .flat_map(|(x, y)| {
                let ([y0, u, v], [y1, ..]) = (yuv(2 * x, y), yuv(2 * x + 1, y));
                if format == PixelFormat::Yuyv { [y0, u, y1, v] } else { [u, y0, v, y1] }
            })
            .collect(),
        PixelFormat::Nv12 => luma().chain(chroma(1).zip(chroma(2)).flat_map(|(u, v)| [u, v])).collect(),
        PixelFormat::I420 => luma().chain(chroma(1)).chain(chroma(2)).collect(),
    }
}

/// A small generator (xorshift64*), so that a case can be made again from its number.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, limit: u32) -> u32 {
        u32::try_from((self.next() >> 33) % u64::from(limit)).unwrap()
    }

    fn pick<T: Copy>(&mut self, among: &[T]) -> T {
        among[self.below(u32::try_from(among.len()).unwrap()) as usize]
    }

    fn byte(&mut self) -> u8 {
        (self.next() >> 40) as u8
    }
}
