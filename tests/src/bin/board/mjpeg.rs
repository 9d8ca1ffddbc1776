//! MJPEG from a real node: `v4l2loopback`, into which JPEG files are written, every tenth of them cut in half.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use stopline_sensors::clock::{Clock, SystemClock};
use stopline_sensors::frame::PixelFormat;
use stopline_sensors::source::{Event, FrameSource};
use stopline_sensors::v4l2::CameraFormat;
use stopline_tests::source_suite::{Expect, conforms};
use v4l::video::Output;

use crate::rig::{self, Board, Found, SIZE, config, ensure, next, open};

/// Where `tests/board/init` puts the loopback device.
pub const LOOPBACK: &str = "/dev/video9";

pub fn checks(board: &mut Board) {
    if !Path::new(LOOPBACK).exists() {
        return board.skip("MJPEG", "no v4l2loopback in this machine (tests/board/run says why)");
    }
    board.check("suite MJPEG", suite);
    board.check("a JPEG cut in half is skipped and counted", cut_in_half);
    board.check("the feeder goes and comes back", feeder_gone);
}

/// Writes JPEG files at 30 a second until it is dropped.
struct Feeder {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<Result<(), String>>>,
}

impl Feeder {
    fn start(cut: bool) -> Result<Self, String> {
        let mut device = v4l::Device::with_path(LOOPBACK).map_err(|error| format!("feeder: {error}"))?;
        let format = v4l::Format::new(SIZE.0, SIZE.1, v4l::FourCC::new(b"MJPG"));
        Output::set_format(&device, &format).map_err(|error| format!("feeder: set format: {error}"))?;
        let (jpeg, stop) = (picture()?, Arc::new(AtomicBool::new(false)));
        let stopped = Arc::clone(&stop);
        let feed = move || {
            for round in 1_u32.. {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                let whole = !cut || round % 10 != 0;
                let bytes = if whole { &jpeg[..] } else { &jpeg[..jpeg.len() / 2] };
                match device.write(bytes) {
                    Ok(_) => {}
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(format!("feeder: write: {error}")),
                }
                SystemClock.sleep(Duration::from_millis(33));
            }
            Ok(())
        };
        let thread = std::thread::Builder::new()
            .name("feeder".into())
            .spawn(feed)
            .map_err(|error| error.to_string())?;
        // The node can be read only once something was written.
        SystemClock.sleep(Duration::from_millis(150));
        Ok(Self { stop, thread: Some(thread) })
    }

    fn end(mut self) -> Result<(), String> {
        self.stop.store(true, Ordering::SeqCst);
        let thread = self.thread.take().ok_or("the feeder has ended")?;
        thread.join().map_err(|_| "the feeder panicked".to_owned())?
    }
}

impl Drop for Feeder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

/// Left half red, right half blue.
fn picture() -> Result<Vec<u8>, String> {
    let (width, height) =
        (u16::try_from(SIZE.0).unwrap_or_default(), u16::try_from(SIZE.1).unwrap_or_default());
    let mut pixels = Vec::new();
    for _ in 0..height {
        for x in 0..width {
            pixels.extend_from_slice(if x < width / 2 { &[200, 20, 20] } else { &[20, 20, 200] });
        }
    }
    let mut jpeg = Vec::new();
    jpeg_encoder::Encoder::new(&mut jpeg, 90)
        .encode(&pixels, width, height, jpeg_encoder::ColorType::Rgb)
        .map_err(|error| error.to_string())?;
    Ok(jpeg)
}

fn suite() -> Found {
    let feeder = Feeder::start(false)?;
    let config = config(LOOPBACK, CameraFormat::Mjpeg);
    let expect = Expect { formats: vec![PixelFormat::Rgb], ..Expect::live("v4l2", SIZE, 15) };
    let report = conforms(&mut || rig::boxed(&config), &expect)?;
    feeder.end()?;
    ensure(report.counters.copies == 0, || format!("decoding is no copy: {:?}", report.counters))?;
    Ok(format!("{:?}, stamps {:?}", report.counters, report.stamps))
}

fn cut_in_half() -> Found {
    let feeder = Feeder::start(true)?;
    let mut source = open(&config(LOOPBACK, CameraFormat::Mjpeg))?;
    let (mut whole, mut cut, mut said) = (0, 0, String::new());
    let begun = SystemClock.monotonic();
    while cut < 2 {
        match next(&mut source, Duration::from_millis(100))? {
            Event::Frame(frame) => {
                whole += 1;
                let plane = frame.plane(0);
                let (left, right) = (&plane.bytes[3 * 20..][..3], &plane.bytes[3 * 300..][..3]);
                ensure(left[0] > 180 && left[2] < 50 && right[2] > 180, || format!("{left:?} {right:?}"))?;
            }
            Event::Skipped(error) => {
                cut += 1;
                said = error.to_string();
            }
            Event::Nothing => {}
            other => return Err(format!("{other:?}")),
        }
        let took = SystemClock.monotonic().since(begun);
        ensure(took < Duration::from_secs(10), || format!("{whole} whole, {cut} cut in {took:?}"))?;
    }
    feeder.end()?;
    let counters = source.counters();
    ensure(counters.skipped == cut && counters.delivered == whole && whole >= 5, || format!("{counters:?}"))?;
    Ok(format!("{whole} whole, {cut} skipped: {said}"))
}

fn feeder_gone() -> Found {
    let feeder = Feeder::start(false)?;
    let mut source = open(&config(LOOPBACK, CameraFormat::Mjpeg))?;
    rig::frames(&mut source, 5)?;
    feeder.end()?;
    let error = rig::lost(&mut source, Duration::from_secs(3))?;
    let feeder = Feeder::start(false)?;
    rig::restored(&mut source, Duration::from_secs(8))?;
    rig::frames(&mut source, 5)?;
    feeder.end()?;
    Ok(error.to_string())
}
