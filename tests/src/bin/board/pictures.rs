//! Formats, colours, stamps, controls: a camera that behaves.

use std::collections::BTreeMap;

use stopline_sensors::frame::{Frame, Matrix, PixelFormat, Range, Stamp};
use stopline_sensors::source::FrameSource;
use stopline_sensors::v4l2::{CameraFormat, ControlValue, V4l2Config, V4l2Source};
use stopline_tests::source_suite::{Expect, conforms};

use crate::rig::{self, Board, CAMERA, Found, MULTI, SIZE, config, ensure, frames, open, plain};

pub fn checks(board: &mut Board) {
    for (name, format) in [
        ("YUYV", CameraFormat::Yuyv),
        ("UYVY", CameraFormat::Uyvy),
        ("NV12", CameraFormat::Nv12),
        ("GREY", CameraFormat::Grey),
        ("RGB3", CameraFormat::Rgb),
        ("BGR3", CameraFormat::Bgr),
    ] {
        board.check(&format!("suite {name}"), || suite(CAMERA, format));
        board.check(&format!("colours {name}"), || colours(CAMERA, format));
    }
    for (name, format) in
        [("YUYV", CameraFormat::Yuyv), ("NV12", CameraFormat::Nv12), ("NM12", CameraFormat::Nv12Planes)]
    {
        board.check(&format!("suite {name} multi-planar"), || suite(MULTI, format));
        board.check(&format!("colours {name} multi-planar"), || colours(MULTI, format));
    }
    board.check("another size", another_size);
    board.check("no configuration but the device", || chosen_freely(CAMERA));
    board.check("raw Bayer refused by name", bayer);
    board.check("a size it does not have is refused", no_such_size);
    board.check("no such camera, no camera at all, in use", not_a_camera);
    board.check("stamps at start of exposure and end of frame", stamps);
    board.check("controls set and read back", controls);
    board.check("a control it does not have is refused", no_such_control);
    board.check("a control it sets otherwise is reported", contradicted_control);
}

fn suite(device: &str, format: CameraFormat) -> Found {
    let config = config(device, format);
    let expect = Expect { formats: format.pixels().into_iter().collect(), ..Expect::live("v4l2", SIZE, 12) };
    let report = conforms(&mut || rig::boxed(&config), &expect)?;
    ensure(report.stamps == [Stamp::KernelEndOfFrame], || format!("stamps {:?}", report.stamps))?;
    ensure(report.info.period.is_some(), || "no period".into())?;
    Ok(format!(
        "12 frames, {} dropped, oldest {} ms, longest overrun {} ms",
        report.counters.dropped,
        report.worst_age.as_millis(),
        report.longest_overrun.as_millis()
    ))
}

/// vivid's 75 % colour bars, in sRGB.
const BARS: [[u8; 3]; 8] = [
    [191, 191, 191],
    [191, 191, 0],
    [0, 191, 191],
    [0, 191, 0],
    [191, 0, 191],
    [191, 0, 0],
    [0, 0, 191],
    [0, 0, 0],
];

/// Every bar in its place and its colour: planes, strides and the order of chroma are right.
fn colours(device: &str, format: CameraFormat) -> Found {
    let mut source = open(&config(device, format))?;
    let frame = frames(&mut source, 2)?.pop().ok_or("no frame")?;
    bars_of(&frame)
}

fn bars_of(frame: &Frame) -> Found {
    let mut worst = 0;
    // Four fifths down: below vivid's text, still on the bars.
    let y = frame.height() * 4 / 5;
    for (bar, expected) in (0_u32..).zip(BARS) {
        let x = (2 * bar + 1) * frame.width() / 16;
        let found = rgb(frame, x as usize, y as usize);
        let expected = if frame.format() == PixelFormat::Grey { [luma(expected); 3] } else { expected };
        let off = found.iter().zip(expected).map(|(&a, b)| a.abs_diff(b)).max().unwrap_or_default();
        worst = worst.max(off);
        ensure(off <= 20, || format!("bar {bar} at ({x}, {y}): expected {expected:?}, found {found:?}"))?;
    }
    Ok(format!("largest difference {worst}, {:?}", frame.colour()))
}

/// vivid makes its grey pictures by BT.709, in full range.
fn luma([red, green, blue]: [u8; 3]) -> u8 {
    (0.2126 * f32::from(red) + 0.7152 * f32::from(green) + 0.0722 * f32::from(blue)) as u8
}

/// The colour of one pixel, by the formulas of ITU-R BT.601 and BT.709.
fn rgb(frame: &Frame, x: usize, y: usize) -> [u8; 3] {
    let plane = frame.plane(0);
    let row = &plane.bytes[y * plane.stride..];
    let (luma, u, v) = match frame.format() {
        PixelFormat::Rgb => return [row[3 * x], row[3 * x + 1], row[3 * x + 2]],
        PixelFormat::Bgr => return [row[3 * x + 2], row[3 * x + 1], row[3 * x]],
        PixelFormat::Grey => return [row[x]; 3],
        PixelFormat::Yuyv => (row[2 * x], row[4 * (x / 2) + 1], row[4 * (x / 2) + 3]),
        PixelFormat::Uyvy => (row[2 * x + 1], row[4 * (x / 2)], row[4 * (x / 2) + 2]),
        PixelFormat::Nv12 => {
            let chroma = frame.plane(1);
            let pair = &chroma.bytes[(y / 2) * chroma.stride + 2 * (x / 2)..];
            (row[x], pair[0], pair[1])
        }
        PixelFormat::I420 => (row[x], 128, 128),
    };
    let (luma, u, v) = (f32::from(luma), f32::from(u) - 128.0, f32::from(v) - 128.0);
    let (luma, u, v) = match frame.colour().range {
        Range::Limited => ((luma - 16.0) * 255.0 / 219.0, u * 255.0 / 224.0, v * 255.0 / 224.0),
        Range::Full => (luma, u, v),
    };
    let (red, blue) = match frame.colour().matrix {
        Matrix::Bt709 => (0.2126, 0.0722),
        _ => (0.299, 0.114),
    };
    let (r, b) = (luma + 2.0 * (1.0 - red) * v, luma + 2.0 * (1.0 - blue) * u);
    let g = (luma - red * r - blue * b) / (1.0 - red - blue);
    [r, g, b].map(|value| value.round().clamp(0.0, 255.0) as u8)
}

fn another_size() -> Found {
    let wanted = V4l2Config { size: Some((640, 360)), fps: None, ..config(MULTI, CameraFormat::Nv12Planes) };
    let mut source = open(&wanted)?;
    let frame = frames(&mut source, 1)?.pop().ok_or("no frame")?;
    bars_of(&frame)
}

fn chosen_freely(device: &str) -> Found {
    let mut source = open(&V4l2Config::device(device))?;
    let frame = frames(&mut source, 3)?.pop().ok_or("no frame")?;
    ensure(source.info().size == (1280, 720), || {
        format!("size {:?}, expected 1280x720", source.info().size)
    })?;
    Ok(format!("{:?} {:?}, period {:?}", frame.format(), source.info().size, source.info().period))
}

fn bayer() -> Found {
    let text = r#"{"device": "/dev/video0", "formats": ["BA81"]}"#;
    let said = match serde_json::from_str::<V4l2Config>(text) {
        Ok(config) => return Err(format!("taken: {config:?}")),
        Err(error) => error.to_string(),
    };
    ensure(said.contains("`BA81` is raw Bayer (8 bit)") && said.contains("ISP"), || said.clone())?;
    Ok(said)
}

fn no_such_size() -> Found {
    let wanted = V4l2Config { size: Some((321, 181)), ..plain(CAMERA) };
    refused(&wanted, &["it has no pictures of 321x181", "320x180"])
}

fn not_a_camera() -> Found {
    refused(&plain("/dev/video99"), &["/dev/video99", "cannot open", "No such file"])?;
    refused(&plain("/dev/null"), &["/dev/null"])?;
    refused(&plain("no-such-name"), &["no camera named `no-such-name`", "video0 (vivid-000"])?;
    let serial = V4l2Config { device: None, serial: Some("X".into()), ..plain(CAMERA) };
    refused(&serial, &["no camera with serial number `X`", "video0"])?;
    let mut first = open(&plain(CAMERA))?;
    let said = refused(&plain(CAMERA), &["/dev/video0", "Device or resource busy"])?;
    frames(&mut first, 3)?;
    let by_name = plain("video0");
    drop(first);
    open(&by_name)?;
    Ok(said)
}

fn refused(config: &V4l2Config, words: &[&str]) -> Found {
    match V4l2Source::open("front", config.clone()) {
        Ok(_) => Err(format!("opened: {config:?}")),
        Err(error) => {
            let said = error.to_string();
            ensure(words.iter().all(|word| said.contains(word)), || {
                format!("expected {words:?} in: {said}")
            })?;
            Ok(said)
        }
    }
}

fn stamps() -> Found {
    let mut seen = Vec::new();
    for (choice, expected) in
        [("Start of Exposure", Stamp::KernelStartOfExposure), ("End of Frame", Stamp::KernelEndOfFrame)]
    {
        rig::set(CAMERA, "timestamp_source", ControlValue::Choice(choice.into()))?;
        let config = plain(CAMERA);
        let report = conforms(&mut || rig::boxed(&config), &Expect::live("v4l2", SIZE, 8))?;
        ensure(report.stamps == [expected], || format!("{choice}: {:?}", report.stamps))?;
        seen.push(format!("{choice}: oldest {} ms", report.worst_age.as_millis()));
    }
    Ok(seen.join(", "))
}

fn wanted_controls(pairs: &[(&str, ControlValue)]) -> BTreeMap<String, ControlValue> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

fn controls() -> Found {
    let controls = wanted_controls(&[
        ("brightness", ControlValue::Number(99)),
        ("gain_auto", ControlValue::Switch(false)),
        ("gain", ControlValue::Number(77)),
        ("horizontal_flip", ControlValue::Switch(true)),
    ]);
    let source = open(&V4l2Config { controls, ..plain(CAMERA) })?;
    let reports = source.controls();
    ensure(reports.len() == 4 && reports.iter().all(|report| report.taken()), || format!("{reports:?}"))?;
    ensure(reports[0].name == "gain_auto", || format!("the automatic is not set first: {reports:?}"))?;
    for (control, expected) in [("brightness", 99), ("gain", 77), ("horizontal_flip", 1)] {
        let found = rig::value(CAMERA, control)?;
        ensure(found == expected, || format!("{control} is {found}, expected {expected}"))?;
    }
    rig::set(CAMERA, "horizontal_flip", ControlValue::Switch(false))?;
    Ok(format!("{} controls", reports.len()))
}

fn no_such_control() -> Found {
    let unknown = wanted_controls(&[("sharpnes", ControlValue::Number(1))]);
    refused(&V4l2Config { controls: unknown, ..plain(CAMERA) }, &["no control `sharpnes`", "brightness"])?;
    let too_much = wanted_controls(&[("brightness", ControlValue::Number(256))]);
    refused(
        &V4l2Config { controls: too_much, ..plain(CAMERA) },
        &["`brightness`", "256 is out of range", "0 to 255"],
    )
}

/// While its automatic is on, vivid reads back a gain of its own.
fn contradicted_control() -> Found {
    for gain in [3, 4] {
        let pairs = [("gain_auto", ControlValue::Switch(true)), ("gain", ControlValue::Number(gain))];
        let source = open(&V4l2Config { controls: wanted_controls(&pairs), ..plain(CAMERA) })?;
        if let Some(report) = source.controls().iter().find(|report| !report.taken()) {
            rig::set(CAMERA, "gain_auto", ControlValue::Switch(false))?;
            return Ok(format!("{report:?}"));
        }
    }
    Err("gain is said to be taken though the automatic is on".into())
}
